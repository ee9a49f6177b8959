"""Why a workload has no plan, and the least that would have to give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hydra_nb.solver.adapter import SolverName
from hydra_nb.solver.coupling import CoupledProblem
from hydra_nb.solver.plan import Infeasibility
from hydra_nb.solver.relaxation import Relaxation, Stop, least_excess, row_scales
from hydra_nb.solver.relaxed_limit import RelaxedLimit
from hydra_nb.solver.whole import has_few_pairs, least_whole_excess

# A limit that must hold counts this much more than one that may give.
_HARD = 1e5


Enough = Callable[[CoupledProblem], bool]
"""Whether there is a plan after all once one limit has been relaxed."""


def explain_infeasible(
    coupled: CoupledProblem,
    least: Relaxation | None = None,
    *,
    enough: Enough | None = None,
    solver: SolverName | None = None,
    stop: Stop | None = None,
) -> Infeasibility:
    """Return which limits conflict, and how far one of them alone, or all together, must give.

    `least` is the least total excess of `coupled`. The limits with a price there cannot hold
    together (its Lagrange bound is the proof); without it, all are suspected. Those that the
    conflict does not need are dropped one by one. Where queries are few, whole requests are asked
    for; where they are many, fractions of them, and then a token cap, a budget or a mean shortfall
    must give *at least* what is said. `enough` is asked of every relaxation where more than the
    rows decides, such as a fleet.
    """
    ask = _Asked(coupled, solver, stop)
    conflict = np.arange(len(coupled.rows))
    if least is not None and np.any(least.prices > 0):
        conflict = np.flatnonzero(least.prices > 0)
    for number in conflict.tolist():
        rest = conflict[conflict != number]
        if len(rest) and not ask.hold(rest):
            conflict = rest
    alone = []
    for number in conflict.tolist():
        amount = ask.alone(number)
        if amount is not None and (enough is None or enough(_relaxed(coupled, number, amount))):
            alone.append(_relaxed_limit(coupled, number, amount, exact=ask.whole))
    excess = ask.excess(np.ones(len(coupled.rows)))
    together = [
        _relaxed_limit(coupled, number, float(excess[number]), exact=ask.whole)
        for number in np.flatnonzero(excess > 0).tolist()
    ]
    words = tuple(coupled.rows[number].words for number in conflict.tolist())
    # With a fleet to choose, what is enough for the rows together need not be enough.
    jointly = tuple(together) if enough is None and not alone else ()
    return Infeasibility(words, tuple(alone), jointly)


def _relaxed(coupled: CoupledProblem, number: int, amount: float) -> CoupledProblem:
    rows = list(coupled.rows)
    rows[number] = replace(rows[number], limit=rows[number].limit + amount * (1 + 1e-9))
    return replace(coupled, rows=tuple(rows))


def _relaxed_limit(
    coupled: CoupledProblem, number: int, amount: float, *, exact: bool
) -> RelaxedLimit:
    row = coupled.rows[number]
    # A limit on requests lets fractions of them be made whole at no more of it.
    exact = exact or row.unit == "requests"
    return row.relaxed_by(amount, coupled.requests, exact=exact)


class _Asked:
    """Least excesses of one problem, of whole requests where that can be had."""

    def __init__(
        self, coupled: CoupledProblem, solver: SolverName | None, stop: Stop | None
    ) -> None:
        self.coupled, self.solver, self.stop = coupled, solver, stop
        self.whole = has_few_pairs(coupled)

    def excess(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the least excess, float64 `(n_coupling_rows,)`, a row counting its weight."""
        if self.whole:
            found = least_whole_excess(self.coupled, weights, solver=self.solver, stop=self.stop)
            if found is not None:
                return found
            self.whole = False
        return least_excess(
            self.coupled, weights=weights, solver=self.solver, stop=self.stop
        ).excess

    def hold(self, rows: NDArray[np.int64]) -> bool:
        """Return whether the limits `rows` can hold together, the others left out."""
        weights = np.zeros(len(self.coupled.rows))
        weights[rows] = 1.0
        return not bool(np.any(self.excess(weights)[rows] > 0))

    def alone(self, number: int) -> float | None:
        """Return by how much one limit must give where all others hold; `None`: no way."""
        weights = np.full(len(self.coupled.rows), _HARD)
        weights[number] = 1.0
        excess = self.excess(weights)
        if np.any(np.delete(excess, number) > 0):
            return None
        # In the unit of the row, cleaned of the solver's rounding.
        scale = float(row_scales(self.coupled)[number])
        return round(float(excess[number]) / scale, 7) * scale
