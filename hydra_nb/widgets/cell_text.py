"""What a person types into a cell of the catalog grid, read strictly."""

from __future__ import annotations

from typing import Any

from hydra_nb.errors import CatalogError

PRICES = ("usd_per_mtok_input", "usd_per_mtok_output")


def read_cell(field: str, text: object) -> Any:
    """Return the value that `text` stands for in `field` of a model profile.

    A comma is refused rather than guessed at: 1,500 and 1,5 mean different numbers in different
    places.

    Raises:
        CatalogError: the text is no number where one is needed; ranges are checked by the profile.
    """
    if field in ("name", "provider"):
        return str(text).strip()
    if field == "available":
        if not isinstance(text, bool):
            raise CatalogError("must be on or off", field=field, value=repr(text))
        return text
    typed = str(text).strip().replace("−", "-")
    if field in PRICES:
        typed = typed.removeprefix("$").strip()
    if "," in typed:
        raise CatalogError(
            "must be a number with a point, without commas", field=field, value=repr(typed)
        )
    kind = int if field == "context_window" else float
    try:
        return kind(typed.replace("_", "x"))
    except ValueError:
        noun = "a whole number of tokens" if kind is int else "a number"
        raise CatalogError(f"must be {noun}", field=field, value=repr(typed)) from None
