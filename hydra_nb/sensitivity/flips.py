"""The smallest single changes that send one query to another model.

Everything that can change alone is followed from its present value until the choice changes: a
price, a capability, τ, or who is available. A capability acts through the model's shortfall, and
the choice as a function of one shortfall, or of τ, can change only at τ and at the shortfalls of
the other models; so it is enough to look at these values and once between each two of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hydra_nb.dimensions import DIMENSIONS, TOLERANCE
from hydra_nb.matching import assign, cheapest
from hydra_nb.problem import RoutingProblem, eligible_sets
from hydra_nb.profile import MAX_USD_PER_MTOK
from hydra_nb.sensitivity.flip import KINDS, Flip
from hydra_nb.sensitivity.price import break_even_table
from hydra_nb.sensitivity.rivals import one_query, rank_rivals
from hydra_nb.sensitivity.rows import Rows

_SAME = 3 * TOLERANCE
"""Shortfalls this close are one breakpoint."""

_STEP = 1e-6
"""How far beyond a boundary `flipped_value` goes, in shortfall, where there is room."""


def flips(problem: RoutingProblem) -> Rows[Flip]:
    """Return every single change that changes the choice of one query, smallest first.

    Looked at are: either price of the chosen model up or of a rival down to 0, one capability of
    the chosen model down to 0 or of a rival up to 1, τ up and down to 0, the chosen model switched
    off, and each unavailable model switched on. Of each, the change nearest to the present value.
    Capabilities are edited as they are: a catalog with a band is not profiled anew.

    Raises:
        InvalidInputError: not exactly one query.
    """
    one_query(problem, "flips")
    chosen = int(assign(problem).chosen[0])
    found = [*_availability(problem, chosen)]
    if chosen >= 0:
        found += [*_prices(problem), *_capabilities(problem, chosen), *_taus(problem, chosen)]
    found.sort(key=lambda f: (f.size, KINDS.index(f.kind), f.model or "", f.field))
    return Rows(found)


def smallest_flip(problem: RoutingProblem) -> Flip | None:
    """Return the first of `flips`; `None` where no single change alters the choice."""
    return next(iter(flips(problem)), None)


def _name(problem: RoutingProblem, index: int) -> str | None:
    return problem.catalog.names[index] if index >= 0 else None


def _availability(problem: RoutingProblem, chosen: int) -> Iterator[Flip]:
    for index, profile in enumerate(problem.catalog):
        if profile.available and index != chosen:
            continue
        other = problem.catalog.replace(profile.name, available=not profile.available)
        after = int(assign(problem.against(other)).chosen[0])
        if after != chosen:
            yield Flip(
                kind="availability",
                model=profile.name,
                field="available",
                old=profile.available,
                new=not profile.available,
                at_boundary=True,
                flipped_value=not profile.available,
                chosen_before=_name(problem, chosen),
                chosen_after=_name(problem, after),
                size=1.0,
            )


def _prices(problem: RoutingProblem) -> Iterator[Flip]:
    rivals = rank_rivals(problem)
    chosen = problem.catalog.names[int(rivals.first[0])]
    second = _name(problem, int(rivals.second[0]))
    for row in break_even_table(problem):
        threshold, wins_tie = float(row.threshold[0]), bool(row.wins_tie[0])
        if not 0 <= threshold <= MAX_USD_PER_MTOK:
            continue
        mine, old = row.model == chosen, row.usd_per_mtok
        new = max(threshold, old) if mine else min(threshold, old)
        at = wins_tie != mine
        tokens = problem.tokens_input if row.price == "input" else problem.tokens_output
        margin = 2e-6 / float(tokens[0]) + 1e-9 * new
        beyond = new if at else new + margin if mine else max(new - margin, 0.0)
        if beyond > MAX_USD_PER_MTOK or bool(row.wins(beyond)[0]) == mine:
            continue
        yield Flip(
            kind="price",
            model=row.model,
            field=f"usd_per_mtok_{row.price}",
            old=old,
            new=new,
            at_boundary=at,
            flipped_value=beyond,
            chosen_before=chosen,
            chosen_after=second if mine else row.model,
            size=abs(new - old) / old if old else 0.0 if new == old else math.inf,
        )


@dataclass(frozen=True)
class _Change:
    """Where a function of one number first takes another value."""

    boundary: float
    at_boundary: bool
    value: float
    chosen: int


def _first_change(
    choose: Callable[[NDArray[np.float64]], NDArray[np.int64]],
    atoms: NDArray[np.float64],
    *,
    start: float,
    up: bool,
    chosen: int,
) -> _Change | None:
    """Return the first change of `choose`, constant between atoms, on the way from `start`.

    On the way up there is no end, on the way down it is 0.
    """
    sign = 1.0 if up else -1.0
    ahead = np.sort(sign * atoms)
    stops = [sign * start]
    for atom in ahead:
        if atom > stops[-1] + _SAME:
            stops.append(float(atom))
    if up:
        stops.append(stops[-1] + 1.0)
    elif stops[-1] < -_SAME:
        stops.append(0.0)
    places = sign * np.array(stops)
    # Odd entries lie between two stops, even ones are stops.
    probes = np.empty(2 * len(places) - 1)
    probes[::2], probes[1::2] = places, (places[1:] + places[:-1]) / 2
    results = choose(probes)
    different = np.flatnonzero(results[1:] != chosen) + 1
    if not len(different):
        return None
    first = int(different[0])
    at = first % 2 == 0
    boundary = float(probes[first if at else first - 1])
    nearest = boundary + sign * min(_STEP, abs(float(probes[first]) - boundary))
    return _Change(boundary, at, boundary if at else nearest, int(results[first]))


def _taus(problem: RoutingProblem, chosen: int) -> Iterator[Flip]:
    def choose(taus: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.array([assign(problem.at(float(tau))).chosen[0] for tau in taus])

    atoms = problem.shortfall[0, problem.allowed[0]]
    for up in (True, False):
        change = _first_change(choose, atoms, start=problem.tau, up=up, chosen=chosen)
        if change is not None:
            yield Flip(
                kind="tau",
                model=None,
                field="tau",
                old=problem.tau,
                new=change.boundary,
                at_boundary=change.at_boundary,
                flipped_value=change.value,
                chosen_before=_name(problem, chosen),
                chosen_after=_name(problem, change.chosen),
                size=abs(change.boundary - problem.tau),
            )


def _capabilities(problem: RoutingProblem, chosen: int) -> Iterator[Flip]:
    for index in np.flatnonzero(problem.allowed[0]):
        worse = index == chosen
        change = _first_change(
            _choice_by_shortfall(problem, int(index)),
            np.append(np.delete(problem.shortfall[0], index), problem.tau),
            start=float(problem.shortfall[0, index]),
            up=bool(worse),
            chosen=chosen,
        )
        if change is not None:
            for dimension in range(len(DIMENSIONS)):
                flip = _by_capability(problem, int(index), dimension, change, chosen)
                if flip is not None:
                    yield flip


def _choice_by_shortfall(
    problem: RoutingProblem, index: int
) -> Callable[[NDArray[np.float64]], NDArray[np.int64]]:
    def choose(shortfalls: NDArray[np.float64]) -> NDArray[np.int64]:
        shape = (len(shortfalls), 1)
        gaps = np.tile(problem.shortfall, shape)
        gaps[:, index] = shortfalls
        eligible, _ = eligible_sets(gaps, np.tile(problem.allowed, shape), tau=problem.tau)
        cost = np.tile(problem.cost_micro_usd, shape)
        return cheapest(replace(problem, shortfall=gaps, cost_micro_usd=cost), eligible)

    return choose


def _by_capability(
    problem: RoutingProblem, index: int, dimension: int, change: _Change, chosen: int
) -> Flip | None:
    """Return the flip by one capability, or `None` where that cannot move the shortfall so far."""
    profile, field = problem.catalog[index], DIMENSIONS[dimension]
    old = float(getattr(profile, field))
    weight = float(problem.effective_weights[dimension])
    required = float(problem.requirements.values[0, dimension])
    if weight <= 0:
        return None
    now = float(problem.shortfall[0, index])
    rest = now - weight * max(0.0, required - old)

    def capability(shortfall: float) -> float:
        value = required - (shortfall - rest) / weight
        plain = round(value, 9)
        return plain if abs(plain - value) * weight < TOLERANCE / 10 else value

    new, beyond = capability(change.boundary), capability(change.value)
    if new > required + TOLERANCE / weight or new < -TOLERANCE / weight:
        return None
    new = min(max(new, 0.0), 1.0)
    if not change.at_boundary:
        # Beyond the boundary there may be less room than a step, or none.
        beyond = min(max(beyond, 0.0), required)
        if abs(beyond - new) * weight <= 2 * TOLERANCE:
            return None
    return Flip(
        kind="capability",
        model=profile.name,
        field=field,
        old=old,
        new=new,
        at_boundary=change.at_boundary,
        flipped_value=new if change.at_boundary else beyond,
        chosen_before=_name(problem, chosen),
        chosen_after=_name(problem, change.chosen),
        size=abs(new - old),
    )
