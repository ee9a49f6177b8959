"""Files and DataFrames as tables. What a cell may hold is not decided here."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra_nb.errors import InvalidInputError
from hydra_nb.workload.table import KNOWN, NUMBERS, Cells, Table, check_columns

ENDINGS = (".csv", ".jsonl", ".ndjson", ".json", ".parquet")

_DELIMITERS = (",", ";", "\t")
_LONGEST_CELL = 2**31 - 1  # the most that csv takes where a C long has 32 bits
_FLAGS = {"true": True, "false": False}


def read_file(path: Path) -> Table:
    """Return the table in a file; its ending says which kind of file it is.

    Raises:
        InvalidInputError: there is no such file, its ending is unknown, it cannot be read, has no
            rows, or a line or the header breaks a rule; the message names file and line or row.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InvalidInputError(
            f"{path}: the ending must be one of {', '.join(ENDINGS)}; received {path.suffix!r}"
        )
    if not path.exists():
        raise InvalidInputError(f"{path}: there is no such file")
    if not path.is_file():
        raise InvalidInputError(f"{path}: must be a file, and is none")
    try:
        table = reader(path)
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read: {error}") from error
    if table.n_rows == 0:
        raise InvalidInputError(f"{path}: has no rows")
    return table


def read_frame(df: Any) -> Table:
    """Return a pandas DataFrame as a table; what pandas calls missing has no value.

    Raises:
        InvalidInputError: `df` is no DataFrame, has no rows, or its columns break a rule.
    """
    import pandas as pd

    if not isinstance(df, pd.DataFrame):
        raise InvalidInputError(f"df must be a pandas DataFrame; received {type(df).__name__}")
    if df.empty:
        raise InvalidInputError(f"df has no rows; received a frame of shape {df.shape}")
    check_columns("df", df.columns)
    columns = {name: _cells_of_series(df[name]) for name in df.columns if name in KNOWN}
    index = df.index
    return Table(
        "df", columns, len(df), lambda row: f"row at position {row} (index {index[row]!r})"
    )


def _cells_of_series(series: Any) -> Cells:
    missing = series.isna().to_numpy()
    if getattr(series.dtype, "kind", "O") in "iuf" and not missing.any():
        values: Cells = series.to_numpy()
        return values
    cells = series.astype(object).to_numpy(copy=True)
    cells[missing] = None
    listed: list[Any] = cells.tolist()
    return listed


def _read_csv(path: Path) -> Table:
    text = _decoded(path)
    rows = _csv_rows(path, text, _delimiter(text))
    if not rows:
        return Table(str(path), {}, 0, str)
    header = [name.strip() for name in rows[0][1]]
    check_columns(str(path), header)
    body = rows[1:]
    for number, cells in body:
        if len(cells) != len(header):
            raise InvalidInputError(
                f"{path}, row {number}: has {len(cells)} cells, the header has {len(header)}; a "
                "text with commas, quotes or line breaks must stand in double quotes"
            )
    columns: dict[str, Cells] = {}
    for place, name in enumerate(header):
        if name in KNOWN:
            columns[name] = _typed(name, [cells[place] for _, cells in body])
    return Table(str(path), columns, len(body), lambda row: f"row {body[row][0]}")


def _delimiter(text: str) -> str:
    """Return what separates the names of the header; a comma where none of them is known."""
    # A spreadsheet of a country with a decimal comma writes semicolons.
    header = text.lstrip().partition("\n")[0]
    for delimiter in _DELIMITERS:
        if {name.strip(' "\r') for name in header.split(delimiter)} & set(KNOWN):
            return delimiter
    return _DELIMITERS[0]


def _csv_rows(path: Path, text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """Return the rows that are not blank, each with its number as a spreadsheet shows it."""
    limit = csv.field_size_limit(_LONGEST_CELL)  # of the whole process, so it is put back
    stream = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        numbered = enumerate(stream, start=1)
        return [(number, cells) for number, cells in numbered if any(cells)]
    except csv.Error as error:
        raise InvalidInputError(f"{path}, line {stream.line_num}: is no CSV: {error}") from error
    finally:
        csv.field_size_limit(limit)


def _typed(name: str, cells: list[str]) -> Cells:
    """Return what the texts of a column mean; one that means nothing stays for the rules to see."""
    if name in NUMBERS:
        return [_number(cell) for cell in cells]
    if name == "out_of_domain":
        return [_FLAGS.get(cell.strip().lower(), cell) if cell.strip() else None for cell in cells]
    return [cell or None for cell in cells]


def _number(cell: str) -> float | str | None:
    try:
        # float reads 1_000 as a thousand; in a table it is more likely a slip
        return cell if "_" in cell else float(cell)
    except ValueError:
        return cell if cell.strip() else None


def _read_jsonl(path: Path) -> Table:
    rows: list[tuple[int, dict[str, Any]]] = []
    # Not splitlines: a line separator (U+2028) may stand inside a JSON text.
    for number, line in enumerate(_decoded(path).split("\n"), start=1):
        if line.strip():
            rows.append((number, _json_object(path, f"line {number}", _json(path, number, line))))
    return _table_of_objects(path, [row for _, row in rows], lambda i: f"line {rows[i][0]}")


def _read_json(path: Path) -> Table:
    text = _decoded(path)
    entries = _json(path, None, text)
    if not isinstance(entries, list):
        raise InvalidInputError(
            f"{path}: must hold a list of objects; received {type(entries).__name__}"
        )
    rows = [_json_object(path, f"entry {number}", entry) for number, entry in enumerate(entries, 1)]
    return _table_of_objects(path, rows, lambda row: f"entry {row + 1}")


def _json(path: Path, line: int | None, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {line or error.lineno}, column {error.colno}"
        raise InvalidInputError(
            f"{path}, {where}: is no JSON: {error.msg}; received {text[error.pos :]!r:.80}"
        ) from error
    except (RecursionError, ValueError) as error:  # too deep, or a number of too many digits
        where = "" if line is None else f", line {line}"
        raise InvalidInputError(f"{path}{where}: cannot be read as JSON: {error}") from error


def _json_object(path: Path, where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInputError(f"{path}, {where}: must be an object; received {value!r:.80}")
    return value


def _table_of_objects(
    path: Path, rows: list[dict[str, Any]], row_name: Callable[[int], str]
) -> Table:
    if not rows:
        return Table(str(path), {}, 0, row_name)
    given = dict.fromkeys(key for row in rows for key in row)
    check_columns(str(path), given)
    columns: dict[str, Cells] = {
        name: [row.get(name) for row in rows] for name in KNOWN if name in given
    }
    return Table(str(path), columns, len(rows), row_name, may_skip=True)


def _read_parquet(path: Path) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InvalidInputError(f"{path}: Parquet needs pyarrow: pip install pyarrow") from error
    columns: dict[str, Cells] = {}
    try:
        with pq.ParquetFile(path) as file:
            given = file.schema_arrow.names
            check_columns(str(path), given)
            table = file.read(columns=[name for name in KNOWN if name in given])
        for name in table.column_names:
            column = table.column(name)
            number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
            columns[name] = (
                column.to_numpy() if number and not column.null_count else column.to_pylist()
            )
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path}: cannot be read as Parquet: {error}") from error
    return Table(str(path), columns, table.num_rows, lambda row: f"row {row + 1}")


def _decoded(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # error.object, and not raw: the positions do not count a byte order mark
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InvalidInputError(
            f"{path}, line {line}: must be UTF-8; received the byte "
            f"0x{error.object[error.start]:02x} "
            "(save it as UTF-8)"
        ) from error


_READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".json": _read_json,
    ".parquet": _read_parquet,
}
