"""What it costs when models go down: each one alone (N−1), or any set.

Taking away a model that a query did not choose changes nothing for it, so an outage recomputes only
the queries that lose their model. Both numbers belong together: a query that fails open to a weaker
model gets cheaper, so an outage can lower the cost and never the shortfall beyond τ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydra_nb.matching import assign, cheapest
from hydra_nb.money import format_usd
from hydra_nb.problem import RoutingProblem, eligible_sets
from hydra_nb.sensitivity.rivals import delicate_rows, switched_off
from hydra_nb.sensitivity.rows import Rows


@dataclass(frozen=True)
class Outage:
    """What changes when some models are switched off; all counts are requests, by `arrivals`.

    Attributes:
        models: which are switched off.
        requests_moved: requests that go to another model than before.
        requests_unserved: requests that had a model and have none now: no model is available.
        requests_newly_short: requests that fail open now and did not before.
        extra_cost_micro_usd: of the requests that still have a model; negative where they get
            cheaper. What the unserved ones cost before is not set off.
        extra_mean_shortfall: of the requests that still have a model; NaN where none has.
        destinations: requests that move, by their new model, most first.
    """

    models: tuple[str, ...]
    requests_moved: int
    requests_unserved: int
    requests_newly_short: int
    extra_cost_micro_usd: float
    extra_mean_shortfall: float
    destinations: dict[str, int]

    def to_row(self) -> dict[str, Any]:
        """Return it as one row of a table."""
        return {
            "off": ", ".join(self.models),
            "requests_moved": self.requests_moved,
            "requests_unserved": self.requests_unserved,
            "requests_newly_short": self.requests_newly_short,
            "extra_cost_micro_usd": self.extra_cost_micro_usd,
            "extra_mean_shortfall": self.extra_mean_shortfall,
            "destinations": ", ".join(f"{k} {v:,}" for k, v in self.destinations.items()),
        }

    def __repr__(self) -> str:
        off = ", ".join(self.models) or "nothing"
        if self.requests_unserved:
            return f"Outage({off} off: {self.requests_unserved:,} requests left without a model)"
        money = format_usd(self.extra_cost_micro_usd)
        sign = "" if self.extra_cost_micro_usd < 0 else "+"
        return (
            f"Outage({off} off: {self.requests_moved:,} requests move, {sign}{money}, mean "
            f"shortfall {self.extra_mean_shortfall:+.4f}, "
            f"{self.requests_newly_short:,} newly short)"
        )


class OutageTable(Rows[Outage]):
    """One `Outage` for each model that is available, in catalog order."""

    def __repr__(self) -> str:
        if not self:
            return "OutageTable(no model is available)"
        worst = max(self, key=lambda outage: outage.extra_cost_micro_usd)
        return f"OutageTable({len(self)} models; dearest: {worst!r})"


def outage_table(problem: RoutingProblem) -> OutageTable:
    """Return what each available model's outage alone would change.

    Gates and failing open are those of `formulate` without the model: where it was the only one
    with the context window or the modalities, the gates open.
    """
    before = cheapest(problem, problem.eligible)
    allowed = problem.allowed.copy()
    rows = np.flatnonzero(before >= 0)
    # Each query loses exactly the model it has, so one pass serves all outages.
    allowed[rows, before[rows]] = False
    eligible, short = eligible_sets(problem.shortfall, allowed, tau=problem.tau)
    after = cheapest(problem, eligible)
    moves = _moves(problem, rows, before[rows], after[rows], short[rows])
    had_model = int(moves.arrivals.sum())
    # Where an allowed model remains, the gates stay as they are: had they been shut, it still
    # passes them; had they been open, nobody passes them now either. Where none remains they open.
    stranded, delicate = rows[after[rows] < 0], delicate_rows(problem)
    moves = moves.take(np.argsort(moves.before, kind="stable"))
    ends = np.searchsorted(moves.before, np.arange(len(problem.catalog) + 1))
    outages = []
    for index, profile in enumerate(problem.catalog):
        if not profile.available:
            continue
        off = (profile.name,)
        lost = moves.take(slice(ends[index], ends[index + 1]))
        again = np.union1d(stranded[before[stranded] == index], delicate)
        if len(again):
            every = np.union1d(lost.rows, again)
            lost = _moves_without(problem, every, before[every], off)
        outages.append(_outage(problem, off, lost, had_model))
    return OutageTable(outages)


def outage(problem: RoutingProblem, names: str | Iterable[str]) -> Outage:
    """Return what changes when the models `names` are switched off together.

    Names of models that are off already change nothing.

    Raises:
        CatalogError: no such model.
    """
    off = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
    before = cheapest(problem, problem.eligible)
    lost = np.isin(before, [problem.catalog.index(name) for name in off])
    lost[delicate_rows(problem)] = True
    rows = np.flatnonzero(lost)
    had_model = int(problem.arrivals[before >= 0].sum())
    return _outage(problem, off, _moves_without(problem, rows, before[rows], off), had_model)


@dataclass(frozen=True, eq=False)
class _Moves:
    """What becomes of some queries, `(n_rows,)` each; all other queries stay as they are."""

    rows: NDArray[np.int64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    arrivals: NDArray[np.int64]
    newly_short: NDArray[np.bool_]
    extra_cost: NDArray[np.float64]
    extra_gap: NDArray[np.float64]

    def take(self, index: NDArray[np.int64] | slice) -> _Moves:
        return _Moves(*(getattr(self, column.name)[index] for column in fields(self)))


def _moves(
    problem: RoutingProblem,
    rows: NDArray[np.int64],
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    short: NDArray[np.bool_],
) -> _Moves:
    served = (before >= 0) & (after >= 0)
    extra = np.zeros((2, len(rows)))
    for k, matrix in enumerate((problem.cost_micro_usd, problem.shortfall)):
        # Where one of both is −1 the value read is of no use, and not used.
        extra[k] = np.where(served, matrix[rows, after] - matrix[rows, before], 0.0)
    arrivals, newly_short = problem.arrivals[rows], short & ~problem.failed_open[rows]
    return _Moves(rows, before, after, arrivals, newly_short, extra[0], extra[1])


def _moves_without(
    problem: RoutingProblem,
    rows: NDArray[np.int64],
    before: NDArray[np.int64],
    off: tuple[str, ...],
) -> _Moves:
    without = problem.rows(rows).against(switched_off(problem.catalog, off))
    return _moves(problem, rows, before, assign(without).chosen, without.failed_open)


def _outage(problem: RoutingProblem, off: tuple[str, ...], lost: _Moves, had_model: int) -> Outage:
    names = problem.catalog.names
    had, has = lost.before >= 0, lost.after >= 0
    moved = np.flatnonzero(had & has & (lost.after != lost.before))
    to = np.bincount(lost.after[moved], lost.arrivals[moved], minlength=len(names))
    most_first = np.argsort(-to, kind="stable")
    unserved = int(lost.arrivals[had & ~has].sum())
    still = had_model - unserved
    return Outage(
        models=off,
        requests_moved=int(lost.arrivals[moved].sum()),
        requests_unserved=unserved,
        requests_newly_short=int(lost.arrivals[lost.newly_short].sum()),
        extra_cost_micro_usd=float(lost.arrivals @ lost.extra_cost),
        extra_mean_shortfall=(
            float(lost.arrivals @ lost.extra_gap) / still if still else float("nan")
        ),
        destinations={names[i]: round(to[i]) for i in most_first if to[i] > 0},
    )
