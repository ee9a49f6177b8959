"""The workload desk through its public methods, and the panel through its traits."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hydra_nb as hy
from hydra_nb import Catalog, InvalidInputError, Requirements
from hydra_nb.solver import Constraints, Contract, RelaxedLimit, plan
from hydra_nb.solver.classes import charges, query_classes
from hydra_nb.solver.coupling import couple
from hydra_nb.widgets.code import constraints_code
from hydra_nb.widgets.limit_relaxing import can_be_relaxed, relaxed
from hydra_nb.widgets.limit_rows import KINDS, LimitRow, read_rows, rows_of
from hydra_nb.widgets.limit_sheets import Sheets
from hydra_nb.widgets.store import Store
from hydra_nb.widgets.workload_comparison import changed_words, compare
from hydra_nb.widgets.workload_desk import WorkloadDesk
from hydra_nb.widgets.workload_fleet import fleet_points, ladder
from hydra_nb.widgets.workload_intake import Intake
from hydra_nb.widgets.workload_loading import CHUNK, LIMIT_BYTES
from hydra_nb.widgets.workload_panel import WorkloadPanel
from hydra_nb.widgets.workload_results import Question, Routing, by_plan, by_rule, formulated
from hydra_nb.widgets.workload_view import workload_view
from hydra_nb.workload import Workload
from tests.strategies import profile

# Per request at 100 + 100 tokens: cheap 20, middle 200, strong 2,000 micro-USD.
POOL = Catalog(
    tuple(
        profile(name, (skill,) * 4, usd_per_mtok_input=usd, usd_per_mtok_output=usd, provider=who)
        for name, skill, usd, who in (
            ("cheap", 0.2, 0.1, "A"),
            ("middle", 0.5, 1.0, "A"),
            ("strong", 0.9, 10.0, "B"),
        )
    ),
    name="pool",
)


class ByLength:
    """Scores every text by its length over 100."""

    def predict(self, texts: Sequence[str], turns: Sequence[int] | None = None) -> Requirements:
        return Requirements([[min(len(text), 100) / 100] * 4 for text in texts])


class Gated(ByLength):
    """Scores one chunk for each time that the gate is opened."""

    def __init__(self) -> None:
        self.calls = 0
        self.gate = threading.Semaphore(0)

    def predict(self, texts: Sequence[str], turns: Sequence[int] | None = None) -> Requirements:
        self.calls += 1
        assert self.gate.acquire(timeout=20)
        return super().predict(texts, turns)


def small() -> Workload:
    """Return three prompts: one for each model, arriving 10, 5 and 1 times."""
    return Workload(
        Requirements([[0.1] * 4, [0.4] * 4, [0.8] * 4]),
        100,
        tokens_output=100,
        arrivals=[10, 5, 1],
        texts=["easy", "normal", "hard"],
    )


def ask(workload: Workload, catalog: Catalog = POOL, **changes: Any) -> Question:
    given: dict[str, Any] = {
        "workload": workload,
        "catalog": catalog,
        "tau": 0.1,
        "dimension_weights": dict.fromkeys(hy.DIMENSIONS, 1.0),
        "constraints": Constraints(),
        "objective": "cost",
    }
    return Question(**{**given, **changes})


def routed(workload: Workload, catalog: Catalog = POOL, **changes: Any) -> Routing:
    question = ask(workload, catalog, **changes)
    return by_rule(question, formulated(question, None))


def planned(workload: Workload, constraints: Constraints) -> Routing:
    question = ask(workload, constraints=constraints)
    return by_plan(question, plan(formulated(question, None), constraints))


@pytest.fixture
def store() -> Store:
    return Store(POOL, predictor=ByLength())


@pytest.fixture
def desk(store: Store) -> Iterator[WorkloadDesk]:
    desk = WorkloadDesk(store)
    yield desk
    desk.close()
    desk.wait()


def settled(desk: WorkloadDesk) -> dict[str, Any]:
    desk.wait()
    assert desk.stage is None
    return workload_view(desk)


def add(desk: WorkloadDesk, kind: str, subject: str = "", **typed: str) -> int:
    number = desk.change_limits(Sheets.add, kind)
    if subject:
        desk.change_limits(Sheets.edit, number, "subject", subject)
    for entry, text in typed.items():
        desk.change_limits(Sheets.edit, number, entry, text)
    return number


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# -- routing and comparison ------------------------------------------------------------------


def test_sums_are_weighted_by_arrivals() -> None:
    routing = routed(small())
    assert routing.requests_by_model.tolist() == [10, 5, 1]
    assert routing.cost_by_model.tolist() == pytest.approx([200, 1_000, 2_000])
    assert (routing.requests, routing.unassigned) == (16, 0)


def test_prompts_that_fall_short_are_listed_worst_first() -> None:
    weak = POOL.replace("strong", available=False).replace("middle", available=False)
    routing = routed(small(), weak)
    # 4 dimensions lack 0.6 and 0.2 each against cheap's 0.2.
    assert routing.worst.tolist() == [[2, 0], [1, 0]]
    assert (routing.prompts_short, routing.requests_short) == (2, 6)


def test_at_most_50_prompts_are_listed_and_they_are_the_worst() -> None:
    lacks = np.linspace(0.3, 1.0, 80)
    many = Workload(Requirements(np.repeat(lacks[:, None], 4, axis=1)), 1)
    routing = routed(many, Catalog((profile("one", (0.1,) * 4),)))
    assert routing.prompts_short == 80
    assert routing.worst[:, 0].tolist() == list(range(79, 29, -1))


def test_without_any_model_all_requests_are_unassigned() -> None:
    off = Catalog(tuple(p.changed(available=False) for p in POOL))
    routing = routed(small(), off)
    assert (routing.unassigned, routing.cost_micro_usd) == (16, 0)
    assert math.isnan(routing.mean_shortfall)


def test_a_plan_and_the_rule_agree_where_nothing_binds() -> None:
    rule, planning = routed(small()), planned(small(), Constraints(max_requests={"cheap": 99}))
    assert planning.flows.tolist() == rule.flows.tolist()
    assert planning.cost_micro_usd == pytest.approx(rule.cost_micro_usd)


def test_the_cost_of_a_plan_is_that_of_its_models_fees_included() -> None:
    fee = Contract("flat", fee_usd=0.001, usd_per_mtok_input=0.0, usd_per_mtok_output=0.0)
    routing = planned(small(), Constraints(contracts={"middle": (fee,)}))
    # For 1,000 µUSD a period middle is free: it takes what was its own, and the easy ones too.
    assert routing.cost_by_model.tolist() == pytest.approx([0, 1_000, 2_000])


def test_moves_name_old_and_new_model_with_counts() -> None:
    found = compare(routed(small()), routed(small(), POOL.replace("middle", available=False)))
    assert [(m.before, m.after, m.requests) for m in found.moves] == [("middle", "strong", 5)]
    assert (found.moved, found.requests) == (5, 16)
    assert found.extra_cost_micro_usd == pytest.approx(5 * (2_000 - 200))


def test_moves_to_and_from_models_of_only_one_catalog_are_named() -> None:
    other = POOL.rename("middle", "medium")
    found = compare(routed(small()), routed(small(), other))
    assert [(m.before, m.after) for m in found.moves] == [("middle", "medium")]


def test_requests_without_a_model_move_to_no_model() -> None:
    off = Catalog(tuple(p.changed(available=False) for p in POOL))
    found = compare(routed(small()), routed(small(), off))
    assert {(m.before, m.after, m.requests) for m in found.moves} == {
        ("cheap", None, 10),
        ("middle", None, 5),
        ("strong", None, 1),
    }


def test_split_requests_are_counted_by_parts() -> None:
    split = planned(small(), Constraints(max_requests={"cheap": 4}))
    found = compare(routed(small()), split)
    assert [(m.before, m.after, m.requests) for m in found.moves] == [("cheap", "middle", 6)]


@given(
    cap=st.integers(0, 16),
    other_cap=st.integers(0, 16),
)
@settings(max_examples=25)
def test_what_leaves_and_what_arrives_explains_both_routings(cap: int, other_cap: int) -> None:
    before = planned(small(), Constraints(max_requests={"cheap": cap, "middle": 15}))
    after = planned(small(), Constraints(max_requests={"cheap": other_cap}))
    found = compare(before, after)
    net = np.zeros(3)
    for move in found.moves:
        net[POOL.index(str(move.before))] -= move.requests
        net[POOL.index(str(move.after))] += move.requests
    change = after.requests_by_model - before.requests_by_model
    assert net.tolist() == change.tolist()


def test_repricing_formulates_nothing_anew_and_routes_the_same() -> None:
    first = routed(small())
    dear = POOL.replace("middle", usd_per_mtok_input=99.0)
    question = ask(first.question.workload, dear)
    again = by_rule(question, formulated(question, first))
    assert again.problem.shortfall is first.problem.shortfall
    assert again.flows.tolist() == routed(small(), dear).flows.tolist()


@pytest.mark.parametrize("change", [{"tau": 0.9}, {"catalog": POOL.remove("middle")}])
def test_following_a_question_gives_what_formulating_it_gives(change: dict[str, Any]) -> None:
    first = routed(small())
    question = ask(first.question.workload, **change)
    followed = by_rule(question, formulated(question, first))
    anew = by_rule(question, formulated(question, None))
    assert followed.flows.tolist() == anew.flows.tolist()


def test_an_edit_is_named_with_its_numbers() -> None:
    workload = small()
    dear = POOL.replace("middle", usd_per_mtok_input=2.5).replace("cheap", available=False)
    after = ask(workload, dear, tau=0.2, constraints=Constraints(max_models=2))
    assert changed_words(ask(workload), after) == (
        "cheap switched off; middle: input price $1 → $2.5; τ 0.10 → 0.20; and 1 more"
    )


# -- fleets ------------------------------------------------------------------------------------


def test_the_ladder_is_never_better_than_the_proof_and_here_as_good() -> None:
    workload = Workload.synthetic(300, seed=3)
    question = ask(workload, Catalog.sample("paper_pool"))
    problem = formulated(question, None)
    coupled = couple(problem, Constraints())
    found = list(ladder(query_classes(coupled), charges(coupled)))
    for used, cost in found:
        proof = plan(problem, Constraints(max_models=int(used.sum())))
        assert cost == pytest.approx(proof.total_cost_micro_usd, abs=1)


def test_every_k_ends_proven_and_equals_its_plan() -> None:
    question = ask(Workload.synthetic(200, seed=5), Catalog.sample("paper_pool"))
    problem = formulated(question, None)
    *_, last = fleet_points(problem, Constraints(), lambda: False)
    for point in last:
        proof = plan(problem, Constraints(max_models=point.most))
        assert (point.state == "infeasible") == (proof.status == "infeasible")
        if point.state != "infeasible":
            assert point.state == "proven"
            assert point.cost_micro_usd == pytest.approx(proof.total_cost_micro_usd)


def test_a_k_that_cannot_serve_every_prompt_is_shown_as_impossible() -> None:
    apart = Catalog(
        (
            profile("coder", (0.0, 0.9, 0.9, 0.0)),
            profile("thinker", (0.9, 0.0, 0.0, 0.9)),
        )
    )
    two = Workload(Requirements([[0.9, 0.0, 0.0, 0.9], [0.0, 0.9, 0.9, 0.0]]), 10)
    problem = formulated(ask(two, apart), None)
    *_, last = fleet_points(problem, Constraints(), lambda: False)
    assert [point.state for point in last] == ["infeasible", "proven"]


def test_more_models_never_cost_more_under_other_limits() -> None:
    problem = formulated(ask(small()), None)
    limits = Constraints(max_requests={"cheap": 4})
    *_, last = fleet_points(problem, limits, lambda: False)
    costs = [point.cost_micro_usd for point in last if point.state != "infeasible"]
    assert costs == sorted(costs, reverse=True)


# -- rows of limits ------------------------------------------------------------------------------

FULL = Constraints(
    max_requests={"cheap": 5},
    max_tokens={"middle": 1_000_000},
    max_provider_share={"A": 0.6},
    min_provider_share={"B": 0.125},
    budget_usd=12.5,
    max_mean_shortfall=0.05,
    min_share_within_tau=0.95,
    max_models=2,
    contracts={
        "cheap": (Contract("flat", fee_usd=3.0), Contract()),
        "middle": (Contract("year", commitment_usd=100.0, usd_per_mtok_input=0.0),),
        "strong": (
            Contract("block", block_tokens=1_000, usd_per_block=2.0, max_blocks=3),
            Contract("both", fee_usd=1.0, commitment_usd=2.0),
        ),
    },
)


def test_rows_and_constraints_stand_for_each_other() -> None:
    read = read_rows(rows_of(FULL), POOL)
    assert (read.refused, read.blank) == ({}, frozenset())
    assert read.constraints == FULL


def test_the_code_of_constraints_makes_equal_ones() -> None:
    made = eval(constraints_code(FULL), {"Constraints": Constraints, "Contract": Contract})
    assert made == FULL


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (LimitRow(1, "max_requests", "cheap", {"max_requests": "abc"}), "must be a whole number"),
        (LimitRow(1, "max_requests", "cheap", {"max_requests": "1,000"}), "without commas"),
        (LimitRow(1, "max_requests", "cheap", {"max_requests": "1_000"}), "must be a whole number"),
        (LimitRow(1, "max_requests", "cheap", {"max_requests": "-3"}), "at least 0"),
        (LimitRow(1, "max_requests", "gone", {"max_requests": "3"}), "'gone'"),
        (LimitRow(1, "max_provider_share", "A", {"max_provider_share": "130"}), "in [0, 1]"),
        (LimitRow(1, "budget_usd", "", {"budget_usd": "inf"}), "number from 0"),
        (LimitRow(1, "max_models", "", {"max_models": "0"}), "at least 1"),
        (
            LimitRow(
                1,
                "blocks",
                "cheap",
                {"block_tokens": "5", "usd_per_block": "1", "max_blocks": "0"},
            ),
            "go together",
        ),
    ],
)
def test_a_refused_row_says_why_and_is_not_in_force(row: LimitRow, said: str) -> None:
    read = read_rows([row], POOL)
    assert said in read.refused[1]
    assert not read.constraints


def test_a_refused_row_leaves_the_others_in_force() -> None:
    good = LimitRow(1, "budget_usd", "", {"budget_usd": "$3.50"})
    bad = LimitRow(2, "max_models", "", {"max_models": "few"})
    assert read_rows([bad, good], POOL).constraints == Constraints(budget_usd=3.5)


def test_a_second_limit_on_the_same_thing_is_refused() -> None:
    rows = [LimitRow(n, "budget_usd", "", {"budget_usd": "3"}) for n in (1, 2)]
    assert list(read_rows(rows, POOL).refused) == [2]


def test_shares_that_contradict_each_other_are_refused_where_the_second_stands() -> None:
    most = LimitRow(1, "max_provider_share", "A", {"max_provider_share": "20"})
    least = LimitRow(2, "min_provider_share", "A", {"min_provider_share": "30 %"})
    assert "above its max_provider_share" in read_rows([most, least], POOL).refused[2]


def test_a_row_that_is_not_filled_in_is_blank_and_no_mistake() -> None:
    read = read_rows([LimitRow(1, "max_requests", "", {"max_requests": "3"})], POOL)
    assert (dict(read.refused), read.blank) == ({}, frozenset({1}))


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_of_row_can_be_added_and_edited(kind: str) -> None:
    sheets = Sheets().add(kind)
    for entry in KINDS[kind].entries:
        sheets = sheets.edit(sheets.made, entry.name, "1")
    assert sheets.undo().redo() == sheets


def test_undo_and_redo_walk_through_edits() -> None:
    sheets = Sheets().add("budget_usd")
    sheets = sheets.edit(1, "budget_usd", "3").aim("shortfall").remove(1)
    assert sheets.undo().undo().current.rows[0].typed == {"budget_usd": "3"}
    assert sheets.undo().undo().undo().redo().redo().redo() == sheets
    assert Sheets().undo() == Sheets()


@pytest.mark.parametrize(
    "constraints",
    [
        Constraints(max_requests={"cheap": 3, "middle": 3, "strong": 3}),
        Constraints(max_tokens={"middle": 600, "strong": 100}),
        Constraints(max_provider_share={"B": 0.05}, max_requests={"middle": 2, "cheap": 3}),
        Constraints(min_provider_share={"A": 1.0}),
        Constraints(budget_usd=0.0001),
        Constraints(max_mean_shortfall=0.0, max_requests={"strong": 0}),
        Constraints(min_share_within_tau=1.0, max_requests={"strong": 0}),
    ],
)
def test_the_relaxations_that_a_plan_names_can_be_applied_and_suffice(
    constraints: Constraints,
) -> None:
    problem = formulated(ask(small()), None)
    found = plan(problem, constraints)
    assert found.infeasibility is not None
    alone = [[limit] for limit in found.infeasibility.relaxations]
    for listed in alone or [list(found.infeasibility.together)]:
        assert all(can_be_relaxed(rows_of(constraints), limit) for limit in listed)
        rows = relaxed(rows_of(constraints), constraints, listed)
        assert plan(problem, read_rows(rows, POOL).constraints).status != "infeasible"


def test_a_fleet_that_is_too_small_can_be_widened() -> None:
    rows = rows_of(Constraints(max_models=1))
    widened = relaxed(rows, Constraints(max_models=1), [RelaxedLimit("max_models", "", 2)])
    assert read_rows(widened, POOL).constraints == Constraints(max_models=3)


def test_what_cannot_be_applied_simply_is_said_to_be_so() -> None:
    rows = rows_of(Constraints(budget_usd=1.0))
    assert can_be_relaxed(rows, RelaxedLimit("budget_usd", "", 3.0))
    assert not can_be_relaxed(rows, RelaxedLimit("blocks", "cheap", 5))
    assert not can_be_relaxed((), RelaxedLimit("budget_usd", "", 3.0))


# -- the desk ------------------------------------------------------------------------------------


def test_without_a_workload_the_panel_is_one_line(desk: WorkloadDesk) -> None:
    view = workload_view(desk)
    assert view["state"] == "empty"
    assert "answer" not in view


def test_a_workload_is_answered_exactly_and_then_proven(desk: WorkloadDesk) -> None:
    desk.set_workload(small())
    view = settled(desk)
    assert view["answer"]["proof"].startswith("proven optimal")
    assert view["answer"]["facts"][0] == {"label": "Cost a month", "text": "$0.0032", "note": ""}
    assert [m["requests"] for m in view["answer"]["models"]] == ["10", "5", "1"]


def test_an_edit_of_the_catalog_is_routed_and_compared(desk: WorkloadDesk, store: Store) -> None:
    desk.set_workload(small())
    settled(desk)
    store.edit_cell("middle", "usd_per_mtok_input", "50")
    view = settled(desk)["comparison"]
    assert view["change"] == "middle: input price $1 → $50"
    assert view["headline"] == "5 of 16 requests move"
    assert view["flows"][0]["before"] == "middle"


def test_a_dragged_slider_is_compared_with_where_it_began(desk: WorkloadDesk, store: Store) -> None:
    desk.set_workload(small())
    settled(desk)
    for tau in (0.5, 0.9, 1.3):
        store.set(tau=tau)
        settled(desk)
    assert settled(desk)["comparison"]["change"] == "τ 0.10 → 1.30"


def test_a_kept_baseline_stays_through_later_edits(desk: WorkloadDesk, store: Store) -> None:
    desk.set_workload(small())
    settled(desk)
    desk.keep_baseline(True)
    store.edit_cell("middle", "available", False)
    settled(desk)
    store.edit_cell("middle", "available", True)
    view = settled(desk)["comparison"]
    assert (view["title"], view["headline"]) == ("Against the kept state", "No request moves")


def test_typing_a_prompt_asks_nothing_anew(desk: WorkloadDesk, store: Store) -> None:
    desk.set_workload(small())
    settled(desk)
    question, revision = desk.question, desk.revision
    store.set_text("hello")
    assert (desk.question, desk.revision) == (question, revision)


def test_a_limit_is_in_force_once_it_is_filled_in(desk: WorkloadDesk) -> None:
    desk.set_workload(small())
    number = add(desk, "max_requests", "cheap")
    assert settled(desk)["limits"]["rows"][0]["state"] == "blank"
    desk.change_limits(Sheets.edit, number, "max_requests", "4")
    view = settled(desk)
    assert (
        view["limits"]["rows"][0] | {"state": "in force", "now": "now 4", "binds": True}
        == (view["limits"]["rows"][0])
    )
    assert view["limits"]["words"] == ["cheap: at most 4 requests"]
    assert view["answer"]["prices"] == ["requests of cheap: one request more would save $0.00018"]


def test_a_refused_entry_stays_typed_and_the_last_answer_stays(desk: WorkloadDesk) -> None:
    desk.set_workload(small())
    number = add(desk, "budget_usd", budget_usd="1")
    before = settled(desk)["answer"]["facts"]
    desk.change_limits(Sheets.edit, number, "budget_usd", "lots")
    view = settled(desk)
    row = view["limits"]["rows"][0]
    assert (row["state"], row["entries"][0]["typed"]) == ("refused", "lots")
    assert view["answer"]["facts"] == before


def test_an_infeasible_workload_says_so_and_a_click_makes_it_possible(desk: WorkloadDesk) -> None:
    desk.set_workload(small())
    desk.set_constraints(Constraints(budget_usd=0.001))
    view = settled(desk)["answer"]
    assert (view["state"], view["models"]) == ("infeasible", [])
    offer = view["infeasible"]["relaxations"][0]
    assert offer["applies"]
    with pytest.raises(InvalidInputError, match="the plan does not ask for that: 'do as I say'"):
        desk.relax([offer["words"], "do as I say"])
    assert desk.constraints == Constraints(budget_usd=0.001)
    desk.relax([offer["words"]])
    assert settled(desk)["answer"]["state"] == "ready"
    desk.change_limits(Sheets.undo)
    assert desk.constraints == Constraints(budget_usd=0.001)


def test_a_limit_on_a_model_that_is_removed_is_out_of_force(
    desk: WorkloadDesk, store: Store
) -> None:
    desk.set_workload(small())
    add(desk, "max_requests", "middle", max_requests="2")
    store.remove("middle")
    view = settled(desk)
    assert view["limits"]["rows"][0]["state"] == "refused"
    assert view["answer"]["state"] == "ready"
    store.undo()
    assert settled(desk)["limits"]["rows"][0]["state"] == "in force"


def test_the_outage_table_is_said_to_be_without_limits(desk: WorkloadDesk) -> None:
    desk.set_workload(small())
    assert settled(desk)["outages"]["note"] == ""
    add(desk, "max_requests", "cheap", max_requests="4")
    view = settled(desk)["outages"]
    assert view["note"].startswith("Of the routing without your limits")
    assert [row["model"] for row in view["rows"]] == ["middle", "cheap", "strong"]


def test_fleets_are_computed_only_where_they_are_looked_at(desk: WorkloadDesk) -> None:
    desk.set_workload(small())
    assert settled(desk)["fleet"]["points"] == []
    desk.show("fleet", True)
    points = settled(desk)["fleet"]["points"]
    assert [(p["k"], p["state"]) for p in points] == [(1, "proven"), (2, "proven"), (3, "proven")]


def test_the_least_shortfall_within_a_budget_is_planned(desk: WorkloadDesk) -> None:
    desk.set_workload(small())
    desk.set_constraints(Constraints(budget_usd=1))
    desk.change_limits(Sheets.aim, "shortfall")
    assert settled(desk)["answer"]["facts"][2]["text"] == "0.0000"


def test_switching_everything_off_is_said_in_words(desk: WorkloadDesk, store: Store) -> None:
    desk.set_workload(small())
    for model in POOL.names:
        store.edit_cell(model, "available", False)
    assert settled(desk)["answer"]["unassigned"] == (
        "16 of 16 requests have no model: none is available"
    )


def test_a_failing_plan_is_a_state_with_the_quick_answer_kept(
    desk: WorkloadDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("solver gone")

    monkeypatch.setattr("hydra_nb.widgets.workload_answers.plan", broken)
    desk.set_workload(small())
    view = settled(desk)["answer"]
    assert (view["state"], view["proof"]) == ("failed", "no proof: solver gone")
    assert view["facts"]
    monkeypatch.undo()
    desk.retry()
    assert settled(desk)["answer"]["state"] == "ready"


def test_a_newer_question_stops_a_plan_that_is_under_way(
    desk: WorkloadDesk, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()
    taus: list[float] = []

    def slow(problem: Any, *rest: Any, stop: Callable[[], bool], **options: Any) -> Any:
        taus.append(problem.tau)
        if len(taus) == 1:
            asked.set()
            eventually(stop)
            raise hy.errors.SolverError("stopped")
        return plan(problem, *rest, stop=stop, **options)

    monkeypatch.setattr("hydra_nb.widgets.workload_answers.plan", slow)
    desk.set_workload(small())
    assert asked.wait(20)
    store.set(tau=0.3)
    view = settled(desk)["answer"]
    assert (view["state"], taus) == ("ready", [0.1, 0.3])


def test_closing_ends_the_worker(store: Store) -> None:
    desk = WorkloadDesk(store)
    desk.set_workload(small())
    desk.close()
    desk.wait()
    assert desk.stage is None


# -- loading -------------------------------------------------------------------------------------


def test_the_bundled_workload_loads_in_the_background(desk: WorkloadDesk) -> None:
    desk.intake.sample("office")
    view = settled(desk)
    assert view["title"].startswith("office (bundled) · 400 prompts · 234,900 requests a month")


def test_pasted_lines_are_prompts(desk: WorkloadDesk) -> None:
    desk.intake.pasted("short\n\n" + "x" * 40 + "\r\n")
    settled(desk)
    assert desk.workload is not None
    assert desk.workload.texts == ("short", "x" * 40)


def test_pasted_objects_are_json_lines(desk: WorkloadDesk) -> None:
    desk.intake.pasted('{"text": "a", "arrivals": 3}\n{"text": "b"}')
    settled(desk)
    assert desk.workload is not None
    assert desk.workload.arrivals.tolist() == [3, 1]


def test_a_refused_file_names_row_and_rule_and_the_old_workload_stays(desk: WorkloadDesk) -> None:
    desk.set_workload(small())
    data = b"text,arrivals\nhello,2\nyou,-1\n"
    desk.intake.receive("mine.csv", len(data), 0, data)
    view = settled(desk)
    assert view["loading"]["state"] == "error"
    assert "mine.csv, row 3, arrivals" in view["loading"]["words"]
    assert "kept" in view["loading"]["words"]
    assert desk.workload is not None
    assert len(desk.workload) == 3


def test_a_file_arrives_in_parts(desk: WorkloadDesk, tmp_path: Path) -> None:
    path = tmp_path / "w.parquet"
    small().save(path)
    data = path.read_bytes()
    half = len(data) // 2
    desk.intake.receive("w.parquet", len(data), 0, data[:half])
    assert workload_view(desk)["loading"]["state"] == "receiving"
    desk.intake.receive("w.parquet", len(data), half, data[half:])
    settled(desk)
    assert desk.workload == replace(small(), name="w")


@pytest.mark.parametrize(
    ("name", "size", "offset", "said"),
    [
        ("w.csv", LIMIT_BYTES + 1, 0, "at most 25 MB"),
        ("w.exe", 10, 0, ".csv"),
        ("w.csv", 10, 5, "wrong order"),
    ],
)
def test_files_that_cannot_be_taken_are_refused_at_once(
    desk: WorkloadDesk, name: str, size: int, offset: int, said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        desk.intake.receive(name, size, offset, b"")
    assert said in workload_view(desk)["loading"]["words"]


def test_scoring_tells_how_far_it_is(store: Store) -> None:
    store.predictor = gated = Gated()
    intake, told = _intake(store)
    intake.pasted("\n".join(f"prompt {n}" for n in range(2 * CHUNK + 1)))
    for _ in range(3):
        gated.gate.release()
    intake.wait(20)
    assert [(at.done, at.total) for at in told if at.state == "scoring"][-1] == (33, 33)


def test_cancelling_keeps_the_old_workload_and_scores_no_further(store: Store) -> None:
    store.predictor = gated = Gated()
    intake, _ = _intake(store)
    intake.pasted("\n".join(f"prompt {n}" for n in range(4 * CHUNK)))
    eventually(lambda: gated.calls == 1)
    intake.cancel()
    gated.gate.release()
    intake.wait(20)
    assert (gated.calls, intake.loading.state) == (1, "idle")


def test_pasted_prompts_wait_for_the_encoder() -> None:
    store, gate = Store(POOL), threading.Event()

    def loader() -> ByLength:
        gate.wait(20)
        return ByLength()

    store.load(loader)
    desk = WorkloadDesk(store)
    desk.intake.pasted("hello")
    eventually(lambda: desk.intake.loading.state == "waiting")
    gate.set()
    settled(desk)
    assert desk.workload is not None


def test_an_encoder_that_never_comes_is_said() -> None:
    store = Store(POOL)

    def broken() -> ByLength:
        raise RuntimeError("no disk")

    store.load(broken).join()
    desk = WorkloadDesk(store)
    desk.intake.pasted("hello")
    desk.intake.wait(20)
    assert "no disk" in workload_view(desk)["loading"]["words"]


def _intake(store: Store) -> tuple[Intake, list[Any]]:
    told: list[Any] = []
    intake = Intake(store, changed=lambda: told.append(intake.loading), loaded=lambda *_: None)
    return intake, told


# -- the panel and the lab -----------------------------------------------------------------------


@pytest.fixture
def lab() -> Iterator[Any]:
    lab = hy.lab(POOL, predictor=ByLength())
    yield lab
    lab.close()


def panel_of(lab: Any) -> WorkloadPanel:
    return next(child for child in lab.children if isinstance(child, WorkloadPanel))


def send(panel: Any, action: str, buffers: Sequence[bytes] = (), **arguments: Any) -> Any:
    message = {"action": action, "number": "n", "arguments": arguments}
    panel._on_message(panel, message, list(buffers))
    return panel.view["reply"]


def test_the_view_is_plain_json(lab: Any) -> None:
    lab.workload = small()
    lab.constraints = FULL & Constraints(max_requests={"strong": 9})
    lab._desk.show("fleet", True)
    lab._desk.wait()
    json.dumps(panel_of(lab).view, allow_nan=False)


def test_the_browser_adds_edits_and_removes_limits(lab: Any) -> None:
    panel = panel_of(lab)
    lab.workload = small()
    number = send(panel, "add_limit", kind="budget_usd")["result"]
    assert send(panel, "edit_limit", number=number, entry="budget_usd", typed="5")["ok"]
    assert lab.constraints == Constraints(budget_usd=5)
    send(panel, "remove_limit", number=number)
    assert lab.constraints == Constraints()
    send(panel, "undo")
    assert lab.constraints == Constraints(budget_usd=5)


def test_a_file_comes_beside_its_message(lab: Any) -> None:
    data = b'{"text": "hello"}\n'
    reply = send(panel_of(lab), "upload", [data], name="w.jsonl", size=len(data), offset=0)
    assert reply["ok"]
    assert lab.workload.texts == ("hello",)


def test_unknown_actions_and_rows_are_refused(lab: Any) -> None:
    panel = panel_of(lab)
    assert not send(panel, "edit_limit", number=99, entry="budget_usd", typed="5")["ok"]
    assert not send(panel, "add_limit", kind="magic")["ok"]
    assert not send(panel, "show", section="magic", on=True)["ok"]
    assert not send(panel, "upload", name="w.csv", size=1, offset=0)["ok"]


def test_the_plan_of_the_lab_is_waited_for(lab: Any) -> None:
    assert hy.lab(POOL, predictor=ByLength()).plan is None
    lab.workload = small()
    lab.constraints = Constraints(max_models=2)
    assert lab.plan.status == "optimal"
    assert lab.plan.constraints == Constraints(max_models=2)


def test_only_a_workload_can_be_one(lab: Any) -> None:
    with pytest.raises(InvalidInputError, match="must be a Workload"):
        lab.workload = ["hello"]


def test_the_lab_opens_with_workload_and_constraints() -> None:
    lab = hy.lab(
        POOL,
        predictor=ByLength(),
        workload=small(),
        constraints=Constraints(budget_usd=1),
        objective="shortfall",
    )
    found = lab.plan
    assert found is not None
    assert (found.objective, found.constraints.budget_usd) == ("shortfall", 1)
    lab.close()


def test_the_code_of_the_lab_recreates_workload_and_limits(lab: Any) -> None:
    lab.catalog = Catalog.sample("paper_pool")
    lab._desk.intake.sample("office")
    lab._desk.wait()
    lab.constraints = Constraints(
        max_models=3, contracts={"gpt-5.4": (Contract("x", fee_usd=2.0),)}
    )
    send(panel_of(lab), "add_limit", kind="budget_usd")
    code = lab.to_code()
    assert "# Left out: 1 limit that is not in force." in code
    namespace: dict[str, Any] = {}
    exec(
        code.replace("hy.lab(\n    catalog,", "again = hy.lab(\n    catalog, predictor=predictor,"),
        {**globals()} | {"predictor": ByLength()},
        namespace,
    )
    again = namespace["again"]
    assert again.constraints == lab.constraints
    assert again.workload == lab.workload
    again.close()


def test_a_workload_that_no_expression_makes_is_named_in_a_comment(lab: Any) -> None:
    lab.workload = small()
    assert "# The workload (workload) is not in this cell" in lab.to_code()
