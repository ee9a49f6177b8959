"""Which model wins in a plane of two parameters, as exact polygons, for one query.

Price × τ: between two shortfalls τ changes nothing, and there one price has one break-even point;
so the plane falls into rectangles. Price × price: each model's cost is a plane over the two prices,
and the cheapest of three wins: the two models and the best of all others; so each wins a convex
polygon.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hydra_nb.dimensions import TOLERANCE
from hydra_nb.errors import InvalidInputError
from hydra_nb.matching import cheapest
from hydra_nb.problem import RoutingProblem
from hydra_nb.sensitivity.curve import Price, check_side
from hydra_nb.sensitivity.price import break_even
from hydra_nb.sensitivity.rivals import one_query

if TYPE_CHECKING:
    import pandas as pd

Polygon = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Region:
    """A convex polygon in which one model wins.

    Attributes:
        model: its name; `None` where no model is available.
        vertices: float64 `(n_vertices, 2)`, (x, y), counter-clockwise.
    """

    model: str | None
    vertices: Polygon

    @property
    def area(self) -> float:
        """Return the area, in units of x times units of y."""
        x, y = self.vertices.T
        return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)

    def contains(self, x: float, y: float) -> bool:
        """Return whether a point lies inside or on the edge."""
        here = np.array([x, y])
        edge, to = np.roll(self.vertices, -1, axis=0) - self.vertices, here - self.vertices
        left = edge[:, 0] * to[:, 1] - edge[:, 1] * to[:, 0]
        scale = np.abs(edge).max() * (np.abs(here).max() + np.abs(self.vertices).max())
        return bool(np.all(left >= -1e-12 * scale))

    def __repr__(self) -> str:
        return f"Region({self.model}, {len(self.vertices)} vertices, area {self.area:.4g})"


@dataclass(frozen=True, eq=False)
class Regions:
    """Regions that tile the rectangle from (0, 0) to (`x_max`, `y_max`).

    On an edge between two regions the models tie, or, where it is one of τ, the upper one holds. A
    model may have several regions. Edges at a value of τ are shortfalls; matching tolerates 1e-9.

    Attributes:
        x, y: what the axes are, in words, with the unit.
        x_max, y_max: where they end.
        regions: the regions.
    """

    x: str
    y: str
    x_max: float
    y_max: float
    regions: tuple[Region, ...]

    def at(self, x: float, y: float) -> str | None:
        """Return who wins at a point: on an edge, any of the regions beside it.

        Raises:
            InvalidInputError: a point outside the rectangle.
        """
        for region in self.regions:
            if region.contains(x, y):
                return region.model
        raise InvalidInputError(
            f"the point must be within 0 to {self.x_max} and 0 to {self.y_max}; received ({x}, {y})"
        )

    def to_frame(self) -> pd.DataFrame:
        """Return one row a vertex: number of the region, model, x, y."""
        import pandas as pd

        return pd.DataFrame(
            [
                {"region": number, "model": region.model, "x": float(x), "y": float(y)}
                for number, region in enumerate(self.regions)
                for x, y in region.vertices
            ]
        )

    def __repr__(self) -> str:
        areas: dict[str, float] = {}
        for region in self.regions:
            name = region.model or "no model"
            areas[name] = areas.get(name, 0.0) + region.area
        whole = self.x_max * self.y_max
        shares = ", ".join(f"{name} {area / whole:.0%}" for name, area in areas.items())
        return f"Regions({self.x} × {self.y}: {shares})"


def price_tau_regions(
    problem: RoutingProblem,
    model: str,
    *,
    price: Price = "input",
    price_max: float,
    tau_max: float,
) -> Regions:
    """Return who wins one query for each price of `model` (x) and each τ (y), as rectangles.

    Raises:
        CatalogError: no such model.
        InvalidInputError: not exactly one query, an unknown price, or an end that is not finite and
            positive.
    """
    one_query(problem, "price_tau_regions")
    side, x_max = check_side(price), _end(price_max, "price_max")
    y_max = _end(tau_max, "tau_max")
    joins = np.sort(problem.shortfall[0, problem.allowed[0]])
    cuts = [0.0]
    for tau in joins[joins < y_max - TOLERANCE]:
        # Closer than the tolerance of eligibility, two are one.
        if tau > cuts[-1] + 2 * TOLERANCE:
            cuts.append(float(tau))
    rectangles: list[tuple[float, float, float, float, str | None]] = []
    below: list[tuple[float, float, str | None]] = []
    for low, high in zip(cuts, [*cuts[1:], y_max], strict=True):
        cells = list(_cells(problem.at((low + high) / 2), model, side, x_max))
        if cells == below:
            count = len(cells)
            rectangles[-count:] = [(*r[:3], high, r[4]) for r in rectangles[-count:]]
        else:
            rectangles += [(left, right, low, high, name) for left, right, name in cells]
        below = cells
    return Regions(
        x=f"{side} price of {model}, USD per 1M tokens",
        y="τ",
        x_max=x_max,
        y_max=y_max,
        regions=tuple(
            Region(name, _rectangle(left, right, low, high))
            for left, right, low, high, name in rectangles
        ),
    )


def price_price_regions(
    problem: RoutingProblem,
    model_a: str,
    model_b: str,
    *,
    price_a: Price = "input",
    price_b: Price = "input",
    max_a: float,
    max_b: float,
) -> Regions:
    """Return who wins one query for each price of `model_a` (x) and of `model_b` (y).

    Both may be the same model, with its two prices.

    Raises:
        CatalogError: no such model.
        InvalidInputError: not exactly one query, an unknown price, twice the same price, or an end
            that is not finite and positive.
    """
    one_query(problem, "price_price_regions")
    a, b = problem.catalog.index(model_a), problem.catalog.index(model_b)
    side_a, side_b = check_side(price_a), check_side(price_b)
    if (a, side_a) == (b, side_b):
        raise InvalidInputError(
            f"the two prices must differ; received the {side_a} price of {model_a!r} twice"
        )
    x_max, y_max = _end(max_a, "max_a"), _end(max_b, "max_b")
    others = problem.eligible.copy()
    others[0, [a, b]] = False
    best = int(cheapest(problem, others)[0])
    # Cost of a candidate over the plane: (per unit of x, per unit of y, the rest).
    planes: dict[int, NDArray[np.float64]] = {}
    for index in (a, b):
        if problem.eligible[0, index]:
            planes[index] = _plane(problem, index, (a, side_a), (b, side_b))
    if best >= 0:
        planes[best] = np.array([0.0, 0.0, problem.cost_micro_usd[0, best]])
    regions = []
    whole = _rectangle(0.0, x_max, 0.0, y_max)
    for index, plane in planes.items():
        polygon = whole
        for other, rival in planes.items():
            if other != index:
                polygon = _cheaper(problem, polygon, (index, plane), (other, rival))
        if len(polygon) >= 3:
            region = Region(problem.catalog.names[index], polygon)
            if region.area > 1e-12 * x_max * y_max:
                regions.append(region)
    if not planes:
        regions = [Region(None, whole)]
    return Regions(
        x=f"{side_a} price of {model_a}, USD per 1M tokens",
        y=f"{side_b} price of {model_b}, USD per 1M tokens",
        x_max=x_max,
        y_max=y_max,
        regions=tuple(regions),
    )


def _end(value: float, name: str) -> float:
    end = float(value)
    if math.isfinite(end) and end > 0:
        return end
    raise InvalidInputError(f"{name} must be finite and positive; received {value!r:.80}")


def _rectangle(left: float, right: float, low: float, high: float) -> Polygon:
    return np.array([[left, low], [right, low], [right, high], [left, high]])


def _cells(
    problem: RoutingProblem, model: str, side: Price, x_max: float
) -> Iterator[tuple[float, float, str | None]]:
    """Yield (from, to, name) along the price of `model`."""
    row = break_even(problem, model, price=side)
    cut = float(np.clip(row.threshold[0], 0.0, x_max))
    rival = int(row.rival[0])
    if cut > 0:
        yield 0.0, cut, model
    if cut < x_max:
        yield cut, x_max, problem.catalog.names[rival] if rival >= 0 else None


def _plane(problem: RoutingProblem, index: int, *axes: tuple[int, Price]) -> NDArray[np.float64]:
    profile = problem.catalog[index]
    tokens = {"input": problem.tokens_input[0], "output": problem.tokens_output[0]}
    price = {"input": profile.usd_per_mtok_input, "output": profile.usd_per_mtok_output}
    slopes = [0.0, 0.0]
    for axis, (owner, side) in enumerate(axes):
        if owner == index:
            slopes[axis] = float(tokens[side])
            price[side] = 0.0
    fixed = sum(float(tokens[side]) * price[side] for side in tokens)
    return np.array([*slopes, round(fixed, 6)])


def _cheaper(
    problem: RoutingProblem,
    polygon: Polygon,
    one: tuple[int, NDArray[np.float64]],
    other: tuple[int, NDArray[np.float64]],
) -> Polygon:
    """Return the part of a convex polygon in which `one` costs no more than `other`."""
    difference = one[1] - other[1]
    if not difference.any():
        # They tie everywhere; then it is shortfall and name that decide, as in `cheapest`.
        pair = np.zeros_like(problem.eligible)
        pair[0, [one[0], other[0]]] = True
        tied = problem.cost_micro_usd.copy()
        tied[0, [one[0], other[0]]] = 0.0
        wins = cheapest(replace(problem, cost_micro_usd=tied), pair)[0] == one[0]
        return polygon if wins else polygon[:0]
    if not len(polygon):
        return polygon
    values = polygon @ difference[:2] + difference[2]
    kept = []
    for point, value, next_point, next_value in zip(
        polygon, values, np.roll(polygon, -1, axis=0), np.roll(values, -1), strict=True
    ):
        if value <= 0:
            kept.append(point)
        if value * next_value < 0:
            kept.append(point + (next_point - point) * (value / (value - next_value)))
    return np.array(kept).reshape(-1, 2)
