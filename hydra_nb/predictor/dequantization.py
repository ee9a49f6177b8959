"""The served int8 graph of a BERT encoder, turned back into a network that can be trained on.

The wheel carries no fp32 weights; this undoes `quantization.write_int8` (scales, smoothing and
outliers), so that `hydra-nb train` can start from the shipped predictor. What is lost is the
rounding: half of 1/127 of each channel's range.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from hydra_nb.errors import CheckpointError
from hydra_nb.predictor.architecture import RequirementNetwork
from hydra_nb.predictor.checkpoint import Manifest, read_manifest
from hydra_nb.predictor.quantization import OUTLIER_ROWS, OUTLIERS, WHITENING
from hydra_nb.predictor.tokens import PromptTokenizer

Weights = dict[str, NDArray[np.float32]]

_LAYER = re.compile(r"layer\.(\d+)/(.+)/MatMul")
_TABLE = "encoder.embeddings.word_embeddings.weight"


class _Graph:
    def __init__(self, path: Path) -> None:
        model: Any = onnx.load(str(path))
        self.nodes = list(model.graph.node)
        self.constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self.maker = {name: node for node in self.nodes for name in node.output}

    def matrix(self, weight: str, read: str) -> NDArray[np.float32]:
        """Return the fp32 matrix of a weight; `read` is the activation that it multiplies."""
        matrix = self.constants[weight].astype(np.float32)
        base = weight.removesuffix("_quantized")
        if base != weight:
            zero = self.constants[f"{base}_zero_point"].astype(np.float32)
            matrix = (matrix - zero) * self.constants[f"{base}_scale"]
        smoothing = self.maker.get(self.source(read))
        if smoothing is not None and smoothing.op_type == "Mul":
            for name in smoothing.input:
                if name.endswith("_inverse"):
                    matrix = matrix * self.constants[name][:, None]
        if f"{base}{OUTLIERS}" in self.constants:
            matrix[self.constants[f"{base}{OUTLIERS}"]] = self.constants[f"{base}{OUTLIER_ROWS}"]
        return np.asarray(matrix, dtype=np.float32)

    def source(self, quantized: str) -> str:
        """Return the activation that was quantized to `quantized`."""
        made = self.maker.get(quantized)
        if made is not None and made.op_type == "DynamicQuantizeLinear":
            return str(made.input[0])
        return quantized


def _weights(path: Path) -> Weights:
    graph = _Graph(path)
    weights: Weights = {}
    for name, value in graph.constants.items():
        derived = name.endswith(("_scale", "_inverse", "_Transposed", OUTLIER_ROWS))
        if name.startswith("network.") and value.dtype == np.float32 and not derived:
            weights[name.removeprefix("network.")] = value
    table = f"network.{_TABLE}"
    if f"{table}_int8" in graph.constants:  # a small table stays fp32
        weights[_TABLE] = graph.constants[f"{table}_int8"] * graph.constants[f"{table}_scale"]
    attentions = [node for node in graph.nodes if node.op_type == "QAttention"]
    for layer, node in enumerate(attentions):
        own = f"encoder.encoder.layer.{layer}.attention.self"
        matrix, bias = graph.matrix(node.input[1], node.input[0]), graph.constants[node.input[2]]
        width = matrix.shape[1] // 3
        for part, name in enumerate(("query", "key", "value")):
            columns = slice(part * width, (part + 1) * width)
            weights[f"{own}.{name}.weight"] = matrix[:, columns].T
            weights[f"{own}.{name}.bias"] = bias[columns]
    for node in graph.nodes:
        if node.op_type not in ("MatMul", "MatMulInteger") or node.input[1] not in graph.constants:
            continue
        if node.input[1].endswith(OUTLIER_ROWS) or node.input[1] == WHITENING:
            continue
        matrix = graph.matrix(node.input[1], node.input[0]).T
        found = _LAYER.search(node.name)
        if found:
            module = found[2].replace("/", ".")
            weights[f"encoder.encoder.layer.{found[1]}.{module}.weight"] = matrix
        else:
            module = ".".join(node.name.split("/")[2:-1])  # /network/heads/inner/Gemm_MatMul
            weights[f"{module}.weight"] = matrix
    return weights


def reopened(folder: str | Path) -> tuple[RequirementNetwork, PromptTokenizer, Manifest]:
    """Return network, tokenizer and manifest of a checkpoint of kind `onnx` with a BERT encoder.

    Raises:
        CheckpointError: as `read_manifest`; also for a graph of another encoder, which cannot be
            undone: train on from its torch checkpoint instead.
    """
    from transformers import BertConfig, BertModel

    folder = Path(folder)
    manifest = read_manifest(folder)
    if manifest.encoder.get("architecture") != "BertModel" or manifest.kind != "onnx":
        raise CheckpointError(
            f"{folder}: only a served BERT encoder can be turned back into one to train on; "
            f"this is {manifest.encoder.get('architecture')!r} of kind {manifest.kind!r}. "
            "Train on from its torch checkpoint"
        )
    try:
        weights = _weights(folder / "model.onnx")
        table, inner = weights[_TABLE], "encoder.encoder.layer.0.intermediate.dense.weight"
        config = BertConfig(
            vocab_size=table.shape[0],
            hidden_size=table.shape[1],
            num_hidden_layers=1 + max(int(n.split(".")[3]) for n in weights if ".layer." in n),
            num_attention_heads=int(manifest.encoder["attention_heads"]),
            intermediate_size=weights[inner].shape[0],
            max_position_embeddings=weights["encoder.embeddings.position_embeddings.weight"].shape[
                0
            ],
            layer_norm_eps=1e-12,
            pad_token_id=1,
            attention_probs_dropout_prob=0.0,
        )
        network = RequirementNetwork(
            BertModel(config, add_pooling_layer=False), pooling=manifest.pooling
        )
        network.load_weights(
            {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}
        )
    except (KeyError, StopIteration, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{folder / 'model.onnx'}: not a graph that hydra_nb wrote in int8: {error}"
        ) from error
    tokenizer = PromptTokenizer.from_file(folder / "tokenizer.json", max_tokens=manifest.max_tokens)
    return network.eval(), tokenizer, manifest
