"""Keep the comments above each entry of a YAML list with their entry while the list is edited.

ruamel hangs the lines above entry k on the last value of entry k−1, and those above the first on
the list. Left there, a removed or inserted entry would put them above the wrong one; so they are
taken off before the edit and put back where their entry went.
"""

from __future__ import annotations

from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import CommentMark
from ruamel.yaml.tokens import CommentToken


def take_headings(items: CommentedSeq) -> list[str]:
    """Take the lines above each entry off the nodes; the last item is what follows the list."""
    headings = [_text((items.ca.comment or [None, None])[1])]
    for index, node in enumerate(items):
        headings.append(_tail(node))
        _set_tail(node, "")
        # After an entry that ends in a flow list, ruamel keeps them with the next entry instead.
        before_next = items.ca.items.pop(index + 1, [None, None])
        headings[-1] += _text(before_next[1])
    return headings


def put_headings(
    document: CommentedMap, key: str, headings: list[str], entries: tuple[int | None, ...]
) -> None:
    """Put `headings` back above the list under `key`, whose items came from `entries`."""
    items = document[key]
    gap = "\n" if any(heading.startswith("\n") for heading in headings[1:-1]) else ""
    above = [gap if entry is None else headings[entry] for entry in entries]
    for index, heading in enumerate(above):
        if index == 0:
            first = _tokens(heading.strip("\n")) or None
            items.ca.comment = [None, first] if first else None
            # The other slots hold what stands beside and above the key itself.
            document.ca.items.setdefault(key, [None] * 4)[3] = first
        elif _ends_in_flow(items[index - 1]):
            items.ca.items[index] = [None, _tokens(heading), None, None]
        else:
            _set_tail(items[index - 1], heading or gap)
    if len(items):
        _set_tail(items[-1], headings[-1])


def _text(tokens: list[CommentToken] | None) -> str:
    return "".join(f"{' ' * token.column}{token.value}" for token in tokens or [])


def _tokens(text: str) -> list[CommentToken]:
    return [
        CommentToken(f"{line.strip()}\n", CommentMark(len(line) - len(line.lstrip())))
        for line in text.splitlines()
    ]


def _ends_in_flow(node: Any) -> bool:
    last = node[list(node)[-1]] if isinstance(node, CommentedMap) and len(node) else None
    return isinstance(last, CommentedSeq | CommentedMap) and bool(last.fa.flow_style())


def _last_comment(node: Any) -> tuple[dict[Any, Any], Any, int] | None:
    """Return (comment table, key, slot) at which ruamel keeps what follows `node`."""
    spot: tuple[dict[Any, Any], Any, int] | None = None
    while isinstance(node, CommentedMap | CommentedSeq) and len(node):
        key = list(node)[-1] if isinstance(node, CommentedMap) else len(node) - 1
        slot = 2 if isinstance(node, CommentedMap) else 0
        spot = (node.ca.items, key, slot)
        if (node.ca.items.get(key) or [None] * 4)[slot] is not None:
            return spot
        node = node[key]
    return spot


def _tail(node: Any) -> str:
    spot = _last_comment(node)
    token = spot and (spot[0].get(spot[1]) or [None] * 4)[spot[2]]
    return str(token.value).partition("\n")[2] if token else ""


def _set_tail(node: Any, tail: str) -> None:
    spot = _last_comment(node)
    if spot is None:
        return
    table, key, slot = spot
    tokens = table.setdefault(key, [None] * 4)
    if tokens[slot] is not None:
        tokens[slot].value = f"{str(tokens[slot].value).partition(chr(10))[0]}\n{tail}"
    elif tail:
        tokens[slot] = CommentToken(f"\n{tail}", CommentMark(0))
