"""Least cost against one price where constraints couple the queries: bounds, labelled as bounds.

The plans that are possible do not depend on a price, and each plan's cost is a straight line in
it. The least cost is their lower envelope: concave. So every plan found at one price bounds the
curve from above by its line (a tangent), and the proven bounds at two prices bound it from below by
their chord. A few plans bound it everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hydra_nb.errors import InvalidInputError
from hydra_nb.problem import RoutingProblem
from hydra_nb.profile import MAX_USD_PER_MTOK
from hydra_nb.solver import Constraints, Plan, plan

if TYPE_CHECKING:
    import pandas as pd

_FIELDS = {"input": "usd_per_mtok_input", "output": "usd_per_mtok_output"}


@dataclass(frozen=True, eq=False)
class CostBounds:
    """Bounds on the least cost of a workload under constraints, against one price.

    Attributes:
        model: whose price.
        price: "input" or "output".
        prices: float64 `(n,)`, USD per 1M tokens, ascending: where a plan was made.
        plans: the plan at each of them.
        slopes: float64 `(n,)`, tokens that each plan bills at that price: micro-USD per USD of it.
    """

    model: str
    price: Literal["input", "output"]
    prices: NDArray[np.float64]
    plans: tuple[Plan, ...]
    slopes: NDArray[np.float64]

    def upper(self, price: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what the least cost is at most, micro-USD: the lowest of the plans' lines."""
        at = np.atleast_1d(np.asarray(price, dtype=np.float64))
        values = np.array([found.value for found in self.plans])
        lines = values[:, None] + self.slopes[:, None] * (at[None, :] - self.prices[:, None])
        return np.asarray(lines.min(axis=0), dtype=np.float64)

    def lower(self, price: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what the least cost is at least, micro-USD: the chord of the proven bounds.

        Raises:
            InvalidInputError: a price outside those that were planned for.
        """
        at = np.atleast_1d(np.asarray(price, dtype=np.float64))
        if at.size and not (self.prices[0] <= at.min() and at.max() <= self.prices[-1]):
            raise InvalidInputError(
                f"price must lie in [{self.prices[0]:g}, {self.prices[-1]:g}], where plans were "
                f"made; received {price!r:.80}"
            )
        bounds = np.array([found.bound for found in self.plans])
        return np.asarray(np.interp(at, self.prices, bounds), dtype=np.float64)

    @property
    def gap(self) -> float:
        """Return the largest (upper − lower) / upper between the ends."""
        return float(self._gaps()[1].max(initial=0.0))

    def to_frame(self) -> pd.DataFrame:
        """Return one row a plan: price, cost, bound, and millions of tokens billed at the price."""
        import pandas as pd

        return pd.DataFrame(
            {
                "price": self.prices,
                "cost_micro_usd": [found.value for found in self.plans],
                "bound_micro_usd": [found.bound for found in self.plans],
                "mtok_billed": self.slopes * 1e-6,
            }
        )

    def __repr__(self) -> str:
        return (
            f"CostBounds({self.price} price of {self.model}, {len(self.plans)} plans, "
            f"bounds at most {self.gap:.3%} apart)"
        )

    def _gaps(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return for each interval the price where both tangents meet, and the gap there."""
        left, right = self.prices[:-1], self.prices[1:]
        values = np.array([found.value for found in self.plans])
        steep = self.slopes[:-1] - self.slopes[1:]
        rise = values[1:] - values[:-1] + self.slopes[:-1] * left - self.slopes[1:] * right
        middle = (left + right) / 2
        meet = np.where(steep > 0, rise / np.where(steep > 0, steep, 1.0), middle)
        meet = np.where((meet > left) & (meet < right), meet, middle)
        if not len(meet):
            return meet, np.zeros(0)
        upper = self.upper(meet)
        return meet, np.maximum(0.0, upper - self.lower(meet)) / np.where(upper > 0, upper, 1.0)


def cost_bounds(
    problem: RoutingProblem,
    constraints: Constraints,
    model: str,
    *,
    price: Literal["input", "output"] = "input",
    price_max: float,
    gap: float = 1e-3,
    most_plans: int = 9,
    seconds: float = 30.0,
    stop: Callable[[], bool] | None = None,
) -> CostBounds:
    """Return bounds on the least cost for the prices from 0 to `price_max`.

    Plans are made at both ends and then where the bounds are furthest apart, until they are within
    `gap` of each other everywhere or `most_plans` were made. `seconds` are for each plan.

    Raises:
        InvalidInputError: an unknown model or price; a budget, or a
            commitment of this model: with those the curve is not concave.
            Or there is no plan: the message says why.
        SolverError: a plan was not found in time.
    """
    if price not in _FIELDS:
        raise InvalidInputError(f"price must be 'input' or 'output'; received {price!r}")
    if not (0 < price_max <= MAX_USD_PER_MTOK) or most_plans < 2:
        raise InvalidInputError(
            f"price_max must be in (0, {MAX_USD_PER_MTOK:,.0f}] and most_plans at least 2; "
            f"received {price_max!r} and {most_plans!r}"
        )
    problem.catalog.index(model)
    committed = any(c.commitment_usd for c in constraints.contracts.get(model, ()))
    if constraints.budget_usd is not None or committed:
        raise InvalidInputError(
            f"with a budget or a commitment of {model!r} the least cost is not concave in its "
            "price, and cannot be bounded by tangents and chords"
        )

    def at(usd: float) -> Plan:
        catalog = problem.catalog.replace(model, **{_FIELDS[price]: usd})
        found = plan(problem.against(catalog), constraints, seconds=seconds, stop=stop)
        if found.infeasibility is not None:
            raise InvalidInputError(f"there is no plan to price: {found.infeasibility.words}")
        return found

    prices = [0.0, float(price_max)]
    plans = [at(usd) for usd in prices]
    while True:
        found = CostBounds(
            model,
            price,
            np.array(prices),
            tuple(plans),
            np.array([_tokens_billed(made, model, price) for made in plans]),
        )
        where, gaps = found._gaps()
        if found.gap <= gap or len(plans) >= most_plans:
            return found
        widest = int(gaps.argmax())
        prices.insert(widest + 1, float(where[widest]))
        plans.insert(widest + 1, at(prices[widest + 1]))


def _tokens_billed(found: Plan, model: str, price: str) -> float:
    """Return how many tokens the plan bills at the catalog's price of the model."""
    field = _FIELDS[price]
    billed = np.array(
        [o.name == model and getattr(o.contract, field) is None for o in found.offers], dtype=bool
    )
    queries, offers, counts = found.flows.T
    side = found.problem.tokens_input if price == "input" else found.problem.tokens_output
    mine = billed[offers]
    return float(counts[mine] @ side[queries[mine]])
