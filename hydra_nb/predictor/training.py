"""Trains a predictor: `python -m hydra_nb.predictor.training --data DIR --encoder E --out DIR`.

The targets are annotated and authored prompts; weakly labelled prompts help with calibrated labels
or, with `--soft-targets`, with the scores of a teacher.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.predictor.architecture import RequirementNetwork, thinned
from hydra_nb.predictor.batches import padded, training_batches
from hydra_nb.predictor.checkpoint import MANIFEST, Manifest, read_manifest
from hydra_nb.predictor.dataset import LabelledPrompt, read_data, read_weak_labels
from hydra_nb.predictor.metrics import dev_merit
from hydra_nb.predictor.objective import TrainingPlan, optimizers, requirement_loss
from hydra_nb.predictor.tokens import PromptTokenizer
from hydra_nb.predictor.torch_checkpoint import save_network, start_network
from hydra_nb.predictor.weak_labels import calibrated_weak_labels

log = logging.getLogger(__name__)


def network_scores(
    network: RequirementNetwork,
    tokenizer: PromptTokenizer,
    texts: Sequence[str],
    *,
    tokens_per_batch: int = 8192,
    limit: int = 512,
    bfloat16: bool = False,
    progress: bool = False,
) -> NDArray[np.float64]:
    """Return scores `(n_texts, 4)` of a torch network on turn 1, batched by length."""
    rows = [tokenizer.prompt_ids(text)[:limit] for text in texts]
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    scores = np.zeros((len(rows), len(DIMENSIONS)))
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
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                logits = network(ids, mask)
            scores[part] = torch.sigmoid(logits.float()).double().numpy()
            bar.update(stop - start)
            start = stop
    return scores


def train(
    network: RequirementNetwork,
    tokenizer: PromptTokenizer,
    prompts: Sequence[LabelledPrompt],
    *,
    plan: TrainingPlan,
    progress: bool = True,
    on_better: Callable[[RequirementNetwork, list[dict[str, float]]], None] | None = None,
) -> tuple[RequirementNetwork, list[dict[str, float]]]:
    """Train on the `train` split and return the best epoch on `dev` with the history of all.

    `on_better` is called after every epoch that is the best so far, to save it.

    Each history row has `epoch`, `loss` and, where there is a dev split, `merit` (mean Pearson of
    authored and annotated prompts minus their mean absolute error).
    """
    torch.manual_seed(plan.seed)
    torch.set_num_threads(plan.threads)
    generator = random.Random(plan.seed)
    labelled = [p for p in prompts if p.split == "train" and p.kind != "weak"]
    weak = [p for p in prompts if p.split == "train" and p.kind == "weak"]
    dev = [p for p in prompts if p.split == "dev" and p.kind != "weak"]
    steppers = optimizers(network, plan)
    groups = [group for optimizer in steppers for group in optimizer.param_groups]
    rates = [group["lr"] for group in groups]
    dense = [p for group in steppers[0].param_groups for p in group["params"]]
    started = time.monotonic()
    spent = 0.0
    history: list[dict[str, float]] = []
    best, best_merit = network, -math.inf
    for epoch in range(plan.epochs):
        chosen = [*labelled, *generator.sample(weak, min(plan.weak_per_epoch, len(weak)))]
        batches = list(
            training_batches(
                chosen,
                tokenizer,
                weights={"authored": 1.0, "annotated": 1.0, "weak": plan.weak_loss},
                tokens_per_batch=plan.tokens_per_batch,
                limit=plan.limit,
                generator=generator,
            )
        )
        losses = []
        network.train()
        bar = tqdm(
            batches, desc=f"epoch {epoch + 1}/{plan.epochs}", disable=not progress, mininterval=5
        )
        for index, batch in enumerate(bar):
            if plan.minutes:
                spent = (time.monotonic() - started) / 60 / plan.minutes
            done = max((epoch + index / len(batches)) / plan.epochs, spent)
            if done >= 1:
                break
            factor = min(done / plan.warmup + 0.01, 0.5 * (1 + math.cos(math.pi * done)) + 0.01)
            for group, rate in zip(groups, rates, strict=True):
                group["lr"] = rate * factor
            with torch.autocast("cpu", torch.bfloat16, enabled=plan.bfloat16):
                logits = network(batch.ids, batch.mask)
            loss = requirement_loss(logits.float(), batch, plan)
            network.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(dense, 1.0)
            for optimizer in steppers:
                optimizer.step()
            losses.append(float(loss.detach()))
            bar.set_postfix(loss=f"{np.mean(losses[-50:]):.4f}", refresh=False)
        if not losses:
            break
        row = {"epoch": epoch + 1.0, "loss": float(np.mean(losses))}
        if dev:
            scores = network_scores(network, tokenizer, [p.text for p in dev], limit=plan.limit,
                                    bfloat16=plan.bfloat16)  # fmt: skip
            row |= dev_merit(dev, scores)
            if row["merit"] > best_merit:
                best, best_merit = copy.deepcopy(network), row["merit"]
        else:
            best = network
        history.append(row)
        log.info("%s", " ".join(f"{key}={value:.4f}" for key, value in row.items()))
        if on_better is not None and (not dev or row["merit"] == best_merit):
            on_better(network, history)
        if spent >= 1:
            break
    network.encoder.get_input_embeddings().sparse = False
    return best.eval(), history


def training_summary(prompts: Sequence[LabelledPrompt], plan: TrainingPlan) -> dict[str, Any]:
    """Return what the manifest says about the data: prompts per kind and split, and the plan."""
    counts = Counter(f"{prompt.kind} {prompt.split}" for prompt in prompts)
    return {"prompts": dict(sorted(counts.items())), "plan": asdict(plan)}


def _earlier_training(encoder: str) -> list[dict[str, Any]]:
    """Return plan and history of the runs that a checkpoint to be trained further went through."""
    if not (Path(encoder) / MANIFEST).is_file():
        return []
    last = dict(read_manifest(encoder).training_data)
    earlier: list[dict[str, Any]] = last.pop("earlier", [])
    return [*earlier, last]


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hydra_nb.predictor.training", description=__doc__
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with the labelled prompts")
    parser.add_argument(
        "--encoder", required=True, help="e5-small-q4.bin, a checkpoint, or a folder"
    )
    parser.add_argument("--out", type=Path, required=True, help="checkpoint folder to write")
    parser.add_argument("--name", default="hydra-predictor")
    parser.add_argument("--pooling", default="mean", choices=("mean", "cls"))
    parser.add_argument("--layers", help="encoder layers to keep, such as 1,3,5,7,9,11")
    parser.add_argument("--vocabulary", type=int, default=48_000, help="pieces kept of the e5 file")
    parser.add_argument("--soft-targets", type=Path, help="JSON of a teacher's scores by prompt id")
    for field, default in asdict(TrainingPlan()).items():
        if isinstance(default, bool):
            parser.add_argument(
                f"--{field}", action=argparse.BooleanOptionalAction, default=default
            )
        elif not isinstance(default, tuple):
            parser.add_argument(f"--{field.replace('_', '-')}", type=type(default), default=default)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    options = _arguments().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    known = asdict(TrainingPlan()).keys() - {"dimension_weights"}
    plan = TrainingPlan(**{key: value for key, value in vars(options).items() if key in known})
    prompts = read_data(options.data)
    if options.soft_targets:
        labels = json.loads(options.soft_targets.read_text("utf-8"))
    else:
        labels, pearson = calibrated_weak_labels(prompts, read_weak_labels(options.data))
        log.info("calibrated weak labels, cross-validated Pearson: %s", pearson)
    prompts = [replace(p, targets=labels[p.prompt_id]) if p.kind == "weak" else p for p in prompts]
    texts = [prompt.text for prompt in prompts if prompt.split == "train"]
    network, tokenizer, encoder = start_network(
        options.encoder, texts=texts, vocabulary_size=options.vocabulary, pooling=options.pooling
    )
    if options.layers:
        network = thinned(network, [int(part) for part in options.layers.split(",")])
    encoder["layers"] = int(network.encoder.config.num_hidden_layers)
    encoder["hidden"] = int(network.encoder.config.hidden_size)
    encoder["parameters"] = sum(p.numel() for p in network.parameters())

    earlier = _earlier_training(options.encoder)

    def save(better: RequirementNetwork, history: list[dict[str, float]]) -> None:
        manifest = Manifest(
            kind="torch",
            name=options.name,
            encoder=encoder,
            pooling=better.pooling,
            max_tokens=tokenizer.max_tokens,
            training_data=training_summary(prompts, plan)
            | {"history": history, "earlier": earlier},
        )
        save_network(options.out, better, tokenizer, manifest)
        log.info("wrote %s", options.out)

    train(network, tokenizer, prompts, plan=plan, on_better=save)


if __name__ == "__main__":
    main()
