"""One query's decision, with everything a person asks about it: what, why, why not the others."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from hydra_nb.catalog import Catalog
from hydra_nb.dimensions import DIMENSIONS, LABELS, TOLERANCE
from hydra_nb.errors import InvalidInputError
from hydra_nb.gap_text import format_gap, short_dimensions
from hydra_nb.matching import assign, name_rank
from hydra_nb.money import format_usd
from hydra_nb.problem import RoutingOptions, RoutingProblem, formulate
from hydra_nb.profile import ModelProfile
from hydra_nb.requirements import Requirements

if TYPE_CHECKING:
    import pandas as pd


class Standing(StrEnum):
    """Where a candidate stands in one decision."""

    CHOSEN = "chosen"
    ELIGIBLE = "eligible"
    SHORT = "short"
    MODALITY = "modality"
    CONTEXT = "context"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True)
class Candidate:
    """One model of the catalog in one decision.

    Attributes:
        profile: the model profile.
        standing: chosen, eligible, or what speaks against it.
        reason: the same in words, with numbers.
        cost_micro_usd: what this query would cost there.
        shortfall: weighted, as it is compared with τ.
        gaps: capability − requirement by dimension, unweighted; negative where it falls short.
    """

    profile: ModelProfile
    standing: Standing
    reason: str
    cost_micro_usd: float
    shortfall: float
    gaps: dict[str, float]

    @property
    def name(self) -> str:
        """Return the name of the model profile."""
        return self.profile.name


@dataclass(frozen=True, eq=False)
class Decision:
    """How one query is routed.

    Attributes:
        problem: the routing problem, one query.
        candidates: every model of the catalog, in its order.
        chosen: the candidate the query goes to; `None` where no model is available.
        runner_up: the candidate that would be chosen if the chosen one were off.
        strongest: the allowed candidate with the highest weighted capability: the baseline
            "always strong" of the HyDRA paper.
    """

    problem: RoutingProblem
    candidates: tuple[Candidate, ...]
    chosen: Candidate | None
    runner_up: Candidate | None
    strongest: Candidate | None

    @property
    def requirements(self) -> Requirements:
        """Return the requirements of the query, one row."""
        return self.problem.requirements

    @property
    def failed_open(self) -> bool:
        """Return whether no allowed model is within τ."""
        return bool(self.problem.failed_open[0])

    @property
    def gates_failed_open(self) -> bool:
        """Return whether no available model has the context window and the modalities."""
        return bool(self.problem.gates_failed_open[0])

    @property
    def shortfall(self) -> float:
        """Return the chosen model's shortfall; NaN where nothing is chosen."""
        return self.chosen.shortfall if self.chosen else float("nan")

    @property
    def cost_micro_usd(self) -> float:
        """Return the chosen model's cost for this query; NaN where nothing is chosen."""
        return self.chosen.cost_micro_usd if self.chosen else float("nan")

    @property
    def saving(self) -> float:
        """Return 1 − cost / cost at the strongest model; NaN where that cost is 0 or unknown."""
        if self.chosen is None or self.strongest is None or not self.strongest.cost_micro_usd:
            return float("nan")
        return 1.0 - self.chosen.cost_micro_usd / self.strongest.cost_micro_usd

    @property
    def explanation(self) -> str:
        """Return one sentence on why this model was chosen."""
        if self.chosen is None:
            return "No model is available: every one of the catalog is switched off."
        short = short_dimensions(self.chosen.gaps)
        tau = self.problem.tau
        if self.failed_open:
            text = (
                f"No model is within τ = {tau:.2f}; this one falls least short: {short}. "
                f"From τ = {math.ceil(self.shortfall * 100 - 1e-7) / 100:.2f} on it is within."
            )
        elif short:
            text = f"Cheapest model within τ = {tau:.2f} ({short})."
        else:
            text = "Cheapest model that meets all four requirements."
        if self.gates_failed_open:
            text += " No available model has both the context and the modalities it needs."
        return text

    def to_frame(self) -> pd.DataFrame:
        """Return one row a candidate: standing, reason, cost, shortfall and gaps."""
        import pandas as pd

        rows = [
            {
                "model": candidate.name,
                "standing": str(candidate.standing),
                "reason": candidate.reason,
                "cost_micro_usd": candidate.cost_micro_usd,
                "shortfall": candidate.shortfall,
                **{f"gap_{name}": gap for name, gap in candidate.gaps.items()},
            }
            for candidate in self.candidates
        ]
        return pd.DataFrame(rows).set_index("model") if rows else pd.DataFrame()

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as plain data, ready for JSON; numbers carry their unit by name."""
        chosen, runner_up, strongest = self.chosen, self.runner_up, self.strongest
        return {
            "chosen": chosen.name if chosen else None,
            "explanation": self.explanation,
            "requirements": dict(self.requirements.row(0)),
            "tau": self.problem.tau,
            "tokens_input": int(self.problem.tokens_input[0]),
            "tokens_output": int(self.problem.tokens_output[0]),
            "cost_micro_usd": chosen.cost_micro_usd if chosen else None,
            "shortfall": chosen.shortfall if chosen else None,
            "failed_open": self.failed_open,
            "gates_failed_open": self.gates_failed_open,
            "runner_up": runner_up.name if runner_up else None,
            "strongest": strongest.name if strongest else None,
            "saving": self.saving if np.isfinite(self.saving) else None,
            "candidates": [
                {
                    "model": candidate.name,
                    "standing": str(candidate.standing),
                    "reason": candidate.reason,
                    "cost_micro_usd": candidate.cost_micro_usd,
                    "shortfall": candidate.shortfall,
                    "gaps": candidate.gaps,
                }
                for candidate in self.candidates
            ],
        }

    def __repr__(self) -> str:
        if self.chosen is None:
            return "Decision: no model available"
        parts = [self.chosen.name, format_usd(self.cost_micro_usd)]
        if self.failed_open:
            parts.append(f"failed open, short by {self.shortfall:.2f} > τ {self.problem.tau:.2f}")
        else:
            parts.append(f"shortfall {self.shortfall:.2f} ≤ τ {self.problem.tau:.2f}")
        if self.runner_up:
            parts.append(f"runner-up {self.runner_up.name}")
        if self.strongest and np.isfinite(self.saving):
            parts.append(f"{self.saving:.0%} saved against {self.strongest.name}")
        return f"Decision: {' · '.join(parts)}"

    def _repr_html_(self) -> str:
        heading = html.escape(self.chosen.name if self.chosen else "no model available")
        needs = " · ".join(f"{LABELS[k]} {v:.2f}" for k, v in self.requirements.row(0).items())
        rows = "".join(_html_rows(self.candidates))
        return (
            '<div class="hydra-decision">'
            f"<b>{heading}</b> · {html.escape(self.explanation)}<br><small>requires {needs}</small>"
            '<table><thead><tr><th style="text-align:left">model</th><th>this query</th>'
            + "".join(f"<th>{html.escape(LABELS[name])}</th>" for name in DIMENSIONS)
            + '<th style="text-align:left">status</th></tr></thead>'
            f"<tbody>{rows}</tbody></table></div>"
        )


def _html_rows(candidates: tuple[Candidate, ...]) -> Iterator[str]:
    for candidate in candidates:
        tag = "b" if candidate.standing is Standing.CHOSEN else "span"
        cells = "".join(f"<td>{format_gap(gap)}</td>" for gap in candidate.gaps.values())
        yield (
            f'<tr><td style="text-align:left"><{tag}>{html.escape(candidate.name)}</{tag}></td>'
            f"<td>{format_usd(candidate.cost_micro_usd)}</td>{cells}"
            f'<td style="text-align:left">{html.escape(candidate.reason)}</td></tr>'
        )


def decide(
    requirements: Requirements, catalog: Catalog, **options: Unpack[RoutingOptions]
) -> Decision:
    """Return the decision for one query; the options are those of `formulate`.

    Raises:
        InvalidInputError: `requirements` is not exactly one query.
    """
    if len(requirements) != 1:
        raise InvalidInputError(
            f"decide takes one query; received {len(requirements)} (use match for many)"
        )
    return explain(formulate(requirements, catalog, **options))


def explain(problem: RoutingProblem) -> Decision:
    """Return the decision of a problem of one query that is already formulated."""
    chosen = int(assign(problem).chosen[0])
    runner_up = _runner_up(problem, chosen)
    candidates = tuple(_candidate(problem, index, chosen) for index in range(len(problem.catalog)))
    strongest = _strongest(problem)
    return Decision(
        problem=problem,
        candidates=candidates,
        chosen=candidates[chosen] if chosen >= 0 else None,
        runner_up=candidates[runner_up] if runner_up >= 0 else None,
        strongest=candidates[strongest] if strongest >= 0 else None,
    )


def _runner_up(problem: RoutingProblem, chosen: int) -> int:
    """Return who would be chosen if `chosen` were switched off; −1 where nobody is left."""
    if chosen < 0:
        return -1
    # Gates and fail-open are asked again: with one model less they may open.
    without = problem.catalog.replace(problem.catalog[chosen].name, available=False)
    return int(assign(problem.against(without)).chosen[0])


def _strongest(problem: RoutingProblem) -> int:
    """Return the allowed model of highest weighted capability, ties by cost, then name."""
    if not problem.allowed[0].any():
        return -1
    strength = problem.catalog.capability_matrix() @ problem.effective_weights
    order = np.lexsort(
        (name_rank(problem.catalog.names), problem.cost_micro_usd[0], -np.round(strength, 9))
    )
    return int(next(index for index in order if problem.allowed[0, index]))


def _candidate(problem: RoutingProblem, index: int, chosen: int) -> Candidate:
    profile = problem.catalog[index]
    gap = profile.capabilities - problem.requirements.values[0]
    gaps = {
        name: 0.0 if abs(value) <= TOLERANCE else float(value)
        for name, value in zip(DIMENSIONS, gap, strict=True)
    }
    cost = float(problem.cost_micro_usd[0, index])
    standing, reason = _standing(problem, index, chosen, gaps)
    return Candidate(profile, standing, reason, cost, float(problem.shortfall[0, index]), gaps)


def _standing(
    problem: RoutingProblem, index: int, chosen: int, gaps: dict[str, float]
) -> tuple[Standing, str]:
    profile = problem.catalog[index]
    short = short_dimensions(gaps)
    if not profile.available:
        return Standing.UNAVAILABLE, "switched off"
    if index == chosen:
        return Standing.CHOSEN, f"chosen · {short}" if short else "chosen"
    if not problem.allowed[0, index]:
        missing = problem.modalities[0] - set(profile.modalities)
        if missing:
            return Standing.MODALITY, f"does not read {', '.join(sorted(missing))}"
        tokens = int(problem.tokens_input[0] + problem.tokens_output[0])
        return (
            Standing.CONTEXT,
            f"context too small: {tokens:,} tokens needed, {profile.context_window:,} fit",
        )
    if not problem.eligible[0, index]:
        return Standing.SHORT, short
    dearer = float(problem.cost_micro_usd[0, index] - problem.cost_micro_usd[0, chosen])
    # The sum over the dimensions is weighted, so it may differ from the lacks that are listed.
    place = "no model is within τ, as close" if problem.failed_open[0] else "within τ"
    weighted = f"{place} (shortfall {problem.shortfall[0, index]:.2f}), {short}"
    verdict = weighted if short else "meets all"
    if dearer <= 0:
        return Standing.ELIGIBLE, f"{verdict} · same price, {_lost_tie(problem, index, chosen)}"
    return Standing.ELIGIBLE, f"{verdict} · +{format_usd(dearer * 1000)} / 1k"


def _lost_tie(problem: RoutingProblem, index: int, chosen: int) -> str:
    more = problem.shortfall[0, index] > problem.shortfall[0, chosen] + TOLERANCE
    return "falls shorter" if more else "later in the alphabet"
