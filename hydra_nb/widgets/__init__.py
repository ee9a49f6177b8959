"""The lab for JupyterLab: thin anywidgets over one store.

`store` holds the state, the views word it, `panels` show it, `lab` puts the panels together;
`frontend/` is the source of `static/*.js`.
"""

from hydra_nb.widgets.chart_view import ChartView
from hydra_nb.widgets.lab import Lab, lab

__all__ = ["ChartView", "Lab", "lab"]
