"""Measures a checkpoint as it is served and writes what was found into it.

`python -m hydra_nb.predictor.evaluation --checkpoint DIR --data DIR [--reference DIR]` fills in
`metrics` and `score_band` of the manifest and writes `MODEL_CARD.md` from them.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.predictor.augmentation import UNSEEN_NOISE
from hydra_nb.predictor.checkpoint import write_manifest
from hydra_nb.predictor.dataset import LabelledPrompt, read_data
from hydra_nb.predictor.metrics import (
    UNMOVED,
    Scores,
    agreement,
    pair_accuracy,
    set_spread,
    targets_of,
)
from hydra_nb.predictor.model_card import model_card
from hydra_nb.predictor.predictor import Predictor, load_predictor

log = logging.getLogger(__name__)

_FEWEST_OF_A_LANGUAGE = 8
_LENGTH_EDGES = (0, 16, 64, 256, 513)


def noise_invariance(
    predictor: Predictor, prompts: Sequence[LabelledPrompt], clean: Scores
) -> dict[str, Any]:
    """Return the share of prompts that unseen noise moves by at most 0.05 on every dimension."""
    report: dict[str, Any] = {}
    everything = []
    for kind, templates in UNSEEN_NOISE.items():
        texts = [
            templates[index % len(templates)].replace("{}", prompt.text)
            for index, prompt in enumerate(prompts)
        ]
        moved = np.abs(predictor.predict(texts).values - clean).max(axis=1)
        everything.append(moved)
        report[kind] = round(float((moved <= UNMOVED).mean()), 4)
    moved = np.concatenate(everything)
    report["all"] = round(float((moved <= UNMOVED).mean()), 4)
    report["mean_largest_move"] = round(float(moved.mean()), 4)
    return report


def evaluate(
    predictor: Predictor,
    prompts: Sequence[LabelledPrompt],
    *,
    split: str = "test",
    reference: Predictor | None = None,
) -> dict[str, Any]:
    """Return the report of a predictor on the labelled prompts of one split.

    `reference` is the same network before quantization; the report then says how close both are.
    """
    chosen = [p for p in prompts if p.split == split and p.kind != "weak"]
    targets = targets_of(chosen)
    texts = [prompt.text for prompt in chosen]
    scores = predictor.predict(texts).values

    def part(rows: Sequence[int]) -> dict[str, Any]:
        return agreement(targets[list(rows)], scores[list(rows)])

    by_kind = defaultdict(list)
    by_language = defaultdict(list)
    by_length = defaultdict(list)
    for row, prompt in enumerate(chosen):
        by_kind[prompt.kind].append(row)
        by_language[prompt.language].append(row)
        bin_index = int(np.searchsorted(_LENGTH_EDGES, predictor.tokens(prompt.text), side="right"))
        edges = _LENGTH_EDGES[bin_index - 1], _LENGTH_EDGES[bin_index] - 1
        by_length[f"{edges[0]}-{edges[1]}"].append(row)
    authored = by_kind["authored"]
    report: dict[str, Any] = {
        "split": split,
        "all": part(range(len(chosen))),
        **{kind: part(rows) for kind, rows in sorted(by_kind.items())},
        "by_language": {
            language: _brief(part(rows))
            for language, rows in sorted(by_language.items())
            if len(rows) >= _FEWEST_OF_A_LANGUAGE
        },
        "by_length_tokens": {name: _brief(part(rows)) for name, rows in sorted(by_length.items())},
        "pairs": pair_accuracy(chosen, scores),
        "parallel_sets": set_spread(chosen, scores),
        "unseen_noise_within_0.05": noise_invariance(
            predictor, [chosen[row] for row in authored], scores[authored]
        ),
    }
    if reference is not None:
        exact = reference.predict(texts).values
        report["int8_against_fp32"] = {
            "pearson": {
                name: round(float(np.corrcoef(scores[:, k], exact[:, k])[0, 1]), 5)
                for k, name in enumerate(DIMENSIONS)
            },
            "mean_difference": round(float(np.abs(scores - exact).mean()), 5),
            "largest_difference": round(float(np.abs(scores - exact).max()), 5),
        }
    return report


def _brief(report: dict[str, Any]) -> dict[str, Any]:
    return {
        "n": report["n"],
        "pearson_mean": report["pearson"]["mean"],
        "mae_mean": report["mae"]["mean"],
    }


def score_band(
    predictor: Predictor, prompts: Sequence[LabelledPrompt]
) -> dict[str, tuple[float, float]]:
    """Return the 10th and 90th percentile of its scores of labelled training prompts."""
    texts = [p.text for p in prompts if p.split == "train" and p.kind != "weak"]
    scores = predictor.predict(texts).values
    low, high = np.percentile(scores, [10, 90], axis=0)
    return {
        name: (round(float(low[k]), 4), round(float(high[k]), 4))
        for k, name in enumerate(DIMENSIONS)
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m hydra_nb.predictor.evaluation", description=__doc__
    )
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--reference", type=Path, help="the torch checkpoint it was exported from")
    parser.add_argument("--split", default="test", choices=("test", "dev"))
    parser.add_argument("--report", type=Path, help="write the report here and leave DIR alone")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO)
    prompts = read_data(options.data)
    predictor = load_predictor(options.checkpoint)
    reference = load_predictor(options.reference) if options.reference else None
    report = evaluate(predictor, prompts, split=options.split, reference=reference)
    if options.report:
        options.report.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
        return
    manifest = replace(
        predictor.manifest, metrics=report, score_band=score_band(predictor, prompts)
    )
    write_manifest(options.checkpoint, manifest)
    card = model_card(load_predictor(options.checkpoint).manifest)
    (options.checkpoint / "MODEL_CARD.md").write_text(card, "utf-8")
    log.info("wrote %s", options.checkpoint)


if __name__ == "__main__":
    main()
