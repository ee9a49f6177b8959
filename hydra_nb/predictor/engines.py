"""What turns token ids into scores: onnxruntime for serving, torch for any encoder."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import CheckpointError

Scores = NDArray[np.float64]

SERVING_THREADS = 2
"""Prompts scored at the same time; each prompt itself runs on one thread."""


class Engine(Protocol):
    """Scores rows of token ids; must be safe to call from several threads."""

    def scores(self, rows: Sequence[Sequence[int]]) -> Scores:
        """Return `(n_rows, 4)`."""


class OnnxEngine:
    """One onnxruntime session, one thread a prompt, prompts side by side.

    A prompt is always run by itself, so its scores cannot depend on what else is asked.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            names = [tensor.name for tensor in self._session.get_inputs()]
            # onnxruntime raises bare C++ exceptions for a graph that it cannot read
        except Exception as error:
            raise CheckpointError(f"{path}: onnxruntime cannot load it: {error}") from error
        if names != ["input_ids"]:
            raise CheckpointError(f"{path}: inputs are {names}; a predictor has only input_ids")

    def _one(self, row: Sequence[int]) -> NDArray[np.float32]:
        found = self._session.run(None, {"input_ids": np.array([row], dtype=np.int64)})
        scores: NDArray[np.float32] = found[0][0]
        return scores

    def scores(self, rows: Sequence[Sequence[int]]) -> Scores:
        """Return `(n_rows, 4)`."""
        values = np.zeros((len(rows), len(DIMENSIONS)))
        if len(rows) < 2:
            for index, row in enumerate(rows):
                values[index] = self._one(row)
            return values
        order = sorted(range(len(rows)), key=lambda index: -len(rows[index]))
        with ThreadPoolExecutor(SERVING_THREADS, "hydra-predictor") as pool:
            found = pool.map(self._one, (rows[index] for index in order))
            for index, row_scores in zip(order, found, strict=True):
                values[index] = row_scores
        return values


class TorchEngine:
    """A torch network in evaluation mode, fp32, batched by length, padding masked."""

    def __init__(self, folder: Path, *, rows_per_batch: int = 16) -> None:
        from hydra_nb.predictor.torch_checkpoint import load_network

        self._network, tokenizer, _ = load_network(folder)
        self._pad_id = tokenizer.pad_id
        self._rows_per_batch = rows_per_batch

    def scores(self, rows: Sequence[Sequence[int]]) -> Scores:
        """Return `(n_rows, 4)`."""
        import torch

        from hydra_nb.predictor.batches import padded

        values = np.zeros((len(rows), len(DIMENSIONS)))
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        for start in range(0, len(rows), self._rows_per_batch):
            part = order[start : start + self._rows_per_batch]
            ids, mask = padded([rows[index] for index in part], self._pad_id)
            with torch.inference_mode():
                values[part] = torch.sigmoid(self._network(ids, mask)).double().numpy()
        return values
