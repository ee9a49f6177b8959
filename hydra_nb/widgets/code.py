"""The screen as a notebook cell that recreates it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from hydra_nb.catalog import Catalog
from hydra_nb.errors import CatalogError
from hydra_nb.profile import Evidence, ModelProfile
from hydra_nb.solver import Constraints, Contract
from hydra_nb.widgets.state import Settings
from hydra_nb.widgets.store import Store
from hydra_nb.widgets.workload_desk import WorkloadDesk

Edit = tuple[str, tuple[Any, ...], dict[str, Any]]
"""A method of `Catalog` with its positional and named arguments."""


def to_code(store: Store, desk: WorkloadDesk | None = None) -> str:
    """Return Python that opens a lab with the store's catalog, prompt and settings.

    Of a `desk` come the limits in force, and the workload where it is a bundled one; a comment
    says what cannot be written.
    """
    default, settings = Settings(), store.settings
    arguments: list[str] = []
    if store.text:
        arguments.append(f"text={store.text!r}")
    for name in ("tau", "tokens_output", "turn", "modalities"):
        if getattr(settings, name) != getattr(default, name):
            arguments.append(f"{name}={getattr(settings, name)!r}")
    weights = {k: w for k, w in settings.dimension_weights.items() if w != 1.0}
    if weights:
        arguments.append(f"dimension_weights={weights!r}")
    lines = ["import hydra_nb as hy", "", catalog_code(store.catalog, store.history.current.opened)]
    if desk is not None:
        imports, given, remarks = desk_code(desk)
        lines[1:1] = imports
        arguments += given
        lines += remarks
    inner = "".join(f"    {argument},\n" for argument in ["catalog", *arguments])
    return "\n".join([*lines, f"hy.lab(\n{inner})"])


def desk_code(desk: WorkloadDesk) -> tuple[list[str], list[str], list[str]]:
    """Return import lines, arguments of `lab` and comments for workload and limits."""
    imports, arguments, remarks = [], [], []
    if desk.workload is not None and desk.source.code:
        imports.append("from hydra_nb.workload import Workload")
        arguments.append(f"workload={desk.source.code}")
    elif desk.workload is not None:
        name = " ".join((desk.source.title or desk.workload.name).split())
        remarks.append(f"# The workload ({name}) is not in this cell: give it as workload=...")
    if desk.constraints:
        code = constraints_code(desk.constraints)
        used = ["Constraints", *(["Contract"] if desk.constraints.contracts else [])]
        imports.append(f"from hydra_nb.solver import {', '.join(used)}")
        arguments.append(f"constraints={code}")
    if desk.sheets.current.objective != "cost":
        arguments.append(f"objective={desk.sheets.current.objective!r}")
    left_out = len(desk.read.refused) + len(desk.read.blank)
    if left_out:
        noun = "1 limit that is" if left_out == 1 else f"{left_out} limits that are"
        remarks.append(f"# Left out: {noun} not in force.")
    return sorted(imports), arguments, remarks


def constraints_code(constraints: Constraints) -> str:
    """Return an expression that makes equal constraints."""
    given: list[str] = []
    for entry in fields(Constraints):
        value = getattr(constraints, entry.name)
        if value is None or (isinstance(value, Mapping) and not value):
            continue
        if entry.name == "contracts":
            listed = (f"{k!r}: ({', '.join(map(_contract, v))},)" for k, v in value.items())
            given.append(f"contracts={{{', '.join(listed)}}}")
        else:
            plain = dict(value) if isinstance(value, Mapping) else value
            given.append(f"{entry.name}={plain!r}")
    return f"Constraints({', '.join(given)})"


def _contract(contract: Contract) -> str:
    given = [
        f"{entry.name}={getattr(contract, entry.name)!r}"
        for entry in fields(Contract)
        if getattr(contract, entry.name) != entry.default
    ]
    return f"Contract({', '.join(given)})"


def catalog_code(catalog: Catalog, opened: Catalog) -> str:
    """Return an assignment to `catalog`: a sample with edits where it is one, else every field."""
    if opened.name in Catalog.sample_names() and Catalog.sample(opened.name) == opened:
        edits = _edits(opened, catalog)
        if edits is not None:
            chain = "".join(f"\n    {_edit_code(edit)}" for edit in edits)
            start = f"hy.Catalog.sample({opened.name!r})"
            return f"catalog = (\n    {start}{chain}\n)" if edits else f"catalog = {start}"
    profiles = "".join(f"        {_profile_code(profile)},\n" for profile in catalog)
    rest = "".join(
        f"    {name}={getattr(catalog, name)!r},\n"
        for name in ("name", "description", "as_of", "capability_band")
    )
    return f"catalog = hy.Catalog(\n    (\n{profiles}    ),\n{rest})"


def _edits(opened: Catalog, catalog: Catalog) -> list[Edit] | None:
    """Return the edits that lead from `opened` to `catalog`; `None` where a chain does not."""
    if catalog.source is None:
        return None
    kept = {entry for entry in catalog.source.entries if entry is not None}
    edits: list[Edit] = [
        ("remove", (profile.name,), {}) for entry, profile in enumerate(opened) if entry not in kept
    ]
    for position, (profile, entry) in enumerate(zip(catalog, catalog.source.entries, strict=True)):
        if entry is None:
            edits.append(("add", (profile,), {"position": position}))
            continue
        before = opened[entry]
        if before.name != profile.name:
            edits.append(("rename", (before.name, profile.name), {}))
        changed = {
            name: getattr(profile, name)
            for name in ModelProfile.model_fields
            if name != "name" and getattr(profile, name) != getattr(before, name)
        }
        if changed:
            edits.append(("replace", (profile.name,), changed))
    return edits if _apply(opened, edits) == catalog else None


def _apply(catalog: Catalog, edits: list[Edit]) -> Catalog | None:
    """Return what the edits make of `catalog`; `None` where one is refused, a taken name say."""
    try:
        for method, positional, named in edits:
            catalog = getattr(catalog, method)(*positional, **named)
    except CatalogError:
        return None
    return catalog


def _edit_code(edit: Edit) -> str:
    method, positional, named = edit
    arguments = [_literal(value) for value in positional]
    arguments += [f"{name}={_literal(value)}" for name, value in named.items()]
    return f".{method}({', '.join(arguments)})"


def _profile_code(profile: ModelProfile) -> str:
    fields: dict[str, Any] = {}
    for name, field in ModelProfile.model_fields.items():
        value = getattr(profile, name)
        if field.is_required() or value != field.default:
            fields[name] = value
    return f"hy.ModelProfile({_keywords(fields)})"


def _keywords(fields: dict[str, Any]) -> str:
    return ", ".join(f"{name}={_literal(value)}" for name, value in fields.items())


def _literal(value: Any) -> str:
    if isinstance(value, ModelProfile):
        return _profile_code(value)
    if isinstance(value, tuple) and value and isinstance(value[0], Evidence):
        rows = ", ".join(
            f"hy.Evidence({_keywords(row.model_dump(exclude_defaults=True))})" for row in value
        )
        return f"({rows},)"
    return repr(value)
