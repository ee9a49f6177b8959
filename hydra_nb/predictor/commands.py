"""`hydra-nb train` and `hydra-nb eval`."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from hydra_nb.errors import InvalidInputError

# What has to be heavy is imported by the command that needs it: `--help` must answer at once.

_PLAN_HELP = {
    "epochs": "passes over the data; 0: the encoder stays, only the heads are fitted",
    "patience": "stop after this many epochs without a better dev merit; 0: never",
    "minutes": "stop after this time, the learning rate falling accordingly; 0: no limit",
    "frozen_layers": "encoder layers that stay as they are; default: two thirds of them where "
    "there are fewer than 2,000 labelled prompts, else none",
    "limit": "tokens read of a prompt while training",
    "head_epochs": "passes in which the heads are fitted anew once the encoder is finished; "
    "0: they stay as trained with it",
    "outcome_loss": "weight there of the stressed dimension of a prompt with an outcome",
    "state_loss": "weight of the hidden states of the whole encoder that a student (--layers, "
    "--feed-forward, --modernbert, --guide) misses",
    "bfloat16": "only a gain on processors that have it in hardware",
}
_PLAN_DEFAULTS = {"patience": 2}


def add_commands(commands: Any) -> None:
    """Add both commands to the subparsers of `hydra-nb`."""
    train = commands.add_parser("train", help="train a predictor on labelled prompts")
    train.add_argument(
        "--data",
        type=Path,
        required=True,
        help="CSV, JSONL or Parquet with the columns text, reasoning, code_generation, debugging, "
        "tool_use (0 to 1), or the folder of data of this project",
    )
    train.add_argument("--out", type=Path, required=True, help="checkpoint folder to write")
    train.add_argument(
        "--encoder",
        help="checkpoint folder, or folder or hub name of an encoder of transformers (a hub name "
        "downloads it), or e5-small-q4.bin; default: go on from the shipped predictor",
    )
    train.add_argument("--name", default="hydra-predictor", help="name of the checkpoint")
    train.add_argument("--pooling", choices=("mean", "cls"), help="default: mean; a checkpoint "
                       "keeps its own")  # fmt: skip
    train.add_argument("--layers", help="encoder layers to keep, such as 1,3,5,7,9,11")
    train.add_argument(
        "--feed-forward",
        type=int,
        help="width to which the feed-forward layers are narrowed first, keeping the neurons that "
        "matter most; two thirds of the time of a BERT encoder goes there",
    )
    train.add_argument(
        "--modernbert",
        action="store_true",
        help="rebuild the BERT encoder as a ModernBERT first, its function kept as far as that "
        "goes; after --layers and --feed-forward",
    )
    train.add_argument(
        "--guide",
        help="checkpoint whose hidden states a student made in an earlier run learns, by "
        "--state-loss; in the run that makes it these are the encoder's",
    )
    train.add_argument(
        "--teacher",
        type=Path,
        action="append",
        help="checkpoint whose scores become the targets of prompts without labels (rows whose "
        "four dimensions are blank) or with weak ones; given several times, the mean of theirs",
    )
    train.add_argument(
        "--outcome-prompts",
        type=int,
        default=0,
        help="with a data folder and --teacher: so many prompts of each benchmark join "
        "every epoch, the teacher's scores ordered by how many models failed (train split); "
        "default: 0",
    )
    train.add_argument("--vocabulary", type=int, default=46_000, help="pieces kept of the e5 file")
    train.add_argument("--quiet", action="store_true", help="no progress bars")
    _add_plan(train)
    train.set_defaults(run=_train)

    evaluation = commands.add_parser("eval", help="measure a predictor on labelled prompts")
    evaluation.add_argument("checkpoint", type=Path, nargs="?", help="default: the shipped one")
    evaluation.add_argument("--data", type=Path, required=True, help="as for train")
    evaluation.add_argument("--split", default="test", choices=("test", "dev", "train", "all"))
    evaluation.add_argument("--reference", type=Path, help="the torch checkpoint it came from")
    evaluation.add_argument("--outcomes", action="store_true", help="with a data folder: also "
                            "correlate with what models really solved")  # fmt: skip
    evaluation.add_argument("--out", type=Path, help="folder for report.json and report.md")
    evaluation.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    evaluation.set_defaults(run=_evaluate)


def _add_plan(parser: argparse.ArgumentParser) -> None:
    """Add one option a field of `TrainingPlan`, read without importing torch."""
    group = parser.add_argument_group("how to train")
    from hydra_nb.predictor.plan import TrainingPlan

    defaults = asdict(TrainingPlan()) | _PLAN_DEFAULTS
    for field in fields(TrainingPlan):
        default = defaults[field.name]
        flag = f"--{field.name.replace('_', '-')}"
        help_text = _PLAN_HELP.get(field.name, "")
        if isinstance(default, bool):
            group.add_argument(
                flag, action=argparse.BooleanOptionalAction, default=default, help=help_text
            )
        elif field.name == "frozen_layers":
            group.add_argument(flag, type=int, default=None, help=help_text)
        elif not isinstance(default, tuple):
            shown = f"{help_text}; default: {default}" if help_text else f"default: {default}"
            group.add_argument(flag, type=type(default), default=default, help=shown)


def _train(parsed: argparse.Namespace) -> int:
    from hydra_nb.predictor.origin import encoder_name
    from hydra_nb.predictor.outcome_labels import outcome_prompts
    from hydra_nb.predictor.plan import TrainingPlan
    from hydra_nb.predictor.predictor import load_predictor
    from hydra_nb.predictor.recipe import REPORT_TEXT, read_prompts, train_checkpoint
    from hydra_nb.predictor.teachers import taught

    if not parsed.quiet:
        logging.basicConfig(format="%(asctime)s %(message)s")
        logging.getLogger("hydra_nb").setLevel(logging.INFO)
    if parsed.outcome_prompts < 0 or (parsed.outcome_prompts and not parsed.teacher):
        raise InvalidInputError(
            "--outcome-prompts must be at least 0, and above 0 it needs --teacher, which gives "
            f"the level of their scores; received {parsed.outcome_prompts}"
        )
    prompts = read_prompts(parsed.data, unlabelled=bool(parsed.teacher))
    failure: dict[str, float] = {}
    if parsed.outcome_prompts:
        tried, failure = outcome_prompts(parsed.data, prompts, most=parsed.outcome_prompts)
        prompts = [*prompts, *tried]
    if parsed.teacher:
        teachers = [load_predictor(path) for path in parsed.teacher]
        most = parsed.epochs * parsed.weak_per_epoch
        prompts = taught(prompts, teachers, most=most, failure=failure)
    layers = _layers(parsed.layers)
    given = {
        field.name: getattr(parsed, field.name)
        for field in fields(TrainingPlan)
        if getattr(parsed, field.name, None) is not None
    }
    predictor = train_checkpoint(
        prompts,
        parsed.out,
        plan=TrainingPlan(**given),
        encoder=parsed.encoder,
        name=parsed.name,
        pooling=parsed.pooling,
        vocabulary=parsed.vocabulary,
        layers=layers,
        feed_forward=parsed.feed_forward,
        modernbert=parsed.modernbert,
        guide=parsed.guide,
        teachers=[encoder_name(str(path)) for path in parsed.teacher or ()],
        outcome_prompts=parsed.outcome_prompts,
        progress=not parsed.quiet,
    )
    print(
        f"{parsed.out}: {predictor.name} is ready; use it with load_predictor({str(parsed.out)!r})"
    )
    print(f"{parsed.out / REPORT_TEXT}: how well it does", file=sys.stderr)
    return 0


def _layers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InvalidInputError(
            f"--layers must be numbers separated by commas; received {text!r}"
        ) from error


def _evaluate(parsed: argparse.Namespace) -> int:
    from hydra_nb.predictor.checkpoint import write_text
    from hydra_nb.predictor.evaluation import evaluate
    from hydra_nb.predictor.outcomes import outcome_report
    from hydra_nb.predictor.predictor import load_predictor
    from hydra_nb.predictor.recipe import REPORT, REPORT_TEXT, read_prompts
    from hydra_nb.predictor.report import report_markdown

    prompts = read_prompts(parsed.data)
    predictor = load_predictor(parsed.checkpoint)
    reference = load_predictor(parsed.reference) if parsed.reference else None
    report = evaluate(predictor, prompts, split=parsed.split, reference=reference)
    if parsed.outcomes:
        report["outcomes"] = outcome_report(predictor, parsed.data)
    text = f"# {predictor.name}\n\n{report_markdown(report)}"
    if parsed.out:
        parsed.out.mkdir(parents=True, exist_ok=True)
        write_text(parsed.out / REPORT, json.dumps(report, indent=2) + "\n")
        write_text(parsed.out / REPORT_TEXT, text)
    print(json.dumps(report, indent=2) if parsed.json else text)
    return 0
