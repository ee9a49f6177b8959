"""Break-even prices: at which price a model wins each query, and what follows for all of them.

Prices never change who is eligible, so a query q goes to model m as long as m's cost is below that
of its best eligible rival. Solved for one of m's two prices p, with t_q the tokens it is paid for:

    p_q = (cost of the best rival − what m's other price makes) / t_q

Sorted, these thresholds give all there is to know: requests, tokens and costs are step and
piecewise linear functions of p whose breakpoints are the thresholds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydra_nb.money import format_usd
from hydra_nb.problem import COST_DECIMALS, RoutingProblem
from hydra_nb.sensitivity.curve import PRICES, Price, PriceCurve, check_price, check_side
from hydra_nb.sensitivity.rivals import Rivals, at_index, rank_rivals
from hydra_nb.sensitivity.rows import Rows

_PRICE_DECIMALS = 9


@dataclass(frozen=True, eq=False)
class BreakEven:
    """What one price of one model decides, all else fixed.

    At exactly its threshold a query costs the same at the model and at its best rival. Then, as in
    `assign`, it goes to the one with the smaller shortfall, and where these are equal too, to the
    name that sorts first: `wins_tie` says whether that is the model. Costs are compared in steps
    of 1e-6 micro-USD, so a price within 1e-6 / tokens of a threshold counts as being at it.

    Requests are weighted by `problem.arrivals`. The three counts `requests_captive`,
    `requests_indifferent` and `requests_never` do not overlap; queries the model is not eligible
    for are in the last.

    Attributes:
        problem: the routing problem.
        model: name of the model.
        price: which of its prices, "input" or "output".
        threshold: float64 `(n_queries,)`, USD per 1M tokens: below it the model has the query,
            above it the best rival does. May be negative: then the model cannot win the query even
            for nothing. +∞: it has the query at any price. −∞: at none.
        wins_tie: bool `(n_queries,)`, who has the query at exactly the threshold.
        rival: int64 `(n_queries,)`, the best eligible rival; −1 where there is none.
        usd_per_mtok: the price in force.
        requests: requests the model has at the price in force.
        cost_micro_usd: what they cost.
        enters_at: highest price at which it gets a request that it does not have at any price:
            above, it has nothing but the captive and the indifferent ones. At exactly this price
            it has that request only where it wins the tie. `None` where no price wins any.
        first_loses_at: lowest price at which it has less than at price 0, or, where it wins the tie
            there, above which it has less. `None` where it never loses any.
        requests_captive: no rival is eligible: the model has them at any price.
        requests_indifferent: they have no tokens on this side, and the model wins them anyway.
        requests_never: the model does not win them even at price 0.
    """

    problem: RoutingProblem
    model: str
    price: Price
    threshold: NDArray[np.float64]
    wins_tie: NDArray[np.bool_]
    rival: NDArray[np.int64]
    usd_per_mtok: float
    requests: int
    cost_micro_usd: float
    enters_at: float | None
    first_loses_at: float | None
    requests_captive: int
    requests_indifferent: int
    requests_never: int

    def wins(self, usd_per_mtok: float) -> NDArray[np.bool_]:
        """Return which queries the model has at a price, bool `(n_queries,)`; as `assign` would."""
        price = check_price(usd_per_mtok)
        tokens, other = _sides(self.problem, self._index, self.price)
        cost = np.round(tokens * price + other, COST_DECIMALS)
        theirs = at_index(self.problem.cost_micro_usd, self.rival, np.inf)
        better: NDArray[np.bool_] = (cost < theirs) | ((cost == theirs) & self.wins_tie)
        return self.problem.eligible[:, self._index] & better

    def curve(self) -> PriceCurve:
        """Return requests, tokens and costs as functions of the price, from 0 on."""
        problem = self.problem
        tokens, other = _sides(problem, self._index, self.price)
        theirs = at_index(problem.cost_micro_usd, self.rival, np.inf)
        at_zero = (self.threshold > 0) | ((self.threshold == 0) & self.wins_tie)
        # The columns are requests, tokens, what the other price makes, and the best rivals' cost.
        rival_cost = np.where(np.isfinite(theirs), theirs, 0.0)
        terms = problem.arrivals * np.array([np.ones(len(tokens)), tokens, other, rival_cost])
        falling = np.flatnonzero(at_zero & np.isfinite(self.threshold))
        price, place = np.unique(np.append(0.0, self.threshold[falling]), return_inverse=True)
        lost, lost_ties = np.zeros((2, 4, len(price)))
        for k in range(4):
            lost[k] = np.bincount(place[1:], terms[k, falling], minlength=len(price))
            tie = falling[~self.wins_tie[falling]]
            ties = place[1:][~self.wins_tie[falling]]
            lost_ties[k] = np.bincount(ties, terms[k, tie], minlength=len(price))
        # Summed from the dear end, so that what is left after the last loss is exact.
        forever = terms[:, at_zero & ~np.isfinite(self.threshold)].sum(axis=1)[:, None]
        before = forever + np.cumsum(lost[:, ::-1], axis=1)[:, ::-1]
        after = np.concatenate([before[:, 1:], forever], axis=1)
        at = before - lost_ties
        elsewhere = float(terms[3, ~at_zero].sum())
        gone = np.cumsum(lost[3])
        return PriceCurve(
            model=self.model,
            price=self.price,
            usd_per_mtok=price,
            requests=np.rint(after[0]).astype(np.int64),
            requests_at=np.rint(at[0]).astype(np.int64),
            requests_total=int(problem.arrivals.sum()),
            tokens=after[1],
            tokens_at=at[1],
            model_intercept=after[2],
            model_intercept_at=at[2],
            total_intercept=after[2] + gone + elsewhere,
        )

    def to_row(self) -> dict[str, Any]:
        """Return the summary as one row of a table, without the arrays."""
        return {
            "model": self.model,
            "price": self.price,
            "usd_per_mtok": self.usd_per_mtok,
            "requests": self.requests,
            "cost_micro_usd": self.cost_micro_usd,
            "enters_at_usd_per_mtok": _or_nan(self.enters_at),
            "first_loses_at_usd_per_mtok": _or_nan(self.first_loses_at),
            "requests_captive": self.requests_captive,
            "requests_indifferent": self.requests_indifferent,
            "requests_never": self.requests_never,
        }

    def __repr__(self) -> str:
        total = int(self.problem.arrivals.sum())
        parts = [f"{self.requests:,} of {total:,} requests at {_usd(self.usd_per_mtok)}"]
        if self.enters_at is not None:
            parts.append(f"enters at {_usd(self.enters_at)}")
        if self.first_loses_at is not None:
            parts.append(f"first loses at {_usd(self.first_loses_at)}")
        if self.requests_captive:
            parts.append(f"{self.requests_captive:,} captive")
        if self.requests_never:
            parts.append(f"{self.requests_never:,} never won")
        return f"BreakEven({self.model} {self.price} price: {', '.join(parts)})"

    @property
    def _index(self) -> int:
        return self.problem.catalog.index(self.model)


def break_even(problem: RoutingProblem, model: str, *, price: Price = "input") -> BreakEven:
    """Return at which price `model` wins each query; see `BreakEven` for who wins at exactly it.

    Raises:
        CatalogError: no such model.
        InvalidInputError: `price` is neither "input" nor "output".
    """
    index = problem.catalog.index(model)
    return _break_even(rank_rivals(problem), index, check_side(price))


def break_even_table(problem: RoutingProblem, *, price: Price | None = None) -> Rows[BreakEven]:
    """Return the break-even of every model and both prices, or only one, in catalog order."""
    rivals = rank_rivals(problem)
    sides = PRICES if price is None else (check_side(price),)
    return Rows(
        _break_even(rivals, index, side) for index in range(len(problem.catalog)) for side in sides
    )


def _sides(
    problem: RoutingProblem, index: int, price: Price
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the tokens paid at this price, and micro-USD that the other price makes."""
    paid, rest = problem.tokens_input, problem.tokens_output
    profile = problem.catalog[index]
    if price == "input":
        return paid, np.multiply(rest, profile.usd_per_mtok_output, dtype=np.float64)
    return rest, np.multiply(paid, profile.usd_per_mtok_input, dtype=np.float64)


def _break_even(rivals: Rivals, index: int, price: Price) -> BreakEven:
    problem = rivals.problem
    profile = problem.catalog[index]
    eligible, arrivals = problem.eligible[:, index], problem.arrivals
    rival = rivals.against(index)
    theirs = rivals.cost_against(index)
    wins_tie = rivals.wins_ties(index)
    tokens, other = _sides(problem, index, price)
    threshold = _thresholds(theirs, tokens, other, wins_tie)
    threshold[~eligible] = -np.inf
    captive = eligible & (rival < 0)
    at_zero = (threshold > 0) | ((threshold == 0) & wins_tie)
    forever = np.isposinf(threshold)
    contested = threshold[at_zero & ~forever]
    has = rivals.first == index
    return BreakEven(
        problem=problem,
        model=profile.name,
        price=price,
        threshold=threshold,
        wins_tie=wins_tie,
        rival=rival,
        usd_per_mtok=(
            profile.usd_per_mtok_input if price == "input" else profile.usd_per_mtok_output
        ),
        requests=int(arrivals[has].sum()),
        cost_micro_usd=float((arrivals * problem.cost_micro_usd[:, index])[has].sum()),
        enters_at=float(contested.max()) if len(contested) else None,
        first_loses_at=float(contested.min()) if len(contested) else None,
        requests_captive=int(arrivals[captive].sum()),
        requests_indifferent=int(arrivals[forever & ~captive].sum()),
        requests_never=int(arrivals[~at_zero].sum()),
    )


def _thresholds(
    theirs: NDArray[np.float64],
    tokens: NDArray[np.int64],
    other: NDArray[np.float64],
    wins_tie: NDArray[np.bool_],
) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        raw = (theirs - other) / tokens
        # The plain decimal is taken where it ties too: 0.3 rather than 0.30000000000000004.
        plain = np.round(raw, _PRICE_DECIMALS)
        ties = np.round(tokens * plain + other, COST_DECIMALS) == theirs
    threshold = np.where(ties, plain, raw)
    free = np.flatnonzero(tokens == 0)
    if len(free):
        cost = np.round(other[free], COST_DECIMALS)
        wins = (cost < theirs[free]) | ((cost == theirs[free]) & wins_tie[free])
        threshold[free] = np.where(wins, np.inf, -np.inf)
    return np.asarray(threshold, dtype=np.float64)


def _usd(usd_per_mtok: float) -> str:
    return format_usd(usd_per_mtok * 1e6)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
