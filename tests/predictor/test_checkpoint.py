from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hydra_nb.errors import CheckpointError
from hydra_nb.predictor import load_predictor
from hydra_nb.predictor.checkpoint import digest_of, read_manifest


@pytest.fixture
def folder(trained: SimpleNamespace, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.onnx_folder, tmp_path / "checkpoint"))


def edit_manifest(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps(content))


def accept_files(folder: Path) -> None:
    """Make the manifest agree with the files, as somebody with bad intentions would."""
    content = json.loads((folder / "manifest.json").read_text())
    edit_manifest(folder, files={name: digest_of(folder / name) for name in content["files"]})


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere: no such checkpoint folder"):
        load_predictor(tmp_path / "nowhere")


def test_a_folder_without_manifest_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"manifest\.json: missing"):
        load_predictor(tmp_path)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name}: missing"):
        load_predictor(folder)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_truncated_file_is_named_with_both_sizes(folder: Path, name: str) -> None:
    size = (folder / name).stat().st_size
    (folder / name).write_bytes((folder / name).read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=rf"{name}: {size - 10} bytes.*{size}"):
        load_predictor(folder)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_an_edited_byte_is_found(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(CheckpointError, match=f"{name}: sha256"):
        load_predictor(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "not a checkpoint manifest"),
        ('{"model_type": "bert"}', "not a checkpoint manifest"),
        ('{"format": 99, "kind": "onnx"}', "format is 99"),
        ('{"format": 2, "kind": "pickle"}', "known kinds: onnx, torch"),
        ('{"format": 2, "kind": "onnx"}', "signal_version is None"),
    ],
)
def test_a_foreign_manifest_says_what_is_wrong(folder: Path, content: str, message: str) -> None:
    (folder / "manifest.json").write_text(content)
    with pytest.raises(CheckpointError, match=message):
        load_predictor(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"signal_version": 0}, "signal_version is 0"),
        ({"dimensions": ["reasoning"]}, "dimensions is"),
        ({"max_tokens": "512"}, "max_tokens must be a int"),
        ({"max_tokens": 4}, "max_tokens is 4"),
        ({"files": {}}, "no entry for model.onnx"),
        ({"files": {"model.onnx": 3}}, "no entry for model.onnx"),
        ({"score_band": {"reasoning": [0.9, 0.1]}}, "score_band of reasoning"),
        ({"score_band": {"reasoning": "wide"}}, "score_band of reasoning"),
        ({"calibration": {"knots": {}}}, "calibration is damaged"),
    ],
)
def test_a_wrong_entry_is_named(folder: Path, changes: dict[str, Any], message: str) -> None:
    edit_manifest(folder, **changes)
    with pytest.raises(CheckpointError, match=message):
        load_predictor(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [("model.onnx", "onnxruntime cannot load it"), ("tokenizer.json", "not a tokenizer")],
)
def test_a_foreign_file_with_a_matching_digest_is_still_refused(
    folder: Path, name: str, message: str
) -> None:
    (folder / name).write_bytes(b"\x80\x04something else")
    accept_files(folder)
    with pytest.raises(CheckpointError, match=f"{name}.*{message}"):
        load_predictor(folder)


def test_a_tokenizer_without_signal_tokens_is_refused(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["added_tokens"] = [t for t in content["added_tokens"] if t["content"] != "<code>"]
    (folder / "tokenizer.json").write_text(json.dumps(content))
    accept_files(folder)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json.*lacks the signal tokens <code>"):
        load_predictor(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_torch_checkpoint_is_checked_too(
    trained: SimpleNamespace, tmp_path: Path, name: str
) -> None:
    folder = Path(shutil.copytree(trained.torch_folder, tmp_path / "checkpoint"))
    (folder / name).write_bytes(b"{}")
    with pytest.raises(CheckpointError, match=name):
        load_predictor(folder)
    accept_files(folder)
    with pytest.raises(CheckpointError, match=name):
        load_predictor(folder)


def test_written_and_read_manifest_agree(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert (manifest.kind, manifest.name, manifest.pooling) == ("onnx", "tiny", "mean")
    assert manifest.encoder["weights"] == "int8"


@pytest.mark.parametrize("make", [str, Path])
def test_a_path_may_be_text_or_a_path(folder: Path, make: Callable[[Path], str | Path]) -> None:
    assert load_predictor(make(folder)).name == "tiny"
