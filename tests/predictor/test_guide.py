"""Hidden states of a larger network, learnt by a student."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hydra_nb.errors import InvalidInputError
from hydra_nb.predictor.architecture import RequirementNetwork
from hydra_nb.predictor.batches import Batch, training_batches
from hydra_nb.predictor.guide import Guide, unexplained
from hydra_nb.predictor.modernbert import as_modernbert
from hydra_nb.predictor.origin import guide_of
from hydra_nb.predictor.plan import TrainingPlan
from hydra_nb.predictor.recipe import train_checkpoint
from hydra_nb.predictor.students import thinned
from tests.predictor.conftest import (
    made_up_prompts,
    saved_tiny_network,
    tiny_network,
    tiny_tokenizer,
)

PLAN = TrainingPlan(epochs=1, tokens_per_batch=512, threads=1, weak_per_epoch=0, frozen_layers=0)


@pytest.fixture
def material() -> tuple[Any, list[Batch]]:
    """Return an untrained two-layer network, its first layer loud, and the batches of an epoch."""
    prompts = made_up_prompts()
    tokenizer = tiny_tokenizer([prompt.text for prompt in prompts])
    network = loud(tiny_network(tokenizer.tokenizer.get_vocab_size()).eval())
    return network, list(training_batches(prompts, tokenizer, PLAN, random.Random(0)))


def loud(network: RequirementNetwork) -> RequirementNetwork:
    with torch.no_grad():
        network.encoder.encoder.layer[0].output.dense.weight.mul_(50)
    return network


def missed_states(guide: Guide, student: Any, batches: list[Batch]) -> float:
    with torch.no_grad():
        return float(np.mean([float(guide.compared(student.eval(), b)[1]) for b in batches]))


def test_what_states_do_not_explain_is_a_share_of_their_variance() -> None:
    wanted = torch.tensor([[1.0, -2.0], [3.0, 2.0], [5.0, 6.0]])
    assert float(unexplained(wanted, wanted)) == 0
    assert float(unexplained(wanted.mean(dim=0).expand(3, 2), wanted)) == pytest.approx(1.0)


def test_a_student_that_lost_nothing_reproduces_every_state(
    material: tuple[Any, list[Batch]],
) -> None:
    network, batches = material
    guide = Guide.of_thinned(network, [0, 1])
    assert missed_states(guide, thinned(network, [0, 1]), batches) < 1e-9
    batch = batches[0]
    output, _ = guide.compared(thinned(network, [0, 1]), batch)
    assert torch.equal(output.logits, network(batch.ids, batch.mask).logits)


def test_a_kept_layer_is_led_to_what_the_next_kept_one_used_to_read(
    material: tuple[Any, list[Batch]],
) -> None:
    network, batches = material
    batch = batches[0]
    student = thinned(network, [1])
    states, kept = network.states(batch.ids, batch.mask), batch.mask.bool()
    wanted = float(unexplained(student.states(batch.ids, batch.mask)[1][kept], states[2][kept]))
    _, missed = Guide.of_thinned(network, [1]).compared(student, batch)
    assert float(missed) == pytest.approx(wanted)
    assert wanted > 0.1


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("modern", [False, True])
def test_training_by_a_guide_brings_the_states_nearer(bfloat16: bool, modern: bool) -> None:
    from hydra_nb.predictor.training import train

    prompts = made_up_prompts()
    tokenizer = tiny_tokenizer([prompt.text for prompt in prompts])
    network = loud(tiny_network(tokenizer.tokenizer.get_vocab_size()).eval())
    batches = list(training_batches(prompts, tokenizer, PLAN, random.Random(0)))
    before = thinned(network, [1])
    if modern:
        before = as_modernbert(before, batches)
    guide = Guide.of_thinned(network, [1])
    plan = replace(PLAN, epochs=8, learning_rate=3e-3, state_loss=4.0, bfloat16=bfloat16)
    after, unguided = (
        train(copy.deepcopy(before), tokenizer, prompts, plan=plan, progress=False, guide=its)[0]
        for its in (guide, None)
    )
    missed = missed_states(guide, after, batches)
    assert missed < 0.7 * missed_states(guide, before, batches)
    assert missed < 0.9 * missed_states(guide, unguided, batches)


def test_a_narrowed_student_learns_the_states_of_every_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[int]] = []
    real = Guide.of_thinned

    def seen(network: Any, layers: Any) -> Guide:
        asked.append(list(layers))
        return real(network, layers)

    monkeypatch.setattr(Guide, "of_thinned", seen)
    prompts = [replace(p, kind="labelled") for p in made_up_prompts()]
    start = saved_tiny_network(tmp_path / "start", prompts)
    predictor = train_checkpoint(
        prompts, tmp_path / "out", plan=replace(PLAN, state_loss=1.0), encoder=str(start),
        feed_forward=16, progress=False,
    )  # fmt: skip
    assert asked == [[0, 1]]
    assert predictor.manifest.encoder["intermediate"] == 16


def test_states_without_a_student_are_refused(tmp_path: Path) -> None:
    prompts = [replace(p, kind="labelled") for p in made_up_prompts()]
    start = saved_tiny_network(tmp_path / "start", prompts)
    with pytest.raises(InvalidInputError, match=r"state_loss needs a student .* received 1\.0"):
        train_checkpoint(
            prompts, tmp_path / "out", plan=replace(PLAN, state_loss=1.0), encoder=str(start),
            progress=False,
        )  # fmt: skip


def test_a_student_of_an_earlier_run_is_led_by_the_layers_it_was_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [replace(p, kind="labelled") for p in made_up_prompts()]
    start = str(saved_tiny_network(tmp_path / "start", prompts))
    train_checkpoint(
        prompts, tmp_path / "first", plan=replace(PLAN, epochs=0), encoder=start, layers=[0],
        progress=False,
    )  # fmt: skip
    asked: list[list[int]] = []
    real = Guide.of_thinned

    def seen(network: Any, layers: Any) -> Guide:
        assert int(network.encoder.config.num_hidden_layers) == 2
        asked.append(list(layers))
        return real(network, layers)

    monkeypatch.setattr(Guide, "of_thinned", seen)
    predictor = train_checkpoint(
        prompts, tmp_path / "out", plan=replace(PLAN, state_loss=1.0),
        encoder=str(tmp_path / "first"), guide=start, progress=False,
    )  # fmt: skip
    assert asked == [[0]]
    assert predictor.manifest.training_data["options"]["guide"] == "start"
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "--guide start" in card


def test_cuts_add_up_and_those_the_guide_went_through_itself_are_passed_over(
    tmp_path: Path,
) -> None:
    prompts = [replace(p, kind="labelled") for p in made_up_prompts()]
    start = str(saved_tiny_network(tmp_path / "start", prompts))
    tokenizer = tiny_tokenizer([prompt.text for prompt in prompts])
    network = tiny_network(tokenizer.tokenizer.get_vocab_size())
    runs = [{"options": {"layers": [0, 3, 5]}}, {"options": {"layers": None}}, {}]
    cut = [{"options": {"layers": [1]}}]
    student = thinned(network, [1])
    leads = [
        guide_of(start, student, tokenizer, runs=[*runs, *cut]),
        guide_of(start, student, tokenizer, runs=runs, layers=[1]),
    ]
    batches = list(training_batches(prompts, tokenizer, PLAN, random.Random(0)))
    wanted = missed_states(Guide.of_thinned(leads[0].network, [1]), student, batches)
    assert [missed_states(lead, student, batches) for lead in leads] == [wanted, wanted]


def test_a_guide_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    prompts = [replace(p, kind="labelled") for p in made_up_prompts()]
    start = str(saved_tiny_network(tmp_path / "start", prompts))
    tokenizer = tiny_tokenizer([prompt.text for prompt in prompts])
    network = tiny_network(tokenizer.tokenizer.get_vocab_size())
    with pytest.raises(InvalidInputError, match="has 2 layers, the student it is to guide 1, and"):
        guide_of(start, thinned(network, [1]), tokenizer, runs=[])
    with pytest.raises(InvalidInputError, match="start: reads other tokens"):
        guide_of(start, network, tiny_tokenizer(["something else"]), runs=[])
    narrow = copy.deepcopy(network)
    narrow.encoder.config.hidden_size = 16
    with pytest.raises(InvalidInputError, match=r"states have 32 numbers a token, .* guide 16"):
        guide_of(start, narrow, tokenizer, runs=[])


def test_a_guide_without_state_loss_is_refused(tmp_path: Path) -> None:
    prompts = [replace(p, kind="labelled") for p in made_up_prompts()]
    start = str(saved_tiny_network(tmp_path / "start", prompts))
    with pytest.raises(InvalidInputError, match=r"must be above 0; received 0\.0"):
        train_checkpoint(
            prompts, tmp_path / "out", plan=PLAN, encoder=start, guide=start, progress=False
        )
