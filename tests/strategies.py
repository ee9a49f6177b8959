"""Hypothesis strategies and small builders shared by the tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from hydra_nb import DIMENSIONS, Catalog, ModelProfile, Requirements

# A coarse grid makes ties of cost and of shortfall common, which is where the rules bite.
_capability = st.integers(0, 10).map(lambda tenth: tenth / 10)
_price = st.sampled_from([0.0, 0.1, 0.25, 1.0, 1.0, 3.0, 15.0])


def profile(name: str, capabilities: Any = (0.5,) * 4, **fields: Any) -> ModelProfile:
    """Return a model profile with middling figures."""
    defaults: dict[str, Any] = {
        "provider": "test",
        "usd_per_mtok_input": 1.0,
        "usd_per_mtok_output": 4.0,
        "context_window": 100_000,
        **dict(zip(DIMENSIONS, capabilities, strict=True)),
    }
    return ModelProfile(name=name, **{**defaults, **fields})


@st.composite
def catalogs(draw: st.DrawFn, *, min_size: int = 1, max_size: int = 6) -> Catalog:
    """Draw a catalog with ties, outages, small contexts and models that read images."""
    names = draw(
        st.lists(st.sampled_from("abcdefghij"), min_size=min_size, max_size=max_size, unique=True)
    )
    return Catalog(
        tuple(
            profile(
                name,
                draw(st.tuples(*[_capability] * 4)),
                usd_per_mtok_input=draw(_price),
                usd_per_mtok_output=draw(_price),
                available=draw(st.sampled_from([True, True, True, False])),
                context_window=draw(st.sampled_from([400, 100_000, 100_000])),
                modalities=draw(st.sampled_from([("text",), ("text", "image")])),
            )
            for name in names
        )
    )


@st.composite
def requirements(draw: st.DrawFn, *, max_queries: int = 4) -> Requirements:
    """Draw the requirements of some queries."""
    rows = st.lists(st.tuples(*[_capability] * 4), min_size=1, max_size=max_queries)
    return Requirements(np.array(draw(rows), dtype=float))


taus = st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 4.0])
weights = st.tuples(*[st.sampled_from([0.0, 0.5, 1.0, 2.0])] * 4).filter(any)
token_counts = st.integers(0, 1_000)
