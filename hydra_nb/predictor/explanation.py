"""Which words raise or lower which requirement, by leaving each of them out (occlusion).

Zeiler & Fergus 2014 for images, Li et al. 2016 for words. It asks the predictor itself, so what it
says holds for the shipped scores: without a word of contribution c the score is lower by c.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import InvalidInputError
from hydra_nb.predictor.input_text import clean_text
from hydra_nb.predictor.irrelevant import word_spans
from hydra_nb.requirements import Requirements

MOST_UNITS = 64
"""A longer prompt is explained in this many runs of consecutive words."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """The words of one prompt with what each contributes to its requirements.

    Attributes:
        text: the prompt as it is read: one space between words.
        spans: start and end of each word, or run of words in a long prompt, in `text`.
        contributions: `(n_words, 4)`: the requirement minus what it is without that word; positive
            where the word raises it.
        requirements: of the whole prompt.
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    contributions: NDArray[np.float64]
    requirements: Requirements

    @property
    def words(self) -> tuple[str, ...]:
        """The words in the order of `contributions`."""
        return tuple(self.text[start:end] for start, end in self.spans)

    def top(self, dimension: str, count: int = 5) -> list[tuple[str, float]]:
        """Return the words that move a dimension most, with their contributions.

        Raises:
            InvalidInputError: an unknown dimension.
        """
        if dimension not in DIMENSIONS:
            raise InvalidInputError(
                f"unknown dimension {dimension!r}; known: {', '.join(DIMENSIONS)}"
            )
        column = self.contributions[:, DIMENSIONS.index(dimension)]
        order = np.argsort(-np.abs(column), kind="stable")[:count]
        return [(self.words[index], float(column[index])) for index in order]

    def without(self, units: Sequence[int]) -> str:
        """Return the prompt without the words of these indices."""
        return without(self.text, [self.spans[index] for index in units])


def without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Return `text` without the given spans, single spaces between what is left."""
    parts, position = [], 0
    for start, end in sorted(spans):
        parts.append(text[position:start])
        position = end
    return clean_text("".join([*parts, text[position:]])).strip()


def _units(text: str) -> list[tuple[int, int]]:
    words = word_spans(text)
    if len(words) <= MOST_UNITS:
        return words
    runs = np.array_split(np.arange(len(words)), MOST_UNITS)
    return [(words[run[0]][0], words[run[-1]][1]) for run in runs]


def explain(
    text: str,
    whole: Requirements,
    score: Callable[[Sequence[str]], Requirements],
    *,
    most_characters: int,
) -> Explanation:
    """Explain the requirements `whole` of one prompt, asking `score` about it without each word.

    Words beyond `most_characters` are not looked at.
    """
    cleaned = clean_text(text)[:most_characters].strip()
    spans = _units(cleaned)
    changed = [without(cleaned, [span]) for span in spans]
    contributions = whole.values - score(changed).values
    contributions.flags.writeable = False
    return Explanation(cleaned, tuple(spans), contributions, whole)
