"""Which predictor scores: found or loaded once a process, with an identity for the cache."""

from __future__ import annotations

import hashlib
import json
import pickle
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hydra_nb.errors import CheckpointError, InvalidInputError
from hydra_nb.routing import Predictor, default_predictor

_lock = threading.Lock()
_from_checkpoint: dict[str, tuple[str, Predictor]] = {}
_from_pickle: dict[str, Predictor] = {}


def checked_predictor(predictor: Any, checkpoint: str | None) -> Predictor:
    """Return the predictor that a call asks for: its own, or the one of a checkpoint folder.

    Raises:
        InvalidInputError: both are given, or `predictor` has no method `predict`.
        CheckpointError: the checkpoint cannot be loaded.
    """
    if predictor is None:
        return checkpoint_predictor(checkpoint)
    if checkpoint is not None:
        raise InvalidInputError("give predictor or checkpoint, not both")
    if not callable(getattr(predictor, "predict", None)):
        raise InvalidInputError(
            f"predictor must have a method predict(texts); received {type(predictor).__name__}"
        )
    found: Predictor = predictor
    return found


def checkpoint_predictor(checkpoint: str | None) -> Predictor:
    """Return the predictor of a checkpoint folder, loaded once a process; `None` is the default.

    A folder whose manifest has changed is loaded anew.

    Raises:
        CheckpointError: the checkpoint cannot be loaded.
    """
    if checkpoint is None:
        return default_predictor()
    from hydra_nb.predictor import load_predictor
    from hydra_nb.predictor.checkpoint import MANIFEST

    with _lock:
        try:
            digest = hashlib.sha256((Path(checkpoint) / MANIFEST).read_bytes()).hexdigest()
        except OSError:
            digest = ""  # load_predictor says what is wrong, better than this could
        known = _from_checkpoint.get(checkpoint)
        if known is None or known[0] != digest:
            known = _from_checkpoint[checkpoint] = (digest, load_predictor(checkpoint))
        return known[1]


def manifest_digest(predictor: Predictor) -> str | None:
    """Return a sha256 over class, release and manifest (name, sha256 of every file, and the rest).

    `None` for a predictor without a manifest that names its files.
    """
    from hydra_nb.predictor.checkpoint import Manifest

    manifest = getattr(predictor, "manifest", None)
    if not isinstance(manifest, Manifest) or not manifest.files:
        return None
    # The release too: how a text becomes tokens is code, and no file of the checkpoint.
    content = [type(predictor).__qualname__, version("hydra-nb"), vars(manifest)]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=_plain).encode()).hexdigest()


def cache_identity(predictor: Predictor, cache_key: str | None) -> str:
    """Return what tells a predictor from others in a cache.

    Raises:
        InvalidInputError: `cache_key` is no text, or is missing for a predictor without a manifest.
    """
    if cache_key is not None and (not isinstance(cache_key, str) or not cache_key):
        raise InvalidInputError(
            f"cache_key must be a string, not empty; received {cache_key!r:.60}"
        )
    digest = manifest_digest(predictor)
    if digest is None and cache_key is None:
        raise InvalidInputError(
            f"cache needs cache_key='…' for this {type(predictor).__name__}: it has no manifest "
            "that tells its scores from those of others. Use another key when its scores change"
        )
    return json.dumps([digest, cache_key])


@dataclass(frozen=True)
class Source:
    """What a worker process needs to have the predictor of the caller.

    Attributes:
        checkpoint: absolute path of a folder that is there on every worker; `None` is the default
            one, of the package installed on the worker.
        digest: of the caller's manifest; a worker with another one refuses.
        key: sha256 of the pickled predictor, or `None` when it comes from a checkpoint.
    """

    checkpoint: str | None
    digest: str | None
    key: str | None = None

    def predictor(self, pickled: bytes | None) -> Predictor:
        """Return the predictor, loaded once a process.

        Raises:
            CheckpointError: the checkpoint of this worker cannot be loaded or is another one.
        """
        if self.key is not None and pickled is not None:
            with _lock:
                if self.key not in _from_pickle:
                    _from_pickle[self.key] = pickle.loads(pickled)
                return _from_pickle[self.key]
        found = checkpoint_predictor(self.checkpoint)
        if manifest_digest(found) != self.digest:
            raise CheckpointError(
                f"{self.checkpoint or 'the default checkpoint'}: the one on this worker is not the "
                "one where score_frame was called; both need the same files and release of hydra_nb"
            )
        return found


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else repr(value)
