"""The widgets through their traits: what the browser sends, and what it is sent."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import altair as alt
import numpy as np
import pytest

import hydra_nb as hy
from hydra_nb.charts import heatmap_label, heatmap_rows, shortfall_heatmap
from hydra_nb.widgets import ChartView, Lab
from hydra_nb.widgets.panels import CatalogPanel, PromptPanel, SolverPanel, WhatIfPanel


class Steady:
    """Scores every text the same."""

    def predict(self, texts: Sequence[str], turns: Sequence[int] | None = None) -> hy.Requirements:
        return hy.Requirements([[0.4, 0.3, 0.2, 0.1]] * len(texts))


class Explaining(Steady):
    """Says how far to trust its scores and what the first word does to them."""

    def read(self, text: str, turn: int = 1) -> SimpleNamespace:
        requirements = hy.Requirements(self.predict([text]).values, spread=[0.1] * 4)
        tokens = np.int64(2)
        return SimpleNamespace(requirements=requirements, ignored=["hi"], tokens=tokens, signals=[])

    def explain(self, text: str, turn: int = 1) -> SimpleNamespace:
        span = (0, len(text.split()[0]))
        return SimpleNamespace(text=text, spans=[span], contributions=[[0.2, -0.1, 0.0, 0.0]])


@pytest.fixture
def lab() -> Lab:
    return hy.lab(predictor=Steady(), text="hello")


def panel(lab: Lab, kind: type[Any]) -> Any:
    return next(child for child in lab.children if isinstance(child, kind))


def ask(widget: Any, action: str, number: str = "n", **arguments: Any) -> dict[str, Any]:
    widget._on_message(widget, {"action": action, "number": number, "arguments": arguments}, [])
    return dict(widget.view["reply"])


def test_the_lab_begins_with_prompt_catalog_solver_what_if_and_the_heatmap(lab: Lab) -> None:
    kinds = (PromptPanel, CatalogPanel, SolverPanel, WhatIfPanel, ChartView)
    assert [isinstance(*pair) for pair in zip(lab.children, kinds, strict=False)] == [True] * 5


def test_a_typed_draft_is_scored_and_shown(lab: Lab) -> None:
    prompt = panel(lab, PromptPanel)
    prompt.draft = {"text": "something new", "revision": 7, "by": "browser"}
    assert lab.text == "something new"
    assert prompt.view["revision"] == 7
    assert [d["value"] for d in prompt.view["dimensions"]] == [0.4, 0.3, 0.2, 0.1]


def test_intervals_and_ignored_phrases_come_with_the_scores() -> None:
    view = panel(hy.lab(predictor=Explaining(), text="hello you"), PromptPanel).view
    bounds = [(d["interval"]["low"], d["interval"]["high"]) for d in view["dimensions"]]
    assert bounds == [pytest.approx((value - 0.1, value + 0.1)) for value in (0.4, 0.3, 0.2, 0.1)]
    assert view["ignored"]["chips"] == [{"text": "hi", "phrase": "hi"}]


def test_what_a_predictor_says_in_numpy_is_sent_as_plain_json() -> None:
    view = panel(hy.lab(predictor=Explaining(), text="hello you"), PromptPanel).view
    assert json.loads(json.dumps(view))["tokens"] == 2


def test_why_is_absent_where_the_predictor_cannot_explain(lab: Lab) -> None:
    prompt = panel(lab, PromptPanel)
    ask(prompt, "why", on=True)
    assert prompt.view["why"] is None


def test_why_arrives_in_the_view_and_so_outlives_a_reload() -> None:
    prompt = panel(hy.lab(predictor=Explaining(), text="hello you"), PromptPanel)
    assert ask(prompt, "why", on=True)["ok"]
    deadline = time.monotonic() + 20
    while prompt.view["why"]["state"] != "ready":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    ask(prompt, "why_of", dimension="code_generation")
    why = prompt.get_state("view")["view"]["why"]
    assert (why["on"], why["dimension"], why["rest"]) == (True, "code_generation", " you")
    assert why["words"] == [{"before": "", "text": "hello", "number": "−0.10", "tint": -1.0}]


@pytest.mark.parametrize(
    ("action", "arguments"), [("why", {"on": "yes"}), ("why_of", {"dimension": "speed"})]
)
def test_what_why_cannot_show_is_refused(
    lab: Lab, action: str, arguments: dict[str, object]
) -> None:
    assert not ask(panel(lab, PromptPanel), action, **arguments)["ok"]


def test_an_edit_is_answered_with_its_number(lab: Lab) -> None:
    grid = panel(lab, CatalogPanel)
    reply = ask(grid, "edit", "k1", model="gpt-5.4-mini", field="usd_per_mtok_input", typed="2.5")
    assert (reply["number"], reply["ok"]) == ("k1", True)
    assert lab.catalog[0].usd_per_mtok_input == 2.5


def test_a_refused_edit_is_answered_with_the_rule(lab: Lab) -> None:
    grid, before = panel(lab, CatalogPanel), lab.catalog
    reply = ask(grid, "edit", model="gpt-5.4-mini", field="usd_per_mtok_input", typed="abc")
    assert (reply["ok"], reply["message"]) == (False, "must be a number")
    assert lab.catalog == before


def test_an_unknown_action_is_ignored(lab: Lab) -> None:
    before = lab.catalog
    ask(panel(lab, CatalogPanel), "explode")
    assert lab.catalog == before


def test_refused_settings_are_said_in_the_view(lab: Lab) -> None:
    solver = panel(lab, SolverPanel)
    weights = dict.fromkeys(hy.DIMENSIONS, 0.0)
    solver.draft = {"tau": 0.1, "weights": weights, "revision": 3}
    assert "at least one must be positive" in solver.view["refusal"]
    assert solver.view["seen"] == 3
    solver.draft = {"tau": 0.2, "revision": 4}
    assert solver.view["refusal"] == ""
    assert lab.tau == 0.2


def test_the_heatmap_follows_the_decision(lab: Lab) -> None:
    chart = panel(lab, ChartView)
    assert len(chart.rows) == 4 * len(lab.catalog)
    lab.text = ""
    assert chart.rows == []


def test_catalog_text_and_tau_can_be_set_from_python(lab: Lab) -> None:
    lab.catalog = hy.Catalog.sample("market_20")
    lab.tau = 0.5
    lab.text = "again"
    assert panel(lab, CatalogPanel).view["name"] == "market_20"
    assert panel(lab, SolverPanel).view["tau"] == 0.5
    assert panel(lab, PromptPanel).draft["text"] == "again"


@pytest.mark.parametrize(
    "options",
    [{"tau": -1}, {"dimension_weights": {"speed": 1}}, {"turn": 0}, {"tokens_output": -1}],
)
def test_bad_arguments_of_the_lab_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(hy.InvalidInputError):
        hy.lab(predictor=Steady(), **options)


def test_the_heatmap_draws_a_signed_number_in_each_cell(lab: Lab) -> None:
    assert lab.decision is not None
    rows = heatmap_rows(lab.decision)
    assert all(row["text"].startswith(("✓ ", "✗ ")) for row in rows)
    first = lab.catalog[0]
    assert rows[0]["gap"] == pytest.approx(first.reasoning - 0.4)
    assert first.name in heatmap_label(lab.decision)


def test_the_heatmap_is_a_valid_vega_lite_specification() -> None:
    spec = shortfall_heatmap().to_dict(validate=True)
    assert spec["data"] == {"name": "rows"}


def test_a_chart_of_ones_own_can_be_shown() -> None:
    chart = alt.Chart(alt.InlineData([{"a": 1}])).mark_bar().encode(x="a:Q")
    view = ChartView(chart, title="mine")
    assert view.spec["mark"] == {"type": "bar"}
