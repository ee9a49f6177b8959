"""What training minimises, and with which learning rates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hydra_nb.errors import InvalidInputError
from hydra_nb.predictor.architecture import HEADS, NetworkOutput, RequirementNetwork, depth_of
from hydra_nb.predictor.batches import Batch
from hydra_nb.predictor.plan import TrainingPlan


def requirement_loss(output: NetworkOutput, batch: Batch, plan: TrainingPlan) -> Tensor:
    """Return the loss of a batch: agreement, spread, the two relations, irrelevant tokens.

    The spread is fitted by the likelihood of a Laplace distribution and does not reach the encoder.
    """
    weights = row_weights(batch, plan)
    scores = torch.sigmoid(output.logits)
    errors = (scores - batch.targets).abs()
    cross_entropy = functional.binary_cross_entropy_with_logits(
        output.logits, batch.targets, reduction="none"
    )
    likelihood = errors.detach() * torch.exp(-output.log_spread) + output.log_spread
    agreement = cross_entropy + plan.absolute_loss * errors + 0.1 * likelihood
    total = (agreement * weights).sum() / weights.sum().clamp(min=1e-9)
    total = total + relation_loss(scores, batch, plan)
    noise = functional.binary_cross_entropy_with_logits(
        output.noise_logits, batch.noise, reduction="none"
    )
    counted = batch.mask.float()
    return total + plan.noise_loss * (noise * counted).sum() / counted.sum()


def row_weights(batch: Batch, plan: TrainingPlan) -> Tensor:
    """Return what each row and dimension counts for, `(batch, 4)`."""
    return torch.tensor(plan.dimension_weights) * batch.weights.unsqueeze(1)


def relation_loss(scores: Tensor, batch: Batch, plan: TrainingPlan) -> Tensor:
    """Return what scores `(batch, 4)` miss of the relations between the rows of a batch.

    These are the variance of rows that must score the same, and a hinge on those where one must
    score higher.
    """
    total = torch.zeros(())
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


def _frozen(name: str, plan: TrainingPlan, layers: int) -> bool:
    frozen = plan.frozen_layers or 0
    return frozen > 0 and depth_of(name, layers) > layers - frozen


def parameter_groups(network: RequirementNetwork, plan: TrainingPlan) -> list[dict[str, Any]]:
    """Return optimizer groups with a learning rate that falls from the heads downwards.

    The token embeddings are left out: their gradients are sparse and have their own optimizer.
    Frozen parameters stop requiring gradients.

    Raises:
        InvalidInputError: more layers are to be frozen than there are.
    """
    layers = int(network.encoder.config.num_hidden_layers)
    if (plan.frozen_layers or 0) > layers:
        raise InvalidInputError(
            f"frozen_layers must be at most {layers}, the layers of this encoder; received "
            f"{plan.frozen_layers}"
        )
    groups: dict[tuple[float, float], list[Tensor]] = {}
    table = network.encoder.get_input_embeddings().weight
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not _frozen(name, plan, layers))
        if parameter is table or not parameter.requires_grad:
            continue
        rate = plan.learning_rate * plan.layer_decay ** max(depth_of(name, layers) - 1, 0)
        if name.startswith(HEADS):
            rate = plan.head_learning_rate
        matrix = parameter.ndim > 1 and "embed" not in name
        groups.setdefault((rate, plan.weight_decay if matrix else 0.0), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def optimizers(network: RequirementNetwork, plan: TrainingPlan) -> list[torch.optim.Optimizer]:
    """Return AdamW for all but the token embeddings and, unless frozen, SparseAdam for these."""
    dense = torch.optim.AdamW(parameter_groups(network, plan), eps=1e-6)
    embedding = network.encoder.get_input_embeddings()
    if not embedding.weight.requires_grad:
        return [dense]
    embedding.sparse = True
    layers = int(network.encoder.config.num_hidden_layers)
    rate = plan.learning_rate * plan.layer_decay ** (layers + 1)
    return [dense, torch.optim.SparseAdam([embedding.weight], lr=rate)]
