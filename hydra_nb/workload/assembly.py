"""From a table to the fields of a workload: all is checked, then the unscored is scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import InvalidInputError
from hydra_nb.requirements import Requirements
from hydra_nb.routing import Predictor
from hydra_nb.tokens import DEFAULT_TOKENS_OUTPUT, check_tokens, estimate_tokens
from hydra_nb.workload import cells
from hydra_nb.workload.table import SPREAD, Table

DEFAULT_PERIOD = "month"


class ReadingOptions(TypedDict, total=False):
    """The keyword arguments of `fields_of`, shared by all that reads a workload."""

    predictor: Predictor | None
    tokens_output: int
    period: str | None
    progress: bool
    cache: str | Path | None
    cache_key: str | None


def fields_of(
    table: Table,
    *,
    name: str,
    predictor: Predictor | None = None,
    tokens_output: int = DEFAULT_TOKENS_OUTPUT,
    period: str | None = None,
    progress: bool = True,
    cache: str | Path | None = None,
    cache_key: str | None = None,
) -> dict[str, Any]:
    """Return the fields of `Workload`.

    Raises:
        InvalidInputError: a cell breaks a rule, or a row has neither text nor scores; the message
            names source, row, column, rule and value.
    """
    default = check_tokens(tokens_output, "tokens_output")
    texts = cells.texts(table)
    values, unscored = cells.unit_rows(table, DIMENSIONS)
    spread, no_spread = cells.unit_rows(table, SPREAD)
    domain, no_domain = cells.flags(table, "out_of_domain")
    empty = np.array([text is None or text.isspace() for text in texts], dtype=bool)
    if (unscored & empty).any():
        row = int(np.argmax(unscored & empty))
        rule = f"has neither text nor the four scores {', '.join(DIMENSIONS)}"
        table.refuse(row, "text" if "text" in table.columns else None, rule)
    tokens_in, no_tokens = cells.counts(table, "tokens_input", default=None)
    textless = np.array([text is None for text in texts], dtype=bool)
    if (no_tokens & textless).any():
        row = int(np.argmax(no_tokens & textless))
        table.refuse(row, None, "tokens_input is required where there is no text")
    if no_tokens.any():
        estimated = [estimate_tokens(texts[row] or "") for row in np.flatnonzero(no_tokens)]
        tokens_in[no_tokens] = estimated
    tokens_out, _ = cells.counts(table, "tokens_output", default=default)
    arrivals, _ = cells.counts(table, "arrivals", default=1)
    ids = cells.names(table, "id")
    fields = {
        "tokens_input": tokens_in,
        "tokens_output": tokens_out,
        "arrivals": arrivals,
        "texts": texts,
        "labels": cells.names(table, "label" if "label" in table.columns else "kind"),
        "modalities": cells.modalities(table),
        "ids": tuple(given or str(place) for place, given in enumerate(ids, start=1)),
        "name": cells.check_title(name, "name"),
        "period": _period(table, period),
    }
    if unscored.any():
        index = np.flatnonzero(unscored)
        found = _predicted(
            [texts[row] or "" for row in index], predictor, progress, cache, cache_key
        )
        values[index] = found.values
        no_spread[index] = found.spread is None
        if found.spread is not None:
            spread[index] = found.spread
        no_domain[index] = found.out_of_domain is None
        if found.out_of_domain is not None:
            domain[index] = found.out_of_domain
    # Whoever labels by hand gives no spread: then nobody's is known for the whole workload.
    requirements = Requirements(
        values,
        spread=None if no_spread.any() else spread,
        out_of_domain=None if no_domain.any() else domain,
    )
    return {"requirements": requirements, **fields}


def _predicted(
    texts: list[str],
    predictor: Predictor | None,
    progress: bool,
    cache: str | Path | None,
    cache_key: str | None,
) -> Requirements:
    import pandas as pd

    from hydra_nb.scoring import score_frame

    frame = score_frame(
        pd.DataFrame({"text": pd.Series(texts, dtype=object)}),
        "text",
        predictor=predictor,
        cache=cache,
        cache_key=cache_key,
        progress=progress,
    )
    return Requirements(
        frame[list(DIMENSIONS)].to_numpy(),
        spread=frame[list(SPREAD)].to_numpy() if SPREAD[0] in frame else None,
        out_of_domain=frame["out_of_domain"].to_numpy() if "out_of_domain" in frame else None,
    )


def _period(table: Table, asked: str | None) -> str:
    """Return the one period of all rows: as asked, else of the column, else the default."""
    written = cells.texts(table, "period")
    first = next((text for text in written if text is not None), None)
    for row, text in enumerate(written):
        if text is not None and text != first:
            table.refuse(row, "period", f"must be the same in all rows, as {first!r} before it")
    if first is not None:
        cells.check_title(first, f"{table.source}, period")
    if asked is not None:
        cells.check_title(asked, "period")
    if asked is not None and first is not None and asked != first:
        raise InvalidInputError(
            f"{table.source}: its arrivals are those of a {first!r}, as its column period says; "
            f"received period={asked!r:.80}"
        )
    return asked or first or DEFAULT_PERIOD
