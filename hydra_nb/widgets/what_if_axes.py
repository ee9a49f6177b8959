"""Sliders with break-even marks and strips of who wins, as plain JSON-ready data.

Places on an axis are shares of its length, 0 to 1. Axes of prices are drawn by the square root, so
that cheap models have room; those of τ are linear.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from hydra_nb.decision import Decision
from hydra_nb.money import format_usd
from hydra_nb.sensitivity import BreakEven
from hydra_nb.widgets.views import View
from hydra_nb.widgets.what_if import PRICE_FIELDS, Answer, Axis

_LEAST_TICK_SHARE = 0.06
"""Numbers below a strip are left out where they would run into the one before."""

_NARROW_TICK_SHARE = 0.13
"""The same where the strip is narrow."""

Numbers = Mapping[str, int]
"""Place of each model in the catalog, from 1: what stands for it where its name has no room."""


def usd(usd_per_mtok: float) -> str:
    """Return a price in words."""
    return format_usd(usd_per_mtok * 1e6)


def winner(model: str | None, numbers: Numbers) -> View:
    """Return who wins somewhere, ready to be labelled."""
    return {"model": model or "no model", "number": numbers.get(model or "", 0)}


def inside(low: float, high: float) -> float:
    """Return a number with few decimals strictly between two, near the middle."""
    middle = (low + high) / 2
    return next((n for n in (round(middle, d) for d in range(1, 15)) if low < n < high), middle)


# -- prices ------------------------------------------------------------------------------------


def price_slider(decision: Decision, answer: Answer, axis: Axis, numbers: Numbers) -> View:
    """Return a slider of one price of one model, with its mark, its strip and a sentence."""
    row, reach = answer.of(axis), answer.reach(axis)
    profile = next(c.profile for c in decision.candidates if c.name == axis.model)
    now = getattr(profile, PRICE_FIELDS[axis.price])
    cut = float(row.threshold[0]) if decides(row) else None
    mark, ends = None, [0.0, *([] if cut is None else [cut]), reach]
    if cut is not None:
        mark = {
            "at": _place(cut, reach),
            "text": f"wins {bound_text(row)}",
            "title": f"${cut:.10g}",
        }
    return {
        "field": PRICE_FIELDS[axis.price],
        "price": axis.price,
        "label": f"{axis.price.capitalize()} price",
        "value": now,
        "text": usd(now),
        "typed": f"{now:.2f}" if round(now, 2) == now else f"{now:.6g}",
        "at": _place(now, reach),
        "reach": reach,
        "mark": mark,
        "words": _price_sentence(decision, row),
        "ticks": _ticks([(_place(v, reach), usd(v), f"${v:.10g}") for v in ends]),
        "bands": _price_bands(row, reach, numbers),
    }


def decides(row: BreakEven) -> bool:
    """Return whether there is a price of 0 or more at which one prompt changes hands."""
    return math.isfinite(row.threshold[0]) and not row.requests_never


def bound_text(row: BreakEven) -> str:
    """Return up to which price a model wins one prompt."""
    return f"{'up to' if row.wins_tie[0] else 'below'} {usd(float(row.threshold[0]))}"


def _price_sentence(decision: Decision, row: BreakEven) -> str:
    names = decision.problem.catalog.names
    if row.requests_captive:
        return f"{row.model} is captive: no other model is eligible, so it wins at any price."
    candidate = next(c for c in decision.candidates if c.name == row.model)
    if not row.problem.eligible[0, names.index(row.model)]:
        return f"{row.model} cannot win at any price: {candidate.reason}."
    if math.isinf(row.threshold[0]):
        return f"There are no {row.price} tokens to pay for, so this price decides nothing."
    rival = names[int(row.rival[0])]
    if row.requests_never:
        return f"{row.model} cannot win by this price alone: at $0, {rival} still wins."
    return f"{row.model} wins {bound_text(row)}; above, {rival} does."


def _price_bands(row: BreakEven, reach: float, numbers: Numbers) -> list[View]:
    names = row.problem.catalog.names
    rival = names[int(row.rival[0])] if row.rival[0] >= 0 else None
    cut = 0.0 if row.requests_never else float(row.threshold[0])
    ends = [(0.0, min(cut, reach), row.model), (min(cut, reach), reach, rival)]
    return [
        {
            **winner(model, numbers),
            "from": _place(low, reach),
            "to": _place(high, reach),
            "range": f"{usd(low)} to {usd(high)}",
            "inside": inside(low, high),
            "open": False,
        }
        for low, high, model in ends
        if low < high
    ]


def _place(value: float, reach: float) -> float:
    return round(min(1.0, math.sqrt(max(value, 0.0) / reach)), 6)


# -- τ -----------------------------------------------------------------------------------------


def tau_strip(tau: float, answer: Answer, numbers: Numbers) -> View:
    """Return who wins for each τ, and where τ is now."""
    reach, stairs = answer.reach(None), answer.staircase
    steps: list[tuple[float, str | None, bool]] = []
    for low, model, short in zip(
        stairs.tau.tolist(), stairs.models or (), stairs.requests_short > 0, strict=True
    ):
        if low < reach and (not steps or steps[-1][1:] != (model, bool(short))):
            steps.append((low, model, bool(short)))
    highs = [low for low, *_ in steps[1:]] + [reach]
    bands = [
        {
            **winner(model, numbers),
            "from": round(low / reach, 6),
            "to": round(high / reach, 6),
            "range": f"{low:.3g} to {high:.3g}",
            "inside": inside(low, high),
            "open": short,
        }
        for (low, model, short), high in zip(steps, highs, strict=True)
    ]
    return {
        "value": tau,
        "text": f"{tau:.2f}" if round(tau, 2) == tau else f"{tau:.3g}",
        "at": round(min(1.0, tau / reach), 6),
        "bands": bands,
        "ticks": _ticks(
            [(round(value / reach, 6), f"{value:.3g}", f"{value:.10g}") for value in [0.0, *highs]]
        ),
    }


def _ticks(marks: list[tuple[float, str, str]]) -> list[View]:
    """Return the numbers below a strip, of (place, text, exact text) in rising order."""
    kept = _spaced([at for at, *_ in marks], _LEAST_TICK_SHARE)
    narrow = _spaced([at for at, *_ in marks], _NARROW_TICK_SHARE)
    return [
        {"at": at, "text": text, "title": title, "wide_only": number not in narrow}
        for number, (at, text, title) in enumerate(marks)
        if number in kept
    ]


def _spaced(places: list[float], least: float) -> set[int]:
    """Return which places to keep so that none is too near another; both ends stay."""
    end = len(places) - 1
    kept = [0]
    for number in range(1, end):
        if places[number] - places[kept[-1]] >= least <= places[end] - places[number]:
            kept.append(number)
    return {*kept, end}
