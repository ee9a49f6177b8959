"""Agreement of scores with targets: Pearson, error, relations, invariance. Numpy only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydra_nb.dimensions import DIMENSIONS, TOLERANCE
from hydra_nb.predictor.dataset import LabelledPrompt
from hydra_nb.requirements import Requirements

Scores = NDArray[np.float64]

CLEARLY_HIGHER = 0.10
UNMOVED = 0.05


def pearson(left: Scores, right: Scores) -> float:
    """Return Pearson's correlation; 0 where either side is constant."""
    if len(left) < 2 or np.ptp(left) == 0 or np.ptp(right) == 0:
        return 0.0
    return float(np.corrcoef(left, right)[0, 1])


def agreement(targets: Scores, scores: Scores) -> dict[str, Any]:
    """Return per dimension and in the mean: `pearson`, `mae` and `binary_accuracy` at 0.5."""
    report: dict[str, Any] = {"n": len(targets)}
    measures: dict[str, Callable[[Scores, Scores], float]] = {
        "pearson": pearson,
        "mae": lambda t, s: float(np.abs(t - s).mean()),
        "binary_accuracy": lambda t, s: float(((t >= 0.5) == (s >= 0.5)).mean()),
    }
    for measure, of in measures.items():
        values = {name: of(targets[:, k], scores[:, k]) for k, name in enumerate(DIMENSIONS)}
        report[measure] = {
            **{name: round(value, 4) for name, value in values.items()},
            "mean": round(float(np.mean(list(values.values()))), 4),
        }
    return report


def coverage(targets: Scores, requirements: Requirements) -> dict[str, Any]:
    """Return the share of labels within value ± spread, and the mean spread, per dimension.

    `correlation` is Spearman's, of the spread with the absolute error: how well the predictor
    knows where it will be wrong.
    """
    if requirements.spread is None:
        return {}
    errors = np.abs(targets - requirements.values)
    report: dict[str, Any] = {}
    for k, name in enumerate(DIMENSIONS):
        spread = requirements.spread[:, k]
        report[name] = {
            "within": round(float((errors[:, k] <= spread + TOLERANCE).mean()), 4),
            "mean_spread": round(float(spread.mean()), 4),
            "correlation": round(spearman(spread, errors[:, k]), 4),
        }
    return report


def spearman(left: Scores, right: Scores) -> float:
    """Return Spearman's rank correlation, ties sharing their mean rank."""
    return pearson(ranks(left), ranks(right))


def ranks(values: Scores) -> Scores:
    """Return the ranks of values `(n,)` from 1, ties sharing their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean: Scores = ((last - counts + 1 + last) / 2.0)[inverse]
    return mean


def targets_of(prompts: Sequence[LabelledPrompt]) -> Scores:
    """Return targets `(n_prompts, 4)`."""
    return np.array([prompt.targets for prompt in prompts]).reshape(-1, len(DIMENSIONS))


def dev_merit(prompts: Sequence[LabelledPrompt], scores: Scores) -> dict[str, float]:
    """Return the figures that choose an epoch: `merit` and what it is made of."""
    targets = targets_of(prompts)
    row: dict[str, float] = {}
    merits = []
    for kind in sorted({prompt.kind for prompt in prompts}):
        own = [index for index, prompt in enumerate(prompts) if prompt.kind == kind]
        found = agreement(targets[own], scores[own])
        row[f"{kind}_pearson"] = found["pearson"]["mean"]
        row[f"{kind}_reasoning"] = found["pearson"]["reasoning"]
        row[f"{kind}_mae"] = found["mae"]["mean"]
        merits.append(found["pearson"]["mean"] - found["mae"]["mean"])
    row["merit"] = float(np.mean(merits))
    return row


def pair_accuracy(prompts: Sequence[LabelledPrompt], scores: Scores) -> dict[str, Any]:
    """Return the share of directed expectations met (by more than 0.10), and of `none` pairs held.

    A `none` pair holds when its scores differ by at most 0.05 on every dimension.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        if prompt.pair:
            members[prompt.pair].append(index)
    met, gaps = [], []
    for rows in members.values():
        if any(prompts[row].expect == ("none",) for row in rows):
            gaps.append(float(np.ptp(scores[rows], axis=0).max()))
            continue
        for high in rows:
            for name in prompts[high].expect:
                k = DIMENSIONS.index(name)
                met += [
                    bool(scores[high, k] - scores[low, k] > CLEARLY_HIGHER)
                    for low in rows
                    if prompts[low].targets[k] < prompts[high].targets[k]
                ]
    return {
        "directed": len(met),
        "directed_met": round(float(np.mean(met)), 4) if met else None,
        "noise_pairs": len(gaps),
        "noise_pairs_within_0.05": round(float(np.mean(np.array(gaps) <= UNMOVED)), 4)
        if gaps
        else None,
        "noise_pairs_mean_gap": round(float(np.mean(gaps)), 4) if gaps else None,
    }


def set_spread(prompts: Sequence[LabelledPrompt], scores: Scores) -> dict[str, Any]:
    """Return the standard deviation over the languages of a parallel set, mean over sets."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        if prompt.set_name:
            members[prompt.set_name].append(index)
    if not members:
        return {"sets": 0}
    spread = np.array([scores[rows].std(axis=0) for rows in members.values()]).mean(axis=0)
    return {
        "sets": len(members),
        "mean": round(float(spread.mean()), 4),
        **{name: round(float(value), 4) for name, value in zip(DIMENSIONS, spread, strict=True)},
    }
