"""Plan a workload: the one entry to everything that couples queries.

The way is chosen by what couples them, cheapest first: an argmin where nothing binds, F3 over
classes where only "in use or not" matters, the relaxation with certified whole flows where rows
bind, and both together where everything does.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hydra_nb.dimensions import TOLERANCE
from hydra_nb.errors import SolverError
from hydra_nb.matching import name_rank
from hydra_nb.problem import RoutingProblem
from hydra_nb.solver.adapter import SolverName
from hydra_nb.solver.classes import (
    charges,
    exchanged_fleet,
    least_models,
    proven_fleet,
    query_classes,
)
from hydra_nb.solver.constraints import Constraints
from hydra_nb.solver.coupling import CoupledProblem, Objective, couple
from hydra_nb.solver.fleet import FleetPlan, plan_fleet
from hydra_nb.solver.infeasibility import explain_infeasible
from hydra_nb.solver.plan import Infeasibility, Plan, PlanStatus, ShadowPrice
from hydra_nb.solver.relaxation import PlanningStoppedError, Relaxation, Stop, relax
from hydra_nb.solver.relaxed_limit import RelaxedLimit
from hydra_nb.solver.whole import NoWholePlanError, whole_flows

_PROVEN = 1e-9  # relative gap that is put down to rounding


def plan(
    problem: RoutingProblem,
    constraints: Constraints | None = None,
    *,
    objective: Objective = "cost",
    solver: SolverName | None = None,
    seconds: float = 30.0,
    stop: Stop | None = None,
) -> Plan:
    """Return where the requests of a workload go under `constraints`.

    Args:
        problem: the workload against a catalog, `Workload.problem(catalog)`.
        constraints: caps, shares, budgets, fleet; `None`: none.
        objective: "cost": the cheapest plan within τ. "shortfall": the plan of least mean
            shortfall, of those the cheapest; give a budget with it.
        solver: `None` for the first that is installed.
        seconds: after which the search for a better whole-number plan ends. The plan then says
            "feasible" and how far from the best it can be at most.
        stop: asked now and then; where it answers True, planning ends.

    Returns:
        A plan; where none is possible, one of status "infeasible" that says why and what would
        have to give.

    Raises:
        InvalidInputError: the constraints name what the catalog does not have.
        PlanningStoppedError: `stop` answered True.
        SolverError: the solver failed, or neither a plan nor a proof was found in time.
    """
    started = time.perf_counter()
    limits = constraints or Constraints()
    coupled = couple(problem, limits, objective)
    found = _plan(coupled, solver, seconds, stop, started)
    if objective == "cost" or found.status == "infeasible" or not len(found.flows):
        return found
    # Of the plans of least shortfall the cheapest. The last bits of the sum must not forbid it.
    queries, offers, counts = found.flows.T
    models = np.array([offer.model for offer in coupled.offers], dtype=np.int64)[offers]
    least = float(counts @ problem.shortfall[queries, models]) / coupled.requests
    within = replace(limits, max_mean_shortfall=least * (1 + 1e-9) + 1e-12)
    left = max(1.0, seconds - (time.perf_counter() - started))
    cheapest = _plan(couple(problem, within, "cost"), solver, left, stop, started)
    if cheapest.status == "infeasible":
        return found
    queries, offers, counts = cheapest.flows.T
    models = np.array([offer.model for offer in cheapest.offers], dtype=np.int64)[offers]
    return replace(
        cheapest,
        constraints=limits,
        objective="shortfall",
        status=found.status,
        value=float(counts @ problem.shortfall[queries, models]),
        bound=found.bound,
        shadow_prices=found.shadow_prices,
    )


def _plan(
    coupled: CoupledProblem,
    solver: SolverName | None,
    seconds: float,
    stop: Stop | None,
    started: float,
) -> Plan:
    if not coupled.requests:
        nothing = np.zeros((0, 3), dtype=np.int64)
        return _result(coupled, nothing, 0.0, "nothing to solve", started)
    if coupled.has_fixed_charges:
        if coupled.is_open_only and not any(o.contract.commitment_usd for o in coupled.offers):
            return _fleet_of_classes(coupled, solver, seconds, stop, started)
        return _fleet_under_rows(coupled, solver, seconds, stop, started)
    first = _first_choice(coupled)
    if _within(coupled, first):
        flows = np.column_stack([np.arange(len(first)), first, coupled.supply])
        value = float(coupled.supply @ coupled.price[np.arange(len(first)), first])
        return _result(coupled, flows, value, "argmin: no limit binds", started)
    relaxation = relax(coupled, solver=solver, stop=stop)
    if not relaxation.feasible:
        return _infeasible(coupled, relaxation, solver, stop, started)
    try:
        found = whole_flows(coupled, relaxation, solver=solver, seconds=seconds, stop=stop)
    except NoWholePlanError:
        return _infeasible(coupled, None, solver, stop, started)
    blocks = np.zeros(len(coupled.offers), dtype=np.int64)
    for extra, value in zip(coupled.extras, found.extras.tolist(), strict=True):
        blocks[extra.offer] += round(value)
    return _result(
        coupled,
        found.flows,
        found.bound,
        f"{found.solver}, linear relaxation",
        started,
        blocks=blocks,
        prices=relaxation.prices,
    )


def _fleet_of_classes(
    coupled: CoupledProblem,
    solver: SolverName | None,
    seconds: float,
    stop: Stop | None,
    started: float,
) -> Plan:
    classes, charge = query_classes(coupled), charges(coupled)
    outcome, used = proven_fleet(classes, charge, solver=solver, seconds=seconds, stop=stop)
    how = f"{outcome.solver}, {len(classes):,} classes"
    if outcome.status == "infeasible":
        reason = _too_few_models(coupled, least_models(classes, charge))
        return _result(coupled, None, np.inf, how, started, infeasibility=reason)
    if outcome.status == "stopped":
        # No fleet in time: the exchange has one, and the solver's bound still holds.
        quick = exchanged_fleet(classes, charge)
        if quick is None or (stop is not None and stop()):
            raise PlanningStoppedError(f"no fleet was found within {seconds:.0f} s")
        used = quick
    restricted = replace(coupled, candidate=coupled.candidate & used[None, :])
    first = _first_choice(restricted)
    flows = np.column_stack([np.arange(len(first)), first, coupled.supply])
    return _result(coupled, flows, outcome.bound, how, started)


def _fleet_under_rows(
    coupled: CoupledProblem,
    solver: SolverName | None,
    seconds: float,
    stop: Stop | None,
    started: float,
) -> Plan:
    found = plan_fleet(coupled, solver=solver, seconds=seconds, stop=stop)
    if found is None:
        relaxation = relax(coupled, solver=solver, stop=stop)
        reason = _fleet_conflict(coupled, solver, seconds, stop)
        if not relaxation.feasible and not reason.relaxations:
            reason = explain_infeasible(
                coupled,
                relaxation,
                enough=lambda wider: _fleet_of(wider, solver, seconds, stop) is not None,
                solver=solver,
                stop=stop,
            )
        return _result(coupled, None, np.inf, "proven", started, infeasibility=reason)
    how = f"{found.solver}, fleet and flows"
    return _result(coupled, found.flows, found.bound, how, started, blocks=found.blocks)


def _too_few_models(coupled: CoupledProblem, least: int) -> Infeasibility:
    most = coupled.constraints.max_models
    tau = f"every request within τ = {coupled.problem.tau:.2f}"
    return Infeasibility(
        (f"fleet of at most {most} model{'' if most == 1 else 's'}", tau),
        (RelaxedLimit("max_models", "", least - (most or 0)),),
    )


def _fleet_conflict(
    coupled: CoupledProblem, solver: SolverName | None, seconds: float, stop: Stop | None
) -> Infeasibility:
    """Return why a fleet is impossible; no relaxations where neither K nor the budget is why."""
    limits = coupled.constraints
    rows = tuple(row.words for row in coupled.rows)
    if limits.max_models is not None:
        for most in range(limits.max_models + 1, len(coupled.problem.catalog) + 1):
            wider = replace(coupled, constraints=replace(limits, max_models=most))
            if _fleet_of(wider, solver, seconds, stop) is not None:
                fleet = f"fleet of at most {limits.max_models} models"
                more = RelaxedLimit("max_models", "", most - limits.max_models)
                return Infeasibility((fleet, *rows), (more,))
    if limits.budget_usd is not None:
        rest = couple(coupled.problem, replace(limits, budget_usd=None), coupled.objective)
        found = _fleet_of(rest, solver, seconds, stop)
        if found is not None:
            cost = _result(rest, found.flows, found.bound, "", 0.0, blocks=found.blocks)
            lack = cost.total_cost_micro_usd - limits.budget_usd * 1e6
            budget = next(row for row in coupled.rows if row.kind == "budget_usd")
            more = budget.relaxed_by(lack, coupled.requests)
            return Infeasibility((*rows, "fees and commitments"), (more,))
    return Infeasibility((*rows, "fees and commitments"), ())


def _fleet_of(
    coupled: CoupledProblem, solver: SolverName | None, seconds: float, stop: Stop | None
) -> FleetPlan | None:
    """Return a fleet; `None` where there is none, or none was found in time."""
    try:
        return plan_fleet(coupled, solver=solver, seconds=seconds, stop=stop)
    except PlanningStoppedError:
        raise
    except SolverError:
        return None  # nothing is claimed then: the relaxation in question is not offered


def _infeasible(
    coupled: CoupledProblem,
    relaxation: Relaxation | None,
    solver: SolverName | None,
    stop: Stop | None,
    started: float,
) -> Plan:
    reason = explain_infeasible(coupled, relaxation, solver=solver, stop=stop)
    how = "integer program" if relaxation is None else f"{relaxation.solver}, linear relaxation"
    return _result(coupled, None, np.inf, how, started, infeasibility=reason)


def _first_choice(coupled: CoupledProblem) -> NDArray[np.int64]:
    """Return each query's best offer by (objective, shortfall or cost, name), int64 `(n_rows,)`."""
    by_cost = coupled.objective == "cost"
    first, second = coupled.price, coupled.shortfall if by_cost else coupled.usage
    leaders = coupled.candidate
    for matrix, tolerance in (
        (first, 0.0 if by_cost else TOLERANCE),
        (second, TOLERANCE if by_cost else 0.0),
    ):
        best = np.min(matrix, axis=1, initial=np.inf, where=leaders)
        leaders = leaders & (matrix <= best[:, None] + tolerance)
    names = name_rank([f"{offer.name}\0{offer.contract.name}" for offer in coupled.offers])
    rank = np.where(leaders, names[None, :], len(names))
    return np.asarray(np.argmin(rank, axis=1), dtype=np.int64)


def _within(coupled: CoupledProblem, taken: NDArray[np.int64]) -> bool:
    everyone, supply = np.arange(len(taken)), coupled.supply.astype(np.float64)
    return all(float(row.at(everyone, taken) @ supply) <= row.limit for row in coupled.rows)


def _result(
    coupled: CoupledProblem,
    flows: NDArray[np.int64] | None,
    bound: float,
    solver: str,
    started: float,
    *,
    blocks: NDArray[np.int64] | None = None,
    prices: NDArray[np.float64] | None = None,
    infeasibility: Infeasibility | None = None,
) -> Plan:
    taken = np.zeros((0, 3), dtype=np.int64) if flows is None else flows.astype(np.int64)
    rows, offers, counts = taken.T
    served = np.bincount(rows, weights=counts, minlength=len(coupled.supply))
    if infeasibility is None and not np.array_equal(served, coupled.supply):
        raise SolverError(f"{solver}: not every request was placed exactly once")
    used = np.zeros(len(coupled.offers), dtype=bool)
    used[offers] = True
    bought = np.zeros(len(coupled.offers), dtype=np.int64) if blocks is None else blocks
    usage_by_offer = np.bincount(
        offers, weights=counts * coupled.usage[rows, offers], minlength=len(coupled.offers)
    )
    fixed = 0.0
    for number, offer in enumerate(coupled.offers):
        contract = offer.contract
        fixed += float(bought[number]) * contract.usd_per_block * 1e6
        if used[number]:
            fixed += contract.fee_usd * 1e6
            fixed += max(0.0, contract.commitment_usd * 1e6 - float(usage_by_offer[number]))
    usage = float(usage_by_offer.sum())
    if coupled.objective == "cost":
        value = usage + fixed
    else:
        value = float(counts @ coupled.shortfall[rows, offers])
    status: PlanStatus = "infeasible" if infeasibility is not None else "feasible"
    if infeasibility is None and value - bound <= _PROVEN * max(1.0, abs(value)):
        status, bound = "optimal", min(bound, value)
    absolute = np.column_stack([coupled.queries[rows], offers, counts])
    shadow = tuple(
        ShadowPrice(row.words, float(price), row.unit)
        for row, price in zip(coupled.rows, [] if prices is None else prices, strict=False)
        if price > 0
    )
    return Plan(
        problem=coupled.problem,
        constraints=coupled.constraints,
        objective=coupled.objective,
        status=status,
        offers=coupled.offers,
        flows=absolute[np.lexsort((absolute[:, 1], absolute[:, 0]))],
        usage_micro_usd=usage,
        fixed_micro_usd=fixed,
        used=used,
        blocks=bought,
        value=value if infeasibility is None else float("nan"),
        bound=bound,
        shadow_prices=shadow,
        infeasibility=infeasibility,
        solver=solver,
        seconds=time.perf_counter() - started,
    )
