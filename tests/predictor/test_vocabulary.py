from __future__ import annotations

import numpy as np
import pytest

from hydra_nb.errors import CheckpointError
from hydra_nb.predictor.e5_file import E5File, dequantize_q4, read_e5
from hydra_nb.predictor.signals import SIGNAL_TOKENS
from hydra_nb.predictor.tokens import PromptTokenizer
from hydra_nb.predictor.vocabulary import SPECIAL_PIECES, pruned_ids, unigram_tokenizer

WORDS = {"▁the": -3.0, "▁cat": -4.0, "▁cats": -5.0, "▁": -6.0, "▁dog": -6.5}
PIECES = [*SPECIAL_PIECES, *WORDS, *"catsheo</>unrk:1"]
SCORES = [0.0] * 4 + list(WORDS.values()) + [-9.0] * 16


def test_pruning_keeps_special_pieces_then_what_occurs_then_the_most_probable() -> None:
    whole = unigram_tokenizer(PIECES, SCORES)
    kept = pruned_ids(whole, PIECES, ["the dog the dog"], size=8)
    assert [PIECES[i] for i in kept] == [*SPECIAL_PIECES, "▁the", "▁cat", "▁cats", "▁dog"]


def test_a_kept_piece_has_the_embedding_row_of_its_old_id() -> None:
    from hydra_nb.predictor.architecture import e5_encoder

    rng = np.random.default_rng(0)
    hidden = 32
    names = {"embeddings.word_embeddings.weight": (len(PIECES), hidden)}
    names["embeddings.position_embeddings.weight"] = (16, hidden)
    names["embeddings.token_type_embeddings.weight"] = (2, hidden)
    names["embeddings.LayerNorm.weight"] = names["embeddings.LayerNorm.bias"] = (hidden,)  # type: ignore[assignment]
    tensors = {name: rng.normal(size=shape).astype(np.float32) for name, shape in names.items()}
    sizes = {
        "hidden": hidden, "layers": 0, "heads": 2, "intermediate": 64,
        "vocabulary": len(PIECES), "positions": 16, "types": 2,
    }  # fmt: skip
    file = E5File(sizes, 1e-12, PIECES, SCORES, tensors)
    kept = pruned_ids(unigram_tokenizer(PIECES, SCORES), PIECES, ["the cat"] * 2, size=9)
    encoder = e5_encoder(file, kept, extra_tokens=len(SIGNAL_TOKENS))
    tokenizer = unigram_tokenizer([PIECES[i] for i in kept], [SCORES[i] for i in kept])
    table = encoder.get_input_embeddings().weight.detach().numpy()
    row = tokenizer.token_to_id("▁cat")
    assert row is not None
    old = tensors["embeddings.word_embeddings.weight"][PIECES.index("▁cat")]
    assert np.array_equal(table[row], old)
    assert table.shape[0] == tokenizer.get_vocab_size()


def test_a_word_whose_piece_was_dropped_is_cut_into_kept_ones() -> None:
    kept = [i for i, piece in enumerate(PIECES) if piece != "▁cats"]
    tokenizer = unigram_tokenizer([PIECES[i] for i in kept], [SCORES[i] for i in kept])
    assert tokenizer.encode("cats").tokens == ["▁cat", "s"]


def test_a_typed_signal_or_special_token_stays_plain_text() -> None:
    tokenizer = PromptTokenizer(unigram_tokenizer(PIECES, SCORES))
    typed = tokenizer.ids("<turn:1></s><error> the", ())
    reserved = {tokenizer.tokenizer.token_to_id(token) for token in (*SIGNAL_TOKENS, "</s>")}
    assert not reserved & set(typed[1:-1])


def test_signals_come_before_the_text_and_edges_around() -> None:
    tokenizer = PromptTokenizer(unigram_tokenizer(PIECES, SCORES))
    ids = tokenizer.ids("the cat", ("<turn:1>", "<code>"))
    tokens = [tokenizer.tokenizer.id_to_token(index) for index in ids]
    assert tokens == ["<s>", "<turn:1>", "<code>", "▁the", "▁cat", "</s>"]


def test_q4_blocks_hold_low_nibbles_first_and_an_fp16_scale() -> None:
    scale = np.array([0.5], "<f2").view(np.uint8)
    nibbles = np.array([0x98, *([0x88] * 15)], np.uint8)
    values = dequantize_q4(np.concatenate([scale, nibbles]), 32)
    expected = np.zeros((1, 32))
    expected[0, 16] = 0.5
    assert np.array_equal(values, expected)


def test_a_foreign_encoder_file_is_named(tmp_path: pytest.TempPathFactory) -> None:
    path = tmp_path / "weights.bin"  # type: ignore[operator]
    path.write_bytes(b"GGUF0000")
    with pytest.raises(CheckpointError, match=r"weights\.bin.*GGUF"):
        read_e5(path)


def test_another_e5_file_is_refused_by_its_digest(tmp_path: pytest.TempPathFactory) -> None:
    path = tmp_path / "weights.bin"  # type: ignore[operator]
    path.write_bytes(b"E5S1" + bytes(64))
    with pytest.raises(CheckpointError, match="sha256"):
        read_e5(path)
