"""A second implementation of the matching rules, in plain loops, to test against.

Written from the rules of HyDRA (Eq. 5, Algorithm 2) and not from the package's arrays.
"""

from __future__ import annotations

from fractions import Fraction

from hydra_nb import DIMENSIONS, Catalog

EPSILON = Fraction(1, 10**9)


def _exact(number: float) -> Fraction:
    return Fraction(str(number))


def reference_choice(
    catalog: Catalog,
    requirement: dict[str, float],
    *,
    tau: float,
    weights: dict[str, float],
    tokens_input: int,
    tokens_output: int,
    modalities: frozenset[str] = frozenset({"text"}),
) -> str | None:
    """Return the name of the chosen model, or `None` where no model is available."""
    available = [p for p in catalog if p.available]
    if not available:
        return None
    fitting = [
        p
        for p in available
        if tokens_input + tokens_output <= p.context_window and modalities <= set(p.modalities)
    ]
    reading = [p for p in available if modalities <= set(p.modalities)]
    pool = []
    for p in fitting or reading or available:
        shortfall = sum(
            _exact(weights[k]) * max(Fraction(0), _exact(requirement[k]) - _exact(getattr(p, k)))
            for k in DIMENSIONS
        )
        cost = tokens_input * _exact(p.usd_per_mtok_input)
        cost += tokens_output * _exact(p.usd_per_mtok_output)
        pool.append((cost, shortfall, p.name))
    within = [row for row in pool if row[1] <= _exact(tau) + EPSILON]
    if not within:
        least = min(row[1] for row in pool)
        within = [row for row in pool if row[1] <= least + EPSILON]
    return min(within)[2]
