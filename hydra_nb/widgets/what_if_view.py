"""What the what-if panel shows, as plain JSON-ready data derived from the store.

All numbers come from `sensitivity`; here they are only worded and placed. `what_if_axes` makes
sliders and strips, `what_if_map` the map.
"""

from __future__ import annotations

from hydra_nb.decision import Candidate, Decision, Standing
from hydra_nb.money import format_usd
from hydra_nb.sensitivity import Flip, Outage
from hydra_nb.widgets.store import Store
from hydra_nb.widgets.views import View
from hydra_nb.widgets.what_if import PRICE_FIELDS, Answer, Axis, Question
from hydra_nb.widgets.what_if_axes import bound_text, decides, price_slider, tau_strip
from hydra_nb.widgets.what_if_map import axes_view, map_view

_MOST_FLIPS = 40
_KINDS = {"tau": "τ"}


def what_if_view(store: Store) -> View:
    """Return what the what-if panel shows."""
    question, state = store.question, store.what_if
    view: View = {
        "state": _state(store),
        "message": state.message if question is not None and question == state.failed else "",
        "note": "",
        "now": "",
        "models": [],
        "flips": None,
        "detail": None,
    }
    if question is None or store.ruling is None:
        return view
    decision, answer = store.ruling.decision, state.answer
    # The answer to the question before will do, where it is about the same models.
    if answer is not None and not _still_fits(answer, question):
        answer = None
    view["now"] = decision.chosen.name if decision.chosen else "no model"
    view["models"] = _models(decision, answer)
    if answer is None:
        return view
    if view["state"] == "ready":
        view["note"] = f"exact · {answer.seconds * 1000:.0f} ms"
    numbers = {candidate.name: n for n, candidate in enumerate(decision.candidates, 1)}
    tau, axes = store.settings.tau, (question.x, question.y)
    view["flips"] = _flips(answer)
    same_axes = (answer.question.x, answer.question.y) == axes
    view["detail"] = {
        "model": question.x.model,
        "sliders": [
            price_slider(decision, answer, Axis(question.x.model, price), numbers)
            for price in PRICE_FIELDS
        ],
        "tau": tau_strip(tau, answer, numbers),
        "axes": axes_view(*axes, store.catalog.names),
        "map": map_view(decision, answer, numbers, tau=tau) if same_axes else None,
    }
    return view


def _state(store: Store) -> str:
    question = store.question
    if question is None:
        return "waiting" if store.scoring.state == "warming" else "empty"
    if question == store.what_if.failed:
        return "error"
    return "running" if store.what_if.lacks(question) else "ready"


def _still_fits(answer: Answer, question: Question) -> bool:
    asked = answer.question
    same_models = asked.problem.catalog.names == question.problem.catalog.names
    return same_models and asked.opened == question.opened


# -- models: at which price they win, and what happens without them ----------------------------


def _models(decision: Decision, answer: Answer | None) -> list[View]:
    outages = {outage.models[0]: outage for outage in answer.outages} if answer else {}
    flips = answer.flips if answer and answer.flips is not None else None
    switches = {f.model: f for f in flips or () if f.kind == "availability"}
    rows = []
    for number, candidate in enumerate(decision.candidates, 1):
        on = candidate.profile.available
        outage = outages.get(candidate.name)
        if on:
            change, matters = _outage_words(outage) if outage else ("", False)
        else:
            change, matters = _return_words(switches.get(candidate.name), flips is not None)
        rows.append(
            {
                "name": candidate.name,
                "number": number,
                "on": on,
                "chosen": candidate.standing is Standing.CHOSEN,
                "price": _price_words(candidate, answer) if answer else "",
                "change": change,
                "matters": matters,
            }
        )
    return rows


def _outage_words(outage: Outage) -> tuple[str, bool]:
    """Return what happens without a model, and whether anything does."""
    if outage.requests_unserved:
        return "if off: no model is left", True
    if not outage.requests_moved:
        return "if off: nothing changes", False
    extra = format_usd(outage.extra_cost_micro_usd * 1000)
    sign = "" if outage.extra_cost_micro_usd < 0 else "+"
    words = [f"if off: {next(iter(outage.destinations))} takes over · {sign}{extra} / 1k"]
    lack = outage.extra_mean_shortfall
    words.append(f"shortfall {'−' if lack <= -0.005 else '+'}{abs(lack):.2f}")
    if outage.requests_newly_short:
        words.append("no model within τ is left")
    return " · ".join(words), True


def _return_words(flip: Flip | None, known: bool) -> tuple[str, bool]:
    """Return what happens if a model that is off comes back, and whether anything does."""
    if flip is not None:
        return f"if on again: {flip.chosen_after} is chosen", True
    return ("if on again: nothing changes" if known else ""), False


def _price_words(candidate: Candidate, answer: Answer) -> str:
    """Return in a few words at which price a model wins."""
    if not candidate.profile.available:
        return "switched off"
    rows = [answer.of(Axis(candidate.name, price)) for price in PRICE_FIELDS]
    if any(row.requests_captive for row in rows):
        return "captive: wins at any price"
    words = [f"{bound_text(row)} {row.price}" for row in rows if decides(row)]
    if words:
        return f"wins {' or '.join(words)}"
    if candidate.standing in (Standing.CHOSEN, Standing.ELIGIBLE):
        return "no single price decides"
    worst, _, rest = candidate.reason.partition(", ")
    return f"no price wins: {worst}{', …' if rest else ''}"


# -- the smallest changes ----------------------------------------------------------------------


def _flips(answer: Answer) -> View | None:
    if answer.flips is None:
        return None
    rows = [
        {"sentence": flip.sentence, "kind": _KINDS.get(flip.kind, flip.kind)}
        for flip in answer.flips
    ]
    return {
        "first": rows[0] if rows else None,
        "rest": rows[1:_MOST_FLIPS],
        "hidden": max(0, len(rows) - _MOST_FLIPS),
    }
