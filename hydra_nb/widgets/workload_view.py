"""What the workload panel shows, as plain JSON-ready data derived from the desk.

Numbers come from `workload_results`, `Plan` and `sensitivity`; views only word and round them. The
parts: `answer_view`, `limits_view`, `comparison_view` and `outages_view`.
"""

from __future__ import annotations

from hydra_nb.widgets.answer_view import a_period, answer_view
from hydra_nb.widgets.comparison_view import comparison_view
from hydra_nb.widgets.limits_view import limits_view
from hydra_nb.widgets.outages_view import fleet_view, outages_view
from hydra_nb.widgets.views import View
from hydra_nb.widgets.workload_desk import WorkloadDesk
from hydra_nb.widgets.workload_loading import LIMIT_BYTES, SUFFIXES

SAMPLES = ({"name": "office", "label": "Load the bundled workload"},)


def workload_view(desk: WorkloadDesk) -> View:
    """Return what the workload panel shows."""
    loading = desk.intake.loading
    view: View = {
        "revision": desk.revision,
        "state": "empty" if desk.workload is None else "loaded",
        "title": "",
        "loading": {
            "state": loading.state,
            "label": loading.label,
            "done": loading.done,
            "total": loading.total,
            "words": _loading_words(desk),
            "message": loading.message,
        },
        "samples": list(SAMPLES),
        "endings": list(SUFFIXES),
        "limit_bytes": LIMIT_BYTES,
    }
    if desk.workload is None:
        return view
    view["title"] = _title(desk)
    view["limits"] = limits_view(desk)
    view["answer"] = answer_view(desk)
    view["comparison"] = comparison_view(desk)
    view["outages"] = outages_view(desk)
    view["fleet"] = fleet_view(desk)
    return view


def _title(desk: WorkloadDesk) -> str:
    workload = desk.workload
    assert workload is not None
    prompts = len(workload.requirements)
    requests = int(workload.requests)
    name = desk.source.title or workload.name
    noun = "prompt" if prompts == 1 else "prompts"
    return f"{name} · {prompts:,} {noun} · {requests:,} requests{a_period(workload.period)}"


def _loading_words(desk: WorkloadDesk) -> str:
    loading = desk.intake.loading
    if loading.state == "receiving":
        return f"{loading.label}: {loading.done / 1e6:.1f} of {loading.total / 1e6:.1f} MB"
    if loading.state == "scoring":
        return f"{loading.label}: {loading.done:,} of {loading.total:,} prompts scored"
    if loading.state == "waiting":
        return f"{loading.label}: waiting for the encoder …"
    if loading.state == "reading":
        return f"{loading.label}: reading …"
    if loading.state == "error":
        kept = " The workload that was there is kept." if desk.workload is not None else ""
        return f"Not loaded: {loading.message}.{kept}".replace("..", ".")
    return ""
