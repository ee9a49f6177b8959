"""Eq. 3 and Eq. 4 of the HyDRA paper: values worked out by hand, and what must always hold."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from hydra_nb.catalog import Catalog
from hydra_nb.cli import main
from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import CatalogError, InvalidInputError
from hydra_nb.profile import Evidence, ModelProfile
from hydra_nb.profiling import (
    capabilities_from_evidence,
    compensated_weights,
    describe_evidence,
    profiled,
    profiled_text,
    read_band,
)

BAND = {
    "reasoning": (0.1, 0.5),
    "code_generation": (0.0, 1.0),
    "debugging": (0.2, 0.6),
    "tool_use": (0.3, 0.9),
}
LOW = np.array([0.1, 0.0, 0.2, 0.3])
HIGH = np.array([0.5, 1.0, 0.6, 0.9])


def figure(dimension: str, score: float, weight: float = 1.0, **more: str) -> Evidence:
    fields = {"benchmark": "Bench", "source": "a test", "date": "2026-01", **more}
    return Evidence(dimension=dimension, score=score, weight=weight, **fields)


def pool(rows: list[list[float]]) -> list[list[Evidence]]:
    return [[figure(d, s) for d, s in zip(DIMENSIONS, row, strict=True)] for row in rows]


def profile(name: str, scores: list[float]) -> ModelProfile:
    return ModelProfile(
        name=name,
        provider="test",
        **dict.fromkeys(DIMENSIONS, 0.5),
        usd_per_mtok_input=1.0,
        usd_per_mtok_output=2.0,
        context_window=1000,
        evidence=tuple(pool([scores])[0]),
    )


scores = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)
pools = st.lists(st.lists(scores, min_size=4, max_size=4), min_size=1, max_size=8)
unequal_pools = pools.filter(lambda rows: all(np.ptp(np.array(rows), axis=0) > 0))


@st.composite
def bands(draw: st.DrawFn) -> dict[str, tuple[float, float]]:
    ends = st.lists(scores, min_size=2, max_size=2, unique=True)
    return {name: (min(pair), max(pair)) for name in DIMENSIONS if (pair := draw(ends))}


# -- Eq. 3 -----------------------------------------------------------------------------------


def test_eq_3_gives_the_values_worked_out_by_hand() -> None:
    # Reasoning: means (0.6 + 2 · 0.9) / 3 = 0.8, 0.4 and 0.6, so positions 1, 0 and 1/2 of
    # [0.1, 0.5]. The others: positions 0, 1/4 and 1 of their bands.
    rest = [[0.2, 0.2, 0.2], [0.4, 0.4, 0.4], [1.0, 1.0, 1.0]]
    reasoning = [
        [figure("reasoning", 0.6), figure("reasoning", 0.9, 2.0)],
        [figure("reasoning", 0.4)],
        [figure("reasoning", 0.6)],
    ]
    evidence = [
        first + [figure(d, s) for d, s in zip(DIMENSIONS[1:], others, strict=True)]
        for first, others in zip(reasoning, rest, strict=True)
    ]
    expected = [[0.5, 0.0, 0.2, 0.3], [0.1, 0.25, 0.3, 0.45], [0.3, 1.0, 0.6, 0.9]]
    assert_allclose(capabilities_from_evidence(evidence, BAND), expected, atol=1e-12)


def test_a_pool_of_equals_gets_the_high_end() -> None:
    evidence = pool([[0.3] * 4, [0.3] * 4])
    assert_allclose(capabilities_from_evidence(evidence, BAND), [HIGH, HIGH])


def test_an_empty_pool_gives_no_rows() -> None:
    assert capabilities_from_evidence([], BAND).shape == (0, 4)


def test_a_missing_dimension_is_refused_with_model_and_dimension() -> None:
    evidence = pool([[0.1] * 4, [0.2] * 4])
    evidence[1] = [row for row in evidence[1] if row.dimension != "debugging"]
    with pytest.raises(CatalogError, match=r"'second'.*evidence\.debugging"):
        capabilities_from_evidence(evidence, BAND, names=["'first'", "'second'"])


@pytest.mark.parametrize("ends", [(0.5, 0.5), (0.6, 0.2), (-0.1, 0.5), (0.1, 1.1), (0.1, np.nan)])
def test_a_bad_band_is_refused_with_its_dimension(ends: tuple[float, float]) -> None:
    with pytest.raises(CatalogError, match=r"capability_band\.debugging"):
        capabilities_from_evidence(pool([[0.1] * 4]), {**BAND, "debugging": ends})


@given(unequal_pools, bands())
def test_weakest_and_strongest_land_on_the_ends(
    rows: list[list[float]], band: dict[str, tuple[float, float]]
) -> None:
    capabilities = capabilities_from_evidence(pool(rows), band)
    assert_allclose(capabilities.min(axis=0), [band[d][0] for d in DIMENSIONS], rtol=0, atol=0)
    assert_allclose(capabilities.max(axis=0), [band[d][1] for d in DIMENSIONS], rtol=0, atol=0)


@given(pools, bands())
def test_order_of_scores_is_order_of_capabilities(
    rows: list[list[float]], band: dict[str, tuple[float, float]]
) -> None:
    means, capabilities = np.array(rows), capabilities_from_evidence(pool(rows), band)
    stronger = means[:, None] > means[None]
    above = capabilities[:, None] > capabilities[None]
    assert (above == stronger).all()


@given(unequal_pools, st.floats(0.1, 1.0), st.floats(0.0, 1.0))
def test_an_affine_change_of_the_benchmark_scale_changes_nothing(
    rows: list[list[float]], slope: float, share: float
) -> None:
    changed = slope * np.array(rows) + share * (1 - slope)
    assert_allclose(
        capabilities_from_evidence(pool(np.clip(changed, 0, 1).tolist()), BAND),
        capabilities_from_evidence(pool(rows), BAND),
        atol=1e-9,
    )


@given(pools, st.lists(scores, min_size=4, max_size=4))
def test_adding_a_stronger_model_never_raises_the_others(
    rows: list[list[float]], surplus: list[float]
) -> None:
    strongest = np.array(rows).max(axis=0)
    newcomer = np.minimum(strongest + surplus, 1).tolist()
    before = capabilities_from_evidence(pool(rows), BAND)
    after = capabilities_from_evidence(pool([*rows, newcomer]), BAND)
    assert (after[:-1] <= before + 1e-12).all()


@given(unequal_pools)
def test_scaling_all_weights_changes_nothing(rows: list[list[float]]) -> None:
    heavy = [[row.model_copy(update={"weight": 7.0}) for row in rows] for rows in pool(rows)]
    assert_allclose(
        capabilities_from_evidence(heavy, BAND),
        capabilities_from_evidence(pool(rows), BAND),
        atol=1e-9,
    )


# -- catalogs --------------------------------------------------------------------------------


def catalog() -> Catalog:
    profiles = (profile("weak", [0.0] * 4), profile("mid", [0.1] * 4), profile("strong", [0.3] * 4))
    return Catalog(profiles, capability_band=BAND)


def test_profiled_rounds_to_three_decimals() -> None:
    # The middle model stands at a third of each band: 0.1 + 0.4 / 3 = 0.2333…
    assert profiled(catalog())["mid"].capabilities.tolist() == [0.233, 0.333, 0.333, 0.5]


def test_profiled_takes_the_band_of_the_catalog_unless_another_is_given() -> None:
    band = {name: (0.0, 0.3) for name in DIMENSIONS}
    assert profiled(catalog(), band)["mid"].capabilities.tolist() == [0.1] * 4


def test_another_band_becomes_the_band_of_the_result() -> None:
    band = {name: (0.0, 0.3) for name in DIMENSIONS}
    assert profiled(catalog(), band).capability_band == band


def test_profiled_without_any_band_is_refused() -> None:
    with pytest.raises(CatalogError, match="capability_band"):
        profiled(replace(catalog(), capability_band=None))


def test_profiled_changes_nothing_the_second_time() -> None:
    assert profiled(profiled(catalog())) == profiled(catalog())


# -- Eq. 4 -----------------------------------------------------------------------------------


def test_eq_4_gives_the_values_worked_out_by_hand() -> None:
    # w / width = 1/0.4, 2/1, 0.4/0.4, 0.6/0.6 = 2.5, 2, 1, 1 with sum 6.5; Σ w = 4.
    expected = np.array([2.5, 2.0, 1.0, 1.0]) * 4 / 6.5
    assert_allclose(compensated_weights([1.0, 2.0, 0.4, 0.6], BAND), expected)


def test_equal_widths_leave_the_weights_alone() -> None:
    band = {name: (0.1, 0.6) for name in DIMENSIONS}
    assert_allclose(compensated_weights([1.0, 0.0, 3.0, 0.5], band), [1.0, 0.0, 3.0, 0.5])


def test_no_weights_means_all_one() -> None:
    assert_allclose(compensated_weights(None, BAND), compensated_weights([1.0] * 4, BAND))


@given(st.lists(st.floats(0, 100), min_size=4, max_size=4), bands())
def test_compensation_keeps_the_sum_of_the_weights(
    weights: list[float], band: dict[str, tuple[float, float]]
) -> None:
    assume(sum(weights) > 1e-6)
    assert_allclose(compensated_weights(weights, band).sum(), sum(weights), rtol=1e-9)


@given(bands())
def test_a_narrower_band_never_weighs_less(band: dict[str, tuple[float, float]]) -> None:
    weights = compensated_weights(None, band)
    widths = np.array([band[d][1] - band[d][0] for d in DIMENSIONS])
    assert (np.diff(weights[np.argsort(widths)]) <= 1e-9).all()


def test_bad_weights_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="debugging"):
        compensated_weights({"debugging": -1.0}, BAND)


# -- comments and files ----------------------------------------------------------------------


def test_evidence_is_described_with_estimates_and_weights() -> None:
    rows = (
        figure("reasoning", 0.5, benchmark="A, part one"),
        figure("reasoning", 0.25, 2.0, benchmark="B", estimate="no published run; a guess"),
    )
    described = describe_evidence(profile("m", [0.1] * 4).changed(evidence=rows), "reasoning")
    assert described == "A 0.500, B ≈ 0.250 × 2 (estimate) → Eq. 3"


TEXT = """\
# on top
name: tiny
capability_band:
  reasoning: [0.1, 0.5]
  code_generation: [0.0, 1.0]
  debugging: [0.2, 0.6]
  tool_use: [0.3, 0.9]
models:
  # the weak one
  - name: weak
    provider: test
    reasoning: 0.5  # Bench 0.700 → Eq. 3
    code_generation: 0.5  # my own words
    debugging: 0.5
    tool_use: 0.5
    usd_per_mtok_input: 1.50  # a price
    usd_per_mtok_output: 2.0
    context_window: 1000
    evidence:
      - {dimension: reasoning, benchmark: Bench, score: 0.1, source: s, date: "2026"}
      - {dimension: code_generation, benchmark: Bench, score: 0.2, source: s, date: "2026"}
      - {dimension: debugging, benchmark: Bench, score: 0.3, source: s, date: "2026"}
      - {dimension: tool_use, benchmark: Bench, score: 0.4, source: s, date: "2026"}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(TEXT, encoding="utf-8")
    return file


def test_rewriting_touches_capabilities_and_their_comments_only(path: Path) -> None:
    expected = (
        TEXT.replace("reasoning: 0.5  # Bench 0.700 →", "reasoning: 0.5  # Bench 0.100 →")
        .replace("code_generation: 0.5  #", "code_generation: 1.0  #")
        .replace("debugging: 0.5\n", "debugging: 0.6  # Bench 0.300 → Eq. 3\n")
        .replace("tool_use: 0.5\n", "tool_use: 0.9  # Bench 0.400 → Eq. 3\n")
    )
    assert main(["catalog", "profile", str(path)]) == 0
    assert path.read_text(encoding="utf-8") == expected


def test_rewriting_twice_changes_nothing_more(path: Path) -> None:
    once = profiled_text(Catalog.load(path))
    path.write_text(once, encoding="utf-8")
    assert profiled_text(Catalog.load(path)) == once


def test_models_in_flow_style_are_recomputed_without_comments(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entry = json.loads(profile("m", [0.1] * 4).model_dump_json())
    document = {"capability_band": {k: list(v) for k, v in BAND.items()}, "models": [entry]}
    file = tmp_path / "flow.yaml"
    file.write_text(json.dumps(document), encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        assert main(["catalog", "profile", str(file)]) == 0
    assert_allclose(Catalog.load(file).capability_matrix(), [HIGH])
    assert "left as they are" in caplog.text


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_band_file_gives_the_new_band(path: Path, wrapped: bool) -> None:
    band = {name: [0.25, 0.75] for name in DIMENSIONS}
    file = path.with_name("manifest.json")
    file.write_text(json.dumps({"score_band": band, "format": 1} if wrapped else band))
    assert main(["catalog", "profile", str(path), "--band", str(file)]) == 0
    rewritten = Catalog.load(path)
    assert rewritten.capability_band == {name: (0.25, 0.75) for name in DIMENSIONS}
    assert_allclose(rewritten.capability_matrix(), [[0.75] * 4])


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"score_band": {"reasoning": [0.1, 0.5]}}', '{"score_band": 3}']
)
def test_a_bad_band_file_is_refused_by_name(tmp_path: Path, content: str) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(content)
    with pytest.raises(CatalogError, match=r"manifest\.json"):
        read_band(file)


def test_a_refused_file_leaves_every_file_alone(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = path.with_name("broken.yaml")
    broken.write_text("models: 3\n", encoding="utf-8")
    assert main(["catalog", "profile", str(path), str(broken)]) == 2
    assert path.read_text(encoding="utf-8") == TEXT
    assert "broken.yaml" in capsys.readouterr().err
