"""What the references of a stranger's JSON Schema multiply to, before a validator follows them. Pure: no I/O.

A schema of a few hundred bytes can double itself at every reference, or lead back to itself without a step into the
value. Both are found here in time linear in the schema, in any draft's keywords.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

Node = dict[str, Any]
"""A subschema."""

MOST_STEPS: Final = 20_000
"""The most subschemas that one look at a value may lead on to, references followed."""
_IN_PLACE_MAPS: Final = ("dependentSchemas", "dependencies")
_IN_PLACE_LISTS: Final = ("allOf", "anyOf", "oneOf")
_IN_PLACE_SINGLES: Final = ("not", "if", "then", "else")
_INTO_MAPS: Final = ("properties", "patternProperties")
_INTO: Final = (
    "items", "prefixItems", "additionalItems", "contains", "unevaluatedItems", "additionalProperties",
    "propertyNames", "unevaluatedProperties", "contentSchema",
)  # fmt: skip
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_ANCHORS: Final = ("$anchor", "$dynamicAnchor")
_UNEVALUATED: Final = frozenset({"unevaluatedItems", "unevaluatedProperties"})
_META: Final = "json-schema.org/"
_LONGEST_INDEX: Final = 6

Ahead = Callable[[Node], Iterator[Node]]
"""The subschemas that one leads on to."""


def check_references(schema: Any) -> int:
    """See that a look at a value by a schema ends soon.

    Returns how many times over one more level of nesting in a value may multiply the look: 1 where it does not.

    Raises:
        ValueError: a reference leads back to itself in place, or nowhere in this schema, or all of them multiply beyond
            `MOST_STEPS`.
    """
    if not isinstance(schema, dict):
        return 1
    document = _Document(schema)
    if not document.refers:
        return 1
    whole = _most([schema], document.ahead, _once, circles=True)
    # Whatever a circle leads to is a start of its own: what is looked at there again is looked at in place.
    reached = document.reached()
    if max(whole, _most(reached, document.in_place, _once, circles=False)) > MOST_STEPS:
        raise ValueError("its references multiply beyond measure")
    ways = _most(reached, document.in_place, partial(_ways, endless=document.endless(reached)), circles=False)
    # To know what is unevaluated, what evaluates is looked at again.
    again = any(node.keys() & _UNEVALUATED for node in reached)
    return max(1, 2 * ways if again else ways)


class _Document:
    """A schema and where its references lead."""

    def __init__(self, root: Node) -> None:
        self._root = root
        self._id = root.get("$id")
        self._anchors: dict[str, Node] = {}
        self.refers = False
        inner = False
        for node in _every(root):
            self.refers = self.refers or any(isinstance(node.get(name), str) for name in _REFERENCES)
            inner = inner or (node is not root and isinstance(node.get("$id"), str))
            for name in _ANCHORS:
                anchor = node.get(name)
                if isinstance(anchor, str) and self._anchors.setdefault(anchor, node) is not node:
                    raise ValueError(f"two of its anchors are {anchor[:100]!r}")
        if inner and self.refers:
            raise ValueError("it holds documents of their own ($id) and references, of which nobody can say where to")

    def in_place(self, node: Node) -> Iterator[Node]:
        """What is looked at for the same part of the value."""
        for name in _IN_PLACE_MAPS:
            yield from _nodes(_values(node.get(name)))
        for name in _IN_PLACE_LISTS:
            yield from _nodes(node.get(name))
        for name in _IN_PLACE_SINGLES:
            yield from _nodes([node.get(name)])
        for name in _REFERENCES:
            if isinstance(node.get(name), str):
                yield from _nodes([self._target(node[name])])

    def ahead(self, node: Node) -> Iterator[Node]:
        """What is looked at for the same part of the value, and for those within."""
        yield from self.in_place(node)
        for name in _INTO_MAPS:
            yield from _nodes(_values(node.get(name)))
        for name in _INTO:
            part = node.get(name)
            yield from _nodes(part if isinstance(part, list) else [part])

    def reached(self) -> list[Node]:
        """All that is looked at, each once."""
        found = {id(self._root): self._root}
        waiting = [self._root]
        while waiting:
            for child in self.ahead(waiting.pop()):
                if id(child) not in found:
                    found[id(child)] = child
                    waiting.append(child)
        return list(found.values())

    def endless(self, nodes: list[Node]) -> frozenset[int]:
        """The identities of those from which one can go on for ever: what is left once all that ends is taken away."""
        left = {id(node): sum(1 for _ in self.ahead(node)) for node in nodes}
        behind: dict[int, list[int]] = {key: [] for key in left}
        for node in nodes:
            for child in self.ahead(node):
                behind[id(child)].append(id(node))
        ends = [key for key, count in left.items() if count == 0]
        while ends:
            key = ends.pop()
            del left[key]
            for before in behind[key]:
                left[before] -= 1
                if left[before] == 0:
                    ends.append(before)
        return frozenset(left)

    def _target(self, reference: str) -> Any:
        document, _, fragment = reference.partition("#")
        if document.partition("://")[2].startswith(_META) and document != self._id:
            return None  # the schema of schemas, which the validator brings
        if document and document != self._id:
            raise ValueError(f"schemas may not refer to other documents: {reference[:100]}")
        fragment = unquote(fragment)
        if fragment and not fragment.startswith("/"):
            if fragment not in self._anchors:
                raise ValueError(f"{reference[:100]!r} leads nowhere")
            return self._anchors[fragment]
        here: Any = self._root
        for token in fragment.split("/")[1:]:
            key = token.replace("~1", "/").replace("~0", "~")
            if isinstance(here, dict) and key in here:
                here = here[key]
            elif isinstance(here, list) and _is_index(key) and int(key) < len(here):
                here = here[int(key)]
            else:
                raise ValueError(f"{reference[:100]!r} leads nowhere")
        return here


def _once(_node: Node) -> int:
    return 1


def _ways(node: Node, *, endless: frozenset[int]) -> int:
    """How many ways lead from a subschema itself on to the same part of a value, there to go on for ever."""

    def count(*parts: Any) -> int:
        return sum(id(one) in endless for part in parts for one in _nodes(part if isinstance(part, list) else [part]))

    # Of the parts that are told apart, by name or by place, each is led to by one of these alone.
    named = [*_values(node.get("properties")), node.get("additionalProperties")]
    placed = node.get("items")
    placed = [*(placed if isinstance(placed, list) else [placed]), node.get("additionalItems")]
    placed += node["prefixItems"] if isinstance(node.get("prefixItems"), list) else []
    members = min(1, count(named)) + count(_values(node.get("patternProperties")), node.get("unevaluatedProperties"))
    elements = min(1, count(placed)) + count(node.get("contains"), node.get("unevaluatedItems"))
    return max(members, elements)


def _most(starts: list[Node], ahead: Ahead, own: Callable[[Node], int], *, circles: bool) -> int:
    """What the worst of some starts comes to, each subschema with all that it leads to; at most `MOST_STEPS` + 1."""
    known: dict[int, int] = {}
    open_: set[int] = set()
    for start in starts:
        if id(start) in known:
            continue
        open_.add(id(start))
        path = [(start, ahead(start))]
        while path:
            here, children = path[-1]
            child = next(children, None)
            if child is None:
                path.pop()
                open_.discard(id(here))
                # Beyond the bound the exact figure does not matter, and would grow to hundreds of digits.
                known[id(here)] = min(own(here) + sum(known.get(id(one), 0) for one in ahead(here)), MOST_STEPS + 1)
            elif id(child) in open_:
                if not circles:
                    raise ValueError("one of its references leads back to itself")
            elif id(child) not in known:
                open_.add(id(child))
                path.append((child, ahead(child)))
    return max(known.values())


def _every(root: Node) -> Iterator[Node]:
    """Every object of a schema, whatever it is there for."""
    waiting: list[Any] = [root]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            yield here
        waiting += [part for part in (_values(here) or here) if isinstance(part, (dict, list))]


def _values(part: Any) -> list[Any]:
    return list(part.values()) if isinstance(part, dict) else []


def _nodes(parts: Any) -> Iterator[Node]:
    if isinstance(parts, list):
        yield from (part for part in parts if isinstance(part, dict))


def _is_index(token: str) -> bool:
    return token.isascii() and token.isdecimal() and len(token) <= _LONGEST_INDEX
