"""What a predictor says of the prompt on screen; predictors that only predict will do."""

from __future__ import annotations

from dataclasses import dataclass

from hydra_nb.errors import InvalidInputError
from hydra_nb.requirements import Requirements
from hydra_nb.routing import Predictor


@dataclass(frozen=True, eq=False)
class Reading:
    """One prompt as the predictor read it; compared by identity, since each scoring is its own.

    Attributes:
        text: the prompt.
        turn: which message of the conversation it is, from 1.
        requirements: of one query.
        ignored: phrases that were left out before scoring, as typed.
        tokens: how many were read; 0 where the predictor does not say.
        signals: names of the signal flags that are set.
    """

    text: str
    turn: int
    requirements: Requirements
    ignored: tuple[str, ...] = ()
    tokens: int = 0
    signals: tuple[str, ...] = ()


def read(predictor: Predictor, text: str, turn: int) -> Reading:
    """Return what `predictor.read` says or, where it has none, `predict`, `tokens` and `signals`.

    Raises:
        InvalidInputError: what came back holds no requirements of one query.
    """
    whole = getattr(predictor, "read", None)
    if callable(whole):
        given = whole(text, turn)
        requirements = _of_one_query(given.requirements, "read must return a reading with")
        ignored, tokens, signals = given.ignored, given.tokens, given.signals
    else:
        requirements = _of_one_query(predictor.predict([text], turns=[turn]), "predict must return")
        count, flags = getattr(predictor, "tokens", None), getattr(predictor, "signals", None)
        ignored = ()
        tokens = count(text, turn) if callable(count) else 0
        signals = flags(text, turn) if callable(flags) else ()
    # The browser is sent plain JSON, so what may be of numpy becomes plain here.
    return Reading(
        text,
        turn,
        requirements,
        ignored=tuple(str(phrase) for phrase in ignored),
        tokens=int(tokens),
        signals=tuple(str(signal) for signal in signals),
    )


def _of_one_query(given: object, rule: str) -> Requirements:
    if not isinstance(given, Requirements) or len(given) != 1:
        raise InvalidInputError(f"{rule} Requirements of one query; received {given!r:.80}")
    return given
