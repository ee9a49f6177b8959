"""A sentencepiece vocabulary pruned to the pieces that matter, and its tokenizer.

A pruned unigram vocabulary needs no fallback table: a text whose pieces were dropped is cut into
the shorter pieces that were kept, down to single characters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hydra_nb.predictor.input_text import CHUNK_CHARACTERS, LONGEST_PIECE
from hydra_nb.predictor.signals import SIGNAL_TOKENS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPECIAL_PIECES = ("<s>", "<pad>", "</s>", "<unk>")
"""Ids 0 to 3, as in XLM-R."""

_NEVER = -1000.0


def unigram_tokenizer(pieces: Sequence[str], piece_scores: Sequence[float]) -> Tokenizer:
    """Return a tokenizer whose first ids are `pieces`, followed by the signal tokens.

    Text is NFKC-normalised and split at spaces; a signal token typed by a user stays plain text.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

    # A typed "</s>" would else be the most probable segmentation of itself.
    vocabulary = [
        (piece, _NEVER if piece in SPECIAL_PIECES else score)
        for piece, score in zip(pieces, piece_scores, strict=True)
    ]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always"),
            pre_tokenizers.Split(Regex(f"(?m).{{1,{CHUNK_CHARACTERS}}}"), "isolated"),
        ]
    )
    special = (*SPECIAL_PIECES, *SIGNAL_TOKENS)
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    tokenizer.encode_special_tokens = True
    return tokenizer


def pruned_ids(
    tokenizer: Tokenizer,
    pieces: Sequence[str],
    texts: Iterable[str],
    *,
    size: int,
    least_count: int = 2,
) -> list[int]:
    """Return the ids to keep, ascending: at most `size` of them.

    First the special pieces, then pieces that occur at least `least_count` times in `texts`, then
    the most probable ones (in a sentencepiece file the id is the rank).
    """
    counts: Counter[int] = Counter()
    for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False):
        counts.update(encoding.ids)
    kept = set(range(len(SPECIAL_PIECES)))
    frequent = [index for index, count in counts.most_common() if count >= least_count]
    for index in (*frequent, *range(len(pieces))):
        if len(kept) >= size:
            break
        if len(pieces[index]) <= LONGEST_PIECE and pieces[index] != "<mask>":
            kept.add(index)
    return sorted(kept)
