"""The network, for any encoder: encoder → pooling → four independent heads and their guards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import InvalidInputError
from hydra_nb.predictor.e5_file import E5File

POOLINGS = ("mean", "cls")
HEADS = ("heads.", "spread_heads.", "noise_head.")
"""Prefixes of the parameters above the encoder."""

_HEAD_NEURONS = ("heads.inner.", "heads.outer")

_FIRST_LOG_SPREAD = -2.5
_FIRST_NOISE_LOGIT = -2.0
_SHRINKAGE = 0.05
_NEURONS = 16


class NetworkOutput(NamedTuple):
    """What the network says of a batch of `(batch, tokens)` ids.

    Attributes:
        logits: `(batch, 4)`, of the requirements.
        log_spread: `(batch, 4)`, natural logarithm of the expected absolute error.
        noise_logits: `(batch, tokens)`, of the token having no bearing on the requirements.
        pooled: `(batch, hidden)`, what the heads read.
        distance: `(batch,)`, Mahalanobis distance of `pooled` from the training prompts, divided by
            the square root of its dimension: about 1 for prompts like those.
    """

    logits: Tensor
    log_spread: Tensor
    noise_logits: Tensor
    pooled: Tensor
    distance: Tensor


class RequirementHeads(nn.Linear):
    """Four heads that share no weight: linear, and 16 neurons each for what is not.

    Attributes:
        inner: from the pooled state to the neurons of all heads, head by head.
        outer: `(4, 16)`, weights of the neurons; 0 at first, so that heads start out linear.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__(hidden, len(DIMENSIONS))
        self.inner = nn.Linear(hidden, len(DIMENSIONS) * _NEURONS)
        self.outer = nn.Parameter(torch.zeros(len(DIMENSIONS), _NEURONS))

    def forward(self, input: Tensor) -> Tensor:  # nn.Linear has that name
        """Return logits `(batch, 4)` of pooled states `(batch, hidden)`."""
        neurons = functional.gelu(self.inner(input)).reshape(-1, *self.outer.shape)
        linear: Tensor = super().forward(input)
        return linear + (neurons * self.outer).sum(dim=-1)


class RequirementNetwork(nn.Module):
    """Requirements, their spread, irrelevant tokens and the distance from the training prompts.

    Attributes:
        encoder: any transformers encoder that returns `last_hidden_state`.
        pooling: `mean` over the unmasked tokens, or `cls` (the first token).
        heads: the four heads; see `RequirementHeads`.
        spread_heads: the same for the expected absolute error of each head.
        noise_head: one logit a token.
        center, whitening: `(hidden,)` and `(hidden, hidden)`; see `fit_distance`.
    """

    center: Tensor
    whitening: Tensor

    def __init__(self, encoder: Any, *, pooling: str = "mean", dropout: float = 0.1) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise InvalidInputError(f"pooling must be one of {POOLINGS}; received {pooling!r}")
        hidden = int(encoder.config.hidden_size)
        self.encoder = encoder
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.heads = RequirementHeads(hidden)
        self.spread_heads = nn.Linear(hidden, len(DIMENSIONS))
        self.noise_head = nn.Linear(hidden, 1)
        nn.init.zeros_(self.spread_heads.weight)
        nn.init.constant_(self.spread_heads.bias, _FIRST_LOG_SPREAD)
        nn.init.constant_(self.noise_head.bias, _FIRST_NOISE_LOGIT)
        self.register_buffer("center", torch.zeros(hidden))
        self.register_buffer("whitening", torch.eye(hidden))

    def load_weights(self, state: Mapping[str, Tensor]) -> None:
        """Load a state; one of linear heads, as they were at first, leaves them linear.

        Raises:
            RuntimeError: it is the state of another network.
        """
        own = self.state_dict()
        neurons = {name: own[name] for name in own if name.startswith(_HEAD_NEURONS)}
        self.load_state_dict({**neurons, **state})

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> NetworkOutput:
        """Return what the network says of ids `(batch, tokens)`; no mask means no padding."""
        return self.judged(self.encoded(input_ids, attention_mask), attention_mask)

    def encoded(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Return the last hidden states, `(batch, tokens, hidden)`."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        states: Tensor = self.encoder(input_ids=input_ids, attention_mask=mask).last_hidden_state
        return states.float()

    def states(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """Return what every layer reads and the last one gives, each `(batch, tokens, hidden)`.

        ModernBERT normalises what it reads: its states are those behind that norm.
        """
        found = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True
        )
        read = found.hidden_states[:-1]
        if hasattr(self.encoder, "final_norm"):
            layers = self.encoder.layers
            read = [layer.attn_norm(state) for layer, state in zip(layers, read, strict=True)]
        return (*read, found.last_hidden_state)

    def judged(self, hidden: Tensor, attention_mask: Tensor | None = None) -> NetworkOutput:
        """Return what the heads say of hidden states `(batch, tokens, hidden)`."""
        if self.pooling == "cls":
            pooled = hidden[:, 0]
        elif attention_mask is None:
            pooled = hidden.mean(dim=1)
        else:
            weights = attention_mask.unsqueeze(-1).float()  # (batch, tokens, 1)
            pooled = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
        white = (pooled - self.center) @ self.whitening
        return NetworkOutput(
            logits=self.heads(self.dropout(pooled)),
            log_spread=self.spread_heads(pooled.detach()),
            noise_logits=self.noise_head(hidden).squeeze(-1),
            pooled=pooled,
            distance=white.square().mean(dim=1).sqrt(),
        )

    def fit_distance(self, pooled: Tensor) -> None:
        """Set `center` and `whitening` from pooled training prompts `(n_prompts, hidden)`.

        The covariance is shrunk towards its mean variance, so that few prompts will do.
        """
        center = pooled.mean(dim=0)
        deviations = (pooled - center).double()
        covariance = deviations.T @ deviations / max(len(pooled) - 1, 1)
        mean_variance = covariance.diagonal().mean().clamp(min=1e-12)
        shrunk = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * mean_variance * torch.eye(
            len(center), dtype=torch.double
        )
        values, vectors = torch.linalg.eigh(shrunk)
        self.center.copy_(center)
        self.whitening.copy_((vectors / values.sqrt()).float())


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
        # torch has no fused attention with dropout on CPU; without it a step takes 3/4 of the time
        attention_probs_dropout_prob=0.0,
    )
    encoder = BertModel(config, add_pooling_layer=False)
    state = {name: torch.from_numpy(values.copy()) for name, values in file.tensors.items()}
    table = "embeddings.word_embeddings.weight"
    rows = state[table][torch.tensor(kept_ids)]
    state[table] = torch.cat([rows, rows.mean(dim=0, keepdim=True).repeat(extra_tokens, 1)])
    encoder.load_state_dict(state)
    return encoder


def depth_of(name: str, layers: int) -> int:
    """Return how far below the heads a parameter lies: 0 for heads, `layers + 1` for embeddings."""
    if name.startswith(HEADS):
        return 0
    for part in name.split("."):
        if part.isdigit():
            return layers - int(part)
    return layers + 1 if "embed" in name else 0
