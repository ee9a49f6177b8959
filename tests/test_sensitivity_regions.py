from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydra_nb import Catalog, InvalidInputError, Requirements, RoutingProblem, formulate
from hydra_nb.matching import assign
from hydra_nb.sensitivity import Regions, price_price_regions, price_tau_regions
from tests.strategies import profile
from tests.test_sensitivity_price import problems

SIDES = st.sampled_from(["input", "output"])
A = profile("a", (0.5, 1, 1, 1), usd_per_mtok_output=0.0)
B = profile("b", (0.9, 1, 1, 1), usd_per_mtok_input=2.0, usd_per_mtok_output=0.0)
POOL = Catalog((A, B))
fractions = st.lists(st.tuples(*[st.floats(0.001, 0.999)] * 2), min_size=4, max_size=4)


def inside(regions: Regions, x: float, y: float) -> bool:
    """Return whether a point is well away from all edges."""
    step = 1e-6
    around = [(x, y), (x + step, y), (x - step, y), (x, y + step), (x, y - step)]
    return any(all(region.contains(*point) for point in around) for region in regions.regions)


def priced(problem: RoutingProblem, model: str, side: str, price: float) -> RoutingProblem:
    return problem.against(problem.catalog.replace(model, **{f"usd_per_mtok_{side}": price}))


def check_tiling(regions: Regions) -> None:
    """Areas add up to the rectangle, each is positive, and nothing sticks out."""
    areas = [region.area for region in regions.regions]
    assert min(areas) > 0
    assert sum(areas) == pytest.approx(regions.x_max * regions.y_max)
    corners = np.concatenate([region.vertices for region in regions.regions])
    assert corners.min() >= -1e-9
    assert np.all(corners <= np.array([regions.x_max, regions.y_max]) + 1e-9)


def test_price_and_tau_by_hand() -> None:
    # It needs 0.7: a is short by 0.2, b by nothing; with both eligible a wins below b's $2.
    problem = formulate(Requirements.of(reasoning=0.7), POOL, tokens_input=10)
    regions = price_tau_regions(problem, "a", price_max=5.0, tau_max=0.5).regions
    found = {(r.model, tuple(map(tuple, np.round(r.vertices, 6).tolist()))) for r in regions}
    assert found == {
        ("b", ((0.0, 0.0), (5.0, 0.0), (5.0, 0.2), (0.0, 0.2))),
        ("a", ((0.0, 0.2), (2.0, 0.2), (2.0, 0.5), (0.0, 0.5))),
        ("b", ((2.0, 0.2), (5.0, 0.2), (5.0, 0.5), (2.0, 0.5))),
    }


def test_two_prices_part_the_plane_along_equal_cost() -> None:
    problem = formulate(Requirements.of(), POOL, tokens_input=10)
    regions = price_price_regions(problem, "a", "b", max_a=4.0, max_b=4.0)
    assert {r.model: r.area for r in regions.regions} == pytest.approx({"a": 8.0, "b": 8.0})


def test_the_two_prices_of_one_model_part_the_plane_by_a_line() -> None:
    # a costs 10 x + 5 y against 20: it wins the triangle below x = 2, y = 4.
    problem = formulate(Requirements.of(), POOL, tokens_input=10, tokens_output=5)
    regions = price_price_regions(problem, "a", "a", price_b="output", max_a=10.0, max_b=10.0)
    (mine,) = [r for r in regions.regions if r.model == "a"]
    assert {tuple(v) for v in np.round(mine.vertices, 9).tolist()} == {(0, 0), (2, 0), (0, 4)}


@given(problems(max_queries=1), SIDES, st.data(), fractions)
def test_points_of_price_and_tau_agree_with_match(
    problem: RoutingProblem, side: str, data: st.DataObject, points: list[tuple[float, float]]
) -> None:
    model = data.draw(st.sampled_from(problem.catalog.names))
    regions = price_tau_regions(problem, model, price=side, price_max=6.0, tau_max=1.5)  # type: ignore[arg-type]
    for u, v in points:
        x, y = 6.0 * u, 1.5 * v
        if inside(regions, x, y):
            expected = assign(priced(problem, model, side, x).at(y)).names[0]
            assert regions.at(x, y) == expected


@given(problems(max_queries=1), SIDES, SIDES, st.data(), fractions)
def test_points_of_two_prices_agree_with_match(
    problem: RoutingProblem,
    side_a: str,
    side_b: str,
    data: st.DataObject,
    points: list[tuple[float, float]],
) -> None:
    a = data.draw(st.sampled_from(problem.catalog.names))
    b = data.draw(st.sampled_from(problem.catalog.names))
    if (a, side_a) == (b, side_b):
        return
    regions = price_price_regions(
        problem,
        a,
        b,
        price_a=side_a,  # type: ignore[arg-type]
        price_b=side_b,  # type: ignore[arg-type]
        max_a=6.0,
        max_b=20.0,
    )
    check_tiling(regions)
    for u, v in points:
        x, y = 6.0 * u, 20.0 * v
        if inside(regions, x, y):
            expected = assign(priced(priced(problem, a, side_a, x), b, side_b, y)).names[0]
            assert regions.at(x, y) == expected


@given(problems(max_queries=1), SIDES, st.data())
def test_rectangles_of_price_and_tau_tile_the_plane(
    problem: RoutingProblem, side: str, data: st.DataObject
) -> None:
    model = data.draw(st.sampled_from(problem.catalog.names))
    check_tiling(price_tau_regions(problem, model, price=side, price_max=6.0, tau_max=1.5))  # type: ignore[arg-type]


def test_where_nobody_is_available_one_region_belongs_to_nobody() -> None:
    pool = Catalog((A.changed(available=False),))
    problem = formulate(Requirements.of(), pool)
    for regions in (
        price_tau_regions(problem, "a", price_max=1.0, tau_max=1.0),
        price_price_regions(problem, "a", "a", price_b="output", max_a=1.0, max_b=1.0),
    ):
        assert [(r.model, r.area) for r in regions.regions] == [(None, 1.0)]


@pytest.mark.parametrize("end", [0.0, -1.0, float("inf"), float("nan")])
def test_an_end_that_is_none_is_refused_by_name(end: float) -> None:
    problem = formulate(Requirements.of(), POOL)
    with pytest.raises(InvalidInputError, match="tau_max must be finite and positive"):
        price_tau_regions(problem, "a", price_max=1.0, tau_max=end)


def test_the_same_price_twice_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="must differ"):
        price_price_regions(formulate(Requirements.of(), POOL), "a", "a", max_a=1.0, max_b=1.0)


def test_a_point_outside_is_refused() -> None:
    regions = price_tau_regions(formulate(Requirements.of(), POOL), "a", price_max=1.0, tau_max=1.0)
    with pytest.raises(InvalidInputError, match="must be within"):
        regions.at(2.0, 0.5)


def test_the_frame_has_one_row_a_vertex() -> None:
    problem = formulate(Requirements.of(), POOL, tokens_input=10)
    frame = price_price_regions(problem, "a", "b", max_a=4.0, max_b=4.0).to_frame()
    assert frame.groupby("region").size().tolist() == [3, 3]
