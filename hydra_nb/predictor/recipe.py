"""From labelled prompts to a checkpoint that serves, with its report and its model card.

The folder that comes out is of kind `onnx`; inside it, `torch/` holds the network to train on from,
and `training_state.pt` lets an interrupted run go on.
"""

from __future__ import annotations

import copy
import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from hydra_nb.errors import InvalidInputError
from hydra_nb.predictor.architecture import RequirementNetwork
from hydra_nb.predictor.calibration import FEWEST_PROMPTS, Calibration, fit_calibration
from hydra_nb.predictor.checkpoint import (
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
from hydra_nb.predictor.evaluation import evaluate, evenly, score_band
from hydra_nb.predictor.export import calibration_texts, export_checkpoint
from hydra_nb.predictor.guards import average, refit_guards
from hydra_nb.predictor.guide import Guide
from hydra_nb.predictor.metrics import targets_of
from hydra_nb.predictor.model_card import model_card
from hydra_nb.predictor.origin import (
    TORCH,
    earlier_runs,
    encoder_name,
    guide_of,
    is_as_served,
    opened_network,
    sizes_of,
    student_of,
)
from hydra_nb.predictor.plan import TrainingPlan
from hydra_nb.predictor.predictor import Predictor, load_predictor
from hydra_nb.predictor.readout import refit_heads
from hydra_nb.predictor.report import report_markdown
from hydra_nb.predictor.tokens import PromptTokenizer
from hydra_nb.predictor.torch_checkpoint import save_network
from hydra_nb.predictor.training import network_results, train
from hydra_nb.predictor.weak_labels import calibrated_weak_labels

log = logging.getLogger(__name__)

STATE = "training_state.pt"
REPORT = "report.json"
REPORT_TEXT = "report.md"
CARD = "MODEL_CARD.md"

_FEW_PROMPTS = 2000


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
    feed_forward: int | None = None,
    modernbert: bool = False,
    guide: str | None = None,
    teachers: Sequence[str] = (),
    outcome_prompts: int = 0,
    progress: bool = True,
) -> Predictor:
    """Train, calibrate, export and evaluate; return the predictor of the folder written.

    A run that was interrupted goes on after its last whole epoch when it is started again with the
    same arguments. `layers`, `feed_forward` and `modernbert` make a student; see
    `origin.student_of`. It learns the hidden states of what it was made of, or of the checkpoint
    `guide` where an earlier run made it. `teachers` are names of the checkpoints that labelled weak
    prompts, `outcome_prompts` how many of each benchmark joined, for the record.

    Raises:
        InvalidInputError: nothing to train on, or `out` holds the state of another run; layers or
            a feed-forward width that the encoder does not have; a `state_loss` without a student or
            guide, or the reverse; a guide of another kind (see `origin.guide_of`).
        CheckpointError: the encoder cannot be loaded.
    """
    network, tokenizer, description = opened_network(
        encoder,
        prompts,
        pooling=pooling,
        vocabulary=vocabulary,
    )
    options = {
        "pooling": pooling,
        "vocabulary": vocabulary,
        "layers": None if layers is None else list(layers),
        "feed_forward": feed_forward,
        "modernbert": modernbert,
        "guide": None if guide is None else encoder_name(guide),
        "teachers": list(teachers),
        "outcome_prompts": outcome_prompts,
    }
    whole, is_student = network, layers is not None or feed_forward is not None or modernbert
    if plan.state_loss and guide is None and not is_student:
        raise InvalidInputError(
            "state_loss needs a student (layers, feed_forward or modernbert) or a guide: a network "
            f"that lost nothing has no states to learn; received {plan.state_loss}"
        )
    if guide is not None and not plan.state_loss:
        raise InvalidInputError(
            f"a guide teaches by state_loss, which must be above 0; received {plan.state_loss}"
        )
    if is_student:
        network = student_of(
            whole, tokenizer, prompts, plan=plan, layers=layers, feed_forward=feed_forward,
            modernbert=modernbert,
        )  # fmt: skip
        description |= sizes_of(network) | {"architecture": type(network.encoder).__name__}
    if plan.frozen_layers is None:
        frozen = layers_to_freeze(prompts, int(network.encoder.config.num_hidden_layers))
        plan = replace(plan, frozen_layers=frozen)
    start = copy.deepcopy(network) if plan.start_share else None
    leader = None
    if guide is not None:
        runs = earlier_runs(encoder)
        leader = guide_of(guide, network, tokenizer, runs=runs, layers=layers)
    elif plan.state_loss:
        every = range(int(whole.encoder.config.num_hidden_layers))
        leader = Guide.of_thinned(whole, every if layers is None else layers)
    best, history = train(
        network, tokenizer, prompts, plan=plan, progress=progress, state=out / STATE, guide=leader
    )
    if start is not None:
        average(best, start, plan.start_share)
        refit_guards(best, tokenizer, prompts, plan=plan, progress=progress)
    fitted = refit_heads(best, tokenizer, prompts, plan=plan, progress=progress)
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
            "as_served": is_as_served(encoder),
            "options": options,
            "heads_fitted_anew": fitted,
            "earlier": earlier_runs(encoder),
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
