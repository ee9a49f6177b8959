"""What training starts from: a checkpoint, an encoder, or a student made of one of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra_nb.errors import InvalidInputError
from hydra_nb.predictor.architecture import RequirementNetwork
from hydra_nb.predictor.batches import Batch, training_batches
from hydra_nb.predictor.checkpoint import MANIFEST, read_manifest
from hydra_nb.predictor.dataset import LabelledPrompt
from hydra_nb.predictor.dequantization import reopened
from hydra_nb.predictor.evaluation import evenly
from hydra_nb.predictor.guide import Guide
from hydra_nb.predictor.modernbert import as_modernbert
from hydra_nb.predictor.plan import TrainingPlan
from hydra_nb.predictor.predictor import DEFAULT_CHECKPOINT
from hydra_nb.predictor.students import narrowed, neuron_importance, thinned
from hydra_nb.predictor.tokens import PromptTokenizer
from hydra_nb.predictor.torch_checkpoint import start_network

TORCH = "torch"

_IMPORTANCE_PROMPTS = 1800
_REBUILDING_PROMPTS = 300


def opened_network(
    encoder: str | None,
    prompts: Sequence[LabelledPrompt],
    *,
    pooling: str | None = None,
    vocabulary: int = 48_000,
) -> tuple[RequirementNetwork, PromptTokenizer, dict[str, Any]]:
    """Return a network to train, its tokenizer and what it is.

    `encoder` is `None` (the shipped predictor), a checkpoint folder of either kind,
    `e5-small-q4.bin`, or the folder or hub name of any encoder of transformers. Of a folder that
    training wrote, the network in its `torch/` is taken. `pooling` is `mean` unless told otherwise.

    Raises:
        InvalidInputError: a checkpoint pools in another way.
    """
    path = _start(encoder)
    if is_as_served(encoder):
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
    return network, tokenizer, description | sizes_of(network)


def _start(encoder: str | None) -> Path:
    path = DEFAULT_CHECKPOINT if encoder is None else Path(encoder)
    return path / TORCH if (path / TORCH / MANIFEST).is_file() else path


def is_as_served(encoder: str | None) -> bool:
    """Tell if training starts from a served graph, its int8 weights turned back."""
    path = _start(encoder)
    return (path / MANIFEST).is_file() and read_manifest(path, check_files=False).kind == "onnx"


def sizes_of(network: RequirementNetwork) -> dict[str, Any]:
    """Return what the manifest says about the size of a network."""
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


def student_of(
    network: RequirementNetwork,
    tokenizer: PromptTokenizer,
    prompts: Sequence[LabelledPrompt],
    *,
    plan: TrainingPlan,
    layers: Sequence[int] | None = None,
    feed_forward: int | None = None,
    modernbert: bool = False,
) -> RequirementNetwork:
    """Return a smaller copy of a BERT-like network, as a ModernBERT if asked, to be trained.

    `layers` are those it keeps; of each, `feed_forward` neurons, those that matter most to labelled
    training prompts. See `students.neuron_importance`, `modernbert.as_modernbert`.

    Raises:
        InvalidInputError: the encoder is not BERT-like, or has no such layer or width.
    """
    batches = partial(_some_batches, prompts, tokenizer, plan=plan)
    if layers is not None:
        network = thinned(network, list(layers))
    if feed_forward is not None:
        importance = neuron_importance(network, batches(_IMPORTANCE_PROMPTS), plan)
        network = narrowed(network, feed_forward, importance)
    return as_modernbert(network, batches(_REBUILDING_PROMPTS)) if modernbert else network


def guide_of(
    guide: str,
    network: RequirementNetwork,
    tokenizer: PromptTokenizer,
    *,
    runs: Sequence[Mapping[str, Any]],
    layers: Sequence[int] | None = None,
) -> Guide:
    """Open the checkpoint `guide` for a student of it, which kept `layers` of what `runs` left.

    Raises:
        InvalidInputError: the two read other tokens or have states of other widths, or nothing
            says which layers of the guide the student kept.
    """
    whole, its_tokenizer, _ = opened_network(guide, [])
    own, its = network.encoder.config, whole.encoder.config
    if its_tokenizer.tokenizer.to_str() != tokenizer.tokenizer.to_str():
        raise InvalidInputError(f"{guide}: reads other tokens than the student it is to guide")
    if own.hidden_size != its.hidden_size:
        raise InvalidInputError(
            f"{guide}: its states have {its.hidden_size} numbers a token, those of the student it "
            f"is to guide {own.hidden_size}"
        )
    kept = list(range(int(its.num_hidden_layers)))
    cuts = [run.get("options", {}).get("layers") for run in runs]
    for cut in (*cuts, layers):
        if cut is not None and max(cut) < len(kept):
            kept = [kept[index] for index in cut]
    if len(kept) != int(own.num_hidden_layers):
        raise InvalidInputError(
            f"{guide}: has {its.num_hidden_layers} layers, the student it is to guide "
            f"{own.num_hidden_layers}, and no run of that student cut the one to the other"
        )
    return Guide.of_thinned(whole, kept)


def _some_batches(
    prompts: Sequence[LabelledPrompt],
    tokenizer: PromptTokenizer,
    most: int,
    *,
    plan: TrainingPlan,
) -> Iterator[Batch]:
    labelled = [p for p in prompts if p.kind != "weak" and p.split == "train"]
    return training_batches(evenly(labelled, most), tokenizer, plan, random.Random(plan.seed))


def encoder_name(encoder: str | None) -> str:
    """Return how the manifest calls an encoder: never a path of this machine."""
    if encoder is None:
        return "the shipped predictor"
    path = Path(encoder)
    return path.parent.name if path.name == TORCH and (path / MANIFEST).is_file() else path.name


def earlier_runs(encoder: str | None) -> list[dict[str, Any]]:
    """Return plan and history of the runs that a checkpoint to be trained further went through."""
    folder = _start(encoder)
    if not (folder / MANIFEST).is_file():
        return []
    last = dict(read_manifest(folder, check_files=False).training_data)
    earlier: list[dict[str, Any]] = last.pop("earlier", [])
    return [*earlier, last]
