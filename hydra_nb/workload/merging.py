"""Which rows of a workload are the same to the router."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.requirements import Requirements

Index = NDArray[np.int64]


def groups(
    requirements: Requirements,
    tokens_input: NDArray[np.int64],
    tokens_output: NDArray[np.int64],
    modalities: Sequence[frozenset[str]],
) -> tuple[Index, Index]:
    """Return the first row of each group, ascending, and the group of each row `(n,)`.

    The rows of a group have the same requirements to the last bit, tokens and modalities.
    """
    kinds = {need: number for number, need in enumerate(dict.fromkeys(modalities))}
    key = np.column_stack(
        [
            (requirements.values + 0.0).view(np.int64),  # + 0.0: zero has two signs, and one value
            tokens_input,
            tokens_output,
            np.fromiter(map(kinds.__getitem__, modalities), np.int64, len(modalities)),
        ]
    )
    if not len(key):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    order = np.lexsort(key.T)
    is_new = np.ones(len(key), dtype=bool)
    is_new[1:] = (key[order[1:]] != key[order[:-1]]).any(axis=1)
    # lexsort is stable, so the first of a group in this order is its first row
    first = order[is_new]
    group = np.empty(len(key), dtype=np.int64)
    group[order] = np.cumsum(is_new) - 1
    rank = np.argsort(first)
    return first[rank], np.argsort(rank)[group]


def pooled(requirements: Requirements, first: Index, group: Index) -> Requirements:
    """Return the requirements of groups: the widest spread, and out of domain where any row is."""
    spread, domain = requirements.spread, requirements.out_of_domain
    if spread is not None:
        widest = np.zeros((len(first), len(DIMENSIONS)))
        np.maximum.at(widest, group, spread)
        spread = widest
    if domain is not None:
        domain = np.bincount(group, weights=domain, minlength=len(first)) > 0
    return Requirements(requirements.values[first], spread=spread, out_of_domain=domain)


def agreed(labels: Sequence[str | None], first: Index, group: Index) -> tuple[str | None, ...]:
    """Return the label of each group; `None` where its rows have several."""
    codes = {label: code for code, label in enumerate(dict.fromkeys(labels))}
    code = np.fromiter(map(codes.__getitem__, labels), np.int64, len(labels))
    differs = code != code[first][group]
    split = set(group[differs].tolist())
    return tuple(
        None if place in split else labels[row] for place, row in enumerate(first.tolist())
    )
