"""One row a prompt: four requirements, their spread, and whether it is out of domain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import InvalidInputError

SPREAD = tuple(f"{name}_spread" for name in DIMENSIONS)
OUT_OF_DOMAIN = "out_of_domain"
COLUMNS = (*DIMENSIONS, *SPREAD, OUT_OF_DOMAIN)
"""Columns of an array of rows, `(n, 9)`; NaN is what the predictor does not give."""

_VALUES, _SPREAD, _DOMAIN = slice(0, 4), slice(4, 8), 8

Rows = NDArray[np.float64]
Layout = NDArray[np.bool_]


def rows_of(requirements: Any, n_texts: int) -> Rows:
    """Return what a predictor gave for `n_texts` texts as `(n_texts, 9)`.

    Raises:
        InvalidInputError: it gave other shapes, values outside [0, 1], or a negative, infinite or
            NaN spread.
    """
    rows = np.full((n_texts, len(COLUMNS)), np.nan)
    for name, place, shape in (
        ("values", _VALUES, (n_texts, 4)),
        ("spread", _SPREAD, (n_texts, 4)),
        ("out_of_domain", _DOMAIN, (n_texts,)),
    ):
        given = getattr(requirements, name, None)
        if given is None and name != "values":
            continue
        if given is None or np.shape(given) != shape:
            received = (
                f"{name} of shape {np.shape(given)}"
                if given is not None
                else type(requirements).__name__
            )
            raise InvalidInputError(
                f"predictor: predict must return Requirements with {name} of shape {shape} for "
                f"{n_texts} texts; received {received}"
            )
        rows[:, place] = given
        if np.isnan(rows[:, place]).any():
            raise InvalidInputError(f"predictor: {name} must be numbers; received NaN")
    if not plausible(rows):
        raise InvalidInputError(
            "predictor: values must be in [0, 1], spread finite and at least 0, out_of_domain True "
            "or False"
        )
    return rows


def plausible(rows: Rows) -> bool:
    """Return whether every row is one that `rows_of` could have made."""
    values, spread, domain = rows[:, _VALUES], rows[:, _SPREAD], rows[:, _DOMAIN]
    missing = np.isnan(spread)
    return bool(
        ((values >= 0) & (values <= 1)).all()
        and (missing.all(axis=1) | ~missing.any(axis=1)).all()
        and (missing | ((spread >= 0) & np.isfinite(spread))).all()
        and (np.isnan(domain) | (domain == 0) | (domain == 1)).all()
    )


def layout_of(rows: Rows) -> Layout:
    """Return which of `COLUMNS` one or more rows give, `(9,)`.

    Raises:
        InvalidInputError: some rows give a column that others lack.
    """
    given = ~np.isnan(rows)
    mixed = np.flatnonzero(given.any(axis=0) & ~given.all(axis=0))
    if mixed.size:
        raise InvalidInputError(
            f"predictor: {COLUMNS[mixed[0]]} must be given for every text or for none; received it "
            f"for {int(given[:, mixed[0]].sum())} of {len(rows)}. If they came from a cache, use "
            "another cache_key for another predictor"
        )
    layout: Layout = given[0]
    return layout


def frame_of(rows: Rows, layout: Layout, index: pd.Index, *, nullable: bool) -> pd.DataFrame:
    """Return rows `(n, 9)` as a DataFrame of the columns in `layout`.

    `out_of_domain` is of dtype `boolean` where `nullable`, else `bool`; the choice never depends
    on the rows, so that all partitions of a Dask DataFrame agree.
    """
    columns: dict[str, Any] = {
        name: rows[:, place]
        for place, name in enumerate(COLUMNS)
        if layout[place] and name != OUT_OF_DOMAIN
    }
    if layout[_DOMAIN]:
        domain = rows[:, _DOMAIN]
        columns[OUT_OF_DOMAIN] = (
            pd.arrays.BooleanArray(domain == 1, np.isnan(domain)) if nullable else domain == 1
        )
    return pd.DataFrame(columns, index=index)
