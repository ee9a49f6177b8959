"""A BERT rebuilt as a ModernBERT: other blocks, nearly the same function."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hydra_nb.predictor.architecture import RequirementNetwork
from hydra_nb.predictor.batches import Batch
from hydra_nb.predictor.students import bert_layers

_ROPE_THETA = 160_000.0  # of ModernBERT's global layers
_USUAL_TOKENS = 128
_LEAST_SLOPE = 0.5


def as_modernbert(network: RequirementNetwork, batches: Iterable[Batch]) -> RequirementNetwork:
    """Return a ModernBERT of the same layers and widths that does about the same, heads included.

    A BERT block normalises each sum (Devlin et al. 2019), a ModernBERT block what it reads of a sum
    that is never normalised (Warner et al. 2024). So each reading norm is fitted, by least squares
    over the tokens of `batches`, to what the BERT sublayer there reads, and what a sublayer writes
    is divided by the slope of that fit. Gates start at 1. The axes of queries and keys are
    turned, products unchanged, so that rotary positions rotate fastest those that matter
    least. All layers attend globally. Position embeddings are lost but for their mean: the result
    is a start for training, no replacement.

    Raises:
        InvalidInputError: the encoder is not BERT-like.
    """
    layers = bert_layers(network)
    bert = network.encoder
    with torch.no_grad():
        modern = _empty(bert.config)
        modern.embeddings.tok_embeddings.weight.copy_(_token_table(bert.embeddings))
        modern.embeddings.norm.load_state_dict(bert.embeddings.LayerNorm.state_dict())
        read, written, ids = _observed(network, layers, batches)
        summed = modern.embeddings(ids[None])[0]
        slope = torch.ones(summed.shape[1])
        for index, (old, new) in enumerate(zip(layers, modern.layers, strict=True)):
            if index:  # the first layer of a ModernBERT reads its embeddings as they are
                slope = _fit_norm(new.attn_norm, summed, read[2 * index])
            _copy_attention(old.attention, new.attn, read[2 * index], slope)
            summed = summed + written[2 * index] / slope
            slope = _fit_norm(new.mlp_norm, summed, read[2 * index + 1])
            _copy_feed_forward(old, new.mlp, slope)
            summed = summed + written[2 * index + 1] / slope
        _fit_norm(modern.final_norm, summed, read[-1])
    student = RequirementNetwork(modern, pooling=network.pooling, dropout=network.dropout.p)
    above = {k: v for k, v in network.state_dict().items() if not k.startswith("encoder.")}
    student.load_state_dict(above, strict=False)
    return student


def _empty(told: Any) -> Any:
    from transformers import ModernBertConfig, ModernBertModel

    rope = {"rope_type": "default", "rope_theta": _ROPE_THETA}
    config = ModernBertConfig(
        vocab_size=told.vocab_size,
        hidden_size=told.hidden_size,
        num_hidden_layers=told.num_hidden_layers,
        num_attention_heads=told.num_attention_heads,
        intermediate_size=told.intermediate_size,
        max_position_embeddings=told.max_position_embeddings,
        norm_eps=told.layer_norm_eps,
        norm_bias=True, attention_bias=True, mlp_bias=True,
        layer_types=["full_attention"] * told.num_hidden_layers,
        rope_parameters={"full_attention": rope},
        pad_token_id=1, bos_token_id=0, eos_token_id=2, cls_token_id=0, sep_token_id=2,
    )  # fmt: skip
    return ModernBertModel(config)


def _token_table(embeddings: Any) -> Tensor:
    """Return token embeddings with what BERT adds to each on average, `(vocabulary, hidden)`."""
    positions: Tensor = embeddings.position_embeddings.weight[:_USUAL_TOKENS]
    kind: Tensor = embeddings.token_type_embeddings.weight[0]
    tokens: Tensor = embeddings.word_embeddings.weight
    return tokens + kind + positions.mean(dim=0)


def _observed(
    network: RequirementNetwork, layers: Sequence[Any], batches: Iterable[Batch]
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Return what each sublayer reads and writes, `(tokens, hidden)`, and the ids, `(tokens,)`.

    The last of what is read is what the heads read. Sublayers alternate: attention, feed-forward.
    """
    readers, writers = [network.encoder.embeddings], []
    for layer in layers:
        readers += [layer.attention.output, layer]
        writers += [layer.attention.output.dense, layer.output.dense]
    found: list[list[Tensor]] = [[] for _ in (*readers, *writers)]
    mask = torch.ones(0, dtype=torch.bool)

    def keep(place: int) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            states = output[0] if isinstance(output, tuple) else output
            found[place].append(states[mask])

        return hook

    hooks = [
        module.register_forward_hook(keep(place))
        for place, module in enumerate((*readers, *writers))
    ]
    training = network.training
    network.eval()
    ids = []
    for batch in batches:
        mask = batch.mask.bool()
        network.encoded(batch.ids, batch.mask)
        ids.append(batch.ids[mask])
    network.train(training)
    for hook in hooks:
        hook.remove()
    states = [torch.cat(parts) for parts in found]
    return states[: len(readers)], states[len(readers) :], torch.cat(ids)


def _fit_norm(norm: nn.LayerNorm, summed: Tensor, wanted: Tensor) -> Tensor:
    """Fit a norm of `summed` to `wanted`, both `(tokens, hidden)`; return the slope to write by.

    A BERT forgets some axes faster than others. Followed to the letter, what is written there would
    outgrow all other axes and with them the variance that the norms divide by, so slopes are
    kept within a factor of two of their median.
    """
    plain = functional.layer_norm(summed, summed.shape[-1:], eps=norm.eps)
    weight = _slopes(plain, wanted)
    norm.weight.copy_(weight)
    norm.bias.copy_(wanted.mean(dim=0) - weight * plain.mean(dim=0))
    slope = _slopes(summed, wanted)
    middle = float(slope.median())
    return slope.clamp(middle * _LEAST_SLOPE, middle / _LEAST_SLOPE)


def _slopes(given: Tensor, wanted: Tensor) -> Tensor:
    """Return the slope of the least-squares line of each column, `(hidden,)`."""
    centered = given - given.mean(dim=0)
    return (centered * wanted).mean(dim=0) / centered.square().mean(dim=0).clamp(min=1e-12)


def _copy_attention(old: Any, new: Any, read: Tensor, slope: Tensor) -> None:
    own = getattr(old, "self")  # noqa: B009 (the name of transformers)
    query, key = copy.deepcopy(own.query), copy.deepcopy(own.key)
    # what all keys have in common moves all logits of a query alike, until it is rotated
    key.bias.copy_(-(read @ key.weight.T).mean(dim=0))
    for head in range(new.config.num_attention_heads):
        rows = slice(head * new.head_dim, (head + 1) * new.head_dim)
        turns = _turns(
            read @ query.weight[rows].T + query.bias[rows],
            read @ key.weight[rows].T + key.bias[rows],
        )
        for dense, turn in zip((query, key), turns, strict=True):
            dense.weight[rows] = turn @ dense.weight[rows]
            dense.bias[rows] = turn @ dense.bias[rows]
    new.Wqkv.weight.copy_(torch.cat([query.weight, key.weight, own.value.weight]))
    new.Wqkv.bias.copy_(torch.cat([query.bias, key.bias, own.value.bias]))
    _copy_written(old.output.dense, new.Wo, slope)


def _turns(queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Return two matrices `(size, size)` for queries and keys `(tokens, size)` of a head.

    They leave all products as they are and sort the axes by how much they add to the products:
    least where rotary positions rotate fastest, in the first axis and the one half the size away.
    """
    left, right = _root(queries), _root(keys)
    u, strength, v = torch.linalg.svd(left.T @ right)
    size = len(strength)
    slots = torch.arange(size).reshape(2, size // 2).T.flatten()
    weakest = strength.argsort()
    turns = []
    for root, axes in ((left, u), (right, v.T)):
        turn = (torch.linalg.solve(root.T, axes) * strength.sqrt()).T
        placed = torch.empty_like(turn)
        placed[slots] = turn[weakest]
        turns.append(placed.float())
    return turns[0], turns[1]


def _root(rows: Tensor) -> Tensor:
    """Return L with `L @ L.T` the second moments of rows `(tokens, size)`."""
    rows = rows.double()
    moments = rows.T @ rows / len(rows)
    floor = 1e-6 * moments.diagonal().mean()
    root: Tensor = torch.linalg.cholesky(
        moments + floor * torch.eye(len(moments), dtype=torch.double)
    )
    return root


def _copy_feed_forward(old: Any, new: Any, slope: Tensor) -> None:
    inner = old.intermediate.dense
    new.Wi.weight.copy_(torch.cat([inner.weight, torch.zeros_like(inner.weight)]))
    new.Wi.bias.copy_(torch.cat([inner.bias, torch.ones_like(inner.bias)]))
    _copy_written(old.output.dense, new.Wo, slope)


def _copy_written(old: nn.Linear, new: nn.Linear, slope: Tensor) -> None:
    new.weight.copy_(old.weight / slope[:, None])
    new.bias.copy_(old.bias / slope)
