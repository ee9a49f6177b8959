from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hydra_nb.errors import CheckpointError, InvalidInputError
from hydra_nb.predictor import load_predictor
from hydra_nb.predictor.evaluation import evaluate, score_band
from tests.predictor.conftest import made_up_prompts, tiny_network, tiny_tokenizer


def test_training_makes_the_loss_fall(trained: SimpleNamespace) -> None:
    losses = [row["loss"] for row in trained.history]
    assert losses[-1] < losses[0] - 0.05


def test_training_learns_the_made_up_kinds(trained: SimpleNamespace) -> None:
    assert max(row["merit"] for row in trained.history) > 0.4


def test_served_and_torch_scores_are_close(trained: SimpleNamespace) -> None:
    texts = [prompt.text for prompt in trained.prompts]
    exact = load_predictor(trained.torch_folder).predict(texts).values
    assert np.abs(load_predictor(trained.fp32_folder).predict(texts).values - exact).max() < 1e-4
    assert np.abs(load_predictor(trained.onnx_folder).predict(texts).values - exact).max() < 0.02


def test_a_checkpoint_reports_and_knows_its_band(trained: SimpleNamespace) -> None:
    predictor = load_predictor(trained.onnx_folder)
    report = evaluate(predictor, trained.prompts, split="dev")
    assert report["all"]["n"] == 5
    assert json.loads(json.dumps(report)) == report
    bands = score_band(predictor, trained.prompts)
    assert all(0 <= low <= high <= 1 for low, high in bands.values())


def test_the_same_seed_trains_the_same_network() -> None:
    import torch

    from hydra_nb.predictor.plan import TrainingPlan
    from hydra_nb.predictor.training import train

    plan = TrainingPlan(epochs=1, tokens_per_batch=512, threads=1)
    prompts = made_up_prompts()
    tokenizer = tiny_tokenizer([prompt.text for prompt in prompts])
    size = tokenizer.tokenizer.get_vocab_size()
    runs = [
        train(tiny_network(size, seed=3), tokenizer, prompts, plan=plan, progress=False)
        for _ in range(2)
    ]
    left, right = (network.state_dict() for network, _ in runs)
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_a_weak_prompt_of_every_epoch_is_not_drawn_by_lot() -> None:
    import torch

    from hydra_nb.predictor.plan import TrainingPlan
    from hydra_nb.predictor.training import train

    plan = TrainingPlan(epochs=1, tokens_per_batch=512, threads=1, weak_per_epoch=0)
    prompts = made_up_prompts()
    tokenizer = tiny_tokenizer([prompt.text for prompt in prompts])
    size = tokenizer.tokenizer.get_vocab_size()
    weak = replace(prompts[0], prompt_id="weak", kind="weak", targets=(1.0, 1.0, 1.0, 1.0))
    without, drawn, always = (
        train(tiny_network(size), tokenizer, [*prompts, *more], plan=plan, progress=False)[0]
        for more in ([], [weak], [replace(weak, stressed="reasoning")])
    )
    assert torch.equal(without.heads.weight, drawn.heads.weight)
    assert not torch.equal(without.heads.weight, always.heads.weight)


def test_learning_rates_fall_from_the_heads_to_the_first_layer() -> None:
    from hydra_nb.predictor.architecture import depth_of

    assert depth_of("heads.weight", 12) == 0
    assert depth_of("encoder.encoder.layer.11.output.dense.weight", 12) == 1
    assert depth_of("encoder.encoder.layer.0.output.dense.weight", 12) == 12
    assert depth_of("encoder.embeddings.word_embeddings.weight", 12) == 13


def test_an_unknown_pooling_is_refused() -> None:
    from hydra_nb.predictor.architecture import RequirementNetwork

    with pytest.raises(InvalidInputError, match="pooling must be one of"):
        RequirementNetwork(tiny_network(50).encoder, pooling="max")


def test_padding_does_not_change_a_row() -> None:
    import torch

    network = tiny_network(50).eval()
    ids = torch.tensor([[0, 7, 8, 2, 1, 1]])
    mask = torch.tensor([[1, 1, 1, 1, 0, 0]])
    with torch.inference_mode():
        padded, alone = network(ids, mask), network(ids[:, :4])
    assert torch.allclose(padded.logits, alone.logits, atol=1e-5)
    assert torch.allclose(padded.noise_logits[:, :4], alone.noise_logits, atol=1e-5)
    assert torch.allclose(padded.distance, alone.distance, atol=1e-4)


def test_any_encoder_folder_of_transformers_can_be_trained(tmp_path: Path) -> None:
    from transformers import ModernBertConfig, ModernBertModel, PreTrainedTokenizerFast

    from hydra_nb.predictor.checkpoint import Manifest
    from hydra_nb.predictor.export import export_checkpoint
    from hydra_nb.predictor.plan import TrainingPlan
    from hydra_nb.predictor.torch_checkpoint import save_network, start_network
    from hydra_nb.predictor.training import train

    prompts = made_up_prompts()
    texts = [prompt.text for prompt in prompts]
    backend = tiny_tokenizer(texts).tokenizer
    config = ModernBertConfig(
        vocab_size=backend.get_vocab_size(), hidden_size=32, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=48, max_position_embeddings=512, pad_token_id=1,
        bos_token_id=0, eos_token_id=2, cls_token_id=0, sep_token_id=2,
    )  # fmt: skip
    ModernBertModel(config).save_pretrained(tmp_path / "encoder")
    PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(tmp_path / "encoder")
    network, tokenizer, description = start_network(
        str(tmp_path / "encoder"), texts=texts, vocabulary_size=0, pooling="cls"
    )
    assert description["architecture"] == "ModernBertModel"
    plan = TrainingPlan(epochs=1, tokens_per_batch=512)
    best, _ = train(network, tokenizer, prompts, plan=plan, progress=False)
    manifest = Manifest(kind="torch", name="modern", encoder=description, pooling="cls")
    save_network(tmp_path / "torch", best, tokenizer, manifest)
    export_checkpoint(best, tokenizer, manifest, tmp_path / "onnx", calibration_texts=texts)
    exact = load_predictor(tmp_path / "torch").predict([*texts, "word " * 300]).values
    served = load_predictor(tmp_path / "onnx").predict([*texts, "word " * 300]).values
    assert np.abs(served - exact).max() < 0.02


def test_training_in_bfloat16_leaves_the_attention_as_it_was() -> None:
    from hydra_nb.predictor.plan import TrainingPlan
    from hydra_nb.predictor.training import train

    prompts = made_up_prompts()
    tokenizer = tiny_tokenizer([prompt.text for prompt in prompts])
    network = tiny_network(tokenizer.tokenizer.get_vocab_size())
    before = network.encoder.config._attn_implementation
    assert before != "eager"
    plan = TrainingPlan(epochs=2, tokens_per_batch=512, bfloat16=True)
    best, history = train(network, tokenizer, prompts, plan=plan, progress=False)
    assert best.encoder.config._attn_implementation == before
    assert history[-1]["loss"] < history[0]["loss"]


def test_layer_norms_are_served_apart_from_additions(
    trained: SimpleNamespace, tmp_path: Path
) -> None:
    import onnx
    import onnxruntime

    from hydra_nb.predictor.engines import serving_options

    options = serving_options()
    options.optimized_model_filepath = str(tmp_path / "as-run.onnx")
    onnxruntime.InferenceSession(str(trained.onnx_folder / "model.onnx"), options)
    run = Counter(node.op_type for node in onnx.load(tmp_path / "as-run.onnx").graph.node)
    layers = load_predictor(trained.onnx_folder).manifest.encoder["layers"]
    assert run["LayerNormalization"] == 1 + 2 * layers
    assert run["QAttention"] == layers
    assert run["SkipLayerNormalization"] == 0


def test_what_is_no_encoder_is_named(tmp_path: Path) -> None:
    from hydra_nb.predictor.torch_checkpoint import start_network

    with pytest.raises(CheckpointError, match="nothing-here: transformers cannot load it"):
        start_network(str(tmp_path / "nothing-here"), texts=[], vocabulary_size=10, pooling="mean")
