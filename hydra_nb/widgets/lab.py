"""The lab: prompt, catalog and solver panels over one store."""

from __future__ import annotations

from collections.abc import Mapping

import ipywidgets

from hydra_nb.catalog import Catalog
from hydra_nb.charts import heatmap_label, heatmap_rows, shortfall_heatmap
from hydra_nb.decision import Decision
from hydra_nb.dimensions import DIMENSIONS, weight_vector
from hydra_nb.errors import InvalidInputError
from hydra_nb.problem import DEFAULT_TAU
from hydra_nb.requirements import Requirements
from hydra_nb.routing import Predictor, default_predictor
from hydra_nb.tokens import DEFAULT_TOKENS_OUTPUT
from hydra_nb.widgets.chart_view import ChartView
from hydra_nb.widgets.code import to_code
from hydra_nb.widgets.panels import CatalogPanel, PromptPanel, SolverPanel
from hydra_nb.widgets.state import Settings
from hydra_nb.widgets.store import Store

DEFAULT_CATALOG = "paper_pool"


class Lab(ipywidgets.VBox):  # type: ignore[misc]
    """The whole screen as one widget; make one with `lab`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._prompt = PromptPanel(store)
        self._heatmap = ChartView(shortfall_heatmap(), title="Capability minus requirement")
        panels = [self._prompt, CatalogPanel(store), SolverPanel(store), self._heatmap]
        self._draw_heatmap()
        store.subscribe(self._draw_heatmap)
        super().__init__(panels)
        self.add_class("hydra-nb-lab")

    def close(self) -> None:
        """Close the lab and its panels."""
        self._store.unsubscribe(self._draw_heatmap)
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

    def to_code(self) -> str:
        """Return a notebook cell that recreates this screen."""
        return to_code(self._store)

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
    if predictor is None:
        store.load(default_predictor)
    return widget
