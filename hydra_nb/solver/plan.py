"""A plan: where the requests of a workload go, what that costs, and how well that is proven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hydra_nb.money import format_usd
from hydra_nb.problem import RoutingProblem
from hydra_nb.solver.constraints import Constraints
from hydra_nb.solver.coupling import Objective, Offer
from hydra_nb.solver.relaxed_limit import RelaxedLimit

if TYPE_CHECKING:
    import pandas as pd

PlanStatus = Literal["optimal", "feasible", "infeasible"]
"""Proven to be best; within `gap` of the best; proven impossible."""


@dataclass(frozen=True)
class ShadowPrice:
    """What one more unit of a limit would save, in the linear relaxation.

    Attributes:
        limit: what is limited, in words.
        per_unit: of the objective (micro-USD, or shortfall), for the first unit more.
        unit: of the limit.
    """

    limit: str
    per_unit: float
    unit: str


@dataclass(frozen=True)
class Infeasibility:
    """Why there is no plan.

    Attributes:
        conflict: limits that cannot hold together; without any one of them, the rest of them can.
        relaxations: each alone makes a plan possible, and less of it does not; see
            `RelaxedLimit.exact`.
        together: the smallest joint relaxation, where no single one is enough.
    """

    conflict: tuple[str, ...]
    relaxations: tuple[RelaxedLimit, ...]
    together: tuple[RelaxedLimit, ...] = ()

    @property
    def words(self) -> str:
        """Return both in sentences."""
        text = f"No plan satisfies {_listed(self.conflict)}."
        if self.relaxations:
            return f"{text} Any one of these is enough: {'; '.join(map(str, self.relaxations))}."
        if self.together:
            return f"{text} Together these are enough: {'; '.join(map(str, self.together))}."
        return text


@dataclass(frozen=True, eq=False)
class Plan:
    """Where the requests of a workload go.

    Attributes:
        problem: what was asked.
        constraints: under which constraints.
        objective: what was minimised, "cost" or "shortfall".
        status: "optimal", "feasible" (see `gap`) or "infeasible" (see `infeasibility`).
        offers: what could be used: models with the contract they are paid by.
        flows: int64 `(n_flows, 3)`, rows of (query, offer, requests), sorted; requests > 0.
        usage_micro_usd: what the requests cost at the prices of their offers.
        fixed_micro_usd: fees, blocks, and what commitments cost beyond the usage.
        used: bool `(n_offers,)`, which offers are in use.
        blocks: int64 `(n_offers,)`, provisioned blocks bought.
        value: of the objective: micro-USD, or shortfall summed over requests.
        bound: no plan can have a value below this.
        shadow_prices: of the limits that bind; none where the fleet is part of the decision,
            which has no duals.
        infeasibility: why there is no plan.
        solver: which solver, and how.
        seconds: wall time.
    """

    problem: RoutingProblem
    constraints: Constraints
    objective: Objective
    status: PlanStatus
    offers: tuple[Offer, ...]
    flows: NDArray[np.int64]
    usage_micro_usd: float
    fixed_micro_usd: float
    used: NDArray[np.bool_]
    blocks: NDArray[np.int64]
    value: float
    bound: float
    shadow_prices: tuple[ShadowPrice, ...]
    infeasibility: Infeasibility | None
    solver: str
    seconds: float

    @property
    def gap(self) -> float:
        """Return (value − bound) / value: how much better a plan could be at most; NaN without."""
        if self.status == "infeasible":
            return float("nan")
        above = max(0.0, self.value - self.bound)
        return above / self.value if self.value > 0 else 0.0 if above <= 0 else float("nan")

    @property
    def total_cost_micro_usd(self) -> int:
        """Return what the plan costs, fees included, rounded to whole micro-USD."""
        return round(self.usage_micro_usd + self.fixed_micro_usd)

    @property
    def chosen(self) -> NDArray[np.int64]:
        """Return the model that gets most of each query's requests, int64 `(n_queries,)`; −1 none.

        Of models with equally many it is the first of the catalog.
        """
        requests = self.requests_by_query
        if not requests.shape[1]:
            return np.full(len(requests), -1, dtype=np.int64)
        return np.where(requests.any(axis=1), requests.argmax(axis=1), -1).astype(np.int64)

    @property
    def requests_by_query(self) -> NDArray[np.int64]:
        """Return the requests, int64 `(n_queries, n_models)`."""
        shape = (len(self.problem.requirements), len(self.problem.catalog))
        requests = np.zeros(shape, dtype=np.int64)
        models = np.array([offer.model for offer in self.offers], dtype=np.int64)
        if len(self.flows):
            queries, offers, counts = self.flows.T
            np.add.at(requests, (queries, models[offers]), counts)
        return requests

    @property
    def requests_by_model(self) -> NDArray[np.int64]:
        """Return the requests each model gets, int64 `(n_models,)`."""
        return np.asarray(self.requests_by_query.sum(axis=0), dtype=np.int64)

    @property
    def mean_shortfall(self) -> float:
        """Return the mean shortfall over the requests that are placed; NaN where there are none."""
        if not len(self.flows):
            return float("nan")
        queries, offers, counts = self.flows.T
        models = np.array([offer.model for offer in self.offers], dtype=np.int64)[offers]
        return float(counts @ self.problem.shortfall[queries, models] / counts.sum())

    @property
    def unassigned(self) -> int:
        """Return how many requests no model could be found for."""
        placed = int(self.flows[:, 2].sum()) if len(self.flows) else 0
        return int(self.problem.arrivals.sum()) - placed

    def to_frame(self) -> pd.DataFrame:
        """Return one row a query and offer that gets requests: model, contract, requests, usage.

        Fees, blocks and what a commitment costs beyond the usage belong to no single row.
        """
        import pandas as pd

        queries, offers, counts = self.flows.T
        into, out = self._prices().T
        tokens_in, tokens_out = self.problem.tokens_input, self.problem.tokens_output
        usage = counts * (tokens_in[queries] * into[offers] + tokens_out[queries] * out[offers])
        models = np.array([offer.model for offer in self.offers], dtype=np.int64)[offers]
        names = [offer.name for offer in self.offers]
        contracts = [offer.contract.name for offer in self.offers]
        return pd.DataFrame(
            {
                "query": queries,
                "model": pd.array([names[o] for o in offers], dtype="string"),
                "contract": pd.array([contracts[o] for o in offers], dtype="string"),
                "requests": counts,
                "tokens_input": tokens_in[queries] * counts,
                "tokens_output": tokens_out[queries] * counts,
                "usage_micro_usd": usage,
                "shortfall": self.problem.shortfall[queries, models],
                "within_tau": self.problem.eligible[queries, models],
            }
        )

    def _prices(self) -> NDArray[np.float64]:
        """Return the input and output price of each offer, float64 `(n_offers, 2)`."""
        prices = self.problem.catalog.prices()[[offer.model for offer in self.offers]]
        for number, offer in enumerate(self.offers):
            own = (offer.contract.usd_per_mtok_input, offer.contract.usd_per_mtok_output)
            for side, price in enumerate(own):
                if price is not None:
                    prices[number, side] = price
        return prices

    @property
    def words(self) -> str:
        """Return the result in one sentence, with what is proven of it."""
        if self.infeasibility is not None:
            return self.infeasibility.words
        cost = format_usd(self.total_cost_micro_usd)
        if self.status == "optimal":
            return f"{cost}, proven to be the least {self.objective}."
        gap = "less than 0.001 %" if self.gap < 1e-5 else f"at most {100 * self.gap:.3g} %"
        return f"{cost}, {gap} above the least {self.objective} there is."

    def __repr__(self) -> str:
        return f"Plan({self.status}: {self.words})"


def _listed(words: tuple[str, ...]) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]} together"
