"""The panels as anywidgets: each shows one view and passes what the user does to the store.

Two traits each. `view` (Python → browser) is one dict, so that what changes together arrives
together. `draft` (browser → Python) holds what is still moving under the user's hand, typed text
or a dragged slider; ipywidgets keeps one message in flight and drops all but the latest, so no
keystroke queues. Discrete actions come as messages and are answered in `view["reply"]`. Everything
visible is a trait: a reloaded page shows it again.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from hydra_nb.catalog import Catalog
from hydra_nb.errors import HydraError, InvalidInputError
from hydra_nb.widgets import what_if_moves
from hydra_nb.widgets.grid_view import catalog_view
from hydra_nb.widgets.prompt_view import prompt_view
from hydra_nb.widgets.store import Store
from hydra_nb.widgets.views import View, solver_view
from hydra_nb.widgets.what_if import as_number
from hydra_nb.widgets.what_if_view import what_if_view

logger = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"

Action = Callable[..., object]


class Panel(anywidget.AnyWidget):
    """A view on the store; subclasses say what is shown and which actions there are."""

    _css = STATIC / "lab.css"
    view = traitlets.Dict().tag(sync=True)
    draft = traitlets.Dict().tag(sync=True)

    def __init__(self, store: Store, make_view: Callable[[Store], View]) -> None:
        self._store = store
        self._make_view = make_view
        self._reply: View = {}
        self._seen = 0
        self._refusal = ""
        super().__init__(view=make_view(store), draft=self._first_draft())
        store.subscribe(self.refresh)
        self.on_msg(self._on_message)
        self.observe(self._on_draft, "draft")

    def close(self) -> None:
        """Close the widget; the store forgets it."""
        self._store.unsubscribe(self.refresh)
        super().close()

    def refresh(self) -> None:
        """Show the store as it is now."""
        answers = {"reply": self._reply, "seen": self._seen, "refusal": self._refusal}
        self.view = {**self._make_view(self._store), **answers}

    def actions(self) -> Mapping[str, Action]:
        """Return what the browser may ask for, by name."""
        return {}

    def on_draft(self, draft: Mapping[str, Any]) -> None:
        """Take over what is moving under the user's hand."""

    def _first_draft(self) -> View:
        return {}

    def _on_draft(self, change: Mapping[str, Any]) -> None:
        # Drafts written by Python itself say so; the store already knows them.
        if change["new"].get("by") == "python":
            return
        with self._store.lock:
            self._seen = int(change["new"].get("revision", 0))
            self._refusal = ""
            try:
                self.on_draft(change["new"])
            except HydraError as error:
                self._refusal = str(error)
                self.refresh()

    def _on_message(self, _: object, content: Any, __: object) -> None:
        """Run one action; what it returns, or why it was refused, goes back with its number."""
        name = str(content.get("action"))
        reply: View = {"number": content.get("number"), "ok": False}
        action = self.actions().get(name)
        try:
            if action is None:
                raise InvalidInputError(f"{type(self).__name__} has no action {name!r}")
            reply |= {"ok": True, "result": action(**content.get("arguments", {}))}
        except HydraError as error:
            reply["message"] = getattr(error, "rule", None) or str(error)
        # Without an answer the browser would wait for ever.
        except Exception as error:
            logger.exception("%s failed", name)
            reply["message"] = f"{name} failed: {error!r}"
        self._answer(reply)

    def _answer(self, reply: View) -> None:
        with self._store.lock:
            self._reply = reply
            self.refresh()


class PromptPanel(Panel):
    """Panel 1: the prompt and its four requirements, live, and why they are what they are."""

    _esm = STATIC / "prompt.js"

    def __init__(self, store: Store) -> None:
        super().__init__(store, prompt_view)

    def _first_draft(self) -> View:
        return {"text": self._store.text, "revision": self._store.revision, "by": "python"}

    def show_text(self, text: str) -> None:
        """Put `text` into the textarea from Python."""
        self._store.set_text(text)
        self.draft = self._first_draft()

    def on_draft(self, draft: Mapping[str, Any]) -> None:
        """Score what was typed."""
        self._store.set_text(str(draft.get("text", "")), revision=int(draft.get("revision", 0)))

    def actions(self) -> Mapping[str, Action]:
        """Return pin, retry, and what "Why" shows."""
        store = self._store
        return {
            "pin": store.pin,
            "retry": store.retry,
            "why": store.show_why,
            "why_of": store.show_why_of,
        }


class CatalogPanel(Panel):
    """Panel 2: the catalog as an editable grid."""

    _esm = STATIC / "catalog.js"

    def __init__(self, store: Store) -> None:
        super().__init__(store, catalog_view)

    def actions(self) -> Mapping[str, Action]:
        """Return the edits of the grid; each may be refused with a `CatalogError`."""
        store = self._store
        return {
            "edit": lambda model, field, typed: store.edit_cell(model, field, typed),
            "add": store.add,
            "duplicate": store.duplicate,
            "remove": store.remove,
            "undo": store.undo,
            "redo": store.redo,
            "reset": store.reset,
            "open_sample": self._open_sample,
        }

    def _open_sample(self, name: str) -> None:
        self._store.replace_catalog(Catalog.sample(name), label=f"open {name}")


class SolverPanel(Panel):
    """Panel 3: verdict, threshold, weights, and the program with its numbers."""

    _esm = STATIC / "solver.js"

    def __init__(self, store: Store) -> None:
        super().__init__(store, solver_view)

    def on_draft(self, draft: Mapping[str, Any]) -> None:
        """Take over the sliders."""
        changes: dict[str, Any] = {}
        if "tau" in draft:
            changes["tau"] = draft["tau"]
        if "weights" in draft:
            changes["dimension_weights"] = dict(draft["weights"])
        if "tokens_output" in draft:
            changes["tokens_output"] = draft["tokens_output"]
        if "image" in draft:
            others = tuple(m for m in self._store.settings.modalities if m != "image")
            changes["modalities"] = (*others, "image") if draft["image"] else others
        if changes:
            self._store.set(**changes)

    def actions(self) -> Mapping[str, Action]:
        """Return the download of the program."""
        return {"program_file": self._send_program}

    def _send_program(self, ending: str) -> None:
        """Send the program to the browser: not through `view`, which says only what is seen."""
        ruling = self._store.ruling
        if ruling is None:
            raise InvalidInputError("there is no program without a prompt")
        if ending not in ("lp", "mps"):
            raise InvalidInputError(f"a program is lp or mps; received {ending!r:.80}")
        text = ruling.program.to_lp() if ending == "lp" else ruling.program.to_mps()
        self.send({"kind": "file", "name": f"route.{ending}", "text": text})


class WhatIfPanel(Panel):
    """Panel 3, second half: what would change the verdict, and by how much."""

    _esm = STATIC / "what_if.js"

    def __init__(self, store: Store) -> None:
        super().__init__(store, what_if_view)
        store.show_what_if(True)

    def close(self) -> None:
        """Close the panel; nobody looks any more."""
        self._store.show_what_if(False)
        super().close()

    def on_draft(self, draft: Mapping[str, Any]) -> None:
        """Take over prices that move under the hand, in the order in which they were touched."""
        for move in draft.get("prices", ()):
            what_if_moves.drag_price(self._store, **move)

    def actions(self) -> Mapping[str, Action]:
        """Return what a click does: look at other prices, go somewhere, try a change."""
        store = self._store
        return {
            "look": functools.partial(what_if_moves.look_at_model, store),
            "look_map": functools.partial(what_if_moves.look_at_map, store),
            "go": functools.partial(what_if_moves.go_to, store),
            "go_price": functools.partial(what_if_moves.go_to_price, store),
            "go_tau": lambda tau: store.set(tau=as_number(tau, "τ")),
            "try": functools.partial(what_if_moves.try_flip, store),
            "edit": lambda model, field, typed: store.edit_cell(model, field, typed),
            "retry": store.analyse_again,
        }
