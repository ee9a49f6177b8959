"""Channels that reach far out stay fp32 in the int8 graph, and can be read back from it."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hydra_nb.predictor import quantization
from hydra_nb.predictor.quantization import OUTLIER_ROWS, outliers, write_int8
from tests.predictor.conftest import made_up_prompts

FAR_OUT = 7


def served_product(folder: Path) -> tuple[float, bool]:
    """Quantize a product whose channel 7 is far out; return its error and if any part is fp32.

    The error is relative: norm of the difference over the norm of the exact product of the others.
    """
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(3)
    table = random.normal(size=(40, 64)).astype(np.float32)
    table[:, FAR_OUT] *= 100
    matrix = random.normal(size=(64, 32)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["read"]),
            helper.make_node("MatMul", ["read", "matrix"], ["product"], name="dense"),
        ],
        "product",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "tokens"])],
        [helper.make_tensor_value_info("product", TensorProto.FLOAT, [1, "tokens", 32])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(matrix, "matrix")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(folder / "fp32.onnx"))
    rows = [list(range(40))]
    write_int8(folder / "fp32.onnx", folder / "int8.onnx", calibration=rows)
    session = onnxruntime.InferenceSession(
        str(folder / "int8.onnx"), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {"input_ids": np.array(rows)})
    others = np.delete(table, FAR_OUT, axis=1) @ np.delete(matrix, FAR_OUT, axis=0)
    error = float(np.linalg.norm(found[0] - table @ matrix) / np.linalg.norm(others))
    constants = onnx.load(str(folder / "int8.onnx")).graph.initializer
    return error, any(constant.name.endswith(OUTLIER_ROWS) for constant in constants)


def test_outliers_are_the_channels_far_beyond_the_others() -> None:
    largest = np.linspace(1.0, 1.3, 100).astype(np.float32)
    assert outliers(largest).tolist() == []
    largest[[90, 4]] = [2.1, 30.0]
    assert outliers(largest).tolist() == [4, 90]


def test_at_most_sixteen_channels_are_outliers() -> None:
    largest = (2.0 ** np.arange(40)).astype(np.float32)
    assert outliers(largest).tolist() == list(range(24, 40))


def test_an_outlier_does_not_cost_the_other_channels_their_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, fp32 = served_product(tmp_path)
    assert fp32
    assert error < 0.02
    monkeypatch.setattr(quantization, "outliers", lambda largest: np.zeros(0, dtype=np.int64))
    smoothed_only, fp32 = served_product(tmp_path)
    assert not fp32
    assert smoothed_only > 3 * error


def test_outliers_are_served_and_read_back_as_they_were(
    trained: SimpleNamespace, tmp_path: Path
) -> None:
    import torch

    from hydra_nb.predictor.dequantization import reopened
    from hydra_nb.predictor.export import export_checkpoint
    from hydra_nb.predictor.predictor import load_predictor
    from hydra_nb.predictor.torch_checkpoint import load_network

    network, tokenizer, manifest = load_network(trained.torch_folder)
    network = copy.deepcopy(network)
    layer = network.encoder.encoder.layer[1]
    with torch.no_grad():
        layer.intermediate.dense.bias[FAR_OUT] = 60.0
        layer.output.dense.weight[:, FAR_OUT] /= 20.0
    texts = [prompt.text for prompt in made_up_prompts()]
    export_checkpoint(network, tokenizer, manifest, tmp_path, calibration_texts=texts)

    found = reopened(tmp_path)[0].encoder.encoder.layer[1]
    exact = layer.output.dense.weight.detach()
    assert torch.equal(found.output.dense.weight[:, FAR_OUT], exact[:, FAR_OUT])
    assert float((found.output.dense.weight - exact).norm() / exact.norm()) < 0.03

    rows = [tokenizer.prompt_ids(text) for text in texts[:12]]
    served = load_predictor(tmp_path)._engine.outputs(rows).scores
    with torch.inference_mode():
        fp32 = [torch.sigmoid(network(torch.tensor([row])).logits)[0].numpy() for row in rows]
    assert np.abs(np.stack(fp32) - served).max() < 0.02
