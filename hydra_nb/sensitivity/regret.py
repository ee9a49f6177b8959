"""What an assignment made elsewhere loses against the optimum of this problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hydra_nb.errors import InvalidInputError
from hydra_nb.matching import Assignment, cheapest
from hydra_nb.money import format_usd
from hydra_nb.problem import RoutingProblem
from hydra_nb.sensitivity.rivals import at_index
from hydra_nb.sensitivity.rows import Rows

if TYPE_CHECKING:
    import pandas as pd

Choice = str | int | None


@dataclass(frozen=True, eq=False)
class Regret:
    """A given assignment against `assign(problem)`; all counts are requests, by `arrivals`.

    Costs and shortfalls are compared over the queries that have a model in both. The extra cost is
    negative where the given assignment is cheaper, which it can only be by models that are off or
    not eligible.

    Attributes:
        problem: the routing problem.
        label: name of the assignment.
        chosen: int64 `(n_queries,)`, the given assignment; −1 where it has no model.
        optimal: int64 `(n_queries,)`, that of `assign`.
        extra_cost_micro_usd: given minus optimal.
        extra_mean_shortfall: given minus optimal; NaN where nothing is compared.
        requests_off: sent to models that are switched off.
        requests_ineligible: sent to models that are available, but that the gates keep out or that
            fall further short than is tolerated.
        requests_unserved: given no model, though an eligible one exists.
        requests_elsewhere: sent to another model than the optimal one.
    """

    problem: RoutingProblem
    label: str
    chosen: NDArray[np.int64] = field(repr=False)
    optimal: NDArray[np.int64] = field(repr=False)
    extra_cost_micro_usd: float
    extra_mean_shortfall: float
    requests_off: int
    requests_ineligible: int
    requests_unserved: int
    requests_elsewhere: int

    def to_row(self) -> dict[str, Any]:
        """Return it as one row of a table, without the arrays."""
        return {
            "assignment": self.label,
            "extra_cost_micro_usd": self.extra_cost_micro_usd,
            "extra_mean_shortfall": self.extra_mean_shortfall,
            "requests_off": self.requests_off,
            "requests_ineligible": self.requests_ineligible,
            "requests_unserved": self.requests_unserved,
            "requests_elsewhere": self.requests_elsewhere,
        }

    def to_frame(self) -> pd.DataFrame:
        """Return one row a query: given and optimal model, and the difference per request."""
        import pandas as pd

        problem = self.problem
        names = (*problem.catalog.names, None)  # −1 is the last
        columns: dict[str, Any] = {
            "arrivals": problem.arrivals,
            "chosen": pd.array([names[i] for i in self.chosen], dtype="string"),
            "optimal": pd.array([names[i] for i in self.optimal], dtype="string"),
        }
        for name, matrix in (
            ("extra_cost_micro_usd", problem.cost_micro_usd),
            ("extra_shortfall", problem.shortfall),
        ):
            best = at_index(matrix, self.optimal, np.nan)
            columns[name] = at_index(matrix, self.chosen, np.nan) - best
        return pd.DataFrame(columns)

    def __repr__(self) -> str:
        money = format_usd(self.extra_cost_micro_usd)
        sign = "" if self.extra_cost_micro_usd < 0 else "+"
        text = f"{self.label}: {sign}{money}, mean shortfall {self.extra_mean_shortfall:+.4f}"
        for count, what in (
            (self.requests_off, "to models that are off"),
            (self.requests_ineligible, "to models not eligible"),
            (self.requests_unserved, "without a model"),
        ):
            text += f", {count:,} {what}" if count else ""
        return f"Regret({text})"


def regret(
    problem: RoutingProblem,
    chosen: str | Assignment | Sequence[Choice] | NDArray[np.int64],
    *,
    label: str = "",
) -> Regret:
    """Return what an assignment made elsewhere costs in this problem, against the optimum of it.

    Args:
        problem: what is to be routed.
        chosen: one name for all queries, or a name or an index into the catalog for each query,
            where `None` and −1 mean no model; or an `Assignment`, read by its names, so that it may
            come from another catalog.
        label: what to call it; by default the one name, or "given".

    Raises:
        CatalogError: a name that the catalog does not have.
        InvalidInputError: a wrong number of choices, or an index out of range; names the query.
    """
    catalog = problem.catalog
    n_queries = len(problem.requirements)
    if isinstance(chosen, str):
        given = np.full(n_queries, catalog.index(chosen), dtype=np.int64)
        label = label or chosen
    else:
        given = _indices(problem, chosen.names if isinstance(chosen, Assignment) else chosen)
    return _regret(problem, given, cheapest(problem, problem.eligible), label or "given")


def fixed_regrets(problem: RoutingProblem) -> Rows[Regret]:
    """Return the regret of sending everything to one model, for each model of the catalog."""
    optimal = cheapest(problem, problem.eligible)
    return Rows(
        _regret(problem, np.full(len(optimal), index, dtype=np.int64), optimal, name)
        for index, name in enumerate(problem.catalog.names)
    )


def _indices(
    problem: RoutingProblem, chosen: Sequence[Choice] | NDArray[np.int64]
) -> NDArray[np.int64]:
    names = problem.catalog.names
    n_queries = len(problem.requirements)
    if len(chosen) != n_queries:
        raise InvalidInputError(
            f"chosen has {len(chosen)} entries, but there are {n_queries} queries"
        )
    place: dict[object, int] = {name: index for index, name in enumerate(names)}
    place[None] = -1
    result = np.empty(n_queries, dtype=np.int64)
    for query, choice in enumerate(chosen):
        if isinstance(choice, str):
            result[query] = place[choice] if choice in place else problem.catalog.index(choice)
        elif choice is None:
            result[query] = -1
        elif (
            isinstance(choice, int | np.integer)
            and not isinstance(choice, bool)
            and -1 <= choice < len(names)
        ):
            result[query] = choice
        else:
            raise InvalidInputError(
                f"chosen[{query}] must be a name, None, or an index from −1 to {len(names) - 1}; "
                f"received {choice!r:.80}"
            )
    return result


def _regret(
    problem: RoutingProblem, chosen: NDArray[np.int64], optimal: NDArray[np.int64], label: str
) -> Regret:
    arrivals = problem.arrivals
    sent = chosen >= 0
    both = sent & (optimal >= 0)
    extra = {}
    for what, matrix in (("cost", problem.cost_micro_usd), ("gap", problem.shortfall)):
        difference = at_index(matrix, chosen, 0.0) - at_index(matrix, optimal, 0.0)
        extra[what] = float((arrivals * difference)[both].sum())
    # One more column, which −1 picks.
    available = np.array([*(profile.available for profile in problem.catalog), True])
    off = ~available[chosen]
    eligible = np.pad(problem.eligible, ((0, 0), (0, 1)), constant_values=True)
    unfit = ~eligible[np.arange(len(chosen)), chosen] & ~off
    requests = int(arrivals[both].sum())
    return Regret(
        problem=problem,
        label=label,
        chosen=chosen,
        optimal=optimal,
        extra_cost_micro_usd=extra["cost"],
        extra_mean_shortfall=extra["gap"] / requests if requests else float("nan"),
        requests_off=int(arrivals[off].sum()),
        requests_ineligible=int(arrivals[unfit].sum()),
        requests_unserved=int(arrivals[~sent & (optimal >= 0)].sum()),
        requests_elsewhere=int(arrivals[both & (chosen != optimal)].sum()),
    )
