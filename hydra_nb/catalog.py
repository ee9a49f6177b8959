"""The catalog: an ordered set of model profiles, and everything one may do to it.

A catalog never changes; each edit returns a new one. Where it was loaded from a file, the text of
the file travels along, so that saving keeps comments and the order of keys (`catalog_file`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import CatalogError
from hydra_nb.profile import ModelProfile, shorten

if TYPE_CHECKING:
    import pandas as pd

Band = Mapping[str, tuple[float, float]]
"""Low and high end, per dimension, of the capabilities that Eq. 3 of the HyDRA paper assigns."""


MIN_BAND_WIDTH = 1e-6
"""Eq. 4 divides by the width of the band: a narrower one would blow a weight up."""


@dataclass(frozen=True)
class SourceText:
    """The YAML text a catalog came from.

    Attributes:
        text: the text.
        entries: for each profile which entry of the text it is; `None` where it is new.
        default_name: the name the catalog has where the text gives none.
    """

    text: str
    entries: tuple[int | None, ...]
    default_name: str = "catalog"


@dataclass(frozen=True, repr=False)
class Catalog:
    """An ordered collection of model profiles with unique names.

    Attributes:
        profiles: the model profiles, in order.
        name: what the catalog is called on screen.
        description: one sentence on where it comes from.
        as_of: ISO date at which its figures were read.
        capability_band: ends of the band of Eq. 3; `None` where capabilities are absolute.

    Raises:
        CatalogError: two profiles of one name, or a band that is not two rising numbers in [0, 1].
    """

    profiles: tuple[ModelProfile, ...]
    name: str = "catalog"
    description: str = ""
    as_of: str = ""
    capability_band: Band | None = None
    source: SourceText | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "profiles", tuple(self.profiles))
        seen: set[str] = set()
        for profile in self.profiles:
            if not isinstance(profile, ModelProfile):
                raise CatalogError("must be a ModelProfile", field="profiles", value=repr(profile))
            if profile.name in seen:
                raise CatalogError(
                    "must be unique in the catalog", model=repr(profile.name), field="name"
                )
            seen.add(profile.name)
        if self.capability_band is not None:
            object.__setattr__(self, "capability_band", _checked_band(self.capability_band))

    # -- reading ---------------------------------------------------------------------------

    @classmethod
    def load(cls, path: str | Path) -> Catalog:
        """Read a catalog from a YAML file.

        Raises:
            CatalogError: naming file, line, model, field, rule and value.
        """
        from hydra_nb import catalog_file

        return catalog_file.load(Path(path))

    @classmethod
    def sample(cls, name: str) -> Catalog:
        """Return one of the catalogs that come with the package; see `sample_names`."""
        from hydra_nb import shipped

        known = cls.sample_names()
        if name not in known:
            raise CatalogError(f"no sample catalog {name!r}; there are {', '.join(known)}")
        return cls.load(shipped.folder("sample_catalogs") / f"{name}.yaml")

    @classmethod
    def sample_names(cls) -> tuple[str, ...]:
        """Return the names that `sample` knows."""
        from hydra_nb import shipped

        return tuple(sorted(p.stem for p in shipped.folder("sample_catalogs").glob("*.yaml")))

    def save(self, path: str | Path) -> None:
        """Write YAML, keeping the comments and key order of the file it was loaded from.

        The file is written beside and renamed into place: a failure leaves the old one whole.
        """
        from hydra_nb import catalog_file

        catalog_file.save(self, Path(path))

    def to_yaml(self) -> str:
        """Return what `save` would write."""
        from hydra_nb import catalog_file

        return catalog_file.to_text(self)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names in order."""
        return tuple(profile.name for profile in self.profiles)

    def __repr__(self) -> str:
        names = shorten(", ".join(self.names), 100)
        return f"Catalog({self.name!r}, {len(self)} models: {names})"

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html())

    def __len__(self) -> int:
        return len(self.profiles)

    def __iter__(self) -> Iterator[ModelProfile]:
        return iter(self.profiles)

    def __getitem__(self, key: int | str) -> ModelProfile:
        return self.profiles[self.index(key) if isinstance(key, str) else key]

    def index(self, name: str) -> int:
        """Return the position of a name; `CatalogError` where there is none."""
        try:
            return self.names.index(name)
        except ValueError:
            raise CatalogError(
                f"no model {name!r} in {self.name}; there are {', '.join(self.names) or 'none'}"
            ) from None

    def capability_matrix(self) -> NDArray[np.float64]:
        """Return the capabilities, float64 `(n_models, 4)` in the order of `DIMENSIONS`."""
        rows = [profile.capabilities for profile in self.profiles]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(DIMENSIONS))

    def prices(self) -> NDArray[np.float64]:
        """Return input and output prices, float64 `(n_models, 2)`, USD per 1M tokens."""
        rows = [(p.usd_per_mtok_input, p.usd_per_mtok_output) for p in self.profiles]
        return np.array(rows, dtype=np.float64).reshape(len(rows), 2)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a model profile, indexed by name, with the fields as columns."""
        import pandas as pd

        rows = [profile.model_dump(exclude={"evidence"}) for profile in self.profiles]
        columns = [name for name in ModelProfile.model_fields if name != "evidence"]
        return pd.DataFrame(rows, columns=columns).set_index("name")

    # -- editing: each returns a new catalog -----------------------------------------------

    def replace(self, name: str, /, **changes: Any) -> Catalog:
        """Return a catalog in which the profile `name` has `changes`."""
        position = self.index(name)
        profiles = list(self.profiles)
        profiles[position] = profiles[position].changed(**changes)
        return replace(self, profiles=tuple(profiles))

    def rename(self, name: str, new_name: str) -> Catalog:
        """Return a catalog in which `name` is called `new_name`."""
        return self.replace(name, name=new_name)

    def add(self, profile: ModelProfile, *, position: int | None = None) -> Catalog:
        """Return a catalog with one more profile, at the end or at `position`."""
        at = len(self) if position is None else position
        return self._with_entries([*self._entries()[:at], (profile, None), *self._entries()[at:]])

    def remove(self, name: str) -> Catalog:
        """Return a catalog without the profile `name`."""
        at = self.index(name)
        return self._with_entries([*self._entries()[:at], *self._entries()[at + 1 :]])

    def _entries(self) -> list[tuple[ModelProfile, int | None]]:
        entries = self.source.entries if self.source else (None,) * len(self)
        return list(zip(self.profiles, entries, strict=True))

    def _with_entries(self, entries: Iterable[tuple[ModelProfile, int | None]]) -> Catalog:
        pairs = list(entries)
        source = self.source and replace(self.source, entries=tuple(entry for _, entry in pairs))
        return replace(self, profiles=tuple(profile for profile, _ in pairs), source=source)


def _checked_band(band: Band) -> dict[str, tuple[float, float]]:
    if set(band) != set(DIMENSIONS):
        raise CatalogError(
            f"needs the dimensions {', '.join(DIMENSIONS)}",
            field="capability_band",
            value=str(sorted(map(str, band))),
        )
    for name, ends in band.items():
        numbers = [e for e in ends if isinstance(e, int | float) and not isinstance(e, bool)]
        rising = len(ends) == len(numbers) == 2 and 0 <= numbers[0] < numbers[1] <= 1
        if not rising or numbers[1] - numbers[0] < MIN_BAND_WIDTH:
            raise CatalogError(
                f"must be two rising numbers in [0, 1], at least {MIN_BAND_WIDTH} apart",
                field=f"capability_band.{name}",
                value=shorten(str(list(ends))),
            )
    return {name: (float(low), float(high)) for name, (low, high) in band.items()}
