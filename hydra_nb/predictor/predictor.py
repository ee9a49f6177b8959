"""The predictor: texts in, requirements out. Loads no torch for a checkpoint of kind `onnx`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from hydra_nb.errors import CheckpointError, InvalidInputError
from hydra_nb.predictor.checkpoint import Manifest, read_manifest
from hydra_nb.predictor.engines import Engine, OnnxEngine, TorchEngine
from hydra_nb.predictor.signals import signal_flags
from hydra_nb.predictor.tokens import PromptTokenizer
from hydra_nb.requirements import Requirements

DEFAULT_CHECKPOINT = Path(__file__).parent / "default"


class Predictor:
    """Predicts the four requirements of prompts; safe to use from several threads.

    The scores of a text depend on the text and its turn only, never on the rest of the batch.

    Attributes:
        manifest: what the checkpoint says of itself.
        name: short name of the checkpoint.
        metrics: its evaluation report on the held-out test split.
        score_band: per dimension the 10th and 90th percentile of its scores over the training
            prompts, the band of HyDRA's Eq. 3.
        max_tokens: tokens read of a prompt, signal tokens included.
    """

    def __init__(self, manifest: Manifest, tokenizer: PromptTokenizer, engine: Engine) -> None:
        self.manifest = manifest
        self._tokenizer = tokenizer
        self._engine = engine

    def __repr__(self) -> str:
        return f"Predictor({self.name!r}, kind={self.manifest.kind!r})"

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def metrics(self) -> Mapping[str, Any]:
        return self.manifest.metrics

    @property
    def score_band(self) -> Mapping[str, tuple[float, float]]:
        return self.manifest.score_band

    @property
    def max_tokens(self) -> int:
        return self._tokenizer.max_tokens

    def predict(self, texts: Sequence[str], turns: Sequence[int] | None = None) -> Requirements:
        """Return the requirements of user messages, `(n_texts, 4)`.

        `turns` are counted from 1 and default to 1 for every text. Of a long text the first
        `max_tokens` tokens count. An empty list gives `(0, 4)`.

        Raises:
            InvalidInputError: `texts` is one string or no sequence, an item is no string, or
                `turns` has another length or holds something other than integers ≥ 1; the message
                names the index and the type.
        """
        checked = _checked_texts(texts)
        checked_turns = _checked_turns(turns, len(checked))
        rows = [
            self._tokenizer.prompt_ids(text, turn)
            for text, turn in zip(checked, checked_turns, strict=True)
        ]
        # A sigmoid in float32 may end an ulp outside; Requirements refuses that.
        return Requirements(np.clip(self._engine.scores(rows), 0.0, 1.0))

    def signals(self, text: str, turn: int = 1) -> tuple[str, ...]:
        """Return the names of the signal flags that are set for `text`, as people read them."""
        flags = signal_flags(text, turn)
        later = () if flags.turn == 1 else (f"turn {turn}",)
        return (*later, *flags.active())

    def tokens(self, text: str, turn: int = 1) -> int:
        """Return how many tokens the encoder reads of `text`, at most `max_tokens`.

        Raises:
            InvalidInputError: `text` is no string or `turn` no integer ≥ 1.
        """
        checked = _checked_texts([text])
        return len(self._tokenizer.prompt_ids(checked[0], _checked_turns([turn], 1)[0]))


def load_predictor(path: str | Path | None = None) -> Predictor:
    """Load a checkpoint folder; `None` is the default one, shipped inside the package.

    A checkpoint of kind `onnx` is served by onnxruntime without torch; kind `torch` loads torch
    and transformers. Nothing is downloaded.

    Raises:
        CheckpointError: a file is missing, truncated, edited, foreign or of another version; the
            message names the file and what is wrong.
    """
    folder = DEFAULT_CHECKPOINT if path is None else Path(path)
    manifest = read_manifest(folder)
    if manifest.kind == "torch":
        tokenizer = _tokenizer_of(folder, manifest)
        return Predictor(manifest, tokenizer, TorchEngine(folder))
    return Predictor(manifest, _tokenizer_of(folder, manifest), OnnxEngine(folder / "model.onnx"))


def _tokenizer_of(folder: Path, manifest: Manifest) -> PromptTokenizer:
    try:
        return PromptTokenizer.from_file(folder / "tokenizer.json", max_tokens=manifest.max_tokens)
    except ImportError as error:
        raise CheckpointError(f"{folder}: the package tokenizers is not installed") from error


def _checked_texts(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str | bytes):
        raise InvalidInputError(
            f"texts must be a list of strings; received one {type(texts).__name__}, "
            "so put it in a list: [text]"
        )
    try:
        checked = list(texts)
    except TypeError as error:
        raise InvalidInputError(
            f"texts must be a list of strings; received {type(texts).__name__}"
        ) from error
    for index, text in enumerate(checked):
        if not isinstance(text, str):
            raise InvalidInputError(
                f"texts[{index}] must be a string; received {type(text).__name__}: {text!r:.60}"
            )
    return checked


def _checked_turns(turns: Sequence[int] | None, n_texts: int) -> list[int]:
    if turns is None:
        return [1] * n_texts
    try:
        checked = list(turns)
    except TypeError as error:
        raise InvalidInputError(
            f"turns must be a list of integers; received {type(turns).__name__}"
        ) from error
    if len(checked) != n_texts:
        raise InvalidInputError(f"turns has {len(checked)} items for {n_texts} texts")
    for index, turn in enumerate(checked):
        if not isinstance(turn, Integral) or isinstance(turn, bool) or turn < 1:
            raise InvalidInputError(
                f"turns[{index}] must be an integer of at least 1; "
                f"received {type(turn).__name__}: {turn!r:.60}"
            )
    return [int(turn) for turn in checked]
