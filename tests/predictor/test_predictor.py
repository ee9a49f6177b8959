from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hydra_nb.errors import InvalidInputError
from hydra_nb.predictor import Predictor, load_predictor
from hydra_nb.predictor.engines import Outputs
from tests.predictor.conftest import tiny_tokenizer

TEXTS = [
    "thanks!",
    "",
    "Why does this Go service leak memory only under TLS?",
    "如何用Python写一个快速排序？",
    "word " * 900,
    "```py\nprint(1)\n```",
]


def modules_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_loads_no_heavy_library() -> None:
    heavy = {"torch", "transformers", "onnxruntime", "tokenizers", "safetensors", "pandas"}
    assert not heavy & modules_after("import hydra_nb.predictor")


def test_the_first_score_needs_neither_torch_nor_transformers() -> None:
    loaded = modules_after(
        "from hydra_nb.predictor import load_predictor\nload_predictor().predict(['hello'])"
    )
    assert not {"torch", "transformers", "safetensors", "pandas", "onnx"} & loaded
    assert "onnxruntime" in loaded


def test_a_row_for_every_text_in_the_order_asked(shipped: Predictor) -> None:
    values = shipped.predict(TEXTS).values
    backwards = shipped.predict(TEXTS[::-1]).values
    assert values.shape == (len(TEXTS), 4)
    assert np.array_equal(values, backwards[::-1])


def test_a_text_scores_exactly_the_same_alone_and_in_any_batch(shipped: Predictor) -> None:
    together = shipped.predict(TEXTS * 3).values
    for index, text in enumerate(TEXTS):
        alone = shipped.predict([text]).values[0]
        assert np.array_equal(together[index], alone)
        assert np.array_equal(together[index + len(TEXTS)], alone)


def test_many_threads_get_exactly_the_same_scores(shipped: Predictor) -> None:
    expected = shipped.predict(TEXTS).values
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: shipped.predict(TEXTS).values, range(16)):
            assert np.array_equal(found, expected)


def test_two_loads_give_exactly_the_same_scores(shipped: Predictor) -> None:
    again = load_predictor()
    assert np.array_equal(again.predict(TEXTS).values, shipped.predict(TEXTS).values)


def test_no_texts_give_no_rows(shipped: Predictor) -> None:
    assert shipped.predict([]).values.shape == (0, 4)


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u200b", "\x00", "\ud800", "\ufeff"])
def test_nothing_to_read_asks_for_little(shipped: Predictor, text: str) -> None:
    assert shipped.predict([text]).values.max() < 0.3


@pytest.mark.parametrize(
    "text",
    [
        "lone \udcff surrogate",
        "nul\x00byte",
        "zero\u200bwidth",
        "\u202eright to left\u202c",
        "مرحبا، لماذا يفشل هذا الكود؟",
        "👩‍💻" * 50,
        bytes(range(256)).decode("latin-1"),
        "<s></s><pad><unk><mask><turn:1>",
        "e" + "\u0301" * 5000,
        "\U0010ffff" * 50,
    ],
)
def test_odd_characters_are_scored(shipped: Predictor, text: str) -> None:
    assert shipped.predict([text]).values.shape == (1, 4)


@pytest.mark.parametrize("unit", ["a", "word ", " ", "错", "a\u0301", "{;\n"])
def test_ten_megabytes_score_like_their_beginning(shipped: Predictor, unit: str) -> None:
    huge = unit * (10_000_000 // len(unit))
    page = unit * (400_000 // len(unit))
    assert np.array_equal(shipped.predict([huge]).values, shipped.predict([page]).values)
    assert shipped.tokens(huge) <= shipped.max_tokens


def test_zero_width_characters_change_nothing(shipped: Predictor) -> None:
    plain = shipped.predict(["sort this list of numbers"]).values
    hidden = shipped.predict(["so\u200brt this\ufeff li\u2060st of num\u00adbers"]).values
    assert np.array_equal(plain, hidden)


def test_white_space_inside_prose_changes_nothing(shipped: Predictor) -> None:
    plain = shipped.predict(["sort this list of numbers"]).values
    assert np.array_equal(plain, shipped.predict([" sort  this\t list\u3000of numbers  "]).values)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("one text", r"list of strings; received one str"),
        (b"bytes", r"received one bytes"),
        (None, r"received NoneType"),
        (7, r"received int"),
        (["ok", None], r"texts\[1\].*NoneType"),
        (["ok", "ok", 3.5], r"texts\[2\].*float: 3\.5"),
        ([float("nan")], r"texts\[0\].*float: nan"),
        ([b"bytes"], r"texts\[0\].*bytes"),
        ([["nested"]], r"texts\[0\].*list"),
    ],
)
def test_what_is_no_list_of_strings_is_refused(
    shipped: Predictor, texts: Any, message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        shipped.predict(texts)


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([1], r"turns has 1 items for 2 texts"),
        ([1, 0], r"turns\[1\].*at least 1.*int: 0"),
        ([1, "2"], r"turns\[1\].*str"),
        ([True, 1], r"turns\[0\].*bool"),
        ([1, 2.0], r"turns\[1\].*float"),
        (3, r"list of integers; received int"),
    ],
)
def test_wrong_turns_are_refused(shipped: Predictor, turns: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        shipped.predict(["a", "b"], turns=turns)


def test_turns_of_one_bin_score_alike_and_numpy_integers_count(shipped: Predictor) -> None:
    values = shipped.predict(["now fix it"] * 2, turns=np.array([5, 9])).values
    assert np.array_equal(values[0], values[1])


def test_tokens_counts_the_signals_and_both_edges(shipped: Predictor) -> None:
    # <s>, turn, short, </s> around no text at all
    assert shipped.tokens("") == 4


def test_tokens_never_exceed_the_limit(shipped: Predictor) -> None:
    assert shipped.tokens("word " * 5000) == shipped.max_tokens == 512


def test_tokens_refuses_what_predict_refuses(shipped: Predictor) -> None:
    with pytest.raises(InvalidInputError, match="NoneType"):
        shipped.tokens(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["torch_folder", "onnx_folder", "fp32_folder"])
def test_every_kind_handles_odd_batches(trained: SimpleNamespace, kind: str) -> None:
    folder: Path = getattr(trained, kind)
    predictor = load_predictor(folder)
    values = predictor.predict(TEXTS).values
    assert values.shape == (len(TEXTS), 4)
    assert predictor.predict([]).values.shape == (0, 4)
    alone = np.vstack([predictor.predict([text]).values for text in TEXTS])
    assert np.abs(values - alone).max() < 1e-5


def test_a_predictor_says_what_it_is(trained: SimpleNamespace) -> None:
    predictor = load_predictor(trained.onnx_folder)
    assert repr(predictor) == "Predictor('tiny', kind='onnx')"
    assert predictor.metrics == {}


def test_a_reading_names_the_flags_that_are_set(shipped: Predictor) -> None:
    assert shipped.read("see https://example.org/a.py").signals == ("file", "url", "short")
    assert shipped.read("ok", turn=7).signals == ("turn 7", "short")


class _EndIsNoise:
    """An engine that finds the last `n_noise` tokens of a text of more than that irrelevant."""

    def __init__(self, n_noise: int) -> None:
        self.n_noise = n_noise
        self.rows: list[list[int]] = []

    def outputs(self, rows: Sequence[Sequence[int]]) -> Outputs:
        filled = Outputs.empty(len(rows))
        for index, row in enumerate(rows):
            self.rows.append(list(row))
            noise = np.zeros(len(row))
            noise[-1 - self.n_noise : -1] = 1.0
            filled.noise[index] = noise
        return filled


def test_what_is_scored_has_the_flags_of_what_is_kept() -> None:
    noise = "urgent error , use gpt.py now"
    text = f"look at these lines of mine\nimport numpy\nand tell me what they are for\n{noise}"
    tokenizer = tiny_tokenizer([text])
    engine = _EndIsNoise(len(tokenizer.tokenizer.encode(noise).ids))
    reading = Predictor(load_predictor().manifest, tokenizer, engine).read(text)
    assert reading.ignored == (noise,)
    # `error` and `file` go with the noise; `code` is seen by its line break, which is gone by then
    assert reading.signals == ("code",)
    kept = "look at these lines of mine import numpy and tell me what they are for"
    assert engine.rows[1] == tokenizer.ids(kept, ("<turn:1>", "<code>"))
