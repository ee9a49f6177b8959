"""Explains the prompt's words in a thread of its own: one explanation at a time, the newest wins.

An explanation takes one prediction a word, up to a second; typing must not wait for it. So it
starts once the prompt has stood still for a moment, and what it says of a prompt that has changed
meanwhile is for the receiver to drop.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import InvalidInputError
from hydra_nb.widgets.background import Background
from hydra_nb.widgets.reading import Reading

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 0.2
"""About one keystroke: between two of them nothing is explained."""


@dataclass(frozen=True, eq=False)
class Contributions:
    """The words of one prompt with what each contributes to its requirements.

    Attributes:
        text: the prompt as it was explained.
        spans: start and end of each word in `text`, ascending.
        values: float64 `(n_words, 4)`, positive where the word raises a requirement.
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, explanation: Any) -> Contributions:
        """Take over what a predictor's `explain` returned.

        Raises:
            InvalidInputError: contributions that are no finite `(n_words, 4)`.
        """
        spans = tuple((int(start), int(end)) for start, end in explanation.spans)
        values = np.array(explanation.contributions, dtype=np.float64)
        expected = (len(spans), len(DIMENSIONS))
        if values.shape != expected or not np.isfinite(values).all():
            raise InvalidInputError(
                f"explain must return finite contributions of shape {expected}; "
                f"received shape {values.shape}"
            )
        values.flags.writeable = False
        return cls(str(explanation.text), spans, values)


@dataclass(frozen=True)
class Request:
    """A reading to explain, and what explains it."""

    explain: Callable[[str, int], Any]
    reading: Reading


Deliver = Callable[[Reading, Contributions | None, str], None]
"""Receives a reading with its contributions, or with the message of a failure."""


class Explainer:
    """Runs explanations while there are any to run.

    Args:
        lock: guards what `wanted` looks at; `wake` is called under it.
        wanted: the newest request, `None` where nothing is to be explained.
        deliver: takes what came out, called without the lock.
    """

    def __init__(
        self,
        lock: AbstractContextManager[Any],
        wanted: Callable[[], Request | None],
        deliver: Deliver,
    ) -> None:
        self._background = Background(lock, wanted, self._explain)
        self._deliver = deliver

    def wake(self) -> None:
        """Look for requests; called under the lock."""
        self._background.wake()

    def _explain(self, request: Request) -> None:
        """Explain a request that stands for the pause; one that does not comes again as another."""
        reading = request.reading
        time.sleep(PAUSE_SECONDS)
        newest = self._background.newest()
        if newest is None or newest.reading is not reading:
            return
        try:
            found = Contributions.of(request.explain(reading.text, reading.turn))
        # A predictor may be anybody's: its failure is a state of the screen, not its end.
        except Exception as error:
            logger.exception("explaining failed")
            self._deliver(reading, None, str(error) or repr(error))
        else:
            self._deliver(reading, found, "")
