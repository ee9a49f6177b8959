"""Fitted after training on prompts that training has not seen: scores, spread, domain.

Each dimension has a monotone, piecewise linear map from the score of the network to the calibrated
one (isotonic regression over quantile bins, kept only where cross-validation says that it helps), a
factor that makes its spread cover 80 %, and there is one threshold of the distance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import CheckpointError

Array = NDArray[np.float64]

COVERAGE = 0.8
"""Share of labels that value ± spread is meant to hold."""

DOMAIN_QUANTILE = 0.995
"""This share of unseen prompts of the known kinds counts as in domain."""

_BINS = 12
_FOLDS = 5
_FEWEST_FOR_A_MAP = 100
FEWEST_PROMPTS = 20
"""With fewer there is nothing to go by."""

LAPLACE_FACTOR = math.log(1 / (1 - COVERAGE))
"""Spread over expected absolute error where errors are Laplace distributed, as training has it."""


@dataclass(frozen=True)
class Calibration:
    """From what the network says to what the predictor reports.

    Attributes:
        knots: per dimension ascending scores of the network and the calibrated scores there.
        spread_factor: per dimension, from the network's expected absolute error to the spread.
        largest_distance: prompts farther than this are out of domain.
    """

    knots: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]
    spread_factor: Mapping[str, float]
    largest_distance: float

    @classmethod
    def none(cls) -> Calibration:
        """Return the calibration without anything to go by.

        Scores stay, the spread takes errors to be Laplace distributed, nothing is out of domain.
        """
        identity = ((0.0, 1.0), (0.0, 1.0))
        return cls(
            dict.fromkeys(DIMENSIONS, identity),
            dict.fromkeys(DIMENSIONS, LAPLACE_FACTOR),
            float("inf"),
        )

    def scores(self, raw: Array) -> Array:
        """Return calibrated scores `(n, 4)` in [0, 1]."""
        columns = [np.interp(raw[:, k], *self.knots[name]) for k, name in enumerate(DIMENSIONS)]
        return np.clip(np.stack(columns, axis=1), 0.0, 1.0)

    def spread(self, raw: Array) -> Array:
        """Return calibrated spreads `(n, 4)` in [0, 1]."""
        return np.clip(raw * [self.spread_factor[name] for name in DIMENSIONS], 0.0, 1.0)

    def to_json(self) -> dict[str, Any]:
        """Return the content for a manifest."""
        return {
            "knots": {name: [list(x), list(y)] for name, (x, y) in self.knots.items()},
            "spread_factor": dict(self.spread_factor),
            "largest_distance": self.largest_distance
            if np.isfinite(self.largest_distance)
            else None,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], place: str) -> Calibration:
        """Read what `to_json` wrote; an empty mapping is `none()`.

        Raises:
            CheckpointError: something else than that; names the place and the dimension.
        """
        if not content:
            return cls.none()
        try:
            knots = {name: _checked_knots(content["knots"][name]) for name in DIMENSIONS}
            factors = {name: float(content["spread_factor"][name]) for name in DIMENSIONS}
            largest = content["largest_distance"]
            limit = float("inf") if largest is None else float(largest)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise CheckpointError(f"{place}: calibration is damaged: {error!r}") from error
        if not all(np.isfinite(f) and f >= 0 for f in factors.values()) or not limit > 0:
            raise CheckpointError(f"{place}: calibration has a factor or distance out of range")
        return cls(knots, factors, limit)


def _checked_knots(pair: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    x, y = (tuple(float(value) for value in part) for part in pair)
    if len(x) != len(y) or len(x) < 2:
        raise ValueError(f"knots of {len(x)} and {len(y)} numbers")
    in_range = all(0 <= value <= 1 for value in (*x, *y))
    if not in_range or any(np.diff(x) <= 0) or any(np.diff(y) < 0):
        raise ValueError("knots must ascend within [0, 1]")
    return x, y


def isotonic(values: Array, weights: Array) -> Array:
    """Return the ascending sequence nearest to `values` in weighted squares (pool adjacent)."""
    blocks: list[list[float]] = []  # mean, weight, length
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        blocks.append([value, weight, 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, total, length = blocks.pop()
            last = blocks[-1]
            joint = last[1] + total
            blocks[-1] = [(last[0] * last[1] + mean * total) / joint, joint, last[2] + length]
    return np.concatenate([np.full(int(length), mean) for mean, _, length in blocks])


def _knots(scores: Array, targets: Array) -> tuple[tuple[float, ...], tuple[float, ...]]:
    order = np.argsort(scores, kind="stable")
    bins = np.array_split(order, min(_BINS, len(order)))
    x = np.array([scores[rows].mean() for rows in bins])
    y = isotonic(
        np.array([targets[rows].mean() for rows in bins]), np.array([float(len(r)) for r in bins])
    )
    x, y = np.concatenate([[0.0], x, [1.0]]), np.concatenate([[0.0], y, [max(y[-1], 1.0)]])
    x, y = np.round(x, 5), np.round(y, 5)
    rising = np.concatenate([[True], np.diff(x) > 0])
    return tuple(x[rising].tolist()), tuple(y[rising].tolist())


def _helps(scores: Array, targets: Array) -> bool:
    """Return whether the map lowers the absolute error of prompts it was not fitted on."""
    if len(scores) < _FEWEST_FOR_A_MAP:
        return False
    fold = np.random.default_rng(0).permutation(len(scores)) % _FOLDS
    mapped = np.empty_like(scores)
    for number in range(_FOLDS):
        rest = fold != number
        mapped[~rest] = np.interp(scores[~rest], *_knots(scores[rest], targets[rest]))
    before, after = np.abs(scores - targets), np.abs(mapped - targets)
    gain = before - after
    return bool(gain.mean() > gain.std() / np.sqrt(len(gain)))


def fit_calibration(
    targets: Array, scores: Array, expected_error: Array, distance: Array
) -> Calibration:
    """Fit on labelled prompts that the network was not trained on.

    Args:
        targets, scores, expected_error: `(n, 4)`; labels and what the network says.
        distance: `(n,)`.

    With fewer than 100 prompts scores are left as they are. With fewer than 20 there is nothing to
    go by, and the result is `Calibration.none()`.
    """
    if len(targets) < FEWEST_PROMPTS:
        return Calibration.none()
    identity = Calibration.none()
    knots = {
        name: _knots(scores[:, k], targets[:, k])
        if _helps(scores[:, k], targets[:, k])
        else identity.knots[name]
        for k, name in enumerate(DIMENSIONS)
    }
    mapped = Calibration(knots, identity.spread_factor, float("inf")).scores(scores)
    ratio = np.abs(mapped - targets) / np.maximum(expected_error, 1e-6)
    factors = np.quantile(ratio, COVERAGE, axis=0)
    return Calibration(
        knots,
        {name: round(float(factors[k]), 4) for k, name in enumerate(DIMENSIONS)},
        round(float(np.quantile(distance, DOMAIN_QUANTILE)), 4),
    )
