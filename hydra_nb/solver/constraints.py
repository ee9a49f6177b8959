"""What a routing plan must respect beyond the threshold, as one composable value.

All amounts are for the period that the workload stands for: where its arrivals are those of a
month, caps, fees and budgets are a month's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any

from hydra_nb.catalog import Catalog
from hydra_nb.errors import InvalidInputError
from hydra_nb.money import format_usd
from hydra_nb.profile import MAX_USD_PER_MTOK

MAX_AMOUNT = 1e15
"""More requests, tokens or dollars than any workload; keeps sums exact in float64."""


@dataclass(frozen=True)
class Contract:
    """One way of paying for a model; several contracts of a model are separate offers.

    Attributes:
        name: what it is called on screen.
        fee_usd: paid once a period if the contract is used at all.
        commitment_usd: least bill for usage if the contract is used at all.
        usd_per_mtok_input, usd_per_mtok_output: prices under this contract; `None`: the catalog's.
        block_tokens: tokens, input and output, that one provisioned block carries; 0 where the
            contract has no blocks. With blocks, no more is served than the blocks bought carry.
        usd_per_block: price of a block a period.
        max_blocks: how many blocks can be bought.

    Raises:
        InvalidInputError: a field breaks a rule; the message names the contract and the field.
    """

    name: str = "pay as you go"
    fee_usd: float = 0.0
    commitment_usd: float = 0.0
    usd_per_mtok_input: float | None = None
    usd_per_mtok_output: float | None = None
    block_tokens: int = 0
    usd_per_block: float = 0.0
    max_blocks: int = 0

    def __post_init__(self) -> None:
        place = f"contract {self.name!r:.60}"
        if not isinstance(self.name, str) or not self.name.strip():
            raise InvalidInputError(f"{place}: name must be text; received {self.name!r:.60}")
        for name in ("fee_usd", "commitment_usd", "usd_per_block"):
            _amount(getattr(self, name), f"{place}: {name}")
        for name in ("usd_per_mtok_input", "usd_per_mtok_output"):
            if getattr(self, name) is not None:
                _amount(getattr(self, name), f"{place}: {name}", most=MAX_USD_PER_MTOK)
        _whole(self.block_tokens, f"{place}: block_tokens", "tokens")
        _whole(self.max_blocks, f"{place}: max_blocks", "blocks")
        if bool(self.block_tokens) != bool(self.max_blocks):
            raise InvalidInputError(
                f"{place}: block_tokens and max_blocks go together; received "
                f"{self.block_tokens} and {self.max_blocks}"
            )
        if self.usd_per_block and not self.block_tokens:
            raise InvalidInputError(f"{place}: usd_per_block needs block_tokens")

    @property
    def words(self) -> str:
        """Return the contract in words."""
        parts = []
        if self.fee_usd:
            parts.append(f"fee {_usd(self.fee_usd)}")
        if self.commitment_usd:
            parts.append(f"at least {_usd(self.commitment_usd)} of usage")
        if self.block_tokens:
            parts.append(
                f"up to {self.max_blocks:,} blocks of {self.block_tokens:,} tokens "
                f"at {_usd(self.usd_per_block)}"
            )
        if self.usd_per_mtok_input is not None or self.usd_per_mtok_output is not None:
            prices = [
                "catalog" if p is None else f"${p:,.6g}"
                for p in (self.usd_per_mtok_input, self.usd_per_mtok_output)
            ]
            parts.append(f"{prices[0]} in, {prices[1]} out per 1M tokens")
        return f"{self.name} ({', '.join(parts)})" if parts else self.name


@dataclass(frozen=True)
class Constraints:
    """Everything that couples the queries of a workload; compose two with `&`.

    Attributes:
        max_requests: most requests a model may get, by name of the model.
        max_tokens: most tokens, input and output together, a model may get, by name.
        max_provider_share: largest share of all requests, in [0, 1], by provider.
        min_provider_share: smallest share of all requests, in [0, 1], by provider.
        budget_usd: most the whole workload may cost, fees included.
        max_mean_shortfall: largest mean shortfall over all requests. A single request may then
            go to any model that its gates allow, whatever its shortfall.
        min_share_within_tau: least share of requests, in [0, 1], that go to a model within τ; to
            one of least shortfall, where no model is. The others may go to any that their gates
            allow.
        max_models: most models in use at all (K).
        contracts: the contracts that are offered for a model, by name; a model without an entry
            is paid as used, at the catalog's prices.

    Raises:
        InvalidInputError: a value breaks a rule; the message names the constraint and the key.
    """

    max_requests: Mapping[str, int] = field(default_factory=dict)
    max_tokens: Mapping[str, int] = field(default_factory=dict)
    max_provider_share: Mapping[str, float] = field(default_factory=dict)
    min_provider_share: Mapping[str, float] = field(default_factory=dict)
    budget_usd: float | None = None
    max_mean_shortfall: float | None = None
    min_share_within_tau: float | None = None
    max_models: int | None = None
    contracts: Mapping[str, tuple[Contract, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._freeze("max_requests", partial(_whole, unit="requests"))
        self._freeze("max_tokens", partial(_whole, unit="tokens"))
        for name in ("max_provider_share", "min_provider_share"):
            self._freeze(name, _share)
        for provider, least in self.min_provider_share.items():
            most = self.max_provider_share.get(provider, 1.0)
            if least > most:
                raise InvalidInputError(
                    f"min_provider_share of {provider!r} is {least}, above its "
                    f"max_provider_share of {most}"
                )
        if sum(self.min_provider_share.values()) > 1 + 1e-12:
            raise InvalidInputError(
                f"min_provider_share asks for {sum(self.min_provider_share.values()):.2f} of the "
                "requests in all; at most 1 is there"
            )
        for name in ("budget_usd", "max_mean_shortfall"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _amount(getattr(self, name), name))
        if self.min_share_within_tau is not None:
            _share(self.min_share_within_tau, "min_share_within_tau")
        if self.max_models is not None:
            _whole(self.max_models, "max_models", "models", least=1)
        self._freeze("contracts", _contracts)

    def __and__(self, other: Constraints) -> Constraints:
        """Return both together: of two limits on the same thing the tighter one.

        Raises:
            InvalidInputError: both name contracts for one model.
        """
        if not isinstance(other, Constraints):
            return NotImplemented
        twice = sorted(set(self.contracts) & set(other.contracts))
        if twice:
            raise InvalidInputError(f"contracts of {twice[0]!r} are given on both sides of &")
        changes: dict[str, Any] = {"contracts": {**self.contracts, **other.contracts}}
        for name in _TIGHTER:
            mine, theirs = getattr(self, name), getattr(other, name)
            tighter = _TIGHTER[name]
            if isinstance(mine, Mapping):
                changes[name] = {
                    key: tighter([side[key] for side in (mine, theirs) if key in side])
                    for key in {**mine, **theirs}
                }
            else:
                given = [value for value in (mine, theirs) if value is not None]
                changes[name] = tighter(given) if given else None
        return replace(self, **changes)

    def __bool__(self) -> bool:
        return any(getattr(self, f.name) not in (None, {}) for f in fields(self))

    def __repr__(self) -> str:
        return f"Constraints({'; '.join(self.words) or 'none'})"

    @property
    def words(self) -> tuple[str, ...]:
        """Return those in force, one sentence each."""
        lines = [f"{m}: at most {n:,} requests" for m, n in self.max_requests.items()]
        lines += [f"{m}: at most {n:,} tokens" for m, n in self.max_tokens.items()]
        lines += [
            f"{p}: at most {100 * s:.6g} % of the requests"
            for p, s in self.max_provider_share.items()
        ]
        lines += [
            f"{p}: at least {100 * s:.6g} % of the requests"
            for p, s in self.min_provider_share.items()
        ]
        if self.budget_usd is not None:
            lines.append(f"budget: at most {_usd(self.budget_usd)}")
        if self.max_mean_shortfall is not None:
            lines.append(f"mean shortfall: at most {self.max_mean_shortfall:.6g}")
        if self.min_share_within_tau is not None:
            lines.append(f"within τ: at least {100 * self.min_share_within_tau:.6g} % of requests")
        if self.max_models is not None:
            plural = "" if self.max_models == 1 else "s"
            lines.append(f"fleet: at most {self.max_models} model{plural}")
        lines += [
            f"{model}: {' or '.join(contract.words for contract in contracts)}"
            for model, contracts in self.contracts.items()
        ]
        return tuple(lines)

    def check_against(self, catalog: Catalog) -> None:
        """Refuse names of models or providers that the catalog does not have."""
        providers = sorted({profile.provider for profile in catalog})
        for name, known, kind in (
            ("max_requests", catalog.names, "model"),
            ("max_tokens", catalog.names, "model"),
            ("contracts", catalog.names, "model"),
            ("max_provider_share", providers, "provider"),
            ("min_provider_share", providers, "provider"),
        ):
            for key in getattr(self, name):
                if key not in known:
                    raise InvalidInputError(
                        f"{name} names the {kind} {key!r}, which {catalog.name} does not have; "
                        f"there are {', '.join(known)}"
                    )

    def _freeze(self, name: str, check: Callable[[Any, str], Any]) -> None:
        value = getattr(self, name)
        if not isinstance(value, Mapping):
            raise InvalidInputError(f"{name} must be a mapping by name; received {value!r:.80}")
        checked = {}
        for key, entry in value.items():
            if not isinstance(key, str):
                raise InvalidInputError(f"{name} must be keyed by names; received {key!r:.80}")
            checked[key] = check(entry, f"{name} of {key!r:.60}")
        object.__setattr__(self, name, MappingProxyType(checked))


_TIGHTER: dict[str, Callable[[Any], Any]] = {
    "max_requests": min,
    "max_tokens": min,
    "max_provider_share": min,
    "min_provider_share": max,
    "budget_usd": min,
    "max_mean_shortfall": min,
    "min_share_within_tau": max,
    "max_models": min,
}


def _usd(usd: float) -> str:
    return format_usd(usd * 1e6)


def _amount(value: Any, place: str, *, most: float = MAX_AMOUNT) -> float:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if number and 0 <= float(value) <= most:
        return float(value)
    raise InvalidInputError(f"{place} must be a number from 0 to {most:,.0f}; received {value!r}")


def _whole(value: Any, place: str, unit: str, *, least: int = 0) -> int:
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if whole and least <= value <= MAX_AMOUNT:
        return int(value)
    raise InvalidInputError(
        f"{place} must be a whole number of {unit}, at least {least}; received {value!r}"
    )


def _share(value: Any, place: str) -> float:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if number and 0 <= float(value) <= 1:
        return float(value)
    raise InvalidInputError(f"{place} must be a share in [0, 1]; received {value!r}")


def _contracts(value: Any, place: str) -> tuple[Contract, ...]:
    contracts = tuple(value) if isinstance(value, tuple | list) else (value,)
    if not contracts or not all(isinstance(contract, Contract) for contract in contracts):
        raise InvalidInputError(f"{place} must be Contracts; received {value!r:.80}")
    names = [contract.name for contract in contracts]
    if len(set(names)) != len(names):
        raise InvalidInputError(f"{place} have one name twice: {', '.join(names)}")
    return contracts
