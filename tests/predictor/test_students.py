"""Smaller networks made of larger ones."""

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
from hydra_nb.predictor.batches import Batch, training_batches
from hydra_nb.predictor.dataset import LabelledPrompt
from hydra_nb.predictor.guide import Guide, unexplained
from hydra_nb.predictor.objective import requirement_loss
from hydra_nb.predictor.plan import TrainingPlan
from hydra_nb.predictor.predictor import load_predictor
from hydra_nb.predictor.recipe import opened_network, train_checkpoint
from hydra_nb.predictor.students import (
    modernbert_student,
    narrowed,
    neuron_importance,
    thinned,
)
from tests.predictor.conftest import made_up_prompts, tiny_network, tiny_tokenizer

PLAN = TrainingPlan(epochs=1, tokens_per_batch=512, threads=1, weak_per_epoch=0, frozen_layers=0)


@pytest.fixture
def material() -> tuple[Any, list[Batch]]:
    """Return an untrained two-layer network and the batches of an epoch."""
    prompts = made_up_prompts()
    tokenizer = tiny_tokenizer([prompt.text for prompt in prompts])
    network = tiny_network(tokenizer.tokenizer.get_vocab_size()).eval()
    batches = training_batches(prompts, tokenizer, PLAN, random.Random(0))
    return network, list(batches)


def loss_of(network: Any, batches: list[Batch]) -> float:
    with torch.no_grad():
        return float(
            sum(requirement_loss(network(b.ids, b.mask), b, PLAN) for b in batches) / len(batches)
        )


def silenced(network: Any, layer: int, neuron: int) -> Any:
    """Return a copy in which one feed-forward neuron has no effect."""
    return with_outgoing(network, layer, neuron, 0.0)


def with_outgoing(network: Any, layer: int, neuron: int | slice, factor: float) -> Any:
    changed = copy.deepcopy(network)
    with torch.no_grad():
        changed.encoder.encoder.layer[layer].output.dense.weight[:, neuron] *= factor
    return changed


def test_a_thinned_student_keeps_the_layers_asked_for() -> None:
    network = tiny_network(50)
    student = thinned(network, [1])
    kept = student.encoder.encoder.layer[0].state_dict()
    original = network.encoder.encoder.layer[1].state_dict()
    assert len(student.encoder.encoder.layer) == student.encoder.config.num_hidden_layers == 1
    assert all(torch.equal(kept[name], original[name]) for name in kept)


def test_a_neuron_that_nothing_reads_has_no_importance(material: tuple[Any, list[Batch]]) -> None:
    network, batches = material
    importance = neuron_importance(silenced(network, 1, 5), batches, PLAN)
    assert importance[1][5] == 0
    assert (importance[0] > 0).all()


def test_importance_ranks_neurons_as_silencing_them_does(
    material: tuple[Any, list[Batch]],
) -> None:
    network, batches = material
    loud = with_outgoing(network, 0, 3, 200.0)
    importance = neuron_importance(loud, batches, PLAN)[0]
    assert int(importance.argmax()) == 3
    whole = loss_of(loud, batches)
    least = int(importance.argmin())
    change = {n: abs(loss_of(silenced(loud, 0, n), batches) - whole) for n in (3, least)}
    assert change[3] > 10 * change[least]


def test_importance_leaves_the_network_as_it_was(material: tuple[Any, list[Batch]]) -> None:
    network, batches = material
    before = {name: value.clone() for name, value in network.state_dict().items()}
    neuron_importance(network, batches, PLAN)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not network.encoder.encoder.layer[0].intermediate._forward_hooks


def test_dropping_neurons_that_nothing_reads_changes_no_score(
    material: tuple[Any, list[Batch]],
) -> None:
    network, batches = material
    for layer in (0, 1):
        for neuron in range(40):
            network = silenced(network, layer, neuron)
    student = narrowed(network, 24, neuron_importance(network, batches, PLAN)).eval()
    assert student.encoder.config.intermediate_size == 24
    assert student.encoder.encoder.layer[0].intermediate.dense.weight.shape == (24, 32)
    assert student.encoder.encoder.layer[1].output.dense.weight.shape == (32, 24)
    with torch.no_grad():
        for batch in batches:
            before, after = network(batch.ids, batch.mask), student(batch.ids, batch.mask)
            assert torch.allclose(before.logits, after.logits, atol=1e-6)


def test_narrowing_leaves_the_larger_network_alone(material: tuple[Any, list[Batch]]) -> None:
    network, batches = material
    narrowed(network, 8, neuron_importance(network, batches, PLAN))
    assert network.encoder.encoder.layer[0].intermediate.dense.out_features == 64


@pytest.mark.parametrize("width", [0, 65, -1])
def test_a_width_that_the_encoder_has_not_is_refused(width: int) -> None:
    importance = [torch.ones(64)] * 2
    with pytest.raises(InvalidInputError, match=rf"must be in \[1, 64\]; received {width}"):
        narrowed(tiny_network(50), width, importance)


def test_a_layer_that_the_encoder_has_not_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"must be in \[0, 1\]; received 2"):
        thinned(tiny_network(50), [0, 2])


def test_an_encoder_that_is_not_like_bert_is_refused() -> None:
    modern = modernbert_student(tiny_network(50), 1)
    with pytest.raises(InvalidInputError, match="this is ModernBertModel"):
        thinned(modern, [0])


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
    network = with_outgoing(network, 0, slice(None), 50.0)
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
    network = tiny_network(tokenizer.tokenizer.get_vocab_size()).eval()
    network = with_outgoing(network, 0, slice(None), 50.0)
    batches = list(training_batches(prompts, tokenizer, PLAN, random.Random(0)))
    before = modernbert_student(network, 1) if modern else thinned(network, [1])
    guide = Guide.of_last(network) if modern else Guide.of_thinned(network, [1])
    plan = replace(PLAN, epochs=8, learning_rate=3e-3, state_loss=4.0, bfloat16=bfloat16)
    after, unguided = (
        train(copy.deepcopy(before), tokenizer, prompts, plan=plan, progress=False, guide=its)[0]
        for its in (guide, None)
    )
    missed = missed_states(guide, after, batches)
    assert missed < 0.7 * missed_states(guide, before, batches)
    assert missed < 0.9 * missed_states(guide, unguided, batches)


def test_a_modernbert_student_with_a_guide_is_served(tmp_path: Path) -> None:
    prompts = [replace(p, kind="labelled") for p in made_up_prompts()]
    start = saved_tiny_network(tmp_path / "start", prompts)
    predictor = train_checkpoint(
        prompts, tmp_path / "out", plan=replace(PLAN, state_loss=1.0), encoder=str(start),
        modernbert_layers=1, progress=False,
    )  # fmt: skip
    assert predictor.manifest.encoder["architecture"] == "ModernBertModel"
    assert predictor.manifest.training_data["plan"]["state_loss"] == 1.0
    assert predictor.predict([prompts[0].text]).values.shape == (1, 4)


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


def saved_tiny_network(folder: Path, prompts: list[LabelledPrompt]) -> Path:
    from hydra_nb.predictor.checkpoint import Manifest
    from hydra_nb.predictor.torch_checkpoint import save_network

    tokenizer = tiny_tokenizer([prompt.text for prompt in prompts])
    start = tiny_network(tokenizer.tokenizer.get_vocab_size())
    description = {"architecture": "BertModel", "layers": 2, "attention_heads": 2}
    save_network(
        folder, start, tokenizer,
        Manifest(kind="torch", name="tiny", encoder=description, pooling="mean"),
    )  # fmt: skip
    return folder


def test_a_narrowed_network_is_trained_served_and_opened_again(tmp_path: Path) -> None:
    prompts = [replace(p, kind="labelled") for p in made_up_prompts()]
    start = saved_tiny_network(tmp_path / "start", prompts)
    train_checkpoint(
        prompts, tmp_path / "out", plan=PLAN, encoder=str(start),
        feed_forward=16, progress=False,
    )  # fmt: skip
    served, exact = (load_predictor(tmp_path / name) for name in ("out", "out/torch"))
    assert served.manifest.encoder["intermediate"] == 16
    texts = [prompt.text for prompt in prompts]
    gap = np.abs(served.predict(texts).values - exact.predict(texts).values)
    assert gap.max() < 0.02
    network, _, _ = opened_network(str(tmp_path / "out"), prompts)
    assert network.encoder.config.intermediate_size == 16
