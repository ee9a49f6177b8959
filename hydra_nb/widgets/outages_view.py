"""Outages and fleets, as plain JSON-ready data derived from the desk."""

from __future__ import annotations

import math

from hydra_nb.money import format_usd
from hydra_nb.sensitivity import Outage
from hydra_nb.widgets.answer_view import gap_percent
from hydra_nb.widgets.comparison_view import signed_number, signed_usd
from hydra_nb.widgets.views import View
from hydra_nb.widgets.workload_desk import WorkloadDesk
from hydra_nb.widgets.workload_fleet import FleetPoint


def outages_view(desk: WorkloadDesk) -> View:
    """Return what each outage would do, the dearest first."""
    answers = desk.answers
    table = answers.outages if answers else None
    current = answers is not None and answers.question is desk.question
    failure = answers.failures.get("outages", "") if answers and current else ""
    free = desk.question is None or desk.question.is_free
    rows = sorted(table or (), key=lambda o: (not o.requests_unserved, -o.extra_cost_micro_usd))
    return {
        "on": "outages" in desk.sections,
        "stale": not current or table is None,
        "message": f"not computed: {failure}" if failure else "",
        "note": ""
        if free
        else "Of the routing without your limits: how an outage hits a plan under limits is not "
        "computed here.",
        "rows": [_outage(outage) for outage in rows if _does_something(outage)],
        "harmless": [outage.models[0] for outage in rows if not _does_something(outage)],
    }


def _does_something(outage: Outage) -> bool:
    return bool(outage.requests_moved or outage.requests_unserved or outage.requests_newly_short)


def _outage(outage: Outage) -> View:
    takers = [f"{name} {count:,}" for name, count in outage.destinations.items()]
    more = len(takers) - 3
    listed = ", ".join(takers[:3]) + (f", and {more} more" if more > 0 else "")
    if outage.requests_unserved:
        left = f"nobody for {outage.requests_unserved:,}"
        listed = f"{listed}, {left}" if listed else left
    return {
        "model": ", ".join(outage.models),
        "cost": signed_usd(outage.extra_cost_micro_usd),
        "shortfall": signed_number(outage.extra_mean_shortfall, 4),
        "moved": f"{outage.requests_moved:,}",
        "short": f"{outage.requests_newly_short:,}",
        "takers": listed,
    }


def fleet_view(desk: WorkloadDesk) -> View:
    """Return K against cost."""
    answers = desk.answers
    current = answers is not None and answers.question is desk.question
    failure = answers.failures.get("fleet", "") if answers and current else ""
    points = answers.fleet if answers else None
    on = "fleet" in desk.sections
    done = bool(answers and answers.fleet_done and current)
    proven = sum(point.state in ("proven", "infeasible") for point in points or ())
    if not on:
        words = ""
    elif failure:
        words = f"not computed: {failure}"
    elif points is None:
        words = "computing …"
    elif not current:
        words = "of the state before, computing anew …"
    elif done:
        words = f"{proven} of {len(points)} proven"
    else:
        words = f"proving: {proven} of {len(points)} proven so far …"
    limits = desk.question is not None and bool(desk.question.constraints)
    notes = ["At least cost, and under the limits above except for their own K."] if limits else []
    if any(point.state == "infeasible" for point in points or ()):
        notes.append("Impossible: too few models for every request to have one that fits.")
    return {
        "on": on,
        "stale": not current or points is None,
        "words": words,
        "note": " ".join(notes),
        "points": [
            _point(point, before)
            for point, before in zip(points or (), (None, *(points or ())), strict=False)
        ],
        "ticks": _ticks([point.cost_micro_usd / 1e6 for point in points or ()]),
    }


def _ticks(usd: list[float]) -> list[View]:
    """Return round amounts from just below the least to just above the largest."""
    known = [value for value in usd if math.isfinite(value)]
    if not known:
        return []
    low, high = min(known), max(known)
    width = max(high - low, 0.02 * high, 1e-9)
    step = 10.0 ** math.floor(math.log10(width / 3))
    step = next(step * factor for factor in (1, 2, 5, 10) if width / (step * factor) <= 4)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [
        {"usd": number * step, "text": format_usd(number * step * 1e6)}
        for number in range(first, max(last, first + 1) + 1)
    ]


def _point(point: FleetPoint, before: FleetPoint | None) -> View:
    known = math.isfinite(point.cost_micro_usd)
    words = {
        "waiting": "not found yet",
        "quick": "quick answer, not proven",
        "proven": "proven",
        "bounded": f"within {gap_percent(point.gap)} of the best",
        "infeasible": "impossible",
        "failed": f"failed: {point.note}",
    }[point.state]
    if point.state == "quick" and point.note:
        words = f"{words} ({point.note})"
    return {
        "k": point.most,
        "state": point.state,
        "usd": point.cost_micro_usd / 1e6 if known else None,
        "cost": format_usd(point.cost_micro_usd) if known else "–",
        "models": _fleet_models(point, before),
        "words": words,
    }


def _fleet_models(point: FleetPoint, before: FleetPoint | None) -> str:
    if point.models and before is not None and point.models == before.models:
        return "the same"
    return ", ".join(point.models)
