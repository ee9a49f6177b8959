"""What models really failed at, as targets: the level a teacher gives, ordered by the failures.

A rate of failure is no requirement: benchmarks differ in their models and their grading. What is
meaningful is its order within a benchmark. So the stressed dimension keeps mean and deviation of
the teacher's scores, and the order moves towards that of the failures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.predictor.dataset import LabelledPrompt, with_splits, without_repeats
from hydra_nb.predictor.evaluation import evenly
from hydra_nb.predictor.metrics import Scores, ranks
from hydra_nb.predictor.outcomes import BENCHMARKS, read_outcomes

_FAILURE_SHARE = 0.8
_LEAST_DEVIATION = 0.05


def outcome_prompts(
    folder: str | Path, prompts: Sequence[LabelledPrompt], *, most: int
) -> tuple[list[LabelledPrompt], dict[str, float]]:
    """Return weak prompts of the train split of the outcomes, and the failure rate of each by id.

    At most `most` a benchmark, evenly drawn. Left out are those whose group falls into dev or test,
    those that say the same as one of `prompts` there or of the evaluation split of the outcomes,
    and those that are annotated.

    Raises:
        InvalidInputError: the folder has no `outcome_prompts.parquet`.
    """
    frame = read_outcomes(folder)
    frame = frame[frame["benchmark"].isin(list(BENCHMARKS))]
    tried, measured = (
        [_weak_prompt(row) for row in frame[frame["split"] == split].to_dict("records")]
        for split in ("train", "eval")
    )
    correct = frame.loc[frame["split"] == "train", "mean_correct"]
    failure = dict(zip((p.prompt_id for p in tried), (1.0 - correct).tolist(), strict=True))
    unseen = [
        *(replace(prompt, split="test") for prompt in measured),
        *(prompt for prompt in prompts if prompt.split != "train"),
    ]
    kept = without_repeats([*with_splits(tried), *unseen])
    annotated = {prompt.text for prompt in prompts if prompt.kind != "weak"}
    by_benchmark: dict[str, list[LabelledPrompt]] = defaultdict(list)
    for prompt in kept:
        if prompt.prompt_id in failure and prompt.split == "train" and prompt.text not in annotated:
            by_benchmark[prompt.source].append(prompt)
    chosen: list[LabelledPrompt] = []
    for found_there in by_benchmark.values():
        chosen += evenly(found_there, most)
    return chosen, {prompt.prompt_id: failure[prompt.prompt_id] for prompt in chosen}


def _weak_prompt(row: Mapping[Any, Any]) -> LabelledPrompt:
    return LabelledPrompt(
        prompt_id=f"outcome {row['prompt_id']}",
        text=row["prompt"],
        language=row["language"],
        kind="weak",
        source=row["benchmark"],
        targets=(0.0, 0.0, 0.0, 0.0),
        group=row["group_id"],
        stressed=BENCHMARKS[row["benchmark"]],
    )


def ordered_by_failure(
    prompts: Sequence[LabelledPrompt], failure: Mapping[str, float]
) -> list[LabelledPrompt]:
    """Return prompts of benchmarks with the target of the stressed dimension in order of failure.

    Their targets so far are the scores of a teacher.
    """
    by_benchmark: dict[str, list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        by_benchmark[prompt.source].append(index)
    ordered = list(prompts)
    for benchmark, indices in by_benchmark.items():
        column = DIMENSIONS.index(BENCHMARKS[benchmark])
        scores = np.array([prompts[index].targets[column] for index in indices])
        failures = np.array([failure[prompts[index].prompt_id] for index in indices])
        for index, value in zip(indices, reordered(scores, failures).tolist(), strict=True):
            targets = list(prompts[index].targets)
            targets[column] = value
            r, c, d, t = targets
            ordered[index] = replace(prompts[index], targets=(r, c, d, t))
    return ordered


def reordered(scores: Scores, failure: Scores) -> Scores:
    """Return scores `(n,)` in [0, 1], ordered mostly by `failure` `(n,)`.

    Mean and standard deviation stay those of `scores`; a deviation below 0.05 becomes 0.05, so that
    there is an order to learn where the teacher sees none.
    """
    mixed = (1 - _FAILURE_SHARE) * _standard(scores) + _FAILURE_SHARE * _standard(ranks(failure))
    deviation = max(float(scores.std()), _LEAST_DEVIATION)
    values: Scores = np.clip(scores.mean() + deviation * _standard(mixed), 0.0, 1.0)
    return values


def _standard(values: Scores) -> Scores:
    deviation = float(values.std())
    centred: Scores = values - values.mean()
    return centred / deviation if deviation > 0 else centred
