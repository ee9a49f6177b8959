from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import hydra_nb as hy
from hydra_nb import Catalog, CatalogError, HydraError, InvalidInputError, Requirements
from hydra_nb.widgets.cell_text import read_cell
from hydra_nb.widgets.code import to_code
from hydra_nb.widgets.explaining import PAUSE_SECONDS
from hydra_nb.widgets.grid_view import catalog_view
from hydra_nb.widgets.prompt_view import prompt_view
from hydra_nb.widgets.state import Settings
from hydra_nb.widgets.store import Store
from hydra_nb.widgets.views import solver_view
from hydra_nb.widgets.why_view import signed
from tests.strategies import profile

POOL = Catalog(
    (
        profile("cheap", (0.2,) * 4, usd_per_mtok_input=0.1, usd_per_mtok_output=0.4),
        profile("strong", (0.9,) * 4, usd_per_mtok_input=3.0, usd_per_mtok_output=15.0),
    )
)


class ByLength:
    """A predictor whose four scores are the text's length over 100."""

    def predict(self, texts: Sequence[str], turns: Sequence[int] | None = None) -> Requirements:
        return Requirements([[min(len(text), 100) / 100] * 4 for text in texts])


class Broken:
    def predict(self, texts: Sequence[str], turns: Sequence[int] | None = None) -> Requirements:
        raise RuntimeError("no memory left")


@pytest.fixture
def store() -> Store:
    store = Store(POOL, predictor=ByLength())
    store.set_text("x" * 15)
    return store


def chosen(store: Store) -> str | None:
    assert store.ruling is not None
    candidate = store.ruling.decision.chosen
    return candidate.name if candidate else None


def scored_text(store: Store) -> str:
    return store.reading.text if store.reading else ""


def test_typing_scores_and_decides(store: Store) -> None:
    assert chosen(store) == "cheap"
    store.set_text("x" * 80)
    assert chosen(store) == "strong"


def test_an_empty_prompt_has_no_scores_and_no_decision(store: Store) -> None:
    store.set_text("  \n")
    assert (store.requirements, store.ruling, store.scoring.state) == (None, None, "empty")
    assert prompt_view(store)["dimensions"][0]["value"] is None
    assert solver_view(store)["state"] == "empty"


def test_text_typed_while_the_encoder_loads_is_scored_once_it_is_there() -> None:
    store, gate = Store(POOL), threading.Event()

    def loader() -> ByLength:
        gate.wait(10)
        return ByLength()

    thread = store.load(loader)
    store.set_text("x" * 80)
    assert store.scoring.state == "warming"
    assert solver_view(store)["state"] == "waiting"
    gate.set()
    thread.join(10)
    assert store.scoring.state == "scored"
    assert chosen(store) == "strong"


def test_an_encoder_that_cannot_be_loaded_is_said_and_can_be_tried_again() -> None:
    store, tries = Store(POOL), iter([False, True])

    def loader() -> ByLength:
        if next(tries):
            return ByLength()
        raise HydraError("model.onnx: is truncated")

    store.load(loader).join(10)
    assert store.scoring.state == "error"
    assert "model.onnx" in prompt_view(store)["message"]
    done = threading.Event()
    store.subscribe(lambda: done.set() if store.predictor else None)
    store.retry()
    assert done.wait(10)
    assert store.scoring.state == "empty"


def test_scores_stay_when_scoring_fails(store: Store) -> None:
    before = store.requirements
    store.predictor = Broken()
    store.set_text("something else")
    assert store.scoring.state == "error"
    assert store.requirements is before
    assert chosen(store) == "cheap"
    assert "no memory left" in prompt_view(store)["message"]


def test_a_failed_load_stays_on_screen_while_typing_goes_on() -> None:
    store = Store(POOL)

    def loader() -> ByLength:
        raise RuntimeError("broken driver")

    store.load(loader).join(10)
    store.set_text("x")
    assert store.scoring.state == "error"
    assert "broken driver" in store.scoring.message


def test_a_predictor_that_returns_something_else_is_an_error_on_screen(store: Store) -> None:
    class Wrong:
        def predict(self, texts: Sequence[str], turns: Sequence[int] | None = None) -> object:
            return [[0.1] * 4]

    store.predictor = Wrong()  # type: ignore[assignment]
    store.set_text("new")
    assert store.scoring.state == "error"
    assert "must return Requirements" in store.scoring.message


def test_a_prompt_pinned_after_a_failure_is_the_one_that_was_scored(store: Store) -> None:
    store.predictor = Broken()
    store.set_text("something else")
    store.pin()
    assert store.pinned is not None
    assert store.pinned.text == "x" * 15


def test_a_text_that_is_none_changes_nothing(store: Store) -> None:
    with pytest.raises(InvalidInputError, match="text must be a str; received 5"):
        store.set_text(5)  # type: ignore[arg-type]
    assert store.text == "x" * 15


def test_the_view_carries_the_revision_that_was_scored(store: Store) -> None:
    store.set_text("new", revision=41)
    assert prompt_view(store)["revision"] == 41


def test_a_price_edit_flips_the_verdict(store: Store) -> None:
    store.edit_cell(store.catalog.names[0], "usd_per_mtok_output", "40")
    assert store.catalog["cheap"].usd_per_mtok_output == 40.0
    assert chosen(store) == "strong"


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("usd_per_mtok_input", "abc", "must be a number"),
        ("usd_per_mtok_input", "", "must be a number"),
        ("usd_per_mtok_input", "-1", "at least 0"),
        ("usd_per_mtok_input", "1,5", "without commas"),
        ("usd_per_mtok_input", "nan", "finite"),
        ("usd_per_mtok_input", "1_0", "must be a number"),
        ("reasoning", "1.2", "at most 1"),
        ("context_window", "12.5", "whole number"),
        ("context_window", "0", "greater than 0"),
        ("name", "", "not be empty"),
        ("name", "strong", "unique"),
        ("available", "yes", "on or off"),
    ],
)
def test_a_refused_edit_changes_nothing(store: Store, field: str, typed: str, said: str) -> None:
    with pytest.raises(CatalogError, match=said):
        store.edit_cell(store.catalog.names[0], field, typed)
    assert store.catalog == POOL
    assert not store.history.past


def test_a_dollar_sign_and_a_typographic_minus_are_read() -> None:
    assert read_cell("usd_per_mtok_input", " $0.25 ") == 0.25
    assert read_cell("usd_per_mtok_input", "−1") == -1.0


def test_undo_and_redo_walk_through_every_edit(store: Store) -> None:
    store.edit_cell(store.catalog.names[0], "available", False)
    store.edit_cell(store.catalog.names[1], "name", "mighty")
    store.undo()
    assert store.catalog.names == ("cheap", "strong")
    assert chosen(store) == "strong"
    store.undo()
    assert store.catalog == POOL
    assert chosen(store) == "cheap"
    store.undo()
    store.redo()
    store.redo()
    assert store.catalog.names == ("cheap", "mighty")
    store.redo()
    assert store.catalog["cheap"].available is False


def test_an_edit_after_undo_forgets_what_could_be_redone(store: Store) -> None:
    store.edit_cell(store.catalog.names[0], "available", False)
    store.undo()
    store.edit_cell(store.catalog.names[1], "name", "mighty")
    assert catalog_view(store)["redo"] is None


def test_add_duplicate_and_remove_keep_names_unique(store: Store) -> None:
    assert store.add() == "new-model"
    assert store.duplicate("cheap") == "cheap-copy"
    store.duplicate(store.catalog.names[0])
    assert store.catalog.names == ("cheap", "cheap-copy-2", "cheap-copy", "strong", "new-model")
    store.remove("cheap-copy-2")
    assert store.catalog.names == ("cheap", "cheap-copy", "strong", "new-model")


def test_the_last_model_stays(store: Store) -> None:
    store.remove(store.catalog.names[0])
    with pytest.raises(CatalogError, match="last model"):
        store.remove(store.catalog.names[0])
    assert len(store.catalog) == 1


def test_reset_and_another_catalog_can_be_undone(store: Store) -> None:
    store.edit_cell(store.catalog.names[0], "available", False)
    store.reset()
    assert store.catalog == POOL
    store.replace_catalog(Catalog.sample("paper_pool"), label="open paper_pool")
    assert not catalog_view(store)["edited"]
    store.undo()
    assert store.catalog == POOL


def test_changed_cells_are_marked_against_the_opened_catalog(store: Store) -> None:
    store.edit_cell(store.catalog.names[0], "usd_per_mtok_input", "0.2")
    cells = catalog_view(store)["rows"][0]["cells"]
    assert cells["usd_per_mtok_input"]["changed"]
    assert cells["usd_per_mtok_input"]["was"] == "0.10"
    assert not cells["usd_per_mtok_output"]["changed"]


def test_a_renamed_model_of_a_file_is_compared_with_what_it_was() -> None:
    store = Store(Catalog.sample("paper_pool"))
    store.edit_cell(store.catalog.names[0], "name", "renamed")
    cells = catalog_view(store)["rows"][0]["cells"]
    assert cells["name"]["changed"]
    assert not cells["usd_per_mtok_input"]["changed"]


def test_settings_move_the_decision_and_bad_ones_are_refused(store: Store) -> None:
    store.set_text("x" * 40)
    assert chosen(store) == "strong"
    store.set(tau=1.0)
    assert chosen(store) == "cheap"
    with pytest.raises(InvalidInputError, match="tau"):
        store.set(tau=-1.0)
    with pytest.raises(InvalidInputError, match="tokens_output"):
        store.set(tokens_output=1.5)
    with pytest.raises(InvalidInputError, match="tokens_output"):
        store.set(tokens_output=10**20)
    assert store.settings == Settings(tau=1.0)
    store.edit_cell("cheap", "available", False)
    assert chosen(store) == "strong"


def test_all_models_off_is_a_state_and_not_an_error(store: Store) -> None:
    store.edit_cell(store.catalog.names[0], "available", False)
    store.edit_cell(store.catalog.names[1], "available", False)
    view = solver_view(store)
    assert view["state"] == "none"
    assert "switched off" in view["verdict"]["explanation"]


def test_failing_open_is_a_state_of_its_own(store: Store) -> None:
    store.set_text("x" * 100)
    view = solver_view(store)
    assert view["state"] == "open"
    assert "falls least short" in view["verdict"]["explanation"]


def test_the_verdict_names_solver_and_status(store: Store) -> None:
    facts = {fact["label"]: fact["text"] for fact in solver_view(store)["verdict"]["facts"]}
    assert facts["Program"].startswith("HiGHS · optimal · ")


def test_a_pinned_prompt_stays_to_compare_with(store: Store) -> None:
    store.pin()
    store.set_text("x" * 80)
    view = prompt_view(store)
    assert view["pinned"] == {"text": "x" * 15, "chosen": "cheap"}
    assert view["dimensions"][0]["pinned"] == 0.15
    store.set_text("x" * 15)
    store.pin()
    assert prompt_view(store)["pinned"] is None


def test_listeners_hear_of_every_change(store: Store) -> None:
    heard: list[str] = []
    store.subscribe(lambda: heard.append(store.text))
    store.set_text("a")
    store.set(tau=0.2)
    store.edit_cell(store.catalog.names[0], "available", False)
    store.undo()
    assert heard == ["a"] * 4


class Slow(ByLength):
    """Takes its time, so that threads without a lock would mix their states."""

    def predict(self, texts: Sequence[str], turns: Sequence[int] | None = None) -> Requirements:
        time.sleep(0.002)
        return super().predict(texts, turns)


def test_many_threads_leave_one_consistent_state() -> None:
    store = Store(POOL, predictor=Slow())
    mixed: list[str] = []
    store.subscribe(
        lambda: scored_text(store) == store.text or mixed.append(store.text)  # type: ignore[func-returns-value]
    )

    def type_and_edit(number: int) -> None:
        for step in range(20):
            store.set_text("x" * (number + step))
            store.edit_cell(store.catalog.names[0], "usd_per_mtok_input", str(1 + number + step))

    threads = [threading.Thread(target=type_and_edit, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert mixed == []
    assert store.requirements == ByLength().predict([store.text])
    assert store.ruling is not None
    assert store.ruling.decision.problem.catalog == store.catalog


def recreate(store: Store) -> Store:
    """Run `to_code` as a notebook would and return the store of the lab that it makes."""
    code = to_code(store)
    start = code.rindex("hy.lab(")
    scope: dict[str, object] = {}
    exec(f"{code[:start]}\nresult = {code[start:]}", scope)
    return scope["result"]._store  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("catalog", [POOL, Catalog.sample("paper_pool")], ids=["own", "sample"])
def test_the_generated_cell_recreates_the_screen(catalog: Catalog) -> None:
    store = Store(catalog, predictor=ByLength(), settings=Settings(tau=0.3, tokens_output=50))
    store.set_text('He said "hi"\nand left')
    store.set(dimension_weights={"debugging": 2.0})
    store.edit_cell(store.catalog.names[0], "usd_per_mtok_input", "0.33")
    store.edit_cell(store.catalog.names[1], "name", "renamed")
    store.duplicate(store.catalog.names[0])
    store.remove(store.catalog.names[-1])
    again = recreate(store)
    assert again.catalog == store.catalog
    assert again.settings == store.settings
    assert again.text == store.text


def test_the_generated_cell_of_an_unedited_sample_is_short() -> None:
    code = to_code(Store(Catalog.sample("market_20")))
    assert "catalog = hy.Catalog.sample('market_20')\n" in code


def test_swapped_names_are_recreated_too() -> None:
    store = Store(Catalog.sample("paper_pool"))
    first, second = store.catalog.names[:2]
    store.edit_cell(store.catalog.names[0], "name", "spare")
    store.edit_cell(store.catalog.names[1], "name", first)
    store.edit_cell(store.catalog.names[0], "name", second)
    assert recreate(store).catalog == store.catalog


def test_a_copy_that_took_the_old_name_is_recreated_too() -> None:
    store = Store(Catalog.sample("paper_pool"))
    first = store.catalog.names[0]
    store.duplicate(first)
    store.edit_cell(first, "name", "other")
    store.edit_cell(f"{first}-copy", "name", first)
    assert recreate(store).catalog == store.catalog


def test_a_closed_lab_is_forgotten_by_its_store() -> None:
    lab = hy.lab(POOL, predictor=ByLength())
    assert lab._store._listeners
    lab.close()
    assert lab._store._listeners == []


def test_reading_the_decision_waits_for_the_encoder() -> None:
    class Late(ByLength):
        pass

    lab = hy.lab(POOL, predictor=ByLength())
    store = Store(POOL)
    gate = threading.Event()

    def loader() -> Late:
        gate.wait(10)
        return Late()

    store.load(loader)
    store.set_text("x" * 80)
    threading.Timer(0.1, gate.set).start()
    lab._store = store
    assert lab.requirements is not None


# -- what was read, and why ----------------------------------------------------------------------


class Reader(ByLength):
    """Reads as the shipped predictor does and counts how often it is asked."""

    max_tokens = 512

    def __init__(self, ignored: tuple[str, ...] = (), **trust: Any) -> None:
        self.ignored, self.trust, self.calls = ignored, trust, 0

    def read(self, text: str, turn: int = 1) -> SimpleNamespace:
        self.calls += 1
        return SimpleNamespace(
            requirements=Requirements(self.predict([text]).values, **self.trust),
            ignored=self.ignored,
            tokens=len(text.split()),
            signals=(f"turn {turn}",),
        )

    def tokens(self, text: str, turn: int = 1) -> int:
        raise AssertionError("the reading says it already")

    signals = tokens


def test_what_was_read_is_kept_and_showing_it_asks_nothing() -> None:
    predictor = Reader(("thanks!",))
    store = Store(POOL, predictor=predictor)
    store.set_text("fix it now")
    views = [prompt_view(store), prompt_view(store)]
    assert predictor.calls == 1
    assert [(view["tokens"], view["flags"]) for view in views] == [(3, ["turn 1"])] * 2


def test_a_predictor_that_only_predicts_needs_nothing_else(store: Store) -> None:
    view = prompt_view(store)
    assert (view["tokens"], view["flags"], view["max_tokens"]) == (0, [], None)
    assert (view["ignored"]["chips"], view["unfamiliar"], view["why"]) == ([], "", None)
    assert [dimension["interval"] for dimension in view["dimensions"]] == [None] * 4


def test_tokens_and_signals_of_a_predictor_without_read_are_asked_once_a_prompt() -> None:
    class Counting(ByLength):
        calls = 0

        def tokens(self, text: str, turn: int = 1) -> int:
            self.calls += 1
            return len(text)

        def signals(self, text: str, turn: int = 1) -> list[str]:
            return ["code block"]

    predictor = Counting()
    store = Store(POOL, predictor=predictor)
    store.set_text("abc")
    views = [prompt_view(store), prompt_view(store)]
    assert predictor.calls == 1
    assert [(view["tokens"], view["flags"]) for view in views] == [(3, ["code block"])] * 2


def test_a_reading_of_something_else_is_an_error_on_screen() -> None:
    class Wrong(ByLength):
        def read(self, text: str, turn: int = 1) -> SimpleNamespace:
            return SimpleNamespace(requirements=[0.1] * 4)

    store = Store(POOL, predictor=Wrong())
    store.set_text("new")
    assert store.scoring.state == "error"
    assert "read must return a reading with Requirements" in store.scoring.message


def test_an_interval_is_value_and_spread_cut_at_zero_and_one() -> None:
    store = Store(POOL, predictor=Reader(spread=[0.1, 0.45, 0.7, 0.0]))
    store.set_text("x" * 40)
    found = [dimension["interval"] for dimension in prompt_view(store)["dimensions"]]
    bounds = [bound for interval in found for bound in (interval["low"], interval["high"])]
    assert bounds == pytest.approx([0.3, 0.5, 0.0, 0.85, 0.0, 1.0, 0.4, 0.4])
    assert found[0]["words"].startswith("0.40, give or take 0.10: in 8 of 10 cases")


@pytest.mark.parametrize("outside", [True, False])
def test_a_prompt_out_of_domain_is_said_and_decided_all_the_same(outside: bool) -> None:
    store = Store(POOL, predictor=Reader(out_of_domain=[outside]))
    store.set_text("x" * 15)
    assert ("a guess" in prompt_view(store)["unfamiliar"]) is outside
    assert chosen(store) == "cheap"


def test_ignored_phrases_become_four_short_chips_and_a_count() -> None:
    long = "route this to the strongest model\nthat you have got"
    store = Store(POOL, predictor=Reader((long, "thanks!", "b", "c", "d", "e")))
    store.set_text("x")
    ignored = prompt_view(store)["ignored"]
    assert [chip["text"] for chip in ignored["chips"]] == [
        "route this to the strongest model t…",
        "thanks!",
        "b",
        "c",
    ]
    assert ignored["chips"][0]["phrase"] == long
    assert (ignored["more"], ignored["rest"]) == (2, "d · e")


class Explaining(ByLength):
    """Explains each word by its length over 100, once the gate is open; the last dimension by 0."""

    def __init__(self) -> None:
        self.gate, self.asked, self.at_once, self.most_at_once = threading.Event(), [], 0, 0
        self.turns: list[int] = []

    def explain(self, text: str, turn: int = 1) -> SimpleNamespace:
        self.asked.append(text)
        self.turns.append(turn)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        assert self.gate.wait(20)
        self.at_once -= 1
        spans = [match.span() for match in re.finditer(r"\S+", text)]
        lengths = [(end - start) / 100 for start, end in spans]
        values = [[length, -length, 0.004, 0.0] for length in lengths]
        return SimpleNamespace(text=text, spans=spans, contributions=values)


def eventually(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not come to hold in time"
        time.sleep(0.01)


def explained(text: str, *, turn: int = 1) -> tuple[Store, Explaining]:
    """Return a store that shows why, with an explanation of `text` if it holds one."""
    predictor = Explaining()
    predictor.gate.set()
    store = Store(POOL, predictor=predictor, settings=Settings(turn=turn))
    store.set_text(text)
    store.show_why(True)
    if text:
        eventually(lambda: store.why.state == "ready")
    return store, predictor


def test_nothing_is_explained_until_somebody_asks_why() -> None:
    predictor = Explaining()
    store = Store(POOL, predictor=predictor)
    store.set_text("fix it")
    time.sleep(2 * PAUSE_SECONDS)
    assert predictor.asked == []
    assert prompt_view(store)["why"]["on"] is False


def test_the_words_are_shown_with_gaps_signed_numbers_and_tints() -> None:
    store, _ = explained("fix  it  somewhere ")
    why = prompt_view(store)["why"]
    assert "".join(word["before"] + word["text"] for word in why["words"]) + why["rest"] == (
        "fix  it  somewhere "
    )
    assert [word["number"] for word in why["words"]] == ["+0.03", "+0.02", "+0.09"]
    assert [word["tint"] for word in why["words"]] == pytest.approx([1 / 3, 2 / 9, 1], abs=1e-3)


def test_the_largest_score_is_explained_first_and_another_one_stays_chosen() -> None:
    class Debugs(Explaining):
        def predict(self, texts: Sequence[str], turns: Sequence[int] | None = None) -> Requirements:
            return Requirements([[0.1, 0.2, 0.7, 0.3]] * len(texts))

    store = Store(POOL, predictor=Debugs())
    store.set_text("fix it")
    assert prompt_view(store)["why"]["dimension"] == "debugging"
    store.show_why_of("tool_use")
    store.set_text("something else")
    assert prompt_view(store)["why"]["dimension"] == "tool_use"
    with pytest.raises(InvalidInputError, match="unknown dimension 'speed'; known: reasoning"):
        store.show_why_of("speed")


def test_the_strongest_words_come_first_without_what_rounds_to_zero() -> None:
    store, _ = explained("a! fix (somewhere), else")
    store.show_why_of("code_generation")
    assert prompt_view(store)["why"]["strongest"] == [
        {"text": "somewhere", "number": "−0.12"},
        {"text": "else", "number": "−0.04"},
        {"text": "fix", "number": "−0.03"},
        {"text": "a", "number": "−0.02"},
    ]
    store.show_why_of("debugging")
    assert prompt_view(store)["why"]["strongest"] == []
    assert {word["number"] for word in prompt_view(store)["why"]["words"]} == {"0.00"}


def test_what_rounds_to_zero_has_no_sign() -> None:
    assert [signed(value) for value in (-0.004, 0.0, 0.006, -0.25)] == [
        "0.00",
        "0.00",
        "+0.01",
        "−0.25",
    ]


def test_typing_goes_on_while_an_explanation_runs() -> None:
    store, predictor = explained("")
    predictor.gate.clear()
    store.set_text("x" * 15)
    eventually(lambda: predictor.asked == ["x" * 15])
    store.set_text("x" * 80)
    assert chosen(store) == "strong"
    assert prompt_view(store)["why"]["state"] == "running"
    predictor.gate.set()


def test_one_explanation_runs_at_a_time_and_only_the_newest_text_is_shown() -> None:
    store, predictor = explained("")
    predictor.gate.clear()
    shown: list[str] = []
    store.subscribe(
        lambda: shown.append(store.why.contributions.text) if store.why.contributions else None
    )
    store.set_text("first")
    eventually(lambda: predictor.asked == ["first"])
    for text in ("second", "third", "fourth"):
        store.set_text(text)
    predictor.gate.set()
    eventually(lambda: store.why.state == "ready")
    assert predictor.asked == ["first", "fourth"]
    assert predictor.most_at_once == 1
    assert set(shown) == {"fourth"}


def test_the_last_words_stay_as_stale_until_the_new_ones_are_there() -> None:
    store, predictor = explained("old words")
    predictor.gate.clear()
    store.set_text("new")
    why = prompt_view(store)["why"]
    assert (why["state"], why["stale"], why["words"][0]["text"]) == ("running", True, "old")
    predictor.gate.set()
    eventually(lambda: store.why.state == "ready")
    why = prompt_view(store)["why"]
    assert (why["stale"], [word["text"] for word in why["words"]]) == (False, ["new"])


def test_an_emptied_prompt_has_no_words() -> None:
    store, _ = explained("old words")
    store.set_text("")
    why = prompt_view(store)["why"]
    assert (why["state"], why["words"], why["stale"]) == ("idle", [], False)


def test_another_turn_is_explained_anew() -> None:
    store, predictor = explained("fix it", turn=2)
    store.set(turn=5)
    eventually(lambda: store.why.state == "ready")
    assert predictor.turns == [2, 5]


def test_switching_why_off_and_on_again_does_not_explain_twice() -> None:
    store, predictor = explained("fix it")
    store.show_why(False)
    assert prompt_view(store)["why"]["words"] == []
    store.show_why(True)
    assert prompt_view(store)["why"]["state"] == "ready"
    assert predictor.asked == ["fix it"]


@pytest.mark.parametrize("failure", ["raises", "wrong shape", "not finite"])
def test_an_explanation_that_fails_is_a_state_and_can_be_tried_again(failure: str) -> None:
    class Failing(Explaining):
        fails = True

        def explain(self, text: str, turn: int = 1) -> SimpleNamespace:
            found = super().explain(text, turn)
            if not self.fails:
                return found
            if failure == "raises":
                raise RuntimeError("no memory left")
            found.contributions = [[0.1] * 3] if failure == "wrong shape" else [[np.nan] * 4]
            return found

    predictor = Failing()
    predictor.gate.set()
    store = Store(POOL, predictor=predictor)
    store.show_why(True)
    store.set_text("fix")
    eventually(lambda: store.why.state == "error")
    why, view = prompt_view(store)["why"], prompt_view(store)
    assert ("no memory left" if failure == "raises" else "explain must return") in why["message"]
    assert (view["state"], why["words"]) == ("scored", [])
    predictor.fails = False
    store.show_why(True)
    eventually(lambda: store.why.state == "ready")
    assert prompt_view(store)["why"]["message"] == ""


def test_a_failed_explanation_is_not_tried_without_end() -> None:
    store, predictor = explained("")
    predictor.explain = lambda text, turn: predictor.asked.append(text)  # type: ignore[assignment]
    store.set_text("fix")
    eventually(lambda: store.why.state == "error")
    time.sleep(3 * PAUSE_SECONDS)
    assert predictor.asked == ["fix"]
