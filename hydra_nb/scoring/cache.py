"""Scores kept in a SQLite file, one row a prompt, so that an interrupted run goes on.

A row is found by the sha256 of text, turn and the predictor's identity; the text is not kept.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np

from hydra_nb.errors import InvalidInputError
from hydra_nb.scoring.cells import Prompt
from hydra_nb.scoring.score_rows import COLUMNS, Rows, plausible

FORMAT = 1
APPLICATION_ID = 0x48794E42
"""`HyNB` in the header of the file: tells a cache from any other SQLite database."""

_LOCK_SECONDS = 60.0
_KEYS_PER_QUERY = 256  # older SQLite takes at most 999 variables
_COLUMNS = ("key", *COLUMNS)


class ScoreCache:
    """Scores of one predictor in a SQLite file; a context manager.

    Several processes of one machine may use the same file at a time.

    Args:
        path: a file, made when it is missing or has no bytes.
        identity: tells the predictor from all others.
        verify: read the whole file for damage first.

    Raises:
        InvalidInputError: the file is damaged, of another kind or format, or SQLite can neither
            read nor make it; the message names it, and the file is left as it is.
    """

    def __init__(self, path: Path, identity: str, *, verify: bool = True) -> None:
        self.path = path
        self._identity = hashlib.sha256(identity.encode()).digest()
        if not path.parent.is_dir():
            raise InvalidInputError(f"cache {path}: there is no folder {path.parent}")
        if path.exists() and not path.is_file():
            raise InvalidInputError(f"cache {path}: must be a file, and is none")
        is_new = not path.exists() or path.stat().st_size == 0
        # Only SQLite may open the file: closing any other handle on it would drop the locks that
        # other threads of this process hold (sqlite.org/howtocorrupt.html).
        with self._named():
            # isolation_level None: transactions are only those written out below
            self._connection = sqlite3.connect(path, timeout=_LOCK_SECONDS, isolation_level=None)
        try:
            with self._named():
                if is_new:
                    self._create()
                self._check(verify=verify)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> ScoreCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def key(self, prompt: Prompt) -> bytes:
        """Return the sha256 under which a prompt is kept."""
        text, turn = prompt
        # A lone surrogate is text to Python, but not to UTF-8.
        content = f"{turn}\n{text}".encode("utf-8", "surrogatepass")
        return hashlib.sha256(self._identity + content).digest()

    def read(self, prompts: Sequence[Prompt]) -> tuple[list[int], Rows]:
        """Return the positions of the prompts that are kept, and their rows `(n_kept, 9)`.

        Raises:
            InvalidInputError: the file is damaged.
        """
        positions: list[int] = []
        parts: list[Rows] = [np.empty((0, len(COLUMNS)))]
        for start in range(0, len(prompts), _KEYS_PER_QUERY):
            keys = {
                self.key(prompt): start + offset
                for offset, prompt in enumerate(prompts[start : start + _KEYS_PER_QUERY])
            }
            marks = ", ".join("?" * len(keys))
            query = f"SELECT {', '.join(_COLUMNS)} FROM scores WHERE key IN ({marks})"
            with self._named():
                found = self._connection.execute(query, list(keys)).fetchall()
            if found:
                positions.extend(keys[row[0]] for row in found)
                parts.append(self._rows([row[1:] for row in found]))
        return positions, np.concatenate(parts)

    def write(self, prompts: Sequence[Prompt], rows: Rows) -> None:
        """Keep rows `(n_prompts, 9)` in one transaction: all of them or none.

        Raises:
            InvalidInputError: SQLite cannot write the file.
        """
        records = [
            (self.key(prompt), *(None if np.isnan(number) else float(number) for number in row))
            for prompt, row in zip(prompts, rows, strict=True)
        ]
        marks = ", ".join("?" * len(_COLUMNS))
        with self._named(), self._transaction():
            self._connection.executemany(
                f"INSERT OR REPLACE INTO scores ({', '.join(_COLUMNS)}) VALUES ({marks})", records
            )

    def _rows(self, found: list[tuple[object, ...]]) -> Rows:
        try:
            rows = np.array(found, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise self._refusal("a row holds something other than numbers") from error
        if not plausible(rows):
            raise self._refusal("a row holds numbers that are no scores")
        return rows

    def _create(self) -> None:
        with self._transaction():
            # Another process may have made it while this one waited for the lock.
            if self._number("SELECT count(*) FROM sqlite_master"):
                return
            columns = [
                "key BLOB PRIMARY KEY NOT NULL",
                *(f"{name} REAL{'' if place > 3 else ' NOT NULL'}"
                  for place, name in enumerate(COLUMNS)),
            ]  # fmt: skip
            self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._connection.execute(f"PRAGMA user_version = {FORMAT}")
            self._connection.execute(f"CREATE TABLE scores ({', '.join(columns)}) WITHOUT ROWID")

    def _check(self, *, verify: bool) -> None:
        if self._number("PRAGMA application_id") != APPLICATION_ID:
            raise self._refusal("it is a SQLite file of another program")
        version = self._number("PRAGMA user_version")
        if version != FORMAT:
            raise self._refusal(f"its format is {version}, this version of hydra_nb has {FORMAT}")
        columns = [row[1] for row in self._connection.execute("PRAGMA table_info(scores)")]
        if columns != list(_COLUMNS):
            raise self._refusal(f"its columns are {columns}")
        if verify:
            ((said, *_), *_) = self._connection.execute("PRAGMA quick_check(1)").fetchall()
            if said != "ok":
                raise self._refusal(f"SQLite finds it damaged: {said}")

    def _number(self, query: str) -> int:
        return int(self._connection.execute(query).fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        # IMMEDIATE waits for other writers here, not halfway.
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.rollback()
            raise
        self._connection.commit()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:  # locked, read-only, disk full: it is sound
            raise InvalidInputError(f"cache {self.path}: cannot be used now: {error}") from error
        except sqlite3.Error as error:
            raise self._refusal(f"SQLite says: {error}") from error

    def _refusal(self, reason: str) -> InvalidInputError:
        return InvalidInputError(
            f"cache {self.path}: cannot be used: {reason}. It was left as it is; name another file "
            "or remove this one"
        )
