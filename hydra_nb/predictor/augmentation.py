"""Changes that the rubric declares irrelevant: a changed prompt keeps its four targets.

Some of them add words, and where these stand is known, so that the network can be taught to tell
them; others (case, fences, typos) change the words that are there.
"""

from __future__ import annotations

import random
import string
from collections.abc import Sequence

from hydra_nb.predictor.noise import NoisePhrase, Span, noise_phrases, with_phrase

_SURFACE = ("case", "fence", "typos", "punctuation")


def augmented(
    text: str, generator: random.Random, phrases: Sequence[NoisePhrase] | None = None
) -> tuple[str, list[Span]]:
    """Return `text` with irrelevant changes, and the spans of the words that were added.

    `phrases` is the bank to draw from; `None` is the one for training.
    """
    bank = noise_phrases(held_out=False) if phrases is None else phrases
    if generator.random() < 0.2:
        text = _surface(text, generator.choice(_SURFACE), generator)
        if generator.random() < 0.5:
            return text, []
    spans: list[Span] = []
    for _ in range(1 if generator.random() < 0.65 else 2):
        phrase = generator.choice(bank) if generator.random() < 0.93 else _mashed(generator)
        if generator.random() < 0.15:
            phrase = _recased(phrase, generator)
        text, spans = with_phrase(text, spans, phrase, generator)
    return text, spans


def _recased(phrase: NoisePhrase, generator: random.Random) -> NoisePhrase:
    changed = phrase.text.upper() if generator.random() < 0.4 else phrase.text.lower()
    if generator.random() < 0.5:
        changed = changed.rstrip(".!,;: ") or changed
    return NoisePhrase(changed, phrase.place, phrase.kind, phrase.language)


def _mashed(generator: random.Random) -> NoisePhrase:
    words = (
        "".join(generator.choices(string.ascii_lowercase + string.digits, k=size))
        for size in (generator.randint(2, 9) for _ in range(generator.randint(2, 8)))
    )
    return NoisePhrase(" ".join(words), "either", "gibberish", "und")


def _surface(text: str, family: str, generator: random.Random) -> str:
    if family == "case":
        if "```" in text:
            return text
        return text.upper() if generator.random() < 0.3 else text.lower()
    if family == "fence":
        if "```" in text:
            return text.replace("```", generator.choice(("~~~", "", "'''")))
        return text if len(text) > 400 else f"```\n{text}\n```"
    if family == "typos":
        return _with_typos(text, generator)
    return text.rstrip(".?! ") + generator.choice(("", "...", "??", "!!", " ."))


def _with_typos(text: str, generator: random.Random) -> str:
    characters = list(text)
    for _ in range(max(1, len(characters) // 80)):
        if len(characters) < 12:
            break
        at = generator.randrange(1, len(characters) - 1)
        if characters[at].isalpha() and characters[at - 1].isalpha():
            characters[at - 1], characters[at] = characters[at], characters[at - 1]
    return "".join(characters)
