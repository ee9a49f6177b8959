"""What queries require: one row of four scores a query, as the predictor or a person gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import InvalidInputError


@dataclass(frozen=True, eq=False)
class Requirements:
    """Required capability of `n_queries` queries.

    Attributes:
        values: float64 `(n_queries, 4)` in [0, 1], columns in the order of `DIMENSIONS`, read-only.

    Raises:
        InvalidInputError: a wrong shape, or a value that is NaN, infinite or outside [0, 1];
            the message names the row, the dimension and the value.
    """

    values: NDArray[np.float64]

    def __init__(self, values: ArrayLike) -> None:
        try:
            given = np.asarray(values)
        except ValueError as error:
            raise InvalidInputError(f"requirements must be numbers: {error}") from error
        if given.dtype.kind not in "iuf":
            raise InvalidInputError(f"requirements must be numbers; received {values!r:.80}")
        array = given.astype(np.float64)
        if array.ndim == 1 and array.size == len(DIMENSIONS):
            array = array.reshape(1, -1)
        if array.ndim != 2 or array.shape[1] != len(DIMENSIONS):
            raise InvalidInputError(
                f"requirements have shape {array.shape}; expected (n_queries, {len(DIMENSIONS)}) "
                f"with the columns {', '.join(DIMENSIONS)}"
            )
        bad = ~((array >= 0.0) & (array <= 1.0))
        if bad.any():
            row, column = (int(i) for i in np.argwhere(bad)[0])
            raise InvalidInputError(
                f"requirements row {row}, {DIMENSIONS[column]}: must be in [0, 1]; "
                f"received {array[row, column]}"
            )
        array.flags.writeable = False
        object.__setattr__(self, "values", array)

    @classmethod
    def of(cls, **scores: float) -> Requirements:
        """Return one query from named scores; dimensions left out are 0.

        >>> Requirements.of(reasoning=0.4, debugging=0.7).values
        array([[0.4, 0. , 0.7, 0. ]])
        """
        unknown = [name for name in scores if name not in DIMENSIONS]
        if unknown:
            raise InvalidInputError(
                f"unknown dimension {unknown[0]!r}; known: {', '.join(DIMENSIONS)}"
            )
        return cls([[scores.get(name, 0.0) for name in DIMENSIONS]])

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Requirements):
            return NotImplemented
        return bool(np.array_equal(self.values, other.values))

    def __repr__(self) -> str:
        if len(self) == 1:
            return f"Requirements({', '.join(f'{k}={v:.2f}' for k, v in self.row(0).items())})"
        return f"Requirements({len(self)} queries)"

    def row(self, index: int) -> Mapping[str, float]:
        """Return the four requirements of one query by name."""
        return {name: float(v) for name, v in zip(DIMENSIONS, self.values[index], strict=True)}
