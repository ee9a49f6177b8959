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
from hydra_nb.predictor.architecture import RequirementNetwork
from hydra_nb.predictor.batches import Batch, training_batches
from hydra_nb.predictor.objective import requirement_loss
from hydra_nb.predictor.origin import opened_network
from hydra_nb.predictor.plan import TrainingPlan
from hydra_nb.predictor.predictor import load_predictor
from hydra_nb.predictor.recipe import train_checkpoint
from hydra_nb.predictor.students import (
    narrowed,
    neuron_importance,
    thinned,
)
from tests.predictor.conftest import (
    made_up_prompts,
    saved_tiny_network,
    tiny_network,
    tiny_tokenizer,
)

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
    from transformers import ModernBertConfig, ModernBertModel

    config = ModernBertConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, pad_token_id=1
    )
    with pytest.raises(InvalidInputError, match="this is ModernBertModel"):
        thinned(RequirementNetwork(ModernBertModel(config)), [0])


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
