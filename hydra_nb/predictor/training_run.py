"""One run of training: network, optimizers, generators and history, as one thing to save."""

from __future__ import annotations

import copy
import hashlib
import math
import os
import pickle
import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from hydra_nb.errors import InvalidInputError
from hydra_nb.predictor.architecture import RequirementNetwork
from hydra_nb.predictor.batches import Batch
from hydra_nb.predictor.dataset import LabelledPrompt
from hydra_nb.predictor.guide import Guide
from hydra_nb.predictor.objective import requirement_loss
from hydra_nb.predictor.plan import TrainingPlan


def origin_of(network: RequirementNetwork, prompts: Sequence[LabelledPrompt]) -> str:
    """Return a digest of what a run starts from: weights, pooling, and prompts with their labels.

    The order of the prompts counts: batches are drawn by it.
    """
    digest = hashlib.sha256(network.pooling.encode())
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().contiguous().cpu().numpy().tobytes())
    for prompt in prompts:
        digest.update(repr(prompt).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


class TrainingRun:
    """The state of a run of training.

    Attributes:
        history: one row an epoch.
        seconds: time spent so far, in all sessions of this run.
    """

    def __init__(
        self,
        network: RequirementNetwork,
        steppers: list[torch.optim.Optimizer],
        plan: TrainingPlan,
        generator: random.Random,
        *,
        origin: str = "",
        guide: Guide | None = None,
    ) -> None:
        self.history: list[dict[str, float]] = []
        self.seconds = 0.0
        self._network = network
        self._steppers = steppers
        self._plan = plan
        self._generator = generator
        self._origin = origin
        self._guide = guide
        self._groups = [group for stepper in steppers for group in stepper.param_groups]
        self._rates = [group["lr"] for group in self._groups]
        self._dense = [p for group in steppers[0].param_groups for p in group["params"]]
        self._best = {key: value.clone() for key, value in network.state_dict().items()}

    def step(self, batch: Batch, done: float) -> float:
        """Take one step on a batch, `done` of the run being over, and return the loss."""
        plan = self._plan
        factor = min(done / plan.warmup + 0.01, 0.5 * (1 + math.cos(math.pi * done)) + 0.01)
        for group, rate in zip(self._groups, self._rates, strict=True):
            group["lr"] = rate * factor
        missed = torch.zeros(())
        with torch.autocast("cpu", torch.bfloat16, enabled=plan.bfloat16):
            if self._guide is None:
                output = self._network(batch.ids, batch.mask)
            else:
                output, missed = self._guide.compared(self._network, batch)
        loss = requirement_loss(output, batch, plan) + plan.state_loss * missed
        if not math.isfinite(float(loss.detach())):
            raise InvalidInputError(
                f"the loss is {float(loss.detach())} in epoch {len(self.history) + 1}; the weights "
                f"ran away (learning_rate is {plan.learning_rate}, try a lower one) or a weight of "
                "the encoder is no number"
            )
        self._network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._dense, 1.0)
        for stepper in self._steppers:
            stepper.step()
        return float(loss.detach())

    def record(self, row: dict[str, float]) -> None:
        """Add the row of an epoch and keep its weights where it is the best so far.

        Without a dev split there is no merit, and the last epoch counts as the best.
        """
        best = max((old.get("merit", -math.inf) for old in self.history), default=-math.inf)
        self.history.append(row)
        if row.get("merit", math.inf) > best:
            self._best = {key: value.clone() for key, value in self._network.state_dict().items()}

    def epochs_without_better(self) -> int:
        """Return how many epochs have passed since the best one."""
        merits = [row.get("merit", row["epoch"]) for row in self.history]
        return len(merits) - 1 - merits.index(max(merits))

    def is_patience_over(self) -> bool:
        """Return whether as many epochs as the plan has patience for brought nothing."""
        patience = self._plan.patience
        return bool(patience and self.history and self.epochs_without_better() >= patience)

    def best(self) -> RequirementNetwork:
        """Return the network as it was after its best epoch, in evaluation mode."""
        network = copy.deepcopy(self._network)
        network.load_state_dict(self._best)
        network.encoder.get_input_embeddings().sparse = False
        return network.eval().requires_grad_(True)

    def save(self, path: Path) -> None:
        """Write the state beside its place and rename it into it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        version, numbers, gauss = self._generator.getstate()
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        torch.save(
            {
                "plan": asdict(self._plan),
                "origin": self._origin,
                "history": self.history,
                "seconds": self.seconds,
                "network": self._network.state_dict(),
                "best": self._best,
                "optimizers": [stepper.state_dict() for stepper in self._steppers],
                "generator": [version, list(numbers), gauss],
                "torch_generator": torch.get_rng_state(),
            },
            beside,
        )
        beside.replace(path)

    def restore(self, path: Path) -> None:
        """Go on from a saved state.

        Raises:
            InvalidInputError: the file is no state, or one of another plan, of other prompts, or
                of other weights to start from.
        """
        try:
            found = torch.load(path, weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise InvalidInputError(f"{path}: not a training state: {error}") from error
        plan = asdict(self._plan)
        told = {key: value for key, value in found["plan"].items() if plan.get(key) != value}
        if told:
            raise InvalidInputError(
                f"{path}: belongs to a run with {told}, this one has "
                f"{ {key: plan.get(key) for key in told} }; delete it or use the same options"
            )
        if found.get("origin", "") != self._origin:
            raise InvalidInputError(
                f"{path}: belongs to a run with other prompts, labels, teachers or weights at "
                "its start; delete it or write to another folder"
            )
        try:
            self._network.load_state_dict(found["network"])
        except RuntimeError as error:
            raise InvalidInputError(f"{path}: belongs to another network: {error}") from error
        for stepper, state in zip(self._steppers, found["optimizers"], strict=True):
            stepper.load_state_dict(state)  # replaces its groups
        self._groups = [group for stepper in self._steppers for group in stepper.param_groups]
        version, numbers, gauss = found["generator"]
        self._generator.setstate((version, tuple(numbers), gauss))
        torch.set_rng_state(found["torch_generator"])
        self._best = found["best"]
        self.history = found["history"]
        self.seconds = found["seconds"]
