"""A workload into a file that `reading` gives back equal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra_nb import atomic_file
from hydra_nb.errors import InvalidInputError
from hydra_nb.workload.reading import ENDINGS

Columns = Mapping[str, Sequence[Any]]
"""Plain Python values by column; `None` where there is no value."""


def write_file(columns: Columns, path: Path) -> None:
    """Write columns of one length; the ending of `path` says which kind of file it is.

    Raises:
        InvalidInputError: the ending is unknown, the folder is missing or cannot be written to, or
            the kind of file cannot hold a text; the message names the file.
    """
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise InvalidInputError(
            f"{path}: the ending must be one of {', '.join(ENDINGS)}; received {path.suffix!r}"
        )
    try:
        writer(columns, path)
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be written: {error}") from error


def _write_csv(columns: Columns, path: Path) -> None:
    _check_unicode(columns, path)
    stream = io.StringIO(newline="")
    # Quoted text: a bare carriage return would else end a row when it is read.
    writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(columns)
    flags = {True: "true", False: "false"}
    writer.writerows(
        zip(
            *(
                [flags[value] for value in values] if name == "out_of_domain" else values
                for name, values in columns.items()
            ),
            strict=True,
        )
    )
    atomic_file.write_text(path, stream.getvalue())


def _write_jsonl(columns: Columns, path: Path) -> None:
    atomic_file.write_text(path, "".join(f"{line}\n" for line in _objects(columns)))


def _write_json(columns: Columns, path: Path) -> None:
    atomic_file.write_text(path, "[\n" + ",\n".join(_objects(columns)) + "\n]\n")


def _objects(columns: Columns) -> list[str]:
    """Return one JSON object a row, without the keys that have no value in it."""
    lines = []
    for values in zip(*columns.values(), strict=True):
        row = {n: v for n, v in zip(columns, values, strict=True) if v is not None}
        line = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        # A lone surrogate is text to Python; JSON can hold it escaped, UTF-8 cannot.
        lines.append(line if _is_unicode(line) else json.dumps(row, separators=(",", ":")))
    return lines


def _write_parquet(columns: Columns, path: Path) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InvalidInputError(f"{path}: Parquet needs pyarrow: pip install pyarrow") from error
    _check_unicode(columns, path)
    buffer = io.BytesIO()
    pq.write_table(pa.table({name: list(values) for name, values in columns.items()}), buffer)
    atomic_file.write_bytes(path, buffer.getvalue())


def _check_unicode(columns: Columns, path: Path) -> None:
    for name, values in columns.items():
        for row, value in enumerate(values, start=1):
            if isinstance(value, str) and not _is_unicode(value):
                raise InvalidInputError(
                    f"{path}, prompt {row}, {name}: a {path.suffix} file cannot hold a lone "
                    f"surrogate; received {value!r:.80}. Save it as .jsonl"
                )


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_WRITERS: dict[str, Callable[[Columns, Path], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
    ".ndjson": _write_jsonl,
    ".json": _write_json,
    ".parquet": _write_parquet,
}
