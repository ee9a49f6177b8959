"""Cells as they were given: named columns whose rows people can find again."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import InvalidInputError

SPREAD = tuple(f"{name}_spread" for name in DIMENSIONS)

KNOWN = (
    "id",
    "text",
    "label",
    "kind",
    *DIMENSIONS,
    "tokens_input",
    "tokens_output",
    "arrivals",
    "modalities",
    *SPREAD,
    "out_of_domain",
    "period",
)
"""Columns that mean something; `kind` is another word for `label`, which goes first."""

NUMBERS = (*DIMENSIONS, "tokens_input", "tokens_output", "arrivals", *SPREAD)

_LIKENESS = 0.85  # "uid" and "id" come to 0.80, "tokens_in" and "tokens_input" to 0.86

Cells = list[Any] | NDArray[Any]
"""A list in which `None` is a cell without a value, or an array of numbers that has none such."""


@dataclass(frozen=True)
class Table:
    """Columns by name.

    Attributes:
        source: what was read, for messages: a path, `df`, `workload`.
        columns: those of `KNOWN` that are there, `n_rows` cells each.
        n_rows: how many rows there are.
        row_name: from a position, counted from 0, to what people call the row.
        may_skip: whether a row may leave out what other rows say, as in JSON; in a table a gap
            in a column of counts is more likely a mistake than a wish.
    """

    source: str
    columns: Mapping[str, Cells]
    n_rows: int
    row_name: Callable[[int], str]
    may_skip: bool = False

    def refuse(self, row: int, column: str | None, rule: str) -> NoReturn:
        """Raise the `InvalidInputError` that names source, row, column, rule and value."""
        where = f"{self.source}, {self.row_name(row)}"
        if column is None:
            raise InvalidInputError(f"{where}: {rule}")
        value: Any = self.columns[column][row]
        shown = value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value
        raise InvalidInputError(f"{where}, {column}: {rule}; received {shown!r:.80}")


def as_cells(name: str, value: Any, n_rows: int) -> Cells:
    """Return what was given for an argument as `n_rows` cells; one number is repeated.

    Raises:
        InvalidInputError: it has another number of entries, or is no collection.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "iuf" and value.ndim == 1:
        found: Cells = value
    elif np.isscalar(value) and not isinstance(value, str | bytes):
        found = [value] * n_rows
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        found = list(value)
    else:
        raise InvalidInputError(f"{name} must have one entry a prompt; received {value!r:.80}")
    if len(found) != n_rows:
        raise InvalidInputError(f"{name} has {len(found)} entries, but there are {n_rows} prompts")
    return found


def check_columns(source: str, names: Iterable[object]) -> None:
    """Check the names of all columns that a source has.

    Raises:
        InvalidInputError: a known name is there twice, an unknown one looks like a slip for a
            known one that is not there, or there is neither `text` nor a dimension.
    """
    given = [name for name in names if isinstance(name, str)]
    for name in KNOWN:
        if given.count(name) > 1:
            raise InvalidInputError(f"{source}: has {given.count(name)} columns {name!r}")
    for name in given:
        meant = None if name in KNOWN else _meant(name, [k for k in KNOWN if k not in given])
        if meant is not None:
            raise InvalidInputError(
                f"{source}: unknown column {name!r}; did you mean {meant!r}? Rename it or take it "
                "out: other unknown columns are ignored"
            )
    if "text" not in given and not set(DIMENSIONS) & set(given):
        found = ", ".join(map(repr, given[:12])) + (", …" if len(given) > 12 else "")
        raise InvalidInputError(
            f"{source}: needs a column 'text', or the four scores {', '.join(DIMENSIONS)}; "
            f"it has {found or 'no columns'}"
        )


def _meant(name: str, candidates: list[str]) -> str | None:
    spelled = re.sub(r"[\W_]+", "_", name.strip().lower())
    words = sorted(spelled.split("_"))
    for known in candidates:
        # output_tokens, as some call tokens_output
        if sorted(known.split("_")) == words:
            return known
    close = difflib.get_close_matches(spelled, candidates, n=1, cutoff=_LIKENESS)
    if close:
        return close[0]
    # arrivals_per_day: passing over it would make every prompt arrive once
    return "arrivals" if "arrivals" in words and "arrivals" in candidates else None
