from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hydra_nb.errors import InvalidInputError
from hydra_nb.predictor.dataset import LabelledPrompt, split_of
from hydra_nb.predictor.metrics import spearman
from hydra_nb.predictor.outcome_labels import ordered_by_failure, outcome_prompts, reordered
from hydra_nb.predictor.predictor import Predictor
from hydra_nb.predictor.teachers import taught

PROMPT = LabelledPrompt("p", "text", "en", "annotated", "other", (0.5, 0.5, 0.5, 0.5))


def outcomes(folder: Path, *, benchmark: str = "mmlu_pro", n: int = 60) -> Path:
    numbers = list(range(n))
    pd.DataFrame(
        {
            "prompt_id": [f"{benchmark}:{number}" for number in numbers],
            "benchmark": benchmark,
            "prompt": [f"question {number} of the exam" for number in numbers],
            "language": "en",
            "group_id": [f"{benchmark} {number}" for number in numbers],
            "split": ["eval" if number % 5 == 0 else "train" for number in numbers],
            "mean_correct": [number / n for number in numbers],
        }
    ).to_parquet(folder / "outcome_prompts.parquet")
    return folder


def test_only_the_train_split_of_the_outcomes_is_taken(tmp_path: Path) -> None:
    prompts, failure = outcome_prompts(outcomes(tmp_path), [], most=1000)
    taken = {int(p.prompt_id.rsplit(":", 1)[1]) for p in prompts}
    own_split = {n for n in range(60) if split_of(f"group:mmlu_pro {n}") == "train"}
    assert taken == {n for n in own_split if n % 5}
    assert own_split != set(range(60))
    assert all(failure[f"outcome mmlu_pro:{n}"] == pytest.approx(1 - n / 60) for n in taken)
    assert {p.kind for p in prompts} == {"weak"}


def test_other_benchmarks_and_swe_bench_are_left_out(tmp_path: Path) -> None:
    assert outcome_prompts(
        outcomes(tmp_path, benchmark="swebench_verified_bash_only"), [], most=9
    ) == ([], {})


def test_prompts_of_dev_and_test_and_annotated_ones_are_left_out(tmp_path: Path) -> None:
    folder = outcomes(tmp_path)
    first, second, third = outcome_prompts(folder, [], most=1000)[0][:3]
    known = [
        replace(PROMPT, text=first.text.upper() + "!", split="test"),
        replace(PROMPT, text=second.text, split="train"),
        replace(PROMPT, text=third.text, split="train", kind="weak"),
    ]
    texts = [p.text for p in outcome_prompts(folder, known, most=1000)[0]]
    assert first.text not in texts
    assert second.text not in texts
    assert third.text in texts


def test_what_the_evaluation_split_says_too_is_left_out(tmp_path: Path) -> None:
    frame = pd.read_parquet(outcomes(tmp_path) / "outcome_prompts.parquet")
    repeated = outcome_prompts(tmp_path, [], most=1000)[0][0].text
    frame.loc[frame.index[frame["split"] == "eval"][0], "prompt"] = f"  {repeated.upper()}?"
    frame.to_parquet(tmp_path / "outcome_prompts.parquet")
    assert repeated not in [p.text for p in outcome_prompts(tmp_path, [], most=1000)[0]]


def test_at_most_so_many_a_benchmark(tmp_path: Path) -> None:
    prompts, failure = outcome_prompts(outcomes(tmp_path), [], most=7)
    assert 4 <= len(prompts) <= 7
    assert set(failure) == {p.prompt_id for p in prompts}


def test_reordered_scores_keep_mean_and_deviation_and_follow_the_failures() -> None:
    generator = np.random.default_rng(0)
    scores = generator.uniform(0.3, 0.7, 400)
    failure = generator.uniform(0, 1, 400)
    values = reordered(scores, failure)
    assert values.mean() == pytest.approx(scores.mean())
    assert values.std() == pytest.approx(scores.std())
    assert spearman(values, failure) > 0.9
    assert spearman(values, scores) > 0.15


def test_scores_without_an_order_get_one() -> None:
    values = reordered(np.full(50, 0.4), np.linspace(0, 1, 50))
    assert values.std() == pytest.approx(0.05)
    assert (np.diff(values) > 0).all()


def test_scores_stay_as_they_are_without_an_order_of_failures() -> None:
    assert reordered(np.full(3, 0.4), np.zeros(3)) == pytest.approx([0.4] * 3)
    assert reordered(np.array([0.3, 0.5]), np.ones(2)) == pytest.approx([0.3, 0.5])


def test_only_the_stressed_dimension_is_reordered() -> None:
    prompts = [
        replace(PROMPT, prompt_id=str(n), source="bfcl_v1_2024_08", targets=(0.2, 0.0, 0.1, v))
        for n, v in enumerate((0.3, 0.5, 0.4))
    ]
    ordered = ordered_by_failure(prompts, {"0": 0.9, "1": 0.1, "2": 0.5})
    assert [p.targets[:3] for p in ordered] == [(0.2, 0.0, 0.1)] * 3
    tools = [p.targets[3] for p in ordered]
    assert tools[0] > tools[2] > tools[1]


def test_taught_keeps_all_prompts_with_outcomes(shipped: Predictor, tmp_path: Path) -> None:
    tried, failure = outcome_prompts(outcomes(tmp_path), [], most=1000)
    weak = [replace(PROMPT, prompt_id=f"w{n}", text=f"weak {n}", kind="weak") for n in range(9)]
    prompts = taught([*weak, *tried], [shipped], most=3, failure=failure)
    assert [p.text for p in prompts if p.prompt_id in failure] == [p.text for p in tried]
    assert len(prompts) == len(tried) + 3
    reasoning = np.array([p.targets[0] for p in prompts if p.prompt_id in failure])
    assert spearman(reasoning, np.array([failure[p.prompt_id] for p in tried])) > 0.8


def test_a_folder_without_outcomes_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"outcome_prompts\.parquet: no such file"):
        outcome_prompts(tmp_path, [], most=5)
