"""Gaps between capability and requirement, as people read them."""

from __future__ import annotations

from collections.abc import Mapping

from hydra_nb.dimensions import LABELS, TOLERANCE


def format_gap(gap: float) -> str:
    """Return "✓ +0.12" or "✗ −0.19"; what the solver takes for zero is "✓ 0.00"."""
    if gap < -TOLERANCE:
        return f"✗ −{-gap:.2f}" if gap <= -0.005 else f"✗ −{max(-gap, 0.001):.3f}"
    return f"✓ +{gap:.2f}" if gap >= 0.005 else "✓ 0.00"


def short_dimensions(gaps: Mapping[str, float]) -> str:
    """Return "short on debugging by 0.19, …", the largest lack first; empty where none."""
    lacking = sorted((gap, name) for name, gap in gaps.items() if gap < -TOLERANCE)
    amounts = (f"{-gap:.2f}" if gap <= -0.005 else "less than 0.01" for gap, _ in lacking)
    listed = (f"{LABELS[k].lower()} by {a}" for (_, k), a in zip(lacking, amounts, strict=True))
    return f"short on {', '.join(listed)}" if lacking else ""
