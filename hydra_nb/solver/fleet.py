"""F3 with everything at once: fees, commitments and a limit on models beside coupling rows.

Small workloads go to the solver as one integer program. Large ones are decided in two parts:
which offers are used (by exchange, from several starts) and, for each such set, the flows (as
`relaxation` and `whole` give them). What is proven is then a bound: the larger of the relaxation
in which each request carries its share of the fee, and of the fleet over classes without the rows.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hydra_nb.errors import SolverError
from hydra_nb.solver.adapter import LinearProgram, SolverName
from hydra_nb.solver.classes import (
    charges,
    exchanged_fleet,
    proven_fleet,
    query_classes,
)
from hydra_nb.solver.coupling import CoupledProblem, Extra, Row
from hydra_nb.solver.relaxation import PlanningStoppedError, Stop, relax
from hydra_nb.solver.whole import WholeFlows, whole_flows

_ONE_PROGRAM = 3_000  # pairs; above, one integer program is not closed in time
_GAP = 1e-7


@dataclass(frozen=True, eq=False)
class FleetPlan:
    """Which offers are used and what goes where.

    Attributes:
        flows: int64 `(n_flows, 3)`, rows of (row of the problem, offer, requests).
        blocks: int64 `(n_offers,)`.
        bound: of the objective, fees included.
        solver: name of the solver.
    """

    flows: NDArray[np.int64]
    blocks: NDArray[np.int64]
    bound: float
    solver: str


def plan_fleet(
    coupled: CoupledProblem,
    *,
    solver: SolverName | None = None,
    seconds: float = 30.0,
    stop: Stop | None = None,
) -> FleetPlan | None:
    """Return the best fleet found and the bound; `None`: it is proven that there is none.

    Raises:
        PlanningStoppedError: `stop` answered True.
        SolverError: no plan was found in time, nor a proof that there is none.
    """
    if int(coupled.candidate.sum()) <= _ONE_PROGRAM:
        return _one_program(coupled, solver, seconds, stop)
    return _two_parts(coupled, solver, seconds, stop)


def fixed_fleet(coupled: CoupledProblem, used: NDArray[np.bool_]) -> CoupledProblem:
    """Return the problem in which exactly the offers `used` may serve, fees and commitments due.

    The fee is then a constant and no part of the objective; a commitment is a row: what usage
    lacks of it is topped up at cost.
    """
    rows, extras = list(coupled.rows), list(coupled.extras)
    budgets = [number for number, row in enumerate(rows) if row.kind == "budget_usd"]
    fee = sum(o.contract.fee_usd * 1e6 for o, on in zip(coupled.offers, used, strict=True) if on)
    for number in budgets:
        rows[number] = replace(rows[number], limit=rows[number].limit - fee)
    for number, offer in enumerate(coupled.offers):
        committed = offer.contract.commitment_usd * 1e6
        if not used[number] or not committed:
            continue
        # usage + top-up ≥ commitment; the top-up costs what it is worth and counts as spending.
        of_offer = np.zeros((1, len(coupled.offers)))
        of_offer[0, number] = -1.0
        usage = np.where(coupled.candidate[:, number], coupled.usage[:, number], 0.0)
        entries = [(len(rows), -1.0), *((budget, 1.0) for budget in budgets)]
        extras.append(Extra(number, 1.0, committed, False, tuple(entries)))
        rows.append(
            Row(
                "commitment",
                offer.label,
                -committed,
                "micro-USD",
                usage,
                of_offer[0],
                at_least=True,
            )
        )
    return replace(
        coupled,
        candidate=coupled.candidate & used[None, :],
        rows=tuple(rows),
        extras=tuple(extras),
    )


def _one_program(
    coupled: CoupledProblem, solver: SolverName | None, seconds: float, stop: Stop | None
) -> FleetPlan | None:
    """Return the optimum of the whole program, flows in whole requests."""
    charge = charges(coupled)
    program = LinearProgram("fleet_and_flows")
    queries, offers = (side.astype(np.int64) for side in np.nonzero(coupled.candidate))
    for query in queries.tolist():
        program.variable(upper=float(coupled.supply[query]), integer=True)
    used = [program.binary() for _ in coupled.offers]
    objective = list(enumerate(coupled.price[queries, offers].tolist()))
    objective += [(y, float(fee)) for y, fee in zip(used, charge.fee, strict=True)]
    extras = [program.variable(upper=e.upper, integer=e.integer) for e in coupled.extras]
    by_cost = coupled.objective == "cost"
    objective += [(v, e.cost * by_cost) for v, e in zip(extras, coupled.extras, strict=True)]
    budget_terms = [
        (y, o.contract.fee_usd * 1e6) for y, o in zip(used, coupled.offers, strict=True)
    ]
    starts = np.flatnonzero(np.diff(queries, prepend=-1))
    for group in np.split(np.arange(len(queries)), starts[1:]):
        row_of = int(queries[group[0]])
        terms = [(int(n), 1.0) for n in group]
        program.require_equal(terms, float(coupled.supply[row_of]), name=f"all_{row_of}")
    pairs = list(zip(queries.tolist(), offers.tolist(), strict=True))
    for number, (query, offer) in enumerate(pairs):
        terms = [(number, 1.0), (used[offer], -float(coupled.supply[query]))]
        program.require_at_most(terms, 0.0, name=f"open_{number}")
    if charge.max_models is not None:
        opened = {model: program.binary() for model in sorted(set(charge.model.tolist()))}
        for offer, model in enumerate(charge.model.tolist()):
            terms = [(used[offer], 1.0), (opened[model], -1.0)]
            program.require_at_most(terms, 0.0, name=f"opens_{offer}")
        terms = [(z, 1.0) for z in opened.values()]
        program.require_at_most(terms, float(charge.max_models), name="max_models")
    for offer, y in enumerate(used):
        committed = coupled.offers[offer].contract.commitment_usd * 1e6
        if committed:
            top_up = program.variable()
            objective.append((top_up, 1.0 * by_cost))
            budget_terms.append((top_up, 1.0))
            usage = coupled.usage[queries, offers]
            mine = np.flatnonzero(offers == offer)
            terms = [(y, committed), (top_up, -1.0), *((int(n), -float(usage[n])) for n in mine)]
            program.require_at_most(terms, 0.0, name=f"commitment_{offer}")
    for number, row in enumerate(coupled.rows):
        coefficients = row.at(queries, offers)
        terms = [(int(n), float(coefficients[n])) for n in np.flatnonzero(coefficients)]
        for variable, extra in zip(extras, coupled.extras, strict=True):
            terms += [(variable, c) for r, c in extra.entries if r == number]
        if row.kind == "budget_usd":
            terms += budget_terms
        program.require_at_most(terms, row.limit, name=f"row_{number}")
    program.minimise(objective)
    outcome = program.attempt(solver, seconds=seconds, stop=stop)
    if stop is not None and stop():
        raise PlanningStoppedError("planning was stopped")
    if outcome.status == "infeasible":
        return None
    if outcome.status == "stopped":
        raise SolverError(f"{outcome.solver} found no plan within {seconds:.0f} s")
    counts = np.round(outcome.values[: len(queries)]).astype(np.int64)
    flows = np.column_stack([queries, offers, counts])[counts > 0]
    blocks = np.zeros(len(coupled.offers), dtype=np.int64)
    for variable, extra in zip(extras, coupled.extras, strict=True):
        blocks[extra.offer] += round(outcome.values[variable])
    return FleetPlan(flows, blocks, outcome.bound, outcome.solver)


def _two_parts(
    coupled: CoupledProblem, solver: SolverName | None, seconds: float, stop: Stop | None
) -> FleetPlan | None:
    ends = time.perf_counter() + seconds
    charge, classes = charges(coupled), query_classes(coupled)
    # The top-up of a commitment is at least 0, and so is what the rows cost: both bounds hold.
    spread_fee = replace(coupled, usage=coupled.usage + charge.fee[None, :] / coupled.requests)
    without_fleet = relax(
        spread_fee if coupled.objective == "cost" else coupled, solver=solver, stop=stop
    )
    if not without_fleet.feasible:
        return None
    outcome, from_classes = proven_fleet(
        classes, charge, solver=solver, seconds=seconds / 3, stop=stop
    )
    if outcome.status == "infeasible":
        return None
    bound = max(without_fleet.bound, outcome.bound)
    in_flows = np.zeros(len(coupled.offers), dtype=bool)
    in_flows[without_fleet.pairs[:, 1]] = True
    quick = exchanged_fleet(classes, charge)
    known = outcome.status in ("optimal", "feasible")
    starts = [in_flows, *([from_classes] if known else []), *([] if quick is None else [quick])]
    search = _Exchange(coupled, solver, stop, ends)
    for start in starts:
        if charge.allows(start):
            search.consider(start)
    search.improve(charge.allows)
    if search.best is None:
        raise SolverError(
            f"no plan was found within {seconds:.0f} s, nor a proof that there is none"
        )
    flows, blocks = search.best
    return FleetPlan(flows, blocks, min(bound, search.value), search.name)


class _Exchange:
    """Exchange of one offer at a time, each set of offers valued by its optimal flows."""

    def __init__(
        self, coupled: CoupledProblem, solver: SolverName | None, stop: Stop | None, ends: float
    ) -> None:
        self.coupled, self.solver, self.stop, self.ends = coupled, solver, stop, ends
        self.value = np.inf
        self.used = np.zeros(len(coupled.offers), dtype=bool)
        self.best: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
        self.name = ""
        self._seen: set[bytes] = set()

    def consider(self, used: NDArray[np.bool_]) -> bool:
        """Value a set of offers; return whether it is the best so far."""
        if used.tobytes() in self._seen or not used.any():
            return False
        self._seen.add(used.tobytes())
        fixed = fixed_fleet(self.coupled, used)
        if not fixed.candidate.any(axis=1).all():
            return False
        relaxation = relax(fixed, solver=self.solver, stop=self.stop)
        fee = float(charges(self.coupled).fee[used].sum())
        if not relaxation.feasible or relaxation.bound + fee >= self.value * (1 - _GAP):
            return False
        try:
            found = whole_flows(fixed, relaxation, solver=self.solver, seconds=5, stop=self.stop)
        except PlanningStoppedError:
            raise
        except SolverError:
            return False
        value = found.value + fee
        if value >= self.value:
            return False
        self.value, self.used, self.name = value, used.copy(), found.solver
        self.best = found.flows, _blocks(fixed, found)
        return True

    def improve(self, allows: object) -> None:
        """Add, drop and swap offers while that helps and time is left."""
        better = self.best is not None
        while better and time.perf_counter() < self.ends:
            better = False
            for change in self._neighbours():
                if time.perf_counter() > self.ends:
                    break
                if callable(allows) and allows(change) and self.consider(change):
                    better = True
                    break

    def _neighbours(self) -> list[NDArray[np.bool_]]:
        on, off = np.flatnonzero(self.used), np.flatnonzero(~self.used)
        found = []
        for leave, enter in [
            *((leave, -1) for leave in on.tolist()),
            *((-1, enter) for enter in off.tolist()),
            *((leave, enter) for leave in on.tolist() for enter in off.tolist()),
        ]:
            change = self.used.copy()
            if leave >= 0:
                change[leave] = False
            if enter >= 0:
                change[enter] = True
            found.append(change)
        return found


def _blocks(coupled: CoupledProblem, found: WholeFlows) -> NDArray[np.int64]:
    blocks = np.zeros(len(coupled.offers), dtype=np.int64)
    for extra, value in zip(coupled.extras, found.extras.tolist(), strict=True):
        if extra.integer:
            blocks[extra.offer] += round(value)
    return blocks
