from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydra_nb.errors import InvalidInputError
from hydra_nb.predictor.augmentation import UNSEEN_NOISE, augmented
from hydra_nb.predictor.dataset import LabelledPrompt, read_authored, split_of, with_splits

PROMPT = LabelledPrompt("p", "text", "en", "authored", "other", (0.0, 0.0, 0.0, 0.0))


def test_prompts_connected_by_group_set_or_pair_share_a_split() -> None:
    chains = []
    for number in range(40):
        chains += [
            replace(PROMPT, prompt_id=f"{number}a", group=f"g{number}"),
            replace(PROMPT, prompt_id=f"{number}b", group=f"g{number}", pair=f"p{number}"),
            replace(PROMPT, prompt_id=f"{number}c", pair=f"p{number}", set_name=f"s{number}"),
            replace(PROMPT, prompt_id=f"{number}d", set_name=f"s{number}"),
        ]
    random.Random(0).shuffle(chains)
    split = {prompt.prompt_id: prompt.split for prompt in with_splits(chains)}
    for number in range(40):
        assert len({split[f"{number}{letter}"] for letter in "abcd"}) == 1


def test_a_group_and_a_set_of_the_same_name_are_not_connected() -> None:
    prompts = [
        prompt
        for number in range(200)
        for prompt in (
            replace(PROMPT, prompt_id=f"{number}a", group=f"x{number}"),
            replace(PROMPT, prompt_id=f"{number}b", set_name=f"x{number}"),
        )
    ]
    splits = [prompt.split for prompt in with_splits(prompts)]
    assert any(left != right for left, right in zip(splits[::2], splits[1::2], strict=True))


def test_splits_have_about_the_shares_announced() -> None:
    found = [split_of(f"group:{number}") for number in range(20_000)]
    assert found.count("test") / 20_000 == pytest.approx(0.15, abs=0.01)
    assert found.count("dev") / 20_000 == pytest.approx(0.08, abs=0.01)


def test_a_split_does_not_depend_on_the_other_prompts() -> None:
    prompts = [replace(PROMPT, prompt_id=str(number), group=str(number)) for number in range(50)]
    alone = [with_splits([prompt])[0].split for prompt in prompts]
    assert [prompt.split for prompt in with_splits(prompts)] == alone


def test_authored_lines_are_read_with_pairs_and_expectations(tmp_path: Path) -> None:
    path = tmp_path / "authored.jsonl"
    row = {
        "id": "a", "text": "t", "language": "en", "kind": "debug", "reasoning": 0.1,
        "code_generation": 0.2, "debugging": 0.3, "tool_use": 0.4, "pair": "p",
        "expect": "reasoning:+,debugging:+",
    }  # fmt: skip
    path.write_text(json.dumps(row) + "\n\n")
    (prompt,) = read_authored(path)
    assert prompt.targets == (0.1, 0.2, 0.3, 0.4)
    assert (prompt.pair, prompt.expect) == ("p", ("reasoning", "debugging"))


@pytest.mark.parametrize(
    ("line", "message"), [("{", "line 1"), ('{"id": "a"}', "text"), ("[]", "line 1")]
)
def test_a_bad_authored_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "authored.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(InvalidInputError, match=message):
        read_authored(path)


@given(st.text(), st.integers(0, 1000))
def test_augmentation_takes_any_text_and_is_seeded(text: str, seed: int) -> None:
    first = augmented(text, random.Random(seed))
    assert first == augmented(text, random.Random(seed))


def test_every_noise_template_takes_the_prompt_once() -> None:
    for templates in UNSEEN_NOISE.values():
        assert all(template.count("{}") == 1 for template in templates)
