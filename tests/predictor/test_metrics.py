from __future__ import annotations

import numpy as np
import pytest

from hydra_nb.predictor.dataset import LabelledPrompt
from hydra_nb.predictor.metrics import agreement, pair_accuracy, pearson, set_spread


def prompt(score: float, *, pair: str = "", expect: str = "", set_name: str = "") -> LabelledPrompt:
    return LabelledPrompt(
        "p", "t", "en", "authored", "x", (score, 0.0, 0.0, 0.0),
        pair=pair, expect=tuple(expect.split()), set_name=set_name,
    )  # fmt: skip


def column(*scores: float) -> np.ndarray:
    return np.array([[score, 0.0, 0.0, 0.0] for score in scores])


def test_pearson_by_hand() -> None:
    assert pearson(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 2.0])) == pytest.approx(0.5)


def test_pearson_of_a_constant_is_zero_and_not_nan() -> None:
    assert pearson(np.zeros(3), np.arange(3.0)) == 0.0


def test_agreement_by_hand() -> None:
    report = agreement(column(0.2, 0.6), column(0.3, 0.4))
    assert report["mae"]["reasoning"] == 0.15
    assert report["binary_accuracy"]["reasoning"] == 0.5
    assert report["mae"]["mean"] == 0.0375


def test_a_directed_pair_is_met_only_by_more_than_a_tenth() -> None:
    prompts = [prompt(0.1, pair="a"), prompt(0.8, pair="a", expect="reasoning")]
    assert pair_accuracy(prompts, column(0.30, 0.39))["directed_met"] == 0.0
    assert pair_accuracy(prompts, column(0.30, 0.41))["directed_met"] == 1.0


def test_a_noise_pair_holds_within_a_twentieth() -> None:
    prompts = [prompt(0.1, pair="a"), prompt(0.1, pair="a", expect="none")]
    assert pair_accuracy(prompts, column(0.30, 0.34))["noise_pairs_within_0.05"] == 1.0
    assert pair_accuracy(prompts, column(0.30, 0.36))["noise_pairs_within_0.05"] == 0.0


def test_set_spread_is_the_mean_over_sets_of_the_standard_deviation() -> None:
    prompts = [prompt(0.5, set_name=name) for name in "aabb"]
    spread = set_spread(prompts, column(0.4, 0.6, 0.5, 0.5))
    assert (spread["sets"], spread["reasoning"], spread["mean"]) == (2, 0.05, 0.0125)
