"""Altair charts, drawn offline by the vega bundle that comes with the package.

The specification travels once, rows after that: embedding a chart anew on each keystroke costs
twice as much and leaks memory in the browser. Altair's own `JupyterChart` needs a CDN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import anywidget
import traitlets

from hydra_nb.widgets.panels import STATIC

Rows = Sequence[dict[str, Any]]


class ChartView(anywidget.AnyWidget):
    """An Altair chart over `alt.NamedData(name="rows")`, or over data of its own.

    Args:
        chart: the chart.
        rows: what `rows` holds; assign to `rows` to redraw.
        title: heading above the chart.
        label: what a screen reader says of the chart.
    """

    _esm = STATIC / "chart.js"
    _css = STATIC / "lab.css"
    spec = traitlets.Dict().tag(sync=True)
    rows: Any = traitlets.List().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)

    def __init__(
        self, chart: alt.TopLevelMixin, *, rows: Rows = (), title: str = "", label: str = "chart"
    ) -> None:
        super().__init__(spec=chart.to_dict(), rows=list(rows), title=title, label=label)
