"""Catalogs as YAML files: read strictly, written with comments and key order kept.

A file is a mapping with `models` (a list) and optionally `name`, `description`, `as_of` and
`capability_band`. Tags, anchors and aliases are refused: a catalog is plain data.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, NodeEvent

from hydra_nb import atomic_file
from hydra_nb.catalog import Catalog, SourceText
from hydra_nb.errors import CatalogError
from hydra_nb.profile import Evidence, ModelProfile, shorten
from hydra_nb.yaml_headings import put_headings, take_headings

MAX_BYTES = 5_000_000
_MAX_DEPTH = 12
_FIRST_ITEM = re.compile(r"^models:[^\n]*\n(?:[ \t]*(?:#[^\n]*)?\r?\n)*( *)- ", re.MULTILINE)
_BOM = "\ufeff"
_KEYS = ("name", "description", "as_of", "capability_band", "models")


def load(path: Path) -> Catalog:
    """Read a catalog; every `CatalogError` names the file, and the line where it is known."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise CatalogError(
            f"cannot be read ({error.strerror or error})", place=str(path)
        ) from error
    if len(raw) > MAX_BYTES:
        raise CatalogError(
            f"is larger than {MAX_BYTES // 1_000_000} MB, the most a catalog may be",
            place=str(path),
            value=f"{path.stat().st_size:,} bytes",
        )
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CatalogError(
            "must be UTF-8 text", place=str(path), value=f"byte {error.start}: {error.reason}"
        ) from error
    return parse(text, place=str(path), name=path.stem)


def parse(text: str, *, place: str = "<text>", name: str = "catalog") -> Catalog:
    """Return the catalog that YAML `text` describes; `name` is used where the text has none."""
    document = _document(text, place)
    for key in document:
        if key not in _KEYS:
            raise CatalogError(
                f"is not a known key; known keys: {', '.join(_KEYS)}",
                place=_place(place, document, key),
                field=str(key),
            )
    models = document.get("models")
    if not isinstance(models, CommentedSeq) or not models:
        raise CatalogError("must be a list with at least one model", place=place, field="models")
    profiles = tuple(_profile(models, index, place) for index in range(len(models)))
    band = document.get("capability_band")
    if band is not None and not (
        isinstance(band, dict) and all(_is_pair(ends) for ends in band.values())
    ):
        raise CatalogError(
            "must map each dimension to [low, high]",
            place=_place(place, document, "capability_band"),
            field="capability_band",
        )
    try:
        return Catalog(
            profiles,
            name=_text(document, "name", name, place),
            description=_text(document, "description", "", place),
            as_of=_text(document, "as_of", "", place),
            capability_band=band and {k: (v[0], v[1]) for k, v in _plain(band).items()},
            source=SourceText(text, tuple(range(len(profiles))), name),
        )
    except CatalogError as error:
        raise error.at(place) from error


def save(catalog: Catalog, path: Path) -> None:
    """Write `catalog`; see `Catalog.save`."""
    try:
        atomic_file.write_text(path, to_text(catalog))
    except OSError as error:
        raise CatalogError(
            f"cannot be written ({error.strerror or error})", place=str(path)
        ) from error


def to_text(catalog: Catalog) -> str:
    """Return YAML that `parse` reads back to an equal catalog.

    A catalog that says what its source says is that source, byte for byte. After an edit, comments,
    key order, indentation of the list and line ends are kept; comments inside a model written in
    flow style (`- {name: a, …}`) are not.
    """
    source = catalog.source
    if source and parse(source.text, name=source.default_name) == catalog:
        return source.text
    text = source.text.removeprefix(_BOM).replace("\r\n", "\n") if source else ""
    yaml = _yaml(text)
    document = yaml.load(text) if source else CommentedMap()
    header: dict[str, Any] = {
        "name": catalog.name,
        "description": catalog.description,
        "as_of": catalog.as_of,
        "capability_band": catalog.capability_band
        and {name: list(ends) for name, ends in catalog.capability_band.items()},
    }
    if source and catalog.name == source.default_name and "name" not in document:
        del header["name"]
    for key, value in header.items():
        if value or key in document:
            _assign(document, key, value)
    entries = source.entries if source else (None,) * len(catalog)
    old = document.get("models", CommentedSeq())
    headings = take_headings(old)
    new = CommentedSeq()
    for profile, entry in zip(catalog, entries, strict=True):
        node = CommentedMap() if entry is None else old[entry]
        _update(node, profile)
        new.append(node)
    document["models"] = new
    put_headings(document, "models", headings, entries)
    stream = io.StringIO()
    yaml.dump(document, stream)
    written = stream.getvalue().replace("\r\n", "\n")
    if source and "\r\n" in source.text:
        written = written.replace("\n", "\r\n")
    return f"{_BOM}{written}" if source and source.text.startswith(_BOM) else written


def _yaml(text: str = "") -> YAML:
    """Return a round-trip parser that writes in the style of `text`."""
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 4096
    first_item = _FIRST_ITEM.search(text)
    offset = len(first_item[1]) if first_item else 2
    yaml.indent(mapping=2, sequence=offset + 2, offset=offset)
    yaml.explicit_start = text.startswith("---")
    return yaml


def _document(text: str, place: str) -> CommentedMap:
    """Return the parsed text after refusing everything but plain, shallow data."""
    yaml = _yaml()
    text = text.removeprefix(_BOM)
    try:
        depth = 0
        for event in yaml.parse(text):
            line = f"{place}:{event.start_mark.line + 1}"
            if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
                raise CatalogError("YAML anchors and aliases are refused; write it out", place=line)
            tag = getattr(event, "tag", None)
            if isinstance(event, NodeEvent) and tag:
                raise CatalogError(
                    "YAML tags are refused; a catalog is plain data",
                    place=line,
                    value=shorten(str(tag)),
                )
            depth += {"Start": 1, "End": -1}.get(_edge(event), 0)
            if depth > _MAX_DEPTH:
                raise CatalogError("is nested too deeply for a catalog", place=line)
        document = yaml.load(text)
    except CatalogError:
        raise
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"{place}:{mark.line + 1}" if mark else place
        problem = (error.problem or error.context or "").strip()
        raise CatalogError(f"is not valid YAML: {problem.splitlines()[0]}", place=line) from error
    except (YAMLError, ValueError) as error:
        # ruamel raises a bare ValueError for numbers such as 1__0 or dates such as 2026-13-99
        raise CatalogError(f"is not valid YAML: {shorten(str(error))}", place=place) from error
    if document is None:
        raise CatalogError("is empty; a catalog needs a list under `models`", place=place)
    if not isinstance(document, CommentedMap):
        raise CatalogError("must be a mapping with the key `models`", place=place)
    return document


def _edge(event: object) -> str:
    kind = type(event).__name__.removesuffix("Event")
    return kind.removeprefix("Mapping").removeprefix("Sequence")


def _profile(models: CommentedSeq, index: int, place: str) -> ModelProfile:
    node = models[index]
    line = f"{place}:{models.lc.item(index)[0] + 1}" if models.lc.data else place
    if not isinstance(node, CommentedMap):
        raise CatalogError(
            "must be a mapping of fields",
            place=line,
            model=f"models[{index}]",
            value=shorten(repr(node)),
        )
    fields = _plain(node)
    wrong = next((key for key in fields if not isinstance(key, str)), None)
    if wrong is not None:
        raise CatalogError(
            "keys must be text", place=line, model=f"models[{index}]", value=repr(wrong)
        )
    try:
        return ModelProfile(**fields)
    except CatalogError as error:
        field = (error.field or "").split(".")[0].split("[")[0]
        raise CatalogError(
            error.rule,
            place=_place(place, node, field) if field in node else line,
            model=error.model or f"models[{index}]",
            field=error.field,
            value=error.value,
        ) from error


def _text(document: CommentedMap, key: str, default: str, place: str) -> str:
    value = document.get(key, default)
    if not isinstance(value, str):
        raise CatalogError(
            "must be text (put it in quotes)",
            place=_place(place, document, key),
            field=key,
            value=shorten(repr(value)),
        )
    return str(value)


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(end, int | float) and not isinstance(end, bool) for end in value)
    )


def _place(place: str, node: CommentedMap, key: object) -> str:
    return f"{place}:{node.lc.key(key)[0] + 1}" if key in (node.lc.data or {}) else place


def _plain(value: Any) -> Any:
    """Return ruamel's node as plain Python: its number and text classes carry formatting."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    for kind in (bool, int, float, str):
        # ScalarBoolean derives from int: it must be asked about before int is.
        if isinstance(value, kind) or (kind is bool and type(value).__name__ == "ScalarBoolean"):
            return kind(value)
    return value


def _update(node: CommentedMap, profile: ModelProfile) -> None:
    """Make `node` say what `profile` says, touching only what differs."""
    values = profile.model_dump(mode="json", exclude={"evidence"})
    for key, value in values.items():
        field = ModelProfile.model_fields[key]
        optional = not field.is_required() and value == _plain_default(field.default)
        if key in node or not optional:
            _assign(node, key, value)
    written = tuple(Evidence(**_plain(row)) for row in node.get("evidence", ()))
    if written != profile.evidence:
        rows = [row.model_dump(mode="json", exclude_defaults=True) for row in profile.evidence]
        _assign(node, "evidence", rows)


def _plain_default(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _assign(node: CommentedMap, key: str, value: Any) -> None:
    if key in node and _same(_plain(node[key]), value):
        return
    node[key] = _block_or_flow(value)


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_same, old, new))
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(_same(old[key], new[key]) for key in new)
    return (type(old) is type(new) and old == new) or _equal_numbers(old, new)


def _equal_numbers(old: Any, new: Any) -> bool:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (old, new))
    return numbers and float(old) == float(new)


def _block_or_flow(value: Any) -> Any:
    """Return lists of scalars in flow style (`[text, image]`), the rest in block style."""
    if isinstance(value, list):
        sequence = CommentedSeq(_block_or_flow(item) for item in value)
        if all(not isinstance(item, dict | list) for item in value):
            sequence.fa.set_flow_style()
        return sequence
    if isinstance(value, dict):
        return CommentedMap((key, _block_or_flow(item)) for key, item in value.items())
    return value
