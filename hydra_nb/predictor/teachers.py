"""Prompts without labels of their own, labelled by predictors that are there already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from hydra_nb.errors import InvalidInputError
from hydra_nb.predictor.dataset import LabelledPrompt
from hydra_nb.predictor.evaluation import evenly
from hydra_nb.predictor.outcome_labels import ordered_by_failure
from hydra_nb.predictor.predictor import Predictor


def taught(
    prompts: Sequence[LabelledPrompt],
    teachers: Sequence[Predictor],
    *,
    most: int,
    failure: Mapping[str, float] | None = None,
) -> list[LabelledPrompt]:
    """Return the prompts with the teachers' mean scores as targets of the weakly labelled ones.

    At most `most` of these are kept, evenly drawn: no more than training will look at. Beside them,
    prompts whose id is in `failure` are all kept, and ordered by it; see `outcome_labels`.

    Raises:
        InvalidInputError: there is none, so that the teachers would have no say.
    """
    failure = failure or {}
    asked = [p for p in prompts if p.kind == "weak" and p.split == "train"]
    tried = [p for p in asked if p.prompt_id in failure]
    others = evenly([p for p in asked if p.prompt_id not in failure], most)[:most]
    weak = [*others, *tried]
    if not weak:
        raise InvalidInputError(
            "a teacher scores prompts that have no label, and there is none: leave all four "
            "dimensions of a row blank"
        )
    texts = [prompt.text for prompt in weak]
    values = np.mean([teacher.predict(texts).values for teacher in teachers], axis=0).tolist()
    scored = [
        replace(p, targets=(r, c, d, t)) for p, (r, c, d, t) in zip(weak, values, strict=True)
    ]
    return [
        *(prompt for prompt in prompts if prompt.kind != "weak"),
        *scored[: len(others)],
        *ordered_by_failure(scored[len(others) :], failure),
    ]
