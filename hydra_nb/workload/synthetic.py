"""Made-up workloads of any size, for benchmarks and stress tests: arrays only, no texts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hydra_nb.errors import InvalidInputError
from hydra_nb.requirements import Requirements


class _Kind(NamedTuple):
    share: float
    means: tuple[float, ...]  # of the four scores
    deviations: tuple[float, ...]
    median_tokens: tuple[int, int]  # in and out


# Scores are those of the labels chat, fact, explain, thanks, rewrite; analysis, math, math_hard,
# science, logic, research; codegen; debug; agentic, tool in the bundled workload "office", rounded.
# Shares and tokens are our choice: calls of an API carry context along with the prompt.
_KINDS = {
    "chat": _Kind(0.40, (0.09, 0.01, 0.02, 0.01), (0.09, 0.02, 0.04, 0.02), (150, 120)),
    "analysis": _Kind(0.15, (0.58, 0.00, 0.00, 0.04), (0.23, 0.01, 0.00, 0.15), (600, 700)),
    "code": _Kind(0.15, (0.38, 0.54, 0.09, 0.05), (0.20, 0.20, 0.08, 0.09), (500, 900)),
    "debug": _Kind(0.12, (0.38, 0.20, 0.52, 0.08), (0.21, 0.11, 0.18, 0.14), (1_200, 700)),
    "tools": _Kind(0.18, (0.32, 0.18, 0.17, 0.65), (0.18, 0.21, 0.24, 0.21), (900, 300)),
}
_COMMON = 0.6  # how much of a deviation is the difficulty that all scores of a prompt share
_LOG_SIGMA = (1.1, 0.8)  # of tokens in and out, within a kind
_LOG_PER_DIFFICULTY = (0.3, 0.5)  # hard prompts are longer, and so are their answers
_MOST_TOKENS = (200_000, 16_000)


def fields_of(n: int, *, seed: int) -> dict[str, Any]:
    """Return the fields of `Workload` for `n` made-up prompts; see `Workload.synthetic`."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise InvalidInputError(f"n must be a whole number of prompts ≥ 1; received {n!r:.80}")
    random = np.random.default_rng(seed)
    names = np.array(list(_KINDS), dtype=object)
    shares, means, deviations, medians = map(np.array, zip(*_KINDS.values(), strict=True))
    kind = random.choice(len(names), size=n, p=shares)
    difficulty = random.standard_normal(n)
    own = random.standard_normal((n, 4))
    noise = _COMMON * difficulty[:, None] + np.sqrt(1 - _COMMON**2) * own
    scores = np.clip(means[kind] + deviations[kind] * noise, 0.0, 1.0)
    log_tokens = (
        np.log(medians[kind])
        + difficulty[:, None] * np.array(_LOG_PER_DIFFICULTY)
        + random.standard_normal((n, 2)) * np.array(_LOG_SIGMA)
    )
    tokens = np.clip(np.rint(np.exp(log_tokens)), 1, np.array(_MOST_TOKENS)).astype(np.int64)
    return {
        "requirements": Requirements(scores),
        "tokens_input": tokens[:, 0],
        "tokens_output": tokens[:, 1],
        "labels": tuple(names[kind].tolist()),
    }
