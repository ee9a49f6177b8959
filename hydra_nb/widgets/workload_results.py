"""What the workload panel has computed, as frozen values; every sum here is over whole columns.

A `Question` is all that an answer depends on. A `Routing` is where the requests go, whoever found
that: the matching rule at once, an exchange without proof, or a plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hydra_nb.catalog import Catalog
from hydra_nb.dimensions import TOLERANCE
from hydra_nb.matching import assign
from hydra_nb.problem import RoutingProblem
from hydra_nb.solver import Constraints, Plan
from hydra_nb.solver.coupling import CoupledProblem, Objective, couple

if TYPE_CHECKING:
    from hydra_nb.workload import Workload

WORST = 50
"""So many of the prompts that fall short are listed."""

Origin = Literal["rule", "exchange", "plan"]


@dataclass(frozen=True, eq=False)
class Question:
    """All that the answers depend on."""

    workload: Workload
    catalog: Catalog
    tau: float
    dimension_weights: Mapping[str, float]
    constraints: Constraints
    objective: Objective

    def is_same_as(self, other: Question | None) -> bool:
        """Return whether the answers would be the same."""
        return (
            other is not None
            and self.workload is other.workload
            and self.tau == other.tau
            and dict(self.dimension_weights) == dict(other.dimension_weights)
            and self.objective == other.objective
            and self.constraints == other.constraints
            and (self.catalog is other.catalog or self.catalog == other.catalog)
        )

    @property
    def is_free(self) -> bool:
        """Return whether nothing couples the requests: the matching rule is the optimum."""
        return not self.constraints and self.objective == "cost"


@dataclass(frozen=True, eq=False)
class Routing:
    """Where the requests go and what that costs.

    Attributes:
        question: what was asked.
        problem: the routing problem of it.
        origin: who found it.
        flows: int64 `(n_flows, 3)`, rows of (query, model, requests).
        cost_micro_usd: of all requests, fees included.
        requests_by_model: int64 `(n_models,)`.
        cost_by_model: float64 `(n_models,)`, micro-USD, fees included.
        tokens_by_model: int64 `(n_models,)`, input and output.
        mean_shortfall: over the requests that have a model; NaN where none has.
        requests_short: requests whose model is not within τ.
        prompts_short: prompts with such a request.
        worst: int64 `(n ≤ 50, 2)`, the prompts that fall short most, and their models.
        unassigned: requests without any model.
    """

    question: Question
    problem: RoutingProblem
    origin: Origin
    flows: NDArray[np.int64]
    cost_micro_usd: float
    requests_by_model: NDArray[np.int64]
    cost_by_model: NDArray[np.float64]
    tokens_by_model: NDArray[np.int64]
    mean_shortfall: float
    requests_short: int
    prompts_short: int
    worst: NDArray[np.int64]
    unassigned: int

    @property
    def requests(self) -> int:
        """Return how many requests there are, with or without a model."""
        return int(self.requests_by_model.sum()) + self.unassigned

    @property
    def share_within_tau(self) -> float:
        """Return the share of requests with a model that are within τ; NaN without any."""
        placed = int(self.requests_by_model.sum())
        return 1.0 - self.requests_short / placed if placed else float("nan")


def formulated(question: Question, before: Routing | None) -> RoutingProblem:
    """Return the routing problem of a question, from that of an earlier one where that is less."""
    if before is not None and before.question.workload is question.workload:
        known, problem = before.question, before.problem
        if dict(known.dimension_weights) == dict(question.dimension_weights):
            if known.tau != question.tau:
                problem = problem.at(question.tau)
            if known.catalog is not question.catalog:
                problem = problem.against(question.catalog)
            return problem
    return question.workload.problem(
        question.catalog, tau=question.tau, dimension_weights=question.dimension_weights
    )


def by_rule(question: Question, problem: RoutingProblem) -> Routing:
    """Return where the matching rule sends each query: the optimum where nothing couples them."""
    chosen = assign(problem).chosen
    queries = np.flatnonzero(chosen >= 0)
    models = chosen[queries]
    return _routing(question, problem, "rule", queries, models, problem.cost_micro_usd)


def by_fleet(question: Question, coupled: CoupledProblem, used: NDArray[np.bool_]) -> Routing:
    """Return where each query goes with only the offers `used`."""
    price = np.where(coupled.candidate & used[None, :], coupled.usage, np.inf)
    offers = price.argmin(axis=1)
    on = np.zeros(len(coupled.offers), dtype=bool)
    on[offers] = True
    model_of = np.array([offer.model for offer in coupled.offers], dtype=np.int64)
    usage = coupled.usage[np.arange(len(offers)), offers]
    fees = np.array([offer.contract.fee_usd * 1e6 for offer in coupled.offers])
    n_models = len(coupled.problem.catalog)
    fixed = np.zeros(n_models)
    np.add.at(fixed, model_of[on], fees[on])
    return _routing(
        question,
        coupled.problem,
        "exchange",
        coupled.queries,
        model_of[offers],
        usage,
        fixed=fixed,
    )


def by_plan(question: Question, plan: Plan) -> Routing:
    """Return a plan that has flows as a routing."""
    problem, offers = plan.problem, plan.offers
    queries, taken, counts = plan.flows.T
    n_models, catalog = len(problem.catalog), problem.catalog.prices()
    prices = np.array(
        [
            [
                catalog[offer.model, side] if own is None else own
                for side, own in enumerate(
                    (offer.contract.usd_per_mtok_input, offer.contract.usd_per_mtok_output)
                )
            ]
            for offer in offers
        ]
    ).reshape(-1, 2)
    usage = (
        problem.tokens_input[queries] * prices[taken, 0]
        + problem.tokens_output[queries] * prices[taken, 1]
    )
    billed = np.bincount(taken, weights=usage * counts, minlength=len(offers))
    fixed = np.zeros(n_models)
    for number, offer in enumerate(offers):
        contract = offer.contract
        fixed[offer.model] += float(plan.blocks[number]) * contract.usd_per_block * 1e6
        if plan.used[number]:
            fixed[offer.model] += contract.fee_usd * 1e6
            fixed[offer.model] += max(0.0, contract.commitment_usd * 1e6 - billed[number])
    models = np.array([offer.model for offer in offers], dtype=np.int64)[taken]
    return _routing(question, problem, "plan", queries, models, usage, counts=counts, fixed=fixed)


def _routing(
    question: Question,
    problem: RoutingProblem,
    origin: Origin,
    queries: NDArray[np.int64],
    models: NDArray[np.int64],
    usage: NDArray[np.float64],
    *,
    counts: NDArray[np.int64] | None = None,
    fixed: NDArray[np.float64] | None = None,
) -> Routing:
    """Return the sums; `usage` is micro-USD of one request, a flow or a query and model."""
    n_models = len(problem.catalog)
    number = problem.arrivals[queries] if counts is None else counts
    each = usage[queries, models] if usage.ndim == 2 else usage
    gap = problem.shortfall[queries, models]
    short = np.flatnonzero(gap > problem.tau + TOLERANCE)
    worst = short[np.argpartition(-gap[short], WORST)[:WORST]] if len(short) > WORST else short
    worst = worst[np.lexsort((queries[worst], -gap[worst]))]
    tokens = problem.tokens_input[queries] + problem.tokens_output[queries]
    cost_by_model = np.zeros(n_models) if fixed is None else fixed.copy()
    cost_by_model += np.bincount(models, weights=each * number, minlength=n_models)
    placed = int(number.sum())
    return Routing(
        question=question,
        problem=problem,
        origin=origin,
        flows=np.column_stack([queries, models, number]).astype(np.int64),
        cost_micro_usd=float(cost_by_model.sum()),
        requests_by_model=_counted(models, number, n_models),
        cost_by_model=cost_by_model,
        tokens_by_model=_counted(models, number * tokens, n_models),
        mean_shortfall=float(gap @ number) / placed if placed else float("nan"),
        requests_short=int(number[short].sum()),
        prompts_short=len(np.unique(queries[short])),
        worst=np.column_stack([queries[worst], models[worst]]).astype(np.int64),
        unassigned=int(problem.arrivals.sum()) - placed,
    )


def _counted(
    models: NDArray[np.int64], number: NDArray[np.int64], n_models: int
) -> NDArray[np.int64]:
    # Sums of whole numbers below 2^53 are exact in float64.
    return np.bincount(models, weights=number, minlength=n_models).astype(np.int64)


def lower_bound(question: Question, problem: RoutingProblem) -> float:
    """Return what no plan can cost less than, micro-USD: each request at its cheapest."""
    coupled = couple(problem, question.constraints, "cost")
    cheapest = np.min(coupled.usage, axis=1, initial=np.inf, where=coupled.candidate)
    return float(cheapest @ coupled.supply) if len(cheapest) else 0.0
