"""A tiny network with a made-up vocabulary, trained once, and the shipped predictor."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hydra_nb.predictor import Predictor, load_predictor
from hydra_nb.predictor.dataset import LabelledPrompt, Targets

_TOPICS = ("parser", "queue", "invoice", "garden", "planet", "ledger", "kettle", "router")
_KINDS: dict[str, Targets] = {
    "thanks for the {}": (0.0, 0.0, 0.0, 0.0),
    "prove a theorem about the {}": (0.9, 0.0, 0.0, 0.0),
    "write code for the {}": (0.2, 0.8, 0.1, 0.0),
    "why does the {} crash": (0.5, 0.2, 0.9, 0.1),
    "search and book the {}": (0.2, 0.0, 0.0, 0.9),
}


def made_up_prompts() -> list[LabelledPrompt]:
    """Return 40 prompts of five kinds; every eighth one is for dev."""
    return [
        LabelledPrompt(
            prompt_id=f"{kind}-{number}",
            text=pattern.format(topic),
            language="en",
            kind="authored",
            source="made-up",
            targets=targets,
            split="dev" if number == 7 else "train",
        )
        for kind, (pattern, targets) in enumerate(_KINDS.items())
        for number, topic in enumerate(_TOPICS)
    ]


def tiny_tokenizer(texts: list[str]) -> Any:
    """Return a prompt tokenizer that knows the words and characters of `texts`."""
    from hydra_nb.predictor.tokens import PromptTokenizer
    from hydra_nb.predictor.vocabulary import SPECIAL_PIECES, unigram_tokenizer

    words = sorted({f"▁{word}" for text in texts for word in text.split()})
    characters = ["▁", *(chr(code) for code in range(33, 127))]
    pieces = [*SPECIAL_PIECES, *words, *characters]
    scores = [0.0] * 4 + [-3.0] * len(words) + [-8.0] * len(characters)
    return PromptTokenizer(unigram_tokenizer(pieces, scores))


def tiny_network(vocabulary_size: int, seed: int = 0) -> Any:
    """Return an untrained two-layer network."""
    import torch
    from transformers import BertConfig, BertModel

    from hydra_nb.predictor.architecture import RequirementNetwork

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=vocabulary_size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=512,
        pad_token_id=1,
    )
    return RequirementNetwork(BertModel(config, add_pooling_layer=False))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Train the tiny network; gives `history`, `torch_folder`, `onnx_folder`, `prompts`."""
    from hydra_nb.predictor.checkpoint import Manifest
    from hydra_nb.predictor.export import export_checkpoint
    from hydra_nb.predictor.plan import TrainingPlan
    from hydra_nb.predictor.torch_checkpoint import load_network, save_network
    from hydra_nb.predictor.training import network_results, train

    prompts = made_up_prompts()
    texts = [prompt.text for prompt in prompts]
    tokenizer = tiny_tokenizer(texts)
    network = tiny_network(tokenizer.tokenizer.get_vocab_size())
    plan = TrainingPlan(
        epochs=6,
        learning_rate=3e-3,
        head_learning_rate=1e-2,
        tokens_per_batch=256,
        weak_per_epoch=0,
    )
    best, history = train(network, tokenizer, prompts, plan=plan, progress=False)
    folder: Path = tmp_path_factory.mktemp("trained")
    manifest = Manifest(
        kind="torch",
        name="tiny",
        encoder={"layers": 2, "architecture": "BertModel", "attention_heads": 2},
        pooling="mean",
    )
    best.fit_distance(network_results(best, tokenizer, texts).pooled)
    save_network(folder / "torch", best, tokenizer, manifest)
    loaded, _, _ = load_network(folder / "torch")
    export_checkpoint(loaded, tokenizer, manifest, folder / "onnx", calibration_texts=texts)
    export_checkpoint(loaded, tokenizer, manifest, folder / "fp32", int8=False)
    return SimpleNamespace(
        history=history,
        torch_folder=folder / "torch",
        onnx_folder=folder / "onnx",
        fp32_folder=folder / "fp32",
        prompts=prompts,
    )


@pytest.fixture(scope="session")
def shipped() -> Predictor:
    """Return the predictor that ships with the package."""
    return load_predictor()


def saved_tiny_network(folder: Path, prompts: list[LabelledPrompt]) -> Path:
    """Return the folder of an untrained two-layer network that was saved."""
    from hydra_nb.predictor.checkpoint import Manifest
    from hydra_nb.predictor.torch_checkpoint import save_network

    tokenizer = tiny_tokenizer([prompt.text for prompt in prompts])
    start = tiny_network(tokenizer.tokenizer.get_vocab_size())
    description = {"architecture": "BertModel", "layers": 2, "attention_heads": 2}
    save_network(
        folder, start, tokenizer,
        Manifest(kind="torch", name="tiny", encoder=description, pooling="mean"),
    )  # fmt: skip
    return folder
