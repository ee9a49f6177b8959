"""Models × dimensions: capability − requirement, by sign, number and colour."""

from __future__ import annotations

from typing import Any

import altair as alt

from hydra_nb.decision import Decision, Standing
from hydra_nb.dimensions import DIMENSIONS, LABELS
from hydra_nb.gap_text import format_gap

_ROW_HEIGHT = 26
# Gaps beyond this share the strongest colour; text turns light on colours this strong.
_FULL_GAP = 0.6
_STRONG_GAP = 0.42


def shortfall_heatmap() -> alt.LayerChart:
    """Return the heatmap, to be filled with `heatmap_rows`.

    Colour is never alone: each cell carries ✓ or ✗ and the signed gap. The parameters `ink` and
    `ink_strong` are text colours that a viewer may set for its theme.
    """
    base = alt.Chart(alt.NamedData(name="rows")).encode(
        x=alt.X(
            "dimension:N",
            sort=[LABELS[name] for name in DIMENSIONS],
            axis=alt.Axis(
                orient="top", title=None, labelAngle=0, domain=False, ticks=False, labelLimit=140
            ),
        ),
        y=alt.Y(
            "model:N",
            sort=alt.EncodingSortField("order"),
            axis=alt.Axis(title=None, domain=False, ticks=False, labelLimit=170),
        ),
    )
    cells = base.mark_rect(cornerRadius=4, stroke="transparent", strokeWidth=2).encode(
        color=alt.Color(
            "gap:Q",
            scale=alt.Scale(domain=[-_FULL_GAP, _FULL_GAP], range="diverging", clamp=True),
            legend=None,
        ),
        opacity=alt.condition("datum.allowed", alt.value(1), alt.value(0.35)),
        tooltip=[
            alt.Tooltip("model:N", title="model"),
            alt.Tooltip("dimension:N", title="dimension"),
            alt.Tooltip("capability:Q", title="capability", format=".3f"),
            alt.Tooltip("requirement:Q", title="requirement", format=".3f"),
            alt.Tooltip("text:N", title="gap"),
        ],
    )
    numbers = base.mark_text(fontSize=12).encode(
        text="text:N",
        color=alt.condition(
            f"abs(datum.gap) > {_STRONG_GAP}",
            alt.value(alt.ExprRef("ink_strong")),
            alt.value(alt.ExprRef("ink")),
        ),
    )
    outline = base.transform_filter("datum.chosen").mark_rect(
        cornerRadius=4, fill=None, stroke=alt.ExprRef("ink"), strokeWidth=1.5
    )
    chart = alt.LayerChart(layer=[cells, outline, numbers])
    ink = alt.param(name="ink", value="#1a1a1a")
    ink_strong = alt.param(name="ink_strong", value="#ffffff")
    return chart.add_params(ink, ink_strong).properties(
        width="container", height=alt.Step(_ROW_HEIGHT)
    )


def heatmap_rows(decision: Decision) -> list[dict[str, Any]]:
    """Return the rows of `shortfall_heatmap`: one a model and dimension, in the catalog's order."""
    requirement = decision.requirements.row(0)
    rows = []
    for order, candidate in enumerate(decision.candidates):
        allowed = bool(decision.problem.allowed[0, order])
        for name, gap in candidate.gaps.items():
            rows.append(
                {
                    "model": candidate.name,
                    "order": order,
                    "dimension": LABELS[name],
                    "gap": gap,
                    "text": format_gap(gap),
                    "capability": getattr(candidate.profile, name),
                    "requirement": requirement[name],
                    "allowed": allowed,
                    "chosen": candidate.standing is Standing.CHOSEN,
                }
            )
    return rows


def heatmap_label(decision: Decision) -> str:
    """Return what a screen reader says of the heatmap."""
    lines = [f"{c.name}: {c.reason}" for c in decision.candidates]
    return "Capability minus requirement, by model and dimension. " + ". ".join(lines)
