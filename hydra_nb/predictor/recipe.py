"""From labelled prompts to a checkpoint that serves, with its report and its model card.

The folder that comes out is of kind `onnx`; inside it, `torch/` holds the network to train on from,
and `training_state.pt` lets an interrupted run go on.
"""

from __future__ import annotations

import copy
import json
import logging
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from hydra_nb.errors import InvalidInputError
from hydra_nb.predictor.architecture import RequirementNetwork
from hydra_nb.predictor.batches import training_batches
from hydra_nb.predictor.calibration import FEWEST_PROMPTS, Calibration, fit_calibration
from hydra_nb.predictor.checkpoint import (
    MANIFEST,
    Manifest,
    read_manifest,
    write_manifest,
    write_text,
)
from hydra_nb.predictor.dataset import (
    LabelledPrompt,
    read_data,
    read_table,
    read_weak_labels,
)
from hydra_nb.predictor.dequantization import reopened
from hydra_nb.predictor.evaluation import evaluate, evenly, score_band
from hydra_nb.predictor.export import calibration_texts, export_checkpoint
from hydra_nb.predictor.guards import average, refit_guards
from hydra_nb.predictor.guide import Guide
from hydra_nb.predictor.metrics import targets_of
from hydra_nb.predictor.model_card import model_card
from hydra_nb.predictor.plan import TrainingPlan
from hydra_nb.predictor.predictor import DEFAULT_CHECKPOINT, Predictor, load_predictor
from hydra_nb.predictor.readout import refit_heads
from hydra_nb.predictor.report import report_markdown
from hydra_nb.predictor.students import (
    modernbert_student,
    narrowed,
    neuron_importance,
    thinned,
)
from hydra_nb.predictor.tokens import PromptTokenizer
from hydra_nb.predictor.torch_checkpoint import save_network, start_network
from hydra_nb.predictor.training import network_results, train
from hydra_nb.predictor.weak_labels import calibrated_weak_labels

log = logging.getLogger(__name__)

STATE = "training_state.pt"
TORCH = "torch"
REPORT = "report.json"
REPORT_TEXT = "report.md"
CARD = "MODEL_CARD.md"

_FEW_PROMPTS = 2000
_IMPORTANCE_PROMPTS = 1800


def read_prompts(data: Path, *, unlabelled: bool = False) -> list[LabelledPrompt]:
    """Read a table of labelled prompts, or the data folder with weak labels calibrated.

    `unlabelled` lets rows of a table be without labels; see `read_table`.

    Raises:
        InvalidInputError: as `read_table` and `read_authored`; or there is nothing at that path.
    """
    if data.is_dir():
        prompts = read_data(data)
        labels, pearson = calibrated_weak_labels(prompts, read_weak_labels(data))
        log.info("calibrated weak labels, cross-validated Pearson: %s", pearson)
        return [
            replace(prompt, targets=labels[prompt.prompt_id]) if prompt.kind == "weak" else prompt
            for prompt in prompts
        ]
    if not data.is_file():
        raise InvalidInputError(f"{data}: no such file or folder")
    return read_table(data, unlabelled=unlabelled)


def layers_to_freeze(prompts: Sequence[LabelledPrompt], layers: int) -> int:
    """Return how many encoder layers stay as they are: two thirds where prompts are few."""
    labelled = sum(prompt.split == "train" and prompt.kind != "weak" for prompt in prompts)
    return layers * 2 // 3 if labelled < _FEW_PROMPTS else 0


def opened_network(
    encoder: str | None,
    prompts: Sequence[LabelledPrompt],
    *,
    pooling: str | None = None,
    vocabulary: int = 48_000,
    layers: Sequence[int] | None = None,
    modernbert_layers: int | None = None,
) -> tuple[RequirementNetwork, PromptTokenizer, dict[str, Any]]:
    """Return a network to train, its tokenizer and what it is.

    `encoder` is `None` (the shipped predictor), a checkpoint folder of either kind,
    `e5-small-q4.bin`, or the folder or hub name of any encoder of transformers. Of a folder that
    training wrote, the network in its `torch/` is taken. `layers` keeps only some layers of a
    BERT-like encoder; `modernbert_layers` starts an untrained ModernBERT with that many layers on
    the token embeddings of the encoder. `pooling` is `mean` unless told otherwise.

    Raises:
        InvalidInputError: a checkpoint pools in another way.
    """
    path = DEFAULT_CHECKPOINT if encoder is None else Path(encoder)
    if (path / TORCH / MANIFEST).is_file():
        path = path / TORCH
    if (path / MANIFEST).is_file() and read_manifest(path, check_files=False).kind == "onnx":
        network, tokenizer, manifest = reopened(path)
        description = dict(manifest.encoder)
    else:
        texts = [prompt.text for prompt in prompts if prompt.split == "train"]
        network, tokenizer, description = start_network(
            str(path),
            texts=texts,
            vocabulary_size=vocabulary,
            pooling=pooling or "mean",
        )
    if pooling not in (None, network.pooling):
        raise InvalidInputError(
            f"{path}: pools by {network.pooling}, which stays; received pooling {pooling}"
        )
    if layers is not None:
        network = thinned(network, list(layers))
    if modernbert_layers is not None:
        origin = f"untrained, on the token embeddings of {encoder_name(encoder)}"
        network = modernbert_student(network, modernbert_layers)
        description |= {"architecture": "ModernBertModel", "origin": origin}
    return network, tokenizer, description | _sizes(network)


def _sizes(network: RequirementNetwork) -> dict[str, Any]:
    names = {
        "layers": "num_hidden_layers",
        "hidden": "hidden_size",
        "intermediate": "intermediate_size",
        "attention_heads": "num_attention_heads",
    }
    config = network.encoder.config
    return {
        **{own: int(getattr(config, its)) for own, its in names.items() if hasattr(config, its)},
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "weights": "fp32",
    }


def with_feed_forward(
    network: RequirementNetwork,
    tokenizer: PromptTokenizer,
    prompts: Sequence[LabelledPrompt],
    width: int,
    *,
    plan: TrainingPlan,
) -> RequirementNetwork:
    """Return a copy that keeps the `width` feed-forward neurons of each layer that matter most.

    What matters is measured on labelled training prompts; see `students.neuron_importance`.
    """
    labelled = [p for p in prompts if p.kind != "weak" and p.split == "train"]
    batches = training_batches(
        evenly(labelled, _IMPORTANCE_PROMPTS), tokenizer, plan, random.Random(plan.seed)
    )
    return narrowed(network, width, neuron_importance(network, batches, plan))


def settled(
    network: RequirementNetwork,
    tokenizer: PromptTokenizer,
    prompts: Sequence[LabelledPrompt],
    *,
    progress: bool = True,
) -> Calibration:
    """Fit the distance on training prompts, in place, and return the calibration on dev prompts."""
    labelled = [p for p in prompts if p.kind != "weak"]
    texts = evenly([prompt.text for prompt in labelled if prompt.split == "train"])
    network.fit_distance(network_results(network, tokenizer, texts, progress=progress).pooled)
    dev = [prompt for prompt in labelled if prompt.split == "dev"]
    if len(dev) < FEWEST_PROMPTS:
        log.warning(
            "only %d dev prompts (%d are needed): the spread is not fitted to labels, and only "
            "unknown scripts are flagged as out of domain",
            len(dev),
            FEWEST_PROMPTS,
        )
        return Calibration.none()
    found = network_results(network, tokenizer, [prompt.text for prompt in dev])
    return fit_calibration(targets_of(dev), found.scores, np.exp(found.log_spread), found.distance)


def train_checkpoint(
    prompts: Sequence[LabelledPrompt],
    out: Path,
    *,
    plan: TrainingPlan,
    encoder: str | None = None,
    name: str = "hydra-predictor",
    pooling: str | None = None,
    vocabulary: int = 48_000,
    layers: Sequence[int] | None = None,
    modernbert_layers: int | None = None,
    feed_forward: int | None = None,
    teachers: Sequence[str] = (),
    outcome_prompts: int = 0,
    progress: bool = True,
) -> Predictor:
    """Train, calibrate, export and evaluate; return the predictor of the folder written.

    A run that was interrupted goes on after its last whole epoch when it is started again with the
    same arguments. `feed_forward` first narrows the feed-forward layers of a BERT-like encoder.
    `teachers` are names of the checkpoints that labelled weak prompts, `outcome_prompts` how many
    of each benchmark joined, for the record.

    Raises:
        InvalidInputError: nothing to train on, or `out` holds the state of another run; layers or
            a feed-forward width that the encoder does not have; a `state_loss` without a student.
        CheckpointError: the encoder cannot be loaded.
    """
    network, tokenizer, description = opened_network(
        encoder,
        prompts,
        pooling=pooling,
        vocabulary=vocabulary,
        layers=layers,
        modernbert_layers=modernbert_layers,
    )
    options = {
        "pooling": pooling,
        "vocabulary": vocabulary,
        "layers": None if layers is None else list(layers),
        "modernbert_layers": modernbert_layers,
        "feed_forward": feed_forward,
        "teachers": list(teachers),
        "outcome_prompts": outcome_prompts,
    }
    if feed_forward is not None:
        network = with_feed_forward(network, tokenizer, prompts, feed_forward, plan=plan)
        description |= _sizes(network)
    if plan.frozen_layers is None:
        frozen = layers_to_freeze(prompts, int(network.encoder.config.num_hidden_layers))
        plan = replace(plan, frozen_layers=frozen)
    start = copy.deepcopy(network) if plan.start_share else None
    guide = None
    if plan.state_loss:
        if layers is None and modernbert_layers is None and feed_forward is None:
            raise InvalidInputError(
                "state_loss needs a student (layers, modernbert_layers or feed_forward): a network "
                f"that lost nothing has no states to learn; received {plan.state_loss}"
            )
        whole, _, _ = opened_network(encoder, prompts, pooling=pooling, vocabulary=vocabulary)
        if modernbert_layers is not None:
            guide = Guide.of_last(whole)
        else:
            every = range(int(whole.encoder.config.num_hidden_layers))
            guide = Guide.of_thinned(whole, every if layers is None else layers)
    best, history = train(
        network, tokenizer, prompts, plan=plan, progress=progress, state=out / STATE, guide=guide
    )
    if start is not None:
        average(best, start, plan.start_share)
        refit_guards(best, tokenizer, prompts, plan=plan, progress=progress)
    refit_heads(best, tokenizer, prompts, plan=plan, progress=progress)
    manifest = Manifest(
        kind="torch",
        name=name,
        encoder=description,
        pooling=best.pooling,
        max_tokens=tokenizer.max_tokens,
        training_data=training_summary(prompts, plan)
        | {
            "history": history,
            "encoder": encoder_name(encoder),
            "options": options,
            "earlier": _earlier(encoder),
        },
    )
    return finish_checkpoint(best, tokenizer, manifest, prompts, out, progress=progress)


def finish_checkpoint(
    network: RequirementNetwork,
    tokenizer: PromptTokenizer,
    manifest: Manifest,
    prompts: Sequence[LabelledPrompt],
    out: Path,
    *,
    progress: bool = True,
) -> Predictor:
    """Calibrate, export and evaluate a trained network into `out`."""
    calibration = settled(network, tokenizer, prompts, progress=progress)
    manifest = replace(manifest, calibration=calibration.to_json())
    save_network(out / TORCH, network, tokenizer, manifest)
    export_checkpoint(
        network, tokenizer, manifest, out, calibration_texts=calibration_texts(prompts)
    )
    evaluate_checkpoint(out, prompts, reference=out / TORCH)
    return load_predictor(out)


def evaluate_checkpoint(
    folder: Path,
    prompts: Sequence[LabelledPrompt],
    *,
    reference: Path | None = None,
    more: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Write metrics and score band into a checkpoint, beside them its report and model card.

    Measured on the test split; a table so small that it has none is measured on what there is, and
    the report says so (`split`).
    """
    predictor = load_predictor(folder)
    split = next(s for s in ("test", "dev", "train") if any(p.split == s for p in prompts))
    report = evaluate(
        predictor,
        prompts,
        split=split,
        reference=load_predictor(reference) if reference else None,
    ) | (more or {})
    band = score_band(predictor, prompts)
    write_manifest(folder, replace(predictor.manifest, metrics=report, score_band=band))
    write_text(folder / REPORT, json.dumps(report, indent=2) + "\n")
    write_text(folder / REPORT_TEXT, report_markdown(report))
    write_text(folder / CARD, model_card(read_manifest(folder)))
    return report


def training_summary(prompts: Sequence[LabelledPrompt], plan: TrainingPlan) -> dict[str, Any]:
    """Return what the manifest says about the data: prompts per kind and split, and the plan."""
    counts = Counter(f"{prompt.kind} {prompt.split}" for prompt in prompts)
    return {"prompts": dict(sorted(counts.items())), "plan": asdict(plan)}


def encoder_name(encoder: str | None) -> str:
    """Return how the manifest calls an encoder: never a path of this machine."""
    if encoder is None:
        return "the shipped predictor"
    path = Path(encoder)
    return path.parent.name if path.name == TORCH and (path / MANIFEST).is_file() else path.name


def _earlier(encoder: str | None) -> list[dict[str, Any]]:
    """Return plan and history of the runs that a checkpoint to be trained further went through."""
    folder = DEFAULT_CHECKPOINT if encoder is None else Path(encoder)
    if (folder / TORCH / MANIFEST).is_file():
        folder = folder / TORCH
    if not (folder / MANIFEST).is_file():
        return []
    last = dict(read_manifest(folder, check_files=False).training_data)
    earlier: list[dict[str, Any]] = last.pop("earlier", [])
    return [*earlier, last]
