"""From a prompt to what the tokenizer reads: cleaned, cut, and cut so that no token can change."""

from __future__ import annotations

import re
import unicodedata

LONGEST_PIECE = 16
"""Characters of the longest vocabulary piece that a pruned vocabulary may hold."""

CHUNK_CHARACTERS = 256
"""Words are tokenized in chunks of at most this many characters, so a word of 10 MB is no trap."""

MOST_COMBINING_MARKS = 30
"""Unicode stream-safe text (UAX #15): more marks on one character than this are dropped."""

# NFKC composes at most four code points to one, so this many cleaned characters always give 512
# tokens, and the last chunk (the only one that the cut may alter) lies behind them.
KEPT_CHARACTERS = 4 * (512 * LONGEST_PIECE + 2 * CHUNK_CHARACTERS)

_BLOCK = 65_536
_REMOVED = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064"
    "\u2066-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffc\U000e0000-\U000e0fff]+"
)
_SPACE = re.compile("[\\s\u200c\u200d\u2581\ufffd\ud800-\udfff]+")


def clean_text(text: str) -> str:
    """Return the text with control and zero-width characters dropped and white space single.

    Lone surrogates count as white space. Text beyond `KEPT_CHARACTERS` of the result is cut: it
    cannot reach the first 512 tokens.
    """
    parts: list[str] = []
    kept = 0
    for start in range(0, len(text), _BLOCK):
        part = _SPACE.sub(" ", _REMOVED.sub("", text[start : start + _BLOCK]))
        if part.startswith(" ") and (not parts or parts[-1].endswith(" ")):
            part = part[1:]
        if not part.isascii():
            part = _limit_marks(part, parts)
        if part:
            parts.append(part)
            kept += len(part)
        if kept >= KEPT_CHARACTERS:
            break
    return "".join(parts)[:KEPT_CHARACTERS].rstrip(" ")


def _limit_marks(part: str, before: list[str]) -> str:
    run = 0
    for character in reversed(before[-1][-MOST_COMBINING_MARKS:] if before else ""):
        if not unicodedata.combining(character):
            break
        run += 1
    kept = []
    for character in part:
        run = run + 1 if unicodedata.combining(character) else 0
        if run <= MOST_COMBINING_MARKS:
            kept.append(character)
    return "".join(kept)
