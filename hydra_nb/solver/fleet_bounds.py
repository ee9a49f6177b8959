"""What no fleet can be below: two bounds on F3 with rows and commitments, each a smaller F3.

- *Priced*: a request pays λ_r for what it takes of row r, and of a commitment a share μ is paid
  like a fee and taken off the usage. For any λ ≥ 0 and μ in [0, 1] the optimum over classes, less
  Σ λ_r limit_r, is a bound (Lagrange's). Good where rows bind a little.
- *Buckets*: queries of one class and about one size become one, at the least of their costs and of
  their shares of each row. Good where caps leave little choice.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hydra_nb.solver.adapter import Outcome, SolverName
from hydra_nb.solver.classes import QueryClasses, charges, proven_fleet, query_classes
from hydra_nb.solver.coupling import CoupledProblem
from hydra_nb.solver.relaxation import Stop

_BUCKETS = 400


def priced_fleet(
    coupled: CoupledProblem,
    prices: NDArray[np.float64],
    shares: NDArray[np.float64],
    solver: SolverName | None,
    seconds: float,
    stop: Stop | None,
) -> tuple[Outcome, NDArray[np.bool_]]:
    """Return F3 over classes at the prices λ `(n_coupling_rows,)` and μ `(n_offers,)`.

    The bound of the outcome is that of the whole problem.
    """
    by_cost = coupled.objective == "cost"
    taken_off = coupled.usage * shares[None, :] if by_cost else 0.0
    # −inf would be no candidate's price; those that are none are masked by `query_classes`.
    priced = np.where(coupled.candidate, coupled.price - taken_off, 0.0)
    constant, budget = 0.0, 0.0
    for row, price in zip(coupled.rows, prices.tolist(), strict=True):
        if price > 0:
            row.add_to(priced, price)
            constant -= price * row.limit
            budget += price if row.kind == "budget_usd" else 0.0
    for extra in coupled.extras:
        reduced = extra.cost + sum(
            float(prices[row]) * coefficient for row, coefficient in extra.entries
        )
        constant += min(0.0, reduced * extra.upper)
    committed = np.array([o.contract.commitment_usd * 1e6 for o in coupled.offers])
    fees = np.array([o.contract.fee_usd * 1e6 for o in coupled.offers])
    charge = charges(coupled)
    fee = charge.fee + fees * budget + (shares * committed if by_cost else 0.0)
    at_prices = replace(coupled, objective="cost", usage=priced)
    outcome, used = proven_fleet(
        query_classes(at_prices),
        replace(charge, fee=fee),
        solver=solver,
        seconds=seconds,
        stop=stop,
    )
    return replace(outcome, bound=outcome.bound + constant), used


def buckets(coupled: CoupledProblem, classes: QueryClasses) -> CoupledProblem:
    """Return the problem with queries of one class and about one size as one, at their least."""
    count = len(coupled.supply)
    size = np.where(coupled.candidate, coupled.price, 0.0).sum(axis=1)
    order = np.lexsort((size, classes.member))
    member = classes.member[order]
    starts = np.flatnonzero(np.diff(member, prepend=-1))
    lengths = np.diff(np.append(starts, count))
    parts = np.maximum(1, np.minimum(lengths, np.round(_BUCKETS * lengths / count))).astype(int)
    place = np.arange(count) - np.repeat(starts, lengths)
    part = place * np.repeat(parts, lengths) // np.repeat(lengths, lengths)
    label = np.repeat(np.cumsum(parts) - parts, lengths) + part
    firsts = np.flatnonzero(np.diff(label, prepend=-1))

    def least(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.minimum.reduceat(matrix[order], firsts, axis=0), dtype=np.float64)

    everyone = np.repeat(np.arange(count), len(coupled.offers))
    each = np.tile(np.arange(len(coupled.offers)), count)
    rows = []
    for row in coupled.rows:
        if row.per_query is None and row.matrix is None:
            rows.append(row)
        else:
            taken = row.at(everyone, each).reshape(count, len(coupled.offers))
            rows.append(replace(row, per_query=None, per_offer=None, matrix=least(taken)))
    return replace(
        coupled,
        queries=coupled.queries[order][firsts],
        supply=np.add.reduceat(coupled.supply[order], firsts),
        candidate=coupled.candidate[order][firsts],
        usage=least(coupled.usage),
        shortfall=least(coupled.shortfall),
        rows=tuple(rows),
    )
