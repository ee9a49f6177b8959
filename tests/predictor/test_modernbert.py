"""A BERT rebuilt as a ModernBERT."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hydra_nb.errors import InvalidInputError
from hydra_nb.predictor.architecture import RequirementNetwork
from hydra_nb.predictor.batches import Batch, training_batches
from hydra_nb.predictor.guide import unexplained
from hydra_nb.predictor.modernbert import as_modernbert
from hydra_nb.predictor.plan import TrainingPlan
from hydra_nb.predictor.recipe import train_checkpoint
from tests.predictor.conftest import (
    made_up_prompts,
    saved_tiny_network,
    tiny_network,
    tiny_tokenizer,
)

PLAN = TrainingPlan(epochs=1, tokens_per_batch=512, threads=1, weak_per_epoch=0, frozen_layers=0)


@pytest.fixture
def material() -> tuple[RequirementNetwork, list[Batch]]:
    """Return a network whose layers do something and the batches of an epoch."""
    prompts = made_up_prompts()
    tokenizer = tiny_tokenizer([prompt.text for prompt in prompts])
    network = tiny_network(tokenizer.tokenizer.get_vocab_size()).eval()
    with torch.no_grad():
        for parameter in network.encoder.encoder.parameters():
            if parameter.ndim == 2:
                parameter.mul_(8)  # of the 0.02 that transformers starts with
            elif parameter.abs().sum() == 0:
                parameter.normal_(std=0.1)
        for parameter in network.heads.parameters():
            parameter.normal_(std=0.3)
    return network, list(training_batches(prompts, tokenizer, PLAN, random.Random(0)))


def without_positions(network: RequirementNetwork) -> RequirementNetwork:
    with torch.no_grad():
        network.encoder.embeddings.position_embeddings.weight.zero_()
    return network


def missed(student: RequirementNetwork, network: RequirementNetwork, batch: Batch) -> list[float]:
    """Return the share of each state's variance that the student does not explain."""
    read = batch.mask.bool()
    with torch.no_grad():
        pairs = zip(
            student.states(batch.ids, batch.mask),
            network.states(batch.ids, batch.mask),
            strict=True,
        )
        return [float(unexplained(own[read], its[read])) for own, its in pairs]


def test_it_does_nearly_what_the_bert_did(
    material: tuple[RequirementNetwork, list[Batch]],
) -> None:
    network, batches = material
    student = as_modernbert(without_positions(network), batches).eval()
    below, middle, last = missed(student, network, batches[0])
    assert below < 1e-9
    assert middle < 0.05
    assert last < 0.1
    untouched = network.states(batches[0].ids, batches[0].mask)[0]
    assert float(unexplained(untouched, network.encoded(batches[0].ids, batches[0].mask))) > 0.5
    with torch.no_grad():
        for batch in batches[:3]:
            own = student(batch.ids, batch.mask).logits
            its = network(batch.ids, batch.mask).logits
            assert float(unexplained(own, its)) < 0.2


def test_heads_guards_and_pooling_come_along(
    material: tuple[RequirementNetwork, list[Batch]],
) -> None:
    network, batches = material
    network.fit_distance(torch.randn(50, network.encoder.config.hidden_size))
    student = as_modernbert(network, batches)
    own, its = student.state_dict(), network.state_dict()
    above = [name for name in its if not name.startswith("encoder.")]
    assert {"heads.outer", "spread_heads.weight", "noise_head.weight", "whitening"} <= set(above)
    assert all(torch.equal(own[name], its[name]) for name in above)
    assert student.pooling == network.pooling


def test_the_bert_stays_as_it_was(material: tuple[RequirementNetwork, list[Batch]]) -> None:
    network, batches = material
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    as_modernbert(network, batches)
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


def products(queries: Tensor, keys: Tensor) -> Tensor:
    """Return attention logits up to what the keys of a query share, `(tokens, tokens)`."""
    found = queries @ keys.T
    return found - found.mean(dim=1, keepdim=True)


def heads_of(network: RequirementNetwork, modern: bool, read: Tensor) -> Any:
    """Yield queries and keys of each head of the first layer, `(tokens, size)`, not rotated."""
    if modern:
        query, key, _ = network.encoder.layers[0].attn.Wqkv(read).chunk(3, dim=1)
    else:
        own = getattr(network.encoder.encoder.layer[0].attention, "self")  # noqa: B009
        query, key = own.query(read), own.key(read)
    heads = network.encoder.config.num_attention_heads
    return zip(query.chunk(heads, dim=1), key.chunk(heads, dim=1), strict=True)


def test_turned_axes_leave_the_attention_as_it_was_and_rotate_the_weakest_fastest(
    material: tuple[RequirementNetwork, list[Batch]],
) -> None:
    network, batches = material
    student = as_modernbert(network, batches)
    batch = batches[0]
    with torch.no_grad():
        read = network.states(batch.ids, batch.mask)[0][batch.mask.bool()]
        before, after = (heads_of(n, n is student, read) for n in (network, student))
        for (query, key), (turned_query, turned_key) in zip(before, after, strict=True):
            assert torch.allclose(
                products(query, key), products(turned_query, turned_key), atol=1e-3
            )
            strength = turned_query.square().mean(dim=0) * turned_key.square().mean(dim=0)
            pairs = strength.reshape(2, -1).sum(dim=0)
            assert pairs[0] < pairs[-1] / 2
            assert not torch.allclose(query, turned_query, atol=1e-2)


def test_what_all_keys_share_is_taken_from_them_before_it_is_rotated(
    material: tuple[RequirementNetwork, list[Batch]],
) -> None:
    network, batches = material
    student = as_modernbert(network, batches)
    with torch.no_grad():
        read = torch.cat([network.states(b.ids, b.mask)[0][b.mask.bool()] for b in batches])
        means = [
            torch.cat([key.mean(dim=0) for _, key in heads_of(n, n is student, read)])
            for n in (network, student)
        ]
    assert means[1].abs().max() < 1e-3 < means[0].abs().max() / 10


def test_gates_start_open(material: tuple[RequirementNetwork, list[Batch]]) -> None:
    network, batches = material
    student = as_modernbert(network, batches)
    mlp = student.encoder.layers[0].mlp
    layer = network.encoder.encoder.layer[0]
    states = torch.randn(5, network.encoder.config.hidden_size)
    with torch.no_grad():
        own = mlp(states)
        its = layer.output.dense(layer.intermediate(states))
        ratio = its / own
    assert torch.allclose(ratio, ratio[:1].expand_as(ratio), rtol=1e-3)  # one factor an axis
    assert float(ratio.max() / ratio.min()) <= 4.001


def test_what_a_modernbert_reads_is_behind_its_norm(
    material: tuple[RequirementNetwork, list[Batch]],
) -> None:
    network, batches = material
    student = as_modernbert(network, batches).eval()
    seen: list[Tensor] = []
    student.encoder.layers[1].attn.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(args[0]), with_kwargs=True
    )
    with torch.no_grad():
        states = student.states(batches[0].ids, batches[0].mask)
    assert len(states) == 3
    assert torch.equal(states[1], seen[0])
    assert torch.equal(states[2], student.encoded(batches[0].ids, batches[0].mask))


def test_what_is_no_bert_is_refused(material: tuple[RequirementNetwork, list[Batch]]) -> None:
    network, batches = material
    with pytest.raises(InvalidInputError, match="this is ModernBertModel"):
        as_modernbert(as_modernbert(network, batches), batches)


def test_a_thinned_narrowed_and_rebuilt_student_is_trained_and_served(tmp_path: Path) -> None:
    prompts = [replace(p, kind="labelled") for p in made_up_prompts()]
    start = saved_tiny_network(tmp_path / "start", prompts)
    predictor = train_checkpoint(
        prompts, tmp_path / "out", plan=replace(PLAN, state_loss=1.0), encoder=str(start),
        layers=[1], feed_forward=24, modernbert=True, progress=False,
    )  # fmt: skip
    encoder = predictor.manifest.encoder
    assert encoder["architecture"] == "ModernBertModel"
    assert (encoder["layers"], encoder["intermediate"]) == (1, 24)
    assert predictor.manifest.training_data["options"]["modernbert"] is True
    assert "--modernbert" in (tmp_path / "out" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert predictor.predict([prompts[0].text]).values.shape == (1, 4)
