from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydra_nb import Catalog, CatalogError, Evidence, Requirements, RoutingProblem, formulate
from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.matching import assign
from hydra_nb.profiling import profiled
from hydra_nb.sensitivity import Outage, outage, outage_table
from tests.strategies import profile
from tests.test_sensitivity_price import problems

CHEAP = profile("cheap", (0.2,) * 4, usd_per_mtok_input=0.1, usd_per_mtok_output=0.4)
STRONG = profile("strong", (0.9,) * 4, usd_per_mtok_input=3.0, usd_per_mtok_output=15.0)


def reference(problem: RoutingProblem, off: tuple[str, ...]) -> Outage:
    """Return the outage by formulating everything anew, query by query."""
    catalog = problem.catalog
    for name in off:
        catalog = catalog.replace(name, available=False)
    one, two = assign(problem), assign(problem.against(catalog))
    moved = unserved = short = still = 0
    cost = gap = 0.0
    to: dict[str, int] = {}
    for q, count in enumerate(problem.arrivals.tolist()):
        before, after = one.names[q], two.names[q]
        if two.failed_open[q] and not one.failed_open[q]:
            short += count
        if before is not None and after is None:
            unserved += count
        if before is not None and after is not None:
            still += count
            cost += count * (two.cost_micro_usd[q] - one.cost_micro_usd[q])
            gap += count * (two.shortfall[q] - one.shortfall[q])
            if before != after:
                moved += count
                to[after] = to.get(after, 0) + count
    return Outage(off, moved, unserved, short, cost, gap / still if still else np.nan, to)


def check(one: Outage, two: Outage) -> None:
    assert one.extra_cost_micro_usd == pytest.approx(two.extra_cost_micro_usd, abs=1e-6)
    assert one.extra_mean_shortfall == pytest.approx(
        two.extra_mean_shortfall, abs=1e-12, nan_ok=True
    )
    for name in ("models", "requests_moved", "requests_unserved", "requests_newly_short"):
        assert getattr(one, name) == getattr(two, name)
    assert one.destinations == two.destinations


@given(problems(max_queries=6))
def test_each_row_of_the_table_equals_formulating_without_the_model(
    problem: RoutingProblem,
) -> None:
    table = outage_table(problem)
    assert [row.models[0] for row in table] == [p.name for p in problem.catalog if p.available]
    for row in table:
        check(row, reference(problem, row.models))


@given(problems(max_queries=6), st.data())
def test_any_set_of_outages_equals_formulating_without_it(
    problem: RoutingProblem, data: st.DataObject
) -> None:
    names = data.draw(st.lists(st.sampled_from(problem.catalog.names), unique=True))
    check(outage(problem, names), reference(problem, tuple(names)))


@given(
    st.lists(st.sampled_from([0.0, 4e-10, 9e-10, 1.4e-9, 2.1e-9]), min_size=2, max_size=5),
    st.lists(st.sampled_from([1.0, 2.0]), min_size=5, max_size=5),
    st.sampled_from([0.0, 0.2, 0.5]),
)
def test_outages_are_exact_where_shortfalls_are_a_hair_apart(
    hairs: list[float], prices: list[float], tau: float
) -> None:
    pool = Catalog(
        tuple(
            profile(name, (0.6 - hair, 1, 1, 1), usd_per_mtok_input=price)
            for name, hair, price in zip("edcba", hairs, prices, strict=False)
        )
    )
    problem = formulate(Requirements.of(reasoning=0.8), pool, tau=tau, tokens_input=10)
    for row in outage_table(problem):
        check(row, reference(problem, row.models))


def test_an_outage_can_lower_the_cost_and_then_raises_the_shortfall() -> None:
    # The counterexample that keeps "an outage never lowers cost" off the list of properties.
    problem = formulate(Requirements.of(reasoning=0.8), Catalog((CHEAP, STRONG)), tau=0.0)
    row = outage(problem, "strong")
    assert row.extra_cost_micro_usd < 0
    assert row.extra_mean_shortfall == pytest.approx(0.6)
    assert row.requests_newly_short == 1


def test_the_context_gate_opens_where_the_only_model_with_the_window_goes_off() -> None:
    small = CHEAP.changed(context_window=100)
    problem = formulate(Requirements.of(), Catalog((small, STRONG)), tokens_input=5_000, arrivals=7)
    assert outage_table(problem)[1].destinations == {"cheap": 7}


def test_without_any_other_model_requests_are_left_unserved() -> None:
    pool = Catalog((CHEAP.changed(available=False), STRONG))
    row = outage_table(formulate(Requirements.of(), pool, arrivals=9))[0]
    assert (row.requests_unserved, row.requests_moved, row.destinations) == (9, 0, {})
    assert repr(row) == "Outage(strong off: 9 requests left without a model)"


@given(problems())
def test_removing_a_model_nobody_chose_changes_nothing(problem: RoutingProblem) -> None:
    before = assign(problem).names
    for name in problem.catalog.names:
        if name not in before:
            assert assign(problem.against(problem.catalog.remove(name))).names == before


@given(problems())
def test_adding_a_model_never_worsens_excess_shortfall_then_cost(problem: RoutingProblem) -> None:
    # Gates that open or shut are another matter: all windows and modalities are wide here.
    wide = {"context_window": 100_000, "modalities": ("text", "image", "video")}
    same = problem.against(Catalog(tuple(p.changed(**wide) for p in problem.catalog)))
    newcomer = profile("zz", (0.5, 0.7, 0.3, 0.6), usd_per_mtok_input=0.5, **wide)
    before, after = assign(same), assign(same.against(same.catalog.add(newcomer)))
    for q in np.flatnonzero(before.chosen >= 0):
        old = max(0.0, before.shortfall[q] - problem.tau)
        new = max(0.0, after.shortfall[q] - problem.tau)
        assert new <= old + 1e-9
        if abs(new - old) <= 1e-9:
            assert after.cost_micro_usd[q] <= before.cost_micro_usd[q] + 1e-6


def test_adding_a_model_can_raise_the_cost() -> None:
    alone = formulate(Requirements.of(reasoning=0.8), Catalog((CHEAP,)), tau=0.0)
    both = alone.against(Catalog((CHEAP, STRONG)))
    assert assign(both).total_cost_micro_usd > assign(alone).total_cost_micro_usd


def test_with_profiles_relative_to_the_pool_removing_an_unused_model_can_change_choices() -> None:
    # Eq. 3 stretches scores over the pool. Without "weak", "cheap" is the weakest and drops from
    # the middle of the band to its low end, and the query goes to "dear".
    def scored(name: str, score: float, price: float):  # type: ignore[no-untyped-def]
        evidence = tuple(
            Evidence(dimension=d, benchmark="b", score=score, source="s", date="2025")
            for d in DIMENSIONS
        )
        return profile(name, evidence=evidence, usd_per_mtok_output=price)

    scores = (scored("cheap", 0.5, 1.0), scored("dear", 0.9, 9.0), scored("weak", 0.1, 5.0))
    pool = profiled(Catalog(scores), {d: (0.2, 0.8) for d in DIMENSIONS})
    problem = formulate(Requirements.of(reasoning=0.5), pool, tau=0.1)
    assert assign(problem).names == ("cheap",)
    assert assign(problem.against(pool.remove("weak"))).names == ("cheap",)
    assert assign(problem.against(profiled(pool.remove("weak")))).names == ("dear",)


@given(problems(), st.randoms())
def test_order_of_models_and_queries_does_not_matter_to_outages(
    problem: RoutingProblem, random: object
) -> None:
    profiles, rows = list(problem.catalog), list(range(len(problem.requirements)))
    random.shuffle(profiles)  # type: ignore[attr-defined]
    random.shuffle(rows)  # type: ignore[attr-defined]
    shuffled = problem.rows(rows).against(Catalog(tuple(profiles)))
    expected = {row.models: row for row in outage_table(problem)}
    for row in outage_table(shuffled):
        check(row, expected[row.models])


def test_an_unknown_model_is_refused_by_name() -> None:
    with pytest.raises(CatalogError, match="no model 'gone'"):
        outage(formulate(Requirements.of(), Catalog((CHEAP,))), "gone")


def test_the_table_reads_as_a_frame_with_where_requests_go() -> None:
    problem = formulate(Requirements.of(), Catalog((CHEAP, STRONG)), arrivals=1_200)
    frame = outage_table(problem).to_frame()
    assert frame["off"].tolist() == ["cheap", "strong"]
    assert frame["destinations"].tolist() == ["strong 1,200", ""]


def test_an_empty_catalog_has_no_outages() -> None:
    assert outage_table(formulate(Requirements.of(), Catalog(()))) == ()
