"""A limit that must give: in words, and applied."""

from __future__ import annotations

import pytest

from hydra_nb.errors import InvalidInputError
from hydra_nb.solver import Constraints, RelaxedLimit

CASES = [
    (
        RelaxedLimit("max_requests", "a", 1200),
        "raise a's cap by 1,200 requests",
        Constraints(max_requests={"a": 3, "b": 4}),
        Constraints(max_requests={"a": 1203, "b": 4}),
    ),
    (
        RelaxedLimit("max_tokens", "a", 5, exact=False),
        "raise a's cap by at least 5 tokens",
        Constraints(max_tokens={"a": 0}),
        Constraints(max_tokens={"a": 5}),
    ),
    (
        RelaxedLimit("max_provider_share", "A", 0.125),
        "raise the largest share of A by 12.5 percentage points",
        Constraints(max_provider_share={"A": 0.25}),
        Constraints(max_provider_share={"A": 0.375}),
    ),
    (
        RelaxedLimit("max_provider_share", "A", 0.9),
        "raise the largest share of A by 90 percentage points",
        Constraints(max_provider_share={"A": 0.25}),
        Constraints(max_provider_share={"A": 1.0}),
    ),
    (
        RelaxedLimit("min_provider_share", "A", 0.25),
        "lower the least share of A by 25 percentage points",
        Constraints(min_provider_share={"A": 0.75}),
        Constraints(min_provider_share={"A": 0.5}),
    ),
    (
        RelaxedLimit("budget_usd", "", 2.5),
        "raise the budget by $2.50",
        Constraints(budget_usd=1.0, max_models=2),
        Constraints(budget_usd=3.5, max_models=2),
    ),
    (
        RelaxedLimit("max_mean_shortfall", "", 0.25, exact=False),
        "raise the mean shortfall by at least 0.25",
        Constraints(max_mean_shortfall=0.25),
        Constraints(max_mean_shortfall=0.5),
    ),
    (
        RelaxedLimit("min_share_within_tau", "", 0.5),
        "lower the share within τ by 50 percentage points",
        Constraints(min_share_within_tau=0.25),
        Constraints(min_share_within_tau=0.0),
    ),
    (
        RelaxedLimit("max_models", "", 2),
        "allow 2 more models",
        Constraints(max_models=1),
        Constraints(max_models=3),
    ),
]


@pytest.mark.parametrize(("limit", "words", "before", "after"), CASES)
def test_a_limit_says_and_does_what_must_give(
    limit: RelaxedLimit, words: str, before: Constraints, after: Constraints
) -> None:
    assert str(limit) == words
    assert limit.applied_to(before) == after


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (RelaxedLimit("budget_usd", "", 1.0), "there is no such limit among"),
        (RelaxedLimit("max_requests", "other", 1), "there is no such limit among"),
        (RelaxedLimit("blocks", "a · deal", 70), "70 more tokens .* offer another contract"),
        (RelaxedLimit("commitment", "a · deal", 7.0), r"by \$7.00: a term of a contract"),
    ],
)
def test_a_limit_that_is_not_there_cannot_give(limit: RelaxedLimit, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        limit.applied_to(Constraints(max_requests={"a": 1}))


@pytest.mark.parametrize(
    ("kind", "amount", "expected"),
    [
        ("max_requests", 2.0000001, 2),
        ("max_tokens", 2.01, 3),
        ("max_provider_share", 1.0, 0.3334),  # one of three requests
        ("budget_usd", 1_234_560.0, 1.24),
        ("max_mean_shortfall", 0.6, 0.2),
        ("commitment", 0.0, 0.0),
    ],
)
def test_what_is_typed_is_rounded_up(kind: str, amount: float, expected: float) -> None:
    found = RelaxedLimit.rounded_up(kind, "a", amount, requests=3)
    assert found.amount == pytest.approx(expected, rel=1e-12)
