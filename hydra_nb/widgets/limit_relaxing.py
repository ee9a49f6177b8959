"""A limit that must give, done to the rows of the editor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hydra_nb.solver import Constraints, RelaxedLimit
from hydra_nb.widgets.limit_rows import KINDS, LimitRow

Rows = tuple[LimitRow, ...]


def can_be_relaxed(rows: Rows, limit: RelaxedLimit) -> bool:
    """Return whether a row says this limit; a term of a contract is not that simple."""
    return any(_says(row, limit) for row in rows)


def relaxed(rows: Rows, constraints: Constraints, listed: Sequence[RelaxedLimit]) -> Rows:
    """Return the rows after all of `listed`; `constraints` are those that `rows` stand for.

    Raises:
        InvalidInputError: as `RelaxedLimit.applied_to`.
    """
    for limit in listed:
        constraints = limit.applied_to(constraints)
        field = getattr(constraints, limit.kind)
        value = field[limit.key] if isinstance(field, Mapping) else field
        (entry,) = KINDS[limit.kind].entries
        typed = f"{100 * value if entry.kind == 'percent' else value:.10g}"
        rows = tuple(
            replace(row, typed={**row.typed, limit.kind: typed}) if _says(row, limit) else row
            for row in rows
        )
    return rows


def _says(row: LimitRow, limit: RelaxedLimit) -> bool:
    return (row.kind, row.subject) == (limit.kind, limit.key)
