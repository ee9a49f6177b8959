"""The folder of the lab: notebooks and catalogs copied to where the user may change them.

A file is replaced by a newer version of the package only where the user has not touched it: the
sha256 of what was copied is kept in `.hydra-nb.json`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from hydra_nb import atomic_file, shipped
from hydra_nb.errors import WorkspaceError

_RECORD = ".hydra-nb.json"
_SUFFIXES = {".ipynb", ".yaml", ".md"}
TOUR = "01_explore_routing.ipynb"


@dataclass(frozen=True)
class Prepared:
    """What `prepare` did, as paths relative to the folder."""

    folder: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]


def prepare(folder: Path) -> Prepared:
    """Copy notebooks and sample catalogs into `folder`, never over a file that was changed.

    Raises:
        WorkspaceError: the folder cannot be made or written; names the path.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        record = _read_record(folder / _RECORD)
        written, kept = [], []
        for name, source in _sources():
            target = folder / name
            digest = _digest(source)
            if target.exists() and _digest(target) != record.get(name):
                if _digest(target) != digest:
                    kept.append(name)
                    continue
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists() or _digest(target) != digest:
                    atomic_file.write_text(target, source.read_text(encoding="utf-8"))
                    written.append(name)
            record[name] = digest
        atomic_file.write_text(folder / _RECORD, json.dumps(record, indent=1, sort_keys=True))
    except OSError as error:
        raise WorkspaceError(
            f"{error.filename or folder}: cannot be prepared ({error.strerror or error})"
        ) from error
    return Prepared(folder, tuple(written), tuple(kept))


def _sources() -> list[tuple[str, Path]]:
    notebooks = sorted(shipped.folder("notebooks").glob("*.ipynb"))
    catalogs = sorted(shipped.folder("sample_catalogs").iterdir())
    found = [(path.name, path) for path in notebooks]
    found += [(f"catalogs/{path.name}", path) for path in catalogs if path.suffix in _SUFFIXES]
    return found


def _read_record(path: Path) -> dict[str, str]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # without a record every file counts as changed, and is kept
    return {str(k): str(v) for k, v in record.items()} if isinstance(record, dict) else {}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
