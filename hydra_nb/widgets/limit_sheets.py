"""The rows of limits on screen with undo and redo; sheets never change and so need no copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hydra_nb.errors import InvalidInputError
from hydra_nb.solver import Constraints, RelaxedLimit
from hydra_nb.solver.coupling import Objective
from hydra_nb.widgets.limit_relaxing import relaxed
from hydra_nb.widgets.limit_rows import KINDS, LimitRow, rows_of

_LIMIT = 500
_LONGEST_ENTRY = 80


@dataclass(frozen=True)
class Sheet:
    """The limits as they are on screen, and what was done to reach them."""

    rows: tuple[LimitRow, ...] = ()
    objective: Objective = "cost"
    label: str = "opened"


@dataclass(frozen=True)
class Sheets:
    """A line of sheets with a place on it; each method returns another line.

    Attributes:
        past: sheets before the current one, oldest first.
        current: where we are.
        future: sheets that redo would take, next first.
        made: how many rows there ever were: the number of the last one.
    """

    past: tuple[Sheet, ...] = ()
    current: Sheet = Sheet()
    future: tuple[Sheet, ...] = ()
    made: int = 0

    def add(self, kind: str) -> Sheets:
        """Return the line after a blank row of a kind was added; it is called `made`."""
        if kind not in KINDS:
            raise InvalidInputError(f"unknown limit {kind!r:.80}; known: {', '.join(KINDS)}")
        row = LimitRow(self.made + 1, kind)
        rows = (*self.current.rows, row)
        return replace(self._to(rows, f"add “{_noun(row)}”"), made=row.number)

    def put(self, constraints: Constraints) -> Sheets:
        """Return the line after all rows were replaced by those of `constraints`."""
        rows = rows_of(constraints, first=self.made + 1)
        return replace(self._to(rows, "limits from Python"), made=self.made + len(rows))

    def edit(self, number: int, entry: str, typed: str) -> Sheets:
        """Return the line after something was typed; what breaks a rule stays as typed.

        Raises:
            InvalidInputError: no such row or entry.
        """
        row = self._row(number)
        kind = KINDS[row.kind]
        if entry == "subject":
            changed = replace(row, subject=str(typed))
        elif entry in {known.name for known in kind.entries}:
            changed = replace(row, typed={**row.typed, entry: str(typed)[:_LONGEST_ENTRY]})
        else:
            raise InvalidInputError(f"{kind.label} has no entry {entry!r:.80}")
        rows = tuple(changed if known is row else known for known in self.current.rows)
        return self._to(rows, f"“{_noun(row)}”")

    def remove(self, number: int) -> Sheets:
        """Return the line after a row was removed."""
        row = self._row(number)
        rows = tuple(known for known in self.current.rows if known is not row)
        return self._to(rows, f"remove “{_noun(row)}”")

    def clear(self) -> Sheets:
        """Return the line after all rows were removed."""
        return self._to((), "remove all limits")

    def aim(self, objective: Objective) -> Sheets:
        """Return the line after another objective was chosen."""
        if objective not in ("cost", "shortfall"):
            raise InvalidInputError(
                f"objective must be 'cost' or 'shortfall'; received {objective!r:.80}"
            )
        return self._to(self.current.rows, f"least {objective}", objective)

    def relax(self, constraints: Constraints, listed: Sequence[RelaxedLimit]) -> Sheets:
        """Return the line after what an infeasible plan asks for was done, all of it.

        `constraints` are those in force.
        """
        rows = relaxed(self.current.rows, constraints, listed)
        return self._to(rows, "; ".join(map(str, listed))[:160])

    def undo(self) -> Sheets:
        """Return the line one step back, or unchanged at its start."""
        if not self.past:
            return self
        future = (self.current, *self.future)
        return replace(self, past=self.past[:-1], current=self.past[-1], future=future)

    def redo(self) -> Sheets:
        """Return the line one step on, or unchanged at its end."""
        if not self.future:
            return self
        past = (*self.past, self.current)
        return replace(self, past=past, current=self.future[0], future=self.future[1:])

    def _row(self, number: int) -> LimitRow:
        for row in self.current.rows:
            if row.number == number:
                return row
        raise InvalidInputError(f"there is no limit of number {number!r:.20} any more")

    def _to(
        self, rows: tuple[LimitRow, ...], label: str, objective: Objective | None = None
    ) -> Sheets:
        now = self.current
        sheet = Sheet(rows, objective or now.objective, label)
        if (sheet.rows, sheet.objective) == (now.rows, now.objective):
            return self
        return replace(self, past=(*self.past, now)[-_LIMIT:], current=sheet, future=())


def _noun(row: LimitRow) -> str:
    return KINDS[row.kind].label.lower()
