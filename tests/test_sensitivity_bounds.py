from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydra_nb import Catalog, InvalidInputError, Requirements, formulate
from hydra_nb.problem import RoutingProblem
from hydra_nb.sensitivity import cost_bounds
from hydra_nb.solver import Constraints, Contract, plan
from tests.strategies import profile

CAPS = Constraints(max_requests={"cheap": 3})


def small(seed: int) -> RoutingProblem:
    random = np.random.default_rng(seed)
    catalog = Catalog(
        (
            profile("cheap", (1.0,) * 4, usd_per_mtok_input=0.5, usd_per_mtok_output=1.0),
            profile("middle", (1.0,) * 4, usd_per_mtok_input=1.0, usd_per_mtok_output=2.0),
            profile("dear", (1.0,) * 4, usd_per_mtok_input=4.0, usd_per_mtok_output=8.0),
        )
    )
    return formulate(
        Requirements(np.zeros((8, 4))),
        catalog,
        tokens_input=random.integers(1, 900, 8),
        tokens_output=random.integers(1, 900, 8),
    )


@given(seed=st.integers(0, 1000), share=st.floats(0, 1), side=st.sampled_from(["input", "output"]))
@settings(max_examples=30)
def test_the_least_cost_lies_between_the_bounds(seed: int, share: float, side: Any) -> None:
    problem = small(seed)
    limits = Constraints(max_tokens={"cheap": 1500, "middle": 2500})
    bounds = cost_bounds(problem, limits, "cheap", price=side, price_max=10.0, most_plans=4)
    price = 10.0 * share
    field = f"usd_per_mtok_{side}"
    found = plan(problem.against(problem.catalog.replace("cheap", **{field: price})), limits)
    assert bounds.lower(price)[0] <= found.value * (1 + 1e-9) + 1e-6
    assert bounds.upper(price)[0] >= found.bound * (1 - 1e-9) - 1e-6


def test_more_plans_bring_the_bounds_together() -> None:
    problem = small(3)
    rough = cost_bounds(problem, CAPS, "cheap", price_max=10.0, most_plans=2, gap=0.0)
    fine = cost_bounds(problem, CAPS, "cheap", price_max=10.0, most_plans=12, gap=0.0)
    assert fine.gap < rough.gap


def test_at_a_price_that_was_planned_for_the_bounds_meet() -> None:
    bounds = cost_bounds(small(1), CAPS, "cheap", price_max=10.0)
    assert bounds.upper(bounds.prices) == pytest.approx(bounds.lower(bounds.prices), rel=1e-9)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Constraints(budget_usd=1.0), "not concave"),
        (Constraints(contracts={"cheap": (Contract(commitment_usd=1.0),)}), "not concave"),
        (Constraints(max_requests=dict.fromkeys(("cheap", "middle", "dear"), 0)), "no plan"),
    ],
)
def test_what_cannot_be_bounded_is_refused(limits: Constraints, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        cost_bounds(small(0), limits, "cheap", price_max=5.0)


def test_a_price_outside_the_planned_ones_has_no_lower_bound() -> None:
    bounds = cost_bounds(small(0), CAPS, "cheap", price_max=5.0)
    with pytest.raises(InvalidInputError, match="where plans were made"):
        bounds.lower(6.0)
