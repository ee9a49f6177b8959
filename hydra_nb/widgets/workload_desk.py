"""Everything the workload panel shows that changes: workload, limits, answers, comparison.

Beside the `Store`, whose catalog, threshold and weights it follows. All edits take the store's
lock; loading and answering run in threads of their own and hand over what they have found.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hydra_nb.errors import InvalidInputError
from hydra_nb.solver import Constraints, Plan
from hydra_nb.widgets.limit_rows import RowsRead, read_rows
from hydra_nb.widgets.limit_sheets import Sheets
from hydra_nb.widgets.store import Store
from hydra_nb.widgets.workload_answers import Answerer, Answers, next_stage
from hydra_nb.widgets.workload_comparison import Comparison, changed_words, compare
from hydra_nb.widgets.workload_intake import Intake
from hydra_nb.widgets.workload_loading import Source
from hydra_nb.widgets.workload_results import Question, Routing

if TYPE_CHECKING:
    from hydra_nb.workload import Workload

ONE_EDIT_SECONDS = 2.0
"""Edits of one thing that follow each other faster are one edit, compared with what was before."""
SECTIONS = ("short", "outages", "fleet")


class WorkloadDesk:
    """A workload with limits, and what follows from them.

    Args:
        store: whose catalog, threshold and weights apply.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.lock = store.lock
        self.revision = 0
        self.workload: Workload | None = None
        self.source = Source("")
        self.intake = Intake(store, changed=self._notify, loaded=self.set_workload)
        self.sheets = Sheets()
        self.read: RowsRead = read_rows((), store.catalog)
        self.question: Question | None = None
        self.answers: Answers | None = None
        # The last good routing: faded while a newer question has none yet.
        self.routing: Routing | None = None
        self.before: Routing | None = None
        self.baseline: Routing | None = None
        self.comparison: Comparison | None = None
        self._compared: tuple[Routing | None, Routing | None] = (None, None)
        self.sections = frozenset({"outages"})
        self._edited: tuple[str, float] = ("", 0.0)
        self._listeners: list[Callable[[], None]] = []
        self._answerer = Answerer(
            self.lock,
            wanted=lambda: self.question,
            known=lambda: self.answers,
            shows_fleet=lambda: "fleet" in self.sections,
            last=lambda: self.routing,
            deliver=self._answered,
        )
        store.subscribe(self._follow)

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change, under the lock."""
        self._listeners.append(listener)

    def unsubscribe(self, listener: Callable[[], None]) -> None:
        """Stop calling `listener`; one that was never subscribed is ignored."""
        with self.lock:
            self._listeners = [kept for kept in self._listeners if kept != listener]

    def close(self) -> None:
        """Stop whatever is under way and follow the store no more."""
        self.store.unsubscribe(self._follow)
        with self.lock:
            self._listeners = []
            self.workload, self.question = None, None
            self.intake.cancel()

    def wait(self, seconds: float = 60.0) -> None:
        """Return once loading and answering are done, or after `seconds`."""
        ends = time.monotonic() + seconds
        self.intake.wait(seconds)
        self._answerer.wait(max(0.0, ends - time.monotonic()))

    def wait_for_plan(self, seconds: float = 60.0) -> Plan | None:
        """Return the plan of the current question once it is there; `None`: not in time, or none.

        `None` too where a stage failed; the screen says why.
        """
        self.intake.wait(seconds)
        ends = time.monotonic() + seconds
        while self.stage in ("first", "plan") and time.monotonic() < ends:
            time.sleep(0.01)
        return self.plan

    # -- workload ------------------------------------------------------------------------------

    def set_workload(self, workload: Workload, source: Source | None = None) -> None:
        """Show another workload; what was compared with is forgotten."""
        from hydra_nb.workload import Workload

        if not isinstance(workload, Workload):
            raise InvalidInputError(
                f"workload must be a Workload, such as Workload.sample('office'); "
                f"received {workload!r:.80}"
            )
        with self.lock:
            self.intake.cancel()
            self.workload = workload
            self.source = source or Source("")
            self.answers = self.routing = self.before = self.baseline = None
            self._compared, self.comparison = (None, None), None
            self._edited = ("", 0.0)
            self.question = None
            self._ask("")
            self._notify()

    def clear(self) -> None:
        """Forget the workload; the limits stay."""
        with self.lock:
            self.intake.cancel()
            self.workload, self.question = None, None
            self.answers = self.routing = self.before = self.baseline = None
            self._compared, self.comparison = (None, None), None
            self._notify()

    # -- limits --------------------------------------------------------------------------------

    @property
    def constraints(self) -> Constraints:
        """Return the constraints in force."""
        return self.read.constraints

    def change_limits(self, change: Callable[..., Sheets], *arguments: Any) -> int:
        """Do an edit of `Sheets`, `change_limits(Sheets.remove, 3)`; return the last row's number.

        Raises:
            InvalidInputError: the edit was refused; nothing has changed.
        """
        with self.lock:
            self.sheets = change(self.sheets, *arguments)
            self.read = read_rows(self.sheets.current.rows, self.store.catalog)
            self._ask("limits")
            self._notify()
            return self.sheets.made

    def relax(self, listed: Sequence[str]) -> None:
        """Do what the plan on screen asks for where it is impossible, by its words.

        Raises:
            InvalidInputError: the plan on screen does not ask for that, or it is a term of a
                contract; nothing has changed.
        """
        with self.lock:
            reason = self.plan.infeasibility if self.plan is not None else None
            offered = (*reason.relaxations, *reason.together) if reason is not None else ()
            chosen = []
            for words in listed:
                limit = next((limit for limit in offered if limit.words == words), None)
                if limit is None:
                    raise InvalidInputError(f"the plan does not ask for that: {words!r:.160}")
                chosen.append(limit)
            self.change_limits(Sheets.relax, self.constraints, chosen)

    def set_constraints(self, constraints: Constraints) -> None:
        """Show other limits; undo brings the old ones back."""
        if not isinstance(constraints, Constraints):
            raise InvalidInputError(
                f"constraints must be Constraints; received {constraints!r:.80}"
            )
        constraints.check_against(self.store.catalog)
        self.change_limits(Sheets.put, constraints)

    # -- questions and answers -----------------------------------------------------------------

    @property
    def is_stale(self) -> bool:
        """Return whether the routing on screen belongs to an older question."""
        return self.routing is not None and self.routing.question is not self.question

    @property
    def stage(self) -> str | None:
        """Return what is being computed; `None`: everything that is wanted is there."""
        if self.question is None:
            return None
        return next_stage(self.question, self.answers, fleet="fleet" in self.sections)

    @property
    def plan(self) -> Plan | None:
        """Return the plan of the current question; `None` where there is none yet."""
        if self.answers is None or self.answers.question is not self.question:
            return None
        return self.answers.plan

    def show(self, section: str, on: bool) -> None:
        """Open or close a section; a closed fleet is not computed."""
        if section not in SECTIONS:
            raise InvalidInputError(f"unknown section {section!r:.80}; known: {SECTIONS}")
        with self.lock:
            self.sections = self.sections | {section} if on else self.sections - {section}
            if self.question is not None:
                self._answerer.wake()
            self._notify()

    def retry(self) -> None:
        """Ask again what had failed."""
        with self.lock:
            if self.question is not None:
                self.question = replace(self.question)
                self._answerer.wake()
            self._notify()

    def keep_baseline(self, on: bool) -> None:
        """Compare with the routing on screen from now on, or with the one before each edit."""
        with self.lock:
            if not on:
                self.baseline = None
            elif self.routing is not None and not self.is_stale:
                self.baseline = self.routing
            else:
                raise InvalidInputError("there is no finished routing to keep yet")
            self._compare(self.routing)
            self._notify()

    @property
    def reference(self) -> Routing | None:
        """Return what the routing on screen is compared with."""
        return self.baseline or self.before

    @property
    def changed(self) -> str:
        """Return in words what is different from the reference."""
        if self.reference is None or self.routing is None:
            return ""
        return changed_words(self.reference.question, self.routing.question)

    def _follow(self) -> None:
        """Follow the store: under its lock, after each of its changes."""
        asked = self.question
        catalog = self.store.catalog
        read = self.read
        if asked is None or catalog is not asked.catalog:
            self.read = read_rows(self.sheets.current.rows, catalog)
        self._ask(self.store.history.current.label if asked and catalog != asked.catalog else "τ")
        if self.question is not asked or self.read != read:
            self._notify()

    def _ask(self, edit: str) -> None:
        """Make the question of what is on screen now, and have it answered if it is a new one."""
        if self.workload is None:
            return
        settings = self.store.settings
        question = Question(
            workload=self.workload,
            catalog=self.store.catalog,
            tau=settings.tau,
            dimension_weights=settings.dimension_weights,
            constraints=self.read.constraints,
            objective=self.sheets.current.objective,
        )
        if question.is_same_as(self.question):
            return
        if self.question is not None:
            self._remember(edit)
        self.question = question
        self._answerer.wake()

    def _remember(self, edit: str) -> None:
        """Keep the routing on screen as "before", unless this goes on with the last edit."""
        last, at = self._edited
        now = time.monotonic()
        goes_on = edit == last and now - at < ONE_EDIT_SECONDS
        self._edited = (edit, now)
        if self.routing is not None and not goes_on:
            self.before = self.routing

    def _answered(self, answers: Answers) -> bool:
        """Take answers over; what is compared is compared before the lock is taken."""
        routing = answers.routing
        reference = self.reference
        found = None
        if routing is not None and self._compared != (reference, routing):
            found = _compared(reference, routing)
        with self.lock:
            if answers.question is not self.question:
                return False
            self.answers = answers
            if routing is not None:
                self.routing = routing
                if found is not None and reference is self.reference:
                    self.comparison, self._compared = found, (reference, routing)
                else:
                    self._compare(routing)
            elif answers.plan is not None or answers.failures.get("first"):
                # Proven that there is none: what was there no longer answers anything.
                self.routing = None if answers.plan is not None else self.routing
                self.comparison, self._compared = None, (None, None)
            self._notify()
        return True

    def _compare(self, routing: Routing | None) -> None:
        if self._compared != (self.reference, routing):
            self.comparison = None if routing is None else _compared(self.reference, routing)
            self._compared = (self.reference, routing)

    def _notify(self) -> None:
        self.revision += 1
        for listener in self._listeners:
            listener()


def _compared(reference: Routing | None, routing: Routing) -> Comparison | None:
    if reference is None or reference.question.workload is not routing.question.workload:
        return None
    return compare(reference, routing)
