"""Averages a network with the one it started from, and fits its guards to what then comes out.

The guards are the heads for noise and spread: linear, on an encoder that stays as it is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from hydra_nb.predictor.architecture import RequirementNetwork
from hydra_nb.predictor.batches import training_batches
from hydra_nb.predictor.dataset import LabelledPrompt
from hydra_nb.predictor.evaluation import evenly
from hydra_nb.predictor.plan import TrainingPlan
from hydra_nb.predictor.tokens import PromptTokenizer

_PROMPTS = 2000
_STEPS = 120
_DECAY = 1e-5
_LEAST_ERROR = 0.003


def average(network: RequirementNetwork, start: RequirementNetwork, share: float) -> None:
    """Move the weights that both have towards those of `start` by `share`, in place.

    What training on one kind of prompt has unlearnt of another comes back (WiSE-FT, Wortsman et
    al. 2022); parts that `start` never trained, its spread and noise heads, stay.
    """
    old = start.state_dict()
    state = network.state_dict()
    for name, value in state.items():
        if name.startswith(("encoder.", "heads.")):
            value.lerp_(old[name], share)


def refit_guards(
    network: RequirementNetwork,
    tokenizer: PromptTokenizer,
    prompts: Sequence[LabelledPrompt],
    *,
    plan: TrainingPlan,
    progress: bool = True,
) -> None:
    """Fit the noise and spread heads, in place, on augmented training prompts.

    Each is one convex problem on fixed features, solved by L-BFGS. At most `_PROMPTS` prompts,
    evenly drawn.
    """
    chosen = evenly([p for p in prompts if p.split == "train" and p.kind != "weak"], _PROMPTS)
    batches = list(training_batches(chosen, tokenizer, plan, random.Random(plan.seed)))
    network.eval()
    hidden, noise, pooled, errors = [], [], [], []
    with torch.no_grad():
        for batch in tqdm(batches, desc="guards", disable=not progress, mininterval=5):
            states = network.encoded(batch.ids, batch.mask)
            output = network.judged(states, batch.mask)
            read = batch.mask.bool()
            hidden.append(states[read])
            noise.append(batch.noise[read])
            pooled.append(output.pooled)
            errors.append((torch.sigmoid(output.logits) - batch.targets).abs())
    tokens, is_noise = torch.cat(hidden), torch.cat(noise)
    _minimise(
        network.noise_head,
        lambda: functional.binary_cross_entropy_with_logits(
            network.noise_head(tokens).squeeze(-1), is_noise
        ),
    )
    fit_spread(network.spread_heads, torch.cat(pooled), torch.cat(errors))


def fit_spread(head: torch.nn.Linear, pooled: Tensor, errors: Tensor) -> None:
    """Fit the spread heads, in place, to errors `(n_prompts, 4)` of pooled states.

    By the likelihood of a Laplace distribution. Errors below 0.003 count as that: where heads err
    by next to nothing, the likelihood has no bound, and one prompt unlike those is infinitely far.
    """
    missed = errors.clamp(min=_LEAST_ERROR)

    def unlikelihood() -> Tensor:
        log_spread = head(pooled)
        loss: Tensor = (missed * torch.exp(-log_spread) + log_spread).mean()
        return loss

    _minimise(head, unlikelihood)


def _minimise(head: torch.nn.Linear, loss_of: Callable[[], Tensor]) -> None:
    solver = torch.optim.LBFGS(
        head.parameters(), max_iter=_STEPS, line_search_fn="strong_wolfe", history_size=20
    )

    def closure() -> Tensor:
        solver.zero_grad()
        loss = loss_of() + _DECAY * head.weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    solver.step(closure)  # type: ignore[no-untyped-call]
