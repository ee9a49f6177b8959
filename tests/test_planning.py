from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydra_nb import Catalog, InvalidInputError, Requirements, formulate, match
from hydra_nb.problem import RoutingProblem
from hydra_nb.solver import (
    Constraints,
    Contract,
    Plan,
    PlanningStoppedError,
    available_solvers,
    plan,
)
from hydra_nb.solver import relaxation as relaxation_module
from hydra_nb.solver.coupling import couple
from hydra_nb.solver.relaxation import relax
from tests.strategies import catalogs, profile

# -- brute force: every request to every candidate, straight from the definitions ---------------


def brute_force(
    problem: RoutingProblem, limits: Constraints, objective: str = "cost"
) -> tuple[float, float] | None:
    """Return (objective, cost) of the best plan in micro-USD; `None` where there is none."""
    catalog = problem.catalog
    offers = [
        (m, contract)
        for m, p in enumerate(catalog)
        for contract in limits.contracts.get(p.name, (Contract(),))
    ]
    free = (
        objective == "shortfall"
        or limits.max_mean_shortfall is not None
        or limits.min_share_within_tau is not None
    )
    may = problem.allowed if free else problem.eligible
    requests = [q for q in range(len(may)) if may[q].any() for _ in range(int(problem.arrivals[q]))]
    choices = [[o for o, (m, _) in enumerate(offers) if may[q, m]] for q in requests]
    best: tuple[float, float] | None = None
    for picks in itertools.product(*choices):
        value = _value(problem, limits, offers, requests, picks, objective)
        if value is not None and (best is None or value < best):
            best = value
    return best


def _value(
    problem: RoutingProblem,
    limits: Constraints,
    offers: list[tuple[int, Contract]],
    requests: list[int],
    picks: tuple[int, ...],
    objective: str,
) -> tuple[float, float] | None:
    catalog, total = problem.catalog, len(requests)
    tokens = problem.tokens_input + problem.tokens_output
    usage = [0.0] * len(offers)
    load = [0] * len(offers)
    count = [0] * len(offers)
    lack, within = 0.0, 0
    for q, o in zip(requests, picks, strict=True):
        m, contract = offers[o]
        profile_of = catalog[m]
        into = contract.usd_per_mtok_input
        out = contract.usd_per_mtok_output
        into = profile_of.usd_per_mtok_input if into is None else into
        out = profile_of.usd_per_mtok_output if out is None else out
        usage[o] += float(problem.tokens_input[q]) * into + float(problem.tokens_output[q]) * out
        load[o] += int(tokens[q])
        count[o] += 1
        lack += float(problem.shortfall[q, m])
        within += bool(problem.eligible[q, m])

    def of_model(name: str, amounts: list[int]) -> int:
        return sum(a for a, (m, _) in zip(amounts, offers, strict=True) if catalog[m].name == name)

    def of_provider(name: str) -> int:
        return sum(
            a for a, (m, _) in zip(count, offers, strict=True) if catalog[m].provider == name
        )

    cost = 0.0
    for o, (_, contract) in enumerate(offers):
        cost += max(usage[o], contract.commitment_usd * 1e6) if count[o] else 0.0
        cost += contract.fee_usd * 1e6 if count[o] else 0.0
        if contract.block_tokens:
            blocks = math.ceil(load[o] / contract.block_tokens)
            if blocks > contract.max_blocks:
                return None
            cost += blocks * contract.usd_per_block * 1e6
    kept = (
        all(of_model(m, count) <= n for m, n in limits.max_requests.items())
        and all(of_model(m, load) <= n for m, n in limits.max_tokens.items())
        and all(of_provider(p) <= s * total + 1e-9 for p, s in limits.max_provider_share.items())
        and all(of_provider(p) >= s * total - 1e-9 for p, s in limits.min_provider_share.items())
        and (limits.budget_usd is None or cost <= limits.budget_usd * 1e6 * (1 + 1e-9) + 1e-6)
        and (limits.max_mean_shortfall is None or lack <= limits.max_mean_shortfall * total + 1e-9)
        and (
            limits.min_share_within_tau is None
            or within >= limits.min_share_within_tau * total - 1e-9
        )
        and (
            limits.max_models is None
            or len({offers[o][0] for o in range(len(offers)) if count[o]}) <= limits.max_models
        )
    )
    if not kept:
        return None
    return (cost, cost) if objective == "cost" else (round(lack, 9), cost)


# -- small cases ---------------------------------------------------------------------------------

_names = ("a", "b", "c")
_tenth = st.integers(0, 10).map(lambda n: n / 10)
_price = st.sampled_from([0.1, 0.25, 1.0, 1.0, 3.0, 15.0])


@st.composite
def small_problems(draw: st.DrawFn) -> RoutingProblem:
    models = draw(st.integers(1, 3))
    catalog = Catalog(
        tuple(
            profile(
                _names[m],
                draw(st.tuples(*[_tenth] * 4)),
                provider=draw(st.sampled_from(["left", "right"])),
                usd_per_mtok_input=draw(_price),
                usd_per_mtok_output=draw(_price),
                available=draw(st.sampled_from([True, True, True, True, False])),
            )
            for m in range(models)
        )
    )
    queries = draw(st.integers(1, 3))
    rows = [draw(st.tuples(*[_tenth] * 4)) for _ in range(queries)]
    return formulate(
        Requirements(np.array(rows)),
        catalog,
        tau=draw(st.sampled_from([0.0, 0.1, 0.3, 4.0])),
        tokens_input=[draw(st.integers(1, 40)) * 10 for _ in range(queries)],
        tokens_output=[draw(st.integers(0, 40)) * 10 for _ in range(queries)],
        arrivals=[draw(st.integers(1, 2)) for _ in range(queries)],
    )


def _some(draw: st.DrawFn, keys: list[str], values: st.SearchStrategy[Any]) -> dict[str, Any]:
    return {key: draw(values) for key in keys if draw(st.booleans())}


ROWS = (
    "max_requests",
    "max_tokens",
    "max_provider_share",
    "min_provider_share",
    "budget_usd",
    "max_mean_shortfall",
    "min_share_within_tau",
)


def _row(draw: st.DrawFn, kind: str, problem: RoutingProblem) -> dict[str, Any]:
    names = list(problem.catalog.names)
    providers = sorted({p.provider for p in problem.catalog})
    share = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
    values: dict[str, Any] = {
        "max_requests": lambda: _some(draw, names, st.integers(0, 4)),
        "max_tokens": lambda: _some(draw, names, st.integers(0, 200).map(lambda n: n * 10)),
        "max_provider_share": lambda: _some(draw, providers, share),
        "min_provider_share": lambda: {draw(st.sampled_from(providers)): draw(share)},
        "budget_usd": lambda: draw(st.integers(0, 40)) * 50 / 1e6,
        "max_mean_shortfall": lambda: draw(st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.5])),
        "min_share_within_tau": lambda: draw(share),
    }
    return {kind: values[kind]()}


contracts = st.builds(
    Contract,
    name=st.just("plan"),
    fee_usd=st.sampled_from([0.0, 0.0, 2e-4, 1e-3]),
    commitment_usd=st.sampled_from([0.0, 0.0, 5e-4, 2e-3]),
    usd_per_mtok_input=st.sampled_from([None, 0.05]),
    usd_per_mtok_output=st.sampled_from([None, 0.5]),
)
blocks = st.builds(
    Contract,
    name=st.just("blocks"),
    usd_per_mtok_input=st.just(0.0),
    usd_per_mtok_output=st.just(0.0),
    block_tokens=st.sampled_from([100, 500]),
    usd_per_block=st.sampled_from([0.0, 1e-4, 1e-3]),
    max_blocks=st.integers(1, 3),
)


def _agrees(problem: RoutingProblem, limits: Constraints, found: Plan) -> None:
    expected = brute_force(problem, limits, found.objective)
    if expected is None:
        assert found.status == "infeasible", (limits, found)
        return
    assert found.status == "optimal" or found.gap >= 0
    assert found.value == pytest.approx(expected[0], abs=1e-6, rel=1e-7)
    assert found.bound <= found.value + 1e-6


@pytest.mark.parametrize("kind", ROWS)
@given(data=st.data())
def test_a_plan_under_one_constraint_is_what_brute_force_finds(
    kind: str, data: st.DataObject
) -> None:
    problem = data.draw(small_problems())
    draw: Any = data.draw
    limits = Constraints(**_row(draw, kind, problem))
    _agrees(problem, limits, plan(problem, limits))


@given(data=st.data())
def test_a_plan_under_two_constraints_is_what_brute_force_finds(data: st.DataObject) -> None:
    problem = data.draw(small_problems())
    draw: Any = data.draw
    kinds = data.draw(st.lists(st.sampled_from(ROWS), min_size=2, max_size=2, unique=True))
    parts: dict[str, Any] = {}
    for kind in kinds:
        parts |= _row(draw, kind, problem)
    try:
        limits = Constraints(**parts)
    except InvalidInputError:
        return  # a least share above the largest
    _agrees(problem, limits, plan(problem, limits))


@given(data=st.data())
def test_a_fleet_is_what_brute_force_finds(data: st.DataObject) -> None:
    problem = data.draw(small_problems())
    draw: Any = data.draw
    offered = st.lists(
        st.one_of(contracts, blocks), min_size=1, max_size=2, unique_by=lambda c: c.name
    )
    limits = Constraints(
        max_models=data.draw(st.sampled_from([None, 1, 2])),
        contracts={
            k: tuple(v) for k, v in _some(draw, list(problem.catalog.names), offered).items()
        },
    )
    _agrees(problem, limits, plan(problem, limits))


@given(data=st.data())
def test_a_fleet_under_a_constraint_is_what_brute_force_finds(data: st.DataObject) -> None:
    problem = data.draw(small_problems())
    draw: Any = data.draw
    limits = Constraints(
        max_models=data.draw(st.sampled_from([None, 1, 2])),
        contracts={problem.catalog.names[0]: (data.draw(st.one_of(contracts, blocks)),)},
        **_row(draw, data.draw(st.sampled_from(ROWS)), problem),
    )
    _agrees(problem, limits, plan(problem, limits))


@given(data=st.data())
def test_least_shortfall_within_a_budget_is_what_brute_force_finds(data: st.DataObject) -> None:
    problem = data.draw(small_problems())
    draw: Any = data.draw
    limits = Constraints(**_row(draw, "budget_usd", problem))
    found = plan(problem, limits, objective="shortfall")
    expected = brute_force(problem, limits, "shortfall")
    if expected is None:
        assert found.status == "infeasible"
    else:
        assert found.value == pytest.approx(expected[0], abs=1e-6)
        assert found.total_cost_micro_usd == pytest.approx(expected[1], abs=1.0)
