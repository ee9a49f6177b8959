"""`hydra-nb train` and `hydra-nb eval` on small tables and tiny encoders, end to end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hydra_nb.cli import main
from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import CheckpointError, InvalidInputError
from hydra_nb.predictor import DEFAULT_CHECKPOINT, Predictor, load_predictor
from hydra_nb.predictor.dataset import LabelledPrompt
from hydra_nb.predictor.plan import TrainingPlan
from tests.predictor.conftest import made_up_prompts, tiny_network, tiny_tokenizer


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a CSV of 40 made-up prompts in three splits."""
    path = tmp_path_factory.mktemp("table") / "labels.csv"
    rows = [
        {
            "text": prompt.text,
            **dict(zip(DIMENSIONS, prompt.targets, strict=True)),
            "language": "en",
            "source": f"kind {number % 5}",
            "split": {7: "dev", 6: "test"}.get(number % 8, "train"),
        }
        for number, prompt in enumerate(made_up_prompts())
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def modern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an untrained two-layer ModernBERT, as transformers saves one."""
    from transformers import ModernBertConfig, ModernBertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("modern")
    backend = tiny_tokenizer([prompt.text for prompt in made_up_prompts()]).tokenizer
    config = ModernBertConfig(
        vocab_size=backend.get_vocab_size(), hidden_size=32, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=48, max_position_embeddings=512, pad_token_id=1,
        bos_token_id=0, eos_token_id=2, cls_token_id=0, sep_token_id=2,
    )  # fmt: skip
    ModernBertModel(config).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoint(table: Path, modern: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a ModernBERT on the table with the command; return the folder written."""
    out = tmp_path_factory.mktemp("out") / "ckpt"
    code = main(
        ["train", "--data", str(table), "--encoder", str(modern), "--out", str(out), "--quiet",
         "--epochs", "2", "--learning-rate", "0.003", "--head-learning-rate", "0.01",
         "--pooling", "cls", "--name", "my-own", "--frozen-layers", "0"]
    )  # fmt: skip
    assert code == 0
    return out


def test_a_trained_folder_serves_without_torch_and_knows_its_name(checkpoint: Path) -> None:
    predictor = load_predictor(checkpoint)
    assert (predictor.name, predictor.manifest.kind) == ("my-own", "onnx")
    assert predictor.manifest.encoder["architecture"] == "ModernBertModel"
    assert predictor.manifest.pooling == "cls"


def test_served_and_torch_scores_of_a_modernbert_are_close(checkpoint: Path) -> None:
    texts = [prompt.text for prompt in made_up_prompts()]
    served, exact = (load_predictor(f).predict(texts) for f in (checkpoint, checkpoint / "torch"))
    assert np.abs(served.values - exact.values).max() <= 0.02


def test_the_report_has_every_part_and_its_text_the_figures(checkpoint: Path) -> None:
    report = json.loads((checkpoint / "report.json").read_text())
    assert report["split"] == "test"
    assert {"by_language", "by_source", "by_length_tokens", "spread_coverage"} <= report.keys()
    text = (checkpoint / "report.md").read_text()
    assert f"{report['all']['pearson']['mean']:.3f}" in text


def test_the_model_card_is_written_and_names_no_path(checkpoint: Path, modern: Path) -> None:
    card = (checkpoint / "MODEL_CARD.md").read_text()
    assert card.startswith("# Model card: my-own")
    assert str(modern.parent) not in card


def test_eval_prints_the_report_of_a_split(
    checkpoint: Path, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", str(checkpoint), "--data", str(table), "--split", "dev", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["split"], report["all"]["n"]) == ("dev", 5)


def test_eval_writes_the_report_where_asked(checkpoint: Path, table: Path, tmp_path: Path) -> None:
    main(["eval", str(checkpoint), "--data", str(table), "--out", str(tmp_path / "r")])
    assert (tmp_path / "r" / "report.md").read_text().startswith("# my-own")
    assert json.loads((tmp_path / "r" / "report.json").read_text())["all"]["n"] == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--data", "nowhere.csv", "--out", "o"], "nowhere.csv: no such file or folder"),
        (["eval", "nowhere", "--data", "TABLE"], "nowhere: no such checkpoint folder"),
        (
            ["train", "--data", "TABLE", "--out", "o", "--encoder", "nowhere"],
            "nowhere: transformers cannot load it",
        ),
        (
            ["train", "--data", "TABLE", "--out", "o", "--layers", "1;2"],
            "--layers must be numbers separated by commas; received '1;2'",
        ),
        (
            ["train", "--data", "TABLE", "--out", "o", "--outcome-prompts", "5"],
            "above 0 it needs --teacher, which gives the level of their scores; received 5",
        ),
        (["eval", "--data", "TABLE", "--outcomes"], "outcome_prompts.parquet: no such file"),
    ],
)
def test_bad_arguments_exit_with_2_and_a_message(
    arguments: list[str],
    message: str,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    filled = [str(table) if part == "TABLE" else part for part in arguments]
    assert main(filled) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def train_tiny(
    state: Path,
    *,
    stop_after: int | None = None,
    prompts: list[LabelledPrompt] | None = None,
    seed: int = 3,
    poisoned: bool = False,
    **options: Any,
) -> Any:
    """Train the tiny network with a state file; `stop_after` kills the run after some epochs.

    A `poisoned` network starts with a weight that is no number.
    """
    from hydra_nb.predictor.training import train
    from hydra_nb.predictor.training_run import TrainingRun

    prompts = prompts or made_up_prompts()
    tokenizer = tiny_tokenizer([prompt.text for prompt in prompts])
    network = tiny_network(tokenizer.tokenizer.get_vocab_size(), seed=seed)
    if poisoned:
        next(network.parameters()).data.fill_(float("nan"))
    usual = {"epochs": 3, "tokens_per_batch": 512, "threads": 1, "learning_rate": 1e-3}
    plan = TrainingPlan(**(usual | options))
    original = TrainingRun.save

    def save(run: TrainingRun, path: Path) -> None:
        original(run, path)
        if len(run.history) == stop_after:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingRun, "save", save)
        return train(network, tokenizer, prompts, plan=plan, progress=False, state=state)


def test_an_interrupted_run_goes_on_to_the_same_network(tmp_path: Path) -> None:
    import torch

    whole, history = train_tiny(tmp_path / "whole.pt")
    with pytest.raises(KeyboardInterrupt):
        train_tiny(tmp_path / "cut.pt", stop_after=1)
    resumed, resumed_history = train_tiny(tmp_path / "cut.pt")
    assert resumed_history == history
    left, right = whole.state_dict(), resumed.state_dict()
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_the_state_of_another_plan_is_refused(tmp_path: Path) -> None:
    train_tiny(tmp_path / "state.pt", epochs=1)
    with pytest.raises(
        InvalidInputError, match=r"state\.pt: belongs to a run with \{'epochs': 1\}"
    ):
        train_tiny(tmp_path / "state.pt", epochs=2)


def test_a_state_of_other_labels_is_refused(tmp_path: Path) -> None:
    train_tiny(tmp_path / "state.pt", epochs=1)
    first, *rest = made_up_prompts()
    corrected = [replace(first, targets=(0.05, 0.0, 0.0, 0.0)), *rest]
    with pytest.raises(InvalidInputError, match=r"state\.pt: .*other prompts, labels"):
        train_tiny(tmp_path / "state.pt", epochs=1, prompts=corrected)


def test_a_state_of_other_weights_at_the_start_is_refused(tmp_path: Path) -> None:
    train_tiny(tmp_path / "state.pt", epochs=1)
    with pytest.raises(InvalidInputError, match="weights at its start"):
        train_tiny(tmp_path / "state.pt", epochs=1, seed=4)


def test_a_finished_run_stays_as_it_is_when_it_is_started_again(tmp_path: Path) -> None:
    still = {"learning_rate": 1e-15, "head_learning_rate": 1e-15, "epochs": 50, "patience": 1}
    _, history = train_tiny(tmp_path / "state.pt", **still)
    _, again = train_tiny(tmp_path / "state.pt", **still)
    assert len(history) == 2
    assert again == history


def test_weights_that_run_away_are_said_not_saved(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"the loss is (nan|inf) in epoch 1.*learning_rate"):
        train_tiny(tmp_path / "state.pt", poisoned=True)
    assert not (tmp_path / "state.pt").exists()


def test_more_frozen_layers_than_there_are_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="frozen_layers must be at most 2"):
        train_tiny(tmp_path / "state.pt", frozen_layers=3)


@pytest.mark.parametrize("content", [b"", b"not a state", b"\x80\x04N."])
def test_a_damaged_state_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"state\.pt: not a training state"):
        train_tiny(tmp_path / "state.pt")


def test_patience_stops_a_run_that_no_longer_improves() -> None:
    from hydra_nb.predictor.training import train

    prompts = made_up_prompts()
    tokenizer = tiny_tokenizer([prompt.text for prompt in prompts])
    network = tiny_network(tokenizer.tokenizer.get_vocab_size())
    still = 1e-15
    plan = TrainingPlan(
        epochs=50, patience=2, learning_rate=still, head_learning_rate=still, threads=1
    )
    _, history = train(network, tokenizer, prompts, plan=plan, progress=False)
    assert len(history) == 3  # the first is the best; two more bring nothing


@pytest.mark.parametrize(
    "wrong", [{"epochs": -1}, {"learning_rate": 0.0}, {"minutes": float("nan")}, {"limit": 2}]
)
def test_a_plan_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        TrainingPlan(**wrong)


def test_without_a_labelled_prompt_there_is_nothing_to_train() -> None:
    from hydra_nb.predictor.training import train

    weak = [replace(prompt, kind="weak") for prompt in made_up_prompts()]
    tokenizer = tiny_tokenizer([prompt.text for prompt in weak])
    network = tiny_network(tokenizer.tokenizer.get_vocab_size())
    with pytest.raises(InvalidInputError, match="no labelled prompt in the train split"):
        train(network, tokenizer, weak, plan=TrainingPlan(), progress=False)


def test_frozen_layers_and_embeddings_stay_as_they_are(tmp_path: Path) -> None:
    import torch

    from hydra_nb.predictor.training import train

    prompts = made_up_prompts()
    tokenizer = tiny_tokenizer([prompt.text for prompt in prompts])
    network = tiny_network(tokenizer.tokenizer.get_vocab_size())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    plan = TrainingPlan(epochs=1, frozen_layers=1, threads=1, learning_rate=1e-2)
    after = train(network, tokenizer, prompts, plan=plan, progress=False)[0].state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any("layer.0." in name or "embeddings" in name for name in moved)
    assert any("layer.1." in name for name in moved)


def test_averaging_moves_the_shared_weights_by_the_share() -> None:
    import torch

    from hydra_nb.predictor.guards import average

    network, start = tiny_network(50, seed=1), tiny_network(50, seed=2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    average(network, start, 0.25)
    after, old = network.state_dict(), start.state_dict()
    assert torch.allclose(
        after["heads.weight"], 0.75 * before["heads.weight"] + 0.25 * old["heads.weight"]
    )
    assert torch.equal(after["noise_head.weight"], before["noise_head.weight"])


def test_refitted_guards_tell_noise_and_leave_the_requirements_alone(
    trained: SimpleNamespace,
) -> None:
    import torch

    from hydra_nb.predictor.guards import refit_guards
    from hydra_nb.predictor.torch_checkpoint import load_network

    network, tokenizer, _ = load_network(trained.torch_folder)
    torch.nn.init.zeros_(network.noise_head.weight)
    before = network.heads.weight.clone()
    refit_guards(network, tokenizer, trained.prompts, plan=TrainingPlan(), progress=False)
    assert torch.equal(network.heads.weight, before)
    ids = tokenizer.prompt_ids("write code for the parser Thank you so much in advance")
    with torch.inference_mode():
        noise = torch.sigmoid(network(torch.tensor([ids])).noise_logits[0])
    assert float(noise[-8:-1].mean()) > float(noise[3:8].mean())


def test_without_epochs_the_encoder_stays_and_the_heads_are_fitted(
    trained: SimpleNamespace, tmp_path: Path
) -> None:
    import torch

    from hydra_nb.predictor.recipe import train_checkpoint
    from hydra_nb.predictor.torch_checkpoint import load_network, save_network

    network, tokenizer, manifest = load_network(trained.torch_folder)
    torch.nn.init.zeros_(network.heads.weight)
    save_network(tmp_path / "start", network, tokenizer, manifest)
    plan = TrainingPlan(epochs=0, threads=1, frozen_layers=0)
    train_checkpoint(
        trained.prompts, tmp_path / "out", plan=plan, encoder=str(tmp_path / "start"),
        progress=False,
    )  # fmt: skip
    before = network.state_dict()
    after = load_network(tmp_path / "out" / "torch")[0].state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert "heads.weight" in moved
    assert not any(name.startswith("encoder.") for name in moved)
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert "--epochs 0" in card
    assert "as served" not in card
    assert "heads are those fitted anew" in card


def test_the_model_card_says_that_heads_stayed(trained: SimpleNamespace, tmp_path: Path) -> None:
    from hydra_nb.predictor.recipe import train_checkpoint

    plan = TrainingPlan(epochs=0, head_epochs=0, threads=1, frozen_layers=0)
    made = train_checkpoint(
        trained.prompts, tmp_path / "out", plan=plan, encoder=str(trained.torch_folder),
        progress=False,
    )  # fmt: skip
    assert made.manifest.training_data["heads_fitted_anew"] is False
    assert "heads are those trained with" in (tmp_path / "out" / "MODEL_CARD.md").read_text()


def test_the_model_card_says_what_was_started_from_as_served(
    trained: SimpleNamespace, tmp_path: Path
) -> None:
    from hydra_nb.predictor.recipe import train_checkpoint

    plan = TrainingPlan(epochs=0, head_epochs=0, threads=1, frozen_layers=0)
    made = train_checkpoint(
        trained.prompts, tmp_path / "out", plan=plan, encoder=str(trained.onnx_folder),
        progress=False,
    )  # fmt: skip
    assert made.manifest.training_data["as_served"] is True
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert f"instead: OUT_{len(made.manifest.training_data['earlier'])}." in card


def test_few_prompts_freeze_two_thirds_of_the_layers() -> None:
    from hydra_nb.predictor.recipe import layers_to_freeze

    few = made_up_prompts()
    assert layers_to_freeze(few, 12) == 8
    assert layers_to_freeze(few * 100, 12) == 0


def test_weak_prompts_take_the_mean_of_what_their_teachers_say(
    trained: SimpleNamespace, shipped: Predictor
) -> None:
    from hydra_nb.predictor.teachers import taught

    weak = [replace(p, kind="weak", split="train") for p in made_up_prompts()[:3]]
    labelled = made_up_prompts()[3:5]
    tiny = load_predictor(trained.fp32_folder)
    prompts = taught([*weak, *labelled], [tiny, shipped], most=2)
    assert prompts[:2] == labelled
    assert len(prompts) == 4
    texts = [prompt.text for prompt in prompts[2:]]
    mean = (tiny.predict(texts).values + shipped.predict(texts).values) / 2
    assert [p.targets for p in prompts[2:]] == [pytest.approx(tuple(row)) for row in mean]


def test_a_teacher_labels_rows_without_labels(
    tmp_path: Path, modern: Path, checkpoint: Path
) -> None:
    rows = [f"{prompt.text},0.5,0,0,0" for prompt in made_up_prompts()[:24]]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join([f"text,{','.join(DIMENSIONS)}", *rows, "what is it,,,,"]))
    out = tmp_path / "out"
    code = main(
        ["train", "--data", str(table), "--encoder", str(modern), "--out", str(out), "--quiet",
         "--epochs", "1", "--teacher", str(checkpoint)]
    )  # fmt: skip
    assert code == 0
    made = load_predictor(out).manifest.training_data
    assert made["prompts"]["weak train"] == 1
    assert made["options"]["teachers"] == ["ckpt"]
    card = (out / "MODEL_CARD.md").read_text("utf-8")
    assert "--teacher ckpt" in card
    assert "whoever trained it" in card
    assert "GSM8K" not in card


def test_too_few_dev_prompts_are_said(
    trained: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    from hydra_nb.predictor.calibration import Calibration
    from hydra_nb.predictor.recipe import settled
    from hydra_nb.predictor.torch_checkpoint import load_network

    network, tokenizer, _ = load_network(trained.torch_folder)
    assert settled(network, tokenizer, trained.prompts, progress=False) == Calibration.none()
    assert "only 5 dev prompts (20 are needed)" in caplog.text


def test_a_teacher_without_anything_to_label_is_said(shipped: Predictor) -> None:
    from hydra_nb.predictor.teachers import taught

    with pytest.raises(InvalidInputError, match="there is none: leave all four"):
        taught(made_up_prompts(), [shipped], most=9)


def test_a_checkpoint_keeps_its_pooling(checkpoint: Path) -> None:
    from hydra_nb.predictor.origin import opened_network

    network, _, _ = opened_network(str(checkpoint), [])
    assert network.pooling == "cls"
    with pytest.raises(InvalidInputError, match="pools by cls, which stays"):
        opened_network(str(checkpoint), [], pooling="mean")


def test_training_goes_on_from_the_network_before_quantization(checkpoint: Path) -> None:
    import torch

    from hydra_nb.predictor.origin import opened_network
    from hydra_nb.predictor.torch_checkpoint import load_network

    opened = opened_network(str(checkpoint), [])[0].state_dict()
    exact = load_network(checkpoint / "torch")[0].state_dict()
    assert all(torch.equal(opened[name], exact[name]) for name in exact)


def test_a_served_graph_turns_back_into_its_network(trained: SimpleNamespace) -> None:
    from hydra_nb.predictor.dequantization import reopened
    from hydra_nb.predictor.torch_checkpoint import load_network

    original = load_network(trained.torch_folder)[0].state_dict()
    network, _, _ = reopened(trained.onnx_folder)
    for name, value in network.state_dict().items():
        error = float((value - original[name]).norm()) / max(float(original[name].norm()), 1e-9)
        assert error < 0.03, name


def test_the_shipped_predictor_can_be_trained_on(shipped: Predictor) -> None:
    import torch

    from hydra_nb.predictor.origin import opened_network

    texts = [prompt.text for prompt in made_up_prompts()[:6]]
    network, tokenizer, description = opened_network(None, [])
    assert description["layers"] == shipped.manifest.encoder["layers"]
    rows = [tokenizer.prompt_ids(text) for text in texts]
    served = shipped._engine.outputs(rows).scores
    with torch.inference_mode():
        found = [torch.sigmoid(network(torch.tensor([row])).logits)[0].numpy() for row in rows]
    assert np.abs(np.stack(found) - served).max() <= 0.03


def test_another_encoder_than_bert_cannot_be_turned_back(checkpoint: Path) -> None:
    from hydra_nb.predictor.dequantization import reopened

    with pytest.raises(CheckpointError, match="only a served BERT encoder"):
        reopened(checkpoint)


def test_the_shipped_manifest_names_no_path() -> None:
    text = (DEFAULT_CHECKPOINT / "manifest.json").read_text()
    assert "/root" not in text
    assert "/work" not in text
