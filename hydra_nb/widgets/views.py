"""What each panel shows, as plain JSON-ready data derived from the store.

Numbers come from `Decision` and `Solution`; this module only words and rounds them.
"""

from __future__ import annotations

import math
from typing import Any

from hydra_nb.decision import Candidate, Decision
from hydra_nb.dimensions import DIMENSIONS, LABELS
from hydra_nb.money import format_usd
from hydra_nb.problem import REGIMES
from hydra_nb.widgets.examples import EXAMPLES
from hydra_nb.widgets.state import Ruling
from hydra_nb.widgets.store import Store

View = dict[str, Any]

LETTERS = {"reasoning": "R", "code_generation": "C", "debugging": "D", "tool_use": "T"}


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
    text = store.text.strip()
    return {
        "tokens": tokens(store.text, store.settings.turn) if callable(tokens) and text else 0,
        "max_tokens": getattr(predictor, "max_tokens", None),
        "flags": list(flags(store.text, store.settings.turn)) if callable(flags) and text else [],
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
        "verdict": _verdict(ruling) if ruling else None,
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


def _verdict(ruling: Ruling) -> View:
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
        "explanation": decision.explanation,
        "facts": [{"label": label, "text": text} for label, text in facts],
    }


def _runner_up(decision: Decision, runner_up: Candidate | None) -> str:
    if runner_up is None:
        return "none: no other model is available"
    dearer = runner_up.cost_micro_usd - decision.cost_micro_usd
    sign = "+" if dearer >= 0 else ""
    return f"{runner_up.name} · {sign}{format_usd(dearer * 1000)} / 1k"


def _program(ruling: Ruling) -> str:
    text = ruling.program.to_text(ruling.decision)
    if ruling.solution is None:
        return text
    chosen = int(ruling.solution.chosen[0])
    if chosen < 0:
        return f"{text}\noptimum     nothing to choose"
    name = ruling.program.problem.catalog[chosen].name
    cost = format_usd(ruling.solution.cost_micro_usd)
    return f"{text}\noptimum     x[{name}] = 1, {cost}, proven by {ruling.solution.solver}"
