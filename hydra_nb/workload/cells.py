"""Every rule on a cell: from columns as given to arrays and tuples, or an error that names it.

What comes back has one entry a row. Columns are read whole; one cell is looked at by itself only to
say what is wrong with it, or where its type is unusual.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydra_nb.errors import InvalidInputError
from hydra_nb.profile import MODALITIES
from hydra_nb.tokens import MAX_TOKENS
from hydra_nb.workload.table import Table

TEXT_ONLY = frozenset({"text"})

_NONE = type(None)
_COUNT_RULES = {
    "arrivals": (
        1,
        f"must be a whole number of requests from 1 to {MAX_TOKENS:,} (give whole numbers, "
        "e.g. per month)",
    ),
    "tokens_input": (0, f"must be a whole number of tokens from 0 to {MAX_TOKENS:,}"),
    "tokens_output": (0, f"must be a whole number of tokens from 0 to {MAX_TOKENS:,}"),
}


def floats(table: Table, column: str, rule: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return a column as float64 `(n_rows,)`, NaN where it has no value, and where that is.

    Text and booleans are no numbers.
    """
    cells = table.columns.get(column)
    if cells is None:
        return np.full(table.n_rows, np.nan), np.ones(table.n_rows, dtype=bool)
    if isinstance(cells, np.ndarray):
        return cells.astype(np.float64), np.zeros(table.n_rows, dtype=bool)
    if not set(map(type, cells)) <= {int, float, _NONE}:
        for row, cell in enumerate(cells):
            fits = isinstance(cell, Real | Decimal | np.number) and not isinstance(cell, bool)
            if cell is not None and not fits:
                table.refuse(row, column, rule)
    missing = np.fromiter((cell is None for cell in cells), dtype=bool, count=len(cells))
    try:
        return np.array(cells, dtype=np.float64), missing
    except OverflowError:
        return np.array([_float(cell) for cell in cells]), missing


def counts(
    table: Table, column: str, *, default: int | None
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return a column of `arrivals` or tokens as int64 `(n_rows,)`, and where it has no value.

    There it is `default`, or 0 where that is `None`. A column that is there must have every value
    where its table asks for that (`Table.may_skip`); with `default=None` the caller decides.
    """
    least, rule = _COUNT_RULES[column]
    values, missing = floats(table, column, rule)
    with np.errstate(invalid="ignore"):
        good = (values >= least) & (values <= MAX_TOKENS) & (np.floor(values) == values)
    bad = ~good & ~missing
    if bad.any():
        table.refuse(int(np.argmax(bad)), column, rule)
    if column in table.columns and default is not None and missing.any() and not table.may_skip:
        row = int(np.argmax(missing))
        table.refuse(row, column, f"{rule}; fill it, or leave out the column for {default:,}")
    values[missing] = default or 0
    return values.astype(np.int64), missing


def unit_rows(
    table: Table, columns: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return columns that belong together, float64 `(n_rows, n_columns)` in [0, 1] or NaN.

    Also returned is where a row has none of them, bool `(n_rows,)`; one with a part is refused.
    """
    rule = "must be a number in [0, 1]"
    values = np.empty((table.n_rows, len(columns)))
    missing = np.empty(values.shape, dtype=bool)
    for place, column in enumerate(columns):
        values[:, place], missing[:, place] = floats(table, column, rule)
        bad = ~((values[:, place] >= 0) & (values[:, place] <= 1)) & ~missing[:, place]
        if bad.any():
            table.refuse(int(np.argmax(bad)), column, rule)
    none: NDArray[np.bool_] = np.all(missing, axis=1)
    partly: NDArray[np.bool_] = np.logical_and(missing.any(axis=1), ~none)
    if partly.any():
        row = int(np.argmax(partly))
        has = [name for name, gap in zip(columns, missing[row], strict=True) if not gap]
        lacks = [name for name in columns if name not in has]
        table.refuse(
            row, None, f"has {', '.join(has)} but lacks {', '.join(lacks)}; give all four or none"
        )
    return values + 0.0, none  # −0.0 becomes 0.0


def texts(table: Table, column: str = "text") -> tuple[str | None, ...]:
    """Return a column of text; an empty one is `None`."""
    return _strings(table, column, (str,), "must be text (str)")


def check_title(value: object, name: str) -> str:
    """Return `value` if it is text fit for one line of a screen; else `InvalidInputError`."""
    if isinstance(value, str) and value.strip() and value.isprintable():
        return value
    raise InvalidInputError(f"{name} must be printable text, not empty; received {value!r:.80}")


def names(table: Table, column: str) -> tuple[str | None, ...]:
    """Return a column of ids or labels, text or whole numbers, as text; an empty one is `None`."""
    return _strings(table, column, (str, Integral), "must be text or a whole number")


def _strings(
    table: Table, column: str, kinds: tuple[type, ...], rule: str
) -> tuple[str | None, ...]:
    cells = table.columns.get(column)
    if cells is None:
        return (None,) * table.n_rows
    if isinstance(cells, np.ndarray):
        cells = cells.tolist()
    if not set(map(type, cells)) <= {str, _NONE}:
        for row, cell in enumerate(cells):
            if cell is not None and (not isinstance(cell, kinds) or isinstance(cell, bool)):
                table.refuse(row, column, rule)
        cells = [None if cell is None else str(cell) for cell in cells]
    return tuple(cell or None for cell in cells)


def flags(table: Table, column: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return a column of true and false, bool `(n_rows,)`, and where it has no value."""
    cells = table.columns.get(column)
    if cells is None:
        return np.zeros(table.n_rows, dtype=bool), np.ones(table.n_rows, dtype=bool)
    for row, cell in enumerate(cells):
        if cell is not None and not isinstance(cell, bool | np.bool_):
            table.refuse(row, column, "must be true or false")
    missing = np.array([cell is None for cell in cells], dtype=bool)
    return np.array([bool(cell) for cell in cells], dtype=bool), missing


def modalities(table: Table, column: str = "modalities") -> tuple[frozenset[str], ...]:
    """Return what each query needs the model to read; text where nothing is said.

    A cell is a collection of names, or one text of names joined by `+`.
    """
    cells = table.columns.get(column)
    if cells is None:
        return (TEXT_ONLY,) * table.n_rows
    listed = list(cells)
    if set(map(type, listed)) == {frozenset}:
        for need in set(listed):
            _modalities(table, column, listed.index(need))
        return tuple(listed)
    known: dict[Any, frozenset[str]] = {}
    found = []
    for row, cell in enumerate(cells):
        if cell is None or isinstance(cell, str):
            if cell not in known:
                known[cell] = _modalities(table, column, row) if cell else TEXT_ONLY
            found.append(known[cell])
        else:
            need = _modalities(table, column, row)
            found.append(known.setdefault(need, need))
    return tuple(found)


def _modalities(table: Table, column: str, row: int) -> frozenset[str]:
    cell = table.columns[column][row]
    parts: list[Any] = []
    if isinstance(cell, str):
        parts = [part.strip() for part in cell.split("+")]
    elif isinstance(cell, Iterable) and not isinstance(cell, bytes | dict):
        parts = list(cell)
    if not parts or any(part not in MODALITIES for part in parts):
        table.refuse(
            row, column, f"must be some of {', '.join(MODALITIES)}, as a list or joined by '+'"
        )
    return frozenset(str(part) for part in parts)


def _float(cell: Any) -> float:
    try:
        return np.nan if cell is None else float(cell)
    except OverflowError:
        return np.inf
