"""From benchmark figures to capabilities (HyDRA, Eq. 3) and compensated weights (Eq. 4).

Eq. 3 is relative to the pool: adding or removing a model can move everybody. So a catalog keeps its
figures as `Evidence`, and its capabilities are recomputed from them:

    hydra-nb catalog profile sample_catalogs/*.yaml --band manifest.json

rewrites the files in place for another band, and the comment beside each capability with it.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hydra_nb.catalog import Band, Catalog
from hydra_nb.dimensions import DIMENSIONS, TOLERANCE, DimensionWeights, weight_vector
from hydra_nb.errors import CatalogError
from hydra_nb.profile import Evidence, ModelProfile, shorten

DECIMALS = 3
"""Decimals of a computed capability; benchmark scores are hardly known better."""

_MARK = "→ Eq. 3"
_logger = logging.getLogger(__name__)


def capabilities_from_evidence(
    evidence_per_model: Sequence[Sequence[Evidence]],
    band: Band,
    *,
    names: Sequence[str] | None = None,
) -> NDArray[np.float64]:
    """Return the capabilities of a pool by Eq. 3 of the HyDRA paper.

    Per dimension, each model gets the weighted mean of its scores; these means are then stretched
    (min-max over the pool) so that the weakest model lands on the low end of the band and the
    strongest on the high end. Where all models of the pool are equal on a dimension, the stretch is
    undefined and all get the high end: each of them is the strongest there is.

    Args:
        evidence_per_model: the figures of each model; at least one per dimension.
        band: low and high end per dimension, fractions in [0, 1].
        names: names of the models for error messages; by default `models[0]`, `models[1]`, …

    Returns:
        float64 `(n_models, 4)` in the order of `DIMENSIONS`, unrounded; `(0, 4)` for an empty pool.

    Raises:
        CatalogError: a model without evidence on a dimension (names both), or a bad band.
    """
    ends = _band_ends(band)  # (4, 2)
    if names is None:
        names = [f"models[{index}]" for index in range(len(evidence_per_model))]
    rows = [
        [_mean_benchmark_score(evidence, dimension, name) for dimension in DIMENSIONS]
        for evidence, name in zip(evidence_per_model, names, strict=True)
    ]
    if not rows:
        return np.empty((0, len(DIMENSIONS)))
    means = np.array(rows, dtype=np.float64)  # (n_models, 4)
    weakest, strongest = means.min(axis=0), means.max(axis=0)
    spread = strongest - weakest
    equal = spread <= TOLERANCE
    position = np.where(equal, 1.0, (means - weakest) / np.where(equal, 1.0, spread))
    # This form, unlike low + position · width, hits both ends exactly.
    result: NDArray[np.float64] = (1 - position) * ends[:, 0] + position * ends[:, 1]
    return result


def profiled(catalog: Catalog, band: Band | None = None) -> Catalog:
    """Return `catalog` with its four capabilities recomputed from its evidence by Eq. 3.

    Capabilities are rounded to `DECIMALS` decimals. `band` defaults to the band of the catalog and
    becomes the band of the result.

    Raises:
        CatalogError: no band at all, a bad band, or a model without evidence on a dimension.
    """
    band = catalog.capability_band if band is None else band
    if band is None:
        raise CatalogError(
            "is needed to compute capabilities; give the low and high end per dimension",
            field="capability_band",
        )
    capabilities = capabilities_from_evidence(
        [profile.evidence for profile in catalog], band, names=[repr(n) for n in catalog.names]
    )
    profiles = tuple(
        profile.changed(
            **{
                name: round(float(value), DECIMALS)
                for name, value in zip(DIMENSIONS, row, strict=True)
            }
        )
        for profile, row in zip(catalog, capabilities, strict=True)
    )
    return replace(catalog, profiles=profiles, capability_band=dict(band))


def compensated_weights(
    dimension_weights: DimensionWeights | None, band: Band
) -> NDArray[np.float64]:
    """Return dimension weights that make up for bands of unequal width (HyDRA, Eq. 4).

    A gap of 0.1 means more on a dimension whose scores span 0.3 than on one that spans 0.8. So
    `w̃_k = (w_k / width_k) · Σ w / Σ (w / width)`: each weight is divided by the width of its band,
    and the sum of all stays what it was, so that τ keeps its scale.

    Args:
        dimension_weights: as `weight_vector` takes them; `None` means all 1.
        band: low and high end per dimension, fractions in [0, 1].

    Returns:
        float64 `(4,)` in the order of `DIMENSIONS`.

    Raises:
        InvalidInputError: bad weights.
        CatalogError: a bad band.
    """
    weights = weight_vector(dimension_weights)
    ends = _band_ends(band)
    # Relative to the widest band: a quotient cannot overflow then unless the weight itself is huge.
    widths = ends[:, 1] - ends[:, 0]
    per_width = weights * (widths.max() / widths)
    result: NDArray[np.float64] = per_width * (weights.sum() / per_width.sum())
    return result


def describe_evidence(profile: ModelProfile, dimension: str) -> str:
    """Return the figures behind one capability in brief: `SWE-bench Verified 0.694 → Eq. 3`.

    An estimated figure is written as `≈ 0.720 (estimate)`, a weight other than 1 as `× 2`.
    """
    parts = []
    for row in profile.evidence:
        if row.dimension == dimension:
            # What follows a comma in the name of a benchmark says which part of it was taken.
            benchmark = row.benchmark.partition(",")[0]
            sign, end = ("≈ ", " (estimate)") if row.estimate else ("", "")
            factor = "" if row.weight == 1 else f" × {row.weight:g}"
            parts.append(f"{benchmark} {sign}{row.score:.3f}{factor}{end}")
    return f"{', '.join(parts)} {_MARK}"


def profiled_text(catalog: Catalog, band: Band | None = None) -> str:
    """Return the YAML of `profiled(catalog, band)` with a comment beside each capability.

    The comment is `describe_evidence`. One that does not end in “→ Eq. 3” is somebody's own and
    stays. All other comments and the order of keys are those of the file the catalog came from.
    """
    new = profiled(catalog, band)
    # A list is a band, a number a capability; evidence has these words as values, not as keys.
    line = re.compile(
        rf"^(?P<key> *(?:- +)?(?P<dimension>{'|'.join(DIMENSIONS)}): *[-+.\deE]+)"
        r"(?P<comment> *#.*)?$",
        re.MULTILINE,
    )
    text = new.to_yaml()
    found = [match["dimension"] for match in line.finditer(text)]
    if any(found.count(dimension) != len(new) for dimension in DIMENSIONS):
        _logger.warning(
            "%s: comments beside capabilities are left as they are, since not every model has one "
            "line per field",
            catalog.name,
        )
        return text
    waiting = {dimension: iter(new) for dimension in DIMENSIONS}

    def commented(match: re.Match[str]) -> str:
        profile = next(waiting[match["dimension"]])
        if match["comment"] and not match["comment"].endswith(_MARK):
            return match[0]
        return f"{match['key']}  # {describe_evidence(profile, match['dimension'])}"

    return line.sub(commented, text)


def read_band(path: Path) -> Band:
    """Read a band from JSON: `{"reasoning": [0.05, 0.75], …}`, or that under `score_band`.

    Raises:
        CatalogError: naming file, rule and value.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CatalogError(
            f"cannot be read ({error.strerror or error})", place=str(path)
        ) from error
    except ValueError as error:
        raise CatalogError(f"is not valid JSON: {error}", place=str(path)) from error
    if isinstance(content, dict):
        content = content.get("score_band", content)
    if not isinstance(content, dict) or not all(map(_is_pair, content.values())):
        raise CatalogError(
            "must map each dimension to [low, high]",
            place=str(path),
            field="score_band",
            value=shorten(repr(content)),
        )
    band = {name: (float(low), float(high)) for name, (low, high) in content.items()}
    try:
        _band_ends(band)
    except CatalogError as error:
        raise error.at(str(path)) from error
    return band


def _mean_benchmark_score(evidence: Sequence[Evidence], dimension: str, name: str) -> float:
    rows = [row for row in evidence if row.dimension == dimension]
    if not rows:
        raise CatalogError(
            "has no figure; Eq. 3 needs at least one per dimension (an estimate will do, with the "
            "reason under `estimate`)",
            model=name,
            field=f"evidence.{dimension}",
        )
    total = sum(row.weight for row in rows)
    return sum(row.weight * row.score for row in rows) / total


def _band_ends(band: Band) -> NDArray[np.float64]:
    """Return the ends of a valid band, `(4, 2)`: low, high in the order of `DIMENSIONS`."""
    Catalog((), capability_band=band)  # there the rule for bands is kept, and broken ones refused
    return np.array([band[name] for name in DIMENSIONS], dtype=np.float64)


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(end, int | float) and not isinstance(end, bool) for end in value)
    )
