"""The editor of limits, as plain JSON-ready data derived from the desk."""

from __future__ import annotations

import math

from hydra_nb.money import format_usd
from hydra_nb.widgets.limit_rows import KINDS, LimitRow
from hydra_nb.widgets.views import View
from hydra_nb.widgets.workload_desk import WorkloadDesk
from hydra_nb.widgets.workload_results import Routing


def limits_view(desk: WorkloadDesk) -> View:
    """Return the editor of limits."""
    catalog, read, sheets = desk.store.catalog, desk.read, desk.sheets
    options = {
        "model": list(catalog.names),
        "provider": sorted({profile.provider for profile in catalog}),
    }
    return {
        "rows": [_limit_row(desk, row) for row in sheets.current.rows],
        "kinds": [{"name": kind.name, "label": kind.label} for kind in KINDS.values()],
        "options": options,
        "objective": sheets.current.objective,
        "words": list(read.constraints.words),
        "undo": sheets.current.label if sheets.past else None,
        "redo": sheets.future[0].label if sheets.future else None,
    }


def _limit_row(desk: WorkloadDesk, row: LimitRow) -> View:
    kind, read = KINDS[row.kind], desk.read
    refused = read.refused.get(row.number, "")
    state = "refused" if refused else "blank" if row.number in read.blank else "in force"
    message = refused or ("not in force until it is filled in" if state == "blank" else "")
    if state == "refused":
        message = f"not in force: {refused}"
    now, binds = _use(desk.routing, row) if not desk.is_stale else ("", False)
    return {
        "number": row.number,
        "label": kind.label,
        "subject": kind.subject,
        "value": row.subject,
        "entries": [
            {
                "name": entry.name,
                "label": entry.label,
                "unit": entry.unit,
                "kind": entry.kind,
                "needed": entry.needed,
                "typed": row.typed.get(entry.name, ""),
            }
            for entry in kind.entries
        ],
        "state": state,
        "message": message,
        "now": now,
        "binds": binds and state == "in force",
    }


def _use(routing: Routing | None, row: LimitRow) -> tuple[str, bool]:
    """Return how much of a limit the routing on screen uses, and whether it is at its end."""
    if routing is None:
        return "", False
    catalog, requests = routing.problem.catalog, max(1, routing.requests)
    limits = routing.question.constraints
    names = {profile.name: index for index, profile in enumerate(catalog)}
    if row.kind in ("max_requests", "max_tokens") and row.subject in names:
        counts = (
            routing.requests_by_model if row.kind == "max_requests" else routing.tokens_by_model
        )
        used = int(counts[names[row.subject]])
        limit = getattr(limits, row.kind).get(row.subject)
        return f"now {used:,}", limit is not None and used >= limit > 0 and _near(used, limit)
    if row.kind in ("max_provider_share", "min_provider_share"):
        mine = [index for index, profile in enumerate(catalog) if profile.provider == row.subject]
        if not mine:
            return "", False
        used = int(routing.requests_by_model[mine].sum())
        limit = getattr(limits, row.kind).get(row.subject)
        # Whole requests: the limit is met to within one.
        at_end = limit is not None and abs(used - limit * requests) < 1
        return f"now {100 * used / requests:.4g} %", at_end
    if row.kind == "budget_usd":
        limit = limits.budget_usd
        at_end = limit is not None and routing.cost_micro_usd >= limit * 1e6 * 0.9999
        return f"now {format_usd(routing.cost_micro_usd)}", at_end
    if row.kind == "max_mean_shortfall" and math.isfinite(routing.mean_shortfall):
        limit = limits.max_mean_shortfall
        at_end = limit is not None and routing.mean_shortfall >= limit * 0.9999 > 0
        return f"now {routing.mean_shortfall:.4f}", at_end
    if row.kind == "min_share_within_tau" and math.isfinite(routing.share_within_tau):
        limit = limits.min_share_within_tau
        at_end = limit is not None and abs(routing.share_within_tau - limit) * requests < 1
        return f"now {100 * routing.share_within_tau:.4g} %", at_end
    if row.kind == "max_models":
        used = int((routing.requests_by_model > 0).sum())
        return f"now {used}", limits.max_models is not None and used >= limits.max_models
    return "", False


def _near(used: int, limit: int) -> bool:
    return used >= limit * 0.9999
