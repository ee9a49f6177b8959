"""K against cost: fleets of at most K models, quickly for all K, then proven one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hydra_nb.errors import SolverError
from hydra_nb.problem import RoutingProblem
from hydra_nb.solver import Constraints, Plan, PlanningStoppedError, plan
from hydra_nb.solver.classes import (
    FleetCharges,
    QueryClasses,
    charges,
    least_models,
    query_classes,
)
from hydra_nb.solver.coupling import CoupledProblem, couple

PointState = Literal["waiting", "quick", "proven", "bounded", "infeasible", "failed"]

SECONDS = 15.0
"""A K that takes longer than this shows its best plan with the gap."""


@dataclass(frozen=True)
class FleetPoint:
    """The cheapest fleet of at most K models, as far as it is known.

    Attributes:
        most: K.
        state: nothing yet; found without proof; proven; within `gap`; proven impossible; failed.
        cost_micro_usd: NaN where there is none.
        models: names of those in use.
        gap: how much better it could be at most, a fraction.
        note: what the solver said, where it failed.
    """

    most: int
    state: PointState
    cost_micro_usd: float = float("nan")
    models: tuple[str, ...] = ()
    gap: float = 0.0
    note: str = ""


Points = tuple[FleetPoint, ...]


def fleet_points(
    problem: RoutingProblem, constraints: Constraints, stop: Callable[[], bool]
) -> Iterator[Points]:
    """Return the points for K = 1 to all available models, again each time one gets better.

    The objective is the cost; `constraints` hold but for their own K.

    Raises:
        PlanningStoppedError: `stop` answered True.
    """
    free = replace(constraints, max_models=None)
    names = problem.catalog.names
    most = sum(profile.available for profile in problem.catalog)
    points = [FleetPoint(k, "waiting") for k in range(1, most + 1)]
    if not points:
        yield ()
        return
    coupled = couple(problem, free, "cost")
    if coupled.is_open_only and coupled.requests:
        classes, charge = query_classes(coupled), charges(coupled)
        for k in range(1, min(least_models(classes, charge), most + 1)):
            points[k - 1] = FleetPoint(k, "infeasible")
        for used, cost in ladder(classes, charge):
            models = tuple(sorted({coupled.offers[o].name for o in np.flatnonzero(used)}))
            for k in range(len(models), most + 1):
                if not points[k - 1].cost_micro_usd <= cost:
                    points[k - 1] = FleetPoint(k, "quick", cost, models)
        yield tuple(points)
    # What the best plan of all needs no more than is solved once for all K from there on.
    for k in [most, *range(1, most)]:
        if points[k - 1].state in ("proven", "infeasible"):
            continue
        limits = free if k == most else replace(free, max_models=k)
        point = _solved(problem, limits, k, names, stop, points[k - 1])
        points[k - 1] = point
        if point.state in ("proven", "bounded"):
            for other in range(max(1, len(point.models)), k):
                points[other - 1] = replace(point, most=other)
        elif point.state == "infeasible" and k == most:
            points = [replace(point, most=other) for other in range(1, most + 1)]
        yield tuple(points)


def _solved(
    problem: RoutingProblem,
    limits: Constraints,
    k: int,
    names: tuple[str, ...],
    stop: Callable[[], bool],
    quick: FleetPoint,
) -> FleetPoint:
    try:
        found = plan(problem, limits, seconds=SECONDS, stop=stop)
    except PlanningStoppedError:
        if stop():
            raise
        return replace(quick, note=f"no proof within {SECONDS:.0f} s")
    except SolverError as error:
        return FleetPoint(k, "failed", note=str(error))
    if found.status == "infeasible":
        return FleetPoint(k, "infeasible")
    return FleetPoint(
        k,
        "proven" if found.status == "optimal" else "bounded",
        float(found.total_cost_micro_usd),
        in_use(found, names),
        found.gap,
    )


def in_use(found: Plan, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the models that a plan uses."""
    return tuple(names[i] for i in np.flatnonzero(found.requests_by_model))


def quick_fleet(coupled: CoupledProblem) -> NDArray[np.bool_] | None:
    """Return a good set of offers within the constraints, without proof; `None`: none found."""
    most, charge = coupled.constraints.max_models, charges(coupled)
    best, best_cost = None, np.inf
    for used, cost in ladder(query_classes(coupled), charge):
        models = len(set(charge.model[used].tolist()))
        if (most is None or models <= most) and cost < best_cost:
            best, best_cost = used, cost
    return best


def ladder(
    classes: QueryClasses, charge: FleetCharges
) -> Iterator[tuple[NDArray[np.bool_], float]]:
    """Yield sets of offers with their cost, one offer less at a time; each is improved by swaps.

    The offer that is missed least is dropped. It ends where every class needs what is left.
    """
    used = np.zeros(classes.cost.shape[1], dtype=bool)
    used[np.isfinite(classes.cost).any(axis=0)] = True
    cost = _cost(classes, charge, used)
    while np.isfinite(cost):
        yield used.copy(), cost
        step = _best(classes, charge, [(-1, int(leave)) for leave in np.flatnonzero(used)], used)
        if step is None:
            return
        used, cost = step
        for _ in range(len(used)):
            swaps = [
                (int(enter), int(leave))
                for enter in np.flatnonzero(~used)
                for leave in np.flatnonzero(used)
            ]
            better = _best(classes, charge, swaps, used)
            if better is None or better[1] >= cost * (1 - 1e-12):
                break
            used, cost = better


def _best(
    classes: QueryClasses,
    charge: FleetCharges,
    steps: list[tuple[int, int]],
    used: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], float] | None:
    best: tuple[NDArray[np.bool_], float] | None = None
    # With the two cheapest of each class known, leaving an offer out needs no new minimum.
    open_cost = np.where(used[None, :], classes.cost, np.inf)
    first = open_cost.argmin(axis=1)
    rows = np.arange(len(open_cost))
    lowest = open_cost[rows, first]
    open_cost[rows, first] = np.inf
    second = open_cost.min(axis=1)
    for enter, leave in steps:
        kept = np.where(first == leave, second, lowest)
        if enter >= 0:
            kept = np.minimum(kept, classes.cost[:, enter])
        change = used.copy()
        change[leave] = False
        if enter >= 0:
            change[enter] = True
        total = float(kept.sum()) + charge.of(change)
        if np.isfinite(total) and change.any() and (best is None or total < best[1]):
            best = change, total
    return best


def _cost(classes: QueryClasses, charge: FleetCharges, used: NDArray[np.bool_]) -> float:
    lowest = np.where(used[None, :], classes.cost, np.inf).min(axis=1, initial=np.inf)
    return float(lowest.sum()) + charge.of(used)
