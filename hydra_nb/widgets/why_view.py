"""What the prompt panel shows under "Why": the words, tinted by what they do to one dimension."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hydra_nb.dimensions import DIMENSIONS, LABELS
from hydra_nb.widgets.explaining import Contributions
from hydra_nb.widgets.reading import Reading
from hydra_nb.widgets.store import Store
from hydra_nb.widgets.views import View

LEAST = 0.005
"""What is smaller shows as 0.00 and has no tint."""
FULL_TINT = 0.05
"""A dimension that no word moves by this much never reaches the full tint."""
STRONGEST = 5
LONGEST_WORD = 24
PUNCTUATION = " .,;:!?…()[]{}\"'`“”‘’。！？、，；：「」"


def why_view(store: Store) -> View | None:
    """Return what "Why" shows; `None` where the predictor cannot explain."""
    if not callable(getattr(store.predictor, "explain", None)):
        return None
    why = store.why
    dimension = why.dimension or _largest(store.reading)
    view: View = {
        "on": why.on,
        "state": why.state,
        "message": why.message,
        "stale": why.contributions is not None and why.reading is not store.reading,
        "dimension": dimension,
        "label": LABELS[dimension],
        "words": [],
        "rest": "",
        "strongest": [],
    }
    if why.on and why.contributions is not None:
        view |= _words(why.contributions, DIMENSIONS.index(dimension))
    return view


def _largest(reading: Reading | None) -> str:
    if reading is None:
        return DIMENSIONS[0]
    return DIMENSIONS[int(np.argmax(reading.requirements.values[0]))]


def _words(contributions: Contributions, column: int) -> View:
    """Return each word with what stands before it, its number and its tint in [-1, 1]."""
    text, values = contributions.text, contributions.values[:, column]
    full = max(FULL_TINT, float(np.abs(values).max(initial=0.0)))
    words: list[View] = []
    position = 0
    for (start, end), value in zip(contributions.spans, values.tolist(), strict=True):
        tint = round(value / full, 3) if abs(value) >= LEAST else 0.0
        words.append(
            {
                "before": text[position:start],
                "text": text[start:end],
                "number": signed(value),
                "tint": tint,
            }
        )
        position = end
    strongest = [
        {"text": _bare(words[index]["text"]), "number": words[index]["number"]}
        for index in _strongest(values)
    ]
    return {"words": words, "rest": text[position:], "strongest": strongest}


def _strongest(values: NDArray[np.float64]) -> list[int]:
    order = np.argsort(-np.abs(values), kind="stable")[:STRONGEST]
    return [int(index) for index in order if abs(values[index]) >= LEAST]


def _bare(word: str) -> str:
    """Return a word on one short line without the punctuation around it."""
    return shortened(word.strip(PUNCTUATION) or word, LONGEST_WORD)


def signed(value: float) -> str:
    """Return a number with its sign and two decimals; what rounds to zero has none."""
    text = f"{value:+.2f}".replace("-", "−")
    return "0.00" if text in ("+0.00", "−0.00") else text


def shortened(text: str, length: int) -> str:
    """Return `text` on one line, cut to `length` characters with an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1].rstrip()}…"
