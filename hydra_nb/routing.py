"""From text to decision: predictor, tokens and matching in one call."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Protocol, Unpack

from hydra_nb.catalog import Catalog
from hydra_nb.decision import Decision, decide
from hydra_nb.errors import InvalidInputError
from hydra_nb.problem import RoutingOptions
from hydra_nb.requirements import Requirements
from hydra_nb.tokens import estimate_tokens


class Predictor(Protocol):
    """Anything that scores texts."""

    def predict(self, texts: Sequence[str], turns: Sequence[int] | None = None) -> Requirements:
        """Return one row of requirements a text; `turns` counts from 1."""


_default_lock = threading.Lock()
_default: list[Predictor] = []


def default_predictor() -> Predictor:
    """Return the predictor that comes with the package, loaded once a process."""
    with _default_lock:
        if not _default:
            from hydra_nb.predictor import load_predictor

            _default.append(load_predictor())
        return _default[0]


def route(
    text: str,
    catalog: Catalog,
    *,
    predictor: Predictor | None = None,
    turn: int = 1,
    **options: Unpack[RoutingOptions],
) -> Decision:
    """Return how `text` is routed over `catalog`.

    Args:
        text: the current message of the user.
        catalog: the model profiles.
        predictor: `None` for the one that comes with the package.
        turn: which message of the conversation this is, from 1.
        **options: those of `formulate`; `tokens_input` is estimated from the text where it is not
            given.

    Raises:
        InvalidInputError: `text` is not text, or an option breaks a rule.
    """
    if not isinstance(text, str):
        raise InvalidInputError(f"text must be a str; received {type(text).__name__}")
    scorer = predictor or default_predictor()
    requirements = scorer.predict([text], turns=[turn])
    filled: dict[str, Any] = {"tokens_input": estimate_tokens(text), **options}
    return decide(requirements, catalog, **filled)
