"""The catalogs that ship: complete, consistent with their own evidence, honest about estimates."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from numpy.testing import assert_array_equal

from hydra_nb import shipped
from hydra_nb.catalog import Catalog
from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.profile import Evidence
from hydra_nb.profiling import profiled, profiled_text

SIZES = {"paper_pool": range(5, 6), "open_and_local": range(8, 13), "market_20": range(20, 21)}
ESTIMATE_SOURCE = "hydra_nb estimate"


def file_of(name: str) -> Path:
    return shipped.folder("sample_catalogs") / f"{name}.yaml"


def figures(catalog: Catalog) -> list[Evidence]:
    return [row for profile in catalog for row in profile.evidence]


@pytest.fixture(params=sorted(SIZES))
def catalog(request: pytest.FixtureRequest) -> Catalog:
    return Catalog.sample(request.param)


def test_the_three_catalogs_ship() -> None:
    assert set(Catalog.sample_names()) == set(SIZES)


def test_it_has_the_promised_number_of_models(catalog: Catalog) -> None:
    assert len(catalog) in SIZES[catalog.name]


def test_saving_unchanged_is_byte_identical(catalog: Catalog, tmp_path: Path) -> None:
    catalog.save(tmp_path / "saved.yaml")
    assert (tmp_path / "saved.yaml").read_bytes() == file_of(catalog.name).read_bytes()


def test_capabilities_are_eq_3_of_the_evidence(catalog: Catalog) -> None:
    assert_array_equal(catalog.capability_matrix(), profiled(catalog).capability_matrix())


def test_comments_say_what_the_evidence_says(catalog: Catalog) -> None:
    assert profiled_text(catalog) == file_of(catalog.name).read_text(encoding="utf-8")


def test_header_fields_are_filled(catalog: Catalog) -> None:
    assert catalog.description
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", catalog.as_of)


def test_every_figure_has_source_and_date(catalog: Catalog) -> None:
    assert all(row.source.strip() and row.date for row in figures(catalog))


def test_every_estimate_has_a_reason_and_says_that_it_is_ours(catalog: Catalog) -> None:
    estimates = [row for row in figures(catalog) if row.estimate]
    assert all(len(row.estimate) >= 20 and row.source == ESTIMATE_SOURCE for row in estimates)


def test_no_published_figure_names_us_as_its_source(catalog: Catalog) -> None:
    assert all(row.source != ESTIMATE_SOURCE for row in figures(catalog) if not row.estimate)


def test_no_figure_is_dated_after_the_catalog(catalog: Catalog) -> None:
    assert all(row.date <= catalog.as_of for row in figures(catalog))


def test_all_models_share_the_benchmarks_of_a_dimension(catalog: Catalog) -> None:
    for dimension in DIMENSIONS:
        sets = {
            tuple(
                (row.benchmark, row.weight)
                for row in profile.evidence
                if row.dimension == dimension
            )
            for profile in catalog
        }
        assert len(sets) == 1, dimension


def test_one_run_gives_one_score() -> None:
    seen: dict[tuple[str, str], float] = {}
    for name in SIZES:
        for row in figures(Catalog.sample(name)):
            if not row.estimate and "paper" not in row.source:
                assert seen.setdefault((row.benchmark, row.source), row.score) == row.score


def test_only_models_of_your_own_machine_are_free(catalog: Catalog) -> None:
    for profile in catalog:
        free = profile.usd_per_mtok_input == 0 and profile.usd_per_mtok_output == 0
        paid = profile.usd_per_mtok_input > 0 and profile.usd_per_mtok_output > 0
        local = profile.name.endswith("-local")
        assert free if local else paid, profile.name


def test_models_of_your_own_machine_have_an_estimated_latency() -> None:
    local = [p for p in Catalog.sample("open_and_local") if p.usd_per_mtok_output == 0]
    assert local
    assert all(p.latency_ms and "Latency is an estimate" in p.notes for p in local)


def test_cached_tokens_cost_no_more_than_fresh_ones(catalog: Catalog) -> None:
    for profile in catalog:
        if profile.usd_per_mtok_cached_input is not None:
            assert profile.usd_per_mtok_cached_input <= profile.usd_per_mtok_input, profile.name


def test_names_differ_by_more_than_spelling(catalog: Catalog) -> None:
    plain = {re.sub(r"[^a-z0-9]", "", name.casefold()) for name in catalog.names}
    assert len(plain) == len(catalog)


def test_names_are_short_and_lower_case(catalog: Catalog) -> None:
    assert all(re.fullmatch(r"[a-z0-9.-]{2,24}", name) for name in catalog.names)


def test_paper_pool_is_the_pool_of_the_paper_at_its_prices() -> None:
    prices = {
        p.name: (p.usd_per_mtok_input, p.usd_per_mtok_output) for p in Catalog.sample("paper_pool")
    }
    assert prices == {
        "gpt-5.4-mini": (0.75, 4.5),
        "claude-haiku-4.5": (1.0, 5.0),
        "gpt-5.3-codex": (1.75, 14.0),
        "gpt-5.4": (2.5, 15.0),
        "claude-sonnet-4.6": (3.0, 15.0),
    }


def test_market_20_switches_one_model_off_and_says_why() -> None:
    off = [p for p in Catalog.sample("market_20") if not p.available]
    assert len(off) == 1
    assert off[0].notes


def test_no_model_is_best_on_every_dimension_at_the_lowest_price(catalog: Catalog) -> None:
    cheapest = min(catalog, key=lambda p: p.usd_per_mtok_input + p.usd_per_mtok_output)
    assert (cheapest.capabilities < catalog.capability_matrix().max(axis=0)).any()


def test_the_readme_counts_what_the_files_hold(catalog: Catalog) -> None:
    readme = (shipped.folder("sample_catalogs") / "README.md").read_text(encoding="utf-8")
    published = sum(not row.estimate for row in figures(catalog))
    estimated = sum(bool(row.estimate) for row in figures(catalog))
    assert f"| `{catalog.name}` | {len(catalog)} | {published} | {estimated} |" in readme
