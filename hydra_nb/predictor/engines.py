"""What turns token ids into scores: onnxruntime for serving, torch for any encoder."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import CheckpointError

GRAPH_OUTPUTS = ("scores", "expected_error", "distance", "noise")

_DISABLED_FUSIONS = "optimization.disable_specified_optimizers"

SERVING_THREADS = 2
"""Prompts scored at the same time; each prompt itself runs on one thread."""


@dataclass(frozen=True)
class Outputs:
    """What an engine says of `n_rows` rows of token ids.

    Attributes:
        scores: `(n_rows, 4)` in [0, 1].
        expected_error: `(n_rows, 4)`, of the scores, ≥ 0.
        distance: `(n_rows,)`, from the training prompts.
        noise: for each row `(n_tokens,)`, probability that a token has no bearing on the scores.
    """

    scores: NDArray[np.float64]
    expected_error: NDArray[np.float64]
    distance: NDArray[np.float64]
    noise: list[NDArray[np.float64]]

    @classmethod
    def empty(cls, n_rows: int) -> Outputs:
        """Return outputs to be filled row by row."""
        shape = (n_rows, len(DIMENSIONS))
        return cls(
            np.zeros(shape), np.zeros(shape), np.zeros(n_rows), [np.zeros(0) for _ in range(n_rows)]
        )


class Engine(Protocol):
    """Reads rows of token ids; must be safe to call from several threads."""

    def outputs(self, rows: Sequence[Sequence[int]]) -> Outputs:
        """Return what the network says of each row."""


def serving_options() -> Any:
    """Return the `onnxruntime.SessionOptions` of a served graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # on a CPU the fused operator takes five times as long; see `export.separate_norms`
    options.add_session_config_entry(_DISABLED_FUSIONS, "SkipLayerNormFusion")
    return options


class OnnxEngine:
    """One onnxruntime session, one thread a prompt, prompts side by side.

    A prompt is always run by itself, so its scores cannot depend on what else is asked.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path), serving_options(), providers=["CPUExecutionProvider"]
            )
            names = [tensor.name for tensor in self._session.get_inputs()]
            found = [tensor.name for tensor in self._session.get_outputs()]
            # onnxruntime raises bare C++ exceptions for a graph that it cannot read
        except Exception as error:
            raise CheckpointError(f"{path}: onnxruntime cannot load it: {error}") from error
        if names != ["input_ids"]:
            raise CheckpointError(f"{path}: inputs are {names}; a predictor has only input_ids")
        if found != list(GRAPH_OUTPUTS):
            raise CheckpointError(
                f"{path}: outputs are {found}; a predictor has {list(GRAPH_OUTPUTS)}"
            )

    def outputs(self, rows: Sequence[Sequence[int]]) -> Outputs:
        """Return what the network says of each row."""
        filled = Outputs.empty(len(rows))

        def fill(index: int) -> None:
            ids = np.array([rows[index]], dtype=np.int64)
            scores, expected_error, distance, noise = self._session.run(None, {"input_ids": ids})
            filled.scores[index] = scores[0]
            filled.expected_error[index] = expected_error[0]
            filled.distance[index] = distance[0]
            filled.noise[index] = noise[0].astype(np.float64)

        if len(rows) < 2:
            for index in range(len(rows)):
                fill(index)
            return filled
        longest_first = sorted(range(len(rows)), key=lambda index: -len(rows[index]))
        with ThreadPoolExecutor(SERVING_THREADS, "hydra-predictor") as pool:
            for _ in pool.map(fill, longest_first):
                pass
        return filled


class TorchEngine:
    """A torch network in evaluation mode, fp32, batched by length, padding masked."""

    def __init__(self, folder: Path, *, rows_per_batch: int = 16) -> None:
        from hydra_nb.predictor.torch_checkpoint import load_network

        self._network, tokenizer, _ = load_network(folder)
        self._pad_id = tokenizer.pad_id
        self._rows_per_batch = rows_per_batch

    def outputs(self, rows: Sequence[Sequence[int]]) -> Outputs:
        """Return what the network says of each row."""
        import torch

        from hydra_nb.predictor.batches import padded

        filled = Outputs.empty(len(rows))
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        for start in range(0, len(rows), self._rows_per_batch):
            part = order[start : start + self._rows_per_batch]
            ids, mask = padded([rows[index] for index in part], self._pad_id)
            with torch.inference_mode():
                output = self._network(ids, mask)
                noise = torch.sigmoid(output.noise_logits).double().numpy()
                filled.scores[part] = torch.sigmoid(output.logits).double().numpy()
                filled.expected_error[part] = output.log_spread.exp().double().numpy()
                filled.distance[part] = output.distance.double().numpy()
            for place, index in enumerate(part):
                filled.noise[index] = noise[place, : len(rows[index])].copy()
        return filled
