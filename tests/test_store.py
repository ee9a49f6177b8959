from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

import hydra_nb as hy
from hydra_nb import Catalog, CatalogError, HydraError, InvalidInputError, Requirements
from hydra_nb.widgets.cell_text import read_cell
from hydra_nb.widgets.code import to_code
from hydra_nb.widgets.grid_view import catalog_view
from hydra_nb.widgets.state import Settings
from hydra_nb.widgets.store import Store
from hydra_nb.widgets.views import prompt_view, solver_view
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
        lambda: store.scored_text == store.text or mixed.append(store.text)  # type: ignore[func-returns-value]
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
