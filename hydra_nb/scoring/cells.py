"""Prompts out of a frame: the text of a row and which message of its conversation it is."""

from __future__ import annotations

from collections.abc import Hashable
from numbers import Integral
from typing import Any, Literal

import pandas as pd

from hydra_nb.errors import InvalidInputError

Prompt = tuple[str, int]
"""Text and turn, from 1."""

Errors = Literal["raise", "nan"]


def check_column(frame: Any, column: Hashable, argument: str) -> None:
    """Check that a pandas or Dask frame has exactly one column of this name.

    Raises:
        InvalidInputError: it has none or several; the message lists some of those it has.
    """
    labels = list(frame.columns)
    # A list or an array would compare element by element.
    found = labels.count(column) if isinstance(column, Hashable) else 0
    if found == 1:
        return
    if not found:
        known = ", ".join(map(repr, labels[:12])) + (", …" if len(labels) > 12 else "")
        raise InvalidInputError(
            f"{argument}: the frame has no column {column!r:.80}; it has {known or 'no columns'}"
        )
    raise InvalidInputError(
        f"{argument}: column names must be unique; the frame has {found} columns {column!r}"
    )


def prompts_of(
    frame: pd.DataFrame,
    column: Hashable,
    *,
    turn_column: Hashable | None,
    errors: Errors,
    whole: str,
) -> list[Prompt | None]:
    """Return one prompt a row, `None` for what is no text where `errors` is `"nan"`.

    Args:
        frame: has each of the two columns once.
        column: the texts.
        turn_column: the turns; 1 for every row where it is `None`.
        errors: whether a text that is no string raises or gives `None`.
        whole: what positions count in, for messages: `"the frame"` or `"its partition"`.

    Raises:
        InvalidInputError: a text is no string, or the turn of a text no integer ≥ 1; the message
            names column, row, rule and value.
    """
    texts = frame[column].tolist()
    turns = [1] * len(texts) if turn_column is None else frame[turn_column].tolist()
    prompts: list[Prompt | None] = []
    for position, (text, turn) in enumerate(zip(texts, turns, strict=True)):
        if not isinstance(text, str):
            if errors == "raise":
                where = _place(frame, column, position, whole)
                raise InvalidInputError(
                    f"{where}: must be a string; received {_shown(text)}. "
                    "errors='nan' gives a row of NaN instead"
                )
            prompts.append(None)
            continue
        if not isinstance(turn, Integral) or isinstance(turn, bool) or turn < 1:
            hint = ". .astype('Int64') makes integers of them" if isinstance(turn, float) else ""
            where = _place(frame, turn_column, position, whole)
            raise InvalidInputError(
                f"{where}: must be an integer of at least 1; received {_shown(turn)}{hint}"
            )
        prompts.append((str(text), int(turn)))
    return prompts


def _place(frame: pd.DataFrame, column: Hashable, position: int, whole: str) -> str:
    return f"column {column!r}, row {frame.index[position]!r} (position {position} of {whole})"


def _shown(value: object) -> str:
    return f"{type(value).__name__}: {value!r:.60}"
