"""Weak labels, calibrated to the annotated ones: one ridge regression a dimension.

The order of weak labels within a source is meaningful, offsets between sources are not, so each
source gets its own offset and its own slope, both shrunk towards the common ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.predictor.dataset import LabelledPrompt, Targets

_RIDGE = 1.0
_FOLDS = 5


def _features(
    prompts: Sequence[LabelledPrompt], weak: Mapping[str, Targets], sources: Sequence[str]
) -> NDArray[np.float64]:
    raw = np.array([weak[prompt.prompt_id] for prompt in prompts])  # (n, 4)
    column = {source: index for index, source in enumerate(sources)}
    one_hot = np.zeros((len(prompts), len(sources)))
    for row, prompt in enumerate(prompts):
        if prompt.source in column:
            one_hot[row, column[prompt.source]] = 1.0
    slopes = [one_hot * raw[:, [k]] * 2.0 for k in range(len(DIMENSIONS))]
    log_length = np.log1p([[len(prompt.text)] for prompt in prompts]) / 5.0
    return np.hstack(
        [
            np.ones((len(prompts), 1)),
            raw,
            raw**2,
            one_hot,
            *slopes,
            log_length,
            one_hot * log_length,
        ]
    )


def _ridge(features: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    penalty = np.full(features.shape[1], _RIDGE)
    penalty[0] = 1e-6
    solution = np.linalg.solve(features.T @ features + np.diag(penalty), features.T @ targets)
    return solution.astype(np.float64)


def calibrated_weak_labels(
    prompts: Sequence[LabelledPrompt], weak: Mapping[str, Targets]
) -> tuple[dict[str, Targets], dict[str, float]]:
    """Return calibrated targets of every weak prompt, and a Pearson of each dimension.

    Only annotated prompts of the train split are fitted; the Pearson is cross-validated on them.
    """
    fitted = [p for p in prompts if p.kind == "annotated" and p.split == "train"]
    asked = [p for p in prompts if p.kind == "weak"]
    sources = sorted({p.source for p in fitted})
    features = _features(fitted, weak, sources)
    targets = np.array([p.targets for p in fitted])
    groups = {group: index for index, group in enumerate(sorted({p.group for p in fitted}))}
    fold = np.array([groups[p.group] % _FOLDS for p in fitted])
    held_out = np.zeros_like(targets)
    for number in range(_FOLDS):
        rest = fold != number
        held_out[~rest] = features[~rest] @ _ridge(features[rest], targets[rest])
    pearson = {
        name: float(np.corrcoef(held_out[:, k], targets[:, k])[0, 1])
        for k, name in enumerate(DIMENSIONS)
    }
    predicted = np.clip(_features(asked, weak, sources) @ _ridge(features, targets), 0.0, 1.0)
    labels: dict[str, Targets] = {}
    for prompt, row in zip(asked, predicted.tolist(), strict=True):
        labels[prompt.prompt_id] = (row[0], row[1], row[2], row[3])
    return labels, pearson
