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
from hydra_nb.errors import CatalogError, HydraError, SolverError
from hydra_nb.problem import formulate
from hydra_nb.profile import ModelProfile
from hydra_nb.requirements import Requirements
from hydra_nb.routing import Predictor
from hydra_nb.solver import assignment_program
from hydra_nb.tokens import estimate_tokens
from hydra_nb.widgets.cell_text import read_cell
from hydra_nb.widgets.history import History
from hydra_nb.widgets.state import Pinned, Ruling, Scoring, Settings

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
        self.requirements: Requirements | None = None
        self.ruling: Ruling | None = None
        self.pinned: Pinned | None = None
        self.predictor = predictor
        self._listeners: list[Callable[[], None]] = []
        self._decide()

    @property
    def catalog(self) -> Catalog:
        """Return the catalog as it is now."""
        return self.history.current.catalog

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change, under the lock."""
        self._listeners.append(listener)

    # -- predictor and prompt ----------------------------------------------------------------

    def load(self, loader: Callable[[], Predictor]) -> threading.Thread:
        """Run `loader` in the background and score what was typed meanwhile once it is done."""
        thread = threading.Thread(target=self._load, args=(loader,), daemon=True)
        thread.start()
        return thread

    def _load(self, loader: Callable[[], Predictor]) -> None:
        try:
            predictor = loader()
        except (HydraError, OSError, ImportError) as error:
            logger.exception("the predictor could not be loaded")
            with self.lock:
                message = f"the encoder could not be loaded: {error}"
                self.scoring = Scoring("error", message, revision=self.revision)
                self._loader_failed = loader
                self._notify()
            return
        self.attach(predictor)

    def attach(self, predictor: Predictor) -> None:
        """Score with `predictor` from now on."""
        with self.lock:
            self.predictor = predictor
            self._score()
            self._notify()

    def set_text(self, text: str, *, revision: int | None = None) -> None:
        """Make `text` the prompt and score it; the last scores stay if that fails."""
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

    _loader_failed: Callable[[], Predictor] | None = None

    def pin(self) -> None:
        """Keep the current prompt as A, or forget A where it is the current prompt."""
        with self.lock:
            if self.pinned is not None and self.pinned.text == self.text:
                self.pinned = None
            elif self.requirements is not None:
                chosen = self.ruling.decision.chosen if self.ruling else None
                name = chosen.name if chosen else None
                self.pinned = Pinned(self.text, self.requirements, name)
            self._notify()

    def _score(self) -> None:
        if not self.text.strip():
            self.requirements = None
            self.scoring = Scoring("empty", revision=self.revision)
        elif self.predictor is None:
            self.scoring = Scoring("warming", revision=self.revision)
        else:
            started = time.perf_counter()
            try:
                self.requirements = self.predictor.predict([self.text], turns=[self.settings.turn])
            except (HydraError, RuntimeError, ValueError) as error:
                logger.exception("scoring failed")
                self.scoring = Scoring("error", str(error), revision=self.revision)
                return
            elapsed = (time.perf_counter() - started) * 1000
            self.scoring = Scoring("scored", "", elapsed, self.revision)
        self._decide()

    # -- settings ----------------------------------------------------------------------------

    def set(self, **changes: Any) -> None:
        """Change settings; on `InvalidInputError` the old ones stay."""
        with self.lock:
            turn = self.settings.turn
            self.settings = replace(self.settings, **changes)
            if self.settings.turn != turn:
                self._score()
            else:
                self._decide()
            self._notify()

    # -- catalog: each raises CatalogError and changes nothing on bad input --------------------

    def edit_cell(self, row: int, field_name: str, typed: object) -> None:
        """Read `typed` into one cell of the catalog."""
        with self.lock:
            profile = self._row(row)
            value = read_cell(field_name, typed)
            catalog = self.catalog.replace(profile.name, **{field_name: value})
            self._change(catalog, f"{field_name} of {profile.name}")

    def add(self) -> int:
        """Add a model with middling figures and a free name; return its row."""
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
            return len(self.catalog) - 1

    def duplicate(self, row: int) -> int:
        """Add a copy below `row`; return its row."""
        with self.lock:
            profile = self._row(row)
            copy = profile.changed(name=self._free_name(f"{profile.name}-copy"))
            self._change(self.catalog.add(copy, position=row + 1), f"duplicate {profile.name}")
            return row + 1

    def remove(self, row: int) -> None:
        """Remove the model at `row`."""
        with self.lock:
            profile = self._row(row)
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

    def _row(self, row: int) -> ModelProfile:
        if not 0 <= row < len(self.catalog):
            raise CatalogError(f"there is no row {row}; the catalog has {len(self.catalog)}")
        return self.catalog[row]

    def _free_name(self, wanted: str) -> str:
        names, number, name = set(self.catalog.names), 2, wanted
        while name in names:
            name, number = f"{wanted}-{number}", number + 1
        return name

    def _change(self, catalog: Catalog, label: str) -> None:
        self._move(self.history.edit(catalog, label))

    def _move(self, history: History) -> None:
        self.history = history
        self._decide()
        self._notify()

    # -- what follows --------------------------------------------------------------------------

    def _decide(self) -> None:
        if self.requirements is None:
            self.ruling = None
            return
        settings = self.settings
        problem = formulate(
            self.requirements,
            self.catalog,
            tau=settings.tau,
            dimension_weights=settings.dimension_weights,
            tokens_input=estimate_tokens(self.text),
            tokens_output=settings.tokens_output,
            modalities=settings.modalities,
        )
        decision, program = explain(problem), assignment_program(problem)
        try:
            self.ruling = Ruling(decision, program, program.solve())
        except SolverError as error:
            logger.exception("the program was not solved")
            self.ruling = Ruling(decision, program, None, str(error))

    def _notify(self) -> None:
        for listener in self._listeners:
            listener()
