from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from hydra_nb import Catalog, CatalogError, InvalidInputError, Requirements, RoutingProblem
from hydra_nb import formulate as make
from hydra_nb.matching import assign
from hydra_nb.sensitivity import fixed_regrets, regret
from tests.strategies import profile
from tests.test_sensitivity_price import problems

CHEAP = profile("cheap", (0.2,) * 4, usd_per_mtok_input=0.0, usd_per_mtok_output=1.0)
MIDDLE = profile("middle", (0.6,) * 4, usd_per_mtok_input=0.0, usd_per_mtok_output=3.0)
OFF = profile("off", (0.6,) * 4, available=False)
NEEDS = Requirements([[0.5, 0, 0, 0], [0.1, 0, 0, 0]])
PROBLEM = make(NEEDS, Catalog((CHEAP, MIDDLE, OFF)), tau=0.0, tokens_output=1, arrivals=[3, 2])


def test_always_the_strong_model_costs_its_surplus_on_easy_queries() -> None:
    row = regret(PROBLEM, "middle")
    assert (row.extra_cost_micro_usd, row.extra_mean_shortfall) == (4.0, 0.0)
    assert (row.requests_elsewhere, row.requests_ineligible) == (2, 0)


def test_always_the_cheap_model_saves_money_by_falling_short() -> None:
    row = regret(PROBLEM, "cheap")
    assert row.extra_cost_micro_usd == -6.0
    assert row.extra_mean_shortfall == pytest.approx(0.3 * 3 / 5)
    assert row.requests_ineligible == 3


def test_requests_to_a_model_that_is_off_are_counted_apart() -> None:
    row = regret(PROBLEM, ["off", "cheap"])
    assert (row.requests_off, row.requests_ineligible) == (3, 0)


def test_no_model_where_one_is_eligible_is_counted_and_not_compared() -> None:
    row = regret(PROBLEM, [None, 1])
    assert (row.requests_unserved, row.extra_cost_micro_usd) == (3, 4.0)


@given(problems())
def test_the_optimum_has_no_regret(problem: RoutingProblem) -> None:
    row = regret(problem, assign(problem))
    assert (row.extra_cost_micro_usd, row.requests_elsewhere, row.requests_unserved) == (0, 0, 0)


@given(problems())
def test_only_models_that_are_off_or_not_eligible_can_be_cheaper(problem: RoutingProblem) -> None:
    for row in fixed_regrets(problem):
        if not row.requests_off and not row.requests_ineligible:
            assert row.extra_cost_micro_usd >= 0


@given(problems())
def test_a_fixed_choice_costs_what_the_model_costs_less_the_optimum(
    problem: RoutingProblem,
) -> None:
    optimum = assign(problem)
    served = optimum.chosen >= 0
    best = float((optimum.cost_micro_usd * problem.arrivals)[served].sum())
    for index, row in enumerate(fixed_regrets(problem)):
        own = float((problem.cost_micro_usd[:, index] * problem.arrivals)[served].sum())
        assert row.extra_cost_micro_usd == pytest.approx(own - best, abs=1e-6)


def test_a_choice_before_a_price_change_is_read_by_name_in_the_new_catalog() -> None:
    before = assign(PROBLEM)
    shuffled = Catalog((OFF, MIDDLE, CHEAP.changed(usd_per_mtok_output=5.0)))
    row = regret(PROBLEM.against(shuffled), before)
    assert row.extra_cost_micro_usd == 2 * (5.0 - 3.0)


def test_the_frame_has_one_row_a_query() -> None:
    frame = regret(PROBLEM, ["middle", None]).to_frame()
    assert frame["optimal"].tolist() == ["middle", "cheap"]
    assert frame["chosen"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("chosen", "said"),
    [([0], "1 entries, but there are 2"), ([0, 7], r"chosen\[1\]"), ([0, 0.5], r"chosen\[1\]")],
)
def test_a_bad_assignment_is_refused_with_its_place(chosen: list[int], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        regret(PROBLEM, chosen)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(CatalogError, match="no model 'gone'"):
        regret(PROBLEM, ["gone", "cheap"])


def test_where_no_model_is_available_nothing_is_compared() -> None:
    row = regret(make(Requirements.of(), Catalog((OFF,))), "off")
    assert np.isnan(row.extra_mean_shortfall)
    assert row.requests_off == 1
