"""Labelled prompts: read, joined, and split by connected groups into train, dev and test."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any, NoReturn

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import InvalidInputError

SPLITS = {"test": 0.15, "dev": 0.08, "train": 0.77}
"""Share of the groups in each split; taken from a hash of the group, so it never changes."""

TRAINING_DATA = Path(__file__).parent / "training_data"
"""Prompts, labels and noise phrases that came after the data folder."""

Targets = tuple[float, float, float, float]


@dataclass(frozen=True)
class LabelledPrompt:
    """One prompt with its four targets.

    Attributes:
        kind: `authored`, `annotated`, `weak` (targets then are the raw weak labels), or `labelled`
            for a table of a user's own.
        source: the public source, or the kind of task of an authored prompt.
        group, set_name, pair: prompts that share one of them never straddle a split.
        expect: on the higher line of a minimal pair, the dimensions that must be clearly higher;
            `("none",)` when the whole pair must score the same.
        split: `train`, `dev` or `test`.
        stressed: of a weak prompt: the dimension in which it is known how many models failed at
            it. Such a prompt is part of every epoch, where others are drawn by lot.
    """

    prompt_id: str
    text: str
    language: str
    kind: str
    source: str
    targets: Targets
    group: str = ""
    set_name: str = ""
    pair: str = ""
    expect: tuple[str, ...] = ()
    split: str = "train"
    stressed: str = ""


def split_of(group: str) -> str:
    """Return the split of a group by its sha256."""
    share = int.from_bytes(hashlib.sha256(f"hydra_nb {group}".encode()).digest()[:8], "big") / 2**64
    for name, size in SPLITS.items():
        if share < size:
            return name
        share -= size
    return "train"


def with_splits(prompts: Iterable[LabelledPrompt]) -> list[LabelledPrompt]:
    """Return the prompts with `split` set; those connected by group, set or pair stay together."""
    prompts = list(prompts)
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    keys = []
    for prompt in prompts:
        own = [
            f"{field}:{value}"
            for field, value in (
                ("group", prompt.group),
                ("set", prompt.set_name),
                ("pair", prompt.pair),
            )
            if value
        ] or [f"id:{prompt.prompt_id}"]
        for key in own[1:]:
            first, second = sorted((root(own[0]), root(key)))
            parent[second] = first
        keys.append(own[0])
    return [
        replace(prompt, split=split_of(root(key)))
        for prompt, key in zip(prompts, keys, strict=True)
    ]


def read_authored(path: str | Path) -> list[LabelledPrompt]:
    """Read `authored_prompts.jsonl`.

    Raises:
        InvalidInputError: a line is no JSON, or lacks a field; names file, line and field.
    """
    prompts = []
    for number, line in enumerate(Path(path).read_text("utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row: dict[str, Any] = json.loads(line)
            prompts.append(
                LabelledPrompt(
                    prompt_id=row["id"],
                    text=row["text"],
                    language=row["language"],
                    kind="authored",
                    source=row.get("kind") or "other",
                    targets=_targets(row),
                    set_name=row.get("set") or "",
                    pair=row.get("pair") or "",
                    expect=_expected(row.get("expect")),
                )
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInputError(f"{path}, line {number}: {error!r}") from error
    return prompts


def read_public(folder: str | Path, *label_files: Path) -> list[LabelledPrompt]:
    """Read `prompts.parquet`; rows in `annotated_labels.csv` take its targets, others are `weak`.

    `label_files` are further tables of the same kind; the first label of a prompt counts.
    Needs pandas and pyarrow (`pip install 'hydra-nb[train]'`).
    """
    import pandas as pd

    frame = pd.read_parquet(Path(folder) / "prompts.parquet").reset_index()
    tables = (pd.read_csv(path) for path in (Path(folder) / "annotated_labels.csv", *label_files))
    labels = pd.concat(tables).drop_duplicates("prompt_id").set_index("prompt_id")
    annotated: dict[Any, Any] = labels[list(DIMENSIONS)].to_dict("index")
    prompts = []
    for row in frame.to_dict("records"):
        found = annotated.get(row["prompt_id"])
        prompts.append(
            LabelledPrompt(
                prompt_id=row["prompt_id"],
                text=row["prompt"],
                language=row["language"],
                kind="weak" if found is None else "annotated",
                source=row["source"],
                targets=_targets(row, "weak_") if found is None else _targets(found),
                group=row["group_id"],
            )
        )
    return prompts


def read_weak_labels(folder: str | Path) -> dict[str, Targets]:
    """Return the weak labels of every public prompt by id."""
    import pandas as pd

    frame = pd.read_parquet(Path(folder) / "prompts.parquet").reset_index()
    return {row["prompt_id"]: _targets(row, "weak_") for row in frame.to_dict("records")}


def read_data(
    folder: str | Path, *, more: str | Path | None = TRAINING_DATA
) -> list[LabelledPrompt]:
    """Read the data folder: authored, annotated and weakly labelled prompts, with splits.

    `more` holds prompts written later (`authored.jsonl`) and later labels of public prompts
    (`public_labels.csv`). Those prompts are for training only, and only public prompts of the
    train split were labelled, so that dev and test stay what they were. A training prompt with the
    letters and digits of one of dev or test is left out. An installed package has neither of the
    two files, a checkout has both.
    """
    authored = read_authored(Path(folder) / "authored_prompts.jsonl")
    if more is None or not (Path(more) / "authored.jsonl").is_file():
        return without_repeats(with_splits([*authored, *read_public(folder)]))
    public = read_public(folder, Path(more) / "public_labels.csv")
    later = read_authored(Path(more) / "authored.jsonl")
    return without_repeats([*with_splits([*authored, *public]), *later])


def without_repeats(prompts: Sequence[LabelledPrompt]) -> list[LabelledPrompt]:
    """Leave out training prompts with the letters and digits of one of dev or test."""
    said = [_letters_and_digits(prompt.text) for prompt in prompts]
    unseen = {text for text, prompt in zip(said, prompts, strict=True) if prompt.split != "train"}
    return [
        prompt
        for text, prompt in zip(said, prompts, strict=True)
        if prompt.split != "train" or text not in unseen
    ]


def _letters_and_digits(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum()) or text


TABLE_COLUMNS = ("text", *DIMENSIONS)
"""Columns that a table of labelled prompts must have."""

OPTIONAL_COLUMNS = ("id", "language", "source", "group", "set", "pair", "expect", "split")


def read_table(path: str | Path, *, unlabelled: bool = False) -> list[LabelledPrompt]:
    """Read labelled prompts from a CSV, JSONL or Parquet file, with splits.

    Columns: `text` and the four dimensions in [0, 1]; optionally `id`, `language`, `source`,
    `group`, `set`, `pair`, `expect` and `split` (see `LabelledPrompt`). Without `split`, prompts
    that share a group, set, pair or text stay together and are split by a hash.

    With `unlabelled`, rows in which all four dimensions are blank are read as well: they come as
    `weak` prompts of the train split, with targets of 0 for a teacher to replace.

    Raises:
        InvalidInputError: the file cannot be read, lacks a column, or a value breaks a rule; the
            message names file, row (from 1), column and value.
    """
    import pandas as pd

    path = Path(path)
    readers: dict[str, Callable[[], pd.DataFrame]] = {
        ".csv": lambda: pd.read_csv(path, keep_default_na=False, na_values=[""]),
        ".jsonl": lambda: pd.read_json(path, lines=True, dtype=False, precise_float=True),
        ".parquet": lambda: pd.read_parquet(path),
    }
    if path.suffix not in readers:
        raise InvalidInputError(
            f"{path}: labelled prompts come as {', '.join(readers)}, or as a folder"
        )
    try:
        frame = readers[path.suffix]()
    except (OSError, ValueError, ImportError) as error:
        raise InvalidInputError(f"{path}: cannot be read: {error}") from error
    missing = [name for name in TABLE_COLUMNS if name not in frame.columns]
    if missing:
        raise InvalidInputError(
            f"{path}: lacks the columns {', '.join(missing)}; it has "
            f"{', '.join(map(str, frame.columns))}"
        )
    prompts = [
        _table_prompt(path, number, row, unlabelled=unlabelled)
        for number, row in enumerate(frame.to_dict("records"), start=1)
    ]
    if not prompts:
        raise InvalidInputError(f"{path}: holds no prompt")
    if "split" in frame.columns:
        return prompts
    labelled = with_splits(prompt for prompt in prompts if prompt.kind != "weak")
    return [*labelled, *(prompt for prompt in prompts if prompt.kind == "weak")]


def _table_prompt(
    path: Path, number: int, row: Mapping[Any, Any], *, unlabelled: bool
) -> LabelledPrompt:
    def refuse(column: str, rule: str) -> NoReturn:
        raise InvalidInputError(
            f"{path}, row {number}, {column}: {rule}; received {row[column]!r:.80}"
        )

    text = row["text"]
    if not isinstance(text, str) or not text.strip():
        refuse("text", "must be a text that is not empty")
    without_labels = unlabelled and all(_is_blank(row[name]) for name in DIMENSIONS)
    for name in () if without_labels else DIMENSIONS:
        value = row[name]
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= 1:
            refuse(name, "must be a number from 0 to 1")
    given = {}
    for name in OPTIONAL_COLUMNS:
        if name in row and not _is_blank(row[name]):
            value = row[name]
            if isinstance(value, float) and value.is_integer():
                value = int(value)  # a blank elsewhere in the column makes 7 come as 7.0
            if not isinstance(value, str | int) or isinstance(value, bool):
                refuse(name, "must be a text or a whole number")
            given[name] = str(value)
    if "split" in row and given.get("split") not in SPLITS:
        refuse("split", f"must be one of {', '.join(SPLITS)}")
    if without_labels and given.get("split", "train") != "train":
        refuse("split", "must be train where the row has no labels")
    expect = _expected(given.get("expect"))
    if any(name not in DIMENSIONS for name in expect) and expect != ("none",):
        refuse("expect", f"must name dimensions ({', '.join(DIMENSIONS)}), or be none")
    same_text = hashlib.sha256(" ".join(text.lower().split()).encode("utf-8", "replace"))
    return LabelledPrompt(
        prompt_id=given.get("id", f"row-{number}"),
        text=text,
        language=given.get("language", "und"),
        kind="weak" if without_labels else "labelled",
        source=given.get("source", "table"),
        targets=(0.0, 0.0, 0.0, 0.0) if without_labels else _targets(row),
        group=given.get("group", same_text.hexdigest()[:16]),
        set_name=given.get("set", ""),
        pair=given.get("pair", ""),
        expect=expect,
        split=given.get("split", "train"),
    )


def _is_blank(value: Any) -> bool:
    import pandas as pd

    if isinstance(value, str):
        return value == ""
    return pd.api.types.is_scalar(value) and bool(pd.isna(value))


def _targets(row: Mapping[Any, Any], prefix: str = "") -> Targets:
    reasoning, code, debugging, tools = (float(row[prefix + name]) for name in DIMENSIONS)
    return reasoning, code, debugging, tools


def _expected(value: str | None) -> tuple[str, ...]:
    return tuple(part.removesuffix(":+") for part in value.split(",")) if value else ()
