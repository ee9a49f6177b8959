from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given

from hydra_nb import DIMENSIONS, Catalog, InvalidInputError, Requirements, RoutingProblem, formulate
from hydra_nb.matching import assign
from hydra_nb.sensitivity import Flip, flips, smallest_flip
from tests.strategies import profile
from tests.test_sensitivity_price import problems

CHEAP = profile("gpt-x", (0.5,) * 4, usd_per_mtok_output=0.0, usd_per_mtok_input=1.25)
OTHER = profile("other", (0.7,) * 4, usd_per_mtok_output=0.0, usd_per_mtok_input=0.8)


def changed(problem: RoutingProblem, model: str | None, field: str, value: float) -> str | None:
    """Return who is chosen with one number changed."""
    if model is None:
        return assign(problem.at(value)).names[0]
    catalog = problem.catalog.replace(model, **{field: value})
    return assign(problem.against(catalog)).names[0]


def margin(problem: RoutingProblem, flip: Flip) -> float:
    """Return a distance that is well beyond the tolerance of matching."""
    if flip.kind == "price":
        return 1e-5
    if flip.kind == "tau":
        return 1e-8
    return 1e-7 / float(problem.effective_weights[DIMENSIONS.index(flip.field)])


def numbers(problem: RoutingProblem, chosen: str) -> Iterator[tuple[str | None, str, float, list]]:
    """Yield (model, field, old value, values to try in the direction that may flip)."""
    yield None, "tau", problem.tau, [*np.linspace(0, 5, 51)]
    for p in problem.catalog:
        for field in ("usd_per_mtok_input", "usd_per_mtok_output"):
            old = getattr(p, field)
            grid = [0.0, 0.05, 0.2, 0.5, 0.9, 1.3, 2.0, 5.0, 20.0, 4e3, 5e5]
            yield p.name, field, old, [v for v in grid if (v > old) == (p.name == chosen)]
        for field in DIMENSIONS:
            old = getattr(p, field)
            grid = [k / 20 for k in range(21)]
            yield p.name, field, old, [v for v in grid if (v < old) == (p.name == chosen)]


@given(problems(max_queries=1))
def test_each_flip_applied_gives_the_model_it_names(problem: RoutingProblem) -> None:
    for flip in flips(problem):
        assert flip.chosen_before == assign(problem).names[0]
        assert flip.chosen_after != flip.chosen_before
        assert assign(flip.applied(problem)).names[0] == flip.chosen_after


@given(problems(max_queries=1))
def test_just_before_its_boundary_nothing_has_flipped(problem: RoutingProblem) -> None:
    for flip in flips(problem):
        if flip.kind == "availability":
            continue
        before = float(flip.new)
        if flip.at_boundary:
            up = flip.new > flip.old
            before += -margin(problem, flip) if up else margin(problem, flip)
            if (before > flip.old) != up:
                continue  # the boundary is nearer than the tolerance
        assert changed(problem, flip.model, flip.field, before) == flip.chosen_before


@given(problems(max_queries=1))
def test_no_change_before_a_flip_and_none_without_one_alters_the_choice(
    problem: RoutingProblem,
) -> None:
    chosen = assign(problem).names[0]
    if chosen is None:
        return
    found: dict[tuple[str | None, str], list[Flip]] = {}
    for flip in flips(problem):
        found.setdefault((flip.model, flip.field), []).append(flip)
    for model, field, old, values in numbers(problem, chosen):
        known = found.get((model, field), [])
        for value in values:
            # Where the flip lies in the direction of this value, only what lies before it counts.
            passed = any(
                (value > old) == (flip.flipped_value > old)
                and abs(value - old) >= abs(float(flip.new) - old) - margin(problem, flip)
                for flip in known
            )
            if not passed:
                assert changed(problem, model, field, float(value)) == chosen


@given(problems(max_queries=1))
def test_a_flip_by_availability_is_listed_exactly_where_there_is_one(
    problem: RoutingProblem,
) -> None:
    chosen = assign(problem).names[0]
    listed = {f.model: f.chosen_after for f in flips(problem) if f.kind == "availability"}
    expected = {}
    for p in problem.catalog:
        other = problem.catalog.replace(p.name, available=not p.available)
        after = assign(problem.against(other)).names[0]
        if after != chosen:
            expected[p.name] = after
    assert listed == expected


@given(problems(max_queries=1))
def test_flips_come_smallest_first(problem: RoutingProblem) -> None:
    sizes = [flip.size for flip in flips(problem)]
    assert sizes == sorted(sizes)


def test_a_price_flip_says_the_boundary_the_price_now_and_the_change() -> None:
    problem = formulate(Requirements.of(), Catalog((OTHER, CHEAP)), tokens_input=1000)
    (flip,) = [f for f in flips(problem) if f.model == "gpt-x" and f.kind == "price"]
    # At $0.80 both cost the same, are short of nothing, and gpt-x sorts first.
    assert flip.sentence == ("gpt-x wins once its input price falls to $0.80, now $1.25 (−36 %)")


def test_a_price_flip_just_beyond_the_boundary_says_below() -> None:
    pool = Catalog((OTHER, CHEAP.changed(name="z")))
    problem = formulate(Requirements.of(), pool, tokens_input=1000)
    (flip,) = [f for f in flips(problem) if f.model == "z" and f.kind == "price"]
    assert not flip.at_boundary
    assert flip.sentence == "z wins once its input price falls below $0.80, now $1.25 (−36 %)"


def test_a_dearer_chosen_model_hands_over_to_its_runner_up() -> None:
    problem = formulate(Requirements.of(), Catalog((OTHER, CHEAP)), tokens_input=1000)
    (flip,) = [f for f in flips(problem) if (f.model, f.field) == ("other", "usd_per_mtok_input")]
    assert (flip.new, flip.at_boundary, flip.size) == (1.25, True, pytest.approx(0.5625))
    assert flip.sentence == (
        "gpt-x takes over once other's input price reaches $1.25, now $0.80 (+56 %)"
    )


def test_a_capability_flip_by_hand() -> None:
    # The query needs 0.7 of reasoning with τ = 0.1: cheap, at 0.5, must reach 0.6.
    cheap = OTHER.changed(name="cheap", reasoning=0.5)
    dear = CHEAP.changed(name="dear", reasoning=0.9)
    problem = formulate(
        Requirements.of(reasoning=0.7), Catalog((cheap, dear)), tau=0.1, tokens_input=10
    )
    (flip,) = [f for f in flips(problem) if f.model == "cheap" and f.kind == "capability"]
    assert (flip.field, flip.new, flip.at_boundary) == ("reasoning", 0.6, True)
    assert flip.sentence == "cheap wins once its reasoning reaches 0.6, now 0.5 (+0.1)"
    (tau,) = [f for f in flips(problem) if f.kind == "tau"]
    assert tau.sentence == "cheap wins once τ reaches 0.2, now 0.1 (+0.1)"


def test_the_chosen_model_may_fall_to_the_requirement_less_tau() -> None:
    cheap = OTHER.changed(name="cheap", reasoning=0.8)
    dear = CHEAP.changed(name="dear", reasoning=0.9)
    problem = formulate(
        Requirements.of(reasoning=0.7), Catalog((cheap, dear)), tau=0.1, tokens_input=10
    )
    (flip,) = [f for f in flips(problem) if f.model == "cheap" and f.kind == "capability"]
    assert flip.sentence == "dear takes over once cheap's reasoning falls below 0.6, now 0.8 (−0.2)"


def test_capabilities_are_edited_as_they_are_in_a_catalog_with_a_band() -> None:
    band = {name: (0.1, 0.5 + 0.1 * k) for k, name in enumerate(DIMENSIONS)}
    cheap = OTHER.changed(name="cheap", reasoning=0.5)
    dear = CHEAP.changed(name="dear", reasoning=0.9)
    pool = Catalog((cheap, dear), capability_band=band)
    problem = formulate(Requirements.of(reasoning=0.7), pool, tau=0.1, tokens_input=10)
    (flip,) = [f for f in flips(problem) if f.model == "cheap" and f.kind == "capability"]
    assert flip.new == pytest.approx(0.7 - 0.1 / problem.effective_weights[0])
    assert assign(flip.applied(problem)).names == ("cheap",)


def test_the_last_model_switched_off_leaves_nobody() -> None:
    flip = smallest_flip(formulate(Requirements.of(), Catalog((CHEAP,)), tokens_input=10))
    assert flip is not None
    assert flip.sentence == "no model is left if gpt-x is switched off"


def test_a_model_that_is_off_can_win_by_being_switched_on() -> None:
    pool = Catalog((CHEAP, OTHER.changed(available=False)))
    listed = [f.sentence for f in flips(formulate(Requirements.of(), pool, tokens_input=10))]
    assert "other wins if it is switched on" in listed


def test_from_a_price_of_zero_the_relative_size_is_infinite() -> None:
    pool = Catalog((CHEAP.changed(usd_per_mtok_input=0.0), OTHER))
    (flip,) = [
        f
        for f in flips(formulate(Requirements.of(), pool, tokens_input=10, tokens_output=0))
        if f.model == "gpt-x" and f.kind == "price"
    ]
    assert flip.size == math.inf
    assert flip.sentence.endswith("rises above $0.80, now $0")


def test_without_models_nothing_can_flip() -> None:
    assert smallest_flip(formulate(Requirements.of(), Catalog(()))) is None


def test_flips_of_many_queries_are_refused_with_what_to_do() -> None:
    problem = formulate(Requirements([[0.5] * 4] * 2), Catalog((CHEAP,)))
    with pytest.raises(InvalidInputError, match=r"received 2 \(problem\.rows"):
        flips(problem)


def test_flips_read_as_a_frame() -> None:
    problem = formulate(Requirements.of(), Catalog((OTHER, CHEAP)), tokens_input=1000)
    frame = flips(problem).to_frame()
    assert {"kind", "model", "new", "chosen_after", "sentence"} <= set(frame.columns)
