"""A checkpoint folder: `manifest.json` and the files that it names, with size and sha256.

Kinds: `onnx` (`model.onnx`, `tokenizer.json`; served by onnxruntime) and `torch`
(`model.safetensors`, `config.json`, `tokenizer.json`; for training and for any encoder).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import CheckpointError
from hydra_nb.predictor.signals import SIGNAL_VERSION

FORMAT = 2
MANIFEST = "manifest.json"
FILES_OF_KIND = {
    "onnx": ("model.onnx", "tokenizer.json"),
    "torch": ("model.safetensors", "config.json", "tokenizer.json"),
}
_LARGEST_MANIFEST_BYTES = 5_000_000


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint says of itself.

    Attributes:
        kind: `onnx` or `torch`.
        name: short name shown to users.
        encoder: description of the encoder (architecture, layers, origin, licence).
        pooling: `mean` or `cls`.
        max_tokens: tokens read of a prompt, at most.
        training_data: counts and sources of the prompts that it was trained on.
        metrics: the evaluation report on the test split; empty when it was not evaluated.
        score_band: per dimension the 10th and 90th percentile of its own scores over the training
            prompts; the band of Eq. 3.
        calibration: what `Calibration.to_json` wrote; empty when none was fitted.
        files: per file `sha256` and `bytes`.
    """

    kind: str
    name: str
    encoder: Mapping[str, Any]
    pooling: str
    max_tokens: int = 512
    training_data: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    score_band: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def digest_of(path: Path) -> dict[str, Any]:
    """Return `sha256` and `bytes` of a file."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"sha256": digest, "bytes": path.stat().st_size}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` with the digests of the files of its kind as they now are."""
    content = {
        "format": FORMAT,
        "kind": manifest.kind,
        "name": manifest.name,
        "encoder": dict(manifest.encoder),
        "pooling": manifest.pooling,
        "max_tokens": manifest.max_tokens,
        "signal_version": SIGNAL_VERSION,
        "dimensions": list(DIMENSIONS),
        "training_data": dict(manifest.training_data),
        "metrics": dict(manifest.metrics),
        "score_band": {name: list(band) for name, band in manifest.score_band.items()},
        "calibration": dict(manifest.calibration),
        "files": {name: digest_of(folder / name) for name in FILES_OF_KIND[manifest.kind]},
    }
    write_text(folder / MANIFEST, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file beside its place and rename it into it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, "utf-8")
    beside.replace(path)


def read_manifest(folder: str | Path, *, check_files: bool = True) -> Manifest:
    """Read and check a checkpoint folder.

    Raises:
        CheckpointError: the folder or a file is missing, the manifest is no manifest, of another
            format or signal version, or a file is not the one that the manifest names.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such checkpoint folder")
    if not path.is_file():
        raise CheckpointError(f"{path}: missing; {folder} is not a checkpoint of hydra_nb")
    if path.stat().st_size > _LARGEST_MANIFEST_BYTES:
        raise CheckpointError(f"{path}: {path.stat().st_size} bytes is too large for a manifest")
    try:
        content = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not valid JSON: {error}") from error
    manifest = _manifest_of(path, content)
    if check_files:
        for name in FILES_OF_KIND[manifest.kind]:
            _check_file(folder / name, manifest.files.get(name))
    return manifest


def _manifest_of(path: Path, content: Any) -> Manifest:
    if not isinstance(content, dict) or "format" not in content or "kind" not in content:
        raise CheckpointError(f"{path}: not a checkpoint manifest; it has no format and kind")
    if content["format"] != FORMAT:
        raise CheckpointError(
            f"{path}: format is {content['format']!r}; this version of hydra_nb reads {FORMAT}"
        )
    if content["kind"] not in FILES_OF_KIND:
        raise CheckpointError(
            f"{path}: kind is {content['kind']!r}; known kinds: {', '.join(FILES_OF_KIND)}"
        )
    for key, expected in (("signal_version", SIGNAL_VERSION), ("dimensions", list(DIMENSIONS))):
        if content.get(key) != expected:
            raise CheckpointError(
                f"{path}: {key} is {content.get(key)!r}; this version of hydra_nb needs "
                f"{expected!r}"
            )
    wanted: dict[str, type] = {
        "name": str, "encoder": dict, "pooling": str, "max_tokens": int, "training_data": dict,
        "metrics": dict, "score_band": dict, "calibration": dict, "files": dict,
    }  # fmt: skip
    for key, kind in wanted.items():
        if not isinstance(content.get(key), kind):
            raise CheckpointError(
                f"{path}: {key} must be a {kind.__name__}; received {content.get(key)!r:.80}"
            )
    if not 16 <= content["max_tokens"] <= 8192:
        raise CheckpointError(f"{path}: max_tokens is {content['max_tokens']}; must be 16 to 8192")
    values = {key: content[key] for key in wanted}
    values["score_band"] = _score_band(path, content["score_band"])
    return Manifest(kind=content["kind"], **values)


def _score_band(path: Path, content: dict[str, Any]) -> dict[str, tuple[float, float]]:
    bands = {}
    for name in DIMENSIONS if content else ():
        band = content.get(name)
        numbers = isinstance(band, list) and all(isinstance(end, int | float) for end in band)
        if not numbers or len(band) != 2 or not 0 <= band[0] <= band[1] <= 1:  # type: ignore[arg-type,index]
            raise CheckpointError(
                f"{path}: score_band of {name} must be two ascending numbers in [0, 1]; "
                f"received {band!r:.80}"
            )
        bands[name] = (float(band[0]), float(band[1]))  # type: ignore[index]
    return bands


def _check_file(path: Path, expected: Any) -> None:
    if not isinstance(expected, dict) or not {"sha256", "bytes"} <= expected.keys():
        raise CheckpointError(f"{path.parent / MANIFEST}: files has no entry for {path.name}")
    if not path.is_file():
        raise CheckpointError(f"{path}: missing")
    if path.stat().st_size != expected["bytes"]:
        raise CheckpointError(
            f"{path}: {path.stat().st_size} bytes, the manifest says {expected['bytes']}; "
            "truncated or replaced"
        )
    found = digest_of(path)["sha256"]
    if found != expected["sha256"]:
        raise CheckpointError(
            f"{path}: sha256 is {found}, the manifest says {expected['sha256']}; edited or damaged"
        )
