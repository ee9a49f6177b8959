from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydra_nb import Catalog, InvalidInputError, Requirements, RoutingProblem, formulate
from hydra_nb.matching import assign
from hydra_nb.sensitivity import shortfall_frontier, tau_staircase
from tests.strategies import profile
from tests.test_sensitivity_price import problems

CHEAP = profile("cheap", (0.2, 1, 1, 1), usd_per_mtok_input=0.0, usd_per_mtok_output=1.0)
MIDDLE = profile("middle", (0.6, 1, 1, 1), usd_per_mtok_input=0.0, usd_per_mtok_output=3.0)
STRONG = profile("strong", (0.9, 1, 1, 1), usd_per_mtok_input=0.0, usd_per_mtok_output=10.0)
POOL = Catalog((CHEAP, MIDDLE, STRONG))


def one(reasoning: float) -> RoutingProblem:
    return formulate(Requirements.of(reasoning=reasoning), POOL, tokens_output=1)


def check(problem: RoutingProblem, tau: float) -> None:
    """Compare the staircase with `assign` at one τ."""
    step, result = tau_staircase(problem).at(tau), assign(problem.at(tau))
    served = result.chosen >= 0
    weight = problem.arrivals[served]
    assert step.total_cost_micro_usd == pytest.approx(
        float((result.cost_micro_usd[served] * weight).sum()), abs=1e-6
    )
    assert step.requests_short == problem.arrivals[result.failed_open].sum()
    if served.any():
        mean = float((result.shortfall[served] * weight).sum() / weight.sum())
        assert step.mean_shortfall == pytest.approx(mean, abs=1e-13)
    else:
        assert np.isnan(step.mean_shortfall)
    if len(result) == 1:
        assert step.model == result.names[0]


def test_the_steps_of_one_prompt_by_hand() -> None:
    # It needs 1.0: strong is short by 0.1, middle by 0.4, cheap by 0.8.
    stairs = tau_staircase(one(1.0))
    assert stairs.models == ("strong", "strong", "middle", "cheap")
    assert stairs.tau == pytest.approx([0.0, 0.1, 0.4, 0.8], abs=2e-9)
    assert stairs.total_cost_micro_usd.tolist() == [10.0, 10.0, 3.0, 1.0]
    assert stairs.requests_short.tolist() == [1, 0, 0, 0]


def test_steps_are_weighted_by_arrivals() -> None:
    needs = Requirements([[0.6, 0, 0, 0], [0.2, 0, 0, 0]])
    stairs = tau_staircase(formulate(needs, POOL, tokens_output=1, arrivals=[3, 1]))
    assert stairs.total_cost_micro_usd.tolist() == [10.0, 4.0]
    assert stairs.mean_shortfall == pytest.approx([0.0, 0.3])


@given(problems())
def test_the_staircase_equals_assign_at_between_and_beyond_its_breakpoints(
    problem: RoutingProblem,
) -> None:
    tau = tau_staircase(problem).tau
    for at in [*tau, *((tau[1:] + tau[:-1]) / 2), tau[-1] + 1, 1e6]:
        check(problem, float(at))


@given(problems(), st.floats(0, 8))
def test_the_staircase_equals_assign_at_any_tau(problem: RoutingProblem, tau: float) -> None:
    check(problem, tau)


@given(problems(), st.integers(-3, 3))
def test_the_staircase_equals_assign_within_ulps_of_a_shortfall_less_the_tolerance(
    problem: RoutingProblem, ulps: int
) -> None:
    for shortfall in np.unique(problem.shortfall[problem.shortfall > 1e-3]):
        tau = float(shortfall - 1e-9)
        check(problem, tau + ulps * float(np.spacing(tau)))


@given(
    st.lists(st.sampled_from([0.0, 4e-10, 9e-10, 1.4e-9, 2.1e-9, 0.1]), min_size=2, max_size=5),
    st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=5, max_size=5),
    st.sampled_from([0.0, 5e-10, 0.2 - 1e-9, 0.2, 0.2 + 1.2e-9, 0.3]),
)
def test_the_staircase_equals_assign_where_shortfalls_are_a_hair_apart(
    hairs: list[float], prices: list[float], tau: float
) -> None:
    pool = Catalog(
        tuple(
            profile(name, (0.6 - hair, 1, 1, 1), usd_per_mtok_input=price)
            for name, hair, price in zip("edcba", hairs, prices, strict=False)
        )
    )
    problem = formulate(Requirements.of(reasoning=0.8), pool, tokens_input=10)
    for at in [tau, *tau_staircase(problem).tau]:
        check(problem, float(at))


@given(problems())
def test_raising_tau_never_raises_cost_and_never_more_requests_fail_open(
    problem: RoutingProblem,
) -> None:
    stairs = tau_staircase(problem)
    assert np.all(np.diff(stairs.total_cost_micro_usd) <= 1e-6)
    assert np.all(np.diff(stairs.requests_short) <= 0)


def test_without_any_model_the_stairs_are_one_step_that_costs_nothing() -> None:
    stairs = tau_staircase(formulate(Requirements.of(), Catalog(())))
    assert (stairs.total_cost_micro_usd.tolist(), stairs.models) == ([0.0], (None,))


def test_a_negative_tau_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="tau must be"):
        tau_staircase(one(0.5)).at(-0.1)


def test_the_frame_of_the_stairs_has_one_row_a_step() -> None:
    frame = tau_staircase(one(1.0)).to_frame()
    assert frame["model"].tolist() == ["strong", "strong", "middle", "cheap"]


def test_the_frontier_of_one_prompt_skips_what_lies_above_its_hull() -> None:
    # (shortfall, cost): strong (0.1, 10), middle (0.4, 3), cheap (0.8, 1), and one above the line.
    above = profile("above", (0.8, 1, 1, 1), usd_per_mtok_input=0.0, usd_per_mtok_output=9.0)
    needs = Requirements.of(reasoning=1.0)
    frontier = shortfall_frontier(formulate(needs, POOL.add(above), tokens_output=1))
    assert frontier.mean_shortfall == pytest.approx([0.1, 0.4, 0.8])
    assert frontier.total_cost_micro_usd == pytest.approx([10.0, 3.0, 1.0])
    assert frontier.cost_at(0.25) == pytest.approx(6.5)


@given(problems(max_queries=3))
def test_every_assignment_lies_on_or_above_the_frontier_and_its_vertices_are_assignments(
    problem: RoutingProblem,
) -> None:
    frontier = shortfall_frontier(problem)
    served = np.flatnonzero(problem.allowed.any(axis=1))
    if not len(served):
        assert len(frontier.mean_shortfall) == 0
        return
    weight = problem.arrivals[served]
    points = []
    for choice in product(*(np.flatnonzero(problem.allowed[q]) for q in served)):
        gap = problem.shortfall[served, list(choice)] @ weight / weight.sum()
        cost = float(problem.cost_micro_usd[served, list(choice)] @ weight)
        points.append((gap, cost))
        assert frontier.cost_at(float(gap)) <= cost + 1e-6
    for vertex in zip(frontier.mean_shortfall, frontier.total_cost_micro_usd, strict=True):
        assert any(vertex == pytest.approx(point, abs=1e-6) for point in points)


@given(problems())
def test_the_frontier_falls_and_is_convex(problem: RoutingProblem) -> None:
    frontier = shortfall_frontier(problem)
    run, fall = np.diff(frontier.mean_shortfall), np.diff(frontier.total_cost_micro_usd)
    assert np.all(run > 0)
    assert np.all(fall < 0)
    assert np.all(np.diff(fall / run) >= -1e-6 * np.abs(fall / run)[1:])


@given(problems(), st.floats(0, 4))
def test_no_threshold_beats_the_frontier_at_the_same_mean_shortfall(
    problem: RoutingProblem, tau: float
) -> None:
    step = tau_staircase(problem).at(tau)
    if np.isfinite(step.mean_shortfall):
        best = shortfall_frontier(problem).cost_at(step.mean_shortfall)
        assert best <= step.total_cost_micro_usd + 1e-6


def test_a_mean_shortfall_nobody_reaches_is_refused_with_the_least() -> None:
    with pytest.raises(InvalidInputError, match=r"at least 0\.1,"):
        shortfall_frontier(one(1.0)).cost_at(0.05)
