"""The evaluation report in Markdown, from the figures that `evaluation` and `outcomes` wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra_nb.dimensions import DIMENSIONS, LABELS


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    return "\n".join([*lines, *(f"| {' | '.join(str(cell) for cell in row)} |" for row in rows)])


def figures(values: Mapping[str, Any]) -> str:
    """Return names and values as a table."""
    return table(["measure", "value"], [[name, value] for name, value in values.items()])


def _agreement(metrics: Mapping[str, Any]) -> str:
    rows = []
    for part in ("all", "authored", "annotated", "labelled"):
        if part not in metrics:
            continue
        for measure in ("pearson", "mae", "binary_accuracy"):
            values = metrics[part][measure]
            found = [f"{values[name]:.3f}" for name in (*DIMENSIONS, "mean")]
            rows.append([f"{part} (n={metrics[part]['n']})", measure, *found])
    return table(["prompts", "measure", *LABELS.values(), "mean"], rows)


def _breakdown(title: str, parts: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [name, part["n"], f"{part['pearson_mean']:.3f}", f"{part['mae_mean']:.3f}"]
        for name, part in parts.items()
    ]
    return table([title, "n", "Pearson, mean", "MAE, mean"], rows)


def _by_dimension(parts: Mapping[str, Mapping[str, Any]], columns: Sequence[str]) -> str:
    rows = [[LABELS[name], *(part[column] for column in columns)] for name, part in parts.items()]
    return table(["dimension", *columns], rows)


def _outcomes(parts: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [
            benchmark,
            part["n"],
            LABELS[part["dimension"]],
            f"{part['spearman']:.2f}",
            f"{part['interval'][0]:.2f} to {part['interval'][1]:.2f}",
            f"{part['length']:.2f}",
        ]
        for benchmark, part in parts.items()
    ]
    return table(["benchmark", "n", "dimension", "Spearman", "95 % interval", "length alone"], rows)


_WITHIN = "share of prompts moved at most 0.05 on every dimension"


def report_markdown(metrics: Mapping[str, Any]) -> str:
    """Return the sections of a report, from the second heading level."""
    sections = [
        f"## Agreement with the labels on the {metrics['split']} split",
        _agreement(metrics),
    ]
    for title, key in (
        ("language", "by_language"),
        ("source", "by_source"),
        ("tokens", "by_length_tokens"),
    ):
        if metrics[key]:
            sections.append(_breakdown(title, metrics[key]))
    for title, key in (
        ("Prices of a change between noise and what counts", "noise_prices"),
        ("Minimal pairs", "pairs"),
        ("Parallel sets: standard deviation over languages", "parallel_sets"),
        (f"Noise phrases held out of training: {_WITHIN}", "unseen_noise_within_0.05"),
        (f"Noise phrases by another hand: {_WITHIN}", "other_noise_within_0.05"),
        ("Flagged as out of domain", "out_of_domain"),
    ):
        if metrics.get(key):
            sections += [f"### {title}", figures(metrics[key])]
    if metrics.get("spread_coverage"):
        sections += [
            "### Spread: meant to hold 80 % of the labels",
            _by_dimension(metrics["spread_coverage"], ("within", "mean_spread", "correlation")),
        ]
    if metrics.get("outcomes"):
        sections += [
            "### What models really did: rank correlation with mean failure",
            _outcomes(metrics["outcomes"]),
        ]
    if "int8_against_fp32" in metrics:
        against = dict(metrics["int8_against_fp32"])
        pearson = against.pop("pearson")
        sections += [
            "### As served against fp32",
            figures({**{f"Pearson, {k}": v for k, v in pearson.items()}, **against}),
        ]
    return "\n\n".join(sections) + "\n"
