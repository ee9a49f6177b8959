from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hydra_nb as hy
from hydra_nb.workload import Workload
from tests.strategies import catalogs, profile, taus

SCORES = {"reasoning": 0.5, "code_generation": 0.25, "debugging": 0.0, "tool_use": 1.0}
POOL = hy.Catalog(
    (profile("small", (0.3,) * 4, usd_per_mtok_input=0.1), profile("big", (0.9,) * 4))
)


class Stub:
    """Reasoning is the length of the text in hundredths; remembers what it was asked."""

    def __init__(self, *, extras: bool = False) -> None:
        self.asked: list[str] = []
        self.extras = extras

    def predict(self, texts: Sequence[str], turns: Sequence[int] | None = None) -> hy.Requirements:
        self.asked += texts
        values = np.array([[len(text) / 100, 0.25, 0.5, 0.75] for text in texts])
        if not self.extras:
            return hy.Requirements(values)
        return hy.Requirements(
            values, spread=np.full_like(values, 0.125), out_of_domain=values[:, 0] > 0.05
        )


class Refusing:
    def predict(self, texts: Sequence[str], turns: Sequence[int] | None = None) -> hy.Requirements:
        raise AssertionError("nothing may be scored")


def scored(n: int = 3, **fields: Any) -> Workload:
    """Return a small workload whose rows all differ."""
    defaults: dict[str, Any] = {
        "tokens_input": np.arange(1, n + 1) * 10,
        "tokens_output": np.arange(1, n + 1) * 100,
        "arrivals": np.arange(1, n + 1),
        "texts": [f"prompt {i}" for i in range(n)],
        "labels": [f"team {i % 2}" for i in range(n)],
    }
    needs = hy.Requirements(np.arange(4 * n).reshape(n, 4) / (4 * n))
    return Workload(needs, **{**defaults, **fields})


def jsonl(path: Path, *rows: Any) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def load(path: Path, **options: Any) -> Workload:
    return Workload.load(path, **{"predictor": Refusing(), "progress": False, **options})


def of_frame(df: pd.DataFrame, **options: Any) -> Workload:
    return Workload.from_frame(df, **{"predictor": Refusing(), "progress": False, **options})


def refused(match: str) -> Any:
    return pytest.raises(hy.InvalidInputError, match=match)


# -- values ----------------------------------------------------------------------------------------


def test_importing_loads_nothing_heavy() -> None:
    heavy = ("torch", "onnxruntime", "pandas", "pulp", "pyarrow")
    code = (
        "import sys; from hydra_nb.workload import Workload; Workload.sample('office');"
        f"print(*[m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_one_number_counts_for_every_prompt() -> None:
    assert scored(arrivals=7).arrivals.tolist() == [7, 7, 7]


def test_requests_is_the_sum_of_the_arrivals() -> None:
    assert scored(4).requests == 1 + 2 + 3 + 4


def test_length_is_the_number_of_prompts() -> None:
    assert len(scored(4)) == 4


def test_arrays_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        scored().arrivals[0] = 5


def test_an_array_of_the_caller_stays_writable() -> None:
    given_arrivals = np.array([1, 2, 3])
    scored(arrivals=given_arrivals)
    given_arrivals[0] = 9
    assert given_arrivals[0] == 9


def test_text_is_what_a_prompt_needs_the_model_to_read_by_default() -> None:
    assert scored().modalities == (frozenset({"text"}),) * 3


def test_ids_count_from_one_by_default() -> None:
    assert scored().ids == ("1", "2", "3")


def test_labels_are_none_where_no_prompt_has_one() -> None:
    assert scored(labels=[None, "", None]).labels is None


def test_an_empty_text_is_no_text() -> None:
    assert scored(texts=["", None, "x"]).texts == (None, None, "x")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"arrivals": [1, 0, 1]}, r"workload, row 1, arrivals: .* from 1 .*received 0$"),
        ({"arrivals": [1, 2.5, 1]}, r"row 1, arrivals: .*give whole numbers, e.g. per month.*2.5"),
        ({"arrivals": np.array([1, 1, -3])}, r"row 2, arrivals: .*received -3"),
        ({"arrivals": [1, True, 1]}, r"row 1, arrivals: .*received True"),
        ({"arrivals": [1, 10**400, 1]}, r"row 1, arrivals: .*received 1000"),
        ({"arrivals": [1, None, 1]}, r"row 1, arrivals: .*received None"),
        ({"tokens_input": -1}, r"row 0, tokens_input: .*received -1"),
        ({"tokens_output": [1.0, float("nan"), 1.0]}, r"row 1, tokens_output: .*received nan"),
        ({"tokens_input": [1, 2]}, "tokens_input has 2 entries, but there are 3 prompts"),
        ({"tokens_input": "12"}, "tokens_input must have one entry a prompt; received '12'"),
        ({"texts": ["a", 5, "c"]}, r"row 1, texts: must be text \(str\); received 5"),
        ({"ids": ["a", "", "c"]}, r"row 1, ids: must not be empty; received ''"),
        ({"modalities": [["text"], ["smell"], ["text"]]}, r"row 1, modalities: .*\['smell'\]"),
        ({"modalities": [["text"], [], ["text"]]}, r"row 1, modalities: .*received \[\]"),
        ({"period": " "}, "period must be printable text, not empty; received ' '"),
    ],
)
def test_a_field_that_breaks_a_rule_is_named(fields: dict[str, Any], message: str) -> None:
    with refused(message):
        scored(**fields)


def test_two_workloads_of_the_same_values_are_equal() -> None:
    assert scored() == scored()


@pytest.mark.parametrize(
    "other",
    [
        {"arrivals": 9},
        {"texts": None},
        {"labels": None},
        {"ids": ["a", "b", "c"]},
        {"period": "day"},
        {"modalities": [["text", "image"]] * 3},
    ],
)
def test_a_workload_with_another_field_is_another(other: dict[str, Any]) -> None:
    assert scored() != scored(**other)


def test_the_name_does_not_make_another_workload() -> None:
    assert scored(name="a") == scored(name="b")


def test_the_repr_says_how_much_it_is() -> None:
    # 10·1 + 20·2 tokens in, 100·1 + 200·2 out
    assert repr(scored(2, name="w")) == (
        "Workload('w', 2 prompts, 3 requests per month, 50 input and 500 output tokens)"
    )


def test_the_html_escapes_texts_and_names() -> None:
    shown = scored(texts=["<b>", None, "c"], name="<i>")._repr_html_()
    assert [tag for tag in ("<b>", "<i>") if tag in shown] == []


def test_the_html_says_how_many_rows_are_left_out() -> None:
    assert "and 4 more" in scored(9)._repr_html_()


# -- problem ---------------------------------------------------------------------------------------


def test_the_problem_is_that_of_formulate() -> None:
    w = scored(modalities=[["text"], ["text", "image"], ["text"]])
    mine = w.problem(POOL, tau=0.3, dimension_weights={"reasoning": 2.0})
    theirs = hy.formulate(
        w.requirements,
        POOL,
        tau=0.3,
        dimension_weights={"reasoning": 2.0},
        tokens_input=[10, 20, 30],
        tokens_output=[100, 200, 300],
        arrivals=[1, 2, 3],
        modalities=[["text"], ["text", "image"], ["text"]],
    )
    assert mine.modalities == theirs.modalities
    for name in ("tau", "tokens_input", "tokens_output", "arrivals", "cost_micro_usd", "eligible"):
        assert np.array_equal(getattr(mine, name), getattr(theirs, name)), name


def test_what_every_prompt_needs_reaches_the_problem() -> None:
    both = frozenset({"text", "image"})
    assert scored(modalities=[both] * 3).problem(POOL).modalities == (both,) * 3


def test_a_workload_without_prompts_has_a_problem_without_queries() -> None:
    assert scored().head(0).problem(POOL).cost_micro_usd.shape == (0, 2)


# -- rows, head, draw ------------------------------------------------------------------------------


def test_rows_come_in_the_order_asked_for() -> None:
    some = scored(labels=None).rows([2, 0])
    assert (some.ids, some.texts, some.arrivals.tolist()) == (
        ("3", "1"),
        ("prompt 2", "prompt 0"),
        [3, 1],
    )


def test_rows_may_be_given_as_a_mask() -> None:
    assert scored().rows([True, False, True]).ids == ("1", "3")


def test_rows_keep_spread_and_domain() -> None:
    w = Workload.of_texts(["one", "three two"], Stub(extras=True), progress=False).rows([1])
    assert w.requirements.out_of_domain is not None
    assert w.requirements.out_of_domain.tolist() == [True]


def test_no_rows_are_a_workload_without_prompts() -> None:
    assert len(scored().rows([])) == 0


def test_head_gives_the_first() -> None:
    assert scored(9).head(2).ids == ("1", "2")


def test_equal_seeds_draw_equal_requests() -> None:
    assert scored(9).draw(50, seed=3) == scored(9).draw(50, seed=3)


def test_other_seeds_draw_other_requests() -> None:
    assert scored(9).draw(50, seed=3) != scored(9).draw(50, seed=4)


def test_each_drawn_row_is_one_request() -> None:
    assert scored().draw(20, seed=0).arrivals.tolist() == [1] * 20


def test_requests_are_drawn_in_proportion_to_arrivals() -> None:
    n, arrivals = 20_000, np.array([1, 3, 6])
    drawn = Counter(scored(arrivals=arrivals).draw(n, seed=0).ids)
    expected = n * arrivals / arrivals.sum()
    # five standard deviations of a binomial count
    within = 5 * np.sqrt(expected * (1 - arrivals / arrivals.sum()))
    assert (np.abs([drawn[i] for i in ("1", "2", "3")] - expected) < within).all()


@pytest.mark.parametrize("n", [0, -1, 2.0, True, "3"])
def test_a_draw_of_no_whole_number_is_refused(n: Any) -> None:
    with refused("n must be a whole number of requests ≥ 1; received"):
        scored().draw(n, seed=0)


def test_nothing_can_be_drawn_from_nothing() -> None:
    with refused("has no prompts to draw from"):
        scored().head(0).draw(1, seed=0)


# -- merged ----------------------------------------------------------------------------------------

twins = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.5, 1.0]),
        st.sampled_from([0, 5]),
        st.sampled_from([10, 20]),
        st.sampled_from([("text",), ("text", "image")]),
        st.integers(1, 9),
        st.sampled_from([None, "a", "b"]),
    ),
    min_size=1,
    max_size=12,
)


def workload_of(rows: Sequence[Any]) -> Workload:
    scores, tokens_in, tokens_out, modalities, arrivals, labels = zip(*rows, strict=True)
    return Workload(
        hy.Requirements([[score, 0.0, score / 2, 0.5] for score in scores]),
        tokens_input=tokens_in,
        tokens_output=tokens_out,
        modalities=modalities,
        arrivals=arrivals,
        labels=labels,
    )


@given(twins)
def test_merging_sums_the_arrivals_of_equal_rows_and_of_no_others(rows: list[Any]) -> None:
    expected: dict[Any, int] = {}
    for *key, arrivals, _ in rows:
        expected[tuple(key)] = expected.get(tuple(key), 0) + arrivals
    merged = workload_of(rows).merged()
    found = zip(
        merged.requirements.values[:, 0].tolist(),
        merged.tokens_input.tolist(),
        merged.tokens_output.tolist(),
        merged.modalities,
        strict=True,
    )
    keys = [(score, i, o, frozenset(need)) for score, i, o, need in expected]
    assert list(zip(found, merged.arrivals.tolist(), strict=True)) == list(
        zip(keys, expected.values(), strict=True)
    )


@given(twins, catalogs(), taus)
def test_merging_changes_no_total(rows: list[Any], catalog: hy.Catalog, tau: float) -> None:
    def totals(w: Workload) -> Counter[tuple[int, float]]:
        problem = w.problem(catalog, tau=tau)
        chosen = hy.match(
            w.requirements,
            catalog,
            tau=tau,
            tokens_input=w.tokens_input,
            tokens_output=w.tokens_output,
            modalities=w.modalities,
        ).chosen
        total: Counter[tuple[int, float]] = Counter()
        for row, model in enumerate(chosen.tolist()):
            cost = problem.cost_micro_usd[row, model] if model >= 0 else 0.0
            total[(model, float(cost))] += int(problem.arrivals[row])
        return total

    w = workload_of(rows)
    assert totals(w.merged()) == totals(w)


@given(twins)
def test_a_merged_row_has_a_label_where_all_its_rows_agree(rows: list[Any]) -> None:
    labels: dict[Any, set[Any]] = {}
    for *key, _, label in rows:
        labels.setdefault(tuple(key), set()).add(label)
    expected = [next(iter(each)) if len(each) == 1 else None for each in labels.values()]
    merged = workload_of(rows).merged()
    assert list(merged.labels or (None,) * len(merged)) == expected


def test_zero_with_a_sign_is_the_same_zero() -> None:
    w = Workload(hy.Requirements([[0.0] * 4, [-0.0] * 4]), 5)
    assert w.merged().arrivals.tolist() == [2]


def test_a_merged_row_has_the_widest_spread() -> None:
    needs = hy.Requirements([[0.5] * 4] * 2, spread=[[0.1, 0.2, 0, 0], [0.2, 0.1, 0, 0]])
    merged = Workload(needs, 5).merged().requirements
    assert merged.spread is not None
    assert merged.spread.tolist() == [[0.2, 0.2, 0, 0]]


def test_a_merged_row_is_out_of_domain_where_one_is() -> None:
    needs = hy.Requirements([[0.5] * 4] * 2, out_of_domain=[False, True])
    merged = Workload(needs, 5).merged().requirements
    assert merged.out_of_domain is not None
    assert merged.out_of_domain.tolist() == [True]


def test_a_sum_beyond_what_a_row_may_have_is_refused() -> None:
    with refused("arrivals of merged rows must be at most 1,000,000,000; received 1,000,000,001"):
        Workload(hy.Requirements([[0.5] * 4] * 2), 5, arrivals=[10**9, 1]).merged()


def test_merging_nothing_gives_nothing() -> None:
    assert len(scored().head(0).merged()) == 0


# -- of texts --------------------------------------------------------------------------------------


def test_texts_are_scored_by_the_predictor() -> None:
    w = Workload.of_texts(["four", "seven 7"], Stub(), progress=False)
    assert w.requirements == hy.Requirements([[0.04, 0.25, 0.5, 0.75], [0.07, 0.25, 0.5, 0.75]])


def test_the_default_predictor_is_that_of_routing() -> None:
    texts = ["Fix this bug", "thanks!"]
    expected = hy.routing.default_predictor().predict(texts)
    assert Workload.of_texts(texts, progress=False).requirements == expected


def test_equal_texts_are_scored_once() -> None:
    stub = Stub()
    Workload.of_texts(["a", "b", "a"], stub, progress=False)
    assert sorted(stub.asked) == ["a", "b"]


def test_input_tokens_are_estimated_from_texts() -> None:
    w = Workload.of_texts(["abcdefghi", "é" * 6], Stub(), progress=False)
    assert w.tokens_input.tolist() == [3, 3]  # 9 and 12 bytes at 4 a token, rounded up


def test_spread_and_domain_of_the_predictor_are_kept() -> None:
    w = Workload.of_texts(["a", "long text"], Stub(extras=True), progress=False)
    expected = hy.Requirements(
        [[0.01, 0.25, 0.5, 0.75], [0.09, 0.25, 0.5, 0.75]],
        spread=np.full((2, 4), 0.125),
        out_of_domain=[False, True],
    )
    assert w.requirements == expected


def test_what_a_text_has_may_be_given_for_each() -> None:
    w = Workload.of_texts(
        ["a", "b"], Stub(), tokens_output=[1, 2], arrivals=[3, 4], labels=["x", None],
        period="day", progress=False,
    )  # fmt: skip
    assert (w.tokens_output.tolist(), w.arrivals.tolist(), w.labels, w.period) == (
        [1, 2],
        [3, 4],
        ("x", None),
        "day",
    )


def test_a_cache_spares_scoring(tmp_path: Path) -> None:
    stub = Stub()
    for texts in (["a"], ["a", "b"]):
        Workload.of_texts(
            texts, stub, progress=False, cache=tmp_path / "scores.db", cache_key="stub"
        )
    assert stub.asked == ["a", "b"]


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ("one text", {}, "texts must be a list of texts; received 'one text'"),
        ([], {}, "texts is empty"),
        (["a", 7], {}, r"texts\[1\], text: must be text \(str\); received 7"),
        (["a", float("nan")], {}, r"texts\[1\], text: must be text \(str\); received nan"),
        (["a", "  \n"], {}, r"texts\[1\], text: has neither text nor the four scores"),
        (["a", None], {}, r"texts\[1\], text: has neither text nor the four scores"),
        (["a", "b"], {"arrivals": [1, 0]}, r"texts\[1\], arrivals: .*received 0"),
        (["a"], {"tokens_output": -4}, r"texts\[0\], tokens_output: .*received -4"),
        (["a"], {"labels": ["x", "y"]}, "label has 2 entries, but there are 1 prompts"),
    ],
)
def test_bad_texts_are_refused_before_anything_is_scored(
    texts: Any, options: dict[str, Any], message: str
) -> None:
    with refused(message):
        Workload.of_texts(texts, Refusing(), progress=False, **options)


def test_a_predictor_that_cannot_predict_is_refused() -> None:
    with refused("predictor must have a method predict"):
        Workload.of_texts(["a"], object(), progress=False)  # type: ignore[arg-type]


# -- reading files ---------------------------------------------------------------------------------


def test_a_line_with_scores_and_tokens_needs_no_text(tmp_path: Path) -> None:
    w = load(jsonl(tmp_path / "w.jsonl", {**SCORES, "tokens_input": 12}))
    assert w == Workload(hy.Requirements([[0.5, 0.25, 0.0, 1.0]]), 12)


def test_only_rows_without_scores_are_scored(tmp_path: Path) -> None:
    path, stub = jsonl(tmp_path / "w.jsonl", {"text": "abc"}, {"text": "de", **SCORES}), Stub()
    w = load(path, predictor=stub)
    assert stub.asked == ["abc"]
    assert w.requirements.values.tolist() == [[0.03, 0.25, 0.5, 0.75], [0.5, 0.25, 0.0, 1.0]]


def test_spread_is_dropped_where_some_rows_have_none(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "w.jsonl", {"text": "abc"}, {"text": "de", **SCORES})
    assert load(path, predictor=Stub(extras=True)).requirements.spread is None


def test_the_file_gives_the_name(tmp_path: Path) -> None:
    assert load(jsonl(tmp_path / "june.jsonl", {**SCORES, "tokens_input": 1})).name == "june"


def test_input_tokens_are_estimated_only_where_they_are_missing(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "w.jsonl", {"text": "abcde", **SCORES, "tokens_input": 99},
        {"text": "abcde", **SCORES},
    )  # fmt: skip
    assert load(path).tokens_input.tolist() == [99, 2]


def test_a_json_row_may_leave_out_arrivals_and_output_tokens(tmp_path: Path) -> None:
    row = {"text": "a", **SCORES}
    path = jsonl(tmp_path / "w.jsonl", {**row, "arrivals": 5, "tokens_output": 7}, row)
    w = load(path, tokens_output=40)
    assert (w.arrivals.tolist(), w.tokens_output.tolist()) == ([5, 1], [7, 40])


def test_kind_is_another_word_for_label(tmp_path: Path) -> None:
    assert load(jsonl(tmp_path / "w.jsonl", {"text": "a", **SCORES, "kind": "x"})).labels == ("x",)


def test_label_goes_before_kind(tmp_path: Path) -> None:
    row = {"text": "a", **SCORES, "kind": "x", "label": "y"}
    assert load(jsonl(tmp_path / "w.jsonl", row)).labels == ("y",)


def test_whole_numbers_may_be_ids_and_labels(tmp_path: Path) -> None:
    w = load(jsonl(tmp_path / "w.jsonl", {"text": "a", **SCORES, "id": 7, "label": 3}))
    assert (w.ids, w.labels) == (("7",), ("3",))


@pytest.mark.parametrize("given_as", [["text", "image"], "text+image", "image + text"])
def test_modalities_are_a_list_or_joined_by_plus(tmp_path: Path, given_as: Any) -> None:
    path = jsonl(tmp_path / "w.jsonl", {"text": "a", **SCORES, "modalities": given_as})
    assert load(path).modalities == (frozenset({"text", "image"}),)


def test_other_columns_are_passed_over(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "w.jsonl", {"text": "a", **SCORES, "language": "en", "uid": [1, {}]})
    assert len(load(path)) == 1


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "w.jsonl"
    row = json.dumps({"text": "a", **SCORES})
    path.write_bytes(f"\ufeff\n{row}\r\n\n  \n{row}\n".encode())
    assert len(load(path)) == 2


def test_a_json_file_is_a_list(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_text(json.dumps([{"text": "a", **SCORES}] * 3), encoding="utf-8")
    assert len(load(path)) == 3


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables_come_with_commas_semicolons_or_tabs(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "w.csv"
    names = ["text", *SCORES, "arrivals"]
    cells = ["a", *map(str, SCORES.values()), "12"]
    path.write_text(f"{delimiter.join(names)}\n{delimiter.join(cells)}\n", encoding="utf-8")
    assert load(path).arrivals.tolist() == [12]


def test_a_table_keeps_ids_and_texts_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_text(
        'id,text,reasoning,code_generation,debugging,tool_use\n007," NA, or\nnan",0,0,0,0\n',
        encoding="utf-8",
    )
    w = load(path)
    assert (w.ids, w.texts) == (("007",), (" NA, or\nnan",))


def test_a_very_long_text_fits_into_a_table(tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_text(f"text\n{'x' * 200_000}\n", encoding="utf-8")
    w = load(path, predictor=ShortStub())
    assert w.tokens_input.tolist() == [50_000]


class ShortStub:
    def predict(self, texts: Sequence[str], turns: Sequence[int] | None = None) -> hy.Requirements:
        return hy.Requirements(np.zeros((len(texts), 4)))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (['{"text": "a"', "{}"], r"line 1, column 13: is no JSON: .*received ''"),
        ([{"text": "a", **SCORES}, "[1]"], r"line 2: must be an object; received \[1\]"),
        ([{"text": "a", **SCORES}, "", "nope"], r"line 3, column 1: is no JSON: .*'nope'"),
        (["[" * 100_000], "line 1"),
        ([{"text": 5}], r"line 1, text: must be text \(str\); received 5"),
        ([{"text": ["a"]}], r"line 1, text: must be text \(str\); received \['a'\]"),
        ([{"text": ""}], "line 1, text: has neither text nor the four scores"),
        ([{"text": " \t"}], "line 1, text: has neither text nor the four scores"),
        ([{"text": "a"}, {"id": "x"}], "line 2, text: has neither text nor the four scores"),
        ([{"text": "a", "reasoning": 0.5}],
         "line 1: has reasoning but lacks code_generation, debugging, tool_use; give all four"),
        ([{**SCORES}], "line 1: tokens_input is required where there is no text"),
        ([{**SCORES, "text": "a", "debugging": float("nan")}],
         r"line 1, debugging: must be a number in \[0, 1\]; received nan"),
        ([{**SCORES, "text": "a", "tool_use": float("inf")}], r"tool_use: .*received inf"),
        ([{**SCORES, "text": "a", "reasoning": 1.5}], r"line 1, reasoning: .*received 1.5"),
        ([{**SCORES, "text": "a", "reasoning": "0.5"}], r"line 1, reasoning: .*received '0.5'"),
        ([{**SCORES, "text": "a", "reasoning": True}], r"line 1, reasoning: .*received True"),
        ([{"text": "a", "arrivals": 0}], r"line 1, arrivals: .*received 0"),
        ([{"text": "a"}, {"text": "b", "arrivals": 0.5}],
         r"line 2, arrivals: must be a whole number of requests from 1 to 1,000,000,000 \(give "
         r"whole numbers, e.g. per month\); received 0.5"),
        ([{"text": "a", "arrivals": -2}], r"line 1, arrivals: .*received -2"),
        ([{"text": "a", "arrivals": float("nan")}], r"line 1, arrivals: .*received nan"),
        ([{"text": "a", "tokens_input": -1}], r"line 1, tokens_input: .*received -1"),
        ([{"text": "a", "tokens_output": -1}], r"line 1, tokens_output: .*received -1"),
        ([{"text": "a", "modalities": "text+smell"}], r"line 1, modalities: .*'text\+smell'"),
        ([{"text": "a", "id": 1.5}], r"line 1, id: must be text or a whole number; received 1.5"),
        ([{"text": "a", "period": "day"}, {"text": "b", "period": "month"}],
         "line 2, period: must be the same in all rows, as 'day' before it; received 'month'"),
        ([{"text": "a", **SCORES, **{f"{k}_spread": 0 for k in SCORES}, "tool_use_spread": 2}],
         r"line 1, tool_use_spread: .*received 2"),
        ([{"text": "a", "out_of_domain": 1}], r"line 1, out_of_domain: must be true or false"),
        ([{"prompt": "a", "x": 1}], "needs a column 'text', or the four scores .*'prompt', 'x'"),
        ([], "has no rows"),
        (["", "  "], "has no rows"),
    ],
)  # fmt: skip
def test_a_bad_line_is_refused_before_anything_is_scored(
    tmp_path: Path, rows: list[Any], message: str
) -> None:
    path = jsonl(tmp_path / "w.jsonl", *rows)
    with refused(f"^{re.escape(str(path))}.*{message}"):
        load(path)


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("reasonning", "reasoning"),
        ("Text", "text"),
        ("arrival", "arrivals"),
        ("arrivals_per_day", "arrivals"),
        ("output_tokens", "tokens_output"),
        ("token_input", "tokens_input"),
        ("code generation", "code_generation"),
        ("labels", "label"),
    ],
)
def test_a_column_that_looks_like_a_slip_is_refused(tmp_path: Path, slip: str, meant: str) -> None:
    row = {"text": "a", **SCORES, "tokens_input": 1, "tokens_output": 1, "arrivals": 1, "label": ""}
    del row[meant]
    with refused(f"unknown column '{slip}'; did you mean '{meant}'"):
        load(jsonl(tmp_path / "w.jsonl", {**row, slip: 1}))


def test_a_column_like_one_that_is_there_is_passed_over(tmp_path: Path) -> None:
    row = {"text": "a", **SCORES, "arrivals": 30, "arrivals_per_day": 1}
    assert load(jsonl(tmp_path / "w.jsonl", row)).requests == 30


HEADER = "text,reasoning,code_generation,debugging,tool_use,arrivals"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEADER}\na,0,0,0,0,1\na,0,0,0,0,0.5\n", r"row 3, arrivals: .*received 0.5"),
        (f"{HEADER}\na,0,0,0,0,1\n\n\nb,0,0,0,0,0\n", r"row 5, arrivals: .*received 0"),
        (f'{HEADER}\n"a\nb",0,0,0,0,1\nb,0,0,2,0,1\n', r"row 3, debugging: .*received 2"),
        (f"{HEADER}\na,0,0,0,x,1\n", r"row 2, tool_use: must be a number .*received 'x'"),
        (f"{HEADER}\na,0,0,0,nan,1\n", r"row 2, tool_use: .*received nan"),
        (f"{HEADER}\na,0,0,0,0,1_000\n", r"row 2, arrivals: .*received '1_000'"),
        (f"{HEADER}\na,0,0,0,0,\n", r"row 2, arrivals: .*fill it, or leave out the column"),
        (f"{HEADER}\na,0,0,,0,1\n", "row 2: has reasoning, code_generation, tool_use but lacks"),
        (f"{HEADER}\n,,,,,3\n", "row 2, text: has neither text nor the four scores"),
        (f"{HEADER}\nhello, you,0,0,0,0,1\n", "row 2: has 7 cells, the header has 6"),
        (f"{HEADER}\na,0,0\n", "row 2: has 3 cells, the header has 6"),
        (f'{HEADER}\n"a,0,0,0,0,1\n', "line 2: is no CSV"),
        ("text,text\na,b\n", "has 2 columns 'text'"),
        (f"{HEADER}\n", "has no rows"),
        ("", "has no rows"),
    ],
)
def test_a_bad_table_is_refused_by_the_row_that_a_spreadsheet_shows(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "w.csv"
    path.write_text(text, encoding="utf-8")
    with refused(f"^{re.escape(str(path))}.*{message}"):
        load(path)


def test_what_is_not_utf8_is_refused_by_line_and_byte(tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_bytes("\ufefftext\nok\n".encode() + "é\n".encode("latin-1"))
    with refused("line 3: must be UTF-8; received the byte 0xe9"):
        load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with refused(r"gone\.csv: there is no such file"):
        load(tmp_path / "gone.csv")


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with refused(r"must be one of \.csv, \.jsonl, \.ndjson, \.json, \.parquet; received '\.xlsx'"):
        load(tmp_path / "w.xlsx")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "w.csv").mkdir()
    with refused("must be a file, and is none"):
        load(tmp_path / "w.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"text": "a"}', "must hold a list of objects; received dict"),
        ('[{"text": "a"}, 3]', "entry 2: must be an object; received 3"),
        ('[{"text": "a"},\n {"text": "b", "arrivals": 0}]', "entry 2, arrivals: .*received 0"),
        ('[{"text": "a"},\n nope]', "line 2, column 2: is no JSON"),
        ("[]", "has no rows"),
    ],
)
def test_a_bad_list_is_refused_by_entry(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "w.json"
    path.write_text(text, encoding="utf-8")
    with refused(message):
        load(path)


def test_a_period_of_the_file_is_kept(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "w.jsonl", {"text": "a", **SCORES, "period": "day"})
    assert load(path).period == "day"


@pytest.mark.parametrize(
    ("row", "options", "message"),
    [
        ({"period": "a\nb"}, {}, r"w\.jsonl, period must be printable text.*'a\\nb'"),
        ({}, {"period": 5}, "^period must be printable text.*received 5"),
        ({}, {"name": ""}, "^name must be printable text.*received ''"),
        ({}, {"tokens_output": 1.5}, "^tokens_output must be a whole number of tokens"),
    ],
)
def test_bad_options_are_refused_before_anything_is_scored(
    tmp_path: Path, row: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    path = jsonl(tmp_path / "w.jsonl", {"text": "a", **row})
    with refused(message):
        load(path, **options)


def test_a_quoted_semicolon_separates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_text('text;arrivals\n"a;b, c";3\n', encoding="utf-8")
    assert load(path, predictor=Stub()).texts == ("a;b, c",)


def test_a_period_other_than_that_of_the_file_is_refused(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "w.jsonl", {"text": "a", **SCORES, "period": "day"})
    with refused("arrivals are those of a 'day', .*received period='month'"):
        load(path, period="month")


# -- Parquet ---------------------------------------------------------------------------------------


def test_a_null_in_parquet_is_no_value(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    columns: dict[str, list[Any]] = {k: [None, v] for k, v in SCORES.items()}
    pd.DataFrame({"text": ["a", None], **columns, "tokens_input": [None, 9]}).to_parquet(
        tmp_path / "w.parquet"
    )
    w = load(tmp_path / "w.parquet", predictor=Stub())
    assert w.tokens_input.tolist() == [1, 9]


def test_a_bad_row_of_parquet_is_counted_from_one(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    pd.DataFrame({"text": ["a", "b"], "arrivals": [1, 0]}).to_parquet(tmp_path / "w.parquet")
    with refused("row 2, arrivals: .*received 0"):
        load(tmp_path / "w.parquet")


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "w.parquet").write_bytes(b"PAR1 not really")
    with refused(r"w\.parquet: cannot be read"):
        load(tmp_path / "w.parquet")


# -- frames ----------------------------------------------------------------------------------------


def test_a_frame_gives_its_workload_back() -> None:
    w = scored(modalities=[["text"], ["text", "image"], ["pdf"]])
    assert of_frame(w.to_frame()) == w


def test_a_frame_with_the_scores_of_score_frame_is_a_workload() -> None:
    df = pd.DataFrame({"text": ["a", "long text"]})
    joined = df.join(hy.score_frame(df, "text", predictor=Stub(extras=True), progress=False))
    expected = Workload.of_texts(df["text"].tolist(), Stub(extras=True), progress=False)
    assert of_frame(joined) == expected


@pytest.mark.parametrize("dtype", [object, "str", "string", "category"])
def test_every_dtype_of_text_reads_alike(dtype: Any) -> None:
    df = pd.DataFrame({"text": pd.Series(["a", "bb"], dtype=dtype)}).assign(**SCORES)
    assert of_frame(df).texts == ("a", "bb")


@pytest.mark.parametrize("dtype", ["int8", "uint32", "Int64", "float64", object])
def test_every_dtype_of_numbers_reads_alike(dtype: Any) -> None:
    df = pd.DataFrame({"text": ["a", "b"], "arrivals": pd.Series([1, 2], dtype=dtype)})
    assert of_frame(df.assign(**SCORES)).arrivals.tolist() == [1, 2]


def test_rows_of_nan_scores_are_scored_from_text() -> None:
    df = pd.DataFrame({"text": ["a", "b"], **{k: [v, np.nan] for k, v in SCORES.items()}})
    stub = Stub()
    of_frame(df, predictor=stub)
    assert stub.asked == ["b"]


def test_the_frame_is_left_as_it_was() -> None:
    df = scored().to_frame()
    of_frame(df)
    pd.testing.assert_frame_equal(df, scored().to_frame())


@pytest.mark.parametrize(
    ("df", "message"),
    [
        ([{"text": "a"}], "df must be a pandas DataFrame; received list"),
        (pd.DataFrame({"text": []}), "df has no rows"),
        (
            pd.DataFrame({"text": ["a", "b"], "arrivals": [1, np.nan]}, index=["x", "y"]),
            r"df, row at position 1 \(index 'y'\), arrivals: .*fill it",
        ),
        (
            pd.DataFrame({"text": ["a"], **{k: [np.inf] for k in SCORES}}),
            r"position 0 .*reasoning: must be a number in \[0, 1\]; received inf",
        ),
        (
            pd.DataFrame({"text": ["a", np.nan]}),
            r"position 1 .*text: has neither text nor the four scores",
        ),
        (
            pd.DataFrame({"text": ["a", 3.5]}),
            r"position 1 .*text: must be text \(str\); received 3.5",
        ),
        (
            pd.DataFrame([["a", "b"]], columns=["text", "text"]),
            "df: has 2 columns 'text'",
        ),
    ],
)
def test_a_bad_frame_is_refused_before_anything_is_scored(df: Any, message: str) -> None:
    with refused(message):
        of_frame(df)


# -- saving ----------------------------------------------------------------------------------------

ENDINGS = [".csv", ".jsonl", ".ndjson", ".json", ".parquet"]
unit = st.floats(0, 1)
prompts = st.lists(
    st.tuples(
        st.one_of(st.none(), st.text(max_size=20)),
        st.one_of(st.none(), st.text(max_size=5)),
        st.tuples(unit, unit, unit, unit),
        st.integers(0, 10**9),
        st.integers(1, 10**9),
        st.sets(st.sampled_from(["text", "image", "audio", "video", "pdf"]), min_size=1),
        st.booleans(),
    ),
    min_size=1,
    max_size=5,
)


@pytest.mark.parametrize("ending", ENDINGS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=prompts, extras=st.booleans(), period=st.sampled_from(["month", 'a, "day"']))
def test_what_is_saved_loads_equal(
    tmp_path: Path, ending: str, rows: list[Any], extras: bool, period: str
) -> None:
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    texts, labels, values, tokens, arrivals, modalities, flags = zip(*rows, strict=True)
    needs = hy.Requirements(
        values, spread=values if extras else None, out_of_domain=flags if extras else None
    )
    w = Workload(
        needs, tokens_input=tokens, tokens_output=tokens, arrivals=arrivals, texts=texts,
        labels=labels, modalities=modalities, ids=[f"0{i}" for i in range(len(rows))],
        period=period,
    )  # fmt: skip
    w.save(tmp_path / f"w{ending}")
    assert load(tmp_path / f"w{ending}") == w


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("text", ["a\rb", "a\r\nb", '"', ",", "\x00", "\u2028", " a ", "\ufeff"])
def test_signs_with_a_meaning_in_files_survive_saving(
    tmp_path: Path, ending: str, text: str
) -> None:
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    w = scored(1, texts=[text])
    w.save(tmp_path / f"w{ending}")
    assert load(tmp_path / f"w{ending}").texts == (text,)


def test_a_lone_surrogate_survives_jsonl(tmp_path: Path) -> None:
    w = scored(texts=["a\ud800", "é", None])
    w.save(tmp_path / "w.jsonl")
    assert load(tmp_path / "w.jsonl") == w


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_lone_surrogate_is_refused_where_a_file_cannot_hold_it(
    tmp_path: Path, ending: str
) -> None:
    with refused("prompt 2, text: .*cannot hold a lone surrogate.*Save it as .jsonl"):
        scored(texts=["é", "a\ud800", None]).save(tmp_path / f"w{ending}")


@pytest.mark.parametrize("ending", ENDINGS)
def test_saving_replaces_the_file_and_leaves_nothing_beside(tmp_path: Path, ending: str) -> None:
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"w{ending}"
    scored(5).save(path)
    scored(2).save(path)
    assert (len(load(path)), list(tmp_path.iterdir())) == (2, [path])


def test_saving_into_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with refused(r"gone.*cannot be written"):
        scored().save(tmp_path / "gone" / "w.csv")


def test_saving_under_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with refused(r"the ending must be one of .*received '\.txt'"):
        scored().save(tmp_path / "w.txt")


def test_a_workload_without_prompts_is_not_saved(tmp_path: Path) -> None:
    with refused("a workload without prompts cannot be saved"):
        scored().head(0).save(tmp_path / "w.csv")


# -- samples ---------------------------------------------------------------------------------------


def test_office_is_a_sample() -> None:
    assert Workload.sample_names() == ("office",)


def test_an_unknown_sample_is_refused() -> None:
    with refused("no sample workload 'home'; there are office"):
        Workload.sample("home")


def test_office_is_loaded_without_scoring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hydra_nb.scoring.score_frame", Refusing().predict)
    assert len(Workload.sample("office")) >= 300


def test_office_has_a_text_and_a_label_for_every_prompt() -> None:
    office = Workload.sample("office")
    assert None not in (*office.texts, *(office.labels or [None]))


def test_office_has_the_input_tokens_that_are_estimated() -> None:
    office = Workload.sample("office")
    assert office.tokens_input.tolist() == [hy.estimate_tokens(text or "") for text in office.texts]


def test_office_has_scores_in_steps_of_a_twentieth() -> None:
    twentieths = Workload.sample("office").requirements.values * 20
    assert np.abs(twentieths - np.round(twentieths)).max() < 1e-9


def test_office_stands_for_a_month_of_thirty_days() -> None:
    office = Workload.sample("office")
    assert (office.period, set((office.arrivals % 30).tolist())) == ("month", {0})


def test_office_is_sorted_by_ids_that_differ() -> None:
    ids = Workload.sample("office").ids
    assert list(ids) == sorted(set(ids))


# -- synthetic -------------------------------------------------------------------------------------


def test_equal_seeds_make_up_equal_workloads() -> None:
    assert Workload.synthetic(50, seed=1) == Workload.synthetic(50, seed=1)


def test_other_seeds_make_up_other_workloads() -> None:
    assert Workload.synthetic(50, seed=1) != Workload.synthetic(50, seed=2)


def test_a_made_up_prompt_arrives_once() -> None:
    assert Workload.synthetic(50, seed=1).arrivals.tolist() == [1] * 50


def test_made_up_scores_of_a_kind_rise_together() -> None:
    w = Workload.synthetic(5_000, seed=1)
    code = np.array(w.labels) == "code"
    values = w.requirements.values[code]
    assert np.corrcoef(values[:, 0], values[:, 1])[0, 1] > 0.2


def test_made_up_tokens_are_skewed_to_the_right() -> None:
    w = Workload.synthetic(5_000, seed=1)
    assert w.tokens_input.mean() > 1.5 * np.median(w.tokens_input)


@pytest.mark.parametrize("n", [0, 2.5, True])
def test_a_made_up_workload_of_no_whole_number_is_refused(n: Any) -> None:
    with refused("n must be a whole number of prompts ≥ 1"):
        Workload.synthetic(n, seed=0)
