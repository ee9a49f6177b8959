"""The editor of constraints as values: rows as typed, and the `Constraints` they stand for.

What is typed stays as it is, so that a refused entry remains open; every rule is that of
`Constraints` and `Contract`, which say it in their own words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from hydra_nb.catalog import Catalog
from hydra_nb.errors import InvalidInputError
from hydra_nb.solver import Constraints, Contract

Subject = Literal["model", "provider", ""]


@dataclass(frozen=True)
class Entry:
    """One field of a row.

    Attributes:
        name: the field of `Constraints` or `Contract`.
        label: what stands before it.
        unit: what stands behind it.
        kind: how it is read; a percentage is a share in [0, 1] inside.
        needed: whether the row says nothing without it.
    """

    name: str
    label: str
    unit: str
    kind: Literal["whole", "number", "percent", "text", "switch"]
    needed: bool = True


@dataclass(frozen=True)
class LimitKind:
    """A kind of row: what it is about and what is to be filled in."""

    name: str
    label: str
    subject: Subject
    entries: tuple[Entry, ...]

    @property
    def is_contract(self) -> bool:
        """Return whether the row is a way of paying for a model."""
        return any(entry.name == "name" for entry in self.entries)


_PLAN = Entry("name", "plan", "", "text", needed=False)
_OWN_PRICES = (
    Entry("usd_per_mtok_input", "input", "$ per 1M", "number", needed=False),
    Entry("usd_per_mtok_output", "output", "$ per 1M", "number", needed=False),
)
_FEE = Entry("fee_usd", "fee", "$", "number")
_COMMITMENT = Entry("commitment_usd", "at least", "$ of usage", "number")
_BLOCKS = (
    Entry("block_tokens", "a block carries", "tokens", "whole"),
    Entry("usd_per_block", "and costs", "$", "number"),
    Entry("max_blocks", "at most", "blocks", "whole"),
)
PAY_AS_YOU_GO = Entry("pay_as_you_go", "or pay as you go", "", "switch", needed=False)


def _optional(entry: Entry) -> Entry:
    return replace(entry, needed=False)


KINDS: dict[str, LimitKind] = {
    kind.name: kind
    for kind in (
        LimitKind(
            "max_requests",
            "Most requests of a model",
            "model",
            (Entry("max_requests", "at most", "requests", "whole"),),
        ),
        LimitKind(
            "max_tokens",
            "Most tokens of a model",
            "model",
            (Entry("max_tokens", "at most", "tokens", "whole"),),
        ),
        LimitKind(
            "max_provider_share",
            "Largest share of a provider",
            "provider",
            (Entry("max_provider_share", "at most", "% of requests", "percent"),),
        ),
        LimitKind(
            "min_provider_share",
            "Least share of a provider",
            "provider",
            (Entry("min_provider_share", "at least", "% of requests", "percent"),),
        ),
        LimitKind(
            "budget_usd", "Budget", "", (Entry("budget_usd", "at most", "$ in all", "number"),)
        ),
        LimitKind(
            "max_mean_shortfall",
            "Mean shortfall",
            "",
            (Entry("max_mean_shortfall", "at most", "on average", "number"),),
        ),
        LimitKind(
            "min_share_within_tau",
            "Share within τ",
            "",
            (Entry("min_share_within_tau", "at least", "% of requests", "percent"),),
        ),
        LimitKind(
            "max_models",
            "Fleet of at most K models",
            "",
            (Entry("max_models", "at most", "models", "whole"),),
        ),
        LimitKind(
            "fee", "Monthly fee of a model", "model", (_PLAN, _FEE, *_OWN_PRICES, PAY_AS_YOU_GO)
        ),
        LimitKind(
            "commitment",
            "Commitment to a model",
            "model",
            (_PLAN, _COMMITMENT, *_OWN_PRICES, PAY_AS_YOU_GO),
        ),
        LimitKind(
            "blocks",
            "Provisioned blocks of a model",
            "model",
            (_PLAN, *_BLOCKS, *_OWN_PRICES, PAY_AS_YOU_GO),
        ),
        LimitKind(
            "contract",
            "Contract with several terms",
            "model",
            (
                _PLAN,
                *(_optional(entry) for entry in (_FEE, _COMMITMENT, *_BLOCKS)),
                *_OWN_PRICES,
                PAY_AS_YOU_GO,
            ),
        ),
    )
}


@dataclass(frozen=True)
class LimitRow:
    """One row as it is on screen.

    Attributes:
        number: names the row as long as it is there.
        kind: a key of `KINDS`.
        subject: the model or provider it is about; empty where it is about all.
        typed: text by entry; what is missing is blank. A switch is "on" or blank.
    """

    number: int
    kind: str
    subject: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_blank(self) -> bool:
        """Return whether a needed entry is still blank, or nobody is named."""
        kind = KINDS[self.kind]
        unnamed = bool(kind.subject) and not self.subject
        return unnamed or any(
            entry.needed and not self.typed.get(entry.name, "").strip() for entry in kind.entries
        )


@dataclass(frozen=True)
class RowsRead:
    """What the rows say.

    Attributes:
        constraints: those in force.
        refused: by number of the row, why it is not in force.
        blank: numbers of the rows that are not filled in yet.
    """

    constraints: Constraints
    refused: Mapping[int, str]
    blank: frozenset[int]


def read_rows(rows: Iterable[LimitRow], catalog: Catalog) -> RowsRead:
    """Return the constraints of all rows that can be in force; the others are not."""
    taken = Constraints()
    refused: dict[int, str] = {}
    blank: set[int] = set()
    seen: set[tuple[str, str]] = set()
    for row in rows:
        if row.is_blank:
            blank.add(row.number)
            continue
        kind = KINDS[row.kind]
        try:
            if not kind.is_contract and (row.kind, row.subject) in seen:
                raise InvalidInputError(f"there is such a limit {_for(row)}already")
            joined = _with_row(taken, row)
            joined.check_against(catalog)
        except InvalidInputError as error:
            refused[row.number] = str(error)
            continue
        taken = joined
        seen.add((row.kind, row.subject))
    return RowsRead(taken, refused, frozenset(blank))


def rows_of(constraints: Constraints, *, first: int = 1) -> tuple[LimitRow, ...]:
    """Return the rows that stand for `constraints`, numbered from `first`."""
    found: list[tuple[str, str, dict[str, str]]] = []
    for name in ("max_requests", "max_tokens", "max_provider_share", "min_provider_share"):
        kind = KINDS[name].entries[0].kind
        for key, value in getattr(constraints, name).items():
            found.append((name, key, {name: _text(value, kind)}))
    for name in ("budget_usd", "max_mean_shortfall", "min_share_within_tau", "max_models"):
        value = getattr(constraints, name)
        if value is not None:
            found.append((name, "", {name: _text(value, KINDS[name].entries[0].kind)}))
    for model, contracts in constraints.contracts.items():
        plain = Contract() in contracts
        others = [contract for contract in contracts if contract != Contract()]
        for contract in others or [Contract()]:
            kind_name = _kind_of(contract)
            typed = {
                entry.name: _text(getattr(contract, entry.name), entry.kind)
                for entry in KINDS[kind_name].entries
                if entry.kind != "switch" and _is_given(contract, entry.name)
            }
            if plain and others:
                typed[PAY_AS_YOU_GO.name] = "on"
            found.append((kind_name, model, typed))
    return tuple(LimitRow(first + i, *row) for i, row in enumerate(found))


def _for(row: LimitRow) -> str:
    return f"for {row.subject} " if row.subject else ""


def _with_row(taken: Constraints, row: LimitRow) -> Constraints:
    kind = KINDS[row.kind]
    values = {
        entry.name: _value(row.typed.get(entry.name, "").strip(), entry)
        for entry in kind.entries
        if row.typed.get(entry.name, "").strip()
    }
    if not kind.is_contract:
        value = values[row.kind]
        given: dict[str, Any] = {row.kind: {row.subject: value} if kind.subject else value}
        return taken & Constraints(**given)
    pay_as_you_go = bool(values.pop(PAY_AS_YOU_GO.name, False))
    contract = Contract(**{"name": f"plan {row.number}", **values})
    listed = [*taken.contracts.get(row.subject, ()), contract]
    if pay_as_you_go and Contract() not in listed:
        listed.append(Contract())
    return replace(taken, contracts={**taken.contracts, row.subject: tuple(listed)})


def _value(typed: str, entry: Entry) -> Any:
    if entry.kind == "text":
        return typed
    if entry.kind == "switch":
        return typed == "on"
    text = typed.replace("−", "-").removeprefix("$").removesuffix("%").strip()
    if "," in text:
        raise InvalidInputError(
            f"{entry.label}: must be a number with a point, without commas; received {typed!r:.40}"
        )
    noun = "a whole number" if entry.kind == "whole" else "a number"
    try:
        # Python reads 1_000; a person who types that means something else.
        number = float(text.replace("_", "x"))
    except ValueError:
        number = float("nan")
    if number != number or (entry.kind == "whole" and not number.is_integer()):
        raise InvalidInputError(f"{entry.label}: must be {noun}; received {typed!r:.40}")
    if entry.kind == "whole":
        return int(number)
    return number / 100 if entry.kind == "percent" else number


def _text(value: Any, kind: str) -> str:
    if kind == "percent":
        return f"{100 * value:.10g}"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _kind_of(contract: Contract) -> str:
    terms = [
        name
        for name, given in (
            ("fee", contract.fee_usd),
            ("commitment", contract.commitment_usd),
            ("blocks", contract.block_tokens),
        )
        if given
    ]
    return terms[0] if len(terms) == 1 else "contract"


def _is_given(contract: Contract, name: str) -> bool:
    value = getattr(contract, name)
    # A price of 0 is a price; any other 0 says nothing.
    return value is not None if name.startswith("usd_per_mtok") else bool(value)
