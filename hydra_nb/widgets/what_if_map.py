"""The map of two parameters, as plain JSON-ready data: exact regions, linear axes.

Places are shares of an axis, 0 to 1, with y upwards.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydra_nb.decision import Decision
from hydra_nb.sensitivity import Region, Regions
from hydra_nb.widgets.views import View
from hydra_nb.widgets.what_if import PRICE_FIELDS, Answer, Axis
from hydra_nb.widgets.what_if_axes import Numbers, usd, winner

_ROUND = (1.0, 2.0, 2.5, 5.0)
_NEAR = (0.16, 0.08)
"""How near the cross may come to the middle of a name, as shares of the axes."""

_SLANTED = 0.5
"""Share of its surrounding box that a label may fill where a region is no rectangle."""


def map_view(decision: Decision, answer: Answer, numbers: Numbers, *, tau: float) -> View | None:
    """Return the map; `None` while it is not there yet."""
    regions, question = answer.regions, answer.question
    if regions is None:
        return None
    x = _axis(decision, question.x, regions.x_max, tau)
    y = _axis(decision, question.y, regions.y_max, tau)
    areas = [
        {
            **winner(area.model, numbers),
            "polygons": area.polygons,
            "label": _label(area.corners, (x["at"], y["at"])),
            "share": f"{area.share:.0%}" if area.share >= 0.005 else "under 1%",
            "size": area.share,
            "x": area.middle[0],
            "y": area.middle[1],
        }
        for area in _areas(regions)
    ]
    here = decision.chosen.name if decision.chosen else "no model"
    listed = ", ".join(f"{area['model']} {area['share']}" for area in areas)
    return {
        "x": x,
        "y": y,
        "areas": areas,
        "label": (
            f"Map of who wins, by {x['title']} from 0 to {x['end']} and {y['title']} from 0 to "
            f"{y['end']}: {listed}. Now at {x['text']} and {y['text']}: {here}."
        ),
    }


@dataclass(frozen=True, eq=False)
class _Area:
    """All regions of one model.

    Attributes:
        model: its name; `None` where nobody wins.
        polygons: points of each region as SVG takes them.
        corners: float64 `(n_corners, 2)` of the largest region, as shares of the axes.
        middle: a point inside that region, in the units of the axes.
        share: of the whole map.
    """

    model: str | None
    polygons: list[str]
    corners: NDArray[np.float64]
    middle: tuple[float, float]
    share: float


@functools.lru_cache(maxsize=4)
def _areas(regions: Regions) -> tuple[_Area, ...]:
    """Return one area a model, largest first; kept, since a view is made far more often."""
    scale = np.array([regions.x_max, regions.y_max])
    by_model: dict[str | None, list[Region]] = {}
    for region in regions.regions:
        by_model.setdefault(region.model, []).append(region)
    areas = []
    for model, own in by_model.items():
        largest = max(own, key=lambda region: region.area)
        share = sum(region.area for region in own) / (regions.x_max * regions.y_max)
        polygons = [_points(region.vertices / scale) for region in own]
        areas.append(_Area(model, polygons, largest.vertices / scale, _middle(largest), share))
    return tuple(sorted(areas, key=lambda area: -area.share))


def _middle(region: Region) -> tuple[float, float]:
    """Return a point with few decimals well inside a region."""
    x, y = region.vertices.mean(axis=0).tolist()
    core = Region(region.model, (region.vertices + np.array([x, y])) / 2)
    rounded = ((round(x, d), round(y, d)) for d in range(1, 15))
    return next((point for point in rounded if core.contains(*point)), (x, y))


def axes_view(question_x: Axis, question_y: Axis | None, names: tuple[str, ...]) -> View:
    """Return what the pickers of the map offer and show; model and price stay apart."""
    others = [
        {"model": name, "price": price}
        for name in names
        for price in PRICE_FIELDS
        if (name, price) != (question_x.model, question_x.price)
    ]
    return {
        "price": question_x.price,
        "across": None
        if question_y is None
        else {"model": question_y.model, "price": question_y.price},
        "others": others,
    }


def _axis(decision: Decision, axis: Axis | None, reach: float, tau: float) -> View:
    if axis is None:
        value, title = tau, "τ"
    else:
        profile = next(c.profile for c in decision.candidates if c.name == axis.model)
        value = getattr(profile, PRICE_FIELDS[axis.price])
        title = f"{axis.price} price of {axis.model}"
    step = _step(reach)
    ticks = [step * k for k in range(int(reach / step + 1e-9) + 1)]
    return {
        "title": title,
        "reach": reach,
        "end": _text(axis, reach),
        "value": value,
        "text": _text(axis, value),
        "at": round(min(1.0, value / reach), 6),
        "ticks": [{"at": round(t / reach, 6), "text": _text(axis, t)} for t in ticks],
    }


def _text(axis: Axis | None, value: float) -> str:
    return usd(value) if axis is not None else f"{value:.3g}"


def _step(reach: float) -> float:
    power: float = 10.0 ** np.floor(np.log10(reach / 4))
    return next((s * power for s in _ROUND if reach / (s * power) <= 5.0001), 10 * power)


def _points(corners: NDArray[np.float64]) -> str:
    # In an SVG y points downwards.
    return " ".join(f"{x:.6g},{1 - y:.6g}" for x, y in corners)


def _label(corners: NDArray[np.float64], cross: tuple[float, float]) -> View:
    """Return the box that a name may fill: around the middle, beside the cross if it is there."""
    low, high = corners.min(axis=0), corners.max(axis=0)
    straight = len(corners) == 4 and bool(np.all(np.isin(corners, (low, high))))
    width, height = (high - low) * (1.0 if straight else _SLANTED)
    x, y = corners.mean(axis=0)
    if straight and abs(cross[0] - x) < _NEAR[0] and abs(cross[1] - y) < _NEAR[1]:
        width /= 2
        x += width / 2 if cross[0] <= x else -width / 2
    return {
        "x": round(float(x), 6),
        "y": round(float(y), 6),
        "width": round(float(width), 6),
        "height": round(float(height), 6),
    }
