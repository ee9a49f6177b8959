"""Heads that are fitted anew on an encoder that is finished."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hydra_nb.predictor import readout
from hydra_nb.predictor.architecture import RequirementHeads
from hydra_nb.predictor.batches import Batch, training_batches
from hydra_nb.predictor.guards import fit_spread
from hydra_nb.predictor.plan import TrainingPlan
from hydra_nb.predictor.readout import fitted_heads, refit_heads
from hydra_nb.predictor.torch_checkpoint import load_network
from tests.predictor.conftest import tiny_network

PLAN = TrainingPlan(threads=1, frozen_layers=0, dimension_weights=(1.0, 1.0, 1.0, 1.0))
HIDDEN = 8


def states_and_batches(**relations: Any) -> tuple[list[torch.Tensor], list[Batch]]:
    """Return states far from 0 and targets that depend on the distance from their mean."""
    generator = torch.Generator().manual_seed(0)
    away = torch.randn(2048, HIDDEN, generator=generator)
    targets = 0.1 + 0.8 * (away[:, :4].abs() > 0.7).float()
    pooled = list((5.0 + 0.02 * away).split(64))
    batches = [
        Batch(
            torch.zeros(64, 1), torch.ones(64, 1), part, torch.ones(64),
            relations.get("alike", []), [], torch.zeros(64, 1),
            torch.ones(64, dtype=torch.bool), torch.full((64,), -1),
        )
        for part in targets.split(64)
    ]  # fmt: skip
    return pooled, batches


def error_of(heads: RequirementHeads, pooled: list[torch.Tensor], batches: list[Batch]) -> float:
    with torch.no_grad():
        scores = torch.sigmoid(heads(torch.cat(pooled)))
    return float((scores - torch.cat([batch.targets for batch in batches])).abs().mean())


def linear_error(pooled: list[torch.Tensor], batches: list[Batch]) -> float:
    """Return the least that heads without neurons come down to: that of a constant, about."""
    targets = torch.cat([batch.targets for batch in batches])
    return float((targets - targets.median(dim=0).values).abs().mean())


def test_neurons_learn_what_no_linear_head_can() -> None:
    pooled, batches = states_and_batches()
    plan = replace(PLAN, head_epochs=80)
    fitted = fitted_heads(RequirementHeads(HIDDEN), pooled, batches, plan=plan, dropout=0.0)
    assert error_of(fitted, pooled, batches) < 0.5 * linear_error(pooled, batches)


def test_the_start_of_the_fit_is_left_as_it_was() -> None:
    pooled, batches = states_and_batches()
    heads = RequirementHeads(HIDDEN)
    before = {name: value.clone() for name, value in heads.state_dict().items()}
    fitted_heads(heads, pooled, batches, plan=replace(PLAN, head_epochs=1))
    assert all(torch.equal(before[name], value) for name, value in heads.state_dict().items())


def test_a_fit_without_steps_says_the_same() -> None:
    pooled, batches = states_and_batches()
    torch.manual_seed(3)
    heads = RequirementHeads(HIDDEN)
    torch.nn.init.normal_(heads.outer)
    same = fitted_heads(heads, pooled, batches, plan=replace(PLAN, head_epochs=0))
    states = torch.cat(pooled)
    assert torch.allclose(same(states), heads(states), atol=1e-3)


def test_rows_that_must_score_the_same_come_together() -> None:
    spreads = []
    for alike_loss in (0.0, 50.0):
        pooled, batches = states_and_batches(alike=[[0, 1, 2], [3, 4, 5]])
        plan = replace(PLAN, alike_loss=alike_loss)
        fitted = fitted_heads(RequirementHeads(HIDDEN), pooled, batches, plan=plan, dropout=0.0)
        with torch.no_grad():
            rows = [torch.sigmoid(fitted(part[:3])) for part in pooled]
        spreads.append(float(torch.stack(rows).std(dim=1).mean()))
    assert spreads[1] < 0.5 * spreads[0]


def test_heads_share_no_weight() -> None:
    heads = RequirementHeads(HIDDEN)
    torch.nn.init.normal_(heads.outer)
    heads(torch.randn(3, HIDDEN))[:, 1].sum().backward()
    for weights in (heads.weight, heads.outer, heads.inner.weight):
        assert weights.grad is not None
        by_head = weights.grad.reshape(4, -1).abs().sum(dim=1)
        assert by_head[1] > 0
        assert by_head[[0, 2, 3]].sum() == 0


def test_weights_of_linear_heads_are_read_as_linear_heads() -> None:
    network, saved = tiny_network(50, seed=1), tiny_network(50, seed=2)
    state = {
        name: value
        for name, value in saved.state_dict().items()
        if not name.startswith(("heads.inner", "heads.outer"))
    }
    network.load_weights(state)
    states = torch.randn(5, 32)
    linear = states @ state["heads.weight"].T + state["heads.bias"]
    assert torch.allclose(network.heads(states), linear, atol=1e-6)
    with pytest.raises(RuntimeError, match=r"noise_head\.weight"):
        network.load_weights({n: v for n, v in state.items() if n != "noise_head.weight"})


def test_refitted_heads_are_better_on_dev_prompts(trained: SimpleNamespace) -> None:
    network, tokenizer, _ = load_network(trained.torch_folder)
    torch.nn.init.zeros_(network.heads.weight)
    assert refit_heads(network, tokenizer, trained.prompts, plan=PLAN, progress=False)
    assert network.heads.weight.abs().sum() > 0


@pytest.mark.parametrize("reason", ["worse on dev", "no dev prompts", "no epochs"])
def test_heads_stay_where_nothing_says_that_new_ones_are_better(
    trained: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    network, tokenizer, _ = load_network(trained.torch_folder)
    before = network.heads
    prompts, plan = trained.prompts, PLAN
    if reason == "worse on dev":
        silent = RequirementHeads(32)
        torch.nn.init.zeros_(silent.weight)
        monkeypatch.setattr(readout, "fitted_heads", lambda *_args, **_more: silent)
    elif reason == "no dev prompts":
        prompts = [prompt for prompt in prompts if prompt.split != "dev"]
    else:
        plan = replace(plan, head_epochs=0)
    assert not refit_heads(network, tokenizer, prompts, plan=plan, progress=False)
    assert network.heads is before


def test_of_a_prompt_with_an_outcome_only_the_stressed_dimension_counts() -> None:
    pooled, batches = states_and_batches()
    tried = [replace(batch, stressed=torch.zeros(64, dtype=torch.long)) for batch in batches]
    plan = replace(PLAN, head_epochs=10)
    heads = RequirementHeads(HIDDEN)
    torch.nn.init.normal_(heads.outer)
    fitted = fitted_heads(heads, pooled, tried, plan=plan, dropout=0.0)
    decayed = fitted.inner.weight[16:] / heads.inner.weight[16:]
    assert torch.allclose(decayed, decayed[0, 0].expand_as(decayed), rtol=1e-3)
    assert torch.allclose(fitted.weight[1:], heads.weight[1:], rtol=1e-3)
    assert not torch.allclose(fitted.weight[0], heads.weight[0], rtol=1e-1)


def test_the_spread_grows_where_errors_are_larger() -> None:
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(2000, HIDDEN, generator=generator)
    size = torch.exp(states[:, :1]).expand(-1, 4) * 0.05
    errors = size * -torch.log(torch.rand(2000, 4, generator=generator))
    head = torch.nn.Linear(HIDDEN, 4)
    fit_spread(head, states, errors)
    with torch.no_grad():
        ratio = head(states).exp() / size
    assert float(ratio.log().abs().mean()) < 0.1


def test_no_error_at_all_leaves_the_spread_finite() -> None:
    head = torch.nn.Linear(HIDDEN, 4)
    fit_spread(head, torch.randn(500, HIDDEN), torch.zeros(500, 4))
    with torch.no_grad():
        spread = head(torch.randn(500, HIDDEN)).exp()
    assert float(spread.median()) == pytest.approx(0.003, rel=0.05)
    assert float(spread.max()) < 0.01


def test_heads_are_fitted_on_labels_and_outcomes_and_not_on_other_weak_prompts(
    trained: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def batches_of(prompts: Any, *others: Any, **more: Any) -> Any:
        seen.extend(prompts)
        return training_batches(prompts, *others, **more)

    monkeypatch.setattr(readout, "training_batches", batches_of)
    network, tokenizer, _ = load_network(trained.torch_folder)
    weak = replace(trained.prompts[0], prompt_id="weak", kind="weak")
    tried = replace(weak, prompt_id="tried", stressed="tool_use")
    plan = replace(PLAN, head_epochs=1)
    refit_heads(network, tokenizer, [*trained.prompts, weak, tried], plan=plan, progress=False)
    labelled = [p.prompt_id for p in trained.prompts if p.split == "train"]
    assert [prompt.prompt_id for prompt in seen] == [*labelled, "tried"]
