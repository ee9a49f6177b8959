"""The four capability dimensions, and the checks and weights that every module shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hydra_nb.errors import InvalidInputError

DIMENSIONS = ("reasoning", "code_generation", "debugging", "tool_use")
"""Order of the columns of every `(…, 4)` array in this package."""

LABELS = {
    "reasoning": "Reasoning",
    "code_generation": "Code generation",
    "debugging": "Debugging",
    "tool_use": "Tool use",
}

TOLERANCE = 1e-9
"""One epsilon for eligibility, for the solver and for what is displayed as zero."""

MAX_WEIGHT = 1_000_000.0
"""Weights above this would drown the other dimensions, and then the float arithmetic."""

DimensionWeights = Mapping[str, float] | Sequence[float]


def weight_vector(dimension_weights: DimensionWeights | None) -> NDArray[np.float64]:
    """Return dimension weights as `(4,)` in the order of `DIMENSIONS`; `None` means all 1.

    A mapping may name some dimensions only; the others keep weight 1.

    Raises:
        InvalidInputError: an unknown dimension, a wrong length, a negative, NaN or infinite weight,
            or weights that are all zero.
    """
    if dimension_weights is None:
        return np.ones(len(DIMENSIONS))
    if isinstance(dimension_weights, Mapping):
        unknown = [name for name in dimension_weights if name not in DIMENSIONS]
        if unknown:
            raise InvalidInputError(
                f"dimension_weights names {unknown[0]!r}; known dimensions: {', '.join(DIMENSIONS)}"
            )
        given = np.asarray([dimension_weights.get(name, 1.0) for name in DIMENSIONS])
    else:
        given = np.asarray(dimension_weights)
    if given.dtype.kind not in "iuf":
        raise InvalidInputError(
            f"dimension_weights must be numbers; received {dimension_weights!r}"
        )
    weights = given.astype(np.float64)
    if weights.shape != (len(DIMENSIONS),):
        raise InvalidInputError(
            f"dimension_weights has shape {weights.shape}; it needs {len(DIMENSIONS)} numbers, "
            f"in the order {', '.join(DIMENSIONS)}"
        )
    for name, weight in zip(DIMENSIONS, weights, strict=True):
        if not 0 <= weight <= MAX_WEIGHT:
            raise InvalidInputError(
                f"dimension_weights[{name!r}] must be finite, at least 0 and at most "
                f"{MAX_WEIGHT:,.0f}; received {weight}"
            )
    if not weights.any():
        raise InvalidInputError("dimension_weights are all 0; at least one must be positive")
    return weights
