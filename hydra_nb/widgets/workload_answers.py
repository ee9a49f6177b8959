"""Answers on a workload, in a thread of its own: the quick one first, then the certificate.

Every question goes through stages, cheapest first. The first is run for each new question at once;
the slower ones wait until the question has stood for a moment, and stop when a newer one arrives.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

from hydra_nb.errors import HydraError
from hydra_nb.problem import RoutingProblem
from hydra_nb.sensitivity import OutageTable, outage_table
from hydra_nb.solver import Plan, PlanningStoppedError, plan
from hydra_nb.solver.coupling import couple
from hydra_nb.widgets.workload_fleet import Points, fleet_points, quick_fleet
from hydra_nb.widgets.workload_results import (
    Question,
    Routing,
    by_fleet,
    by_plan,
    by_rule,
    formulated,
    lower_bound,
)

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 0.1
"""A question that has stood for so long gets the slow answers too."""
SPACING_SECONDS = 0.08
"""First answers come no faster: a dragged slider would fill the line to the browser."""
PLAN_SECONDS = 30.0

Stop = Callable[[], bool]


@dataclass(frozen=True, eq=False)
class Answers:
    """What is known so far.

    Attributes:
        question: what was asked.
        problem: the routing problem; `None` where it could not be made.
        routing: where the requests go; `None` where that is not known yet, or there is no plan.
        bound: no plan costs less, micro-USD; NaN where nobody said.
        plan: the certificate.
        outages: of the routing without constraints.
        fleet: K against cost.
        fleet_done: whether every K has its last word.
        failures: by stage, what went wrong.
        milliseconds: of the first answer.
    """

    question: Question
    problem: RoutingProblem | None = None
    routing: Routing | None = None
    bound: float = float("nan")
    plan: Plan | None = None
    outages: OutageTable | None = None
    fleet: Points | None = None
    fleet_done: bool = False
    failures: Mapping[str, str] = field(default_factory=dict)
    milliseconds: float = 0.0


def next_stage(question: Question, answers: Answers | None, *, fleet: bool) -> str | None:
    """Return what is to be computed next; `None`: everything that is wanted is there."""
    if answers is None or answers.question is not question:
        return "first"
    if "first" in answers.failures:
        return None
    missing = {
        "plan": answers.plan is None,
        "outages": answers.outages is None,
        "fleet": fleet and not answers.fleet_done,
    }
    return next((s for s, m in missing.items() if m and s not in answers.failures), None)


def first_answer(question: Question, before: Routing | None) -> Answers:
    """Return the exact answer where nothing couples the requests, else a quick fleet or a bound."""
    started = time.perf_counter()
    problem = formulated(question, before)
    answers = Answers(question, problem)
    if question.is_free:
        routing = by_rule(question, problem)
        answers = replace(answers, routing=routing, bound=routing.cost_micro_usd)
    elif question.objective == "cost":
        coupled = couple(problem, question.constraints, "cost")
        commitments = any(offer.contract.commitment_usd for offer in coupled.offers)
        bound = lower_bound(question, problem)
        used = None
        if coupled.is_open_only and coupled.requests and not commitments:
            used = quick_fleet(coupled)
        quick = None if used is None else by_fleet(question, coupled, used)
        answers = replace(answers, routing=quick, bound=bound)
    return replace(answers, milliseconds=(time.perf_counter() - started) * 1000)


def further_answers(stage: str, answers: Answers, stop: Stop) -> Iterator[Answers]:
    """Yield the answers with one more stage in them."""
    assert answers.problem is not None
    problem, question = answers.problem, answers.question
    if stage == "plan":
        found = plan(
            problem,
            question.constraints,
            objective=question.objective,
            seconds=PLAN_SECONDS,
            stop=stop,
        )
        if found.status == "infeasible":
            yield replace(answers, plan=found, routing=None)
        elif question.is_free:
            yield replace(answers, plan=found)
        else:
            yield replace(answers, plan=found, routing=by_plan(question, found))
    elif stage == "outages":
        yield replace(answers, outages=outage_table(problem))
    else:
        for points in fleet_points(problem, question.constraints, stop):
            answers = replace(answers, fleet=points)
            yield answers
        yield replace(answers, fleet_done=True)


class Answerer:
    """Runs stages while there are any to run; the newest question wins.

    Args:
        lock: guards what the callables look at; `wake` is called under it.
        wanted: the newest question, `None` where there is none.
        known: the answers so far.
        shows_fleet: whether K against cost is wanted.
        last: the last routing, whose problem may save formulating anew.
        deliver: takes answers over, called without the lock; False: the question is old.
    """

    def __init__(
        self,
        lock: AbstractContextManager[Any],
        *,
        wanted: Callable[[], Question | None],
        known: Callable[[], Answers | None],
        shows_fleet: Callable[[], bool],
        last: Callable[[], Routing | None],
        deliver: Callable[[Answers], bool],
    ) -> None:
        self._lock = lock
        self._wanted, self._known, self._shows_fleet = wanted, known, shows_fleet
        self._last, self._deliver = last, deliver
        self._thread: threading.Thread | None = None
        self._changed = threading.Event()
        self._first_at = 0.0

    def wake(self) -> None:
        """Look for what is to be computed, now or as soon as what is under way has stopped."""
        self._changed.set()
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Return whether everything that is wanted is there, after at most `seconds`."""
        ends = time.monotonic() + seconds
        while (thread := self._thread) is not None and thread is not threading.current_thread():
            thread.join(max(0.0, ends - time.monotonic()))
            if time.monotonic() >= ends:
                return False
        return True

    def _run(self) -> None:
        settled: Question | None = None
        while True:
            with self._lock:
                question, answers = self._wanted(), self._known()
                stage = None
                if question is not None:
                    stage = next_stage(question, answers, fleet=self._shows_fleet())
                if question is None or stage is None:
                    self._thread = None
                    return
                self._changed.clear()
            if stage == "first":
                time.sleep(max(0.0, self._first_at + SPACING_SECONDS - time.monotonic()))
                self._first_at = time.monotonic()
                with self._lock:
                    question = self._wanted()
                if question is not None:
                    self._begin(question)
                continue
            if question is not settled:
                if self._changed.wait(PAUSE_SECONDS):
                    continue
                settled = question
            assert answers is not None
            self._go_on(stage, answers)

    def _begin(self, question: Question) -> None:
        try:
            answers = first_answer(question, self._last())
        except HydraError as error:
            answers = Answers(question, failures={"first": str(error)})
        # A workload may be anybody's: its failure is a state of the screen, not its end.
        except Exception as error:
            logger.exception("the workload has no answer")
            answers = Answers(question, failures={"first": str(error) or repr(error)})
        self._deliver(answers)

    def _go_on(self, stage: str, answers: Answers) -> None:
        question = answers.question

        def stop() -> bool:
            closed = stage == "fleet" and not self._shows_fleet()
            return closed or self._wanted() is not question

        try:
            for further in further_answers(stage, answers, stop):
                answers = further
                if not self._deliver(answers) or stop():
                    return
        except HydraError as error:
            # A plan that was stopped for a newer question is no failure.
            if not (isinstance(error, PlanningStoppedError) and stop()):
                self._failed(stage, answers, error)
        except Exception as error:
            logger.exception("no answer to %s", stage)
            self._failed(stage, answers, error)

    def _failed(self, stage: str, answers: Answers, error: Exception) -> None:
        failures = {**answers.failures, stage: str(error) or repr(error)}
        self._deliver(replace(answers, failures=failures))
