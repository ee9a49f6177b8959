"""Classes of queries that any fleet treats alike, and the fleet that serves them at least cost.

Where all that couples the queries is which offers are in use, a query goes to the cheapest of its
candidates that is in use. Two queries with the same candidates in the same order of cost therefore
always go the same way, and their costs can be added up: 10,000 queries become some hundred
classes, without any loss.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydra_nb.solver.adapter import LinearProgram, Outcome, SolverName
from hydra_nb.solver.coupling import CoupledProblem
from hydra_nb.solver.relaxation import Stop


@dataclass(frozen=True, eq=False)
class QueryClasses:
    """Queries grouped by their candidates in order of cost.

    Attributes:
        member: int64 `(n_rows,)`, the class of each query.
        cost: float64 `(n_classes, n_offers)`, summed over all requests; +inf: no candidate.
        order: int64 `(n_classes, n_offers)`, candidates first, cheapest first.
        candidates: int64 `(n_classes,)`, how many there are.
    """

    member: NDArray[np.int64]
    cost: NDArray[np.float64]
    order: NDArray[np.int64]
    candidates: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.cost)

    def serving(self, used: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return which offer serves each class, int64 `(n_classes,)`; −1 where none in use can."""
        open_cost = np.where(used[None, :], self.cost, np.inf)
        best = open_cost.argmin(axis=1)
        found = np.isfinite(open_cost[np.arange(len(best)), best])
        return np.where(found, best, -1).astype(np.int64)


def query_classes(coupled: CoupledProblem) -> QueryClasses:
    """Return the classes of a coupled problem."""
    ranked = np.where(coupled.candidate, coupled.price, np.inf)
    order = np.argsort(ranked, axis=1, kind="stable").astype(np.int16)
    count = coupled.candidate.sum(axis=1)
    # What is behind the last candidate is no part of the signature.
    signature = np.where(np.arange(order.shape[1])[None, :] < count[:, None], order, -1)
    signature = np.ascontiguousarray(signature)
    as_bytes = signature.view(np.dtype((np.void, signature.dtype.itemsize * signature.shape[1])))
    _, first, member = np.unique(as_bytes.ravel(), return_index=True, return_inverse=True)
    cost = np.zeros((len(first), order.shape[1]))
    for offer in range(order.shape[1]):
        weighted = np.where(coupled.candidate[:, offer], coupled.price[:, offer], 0.0)
        cost[:, offer] = np.bincount(member, weights=weighted * coupled.supply, minlength=len(cost))
    cost[~coupled.candidate[first]] = np.inf
    return QueryClasses(
        member=member.astype(np.int64),
        cost=cost,
        order=order[first].astype(np.int64),
        candidates=count[first].astype(np.int64),
    )


@dataclass(frozen=True, eq=False)
class FleetCharges:
    """What being in use costs and how many may be.

    Attributes:
        fee: float64 `(n_offers,)`, micro-USD for an offer in use.
        model: int64 `(n_offers,)`, the model of each offer.
        max_models: K; `None`: any number.
    """

    fee: NDArray[np.float64]
    model: NDArray[np.int64]
    max_models: int | None

    def of(self, used: NDArray[np.bool_]) -> float:
        """Return the fees of the offers in use."""
        return float(self.fee[used].sum())

    def allows(self, used: NDArray[np.bool_]) -> bool:
        """Return whether so many models may be in use."""
        return self.max_models is None or len(set(self.model[used].tolist())) <= self.max_models


def charges(coupled: CoupledProblem) -> FleetCharges:
    """Return the charges of a coupled problem; a commitment is none as long as usage covers it."""
    by_cost = coupled.objective == "cost"
    fees = [offer.contract.fee_usd * 1e6 if by_cost else 0.0 for offer in coupled.offers]
    return FleetCharges(
        fee=np.array(fees, dtype=np.float64),
        model=np.array([offer.model for offer in coupled.offers], dtype=np.int64),
        max_models=coupled.constraints.max_models,
    )


def exchanged_fleet(classes: QueryClasses, charge: FleetCharges) -> NDArray[np.bool_] | None:
    """Return a good fleet by adding, dropping and swapping one offer at a time; `None`: no luck.

    bool `(n_offers,)`. There is no proof in it: it is what can be shown at once.
    """
    offers = classes.cost.shape[1]
    finite = np.where(np.isfinite(classes.cost), classes.cost, 0.0)
    worst = 10.0 * float(finite.max(axis=1, initial=0.0).sum()) + 1.0

    def value(used: NDArray[np.bool_]) -> float:
        if not used.any() or not charge.allows(used):
            return np.inf
        best = np.where(used[None, :], classes.cost, np.inf).min(axis=1)
        missed = ~np.isfinite(best)
        return float(best[~missed].sum()) + worst * int(missed.sum()) + charge.of(used)

    used = np.zeros(offers, dtype=bool)
    now = np.inf
    while True:
        steps = []
        for enter, leave in itertools.product(range(-1, offers), repeat=2):
            step = used.copy()
            if enter >= 0:
                step[enter] = True
            if leave >= 0:
                step[leave] = False
            if not np.array_equal(step, used):
                steps.append((value(step), enter, leave, step))
        best = min(steps, key=lambda s: s[:3])
        if best[0] >= now - 1e-9 * abs(now if np.isfinite(now) else 1.0):
            break
        now, used = best[0], best[3]
    return used if now < worst else None


def fleet_program(classes: QueryClasses, charge: FleetCharges) -> tuple[LinearProgram, list[int]]:
    """Return F3 over classes, and the numbers of the variables "offer o is in use".

    minimise   Σ_g Σ_o C_go x_go + Σ_o fee_o y_o
    subject to Σ_o x_go = 1,   x_go ≤ y_o,   y_o ≤ z_m(o),   Σ_m z_m ≤ K,   y, z ∈ {0, 1}

    x may be left continuous: with y fixed, each class has a cheapest offer.
    """
    program = LinearProgram("fleet")
    used = [program.binary() for _ in charge.fee]
    objective = [(y, float(fee)) for y, fee in zip(used, charge.fee, strict=True) if fee]
    if charge.max_models is not None:
        models = sorted(set(charge.model.tolist()))
        several = len(models) < len(used)
        opened = {m: program.binary() for m in models} if several else {}
        if several:
            for offer, model in enumerate(charge.model.tolist()):
                terms = ((used[offer], 1.0), (opened[model], -1.0))
                program.require_at_most(terms, 0.0, name=f"opens_{offer}")
        counted = list(opened.values()) if several else used
        terms_of_k = ((number, 1.0) for number in counted)
        program.require_at_most(terms_of_k, float(charge.max_models), name="max_models")
    for group in range(len(classes)):
        # The cheapest sum first in its row; what a class pays above it is the only thing to decide.
        offers = classes.order[group, : classes.candidates[group]].tolist()
        shares = [program.variable(upper=1.0) for _ in offers]
        objective += [
            (x, float(classes.cost[group, o])) for x, o in zip(shares, offers, strict=True)
        ]
        program.require_equal(((x, 1.0) for x in shares), 1.0, name=f"all_{group}")
        for x, offer in zip(shares, offers, strict=True):
            terms = ((x, 1.0), (used[offer], -1.0))
            program.require_at_most(terms, 0.0, name=f"open_{group}_{offer}")
    program.minimise(objective)
    return program, used


def proven_fleet(
    classes: QueryClasses,
    charge: FleetCharges,
    *,
    solver: SolverName | None = None,
    seconds: float = 30.0,
    stop: Stop | None = None,
) -> tuple[Outcome, NDArray[np.bool_]]:
    """Return what the solver says of F3, and which offers are in use, bool `(n_offers,)`."""
    program, used = fleet_program(classes, charge)
    outcome = program.attempt(solver, seconds=seconds, stop=stop)
    return outcome, outcome.values[used] > 0.5


def least_models(classes: QueryClasses, charge: FleetCharges) -> int:
    """Return how many models it takes to serve every class at all."""
    program = LinearProgram("least_models")
    models = sorted(set(charge.model.tolist()))
    opened = {model: program.binary() for model in models}
    program.minimise((number, 1.0) for number in opened.values())
    sets = {
        frozenset(charge.model[classes.order[g, : classes.candidates[g]]].tolist())
        for g in range(len(classes))
    }
    for number, candidates in enumerate(sorted(sets, key=sorted)):
        terms = ((opened[model], -1.0) for model in sorted(candidates))
        program.require_at_most(terms, -1.0, name=f"serve_{number}")
    return round(program.solve().objective)
