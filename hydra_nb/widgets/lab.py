"""The lab: prompt, catalog and solver panels over one store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import ipywidgets

from hydra_nb.catalog import Catalog
from hydra_nb.charts import heatmap_label, heatmap_rows, shortfall_heatmap
from hydra_nb.decision import Decision
from hydra_nb.dimensions import DIMENSIONS, weight_vector
from hydra_nb.errors import InvalidInputError
from hydra_nb.problem import DEFAULT_TAU
from hydra_nb.requirements import Requirements
from hydra_nb.routing import Predictor, default_predictor
from hydra_nb.solver import Constraints, Plan
from hydra_nb.solver.coupling import Objective
from hydra_nb.tokens import DEFAULT_TOKENS_OUTPUT
from hydra_nb.widgets.chart_view import ChartView
from hydra_nb.widgets.code import to_code
from hydra_nb.widgets.limit_sheets import Sheets
from hydra_nb.widgets.panels import CatalogPanel, PromptPanel, SolverPanel, WhatIfPanel
from hydra_nb.widgets.state import Settings
from hydra_nb.widgets.store import Store
from hydra_nb.widgets.workload_desk import WorkloadDesk
from hydra_nb.widgets.workload_panel import WorkloadPanel

if TYPE_CHECKING:
    from hydra_nb.workload import Workload

DEFAULT_CATALOG = "paper_pool"


class Lab(ipywidgets.VBox):  # type: ignore[misc]
    """The whole screen as one widget; make one with `lab`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._desk = WorkloadDesk(store)
        self._prompt = PromptPanel(store)
        self._heatmap = ChartView(shortfall_heatmap(), title="Capability minus requirement")
        panels = [self._prompt, CatalogPanel(store), SolverPanel(store)]
        panels += [WhatIfPanel(store), self._heatmap, WorkloadPanel(self._desk)]
        self._draw_heatmap()
        store.subscribe(self._draw_heatmap)
        super().__init__(panels)
        self.add_class("hydra-nb-lab")

    def close(self) -> None:
        """Close the lab and its panels."""
        self._store.unsubscribe(self._draw_heatmap)
        self._desk.close()
        for child in self.children:
            child.close()
        super().close()

    @property
    def text(self) -> str:
        """The prompt; assign to it to type from Python."""
        return self._store.text

    @text.setter
    def text(self, text: str) -> None:
        self._prompt.show_text(text)

    @property
    def catalog(self) -> Catalog:
        """The catalog with all edits; assign another to show it (undo brings this one back)."""
        return self._store.catalog

    @catalog.setter
    def catalog(self, catalog: Catalog) -> None:
        if not isinstance(catalog, Catalog):
            raise InvalidInputError(f"catalog must be a Catalog; received {catalog!r:.80}")
        self._store.replace_catalog(catalog, label=f"open {catalog.name}")

    @property
    def requirements(self) -> Requirements | None:
        """The scores on screen, waiting for the encoder; `None` where there is no prompt."""
        self._store.wait()
        return self._store.requirements

    @property
    def decision(self) -> Decision | None:
        """The decision on screen, waiting for the encoder; `None` where there is no prompt."""
        self._store.wait()
        return self._store.ruling.decision if self._store.ruling else None

    @property
    def tau(self) -> float:
        """The threshold on screen; assign to move the slider."""
        return self._store.settings.tau

    @tau.setter
    def tau(self, tau: float) -> None:
        self._store.set(tau=tau)

    @property
    def workload(self) -> Workload | None:
        """The workload on screen, waiting while one is loading; assign to show another."""
        self._desk.intake.wait()
        return self._desk.workload

    @workload.setter
    def workload(self, workload: Workload) -> None:
        self._desk.set_workload(workload)

    @property
    def constraints(self) -> Constraints:
        """The constraints in force; assign others to show them (undo brings these back)."""
        return self._desk.constraints

    @constraints.setter
    def constraints(self, constraints: Constraints) -> None:
        self._desk.set_constraints(constraints)

    @property
    def objective(self) -> Objective:
        """What the plan of the workload minimises, "cost" or "shortfall"."""
        return self._desk.sheets.current.objective

    @objective.setter
    def objective(self, objective: Objective) -> None:
        self._desk.change_limits(Sheets.aim, objective)

    @property
    def plan(self) -> Plan | None:
        """The plan of the workload, waiting for it; `None` without a workload or a plan in time."""
        return self._desk.wait_for_plan()

    def to_code(self) -> str:
        """Return a notebook cell that recreates this screen."""
        return to_code(self._store, self._desk)

    def _draw_heatmap(self) -> None:
        decision = self._store.ruling.decision if self._store.ruling else None
        self._heatmap.label = heatmap_label(decision) if decision else ""
        self._heatmap.rows = heatmap_rows(decision) if decision else []


def lab(
    catalog: Catalog | None = None,
    *,
    predictor: Predictor | None = None,
    tau: float = DEFAULT_TAU,
    text: str = "",
    dimension_weights: Mapping[str, float] | None = None,
    tokens_output: int = DEFAULT_TOKENS_OUTPUT,
    turn: int = 1,
    modalities: tuple[str, ...] = ("text",),
    workload: Workload | None = None,
    constraints: Constraints | None = None,
    objective: Objective = "cost",
) -> Lab:
    """Return the lab: type a prompt, edit the catalog, see which model is chosen and why.

    Args:
        catalog: what to route over; `None` for the sample `paper_pool`.
        predictor: any object with `predict(texts, turns)`; `None` for the one that comes with the
            package, which loads in the background while the lab is already there.
        tau: threshold on the shortfall, ≥ 0.
        text: a prompt to begin with.
        dimension_weights: by dimension; those left out weigh 1.
        tokens_output: expected length of the answer, tokens.
        turn: which message of the conversation the prompt is, from 1.
        modalities: what the model must read.
        workload: many prompts to show at once; the panel below waits for one otherwise.
        constraints: what a plan of the workload must respect.
        objective: what it minimises, "cost" or "shortfall".

    Raises:
        InvalidInputError: an argument breaks a rule; the message names it.
    """
    weights = weight_vector(dimension_weights).tolist()
    settings = Settings(
        tau=tau,
        dimension_weights=dict(zip(DIMENSIONS, weights, strict=True)),
        tokens_output=tokens_output,
        turn=turn,
        modalities=modalities,
    )
    opened = Catalog.sample(DEFAULT_CATALOG) if catalog is None else catalog
    if not isinstance(opened, Catalog):
        raise InvalidInputError(f"catalog must be a Catalog; received {opened!r:.80}")
    store = Store(opened, predictor=predictor, settings=settings)
    widget = Lab(store)
    if text:
        widget.text = text
    if constraints is not None:
        widget.constraints = constraints
    if objective != "cost":
        widget.objective = objective
    if workload is not None:
        widget.workload = workload
    if predictor is None:
        store.load(default_predictor)
    return widget
