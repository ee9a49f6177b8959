"""The workload: many prompts with what they require, their tokens, and how often each arrives."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hydra_nb.catalog import Catalog
from hydra_nb.dimensions import DIMENSIONS, DimensionWeights
from hydra_nb.errors import InvalidInputError
from hydra_nb.problem import DEFAULT_TAU, RoutingProblem, formulate
from hydra_nb.profile import MODALITIES, shorten
from hydra_nb.requirements import Requirements
from hydra_nb.routing import Predictor
from hydra_nb.tokens import DEFAULT_TOKENS_OUTPUT, MAX_TOKENS
from hydra_nb.workload import assembly, cells, description, merging, reading, synthetic, writing
from hydra_nb.workload.assembly import ReadingOptions
from hydra_nb.workload.table import SPREAD, Table, as_cells

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Workload:
    """What is asked of the router in a period: `n` prompts, each with how often it arrives.

    Two are equal where all but their names are.

    Attributes:
        requirements: `n` rows.
        tokens_input, tokens_output: int64 `(n,)`, of one request, read-only.
        arrivals: int64 `(n,)`, requests of each prompt in the period, at least 1, read-only.
        texts: the prompts, `n`; `None` where there is no text.
        labels: a free text for each prompt, such as its team or kind; `None` where none has one.
        modalities: what each prompt needs the model to read, `n` sets.
        ids: what each prompt is called, `n`; they may repeat, as in a sample.
        name: what the workload is called on screen.
        period: the time that `arrivals` stands for, in words such as "month". Fees and minimum
            commitments of models are meant for the same period.

    Raises:
        InvalidInputError: a wrong type, length or range; the message names field, row (from 0),
            rule and value.
    """

    requirements: Requirements
    tokens_input: NDArray[np.int64]
    tokens_output: NDArray[np.int64]
    arrivals: NDArray[np.int64]
    texts: tuple[str | None, ...]
    labels: tuple[str | None, ...] | None
    modalities: tuple[frozenset[str], ...]
    ids: tuple[str, ...]
    name: str
    period: str

    def __init__(
        self,
        requirements: Requirements,
        tokens_input: int | ArrayLike,
        *,
        tokens_output: int | ArrayLike = DEFAULT_TOKENS_OUTPUT,
        arrivals: int | ArrayLike = 1,
        texts: Sequence[str | None] | None = None,
        labels: Sequence[str | None] | None = None,
        modalities: Sequence[Collection[str]] | None = None,
        ids: Sequence[str] | None = None,
        name: str = "workload",
        period: str = assembly.DEFAULT_PERIOD,
    ) -> None:
        if not isinstance(requirements, Requirements):
            raise InvalidInputError(
                f"requirements must be Requirements; received {type(requirements).__name__}"
            )
        given = {
            "tokens_input": tokens_input,
            "tokens_output": tokens_output,
            "arrivals": arrivals,
            "texts": texts,
            "labels": labels,
            "modalities": modalities,
            "ids": ids,
        }
        n = len(requirements)
        columns = {
            key: as_cells(key, value, n) for key, value in given.items() if value is not None
        }
        table = Table("workload", columns, n, lambda row: f"row {row}")
        for key in ("tokens_input", "tokens_output", "arrivals"):
            values, missing = cells.counts(table, key, default=None)
            if missing.any():
                table.refuse(int(np.argmax(missing)), key, "must be a whole number")
            values.flags.writeable = False
            object.__setattr__(self, key, values)
        object.__setattr__(self, "requirements", requirements)
        object.__setattr__(self, "texts", cells.texts(table, "texts"))
        kept = cells.names(table, "labels")
        object.__setattr__(self, "labels", None if kept == (None,) * n else kept)
        object.__setattr__(self, "modalities", cells.modalities(table))
        called = cells.names(table, "ids")
        if ids is None:
            called = tuple(map(str, range(1, n + 1)))
        elif None in called:
            table.refuse(called.index(None), "ids", "must not be empty")
        object.__setattr__(self, "ids", called)
        for key, value in (("name", name), ("period", period)):
            object.__setattr__(self, key, cells.check_title(value, key))

    # -- reading ---------------------------------------------------------------------------

    @classmethod
    def of_texts(
        cls,
        texts: Sequence[str],
        predictor: Predictor | None = None,
        *,
        tokens_output: int | ArrayLike = DEFAULT_TOKENS_OUTPUT,
        arrivals: int | ArrayLike = 1,
        labels: Sequence[str | None] | None = None,
        name: str = "workload",
        period: str | None = None,
        progress: bool = True,
        cache: str | Path | None = None,
        cache_key: str | None = None,
    ) -> Workload:
        """Score prompts and return them as a workload, with estimated input tokens.

        Equal texts are scored once; everything is checked before anything is scored.

        Args:
            texts: the prompts, not empty.
            predictor: any object with `predict(texts)`; `None` for the one of the package.
            tokens_output: expected tokens of an answer, one number or `(n,)`.
            arrivals: requests in the period, one number or `(n,)`.
            labels: a free text for each prompt.
            name, period: as of the workload; the period is a month where it is `None`.
            progress: show a bar while scoring.
            cache, cache_key: a SQLite file that keeps the scores; see `score_frame`.

        Raises:
            InvalidInputError: naming the text by its position from 0, the rule and the value.
        """
        if isinstance(texts, str | bytes):
            raise InvalidInputError(f"texts must be a list of texts; received {texts!r:.80}")
        listed = list(texts)
        if not listed:
            raise InvalidInputError("texts is empty; a workload has at least one prompt")
        given = {"tokens_output": tokens_output, "arrivals": arrivals, "label": labels}
        columns = {k: as_cells(k, v, len(listed)) for k, v in given.items() if v is not None}
        table = Table(
            "of_texts", {"text": listed, **columns}, len(listed), lambda row: f"texts[{row}]"
        )
        fields = assembly.fields_of(
            table,
            name=name,
            predictor=predictor,
            period=period,
            progress=progress,
            cache=cache,
            cache_key=cache_key,
        )
        return cls(**fields)

    @classmethod
    def from_frame(
        cls, df: pd.DataFrame, *, name: str = "workload", **options: Unpack[ReadingOptions]
    ) -> Workload:
        """Return a pandas DataFrame as a workload; columns, options and errors are those of `load`.

        What pandas calls missing is missing here, NaN in a column of numbers too.
        """
        return cls(**assembly.fields_of(reading.read_frame(df), name=name, **options))

    @classmethod
    def load(
        cls, path: str | Path, *, name: str | None = None, **options: Unpack[ReadingOptions]
    ) -> Workload:
        """Read a workload from a .csv, .jsonl, .ndjson, .json (a list) or .parquet file.

        Columns, of which any others are passed over unless they look like a slip for one of these:

        - `text`, and `reasoning`, `code_generation`, `debugging`, `tool_use` in [0, 1]: all four,
          or none and they are predicted from the text. `reasoning_spread` … and `out_of_domain` as
          `score_frame` gives them; they are kept where every row has them.
        - `tokens_input`: estimated from the text where it is missing, required without one.
        - `tokens_output`, `arrivals`: whole numbers; where the column is missing, `tokens_output`
          of this call and 1. In a table, a column that is there must be filled.
        - `id`, `label` (or `kind`), `modalities` (a list, or `text+image`), and `period`, the same
          in all rows.

        Everything is checked before anything is scored.

        Args:
            path: the file; a .csv is in UTF-8, separated by commas, semicolons or tabs.
            name: `None` for that of the file.
            **options: `predictor` (any object with `predict(texts)`; that of the package where it
                is `None`), `tokens_output` (of an answer, where the file does not say), `period`
                (where the file does not say; a month where it is `None`), `progress` (a bar while
                scoring), `cache` and `cache_key` (a SQLite file that keeps scores: `score_frame`).

        Raises:
            InvalidInputError: naming file, row (as a spreadsheet counts them, so the header is row
                1; lines for .jsonl, entries for .json), column, rule and value.
        """
        file = Path(path)
        called = file.stem if name is None else name
        return cls(**assembly.fields_of(reading.read_file(file), name=called, **options))

    @classmethod
    def sample(cls, name: str) -> Workload:
        """Return one of the workloads that come with the package; see `sample_names`.

        "office" holds 400 prompts in 22 languages, written and scored for this project, with
        made-up answer lengths and arrivals of a month. The predictor of the package was trained on
        most of them, so they do not show how well it predicts.
        """
        known = cls.sample_names()
        if name not in known:
            raise InvalidInputError(f"no sample workload {name!r}; there are {', '.join(known)}")
        return cls.load(Path(__file__).parent / f"{name}.jsonl")

    @classmethod
    def sample_names(cls) -> tuple[str, ...]:
        """Return the names that `sample` knows."""
        return tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.jsonl")))

    @classmethod
    def synthetic(cls, n: int, *, seed: int) -> Workload:
        """Return `n` made-up prompts without texts, each arriving once; equal for equal seeds.

        A prompt is of one of five kinds (its label), with the means and deviations of the bundled
        workload. Its scores share a difficulty, so that they correlate within a kind, and are
        clipped to [0, 1]. Tokens are log-normal, with a median by kind; harder prompts have more.
        """
        return cls(**synthetic.fields_of(n, seed=seed), name=f"synthetic {n:,}", period="sample")

    # -- what one may ask of it ------------------------------------------------------------

    def problem(
        self,
        catalog: Catalog,
        *,
        tau: float = DEFAULT_TAU,
        dimension_weights: DimensionWeights | None = None,
    ) -> RoutingProblem:
        """Return the routing problem against `catalog`; the options are those of `formulate`."""
        # One set for all rows: formulate then does not look at them one by one.
        shared = len(set(self.modalities)) == 1
        return formulate(
            self.requirements,
            catalog,
            tau=tau,
            dimension_weights=dimension_weights,
            tokens_input=self.tokens_input,
            tokens_output=self.tokens_output,
            modalities=self.modalities[0] if shared else self.modalities,
            arrivals=self.arrivals,
        )

    @property
    def requests(self) -> int:
        """Return the requests of all prompts together, in the period."""
        return int(self.arrivals.sum())

    def rows(self, index: ArrayLike) -> Workload:
        """Return some of the prompts, given by position or as bool `(n,)`, in that order."""
        chosen = np.atleast_1d(np.asarray(index))
        # An empty list has no kind of number of its own, and floats are no positions.
        return self._at(np.arange(len(self))[chosen if chosen.size else chosen.astype(np.int64)])

    def _at(self, positions: NDArray[np.int64], **changes: Any) -> Workload:
        needs, labels = self.requirements, self.labels
        spread, domain = needs.spread, needs.out_of_domain
        listed = positions.tolist()
        fields: dict[str, Any] = {
            "requirements": Requirements(
                needs.values[positions],
                spread=None if spread is None else spread[positions],
                out_of_domain=None if domain is None else domain[positions],
            ),
            "tokens_input": self.tokens_input[positions],
            "tokens_output": self.tokens_output[positions],
            "arrivals": self.arrivals[positions],
            "texts": tuple(map(self.texts.__getitem__, listed)),
            "labels": None if labels is None else tuple(map(labels.__getitem__, listed)),
            "modalities": tuple(map(self.modalities.__getitem__, listed)),
            "ids": tuple(map(self.ids.__getitem__, listed)),
        }
        return replace(self, **{**fields, **changes})

    def head(self, n: int = 5) -> Workload:
        """Return the first `n` prompts, or all where there are fewer."""
        return self.rows(np.arange(len(self))[:n])

    def draw(self, n: int, *, seed: int) -> Workload:
        """Return `n` requests drawn with replacement, in proportion to the arrivals.

        Each row is one request (arrivals 1), so a prompt may be there several times; the period
        becomes "sample". Equal seeds draw equal requests.

        Raises:
            InvalidInputError: `n` is no whole number ≥ 1, or there is nothing to draw from.
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise InvalidInputError(f"n must be a whole number of requests ≥ 1; received {n!r:.80}")
        if not len(self):
            raise InvalidInputError(f"{self.name} has no prompts to draw from")
        upto = np.cumsum(self.arrivals)
        drawn = np.random.default_rng(seed).integers(0, upto[-1], size=n)
        positions = np.searchsorted(upto, drawn, side="right")
        return self._at(positions, arrivals=1, period="sample")

    def merged(self) -> Workload:
        """Return the workload with rows that are the same to the router summed into one.

        Those are rows of equal requirements, tokens and modalities; every routing gives the same
        totals as before. The first of them gives place, id and text; the label stays where they
        agree; spread is the widest of them; one out of domain makes the row out of domain.

        Raises:
            InvalidInputError: a sum is more than the arrivals that one row may have.
        """
        first, group = merging.groups(
            self.requirements, self.tokens_input, self.tokens_output, self.modalities
        )
        arrivals = np.zeros(len(first), dtype=np.int64)
        np.add.at(arrivals, group, self.arrivals)
        if arrivals.max(initial=0) > MAX_TOKENS:
            raise InvalidInputError(
                f"arrivals of merged rows must be at most {MAX_TOKENS:,}; "
                f"received {arrivals.max():,}"
            )
        return self._at(
            first,
            requirements=merging.pooled(self.requirements, first, group),
            arrivals=arrivals,
            labels=None if self.labels is None else merging.agreed(self.labels, first, group),
        )

    def to_frame(self) -> pd.DataFrame:
        """Return one row a prompt; `from_frame` gives the workload back, given its period."""
        import pandas as pd

        columns = self._columns()
        strings = ("id", "text", "label", "modalities")
        return pd.DataFrame(
            {
                name: pd.Series(values, dtype=object if name in strings else None)
                for name, values in columns.items()
            }
        )

    def save(self, path: str | Path) -> None:
        """Write .csv, .jsonl, .ndjson, .json or .parquet; `load` gives an equal workload back.

        The file is written beside and renamed into place: a failure leaves the old one whole.

        Raises:
            InvalidInputError: an unknown ending, a workload without prompts, a file that cannot be
                written, or a text that the kind of file cannot hold.
        """
        if not len(self):
            raise InvalidInputError(f"{path}: a workload without prompts cannot be saved")
        columns = {
            name: values.tolist() if isinstance(values, np.ndarray) else values
            for name, values in self._columns().items()
        }
        writing.write_file({**columns, "period": [self.period] * len(self)}, Path(path))

    def __len__(self) -> int:
        return len(self.requirements)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Workload):
            return NotImplemented
        arrays = ("tokens_input", "tokens_output", "arrivals")
        rest = ("requirements", "texts", "labels", "modalities", "ids", "period")
        return all(getattr(self, name) == getattr(other, name) for name in rest) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in arrays
        )

    def __repr__(self) -> str:
        return f"Workload({description.summary(self, name=repr(shorten(self.name, 40)))})"

    def _repr_html_(self) -> str:
        return description.as_html(self)

    def _columns(self) -> Mapping[str, Any]:
        """Return the columns that `reading` knows, as arrays or sequences of plain values."""
        needs = self.requirements
        named = {
            need: "+".join(name for name in MODALITIES if name in need)
            for need in set(self.modalities)
        }
        columns: dict[str, Any] = {
            "id": self.ids,
            "text": self.texts,
            "label": self.labels or (None,) * len(self),
            **{name: needs.values[:, place] for place, name in enumerate(DIMENSIONS)},
            "tokens_input": self.tokens_input,
            "tokens_output": self.tokens_output,
            "arrivals": self.arrivals,
            "modalities": tuple(map(named.__getitem__, self.modalities)),
        }
        if needs.spread is not None:
            columns |= {name: needs.spread[:, place] for place, name in enumerate(SPREAD)}
        if needs.out_of_domain is not None:
            columns["out_of_domain"] = needs.out_of_domain
        return columns
