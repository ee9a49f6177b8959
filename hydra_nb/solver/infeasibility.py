"""Why a workload has no plan, and the least that would have to give."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hydra_nb.solver.adapter import SolverName
from hydra_nb.solver.coupling import CoupledProblem
from hydra_nb.solver.plan import Infeasibility
from hydra_nb.solver.relaxation import Relaxation, Stop, least_excess, row_scales

# A limit that must hold counts this much more than one that may give.
_HARD = 1e5


def explain_infeasible(
    coupled: CoupledProblem,
    least: Relaxation,
    *,
    solver: SolverName | None = None,
    stop: Stop | None = None,
) -> Infeasibility:
    """Return which limits conflict, and how far one of them alone, or all together, must give.

    `least` is the least total excess of `coupled`. The limits with a price there cannot hold
    together (its Lagrange bound is the proof); those of them that the conflict does not need are
    dropped one by one.
    """
    conflict = np.flatnonzero(least.prices > 0)
    if not len(conflict):
        conflict = np.arange(len(coupled.rows))
    for number in conflict.tolist():
        rest = conflict[conflict != number]
        if len(rest) and not _holds(coupled, rest, solver, stop):
            conflict = rest
    alone = []
    for number in conflict.tolist():
        amount = _excess_alone(coupled, number, solver, stop)
        if amount is not None:
            alone.append(coupled.rows[number].relaxed_by(amount, coupled.requests))
    together = [
        coupled.rows[number].relaxed_by(float(least.excess[number]), coupled.requests)
        for number in np.flatnonzero(least.excess > 0).tolist()
    ]
    words = tuple(coupled.rows[number].words for number in conflict.tolist())
    return Infeasibility(words, tuple(alone), () if alone else tuple(together))


def _holds(
    coupled: CoupledProblem,
    rows: NDArray[np.int64],
    solver: SolverName | None,
    stop: Stop | None,
) -> bool:
    """Return whether the limits `rows` can hold together, the others left out."""
    weights = np.zeros(len(coupled.rows))
    weights[rows] = 1.0
    excess = least_excess(coupled, weights=weights, solver=solver, stop=stop).excess
    return not bool(np.any(excess[rows] > 0))


def _excess_alone(
    coupled: CoupledProblem, number: int, solver: SolverName | None, stop: Stop | None
) -> float | None:
    """Return by how much one limit must be exceeded where all others hold; `None`: no way."""
    weights = np.full(len(coupled.rows), _HARD)
    weights[number] = 1.0
    found = least_excess(coupled, weights=weights, solver=solver, stop=stop)
    others = np.delete(found.excess, number)
    if np.any(others > 0):
        return None
    # In the unit of the row, cleaned of the solver's rounding.
    scale = float(row_scales(coupled)[number])
    return round(float(found.excess[number]) / scale, 7) * scale
