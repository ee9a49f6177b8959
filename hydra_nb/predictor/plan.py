"""How a network is trained: every choice, with its default."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hydra_nb.errors import InvalidInputError


@dataclass(frozen=True)
class TrainingPlan:
    """How a network is trained.

    Attributes:
        epochs: passes in which the encoder learns as well; 0 leaves it as it is.
        patience: epochs without a better dev merit after which training stops; 0 means never.
        weak_per_epoch: how many weakly labelled prompts, drawn anew, join each epoch.
        weak_loss: loss weight of one of them; a labelled prompt has 1.
        layer_decay: factor on the learning rate for each layer further below the heads.
        frozen_layers: encoder layers, from the bottom, that stay as they are; with any, the token
            embeddings stay too. `None` leaves it to the recipe: two thirds of the layers where
            there are fewer than 2,000 labelled prompts, else none.
        absolute_loss: weight of the absolute error, next to the soft-label cross-entropy.
        alike_loss: weight of the variance of rows that must score the same.
        above_loss: weight of the hinge on the lines of a minimal pair.
        noise_loss: weight of telling irrelevant tokens.
        state_loss: weight of the guide's hidden states that a student does not reproduce; only of
            one that was made of a larger network.
        head_epochs: passes in which the heads are fitted anew once the encoder is finished; see
            `readout.refit_heads`. 0 leaves them as they were trained with it.
        outcome_loss: in these passes, loss weight of a prompt at which models were tried
            (`--outcome-prompts`), on the stressed dimension alone; before, it is a weak one.
        start_share: share of the weights that training started from in those that come out.
        minutes: wall-clock limit; the learning rate then falls with the clock where the clock is
            ahead of the epochs. 0 means none; a run that hits its limit cannot be repeated exactly.
        bfloat16: compute in bfloat16; a gain only on processors that have it in hardware.

    Raises:
        InvalidInputError: a number is out of its range; the message names it.
    """

    epochs: int = 4
    patience: int = 0
    seed: int = 0
    learning_rate: float = 2e-4
    head_learning_rate: float = 1e-3
    layer_decay: float = 0.88
    weight_decay: float = 0.01
    warmup: float = 0.06
    tokens_per_batch: int = 2048
    limit: int = 256
    frozen_layers: int | None = None
    weak_per_epoch: int = 3000
    weak_loss: float = 0.5
    dimension_weights: tuple[float, float, float, float] = (1.5, 1.0, 1.0, 1.0)
    absolute_loss: float = 0.5
    alike_loss: float = 6.0
    above_loss: float = 2.0
    noise_loss: float = 0.3
    state_loss: float = 0.0
    head_epochs: int = 20
    outcome_loss: float = 6.0
    start_share: float = 0.0
    minutes: float = 0.0
    threads: int = 2
    bfloat16: bool = False

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and not least <= value < math.inf:
                raise InvalidInputError(f"{name} must be at least {least}; received {value}")
        for name in ("learning_rate", "head_learning_rate", "layer_decay", "warmup"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise InvalidInputError(f"{name} must be above 0 and at most 1; received {value}")
        if not 0 <= self.start_share < 1:
            raise InvalidInputError(f"start_share must be in [0, 1); received {self.start_share}")


_LEAST = {
    "epochs": 0, "patience": 0, "weight_decay": 0, "tokens_per_batch": 1, "limit": 8,
    "frozen_layers": 0, "weak_per_epoch": 0, "weak_loss": 0, "absolute_loss": 0,
    "alike_loss": 0, "above_loss": 0, "noise_loss": 0, "state_loss": 0, "head_epochs": 0,
    "outcome_loss": 0, "minutes": 0, "threads": 1,
}  # fmt: skip
