"""What a person would expect of the shipped scores, on prompts written for these tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.predictor import DEFAULT_CHECKPOINT, Predictor
from hydra_nb.predictor.irrelevant import EDGE_PRICE, INSIDE_PRICE

MEGABYTE = 2**20


def scores(predictor: Predictor, text: str) -> Mapping[str, float]:
    return predictor.predict([text]).row(0)


def test_it_fits_into_45_megabytes() -> None:
    assert sum(path.stat().st_size for path in DEFAULT_CHECKPOINT.iterdir()) < 45 * MEGABYTE


def test_it_is_served_by_onnxruntime_and_reads_512_tokens(shipped: Predictor) -> None:
    assert shipped.manifest.kind == "onnx"
    assert shipped.max_tokens == 512


@pytest.fixture(scope="module")
def labelled() -> list[dict[str, Any]]:
    """Return 117 prompts of the dev split, labelled, with their fp32 scores."""
    lines = (Path(__file__).parent / "labelled_prompts.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def columns(prompts: list[dict[str, Any]], key: str) -> NDArray[np.float64]:
    return np.array([prompt[key] for prompt in prompts])


def test_it_agrees_with_labels_that_it_was_not_trained_on(
    shipped: Predictor, labelled: list[dict[str, Any]]
) -> None:
    found = shipped.predict([prompt["text"] for prompt in labelled]).values
    labels = columns(labelled, "labels")
    assert np.mean([np.corrcoef(found[:, k], labels[:, k])[0, 1] for k in range(4)]) >= 0.9
    assert np.abs(found - labels).mean() <= 0.06


def test_its_int8_scores_follow_its_fp32_scores(
    shipped: Predictor, labelled: list[dict[str, Any]]
) -> None:
    found = shipped.predict([prompt["text"] for prompt in labelled]).values
    exact = columns(labelled, "fp32")
    assert min(np.corrcoef(found[:, k], exact[:, k])[0, 1] for k in range(4)) >= 0.995
    assert np.abs(found - exact).mean() <= 0.005
    assert np.percentile(np.abs(found - exact).max(axis=1), 95) <= 0.02


def test_its_report_is_of_the_test_split_and_of_how_noise_is_told_now(shipped: Predictor) -> None:
    assert shipped.metrics["split"] == "test"
    assert shipped.metrics["noise_prices"] == {"edge": EDGE_PRICE, "inside": INSIDE_PRICE}


def test_it_knows_its_score_band_on_every_dimension(shipped: Predictor) -> None:
    assert tuple(shipped.score_band) == DIMENSIONS
    assert all(0 <= low < high <= 1 for low, high in shipped.score_band.values())


def test_the_model_card_carries_the_figures_of_the_manifest(shipped: Predictor) -> None:
    card = (DEFAULT_CHECKPOINT / "MODEL_CARD.md").read_text("utf-8")
    mean = shipped.metrics["authored"]["pearson"]["mean"]
    assert f"{mean:.3f}" in card
    assert "/tmp" not in card
    assert "/work" not in card


@pytest.mark.parametrize(
    "text", ["thanks, that worked!", "ok", "good morning", "merci beaucoup !", "谢谢，好了"]
)
def test_small_talk_requires_nothing(shipped: Predictor, text: str) -> None:
    assert max(scores(shipped, text).values()) < 0.25


def test_a_race_condition_is_debugging(shipped: Predictor) -> None:
    text = (
        "Two goroutines sometimes write the same row twice, only under load and never in tests. "
        "The mutex is held around the insert. Where is the race and how do I fix it?\n"
        "```go\nmu.Lock()\nif !seen[id] { go insert(id) }\nmu.Unlock()\n```"
    )
    found = scores(shipped, text)
    assert found["debugging"] > 0.5
    assert found["tool_use"] < 0.4


def test_a_proof_is_reasoning_and_nothing_else(shipped: Predictor) -> None:
    found = scores(shipped, "Prove that there are infinitely many primes of the form 4k + 3.")
    assert found["reasoning"] > 0.5
    assert max(found["code_generation"], found["debugging"], found["tool_use"]) < 0.25


def test_an_application_is_code_generation(shipped: Predictor) -> None:
    found = scores(
        shipped,
        "Write a complete REST service in Rust with login, refresh tokens, rate limiting, Postgres "
        "migrations and tests.",
    )
    assert found["code_generation"] > 0.6
    assert found["debugging"] < 0.4


def test_booking_over_several_systems_is_tool_use(shipped: Predictor) -> None:
    found = scores(
        shipped,
        "Find a table for four near the station on Friday at eight, book it, put it into my "
        "calendar and tell the others by e-mail.",
    )
    assert found["tool_use"] > 0.4
    assert found["code_generation"] < 0.2


@pytest.mark.parametrize(
    ("dimension", "low", "high"),
    [
        ("reasoning", "What is 7 + 5?", "Show that every group of order p² is abelian."),
        ("code_generation", "What is a B-tree?", "Implement a B-tree with deletion in C++."),
        (
            "debugging",
            "What does 'deadlock' mean?",
            "Our service deadlocks twice a day in production and the thread dump shows nothing. "
            "How do we find the cause?",
        ),
        (
            "tool_use",
            "Explain what a pull request is.",
            "Rename the config key in all our repositories, run the tests and open pull requests.",
        ),
    ],
)
def test_the_harder_of_two_prompts_scores_higher(
    shipped: Predictor, dimension: str, low: str, high: str
) -> None:
    assert scores(shipped, high)[dimension] > scores(shipped, low)[dimension] + 0.2
