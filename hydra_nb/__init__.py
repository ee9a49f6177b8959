"""Explore, simulate and explain capability-aware LLM routing (after HyDRA, arXiv 2605.17106).

The core, loaded here, takes values and returns values: `Catalog`, `Requirements`, `match`,
`decide`. What is heavy loads on first use: `route` and `load_predictor` (the encoder),
`score_frame` (pandas), `Workload` and `lab` (the JupyterLab widgets).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hydra_nb.catalog import Catalog
from hydra_nb.decision import Candidate, Decision, Standing, decide
from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import (
    CatalogError,
    CheckpointError,
    HydraError,
    InvalidInputError,
    SolverError,
    WorkspaceError,
)
from hydra_nb.matching import Assignment, match
from hydra_nb.problem import (
    DEFAULT_TAU,
    REGIMES,
    RoutingProblem,
    eligible_sets,
    formulate,
    shortfall,
)
from hydra_nb.profile import Evidence, ModelProfile
from hydra_nb.requirements import Requirements
from hydra_nb.routing import route
from hydra_nb.tokens import estimate_tokens

if TYPE_CHECKING:
    from hydra_nb.predictor import load_predictor
    from hydra_nb.scoring import score_frame
    from hydra_nb.widgets.lab import lab
    from hydra_nb.workload import Workload

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_TAU",
    "DIMENSIONS",
    "REGIMES",
    "Assignment",
    "Candidate",
    "Catalog",
    "CatalogError",
    "CheckpointError",
    "Decision",
    "Evidence",
    "HydraError",
    "InvalidInputError",
    "ModelProfile",
    "Requirements",
    "RoutingProblem",
    "SolverError",
    "Standing",
    "Workload",
    "WorkspaceError",
    "decide",
    "eligible_sets",
    "estimate_tokens",
    "formulate",
    "lab",
    "load_predictor",
    "match",
    "route",
    "score_frame",
    "shortfall",
]

_LAZY = {
    "Workload": "hydra_nb.workload",
    "lab": "hydra_nb.widgets",
    "load_predictor": "hydra_nb.predictor",
    "score_frame": "hydra_nb.scoring",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
