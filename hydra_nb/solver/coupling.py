"""A workload under constraints as arrays: offers, candidates, costs, and the rows that couple them.

Flows f_qo are whole requests of query q served under offer o (a model and the contract it is paid
by). Every constraint that is no matter of one query alone becomes a `Row` Σ a_qo f_qo ≤ limit, with
`Extra` variables (blocks bought, top-ups to a commitment) where the contract needs them. All that a
solver, the bound and the explanation of an infeasible workload know is what stands here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hydra_nb.errors import InvalidInputError
from hydra_nb.problem import RoutingProblem
from hydra_nb.solver.constraints import Constraints, Contract
from hydra_nb.solver.relaxed_limit import RelaxedLimit

Objective = Literal["cost", "shortfall"]

PAY_AS_YOU_GO = Contract()


@dataclass(frozen=True)
class Offer:
    """A model and a contract to pay it by.

    Attributes:
        model: index into the catalog.
        name: of the model.
        contract: its terms.
    """

    model: int
    name: str
    contract: Contract

    @property
    def label(self) -> str:
        """Return the model, and the contract where it is not pay as you go."""
        plain = self.contract == PAY_AS_YOU_GO
        return self.name if plain else f"{self.name} · {self.contract.name}"

    @property
    def has_terms_of_use(self) -> bool:
        """Return whether it matters that the offer is used at all."""
        return self.contract.fee_usd > 0 or self.contract.commitment_usd > 0


@dataclass(frozen=True, eq=False)
class Row:
    """Σ_qo a_qo f_qo ≤ limit, where a_qo = per_query_q · per_offer_o, or a matrix.

    Attributes:
        kind: field of `Constraints` that it comes from, or "blocks", "commitment".
        key: the model, provider or offer; empty where there is one of its kind.
        limit: right-hand side, in `unit`.
        unit: "requests", "tokens", "micro-USD" or "shortfall".
        per_query: float64 `(n_queries,)`; `None` means 1.
        per_offer: float64 `(n_offers,)`; `None` means 1.
        matrix: float64 `(n_queries, n_offers)`, in place of both.
        at_least: whether people read it as Σ −a f ≥ −limit.
    """

    kind: str
    key: str
    limit: float
    unit: str
    per_query: NDArray[np.float64] | None = None
    per_offer: NDArray[np.float64] | None = None
    matrix: NDArray[np.float64] | None = None
    at_least: bool = False

    def at(self, queries: NDArray[np.int64], offers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the coefficients of pairs of query and offer, float64 `(n_pairs,)`."""
        if self.matrix is not None:
            return self.matrix[queries, offers]
        values = np.ones(len(queries))
        if self.per_query is not None:
            values = values * self.per_query[queries]
        if self.per_offer is not None:
            values = values * self.per_offer[offers]
        return values

    def add_to(self, matrix: NDArray[np.float64], factor: float) -> None:
        """Add `factor` times the coefficients to a `(n_queries, n_offers)` matrix, in place."""
        if self.matrix is not None:
            matrix += factor * self.matrix
            return
        offers = np.ones(matrix.shape[1]) if self.per_offer is None else self.per_offer
        for offer in np.flatnonzero(offers):
            step = factor * float(offers[offer])
            matrix[:, offer] += step if self.per_query is None else step * self.per_query

    @property
    def words(self) -> str:
        """Return what it limits, in words."""
        return {
            "max_requests": f"requests of {self.key}",
            "max_tokens": f"tokens of {self.key}",
            "max_provider_share": f"share of {self.key}",
            "min_provider_share": f"least share of {self.key}",
            "budget_usd": "budget",
            "max_mean_shortfall": "mean shortfall",
            "min_share_within_tau": "share within τ",
            "blocks": f"blocks of {self.key}",
            "commitment": f"commitment of {self.key}",
        }[self.kind]

    def relaxed_by(self, amount: float, requests: int, *, exact: bool = True) -> RelaxedLimit:
        """Return how to relax the row by `amount` of its unit."""
        return RelaxedLimit.rounded_up(self.kind, self.key, amount, requests=requests, exact=exact)


@dataclass(frozen=True)
class Extra:
    """A variable that is no flow: blocks bought, or a top-up to a commitment.

    Attributes:
        offer: which offer it belongs to.
        cost: of the objective, a unit: micro-USD, or 0 where shortfall is minimised.
        upper: largest value.
        integer: whether it is counted in whole units.
        entries: pairs of (row, coefficient) where it enters.
    """

    offer: int
    cost: float
    upper: float
    integer: bool
    entries: tuple[tuple[int, float], ...]


@dataclass(frozen=True, eq=False)
class CoupledProblem:
    """What is to be planned.

    Attributes:
        problem: the routing problem.
        constraints: as given.
        objective: what is minimised.
        queries: int64 `(n_rows,)`, the queries that have a candidate at all, as indices into the
            problem. Everything below has these as its rows.
        supply: int64 `(n_rows,)`, requests of each.
        offers: the `n_offers` offers.
        candidate: bool `(n_rows, n_offers)`.
        usage: float64 `(n_rows, n_offers)`, micro-USD of one request.
        shortfall: float64 `(n_rows, n_offers)`.
        rows: the coupling constraints.
        extras: the variables that are no flows.
    """

    problem: RoutingProblem
    constraints: Constraints
    objective: Objective
    queries: NDArray[np.int64]
    supply: NDArray[np.int64]
    offers: tuple[Offer, ...]
    candidate: NDArray[np.bool_]
    usage: NDArray[np.float64]
    shortfall: NDArray[np.float64]
    rows: tuple[Row, ...]
    extras: tuple[Extra, ...]

    @property
    def requests(self) -> int:
        """Return how many requests there are to place."""
        return int(self.supply.sum())

    @property
    def price(self) -> NDArray[np.float64]:
        """Return what the objective charges a request, float64 `(n_rows, n_offers)`."""
        return self.usage if self.objective == "cost" else self.shortfall

    @property
    def is_open_only(self) -> bool:
        """Return whether all that couples the queries is which offers are in use."""
        return not self.rows and not self.extras

    @property
    def has_fixed_charges(self) -> bool:
        """Return whether it matters that an offer or a model is used at all."""
        return self.constraints.max_models is not None or any(
            offer.has_terms_of_use for offer in self.offers
        )


def couple(
    problem: RoutingProblem, constraints: Constraints, objective: Objective = "cost"
) -> CoupledProblem:
    """Return the arrays of `problem` under `constraints`.

    A request may go to the models of E_q; where a mean shortfall or a share within τ is
    constrained, or shortfall is what is minimised, to all that the gates allow (G_q).

    Raises:
        InvalidInputError: the constraints name what the catalog does not have.
    """
    if objective not in ("cost", "shortfall"):
        raise InvalidInputError(f"objective must be 'cost' or 'shortfall'; received {objective!r}")
    constraints.check_against(problem.catalog)
    offers = _offers(problem, constraints)
    models = np.array([offer.model for offer in offers], dtype=np.int64)
    free = (
        objective == "shortfall"
        or constraints.max_mean_shortfall is not None
        or constraints.min_share_within_tau is not None
    )
    open_to = problem.allowed if free else problem.eligible
    queries = np.flatnonzero(open_to.any(axis=1))
    whole = len(queries) == len(open_to)
    pick = slice(None) if whole else queries

    def columns(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = matrix[pick]
        same = len(models) == matrix.shape[1] and np.array_equal(models, np.arange(len(models)))
        return rows if same else rows[:, models]

    usage = _usage(problem, offers, columns(problem.cost_micro_usd), pick)
    shortfall = columns(problem.shortfall)
    rows, extras = _rows(problem, constraints, offers, objective, usage, shortfall, pick)
    return CoupledProblem(
        problem=problem,
        constraints=constraints,
        objective=objective,
        queries=queries,
        supply=problem.arrivals[pick],
        offers=offers,
        candidate=open_to[pick][:, models],
        usage=usage,
        shortfall=shortfall,
        rows=rows,
        extras=extras,
    )


def _offers(problem: RoutingProblem, constraints: Constraints) -> tuple[Offer, ...]:
    return tuple(
        Offer(index, profile.name, contract)
        for index, profile in enumerate(problem.catalog)
        for contract in constraints.contracts.get(profile.name, (PAY_AS_YOU_GO,))
    )


def _usage(
    problem: RoutingProblem,
    offers: tuple[Offer, ...],
    cost: NDArray[np.float64],
    pick: slice | NDArray[np.int64],
) -> NDArray[np.float64]:
    repriced = [
        (number, offer)
        for number, offer in enumerate(offers)
        if offer.contract.usd_per_mtok_input is not None
        or offer.contract.usd_per_mtok_output is not None
    ]
    if not repriced:
        return cost
    usage, catalog_prices = cost.copy(), problem.catalog.prices()
    for number, offer in repriced:
        own = (offer.contract.usd_per_mtok_input, offer.contract.usd_per_mtok_output)
        into, out = (
            catalog_prices[offer.model, side] if price is None else price
            for side, price in enumerate(own)
        )
        tokens_cost = problem.tokens_input[pick] * into + problem.tokens_output[pick] * out
        usage[:, number] = np.round(tokens_cost, 6)
    return usage


def _rows(
    problem: RoutingProblem,
    constraints: Constraints,
    offers: tuple[Offer, ...],
    objective: Objective,
    usage: NDArray[np.float64],
    shortfall: NDArray[np.float64],
    pick: slice | NDArray[np.int64],
) -> tuple[tuple[Row, ...], tuple[Extra, ...]]:
    tokens = (problem.tokens_input[pick] + problem.tokens_output[pick]).astype(np.float64)
    requests = int(problem.arrivals[pick].sum())
    provider_of = [problem.catalog[offer.model].provider for offer in offers]
    rows: list[Row] = []
    extras: list[Extra] = []

    def those(matching: list[bool]) -> NDArray[np.float64]:
        return np.array(matching, dtype=np.float64)

    # The budget comes first: what the other rows buy enters it too.
    budget = constraints.budget_usd
    if budget is not None:
        rows.append(Row("budget_usd", "", budget * 1e6, "micro-USD", matrix=usage))
    for name, most in constraints.max_requests.items():
        of_model = those([offer.name == name for offer in offers])
        rows.append(Row("max_requests", name, float(most), "requests", per_offer=of_model))
    for name, most in constraints.max_tokens.items():
        of_model = those([offer.name == name for offer in offers])
        rows.append(Row("max_tokens", name, float(most), "tokens", tokens, of_model))
    # Whole requests: rounding the limit keeps the program a network, whose vertices are whole.
    for provider, share in constraints.max_provider_share.items():
        limit = float(math.floor(share * requests + 1e-9))
        of_provider = those([p == provider for p in provider_of])
        rows.append(Row("max_provider_share", provider, limit, "requests", per_offer=of_provider))
    for provider, share in constraints.min_provider_share.items():
        limit = -float(math.ceil(share * requests - 1e-9))
        of_provider = -those([p == provider for p in provider_of])
        rows.append(
            Row("min_provider_share", provider, limit, "requests", None, of_provider, at_least=True)
        )
    if constraints.max_mean_shortfall is not None:
        limit = constraints.max_mean_shortfall * requests
        rows.append(Row("max_mean_shortfall", "", limit, "shortfall", matrix=shortfall))
    if constraints.min_share_within_tau is not None:
        models = np.array([offer.model for offer in offers], dtype=np.int64)
        within = -problem.eligible[pick][:, models].astype(np.float64)
        least = -float(math.ceil(constraints.min_share_within_tau * requests - 1e-9))
        rows.append(
            Row("min_share_within_tau", "", least, "requests", matrix=within, at_least=True)
        )
    for number, offer in enumerate(offers):
        contract = offer.contract
        alone = those([other == number for other in range(len(offers))])
        if contract.block_tokens:
            cost = contract.usd_per_block * 1e6
            entries = [(len(rows), -float(contract.block_tokens))]
            if budget is not None:
                entries.append((0, cost))
            charged = cost if objective == "cost" else 0.0
            extras.append(Extra(number, charged, contract.max_blocks, True, tuple(entries)))
            rows.append(Row("blocks", offer.label, 0.0, "tokens", tokens, alone))
    return tuple(rows), tuple(extras)
