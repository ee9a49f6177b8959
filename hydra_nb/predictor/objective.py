"""What training minimises, and with which learning rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hydra_nb.predictor.architecture import RequirementNetwork, depth_of
from hydra_nb.predictor.batches import Batch


@dataclass(frozen=True)
class TrainingPlan:
    """How a network is trained.

    Attributes:
        weak_per_epoch: how many weakly labelled prompts, drawn anew, join each epoch.
        weak_loss: loss weight of one of them; a labelled prompt has 1.
        layer_decay: factor on the learning rate for each layer further below the heads.
        alike_loss: weight of the squared spread of rows that must score the same.
        above_loss: weight of the hinge on the lines of a minimal pair.
        minutes: wall-clock limit; the learning rate then falls with the clock where the clock is
            ahead of the epochs. 0 means none; a run that hits its limit cannot be repeated exactly.
    """

    epochs: int = 4
    seed: int = 0
    learning_rate: float = 2e-4
    head_learning_rate: float = 1e-3
    layer_decay: float = 0.88
    weight_decay: float = 0.01
    warmup: float = 0.06
    tokens_per_batch: int = 2048
    limit: int = 256
    weak_per_epoch: int = 3000
    weak_loss: float = 0.5
    dimension_weights: tuple[float, float, float, float] = (1.5, 1.0, 1.0, 1.0)
    alike_loss: float = 2.0
    above_loss: float = 2.0
    minutes: float = 0.0
    threads: int = 2
    bfloat16: bool = True


def requirement_loss(logits: Tensor, batch: Batch, plan: TrainingPlan) -> Tensor:
    """Return soft-label cross-entropy plus the two relations, for logits `(batch, 4)`."""
    weights = torch.tensor(plan.dimension_weights)
    loss = functional.binary_cross_entropy_with_logits(logits, batch.targets, reduction="none")
    total = (loss * weights * batch.weights.unsqueeze(1)).sum() / (
        batch.weights.sum() * weights.sum()
    )
    scores = torch.sigmoid(logits)
    if batch.alike:
        spread = torch.stack(
            [scores[rows].var(dim=0, unbiased=False).mean() for rows in batch.alike]
        )
        total = total + plan.alike_loss * spread.mean()
    if batch.above:
        higher, lower, column = (torch.tensor(part) for part in zip(*batch.above, strict=True))
        wanted = (batch.targets[higher, column] - batch.targets[lower, column]).clamp(max=0.3)
        gap = scores[higher, column] - scores[lower, column]
        total = total + plan.above_loss * functional.relu(wanted - gap).square().mean()
    return total


def parameter_groups(network: RequirementNetwork, plan: TrainingPlan) -> list[dict[str, Any]]:
    """Return optimizer groups with a learning rate that falls from the heads downwards.

    The token embeddings are left out: their gradients are sparse and have their own optimizer.
    """
    layers = int(network.encoder.config.num_hidden_layers)
    groups: dict[tuple[float, float], list[Tensor]] = {}
    table = network.encoder.get_input_embeddings().weight
    for name, parameter in network.named_parameters():
        if parameter is table:
            continue
        rate = plan.learning_rate * plan.layer_decay ** max(depth_of(name, layers) - 1, 0)
        if name.startswith("heads"):
            rate = plan.head_learning_rate
        matrix = parameter.ndim > 1 and "embed" not in name
        groups.setdefault((rate, plan.weight_decay if matrix else 0.0), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def optimizers(network: RequirementNetwork, plan: TrainingPlan) -> list[torch.optim.Optimizer]:
    """Return AdamW for all but the token embeddings and SparseAdam for these, in this order."""
    embedding = network.encoder.get_input_embeddings()
    embedding.sparse = True
    layers = int(network.encoder.config.num_hidden_layers)
    rate = plan.learning_rate * plan.layer_decay ** (layers + 1)
    return [
        torch.optim.AdamW(parameter_groups(network, plan), eps=1e-6),
        torch.optim.SparseAdam([embedding.weight], lr=rate),
    ]
