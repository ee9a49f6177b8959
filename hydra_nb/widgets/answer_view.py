"""What a workload costs and what is proven of it, as JSON-ready data derived from the desk."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hydra_nb.dimensions import LABELS
from hydra_nb.money import format_usd
from hydra_nb.solver import Plan, RelaxedLimit, ShadowPrice
from hydra_nb.widgets.limit_relaxing import can_be_relaxed
from hydra_nb.widgets.views import View
from hydra_nb.widgets.why_view import shortened
from hydra_nb.widgets.workload_desk import WorkloadDesk
from hydra_nb.widgets.workload_results import Routing

if TYPE_CHECKING:
    from hydra_nb.workload import Workload

LONGEST_PROMPT = 180


def answer_view(desk: WorkloadDesk) -> View:
    """Return cost, share per model, short prompts, what is proven, and why there is no plan."""
    routing, plan = desk.routing, desk.plan
    state, proof = _proof(desk)
    view: View = {
        "state": state,
        "proof": proof,
        "stale": desk.is_stale,
        "facts": [],
        "models": [],
        "unused": [],
        "unassigned": "",
        "short": None,
        "prices": [],
        "infeasible": _infeasible(desk, plan),
    }
    if routing is None:
        return view
    view["facts"] = _facts(routing)
    view["models"], view["unused"] = _models(routing)
    if routing.unassigned:
        view["unassigned"] = (
            f"{routing.unassigned:,} of {routing.requests:,} requests have no model: "
            "none is available"
        )
    view["short"] = {"on": "short" in desk.sections, **_short(routing)}
    if plan is not None and not desk.is_stale:
        view["prices"] = [_shadow_words(price, plan, routing) for price in plan.shadow_prices]
    return view


def _proof(desk: WorkloadDesk) -> tuple[str, str]:
    answers, question = desk.answers, desk.question
    if answers is None or question is None or answers.question is not question:
        return "running", "routing …"
    failed = answers.failures.get("first") or answers.failures.get("plan")
    if failed:
        return "failed", f"no proof: {failed}"
    plan, bound = answers.plan, answers.bound
    if plan is None:
        if question.is_free:
            return "ready", f"exact · {answers.milliseconds:.0f} ms · proving …"
        at_least = f"; at least {format_usd(bound)}" if math.isfinite(bound) and bound > 0 else ""
        if answers.routing is not None:
            return "running", f"quick answer, proving …{at_least}"
        return "running", f"planning …{at_least}"
    if plan.status == "infeasible":
        return "infeasible", f"proven impossible · {_by(plan)}"
    if plan.status == "optimal":
        return "ready", f"proven optimal · {_by(plan, answers.milliseconds)}"
    least = f"within {gap_percent(plan.gap)} of the best"
    return "bounded", f"{least} · {_by(plan)}"


def _by(plan: Plan, milliseconds: float | None = None) -> str:
    if plan.solver.startswith("argmin"):
        took = plan.seconds * 1000 if milliseconds is None else milliseconds
        return f"each request goes to its own best, no limit binds · {took:.0f} ms"
    took = plan.seconds
    return (
        f"{plan.solver} · {took:.1f} s" if took >= 0.1 else f"{plan.solver} · {took * 1e3:.0f} ms"
    )


def gap_percent(share: float) -> str:
    """Return a gap to the best as a percentage; never as 0."""
    return f"{100 * share:.2g} %" if share >= 1e-6 else "0.0001 %"


def _facts(routing: Routing) -> list[View]:
    requests, placed = routing.requests, int(routing.requests_by_model.sum())
    period = routing.question.workload.period
    in_use = int((routing.requests_by_model > 0).sum())
    per_thousand = routing.cost_micro_usd / placed * 1000 if placed else float("nan")
    facts = [
        (f"Cost{a_period(period)}", format_usd(routing.cost_micro_usd), ""),
        ("Per 1,000 requests", format_usd(per_thousand), ""),
        ("Mean shortfall", _shortfall(routing.mean_shortfall), ""),
        (
            "Within τ",
            f"{_share(routing.share_within_tau)}",
            f"τ = {routing.problem.tau:.2f}",
        ),
        ("Models in use", f"{in_use} of {len(routing.problem.catalog)}", ""),
        ("Requests", f"{requests:,}", ""),
    ]
    return [{"label": label, "text": text, "note": note} for label, text, note in facts]


def _share(share: float) -> str:
    if not math.isfinite(share):
        return "–"
    if 0.9995 <= share < 1:
        return f"{100 * share:.3f} %"
    return f"{100 * share:.1f} %"


def _shortfall(value: float) -> str:
    return "–" if not math.isfinite(value) else f"{value + 0.0:.4f}"


def _models(routing: Routing) -> tuple[list[View], list[str]]:
    catalog, requests = routing.problem.catalog, max(1, routing.requests)
    order = sorted(
        range(len(catalog)),
        key=lambda m: (-int(routing.requests_by_model[m]), catalog[m].name),
    )
    shown = [
        {
            "name": catalog[m].name,
            "provider": catalog[m].provider,
            "requests": f"{int(routing.requests_by_model[m]):,}",
            "share": round(float(routing.requests_by_model[m]) / requests, 5),
            "percent": _share(float(routing.requests_by_model[m]) / requests),
            "cost": format_usd(float(routing.cost_by_model[m])),
        }
        for m in order
        if routing.requests_by_model[m]
    ]
    unused = [
        catalog[m].name + ("" if catalog[m].available else " (off)")
        for m in order
        if not routing.requests_by_model[m]
    ]
    return shown, unused


def _short(routing: Routing) -> View:
    problem, workload = routing.problem, routing.question.workload
    catalog = problem.catalog
    capabilities = catalog.capability_matrix()
    rows = []
    for query, model in routing.worst.tolist():
        gaps = problem.requirements.values[query] - capabilities[model]
        lacks = sorted(
            ((gap, label) for gap, label in zip(gaps.tolist(), LABELS.values(), strict=True)),
            reverse=True,
        )
        rows.append(
            {
                "text": _prompt(workload, query),
                "model": catalog[model].name,
                "requests": f"{int(problem.arrivals[query]):,}",
                "shortfall": f"{float(problem.shortfall[query, model]):.2f}",
                "lack": ", ".join(
                    f"{label.lower()} −{gap:.2f}" for gap, label in lacks if gap >= 0.005
                ),
            }
        )
    prompts, requests = routing.prompts_short, routing.requests_short
    headline = "Every prompt has a model within τ."
    if prompts:
        noun = "prompt falls" if prompts == 1 else "prompts fall"
        headline = (
            f"{prompts:,} {noun} short ({requests:,} of {routing.requests:,} requests): "
            f"their model lacks more than τ = {problem.tau:.2f}"
        )
    more = prompts - len(rows)
    return {
        "headline": headline,
        "prompts": prompts,
        "rows": rows,
        "more": f"and {more:,} more that lack less" if more > 0 else "",
    }


def _prompt(workload: Workload, query: int) -> str:
    text = workload.texts[query]
    return shortened(text, LONGEST_PROMPT) if text else f"(no text) {workload.ids[query]}"


def _shadow_words(price: ShadowPrice, plan: Plan, routing: Routing) -> str:
    by_cost = plan.objective == "cost"
    less = price.limit.startswith(("least share", "share within"))
    amount, step = {
        "requests": (1.0, "one request less" if less else "one request more"),
        "tokens": (1000.0, "1,000 tokens more"),
        "shortfall": (0.01 * routing.requests, "0.01 more"),
        "micro-USD": (1e6, "one dollar more"),
    }.get(price.unit, (1.0, f"one {price.unit} more"))
    value = price.per_unit * amount
    if by_cost:
        return f"{price.limit}: {step} would save {format_usd(value)}"
    mean = value / max(1, routing.requests)
    return f"{price.limit}: {step} would lower the mean shortfall by {mean:.2g}"


def _infeasible(desk: WorkloadDesk, plan: Plan | None) -> View | None:
    if plan is None or plan.infeasibility is None:
        return None
    reason, rows = plan.infeasibility, desk.sheets.current.rows
    conflict = reason.conflict

    def button(limit: RelaxedLimit) -> View:
        return {"words": limit.words, "applies": can_be_relaxed(rows, limit)}

    together = [button(limit) for limit in reason.together]
    listed = (
        f"{', '.join(conflict[:-1])} and {conflict[-1]}" if len(conflict) > 1 else "".join(conflict)
    )
    return {
        "headline": "No plan satisfies these limits.",
        "conflict": f"{_these(len(conflict))}: {listed}." if listed else "",
        "relaxations": [button(limit) for limit in reason.relaxations],
        "together": together,
        "applies_together": bool(together) and all(item["applies"] for item in together),
    }


def _these(limits: int) -> str:
    return "They cannot hold together" if limits > 1 else "This cannot hold"


def a_period(period: str) -> str:
    """Return " a month"; empty for a sample, which stands for no time."""
    return "" if period == "sample" else f" a {period}"
