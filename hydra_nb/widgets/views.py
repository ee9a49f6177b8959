"""What the solver panel shows, as plain JSON-ready data derived from the store.

Numbers come from `Decision` and `Solution`; views only word and round them.
"""

from __future__ import annotations

import math
from typing import Any

from hydra_nb.decision import Candidate, Decision
from hydra_nb.dimensions import DIMENSIONS, LABELS
from hydra_nb.money import format_usd
from hydra_nb.problem import REGIMES
from hydra_nb.widgets.state import Ruling
from hydra_nb.widgets.store import Store

View = dict[str, Any]

LETTERS = {"reasoning": "R", "code_generation": "C", "debugging": "D", "tool_use": "T"}


def saving_words(decision: Decision) -> str:
    """Return what the choice saves against the strongest model; empty where that says nothing."""
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
            facts.append(("Always strong", saving_words(decision)))
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
