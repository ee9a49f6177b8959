from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

import hydra_nb as hy
from hydra_nb.scoring import sources
from hydra_nb.scoring.cache import APPLICATION_ID, FORMAT
from hydra_nb.scoring.score_rows import SPREAD

needs_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None or importlib.util.find_spec("dask") is None,
    reason="dask and distributed are not installed: pip install 'hydra-nb[dask]'",
)


def made_up_numbers(text: str, turn: int) -> list[float]:
    digest = hashlib.sha256(f"{turn} {text}".encode("utf-8", "surrogatepass")).digest()
    return [byte / 255 for byte in digest[:8]]


class Stub:
    """Scores by hash: what a text gets depends on it and its turn only."""

    def __init__(self, *, extras: bool = True, fails_after: int | None = None) -> None:
        self.extras = extras
        self.fails_after = fails_after
        self.asked: list[list[str]] = []

    def predict(self, texts: Sequence[str], turns: Sequence[int] | None = None) -> hy.Requirements:
        if self.fails_after is not None and len(self.asked) >= self.fails_after:
            raise KeyboardInterrupt
        self.asked.append(list(texts))
        pairs = zip(texts, turns if turns is not None else [1] * len(texts), strict=True)
        numbers = np.array([made_up_numbers(text, turn) for text, turn in pairs]).reshape(-1, 8)
        if not self.extras:
            return hy.Requirements(numbers[:, :4])
        return hy.Requirements(
            numbers[:, :4], spread=numbers[:, 4:], out_of_domain=numbers[:, 0] > 0.5
        )


def frame(*texts: Any, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"prompt": pd.Series(list(texts), dtype=object), **columns})


def score(df: Any, column: Any = "prompt", **options: Any) -> Any:
    return hy.score_frame(df, column, **{"predictor": Stub(), "progress": False, **options})


# -- what comes back -------------------------------------------------------------------------------


def test_the_columns_are_the_four_dimensions_then_spread_then_domain() -> None:
    assert list(score(frame("a", "b"))) == [*hy.DIMENSIONS, *SPREAD, "out_of_domain"]


def test_a_predictor_without_spread_and_domain_gives_the_four_dimensions() -> None:
    assert list(score(frame("a"), predictor=Stub(extras=False))) == list(hy.DIMENSIONS)


def test_every_row_has_the_scores_of_its_text() -> None:
    texts = ["long " * 30, "b", "", "middle one", " ", "b"]
    found = score(frame(*texts), chunk_size=2)
    assert found.iloc[:, :8].values.tolist() == [made_up_numbers(text, 1) for text in texts]
    assert found["out_of_domain"].tolist() == [made_up_numbers(text, 1)[0] > 0.5 for text in texts]


def test_the_index_is_that_of_the_frame_even_with_labels_twice() -> None:
    df = frame("a", "b", "a").set_axis(pd.MultiIndex.from_tuples([("x", 1), ("x", 1), ("y", 2)]))
    assert score(df).index.equals(df.index)


def test_the_frame_is_left_as_it_was() -> None:
    df = frame("a", "b")
    score(df)
    assert_frame_equal(df, frame("a", "b"))


@pytest.mark.parametrize("dtype", [object, "str", "string", "category"])
def test_every_dtype_of_text_scores_alike(dtype: Any) -> None:
    df = pd.DataFrame({"prompt": pd.Series(["a", "bb", "a"], dtype=dtype)})
    assert_frame_equal(score(df), score(frame("a", "bb", "a")), check_exact=True)


def test_a_lone_surrogate_is_scored(tmp_path: Path) -> None:
    found = score(frame("\ud800"), cache=tmp_path / "c.db", cache_key="stub")
    assert found.iloc[0, :4].tolist() == made_up_numbers("\ud800", 1)[:4]


def test_the_shipped_predictor_scores_as_it_predicts() -> None:
    texts = ["Fix this bug", "", "thanks!", "Fix this bug"]
    found = hy.score_frame(frame(*texts), "prompt", progress=False)
    expected = hy.load_predictor().predict(texts)
    assert np.array_equal(found[list(hy.DIMENSIONS)].to_numpy(), expected.values)


def test_a_checkpoint_folder_scores_like_its_predictor() -> None:
    from hydra_nb.predictor import DEFAULT_CHECKPOINT

    by_path = hy.score_frame(frame("hi"), "prompt", checkpoint=DEFAULT_CHECKPOINT, progress=False)
    assert_frame_equal(by_path, hy.score_frame(frame("hi"), "prompt", progress=False))


prompt_texts = st.lists(st.text(max_size=6), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(prompt_texts, st.data(), st.integers(1, 5))
def test_the_order_of_rows_does_not_matter(texts: list[str], data: Any, chunk_size: int) -> None:
    order = data.draw(st.permutations(range(len(texts))))
    df = frame(*texts)
    assert_frame_equal(score(df.iloc[order], chunk_size=chunk_size), score(df).iloc[order])


@settings(max_examples=40, deadline=None)
@given(prompt_texts, st.integers(1, 5))
def test_duplicates_do_not_matter_and_are_asked_once(texts: list[str], chunk_size: int) -> None:
    predictor = Stub()
    twice = score(frame(*texts, *texts), predictor=predictor, chunk_size=chunk_size)
    once = score(frame(*texts))
    assert_frame_equal(twice.iloc[: len(texts)], once)
    assert_frame_equal(twice.iloc[len(texts) :].reset_index(drop=True), once)
    asked = [text for chunk in predictor.asked for text in chunk]
    assert sorted(asked) == sorted(set(texts))


def test_chunks_have_their_size_and_go_from_long_to_short() -> None:
    predictor = Stub()
    score(frame(*("x" * n for n in (3, 9, 1, 7, 5))), predictor=predictor, chunk_size=2)
    assert [[len(text) for text in chunk] for chunk in predictor.asked] == [[9, 7], [5, 3], [1]]


def test_the_bar_counts_different_prompts(capsys: pytest.CaptureFixture[str]) -> None:
    score(frame("a", "b", "a"), progress=True)
    assert "2/2" in capsys.readouterr().err


def test_no_bar_is_shown_when_it_is_off(capsys: pytest.CaptureFixture[str]) -> None:
    score(frame("a", "b", "a"), progress=False)
    assert capsys.readouterr().err == ""


# -- turns -----------------------------------------------------------------------------------------


def test_a_turn_belongs_to_its_text() -> None:
    found = score(frame("a", "a", "b", "a", turn=[1, 3, 2, 3]), turn_column="turn", chunk_size=1)
    expected = [made_up_numbers(*prompt) for prompt in (("a", 1), ("a", 3), ("b", 2), ("a", 3))]
    assert found.iloc[:, :8].values.tolist() == expected


@pytest.mark.parametrize(
    ("turn", "received"),
    [(0, "int: 0"), (1.0, "float: 1.0"), (None, "NoneType"), (True, "bool"), ("2", "str: '2'")],
)
def test_what_is_no_turn_is_refused_with_its_row(turn: Any, received: str) -> None:
    df = frame("a", "b", turn=pd.Series([1, turn], dtype=object)).set_axis(["u", "v"])
    df["turn"] = pd.Series([1, turn], dtype=object, index=df.index)
    message = rf"column 'turn', row 'v' \(position 1.*integer of at least 1.*{received}"
    with pytest.raises(hy.InvalidInputError, match=message):
        score(df, turn_column="turn")


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "received"),
    [
        (None, "NoneType: None"),
        (float("nan"), "float: nan"),
        (pd.NA, "NAType: <NA>"),
        (7, "int: 7"),
        (b"bytes", "bytes: b'bytes'"),
        (["nested"], "list"),
    ],
)
def test_what_is_no_text_is_refused_with_column_row_and_value(text: Any, received: str) -> None:
    df = frame("a", "b", text).set_axis(["u", "v", "w"])
    message = (
        rf"column 'prompt', row 'w' \(position 2 of the frame\): must be a string; .*{received}"
    )
    with pytest.raises(hy.InvalidInputError, match=message):
        score(df)


def test_errors_nan_gives_nan_rows_for_what_is_no_text() -> None:
    found = score(frame("a", None, 7, b"x", "b"), errors="nan")
    assert found.isna().all(axis=1).tolist() == [False, True, True, True, False]
    assert_frame_equal(found.iloc[[0, 4], :8], score(frame("a", "b")).iloc[:, :8].set_axis([0, 4]))


def test_errors_nan_gives_the_same_dtypes_whatever_the_rows() -> None:
    dtypes = [score(frame(*texts), errors="nan").dtypes for texts in (["a"], ["a", None], [None])]
    assert dtypes[0].equals(dtypes[1])
    assert dtypes[0].equals(dtypes[2])


def test_errors_nan_asks_no_turn_of_what_is_no_text() -> None:
    df = frame("a", None, turn=pd.array([2, None], dtype="Int64"))
    found = score(df, turn_column="turn", errors="nan")
    assert found["reasoning"].tolist()[0] == made_up_numbers("a", 2)[0]


@pytest.mark.parametrize(
    ("df", "column", "message"),
    [
        (frame("a"), "text", r"column: .*no column 'text'; it has 'prompt'"),
        (frame("a"), ["prompt"], r"column: .*no column \['prompt'\]"),
        (pd.DataFrame(), "prompt", r"no column 'prompt'; it has no columns"),
        (frame(), "prompt", r"must have rows.*\(0, 1\)"),
        (pd.DataFrame([["a", "b"]], columns=["p", "p"]), "p", r"must be unique.*2 columns 'p'"),
        (["a"], "prompt", r"DataFrame; received list"),
        (pd.Series(["a"]), "prompt", r"DataFrame; received Series"),
        (None, "prompt", r"DataFrame; received NoneType"),
    ],
)
def test_what_is_no_frame_with_the_column_is_refused(df: Any, column: Any, message: str) -> None:
    with pytest.raises(hy.InvalidInputError, match=message):
        score(df, column)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"turn_column": "t"}, r"turn_column: .*no column 't'"),
        ({"errors": "ignore"}, r"'raise' or 'nan'; received 'ignore'"),
        ({"chunk_size": 0}, r"chunk_size.*received 0"),
        ({"chunk_size": 2.5}, r"chunk_size.*received 2.5"),
        ({"predictor": "tiny"}, r"method predict.*received str"),
        ({"checkpoint": "folder"}, r"predictor or checkpoint, not both"),
        ({"cache": 7, "cache_key": "k"}, r"cache must be a path; received 7"),
        ({"cache_key": "k"}, r"give cache=PATH too"),
        ({"cache": "c.db", "cache_key": ""}, r"cache_key must be a string"),
        ({"cache": "c.db"}, r"cache needs cache_key='…' for this Stub"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(hy.InvalidInputError, match=message):
        score(frame("a"), **options)


def test_a_missing_checkpoint_is_named() -> None:
    with pytest.raises(hy.CheckpointError, match="gone: no such checkpoint folder"):
        score(frame("a"), predictor=None, checkpoint="gone")


class Returning:
    def __init__(self, returned: Any) -> None:
        self.returned = returned

    def predict(self, texts: Sequence[str], turns: Sequence[int] | None = None) -> Any:
        return self.returned


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, r"values of shape \(1, 4\).*received NoneType"),
        (hy.Requirements([[0.0] * 4] * 2), r"received values of shape \(2, 4\)"),
    ],
)
def test_a_predictor_that_returns_something_else_is_refused(returned: Any, message: str) -> None:
    with pytest.raises(hy.InvalidInputError, match=message):
        score(frame("a"), predictor=Returning(returned))


# -- the cache -------------------------------------------------------------------------------------


TEXTS = [f"prompt {number}" for number in range(10)]


def kept_rows(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM scores").fetchone()[0])


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "cache": tmp_path / "c.db",
        "cache_key": "stub",
        "chunk_size": 3,
    }
    interrupted, resumed = Stub(fails_after=2), Stub()
    with pytest.raises(KeyboardInterrupt):
        score(frame(*TEXTS), predictor=interrupted, **options)
    assert kept_rows(options["cache"]) == 6
    found = score(frame(*TEXTS), predictor=resumed, **options)
    done = {text for chunk in interrupted.asked for text in chunk}
    assert {text for chunk in resumed.asked for text in chunk} == set(TEXTS) - done
    assert_frame_equal(found, score(frame(*TEXTS)), check_exact=True)


def test_a_killed_process_loses_only_its_chunk(tmp_path: Path) -> None:
    script = (
        "import os, sys, pandas as pd, hydra_nb as hy\n"
        "from tests.test_scoring import Stub, TEXTS\n"
        "class Dying(Stub):\n"
        "    def predict(self, texts, turns=None):\n"
        "        return os._exit(9) if len(self.asked) == 2 else super().predict(texts, turns)\n"
        "hy.score_frame(pd.DataFrame({'prompt': TEXTS}), 'prompt', predictor=Dying(),\n"
        "    chunk_size=3, cache=sys.argv[1], cache_key='stub', progress=False)\n"
    )
    path = tmp_path / "c.db"
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script, str(path)], cwd=root, check=False)
    assert done.returncode == 9
    assert kept_rows(path) == 6
    found = score(frame(*TEXTS), cache=path, cache_key="stub")
    assert_frame_equal(found, score(frame(*TEXTS)), check_exact=True)


def test_a_finished_run_asks_nothing_the_second_time(tmp_path: Path) -> None:
    options: dict[str, Any] = {"cache": tmp_path / "c.db", "cache_key": "stub"}
    first = score(frame(*TEXTS), **options)
    predictor = Stub()
    again = score(frame(*TEXTS), predictor=predictor, **options)
    assert predictor.asked == []
    assert_frame_equal(again, first, check_exact=True)


def test_more_prompts_than_one_query_reads_are_all_found(tmp_path: Path) -> None:
    texts = [f"number {number}" for number in range(600)]
    options: dict[str, Any] = {"cache": tmp_path / "c.db", "cache_key": "stub"}
    first = score(frame(*texts), **options)
    predictor = Stub()
    assert_frame_equal(score(frame(*texts), predictor=predictor, **options), first)
    assert predictor.asked == []


@pytest.mark.parametrize("change", [{"cache_key": "other"}, {"turn_column": "turn"}])
def test_another_predictor_or_turn_is_asked_anew(tmp_path: Path, change: dict[str, Any]) -> None:
    options: dict[str, Any] = {"cache": tmp_path / "c.db", "cache_key": "stub"}
    df = frame("a", turn=[2])
    score(df, **options)
    predictor = Stub()
    score(df, predictor=predictor, **{**options, **change})
    assert predictor.asked == [["a"]]


def test_the_shipped_predictor_needs_no_cache_key(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    first = hy.score_frame(frame("hi"), "prompt", cache=path, progress=False)
    again = hy.score_frame(frame("hi"), "prompt", cache=path, progress=False)
    assert kept_rows(path) == 1
    assert_frame_equal(first, again, check_exact=True)


@pytest.mark.parametrize("change", [{"name": "other"}, {"files": {"model.onnx": {"sha256": "0"}}}])
def test_a_checkpoint_of_other_name_or_files_has_another_identity(change: dict[str, Any]) -> None:
    from hydra_nb.predictor.checkpoint import Manifest

    class Other(Stub):
        def __init__(self, **changed: Any) -> None:
            super().__init__()
            fields: dict[str, Any] = {"name": "one", "files": {"model.onnx": {"sha256": "1"}}}
            self.manifest = Manifest(
                kind="onnx", encoder={}, pooling="mean", **{**fields, **changed}
            )

    one = sources.cache_identity(Other(), None)
    assert one == sources.cache_identity(Other(), None)
    assert one != sources.cache_identity(Other(**change), None)


def test_the_cache_keeps_no_text(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    score(frame("a secret prompt"), cache=path, cache_key="stub")
    assert b"secret" not in path.read_bytes()


def test_a_predictor_that_lost_its_spread_is_not_mixed_with_what_is_kept(tmp_path: Path) -> None:
    options: dict[str, Any] = {"cache": tmp_path / "c.db", "cache_key": "stub"}
    score(frame("a"), **options)
    with pytest.raises(hy.InvalidInputError, match=r"reasoning_spread.*another cache_key"):
        score(frame("a", "b"), predictor=Stub(extras=False), **options)


def test_a_file_without_bytes_becomes_a_cache(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    path.touch()
    score(frame("a"), cache=path, cache_key="stub")
    assert kept_rows(path) == 1


def foreign_text(path: Path) -> None:
    path.write_text("name,prompt\nmine,keep me\n" * 50)


def foreign_word(path: Path) -> None:
    path.write_text("mine")


def foreign_database(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE scores (key BLOB PRIMARY KEY, mine TEXT)")
        connection.commit()


def cache_of_a_later_format(path: Path) -> None:
    score(frame("a"), cache=path, cache_key="stub")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {FORMAT + 1}")


def truncated(path: Path) -> None:
    score(frame(*(f"text {n}" for n in range(300))), cache=path, cache_key="stub")
    os.truncate(path, path.stat().st_size // 2)


def overwritten_inside(path: Path) -> None:
    score(frame(*(f"text {n}" for n in range(300))), cache=path, cache_key="stub")
    with path.open("r+b") as stream:
        stream.seek(8192)
        stream.write(b"\xff" * 8192)


def impossible_numbers(path: Path) -> None:
    score(frame("a"), cache=path, cache_key="stub")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE scores SET reasoning = 7.5")
        connection.commit()


def words_for_numbers(path: Path) -> None:
    score(frame("a"), cache=path, cache_key="stub")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE scores SET debugging = 'high'")
        connection.commit()


@pytest.mark.parametrize(
    "make",
    [
        foreign_text,
        foreign_word,
        foreign_database,
        cache_of_a_later_format,
        truncated,
        overwritten_inside,
        impossible_numbers,
        words_for_numbers,
    ],
)
def test_a_damaged_or_foreign_file_is_named_and_left_as_it_is(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "mine.db"
    make(path)
    before = path.read_bytes()
    predictor = Stub()
    with pytest.raises(hy.InvalidInputError, match=f"cache {re.escape(str(path))}: cannot be used"):
        score(frame("a", "b"), predictor=predictor, cache=path, cache_key="stub")
    assert path.read_bytes() == before
    assert predictor.asked == []


def test_a_cache_that_another_program_holds_is_said_to_be_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hydra_nb.scoring.cache._LOCK_SECONDS", 0.01)
    path = tmp_path / "c.db"
    score(frame("a"), cache=path, cache_key="stub")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(hy.InvalidInputError, match=r"cannot be used now: .*locked") as refused:
            score(frame("b"), cache=path, cache_key="stub")
    assert "remove" not in str(refused.value)


@pytest.mark.parametrize(("place", "rule"), [(".", "must be a file"), ("no/c.db", "no folder")])
def test_a_place_that_can_be_no_cache_is_named(tmp_path: Path, place: str, rule: str) -> None:
    with pytest.raises(hy.InvalidInputError, match=rule):
        score(frame("a"), cache=tmp_path / place, cache_key="stub")


def test_threads_share_a_cache(tmp_path: Path) -> None:
    found: list[pd.DataFrame] = []

    def run() -> None:
        found.append(score(frame(*TEXTS), cache=tmp_path / "c.db", cache_key="s", chunk_size=1))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(frame_.equals(found[0]) for frame_ in found)
    assert kept_rows(tmp_path / "c.db") == len(TEXTS)


def test_threads_of_several_processes_share_a_cache(tmp_path: Path) -> None:
    # Found with a cluster: a handle on the file that is not SQLite's drops its locks when closed.
    script = (
        "import sys\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from hydra_nb.scoring.cache import ScoreCache\n"
        "def write(number):\n"
        "    with ScoreCache(Path(sys.argv[1]), 'x', verify=False) as cache:\n"
        "        prompts = [(f'{sys.argv[2]} {number}', 1)]\n"
        "        cache.read(prompts)\n"
        "        cache.write(prompts, np.full((1, 9), 0.5))\n"
        "with ThreadPoolExecutor(3) as pool:\n"
        "    list(pool.map(write, range(150)))\n"
    )
    path = tmp_path / "c.db"
    commands = [[sys.executable, "-c", script, str(path), who] for who in "abc"]
    processes = [subprocess.Popen(command) for command in commands]
    assert [process.wait(300) for process in processes] == [0, 0, 0]
    assert kept_rows(path) == 450


def test_a_cache_says_what_it_is_in_its_header(tmp_path: Path) -> None:
    score(frame("a"), cache=tmp_path / "c.db", cache_key="stub")
    assert (tmp_path / "c.db").read_bytes()[68:72] == APPLICATION_ID.to_bytes(4, "big")


# -- imports ---------------------------------------------------------------------------------------


def test_a_pandas_frame_is_scored_without_dask_and_importing_loads_no_pandas() -> None:
    code = (
        "import sys, hydra_nb as hy\n"
        "print('pandas' in sys.modules, 'hydra_nb.scoring' in sys.modules)\n"
        "import pandas as pd\n"
        "hy.score_frame(pd.DataFrame({'p': ['hi']}), 'p', progress=False)\n"
        "print('dask' in sys.modules, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"] * 4


# -- Dask ------------------------------------------------------------------------------------------


def parts(df: pd.DataFrame, n: int) -> Any:
    import dask
    import dask.dataframe as dd

    # Else Dask makes text of what is none before it can be refused.
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_pandas(df, npartitions=n)


@needs_dask
def test_a_dask_frame_gives_a_lazy_one_with_its_divisions_and_dtypes() -> None:
    df = frame(*TEXTS).set_axis(range(10, 20))
    given_frame = parts(df, 3)
    lazy = score(given_frame)
    assert lazy.divisions == given_frame.divisions
    assert lazy.npartitions == 3
    assert_frame_equal(lazy._meta, score(df).iloc[:0])


@needs_dask
@pytest.mark.parametrize("errors", ["raise", "nan"])
def test_what_dask_computes_is_what_pandas_gives(errors: str) -> None:
    texts = [*TEXTS, *(["b", None] if errors == "nan" else ["b", ""])]
    df = frame(*texts, turn=range(1, len(texts) + 1), other=0)
    options: dict[str, Any] = {"turn_column": "turn", "errors": errors}
    found = score(parts(df, 3), **options).compute(scheduler="sync")
    assert_frame_equal(found, score(df, **options), check_exact=True)


@needs_dask
def test_partitions_without_rows_are_fine() -> None:
    lazy = parts(frame(*TEXTS, keep=[True, *[False] * 9]), 3)
    found = score(lazy[lazy["keep"]]).compute(scheduler="sync")
    assert_frame_equal(found, score(frame(TEXTS[0])))


@needs_dask
def test_a_bad_cell_of_a_partition_is_named() -> None:
    lazy = score(parts(frame(*TEXTS[:9], 7), 2))
    message = r"column 'prompt', row 9 \(position 4 of its partition\).*int: 7"
    with pytest.raises(hy.InvalidInputError, match=message):
        lazy.compute(scheduler="sync")


@needs_dask
def test_a_missing_column_of_a_dask_frame_is_refused_at_the_call() -> None:
    with pytest.raises(hy.InvalidInputError, match="no column 'text'; it has 'prompt'"):
        score(parts(frame("a"), 1), "text")


@needs_dask
def test_a_dask_series_is_refused() -> None:
    with pytest.raises(hy.InvalidInputError, match="DataFrame; received Series"):
        score(parts(frame("a"), 1)["prompt"])


@needs_dask
def test_a_live_predictor_that_does_not_pickle_is_refused_with_the_way_out() -> None:
    predictor = Stub()
    predictor.lock = threading.Lock()  # type: ignore[attr-defined]
    with pytest.raises(hy.InvalidInputError, match=r"Stub does not pickle.*checkpoint=PATH"):
        score(parts(frame("a"), 1), predictor=predictor)


@needs_dask
def test_a_worker_with_another_checkpoint_refuses() -> None:
    source = sources.Source(checkpoint=None, digest="of another machine")
    with pytest.raises(hy.CheckpointError, match="on this worker is not the one"):
        source.predictor(None)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    import dask
    from distributed import Client, LocalCluster

    patient = {"distributed.comm.timeouts.connect": "120s"}
    with (
        dask.config.set(patient),
        LocalCluster(
            n_workers=2,
            threads_per_worker=2,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=50,
        ) as cluster,
        Client(cluster, timeout="120s") as connected,
    ):
        connected.wait_for_workers(2, timeout=120)
        yield connected


def start_counting_loads() -> None:
    """Runs in a worker."""
    from hydra_nb import predictor

    load, loads = predictor.load_predictor, []

    def counted(path: Any = None) -> Any:
        loads.append(path)
        return load(path)

    predictor.load_predictor = counted
    predictor.loads_counted = loads  # type: ignore[attr-defined]


def loads_counted() -> list[Any]:
    """Runs in a worker."""
    from hydra_nb import predictor

    return list(predictor.loads_counted)  # type: ignore[attr-defined]


@needs_dask
@pytest.mark.parametrize("by_path", [False, True])
def test_a_cluster_scores_exactly_like_pandas_and_each_worker_loads_once(
    client: Any, by_path: bool
) -> None:
    from hydra_nb.predictor import DEFAULT_CHECKPOINT

    checkpoint = DEFAULT_CHECKPOINT if by_path else None
    texts = [f"Prove that {n} has a divisor, then write code for it" for n in range(24)]
    df = pd.DataFrame({"prompt": [*texts, *texts[:8]]})
    client.run(start_counting_loads)
    lazy = hy.score_frame(parts(df, 8), "prompt", checkpoint=checkpoint)
    found = client.compute(lazy).result(timeout=300)
    loads = client.run(loads_counted)
    expected = hy.score_frame(df, "prompt", checkpoint=checkpoint, progress=False)
    assert_frame_equal(found, expected, check_exact=True)
    # Default: `load_predictor()`; by path: `load_predictor(path)`. Eight partitions, one load each.
    assert list(loads.values()) == [[None if checkpoint is None else str(checkpoint)]] * 2


@needs_dask
def test_the_workers_of_a_cluster_share_a_cache(client: Any, tmp_path: Path) -> None:
    df = frame(*(f"prompt {n}" for n in range(40)))
    options: dict[str, Any] = {"cache": tmp_path / "c.db", "cache_key": "stub", "chunk_size": 2}
    found = client.compute(score(parts(df, 8), **options)).result(timeout=300)
    assert kept_rows(tmp_path / "c.db") == 40
    assert_frame_equal(found, score(df), check_exact=True)


@needs_dask
def test_an_error_of_a_worker_arrives_whole(client: Any) -> None:
    lazy = score(parts(frame("a", "b", 7), 1))
    with pytest.raises(
        hy.InvalidInputError, match=r"row 2 \(position 2 of its partition\).*int: 7"
    ):
        client.compute(lazy).result(timeout=300)
