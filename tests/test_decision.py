from __future__ import annotations

import json
import math

import pytest
from hypothesis import given

from hydra_nb import Catalog, InvalidInputError, Requirements, Standing, decide, match
from hydra_nb.gap_text import format_gap, short_dimensions
from hydra_nb.money import format_usd
from hydra_nb.tokens import estimate_tokens
from tests.strategies import catalogs, profile, requirements, taus

POOL = Catalog(
    (
        profile("cheap", (0.2,) * 4, usd_per_mtok_input=0.1, usd_per_mtok_output=0.4),
        profile("middle", (0.6, 0.6, 0.5, 0.5)),
        profile("strong", (0.9,) * 4, usd_per_mtok_input=3.0, usd_per_mtok_output=15.0),
        profile("off", (1.0,) * 4, available=False),
        profile("narrow", (0.9,) * 4, context_window=100),
    )
)
HARD = Requirements.of(reasoning=0.55, debugging=0.5)


def reasons(**options: object) -> dict[str, str]:
    decision = decide(HARD, POOL, tokens_input=1_000, **options)  # type: ignore[arg-type]
    return {candidate.name: candidate.reason for candidate in decision.candidates}


def test_every_candidate_says_why_it_was_chosen_or_not() -> None:
    assert reasons(tau=0.05) == {
        "cheap": "short on reasoning by 0.35, debugging by 0.30",
        "middle": "chosen",
        # (1000 × 3 + 500 × 15) − (1000 × 1 + 500 × 4) = 7,500 µUSD a prompt
        "strong": "meets all · +$7.50 / 1k",
        "off": "switched off",
        "narrow": "context too small: 1,500 tokens needed, 100 fit",
    }


def test_a_candidate_that_cannot_read_the_input_says_so() -> None:
    pool = POOL.replace("strong", modalities=["text", "image"])
    decision = decide(HARD, pool, modalities=("text", "image"))
    assert decision.candidates[1].reason == "does not read image"
    assert decision.chosen is not None
    assert decision.chosen.name == "strong"


def test_a_chosen_model_within_tau_says_on_what_it_is_short() -> None:
    decision = decide(Requirements.of(reasoning=0.65), POOL, tau=0.1, tokens_input=1_000)
    assert decision.chosen is not None
    assert decision.chosen.reason == "chosen · short on reasoning by 0.05"
    assert decision.explanation == "Cheapest model within τ = 0.10 (short on reasoning by 0.05)."


def test_failing_open_names_what_lacks_and_the_tau_that_would_do() -> None:
    decision = decide(Requirements.of(tool_use=1.0), POOL, tau=0.01, tokens_input=1_000)
    assert decision.failed_open
    assert "short on tool use by 0.10" in decision.explanation
    assert "From τ = 0.10 on" in decision.explanation


def test_a_model_that_falls_as_little_short_is_not_called_within_tau() -> None:
    twins = Catalog((profile("a", (0.5,) * 4), profile("b", (0.5,) * 4, usd_per_mtok_input=2.0)))
    decision = decide(Requirements.of(debugging=0.7), twins, tau=0.05, tokens_input=1_000)
    assert decision.candidates[1].reason == (
        "no model is within τ, as close (shortfall 0.20), short on debugging by 0.20 · +$1.00 / 1k"
    )


def test_all_models_off_is_said_and_not_raised() -> None:
    off = Catalog(tuple(p.changed(available=False) for p in POOL))
    decision = decide(HARD, off)
    assert decision.chosen is None
    assert decision.runner_up is None
    assert repr(decision) == "Decision: no model available"
    assert "switched off" in decision.explanation
    assert math.isnan(decision.cost_micro_usd)


def test_the_saving_is_against_the_strongest_model_that_may_serve() -> None:
    decision = decide(HARD, POOL, tau=0.05, tokens_input=1_000, tokens_output=500)
    assert decision.strongest is not None
    assert decision.strongest.name == "strong"
    # 1 − 3,000 / 10,500
    assert decision.saving == pytest.approx(1 - 3_000 / 10_500)


@given(catalogs(), requirements(max_queries=1), taus)
def test_the_runner_up_is_who_is_chosen_when_the_chosen_one_is_off(
    catalog: Catalog, needs: Requirements, tau: float
) -> None:
    decision = decide(needs, catalog, tau=tau)
    if decision.chosen is None:
        assert decision.runner_up is None
        return
    outage = match(needs, catalog.replace(decision.chosen.name, available=False), tau=tau)
    assert outage.names == (decision.runner_up.name if decision.runner_up else None,)


@given(catalogs(), requirements(max_queries=1), taus)
def test_standing_and_problem_tell_the_same_story(
    catalog: Catalog, needs: Requirements, tau: float
) -> None:
    decision = decide(needs, catalog, tau=tau)
    for index, candidate in enumerate(decision.candidates):
        eligible = bool(decision.problem.eligible[0, index])
        assert eligible == (candidate.standing in (Standing.CHOSEN, Standing.ELIGIBLE))
    json.dumps(decision.to_dict(), allow_nan=False)


def test_the_repr_is_one_readable_line() -> None:
    decision = decide(HARD, POOL, tau=0.05, tokens_input=1_000)
    assert repr(decision) == (
        "Decision: middle · $0.003 · shortfall 0.00 ≤ τ 0.05 · runner-up strong "
        "· 71% saved against strong"
    )


def test_the_notebook_display_escapes_names() -> None:
    pool = Catalog((profile("<script>alert(1)</script>"),))
    shown = decide(HARD, pool)._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_the_frame_has_one_row_a_candidate() -> None:
    frame = decide(HARD, POOL).to_frame()
    assert frame.index.tolist() == list(POOL.names)
    assert frame.loc["middle", "gap_reasoning"] == pytest.approx(0.05)


def test_decide_takes_one_query_only() -> None:
    with pytest.raises(InvalidInputError, match="one query; received 2"):
        decide(Requirements([[0.1] * 4] * 2), POOL)


@pytest.mark.parametrize(
    ("gap", "shown"),
    [
        (0.125, "✓ +0.12"),
        (-0.19, "✗ −0.19"),
        (0.0, "✓ 0.00"),
        (-1e-12, "✓ 0.00"),
        (0.001, "✓ 0.00"),
        (-0.003, "✗ −0.003"),
        (-0.0001, "✗ −0.001"),
    ],
)
def test_gaps_show_their_sign_and_never_minus_zero(gap: float, shown: str) -> None:
    assert format_gap(gap) == shown


def test_a_lack_below_a_hundredth_is_said_in_words() -> None:
    assert short_dimensions({"debugging": -0.002}) == "short on debugging by less than 0.01"


@pytest.mark.parametrize(
    ("micro_usd", "shown"),
    [
        (0, "$0"),
        (13_200_000, "$13.20"),
        (1_234_567_890, "$1,234.57"),
        (2_346, "$0.00235"),
        (500_000, "$0.50"),
        (-7_500_000, "−$7.50"),
        (999_999, "$1.00"),
        (float("nan"), "–"),
    ],
)
def test_money_reads_as_dollars(micro_usd: float, shown: str) -> None:
    assert format_usd(micro_usd) == shown


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 1), ("abcd", 1), ("abcde", 2), ("你好", 2), ("\ud800", 1)]
)
def test_input_tokens_are_a_quarter_of_the_bytes(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens
