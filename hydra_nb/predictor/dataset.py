"""Labelled prompts: read, joined, and split by connected groups into train, dev and test."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import InvalidInputError

SPLITS = {"test": 0.15, "dev": 0.08, "train": 0.77}
"""Share of the groups in each split; taken from a hash of the group, so it never changes."""

Targets = tuple[float, float, float, float]


@dataclass(frozen=True)
class LabelledPrompt:
    """One prompt with its four targets.

    Attributes:
        kind: `authored`, `annotated`, or `weak` (targets then are the raw weak labels).
        source: the public source, or the kind of task of an authored prompt.
        group, set_name, pair: prompts that share one of them never straddle a split.
        expect: on the higher line of a minimal pair, the dimensions that must be clearly higher;
            `("none",)` when the whole pair must score the same.
        split: `train`, `dev` or `test`.
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


def read_public(folder: str | Path) -> list[LabelledPrompt]:
    """Read `prompts.parquet`; rows in `annotated_labels.csv` take its targets, others are `weak`.

    Needs pandas and pyarrow (`pip install 'hydra-nb[train]'`).
    """
    import pandas as pd

    frame = pd.read_parquet(Path(folder) / "prompts.parquet").reset_index()
    labels = pd.read_csv(Path(folder) / "annotated_labels.csv").set_index("prompt_id")
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


def read_data(folder: str | Path) -> list[LabelledPrompt]:
    """Read the data folder: authored, annotated and weakly labelled prompts, with splits."""
    authored = read_authored(Path(folder) / "authored_prompts.jsonl")
    return with_splits([*authored, *read_public(folder)])


def _targets(row: Mapping[Any, Any], prefix: str = "") -> Targets:
    reasoning, code, debugging, tools = (float(row[prefix + name]) for name in DIMENSIONS)
    return reasoning, code, debugging, tools


def _expected(value: str | None) -> tuple[str, ...]:
    return tuple(part.removesuffix(":+") for part in value.split(",")) if value else ()
