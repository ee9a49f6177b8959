"""What the catalog grid shows, as plain JSON-ready data derived from the store."""

from __future__ import annotations

import functools
from typing import Any

from hydra_nb.catalog import Catalog
from hydra_nb.decision import Candidate, Standing
from hydra_nb.dimensions import DIMENSIONS, LABELS
from hydra_nb.profile import ModelProfile
from hydra_nb.widgets.store import Store
from hydra_nb.widgets.views import View

COLUMNS: tuple[View, ...] = (
    {"field": "available", "label": "On", "kind": "switch", "title": "available"},
    {"field": "name", "label": "Model", "kind": "text", "title": "name"},
    {"field": "provider", "label": "Provider", "kind": "text", "title": "provider"},
    {
        "field": "usd_per_mtok_input",
        "label": "$ in",
        "kind": "price",
        "title": "input price, USD per 1M tokens",
    },
    {
        "field": "usd_per_mtok_output",
        "label": "$ out",
        "kind": "price",
        "title": "output price, USD per 1M tokens",
    },
    *(
        {
            "field": name,
            "label": LABELS[name],
            "kind": "capability",
            "title": f"{LABELS[name].lower()} capability, 0 to 1",
        }
        for name in DIMENSIONS
    ),
    {
        "field": "context_window",
        "label": "Context",
        "kind": "tokens",
        "title": "context window, tokens",
    },
    {"field": "modalities", "label": "Reads", "kind": "fixed", "title": "modalities"},
    {"field": "status", "label": "Status", "kind": "status", "title": "status for this prompt"},
)


def catalog_view(store: Store) -> View:
    """Return what the catalog panel shows."""
    catalog, history = store.catalog, store.history
    opened = _opened_profiles(catalog, history.current.opened)
    decision = store.ruling.decision if store.ruling else None
    failed_open = decision is not None and (decision.failed_open or decision.gates_failed_open)
    candidates = decision.candidates if decision else (None,) * len(catalog)
    rows = [
        _row(profile, before, candidate, failed_open)
        for profile, before, candidate in zip(catalog, opened, candidates, strict=True)
    ]
    return {
        "name": catalog.name,
        "description": catalog.description,
        "as_of": catalog.as_of,
        "columns": COLUMNS,
        "rows": rows,
        "available": sum(profile.available for profile in catalog),
        "undo": history.current.label if history.past else None,
        "redo": history.future[0].label if history.future else None,
        "edited": catalog != history.current.opened,
        "samples": _sample_names(),
    }


def _opened_profiles(catalog: Catalog, opened: Catalog) -> list[ModelProfile | None]:
    """Return, for each profile, what it was when the catalog was opened; `None` where it is new."""
    if catalog.source and opened.source and catalog.source.text == opened.source.text:
        by_entry = dict(zip(opened.source.entries, opened.profiles, strict=True))
        return [None if e is None else by_entry.get(e) for e in catalog.source.entries]
    by_name = {profile.name: profile for profile in opened}
    return [by_name.get(profile.name) for profile in catalog]


def _row(
    profile: ModelProfile,
    before: ModelProfile | None,
    candidate: Candidate | None,
    failed_open: bool,
) -> View:
    cells = {}
    for column in COLUMNS:
        name = column["field"]
        if name == "status":
            continue
        value = getattr(profile, name)
        cells[name] = {
            "value": list(value) if isinstance(value, tuple) else value,
            "text": _cell_text(column["kind"], value),
            "changed": before is None or getattr(before, name) != value,
            "was": None if before is None else _cell_text(column["kind"], getattr(before, name)),
            "title": _hint(column["kind"], profile, name),
        }
    return {
        "cells": cells,
        "standing": str(candidate.standing) if candidate else "none",
        "open": bool(failed_open and candidate and candidate.standing is Standing.CHOSEN),
        "status": _status(candidate) if candidate else "",
        "reason": candidate.reason if candidate else "",
        "notes": profile.notes,
    }


@functools.cache
def _sample_names() -> list[str]:
    # Read once: this view is made on every keystroke, and shipped files do not change.
    return list(Catalog.sample_names())


def _status(candidate: Candidate) -> str:
    """Return the reason, cut to the worst dimension where several fall short."""
    worst, _, rest = candidate.reason.partition(", ")
    if candidate.standing is not Standing.SHORT or not rest:
        return candidate.reason
    return f"{worst}, and {rest.count(', ') + 1} more"


def _hint(kind: str, profile: ModelProfile, field: str) -> str:
    if kind == "capability":
        return f"{getattr(profile, field)}\n{_evidence(profile, field)}".strip()
    return f"{profile.context_window:,} tokens" if kind == "tokens" else ""


def _evidence(profile: ModelProfile, dimension: str) -> str:
    lines = []
    for row in profile.evidence:
        if row.dimension == dimension:
            origin = f"estimate: {row.estimate}" if row.estimate else f"{row.source}, {row.date}"
            lines.append(f"{row.benchmark} {row.score:.3f} ({origin})")
    return "\n".join(lines)


def _cell_text(kind: str, value: Any) -> str:
    if kind == "price":
        return f"{value:.2f}" if round(value, 2) == value else f"{value:.6g}"
    if kind == "capability":
        return f"{value:.2f}"
    if kind == "tokens":
        return _short_tokens(value)
    if isinstance(value, tuple):
        return ", ".join(value)
    return str(value)


def _short_tokens(tokens: int) -> str:
    """Return 272,000 as 272k and 1,050,000 as 1.05M; exact below 10,000."""
    if tokens < 10_000:
        return f"{tokens:,}"
    if tokens < 999_500:
        return f"{tokens / 1_000:.3g}k"
    return f"{tokens / 1_000_000:.3g}M"
