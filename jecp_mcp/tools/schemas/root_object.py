"""The root of a published schema: an object with properties and no union, accepting what it accepted. Pure: no I/O.

Model APIs want ``"type": "object"`` and ``properties`` at the root and refuse a whole request over ``anyOf``,
``oneOf``, ``allOf``, ``not``, ``enum`` or ``const`` there. Plain ``allOf`` members are merged; the rest moves under
``if`` with an ``else`` nothing passes, which is the same condition in other words. What all members of a union
say about a property is repeated at the root, where models look. The arguments are an object, and so is the root; what
refers to it from within means the root as it was.
"""

from __future__ import annotations

import json
from typing import Any, Final

from jecp_mcp.tools.schemas.references import (
    PART_LISTS,
    PART_MAPS,
    PART_SINGLES,
    Node,
    escape_token,
    find,
)

_REFUSED: Final = ("$ref", "allOf", "anyOf", "oneOf", "not", "enum", "const")
_MERGEABLE: Final = frozenset({"type", "title", "description", "properties", "required", "examples", "default"})
_FIRST: Final = ("type", "title", "description", "properties", "required")
_NEVER: Final[Node] = {"not": {}}
_MOST_INLINED: Final = 8
_WORDS: Final = frozenset({"title", "description", "default", "examples"})


def fit_root(root: Node, refs: list[Node], most_bytes: int) -> Node | str:
    """Give a clean schema a root every host takes, or say why it cannot have one.

    Args:
        root: the clean schema, references settled.
        refs: its subschemas that hold a reference.
        most_bytes: what repeating a union's properties at the root must not exceed.
    """
    root = _inline(_keep_whole(root, refs))
    kinds = root.get("type", "object")
    if "object" not in ([kinds] if isinstance(kinds, str) else kinds):
        return "the input schema takes no object"
    if root.get("not") == {}:
        return "the input schema accepts nothing"
    root = {**root, "type": "object"}
    root = _merge(root, refs)
    refused: Node = {keyword: root.pop(keyword) for keyword in _REFUSED if keyword in root}
    if refused:
        _move(root, refused, refs)
        repeated = _repeat(root, refused)
        if repeated is not None and len(json.dumps(repeated)) <= most_bytes:
            root = repeated
    root.setdefault("properties", {})
    return {**{keyword: root[keyword] for keyword in _FIRST if keyword in root}, **root}


def unfold(schema: Node) -> Node:
    """The same condition with a moved union back in its place, so that a check names what is wrong in it."""
    if schema.get("else") != _NEVER or schema.get("then") != {}:
        return schema
    rest = {keyword: value for keyword, value in schema.items() if keyword not in {"if", "then", "else"}}
    # The condition also stays where references look for it.
    return {**rest, "if": schema["if"], "allOf": [schema["if"]]}


def _keep_whole(root: Node, refs: list[Node]) -> Node:
    """A root with a copy of itself that takes more than objects, for the references that mean it.

    The copy says of every part only where it is.
    """
    meant = [node for node in refs if node["$ref"] == "#"]
    if not meant or root.get("type") == "object":
        return root

    def referring(part: Any, *path: str) -> Any:
        if not isinstance(part, dict) or not part:
            return part
        node: Node = {"$ref": "/".join(("#", *map(escape_token, path)))}
        refs.append(node)
        return node

    whole: Node = {}
    for keyword, value in root.items():
        if keyword in _WORDS or keyword == "$defs":
            continue
        if keyword in PART_MAPS:
            whole[keyword] = {name: referring(part, keyword, name) for name, part in value.items()}
        elif keyword in PART_LISTS:
            whole[keyword] = [referring(part, keyword, str(number)) for number, part in enumerate(value)]
        else:
            whole[keyword] = referring(value, keyword) if keyword in PART_SINGLES else value
    defs = root.get("$defs", {})
    name = next(name for name in (f"root{'_' * more}" for more in range(len(defs) + 1)) if name not in defs)
    for node in meant:
        node["$ref"] = f"#/$defs/{name}"
    if "$ref" in whole:
        refs.append(whole)
    return {**root, "$defs": {**defs, name: whole}}


def _inline(root: Node) -> Node:
    """A root that is only a reference becomes what it refers to."""
    for _ in range(_MOST_INLINED):
        if "$ref" not in root or not set(root) <= {"$ref", "$defs", "title", "description", "type", "examples"}:
            break
        target = find(root, root["$ref"])
        if target is None or root["$ref"] == "#":
            break
        own = {keyword: value for keyword, value in root.items() if keyword != "$ref"}
        if own.get("type", "object") != "object" or ("$defs" in own and "$defs" in target):
            break
        if own.get("type") == "object" and target.get("type", "object") != "object":
            break
        root = {**target, **own}
    return root


def _merge(root: Node, refs: list[Node]) -> Node:
    """Plain members of ``allOf`` become part of the root, where nothing looks at which of them says what."""
    members = [_member(root, member) for member in root.get("allOf", ())]
    plain = all(set(member) <= _MERGEABLE and member.get("type", "object") == "object" for member in members)
    sees = {"additionalProperties", "unevaluatedProperties", "patternProperties"} & set(root)
    meant = any(node["$ref"].startswith(("#/allOf", "#/properties")) for node in refs)
    if not members or not plain or sees or meant:
        return root
    merged = {keyword: value for keyword, value in root.items() if keyword != "allOf"}
    properties: dict[str, Node] = dict(merged.get("properties", {}))
    required: list[str] = list(merged.get("required", ()))
    for member in members:
        for name, schema in member.get("properties", {}).items():
            there = properties.get(name)
            properties[name] = schema if there in (None, schema) else {"allOf": [there, schema]}
        required += member.get("required", ())
        for keyword in ("title", "description"):
            if keyword in member:
                merged.setdefault(keyword, member[keyword])
    merged["properties"] = properties
    if required:
        merged["required"] = list(dict.fromkeys(required))
    return merged


def _move(root: Node, refused: Node, refs: list[Node]) -> None:
    """Put what a root may not hold under ``if``, the references to it following."""
    deep = {keyword: value for keyword, value in refused.items() if keyword != "$ref"}
    place = ""
    if "$ref" in refused:
        moved: Node = {"$ref": refused["$ref"]}
        refs.append(moved)
        place = "/allOf/1" if deep else ""
        deep = {"allOf": [moved, deep]} if deep else moved
    conditional = {keyword: root.pop(keyword) for keyword in ("if", "then", "else") if keyword in root}
    if conditional:
        place = f"/allOf/1{place}"
        deep = {"allOf": [conditional, deep]}
    prefixes = {f"#/{keyword}": f"#/if{place}/{keyword}" for keyword in refused}
    prefixes |= {f"#/{keyword}": f"#/if/allOf/0/{keyword}" for keyword in conditional}
    root |= {"if": deep, "then": {}, "else": dict(_NEVER)}
    for node in refs:
        head = "/".join(node["$ref"].split("/", 2)[:2])
        if head in prefixes:
            node["$ref"] = prefixes[head] + node["$ref"][len(head) :]


def _repeat(root: Node, refused: Node) -> Node | None:
    """The root with what every member of its one union says of a property, or None where that would say more."""
    union = refused.get("anyOf") or refused.get("oneOf")
    if not union or root.get("additionalProperties", True) is not True or "unevaluatedProperties" in root:
        return None
    members = [_member(root, member) for member in union]
    own = root.get("properties", {})
    names = dict.fromkeys(name for member in members for name in member.get("properties", {}) if name not in own)
    properties = dict(own)
    for name in names:
        said = [member["properties"][name] for member in members if name in member.get("properties", {})]
        if len(said) < len(members):
            text = next((schema["description"] for schema in said if "description" in schema), None)
            properties[name] = {"description": text} if text else {}
        else:
            different = [schema for place, schema in enumerate(said) if schema not in said[:place]]
            properties[name] = different[0] if len(different) == 1 else {"anyOf": different}
    needed = set.intersection(*(set(member.get("required", ())) for member in members))
    required = [*root.get("required", ()), *sorted(needed - set(root.get("required", ())))]
    return {**root, "properties": properties, **({"required": required} if required else {})}


def _member(root: Node, member: Any) -> Node:
    """A member of a union, or what it refers to."""
    if isinstance(member, dict) and set(member) == {"$ref"}:
        return find(root, member["$ref"]) or member
    return dict(member)
