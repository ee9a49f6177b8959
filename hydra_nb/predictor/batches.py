"""Training batches: augmented, tokenized, alike in length; twins, sets and pairs stay together."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.predictor.augmentation import augmented
from hydra_nb.predictor.dataset import LabelledPrompt
from hydra_nb.predictor.input_text import clean_text
from hydra_nb.predictor.noise import Span
from hydra_nb.predictor.plan import TrainingPlan
from hydra_nb.predictor.signals import signal_flags

if TYPE_CHECKING:
    from hydra_nb.predictor.tokens import PromptTokenizer

_SET_MEMBERS = 3
_TWIN_SHARE = 0.25
_AUGMENTED_SHARE = 0.35
_BARE_SHARE = 0.2


@dataclass(frozen=True)
class Batch:
    """One training batch.

    Attributes:
        ids, mask: `(batch, tokens)`.
        targets: `(batch, 4)`; weights: `(batch,)`.
        alike: index lists of rows that must score the same.
        above: `(higher row, lower row, dimension)` triples.
        noise: `(batch, tokens)`, 1 where a token has no bearing on the targets.
        labelled: `(batch,)`, whether the targets are labels and not weak ones.
        stressed: `(batch,)`, the dimension on which models were tried, -1 where none was.
    """

    ids: Tensor
    mask: Tensor
    targets: Tensor
    weights: Tensor
    alike: list[list[int]]
    above: list[tuple[int, int, int]]
    noise: Tensor
    labelled: Tensor
    stressed: Tensor


@dataclass(frozen=True)
class _Row:
    prompt: LabelledPrompt
    ids: list[int]
    noise: list[float]


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


def _row(
    prompt: LabelledPrompt,
    *,
    noisy: bool,
    tokenizer: PromptTokenizer,
    limit: int,
    generator: random.Random,
) -> _Row:
    text, spans = augmented(prompt.text, generator) if noisy else (prompt.text, [])
    flags = signal_flags(text, turn=generator.choice((1, 1, 3, 9)))
    if spans:  # cleaned in pieces, so that the spans hold for the cleaned text as well
        text, spans = _cleaned(text, spans)
    else:
        text = clean_text(text)
    signals = () if generator.random() < _BARE_SHARE else flags.tokens()
    ids, offsets = tokenizer.ids_and_offsets(text, signals)
    noise = [float(any(a <= (start + end) / 2 < b for a, b in spans)) if end > start else 0.0
             for start, end in offsets]  # fmt: skip
    return _Row(prompt, ids[:limit], noise[:limit])


def _cleaned(text: str, spans: Sequence[Span]) -> tuple[str, list[Span]]:
    cleaned, found, position = "", [], 0
    for start, end in spans:
        cleaned = _joined(cleaned, clean_text(text[position:start]))
        before = cleaned
        cleaned = _joined(cleaned, clean_text(text[start:end]))
        found.append((len(before) + (len(before) > 0 and len(cleaned) > len(before)), len(cleaned)))
        position = end
    return _joined(cleaned, clean_text(text[position:])), found


def _joined(left: str, right: str) -> str:
    return f"{left} {right.lstrip()}" if left and right.strip() else left or right.lstrip()


def training_batches(
    prompts: Sequence[LabelledPrompt],
    tokenizer: PromptTokenizer,
    plan: TrainingPlan,
    generator: random.Random,
    *,
    times: int = 1,
) -> Iterator[Batch]:
    """Yield the batches of one epoch, each of at most `times` what the plan has for tokens.

    A row that is longer by itself makes a batch of its own.
    """
    prepared = []
    for unit in _units(prompts, generator):
        row = partial(_row, tokenizer=tokenizer, limit=plan.limit, generator=generator)
        rows = [row(prompt, noisy=generator.random() < _AUGMENTED_SHARE) for prompt in unit]
        alike = len(unit) > 1 and (
            bool(unit[0].set_name) or any(p.expect == ("none",) for p in unit)
        )
        if len(unit) == 1 and generator.random() < _TWIN_SHARE:
            rows.append(row(unit[0], noisy=True))
            alike = True
        prepared.append((max(len(row.ids) for row in rows), rows, alike))
    generator.shuffle(prepared)
    window = 600
    chunks = []
    for start in range(0, len(prepared), window):
        ordered = sorted(prepared[start : start + window], key=lambda unit: unit[0])
        chunk: list[tuple[list[_Row], bool]] = []
        rows_in_chunk = 0
        for length, rows, alike in ordered:
            if chunk and (rows_in_chunk + len(rows)) * length > times * plan.tokens_per_batch:
                chunks.append(chunk)
                chunk, rows_in_chunk = [], 0
            chunk.append((rows, alike))
            rows_in_chunk += len(rows)
        chunks.append(chunk)
    generator.shuffle(chunks)
    for chunk in chunks:
        yield _collated(chunk, tokenizer.pad_id, plan)


def _collated(
    chunk: list[tuple[list[_Row], bool]],
    pad_id: int,
    plan: TrainingPlan,
) -> Batch:
    rows: list[_Row] = []
    alike, above = [], []
    for unit, same in chunk:
        first = len(rows)
        rows += unit
        if same:
            alike.append(list(range(first, len(rows))))
            continue
        for i, higher in enumerate(unit):
            for name in sorted(set(higher.prompt.expect) & set(DIMENSIONS)):
                dimension = DIMENSIONS.index(name)
                above += [
                    (first + i, first + j, dimension)
                    for j, lower in enumerate(unit)
                    if lower.prompt.targets[dimension] + 0.1 < higher.prompt.targets[dimension]
                ]
    ids, mask = padded([row.ids for row in rows], pad_id)
    noise = torch.zeros(ids.shape)
    for index, row in enumerate(rows):
        noise[index, : len(row.noise)] = torch.tensor(row.noise)
    return Batch(
        ids,
        mask,
        torch.tensor([row.prompt.targets for row in rows]),
        torch.tensor([plan.weak_loss if row.prompt.kind == "weak" else 1.0 for row in rows]),
        alike,
        above,
        noise,
        torch.tensor([row.prompt.kind != "weak" for row in rows]),
        torch.tensor([_column(row.prompt.stressed) for row in rows]),
    )


def _column(dimension: str) -> int:
    return DIMENSIONS.index(dimension) if dimension else -1


def padded(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Return ids and mask `(batch, tokens)`, padded to the longest row of this batch."""
    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), pad_id, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = 1
    return ids, mask
