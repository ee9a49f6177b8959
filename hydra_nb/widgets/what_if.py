"""What if a price, τ or who is available were another: asked of `sensitivity`, in a thread.

The newest question wins. What takes no time (break-even prices, the τ staircase, outages) is handed
over first, the smallest changes and the map after it. A question that is worked on is finished: a
slider that moves all the time would otherwise never see an answer.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Literal

from hydra_nb.catalog import Catalog
from hydra_nb.decision import Decision
from hydra_nb.errors import InvalidInputError
from hydra_nb.problem import RoutingProblem
from hydra_nb.profile import MAX_USD_PER_MTOK
from hydra_nb.sensitivity import (
    BreakEven,
    Flip,
    OutageTable,
    Regions,
    Rows,
    Staircase,
    break_even_table,
    flips,
    outage_table,
    price_price_regions,
    price_tau_regions,
    tau_staircase,
)
from hydra_nb.widgets.background import Background

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 0.06
"""Before an answer, so that the verdict, which waits for the same interpreter, goes out first.

With the work itself this makes about ten answers a second.
"""

TAU_REACH = 1.5
"""Where the axis of τ ends, unless τ itself is beyond."""

FREE_REACH = 10.0
"""Where the axis of a price ends that is 0 and decides nothing, USD per 1M tokens."""

Price = Literal["input", "output"]
PRICE_FIELDS: dict[Price, str] = {
    "input": "usd_per_mtok_input",
    "output": "usd_per_mtok_output",
}


@dataclass(frozen=True)
class Axis:
    """One price of one model, as an axis."""

    model: str
    price: Price


@dataclass(frozen=True)
class Picks:
    """What the user looks at.

    Attributes:
        model: whose prices; `None` for the chosen model, whichever that is.
        price: which of them is the x axis of the map.
        across: the y axis of the map; `None` for τ.
    """

    model: str | None = None
    price: Price = "output"
    across: Axis | None = None


@dataclass(frozen=True)
class Question:
    """A problem of one query, and what to ask of it.

    Attributes:
        problem: the problem; two of them are the same only if they are one object.
        opened: the catalog as it was opened: axes of prices reach as far as its prices ask for.
        x: the x axis of the map; its model is the one whose prices are shown.
        y: the y axis; `None` for τ.
    """

    problem: RoutingProblem
    opened: Catalog
    x: Axis
    y: Axis | None

    @classmethod
    def of(cls, decision: Decision, opened: Catalog, picks: Picks) -> Question | None:
        """Return what `picks` ask about a decision; `None` where the catalog is empty.

        What is no longer there falls back: the model to the chosen one, the y axis to τ.
        """
        names = decision.problem.catalog.names
        if not names:
            return None
        model = picks.model
        if model not in names:
            model = decision.chosen.name if decision.chosen else names[0]
        x, y = Axis(model, picks.price), picks.across
        if y is not None and (y == x or y.model not in names):
            y = None
        return cls(decision.problem, opened, x, y)


@dataclass(frozen=True, eq=False)
class Answer:
    """What `sensitivity` says to a question; `flips` and `regions` follow after the rest."""

    question: Question
    break_even: Rows[BreakEven]
    staircase: Staircase
    outages: OutageTable
    flips: Rows[Flip] | None = None
    regions: Regions | None = None
    seconds: float = 0.0

    def of(self, axis: Axis) -> BreakEven:
        """Return the break-even of one price of one model."""
        return next(b for b in self.break_even if (b.model, b.price) == (axis.model, axis.price))

    def reach(self, axis: Axis | None) -> float:
        """Return where an axis ends: twice the larger of the opened and the break-even price.

        A price beyond stretches the axis, but never while the hand is on it: it reaches no further
        than the end of the axis. `None` is the axis of τ.
        """
        problem, opened = self.question.problem, self.question.opened
        if axis is None:
            return max(TAU_REACH, math.ceil(problem.tau))
        field, threshold = PRICE_FIELDS[axis.price], float(self.of(axis).threshold[0])
        before = getattr(opened[axis.model], field) if axis.model in opened.names else 0.0
        reach = 2 * max(before, threshold if math.isfinite(threshold) else 0.0)
        now = getattr(problem.catalog[axis.model], field)
        return min(_round_up(max(reach, now) or FREE_REACH), MAX_USD_PER_MTOK)


def _round_up(value: float) -> float:
    """Return the next of 1, 1.5, 2, 3, 4, 5, 6, 8, 10 times a power of ten."""
    power: float = 10.0 ** math.floor(math.log10(value))
    steps = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
    return next(round(s * power, 12) for s in steps if s * power >= value * (1 - 1e-12))


@dataclass(frozen=True)
class WhatIf:
    """What is asked, and the last answer.

    Attributes:
        on: whether anybody looks; else nothing is asked.
        picks: what the user looks at.
        answer: the last one; the problem on screen may be newer.
        failed: the question that could not be answered, with `message`.
        message: why.
    """

    on: bool = False
    picks: Picks = Picks()
    answer: Answer | None = None
    failed: Question | None = None
    message: str = ""

    def lacks(self, question: Question) -> bool:
        """Return whether the question has neither its whole answer nor failed."""
        if question == self.failed:
            return False
        answer = self.answer
        return answer is None or answer.question != question or answer.regions is None


def first_answer(question: Question) -> Answer:
    """Return what takes no time."""
    started, problem = time.perf_counter(), question.problem
    answer = Answer(
        question, break_even_table(problem), tau_staircase(problem), outage_table(problem)
    )
    return replace(answer, seconds=time.perf_counter() - started)


def whole_answer(answer: Answer) -> Answer:
    """Return the answer with flips and map."""
    started, question = time.perf_counter(), answer.question
    problem, x, y = question.problem, question.x, question.y
    x_reach, y_reach = answer.reach(x), answer.reach(y)
    if y is None:
        regions = price_tau_regions(
            problem, x.model, price=x.price, price_max=x_reach, tau_max=y_reach
        )
    else:
        regions = price_price_regions(
            problem,
            x.model,
            y.model,
            price_a=x.price,
            price_b=y.price,
            max_a=x_reach,
            max_b=y_reach,
        )
    found = replace(answer, flips=flips(problem), regions=regions)
    return replace(found, seconds=answer.seconds + time.perf_counter() - started)


Deliver = Callable[[Question, Answer | None, str], None]
"""Receives a question with an answer, or with the message of a failure."""


class Analyst:
    """Answers questions while there are any.

    Args:
        lock: guards what `wanted` looks at; `wake` is called under it.
        wanted: the newest question without an answer, `None` where there is none.
        deliver: takes what came out, called without the lock.
    """

    def __init__(
        self,
        lock: AbstractContextManager[Any],
        wanted: Callable[[], Question | None],
        deliver: Deliver,
    ) -> None:
        self._background = Background(lock, wanted, self._answer)
        self._deliver = deliver

    def wake(self) -> None:
        """Look for questions; called under the lock."""
        self._background.wake()

    def _answer(self, _: Question) -> None:
        time.sleep(PAUSE_SECONDS)
        newest = self._background.newest()
        if newest is None:
            return
        try:
            answer = first_answer(newest)
            self._deliver(newest, answer, "")
            self._deliver(newest, whole_answer(answer), "")
        # Whatever goes wrong here is a state of the screen, not the end of the thread.
        except Exception as error:
            logger.exception("the analysis failed")
            self._deliver(newest, None, str(error) or repr(error))


def as_number(value: object, what: str) -> float:
    """Return what a browser sent as a float; `InvalidInputError` where it is no number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            return float(value)
    raise InvalidInputError(f"{what} must be a number; received {value!r:.80}")
