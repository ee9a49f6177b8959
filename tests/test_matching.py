from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydra_nb import (
    DIMENSIONS,
    Catalog,
    InvalidInputError,
    Requirements,
    formulate,
    match,
    shortfall,
)
from tests.reference import reference_choice
from tests.strategies import catalogs, profile, requirements, taus, token_counts, weights

CHEAP = profile("cheap", (0.2,) * 4, usd_per_mtok_input=0.1, usd_per_mtok_output=0.4)
MIDDLE = profile("middle", (0.6, 0.6, 0.5, 0.5))
STRONG = profile("strong", (0.9,) * 4, usd_per_mtok_input=3.0, usd_per_mtok_output=15.0)
POOL = Catalog((CHEAP, MIDDLE, STRONG))


def test_shortfall_adds_weighted_lacks_and_ignores_surpluses() -> None:
    needs = Requirements([[0.7, 0.1, 0.6, 0.0]])
    # middle lacks 0.1 reasoning (weight 2) and 0.1 debugging (weight 1); surpluses count nothing.
    computed = shortfall(needs, Catalog((MIDDLE,)), weights=[2.0, 1.0, 1.0, 1.0])
    assert computed == pytest.approx(np.array([[0.3]]))


def test_the_cheapest_model_within_tau_is_chosen() -> None:
    assert match(Requirements.of(reasoning=0.55), POOL, tau=0.0).names == ("middle",)


def test_a_shortfall_of_exactly_tau_is_within_it() -> None:
    # 0.3 − 0.2 is not 0.1 in binary; the epsilon must absorb that.
    assert match(Requirements.of(reasoning=0.3), POOL, tau=0.1).names == ("cheap",)


def test_nothing_within_tau_fails_open_to_the_least_shortfall() -> None:
    result = match(Requirements.of(reasoning=1.0, debugging=1.0), POOL, tau=0.0)
    assert result.names == ("strong",)
    assert result.failed_open.tolist() == [True]


def test_no_available_model_gives_minus_one_and_no_cost() -> None:
    off = Catalog(tuple(p.changed(available=False) for p in POOL))
    result = match(Requirements.of(reasoning=0.5), off)
    assert result.chosen.tolist() == [-1]
    assert result.names == (None,)
    assert np.isnan(result.cost_micro_usd[0])
    assert not result.failed_open[0]


def test_a_prompt_too_long_for_the_context_goes_elsewhere() -> None:
    pool = POOL.replace("cheap", context_window=1_000)
    result = match(Requirements.of(), pool, tokens_input=900, tokens_output=200)
    assert result.names == ("middle",)


def test_images_go_to_models_that_read_them() -> None:
    pool = POOL.replace("strong", modalities=["text", "image"])
    result = match(Requirements.of(), pool, modalities=("text", "image"))
    assert result.names == ("strong",)


def test_context_and_modality_gates_open_where_they_would_leave_nothing() -> None:
    result = match(Requirements.of(), POOL, modalities=("video",))
    assert result.names == ("cheap",)
    assert result.problem.gates_failed_open.tolist() == [True]


def test_the_context_gate_opens_before_the_modality_gate() -> None:
    pool = POOL.replace("strong", modalities=["text", "image"], context_window=100)
    result = match(Requirements.of(), pool, modalities=("text", "image"), tokens_input=5_000)
    assert result.names == ("strong",)
    assert result.problem.gates_failed_open.tolist() == [True]


def test_a_catalog_given_by_name_is_refused_with_the_way_to_get_it() -> None:
    with pytest.raises(InvalidInputError, match=r"Catalog\.sample\('paper_pool'\)"):
        match(Requirements.of(), "paper_pool")  # type: ignore[arg-type]


def test_cost_is_tokens_times_price_in_micro_usd() -> None:
    result = match(Requirements.of(), POOL, tokens_input=100, tokens_output=10)
    # 100 × 0.1 + 10 × 0.4
    assert result.cost_micro_usd == pytest.approx([14.0])
    assert result.total_cost_micro_usd == 14


def test_ties_of_cost_go_to_the_smaller_shortfall_then_to_the_first_name() -> None:
    needs = Requirements.of(reasoning=0.6)
    worse, twin_b, twin_a = (
        profile("aaa", (0.55, 1, 1, 1)),
        profile("b", (0.6, 0, 0, 0)),
        profile("a", (0.6, 0, 0, 0)),
    )
    assert match(needs, Catalog((worse, twin_b, twin_a)), tau=0.1).names == ("a",)


def test_the_frame_has_one_row_a_query_with_units_in_its_columns() -> None:
    frame = match(Requirements([[0.1] * 4, [0.9] * 4]), POOL, tokens_input=[10, 20]).to_frame()
    assert frame["chosen"].tolist() == ["cheap", "strong"]
    assert {*DIMENSIONS, "cost_micro_usd", "tokens_input", "shortfall"} <= set(frame.columns)


def test_an_empty_catalog_assigns_nothing() -> None:
    assert match(Requirements([[0.5] * 4] * 3), Catalog(())).chosen.tolist() == [-1, -1, -1]


@given(
    catalogs(),
    requirements(max_queries=1),
    taus,
    weights,
    token_counts,
    token_counts,
    st.booleans(),
)
def test_match_agrees_with_a_brute_force_over_exact_fractions(
    catalog: Catalog,
    needs: Requirements,
    tau: float,
    w: tuple[float, ...],
    tokens_input: int,
    tokens_output: int,
    image: bool,
) -> None:
    modalities = ("text", "image") if image else ("text",)
    result = match(
        needs,
        catalog,
        tau=tau,
        dimension_weights=w,
        tokens_input=tokens_input,
        tokens_output=tokens_output,
        modalities=modalities,
    )
    expected = reference_choice(
        catalog,
        dict(needs.row(0)),
        tau=tau,
        weights=dict(zip(DIMENSIONS, w, strict=True)),
        tokens_input=tokens_input,
        tokens_output=tokens_output,
        modalities=frozenset(modalities),
    )
    assert result.names == (expected,)


@given(catalogs(), requirements(), taus, taus)
def test_raising_tau_never_raises_a_querys_cost(
    catalog: Catalog, needs: Requirements, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    before = match(needs, catalog, tau=low).cost_micro_usd
    after = match(needs, catalog, tau=high).cost_micro_usd
    assert np.all((after <= before) | np.isnan(before))


@given(catalogs(), requirements(), taus, st.sampled_from([1.5, 10.0]))
def test_raising_a_price_never_adds_a_query_to_that_model(
    catalog: Catalog, needs: Requirements, tau: float, factor: float
) -> None:
    target = catalog[0]
    dearer = catalog.replace(
        target.name,
        usd_per_mtok_input=target.usd_per_mtok_input * factor,
        usd_per_mtok_output=target.usd_per_mtok_output * factor + 0.01,
    )
    before = match(needs, catalog, tau=tau, tokens_input=100).chosen == 0
    after = match(needs, dearer, tau=tau, tokens_input=100).chosen == 0
    assert not np.any(after & ~before)


@given(catalogs(min_size=2), requirements(), taus)
def test_removing_a_model_nobody_chose_changes_nothing(
    catalog: Catalog, needs: Requirements, tau: float
) -> None:
    result = match(needs, catalog, tau=tau)
    unchosen = [name for name in catalog.names if name not in result.names]
    # Context gates open per query where they leave nothing, which an unchosen model can decide.
    for name in unchosen[:1]:
        rest = match(needs, catalog.remove(name), tau=tau)
        assert rest.names == result.names


@given(catalogs(), requirements(), taus)
def test_adding_a_model_never_worsens_excess_shortfall_then_cost(
    catalog: Catalog, needs: Requirements, tau: float
) -> None:
    newcomer = profile("zz", (0.5, 0.7, 0.3, 0.6), usd_per_mtok_input=0.5)
    same_context = Catalog(tuple(p.changed(context_window=100_000) for p in catalog))
    before = match(needs, same_context, tau=tau)
    after = match(needs, same_context.add(newcomer), tau=tau)
    for row in np.flatnonzero(before.chosen >= 0):
        excess_before = max(0.0, before.shortfall[row] - tau)
        excess_after = max(0.0, after.shortfall[row] - tau)
        assert excess_after <= excess_before + 1e-9
        if abs(excess_after - excess_before) <= 1e-9:
            assert after.cost_micro_usd[row] <= before.cost_micro_usd[row] + 1e-6


def test_adding_a_model_can_raise_cost_when_a_query_had_failed_open() -> None:
    # The counterexample that keeps "adding never raises cost" off the list of properties.
    needs = Requirements.of(reasoning=0.8)
    pool = Catalog((CHEAP,))
    assert (
        match(needs, pool, tau=0.0).cost_micro_usd
        < match(needs, pool.add(STRONG), tau=0.0).cost_micro_usd
    )


def test_an_outage_can_lower_cost_when_a_query_then_fails_open() -> None:
    needs = Requirements.of(reasoning=0.8)
    pool = Catalog((CHEAP, STRONG))
    outage = pool.replace("strong", available=False)
    assert match(needs, outage, tau=0.0).cost_micro_usd < match(needs, pool, tau=0.0).cost_micro_usd


@given(catalogs(), requirements(), taus, st.sampled_from([0.5, 2.0, 4.0]))
def test_scaling_all_prices_scales_the_cost_and_keeps_the_assignment(
    catalog: Catalog, needs: Requirements, tau: float, factor: float
) -> None:
    scaled = Catalog(
        tuple(
            p.changed(
                usd_per_mtok_input=p.usd_per_mtok_input * factor,
                usd_per_mtok_output=p.usd_per_mtok_output * factor,
            )
            for p in catalog
        )
    )
    before, after = match(needs, catalog, tau=tau), match(needs, scaled, tau=tau)
    assert before.names == after.names
    np.testing.assert_allclose(after.cost_micro_usd, before.cost_micro_usd * factor)


@given(catalogs(), requirements(), taus, st.randoms())
def test_order_of_models_and_queries_does_not_matter(
    catalog: Catalog, needs: Requirements, tau: float, random: object
) -> None:
    profiles, rows = list(catalog), list(range(len(needs)))
    random.shuffle(profiles)  # type: ignore[attr-defined]
    random.shuffle(rows)  # type: ignore[attr-defined]
    before = match(needs, catalog, tau=tau).names
    after = match(Requirements(needs.values[rows]), Catalog(tuple(profiles)), tau=tau).names
    assert [before[row] for row in rows] == list(after)


@given(catalogs(), requirements(max_queries=1), taus, st.integers(0, 3))
def test_cost_is_concave_in_each_price(
    catalog: Catalog, needs: Requirements, tau: float, step: int
) -> None:
    def cost(price: float) -> float:
        moved = catalog.replace(catalog[0].name, usd_per_mtok_input=price)
        return float(match(needs, moved, tau=tau, tokens_input=100).cost_micro_usd[0])

    low, high = 0.5 * step, 0.5 * step + 2.0
    middle = cost((low + high) / 2)
    assert np.isnan(middle) or middle >= (cost(low) + cost(high)) / 2 - 1e-6


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tau": -0.1}, "tau"),
        ({"tau": float("nan")}, "tau"),
        ({"tau": "0.1"}, "tau"),
        ({"tau": 10**400}, "tau"),
        ({"tokens_input": 2**62, "tokens_output": 2**62}, "tokens_input"),
        ({"dimension_weights": {"reasoning": "2"}}, "must be numbers"),
        ({"dimension_weights": (1e308, 1.0, 1.0, 1.0)}, "at most"),
        ({"tokens_input": -1}, "tokens_input"),
        ({"tokens_input": [1, 2]}, "2 entries, but there are 1"),
        ({"tokens_output": 1.5}, "tokens_output"),
        ({"modalities": ("smell",)}, "'smell'"),
        ({"dimension_weights": {"speed": 1.0}}, "'speed'"),
        ({"dimension_weights": (1.0, 1.0)}, "4 numbers"),
        ({"dimension_weights": (1.0, float("nan"), 1.0, 1.0)}, "code_generation"),
        ({"dimension_weights": (-1.0, 1.0, 1.0, 1.0)}, "at least 0"),
        ({"dimension_weights": (0, 0, 0, 0)}, "all 0"),
    ],
)
def test_bad_options_are_refused_by_name(options: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        formulate(Requirements.of(), POOL, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([[0.1, 0.2, 0.3]], "expected"),
        ([[0.1, 0.2, 0.3, float("nan")]], "row 0, tool_use"),
        ([[0.1] * 4, [0.1, 1.2, 0.3, 0.4]], "row 1, code_generation"),
        ([["a", "b", "c", "d"]], "must be numbers"),
    ],
)
def test_bad_requirements_are_refused_with_row_and_dimension(values: object, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        Requirements(values)  # type: ignore[arg-type]


def test_eligible_sets_of_a_pool_with_a_band_use_compensated_weights() -> None:
    band = {name: (0.0, 0.5) for name in DIMENSIONS} | {"reasoning": (0.0, 1.0)}
    banded = Catalog(POOL.profiles, capability_band=band)
    problem = formulate(Requirements.of(reasoning=0.5), banded)
    # 1/1 : 1/0.5 : 1/0.5 : 1/0.5 with sum 4 → 4/7 and 8/7 (Eq. 4)
    assert problem.effective_weights == pytest.approx([4 / 7, 8 / 7, 8 / 7, 8 / 7])
