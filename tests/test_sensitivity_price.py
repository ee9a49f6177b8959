from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydra_nb import Catalog, InvalidInputError, Requirements, RoutingProblem, formulate
from hydra_nb.matching import assign
from hydra_nb.sensitivity import BreakEven, break_even, break_even_table
from tests.strategies import catalogs, profile, requirements, taus, weights

PRICES = st.sampled_from([0.0, 0.1, 0.25, 0.7, 1.0, 3.0, 15.0])


@st.composite
def problems(draw: st.DrawFn, *, max_queries: int = 4, max_size: int = 6) -> RoutingProblem:
    """Draw a workload with ties, gates that open, zero tokens, arrivals and failing open."""
    needs = draw(requirements(max_queries=max_queries))
    count = len(needs)

    def column(values: st.SearchStrategy[int]) -> list[int]:
        return draw(st.lists(values, min_size=count, max_size=count))

    tokens = st.sampled_from([0, 1, 7, 100, 300, 1_000])
    reads = st.sampled_from([("text",), ("text", "image"), ("text", "video")])
    return formulate(
        needs,
        draw(catalogs(max_size=max_size)),
        tau=draw(taus),
        dimension_weights=draw(weights),
        tokens_input=column(tokens),
        tokens_output=column(tokens),
        modalities=draw(st.lists(reads, min_size=count, max_size=count)),
        arrivals=column(st.sampled_from([1, 1, 3, 50])),
    )


def repriced(problem: RoutingProblem, row: BreakEven, price: float) -> RoutingProblem:
    change = {f"usd_per_mtok_{row.price}": price}
    return problem.against(problem.catalog.replace(row.model, **change))


def has(problem: RoutingProblem, row: BreakEven, price: float) -> np.ndarray:
    index = problem.catalog.index(row.model)
    return assign(repriced(problem, row, price)).chosen == index


def duel(name: str = "a", **fields: float) -> RoutingProblem:
    """Return one query of 100 tokens in and 10 out between `name` and z, which costs $1 and $4."""
    pool = Catalog((profile(name, **fields), profile("z")))
    return formulate(Requirements.of(), pool, tokens_input=100, tokens_output=10, tau=0.0)


def test_the_threshold_of_one_prompt_is_what_is_left_of_the_rivals_cost() -> None:
    # z costs 100 · 1 + 10 · 4 = 140; of that 10 · 6 go to a's output, 80 are left for 100 tokens.
    row = break_even(duel(usd_per_mtok_output=6.0), "a", price="input")
    assert row.threshold.tolist() == [0.8]


def test_a_threshold_is_negative_where_the_other_price_alone_is_too_dear() -> None:
    row = break_even(duel(usd_per_mtok_output=20.0), "a", price="input")
    assert row.threshold.tolist() == [-0.6]
    assert (row.enters_at, row.first_loses_at, row.requests_never) == (None, None, 1)


@pytest.mark.parametrize(("name", "wins"), [("a", True), ("zz", False)])
def test_at_the_break_even_price_the_name_that_sorts_first_wins(name: str, wins: bool) -> None:
    problem = duel(name, usd_per_mtok_output=6.0)
    row = break_even(problem, name)
    assert row.wins_tie.tolist() == [wins]
    assert row.wins(0.8).tolist() == has(problem, row, 0.8).tolist() == [wins]


def test_at_the_break_even_price_the_smaller_shortfall_wins_before_the_name() -> None:
    pool = Catalog((profile("a", (0.5, 0.5, 0.5, 0.5)), profile("b", (0.6, 0.5, 0.5, 0.5))))
    problem = formulate(Requirements.of(reasoning=0.6), pool, tau=0.1, tokens_input=100)
    assert not break_even(problem, "a").wins_tie[0]
    assert break_even(problem, "b").wins_tie[0]


def test_a_model_without_an_eligible_rival_is_captive_at_any_price() -> None:
    pool = Catalog((profile("a", (0.9,) * 4), profile("b", (0.1,) * 4)))
    needs = Requirements([[0.8] * 4, [0.0] * 4])
    problem = formulate(needs, pool, tau=0.0, tokens_input=10, arrivals=[5, 2])
    row = break_even(problem, "a")
    assert row.requests_captive == 5
    assert row.threshold.tolist() == [np.inf, 1.0]


def test_without_tokens_on_a_side_its_price_decides_nothing() -> None:
    pool = Catalog((profile("a", usd_per_mtok_output=1.0), profile("b"), profile("c")))
    problem = formulate(Requirements.of(), pool, tokens_input=0, tokens_output=10)
    a, b = break_even(problem, "a"), break_even(problem, "b")
    assert (a.threshold[0], a.requests_indifferent, a.requests_captive) == (np.inf, 1, 0)
    assert (b.threshold[0], b.requests_never) == (-np.inf, 1)


def test_the_curve_of_two_prompts_by_hand() -> None:
    # b costs 100 · 1 and 100 · 1 + 50 · 4; a's output is free: thresholds 1 and 3.
    pool = Catalog((profile("a", usd_per_mtok_output=0.0), profile("b")))
    problem = formulate(
        Requirements([[0.0] * 4] * 2),
        pool,
        tokens_input=100,
        tokens_output=[0, 50],
        arrivals=[4, 1],
    )
    curve = break_even(problem, "a").curve()
    assert curve.usd_per_mtok.tolist() == [0.0, 1.0, 3.0]
    assert curve.requests.tolist() == [5, 1, 0]
    assert curve.requests_at.tolist() == [5, 5, 1]  # a sorts first: it keeps what ties
    assert curve.tokens.tolist() == [500.0, 100.0, 0.0]
    assert curve.total_intercept.tolist() == [0.0, 400.0, 700.0]
    assert curve.share.tolist() == [1.0, 0.2, 0.0]


@given(problems())
def test_every_threshold_separates_what_the_model_has_from_what_it_has_not(
    problem: RoutingProblem,
) -> None:
    for row in break_even_table(problem):
        for query in range(len(row.threshold)):
            threshold = row.threshold[query]
            if 0 <= threshold <= 1e5:
                assert has(problem, row, float(threshold))[query] == row.wins_tie[query]
                assert not has(problem, row, float(threshold) + 1e-5)[query]
            if 1e-5 <= threshold <= 1e5:
                assert has(problem, row, float(threshold) - 1e-5)[query]
            if threshold < 0:
                assert not has(problem, row, 0.0)[query]
            if threshold > 1e5:
                assert has(problem, row, 1e5)[query]


@given(problems(max_queries=1))
def test_the_threshold_is_where_bisection_ends(problem: RoutingProblem) -> None:
    for row in break_even_table(problem):
        low, high = 0.0, 1e5
        if not has(problem, row, low)[0] or has(problem, row, high)[0]:
            continue
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if has(problem, row, middle)[0] else (low, middle)
        assert row.threshold[0] == pytest.approx(low, abs=1e-6)


@given(problems(), PRICES)
def test_the_curve_agrees_with_assign_at_any_price(problem: RoutingProblem, price: float) -> None:
    for row in break_even_table(problem):
        result = assign(repriced(problem, row, price))
        mine = has(problem, row, price)
        cost = float(np.nansum((result.cost_micro_usd * problem.arrivals)[mine]))
        point = row.curve().at(price)
        assert row.wins(price).tolist() == mine.tolist()
        assert point.requests == problem.arrivals[mine].sum()
        assert point.model_cost_micro_usd == pytest.approx(cost, abs=1e-3)
        assert point.total_cost_micro_usd == pytest.approx(
            np.nansum(result.cost_micro_usd * problem.arrivals), abs=1e-3
        )


@given(problems())
def test_the_curve_agrees_with_assign_at_and_between_its_breakpoints(
    problem: RoutingProblem,
) -> None:
    for row in break_even_table(problem):
        curve = row.curve()
        ends = np.append(curve.usd_per_mtok[1:], curve.usd_per_mtok[-1] + 1)
        for i, (at, end) in enumerate(zip(curve.usd_per_mtok, ends, strict=True)):
            if end > 1e5:
                continue
            middle = float(at + end) / 2
            here, between = has(problem, row, float(at)), has(problem, row, middle)
            assert curve.requests_at[i] == problem.arrivals[here].sum()
            if end - at > 1e-5:
                assert curve.requests[i] == problem.arrivals[between].sum()
                assert curve.tokens[i] == pytest.approx(
                    (getattr(problem, f"tokens_{row.price}") * problem.arrivals * between).sum()
                )


@given(problems())
def test_the_summary_agrees_with_assign(problem: RoutingProblem) -> None:
    result = assign(problem)
    for row in break_even_table(problem):
        mine = result.chosen == problem.catalog.index(row.model)
        assert row.requests == problem.arrivals[mine].sum()
        assert row.cost_micro_usd == pytest.approx(
            float((result.cost_micro_usd * problem.arrivals)[mine].sum())
        )


@given(problems())
def test_above_the_price_of_entry_a_model_has_only_what_it_has_at_any_price(
    problem: RoutingProblem,
) -> None:
    for row in break_even_table(problem):
        forever = row.requests_captive + row.requests_indifferent
        if row.enters_at is None:
            assert problem.arrivals[has(problem, row, 0.0)].sum() == forever
        elif row.enters_at < 1e5:
            above = has(problem, row, row.enters_at + 1e-5)
            assert problem.arrivals[above].sum() == forever
            below = has(problem, row, max(row.enters_at - 1e-5, 0.0))
            assert problem.arrivals[below].sum() > forever


@given(problems())
def test_up_to_its_first_loss_a_model_keeps_all_it_has_at_price_zero(
    problem: RoutingProblem,
) -> None:
    for row in break_even_table(problem):
        free = has(problem, row, 0.0)
        assert problem.arrivals[~free].sum() == row.requests_never
        if row.first_loses_at is None:
            assert has(problem, row, 1e5).tolist() == free.tolist()
        elif row.first_loses_at < 1e5:
            assert has(problem, row, max(row.first_loses_at - 1e-5, 0.0)).tolist() == free.tolist()
            assert has(problem, row, row.first_loses_at + 1e-5).sum() < free.sum()


@given(problems())
def test_the_total_cost_is_concave_and_continuous_in_each_price(problem: RoutingProblem) -> None:
    for row in break_even_table(problem):
        curve = row.curve()
        assert np.all(np.diff(curve.tokens) <= 0)
        before = curve.total_intercept[:-1] + curve.tokens[:-1] * curve.usd_per_mtok[1:]
        after = curve.total_intercept[1:] + curve.tokens[1:] * curve.usd_per_mtok[1:]
        np.testing.assert_allclose(before, after, atol=1e-3)


@given(problems())
def test_raising_a_price_never_adds_a_request_to_that_model(problem: RoutingProblem) -> None:
    for row in break_even_table(problem):
        curve = row.curve()
        falling = np.stack([curve.requests_at, curve.requests], axis=1).ravel()
        assert np.all(np.diff(falling) <= 0)


@given(problems(), st.sampled_from([0.5, 2.0, 4.0]))
def test_scaling_all_prices_scales_every_threshold(problem: RoutingProblem, factor: float) -> None:
    scaled = Catalog(
        tuple(
            p.changed(
                usd_per_mtok_input=p.usd_per_mtok_input * factor,
                usd_per_mtok_output=p.usd_per_mtok_output * factor,
            )
            for p in problem.catalog
        )
    )
    for one, other in zip(
        break_even_table(problem), break_even_table(problem.against(scaled)), strict=True
    ):
        np.testing.assert_allclose(other.threshold, one.threshold * factor, atol=1e-8)


def test_a_tie_among_shortfalls_a_hair_apart_is_decided_as_assign_does() -> None:
    # b is within 1e-9 of a and c of b, but c is not within 1e-9 of a.
    steps = {"c": 0.5, "b": 0.5 - 8e-10, "a": 0.5 - 1.5e-9}
    pool = Catalog(tuple(profile(n, (x, 1, 1, 1)) for n, x in steps.items()))
    problem = formulate(Requirements.of(reasoning=0.5), pool, tau=0.1, tokens_input=100)
    for row in break_even_table(problem, price="input"):
        assert row.wins(1.0).tolist() == has(problem, row, 1.0).tolist()


def test_a_switched_off_model_wins_nothing_at_any_price() -> None:
    row = break_even(duel(available=False), "a")
    assert row.threshold.tolist() == [-np.inf]


def test_the_table_has_both_prices_of_every_model() -> None:
    frame = break_even_table(duel()).to_frame()
    assert list(zip(frame["model"], frame["price"], strict=True)) == [
        ("a", "input"),
        ("a", "output"),
        ("z", "input"),
        ("z", "output"),
    ]


def test_no_model_and_no_query_make_empty_answers() -> None:
    assert break_even_table(formulate(Requirements.of(), Catalog(()))) == ()
    nothing = duel().rows(np.zeros(1, dtype=bool))
    assert break_even(nothing, "a").curve().requests.tolist() == [0]


def test_an_unknown_side_is_refused_by_name() -> None:
    with pytest.raises(InvalidInputError, match='"input" or "output"; received \'cached\''):
        break_even(duel(), "a", price="cached")  # type: ignore[arg-type]


@pytest.mark.parametrize("price", [-1.0, float("nan"), float("inf")])
def test_a_price_that_is_none_is_refused(price: float) -> None:
    with pytest.raises(InvalidInputError, match="finite and at least 0"):
        break_even(duel(), "a").curve().at(price)


def test_the_repr_says_where_it_stands() -> None:
    row = break_even(duel(usd_per_mtok_output=6.0), "a")
    assert repr(row) == (
        "BreakEven(a input price: 0 of 1 requests at $1.00, enters at $0.80, first loses at $0.80)"
    )
