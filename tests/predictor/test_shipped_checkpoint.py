"""What a person would expect of the shipped scores, on prompts written for these tests."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.predictor import DEFAULT_CHECKPOINT, Predictor

MEGABYTE = 2**20


def scores(predictor: Predictor, text: str) -> Mapping[str, float]:
    return predictor.predict([text]).row(0)


def test_it_fits_into_45_megabytes() -> None:
    assert sum(path.stat().st_size for path in DEFAULT_CHECKPOINT.iterdir()) < 45 * MEGABYTE


def test_it_is_served_by_onnxruntime_and_reads_512_tokens(shipped: Predictor) -> None:
    assert shipped.manifest.kind == "onnx"
    assert shipped.max_tokens == 512


def test_its_own_report_meets_the_first_bar(shipped: Predictor) -> None:
    assert shipped.metrics["split"] == "test"
    assert shipped.metrics["all"]["pearson"]["mean"] >= 0.75
    assert shipped.metrics["all"]["mae"]["mean"] <= 0.10


def test_its_int8_scores_follow_its_fp32_scores(shipped: Predictor) -> None:
    against = shipped.metrics["int8_against_fp32"]
    assert min(against["pearson"].values()) >= 0.995


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
