from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import CheckpointError, InvalidInputError
from hydra_nb.predictor import Predictor
from hydra_nb.predictor.calibration import Calibration, fit_calibration, isotonic
from hydra_nb.predictor.metrics import coverage, spearman
from hydra_nb.requirements import Requirements


def data(seed: int = 0, n: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return targets, scores that are too low, expected errors half of the true ones, distance."""
    generator = np.random.default_rng(seed)
    targets = generator.uniform(0, 1, (n, 4))
    sizes = generator.uniform(0.02, 0.1, (n, 4))
    scores = np.clip(targets**2 + generator.normal(0, sizes), 0, 1)
    return targets, scores, sizes / 2, generator.uniform(0.5, 1.5, n)


def test_no_calibration_changes_nothing() -> None:
    raw = np.random.default_rng(0).uniform(0, 1, (20, 4))
    assert np.allclose(Calibration.none().scores(raw), raw)


def test_calibration_lowers_the_error_of_prompts_it_has_not_seen() -> None:
    fitted = fit_calibration(*data(0))
    targets, scores, _, _ = data(1)
    before, after = (np.abs(s - targets).mean() for s in (scores, fitted.scores(scores)))
    assert after < before / 2


def test_calibration_leaves_calibrated_scores_alone() -> None:
    targets, _, error, distance = data(0)
    noisy = np.clip(targets + np.random.default_rng(5).normal(0, 0.05, targets.shape), 0, 1)
    fitted = fit_calibration(targets, noisy, error, distance)
    assert np.abs(fitted.scores(noisy) - noisy).mean() < 0.01


def test_spread_covers_about_four_fifths_of_unseen_labels() -> None:
    fitted = fit_calibration(*data(0))
    targets, scores, error, _ = data(1)
    requirements = Requirements(fitted.scores(scores), spread=fitted.spread(error))
    report = coverage(targets, requirements)
    assert all(0.74 < report[name]["within"] < 0.86 for name in DIMENSIONS)


def test_few_prompts_leave_the_scores_and_fit_spread_and_domain() -> None:
    fitted = fit_calibration(*data(0, n=50))
    assert fitted.knots == Calibration.none().knots
    assert fitted.spread_factor != Calibration.none().spread_factor
    assert np.isfinite(fitted.largest_distance)


def test_a_handful_of_prompts_calibrates_nothing() -> None:
    assert fit_calibration(*data(0, n=19)) == Calibration.none()


def test_without_calibration_a_spread_covers_four_fifths_of_laplace_errors() -> None:
    errors = np.random.default_rng(0).laplace(0, 0.1, (4000, 4))
    spread = Calibration.none().spread(np.full((4000, 4), 0.1))
    assert np.abs((np.abs(errors) <= spread).mean() - 0.8) < 0.01


@given(st.integers(0, 40))
def test_a_calibration_of_tiny_scores_can_be_read_again(seed: int) -> None:
    targets, scores, error, distance = data(seed, n=200)
    fitted = fit_calibration(targets, scores**12, error, distance)
    assert Calibration.from_json(fitted.to_json(), "manifest.json") == fitted


@given(st.integers(0, 50))
def test_calibrated_scores_keep_their_order(seed: int) -> None:
    fitted = fit_calibration(*data(seed, n=200))
    raw = np.sort(np.random.default_rng(seed).uniform(0, 1, (50, 4)), axis=0)
    assert (np.diff(fitted.scores(raw), axis=0) >= -1e-12).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7), st.integers(0, 99))
def test_isotonic_is_the_nearest_ascending_sequence(values: list[float], seed: int) -> None:
    given_values = np.array(values)
    weights = np.random.default_rng(seed).uniform(0.5, 2, len(values))
    found = isotonic(given_values, weights)
    assert (np.diff(found) >= -1e-12).all()
    # by brute force over all ways to cut the sequence into constant blocks
    best = np.inf
    for cuts in range(2 ** (len(values) - 1)):
        blocks = np.split(
            np.arange(len(values)), [i + 1 for i in range(len(values) - 1) if cuts >> i & 1]
        )
        means = [np.average(given_values[b], weights=weights[b]) for b in blocks]
        if all(a <= b + 1e-12 for a, b in pairwise(means)):
            filled = np.concatenate(
                [np.full(len(b), m) for b, m in zip(blocks, means, strict=True)]
            )
            best = min(best, float((weights * (filled - given_values) ** 2).sum()))
    assert float((weights * (found - given_values) ** 2).sum()) == pytest.approx(best, abs=1e-9)


def test_a_calibration_survives_a_manifest() -> None:
    fitted = fit_calibration(*data(0))
    again = Calibration.from_json(json.loads(json.dumps(fitted.to_json())), "manifest.json")
    assert again == fitted


@pytest.mark.parametrize(
    "change",
    [
        {"knots": {}},
        {"knots": {name: [[0.0, 0.0], [0.0, 1.0]] for name in DIMENSIONS}},
        {"knots": {name: [[0.0, 1.0], [0.9, 0.1]] for name in DIMENSIONS}},
        {"spread_factor": dict.fromkeys(DIMENSIONS, -1.0)},
        {"spread_factor": dict.fromkeys(DIMENSIONS, "wide")},
        {"largest_distance": 0.0},
    ],
)
def test_a_damaged_calibration_is_refused(change: dict[str, Any]) -> None:
    content = Calibration.none().to_json() | change
    with pytest.raises(CheckpointError, match=r"manifest\.json: calibration"):
        Calibration.from_json(content, "manifest.json")


def test_spearman_shares_ranks_among_ties() -> None:
    # ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: Pearson 4.5 / sqrt(4.5 * 5)
    found = spearman(np.array([1.0, 2.0, 2.0, 3.0]), np.arange(4.0))
    assert found == pytest.approx(4.5 / np.sqrt(4.5 * 5.0))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"spread": [[0.1, 0.1]]}, "spread have shape"),
        ({"spread": [[0.1] * 4] * 2}, r"spread has shape \(2, 4\)"),
        ({"spread": [[0.1, 0.1, 0.1, float("nan")]]}, "spread row 0, tool_use"),
        ({"out_of_domain": [1]}, "must be 1 booleans"),
        ({"out_of_domain": [True, False]}, "must be 1 booleans"),
    ],
)
def test_a_wrong_spread_or_flag_is_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Requirements([[0.1, 0.2, 0.3, 0.4]], **more)


def test_requirements_with_another_spread_are_not_equal() -> None:
    plain, spread = Requirements([[0.1] * 4]), Requirements([[0.1] * 4], spread=[[0.2] * 4])
    assert plain != spread
    assert spread == Requirements([[0.1] * 4], spread=[[0.2] * 4])


def test_the_shipped_predictor_gives_spread_and_domain(shipped: Predictor) -> None:
    found = shipped.predict(["Why does this test hang only on CI?", "Hello"])
    assert found.spread is not None
    assert found.out_of_domain is not None
    assert found.spread.shape == (2, 4)
    assert not found.out_of_domain.any()


def test_scripts_that_nobody_trained_on_are_out_of_domain(shipped: Predictor) -> None:
    found = shipped.predict(["ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ᎠᎴ ᎤᏪᏘ " * 8, "ᐃᓄᒃᑎᑐᑦ ᐅᖃᐅᓯᖅ ᓄᓇᕗᑦ " * 8])
    assert found.out_of_domain is not None
    assert found.out_of_domain.all()
