"""Before and after, as plain JSON-ready data derived from the desk."""

from __future__ import annotations

import math

from hydra_nb.money import format_usd
from hydra_nb.widgets.views import View
from hydra_nb.widgets.why_view import shortened
from hydra_nb.widgets.workload_desk import WorkloadDesk

FLOWS = 10
LONGEST_CHANGE = 160


def comparison_view(desk: WorkloadDesk) -> View:
    """Return what moved since the last edit, or since the state that was kept."""
    found, routing = desk.comparison, desk.routing
    view: View = {
        "kept": desk.baseline is not None,
        "can_keep": routing is not None and not desk.is_stale,
        "title": "Against the kept state" if desk.baseline else "Since the last edit",
        "change": _nothing_to_compare(desk),
        "headline": "",
        "facts": [],
        "flows": [],
        "rest": "",
        "stale": desk.is_stale,
    }
    if found is None or routing is None:
        return view
    view["change"] = shortened(desk.changed, LONGEST_CHANGE)
    moved = found.moved
    noun = "request moves" if moved == 1 else "requests move"
    view["headline"] = f"{moved:,} of {found.requests:,} {noun}" if moved else "No request moves"
    view["facts"] = [
        {"label": "Cost", "text": signed_usd(found.extra_cost_micro_usd)},
        {"label": "Mean shortfall", "text": signed_number(found.extra_mean_shortfall, 4)},
        {"label": "Requests that fall short", "text": signed_number(found.extra_short, 0)},
    ]
    view["flows"] = [
        {
            "before": move.before or "no model",
            "after": move.after or "no model",
            "requests": move.requests,
            "text": f"{move.requests:,}",
        }
        for move in found.moves[:FLOWS]
    ]
    rest = found.moves[FLOWS:]
    if rest:
        flows = "1 smaller flow" if len(rest) == 1 else f"{len(rest)} smaller flows"
        view["rest"] = f"and {flows} of {sum(move.requests for move in rest):,} requests"
    return view


def _nothing_to_compare(desk: WorkloadDesk) -> str:
    if desk.routing is None:
        return "There is no plan to compare." if desk.plan is not None else ""
    if desk.baseline is not None:
        return "Nothing has changed yet."
    return "Edit a price, τ or a limit: what moves appears here."


def signed_number(value: float, digits: int) -> str:
    """Return a number with its sign; what rounds to zero has none."""
    if not math.isfinite(value):
        return "–"
    text = f"{value:+,.{digits}f}".replace("-", "−")
    return text.lstrip("+−") if not text.strip("+−0.,") else text


def signed_usd(micro_usd: float) -> str:
    """Return a difference of money with its sign."""
    if not math.isfinite(micro_usd):
        return "–"
    # What is below a billionth of a dollar is rounding of sums.
    if abs(micro_usd) < 1e-3:
        return "$0"
    text = format_usd(micro_usd)
    return text if micro_usd < 0 else f"+{text}"
