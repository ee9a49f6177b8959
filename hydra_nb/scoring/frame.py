"""`score_frame`: from a column of prompts to columns of requirements."""

from __future__ import annotations

from collections.abc import Hashable
from numbers import Integral
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from hydra_nb.errors import InvalidInputError
from hydra_nb.routing import Predictor
from hydra_nb.scoring.cells import Errors, check_column
from hydra_nb.scoring.chunks import Job
from hydra_nb.scoring.sources import cache_identity, checked_predictor

Frame = TypeVar("Frame")
"""A pandas DataFrame, or a Dask DataFrame: what comes in also goes out."""


def score_frame(
    df: Frame,
    column: Hashable,
    *,
    predictor: Predictor | None = None,
    checkpoint: str | Path | None = None,
    turn_column: Hashable | None = None,
    cache: str | Path | None = None,
    cache_key: str | None = None,
    errors: Errors = "raise",
    chunk_size: int = 256,
    progress: bool = True,
) -> Frame:
    """Return the requirements of many prompts: a new DataFrame with one row a row, the same index.

    Columns: `reasoning`, `code_generation`, `debugging`, `tool_use` (float64 in [0, 1]); where the
    predictor gives them also `reasoning_spread` … `tool_use_spread` (float64) and `out_of_domain`
    (bool; nullable `boolean` with `errors="nan"`). Equal prompts are scored once. An empty text is
    scored like any other.

    A Dask DataFrame (`pip install 'hydra-nb[dask]'`) gives a lazy Dask DataFrame with the same
    divisions. Each worker process loads the predictor once; the calling process loads it too, to
    know the columns. Empty partitions are fine. Dask by default turns numbers and bytes of an
    object column into text before they can be refused here; where that matters, build the frame
    under `dask.config.set({"dataframe.convert-string": False})`.

    Args:
        df: a pandas or Dask DataFrame.
        column: name of the column of texts.
        predictor: any object with `predict(texts)` (and `turns=`, where `turn_column` is given);
            `None` for the one of `checkpoint`. With Dask it must pickle and is sent as it is now.
        checkpoint: a checkpoint folder, for Dask one that is there on every worker too; `None` for
            the default one, shipped with the package.
        turn_column: name of the column that says which message of its conversation a text is, from
            1; `None` for 1 everywhere.
        cache: a SQLite file, made when missing, that keeps scores by sha256 of text, turn and
            predictor, never the text. It is written after each chunk, so that an interrupted call,
            made again, goes on where it was. Workers of one machine may share it, on a local disk.
        cache_key: tells a predictor that has no manifest from others in the cache.
        errors: `"raise"`, or `"nan"` to give a row of NaN for a text that is no string.
        chunk_size: prompts a call of the predictor.
        progress: show a bar over the different prompts; never shown over Dask, which has its own.

    Raises:
        InvalidInputError: `df` is no DataFrame or has no rows, a column is missing or there twice,
            a text is no string, a turn no integer ≥ 1, an option breaks a rule, the predictor
            returns something else, or the cache is damaged, foreign, or has no `cache_key` where
            one is needed. The message names column, row label, position, rule and value. Over Dask
            what concerns cells is raised by the worker, when it computes.
        CheckpointError: the checkpoint cannot be loaded, or a worker has another one.
    """
    is_dask = _is_dask_frame(df)
    if not is_dask and not isinstance(df, pd.DataFrame):
        raise InvalidInputError(
            f"df must be a pandas or Dask DataFrame; received {type(df).__name__}"
        )
    check_column(df, column, "column")
    if turn_column is not None:
        check_column(df, turn_column, "turn_column")
    if isinstance(df, pd.DataFrame) and df.empty:
        raise InvalidInputError(f"df must have rows; received a frame of shape {df.shape}")
    if errors not in ("raise", "nan"):
        raise InvalidInputError(f"errors must be 'raise' or 'nan'; received {errors!r:.60}")
    if not isinstance(chunk_size, Integral) or isinstance(chunk_size, bool) or chunk_size < 1:
        raise InvalidInputError(
            f"chunk_size must be an integer of at least 1; received {chunk_size!r:.60}"
        )
    folder = None if checkpoint is None else str(_absolute(checkpoint, "checkpoint"))
    scorer = checked_predictor(predictor, folder)
    kept = None
    if cache is not None:
        kept = (_absolute(cache, "cache"), cache_identity(scorer, cache_key))
    elif cache_key is not None:
        raise InvalidInputError("cache_key is for a cache; give cache=PATH too")
    job = Job(column, turn_column, errors, int(chunk_size), kept)
    result: Any
    if is_dask:
        from hydra_nb.scoring.partitions import score_partitions

        is_live = predictor is not None
        result = score_partitions(df, job, scorer, checkpoint=folder, is_live=is_live)
    else:
        assert isinstance(df, pd.DataFrame)
        result = job.score(df, scorer, progress=progress)
    found: Frame = result
    return found


def _is_dask_frame(df: object) -> bool:
    # By name: dask is not imported for those who do not use it, and may not be installed.
    return any(
        kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == "dask"
        for kind in type(df).__mro__
    )


def _absolute(path: Any, argument: str) -> Path:
    # Absolute: a Dask worker has a working directory of its own.
    try:
        return Path(path).expanduser().absolute()
    except TypeError as error:
        raise InvalidInputError(f"{argument} must be a path; received {path!r:.60}") from error
