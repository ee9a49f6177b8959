"""How a workload is shown: in a line, and in a notebook."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from hydra_nb.profile import shorten

if TYPE_CHECKING:
    from hydra_nb.workload.workload import Workload

_ROWS = 5
_CHARACTERS = 60


def summary(workload: Workload, *, name: str) -> str:
    """Return what a workload amounts to; tokens are those of all its requests."""
    tokens_in, tokens_out = (
        tokens.astype(float) @ workload.arrivals
        for tokens in (workload.tokens_input, workload.tokens_output)
    )
    return (
        f"{name}, {len(workload):,} prompts, {workload.requests:,} requests per "
        f"{shorten(workload.period, 40)}, {tokens_in:,.0f} input and {tokens_out:,.0f} output "
        "tokens"
    )


def as_html(workload: Workload) -> str:
    """Return the summary and the first rows."""
    shown = workload.head(_ROWS)
    frame = shown.to_frame()
    for name in ("id", "text", "label"):
        frame[name] = [shorten(cell or "", _CHARACTERS) for cell in frame[name]]
    more = len(workload) - len(shown)
    rest = f"<p>… and {more:,} more</p>" if more else ""
    line = html.escape(summary(workload, name=shorten(workload.name, 40)))
    return f"<p>{line}</p>{frame.to_html(index=False)}{rest}"
