from __future__ import annotations

import sys
import unicodedata

import pytest

from hydra_nb.predictor import Predictor, input_text
from hydra_nb.predictor.input_text import MOST_COMBINING_MARKS, clean_text

MARKS = [chr(c) for c in range(sys.maxunicode + 1) if unicodedata.combining(chr(c))]
LONG_TEXTS = {
    "words": "the quick brown fox jumps over it " * 6000,
    "one word": "abcdefghij" * 20_000,
    "han": "如何用语言写一个快速排序算法" * 12_000,
    "spaces": (" " * 5000 + "word ") * 40,
    "jamo": "\u1112\u1161\u11ab" * 60_000,
    "marks": "a" + "\u0301\u0323\u0345" * 60_000 + " end",
    "mixed marks": "".join("e" + mark for mark in MARKS) * 100,
    "zero width": "w\u200bo\u200br\u200bd\ufeff " * 30_000,
    "ligature": "\ufdfa" * 40_000,
    "surrogates": "ab\ud800 " * 50_000,
    "emoji": "👩\u200d💻🏽" * 30_000,
}


@pytest.mark.parametrize("name", LONG_TEXTS)
def test_the_cut_cannot_change_the_first_512_tokens(
    name: str, shipped: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = LONG_TEXTS[name]
    cut = shipped._tokenizer.prompt_ids(text)
    monkeypatch.setattr(input_text, "KEPT_CHARACTERS", 10**9)
    assert shipped._tokenizer.prompt_ids(text) == cut


def test_white_space_is_collapsed_and_trimmed() -> None:
    assert clean_text("  a\t\n\u3000 b\u00a0 ") == "a b"


def test_white_space_across_an_inner_block_border_is_one_space() -> None:
    text = "a" * 65_530 + " " * 20 + "b"
    assert clean_text(text[65_500:]) == "a" * 30 + " b"
    assert "  " not in clean_text("a " * 16_000 + " " * 80_000 + "b")


def test_controls_and_zero_width_characters_vanish() -> None:
    assert clean_text("a\x00b\u200bc\u202ed\ufeffe\u00ad") == "abcde"


def test_lone_surrogates_count_as_space() -> None:
    assert clean_text("a\ud800\udfffb") == "a b"


def test_at_most_thirty_marks_stay_on_a_character() -> None:
    assert clean_text("a" + "\u0301" * 500 + "b") == "a" + "\u0301" * MOST_COMBINING_MARKS + "b"


def test_cleaning_twice_changes_nothing() -> None:
    once = clean_text("  Ça\u200b va?\n\n```py\nx\t= 1\n``` \ud812 ")
    assert clean_text(once) == once
