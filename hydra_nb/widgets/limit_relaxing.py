"""What an infeasible plan says in words, done to the rows: "raise the budget by $232.00"."""

from __future__ import annotations

import re
from dataclasses import replace

from hydra_nb.widgets.limit_rows import LimitRow

_AMOUNT = r"([\d,]+(?:\.\d+)?(?:e-?\d+)?)"
_RAISED: tuple[tuple[str, str, int], ...] = (
    (rf"raise (?P<key>.+)'s cap by {_AMOUNT} requests", "max_requests", 1),
    (rf"raise (?P<key>.+)'s cap by {_AMOUNT} tokens", "max_tokens", 1),
    (
        rf"raise the largest share of (?P<key>.+) by {_AMOUNT} percentage points",
        "max_provider_share",
        1,
    ),
    (
        rf"lower the least share of (?P<key>.+) by {_AMOUNT} percentage points",
        "min_provider_share",
        -1,
    ),
    (rf"raise the budget by \${_AMOUNT}", "budget_usd", 1),
    (rf"raise the mean shortfall by {_AMOUNT}", "max_mean_shortfall", 1),
    (rf"lower the share within τ by {_AMOUNT} percentage points", "min_share_within_tau", -1),
)


def relaxed(rows: tuple[LimitRow, ...], words: str) -> tuple[LimitRow, ...] | None:
    """Return the rows after a relaxation that `Infeasibility` names; `None`: not that simple."""
    match = re.fullmatch(r"allow ([\d,]+) models?", words)
    if match:
        return _retyped(rows, "max_models", "", match[1].replace(",", ""))
    for pattern, kind, sign in _RAISED:
        match = re.fullmatch(pattern, words)
        if not match:
            continue
        key = match.groupdict().get("key", "")
        amount = float(match.groups()[-1].replace(",", ""))
        for row in rows:
            if (row.kind, row.subject) == (kind, key):
                now = float(row.typed[kind].strip().removeprefix("$").removesuffix("%"))
                ends = (0.0, 100.0 if kind.endswith(("share", "within_tau")) else float("inf"))
                value = min(max(now + sign * amount, ends[0]), ends[1])
                return _retyped(rows, kind, key, f"{value:.10g}")
    return None


def _retyped(
    rows: tuple[LimitRow, ...], kind: str, subject: str, text: str
) -> tuple[LimitRow, ...] | None:
    changed = tuple(
        replace(row, typed={**row.typed, kind: text})
        if (row.kind, row.subject) == (kind, subject)
        else row
        for row in rows
    )
    return None if changed == rows else changed
