"""Everything hydra_nb raises on purpose. All of it derives from `HydraError`."""

from __future__ import annotations


class HydraError(Exception):
    """Base of all errors raised by hydra_nb."""


class InvalidInputError(HydraError, ValueError):
    """An argument breaks a rule; the message names the argument, the rule and the value."""


class CatalogError(HydraError, ValueError):
    """A catalog or model profile breaks a rule.

    Attributes:
        place: file, with a line where one is known, or `None` for a catalog in memory.
        model: name of the model profile, or its position (`models[3]`) where the name is missing.
        field: the field that breaks the rule.
        rule: what holds for this field, in words.
        value: what was received, as text.
    """

    def __init__(
        self,
        rule: str,
        *,
        place: str | None = None,
        model: str | None = None,
        field: str | None = None,
        value: str | None = None,
    ) -> None:
        self.place, self.model, self.field, self.rule, self.value = place, model, field, rule, value
        where = [place, f"model {model}" if model else None, f"field {field}" if field else None]
        prefix = ", ".join(part for part in where if part)
        suffix = f"; received {value}" if value is not None else ""
        super().__init__(f"{prefix}: {rule}{suffix}" if prefix else f"{rule}{suffix}")

    def at(self, place: str) -> CatalogError:
        """Return the same error at a place in a file."""
        return CatalogError(
            self.rule, place=place, model=self.model, field=self.field, value=self.value
        )


class CheckpointError(HydraError):
    """A predictor checkpoint is missing, damaged or of a foreign kind; names the file."""


class SolverError(HydraError):
    """A program was not solved to proven optimality; carries the solver's own status."""


class WorkspaceError(HydraError):
    """The lab folder cannot be prepared; names the path."""
