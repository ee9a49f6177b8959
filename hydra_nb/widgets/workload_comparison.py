"""Before and after: what moved between two routings of one workload, and what was edited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydra_nb.catalog import Catalog
from hydra_nb.widgets.workload_results import Question, Routing


@dataclass(frozen=True)
class Move:
    """Requests that went to one model and go to another; `None` is no model at all."""

    before: str | None
    after: str | None
    requests: int


@dataclass(frozen=True)
class Comparison:
    """What is different between two routings of one workload.

    Attributes:
        moves: most requests first.
        kept: requests that stay where they were, by model.
        requests: how many there are in all.
        extra_cost_micro_usd: after less before.
        extra_mean_shortfall: after less before.
        extra_short: requests that fall short, after less before.
    """

    moves: tuple[Move, ...]
    kept: Mapping[str, int]
    requests: int
    extra_cost_micro_usd: float
    extra_mean_shortfall: float
    extra_short: int

    @property
    def moved(self) -> int:
        """Return how many requests move."""
        return sum(move.requests for move in self.moves)


def compare(before: Routing, after: Routing) -> Comparison:
    """Return what moved; both must be of one workload.

    Where a query's requests are split, those that leave a model are spread over the models that
    gain in proportion; only the pairing is by convention, the number that moves is not.
    """
    names = list(dict.fromkeys([*before.problem.catalog.names, *after.problem.catalog.names]))
    place = {name: index for index, name in enumerate(names)}
    size = len(names) + 1  # the last is no model
    old, new = _placed(before, place, size), _placed(after, place, size)
    n_queries = len(before.problem.arrivals)
    if old.whole and new.whole:
        pairs = old.model * size + new.model
        weights = before.problem.arrivals
        matrix = np.bincount(pairs, weights=weights, minlength=size * size).reshape(size, size)
    else:
        was, now = old.dense(n_queries, size), new.dense(n_queries, size)
        stays = np.minimum(was, now)
        leaves, gains = was - stays, now - stays
        total = leaves.sum(axis=1)
        share = np.divide(gains, total[:, None], out=np.zeros_like(gains), where=total[:, None] > 0)
        matrix = leaves.T @ share + np.diag(stays.sum(axis=0))
    rounded = np.rint(matrix).astype(np.int64)
    labels = [*names, None]
    moves = [
        Move(labels[i], labels[j], int(rounded[i, j]))
        for i, j in zip(*np.nonzero(rounded), strict=True)
        if i != j
    ]
    moves.sort(key=lambda move: (-move.requests, move.before or "", move.after or ""))
    kept = {name: int(rounded[i, i]) for i, name in enumerate(names) if rounded[i, i]}
    return Comparison(
        moves=tuple(moves),
        kept=kept,
        requests=after.requests,
        extra_cost_micro_usd=after.cost_micro_usd - before.cost_micro_usd,
        extra_mean_shortfall=after.mean_shortfall - before.mean_shortfall,
        extra_short=after.requests_short - before.requests_short,
    )


@dataclass(frozen=True, eq=False)
class _Placed:
    flows: NDArray[np.int64]
    model: NDArray[np.int64]
    whole: bool
    arrivals: NDArray[np.int64]

    def dense(self, n_queries: int, size: int) -> NDArray[np.float64]:
        matrix = np.zeros((n_queries, size))
        queries, models, counts = self.flows.T
        np.add.at(matrix, (queries, models), counts)
        matrix[:, -1] = self.arrivals - matrix.sum(axis=1)
        return matrix


def _placed(routing: Routing, place: Mapping[str, int], size: int) -> _Placed:
    renumbered = np.array([place[name] for name in routing.problem.catalog.names], dtype=np.int64)
    queries, models, counts = routing.flows.T
    models = renumbered[models] if len(models) else models
    arrivals = routing.problem.arrivals
    model = np.full(len(arrivals), size - 1, dtype=np.int64)
    model[queries] = models
    whole = bool(np.array_equal(counts, arrivals[queries]))
    return _Placed(np.column_stack([queries, models, counts]), model, whole, arrivals)


def changed_words(before: Question, after: Question) -> str:
    """Return in words what was edited between two questions."""
    parts = list(_catalog_changes(before.catalog, after.catalog))
    if before.tau != after.tau:
        parts.append(f"τ {before.tau:.2f} → {after.tau:.2f}")
    if dict(before.dimension_weights) != dict(after.dimension_weights):
        parts.append("dimension weights")
    if before.objective != after.objective:
        parts.append(f"least {before.objective} → least {after.objective}")
    old, new = before.constraints.words, after.constraints.words
    parts += [f"without “{words}”" for words in old if words not in new]
    parts += [f"with “{words}”" for words in new if words not in old]
    if not parts:
        return "nothing"
    rest = len(parts) - 3
    return "; ".join(parts[:3]) + (f"; and {rest} more" if rest > 0 else "")


_FIELDS: dict[str, str] = {
    "usd_per_mtok_input": "input price",
    "usd_per_mtok_output": "output price",
    "context_window": "context window",
    "code_generation": "code generation",
    "tool_use": "tool use",
}


def _catalog_changes(before: Catalog, after: Catalog) -> list[str]:
    if before is after:
        return []
    old = {profile.name: profile for profile in before}
    new = {profile.name: profile for profile in after}
    found = [f"without {name}" for name in old if name not in new]
    found += [f"with {name}" for name in new if name not in old]
    for name, profile in new.items():
        if name not in old or old[name] == profile:
            continue
        for field in type(profile).model_fields:
            was, now = getattr(old[name], field), getattr(profile, field)
            if was == now:
                continue
            if field == "available":
                found.append(f"{name} switched {'on' if now else 'off'}")
            elif isinstance(now, int | float) and not isinstance(now, bool):
                usd = "$" if field.startswith("usd_") else ""
                label = _FIELDS.get(field, field)
                found.append(f"{name}: {label} {usd}{_plain(was)} → {usd}{_plain(now)}")
            else:
                found.append(f"{name}: {_FIELDS.get(field, field)}")
    return found


def _plain(value: Any) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else f"{value:,}"
