"""What models really did: does a higher requirement go with more failures?

Reads `outcome_prompts.parquet` of the data folder; measures on its evaluation split only. SWE-bench
Verified is left out: its results may not be used for anything that ships.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import InvalidInputError
from hydra_nb.predictor.metrics import spearman
from hydra_nb.predictor.predictor import Predictor

if TYPE_CHECKING:
    import pandas as pd

BENCHMARKS = {
    "livecodebench_codegen": "code_generation",
    "mmlu_pro": "reasoning",
    "bfcl_v1_2024_08": "tool_use",
    "debugbench": "debugging",
}
"""Benchmark → the dimension that it stresses."""

_DRAWS = 1000


def read_outcomes(folder: str | Path) -> pd.DataFrame:
    """Return the prompts of benchmarks, with the mean correctness of models that tried them.

    Raises:
        InvalidInputError: the folder has no `outcome_prompts.parquet`.
    """
    import pandas as pd

    path = Path(folder) / "outcome_prompts.parquet"
    if not path.is_file():
        raise InvalidInputError(f"{path}: no such file; outcomes are read from there")
    return pd.read_parquet(path)


def outcome_report(
    predictor: Predictor, folder: str | Path, *, most: int = 1500, seed: int = 0
) -> dict[str, Any]:
    """Return, per benchmark, the rank correlation of the stressed dimension with mean failure.

    With a 95 % bootstrap interval, and beside it the correlation of every dimension and of the mere
    length of the prompt, which any predictor has to beat. At most `most` prompts a benchmark.

    Raises:
        InvalidInputError: the folder has no `outcome_prompts.parquet`.
    """
    frame = read_outcomes(folder)
    generator = random.Random(seed)
    report: dict[str, Any] = {}
    for benchmark, dimension in BENCHMARKS.items():
        rows = frame[(frame["benchmark"] == benchmark) & (frame["split"] == "eval")]
        chosen = sorted(generator.sample(range(len(rows)), min(most, len(rows))))
        texts = [str(text) for text in rows["prompt"].iloc[chosen]]
        failure = 1.0 - rows["mean_correct"].iloc[chosen].to_numpy(dtype=np.float64)
        values = predictor.predict(texts).values
        stressed = values[:, DIMENSIONS.index(dimension)]
        draws = np.random.default_rng(seed).integers(len(texts), size=(_DRAWS, len(texts)))
        low, high = np.percentile([spearman(stressed[d], failure[d]) for d in draws], [2.5, 97.5])
        report[benchmark] = {
            "n": len(texts),
            "dimension": dimension,
            "spearman": round(spearman(stressed, failure), 4),
            "interval": [round(float(low), 4), round(float(high), 4)],
            "by_dimension": {
                name: round(spearman(values[:, k], failure), 4) for k, name in enumerate(DIMENSIONS)
            },
            "length": round(spearman(np.array([float(len(text)) for text in texts]), failure), 4),
        }
    return report
