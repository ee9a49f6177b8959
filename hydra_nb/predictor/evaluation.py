"""Measures a checkpoint as it is served: agreement, relations, noise, spread, domain."""

from __future__ import annotations

import math
import random
import string
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import InvalidInputError
from hydra_nb.predictor.dataset import LabelledPrompt
from hydra_nb.predictor.irrelevant import EDGE_PRICE, INSIDE_PRICE
from hydra_nb.predictor.metrics import (
    UNMOVED,
    Scores,
    agreement,
    coverage,
    pair_accuracy,
    set_spread,
    targets_of,
)
from hydra_nb.predictor.noise import OTHER_PHRASES, NoisePhrase, noise_phrases, with_phrase
from hydra_nb.predictor.predictor import Predictor
from hydra_nb.requirements import Requirements

_FEWEST_OF_A_PART = 8

Item = TypeVar("Item")
_LENGTH_EDGES = (0, 16, 64, 256, 513)


def noise_invariance(
    predictor: Predictor,
    prompts: Sequence[LabelledPrompt],
    clean: Scores,
    phrases: Sequence[NoisePhrase],
) -> dict[str, Any]:
    """Return the share of prompts that a phrase moves by at most 0.05 on every dimension.

    Each prompt meets one phrase of each kind, drawn by a fixed seed.
    """
    by_kind: dict[str, list[NoisePhrase]] = defaultdict(list)
    for phrase in phrases:
        by_kind[phrase.kind].append(phrase)
    generator = random.Random(0)
    report: dict[str, Any] = {}
    everything = []
    for kind, bank in sorted(by_kind.items()):
        texts = [
            with_phrase(prompt.text, [], generator.choice(bank), generator)[0] for prompt in prompts
        ]
        moved = np.abs(predictor.predict(texts).values - clean).max(axis=1)
        everything.append(moved)
        report[kind] = round(float((moved <= UNMOVED).mean()), 4)
    moved = np.concatenate(everything)
    report["all"] = round(float((moved <= UNMOVED).mean()), 4)
    report["mean_largest_move"] = round(float(moved.mean()), 4)
    return report


def domain_report(predictor: Predictor, known: Requirements) -> dict[str, Any]:
    """Return the share flagged as out of domain among known prompts and among foreign texts."""
    report = {"held-out prompts": known.out_of_domain}
    for kind, texts in foreign_texts().items():
        report[kind] = predictor.predict(texts).out_of_domain
    return {
        name: round(float(flags.mean()), 4) for name, flags in report.items() if flags is not None
    }


def foreign_texts(count: int = 60, seed: int = 0) -> dict[str, list[str]]:
    """Return texts that are no prompts, by kind: nothing like them was trained on."""
    generator = random.Random(seed)

    def drawn(alphabet: str, size: int) -> str:
        return "".join(generator.choices(alphabet, k=size))

    base64 = string.ascii_letters + string.digits + "+/"
    scripts = "".join(
        chr(code) for start in (0xA500, 0x13A0, 0x1400) for code in range(start, start + 80)
    )  # Vai, Cherokee, Canadian syllabics
    symbols = "".join(chr(code) for code in range(0x2500, 0x2600))
    return {
        "base64": [drawn(base64, 200) for _ in range(count)],
        "hexdump": [
            " ".join(drawn("0123456789abcdef", 2) for _ in range(80)) for _ in range(count)
        ],
        "unknown scripts": [
            " ".join(drawn(scripts, generator.randint(2, 9)) for _ in range(20))
            for _ in range(count)
        ],
        "symbols": [drawn(symbols, 120) for _ in range(count)],
        "keyboard mashing": [
            " ".join(drawn(string.ascii_lowercase, generator.randint(3, 9)) for _ in range(12))
            for _ in range(count)
        ],
    }


def evaluate(
    predictor: Predictor,
    prompts: Sequence[LabelledPrompt],
    *,
    split: str = "test",
    reference: Predictor | None = None,
) -> dict[str, Any]:
    """Return the report of a predictor on the labelled prompts of one split, or of `all`.

    `reference` is the same network before quantization; the report then says how close both are.

    Raises:
        InvalidInputError: the split has no labelled prompt.
    """
    chosen = [p for p in prompts if split in (p.split, "all") and p.kind != "weak"]
    if not chosen:
        raise InvalidInputError(f"there is no labelled prompt in the split {split!r}")
    targets = targets_of(chosen)
    texts = [prompt.text for prompt in chosen]
    requirements = predictor.predict(texts)
    scores = requirements.values

    def part(rows: Sequence[int]) -> dict[str, Any]:
        return agreement(targets[list(rows)], scores[list(rows)])

    by_kind = defaultdict(list)
    by_language = defaultdict(list)
    by_source = defaultdict(list)
    by_length = defaultdict(list)
    for row, prompt in enumerate(chosen):
        by_kind[prompt.kind].append(row)
        by_language[prompt.language].append(row)
        by_source[prompt.source].append(row)
        bin_index = int(np.searchsorted(_LENGTH_EDGES, predictor.tokens(prompt.text), side="right"))
        edges = _LENGTH_EDGES[bin_index - 1], _LENGTH_EDGES[bin_index] - 1
        by_length[f"{edges[0]}-{edges[1]}"].append(row)
    authored = [row for row, prompt in enumerate(chosen) if prompt.kind != "annotated"]
    report: dict[str, Any] = {
        "split": split,
        "noise_prices": {"edge": EDGE_PRICE, "inside": INSIDE_PRICE},
        "all": part(range(len(chosen))),
        **{kind: part(rows) for kind, rows in sorted(by_kind.items())},
        "by_language": _parts(by_language, part),
        "by_source": _parts(by_source, part),
        "by_length_tokens": {name: _brief(part(rows)) for name, rows in sorted(by_length.items())},
        "pairs": pair_accuracy(chosen, scores),
        "parallel_sets": set_spread(chosen, scores),
        "unseen_noise_within_0.05": noise_invariance(
            predictor,
            [chosen[row] for row in authored],
            scores[authored],
            noise_phrases(held_out=True),
        ),
        "other_noise_within_0.05": noise_invariance(
            predictor, [chosen[row] for row in authored], scores[authored], OTHER_PHRASES
        ),
        "spread_coverage": coverage(targets, requirements),
        "out_of_domain": domain_report(predictor, requirements),
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


def _parts(
    rows_of: Mapping[str, Sequence[int]], part: Callable[[Sequence[int]], dict[str, Any]]
) -> dict[str, Any]:
    return {
        name: _brief(part(rows))
        for name, rows in sorted(rows_of.items())
        if len(rows) >= _FEWEST_OF_A_PART
    }


def _brief(report: dict[str, Any]) -> dict[str, Any]:
    return {
        "n": report["n"],
        "pearson_mean": report["pearson"]["mean"],
        "mae_mean": report["mae"]["mean"],
    }


def evenly(items: Sequence[Item], most: int = 2000) -> list[Item]:
    """Return at most `most` of the items, evenly spaced: enough to know a distribution by."""
    return list(items[:: max(1, math.ceil(len(items) / max(most, 1)))])


def score_band(
    predictor: Predictor, prompts: Sequence[LabelledPrompt]
) -> dict[str, tuple[float, float]]:
    """Return the 10th and 90th percentile of its scores of labelled training prompts."""
    texts = [p.text for p in prompts if p.split == "train" and p.kind != "weak"]
    scores = predictor.predict(evenly(texts)).values
    low, high = np.percentile(scores, [10, 90], axis=0)
    return {
        name: (round(float(low[k]), 4), round(float(high[k]), 4))
        for k, name in enumerate(DIMENSIONS)
    }
