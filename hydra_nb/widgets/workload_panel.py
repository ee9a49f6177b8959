"""Panel 4 as an anywidget: shows the desk and passes what the user does to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from hydra_nb.errors import InvalidInputError
from hydra_nb.widgets.limit_sheets import Sheets
from hydra_nb.widgets.panels import STATIC, Action, Panel
from hydra_nb.widgets.views import View
from hydra_nb.widgets.workload_desk import WorkloadDesk
from hydra_nb.widgets.workload_view import workload_view


class WorkloadPanel(Panel):
    """Panel 4: many prompts at once.

    `draft` holds the text that is being pasted, so that a reloaded page shows it again.
    """

    _esm = STATIC / "workload.js"

    def __init__(self, desk: WorkloadDesk) -> None:
        self._desk = desk
        self._shown: tuple[int, View] = (desk.revision, workload_view(desk))
        super().__init__(desk.store, lambda _: self._view_now())
        desk.subscribe(self.refresh)

    def close(self) -> None:
        """Close the widget; the desk forgets it."""
        self._desk.unsubscribe(self.refresh)
        super().close()

    def actions(self) -> Mapping[str, Action]:
        """Return what the browser may ask for; each may be refused."""
        desk = self._desk
        return {
            "load_sample": desk.intake.sample,
            "paste": desk.intake.pasted,
            "upload": lambda name, size, offset, buffers: desk.intake.receive(
                name, size, offset, _bytes(buffers)
            ),
            "cancel": desk.intake.cancel,
            "clear": desk.clear,
            "add_limit": lambda kind: desk.change_limits(Sheets.add, kind),
            "edit_limit": lambda number, entry, typed: desk.change_limits(
                Sheets.edit, number, entry, typed
            ),
            "remove_limit": lambda number: desk.change_limits(Sheets.remove, number),
            "clear_limits": partial(desk.change_limits, Sheets.clear),
            "objective": lambda objective: desk.change_limits(Sheets.aim, objective),
            "relax": desk.relax,
            "undo": partial(desk.change_limits, Sheets.undo),
            "redo": partial(desk.change_limits, Sheets.redo),
            "show": desk.show,
            "baseline": desk.keep_baseline,
            "retry": desk.retry,
        }

    def _on_message(self, widget: object, content: Any, buffers: Any) -> None:
        """Run one action; the bytes of a file come beside the message."""
        if content.get("action") == "upload":
            arguments = {**content.get("arguments", {}), "buffers": buffers}
            content = {**content, "arguments": arguments}
        super()._on_message(widget, content, buffers)

    def _view_now(self) -> View:
        # The store notifies on each keystroke in the prompt, which changes nothing here.
        revision, view = self._shown
        if revision != self._desk.revision:
            view = workload_view(self._desk)
            self._shown = (self._desk.revision, view)
        return view


def _bytes(buffers: Sequence[Any]) -> bytes:
    if len(buffers) != 1:
        raise InvalidInputError(f"a part of a file has one buffer; received {len(buffers)}")
    return bytes(buffers[0])
