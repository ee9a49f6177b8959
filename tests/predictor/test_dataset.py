from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import InvalidInputError
from hydra_nb.predictor.dataset import (
    TRAINING_DATA,
    LabelledPrompt,
    read_authored,
    read_data,
    read_table,
    split_of,
    with_splits,
)

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


HEADER = "text,reasoning,code_generation,debugging,tool_use"


def test_a_table_of_labelled_prompts_is_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"{HEADER},language,split\nNA is sodium?,0.1,0,0,0.05,en,dev\n")
    (prompt,) = read_table(path)
    assert (prompt.text, prompt.language, prompt.split) == ("NA is sodium?", "en", "dev")
    assert prompt.targets == (0.1, 0.0, 0.0, 0.05)


def test_all_three_kinds_of_table_read_alike(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame(
        {"text": ["a b", "c"], "reasoning": [0.1, 1.0], "code_generation": [0.0, 0.5],
         "debugging": [0.0, 0.25], "tool_use": [0.3, 0.0], "pair": ["x", "x"],
         "expect": ["", "reasoning:+"]}
    )  # fmt: skip
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "t.parquet")
    csv, jsonl, parquet = (read_table(tmp_path / f"t.{end}") for end in ("csv", "jsonl", "parquet"))
    assert csv == jsonl == parquet
    assert csv[1].expect == ("reasoning",)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("ok,0.1,0,0,1.2", r"labels\.csv, row 2, tool_use: must be a number from 0 to 1.*1\.2"),
        ("ok,,0,0,0", r"row 2, reasoning: .*nan"),
        ("ok,high,0,0,0", r"row \d, reasoning: .*"),
        ("  ,0.1,0,0,0", r"row 2, text: must be a text that is not empty"),
        (",0.1,0,0,0", r"row 2, text: .*nan"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, message: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"{HEADER}\nfine,0.1,0,0,0\n{row}\n")
    with pytest.raises(InvalidInputError, match=message):
        read_table(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "text,reasoning\na,0.1\n", "lacks the columns code_generation, debugging"),
        ("t.csv", f"{HEADER}\n", "holds no prompt"),
        ("t.txt", "a", r"come as \.csv, \.jsonl, \.parquet"),
        ("t.jsonl", "{", "cannot be read"),
        ("t.parquet", "no parquet", "cannot be read"),
        ("t.csv", f"{HEADER},split\na,0,0,0,0,exam\n", "split: must be one of"),
        ("t.csv", f"{HEADER},expect\na,0,0,0,0,speed:+\n", "expect: must name dimensions"),
        ("t.csv", f'{HEADER},expect\na,0,0,0,0,"none,reasoning:+"\n', "or be none"),
        ("t.csv", f"{HEADER},split\na,0,0,0,0,dev\nb,0,0,0,0,\n", "row 2, split: must be one"),
        ("t.csv", f"{HEADER},group\na,0,0,0,0,7.5\n", "group: must be a text or a whole number"),
        ("t.csv", f"{HEADER}\na,,,,\n", "row 1, reasoning: must be a number"),
    ],
)
def test_a_bad_table_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InvalidInputError, match=message):
        read_table(tmp_path / name)


def test_rows_of_a_numbered_group_share_a_split_though_one_row_has_none(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    rows = [f"text {n},0.1,0,0,0,{n % 40}" for n in range(80)]
    path.write_text("\n".join([f"{HEADER},group", *rows, "alone,0.1,0,0,0,"]))
    prompts = read_table(path)
    assert [p.group for p in prompts[:2]] == ["0", "1"]
    assert [p.split for p in prompts[:40]] == [p.split for p in prompts[40:80]]


def test_a_parquet_column_of_nullable_numbers_keeps_its_groups(tmp_path: Path) -> None:
    import pandas as pd

    labels = {name: [0.5, 0.5] for name in DIMENSIONS}
    groups = pd.array([7, None], dtype="Int64")
    pd.DataFrame({"text": ["a", "b"], **labels, "group": groups}).to_parquet(tmp_path / "t.parquet")
    first, second = read_table(tmp_path / "t.parquet")
    assert first.group == "7"
    assert second.group not in ("", "7", "<NA>")


def test_rows_without_labels_are_read_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"{HEADER}\nlabelled,0.1,0,0,0\nnot,,,,\n")
    labelled, weak = read_table(path, unlabelled=True)
    assert (labelled.kind, weak.kind, weak.split) == ("labelled", "weak", "train")


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"nowhere\.csv: cannot be read"):
        read_table(tmp_path / "nowhere.csv")


def test_equal_texts_of_a_table_share_a_split(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    rows = [f"Text  number {n % 60},0.1,0,0,0" for n in range(120)]
    path.write_text("\n".join([HEADER, *rows]))
    splits = [prompt.split for prompt in read_table(path)]
    assert splits[:60] == splits[60:]
    assert set(splits) == {"train", "dev", "test"}


def test_a_training_prompt_that_repeats_an_unseen_one_is_left_out(tmp_path: Path) -> None:
    import pandas as pd

    names = [f"weak_{name}" for name in DIMENSIONS]
    row = dict.fromkeys(names, 0.5) | {"language": "en", "source": "s"}
    public = [
        row | {"prompt_id": f"p{n}", "group_id": n, "prompt": f"number {n}"} for n in range(9)
    ]
    frame = pd.DataFrame(public).set_index("prompt_id")
    frame.to_parquet(tmp_path / "prompts.parquet")
    (tmp_path / "annotated_labels.csv").write_text(f"prompt_id,{','.join(DIMENSIONS)}\n")
    line = {"language": "en"} | dict.fromkeys(DIMENSIONS, 0.5)
    unseen = next(f"u{n}" for n in range(99) if split_of(f"id:u{n}") == "test")
    seen = next(f"t{n}" for n in range(99) if split_of(f"id:t{n}") == "train")
    lines = [line | {"id": unseen, "text": "Is it so?"}, line | {"id": seen, "text": "is it so"}]
    (tmp_path / "authored_prompts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = {prompt.prompt_id for prompt in read_data(tmp_path, more=None)}
    assert found == {f"p{n}" for n in range(9)} | {unseen}


def test_later_prompts_are_for_training_only() -> None:
    assert {p.split for p in read_authored(TRAINING_DATA / "authored.jsonl")} == {"train"}


def test_later_prompts_have_labels_in_steps_of_a_twentieth() -> None:
    for prompt in read_authored(TRAINING_DATA / "authored.jsonl"):
        for target in prompt.targets:
            assert target * 20 == pytest.approx(round(target * 20))
