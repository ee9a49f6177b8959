"""Files that come with the package but are no code: sample catalogs and notebooks."""

from __future__ import annotations

from pathlib import Path


def folder(name: str) -> Path:
    """Return `sample_catalogs` or `notebooks`: inside an installed wheel, or of the checkout."""
    package = Path(__file__).parent
    installed = package / "data" / name
    return installed if installed.is_dir() else package.parent / name
