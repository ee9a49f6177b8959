"""Scores many prompts of a DataFrame: `score_frame`.

`frame` (the call) → `partitions` (over Dask, the only home of dask) → `chunks` (equal prompts once,
chunk by chunk) → `cells` (prompts out of a frame), `cache` (SQLite, resumable), `sources` (which
predictor, loaded once a process, and its identity), `score_rows` (arrays and columns).
"""

from __future__ import annotations

from hydra_nb.scoring.frame import score_frame

__all__ = ["score_frame"]
