"""Money as people read it. Inside, it is micro-USD everywhere."""

from __future__ import annotations

import math


def format_usd(micro_usd: float) -> str:
    """Return micro-USD as dollars with three significant digits below a dollar, cents above.

    >>> format_usd(2_346.0), format_usd(13_200_000), format_usd(0), format_usd(0.042)
    ('$0.00235', '$13.20', '$0', '$0.000000042')
    """
    usd = micro_usd / 1e6
    if not math.isfinite(usd):
        return "–"
    if usd == 0:
        return "$0"
    sign = "−" if usd < 0 else ""
    size = abs(usd)
    if size >= 1:
        return f"{sign}${size:,.2f}"
    digits = min(9, 2 - math.floor(math.log10(size)))
    text = f"{size:.{digits}f}"
    whole, _, fraction = text.partition(".")
    # Cents keep both digits; below a cent, zeros at the end say nothing.
    fraction = fraction.rstrip("0").ljust(2, "0")
    return f"{sign}${whole}.{fraction}"
