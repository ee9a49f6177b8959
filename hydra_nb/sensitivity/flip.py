"""One change of one number, or of who is available, that sends a query to another model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from hydra_nb.dimensions import LABELS
from hydra_nb.money import format_usd
from hydra_nb.problem import RoutingProblem

Kind = Literal["price", "capability", "tau", "availability"]
KINDS: tuple[Kind, ...] = ("price", "capability", "tau", "availability")


@dataclass(frozen=True)
class Flip:
    """One change, alone, that changes the chosen model.

    "At" and "beyond" a boundary are meant up to the tolerances of matching: 1e-9 of shortfall or τ,
    1e-6 micro-USD of cost.

    Attributes:
        kind: "price", "capability", "tau" or "availability".
        model: whose field changes; `None` for τ.
        field: a field of `ModelProfile`, or "tau".
        old: the value now.
        new: the boundary; nothing on the way to it changes the choice.
        at_boundary: whether the choice changes at `new` itself, or only just beyond it.
        flipped_value: `new` where it changes there, else a value just beyond.
        chosen_before, chosen_after: names; `None` where nobody is.
        size: by which flips are ordered: for a price the change as a fraction of it (∞ from a price
            of 0), for a capability and τ the change itself, for availability 1.
    """

    kind: Kind
    model: str | None
    field: str
    old: float | bool
    new: float | bool
    at_boundary: bool
    flipped_value: float | bool
    chosen_before: str | None
    chosen_after: str | None
    size: float

    def applied(self, problem: RoutingProblem) -> RoutingProblem:
        """Return the problem with the change made; its choice is `chosen_after`."""
        if self.model is None:
            return problem.at(float(self.flipped_value))
        change = {self.field: self.flipped_value}
        return problem.against(problem.catalog.replace(self.model, **change))

    @property
    def sentence(self) -> str:
        """Return it in words, with numbers."""
        own = self.model is not None and self.model == self.chosen_after
        if self.kind == "availability":
            state = "on" if self.new else "off"
            who = self.chosen_after or "no model"
            verb = "wins" if own else "takes over" if self.chosen_after else "is left"
            return f"{who} {verb} if {'it' if own else self.model} is switched {state}"
        if self.kind == "tau":
            what = f"{self.chosen_after} wins once τ"
        else:
            whose = "its" if own else f"{self.model}'s"
            verb = "wins" if own else "takes over"
            what = f"{self.chosen_after} {verb} once {whose} {self._field_in_words}"
        old, new = float(self.old), float(self.new)
        up = float(self.flipped_value) > old
        if self.at_boundary:
            verb = "reaches" if up else "falls to"
        else:
            verb = "rises above" if up else "falls below"
        if new == old:
            return f"{what} {verb} {self._format(new)}: by any change, they tie now"
        return f"{what} {verb} {self._format(new)}, now {self._format(old)}{self._change(old, new)}"

    def to_row(self) -> dict[str, Any]:
        """Return it as one row of a table."""
        return {
            "kind": self.kind,
            "model": self.model,
            "field": self.field,
            "old": self.old,
            "new": self.new,
            "at_boundary": self.at_boundary,
            "chosen_before": self.chosen_before,
            "chosen_after": self.chosen_after,
            "size": self.size,
            "sentence": self.sentence,
        }

    def __repr__(self) -> str:
        return f"Flip({self.sentence})"

    @property
    def _field_in_words(self) -> str:
        if self.kind == "price":
            return f"{self.field.removeprefix('usd_per_mtok_')} price"
        return LABELS[self.field].lower()

    def _format(self, value: float) -> str:
        return format_usd(value * 1e6) if self.kind == "price" else f"{value:.3g}"

    def _change(self, old: float, new: float) -> str:
        sign = "−" if new < old else "+"
        if self.kind != "price":
            return f" ({sign}{abs(new - old):.2g})"
        if not old:
            return ""
        percent = abs(new - old) / old * 100
        return f" ({sign}{percent:.2g} %)" if percent < 100 else f" ({sign}{percent:,.0f} %)"
