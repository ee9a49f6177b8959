"""F3 with everything at once: fees, commitments and a limit on models beside coupling rows.

Small workloads go to the solver as one integer program. Large ones are decided in two parts:
which offers are used, and the flows for each such set (as `relaxation` and `whole` give them). The
programs that bound the cost (`fleet_bounds`) also propose sets; exchanging one offer at a time
mends the rest.
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
    query_classes,
)
from hydra_nb.solver.coupling import CoupledProblem, Extra, Row
from hydra_nb.solver.fleet_bounds import buckets, priced_fleet
from hydra_nb.solver.relaxation import PlanningStoppedError, Stop, relax
from hydra_nb.solver.whole import WholeFlows, whole_flows

_ONE_PROGRAM = 3_000  # pairs; above, one integer program is not closed in time
_LAGRANGE_ROUNDS = 12
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
    if int(coupled.candidate.sum()) > _ONE_PROGRAM:
        return _two_parts(coupled, solver, seconds, stop)
    found = _one_program(coupled, solver, seconds, stop)
    if found is not None and not len(found.flows):
        raise SolverError(f"{found.solver} found no plan within {seconds:.0f} s")
    return found


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
        charged = 1.0 if coupled.objective == "cost" else 0.0
        extras.append(Extra(number, charged, committed, False, tuple(entries)))
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
    coupled: CoupledProblem,
    solver: SolverName | None,
    seconds: float,
    stop: Stop | None,
    *,
    whole: bool = True,
) -> FleetPlan | None:
    """Return the optimum of the whole program; no flows where time ended without a solution."""
    charge = charges(coupled)
    program = LinearProgram("fleet_and_flows")
    queries, offers = (side.astype(np.int64) for side in np.nonzero(coupled.candidate))
    for query in queries.tolist():
        program.variable(upper=float(coupled.supply[query]), integer=whole)
    used = [program.binary() for _ in coupled.offers]
    objective = list(enumerate(coupled.price[queries, offers].tolist()))
    objective += [(y, float(fee)) for y, fee in zip(used, charge.fee, strict=True)]
    extras = [program.variable(upper=e.upper, integer=e.integer) for e in coupled.extras]
    by_cost = coupled.objective == "cost"
    objective += [(v, e.cost) for v, e in zip(extras, coupled.extras, strict=True)]
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
        nothing = np.zeros((0, 3), dtype=np.int64)
        none_bought = np.zeros(len(coupled.offers), dtype=np.int64)
        return FleetPlan(nothing, none_bought, outcome.bound, outcome.solver)
    # Fractions of buckets only tell which offers are used.
    placed = outcome.values[: len(queries)]
    counts = (np.round(placed) if whole else np.ceil(placed - 1e-6)).astype(np.int64)
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
    # Each request carries its share of the fee: never more than the fee itself.
    spread_fee = replace(coupled, usage=coupled.usage + charge.fee[None, :] / coupled.requests)
    loaded = spread_fee if coupled.objective == "cost" else coupled
    without_fleet = relax(loaded, solver=solver, stop=stop)
    if not without_fleet.feasible:
        return None
    search = _Exchange(coupled, solver, stop, ends)
    in_flows = np.zeros(len(coupled.offers), dtype=bool)
    in_flows[without_fleet.pairs[:, 1]] = True
    for start in (in_flows, exchanged_fleet(classes, charge)):
        if start is not None and charge.allows(start):
            search.consider(start)
    bound, prices, shares = without_fleet.bound, without_fleet.prices, np.zeros(len(charge.fee))
    for lap in range(_LAGRANGE_ROUNDS):
        left = ends - time.perf_counter()
        outcome, used = priced_fleet(coupled, prices, shares, solver, max(1.0, left / 2), stop)
        if outcome.status == "infeasible":
            return None
        bound = max(bound, outcome.bound)
        better = outcome.status in ("optimal", "feasible") and search.consider(used)
        closed = search.value - bound <= _GAP * abs(search.value)
        if closed or left < 0:
            break
        if not better and (search.best is None or (lap and np.array_equal(prices, search.prices))):
            rough = _one_program(
                buckets(coupled, classes), solver, max(1.0, left / 2), stop, whole=False
            )
            if rough is None:
                return None
            bound = max(bound, rough.bound)
            used = np.zeros(len(coupled.offers), dtype=bool)
            used[rough.flows[:, 1]] = True
            if not search.consider(used):
                break
        prices, shares = search.prices, search.shares
    if search.value - bound > _GAP * abs(search.value):
        search.improve(charge.allows)
        if search.best is not None and time.perf_counter() < ends:
            outcome, _ = priced_fleet(coupled, search.prices, search.shares, solver, seconds, stop)
            bound = max(bound, outcome.bound)
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
        self.prices = np.zeros(len(coupled.rows))
        self.shares = np.zeros(len(coupled.offers))
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
        # The rows of `fixed` begin with those of the problem; then come the commitments.
        self.prices = relaxation.prices[: len(self.coupled.rows)]
        self.shares = np.zeros(len(self.coupled.offers))
        for row, price in zip(
            fixed.rows[len(self.prices) :], relaxation.prices[len(self.prices) :], strict=True
        ):
            offer = next(n for n, o in enumerate(self.coupled.offers) if o.label == row.key)
            self.shares[offer] = min(1.0, float(price))
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
