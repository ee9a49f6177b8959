"""What the threshold τ decides: exact steps of cost and shortfall, and the frontier beyond them.

As τ rises, a model joins the eligible set of a query at its own shortfall and never leaves, so
everything that follows from τ is a step function whose breakpoints are shortfalls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hydra_nb.dimensions import TOLERANCE
from hydra_nb.errors import InvalidInputError
from hydra_nb.matching import name_rank
from hydra_nb.money import format_usd
from hydra_nb.problem import RoutingProblem, check_tau

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Step:
    """Values between two breakpoints of τ, the lower one included.

    Attributes:
        tau: where the step begins.
        total_cost_micro_usd: of all requests that have a model.
        mean_shortfall: over the same requests; NaN where there are none.
        requests_short: requests for which no allowed model is within τ; they failed open.
        model: name of the chosen model; `None` for more than one query, or where nobody is.
    """

    tau: float
    total_cost_micro_usd: float
    mean_shortfall: float
    requests_short: int
    model: str | None


@dataclass(frozen=True, eq=False)
class Staircase:
    """Cost and shortfall as exact step functions of τ ≥ 0.

    Step i holds from `tau[i]`, included, to the next breakpoint, excluded; the last has no end. A
    model of shortfall s is eligible from τ = s − 1e-9 on, the tolerance of eligibility, and these
    are the breakpoints. Costs and shortfalls are weighted by `problem.arrivals`.

    Attributes:
        problem: the routing problem; its own τ plays no part.
        tau: float64 `(n_steps,)`, in rising order; the first is 0.
        total_cost_micro_usd: float64 `(n_steps,)`; never rises.
        mean_shortfall: float64 `(n_steps,)`, over requests that have a model; NaN without any.
        requests_short: int64 `(n_steps,)`, requests that failed open; never rises.
        chosen: int64 `(n_steps,)` for one query, −1 where nobody is; `None` for more queries.
    """

    problem: RoutingProblem
    tau: NDArray[np.float64]
    total_cost_micro_usd: NDArray[np.float64]
    mean_shortfall: NDArray[np.float64]
    requests_short: NDArray[np.int64]
    chosen: NDArray[np.int64] | None

    @property
    def models(self) -> tuple[str | None, ...] | None:
        """Return the chosen model of each step for one query; `None` for more queries."""
        if self.chosen is None:
            return None
        names = self.problem.catalog.names
        return tuple(names[i] if i >= 0 else None for i in self.chosen)

    def at(self, tau: float) -> Step:
        """Return the step that τ is on; `InvalidInputError` unless τ is finite and at least 0."""
        i = int(np.searchsorted(self.tau, check_tau(tau), side="right")) - 1
        models = self.models
        return Step(
            tau=float(self.tau[i]),
            total_cost_micro_usd=float(self.total_cost_micro_usd[i]),
            mean_shortfall=float(self.mean_shortfall[i]),
            requests_short=int(self.requests_short[i]),
            model=models[i] if models else None,
        )

    def to_frame(self) -> pd.DataFrame:
        """Return one row a step."""
        import pandas as pd

        columns: dict[str, Any] = {
            "tau": self.tau,
            "total_cost_micro_usd": self.total_cost_micro_usd,
            "mean_shortfall": self.mean_shortfall,
            "requests_short": self.requests_short,
        }
        if self.models is not None:
            columns["model"] = pd.array(self.models, dtype="string")
        return pd.DataFrame(columns)

    def __repr__(self) -> str:
        first, last = self.total_cost_micro_usd[0], self.total_cost_micro_usd[-1]
        return (
            f"Staircase({len(self.tau):,} steps, {format_usd(float(first))} at τ = 0, "
            f"{format_usd(float(last))} from τ = {self.tau[-1]:.2f} on)"
        )


@dataclass(frozen=True, eq=False)
class Frontier:
    """Least total cost under a bound on the mean shortfall, exact and piecewise linear.

    Here each query may go to any allowed model, whatever its shortfall: only the mean over all
    requests counts. It is the optimum of the linear program; at a vertex every query is whole, and
    between two vertices the requests of one query are split.

    Attributes:
        problem: the routing problem; its τ plays no part.
        mean_shortfall: float64 `(n_vertices,)`, in rising order.
        total_cost_micro_usd: float64 `(n_vertices,)`, falling and convex.
    """

    problem: RoutingProblem
    mean_shortfall: NDArray[np.float64]
    total_cost_micro_usd: NDArray[np.float64]

    def cost_at(self, mean_shortfall: float) -> float:
        """Return the least total cost in micro-USD where the mean shortfall is at most this.

        Raises:
            InvalidInputError: less than any assignment reaches, or no query has a model.
        """
        allowed = check_tau(mean_shortfall)
        if not len(self.mean_shortfall):
            raise InvalidInputError("no query has a model, so there is no mean shortfall")
        least = float(self.mean_shortfall[0])
        if allowed < least - TOLERANCE:
            raise InvalidInputError(
                f"mean_shortfall must be at least {least:.6g}, the least that any assignment "
                f"reaches; received {mean_shortfall}"
            )
        return float(np.interp(allowed, self.mean_shortfall, self.total_cost_micro_usd))

    def to_frame(self) -> pd.DataFrame:
        """Return one row a vertex."""
        import pandas as pd

        return pd.DataFrame(
            {
                "mean_shortfall": self.mean_shortfall,
                "total_cost_micro_usd": self.total_cost_micro_usd,
            }
        )

    def __repr__(self) -> str:
        if not len(self.mean_shortfall):
            return "Frontier(no query has a model)"
        ends = (
            f"{format_usd(float(self.total_cost_micro_usd[i]))} at a mean shortfall of "
            f"{self.mean_shortfall[i]:.3f}"
            for i in (0, -1)
        )
        return f"Frontier({len(self.mean_shortfall):,} vertices, {' to '.join(ends)})"


def tau_staircase(problem: RoutingProblem) -> Staircase:
    """Return cost, shortfall and failed-open requests as exact step functions of τ."""
    n_queries, n_models = problem.shortfall.shape
    served = problem.allowed.any(axis=1)
    requests = int(problem.arrivals[served].sum())
    shortfall = np.where(problem.allowed, problem.shortfall, np.inf)
    order = np.argsort(shortfall, axis=1, kind="stable")
    # From here on, one row a place in the order of shortfall and one column a query.
    s = np.ascontiguousarray(np.take_along_axis(shortfall, order, axis=1).T)
    c = np.ascontiguousarray(np.take_along_axis(problem.cost_micro_usd, order, axis=1).T)
    rank = name_rank(problem.catalog.names)
    r = np.ascontiguousarray(rank[order].T)
    taus, queries, costs, shortfalls, ranks = [], [], [], [], []
    cost = np.full(n_queries, np.inf)  # of the leader so far
    base = np.full(n_queries, np.inf)  # least shortfall among those of this cost
    lead = np.full(n_queries, n_models)  # rank of the leader's name
    held = np.zeros(n_queries)  # shortfall of the leader
    for k in range(n_models):
        cheaper = (c[k] < cost) & np.isfinite(s[k])
        tie = (c[k] == cost) & (s[k] <= base + TOLERANCE) & (r[k] < lead)
        q = np.flatnonzero(cheaper | tie)
        first = np.isinf(cost[q])
        at_once = s[k, q] <= s[0, q] + TOLERANCE
        taus.append(np.where(at_once, 0.0, _joins_at(s[k, q])))
        queries.append(q)
        costs.append(c[k, q] - np.where(first, 0.0, cost[q]))
        shortfalls.append(s[k, q] - np.where(first, 0.0, held[q]))
        ranks.append(r[k, q])
        base = np.where(cheaper, s[k], base)
        cost[q], held[q], lead[q] = c[k, q], s[k, q], r[k, q]
    least = s[0, served] if n_models else np.zeros(0)
    within = _joins_at(least)
    if not queries:
        queries, costs, shortfalls, ranks = ([np.zeros(0, np.int64)] for _ in range(4))
    index = np.concatenate(queries)
    weight = problem.arrivals[index]
    event = np.concatenate([np.zeros(1), *taus, within])
    n_changes = len(index)
    tau, place = np.unique(event, return_inverse=True)

    def steps(change: NDArray[np.float64], where: NDArray[np.intp]) -> NDArray[np.float64]:
        return np.cumsum(np.bincount(where, change, minlength=len(tau)))

    moves = place[1 : 1 + n_changes]
    total = steps(np.concatenate(costs) * weight, moves)
    lack = steps(np.concatenate(shortfalls) * weight, moves)
    no_longer_short = steps(problem.arrivals[served].astype(float), place[1 + n_changes :])
    chosen: NDArray[np.int64] | None = None
    if n_queries == 1:
        by_rank = np.argsort(rank)
        last = np.full(len(tau), -1, dtype=np.int64)
        for step, leader in zip(moves, np.concatenate(ranks), strict=True):
            last[step] = by_rank[leader]
        # A step at which nobody new leads only ends a failing open.
        filled = np.maximum.accumulate(np.where(last >= 0, np.arange(len(tau)), 0))
        chosen = last[filled]
    return Staircase(
        problem=problem,
        tau=tau,
        total_cost_micro_usd=total,
        mean_shortfall=np.maximum(lack, 0.0) / requests if requests else np.full(len(tau), np.nan),
        requests_short=requests - np.rint(no_longer_short).astype(np.int64),
        chosen=chosen,
    )


def shortfall_frontier(problem: RoutingProblem) -> Frontier:
    """Return the least total cost as a function of the mean shortfall that is allowed.

    For each query only the lower convex hull of its allowed models in the plane of shortfall and
    cost matters; taken in the order of what they save per unit of shortfall, the edges of all hulls
    make the frontier.
    """
    served = np.flatnonzero(problem.allowed.any(axis=1))
    allowed = problem.allowed[served]
    weight = problem.arrivals[served].astype(float)
    if not len(served):
        return Frontier(problem, np.zeros(0), np.zeros(0))
    # Twelve decimals: an edge must not begin between two equal shortfalls.
    shortfall = np.where(allowed, np.round(problem.shortfall[served], 12), np.inf)
    cost = problem.cost_micro_usd[served]
    here = shortfall.min(axis=1)
    paid = np.where(shortfall == here[:, None], cost, np.inf).min(axis=1)
    lack, total = float(here @ weight), float(paid @ weight)
    runs, falls = [np.zeros(0)], [np.zeros(0)]
    while len(here):
        run = shortfall - here[:, None]
        fall = paid[:, None] - cost
        with np.errstate(invalid="ignore", divide="ignore"):
            slope = np.where((run > 0) & (fall > 0) & np.isfinite(run), fall / run, 0.0)
        best = slope.max(axis=1)
        # Of models on one line the farthest: then each edge of the hull is taken once.
        column = np.argmax(np.where(slope == best[:, None], run, -1.0), axis=1)
        on = np.flatnonzero(best > 0)
        column = column[on]
        runs.append(run[on, column] * weight[on])
        falls.append(fall[on, column] * weight[on])
        here, paid = shortfall[on, column], cost[on, column]
        shortfall, cost, weight = shortfall[on], cost[on], weight[on]
    run_all, fall_all = np.concatenate(runs), np.concatenate(falls)
    order = np.argsort(-fall_all / run_all, kind="stable")
    requests = float(problem.arrivals[served].sum())
    return Frontier(
        problem=problem,
        mean_shortfall=(lack + np.append(0.0, np.cumsum(run_all[order]))) / requests,
        total_cost_micro_usd=total - np.append(0.0, np.cumsum(fall_all[order])),
    )


def _joins_at(shortfall: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the least τ ≥ 0 as a float for which shortfall ≤ τ + 1e-9 holds in floats."""
    tau = np.maximum(shortfall - TOLERANCE, 0.0)
    for _ in range(3):
        tau = np.where(shortfall <= tau + TOLERANCE, tau, np.nextafter(tau, np.inf))
    for _ in range(3):
        lower = np.maximum(np.nextafter(tau, -np.inf), 0.0)
        tau = np.where(shortfall <= lower + TOLERANCE, lower, tau)
    return tau
