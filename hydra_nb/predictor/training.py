"""Trains a network on labelled prompts, epoch by epoch; a run can be taken up where it stopped."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import InvalidInputError
from hydra_nb.predictor.architecture import RequirementNetwork
from hydra_nb.predictor.batches import padded, training_batches
from hydra_nb.predictor.dataset import LabelledPrompt
from hydra_nb.predictor.guide import Guide, without_dropout
from hydra_nb.predictor.metrics import dev_merit
from hydra_nb.predictor.objective import optimizers
from hydra_nb.predictor.plan import TrainingPlan
from hydra_nb.predictor.tokens import PromptTokenizer
from hydra_nb.predictor.training_run import TrainingRun, origin_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NetworkResults:
    """What a torch network says of texts.

    Attributes:
        scores, log_spread: `(n_texts, 4)`.
        pooled: `(n_texts, hidden)`.
        distance: `(n_texts,)`.
    """

    scores: NDArray[np.float64]
    log_spread: NDArray[np.float64]
    pooled: Tensor
    distance: NDArray[np.float64]


def network_results(
    network: RequirementNetwork,
    tokenizer: PromptTokenizer,
    texts: Sequence[str],
    *,
    tokens_per_batch: int = 8192,
    limit: int = 512,
    progress: bool = False,
) -> NetworkResults:
    """Return scores, spreads and pooled vectors of a torch network on turn 1."""
    rows = [tokenizer.prompt_ids(text)[:limit] for text in texts]
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    scores = np.zeros((len(rows), len(DIMENSIONS)))
    log_spread = np.zeros_like(scores)
    distance = np.zeros(len(rows))
    pooled = torch.zeros(len(rows), int(network.encoder.config.hidden_size))
    network.eval()
    with torch.inference_mode(), tqdm(total=len(rows), disable=not progress) as bar:
        start = 0
        while start < len(order):
            stop = start + 1
            while (
                stop < len(order)
                and len(rows[order[stop]]) * (stop + 1 - start) <= tokens_per_batch
            ):
                stop += 1
            part = order[start:stop]
            ids, mask = padded([rows[index] for index in part], tokenizer.pad_id)
            output = network(ids, mask)
            scores[part] = torch.sigmoid(output.logits).double().numpy()
            log_spread[part] = output.log_spread.double().numpy()
            pooled[part] = output.pooled.float()
            distance[part] = output.distance.double().numpy()
            bar.update(stop - start)
            start = stop
    return NetworkResults(scores, log_spread, pooled.clone(), distance)


def train(
    network: RequirementNetwork,
    tokenizer: PromptTokenizer,
    prompts: Sequence[LabelledPrompt],
    *,
    plan: TrainingPlan,
    progress: bool = True,
    state: Path | None = None,
    guide: Guide | None = None,
) -> tuple[RequirementNetwork, list[dict[str, float]]]:
    """Train on the `train` split and return the best epoch on `dev` with the history of all.

    After every epoch the whole state is written to `state`; a run that finds one of the same plan,
    prompts and weights to start from goes on from it.

    With a `guide` the student also learns its hidden states, by `plan.state_loss`.

    Each history row has `epoch`, `loss` and, where there is a dev split, `merit` (mean Pearson of
    authored and annotated prompts minus their mean absolute error).

    Raises:
        InvalidInputError: nothing to train on; the state is damaged or of another run; or the loss
            is no longer finite.
    """
    torch.manual_seed(plan.seed)
    torch.set_num_threads(plan.threads)
    generator = random.Random(plan.seed)
    labelled = [p for p in prompts if p.split == "train" and p.kind != "weak"]
    weak = [p for p in prompts if p.split == "train" and p.kind == "weak"]
    always = [*labelled, *(p for p in weak if p.stressed)]
    by_lot = [p for p in weak if not p.stressed]
    dev = [p for p in prompts if p.split == "dev" and p.kind != "weak"]
    if not labelled:
        raise InvalidInputError("there is no labelled prompt in the train split")
    origin = "" if state is None else origin_of(network, prompts)
    if state is not None and guide is not None:
        origin += origin_of(guide.network, [])
    attention = network.encoder.config._attn_implementation
    if plan.bfloat16:  # there the fused attention of torch takes longer, backwards above all
        network.encoder.set_attn_implementation("eager")
    if guide is not None:
        without_dropout(network)
    run = TrainingRun(
        network, optimizers(network, plan), plan, generator, origin=origin, guide=guide
    )
    if state is not None and state.is_file():
        run.restore(state)
        log.info("going on after epoch %d from %s", len(run.history), state)
    elapsed_before = run.seconds
    started = time.monotonic()
    for epoch in range(len(run.history), plan.epochs):
        if run.is_patience_over():
            break
        chosen = [*always, *generator.sample(by_lot, min(plan.weak_per_epoch, len(by_lot)))]
        batches = list(training_batches(chosen, tokenizer, plan, generator))
        losses = []
        network.train()
        bar = tqdm(
            batches, desc=f"epoch {epoch + 1}/{plan.epochs}", disable=not progress, mininterval=5
        )
        spent = 0.0
        for index, batch in enumerate(bar):
            run.seconds = elapsed_before + time.monotonic() - started
            if plan.minutes:
                spent = run.seconds / 60 / plan.minutes
            done = max((epoch + index / len(batches)) / plan.epochs, spent)
            if done >= 1:
                break
            losses.append(run.step(batch, done))
            bar.set_postfix(loss=f"{np.mean(losses[-50:]):.4f}", refresh=False)
        if not losses:
            break
        row = {"epoch": epoch + 1.0, "loss": float(np.mean(losses))}
        if dev:
            texts = [p.text for p in dev]
            scores = network_results(network, tokenizer, texts, limit=plan.limit).scores
            row |= dev_merit(dev, scores)
        run.record(row)
        log.info("%s", " ".join(f"{key}={value:.4f}" for key, value in row.items()))
        if state is not None:
            run.save(state)
        if spent >= 1:
            break
    best = run.best()
    best.encoder.set_attn_implementation(attention)
    return best, run.history
