"""The predictor: texts in, requirements out. Loads no torch for a checkpoint of kind `onnx`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydra_nb.errors import CheckpointError, InvalidInputError
from hydra_nb.predictor.calibration import Calibration
from hydra_nb.predictor.checkpoint import MANIFEST, Manifest, read_manifest
from hydra_nb.predictor.engines import Engine, OnnxEngine, TorchEngine
from hydra_nb.predictor.explanation import Explanation, explain
from hydra_nb.predictor.input_text import LONGEST_PIECE, clean_text
from hydra_nb.predictor.irrelevant import Relevance, relevance
from hydra_nb.predictor.signals import SignalFlags, signal_flags
from hydra_nb.predictor.tokens import PromptTokenizer
from hydra_nb.requirements import Requirements

DEFAULT_CHECKPOINT = Path(__file__).parent / "default"

_MOST_UNKNOWN = 0.3
"""With this share of unknown characters, a prompt is in a script that was never seen."""


@dataclass(frozen=True)
class Reading:
    """What the predictor says of one prompt, and what it has read.

    Attributes:
        requirements: of one query.
        ignored: phrases without bearing on the requirements, as typed, left out before scoring.
        tokens: how many tokens the encoder read of the prompt, signal tokens included.
        signals: names of the signal flags that are set for what was scored, as people read them.
        distance: from the training prompts, about 1 for prompts like those; see `Calibration`.
    """

    requirements: Requirements
    ignored: tuple[str, ...]
    tokens: int
    signals: tuple[str, ...]
    distance: float


class Predictor:
    """Predicts the four requirements of prompts; safe to use from several threads.

    The scores of a text depend on the text and its turn only, never on the rest of the batch; a
    checkpoint of kind `torch` pads its batches, which moves a score by rounding errors.

    Attributes:
        manifest: what the checkpoint says of itself.
        name: short name of the checkpoint.
        metrics: its evaluation report on the held-out test split.
        score_band: per dimension the 10th and 90th percentile of its scores over the training
            prompts, the band of HyDRA's Eq. 3.
        max_tokens: tokens read of a prompt, signal tokens included.
    """

    def __init__(
        self,
        manifest: Manifest,
        tokenizer: PromptTokenizer,
        engine: Engine,
        calibration: Calibration | None = None,
    ) -> None:
        self.manifest = manifest
        self._tokenizer = tokenizer
        self._engine = engine
        self._calibration = calibration or Calibration.none()

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
        """Return the requirements of user messages, `(n_texts, 4)`, with spread and domain.

        `turns` are counted from 1 and default to 1 for every text. Of a long text the first
        `max_tokens` tokens count. Words that the network finds irrelevant (politeness, hype,
        routing orders) are left out and the rest is scored. An empty list gives `(0, 4)`.

        Raises:
            InvalidInputError: `texts` is one string or no sequence, an item is no string, or
                `turns` has another length or holds something other than integers ≥ 1; the message
                names the index and the type.
        """
        checked = checked_texts(texts)
        return self._read(checked, _checked_turns(turns, len(checked)))[0]

    def read(self, text: str, turn: int = 1) -> Reading:
        """Return the requirements of one message with what was read, ignored and found in it.

        Raises:
            InvalidInputError: `text` is no string or `turn` no integer ≥ 1.
        """
        checked, turns = checked_texts([text]), _checked_turns([turn], 1)
        requirements, relevances, flags, distance = self._read(checked, turns)
        return Reading(
            requirements,
            relevances[0].phrases,
            self.tokens(text, turn),
            _signal_names(flags[0], turn),
            float(distance[0]),
        )

    def explain(self, text: str, turn: int = 1) -> Explanation:
        """Return what each word contributes to each requirement; see `Explanation`.

        Takes one prediction a word, at most 64 of them.

        Raises:
            InvalidInputError: `text` is no string or `turn` no integer ≥ 1.
        """
        checked, turns = checked_texts([text]), _checked_turns([turn], 1)
        # No piece of the vocabulary is longer than that: more can never be read.
        read = self.max_tokens * LONGEST_PIECE
        cleaned = signal_flags(clean_text(checked[0]), turns[0])
        by_lines = _set_by_lines(signal_flags(checked[0], turns[0]), cleaned)

        def score(variants: Sequence[str]) -> Requirements:
            return self._read(variants, turns * len(variants), by_lines=by_lines)[0]

        whole = self._read(checked, turns)[0]
        return explain(checked[0], whole, score, most_characters=read)

    def _read(
        self,
        texts: Sequence[str],
        turns: Sequence[int],
        *,
        by_lines: Set[str] = frozenset(),
    ) -> tuple[Requirements, list[Relevance], list[SignalFlags], NDArray[np.float64]]:
        """Read texts; the flags `by_lines` are set for each of them, whatever its own lines say."""
        cleaned = [clean_text(text) for text in texts]
        flags = [
            replace(signal_flags(text, turn), **dict.fromkeys(by_lines, True))
            for text, turn in zip(texts, turns, strict=True)
        ]
        encoded = [
            self._tokenizer.ids_and_offsets(clean, found.tokens())
            for clean, found in zip(cleaned, flags, strict=True)
        ]
        outputs = self._engine.outputs([ids for ids, _ in encoded])
        relevances = [
            relevance(clean, offsets, noise)
            for clean, (_, offsets), noise in zip(cleaned, encoded, outputs.noise, strict=True)
        ]
        again = [index for index, found in enumerate(relevances) if found.dropped]
        if again:
            for i in again:
                flags[i] = _flags_of_kept(flags[i], relevances[i], turns[i])
            kept = self._engine.outputs(
                [self._tokenizer.ids(relevances[i].kept, flags[i].tokens()) for i in again]
            )
            outputs.scores[again] = kept.scores
            outputs.expected_error[again] = kept.expected_error
            outputs.distance[again] = kept.distance
        unknown = np.array([self._tokenizer.unknown_share(*read) for read in encoded])
        requirements = Requirements(
            self._calibration.scores(outputs.scores),
            spread=self._calibration.spread(outputs.expected_error),
            out_of_domain=(outputs.distance > self._calibration.largest_distance)
            | (unknown >= _MOST_UNKNOWN),
        )
        return requirements, relevances, flags, outputs.distance

    def tokens(self, text: str, turn: int = 1) -> int:
        """Return how many tokens the encoder reads of `text`, at most `max_tokens`.

        Raises:
            InvalidInputError: `text` is no string or `turn` no integer ≥ 1.
        """
        checked = checked_texts([text])
        return len(self._tokenizer.prompt_ids(checked[0], _checked_turns([turn], 1)[0]))


def _flags_of_kept(whole: SignalFlags, found: Relevance, turn: int) -> SignalFlags:
    """Return the flags of what is kept of a message with the flags `whole`.

    Cleaning takes the line breaks, and with them what some rules look for: a flag that the cleaned
    message no longer has was set by its lines, and stays.
    """
    cleaned, kept = signal_flags(found.text, turn), signal_flags(found.kept, turn)
    return replace(kept, **dict.fromkeys(_set_by_lines(whole, cleaned), True))


def _set_by_lines(whole: SignalFlags, cleaned: SignalFlags) -> Set[str]:
    return set(whole.active()) - set(cleaned.active()) - {"short"}


def _signal_names(flags: SignalFlags, turn: int) -> tuple[str, ...]:
    return (*(() if flags.turn == 1 else (f"turn {turn}",)), *flags.active())


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
    calibration = Calibration.from_json(manifest.calibration, str(folder / MANIFEST))
    tokenizer = _tokenizer_of(folder, manifest)
    engine = TorchEngine(folder) if manifest.kind == "torch" else OnnxEngine(folder / "model.onnx")
    return Predictor(manifest, tokenizer, engine, calibration)


def _tokenizer_of(folder: Path, manifest: Manifest) -> PromptTokenizer:
    try:
        return PromptTokenizer.from_file(folder / "tokenizer.json", max_tokens=manifest.max_tokens)
    except ImportError as error:
        raise CheckpointError(f"{folder}: the package tokenizers is not installed") from error


def checked_texts(texts: Sequence[str]) -> list[str]:
    """Return `texts` as a list, or refuse what is no list of strings, naming index and type."""
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
