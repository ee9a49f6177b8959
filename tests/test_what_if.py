"""What if: the store through its methods, the view, the panel through its traits, the files."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import hydra_nb as hy
from hydra_nb import Catalog, CatalogError, InvalidInputError, Requirements
from hydra_nb.problem import formulate
from hydra_nb.solver import assignment_program
from hydra_nb.widgets import what_if
from hydra_nb.widgets.history import History
from hydra_nb.widgets.panels import SolverPanel, WhatIfPanel
from hydra_nb.widgets.store import Store
from hydra_nb.widgets.what_if import Axis, Picks, first_answer, whole_answer
from hydra_nb.widgets.what_if_axes import inside
from hydra_nb.widgets.what_if_moves import (
    drag_price,
    go_to,
    go_to_price,
    look_at_map,
    look_at_model,
    try_flip,
)
from hydra_nb.widgets.what_if_view import what_if_view
from tests.strategies import catalogs, profile, requirements

IN, OUT = "usd_per_mtok_input", "usd_per_mtok_output"

# The prompt needs 0.5 of everything and has 3 tokens in, 1,000 out. "weak" lacks 4 × 0.3 = 1.2.
# "low" costs 3 · 1 + 1000 · 2 = 2,003 µUSD, "high" 3 · 1 + 1000 · 5 = 5,003.
POOL = Catalog(
    (
        profile("weak", (0.2,) * 4, usd_per_mtok_input=0.1, usd_per_mtok_output=0.4),
        profile("low", (0.6,) * 4, usd_per_mtok_input=1.0, usd_per_mtok_output=2.0),
        profile("high", (0.9,) * 4, usd_per_mtok_input=1.0, usd_per_mtok_output=5.0),
    ),
    name="pool",
)


class Half:
    """A predictor that asks for 0.5 of everything."""

    def predict(self, texts: Sequence[str], turns: Sequence[int] | None = None) -> Requirements:
        return Requirements([[0.5] * 4] * len(texts))


def open_store(catalog: Catalog = POOL) -> Store:
    store = Store(catalog, predictor=Half(), settings=hy.widgets.state.Settings(tokens_output=1000))
    store.show_what_if(True)
    store.set_text("abcdefghi")
    return store


@pytest.fixture
def store() -> Store:
    return open_store()


def eventually(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not come to hold in time"
        time.sleep(0.01)


def ready(store: Store) -> dict[str, Any]:
    """Return the view once the analysis is done."""
    eventually(lambda: what_if_view(store)["state"] in ("ready", "error"))
    with store.lock:
        return what_if_view(store)


def chosen(store: Store) -> str | None:
    assert store.ruling is not None
    candidate = store.ruling.decision.chosen
    return candidate.name if candidate else None


def tokens_in(store: Store) -> int:
    assert store.ruling is not None
    return int(store.ruling.decision.problem.tokens_input[0])


# -- dragging ---------------------------------------------------------------------------------


def test_a_dragged_price_moves_the_verdict_with_it(store: Store) -> None:
    assert chosen(store) == "low"
    store.drag_price("high", OUT, 1.5, "a")
    assert chosen(store) == "high"
    assert store.catalog["high"].usd_per_mtok_output == 1.5


def test_a_drag_is_one_undo_step(store: Store) -> None:
    for price in (4.0, 3.0, 2.5, 1.0):
        store.drag_price("high", OUT, price, "a")
    store.undo()
    assert store.catalog == POOL
    assert not store.history.past


def test_two_drags_are_two_undo_steps(store: Store) -> None:
    store.drag_price("high", OUT, 4.0, "a")
    store.drag_price("high", OUT, 3.0, "b")
    store.undo()
    assert store.catalog["high"].usd_per_mtok_output == 4.0


def test_a_drag_back_to_where_it_began_leaves_no_step(store: Store) -> None:
    store.drag_price("high", OUT, 4.0, "a")
    store.drag_price("high", OUT, 5.0, "a")
    assert not store.history.past
    store.drag_price("high", OUT, 3.0, "a")
    assert len(store.history.past) == 1


def test_a_drag_after_an_undo_does_not_overwrite_what_undo_brought_back(store: Store) -> None:
    store.edit_cell("weak", IN, "9")
    store.drag_price("high", OUT, 4.0, "a")
    store.undo()
    store.drag_price("high", OUT, 3.0, "a")
    store.undo()
    assert store.catalog["weak"].usd_per_mtok_input == 9.0


@given(st.lists(st.sampled_from([("a", 1.0), ("a", 2.0), ("b", 3.0), ("b", 5.0)]), max_size=8))
def test_undoing_every_step_of_any_drags_gives_the_first_catalog(
    moves: list[tuple[str, float]],
) -> None:
    history = History.start(POOL)
    for drag, usd in moves:
        history = history.edit(
            history.current.catalog.replace("high", **{OUT: usd}), "x", drag=drag
        )
    for _ in moves:
        history = history.undo()
    assert history.current.catalog == POOL


@pytest.mark.parametrize("usd", [-1.0, float("nan"), float("inf"), 2e6])
def test_a_dragged_price_out_of_range_is_refused_and_nothing_changes(
    store: Store, usd: float
) -> None:
    with pytest.raises(CatalogError):
        store.drag_price("high", OUT, usd, "a")
    assert store.catalog == POOL


def test_only_prices_can_be_dragged(store: Store) -> None:
    with pytest.raises(InvalidInputError, match="usd_per_mtok_input, usd_per_mtok_output"):
        store.drag_price("high", "reasoning", 0.1, "a")


def test_a_price_sent_as_text_is_refused(store: Store) -> None:
    with pytest.raises(InvalidInputError, match="must be a number"):
        drag_price(store, "high", OUT, "cheap", "a")


def test_the_code_of_a_dragged_screen_recreates_its_catalog() -> None:
    lab = hy.lab(predictor=Half(), text="abc")
    first = lab.catalog.names[0]
    lab._store.drag_price(first, OUT, 1.234, "a")
    lab._store.drag_price(first, OUT, 2.345, "a")
    scope: dict[str, Any] = {}
    exec(lab.to_code().rpartition("hy.lab(")[0], scope)
    assert scope["catalog"] == lab.catalog


def test_the_model_whose_price_is_dragged_stays_in_sight_when_it_loses(store: Store) -> None:
    assert ready(store)["detail"]["model"] == "low"
    drag_price(store, "low", OUT, 9.0, "a")
    assert chosen(store) == "high"
    assert ready(store)["detail"]["model"] == "low"


# -- prices: marks, sentences, strips ---------------------------------------------------------


def slider(store: Store, model: str, price: str) -> dict[str, Any]:
    look_at_model(store, model)
    sliders = ready(store)["detail"]["sliders"]
    return next(s for s in sliders if s["price"] == price)


def test_the_mark_is_at_the_price_at_which_costs_are_equal(store: Store) -> None:
    # Output: 1 · n + 1000 p = n + 2000 → p = 2 for "high"; it loses the tie, later in the alphabet?
    # "high" < "low": equal shortfall 0, so "high" wins at exactly 2.
    shown = slider(store, "high", "output")
    assert shown["mark"]["text"] == "wins up to $2.00"
    assert shown["mark"]["at"] == pytest.approx((2.0 / shown["reach"]) ** 0.5, abs=1e-6)


def test_the_strip_of_a_price_changes_hands_at_the_mark(store: Store) -> None:
    shown = slider(store, "high", "output")
    first, second = shown["bands"]
    assert (first["model"], second["model"]) == ("high", "low")
    assert first["to"] == second["from"] == shown["mark"]["at"]
    assert (first["from"], second["to"]) == (0.0, 1.0)
    assert [tick["text"] for tick in shown["ticks"]] == ["$0", "$2.00", "$10.00"]


def test_a_model_that_lacks_too_much_cannot_win_at_any_price(store: Store) -> None:
    shown = slider(store, "weak", "input")
    assert shown["mark"] is None
    assert "weak cannot win at any price: short on" in shown["words"]
    assert [band["model"] for band in shown["bands"]] == ["low"]


def test_a_model_that_one_price_cannot_save_says_who_wins_even_then(store: Store) -> None:
    shown = slider(store, "high", "input")
    assert shown["mark"] is None
    assert shown["words"] == "high cannot win by this price alone: at $0, low still wins."


def test_a_model_without_rivals_is_captive() -> None:
    store = open_store(POOL.replace("high", available=False))
    shown = slider(store, "low", "output")
    assert shown["words"].startswith("low is captive")
    assert [band["model"] for band in shown["bands"]] == ["low"]


def test_without_answer_tokens_the_output_price_decides_nothing(store: Store) -> None:
    store.set(tokens_output=0)
    assert "no output tokens" in slider(store, chosen(store) or "", "output")["words"]


def test_the_axis_of_a_price_holds_still_while_the_price_moves_on_it(store: Store) -> None:
    reach = slider(store, "high", "output")["reach"]
    for price in (0.0, 3.3, reach):
        store.drag_price("high", OUT, price, "a")
        assert slider(store, "high", "output")["reach"] == reach


def test_a_price_beyond_the_axis_stretches_it(store: Store) -> None:
    store.edit_cell("high", OUT, "450")
    shown = slider(store, "high", "output")
    assert (shown["reach"], shown["at"]) == (500.0, pytest.approx((450 / 500) ** 0.5, abs=1e-6))


def test_the_axis_of_a_free_model_that_decides_nothing_has_a_length() -> None:
    free = POOL.replace("weak", usd_per_mtok_input=0.0, usd_per_mtok_output=0.0)
    assert slider(open_store(free), "weak", "input")["reach"] == 10.0


def test_going_inside_each_band_of_a_price_makes_its_model_win(store: Store) -> None:
    for index, name in enumerate(("high", "low")):
        band = slider(store, "high", "output")["bands"][index]
        go_to_price(store, "high", "output", band["inside"])
        assert chosen(store) == name


# -- τ ----------------------------------------------------------------------------------------


def test_going_inside_each_band_of_tau_makes_its_model_win(store: Store) -> None:
    bands = ready(store)["detail"]["tau"]["bands"]
    assert [band["model"] for band in bands] == ["low", "weak"]
    for band in bands:
        store.set(tau=band["inside"])
        assert chosen(store) == band["model"]


def test_the_strip_of_tau_changes_hands_at_the_shortfall(store: Store) -> None:
    tau = ready(store)["detail"]["tau"]
    assert tau["bands"][0]["to"] == pytest.approx(1.2 / 1.5, abs=1e-6)
    assert [tick["text"] for tick in tau["ticks"]] == ["0", "1.2", "1.5"]
    assert tau["at"] == pytest.approx(0.1 / 1.5, abs=1e-6)


def test_a_stretch_of_tau_where_nobody_is_within_says_so() -> None:
    store = open_store(Catalog((POOL["weak"],), name="one"))
    bands = ready(store)["detail"]["tau"]["bands"]
    assert [(band["model"], band["open"]) for band in bands] == [("weak", True), ("weak", False)]


def test_a_tau_beyond_the_strip_stretches_it(store: Store) -> None:
    store.set(tau=2.5)
    tau = ready(store)["detail"]["tau"]
    assert (tau["ticks"][-1]["text"], tau["at"]) == ("3", pytest.approx(2.5 / 3, abs=1e-6))


@given(st.floats(0, 1e6, allow_nan=False), st.floats(1e-6, 1e6, allow_nan=False))
def test_inside_is_strictly_between(low: float, width: float) -> None:
    assert low < inside(low, low + width) < low + width


# -- outages and flips ------------------------------------------------------------------------


def row(store: Store, model: str) -> dict[str, Any]:
    return next(row for row in ready(store)["models"] if row["name"] == model)


def test_the_outage_of_the_chosen_model_says_who_takes_over_and_what_it_costs(
    store: Store,
) -> None:
    # 1,000 output tokens at $3 more per million: 3,000 µUSD more, $3.00 per 1,000 prompts.
    assert row(store, "low")["change"] == "if off: high takes over · +$3.00 / 1k · shortfall +0.00"


def test_an_outage_that_leaves_nobody_within_tau_says_so() -> None:
    store = open_store(POOL.remove("high"))
    change = row(store, "low")["change"]
    assert "weak takes over · −$1.60" in change
    assert change.endswith("shortfall +1.20 · no model within τ is left")


def test_the_outage_of_another_model_changes_nothing(store: Store) -> None:
    assert (row(store, "weak")["change"], row(store, "weak")["matters"]) == (
        "if off: nothing changes",
        False,
    )


def test_the_last_model_leaves_none(store: Store) -> None:
    store = open_store(Catalog((POOL["low"],), name="one"))
    assert row(store, "low")["change"] == "if off: no model is left"


def test_a_model_that_is_off_says_whether_it_would_be_chosen_again(store: Store) -> None:
    store.edit_cell("low", "available", False)
    store.edit_cell("weak", "available", False)
    assert row(store, "low")["change"] == "if on again: low is chosen"
    assert row(store, "weak")["change"] == "if on again: nothing changes"


def test_with_every_model_off_switches_stay_and_nobody_wins(store: Store) -> None:
    for name in POOL.names:
        store.edit_cell(name, "available", False)
    view = ready(store)
    assert view["now"] == "no model"
    assert [model["on"] for model in view["models"]] == [False] * 3
    assert [band["model"] for band in view["detail"]["tau"]["bands"]] == ["no model"]
    assert [area["model"] for area in view["detail"]["map"]["areas"]] == ["no model"]


def test_trying_each_change_on_screen_flips_the_choice() -> None:
    sentences = [flip["sentence"] for flip in all_flips(open_store())]
    assert sentences
    for sentence in sentences:
        store = open_store()
        ready(store)
        try_flip(store, sentence)
        assert chosen(store) != "low", sentence


def all_flips(store: Store) -> list[dict[str, Any]]:
    found = ready(store)["flips"]
    return [found["first"], *found["rest"]] if found["first"] else []


def test_the_smallest_change_comes_with_its_numbers(store: Store) -> None:
    assert any(character.isdigit() for character in all_flips(store)[0]["sentence"])


def test_a_change_that_is_no_longer_on_screen_is_refused(store: Store) -> None:
    sentence = all_flips(store)[0]["sentence"]
    store.edit_cell("high", OUT, "1")
    with pytest.raises(InvalidInputError, match="changed meanwhile"):
        try_flip(store, sentence)


def test_a_choice_that_nothing_can_change_has_no_smallest_flip() -> None:
    only = Catalog((profile("only", (1.0,) * 4),), name="one")
    store = open_store(only)
    flips = ready(store)["flips"]
    kinds = {flip["kind"] for flip in all_flips(store)}
    assert flips["first"] is None or kinds == {"availability"}


# -- the map ----------------------------------------------------------------------------------


def test_the_shares_of_the_map_add_up_to_the_whole(store: Store) -> None:
    look_at_map(store, "output", "low", "output")
    look_at_model(store, "high")
    areas = ready(store)["detail"]["map"]["areas"]
    assert sum(area["size"] for area in areas) == pytest.approx(1.0)
    assert {area["model"] for area in areas} == {"high", "low"}


@pytest.mark.parametrize("across", [None, "low", "high"])
def test_going_to_the_middle_of_a_region_makes_its_model_win(across: str | None) -> None:
    store = open_store()
    look_at_model(store, "high")
    look_at_map(store, "output", across, "output" if across == "low" else "input")
    for area in ready(store)["detail"]["map"]["areas"]:
        go_to(store, area["x"], area["y"])
        assert chosen(store) == area["model"]


def test_going_to_a_point_of_two_prices_is_one_undo_step(store: Store) -> None:
    look_at_model(store, "high")
    look_at_map(store, "output", "low", "output")
    go_to(store, 1.0, 8.0)
    assert [store.catalog[name].usd_per_mtok_output for name in ("high", "low")] == [1.0, 8.0]
    store.undo()
    assert store.catalog == POOL


def test_a_point_below_the_axis_of_tau_is_refused_and_nothing_changes(store: Store) -> None:
    with pytest.raises(InvalidInputError, match="tau"):
        go_to(store, 1.0, -0.5)
    assert (store.catalog, store.settings.tau) == (POOL, 0.1)


def test_the_cross_is_where_price_and_tau_are(store: Store) -> None:
    store.set(tau=0.6)
    look_at_model(store, "high")
    shown = ready(store)["detail"]["map"]
    assert shown["x"]["at"] == pytest.approx(5.0 / shown["x"]["reach"], abs=1e-6)
    assert shown["y"]["at"] == pytest.approx(0.4)


def test_the_map_says_in_words_what_it_shows(store: Store) -> None:
    label = ready(store)["detail"]["map"]["label"]
    assert "by output price of low from 0 to $10.00 and τ from 0 to 1.5" in label
    assert label.endswith("Now at $2.00 and 0.1: low.")


def test_an_axis_of_a_model_that_is_gone_falls_back_to_tau(store: Store) -> None:
    look_at_map(store, "output", "high", "input")
    store.remove("high")
    assert ready(store)["detail"]["axes"]["across"] is None


def test_the_same_price_on_both_axes_falls_back_to_tau(store: Store) -> None:
    store.pick(Picks("low", "output", Axis("low", "output")))
    assert ready(store)["detail"]["axes"]["across"] is None


@given(catalogs(), requirements(max_queries=1), st.data())
def test_the_map_agrees_with_the_decision_at_the_cross(
    catalog: Catalog, needs: Requirements, data: st.DataObject
) -> None:
    problem = formulate(needs, catalog, tokens_input=10, tokens_output=20)
    decision = hy.decision.explain(problem)
    axis = Axis(data.draw(st.sampled_from(catalog.names)), "input")
    question = what_if.Question.of(decision, catalog, Picks(axis.model, "input"))
    assert question is not None
    answer = whole_answer(first_answer(question))
    assert answer.regions is not None
    x = getattr(catalog[axis.model], IN)
    assume(x > 0)  # who wins only for nothing has no area
    here = {region.model for region in answer.regions.regions if region.contains(x, problem.tau)}
    assert (decision.chosen.name if decision.chosen else None) in here


# -- the thread -------------------------------------------------------------------------------


def test_before_the_answer_is_there_the_panel_says_that_it_is_at_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = threading.Event()

    def slow(question: what_if.Question) -> what_if.Answer:
        gate.wait(20)
        return first_answer(question)

    monkeypatch.setattr(what_if, "first_answer", slow)
    store = open_store()
    view = what_if_view(store)
    assert (view["state"], view["detail"], len(view["models"])) == ("running", None, 3)
    gate.set()
    assert ready(store)["state"] == "ready"


def test_the_store_is_free_while_the_analysis_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, begun = threading.Event(), threading.Event()

    def slow(answer: what_if.Answer) -> what_if.Answer:
        begun.set()
        gate.wait(20)
        return whole_answer(answer)

    monkeypatch.setattr(what_if, "whole_answer", slow)
    store = open_store()
    assert begun.wait(20)
    store.drag_price("high", OUT, 1.0, "a")
    assert chosen(store) == "high"
    gate.set()
    assert ready(store)["now"] == "high"


def test_a_failed_analysis_is_said_and_the_next_change_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(question: what_if.Question) -> what_if.Answer:
        raise RuntimeError("no memory left")

    monkeypatch.setattr(what_if, "first_answer", broken)
    store = open_store()
    view = ready(store)
    assert (view["state"], view["message"]) == ("error", "no memory left")
    assert [model["on"] for model in view["models"]] == [True] * 3
    monkeypatch.setattr(what_if, "first_answer", first_answer)
    store.set(tau=0.2)
    assert ready(store)["state"] == "ready"


def test_a_failed_analysis_can_be_tried_again_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(question: what_if.Question) -> what_if.Answer:
        raise RuntimeError("no memory left")

    monkeypatch.setattr(what_if, "first_answer", broken)
    store = open_store()
    assert ready(store)["state"] == "error"
    store.analyse_again()
    assert ready(store)["message"] == "no memory left"
    monkeypatch.setattr(what_if, "first_answer", first_answer)
    store.analyse_again()
    view = ready(store)
    assert (view["state"], view["message"]) == ("ready", "")


def test_where_nobody_looks_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[what_if.Question] = []
    monkeypatch.setattr(what_if, "first_answer", asked.append)
    store = Store(POOL, predictor=Half())
    store.set_text("abc")
    time.sleep(0.1)
    assert asked == []


def test_without_a_prompt_nothing_is_asked(store: Store) -> None:
    store.set_text("")
    view = what_if_view(store)
    assert (view["state"], view["models"], view["detail"]) == ("empty", [], None)


def test_an_answer_about_other_models_is_never_shown(store: Store) -> None:
    ready(store)
    with store.lock:  # no new answer can arrive
        store.remove("high")
        assert what_if_view(store)["detail"] is None


# -- the panels through their traits ----------------------------------------------------------


@pytest.fixture
def lab() -> hy.Lab:
    return hy.lab(predictor=Half(), text="abcdefghi", catalog=POOL, tokens_output=1000)


def panel(lab: hy.Lab, kind: type[Any]) -> Any:
    return next(child for child in lab.children if isinstance(child, kind))


def ask(widget: Any, action: str, **arguments: Any) -> dict[str, Any]:
    widget._on_message(widget, {"action": action, "number": "n", "arguments": arguments}, [])
    return dict(widget.view["reply"])


def test_a_draft_of_prices_drags_them(lab: hy.Lab) -> None:
    shown = panel(lab, WhatIfPanel)
    move = {"model": "high", "field": OUT, "drag": "a"}
    shown.draft = {"prices": [{**move, "usd": 3}], "revision": 1}
    shown.draft = {"prices": [{**move, "usd": 1.5}], "revision": 2}
    assert lab.catalog["high"].usd_per_mtok_output == 1.5
    assert shown.view["seen"] == 2
    lab._store.undo()
    assert lab.catalog == POOL


def test_a_refused_draft_is_said_in_the_view(lab: hy.Lab) -> None:
    shown = panel(lab, WhatIfPanel)
    move = {"model": "high", "field": OUT, "usd": -1, "drag": "a"}
    shown.draft = {"prices": [move], "revision": 1}
    assert OUT in shown.view["refusal"]
    assert lab.catalog == POOL


def test_a_switch_of_the_panel_is_the_switch_of_the_catalog(lab: hy.Lab) -> None:
    shown = panel(lab, WhatIfPanel)
    assert ask(shown, "edit", model="low", field="available", typed=False)["ok"]
    assert not lab.catalog["low"].available


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("look", {"model": "nobody"}),
        ("look_map", {"price": "cached", "across": None, "across_price": "input"}),
        ("look_map", {"price": "input", "across": "nobody", "across_price": "input"}),
        ("go", {"x": "much", "y": 0.1}),
        ("go_tau", {"tau": None}),
        ("try", {"sentence": "everything changes"}),
    ],
)
def test_what_the_panel_cannot_do_is_refused_in_words(
    lab: hy.Lab, action: str, arguments: dict[str, Any]
) -> None:
    reply = ask(panel(lab, WhatIfPanel), action, **arguments)
    assert not reply["ok"]
    assert reply["message"]


def test_what_the_panel_shows_is_plain_json_and_outlives_a_reload(lab: hy.Lab) -> None:
    import json

    ready(lab._store)
    shown = panel(lab, WhatIfPanel)
    eventually(lambda: shown.view["state"] == "ready")
    state = shown.get_state("view")["view"]
    assert json.loads(json.dumps(state, allow_nan=False))["detail"]["model"] == "low"


# -- the program as a file --------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["lp", "mps"])
def test_the_file_of_a_program_has_the_optimum_of_the_program(tmp_path: Path, ending: str) -> None:
    highspy = pytest.importorskip("highspy")
    problem = formulate(Requirements([[0.5] * 4, [0.8] * 4]), POOL, tokens_input=7, arrivals=[3, 2])
    program = assignment_program(problem)
    path = tmp_path / f"route.{ending}"
    program.save(path)
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    assert solver.readModel(str(path)) == highspy.HighsStatus.kOk
    solver.run()
    assert solver.getNumCol() == len(program.pairs)
    assert solver.getInfo().objective_function_value == pytest.approx(
        program.solve().cost_micro_usd
    )


def test_the_file_says_which_model_each_variable_is() -> None:
    problem = formulate(Requirements([[0.5] * 4]), POOL)
    program = assignment_program(problem)
    assert "\\ x_0 = prompt -> low\n\\ x_1 = prompt -> high\n" in program.to_lp()
    assert "* x_0 = prompt -> low\n* x_1 = prompt -> high\n" in program.to_mps()


def test_in_a_file_of_many_queries_each_variable_names_its_query() -> None:
    problem = formulate(Requirements([[0.5] * 4, [0.8] * 4]), POOL)
    assert "x_2 = query 1 -> high" in assignment_program(problem).to_lp()


def test_a_program_without_variables_has_no_file() -> None:
    off = Catalog((POOL["low"].changed(available=False),), name="off")
    with pytest.raises(InvalidInputError, match="no model is available"):
        assignment_program(formulate(Requirements([[0.5] * 4]), off)).to_lp()


def test_another_ending_is_refused(tmp_path: Path) -> None:
    program = assignment_program(formulate(Requirements([[0.5] * 4]), POOL))
    with pytest.raises(InvalidInputError, match=r"\.lp or \.mps; received"):
        program.save(tmp_path / "route.txt")


@pytest.mark.parametrize("ending", ["lp", "mps"])
def test_the_download_is_the_program_on_screen(lab: hy.Lab, ending: str) -> None:
    shown, sent = panel(lab, SolverPanel), []
    shown.send = sent.append
    assert ask(shown, "program_file", ending=ending)["ok"]
    ruling = lab._store.ruling
    assert ruling is not None
    program = ruling.program
    text = program.to_lp() if ending == "lp" else program.to_mps()
    assert sent == [{"kind": "file", "name": f"route.{ending}", "text": text}]


@pytest.mark.parametrize(("text", "ending"), [("", "lp"), ("abc", "exe")])
def test_a_download_that_cannot_be_is_refused_in_words(text: str, ending: str) -> None:
    lab = hy.lab(predictor=Half(), text=text)
    assert not ask(panel(lab, SolverPanel), "program_file", ending=ending)["ok"]
