"""Equal prompts once, longest first, chunk by chunk, in and out of the cache."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from hydra_nb.routing import Predictor
from hydra_nb.scoring.cache import ScoreCache
from hydra_nb.scoring.cells import Errors, Prompt, prompts_of
from hydra_nb.scoring.score_rows import COLUMNS, Layout, Rows, frame_of, layout_of, rows_of


@dataclass(frozen=True)
class Job:
    """What to do with each frame or partition.

    Attributes:
        column: the texts.
        turn_column: the turns, or `None`: all are first messages.
        errors: what becomes of a text that is no string.
        chunk_size: prompts a call of the predictor and a transaction of the cache.
        cache: file and identity of the predictor, or `None`.
    """

    column: Hashable
    turn_column: Hashable | None
    errors: Errors
    chunk_size: int
    cache: tuple[Path, str] | None

    def score(
        self,
        frame: pd.DataFrame,
        predictor: Predictor,
        *,
        progress: bool = False,
        whole: str = "the frame",
        verify_cache: bool = True,
    ) -> pd.DataFrame:
        """Return the scores of a frame, with its index.

        Raises:
            InvalidInputError: a cell, what the predictor returns or the cache breaks a rule.
        """
        prompts = prompts_of(
            frame, self.column, turn_column=self.turn_column, errors=self.errors, whole=whole
        )
        places: dict[Prompt, int] = {}
        for prompt in prompts:
            if prompt is not None:
                places.setdefault(prompt, len(places))
        scored = self._scored(list(places), predictor, progress, verify_cache)
        layout = layout_of(scored) if places else given_columns(predictor)
        # One row of NaN at the end, for what is no text.
        rows = np.vstack([scored, np.full((1, len(COLUMNS)), np.nan)])
        order = [len(places) if prompt is None else places[prompt] for prompt in prompts]
        return frame_of(rows[order], layout, frame.index, nullable=self.errors == "nan")

    def _scored(
        self, prompts: list[Prompt], predictor: Predictor, progress: bool, verify_cache: bool
    ) -> Rows:
        rows = np.full((len(prompts), len(COLUMNS)), np.nan)
        with ExitStack() as stack:
            cache = None
            left = set(range(len(prompts)))
            if self.cache is not None:
                path, identity = self.cache
                cache = stack.enter_context(ScoreCache(path, identity, verify=verify_cache))
                kept, kept_rows = cache.read(prompts)
                rows[kept] = kept_rows
                left.difference_update(kept)
            # Longest first: what needs most memory fails at once, and the bar never promises too
            # much. Places break ties, so that chunks do not depend on the order of a set.
            order = sorted(left, key=lambda place: (-len(prompts[place][0]), place))
            bar = stack.enter_context(
                tqdm(
                    total=len(prompts),
                    initial=len(prompts) - len(order),
                    unit="prompt",
                    disable=not progress,
                )
            )
            for start in range(0, len(order), self.chunk_size):
                chunk = order[start : start + self.chunk_size]
                part = [prompts[place] for place in chunk]
                rows[chunk] = self._predicted(part, predictor)
                if cache is not None:
                    cache.write(part, rows[chunk])
                bar.update(len(chunk))
        return rows

    def _predicted(self, prompts: list[Prompt], predictor: Predictor) -> Rows:
        texts = [text for text, _ in prompts]
        if self.turn_column is None:
            return rows_of(predictor.predict(texts), len(texts))
        turns = [turn for _, turn in prompts]
        return rows_of(predictor.predict(texts, turns=turns), len(texts))


def given_columns(predictor: Predictor) -> Layout:
    """Return which columns a predictor gives, `(9,)`, by asking it for one empty text."""
    return layout_of(rows_of(predictor.predict([""]), 1))
