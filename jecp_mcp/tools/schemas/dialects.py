"""A published schema in the dialect that every model's API reads. Pure: no I/O.

The dialect has one ``type`` to a schema, ``properties``, ``items``, ``enum`` and bounds; ``anyOf`` below the root,
alone but for words; no references. A schema is taken apart into its alternatives, each without a choice in it, and put
together again. What comes of it accepts exactly what the schema accepts; a schema of which that cannot be said is not
put into the dialect at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from itertools import combinations, product
from typing import Any, Final, NamedTuple

from jecp_mcp.tools.publishing.cleaning import clean
from jecp_mcp.tools.schemas.disjoint import apart, common, same
from jecp_mcp.tools.schemas.references import Node, find
from jecp_mcp.tools.schemas.root_object import unfold

MOST_ALTERNATIVES: Final = 24
MOST_STEPS: Final = 1_000
MOST_NESTED: Final = 64
MAX_DEPTH: Final = 20
MAX_BYTES: Final = 48 * 1024

_KEY: Final = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_SHOWN: Final = 40

_WORDS: Final = ("title", "description", "default")
_OF: Final[Mapping[str, frozenset[str]]] = {
    "object": frozenset({"properties", "required", "additionalProperties", "minProperties", "maxProperties"}),
    "array": frozenset({"items", "minItems", "maxItems", "uniqueItems"}),
    "string": frozenset({"minLength", "maxLength", "pattern"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
}
_BOUNDS: Final = frozenset[str]().union(*_OF.values())
_WITHOUT_EFFECT: Final = frozenset(
    {"examples", "deprecated", "readOnly", "writeOnly", "format", "contentEncoding", "contentMediaType", "$defs"}
)
_LOWER: Final = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
_UPPER: Final = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})


class Beyond(NamedTuple):
    """Why a schema is not in the dialect, in our own words."""

    reason: str


class _Beyond(Exception):  # a way out of the recursion, never seen outside this module
    """The schema says what the dialect has no words for."""


def plain(schema: Mapping[str, Any]) -> Node | Beyond:
    """A published schema in the dialect, or why it cannot be put into it."""
    walk = _Walk(unfold(dict(schema)))
    try:
        root: Node = {"type": "object", **walk.write(walk.only_form(), 0)}
    except _Beyond as exc:
        return Beyond(f"its input schema {exc}, which not every model's API reads")
    root.setdefault("properties", {})
    if len(json.dumps(root, ensure_ascii=False)) > MAX_BYTES:
        return Beyond("its input schema is too large with its references written out")
    return root


def odd_key(schema: Mapping[str, Any]) -> Beyond | None:
    """A name of an argument for which some model's API refuses a whole request; None where there is none.

    What the arguments hold may have any names: only the root's are looked at there.
    """
    odd = next((name for name in schema["properties"] if not _KEY.fullmatch(name)), None)
    if odd is None:
        return None
    return Beyond(f"its property {clean(odd, _SHOWN, one_line=True)!r} has a name that not every model's API takes")


class _Walk:
    """One schema being taken apart and put together."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self._steps = 0
        self._nested = 0

    def only_form(self) -> Node:
        """The root, as what objects there have to meet."""
        found = [one for one in self.alternatives(self.root, "object") if one.get("type", "object") == "object"]
        joined = _join(found)
        if len(joined) != 1 or "enum" in joined[0]:
            raise _Beyond("chooses between forms at its root")
        return joined[0]

    def alternatives(self, node: Node, given: str | None) -> list[Node]:
        """What a schema accepts, as schemas without a choice in them: a value has to meet one. Empty: nothing.

        Args:
            given: the only type that matters where the schema stands, if there is one.
        """
        self._steps += 1
        if self._steps > MOST_STEPS or self._nested > MOST_NESTED:
            raise _Beyond("is too large with its references written out")
        if node.get("not") == {}:
            return []
        kind = node.get("type", given)
        given = kind if isinstance(kind, str) else None
        made = [{**one, **_words(node)} for one in _split_types(node)]
        for keyword, value in node.items():
            self._nested += 1
            members = self._members(keyword, value, given)
            self._nested -= 1
            if members is None:
                _check_known(keyword, node)
                continue
            for part in members:
                mine = keyword in {"$ref", "allOf"}
                both = [_both(one, other, mine=mine) for one, other in product(made, part)]
                made = [one for one in both if one is not None]
                if len(made) > MOST_ALTERNATIVES:
                    raise _Beyond("has too many alternatives")
        return made

    def _members(self, keyword: str, value: Any, given: str | None) -> list[list[Node]] | None:
        """What a keyword asks for beside the rest: one of the first list, and one of the second, and so on."""
        match keyword:
            case "$ref":
                found = find(self.root, value)
                return [] if found is None else [self.alternatives(found, given)]
            case "allOf":
                return [self.alternatives(member, given) for member in value]
            case "anyOf" | "oneOf":
                members = [self.alternatives(member, given) for member in value]
                pairs = combinations(members, 2) if keyword == "oneOf" else ()
                if not all(_exclude(one, other, given) for one, other in pairs):
                    raise _Beyond("uses oneOf with members that may overlap")
                return [[one for member in members for one in member]]
        return None

    def write(self, one: Node, depth: int) -> Node:
        """An alternative with the subschemas in it put into the dialect."""
        if depth > MAX_DEPTH:
            raise _Beyond("refers to itself, or nests too deep")
        made = dict(one)
        if "properties" in made:
            made["properties"] = {name: self._some(item, depth) for name, item in made["properties"].items()}
        if "items" in made:
            made["items"] = self._some(made["items"], depth)
        rest = made.get("additionalProperties")
        if isinstance(rest, dict):
            made["additionalProperties"] = rest = self._value(rest, depth)
        if rest in (True, {}):
            del made["additionalProperties"]
        return made

    def _some(self, node: Node, depth: int) -> Node:
        found = self._value(node, depth)
        if found is False:
            raise _Beyond("forbids what it names")
        assert isinstance(found, dict)
        return found

    def _value(self, node: Node, depth: int) -> Node | bool:
        """A subschema in the dialect; False for one that accepts nothing."""
        found = _join(self.alternatives(node, None))
        if len(found) < 2:  # noqa: PLR2004 - none or one
            return self.write(found[0], depth + 1) if found else False
        outer = _words(node)
        members = [
            {name: said for name, said in one.items() if name not in outer or said != outer[name]} for one in found
        ]
        return {**outer, "anyOf": [self.write(one, depth + 1) for one in members]}


def _check_known(keyword: str, node: Node) -> None:
    """See that nothing is lost by leaving a keyword out."""
    if keyword in _BOUNDS or keyword in _WORDS or keyword in _WITHOUT_EFFECT or keyword in {"type", "enum", "const"}:
        return
    alone = keyword == "if" and not node.keys() & {"then", "else"}
    if not alone and not (keyword in {"then", "else"} and "if" not in node):
        raise _Beyond(f"uses {keyword}")


def _words(node: Node) -> Node:
    """A schema's words; its format is one of them, since a format is not enforced."""
    words: Node = {name: node[name] for name in _WORDS if name in node}
    if "format" in node:
        words["description"] = f"{words.get('description', '')} (format: {node['format']})".strip()
    return words


def _split_types(node: Node) -> list[Node]:
    """The types, bounds and values of one schema, as one schema for each type."""
    own = {keyword: value for keyword, value in node.items() if keyword in _BOUNDS}
    values = node.get("enum")
    if "const" in node:
        values = [node["const"]] if values is None else [one for one in values if same(one, node["const"])]
    kinds = node.get("type")
    if kinds is None:
        if values is None:
            return [own]
        kinds = [kind for kind in _KINDS if any(_is(kind, value) for value in values)]
    kinds = (
        [kinds] if isinstance(kinds, str) else [kind for kind in kinds if kind != "integer" or "number" not in kinds]
    )
    made = []
    for kind in kinds:
        one = {"type": kind, **_bounds(own, kind)}
        if values is not None:
            one["enum"] = [value for value in values if _is(kind, value)]
        if one.get("enum") != []:
            made.append(one)
    return made


_KINDS: Final = ("string", "number", "boolean", "object", "array", "null")


def _is(kind: str, value: Any) -> bool:
    """Whether a value is of a type."""
    match value:
        case bool():
            return kind == "boolean"
        case None:
            return kind == "null"
        case str():
            return kind == "string"
        case list():
            return kind == "array"
        case dict():
            return kind == "object"
    return kind == "number" or (kind == "integer" and value == int(value))


def _bounds(node: Node, kind: str) -> Node:
    """The bounds that matter for a type."""
    matter = _OF.get("number" if kind == "integer" else kind, frozenset())
    return {keyword: value for keyword, value in node.items() if keyword not in _BOUNDS or keyword in matter}


def _both(one: Node, other: Node, *, mine: bool) -> Node | None:
    """What meets both of two schemas without a choice in them, or None when nothing can.

    Args:
        mine: whether the first one's words count for more.
    """
    kind = _kind_of_both(one.get("type"), other.get("type"))
    if kind is None:
        return None
    if kind:
        one, other = _bounds(one, kind), _bounds(other, kind)
    made: Node = {**other, **one} if mine else {**one, **other}
    if kind:
        made["type"] = kind
    _check_rest(one, other)
    for keyword in (one.keys() & other.keys()) - {"type", *_WORDS}:
        made[keyword] = _joint(keyword, one[keyword], other[keyword])
    if kind and "enum" in made:
        made["enum"] = [value for value in made["enum"] if _is(kind, value)]
    return None if made.get("enum") == [] else made


def _kind_of_both(one: str | None, other: str | None) -> str | None:
    """The type of what is of both types; empty for any, None for no type."""
    if one == other or other is None:
        return one or ""
    if one is None:
        return other
    return "integer" if {one, other} == {"integer", "number"} else None


def _check_rest(one: Node, other: Node) -> None:
    """See that what one says of all other properties is not about one that the other names."""
    for this, that in ((one, other), (other, one)):
        limited = this.get("additionalProperties", True) not in (True, {})
        if limited and not that.get("properties", {}).keys() <= this.get("properties", {}).keys():
            raise _Beyond("combines lists of properties of which one is closed")


def _joint(keyword: str, one: Any, other: Any) -> Any:
    """What two values of a keyword come to together."""
    joint = one
    match keyword:
        case _ if keyword in _LOWER:
            joint = max(one, other)
        case _ if keyword in _UPPER:
            joint = min(one, other)
        case "required":
            joint = list(dict.fromkeys([*one, *other]))
        case "uniqueItems":
            joint = one or other
        case "enum":
            joint = common(one, other)
        case "properties":
            joint = {name: _all_of(one.get(name), other.get(name)) for name in {**one, **other}}
        case "items" | "additionalProperties" if isinstance(one, dict) and isinstance(other, dict):
            joint = _all_of(one, other)
        case "additionalProperties":
            joint = False if False in (one, other) else other if one is True else one
        case _ if not same(one, other):
            raise _Beyond(f"asks for two values of {keyword} at once")
    return joint


def _all_of(one: Node | None, other: Node | None) -> Node:
    if one is None or other is None or same(one, other):
        return one if one is not None else other or {}
    return {"allOf": [one, other]}


def _exclude(some: Iterable[Node], others: list[Node], given: str | None) -> bool:
    """Whether nothing meets an alternative of both."""
    return all(apart(one, other, given) for one, other in product(some, others))


def _join(alternatives: list[Node]) -> list[Node]:
    """The same alternatives as fewer, where two say together what one can say."""
    made: list[Node] = []
    for one in alternatives:
        for place, other in enumerate(made):
            joint = _union(other, one)
            if joint is not None:
                made[place] = joint
                break
        else:
            made.append(one)
    return made


def _union(one: Node, other: Node) -> Node | None:
    """What meets one of two schemas, as one without a choice at its own level, or None where that cannot be said."""
    if same(one, other) or not one.keys() - set(_WORDS):
        return one
    if not other.keys() - set(_WORDS):
        return other
    different = [keyword for keyword in {**one, **other} if not same(one.get(keyword), other.get(keyword))]
    if different == ["enum"] and "enum" in one and "enum" in other:
        more = [value for value in other["enum"] if not any(same(value, known) for known in one["enum"])]
        return {**one, "enum": one["enum"] + more}
    if different == ["properties"] and one.get("properties", {}).keys() == other.get("properties", {}).keys():
        mine, theirs = one["properties"], other["properties"]
        names = [name for name in mine if not same(mine[name], theirs[name])]
        if len(names) == 1:
            return {**one, "properties": {**mine, names[0]: {"anyOf": [mine[names[0]], theirs[names[0]]]}}}
    return None
