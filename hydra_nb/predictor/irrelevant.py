"""Which words of a prompt have no bearing on its requirements, from the network's token noise.

Politeness, hype, injected routing orders: the network tells them apart token by token, sentences
and words at their edges are dropped, and what is left is what gets scored. A prompt that is nothing
else ("thanks!") is scored as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Span = tuple[int, int]

LEAST_NOISE = 0.5
"""Mean noise of its tokens from which a word or a sentence is dropped."""

_WORD = re.compile(r"\S+")
_END = re.compile(r"[.!?。！？…:;][\"')\]*_`]*$")
_LETTER = re.compile(r"[^\W_]")


@dataclass(frozen=True)
class Relevance:
    """A cleaned prompt and the parts of it that are left out.

    Attributes:
        text: the cleaned prompt.
        dropped: spans in `text`, ascending, apart, each of whole words.
    """

    text: str
    dropped: tuple[Span, ...] = ()

    @property
    def kept(self) -> str:
        """The prompt without what is dropped."""
        parts, position = [], 0
        for start, end in self.dropped:
            parts.append(self.text[position:start].strip())
            position = end
        parts.append(self.text[position:].strip())
        return " ".join(part for part in parts if part)

    @property
    def phrases(self) -> tuple[str, ...]:
        """What is dropped, as it was typed."""
        return tuple(self.text[start:end] for start, end in self.dropped)


def word_spans(text: str) -> list[Span]:
    """Return the words of a text; runs without spaces are cut where other scripts end sentences."""
    spans = []
    for match in _WORD.finditer(text):
        start = match.start()
        for end in re.finditer(r"[。！？、，；：…]+", match.group()):
            spans.append((start, match.start() + end.end()))
            start = match.start() + end.end()
        if start < match.end():
            spans.append((start, match.end()))
    return spans


def _sentences(text: str, words: list[Span]) -> list[list[Span]]:
    """Return the words of a text by sentence."""
    sentences: list[list[Span]] = [[]]
    for start, end in words:
        sentences[-1].append((start, end))
        if _END.search(text[start:end]):
            sentences.append([])
    return [sentence for sentence in sentences if sentence]


def relevance(
    text: str, offsets: Sequence[Span], noise: NDArray[np.float64], *, least: float = LEAST_NOISE
) -> Relevance:
    """Return which words of a cleaned text to leave out.

    A sentence goes as a whole; of one that stays, noisy words at its beginning and end go ("pls
    fix this thx"), so that nothing is ever cut out of its middle. `offsets` and `noise` are of the
    tokens read; words beyond the last of them are kept.
    """
    centers = np.array([(start + end) / 2 for start, end in offsets if end > start])
    read = np.array([p for p, (start, end) in zip(noise, offsets, strict=True) if end > start])

    read_to = max((end for _, end in offsets), default=0)

    def is_noisy(span: Span) -> bool:
        first, last = np.searchsorted(centers, span)
        return bool(last > first) and float(read[first:last].mean()) >= least

    dropped: list[Span] = []
    rest_has_letters = False
    for words in _sentences(text, word_spans(text)):
        kept = words
        if words[-1][1] <= read_to and is_noisy((words[0][0], words[-1][1])):
            kept = []
        while kept and is_noisy(kept[0]):
            kept = kept[1:]
        while kept and is_noisy(kept[-1]):
            kept = kept[:-1]
        if kept:
            start, end = kept[0][0], kept[-1][1]
            rest_has_letters |= bool(_LETTER.search(text, start, end))
            gone = [(words[0][0], start), (end, words[-1][1])]
        else:
            gone = [(words[0][0], words[-1][1])]
        for start, end in gone:
            if not text[start:end].strip():
                continue
            if dropped and not text[dropped[-1][1] : start].strip():
                dropped[-1] = (dropped[-1][0], end)
            else:
                dropped.append((start, end))
    trimmed = tuple(_trimmed(text, span) for span in dropped)
    return Relevance(text, trimmed if rest_has_letters else ())


def _trimmed(text: str, span: Span) -> Span:
    start, end = span
    inside = text[start:end]
    return start + len(inside) - len(inside.lstrip()), end - len(inside) + len(inside.rstrip())
