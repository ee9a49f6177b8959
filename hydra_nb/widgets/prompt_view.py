"""What the prompt panel shows, as plain JSON-ready data derived from the store."""

from __future__ import annotations

from hydra_nb.decision import Decision
from hydra_nb.dimensions import DIMENSIONS, LABELS
from hydra_nb.money import format_usd
from hydra_nb.widgets.examples import EXAMPLES
from hydra_nb.widgets.reading import Reading
from hydra_nb.widgets.store import Store
from hydra_nb.widgets.views import LETTERS, View, saving_words
from hydra_nb.widgets.why_view import shortened, why_view

UNFAMILIAR = "Unlike anything the predictor was trained on: these four scores are a guess."
IGNORED_CHIPS = 4
LONGEST_PHRASE = 36


def prompt_view(store: Store) -> View:
    """Return what the prompt panel shows."""
    scoring, reading = store.scoring, store.reading
    values = dict(reading.requirements.row(0)) if reading else {}
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
                "interval": _interval(reading, index),
                "pinned": pinned and pinned.requirements.row(0)[name],
            }
            for index, name in enumerate(DIMENSIONS)
        ],
        # γ of the paper's conversation rule: the largest raw score.
        "confidence": max(values.values()) if values else None,
        "unfamiliar": UNFAMILIAR if _out_of_domain(reading) else "",
        "pinned": pinned and {"text": pinned.text, "chosen": pinned.chosen},
        "pinned_here": bool(pinned and pinned.text == store.text),
        "verdict": _short_verdict(store.ruling.decision) if store.ruling else None,
        "examples": [{"label": label, "text": text} for label, text in EXAMPLES],
        "tokens": reading.tokens if reading else 0,
        "max_tokens": getattr(store.predictor, "max_tokens", None),
        "flags": list(reading.signals) if reading else [],
        "ignored": _ignored(reading.ignored if reading else ()),
        "why": why_view(store),
    }


def _interval(reading: Reading | None, column: int) -> View | None:
    """Return where the true requirement is meant to lie; `None` where nobody said."""
    if reading is None or reading.requirements.spread is None:
        return None
    value = float(reading.requirements.values[0, column])
    spread = float(reading.requirements.spread[0, column])
    low, high = max(0.0, value - spread), min(1.0, value + spread)
    words = (
        f"{value:.2f}, give or take {spread:.2f}: in 8 of 10 cases the requirement is meant to lie "
        f"between {low:.2f} and {high:.2f}"
    )
    return {"low": low, "high": high, "spread": spread, "words": words}


def _out_of_domain(reading: Reading | None) -> bool:
    flags = reading.requirements.out_of_domain if reading else None
    return flags is not None and bool(flags[0])


def _ignored(phrases: tuple[str, ...]) -> View:
    """Return the first phrases as chips, and how many more there are."""
    rest = phrases[IGNORED_CHIPS:]
    return {
        "chips": [
            {"text": shortened(phrase, LONGEST_PHRASE), "phrase": phrase}
            for phrase in phrases[:IGNORED_CHIPS]
        ],
        "more": len(rest),
        "rest": shortened(" · ".join(rest), 600),
    }


def _short_verdict(decision: Decision) -> View:
    if decision.chosen is None:
        return {"model": None, "text": decision.explanation, "open": True}
    parts = [format_usd(decision.cost_micro_usd)]
    if decision.strongest and decision.strongest is not decision.chosen:
        parts.append(saving_words(decision))
    if decision.failed_open:
        parts.append(f"nothing meets τ = {decision.problem.tau:.2f}")
    return {
        "model": decision.chosen.name,
        "text": " · ".join(part for part in parts if part),
        "open": decision.failed_open or decision.gates_failed_open,
    }
