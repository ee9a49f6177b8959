"""A tuple of results that can be read as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import pandas as pd


class Row(Protocol):
    """A result that can be one row of a table."""

    def to_row(self) -> dict[str, Any]:
        """Return the columns of the row."""
        ...


RowT = TypeVar("RowT", bound=Row)


class Rows(tuple[RowT, ...]):
    """A tuple of results of one kind."""

    def to_frame(self) -> pd.DataFrame:
        """Return one row a result; numbers carry their unit by name."""
        import pandas as pd

        return pd.DataFrame([row.to_row() for row in self])
