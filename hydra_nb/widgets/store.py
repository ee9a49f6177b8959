"""The one place where everything that changes on screen is kept.

Plain Python, no widget: panels subscribe, show `Store` through `views` and send edits here. Each
edit takes the lock, since JupyterLab runs widget callbacks in another thread while a cell runs and
the encoder arrives from a thread of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hydra_nb.catalog import Catalog
from hydra_nb.decision import explain
from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import CatalogError, InvalidInputError, SolverError
from hydra_nb.problem import formulate
from hydra_nb.profile import ModelProfile
from hydra_nb.requirements import Requirements
from hydra_nb.routing import Predictor
from hydra_nb.solver import assignment_program
from hydra_nb.tokens import estimate_tokens
from hydra_nb.widgets.cell_text import read_cell
from hydra_nb.widgets.explaining import Contributions, Explainer, Request
from hydra_nb.widgets.history import History
from hydra_nb.widgets.reading import Reading, read
from hydra_nb.widgets.state import Pinned, Ruling, Scoring, Settings, Why, WhyState
from hydra_nb.widgets.what_if import (
    PRICE_FIELDS,
    Analyst,
    Answer,
    Picks,
    Question,
    WhatIf,
)

logger = logging.getLogger(__name__)


class Store:
    """Prompt, catalog, settings, and what follows from them.

    Args:
        catalog: the catalog to open.
        predictor: scores the prompt; `None` while it is still loading (`attach`).
        settings: threshold, weights, tokens.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        predictor: Predictor | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self.history = History.start(catalog)
        self.settings = settings or Settings()
        self.text = ""
        self.revision = 0
        self.scoring = Scoring()
        # After a failure the text on screen is newer than the one that was read.
        self.reading: Reading | None = None
        self.ruling: Ruling | None = None
        self.why = Why()
        self.what_if = WhatIf()
        self.pinned: Pinned | None = None
        self.predictor = predictor
        self._explainer = Explainer(self.lock, self._to_explain, self._explained)
        self._analyst = Analyst(self.lock, self._to_analyse, self._analysed)
        self._loader_failed: Callable[[], Predictor] | None = None
        self._load_error = ""
        self._loading: threading.Thread | None = None
        self._listeners: list[Callable[[], None]] = []
        self._decide()

    @property
    def catalog(self) -> Catalog:
        """Return the catalog as it is now."""
        return self.history.current.catalog

    @property
    def requirements(self) -> Requirements | None:
        """Return the requirements that were read last; `None` where there is no prompt."""
        return self.reading.requirements if self.reading else None

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change, under the lock."""
        self._listeners.append(listener)

    def unsubscribe(self, listener: Callable[[], None]) -> None:
        """Stop calling `listener`; one that was never subscribed is ignored."""
        with self.lock:
            self._listeners = [kept for kept in self._listeners if kept != listener]

    # -- predictor and prompt ----------------------------------------------------------------

    def load(self, loader: Callable[[], Predictor]) -> threading.Thread:
        """Run `loader` in the background and score what was typed meanwhile once it is done."""
        self._loading = threading.Thread(target=self._load, args=(loader,), daemon=True)
        self._loading.start()
        return self._loading

    def wait(self, seconds: float = 60.0) -> None:
        """Return once no encoder is loading any more, or after `seconds`."""
        if self._loading is not None and self._loading is not threading.current_thread():
            self._loading.join(seconds)

    def _load(self, loader: Callable[[], Predictor]) -> None:
        try:
            predictor = loader()
        # Whatever a predictor of the user's own raises, the lab must say it rather than wait on.
        except Exception as error:
            logger.exception("the predictor could not be loaded")
            with self.lock:
                self._loader_failed, self._load_error = loader, str(error) or repr(error)
                self._score()
                self._notify()
            return
        self.attach(predictor)

    @property
    def encoder_failure(self) -> str:
        """Return why the encoder could not be loaded; empty where it is there or on its way."""
        return self._load_error if self._loader_failed is not None else ""

    def attach(self, predictor: Predictor) -> None:
        """Score with `predictor` from now on."""
        with self.lock:
            self.predictor = predictor
            self._score()
            self._notify()

    def set_text(self, text: str, *, revision: int | None = None) -> None:
        """Make `text` the prompt and score it; the last scores stay if that fails."""
        if not isinstance(text, str):
            raise InvalidInputError(f"text must be a str; received {text!r:.80}")
        with self.lock:
            self.text = text
            self.revision = self.revision + 1 if revision is None else revision
            self._score()
            self._notify()

    def retry(self) -> None:
        """Score the prompt again, loading the encoder first where that had failed."""
        with self.lock:
            loader, self._loader_failed = self._loader_failed, None
            if loader is not None:
                self.scoring = Scoring("warming", revision=self.revision)
                self._notify()
                self.load(loader)
            else:
                self._score()
                self._notify()

    def pin(self) -> None:
        """Keep the current prompt as A, or forget A where it is the current prompt."""
        with self.lock:
            if self.pinned is not None and self.pinned.text == self.text:
                self.pinned = None
            elif self.reading is not None:
                chosen = self.ruling.decision.chosen if self.ruling else None
                name = chosen.name if chosen else None
                self.pinned = Pinned(self.reading.text, self.reading.requirements, name)
            self._notify()

    def _score(self) -> None:
        if self.predictor is None and self._loader_failed is not None:
            message = f"the encoder could not be loaded: {self._load_error}"
            self.scoring = Scoring("error", message, revision=self.revision)
            return
        if not self.text.strip():
            self.reading = None
            self.scoring = Scoring("empty", revision=self.revision)
        elif self.predictor is None:
            self.scoring = Scoring("warming", revision=self.revision)
        else:
            started = time.perf_counter()
            try:
                self.reading = read(self.predictor, self.text, self.settings.turn)
            # A predictor may be anybody's: its failure is a state of the screen, not its end.
            except Exception as error:
                logger.exception("scoring failed")
                message = str(error) or repr(error)
                self.scoring = Scoring("error", message, revision=self.revision)
                return
            elapsed = (time.perf_counter() - started) * 1000
            self.scoring = Scoring("scored", "", elapsed, self.revision)
        self._decide()
        self._ask_why()

    # -- why: what each word contributes -------------------------------------------------------

    def show_why(self, on: bool) -> None:
        """Explain the prompt's words from now on, or no longer; after a failure, try again."""
        if not isinstance(on, bool):
            raise InvalidInputError(f"on must be True or False; received {on!r:.80}")
        with self.lock:
            failed = self.why.state == "error"
            reading = None if failed else self.why.reading
            self.why = replace(self.why, on=on, reading=reading)
            self._ask_why()
            self._notify()

    def show_why_of(self, dimension: str) -> None:
        """Show what the words contribute to this dimension, also for the prompts to come."""
        if dimension not in DIMENSIONS:
            known = ", ".join(DIMENSIONS)
            raise InvalidInputError(f"unknown dimension {dimension!r:.80}; known: {known}")
        with self.lock:
            self.why = replace(self.why, dimension=dimension)
            self._notify()

    def _ask_why(self) -> None:
        if self.reading is None:
            self.why = replace(self.why, state="idle", reading=None, contributions=None)
        elif self._to_explain() is not None:
            self.why = replace(self.why, state="running", message="")
            self._explainer.wake()

    def _to_explain(self) -> Request | None:
        explains = getattr(self.predictor, "explain", None)
        if not self.why.on or self.reading is None or self.why.reading is self.reading:
            return None
        return Request(explains, self.reading) if callable(explains) else None

    def _explained(self, reading: Reading, found: Contributions | None, failure: str) -> None:
        with self.lock:
            if reading is not self.reading:
                return  # the prompt has changed meanwhile
            state: WhyState = "error" if found is None else "ready"
            self.why = replace(
                self.why, state=state, message=failure, reading=reading, contributions=found
            )
            self._notify()

    # -- what if: how the decision depends on prices, τ and who is available ------------------

    @property
    def question(self) -> Question | None:
        """Return what is asked of the decision on screen; `None` where there is none."""
        if self.ruling is None:
            return None
        opened = self.history.current.opened
        return Question.of(self.ruling.decision, opened, self.what_if.picks)

    def show_what_if(self, on: bool) -> None:
        """Ask what would change the decision from now on, or no longer."""
        with self.lock:
            self.what_if = replace(self.what_if, on=on)
            self._notify()

    def pick(self, picks: Picks) -> None:
        """Look at other prices from now on."""
        with self.lock:
            self.what_if = replace(self.what_if, picks=picks)
            self._notify()

    def analyse_again(self) -> None:
        """Ask again what could not be answered."""
        with self.lock:
            self.what_if = replace(self.what_if, failed=None, message="")
            self._notify()

    def _to_analyse(self) -> Question | None:
        question = self.question if self.what_if.on else None
        return question if question is not None and self.what_if.lacks(question) else None

    def _analysed(self, question: Question, answer: Answer | None, failure: str) -> None:
        with self.lock:
            if answer is not None:
                self.what_if = replace(self.what_if, answer=answer, failed=None, message="")
            elif question == self.question:
                self.what_if = replace(self.what_if, failed=question, message=failure)
            self._notify()

    # -- settings ----------------------------------------------------------------------------

    def set(self, **changes: Any) -> None:
        """Change settings; on `InvalidInputError` the old ones stay."""
        with self.lock:
            settings = replace(self.settings, **changes)
            ruling = self._rule(settings, self.catalog)
            turn_changed = settings.turn != self.settings.turn
            self.settings, self.ruling = settings, ruling
            if turn_changed:
                self._score()
            self._notify()

    # -- catalog: each raises CatalogError and changes nothing on bad input --------------------

    def edit_cell(self, model: str, field_name: str, typed: object) -> None:
        """Read `typed` into one cell of the catalog; `model` is named, since rows move."""
        with self.lock:
            profile = self.catalog[model]
            value = read_cell(field_name, typed)
            catalog = self.catalog.replace(profile.name, **{field_name: value})
            self._change(catalog, f"{field_name} of {profile.name}")

    def drag_price(self, model: str, field_name: str, usd: float, drag: str) -> None:
        """Set a price that moves under the hand, USD per 1M tokens; one `drag` is one undo step."""
        if field_name not in PRICE_FIELDS.values():
            known = ", ".join(PRICE_FIELDS.values())
            raise InvalidInputError(f"field must be one of {known}; received {field_name!r:.80}")
        with self.lock:
            catalog = self.catalog.replace(model, **{field_name: usd})
            self.move_to(catalog, label=f"{field_name} of {model}", drag=drag)

    def move_to(self, catalog: Catalog, *, label: str, drag: str = "", **settings: Any) -> None:
        """Take over an edited catalog and settings at once; on a refusal the old ones stay."""
        with self.lock:
            changed = replace(self.settings, **settings)
            ruling = self._rule(changed, catalog)
            self.settings, self.ruling = changed, ruling
            self.history = self.history.edit(catalog, label, drag=drag)
            self._notify()

    def add(self) -> str:
        """Add a model with middling figures and a free name; return the name."""
        with self.lock:
            profile = ModelProfile(
                name=self._free_name("new-model"),
                provider="custom",
                reasoning=0.5,
                code_generation=0.5,
                debugging=0.5,
                tool_use=0.5,
                usd_per_mtok_input=1.0,
                usd_per_mtok_output=4.0,
                context_window=128_000,
            )
            self._change(self.catalog.add(profile), f"add {profile.name}")
            return profile.name

    def duplicate(self, model: str) -> str:
        """Add a copy below `model`; return its name."""
        with self.lock:
            profile = self.catalog[model]
            position = self.catalog.index(model) + 1
            copy = profile.changed(name=self._free_name(f"{profile.name}-copy"))
            self._change(self.catalog.add(copy, position=position), f"duplicate {profile.name}")
            return copy.name

    def remove(self, model: str) -> None:
        """Remove a model; the last one stays."""
        with self.lock:
            profile = self.catalog[model]
            if len(self.catalog) == 1:
                raise CatalogError("the last model cannot be removed", model=repr(profile.name))
            self._change(self.catalog.remove(profile.name), f"remove {profile.name}")

    def replace_catalog(self, catalog: Catalog, *, label: str) -> None:
        """Show another catalog; undo brings the old one back."""
        with self.lock:
            self._move(self.history.open(catalog, label))

    def reset(self) -> None:
        """Go back to the catalog as it was opened; undo brings the edits back."""
        with self.lock:
            self._change(self.history.current.opened, "reset")

    def undo(self) -> None:
        """Take the last edit of the catalog back."""
        with self.lock:
            self._move(self.history.undo())

    def redo(self) -> None:
        """Take the last undo back."""
        with self.lock:
            self._move(self.history.redo())

    def _free_name(self, wanted: str) -> str:
        wanted = wanted[:180]  # leaves room for the number under the limit on names
        names, number, name = set(self.catalog.names), 2, wanted
        while name in names:
            name, number = f"{wanted}-{number}", number + 1
        return name

    def _change(self, catalog: Catalog, label: str) -> None:
        self._move(self.history.edit(catalog, label))

    def _move(self, history: History) -> None:
        # The ruling comes first: if it cannot be made, nothing has changed.
        ruling = self._rule(self.settings, history.current.catalog)
        self.history, self.ruling = history, ruling
        self._notify()

    # -- what follows --------------------------------------------------------------------------

    def _decide(self) -> None:
        self.ruling = self._rule(self.settings, self.catalog)

    def _rule(self, settings: Settings, catalog: Catalog) -> Ruling | None:
        if self.reading is None:
            return None
        problem = formulate(
            self.reading.requirements,
            catalog,
            tau=settings.tau,
            dimension_weights=settings.dimension_weights,
            tokens_input=estimate_tokens(self.reading.text),
            tokens_output=settings.tokens_output,
            modalities=settings.modalities,
        )
        decision, program = explain(problem), assignment_program(problem)
        try:
            solution = program.solve()
        except SolverError as error:
            logger.exception("the program was not solved")
            return Ruling(decision, program, None, str(error))
        chosen = decision.chosen.name if decision.chosen else None
        solved = int(solution.chosen[0])
        if chosen != (catalog[solved].name if solved >= 0 else None):
            logger.error("the solver chose %s, the matching rule %s", solved, chosen)
            return Ruling(decision, program, None, "the solver disagrees with the matching rule")
        return Ruling(decision, program, solution)

    def _notify(self) -> None:
        if self._to_analyse() is not None:
            self._analyst.wake()
        for listener in self._listeners:
            listener()
