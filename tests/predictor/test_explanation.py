from __future__ import annotations

import numpy as np
import pytest

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import InvalidInputError
from hydra_nb.predictor import Predictor
from hydra_nb.predictor.explanation import MOST_UNITS, without

PROMPTS = (
    "Why does this test hang only on CI? It passes on my laptop every time.",
    "Write a class in Kotlin that parses ISO dates and rejects leap seconds, with unit tests.",
    "Book a table for four on Friday and put it into my calendar.",
    "Prove that the square root of two is irrational.",
    "Ich bekomme einen KeyError in dieser Zeile: `x = d['preis']`. Was ist falsch?",
    "What is the capital of Mongolia?",
    "Refactor the login module in our repository and make sure the tests still pass.",
    "この関数のメモリリークの原因を調べて、修正してください。",
    "Explain the difference between TCP and UDP in two sentences.",
    "Plan the migration of our billing database to another region without downtime.",
)


def test_a_contribution_is_what_the_score_loses_without_the_word(shipped: Predictor) -> None:
    explained = shipped.explain(PROMPTS[0])
    full = shipped.predict([PROMPTS[0]]).values[0]
    for index in (0, 4, len(explained.words) - 1):
        rest = shipped.predict([explained.without([index])]).values[0]
        assert np.allclose(explained.contributions[index], full - rest)


def test_removing_the_top_words_moves_the_score_the_right_way(shipped: Predictor) -> None:
    right = []  # of words together; of one alone it holds by definition
    for text in PROMPTS:
        explained = shipped.explain(text)
        for k, _ in enumerate(DIMENSIONS):
            column = explained.contributions[:, k]
            for sign in (1, -1):
                top = [i for i in np.argsort(-sign * column)[:3] if sign * column[i] > 0.02]
                if len(top) > 1:
                    rest = shipped.predict([explained.without(top)]).values[0, k]
                    right.append(sign * (explained.requirements.values[0, k] - rest) > 0)
    assert len(right) >= 15
    assert np.mean(right) >= 0.9


def test_the_whole_prompt_scores_as_predicted_though_its_lines_set_a_signal(
    shipped: Predictor,
) -> None:
    text = "What does this print?\n\n    def f(x):\n        return x\n\nimport os\n$ ls"
    explained = shipped.explain(text)
    assert {"code", "shell"} <= set(shipped.read(text).signals)
    assert np.array_equal(explained.requirements.values, shipped.predict([text]).values)
    flat = " ".join(text.split())
    assert not np.array_equal(shipped.predict([flat]).values, explained.requirements.values)


def test_words_and_contributions_go_together(shipped: Predictor) -> None:
    explained = shipped.explain("Fix  this\n bug")
    assert explained.words == ("Fix", "this", "bug")
    assert explained.contributions.shape == (3, 4)
    assert len(explained.top("debugging", 2)) == 2


def test_a_long_prompt_is_explained_in_runs_of_words(shipped: Predictor) -> None:
    explained = shipped.explain("word " * 200)
    assert len(explained.words) == MOST_UNITS
    assert "".join(explained.words).replace(" ", "") == "word" * 200


@pytest.mark.parametrize("text", ["", "   ", "\u200b"])
def test_nothing_has_no_words(shipped: Predictor, text: str) -> None:
    assert shipped.explain(text).words == ()


def test_an_unknown_dimension_is_refused(shipped: Predictor) -> None:
    with pytest.raises(InvalidInputError, match="unknown dimension 'speed'"):
        shipped.explain("hello").top("speed")


def test_what_predict_refuses_is_refused(shipped: Predictor) -> None:
    with pytest.raises(InvalidInputError, match="NoneType"):
        shipped.explain(None)  # type: ignore[arg-type]


def test_text_without_spans_has_single_spaces() -> None:
    assert without("a bb  ccc d", [(2, 4)]) == "a ccc d"
