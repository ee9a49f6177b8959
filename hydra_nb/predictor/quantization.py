"""Int8 for a served graph: dynamic activations, weights per output channel, embeddings per row.

Dynamic int8 has one scale for a whole activation, so a few large channels would cost the others
their precision. As in SmoothQuant (Xiao et al. 2023), each channel is divided by (a power of) its
range before it is quantized, and the weights that read it are multiplied by the same number. A
channel that is far out stays fp32, as in LLM.int8() (Dettmers et al. 2022): here one neuron of most
feed-forward layers answers the start or the end of a prompt with ten times what any other reaches.
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

SMOOTHING = 0.6
"""How much of a channel's range moves into the weights; found best of 0.4 to 0.7 on dev prompts."""

OUTLIERS = "_outliers"
OUTLIER_ROWS = "_outlier_rows"
"""What is added to the name of a matrix for the channels read in fp32, and for its rows there."""

WHITENING = "network.whitening"
"""The matrix that the distance from the training prompts is measured with."""

_OUTLIER = 1.5
_MOST_OUTLIERS = 16
_SMALLEST = 1e-5
_LEAST_TABLE_ROWS = 1024


def _weighted_nodes(graph: Any, constants: dict[str, Any]) -> list[Any]:
    return [
        node
        for node in graph.node
        if node.op_type in QUANTIZED and node.input[1] in constants and not _stays_fp32(node)
    ]


def _stays_fp32(node: Any) -> bool:
    """Tell if a node is of the heads or the distance: few weights, right before what is shown."""
    return "head" in node.name or WHITENING in node.input


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


def outliers(largest: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the channels, at most 16, that reach 1.5 times as far as the 17th largest."""
    order = np.argsort(-largest)[: _MOST_OUTLIERS + 1]
    far_out = largest[order] > _OUTLIER * largest[order[-1]]
    return np.sort(order[far_out])


def smooth(model: Any, ranges: dict[str, NDArray[np.float32]], *, strength: float) -> list[str]:
    """Divide each channel by its factor and multiply the weights that read it, in place.

    Where a matrix has more rows than columns (the second of a feed-forward layer), outliers among
    the channels that it reads go through an fp32 MatMul of their own; returns the names of these
    nodes. Doing so for all matrices takes a seventh more time and brings the scores hardly nearer.
    """
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    readers = _weighted_nodes(graph, constants)
    factors: dict[str, NDArray[np.float32]] = {}
    apart: dict[str, NDArray[np.int64]] = {}
    for name, largest in ranges.items():
        its = [node for node in readers if node.input[0] == name]
        weight = np.max(
            [np.abs(numpy_helper.to_array(constants[node.input[1]])).max(axis=1) for node in its],
            axis=0,
        )
        factor = largest**strength / np.maximum(weight, _SMALLEST) ** (1 - strength)
        factors[name] = (factor / np.exp(np.log(factor).mean())).astype(np.float32)
        narrows = all(
            node.op_type == "MatMul" and np.greater(*constants[node.input[1]].dims) for node in its
        )
        apart[name] = outliers(largest) if narrows else np.zeros(0, dtype=np.int64)
    nodes = []
    smoothed = set()
    in_fp32: list[str] = []
    for node in graph.node:
        nodes.append(node)
        if node not in readers:
            continue
        name, tensor = node.input[0], constants[node.input[1]]
        matrix, channels = numpy_helper.to_array(tensor), apart[name]
        if name not in smoothed:
            smoothed.add(name)
            inverse = (1 / factors[name]).astype(np.float32)
            inverse[channels] = 0.0
            graph.initializer.append(numpy_helper.from_array(inverse, f"{name}_inverse"))
            nodes.insert(-1, helper.make_node("Mul", [name, f"{name}_inverse"], [f"{name}_smooth"]))
        node.input[0] = f"{name}_smooth"
        scaled = (matrix * factors[name][:, None]).astype(np.float32)
        scaled[channels] = 0.0
        tensor.CopyFrom(numpy_helper.from_array(scaled, tensor.name))
        if len(channels):
            nodes += _outlying_product(graph, node, name, channels, matrix[channels])
            in_fp32.append(f"{node.name}{OUTLIERS}")
    del graph.node[:]
    graph.node.extend(nodes)
    return in_fp32


def _outlying_product(
    graph: Any, node: Any, read: str, channels: NDArray[np.int64], rows: NDArray[np.float32]
) -> list[Any]:
    """Return nodes that add the fp32 product of some channels of `read` to a MatMul's output."""
    weight, output = node.input[1], node.output[0]
    graph.initializer.extend(
        [
            numpy_helper.from_array(channels, f"{weight}{OUTLIERS}"),
            numpy_helper.from_array(rows, f"{weight}{OUTLIER_ROWS}"),
        ]
    )
    node.output[0] = f"{output}_others"
    return [
        helper.make_node("Gather", [read, f"{weight}{OUTLIERS}"], [f"{output}_channels"], axis=-1),
        helper.make_node(
            "MatMul",
            [f"{output}_channels", f"{weight}{OUTLIER_ROWS}"],
            [f"{output}_outlying"],
            name=f"{node.name}{OUTLIERS}",
        ),
        helper.make_node("Add", [f"{output}_others", f"{output}_outlying"], [output]),
    ]


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
    in_fp32: list[str] = []
    if calibration:
        in_fp32 = smooth(model, channel_ranges(graph, calibration), strength=strength)
    in_fp32 += [node.name for node in model.graph.node if _stays_fp32(node)]
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
            # a Gemm is a MatMul by the time that names are compared
            nodes_to_exclude=[*in_fp32, *(f"{name}_MatMul" for name in in_fp32)],
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
