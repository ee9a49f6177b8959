"""A larger network whose hidden states a student learns to reproduce, token by token.

Four scores a prompt say little to a student that lost layers; the states of all tokens say much
more (TinyBERT, Jiao et al. 2020).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hydra_nb.predictor.architecture import NetworkOutput, RequirementNetwork
from hydra_nb.predictor.batches import Batch


class Guide:
    """A network that is not trained, and which of its states go with which of a student's.

    State 0 is that of the embeddings, state i that after layer i.

    Attributes:
        network: the one that is not trained.
    """

    def __init__(self, network: RequirementNetwork, pairs: Sequence[tuple[int, int]]) -> None:
        self.network = network.eval().requires_grad_(False)
        self._pairs = list(pairs)

    @classmethod
    def of_thinned(cls, network: RequirementNetwork, layers: Sequence[int]) -> Guide:
        """Guide `students.thinned(network, layers)`: each layer to what the next one used to read.

        So each kept layer learns to do the work of those dropped after it as well.
        """
        read_next = [*layers[1:], int(network.encoder.config.num_hidden_layers)]
        return cls(network, [(own + 1, its) for own, its in enumerate(read_next)])

    def compared(self, student: RequirementNetwork, batch: Batch) -> tuple[NetworkOutput, Tensor]:
        """Return the student's output, and how much of the guide's states its own do not explain.

        The mean over the pairs; see `unexplained`.
        """
        with torch.no_grad():
            wanted = self.network.states(batch.ids, batch.mask)
        found = student.states(batch.ids, batch.mask)
        read = batch.mask.bool()
        missed = [unexplained(found[own][read], wanted[its][read]) for own, its in self._pairs]
        return student.judged(found[-1].float(), batch.mask), torch.stack(missed).mean()


def unexplained(found: Tensor, wanted: Tensor) -> Tensor:
    """Return the share of the variance of `wanted` `(tokens, hidden)` that `found` misses."""
    found, wanted = found.float(), wanted.float()
    variance = (wanted - wanted.mean(dim=0)).square().mean()
    return (found - wanted).square().mean() / variance.clamp(min=1e-12)


def without_dropout(student: RequirementNetwork) -> None:
    """Switch off dropout in the encoder, in place: the states to reproduce have none."""
    for module in student.encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
