"""Functions of one price of one model, as breakpoints and linear pieces."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hydra_nb.errors import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd

Price = Literal["input", "output"]
PRICES: tuple[Price, ...] = ("input", "output")


@dataclass(frozen=True, eq=False)
class PriceCurve:
    """Functions of one price p of one model, exact, piecewise over p ≥ 0.

    Piece i is the open interval between `usd_per_mtok[i]` and the next one; the last has no end.
    On it requests and tokens are constant and costs are linear with slope `tokens[i]`: what the
    model is paid is `model_intercept[i] + tokens[i] · p`, what the workload costs is
    `total_intercept[i] + tokens[i] · p`. The total is continuous and concave. The others jump; the
    arrays that end in `_at` hold their values at exactly the breakpoint.

    Attributes:
        model, price: of which model, and which price.
        usd_per_mtok: float64 `(n_pieces,)`, breakpoints in rising order; the first is 0.
        requests, requests_at: int64 `(n_pieces,)`, requests the model has.
        requests_total: of the whole workload.
        tokens, tokens_at: float64 `(n_pieces,)`, tokens billed at this price.
        model_intercept, model_intercept_at: float64 `(n_pieces,)`, micro-USD: what the model's
            other price makes.
        total_intercept: float64 `(n_pieces,)`, micro-USD.
    """

    model: str
    price: Price
    usd_per_mtok: NDArray[np.float64]
    requests: NDArray[np.int64]
    requests_at: NDArray[np.int64]
    requests_total: int
    tokens: NDArray[np.float64]
    tokens_at: NDArray[np.float64]
    model_intercept: NDArray[np.float64]
    model_intercept_at: NDArray[np.float64]
    total_intercept: NDArray[np.float64]

    @property
    def share(self) -> NDArray[np.float64]:
        """Return the share of requests on each piece, float64 `(n_pieces,)` in [0, 1]."""
        return self.requests / max(self.requests_total, 1)

    def at(self, usd_per_mtok: float) -> PricePoint:
        """Return the values at one price."""
        p = check_price(usd_per_mtok)
        i = int(np.searchsorted(self.usd_per_mtok, p, side="right")) - 1
        exact = bool(self.usd_per_mtok[i] == p)
        requests = int((self.requests_at if exact else self.requests)[i])
        tokens = float((self.tokens_at if exact else self.tokens)[i])
        own = float((self.model_intercept_at if exact else self.model_intercept)[i])
        return PricePoint(
            usd_per_mtok=p,
            requests=requests,
            share=requests / max(self.requests_total, 1),
            tokens=tokens,
            model_cost_micro_usd=own + tokens * p,
            total_cost_micro_usd=float(self.total_intercept[i] + self.tokens[i] * p),
        )

    def to_frame(self) -> pd.DataFrame:
        """Return one row a piece."""
        import pandas as pd

        return pd.DataFrame(
            {
                "usd_per_mtok_from": self.usd_per_mtok,
                "usd_per_mtok_to": np.append(self.usd_per_mtok[1:], np.inf),
                "requests": self.requests,
                "requests_at_from": self.requests_at,
                "share": self.share,
                "tokens": self.tokens,
                "model_intercept_micro_usd": self.model_intercept,
                "total_intercept_micro_usd": self.total_intercept,
            }
        )

    def __repr__(self) -> str:
        return (
            f"PriceCurve({self.model} {self.price} price: {len(self.usd_per_mtok)} pieces, "
            f"{self.requests_at[0]:,} of {self.requests_total:,} requests at $0, "
            f"{self.requests[-1]:,} at any price)"
        )


@dataclass(frozen=True)
class PricePoint:
    """The values of a `PriceCurve` at one price; money in micro-USD."""

    usd_per_mtok: float
    requests: int
    share: float
    tokens: float
    model_cost_micro_usd: float
    total_cost_micro_usd: float


def check_side(price: str) -> Price:
    """Return which price is meant; `InvalidInputError` unless it is "input" or "output"."""
    for side in PRICES:
        if price == side:
            return side
    raise InvalidInputError(f'price must be "input" or "output"; received {price!r:.80}')


def check_price(usd_per_mtok: float) -> float:
    """Return a price; `InvalidInputError` unless it is finite and at least 0."""
    price = float(usd_per_mtok)
    if math.isfinite(price) and price >= 0:
        return price
    raise InvalidInputError(
        f"a price must be finite and at least 0 USD per 1M tokens; received {usd_per_mtok!r:.80}"
    )
