"""A limit that would have to give, as a value: said in words, or applied to `Constraints`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hydra_nb.errors import InvalidInputError
from hydra_nb.money import format_usd
from hydra_nb.solver.constraints import Constraints

_OF_CONTRACTS = ("blocks", "commitment")
_LEAST = ("min_provider_share", "min_share_within_tau")
_WHOLE = ("max_requests", "max_tokens", "max_models", "blocks")
_SHARES = ("max_provider_share", "min_provider_share", "min_share_within_tau")


@dataclass(frozen=True)
class RelaxedLimit:
    """By how much one limit must give.

    Attributes:
        kind: a field of `Constraints`, or "blocks", "commitment" for a term of a contract.
        key: the model, provider or offer that is limited; empty where there is one of its kind.
        amount: how much more, or, of a least share and a commitment, how much less, in the unit of
            the field: requests, tokens (of blocks too), a share in [0, 1], USD, shortfall, models.
        exact: whether less is known to be too little even where requests cannot be split; else
            `amount` is the least that can do.
    """

    kind: str
    key: str
    amount: float
    exact: bool = True

    @classmethod
    def rounded_up(
        cls, kind: str, key: str, amount: float, *, requests: int, exact: bool = True
    ) -> RelaxedLimit:
        """Return the change of a coupling row by `amount`, rounded up to what people would type.

        `amount` is in the unit of the row: requests, tokens, micro-USD or summed shortfall of
        `requests` requests.
        """
        if kind in _WHOLE:
            return cls(kind, key, math.ceil(amount - 1e-6), exact)
        if kind in _SHARES:
            return cls(kind, key, math.ceil(amount / max(requests, 1) * 1e4 - 1e-6) / 1e4, exact)
        if kind == "max_mean_shortfall":
            return cls(kind, key, _up(amount / max(requests, 1)), exact)
        return cls(kind, key, _up(amount) / 1e6, exact)

    def __str__(self) -> str:
        return self.words

    @property
    def words(self) -> str:
        """Return what to do: "raise strong's cap by 40 requests"."""
        amount, key = self.amount, self.key
        by = "by" if self.exact else "by at least"
        points = f"{by} {100 * amount:.6g} percentage points"
        usd = format_usd(amount * 1e6)
        return {
            "max_requests": f"raise {key}'s cap {by} {amount:,.0f} requests",
            "max_tokens": f"raise {key}'s cap {by} {amount:,.0f} tokens",
            "max_provider_share": f"raise the largest share of {key} {points}",
            "min_provider_share": f"lower the least share of {key} {points}",
            "budget_usd": f"raise the budget {by} {usd}",
            "max_mean_shortfall": f"raise the mean shortfall {by} {amount:.4g}",
            "min_share_within_tau": f"lower the share within τ {points}",
            "max_models": f"allow {amount:,.0f} more model{'' if amount == 1 else 's'}",
            "blocks": f"allow {amount:,.0f} more tokens in blocks of {key}",
            "commitment": f"lower the commitment of {key} {by} {usd}",
        }[self.kind]

    def applied_to(self, constraints: Constraints) -> Constraints:
        """Return the constraints with this limit relaxed.

        Raises:
            InvalidInputError: there is no such limit, or it is a term of a contract, which only a
                new contract can change.
        """
        if self.kind in _OF_CONTRACTS:
            raise InvalidInputError(f"{self.words}: a term of a contract; offer another contract")
        field = getattr(constraints, self.kind)
        present = field.get(self.key) if isinstance(field, Mapping) else field
        if present is None:
            raise InvalidInputError(f"{self.words}: there is no such limit among {constraints!r}")
        value: Any = present - self.amount if self.kind in _LEAST else present + self.amount
        if self.kind in _SHARES:
            value = min(max(value, 0.0), 1.0)
        if self.kind in _WHOLE:
            value = int(value)
        changed: Any = {**field, self.key: value} if isinstance(field, Mapping) else value
        return replace(constraints, **{self.kind: changed})


def _up(amount: float, *, digits: int = 3) -> float:
    """Return `amount` rounded up to `digits` significant digits."""
    if amount <= 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(amount)) - digits + 1)
    return math.ceil(amount / step - 1e-9) * step
