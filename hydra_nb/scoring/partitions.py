"""The same over a Dask DataFrame: lazy, each partition where it lies."""

from __future__ import annotations

import hashlib
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
from dask.delayed import delayed

from hydra_nb.errors import InvalidInputError
from hydra_nb.routing import Predictor
from hydra_nb.scoring.cache import ScoreCache
from hydra_nb.scoring.chunks import Job, given_columns
from hydra_nb.scoring.score_rows import COLUMNS, frame_of
from hydra_nb.scoring.sources import Source, manifest_digest


def score_partitions(
    frame: Any, job: Job, predictor: Predictor, *, checkpoint: str | None, is_live: bool
) -> Any:
    """Return the lazy scores of a Dask DataFrame, with its divisions.

    Args:
        frame: a Dask DataFrame that has the job's columns once.
        job: what to do with each partition.
        predictor: asked here for one empty text, to know the columns.
        checkpoint: where the workers load it.
        is_live: the predictor is an object of the user's own and travels, pickled.

    Raises:
        InvalidInputError: a live predictor does not pickle, or the cache cannot be used.
    """
    pickled = _pickled(predictor) if is_live else None
    if pickled is None:
        source = Source(checkpoint, manifest_digest(predictor))
    else:
        source = Source(None, None, hashlib.sha256(pickled).hexdigest())
    if job.cache is not None:
        # Here, once: a worker then need not read the whole file for each partition.
        with ScoreCache(*job.cache):
            pass
    meta = frame_of(
        np.empty((0, len(COLUMNS))),
        given_columns(predictor),
        frame._meta.index[:0],
        nullable=job.errors == "nan",
    )
    columns = [job.column] if job.turn_column is None else [job.column, job.turn_column]
    return frame[list(dict.fromkeys(columns))].map_partitions(
        score_partition,
        job,
        source,
        # Delayed: one copy in the graph, not one a partition.
        None if pickled is None else delayed(pickled),
        meta=meta,
        transform_divisions=False,
    )


def score_partition(
    partition: pd.DataFrame, job: Job, source: Source, pickled: bytes | None
) -> pd.DataFrame:
    """Return the scores of one partition; runs in a worker."""
    predictor = source.predictor(pickled)
    return job.score(partition, predictor, whole="its partition", verify_cache=False)


def _pickled(predictor: Predictor) -> bytes:
    try:
        pickled: bytes = cloudpickle.dumps(predictor)
        # Whatever a foreign __reduce__ raises means the same: it cannot travel.
    except Exception as error:
        raise InvalidInputError(
            f"predictor: this {type(predictor).__name__} does not pickle, so Dask cannot send it "
            f"to its workers ({type(error).__name__}: {error}). Give checkpoint=PATH and each "
            "worker loads it itself; without either the default one is loaded there"
        ) from error
    return pickled
