"""Undo and redo over catalogs, which never change and so need no copies."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hydra_nb.catalog import Catalog

_LIMIT = 500


@dataclass(frozen=True)
class Step:
    """A place in the history.

    Attributes:
        catalog: the catalog.
        label: what was done to reach it.
        opened: the catalog as it was opened, to compare with.
        drag: which drag of the hand led here; empty where none did.
    """

    catalog: Catalog
    label: str
    opened: Catalog
    drag: str = ""


@dataclass(frozen=True)
class History:
    """A line of catalogs with a place on it.

    Attributes:
        past: steps before the current one, oldest first.
        current: where we are.
        future: steps that redo would take, next first.
    """

    past: tuple[Step, ...]
    current: Step
    future: tuple[Step, ...]

    @classmethod
    def start(cls, catalog: Catalog) -> History:
        """Return a history that begins at `catalog`."""
        return cls((), Step(catalog, "opened", catalog), ())

    def edit(self, catalog: Catalog, label: str, *, drag: str = "") -> History:
        """Return the history after an edit; what could be redone is forgotten.

        Edits of one drag are one step: the next one takes the place of the last, and none is left
        where the hand came back to where it began.
        """
        step = Step(catalog, label, self.current.opened, drag)
        if not drag or self.current.drag != drag or not self.past:
            return self._go(step)
        begin = self.past[-1]
        if (begin.catalog, begin.opened) == (step.catalog, step.opened):
            return replace(self, past=self.past[:-1], current=begin, future=())
        return replace(self, current=step, future=())

    def open(self, catalog: Catalog, label: str) -> History:
        """Return the history after another catalog was opened."""
        return self._go(Step(catalog, label, catalog))

    def _go(self, step: Step) -> History:
        if (step.catalog, step.opened) == (self.current.catalog, self.current.opened):
            return self
        past = (*self.past, self.current)[-_LIMIT:]
        return replace(self, past=past, current=step, future=())

    def undo(self) -> History:
        """Return the history one step back, or unchanged at its start."""
        if not self.past:
            return self
        future = (self.current, *self.future)
        return replace(self, past=self.past[:-1], current=self.past[-1], future=future)

    def redo(self) -> History:
        """Return the history one step on, or unchanged at its end."""
        if not self.future:
            return self
        past = (*self.past, self.current)
        return replace(self, past=past, current=self.future[0], future=self.future[1:])
