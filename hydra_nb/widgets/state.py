"""The parts of the lab's state: frozen values that the store replaces as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hydra_nb.decision import Decision
from hydra_nb.dimensions import DIMENSIONS, weight_vector
from hydra_nb.errors import InvalidInputError
from hydra_nb.problem import DEFAULT_TAU, check_tau
from hydra_nb.profile import MODALITIES
from hydra_nb.requirements import Requirements
from hydra_nb.solver import AssignmentProgram, Solution
from hydra_nb.tokens import DEFAULT_TOKENS_OUTPUT, check_tokens
from hydra_nb.widgets.explaining import Contributions
from hydra_nb.widgets.reading import Reading

ScoringState = Literal["empty", "warming", "scored", "error"]
WhyState = Literal["idle", "running", "ready", "error"]


@dataclass(frozen=True)
class Settings:
    """What shapes a decision besides prompt and catalog.

    Attributes:
        tau: threshold on the shortfall.
        dimension_weights: w by dimension, before the compensation of Eq. 4.
        tokens_output: expected length of the answer, tokens.
        turn: which message of the conversation the prompt is, from 1.
        modalities: what the model must read besides text.
    """

    tau: float = DEFAULT_TAU
    dimension_weights: Mapping[str, float] = field(
        default_factory=lambda: dict.fromkeys(DIMENSIONS, 1.0)
    )
    tokens_output: int = DEFAULT_TOKENS_OUTPUT
    turn: int = 1
    modalities: tuple[str, ...] = ("text",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tau", check_tau(self.tau))
        object.__setattr__(self, "modalities", tuple(self.modalities))
        weights = weight_vector(self.dimension_weights).tolist()
        object.__setattr__(self, "dimension_weights", dict(zip(DIMENSIONS, weights, strict=True)))
        check_tokens(self.tokens_output, "tokens_output")
        if isinstance(self.turn, bool) or not isinstance(self.turn, int) or self.turn < 1:
            raise InvalidInputError(f"turn must be a whole number ≥ 1; received {self.turn!r}")
        unknown = sorted(set(self.modalities) - set(MODALITIES))
        if unknown:
            raise InvalidInputError(
                f"modalities names {unknown[0]!r}; known: {', '.join(MODALITIES)}"
            )


@dataclass(frozen=True)
class Scoring:
    """How far the scores of the current prompt are.

    Attributes:
        state: empty prompt, encoder loading, scored, or failed.
        message: what went wrong, in the state `error`.
        milliseconds: time of the last scoring.
        revision: which revision of the prompt the scores belong to.
    """

    state: ScoringState = "empty"
    message: str = ""
    milliseconds: float = 0.0
    revision: int = 0


@dataclass(frozen=True)
class Why:
    """What the words of the prompt contribute, and how far that is explained.

    Attributes:
        on: whether the user wants to see it.
        state: nothing to explain, in the works, explained, or failed.
        message: what went wrong, in the state `error`.
        dimension: the one the user looks at; `None` for the one of the largest score.
        reading: what `contributions` or `message` belong to; the prompt on screen may be newer.
        contributions: of the words of `reading`.
    """

    on: bool = False
    state: WhyState = "idle"
    message: str = ""
    dimension: str | None = None
    reading: Reading | None = None
    contributions: Contributions | None = None


@dataclass(frozen=True)
class Pinned:
    """A prompt kept as A, to compare the current one with."""

    text: str
    requirements: Requirements
    chosen: str | None


@dataclass(frozen=True)
class Ruling:
    """A decision with the program that certifies it; `failure` where the solver gave no proof."""

    decision: Decision
    program: AssignmentProgram
    solution: Solution | None
    failure: str = ""
