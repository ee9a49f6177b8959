"""Algorithm 2 of the HyDRA paper: the cheapest eligible model, for one query or for many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from hydra_nb.catalog import Catalog
from hydra_nb.dimensions import DIMENSIONS, TOLERANCE
from hydra_nb.problem import RoutingOptions, RoutingProblem, formulate
from hydra_nb.requirements import Requirements

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Assignment:
    """Which model each query goes to.

    Attributes:
        problem: what was asked.
        chosen: int64 `(n_queries,)`, indices into the catalog; −1 where no model is available.
    """

    problem: RoutingProblem
    chosen: NDArray[np.int64]

    @property
    def names(self) -> tuple[str | None, ...]:
        """Return the chosen model's name for each query; `None` where there is none."""
        names = self.problem.catalog.names
        return tuple(names[i] if i >= 0 else None for i in self.chosen)

    @property
    def cost_micro_usd(self) -> NDArray[np.float64]:
        """Return the cost of one request of each query, float64 `(n_queries,)`; NaN: nobody."""
        return self._at_chosen(self.problem.cost_micro_usd)

    @property
    def total_cost_micro_usd(self) -> int:
        """Return the cost of all requests that were assigned, rounded to whole micro-USD."""
        return round(float(np.nansum(self.cost_micro_usd * self.problem.arrivals)))

    @property
    def shortfall(self) -> NDArray[np.float64]:
        """Return each query's shortfall, float64 `(n_queries,)`; NaN where nothing is chosen."""
        return self._at_chosen(self.problem.shortfall)

    @property
    def failed_open(self) -> NDArray[np.bool_]:
        """Return where no allowed model was within τ, bool `(n_queries,)`."""
        return self.problem.failed_open

    def to_frame(self) -> pd.DataFrame:
        """Return one row a query: requirements, tokens, chosen model, cost, shortfall, flags."""
        import pandas as pd

        columns: dict[str, Any] = dict(
            zip(DIMENSIONS, self.problem.requirements.values.T, strict=True)
        )
        columns |= {
            "tokens_input": self.problem.tokens_input,
            "tokens_output": self.problem.tokens_output,
            "arrivals": self.problem.arrivals,
            "chosen": pd.array(self.names, dtype="string"),
            "cost_micro_usd": self.cost_micro_usd,
            "shortfall": self.shortfall,
            "failed_open": self.failed_open,
            "gates_failed_open": self.problem.gates_failed_open,
        }
        return pd.DataFrame(columns)

    def __len__(self) -> int:
        return len(self.chosen)

    def __repr__(self) -> str:
        unassigned = int((self.chosen < 0).sum())
        return (
            f"Assignment({len(self)} queries, {self.total_cost_micro_usd:,} µUSD, "
            f"{int(self.failed_open.sum())} failed open, {unassigned} unassigned)"
        )

    def _at_chosen(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        values = np.full(len(self.chosen), np.nan)
        rows = np.flatnonzero(self.chosen >= 0)
        values[rows] = matrix[rows, self.chosen[rows]]
        return values


def match(
    requirements: Requirements, catalog: Catalog, **options: Unpack[RoutingOptions]
) -> Assignment:
    """Return the cheapest eligible model of each query.

    Ties go to the smaller shortfall, then to the name that sorts first.

    Args:
        requirements: of `n_queries` queries.
        catalog: the model profiles.
        **options: those of `formulate`: `tau`, `dimension_weights`, `tokens_input`,
            `tokens_output`, `modalities`, `arrivals`.
    """
    return assign(formulate(requirements, catalog, **options))


def assign(problem: RoutingProblem) -> Assignment:
    """Return the assignment of a problem that is already formulated; see `match`."""
    return Assignment(problem, cheapest(problem, problem.eligible))


def cheapest(problem: RoutingProblem, eligible: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return, for each row of `eligible`, the column that wins by (cost, shortfall, name).

    int64 `(n_queries,)`; −1 where a row is empty.
    """
    if not len(problem.catalog):
        return np.full(len(eligible), -1, dtype=np.int64)
    cost = np.where(eligible, problem.cost_micro_usd, np.inf)
    every = np.arange(len(cost))
    lead = np.argmin(cost, axis=1)
    best = cost[every, lead]
    equal = cost == best[:, None]
    equal[every, lead] = False
    # Far faster than any(axis=1) where hardly anything is true.
    tied = np.unique(np.flatnonzero(equal) // cost.shape[1])
    chosen = np.where(np.isfinite(best), lead, -1).astype(np.int64)
    if len(tied):
        chosen[tied] = _settle_ties(problem, cost[tied], problem.shortfall[tied])
    return chosen


def _settle_ties(
    problem: RoutingProblem, cost: NDArray[np.float64], shortfall: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the winners of rows in which several models may cost the same; +∞: not eligible."""
    leaders = np.isfinite(cost)
    for matrix, tolerance in ((cost, 0.0), (shortfall, TOLERANCE)):
        best = np.min(matrix, axis=1, initial=np.inf, where=leaders)
        leaders = leaders & (matrix <= best[:, None] + tolerance)
    by_name = name_rank(problem.catalog.names)
    rank = np.where(leaders, by_name[None, :], len(by_name))
    chosen = np.argmin(rank, axis=1)
    return np.where(leaders.any(axis=1), chosen, -1).astype(np.int64)


def name_rank(names: Sequence[str]) -> NDArray[np.int64]:
    """Return the place of each name in sorted order, int64 `(n_models,)`."""
    rank = np.empty(len(names), dtype=np.int64)
    rank[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    return rank
