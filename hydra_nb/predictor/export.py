"""From a network to the checkpoint that is served.

The graph reads one prompt, `(1, tokens)`, so it needs no mask and no padding, and the dynamic int8
scales of one prompt cannot depend on its neighbours. Attention products stay fp32: full INT8
collapsed the deployed HyDRA's predictions.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from onnx import helper
from torch import Tensor, nn

from hydra_nb.predictor.architecture import RequirementNetwork
from hydra_nb.predictor.checkpoint import Manifest, write_manifest, write_text
from hydra_nb.predictor.dataset import LabelledPrompt
from hydra_nb.predictor.engines import GRAPH_OUTPUTS
from hydra_nb.predictor.quantization import write_int8
from hydra_nb.predictor.tokens import PromptTokenizer

log = logging.getLogger(__name__)

_OPSET = 17
_CALIBRATION_PROMPTS = 300


class _OutputsOfOne(nn.Module):
    def __init__(self, network: RequirementNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return `GRAPH_OUTPUTS` of ids `(1, tokens)`."""
        output = self.network(input_ids)
        return (
            torch.sigmoid(output.logits),
            output.log_spread.exp(),
            output.distance,
            torch.sigmoid(output.noise_logits),
        )


def _write_graph(network: RequirementNetwork, path: Path) -> None:
    network = network.eval().float()
    network.encoder.config._attn_implementation = "eager"
    ids = torch.full((1, 24), 5, dtype=torch.long)
    torch.onnx.export(
        _OutputsOfOne(network).eval(),  # otherwise the exporter leaves it in training mode
        (ids,),
        str(path),
        input_names=["input_ids"],
        output_names=list(GRAPH_OUTPUTS),
        dynamic_axes={"input_ids": {1: "tokens"}, "noise": {1: "tokens"}},
        opset_version=_OPSET,
        dynamo=False,
    )


def _fuse(path: Path, network: RequirementNetwork, fused: Path) -> Path:
    """Fuse LayerNorm, GELU and attention of a BERT graph; other encoders stay as exported."""
    if network.encoder.config.model_type not in ("bert", "roberta", "xlm-roberta"):
        return path
    from onnxruntime.transformers import optimizer
    from onnxruntime.transformers.fusion_options import FusionOptions

    options = FusionOptions("bert")
    options.enable_embed_layer_norm = False
    config = network.encoder.config
    model = optimizer.optimize_model(
        str(path),
        model_type="bert",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
        optimization_options=options,
        opt_level=0,
    )
    log.info("fused operators: %s", model.get_fused_operator_statistics())
    separate_norms(model.model)
    model.save_model_to_file(str(fused))
    return fused


def separate_norms(model: Any) -> None:
    """Replace each SkipLayerNormalization by additions and a LayerNormalization, in place.

    Attention is only found between the fused ones, but onnxruntime 1.32 takes about five times as
    long for them on a CPU as for their parts. `engines` keeps a session from fusing them again.
    """
    nodes = []
    for node in model.graph.node:
        if node.op_type != "SkipLayerNormalization":
            nodes.append(node)
            continue
        added, skipped, scale, shift, *bias = node.input
        output = node.output[0]
        if bias:
            nodes.append(helper.make_node("Add", [added, bias[0]], [f"{output}_biased"]))
            added = f"{output}_biased"
        nodes.append(helper.make_node("Add", [added, skipped], [f"{output}_sum"]))
        (epsilon,) = (a.f for a in node.attribute if a.name == "epsilon")
        nodes.append(
            helper.make_node(
                "LayerNormalization",
                [f"{output}_sum", scale, shift],
                [output],
                axis=-1,
                epsilon=epsilon,
            )
        )
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def write_onnx(
    network: RequirementNetwork,
    path: Path,
    *,
    int8: bool = True,
    calibration: Sequence[Sequence[int]] = (),
) -> None:
    """Write the served graph of a network, with int8 weights unless told otherwise.

    `calibration` holds rows of token ids; see `quantization.write_int8`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write_graph(network, folder / "plain.onnx")
        graph = _fuse(folder / "plain.onnx", network, folder / "fused.onnx")
        if int8:
            write_int8(graph, path, calibration=calibration)
        else:
            path.write_bytes(graph.read_bytes())


def export_checkpoint(
    network: RequirementNetwork,
    tokenizer: PromptTokenizer,
    manifest: Manifest,
    folder: Path,
    *,
    int8: bool = True,
    calibration_texts: Sequence[str] = (),
) -> None:
    """Write a checkpoint of kind `onnx`; metrics and score band are left for `evaluation`.

    Int8 activations are ranged on `calibration_texts`; a few hundred training prompts do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    calibration = [tokenizer.prompt_ids(text) for text in calibration_texts]
    beside = folder / f".model.onnx.{os.getpid()}"
    write_onnx(network, beside, int8=int8, calibration=calibration)
    beside.replace(folder / "model.onnx")
    write_text(folder / "tokenizer.json", tokenizer.tokenizer.to_str())
    write_manifest(
        folder,
        replace(
            manifest,
            kind="onnx",
            encoder={**manifest.encoder, "weights": "int8" if int8 else "fp32"},
            metrics={},
            score_band={},
        ),
    )


def calibration_texts(prompts: Sequence[LabelledPrompt]) -> list[str]:
    """Return the texts on which activations are ranged: labelled training prompts, evenly drawn."""
    texts = [p.text for p in prompts if p.kind != "weak" and p.split == "train"]
    return texts[:: max(1, len(texts) // _CALIBRATION_PROMPTS)][:_CALIBRATION_PROMPTS]
