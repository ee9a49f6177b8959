"""Int8 for a served graph: dynamic activations, weights per output channel, embeddings per row.

Dynamic int8 has one scale for a whole activation, so a few large channels would cost the others
their precision. As in SmoothQuant (Xiao et al. 2023), each channel is divided by (a power of) its
range before it is quantized, and the weights that read it are multiplied by the same number.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

QUANTIZED = ("MatMul", "Attention")
"""Operators whose constant right-hand side becomes int8; products of activations stay fp32."""

SMOOTHING = 0.75
"""How much of a channel's range moves into the weights; found best of 0.35 to 1 on dev prompts."""

_SMALLEST = 1e-5
_LEAST_TABLE_ROWS = 1024


def _weighted_nodes(graph: Any, constants: dict[str, Any]) -> list[Any]:
    return [node for node in graph.node if node.op_type in QUANTIZED and node.input[1] in constants]


def channel_ranges(path: Path, rows: Sequence[Sequence[int]]) -> dict[str, NDArray[np.float32]]:
    """Return the largest absolute value of every channel that a constant matrix reads."""
    model: Any = onnx.load(str(path))
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    names = sorted({node.input[0] for node in _weighted_nodes(model.graph, constants)})
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(name, 1, None) for name in names)
    session: Any = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    ranges: dict[str, NDArray[np.float32]] = {}
    for row in rows:
        values = session.run(None, {"input_ids": np.array([row], dtype=np.int64)})
        for name, value in zip(names, values, strict=True):
            largest = np.abs(value).reshape(-1, value.shape[-1]).max(axis=0)
            ranges[name] = np.maximum(ranges.get(name, _SMALLEST), largest)
    return ranges


def smooth(model: Any, ranges: dict[str, NDArray[np.float32]], *, strength: float) -> None:
    """Divide each channel by its factor and multiply the weights that read it, in place."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    readers = _weighted_nodes(graph, constants)
    factors: dict[str, NDArray[np.float32]] = {}
    for name, largest in ranges.items():
        weight = np.max(
            [
                np.abs(numpy_helper.to_array(constants[node.input[1]])).max(axis=1)
                for node in readers
                if node.input[0] == name
            ],
            axis=0,
        )
        factor = largest**strength / np.maximum(weight, _SMALLEST) ** (1 - strength)
        factors[name] = (factor / np.exp(np.log(factor).mean())).astype(np.float32)
    nodes = []
    smoothed = set()
    for node in graph.node:
        if node in readers:
            name, weight_name = node.input[0], node.input[1]
            if name not in smoothed:
                smoothed.add(name)
                inverse = (1 / factors[name]).astype(np.float32)
                graph.initializer.append(numpy_helper.from_array(inverse, f"{name}_inverse"))
                nodes.append(helper.make_node("Mul", [name, f"{name}_inverse"], [f"{name}_smooth"]))
            node.input[0] = f"{name}_smooth"
            tensor = constants[weight_name]
            scaled = numpy_helper.to_array(tensor) * factors[name][:, None]
            tensor.CopyFrom(numpy_helper.from_array(scaled.astype(np.float32), weight_name))
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def quantize_tables(model: Any) -> None:
    """Replace each large embedding table by int8 rows with one fp32 scale a row, in place."""
    graph = model.graph
    tables = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        nodes.append(node)
        if node.op_type != "Gather" or node.input[0] not in tables:
            continue
        table = numpy_helper.to_array(tables[node.input[0]])
        if table.ndim != 2 or table.shape[0] < _LEAST_TABLE_ROWS or table.dtype != np.float32:
            continue
        name, indices, output = node.input[0], node.input[1], node.output[0]
        scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-8) / 127.0
        int8_rows = np.clip(np.rint(table / scales), -127, 127).astype(np.int8)
        graph.initializer.remove(tables.pop(name))
        graph.initializer.extend(
            [
                numpy_helper.from_array(int8_rows, f"{name}_int8"),
                numpy_helper.from_array(scales.astype(np.float32), f"{name}_scale"),
            ]
        )
        nodes[-1] = helper.make_node("Gather", [f"{name}_int8", indices], [f"{output}_int8"])
        nodes += [
            helper.make_node("Cast", [f"{output}_int8"], [f"{output}_float"], to=1),
            helper.make_node("Gather", [f"{name}_scale", indices], [f"{output}_scale"]),
            helper.make_node("Mul", [f"{output}_float", f"{output}_scale"], [output]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)


def write_int8(
    graph: Path,
    path: Path,
    *,
    calibration: Sequence[Sequence[int]] = (),
    strength: float = SMOOTHING,
    seven_bits: bool = True,
) -> None:
    """Write the int8 version of an fp32 graph.

    `calibration` holds rows of token ids from which channel ranges are measured; without any,
    nothing is smoothed. With `seven_bits` weights use 7 of their 8 bits, so that processors
    without VNNI cannot overflow and give the same scores as those with it.
    """
    model: Any = onnx.load(str(graph))
    if calibration:
        smooth(model, channel_ranges(graph, calibration), strength=strength)
    heads = [node.name for node in model.graph.node if "head" in node.name]
    smoothed = path.with_name(f".{path.name}.smooth")
    onnx.save(model, str(smoothed))
    try:
        quantize_dynamic(
            str(smoothed),
            str(path),
            op_types_to_quantize=list(QUANTIZED),
            per_channel=True,
            reduce_range=seven_bits,
            weight_type=QuantType.QInt8,
            # a few thousand weights; a Gemm is a MatMul by the time that names are compared
            nodes_to_exclude=[*heads, *(f"{name}_MatMul" for name in heads)],
            extra_options={
                "MatMulConstBOnly": True,
                "DefaultTensorType": onnx.TensorProto.FLOAT,
            },
        )
    finally:
        smoothed.unlink()
    quantized: Any = onnx.load(str(path))
    quantize_tables(quantized)
    onnx.save(quantized, str(path))
