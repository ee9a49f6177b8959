from __future__ import annotations

import itertools
import math
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hydra_nb import Catalog, InvalidInputError, Requirements, SolverError, formulate, match
from hydra_nb.problem import RoutingProblem
from hydra_nb.solver import (
    Constraints,
    Contract,
    Plan,
    PlanningStoppedError,
    RelaxedLimit,
    available_solvers,
    plan,
)
from hydra_nb.solver import fleet as fleet_module
from hydra_nb.solver import relaxation as relaxation_module
from hydra_nb.solver.classes import query_classes
from hydra_nb.solver.coupling import couple
from hydra_nb.solver.relaxation import relax
from tests.strategies import profile

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
    assert found.status == "optimal" or (found.status == "feasible" and found.gap > 0)
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


@given(data=st.data())
def test_least_shortfall_counts_no_cost_of_contracts(data: st.DataObject) -> None:
    problem = data.draw(small_problems())
    draw: Any = data.draw
    offered = st.lists(
        st.one_of(contracts, blocks), min_size=1, max_size=2, unique_by=lambda c: c.name
    )
    names = list(problem.catalog.names)
    limits = Constraints(
        contracts={k: tuple(v) for k, v in _some(draw, names, offered).items()},
        **_row(draw, "max_tokens", problem),
    )
    found = plan(problem, limits, objective="shortfall")
    expected = brute_force(problem, limits, "shortfall")
    if expected is None:
        assert found.status == "infeasible"
    else:
        assert found.value == pytest.approx(expected[0], abs=1e-6)
        assert found.bound <= expected[0] + 1e-6


def test_least_shortfall_buys_the_blocks_that_it_takes() -> None:
    bought = Contract("blocks", 0.0, 0.0, 0.0, 0.0, block_tokens=200, usd_per_block=5, max_blocks=9)
    catalog = Catalog((profile("weak", (0.1,) * 4), profile("strong", (0.9,) * 4)))
    problem = formulate(
        Requirements(np.full((2, 4), 0.8)), catalog, tokens_input=100, tokens_output=100
    )
    found = plan(problem, Constraints(contracts={"strong": (bought,)}), objective="shortfall")
    assert found.requests_by_model.tolist() == [0, 2]
    assert found.blocks.tolist() == [0, 2]
    assert found.value == 0.0
    assert found.status == "optimal"


# -- large workloads go other ways; made to, small ones must give the same ------------------------


@pytest.fixture
def many_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start column generation with next to nothing, however small the program."""
    monkeypatch.setattr(relaxation_module, "_ALL_AT_ONCE", 0)
    monkeypatch.setattr(relaxation_module, "_SAMPLE", 1)
    monkeypatch.setattr(relaxation_module, "_CONTESTED", 1)


def pool(models: int, *, seed: int = 0) -> Catalog:
    """Return models of rising capability and price, four providers."""
    random = np.random.default_rng(seed)
    profiles = []
    for m in range(models):
        level = (m + 1) / models
        capability = np.clip(level * 0.9 + random.normal(0, 0.08, 4), 0, 1).round(3)
        price = round(float(0.05 * np.exp(5 * level + random.normal(0, 0.4))), 3)
        prices = {"usd_per_mtok_input": price, "usd_per_mtok_output": 4 * price}
        profiles.append(profile(f"m{m:02d}", capability, provider=f"p{m % 4}", **prices))
    return Catalog(tuple(profiles))


def crowd(queries: int, models: int, *, seed: int = 0, arrivals: bool = False) -> RoutingProblem:
    """Return a seeded problem of many queries."""
    random = np.random.default_rng(seed)
    level = random.beta(1.2, 2.2, (queries, 1)) * 0.8
    needs = np.clip(level + random.normal(0, 0.15, (queries, 4)), 0, 1).round(2)
    return formulate(
        Requirements(needs),
        pool(models, seed=seed),
        tau=0.1,
        tokens_input=random.lognormal(6, 1, queries).astype(int) + 1,
        tokens_output=random.lognormal(6, 0.8, queries).astype(int) + 1,
        arrivals=random.integers(1, 5, queries) if arrivals else 1,
    )


@pytest.mark.usefixtures("many_rounds")
@given(data=st.data())
@settings(suppress_health_check=list(HealthCheck))
def test_column_generation_finds_what_brute_force_finds(data: st.DataObject) -> None:
    problem = data.draw(small_problems())
    draw: Any = data.draw
    limits = Constraints(**_row(draw, data.draw(st.sampled_from(ROWS)), problem))
    _agrees(problem, limits, plan(problem, limits))


@pytest.mark.parametrize("seed", range(4))
def test_column_generation_reaches_the_optimum_of_the_whole_program(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = crowd(300, 8, seed=seed, arrivals=True)
    total = int(problem.arrivals.sum())
    tokens = problem.arrivals @ (problem.tokens_input + problem.tokens_output)
    limits = Constraints(
        max_requests={name: total // 4 for name in problem.catalog.names},
        max_tokens={"m03": int(tokens) // 20},
        min_provider_share={"p3": 0.3},
    )
    coupled = couple(problem, limits)
    at_once = relax(coupled)
    monkeypatch.setattr(relaxation_module, "_ALL_AT_ONCE", 0)
    monkeypatch.setattr(relaxation_module, "_SAMPLE", 20)
    monkeypatch.setattr(relaxation_module, "_CONTESTED", 40)
    sifted = relax(coupled)
    assert at_once.contested == 300
    assert sifted.contested > 0
    assert sifted.value == pytest.approx(at_once.value, rel=1e-9)
    assert sifted.bound == pytest.approx(at_once.value, rel=1e-7)


@given(data=st.data())
@settings(suppress_health_check=list(HealthCheck), max_examples=40)
def test_a_fleet_in_two_parts_is_within_its_gap_of_what_brute_force_finds(
    data: st.DataObject,
) -> None:
    problem = data.draw(small_problems())
    draw: Any = data.draw
    name = problem.catalog.names[0]
    limits = Constraints(
        max_models=data.draw(st.sampled_from([None, 1, 2])),
        contracts={name: (data.draw(contracts),)},
        **_row(draw, data.draw(st.sampled_from(ROWS)), problem),
    )
    expected = brute_force(problem, limits)
    with mock.patch.object(fleet_module, "_ONE_PROGRAM", 0):
        try:
            found = plan(problem, limits, seconds=5)
        except SolverError:
            return  # neither a plan nor a proof in time: said, not invented
    if expected is None:
        assert found.status == "infeasible"
        return
    assert found.status != "infeasible"
    assert found.value >= expected[0] - 1e-6
    assert found.bound <= expected[0] + 1e-6


# -- what is said of a plan -----------------------------------------------------------------------


def test_without_constraints_a_plan_is_the_assignment_of_match() -> None:
    problem = crowd(200, 6, arrivals=True)
    found = plan(problem)
    expected = match(
        problem.requirements,
        problem.catalog,
        tau=problem.tau,
        tokens_input=problem.tokens_input,
        tokens_output=problem.tokens_output,
        arrivals=problem.arrivals,
    )
    assert found.chosen.tolist() == expected.chosen.tolist()
    assert found.total_cost_micro_usd == expected.total_cost_micro_usd


def test_a_fleet_over_classes_costs_what_the_program_over_queries_costs() -> None:
    problem = crowd(60, 6, arrivals=True)
    fees = {name: (Contract(fee_usd=0.002),) for name in problem.catalog.names}
    limits = Constraints(max_models=3, contracts=fees)
    coupled = couple(problem, limits)
    raw = fleet_module._one_program(coupled, None, 60.0, None)
    assert raw is not None
    assert plan(problem, limits).value == pytest.approx(raw.bound, rel=1e-9)
    assert len(query_classes(coupled)) < len(coupled.supply)


def test_request_caps_need_no_integer_variables() -> None:
    problem = crowd(250, 8, arrivals=True)
    total = int(problem.arrivals.sum())
    caps = {name: total // 4 for name in problem.catalog.names}
    assert relax(couple(problem, Constraints(max_requests=caps))).whole


def test_the_bound_of_token_caps_is_never_above_the_cost() -> None:
    problem = crowd(250, 8)
    tokens = int((problem.tokens_input + problem.tokens_output).sum())
    found = plan(
        problem, Constraints(max_tokens={name: tokens // 5 for name in problem.catalog.names})
    )
    assert found.bound <= found.value
    assert found.gap < 0.01


def test_a_shadow_price_is_what_one_more_request_saves() -> None:
    problem = crowd(120, 6)
    name = problem.catalog.names[int(np.bincount(plan(problem).chosen).argmax())]
    most = int(np.bincount(plan(problem).chosen).max()) // 2
    tight = plan(problem, Constraints(max_requests={name: most}))
    looser = plan(problem, Constraints(max_requests={name: most + 1}))
    (shadow,) = tight.shadow_prices
    assert shadow.limit == f"requests of {name}"
    assert tight.value - looser.value == pytest.approx(shadow.per_unit, abs=1e-6)


def test_the_smallest_relaxation_of_a_cap_is_enough_and_one_less_is_not() -> None:
    catalog = Catalog((profile("weak", (0.1,) * 4), profile("strong", (0.9,) * 4)))
    problem = formulate(Requirements(np.full((50, 4), 0.8)), catalog, tau=0.0)
    found = plan(problem, Constraints(max_requests={"strong": 10}))
    assert found.status == "infeasible"
    assert found.infeasibility is not None
    assert found.infeasibility.conflict == ("requests of strong",)
    assert found.infeasibility.relaxations == (RelaxedLimit("max_requests", "strong", 40),)
    assert found.infeasibility.words == (
        "No plan satisfies requests of strong. "
        "Any one of these is enough: raise strong's cap by 40 requests."
    )
    assert plan(problem, Constraints(max_requests={"strong": 50})).status == "optimal"
    assert plan(problem, Constraints(max_requests={"strong": 49})).status == "infeasible"


@given(data=st.data())
def test_limits_that_conflict_are_few_and_relaxing_as_told_helps(data: st.DataObject) -> None:
    problem = data.draw(small_problems())
    caps = _some(data.draw, list(problem.catalog.names), st.integers(0, 3))
    found = plan(problem, Constraints(max_requests=caps))
    if found.infeasibility is None:
        return
    conflict = [words.removeprefix("requests of ") for words in found.infeasibility.conflict]
    assert conflict
    assert set(conflict) <= set(caps)
    only = {name: caps[name] for name in conflict}
    assert plan(problem, Constraints(max_requests=only)).status == "infeasible"
    if len(conflict) > 1:
        rest = {name: caps[name] for name in conflict[1:]}
        assert plan(problem, Constraints(max_requests=rest)).status != "infeasible"
    for limit in found.infeasibility.relaxations:
        more = limit.applied_to(Constraints(max_requests=caps))
        assert plan(problem, more).status != "infeasible"
        less = {**more.max_requests, limit.key: more.max_requests[limit.key] - 1}
        assert plan(problem, Constraints(max_requests=less)).status == "infeasible"


def test_a_relaxation_of_a_token_cap_is_enough_for_whole_requests() -> None:
    # 500 tokens hold two requests of 200, not two and a half.
    middle, strong = profile("middle", (0.5,) * 4), profile("strong", (0.9,) * 4)
    needs = Requirements(np.array([[0.4] * 4, [0.8] * 4]))
    problem = formulate(
        needs, Catalog((middle, strong)), tau=0.0, tokens_input=100, tokens_output=100,
        arrivals=[5, 1],
    )  # fmt: skip
    for cap in (100, 700):  # without and with a fractional plan
        found = plan(problem, Constraints(max_tokens={"middle": 500, "strong": cap}))
        assert found.infeasibility is not None
        more = RelaxedLimit("max_tokens", "strong", 800 - cap)
        assert more in found.infeasibility.relaxations
    assert plan(problem, Constraints(max_tokens={"middle": 500, "strong": 800})).status != (
        "infeasible"
    )


@given(data=st.data())
def test_every_relaxation_of_a_token_cap_is_enough(data: st.DataObject) -> None:
    problem = data.draw(small_problems())
    caps = _some(data.draw, list(problem.catalog.names), st.integers(0, 150).map(lambda n: n * 10))
    found = plan(problem, Constraints(max_tokens=caps))
    if found.infeasibility is None:
        return
    for limit in found.infeasibility.relaxations:
        more = limit.applied_to(Constraints(max_tokens=caps))
        assert plan(problem, more).status != "infeasible"


def test_a_fleet_too_small_says_how_many_models_it_takes() -> None:
    left = profile("left", (0.9, 0.1, 0.1, 0.1))
    right = profile("right", (0.1, 0.9, 0.1, 0.1))
    needs = Requirements(np.array([[0.9, 0.1, 0.1, 0.1], [0.1, 0.9, 0.1, 0.1]]))
    problem = formulate(needs, Catalog((left, right)), tau=0.0)
    found = plan(problem, Constraints(max_models=1))
    assert found.infeasibility is not None
    (more,) = found.infeasibility.relaxations
    assert more.words == "allow 1 more model"
    assert more.applied_to(Constraints(max_models=1)) == Constraints(max_models=2)


def test_the_usage_of_the_rows_adds_up_to_that_of_the_plan() -> None:
    problem = crowd(80, 5, arrivals=True)
    own = {"m01": (Contract("deal", usd_per_mtok_input=0.01, usd_per_mtok_output=0.02),)}
    found = plan(problem, Constraints(contracts=own, max_requests={"m01": 40}))
    rows = found.to_frame()
    assert rows["usage_micro_usd"].sum() == pytest.approx(found.usage_micro_usd, rel=1e-9)
    assert rows["requests"].sum() == problem.arrivals.sum()


def test_no_constraints_are_false_and_any_is_true() -> None:
    assert not Constraints()
    assert Constraints(max_requests={"a": 0})


@pytest.mark.parametrize("most", [2, 3])
def test_the_budget_that_a_fleet_needs_is_that_of_the_fleet(most: int) -> None:
    problem = crowd(60, 5)
    fleet = plan(problem, Constraints(max_models=most))
    free = plan(problem)
    assert fleet.value > free.value  # the fleet costs more than the flows alone would
    found = plan(problem, Constraints(max_models=most, budget_usd=free.value / 2e6))
    assert found.infeasibility is not None
    (more,) = found.infeasibility.relaxations
    assert more.kind == "budget_usd"
    assert more.amount == pytest.approx((fleet.value - free.value / 2) / 1e6, rel=0.01)
    assert plan(problem, more.applied_to(found.constraints)).status != "infeasible"


def test_a_plan_that_is_stopped_invents_no_result() -> None:
    problem = crowd(300, 8)
    caps = {name: 60 for name in problem.catalog.names}
    with pytest.raises(PlanningStoppedError):
        plan(problem, Constraints(max_requests=caps), stop=lambda: True)


def test_requests_that_no_model_can_serve_are_counted_and_left_out() -> None:
    nobody = Catalog((profile("off", (1.0,) * 4, available=False),))
    found = plan(formulate(Requirements(np.full((3, 4), 0.5)), nobody, arrivals=2))
    assert found.unassigned == 6
    assert found.total_cost_micro_usd == 0


@pytest.mark.skipif(
    "PULP_CBC_CMD" not in available_solvers(), reason="this PuLP brings no CBC, or it cannot run"
)
@given(data=st.data())
@settings(max_examples=25)
def test_cbc_agrees_with_highs_on_plans(data: st.DataObject) -> None:
    problem = data.draw(small_problems())
    draw: Any = data.draw
    limits = Constraints(**_row(draw, data.draw(st.sampled_from(ROWS)), problem))
    highs, cbc = (plan(problem, limits, solver=s) for s in ("HiGHS", "PULP_CBC_CMD"))
    assert cbc.status == highs.status
    if highs.status != "infeasible":
        assert cbc.value == pytest.approx(highs.value, abs=1e-6, rel=1e-7)


# -- constraints ----------------------------------------------------------------------------------


def test_both_sides_of_and_keep_the_tighter_limit() -> None:
    one = Constraints(max_requests={"a": 5, "b": 1}, budget_usd=2.0, min_share_within_tau=0.5)
    two = Constraints(max_requests={"a": 3}, budget_usd=9.0, min_share_within_tau=0.9)
    both = one & two
    assert dict(both.max_requests) == {"a": 3, "b": 1}
    assert both.budget_usd == 2.0
    assert both.min_share_within_tau == 0.9


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_requests": {"a": -1}}, "max_requests of 'a' must be a whole number of requests"),
        ({"max_requests": {"a": 1.5}}, "received 1.5"),
        ({"max_provider_share": {"x": 1.2}}, "must be a share in"),
        ({"min_provider_share": {"x": 0.7, "y": 0.6}}, "asks for 1.30 of the requests"),
        ({"budget_usd": float("nan")}, "budget_usd must be a number from 0"),
        ({"max_models": 0}, "max_models must be a whole number of models, at least 1"),
        ({"contracts": {"a": ()}}, "contracts of 'a' must be Contracts"),
    ],
)
def test_a_limit_that_breaks_a_rule_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Constraints(**fields)


def test_a_constraint_on_a_model_that_is_not_there_lists_those_that_are() -> None:
    with pytest.raises(InvalidInputError, match=r"names the model 'gpt-9'.*there are m00, m01"):
        plan(crowd(3, 2), Constraints(max_requests={"gpt-9": 1}))


# -- properties -----------------------------------------------------------------------------------


@given(small_problems(), st.integers(2, 9))
def test_scaling_all_prices_scales_a_plan_under_caps(problem: RoutingProblem, factor: int) -> None:
    caps = {name: 2 for name in problem.catalog.names}
    catalog = problem.catalog
    for name in catalog.names:
        p = catalog[name]
        catalog = catalog.replace(
            name,
            usd_per_mtok_input=p.usd_per_mtok_input * factor,
            usd_per_mtok_output=p.usd_per_mtok_output * factor,
        )
    before = plan(problem, Constraints(max_requests=caps))
    after = plan(problem.against(catalog), Constraints(max_requests=caps))
    assert before.status == after.status
    if before.status != "infeasible":
        assert after.value == pytest.approx(factor * before.value, rel=1e-6, abs=1e-5)


def test_under_token_caps_a_dearer_model_can_get_more_requests() -> None:
    # Kept as the counterexample to a property that holds without caps. Under 900 tokens, "a" has
    # room for one long prompt or for two short ones with long answers; its answers are free, so
    # its price weighs on the long prompt most.
    needs = Requirements(np.zeros((3, 4)))
    rival = profile("b", (1.0,) * 4, usd_per_mtok_input=1.0, usd_per_mtok_output=0.9)

    def requests_of_a(price: float) -> int:
        a = profile("a", (1.0,) * 4, usd_per_mtok_input=price, usd_per_mtok_output=0.0)
        problem = formulate(
            needs,
            Catalog((a, rival)),
            tokens_input=[850, 50, 50],
            tokens_output=[50, 400, 400],
        )
        return int(plan(problem, Constraints(max_tokens={"a": 900})).requests_by_model[0])

    assert requests_of_a(0.0) == 1
    assert requests_of_a(0.5) == 2
