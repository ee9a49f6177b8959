"""How many tokens a prompt will be billed for, before any model has seen it."""

from __future__ import annotations

from hydra_nb.errors import InvalidInputError

DEFAULT_TOKENS_OUTPUT = 500
"""Expected length of an answer, in tokens, where nothing better is known."""

BYTES_PER_TOKEN = 4

MAX_TOKENS = 1_000_000_000
"""More than any prompt or answer; keeps sums of tokens far from the end of int64."""


def estimate_tokens(text: str) -> int:
    """Return the expected input tokens of `text`: UTF-8 bytes / 4, rounded up, at least 1.

    A rule of thumb that needs no tokenizer: English prose and code come to about four bytes a
    token with today's tokenizers; other scripts vary by model. Give `tokens_input` where it counts.
    """
    return max(1, -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN))


def check_tokens(value: object, name: str) -> int:
    """Return `value` if it is a whole number from 0 to `MAX_TOKENS`; else `InvalidInputError`."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TOKENS:
        raise InvalidInputError(
            f"{name} must be a whole number of tokens from 0 to {MAX_TOKENS:,}; received {value!r}"
        )
    return value
