"""Smaller networks to train in the place of a larger one."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from hydra_nb.errors import InvalidInputError
from hydra_nb.predictor.architecture import RequirementNetwork
from hydra_nb.predictor.batches import Batch
from hydra_nb.predictor.objective import requirement_loss
from hydra_nb.predictor.plan import TrainingPlan


def thinned(network: RequirementNetwork, layers: list[int]) -> RequirementNetwork:
    """Return a copy that keeps the given encoder layers only (BERT-like encoders).

    The usual start of a student: every second layer of its teacher.

    Raises:
        InvalidInputError: there is no such layer, or the encoder is not BERT-like.
    """
    student = copy.deepcopy(network)
    stack = bert_layers(student)
    for index in layers:
        if not 0 <= index < len(stack):
            raise InvalidInputError(f"layers must be in [0, {len(stack) - 1}]; received {index}")
    student.encoder.encoder.layer = nn.ModuleList([stack[index] for index in layers])
    student.encoder.config.num_hidden_layers = len(layers)
    return student


def bert_layers(network: RequirementNetwork) -> Any:
    try:
        return network.encoder.encoder.layer
    except AttributeError as error:
        raise InvalidInputError(
            "only encoders built like BERT can be made smaller; "
            f"this is {type(network.encoder).__name__}"
        ) from error


def neuron_importance(
    network: RequirementNetwork, batches: Iterable[Batch], plan: TrainingPlan
) -> list[Tensor]:
    """Return, for each layer, how much the loss depends on each feed-forward neuron.

    To first order, what the loss would change by if a neuron were silent is its activation times
    the gradient there (Molchanov et al. 2017); summed over the tokens of a batch's row, in absolute
    value, `(intermediate,)` a layer.

    Raises:
        InvalidInputError: the encoder is not BERT-like.
    """
    layers = bert_layers(network)
    importance = [torch.zeros(layer.intermediate.dense.out_features) for layer in layers]
    activations: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        output.retain_grad()
        activations.append(output)

    hooks = [layer.intermediate.register_forward_hook(keep) for layer in layers]
    network.eval()
    try:
        for batch in batches:
            activations.clear()
            network.zero_grad(set_to_none=True)
            loss = requirement_loss(network(batch.ids, batch.mask), batch, plan)
            loss.backward()  # type: ignore[no-untyped-call]
            for total, activation in zip(importance, activations, strict=True):
                if activation.grad is not None:
                    change = (activation.detach() * activation.grad).sum(dim=1)  # (batch, neurons)
                    total += change.abs().sum(dim=0)
    finally:
        for hook in hooks:
            hook.remove()
    network.zero_grad(set_to_none=True)
    return importance


def narrowed(
    network: RequirementNetwork, width: int, importance: list[Tensor]
) -> RequirementNetwork:
    """Return a copy whose feed-forward layers keep their `width` most important neurons.

    Raises:
        InvalidInputError: `width` is below 1 or above the present width, or the encoder is not
            BERT-like.
    """
    present = int(network.encoder.config.intermediate_size)
    if not 1 <= width <= present:
        raise InvalidInputError(
            f"the feed-forward width must be in [1, {present}]; received {width}"
        )
    student = copy.deepcopy(network)
    for layer, scores in zip(bert_layers(student), importance, strict=True):
        kept = scores.topk(width).indices.sort().values
        layer.intermediate.dense = _rows(layer.intermediate.dense, kept)
        layer.output.dense = _columns(layer.output.dense, kept)
    student.encoder.config.intermediate_size = width
    return student


def _rows(dense: nn.Linear, kept: Tensor) -> nn.Linear:
    smaller = nn.Linear(dense.in_features, len(kept))
    with torch.no_grad():
        smaller.weight.copy_(dense.weight[kept])
        smaller.bias.copy_(dense.bias[kept])
    return smaller


def _columns(dense: nn.Linear, kept: Tensor) -> nn.Linear:
    smaller = nn.Linear(len(kept), dense.out_features)
    with torch.no_grad():
        smaller.weight.copy_(dense.weight[:, kept])
        smaller.bias.copy_(dense.bias)
    return smaller
