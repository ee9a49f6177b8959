"""Which words of a prompt have no bearing on its requirements, from the network's token noise.

Politeness, hype, injected routing orders: the network tells them apart token by token, sentences
and words at their edges are dropped, and what is left is what gets scored. A prompt that is nothing
else ("thanks!") is scored as it stands.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Span = tuple[int, int]

EDGE_PRICE = 0.5
INSIDE_PRICE = 3.0
"""What each end of a run of noise costs, in log-odds, at the edge of a sentence and inside one;
found best of a few on dev prompts with phrases that the network had not seen."""

_SURE = 0.02
"""No token is surer than this."""

_WORD = re.compile(r"\S+")
_CUT = re.compile(r"[。！？、，；：…]+")
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
        for end in _CUT.finditer(match.group()):
            spans.append((start, match.start() + end.end()))
            start = match.start() + end.end()
        if start < match.end():
            spans.append((start, match.end()))
    return spans


def _evidence(
    words: list[Span], offsets: Sequence[Span], noise: NDArray[np.float64]
) -> list[float]:
    """Return for each word the log-odds that it is noise; minus infinity where it was not read."""
    centers = np.array([(start + end) / 2 for start, end in offsets if end > start])
    read = np.array([p for p, (start, end) in zip(noise, offsets, strict=True) if end > start])
    clipped = np.clip(read, _SURE, 1 - _SURE)
    odds = np.concatenate([[0.0], np.cumsum(np.log(clipped / (1 - clipped)))])
    read_to = max((end for _, end in offsets), default=0)
    ends = np.array(words, dtype=np.int64).reshape(-1, 2)  # (n_words, 2)
    first, last = np.searchsorted(centers, ends).T
    was_read = (last > first) & (ends[:, 1] <= read_to)
    evidence: list[float] = np.where(was_read, odds[last] - odds[first], -math.inf).tolist()
    return evidence


def _decoded(evidence: list[float], is_edge: list[bool]) -> list[bool]:
    """Return which words are noise: the likeliest runs, by Viterbi's algorithm.

    `is_edge` says whether a sentence ends after a word. A run begins and ends at the edge of a
    sentence, or, at a higher price, inside one; never both inside, so that nothing is cut out of
    a sentence's middle.
    """
    # states: kept; noise since an edge; noise since inside a sentence
    best = [0.0, 0.0, -math.inf]
    edge_before = True
    came_from: list[tuple[int, int, int]] = []
    for number, odds in enumerate(evidence):
        price = EDGE_PRICE if edge_before else INSIDE_PRICE
        if number == 0:
            price = 0.0
        kept, since_edge, since_inside = best
        to_kept = [(kept, 0), (since_edge - price, 1)]
        to_edge = [(since_edge, 1)]
        to_inside = [(since_inside, 2)]
        if edge_before:
            to_kept.append((since_inside - price, 2))
            to_edge += [(kept - price, 0), (since_inside, 2)]
        else:
            to_inside.append((kept - price, 0))
        chosen = [max(options) for options in (to_kept, to_edge, to_inside)]
        came_from.append((chosen[0][1], chosen[1][1], chosen[2][1]))
        best = [chosen[0][0], chosen[1][0] + odds, chosen[2][0] + odds]
        edge_before = is_edge[number]
    state = max(range(3), key=lambda index: best[index])
    noisy = []
    for previous in reversed(came_from):
        noisy.append(state > 0)
        state = previous[state]
    return noisy[::-1]


def relevance(text: str, offsets: Sequence[Span], noise: NDArray[np.float64]) -> Relevance:
    """Return which words of a cleaned text to leave out.

    Runs of noisy words go that begin or end with a sentence or the text ("pls fix this thx").
    `offsets` and `noise` are of the tokens read; words beyond the last of them are kept.
    """
    words = word_spans(text)
    is_edge = [bool(_END.search(text[start:end])) for start, end in words]
    if is_edge:
        is_edge[-1] = True
    noisy = _decoded(_evidence(words, offsets, noise), is_edge)
    dropped: list[Span] = []
    for number, ((start, end), goes) in enumerate(zip(words, noisy, strict=True)):
        if goes and number and noisy[number - 1]:
            dropped[-1] = (dropped[-1][0], end)
        elif goes:
            dropped.append((start, end))
    rest_has_letters = any(
        _LETTER.search(text, start, end)
        for (start, end), goes in zip(words, noisy, strict=True)
        if not goes
    )
    return Relevance(text, tuple(dropped) if rest_has_letters else ())
