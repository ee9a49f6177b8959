"""The linear relaxation of a coupled problem, solved exactly however many queries there are.

Only a few rows couple the queries, so only a few queries are contested: with a price λ_r ≥ 0 on
each row, every other query just takes its cheapest offer. The program that the solver sees holds
the contested queries and the offers they waver between; its duals price all pairs anew, pairs
that would pay are added, and it is solved again until none would (column generation, or
"sifting"). The bound is Lagrange's and is computed here from λ over *all* pairs,

    L(λ) = Σ_q n_q min_o (c_qo + Σ_r λ_r a_rqo) − Σ_r λ_r limit_r + Σ_extras min(0, …),

which no plan can be below, whatever λ is: the proof does not rest on the solver's word.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hydra_nb.errors import SolverError
from hydra_nb.solver.adapter import LinearProgram, SolverName
from hydra_nb.solver.coupling import CoupledProblem

Stop = Callable[[], bool]

_ALL_AT_ONCE = 12_000  # pairs; a program of this size is built and solved in a blink
_SAMPLE = 1_500  # queries in the program that gives the first prices
_CONTESTED = 3_000  # queries, with which the first restricted program starts
_ROUNDS = 60
_CLOSED = 1e-9  # relative gap at which the relaxation counts as solved
_WHOLE = 1e-6


class PlanningStoppedError(SolverError):
    """Planning was stopped from outside before there was an answer."""


@dataclass(frozen=True, eq=False)
class Relaxation:
    """An optimum of the linear relaxation, or the proof that nothing fits.

    Attributes:
        value: of the objective.
        bound: L(λ), float; with `value` it closes to rounding.
        prices: λ, float64 `(n_coupling_rows,)`, objective per unit of each row's limit.
        flow: float64 `(n_pairs,)`, requests.
        pairs: int64 `(n_pairs, 2)`, rows of (row of the problem, offer), with positive flow.
        extras: float64 `(n_extras,)`.
        excess: float64 `(n_coupling_rows,)`, by how much each limit had to be exceeded: 0 where
            there is a plan.
        contested: how many queries the last restricted program held.
        solver: name of the solver; "argmin" where none was needed.
        seconds: wall time.
    """

    value: float
    bound: float
    prices: NDArray[np.float64]
    flow: NDArray[np.float64]
    pairs: NDArray[np.int64]
    extras: NDArray[np.float64]
    excess: NDArray[np.float64]
    contested: int
    solver: str
    seconds: float

    @property
    def feasible(self) -> bool:
        """Return whether all limits hold."""
        return not bool(np.any(self.excess > 0))

    @property
    def whole(self) -> bool:
        """Return whether every flow is a whole number of requests."""
        numbers = np.concatenate([self.flow, self.extras])
        return bool(np.all(np.abs(numbers - np.round(numbers)) <= _WHOLE))


def relax(
    coupled: CoupledProblem, *, solver: SolverName | None = None, stop: Stop | None = None
) -> Relaxation:
    """Return the optimum of the relaxation; where there is none, the least total excess.

    Excess is then measured in each row's natural unit: a typical request's share of it.

    Raises:
        PlanningStoppedError: `stop` answered True.
        SolverError: the solver failed.
    """
    if _mergeable(coupled):  # then this is a matter of milliseconds
        least = least_excess(coupled, solver=solver, stop=stop)
        if not least.feasible:
            return least
    price = coupled.price
    penalty = 4.0 * max(_spread(price, coupled.candidate), 1.0) * (1 + len(coupled.offers))
    first = _Sifting(coupled, price, penalty, solver, stop, widenings=2).run()
    if first.feasible:
        return first
    least = least_excess(coupled, solver=solver, stop=stop)
    if not least.feasible:
        return least
    # There is a plan after all: more queries must be free to move, or exceeding cost too little.
    for factor in (1.0, 1e3, 1e6):
        again = _Sifting(coupled, price, penalty * factor, solver, stop, widenings=_ROUNDS).run()
        if again.feasible:
            return again
    raise SolverError("the relaxation could not be solved: its prices are out of scale")


def least_excess(
    coupled: CoupledProblem,
    *,
    weights: NDArray[np.float64] | None = None,
    solver: SolverName | None = None,
    stop: Stop | None = None,
) -> Relaxation:
    """Return the least weighted excess over the limits, the costs left aside.

    `weights` `(n_coupling_rows,)` say how much each row's excess counts; 1 where they are left out.
    """
    scale = np.ones(len(coupled.rows)) if weights is None else weights
    merged = _merged(coupled) if _mergeable(coupled) else coupled
    nothing = np.zeros_like(merged.usage)
    return _Sifting(merged, nothing, scale, solver, stop, free_extras=True).run()


def _mergeable(coupled: CoupledProblem) -> bool:
    """Return whether every query takes the same of every row, costs left aside."""
    return all(row.per_query is None and row.matrix is None for row in coupled.rows)


def _merged(coupled: CoupledProblem) -> CoupledProblem:
    """Return the problem with queries of the same candidates as one."""
    masks, first, member = np.unique(
        np.packbits(coupled.candidate, axis=1), axis=0, return_index=True, return_inverse=True
    )
    if len(masks) == len(coupled.supply):
        return coupled
    return replace(
        coupled,
        queries=coupled.queries[first],
        supply=np.bincount(member.ravel(), weights=coupled.supply).astype(np.int64),
        candidate=coupled.candidate[first],
        usage=coupled.usage[first],
        shortfall=coupled.shortfall[first],
    )


def row_scales(coupled: CoupledProblem) -> NDArray[np.float64]:
    """Return what a typical request takes of each row, float64 `(n_coupling_rows,)`."""
    count = len(coupled.supply)
    some = np.unique(np.linspace(0, count - 1, min(count, 400)).astype(np.int64))
    queries, offers = np.nonzero(coupled.candidate[some])
    scales = np.ones(len(coupled.rows))
    for number, row in enumerate(coupled.rows):
        taken = np.abs(row.at(some[queries], offers.astype(np.int64)))
        taken = taken[taken > 0]
        if len(taken):
            scales[number] = float(np.median(taken))
    return scales


def lagrangian(
    coupled: CoupledProblem, price: NDArray[np.float64], prices: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return c + Σ λ a with +inf where there is no candidate, and L(λ) without the extras."""
    reduced = np.where(coupled.candidate, price, np.inf)
    for row, multiplier in zip(coupled.rows, prices, strict=True):
        if multiplier > 0:
            row.add_to(reduced, float(multiplier))
    limits = np.array([row.limit for row in coupled.rows])
    value = float(coupled.supply @ reduced.min(axis=1)) if len(reduced) else 0.0
    return reduced, value - float(prices @ limits)


def _spread(price: NDArray[np.float64], candidate: NDArray[np.bool_]) -> float:
    if not candidate.size:
        return 0.0
    highest = np.max(price, axis=1, initial=0.0, where=candidate)
    lowest = np.min(price, axis=1, initial=np.inf, where=candidate)
    return float(np.max(highest - lowest))


class _Sifting:
    """Column generation over the pairs of one coupled problem."""

    def __init__(
        self,
        coupled: CoupledProblem,
        price: NDArray[np.float64],
        penalty: float | NDArray[np.float64],
        solver: SolverName | None,
        stop: Stop | None,
        *,
        free_extras: bool = False,
        widenings: int = 0,
    ) -> None:
        self.coupled = coupled
        self.price = price
        self.scales = row_scales(coupled)
        self.penalties = np.broadcast_to(np.asarray(penalty, dtype=np.float64), self.scales.shape)
        self.solver = solver
        self.stop = stop
        self.free_extras = free_extras
        self.extra_costs = [0.0 if free_extras else extra.cost for extra in coupled.extras]
        self.widenings = widenings
        self.limits = np.array([row.limit for row in coupled.rows])
        self.solver_name = "argmin"
        # Tolerance on reduced prices, well under the least difference between two costs.
        self.tolerance = 1e-9 * max(1.0, float(np.abs(price).max(initial=0.0)))

    def run(self) -> Relaxation:
        """Return the optimum over all pairs."""
        started = time.perf_counter()
        coupled = self.coupled
        prices = np.zeros(len(coupled.rows))
        reduced, _ = lagrangian(coupled, self.price, prices)
        taken = reduced.argmin(axis=1)
        if self._excess_of(taken).max(initial=0.0) <= 0:
            pairs = np.column_stack([np.arange(len(taken)), taken]).astype(np.int64)
            value = float(coupled.supply @ reduced[np.arange(len(taken)), taken])
            return self._result(value, value, prices, pairs, coupled.supply.astype(float), started)
        active, taken, best_prices = self._first_active(taken)
        best_bound, width = -np.inf, _CONTESTED
        for _ in range(_ROUNDS):
            if self.stop is not None and self.stop():
                raise PlanningStoppedError("planning was stopped")
            solved = self._restricted(active, taken)
            fixed = len(active) - int(active.any(axis=1).sum())
            if self.widenings and fixed and np.any(solved.excess > 0):
                self.widenings -= 1
                # The queries that may move cannot make room: more of them may, at the old prices.
                width *= 2
                reduced, bound = lagrangian(coupled, self.price, best_prices)
                best_bound = max(best_bound, bound + self._extras_bound(best_prices))
                active |= self._near_ties(reduced, width)
                continue
            if np.any(solved.excess > 0) and not self.free_extras:
                break
            # Prices of a program over few pairs swing widely: the way from the best ones so far
            # is gone in part first, and in whole only where no pair pays at the half-way prices.
            for share in (0.1, 0.4, 1.0):
                prices = best_prices + share * (solved.prices - best_prices)
                reduced, bound = lagrangian(coupled, self.price, prices)
                bound += self._extras_bound(prices)
                if bound > best_bound:
                    best_bound, best_prices = bound, prices
                extended = self._extend(active, taken, reduced)
                if extended:
                    break
            closed = solved.value - best_bound <= _CLOSED * max(1.0, abs(solved.value))
            if closed or not extended:
                break  # where no pair would pay, what is left of the gap is rounding
        return self._result(
            solved.value,
            min(best_bound, solved.value),
            best_prices,
            solved.pairs,
            solved.flow,
            started,
            extras=solved.extras,
            excess=solved.excess,
            contested=int(active.any(axis=1).sum()),
        )

    # -- which pairs the solver sees ------------------------------------------------------------

    def _first_active(
        self, taken: NDArray[np.int64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.float64]]:
        """Return the pairs to begin with, bool `(n_rows, n_offers)`, where the others go, and λ."""
        coupled = self.coupled
        if int(coupled.candidate.sum()) <= _ALL_AT_ONCE:
            return coupled.candidate.copy(), taken, np.zeros(len(coupled.rows))
        prices = self._sampled_prices()
        reduced, _ = lagrangian(coupled, self.price, prices)
        return self._near_ties(reduced, _CONTESTED), reduced.argmin(axis=1), prices

    def _sampled_prices(self) -> NDArray[np.float64]:
        """Return λ of a seeded sample of the queries that stands for all of them."""
        coupled, count = self.coupled, len(self.coupled.supply)
        size = min(_SAMPLE, count)
        drawn = np.sort(np.random.default_rng(0).choice(count, size=size, replace=False))
        active = np.zeros_like(coupled.candidate)
        active[drawn] = coupled.candidate[drawn]
        growth = coupled.supply.sum() / coupled.supply[drawn].sum()
        nobody = np.full(count, -1, dtype=np.int64)
        return self._restricted(active, nobody, growth=float(growth)).prices

    def _near_ties(self, reduced: NDArray[np.float64], width: int) -> NDArray[np.bool_]:
        """Return for the `width` closest calls the two best offers, the same number for each offer.

        Counted by offer: the closest calls between two offers that nothing limits are no use.
        """
        count, offers = reduced.shape
        if offers < 2 or width >= count:
            return self.coupled.candidate.copy()
        two = np.argpartition(reduced, 1, axis=1)[:, :2]
        rows = np.arange(count)
        margin = np.abs(reduced[rows, two[:, 1]] - reduced[rows, two[:, 0]])
        margin[~np.isfinite(margin)] = np.inf
        active = np.zeros_like(self.coupled.candidate)
        share = -(-width // offers)
        for offer in range(offers):
            mine = np.flatnonzero((two == offer).any(axis=1) & np.isfinite(margin))
            if len(mine) > share:
                mine = mine[np.argpartition(margin[mine], share)[:share]]
            active[mine[:, None], two[mine]] = True
        return active

    def _extend(
        self,
        active: NDArray[np.bool_],
        taken: NDArray[np.int64],
        reduced: NDArray[np.float64],
    ) -> bool:
        """Add each row's best pair where it beats those that are there; return whether any did."""
        held = active.any(axis=1)
        rows = np.arange(len(taken))
        there = np.min(reduced, axis=1, initial=np.inf, where=active)
        there = np.where(held, there, reduced[rows, taken])
        best = reduced.argmin(axis=1)
        paying = reduced[rows, best] < there - self.tolerance
        if not paying.any():
            return False
        newly = paying & ~held
        active[newly, taken[newly]] = True
        # The runner-up too, where it pays: it is the next to be asked for.
        ahead = reduced[paying] < (there[paying] - self.tolerance)[:, None]
        second = np.partition(reduced[paying], 1, axis=1)[:, [1]] if reduced.shape[1] > 1 else 0.0
        active[paying] |= ahead & (reduced[paying] <= second)
        return True

    # -- the program that the solver sees -------------------------------------------------------

    def _restricted(
        self, active: NDArray[np.bool_], taken: NDArray[np.int64], *, growth: float = 1.0
    ) -> _Restricted:
        coupled = self.coupled
        queries, offers = (side.astype(np.int64) for side in np.nonzero(active))
        held = active.any(axis=1)
        fixed = np.flatnonzero(~held & (taken >= 0))
        supply = coupled.supply.astype(np.float64) * growth
        limits = self.limits - self._used(fixed, taken[fixed], supply[fixed])
        program = LinearProgram("relaxation")
        for _ in queries:
            program.variable()
        extras = [program.variable(upper=extra.upper) for extra in coupled.extras]
        slacks = [program.variable() for _ in coupled.rows]
        costs = self.price[queries, offers]
        objective = list(enumerate(costs.tolist()))
        objective += list(zip(extras, self.extra_costs, strict=True))
        objective += list(zip(slacks, self.penalties.tolist(), strict=True))
        program.minimise(objective)
        starts = np.flatnonzero(np.diff(queries, prepend=-1)) if len(queries) else np.array([], int)
        groups = np.split(np.arange(len(queries)), starts[1:]) if len(starts) else []
        for group in groups:
            query = int(queries[group[0]])
            program.require_equal(
                ((int(n), 1.0) for n in group), float(supply[query]), name=f"all_{query}"
            )
        for number, row in enumerate(coupled.rows):
            scale = self.scales[number]
            coefficients = row.at(queries, offers) / scale
            kept = np.flatnonzero(coefficients)
            terms = [(int(n), float(coefficients[n])) for n in kept]
            for variable, extra in zip(extras, coupled.extras, strict=True):
                terms += [(variable, c / scale) for r, c in extra.entries if r == number]
            terms.append((slacks[number], -1.0))
            program.require_at_most(terms, float(limits[number]) / scale, name=f"row_{number}")
        outcome = program.attempt(self.solver, stop=self.stop)
        if outcome.status != "optimal":
            if self.stop is not None and self.stop():
                raise PlanningStoppedError("planning was stopped")
            raise SolverError(f"{outcome.solver} did not solve the relaxation: {outcome.status}")
        self.solver_name = outcome.solver
        flow = outcome.values[: len(queries)]
        used = flow > 0
        fixed_pairs = np.column_stack([fixed, taken[fixed]]).astype(np.int64)
        fixed_value = float(supply[fixed] @ self.price[fixed, taken[fixed]])
        excess = outcome.values[slacks] * self.scales if slacks else np.zeros(0)
        excess[excess <= _WHOLE * self.scales] = 0.0
        return _Restricted(
            value=outcome.objective + fixed_value,
            prices=np.maximum(0.0, -outcome.duals[len(groups) :]) / self.scales,
            pairs=np.concatenate([fixed_pairs, np.column_stack([queries, offers])[used]]),
            flow=np.concatenate([supply[fixed], flow[used]]),
            extras=outcome.values[extras] if extras else np.zeros(0),
            excess=excess,
        )

    def _extras_bound(self, prices: NDArray[np.float64]) -> float:
        """Return Σ min(0, reduced price · upper) over the extras and the priced excesses."""
        total = 0.0
        for extra, cost in zip(self.coupled.extras, self.extra_costs, strict=True):
            reduced = cost + sum(prices[row] * c for row, c in extra.entries)
            total += min(0.0, reduced * extra.upper)
        # Excess costs `penalty` a scaled unit: a higher price on a row would be no bound on it.
        return total if np.all(prices * self.scales <= self.penalties * (1 + 1e-9)) else -np.inf

    def _used(
        self,
        rows: NDArray[np.int64],
        offers: NDArray[np.int64],
        supply: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        return np.array([float(row.at(rows, offers) @ supply) for row in self.coupled.rows])

    def _excess_of(self, taken: NDArray[np.int64]) -> NDArray[np.float64]:
        everyone = np.arange(len(taken))
        used = self._used(everyone, taken, self.coupled.supply.astype(np.float64))
        return np.asarray(used - self.limits - 1e-9 * np.abs(self.limits), dtype=np.float64)

    def _result(
        self,
        value: float,
        bound: float,
        prices: NDArray[np.float64],
        pairs: NDArray[np.int64],
        flow: NDArray[np.float64],
        started: float,
        *,
        extras: NDArray[np.float64] | None = None,
        excess: NDArray[np.float64] | None = None,
        contested: int = 0,
    ) -> Relaxation:
        order = np.lexsort((pairs[:, 1], pairs[:, 0]))
        return Relaxation(
            value=value,
            bound=bound,
            prices=prices,
            flow=flow[order],
            pairs=pairs[order],
            extras=np.zeros(len(self.coupled.extras)) if extras is None else extras,
            excess=np.zeros(len(self.coupled.rows)) if excess is None else excess,
            contested=contested,
            solver=self.solver_name,
            seconds=time.perf_counter() - started,
        )


@dataclass(frozen=True, eq=False)
class _Restricted:
    """What the solver says of the program over some of the pairs."""

    value: float
    prices: NDArray[np.float64]
    pairs: NDArray[np.int64]
    flow: NDArray[np.float64]
    extras: NDArray[np.float64]
    excess: NDArray[np.float64]
