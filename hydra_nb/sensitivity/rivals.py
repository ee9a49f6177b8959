"""Who is chosen, who comes next, and who wins where two cost the same: shared by all analyses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hydra_nb.catalog import Catalog
from hydra_nb.dimensions import TOLERANCE
from hydra_nb.errors import InvalidInputError
from hydra_nb.matching import cheapest, name_rank
from hydra_nb.problem import RoutingProblem

# Shortfalls of equal models differ by rounding noise, which is below this.
_NOISE = 1e-12


@dataclass(frozen=True, eq=False)
class Rivals:
    """The two leading models of each query.

    Attributes:
        problem: the routing problem.
        first: int64 `(n_queries,)`, the chosen model, as `assign` gives it; −1 where nobody is.
        second: int64 `(n_queries,)`, the eligible model that wins without `first`; −1 where none.
    """

    problem: RoutingProblem
    first: NDArray[np.int64]
    second: NDArray[np.int64]

    def against(self, model: int) -> NDArray[np.int64]:
        """Return the best eligible rival of one model, int64 `(n_queries,)`; −1 where none."""
        return np.where(self.first == model, self.second, self.first)

    def wins_ties(self, model: int) -> NDArray[np.bool_]:
        """Return where the model wins if it costs as much as its best rival.

        bool `(n_queries,)`; true where it has no rival, whether it is eligible or not.
        """
        mine = self._shortfall_columns[model]
        first, second = self._leading_shortfalls
        rank_first, rank_second = self._ranks
        is_first = self.first == model
        theirs = np.where(is_first, second, first)
        earlier = self._rank[model] < np.where(is_first, rank_second, rank_first)
        wins: NDArray[np.bool_] = (theirs > mine + TOLERANCE) | (
            (mine <= theirs + TOLERANCE) & earlier
        )
        delicate, rows = self._delicate
        if len(rows):
            cost = delicate.cost_micro_usd.copy()
            cost[:, model] = at_index(cost, self.against(model)[rows], 0.0)
            tied = replace(delicate, cost_micro_usd=cost)
            wins[rows] = cheapest(tied, tied.eligible) == model
        return wins

    def cost_against(self, model: int) -> NDArray[np.float64]:
        """Return the cost of the best eligible rival, float64 `(n_queries,)`; +∞ where none."""
        first, second = self._leading_costs
        return np.where(self.first == model, second, first)

    @cached_property
    def _leading_costs(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        cost = self.problem.cost_micro_usd
        return at_index(cost, self.first, np.inf), at_index(cost, self.second, np.inf)

    @cached_property
    def _leading_shortfalls(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        gap = self.problem.shortfall
        return at_index(gap, self.first, np.inf), at_index(gap, self.second, np.inf)

    @cached_property
    def _rank(self) -> NDArray[np.int64]:
        return name_rank(self.problem.catalog.names)

    @cached_property
    def _ranks(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        # Nobody, −1, comes after everybody.
        rank = np.append(self._rank, len(self._rank))
        return rank[self.first], rank[self.second]

    @cached_property
    def _shortfall_columns(self) -> NDArray[np.float64]:
        return np.ascontiguousarray(self.problem.shortfall.T)

    @cached_property
    def _delicate(self) -> tuple[RoutingProblem, NDArray[np.int64]]:
        rows = delicate_rows(self.problem)
        return self.problem.rows(rows), rows


def rank_rivals(problem: RoutingProblem) -> Rivals:
    """Return the chosen model and the next one of each query."""
    first = cheapest(problem, problem.eligible)
    others = problem.eligible.copy()
    rows = np.flatnonzero(first >= 0)
    others[rows, first[rows]] = False
    return Rivals(problem, first, cheapest(problem, others))


def delicate_rows(problem: RoutingProblem) -> NDArray[np.int64]:
    """Return the queries in which "equal within 1e-9" is not transitive, as indices.

    Where two shortfalls are further apart than rounding noise and yet about as close as the
    tolerance, a third model that nobody chose can decide between them. Everywhere else, models fall
    into groups of equal shortfall, and taking away a model that was not chosen changes nothing.
    """
    gaps = np.diff(np.sort(problem.shortfall, axis=1), axis=1)
    near = (gaps > _NOISE) & (gaps <= 2 * TOLERANCE)
    return _rows_with_any(near)


def _rows_with_any(matrix: NDArray[np.bool_]) -> NDArray[np.int64]:
    # Far faster than any(axis=1) where hardly anything is true.
    return np.unique(np.flatnonzero(matrix) // max(matrix.shape[1], 1))


def at_index(
    matrix: NDArray[np.float64], columns: NDArray[np.int64], default: float
) -> NDArray[np.float64]:
    """Return one value a row, float64 `(n_rows,)`, and `default` where the column is −1."""
    values = np.full(len(columns), default)
    rows = np.flatnonzero(columns >= 0)
    values[rows] = matrix[rows, columns[rows]]
    return values


def switched_off(catalog: Catalog, names: tuple[str, ...]) -> Catalog:
    """Return the catalog with some models unavailable; `CatalogError` for an unknown name."""
    for name in names:
        catalog = catalog.replace(name, available=False)
    return catalog


def one_query(problem: RoutingProblem, what: str) -> None:
    """Raise `InvalidInputError` unless the problem has exactly one query."""
    if len(problem.requirements) != 1:
        raise InvalidInputError(
            f"{what} takes a problem of one query; received {len(problem.requirements)} "
            f"(problem.rows([i]) picks one)"
        )
