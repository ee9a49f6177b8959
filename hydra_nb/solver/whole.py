"""From the flows of the relaxation to whole requests, never more than a provable gap away.

An optimum of the relaxation splits at most as many queries as there are coupling rows (a network
of request caps alone splits none). The split queries, and with them the closest calls under the
final prices, become a small integer program; everything else stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydra_nb.errors import SolverError
from hydra_nb.solver.adapter import LinearProgram, SolverName, Status
from hydra_nb.solver.coupling import CoupledProblem
from hydra_nb.solver.relaxation import (
    PlanningStoppedError,
    Relaxation,
    Stop,
    lagrangian,
    row_scales,
)

_FEW_PAIRS = 3_000  # up to so many, whole requests are settled by one program
_WINDOWS = (60, 400, 3_000)  # queries that may move, from the closest call on
_FEASIBLE = 1e-7  # relative excess over a limit that is put down to rounding
_GAP = 1e-7


class NoWholePlanError(SolverError):
    """It is proven that no plan in whole requests exists, though a fractional one does."""


@dataclass(frozen=True, eq=False)
class WholeFlows:
    """Flows in whole requests that respect every row.

    Attributes:
        flows: int64 `(n_flows, 3)`, rows of (row of the problem, offer, requests).
        extras: float64 `(n_extras,)`, whole where they must be.
        value: of the objective.
        bound: no whole flows can be below this: the relaxation's, or a better one.
        solver: name of the solver.
    """

    flows: NDArray[np.int64]
    extras: NDArray[np.float64]
    value: float
    bound: float
    solver: str


def whole_flows(
    coupled: CoupledProblem,
    relaxation: Relaxation,
    *,
    solver: SolverName | None = None,
    seconds: float = 10.0,
    stop: Stop | None = None,
) -> WholeFlows:
    """Return the relaxation's flows in whole requests, changed as little as the limits demand.

    Raises:
        NoWholePlanError: it is proven that there are none.
        PlanningStoppedError: `stop` answered True.
        SolverError: no whole flows were found in time.
    """
    if relaxation.whole:
        counts = np.round(relaxation.flow).astype(np.int64)
        flows = np.column_stack([relaxation.pairs, counts])[counts > 0]
        extras = np.round(relaxation.extras)
        return _checked(coupled, flows, extras, relaxation.bound, relaxation.solver)
    reduced, _ = lagrangian(coupled, coupled.price, relaxation.prices)
    if reduced.shape[1] > 1:
        two = np.partition(reduced, 1, axis=1)[:, :2]
        margin = two[:, 1] - two[:, 0]
    else:
        margin = np.full(len(reduced), np.inf)
    split = np.abs(relaxation.flow - np.round(relaxation.flow)) > 1e-6
    margin[relaxation.pairs[split, 0]] = -1.0
    closest = np.argsort(margin, kind="stable")
    # One program over all of a small workload is its own proof.
    for window in (len(margin),) if has_few_pairs(coupled) else _WINDOWS:
        free = np.zeros(len(margin), dtype=bool)
        free[closest[:window]] = True
        found = _small_program(coupled, relaxation, free, solver, seconds, stop)
        if isinstance(found, WholeFlows):
            return found
        if window >= len(margin):
            if found == "infeasible":
                raise NoWholePlanError("no plan in whole requests exists, only a fractional one")
            break
    raise SolverError(
        f"no plan in whole requests was found within {seconds:.0f} s; a fractional one exists"
    )


def _small_program(
    coupled: CoupledProblem,
    relaxation: Relaxation,
    free: NDArray[np.bool_],
    solver: SolverName | None,
    seconds: float,
    stop: Stop | None,
) -> WholeFlows | Status:
    """Return the flows where only the queries `free` may move; the status where there are none."""
    stays = ~free[relaxation.pairs[:, 0]]
    fixed = np.column_stack(
        [relaxation.pairs[stays], np.round(relaxation.flow[stays]).astype(np.int64)]
    ).astype(np.int64)
    queries = np.flatnonzero(free)
    pairs = np.argwhere(coupled.candidate[queries])
    rows, offers = queries[pairs[:, 0]].astype(np.int64), pairs[:, 1].astype(np.int64)
    program = LinearProgram("whole_requests")
    for row in rows:
        program.variable(upper=float(coupled.supply[row]), integer=True)
    extras = [program.variable(upper=e.upper, integer=e.integer) for e in coupled.extras]
    objective = list(enumerate(coupled.price[rows, offers].tolist()))
    objective += [(v, e.cost) for v, e in zip(extras, coupled.extras, strict=True)]
    program.minimise(objective)
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    for group in np.split(np.arange(len(rows)), starts[1:]):
        row = int(rows[group[0]])
        terms = ((int(n), 1.0) for n in group)
        program.require_equal(terms, float(coupled.supply[row]), name=f"all_{row}")
    for number, limit in enumerate(coupled.rows):
        used = float(limit.at(fixed[:, 0], fixed[:, 1]) @ fixed[:, 2])
        coefficients = limit.at(rows, offers)
        size = max(1.0, float(np.abs(coefficients).max(initial=1.0)))
        kept = np.flatnonzero(coefficients)
        terms_of_row = [(int(n), float(coefficients[n]) / size) for n in kept]
        for variable, extra in zip(extras, coupled.extras, strict=True):
            terms_of_row += [(variable, c / size) for r, c in extra.entries if r == number]
        program.require_at_most(terms_of_row, (limit.limit - used) / size, name=f"row_{number}")
    outcome = program.attempt(solver, seconds=seconds, gap=_GAP, stop=stop)
    if stop is not None and stop():
        raise PlanningStoppedError("planning was stopped")
    if outcome.status not in ("optimal", "feasible"):
        return outcome.status
    counts = np.round(outcome.values[: len(rows)]).astype(np.int64)
    moved = np.column_stack([rows, offers, counts])[counts > 0]
    flows = np.concatenate([fixed, moved])
    flows = flows[np.lexsort((flows[:, 1], flows[:, 0]))]
    bought = outcome.values[extras] if extras else np.zeros(0)
    bought = np.array(
        [
            round(value) if extra.integer else value
            for value, extra in zip(bought, coupled.extras, strict=True)
        ],
        dtype=np.float64,
    )
    bound = outcome.bound if free.all() else relaxation.bound
    return _checked(coupled, flows, bought, max(bound, relaxation.bound), outcome.solver)


def has_few_pairs(coupled: CoupledProblem) -> bool:
    """Return whether `least_whole_excess` can be asked."""
    return int(coupled.candidate.sum()) <= _FEW_PAIRS


def least_whole_excess(
    coupled: CoupledProblem,
    weights: NDArray[np.float64],
    *,
    solver: SolverName | None = None,
    seconds: float = 10.0,
    stop: Stop | None = None,
) -> NDArray[np.float64] | None:
    """Return the least weighted excess over the limits of a plan in whole requests.

    float64 `(n_coupling_rows,)`; `None` where it was not found in time. As `least_excess`, which
    allows fractions; for few pairs only.
    """
    program = LinearProgram("whole_excess")
    rows, offers = (side.astype(np.int64) for side in np.nonzero(coupled.candidate))
    for row in rows.tolist():
        program.variable(upper=float(coupled.supply[row]), integer=True)
    extras = [program.variable(upper=e.upper, integer=e.integer) for e in coupled.extras]
    slacks = [program.variable() for _ in coupled.rows]
    program.minimise(list(zip(slacks, weights.tolist(), strict=True)))
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    for group in np.split(np.arange(len(rows)), starts[1:]):
        served = int(rows[group[0]])
        terms = [(int(n), 1.0) for n in group]
        program.require_equal(terms, float(coupled.supply[served]), name=f"all_{served}")
    scales = row_scales(coupled)
    for number, limit in enumerate(coupled.rows):
        coefficients, scale = limit.at(rows, offers), float(scales[number])
        kept = np.flatnonzero(coefficients)
        terms = [(int(n), float(coefficients[n]) / scale) for n in kept]
        for variable, extra in zip(extras, coupled.extras, strict=True):
            terms += [(variable, c / scale) for r, c in extra.entries if r == number]
        terms.append((slacks[number], -1.0))
        program.require_at_most(terms, limit.limit / scale, name=f"row_{number}")
    outcome = program.attempt(solver, seconds=seconds, stop=stop)
    if stop is not None and stop():
        raise PlanningStoppedError("planning was stopped")
    if outcome.status != "optimal":
        return None
    excess = np.asarray(outcome.values[slacks] * scales, dtype=np.float64)
    excess[excess <= 1e-6 * scales] = 0.0
    return excess


def _checked(
    coupled: CoupledProblem,
    flows: NDArray[np.int64],
    extras: NDArray[np.float64],
    bound: float,
    solver: str,
) -> WholeFlows:
    """Return the flows with their value, after adding every row up again.

    Raises:
        SolverError: a query is not served in full, or a limit is exceeded.
    """
    rows, offers, counts = flows.T
    served = np.bincount(rows, weights=counts, minlength=len(coupled.supply))
    if not np.array_equal(served.astype(np.int64), coupled.supply):
        raise SolverError(f"{solver} did not place every request exactly once")
    for number, limit in enumerate(coupled.rows):
        used = float(limit.at(rows, offers) @ counts)
        used += sum(
            coefficient * value
            for extra, value in zip(coupled.extras, extras.tolist(), strict=True)
            for row, coefficient in extra.entries
            if row == number
        )
        size = max(abs(limit.limit), float(np.abs(limit.at(rows, offers)) @ counts), 1.0)
        if used > limit.limit + _FEASIBLE * size:
            raise SolverError(f"{solver} exceeded {limit.words}: {used:,.6f} > {limit.limit:,.6f}")
    value = float(counts @ coupled.price[rows, offers])
    value += sum(e.cost * v for e, v in zip(coupled.extras, extras.tolist(), strict=True))
    return WholeFlows(flows, extras, value, min(bound, value), solver)
