"""What each panel shows, as plain JSON-ready data derived from the store.

Numbers come from `Decision` and `Solution`; this module only words and rounds them.
"""

from __future__ import annotations

import math
from typing import Any

from hydra_nb.catalog import Catalog
from hydra_nb.decision import Candidate, Decision, Standing, short_dimensions
from hydra_nb.dimensions import DIMENSIONS, LABELS
from hydra_nb.money import format_usd
from hydra_nb.problem import REGIMES
from hydra_nb.profile import ModelProfile
from hydra_nb.widgets.examples import EXAMPLES
from hydra_nb.widgets.store import Ruling, Store

View = dict[str, Any]

LETTERS = {"reasoning": "R", "code_generation": "C", "debugging": "D", "tool_use": "T"}
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


def prompt_view(store: Store) -> View:
    """Return what the prompt panel shows."""
    scoring, requirements = store.scoring, store.requirements
    values = dict(requirements.row(0)) if requirements is not None else {}
    pinned = store.pinned
    return {
        "state": scoring.state,
        "message": scoring.message,
        "milliseconds": round(scoring.milliseconds, 1),
        "revision": scoring.revision,
        "dimensions": [
            {
                "field": name,
                "label": LABELS[name],
                "letter": LETTERS[name],
                "value": values.get(name),
                "pinned": pinned and pinned.requirements.row(0)[name],
            }
            for name in DIMENSIONS
        ],
        # γ of the paper's conversation rule: the largest raw score.
        "confidence": max(values.values()) if values else None,
        "pinned": pinned and {"text": pinned.text, "chosen": pinned.chosen},
        "pinned_here": bool(pinned and pinned.text == store.text),
        "verdict": _short_verdict(store.ruling.decision) if store.ruling else None,
        "examples": [{"label": label, "text": text} for label, text in EXAMPLES],
        **_reading(store),
    }


def _reading(store: Store) -> View:
    """Return tokens and signal flags, where the predictor can tell them."""
    predictor = store.predictor
    tokens = getattr(predictor, "tokens", None)
    flags = getattr(predictor, "signals", None)
    return {
        "tokens": tokens(store.text, store.settings.turn) if tokens and store.text else 0,
        "max_tokens": getattr(predictor, "max_tokens", None),
        "flags": list(flags(store.text, store.settings.turn)) if flags and store.text else [],
    }


def _short_verdict(decision: Decision) -> View:
    if decision.chosen is None:
        return {"model": None, "text": decision.explanation, "open": True}
    parts = [format_usd(decision.cost_micro_usd)]
    if decision.strongest and decision.strongest is not decision.chosen:
        parts.append(_saving(decision))
    if decision.failed_open:
        parts.append(f"nothing meets τ = {decision.problem.tau:.2f}")
    return {
        "model": decision.chosen.name,
        "text": " · ".join(part for part in parts if part),
        "open": decision.failed_open or decision.gates_failed_open,
    }


def _saving(decision: Decision) -> str:
    saving = decision.saving
    if decision.strongest is None or not math.isfinite(saving):
        return ""
    if saving < 0:
        return f"{-saving:.0%} dearer than {decision.strongest.name}"
    return f"saves {saving:.0%} against {decision.strongest.name}"


def catalog_view(store: Store) -> View:
    """Return what the catalog panel shows."""
    catalog, history = store.catalog, store.history
    candidates = store.ruling.decision.candidates if store.ruling else (None,) * len(catalog)
    opened = _opened_profiles(catalog, history.current.opened)
    rows = [
        _row(profile, before, candidate)
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
        "samples": list(Catalog.sample_names()),
    }


def _opened_profiles(catalog: Catalog, opened: Catalog) -> list[ModelProfile | None]:
    """Return, for each profile, what it was when the catalog was opened; `None` where it is new."""
    if catalog.source and opened.source and catalog.source.text == opened.source.text:
        by_entry = dict(zip(opened.source.entries, opened.profiles, strict=True))
        return [None if e is None else by_entry.get(e) for e in catalog.source.entries]
    by_name = {profile.name: profile for profile in opened}
    return [by_name.get(profile.name) for profile in catalog]


def _row(profile: ModelProfile, before: ModelProfile | None, candidate: Candidate | None) -> View:
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
        "new": before is None,
        "standing": str(candidate.standing) if candidate else "none",
        "status": _status(candidate) if candidate else "",
        "reason": candidate.reason if candidate else "",
        "notes": profile.notes,
    }


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


def solver_view(store: Store) -> View:
    """Return what the solver panel shows."""
    settings, ruling = store.settings, store.ruling
    return {
        "tau": settings.tau,
        "regimes": [{"label": label, "tau": tau} for label, tau in REGIMES.items()],
        "weights": [
            {"field": name, "label": LABELS[name], "letter": LETTERS[name], "value": weight}
            for name, weight in settings.dimension_weights.items()
        ],
        "effective": _effective_weights(store),
        "tokens_output": settings.tokens_output,
        "image": "image" in settings.modalities,
        "state": _solver_state(store),
        "verdict": _verdict(ruling, store) if ruling else None,
        "program": _program(ruling) if ruling else "",
    }


def _effective_weights(store: Store) -> str:
    """Return the weights after Eq. 4 in words; empty where the catalog has no band."""
    if store.ruling is None or store.catalog.capability_band is None:
        return ""
    weights = store.ruling.decision.problem.effective_weights
    listed = (f"{LABELS[k].lower()} {w:.2f}" for k, w in zip(DIMENSIONS, weights, strict=True))
    return f"compensated for the width of this catalog's band (Eq. 4): {', '.join(listed)}"


def _solver_state(store: Store) -> str:
    if store.ruling is None:
        return "waiting" if store.scoring.state == "warming" else "empty"
    decision = store.ruling.decision
    if decision.chosen is None:
        return "none"
    return "open" if decision.failed_open or decision.gates_failed_open else "chosen"


def _verdict(ruling: Ruling, store: Store) -> View:
    decision = ruling.decision
    chosen, runner_up = decision.chosen, decision.runner_up
    facts: list[tuple[str, str]] = []
    if chosen:
        facts.append(("This prompt", format_usd(chosen.cost_micro_usd)))
        facts.append(("1,000 like it", format_usd(chosen.cost_micro_usd * 1000)))
        facts.append(("Shortfall", f"{chosen.shortfall + 0.0:.2f}"))
        if decision.strongest and decision.strongest is not chosen:
            facts.append(("Always strong", _saving(decision)))
        elif decision.strongest:
            facts.append(("Always strong", "this is the strongest model"))
        facts.append(("Runner-up", _runner_up(decision, runner_up)))
    if ruling.solution:
        milliseconds = ruling.solution.seconds * 1000
        facts.append(("Program", f"{ruling.solution.solver} · optimal · {milliseconds:.1f} ms"))
    elif ruling.failure:
        facts.append(("Program", ruling.failure))
    problem = decision.problem
    facts.append(
        ("Tokens", f"{problem.tokens_input[0]:,} in (estimate) · {problem.tokens_output[0]:,} out")
    )
    return {
        "model": chosen.name if chosen else "No model",
        "provider": chosen.profile.provider if chosen else "",
        "explanation": decision.explanation,
        "short": short_dimensions(chosen.gaps) if chosen else "",
        "facts": [{"label": label, "text": text} for label, text in facts],
    }


def _runner_up(decision: Decision, runner_up: Candidate | None) -> str:
    if runner_up is None:
        return "none: no other model is available"
    dearer = runner_up.cost_micro_usd - decision.cost_micro_usd
    sign = "+" if dearer >= 0 else ""
    return f"{runner_up.name} · {sign}{format_usd(dearer * 1000)} / 1k"


def _program(ruling: Ruling) -> str:
    text = ruling.program.to_text()
    if ruling.solution is None:
        return text
    decision = ruling.decision
    name = decision.chosen.name if decision.chosen else None
    if name is None:
        return f"{text}\noptimum     nothing to choose"
    cost = format_usd(ruling.solution.cost_micro_usd)
    return f"{text}\noptimum     x[{name}] = 1, {cost}, proven by {ruling.solution.solver}"
