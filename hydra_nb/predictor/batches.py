"""Training batches: augmented, tokenized, alike in length; twins, sets and pairs stay together."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.predictor.augmentation import augmented
from hydra_nb.predictor.dataset import LabelledPrompt
from hydra_nb.predictor.input_text import clean_text
from hydra_nb.predictor.signals import signal_flags

if TYPE_CHECKING:
    from hydra_nb.predictor.tokens import PromptTokenizer

_SET_MEMBERS = 3
_TWIN_SHARE = 0.3
_AUGMENTED_SHARE = 0.4
_BARE_SHARE = 0.2


@dataclass(frozen=True)
class Batch:
    """One training batch.

    Attributes:
        ids, mask: `(batch, tokens)`.
        targets: `(batch, 4)`; weights: `(batch,)`.
        alike: index lists of rows that must score the same.
        above: `(higher row, lower row, dimension)` triples.
    """

    ids: Tensor
    mask: Tensor
    targets: Tensor
    weights: Tensor
    alike: list[list[int]]
    above: list[tuple[int, int, int]]


def _units(
    prompts: Sequence[LabelledPrompt], generator: random.Random
) -> list[list[LabelledPrompt]]:
    together: dict[str, list[LabelledPrompt]] = defaultdict(list)
    units: list[list[LabelledPrompt]] = []
    for prompt in prompts:
        if prompt.pair or prompt.set_name:
            together[prompt.pair or f"set {prompt.set_name}"].append(prompt)
        else:
            units.append([prompt])
    for name, members in together.items():
        if name.startswith("set "):
            generator.shuffle(members)
            units += [
                members[start : start + _SET_MEMBERS]
                for start in range(0, len(members), _SET_MEMBERS)
            ]
        else:
            units.append(members)
    return units


def _token_ids(
    text: str, tokenizer: PromptTokenizer, limit: int, generator: random.Random
) -> list[int]:
    flags = signal_flags(text, turn=generator.choice((1, 1, 3, 9)))
    signals = () if generator.random() < _BARE_SHARE else flags.tokens()
    return tokenizer.ids(clean_text(text), signals)[:limit]


def training_batches(
    prompts: Sequence[LabelledPrompt],
    tokenizer: PromptTokenizer,
    *,
    weights: dict[str, float],
    tokens_per_batch: int,
    limit: int,
    generator: random.Random,
) -> Iterator[Batch]:
    """Yield the batches of one epoch; `weights` maps the kind of a prompt to its loss weight."""
    prepared = []
    for unit in _units(prompts, generator):
        rows: list[tuple[list[int], LabelledPrompt]] = []
        for prompt in unit:
            noisy = generator.random() < _AUGMENTED_SHARE
            text = augmented(prompt.text, generator) if noisy else prompt.text
            rows.append((_token_ids(text, tokenizer, limit, generator), prompt))
        alike = len(unit) > 1 and (
            bool(unit[0].set_name) or any(p.expect == ("none",) for p in unit)
        )
        if len(unit) == 1 and generator.random() < _TWIN_SHARE:
            twin = augmented(unit[0].text, generator)
            rows.append((_token_ids(twin, tokenizer, limit, generator), unit[0]))
            alike = True
        prepared.append((max(len(ids) for ids, _ in rows), rows, alike))
    generator.shuffle(prepared)
    window = 600
    chunks = []
    for start in range(0, len(prepared), window):
        ordered = sorted(prepared[start : start + window], key=lambda unit: unit[0])
        chunk: list[tuple[list[tuple[list[int], LabelledPrompt]], bool]] = []
        rows_in_chunk = 0
        for length, rows, alike in ordered:
            if chunk and (rows_in_chunk + len(rows)) * length > tokens_per_batch:
                chunks.append(chunk)
                chunk, rows_in_chunk = [], 0
            chunk.append((rows, alike))
            rows_in_chunk += len(rows)
        chunks.append(chunk)
    generator.shuffle(chunks)
    for chunk in chunks:
        yield _collated(chunk, tokenizer.pad_id, weights)


def _collated(
    chunk: list[tuple[list[tuple[list[int], LabelledPrompt]], bool]],
    pad_id: int,
    weights: dict[str, float],
) -> Batch:
    rows: list[tuple[list[int], LabelledPrompt]] = []
    alike, above = [], []
    for unit, same in chunk:
        first = len(rows)
        rows += unit
        if same:
            alike.append(list(range(first, len(rows))))
            continue
        for i, (_, higher) in enumerate(unit):
            for name in higher.expect:
                dimension = DIMENSIONS.index(name)
                above += [
                    (first + i, first + j, dimension)
                    for j, (_, lower) in enumerate(unit)
                    if lower.targets[dimension] + 0.1 < higher.targets[dimension]
                ]
    ids, mask = padded([ids for ids, _ in rows], pad_id)
    return Batch(
        ids,
        mask,
        torch.tensor([prompt.targets for _, prompt in rows]),
        torch.tensor([weights[prompt.kind] for _, prompt in rows]),
        alike,
        above,
    )


def padded(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Return ids and mask `(batch, tokens)`, padded to the longest row of this batch."""
    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), pad_id, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = 1
    return ids, mask
