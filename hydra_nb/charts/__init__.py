"""Altair charts of decisions. Each comes as (chart, rows): the chart names its data `rows`.

`hydra_nb.widgets.ChartView(chart, rows=rows)` shows one without any network.
"""

from hydra_nb.charts.heatmap import heatmap_label, heatmap_rows, shortfall_heatmap

__all__ = ["heatmap_label", "heatmap_rows", "shortfall_heatmap"]
