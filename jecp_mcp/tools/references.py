"""Where a clean schema's subschemas are, which references lead to one, and what following them may cost. Pure: no I/O.

A schema of a few hundred bytes can double itself at every reference, or lead back to itself without ever stepping into
the arguments. Both stop a validator, ours or a host's, so both are found here, in time linear in the schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote

Node = dict[str, Any]
"""A clean subschema."""

PART_MAPS: Final = frozenset({"properties", "patternProperties", "$defs", "dependentSchemas"})
PART_LISTS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
PART_SINGLES: Final = frozenset(
    {
        "items", "contains", "additionalProperties", "propertyNames", "not", "if", "then", "else",
        "unevaluatedItems", "unevaluatedProperties",
    }
)  # fmt: skip
_IN_PLACE: Final = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"})
_ALIASES: Final = {"definitions": "$defs", "dependencies": "dependentSchemas", "additionalItems": "items"}
_LONGEST_INDEX: Final = 3

MOST_STEPS: Final = 20_000
"""The most subschemas that one visit to a schema may lead on to, references followed."""


class TooLarge(Exception):  # the reason a schema is unfit, turned into a value by `schema.fit`
    """Following the references never ends, or nearly so."""


def settle(root: Node, refs: list[Node]) -> int:
    """Rewrite references to where their targets now are, and drop those that lead to no subschema.

    Args:
        root: the clean schema; changed in place.
        refs: its subschemas that hold a reference; those that lost it are removed from the list.

    Returns:
        How many references were dropped.
    """
    kept = []
    for node in refs:
        found = find(root, node["$ref"])
        if found is None:
            del node["$ref"]
        else:
            node["$ref"] = found[0]
            kept.append(node)
    dropped = len(refs) - len(kept)
    refs[:] = kept
    return dropped


def find(root: Node, ref: str) -> tuple[str, Node] | None:
    """The pointer (RFC 6901, as a URI fragment) and the subschema a reference leads to, or None."""
    tokens = [token.replace("~1", "/").replace("~0", "~") for token in unquote(ref[1:]).split("/")[1:]]
    here: Any = root
    path = ["#"]
    while tokens:
        keyword = _ALIASES.get(tokens[0], tokens[0])
        member = tokens[1] if len(tokens) > 1 else ""
        if keyword == "items" and _is_index(member) and "prefixItems" in here:
            keyword = "prefixItems"
        here = here.get(keyword)
        if keyword in PART_MAPS and isinstance(here, dict):
            here = here.get(member)
        elif keyword in PART_LISTS and isinstance(here, list) and _is_index(member):
            here = here[int(member)] if int(member) < len(here) else None
        elif keyword in PART_SINGLES:
            member = ""
        else:
            return None
        if not isinstance(here, dict):
            return None
        path.append(keyword)
        if keyword not in PART_SINGLES:
            path.append(_escaped(member))
        tokens = tokens[1 if keyword in PART_SINGLES else 2 :]
    return "/".join(path), here


def check_expansion(root: Node) -> None:
    """See that checking an instance against a clean schema ends soon.

    Raises:
        TooLarge: a reference leads back to itself in place, or the references multiply beyond `MOST_STEPS`.
    """
    targets = _targets(root)
    in_place: dict[int, int] = {}
    for node in _all(root):
        if _cost(node, targets, in_place, _IN_PLACE) > MOST_STEPS:
            raise TooLarge("the references of the input schema multiply beyond measure")
    if _cost(root, targets, {}, None) > MOST_STEPS:
        raise TooLarge("the references of the input schema multiply beyond measure")


def growth(root: Node) -> int:
    """How many times over one more level of nesting in the arguments may multiply the work: 1 without recursion."""
    targets = _targets(root)
    if not targets:
        return 1
    nodes = {id(node): node for node in _all(root)}
    # Taking away what leads nowhere, again and again, leaves what leads round in circles.
    waits = {key: [id(next_node) for next_node in _next(node, targets, None)] for key, node in nodes.items()}
    before: dict[int, list[int]] = {}
    for key, ahead in waits.items():
        for other in ahead:
            before.setdefault(other, []).append(key)
    left = {key: len(ahead) for key, ahead in waits.items()}
    free = [key for key, count in left.items() if count == 0]
    while free:
        for key in before.get(free.pop(), ()):
            left[key] -= 1
            if left[key] == 0:
                free.append(key)
    return max(sum(1 for key, target in targets.items() if left[key] and left[id(target)]), 1)


def _cost(node: Node, targets: dict[int, Node], known: dict[int, int], keywords: frozenset[str] | None) -> int:
    """How many subschemas a visit to `node` leads on to through `keywords` (None: all) and references.

    Through keywords that step into the arguments a cycle is sound and counts once; in place it never ends.
    """
    if id(node) in known:
        if known[id(node)] == 0 and keywords is not None:
            raise TooLarge("a reference of the input schema leads back to itself")
        return known[id(node)]
    known[id(node)] = 0
    total = 1 + sum(_cost(child, targets, known, keywords) for child in _next(node, targets, keywords))
    # Beyond the bound the exact figure does not matter, and would grow to hundreds of digits.
    known[id(node)] = min(total, MOST_STEPS + 1)
    return known[id(node)]


def _targets(root: Node) -> dict[int, Node]:
    """The subschema each reference leads to, by the identity of the subschema that holds it."""
    found = {id(node): find(root, node["$ref"]) for node in _all(root) if "$ref" in node}
    return {key: target[1] for key, target in found.items() if target is not None}


def _next(node: Node, targets: dict[int, Node], keywords: frozenset[str] | None) -> Iterator[Node]:
    for keyword, value in node.items():
        if keywords is not None and keyword not in keywords:
            continue
        if keyword in PART_MAPS:
            yield from value.values()
        elif keyword in PART_LISTS:
            yield from value
        elif keyword in PART_SINGLES and isinstance(value, dict):
            yield value
    if id(node) in targets:
        yield targets[id(node)]


def _all(root: Node) -> Iterator[Node]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += _next(node, {}, None)


def _is_index(token: str) -> bool:
    return token.isascii() and token.isdecimal() and len(token) <= _LONGEST_INDEX


def _escaped(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1").replace("%", "%25")
