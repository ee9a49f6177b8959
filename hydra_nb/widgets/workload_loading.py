"""Load a workload in the background: sample, file or pasted prompts, with progress and cancel."""

from __future__ import annotations

import json
import logging
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import HydraError, InvalidInputError
from hydra_nb.requirements import Requirements
from hydra_nb.routing import Predictor

if TYPE_CHECKING:
    from hydra_nb.workload import Workload

logger = logging.getLogger(__name__)

LIMIT_BYTES = 25_000_000
SUFFIXES = (".csv", ".jsonl", ".ndjson", ".json", ".parquet")
CHUNK = 16
"""Prompts scored between two looks at "cancel"."""
_TELL_SECONDS = 0.1

LoadingState = Literal["idle", "receiving", "waiting", "reading", "scoring", "error"]


@dataclass(frozen=True)
class Loading:
    """How far a workload is loaded.

    Attributes:
        state: nothing to load, bytes arriving, waiting for the encoder, reading, scoring, failed.
        label: what is loaded.
        done, total: bytes or prompts, by state; `total` is 0 where it is not known.
        message: what went wrong, in the state "error".
    """

    state: LoadingState = "idle"
    label: str = ""
    done: int = 0
    total: int = 0
    message: str = ""

    @property
    def is_running(self) -> bool:
        """Return whether it can be cancelled."""
        return self.state not in ("idle", "error")


@dataclass(frozen=True)
class Source:
    """Where a workload came from, to say it and to write it into a cell.

    Attributes:
        title: on screen.
        code: a Python expression that makes it again; empty where there is none.
    """

    title: str
    code: str = ""


class LoadingCancelledError(HydraError):
    """The user cancelled."""


class LoadingJob:
    """One load in a thread of its own.

    Args:
        predictor: the predictor, `None` while it is still loading; raises where it never will be.
        tell: takes over the progress, called without any lock.
    """

    def __init__(
        self,
        label: str,
        predictor: Callable[[], Predictor | None],
        tell: Callable[[LoadingJob, Loading], None],
    ) -> None:
        self.label = label
        self._find_predictor = predictor
        self._tell = tell
        self._told = 0.0
        self._scored, self._expected = 0, 0
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Stop as soon as the chunk at hand is done."""
        self._cancelled.set()

    def check(self) -> None:
        """Raise `LoadingCancelledError` where the user has cancelled."""
        if self._cancelled.is_set():
            raise LoadingCancelledError("cancelled")

    def report(self, state: LoadingState, done: int = 0, total: int = 0) -> None:
        """Tell how far it is, about ten times a second."""
        self.check()
        now = time.monotonic()
        if now - self._told >= _TELL_SECONDS or done in (0, total):
            self._told = now
            self._tell(self, Loading(state, self.label, done, total))

    def expect(self, prompts: int) -> None:
        """Say how many different prompts there are to score."""
        self._expected = prompts

    # -- as a predictor, for whoever reads the workload ------------------------------------------

    def predict(self, texts: Sequence[str], turns: Sequence[int] | None = None) -> Requirements:
        """Score in chunks, telling how far it is; cancelled between two chunks."""
        predictor = self._predictor()
        parts: list[Requirements] = []
        for start in range(0, len(texts), CHUNK):
            self.report("scoring", self._scored, max(self._expected, len(texts)))
            rows = slice(start, start + CHUNK)
            chosen = None if turns is None else list(turns[rows])
            parts.append(predictor.predict(list(texts[rows]), turns=chosen))
            self._scored += len(texts[rows])
        self.report("scoring", self._scored, max(self._expected, len(texts)))
        return _joined(parts)

    def _predictor(self) -> Predictor:
        while (predictor := self._find_predictor()) is None:
            self.report("waiting")
            time.sleep(_TELL_SECONDS)
        return predictor


def _joined(parts: Sequence[Requirements]) -> Requirements:
    spreads = [part.spread for part in parts if part.spread is not None]
    flags = [part.out_of_domain for part in parts if part.out_of_domain is not None]
    whole = bool(parts)
    return Requirements(
        np.concatenate([part.values for part in parts]) if parts else np.zeros((0, 4)),
        spread=np.concatenate(spreads) if whole and len(spreads) == len(parts) else None,
        out_of_domain=np.concatenate(flags) if whole and len(flags) == len(parts) else None,
    )


def read_sample(name: str, job: LoadingJob) -> Workload:
    """Return a bundled workload."""
    from hydra_nb.workload import Workload

    job.report("reading")
    return Workload.sample(name)


def read_bytes(name: str, data: bytes, job: LoadingJob, *, tokens_output: int) -> Workload:
    """Return the workload of an uploaded file; messages name the file as the user knows it."""
    from hydra_nb.workload import Workload

    job.report("reading")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"upload{checked_suffix(name)}"
        path.write_bytes(data)
        try:
            job.expect(_prompts_to_score(path))
            return Workload.load(
                path,
                name=Path(name).stem,
                predictor=job,
                tokens_output=tokens_output,
                progress=False,
            )
        except InvalidInputError as error:
            raise InvalidInputError(str(error).replace(str(path), name)) from error


def read_pasted(text: str, job: LoadingJob, *, tokens_output: int) -> Workload:
    """Return the workload of pasted lines: JSON lines where each is an object, else prompts."""
    from hydra_nb.workload import Workload

    job.report("reading")
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if not lines:
        raise InvalidInputError("nothing was pasted: one prompt a line, or JSON lines")
    if all(_is_object(line) for line in lines):
        data = text.encode("utf-8", "surrogatepass")
        return read_bytes("pasted.jsonl", data, job, tokens_output=tokens_output)
    job.expect(len(set(lines)))
    return Workload.of_texts(
        lines, job, tokens_output=tokens_output, name="pasted prompts", progress=False
    )


def _prompts_to_score(path: Path) -> int:
    from hydra_nb.workload.reading import read_file

    columns = read_file(path).columns
    texts, scores = columns.get("text"), columns.get(DIMENSIONS[0])
    if texts is None:
        return 0
    given = [None] * len(texts) if scores is None else scores
    return len({text for text, score in zip(texts, given, strict=True) if score is None})


def checked_suffix(name: str) -> str:
    """Return the ending of a file name that can be read."""
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise InvalidInputError(
            f"{name!r:.80} is no {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file"
        )
    return suffix


def checked_size(name: str, size: int) -> None:
    """Refuse a file that is too large to be sent through the browser."""
    if size > LIMIT_BYTES:
        raise InvalidInputError(
            f"{name!r:.80} has {size / 1e6:,.1f} MB; at most {LIMIT_BYTES / 1e6:.0f} MB can be "
            f"sent from the browser. From Python there is no limit: "
            f"lab.workload = Workload.load(path)"
        )


def _is_object(line: str) -> bool:
    if not line.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        # A line that begins like an object and is none is a mistake in JSON lines, not a prompt.
        return line.rstrip().endswith("}")
