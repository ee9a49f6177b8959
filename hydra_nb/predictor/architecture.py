"""The network: encoder → pooling → dropout → four independent sigmoid heads, for any encoder."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import InvalidInputError
from hydra_nb.predictor.e5_file import E5File

POOLINGS = ("mean", "cls")


class RequirementNetwork(nn.Module):
    """Four requirement logits of a batch of token ids.

    Attributes:
        encoder: any transformers encoder that returns `last_hidden_state`.
        pooling: `mean` over the unmasked tokens, or `cls` (the first token).
        heads: one linear layer whose four outputs are the four heads; they share no weight.
    """

    def __init__(self, encoder: Any, *, pooling: str = "mean", dropout: float = 0.1) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise InvalidInputError(f"pooling must be one of {POOLINGS}; received {pooling!r}")
        self.encoder = encoder
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.Linear(int(encoder.config.hidden_size), len(DIMENSIONS))

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Return logits `(batch, 4)` of ids `(batch, tokens)`; no mask means no padding."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        hidden = self.encoder(input_ids=input_ids, attention_mask=mask).last_hidden_state
        hidden = hidden.float()
        if self.pooling == "cls":
            pooled = hidden[:, 0]
        elif attention_mask is None:
            pooled = hidden.mean(dim=1)
        else:
            weights = mask.unsqueeze(-1).float()  # (batch, tokens, 1)
            pooled = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
        logits: Tensor = self.heads(self.dropout(pooled))
        return logits


def e5_encoder(file: E5File, kept_ids: list[int], *, extra_tokens: int) -> Any:
    """Return the `BertModel` of the file with the embedding rows `kept_ids`.

    `extra_tokens` rows follow for the signal tokens; they start at the mean embedding.
    """
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=len(kept_ids) + extra_tokens,
        hidden_size=file.sizes["hidden"],
        num_hidden_layers=file.sizes["layers"],
        num_attention_heads=file.sizes["heads"],
        intermediate_size=file.sizes["intermediate"],
        max_position_embeddings=file.sizes["positions"],
        type_vocab_size=file.sizes["types"],
        layer_norm_eps=file.layer_norm_eps,
        pad_token_id=1,
    )
    encoder = BertModel(config, add_pooling_layer=False)
    state = {name: torch.from_numpy(values.copy()) for name, values in file.tensors.items()}
    table = "embeddings.word_embeddings.weight"
    rows = state[table][torch.tensor(kept_ids)]
    state[table] = torch.cat([rows, rows.mean(dim=0, keepdim=True).repeat(extra_tokens, 1)])
    encoder.load_state_dict(state)
    return encoder


def thinned(network: RequirementNetwork, layers: list[int]) -> RequirementNetwork:
    """Return a copy that keeps the given encoder layers only (BERT-like encoders).

    The usual start of a student: every second layer of its teacher.
    """
    student = copy.deepcopy(network)
    stack = student.encoder.encoder.layer
    student.encoder.encoder.layer = nn.ModuleList([stack[index] for index in layers])
    student.encoder.config.num_hidden_layers = len(layers)
    return student


def depth_of(name: str, layers: int) -> int:
    """Return how far below the heads a parameter lies: 0 for heads, `layers + 1` for embeddings."""
    if name.startswith("heads"):
        return 0
    for part in name.split("."):
        if part.isdigit():
            return layers - int(part)
    return layers + 1 if "embed" in name else 0
