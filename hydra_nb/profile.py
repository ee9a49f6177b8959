"""One LLM of a catalog: what it offers, what it costs, and where those figures come from."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from hydra_nb.dimensions import DIMENSIONS
from hydra_nb.errors import CatalogError

Modality = Literal["text", "image", "audio", "video", "pdf"]
MODALITIES: tuple[str, ...] = get_args(Modality)

# A price above this is a unit error (USD per token, or cents) in every catalog seen so far.
MAX_USD_PER_MTOK = 1_000_000.0


def _tuple_from_list(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _plain_zero(value: float) -> float:
    return value + 0.0  # −0.0 becomes 0.0


def _printable(value: str) -> str:
    if value != value.strip() or not value.isprintable():
        raise ValueError("must be printable, without blanks at either end")
    # One spelling of "é", so that two names which look the same are the same.
    return unicodedata.normalize("NFC", value)


def _reads_text(value: tuple[str, ...]) -> tuple[str, ...]:
    if "text" not in value:
        raise ValueError("must include text")
    if len(set(value)) != len(value):
        raise ValueError("must not name one twice")
    return value


_DATE = r"^\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?$"
_Name = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_printable)]
_Capability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), AfterValidator(_plain_zero)]
_Price = Annotated[
    float,
    Field(ge=0, le=MAX_USD_PER_MTOK, allow_inf_nan=False),
    AfterValidator(_plain_zero),
]


class _Record(BaseModel):
    """A frozen, strict pydantic model whose errors are `CatalogError`s."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise _catalog_error(error, fields, type(self)) from error


class Evidence(_Record):
    """Where one capability figure comes from.

    Attributes:
        dimension: the dimension it supports.
        benchmark: name and version of the public benchmark.
        score: its published score as a fraction in [0, 1].
        weight: its weight in the mean of Eq. 3 of the HyDRA paper.
        source: who published it; a title or an address.
        date: ISO date of publication, as precise as known (`2025-08`, `2025-08-23`).
        estimate: empty for a published score; else why this one is estimated, and how.
    """

    dimension: Literal["reasoning", "code_generation", "debugging", "tool_use"]
    benchmark: _Name
    score: _Capability
    weight: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 1.0
    source: str
    date: Annotated[str, StringConstraints(pattern=_DATE)]
    estimate: str = ""


class ModelProfile(_Record):
    """An LLM as the router sees it. Frozen; `Catalog.replace` gives a changed copy.

    Attributes:
        name: unique in its catalog.
        provider: who serves it.
        reasoning, code_generation, debugging, tool_use: capability in [0, 1] (HyDRA, Eq. 3).
        usd_per_mtok_input, usd_per_mtok_output: list price, USD per 1,000,000 tokens.
        available: switched on and healthy; a veto where it is false.
        context_window: tokens, prompt and answer together.
        modalities: what it reads; `text` at least.
        usd_per_mtok_cached_input: price of cached prompt tokens, where it is published.
        latency_ms: median time to the first token, where it is known; not used for routing.
        notes: free text.
        evidence: where the capabilities come from.

    Raises:
        CatalogError: an unknown or missing field, a wrong type (strings are never read as
            numbers), NaN, infinity, a negative price, or a capability outside [0, 1].
    """

    name: _Name
    provider: _Name
    reasoning: _Capability
    code_generation: _Capability
    debugging: _Capability
    tool_use: _Capability
    usd_per_mtok_input: _Price
    usd_per_mtok_output: _Price
    available: bool = True
    context_window: Annotated[int, Field(gt=0, le=1_000_000_000)]
    modalities: Annotated[
        tuple[Modality, ...],
        BeforeValidator(_tuple_from_list),
        Field(min_length=1),
        AfterValidator(_reads_text),
    ] = ("text",)
    usd_per_mtok_cached_input: _Price | None = None
    latency_ms: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = None
    notes: str = ""
    evidence: Annotated[tuple[Evidence, ...], BeforeValidator(_tuple_from_list)] = ()

    @property
    def capabilities(self) -> NDArray[np.float64]:
        """Return the four capabilities, `(4,)` in the order of `DIMENSIONS`."""
        return np.array([getattr(self, name) for name in DIMENSIONS], dtype=np.float64)

    def changed(self, **changes: Any) -> ModelProfile:
        """Return a copy with `changes` applied and everything validated again."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return ModelProfile(**{**fields, **changes})


_RULES = {
    "finite_number": "must be a finite number",
    "float_type": "must be a number, not {kind}",
    "float_parsing": "must be a number, not {kind}",
    "int_type": "must be a whole number, not {kind}",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false, not {kind}",
    "string_type": "must be text, not {kind}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "tuple_type": "must be a list, not {kind}",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be greater than {gt}",
    "less_than_equal": "must be at most {le}",
    "string_pattern_mismatch": "must look like 2025, 2025-08 or 2025-08-23",
    "missing": "is required",
    "too_short": "must have at least one entry",
}


def _catalog_error(
    error: ValidationError, fields: Mapping[str, Any], record: type[BaseModel]
) -> CatalogError:
    """Turn the first error of pydantic into one that names model, field, rule and value.

    An unknown key comes first: it is most often why another one is missing.
    """
    errors = error.errors(include_url=False)
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    nested = first.get("ctx", {}).get("error")
    name = fields.get("name")
    model = repr(name) if isinstance(name, str) else None
    if isinstance(nested, CatalogError):
        place = f"{_field_path(first['loc'])}.{nested.field}"
        return CatalogError(nested.rule, model=model, field=place, value=nested.value)
    value = first["input"]
    kind, context = type(value).__name__, first.get("ctx", {})
    if first["type"] == "extra_forbidden":
        rule = f"is not a known key; known keys: {', '.join(record.model_fields)}"
    elif first["type"] == "literal_error":
        rule = f"must be one of {context['expected']}"
    elif first["type"] == "value_error":
        rule = str(context["error"])
    else:
        kinds = {"str": "text", "bool": "true/false", "NoneType": "nothing", "int": "a number"}
        # pydantic calls an integer too large for a float "no float".
        huge = first["type"] == "float_type" and kind == "int"
        template = _RULES["finite_number"] if huge else _RULES.get(first["type"])
        words = {**context, "kind": kinds.get(kind, kind)}
        rule = template.format(**words) if template else str(first["msg"]).lower()
    return CatalogError(
        rule,
        model=model,
        field=_field_path(first["loc"]),
        value=None if first["type"] == "missing" else shorten(repr(value)),
    )


def _field_path(location: Iterable[int | str]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def shorten(text: str, limit: int = 80) -> str:
    """Return `text`, cut in the middle to at most `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit // 2]}…{text[-limit // 2 + 1 :]}"
