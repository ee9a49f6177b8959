"""Fits the four heads anew on an encoder that is finished, for the error that is reported.

While the encoder learns, its heads follow it and serve several losses at once. What it says of a
prompt then stays, so that the heads alone can be fitted to convergence in seconds: last-layer
retraining (Kirichenko et al. 2023), here with a few neurons a head.
"""

from __future__ import annotations

import copy
import logging
import random
from collections.abc import Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from hydra_nb.predictor.architecture import RequirementHeads, RequirementNetwork
from hydra_nb.predictor.batches import Batch, training_batches
from hydra_nb.predictor.dataset import LabelledPrompt
from hydra_nb.predictor.guards import fit_spread
from hydra_nb.predictor.metrics import Scores, dev_merit
from hydra_nb.predictor.objective import relation_loss, row_weights
from hydra_nb.predictor.plan import TrainingPlan
from hydra_nb.predictor.tokens import PromptTokenizer
from hydra_nb.predictor.training import network_results

log = logging.getLogger(__name__)

_RATE = 1e-3
_DECAY = 0.1
_RELATIONS = 0.5
_BATCHES_IN_ONE = 4


def refit_heads(
    network: RequirementNetwork,
    tokenizer: PromptTokenizer,
    prompts: Sequence[LabelledPrompt],
    *,
    plan: TrainingPlan,
    progress: bool = True,
) -> bool:
    """Fit the heads, in place, for the absolute error on augmented training prompts.

    These are the labelled ones and those at which models were tried; other weak ones are left out.
    Heads that do not come out better on dev prompts (`metrics.dev_merit`) are not kept, nor are any
    without dev prompts to tell. Return whether they were kept; if so, the spread heads are fitted
    to the errors that are left.
    """
    dev = [p for p in prompts if p.split == "dev" and p.kind != "weak"]
    train = [p for p in prompts if p.split == "train" and (p.kind != "weak" or p.stressed)]
    if not dev or not plan.head_epochs:
        return False
    batches = list(
        training_batches(train, tokenizer, plan, random.Random(plan.seed), times=_BATCHES_IN_ONE)
    )
    network.eval()
    pooled = []
    with torch.no_grad():
        for batch in tqdm(batches, desc="heads", disable=not progress, mininterval=5):
            pooled.append(network(batch.ids, batch.mask).pooled)
    seen = network_results(network, tokenizer, [p.text for p in dev], limit=plan.limit).pooled
    before = dev_merit(dev, _scores(network.heads, seen))
    fitted = fitted_heads(network.heads, pooled, batches, plan=plan, dropout=network.dropout.p)
    after = dev_merit(dev, _scores(fitted, seen))
    better = after["merit"] > before["merit"]
    log.info(
        "heads fitted anew: merit on dev from %.4f to %.4f, %s",
        before["merit"],
        after["merit"],
        "kept" if better else "not kept",
    )
    if not better:
        return False
    network.heads = fitted
    _fit_spread(network, pooled, batches)
    return True


def _fit_spread(
    network: RequirementNetwork, pooled: Sequence[Tensor], batches: Sequence[Batch]
) -> None:
    states, targets = torch.cat(list(pooled)), torch.cat([batch.targets for batch in batches])
    labelled = torch.cat([batch.labelled for batch in batches])
    with torch.no_grad():
        errors = (torch.sigmoid(network.heads(states)) - targets).abs()
    fit_spread(network.spread_heads, states[labelled], errors[labelled])


def fitted_heads(
    heads: RequirementHeads,
    pooled: Sequence[Tensor],
    batches: Sequence[Batch],
    *,
    plan: TrainingPlan,
    dropout: float = 0.1,
) -> RequirementHeads:
    """Return heads fitted on pooled states `(batch, hidden)` of batches, starting from `heads`.

    Minimised are the absolute error and the two relations, with AdamW on standardised states. Of a
    prompt at which models were tried only the dimension counts that its benchmark stresses.
    """
    torch.manual_seed(plan.seed)
    order = random.Random(plan.seed)
    together = torch.cat(list(pooled))
    mean, deviation = together.mean(dim=0), together.std(dim=0).clamp(min=1e-6)
    fitted = copy.deepcopy(heads).requires_grad_(True)
    _restate(fitted, deviation, mean)
    if not fitted.outer.any():
        fitted.inner.reset_parameters()
    neurons = [*fitted.inner.parameters(), fitted.outer]
    solver = torch.optim.AdamW(
        [
            {"params": [fitted.weight, fitted.bias], "weight_decay": 0.0},
            {"params": neurons, "weight_decay": _DECAY},
        ],
        lr=_RATE,
    )
    steps = plan.head_epochs * len(batches)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(solver, steps)
    places = list(range(len(batches)))
    for _ in range(plan.head_epochs):
        order.shuffle(places)
        for place in places:
            batch = batches[place]
            states = (pooled[place] - mean) / deviation
            dropped = torch.nn.functional.dropout(states, dropout)
            scores = torch.sigmoid(fitted(dropped))
            weights = _weights(batch, plan)
            errors = ((scores - batch.targets).abs() * weights).sum() / weights.sum().clamp(
                min=1e-9
            )
            solver.zero_grad()
            loss = errors + _RELATIONS * relation_loss(scores, batch, plan)
            loss.backward()  # type: ignore[no-untyped-call]
            solver.step()
            schedule.step()
    _restate(fitted, 1 / deviation, -mean / deviation)
    return fitted


def _weights(batch: Batch, plan: TrainingPlan) -> Tensor:
    """Return what each score counts for, `(batch, 4)`: of prompts with outcomes only the stressed.

    The targets of their other dimensions are scores of heads that are about to be replaced.
    """
    weights = row_weights(batch, plan)
    tried = (batch.stressed >= 0).nonzero().squeeze(1)
    stressed = batch.stressed[tried]
    weights[tried] = 0.0
    weights[tried, stressed] = plan.outcome_loss * torch.tensor(plan.dimension_weights)[stressed]
    return weights


def _restate(heads: RequirementHeads, factor: Tensor, shift: Tensor) -> None:
    """Make the heads read z where they read factor · z + shift, in place."""
    with torch.no_grad():
        for layer in (heads, heads.inner):
            layer.bias.add_(layer.weight @ shift)
            layer.weight.mul_(factor)


def _scores(heads: RequirementHeads, pooled: Tensor) -> Scores:
    with torch.no_grad():
        scores: Scores = torch.sigmoid(heads(pooled)).double().numpy()
    return scores
