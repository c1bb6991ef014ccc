"""A published schema as Gemini's API takes it, which refuses a whole request for one schema it does not. Pure: no I/O.

Its dialect is the plain one of `dialects` with less in it (Gemini API, `Schema`): no exclusive bounds, no multiples, no
closed objects, values listed of texts only and none of them empty, no null, a type everywhere but beside ``anyOf``,
which stands alone. What is left out is said in the description where it bounds a value; the call is checked against the
whole schema in any case. So what comes of it may accept more, and of what may be null, all but the null.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import floor
from typing import Any, Final

from jecp_mcp.tools.schemas.dialects import Beyond
from jecp_mcp.tools.schemas.references import Node

_KEPT: Final = frozenset(
    {
        "type", "title", "description", "default", "enum", "properties", "required", "items", "anyOf", "minItems",
        "maxItems", "minProperties", "maxProperties", "minLength", "maxLength", "pattern", "minimum", "maximum",
    }
)  # fmt: skip
_ANY: Final[tuple[Node, ...]] = (
    *({"type": kind} for kind in ("string", "number", "boolean", "object")),
    {"type": "array", "items": {"type": "string"}},
)
"""What stands for anything, for which there is no word."""
_MOST_SAID: Final = 200


class _Nothing(Exception):  # a way out of the recursion, never seen outside this module
    """A subschema that takes nothing but null, or no value that Gemini can be told of."""


def for_gemini(schema: Mapping[str, Any]) -> Node | Beyond:
    """A schema of the plain dialect in Gemini's, or why it cannot be put into it."""
    try:
        made = _write(dict(schema))
    except _Nothing:
        return Beyond("its input schema asks for a value that Gemini's API has no words for")
    made.setdefault("properties", {})
    return made


def _write(node: Node) -> Node:
    if "anyOf" in node:
        return _choice(node)
    kind = node.get("type")
    if kind is None:
        return _choice({**_words(node), "anyOf": list(_ANY)})
    if kind == "null":
        raise _Nothing
    made = {keyword: value for keyword, value in node.items() if keyword in _KEPT}
    said = _values(node, made) + _bounds(node, made)
    if kind == "object":
        _members(node, made)
    elif kind == "array":
        made["items"] = _write(node.get("items", {}))
    if made.get("default") is None or made["default"] not in made.get("enum", [made["default"]]):
        made.pop("default", None)
    if said:
        made["description"] = " ".join([*([made["description"]] if "description" in made else []), *said])
    return made


def _words(node: Node) -> Node:
    return {word: node[word] for word in ("title", "description") if word in node}


def _choice(node: Node) -> Node:
    """A choice alone; what is said of it is said of its first member, for nothing may stand beside it."""
    members = []
    for member in node["anyOf"]:
        try:
            members.append(_write(member))
        except _Nothing:
            continue
    if not members:
        raise _Nothing
    flat = [inner for member in members for inner in member.get("anyOf", [member])]
    first = {**_words(node), **flat[0]}
    return first if len(flat) == 1 else {"anyOf": [first, *flat[1:]]}


def _values(node: Node, made: Node) -> list[str]:
    """The listed values as they can be listed, else in words."""
    values = node.get("enum")
    if values is None:
        return []
    if node["type"] == "string":
        made["enum"] = [value for value in values if value != ""]
        if not made["enum"]:
            raise _Nothing
        return []
    del made["enum"]
    shown = ", ".join(json.dumps(value, ensure_ascii=False) for value in values)
    return [f"One of {shown}." if len(shown) <= _MOST_SAID else f"One of {len(values)} values."]


def _bounds(node: Node, made: Node) -> list[str]:
    """Bounds as they can be written, else in words."""
    said = []
    whole = node["type"] == "integer"
    if (least := node.get("exclusiveMinimum")) is not None:
        if whole:
            made["minimum"] = max(floor(least) + 1, node.get("minimum", floor(least) + 1))
        else:
            said.append(f"More than {least}.")
    if (most := node.get("exclusiveMaximum")) is not None:
        if whole:
            made["maximum"] = min(-floor(-most) - 1, node.get("maximum", -floor(-most) - 1))
        else:
            said.append(f"Less than {most}.")
    if "multipleOf" in node:
        said.append(f"A multiple of {node['multipleOf']}.")
    if node.get("uniqueItems"):
        said.append("No item twice.")
    rest = node.get("additionalProperties")
    if isinstance(rest, dict) and isinstance(rest.get("type"), str):
        said.append(f"Members may have any name, and are each of type {rest['type']}.")
    return said


def _members(node: Node, made: Node) -> None:
    needed = list(node.get("required", ()))
    properties: dict[str, Node] = {}
    for name in dict.fromkeys([*node.get("properties", {}), *needed]):
        try:
            properties[name] = _write(node.get("properties", {}).get(name, {}))
        except _Nothing:
            # What can only be null or empty can be left out.
            if name in needed:
                raise
    if properties or "properties" in node:
        made["properties"] = properties
