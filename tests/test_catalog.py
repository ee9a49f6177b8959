from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydra_nb import DIMENSIONS, Catalog, CatalogError, Evidence, ModelProfile
from hydra_nb.catalog_file import parse
from tests.strategies import catalogs, profile

TEXT = """\
# Prices as of the first of the month.

name: tiny   # a name
as_of: "2026-11-01"
capability_band:
  reasoning: [0.0, 0.8]
  code_generation: [0.0, 0.8]
  debugging: [0.0, 0.8]
  tool_use: [0.0, 0.8]

# The models, cheapest first.
models:
  # the little one
  - name: small
    provider: acme
    usd_per_mtok_input: 0.10   # list price
    usd_per_mtok_output: 0.4
    reasoning: 0.30            # from a benchmark
    code_generation: 0.2
    debugging: 0.2
    tool_use: 0.1
    context_window: 8_000
    modalities: [text]

  # the big one
  - provider: acme
    name: large
    reasoning: 0.9
    code_generation: 0.9
    debugging: 0.9
    tool_use: 0.9
    usd_per_mtok_input: 3
    usd_per_mtok_output: 15
    context_window: 200000
    evidence:
      - {dimension: reasoning, benchmark: X, score: 0.9, source: S, date: "2026-01"}  # seen

  # the third
  - name: third
    provider: acme
    reasoning: 0.5
    code_generation: 0.5
    debugging: 0.5
    tool_use: 0.5
    usd_per_mtok_input: 1
    usd_per_mtok_output: 4
    context_window: 64000
# the end
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_loading_and_saving_an_unedited_file_keeps_every_byte(file: Path) -> None:
    Catalog.load(file).save(file)
    assert file.read_text(encoding="utf-8") == TEXT


def test_an_edit_changes_its_own_line_and_no_other(file: Path) -> None:
    catalog = Catalog.load(file)
    edited = catalog.replace("small", usd_per_mtok_output=0.55).to_yaml()
    changed = [
        (a, b) for a, b in zip(TEXT.splitlines(), edited.splitlines(), strict=True) if a != b
    ]
    assert changed == [("    usd_per_mtok_output: 0.4", "    usd_per_mtok_output: 0.55")]


def test_a_rename_keeps_comments_and_key_order(file: Path) -> None:
    edited = Catalog.load(file).rename("large", "huge").to_yaml()
    assert edited == TEXT.replace("name: large", "name: huge")


def test_removing_a_model_removes_its_lines_and_its_comment_only(file: Path) -> None:
    start, end = TEXT.index("  # the big one"), TEXT.index("  # the third")
    assert Catalog.load(file).remove("large").to_yaml() == TEXT[:start] + TEXT[end:]


def test_removing_the_first_model_moves_the_heading_of_the_second_up(file: Path) -> None:
    start, end = TEXT.index("  # the little one"), TEXT.index("  # the big one")
    assert Catalog.load(file).remove("small").to_yaml() == TEXT[:start] + TEXT[end:]


def test_removing_the_last_model_keeps_what_follows_the_list(file: Path) -> None:
    start, end = TEXT.index("\n  # the third"), TEXT.index("# the end")
    assert Catalog.load(file).remove("third").to_yaml() == TEXT[:start] + TEXT[end:]


def test_an_added_model_stands_under_no_other_models_comment(file: Path) -> None:
    catalog = Catalog.load(file)
    lines = catalog.add(profile("new"), position=1).to_yaml().splitlines()
    assert lines[lines.index("  - name: new") - 1] == ""
    assert lines[lines.index("  - provider: acme") - 1] == "  # the big one"


def test_a_new_field_does_not_slip_under_the_next_models_comment(file: Path) -> None:
    edited = Catalog.load(file).replace("small", available=False).to_yaml()
    assert parse(edited)["small"].available is False
    lines = edited.splitlines()
    assert lines[lines.index("  # the big one") + 1] == "  - provider: acme"


@given(catalogs(max_size=4), st.integers(0, 3), st.sampled_from([0.0, 0.125, 3.5]))
def test_what_is_written_reads_back_equal(catalog: Catalog, position: int, price: float) -> None:
    edited = catalog.add(
        profile("new", usd_per_mtok_input=price, notes="a: b # c\n- d", latency_ms=12.5),
        position=min(position, len(catalog)),
    )
    again = parse(edited.to_yaml(), name=edited.name)
    assert again == edited
    assert parse(again.remove("new").to_yaml(), name=edited.name) == catalog


def test_edits_leave_the_original_catalog_as_it_was(file: Path) -> None:
    catalog = Catalog.load(file)
    catalog.replace("small", available=False).rename("large", "huge").remove("third")
    assert catalog == Catalog.load(file)


def test_the_capability_matrix_has_a_row_a_model_in_the_order_of_dimensions(file: Path) -> None:
    matrix = Catalog.load(file).capability_matrix()
    assert matrix.shape == (3, 4)
    np.testing.assert_array_equal(matrix[0], [0.3, 0.2, 0.2, 0.1])


def test_the_frame_is_indexed_by_name_and_has_the_fields_as_columns(file: Path) -> None:
    frame = Catalog.load(file).to_frame()
    assert frame.index.tolist() == ["small", "large", "third"]
    assert frame.loc["large", "usd_per_mtok_output"] == 15
    assert set(DIMENSIONS) <= set(frame.columns)


def test_profiles_are_found_by_name_and_by_position(file: Path) -> None:
    catalog = Catalog.load(file)
    assert catalog["large"] is catalog[1]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("reasoning: 0.30 ", "reasoning: 1.3 ", r"yaml:18.*'small'.*reasoning.*at most 1.*1.3"),
        ("reasoning: 0.30 ", "reasoning: -0.1 ", r"'small'.*reasoning.*at least 0.*-0.1"),
        ("reasoning: 0.30 ", "reasoning: .nan ", r"'small'.*reasoning.*finite.*nan"),
        ("reasoning: 0.30 ", "reasoning: .inf ", r"'small'.*reasoning.*finite.*inf"),
        ("reasoning: 0.30 ", "reasoning: '0.3' ", r"'small'.*reasoning.*a number, not text.*'0.3'"),
        ("reasoning: 0.30 ", "reasoning: true ", r"'small'.*reasoning.*a number, not true/false"),
        ("reasoning: 0.30 ", "reasoning: ", r"'small'.*reasoning.*a number, not nothing"),
        ("usd_per_mtok_input: 0.10", "usd_per_mtok_input: -1", r"mtok_input.*at least 0.*-1"),
        ("usd_per_mtok_output: 0.4", "usd_per_mtok_output: 1e9", r"usd_per_mtok_output.*at most"),
        ("usd_per_mtok_output: 0.4", "usd_per_mtok: 0.4", r"usd_per_mtok.*not a known key; known"),
        ("    usd_per_mtok_output: 0.4\n", "", r"'small'.*usd_per_mtok_output.*is required"),
        ("name: large", "name: small", r"'small'.*name.*unique"),
        ("name: large", "name: ''", r"name.*not be empty"),
        ("name: large", 'name: "a\\tb"', r"name.*must be printable"),
        ("    name: large\n", "", r"models\[1\].*name.*required"),
        ("context_window: 8_000", "context_window: 0", r"context_window.*greater than 0.*0"),
        ("context_window: 8_000", "context_window: 8.5", r"context_window.*whole number"),
        ("modalities: [text]", "modalities: [smell]", r"modalities\[0\].*one of.*'smell'"),
        ("modalities: [text]", "modalities: text", r"modalities.*a list, not text"),
        ("modalities: [text]", "available: yes", r"available.*true or false, not text.*'yes'"),
        ("name: tiny", "nmae: tiny", r"tiny.yaml:3.*nmae.*known keys: name"),
        ('as_of: "2026-11-01"', "as_of: 2026-11-01", r"as_of.*must be text"),
        ("reasoning: [0.0, 0.8]", "reasoning: [0.8, 0.1]", r"capability_band.reasoning.*rising"),
        ("reasoning: [0.0, 0.8]", "reasoning: 0.8", r"capability_band.*\[low, high\]"),
        ("score: 0.9", "score: 90", r"'large'.*evidence.*score.*at most 1"),
        ("provider: acme\n    usd", "provider: acme\n    provider: b\n    usd", r"not valid YAML"),
        ("name: tiny", "name: !!python/object/apply:os.system ['ls']", r"tiny.yaml:3.*tags"),
        ("name: tiny", "name: !!str tiny", r"tags are refused"),
        ("modalities: [text]", "modalities: &m [text]", r"anchors and aliases"),
        ("models:", "models: {}\nother:", r"known keys"),
        ("name: small", "? [a]\n    : small", r"tiny.yaml"),
        ("  # the little one\n", "  - just text\n", r"models\[0\].*mapping.*just text"),
    ],
)
def test_bad_files_are_refused_with_place_rule_and_value(
    file: Path, old: str, new: str, said: str
) -> None:
    assert old in TEXT
    file.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CatalogError, match=said) as caught:
        Catalog.load(file)
    assert "tiny.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"# only a comment\n", "is empty"),
        (b"- a\n- b\n", "must be a mapping"),
        (b"models: []\n", "at least one model"),
        (b"models: [\n", "not valid YAML"),
        (b"models: 1__0\n", "at least one model"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"name: \x00\n", "not valid YAML"),
        (b"a: " + b"[" * 200 + b"]" * 200, "nested too deeply"),
        (b"#" * 5_000_001, "larger than 5 MB"),
        (b"--- {}\n--- {}\n", "not valid YAML"),
    ],
)
def test_files_that_are_no_catalog_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(CatalogError, match=said) as caught:
        Catalog.load(path)
    assert "bad.yaml" in str(caught.value)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"gone\.yaml: cannot be read"):
        Catalog.load(tmp_path / "gone.yaml")


def test_a_failed_save_leaves_the_old_file_and_no_litter(file: Path, monkeypatch: object) -> None:
    catalog = Catalog.load(file).replace("small", available=False)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)  # type: ignore[attr-defined]
    with pytest.raises(CatalogError, match="No space left"):
        catalog.save(file)
    assert file.read_text(encoding="utf-8") == TEXT
    assert [path.name for path in file.parent.iterdir()] == ["tiny.yaml"]


def test_saving_through_a_link_changes_the_file_and_keeps_the_link(
    file: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    Catalog.load(link).replace("small", available=False).save(link)
    assert link.is_symlink()
    assert Catalog.load(file)["small"].available is False


def test_profiles_made_in_python_are_as_strict_as_files() -> None:
    with pytest.raises(CatalogError, match=r"'x', field debugging: must be a number, not text"):
        profile("x", (0.1, 0.1, "0.1", 0.1))


def test_an_edit_that_breaks_a_rule_names_the_model() -> None:
    with pytest.raises(CatalogError, match=r"model 'x', field usd_per_mtok_input.*-1"):
        Catalog((profile("x"),)).replace("x", usd_per_mtok_input=-1.0)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(CatalogError, match=r"no model 'y'.*there are x"):
        Catalog((profile("x"),)).remove("y")


def test_renaming_to_a_taken_name_is_refused() -> None:
    with pytest.raises(CatalogError, match=r"'b', field name: must be unique"):
        Catalog((profile("a"), profile("b"))).rename("a", "b")


def test_negative_zero_becomes_zero() -> None:
    assert str(profile("x", usd_per_mtok_input=-0.0).usd_per_mtok_input) == "0.0"


def test_a_profile_cannot_be_changed_in_place() -> None:
    with pytest.raises(Exception, match="frozen"):
        profile("x").reasoning = 1.0  # type: ignore[misc]


def test_evidence_must_be_dated_like_a_date() -> None:
    with pytest.raises(CatalogError, match="date"):
        Evidence(dimension="reasoning", benchmark="b", score=0.5, source="s", date="last year")


def test_a_sample_that_is_not_there_lists_those_that_are() -> None:
    with pytest.raises(CatalogError, match="market_20"):
        Catalog.sample("nope")


def test_a_profile_takes_fields_by_name_only() -> None:
    with pytest.raises(TypeError):
        ModelProfile("x")  # type: ignore[call-arg,misc]


STYLES = {
    "CRLF": TEXT.replace("\n", "\r\n"),
    "BOM": f"\ufeff{TEXT}",
    "document start": f"---\n{TEXT}",
    "flow style": "models:\n  - {name: a, provider: p, reasoning: 0, code_generation: 0, "
    "debugging: 0, tool_use: 0, usd_per_mtok_input: 1, usd_per_mtok_output: 1, "
    "context_window: 9}  # one\n# end\n",
}
STYLES["list without indentation"] = (
    TEXT[: TEXT.index("models:")]
    + "models:\n"
    + "\n".join(line[2:] for line in TEXT[TEXT.index("  # the little") :].splitlines()[:-1])
    + "\n# the end\n"
).replace("    - {dimension", "  - {dimension")


@pytest.mark.parametrize("style", STYLES)
def test_every_style_of_file_is_saved_unedited_byte_for_byte(tmp_path: Path, style: str) -> None:
    path = tmp_path / "styled.yaml"
    path.write_bytes(STYLES[style].encode())
    Catalog.load(path).save(path)
    assert path.read_bytes() == STYLES[style].encode()


@pytest.mark.parametrize("style", ["CRLF", "BOM", "document start", "list without indentation"])
def test_an_edit_keeps_the_style_of_the_file(tmp_path: Path, style: str) -> None:
    path = tmp_path / "styled.yaml"
    path.write_bytes(STYLES[style].encode())
    Catalog.load(path).replace("small", usd_per_mtok_output=0.55).save(path)
    expected = STYLES[style].replace("usd_per_mtok_output: 0.4", "usd_per_mtok_output: 0.55", 1)
    assert path.read_bytes() == expected.encode()


def test_a_file_without_a_name_does_not_get_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT.replace("name: tiny   # a name\n", ""), encoding="utf-8")
    Catalog.load(path).replace("small", available=False).save(path)
    assert "\nname:" not in path.read_text(encoding="utf-8")


def test_errors_in_evidence_name_its_entry_once() -> None:
    row = {"dimension": "reasoning", "benchmark": "b", "score": 90.0, "source": "s", "date": "2026"}
    with pytest.raises(CatalogError) as caught:
        profile("x", evidence=[row])
    assert str(caught.value) == (
        "model 'x', field evidence[0].score: must be at most 1.0; received 90.0"
    )


@pytest.mark.parametrize("modalities", [["image"], ["text", "text"]])
def test_modalities_include_text_and_name_each_once(modalities: list[str]) -> None:
    with pytest.raises(CatalogError, match="modalities"):
        profile("x", modalities=modalities)


def test_two_spellings_of_one_name_are_one_name() -> None:
    with pytest.raises(CatalogError, match="unique"):
        Catalog((profile("caf\u00e9"), profile("cafe\u0301")))


@pytest.mark.parametrize(
    "ends", [("0", "1"), (False, True), (0.1, 0.1), (0.1, 0.10000001), (0.1,), (0.1, 10**400)]
)
def test_a_band_must_be_two_rising_numbers(ends: object) -> None:
    with pytest.raises(CatalogError, match=r"capability_band\.reasoning"):
        Catalog((), capability_band={**dict.fromkeys(DIMENSIONS, (0.1, 0.9)), "reasoning": ends})  # type: ignore[dict-item]


def test_the_repr_is_one_line() -> None:
    assert repr(Catalog((profile("a"), profile("b")), name="two")) == (
        "Catalog('two', 2 models: a, b)"
    )
