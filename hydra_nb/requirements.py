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
        spread: float64 `(n_queries, 4)` in [0, 1], or `None` where nobody said: half the width of
            the interval around `values` that is meant to hold the label in 80 % of cases.
        out_of_domain: bool `(n_queries,)`, or `None` where nobody said: the predictor has seen
            nothing like this query and its requirements are a guess.

    Only `values` decide a routing; the other two tell how far to trust them.

    Raises:
        InvalidInputError: a wrong shape, or a value that is NaN, infinite or outside [0, 1];
            the message names the row, the dimension and the value.
    """

    values: NDArray[np.float64]
    spread: NDArray[np.float64] | None
    out_of_domain: NDArray[np.bool_] | None

    def __init__(
        self,
        values: ArrayLike,
        *,
        spread: ArrayLike | None = None,
        out_of_domain: ArrayLike | None = None,
    ) -> None:
        array = _unit_matrix(values, "requirements")
        object.__setattr__(self, "values", array)
        spreads = None if spread is None else _unit_matrix(spread, "spread")
        if spreads is not None and spreads.shape != array.shape:
            raise InvalidInputError(
                f"spread has shape {spreads.shape}; requirements have {array.shape}"
            )
        object.__setattr__(self, "spread", spreads)
        flags = None if out_of_domain is None else np.array(out_of_domain)
        if flags is not None:
            if flags.dtype != np.bool_ or flags.shape != (len(array),):
                raise InvalidInputError(
                    f"out_of_domain must be {len(array)} booleans; received "
                    f"{flags.dtype} of shape {flags.shape}"
                )
            flags.flags.writeable = False
        object.__setattr__(self, "out_of_domain", flags)

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
        return all(
            np.array_equal(mine, theirs)
            if mine is not None and theirs is not None
            else mine is theirs
            for mine, theirs in (
                (self.values, other.values),
                (self.spread, other.spread),
                (self.out_of_domain, other.out_of_domain),
            )
        )

    def __repr__(self) -> str:
        if len(self) == 1:
            return f"Requirements({', '.join(f'{k}={v:.2f}' for k, v in self.row(0).items())})"
        return f"Requirements({len(self)} queries)"

    def row(self, index: int) -> Mapping[str, float]:
        """Return the four requirements of one query by name."""
        return {name: float(v) for name, v in zip(DIMENSIONS, self.values[index], strict=True)}


def _unit_matrix(given: ArrayLike, what: str) -> NDArray[np.float64]:
    """Return read-only float64 `(n, 4)` with every value in [0, 1]; four numbers are one row."""
    try:
        raw = np.asarray(given)
    except ValueError as error:
        raise InvalidInputError(f"{what} must be numbers: {error}") from error
    if raw.dtype.kind not in "iuf":
        raise InvalidInputError(f"{what} must be numbers; received {given!r:.80}")
    array = raw.astype(np.float64)
    if array.ndim == 1 and array.size == len(DIMENSIONS):
        array = array.reshape(1, -1)
    if array.ndim != 2 or array.shape[1] != len(DIMENSIONS):
        raise InvalidInputError(
            f"{what} have shape {array.shape}; expected (n_queries, {len(DIMENSIONS)}) "
            f"with the columns {', '.join(DIMENSIONS)}"
        )
    bad = ~((array >= 0.0) & (array <= 1.0))
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise InvalidInputError(
            f"{what} row {row}, {DIMENSIONS[column]}: must be in [0, 1]; "
            f"received {array[row, column]}"
        )
    array.flags.writeable = False
    return array
