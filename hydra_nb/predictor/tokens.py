"""Token ids of a prompt: first token, signal tokens, the text, last token; at most `max_tokens`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydra_nb.errors import CheckpointError
from hydra_nb.predictor.input_text import clean_text
from hydra_nb.predictor.signals import SIGNAL_TOKENS, signal_flags

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_TOKENS = 512

_UNKNOWN = ("<unk>", "[UNK]")
_EDGES = (("<s>", "</s>", "<pad>"), ("[CLS]", "[SEP]", "[PAD]"))


class PromptTokenizer:
    """A tokenizer that puts the signal tokens in by id, so that typing one has no effect.

    Attributes:
        tokenizer: the underlying `tokenizers.Tokenizer`; knows every signal token.
        pad_id: id of the padding token.
    """

    def __init__(self, tokenizer: Tokenizer, *, max_tokens: int = MAX_TOKENS) -> None:
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        for first, last, pad in _EDGES:
            edge = [tokenizer.token_to_id(token) for token in (first, last, pad)]
            if None not in edge:
                self.first_id, self.last_id, self.pad_id = (int(i) for i in edge if i is not None)
                break
        else:
            raise CheckpointError(f"the tokenizer has none of the token triples {_EDGES}")
        unknown = (tokenizer.token_to_id(token) for token in _UNKNOWN)
        self._unknown_id = next((index for index in unknown if index is not None), None)
        found = {token: tokenizer.token_to_id(token) for token in SIGNAL_TOKENS}
        self._signal_ids = {token: index for token, index in found.items() if index is not None}
        missing = [token for token in SIGNAL_TOKENS if token not in self._signal_ids]
        if missing:
            raise CheckpointError(f"the tokenizer lacks the signal tokens {', '.join(missing)}")

    @classmethod
    def from_file(cls, path: Path, *, max_tokens: int = MAX_TOKENS) -> PromptTokenizer:
        """Read `tokenizer.json`.

        Raises:
            CheckpointError: the file is no tokenizer, or one without the signal tokens.
        """
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_file(str(path))
        # tokenizers raises bare Exception for every kind of damage
        except Exception as error:
            raise CheckpointError(f"{path}: not a tokenizer: {error}") from error
        try:
            return cls(tokenizer, max_tokens=max_tokens)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error

    def ids(self, cleaned: str, signals: Sequence[str]) -> list[int]:
        """Return the ids of a cleaned text after the given signal tokens."""
        return self.ids_and_offsets(cleaned, signals)[0]

    def ids_and_offsets(
        self, cleaned: str, signals: Sequence[str]
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Return the ids and, for each, start and end in `cleaned`; `(0, 0)` for added tokens."""
        encoding = self.tokenizer.encode(cleaned, add_special_tokens=False)
        prefix = [self.first_id, *(self._signal_ids[token] for token in signals)]
        kept = self.max_tokens - len(prefix) - 1
        ids = [*prefix, *encoding.ids[:kept], self.last_id]
        return ids, [*[(0, 0)] * len(prefix), *encoding.offsets[:kept], (0, 0)]

    def unknown_share(self, ids: Sequence[int], offsets: Sequence[tuple[int, int]]) -> float:
        """Return which share of the characters read the vocabulary lacks, in [0, 1]."""
        sizes = [end - start for start, end in offsets]
        lacking = (
            size for size, index in zip(sizes, ids, strict=True) if index == self._unknown_id
        )
        return sum(lacking) / max(sum(sizes), 1)

    def prompt_ids(self, text: str, turn: int = 1) -> list[int]:
        """Return what the encoder reads of a user message on the given turn."""
        return self.ids(clean_text(text), signal_flags(text, turn).tokens())
