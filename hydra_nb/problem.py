"""One routing problem as arrays: the only place where shortfall, gates and eligibility are made.

The argmin of `matching`, the integer program of `solver` and every view read the same
`RoutingProblem`, so they cannot disagree on what is eligible.

Notation (queries q, models m, dimensions k):

- shortfall  s_qm = Σ_k w̃_k · max(0, r_qk − c_mk)                    (HyDRA, Eq. 5)
- cost       c_qm = tokens_in_q · price_in_m + tokens_out_q · price_out_m, micro-USD
- allowed    G_q  = models that are available and pass the gates of q
- eligible   E_q  = { m ∈ G_q : s_qm ≤ max(τ, min over G_q of s_q·) + 1e-9 }
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hydra_nb.catalog import Catalog
from hydra_nb.dimensions import DIMENSIONS, TOLERANCE, DimensionWeights, weight_vector
from hydra_nb.errors import InvalidInputError
from hydra_nb.profile import MODALITIES
from hydra_nb.profiling import compensated_weights
from hydra_nb.requirements import Requirements
from hydra_nb.tokens import DEFAULT_TOKENS_OUTPUT, MAX_TOKENS

REGIMES = {"peak quality": 0.01, "conservative": 0.24, "aggressive": 0.64}
"""The three operating points of τ that the HyDRA paper reports for its own pool."""

DEFAULT_TAU = 0.10
"""Our choice, between the paper's peak-quality and conservative points; the paper names none."""

Modalities = Iterable[str] | Sequence[Iterable[str]]


class RoutingOptions(TypedDict, total=False):
    """The keyword arguments of `formulate`, shared by everything that formulates."""

    tau: float
    dimension_weights: DimensionWeights | None
    tokens_input: int | ArrayLike
    tokens_output: int | ArrayLike
    modalities: Modalities
    arrivals: int | ArrayLike


COST_DECIMALS = 6
"""Costs are rounded to so many decimals of a micro-USD: a tie must not hang on a last bit."""


@dataclass(frozen=True, eq=False)
class RoutingProblem:
    """Queries against a catalog, ready to be matched or handed to a solver.

    Attributes:
        catalog: the `n_models` model profiles.
        requirements: of `n_queries` queries.
        tau: threshold on the shortfall.
        dimension_weights: w as given, float64 `(4,)`.
        effective_weights: w̃, float64 `(4,)`, after the compensation of Eq. 4.
        tokens_input, tokens_output: int64 `(n_queries,)`.
        modalities: what each query needs, `n_queries` sets.
        arrivals: int64 `(n_queries,)`, how many requests of each query there are, at least 1.
        shortfall: float64 `(n_queries, n_models)`.
        cost_micro_usd: float64 `(n_queries, n_models)`, of one request.
        allowed: bool `(n_queries, n_models)`, G_q.
        eligible: bool `(n_queries, n_models)`, E_q.
        gates_failed_open: bool `(n_queries,)`: no available model has both the context and the
            modalities, so the context gate was opened for the query, and the modality gate too
            where that alone did not help. Availability never opens.
        failed_open: bool `(n_queries,)`: no allowed model is within τ, so only those of least
            shortfall are eligible.
    """

    catalog: Catalog
    requirements: Requirements
    tau: float
    dimension_weights: NDArray[np.float64]
    effective_weights: NDArray[np.float64]
    tokens_input: NDArray[np.int64]
    tokens_output: NDArray[np.int64]
    modalities: tuple[frozenset[str], ...]
    arrivals: NDArray[np.int64]
    shortfall: NDArray[np.float64]
    cost_micro_usd: NDArray[np.float64]
    allowed: NDArray[np.bool_]
    eligible: NDArray[np.bool_]
    gates_failed_open: NDArray[np.bool_]
    failed_open: NDArray[np.bool_]

    def against(self, catalog: Catalog) -> RoutingProblem:
        """Return the same queries and settings against another catalog.

        Where only prices differ, everything but the costs is taken over as it is.
        """
        if _same_but_for_prices(self.catalog, catalog):
            cost = _cost(catalog, self.tokens_input, self.tokens_output)
            return replace(self, catalog=catalog, cost_micro_usd=cost)
        return formulate(
            self.requirements,
            catalog,
            tau=self.tau,
            dimension_weights=self.dimension_weights.tolist(),
            tokens_input=self.tokens_input,
            tokens_output=self.tokens_output,
            modalities=self.modalities,
            arrivals=self.arrivals,
        )

    def at(self, tau: float) -> RoutingProblem:
        """Return the same queries against the same catalog at another threshold."""
        tau = check_tau(tau)
        eligible, failed_open = eligible_sets(self.shortfall, self.allowed, tau=tau)
        return replace(self, tau=tau, eligible=eligible, failed_open=failed_open)

    def rows(self, queries: ArrayLike) -> RoutingProblem:
        """Return the problem of some of the queries, given by index or as bool `(n_queries,)`."""
        wanted = np.asarray(queries)
        everyone = np.arange(len(self.requirements))
        index = everyone[wanted if wanted.size else wanted.astype(np.int64)]
        values = self.requirements
        return replace(
            self,
            requirements=Requirements(
                values.values[index].reshape(-1, len(DIMENSIONS)),
                spread=None if values.spread is None else values.spread[index],
                out_of_domain=None if values.out_of_domain is None else values.out_of_domain[index],
            ),
            tokens_input=self.tokens_input[index],
            tokens_output=self.tokens_output[index],
            modalities=tuple(self.modalities[i] for i in index),
            arrivals=self.arrivals[index],
            shortfall=self.shortfall[index],
            cost_micro_usd=self.cost_micro_usd[index],
            allowed=self.allowed[index],
            eligible=self.eligible[index],
            gates_failed_open=self.gates_failed_open[index],
            failed_open=self.failed_open[index],
        )


def formulate(
    requirements: Requirements,
    catalog: Catalog,
    *,
    tau: float = DEFAULT_TAU,
    dimension_weights: DimensionWeights | None = None,
    tokens_input: int | ArrayLike = 0,
    tokens_output: int | ArrayLike = DEFAULT_TOKENS_OUTPUT,
    modalities: Modalities = ("text",),
    arrivals: int | ArrayLike = 1,
) -> RoutingProblem:
    """Return the routing problem of `requirements` against `catalog`.

    Args:
        requirements: `n_queries` rows.
        catalog: the model profiles.
        tau: how much shortfall is tolerated, ≥ 0.
        dimension_weights: by dimension or `(4,)`; compensated for the width of the catalog's
            capability band (Eq. 4) where it has one.
        tokens_input, tokens_output: one number for all queries or `(n_queries,)`.
        modalities: what the model must read, for all queries or one collection a query.
        arrivals: how many requests there are of a query, one number or `(n_queries,)`, each at
            least 1.

    Raises:
        InvalidInputError: a wrong type, shape or range; the message names the argument.
    """
    if not isinstance(catalog, Catalog):
        raise InvalidInputError(
            f"catalog must be a Catalog, such as Catalog.sample('paper_pool'); "
            f"received {catalog!r:.80}"
        )
    n_queries = len(requirements)
    tau = check_tau(tau)
    weights = weight_vector(dimension_weights)
    band = catalog.capability_band
    effective = weights if band is None else compensated_weights(weights.tolist(), band)
    tokens_in = _whole_column(tokens_input, n_queries, "tokens_input", "tokens")
    tokens_out = _whole_column(tokens_output, n_queries, "tokens_output", "tokens")
    requests = _whole_column(arrivals, n_queries, "arrivals", "requests", least=1)
    needed = _required_modalities(modalities, n_queries)
    gap = shortfall(requirements, catalog, weights=effective)
    allowed, gates_failed_open = _gates(catalog, tokens_in + tokens_out, needed)
    eligible, failed_open = eligible_sets(gap, allowed, tau=tau)
    return RoutingProblem(
        catalog=catalog,
        requirements=requirements,
        tau=tau,
        dimension_weights=weights,
        effective_weights=effective,
        tokens_input=tokens_in,
        tokens_output=tokens_out,
        modalities=needed,
        arrivals=requests,
        shortfall=gap,
        cost_micro_usd=_cost(catalog, tokens_in, tokens_out),
        allowed=allowed,
        eligible=eligible,
        gates_failed_open=gates_failed_open,
        failed_open=failed_open,
    )


def check_tau(tau: object) -> float:
    """Return τ as a float; `InvalidInputError` unless it is finite and at least 0."""
    if isinstance(tau, int | float | np.number) and not isinstance(tau, bool) and tau >= 0:
        try:
            value = float(tau)
        except OverflowError:
            value = np.inf
        if np.isfinite(value):
            return value
    raise InvalidInputError(f"tau must be a finite number ≥ 0; received {tau!r:.80}")


def shortfall(
    requirements: Requirements, catalog: Catalog, *, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Return Σ_k w_k · max(0, r_k − c_k), float64 `(n_queries, n_models)` (HyDRA, Eq. 5).

    A surplus on one dimension never pays for a lack on another. `weights` are used as they are.
    """
    w = np.ones(len(DIMENSIONS)) if weights is None else np.asarray(weights, dtype=np.float64)
    capabilities = catalog.capability_matrix()
    total = np.zeros((len(requirements), len(catalog)))
    # One dimension at a time keeps the working memory at two (n_queries, n_models) arrays.
    for k in range(len(DIMENSIONS)):
        lack = requirements.values[:, k, None] - capabilities[None, :, k]
        np.maximum(lack, 0.0, out=lack)
        total += w[k] * lack
    return total


def eligible_sets(
    shortfall: NDArray[np.float64], allowed: NDArray[np.bool_], *, tau: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return E_q, bool `(n_queries, n_models)`, and where it failed open, bool `(n_queries,)`.

    τ is raised to the least shortfall only where no allowed model meets it, so failing open is
    part of the definition and not a second rule. A query with no allowed model has an empty set
    and has not failed open.
    """
    if shortfall.shape[1] == 0:
        return allowed.copy(), np.zeros(shortfall.shape[0], dtype=bool)
    least = np.min(shortfall, axis=1, initial=np.inf, where=allowed)
    limit = np.maximum(tau, least) + TOLERANCE
    failed_open = np.isfinite(least) & (least > tau + TOLERANCE)
    return allowed & (shortfall <= limit[:, None]), failed_open


def _cost(
    catalog: Catalog, tokens_input: NDArray[np.int64], tokens_output: NDArray[np.int64]
) -> NDArray[np.float64]:
    # tokens × USD per 1,000,000 tokens is micro-USD without any factor.
    prices = catalog.prices()
    cost = np.outer(tokens_input, prices[:, 0]) + np.outer(tokens_output, prices[:, 1])
    return np.asarray(np.round(cost, COST_DECIMALS), dtype=np.float64)


def _gates(
    catalog: Catalog, tokens: NDArray[np.int64], needed: Sequence[frozenset[str]]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return G_q and where context and modality gates were opened; availability never opens."""
    available = np.array([profile.available for profile in catalog], dtype=bool)
    windows = np.array([profile.context_window for profile in catalog], dtype=np.int64)
    reads = [frozenset(profile.modalities) for profile in catalog]
    can_read = {
        need: np.array([need <= have for have in reads], dtype=bool) for need in set(needed)
    }
    reading = np.tile(available, (len(needed), 1))
    if needed:
        reading &= np.array([can_read[need] for need in needed], dtype=bool).reshape(reading.shape)
    passes = reading & (tokens[:, None] <= windows[None, :])
    opened: NDArray[np.bool_] = np.logical_and(~passes.any(axis=1), available.any())
    # The context gate opens first: a long prompt can be cut, an image cannot be read blindly.
    anyone_reads: NDArray[np.bool_] = np.any(reading, axis=1, keepdims=True)
    kept = np.where(anyone_reads, reading, available[None, :])
    return np.where(opened[:, None], kept, passes), opened


def _same_but_for_prices(one: Catalog, other: Catalog) -> bool:
    return (
        one.names == other.names
        and one.capability_band == other.capability_band
        and np.array_equal(one.capability_matrix(), other.capability_matrix())
        and all(
            (a.available, a.context_window, a.modalities)
            == (b.available, b.context_window, b.modalities)
            for a, b in zip(one, other, strict=True)
        )
    )


def _whole_column(
    value: int | ArrayLike, n_queries: int, name: str, unit: str, *, least: int = 0
) -> NDArray[np.int64]:
    array = np.asarray(value)
    whole = array.dtype.kind in "iu" and array.ndim <= 1
    if not whole or (array.size and not (array.min() >= least and array.max() <= MAX_TOKENS)):
        raise InvalidInputError(
            f"{name} must be whole numbers of {unit} from {least} to {MAX_TOKENS:,}, one or "
            f"(n_queries,); received {value!r:.80}"
        )
    if array.ndim == 1 and array.shape != (n_queries,):
        raise InvalidInputError(
            f"{name} has {array.size} entries, but there are {n_queries} queries"
        )
    return np.broadcast_to(array.astype(np.int64), (n_queries,)).copy()


def _required_modalities(modalities: Modalities, n_queries: int) -> tuple[frozenset[str], ...]:
    if isinstance(modalities, str):
        modalities = (modalities,)
    items = list(modalities)
    if all(isinstance(item, str) for item in items):
        needed = (frozenset(str(item) for item in items),) * n_queries
    else:
        if len(items) != n_queries:
            raise InvalidInputError(
                f"modalities has {len(items)} entries, but there are {n_queries} queries"
            )
        needed = tuple(frozenset([item] if isinstance(item, str) else item) for item in items)
    for need in set(needed):
        unknown = sorted(need - set(MODALITIES))
        if unknown:
            raise InvalidInputError(
                f"modalities names {unknown[0]!r}; known: {', '.join(MODALITIES)}"
            )
    return needed
