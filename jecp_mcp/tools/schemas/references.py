"""Where a clean schema's subschemas are, which references lead to one, and what following them may cost. Pure: no I/O.

A schema of a few hundred bytes can double itself at every reference, or lead back to itself without ever stepping into
the arguments. Both stop a validator, ours or a host's, so both are found here, in time linear in the schema.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from math import log
from typing import Any, Final
from urllib.parse import quote, unquote

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
_APPLIED: Final = (PART_MAPS | PART_LISTS | PART_SINGLES) - {"$defs"}
_LONGEST_INDEX: Final = 3
_UNESCAPED: Final = "~!$&'()*+,;=:@"
"""What stands as it is in a URI fragment (RFC 3986 §3.5), beside letters, digits and ``-._``."""

MOST_WORK: Final = 1_000_000
"""The most subschemas that checking arguments against a recursive schema may come to."""

MOST_STEPS: Final = 20_000
"""The most subschemas that one visit to a schema may lead on to, references followed."""


class TooLarge(Exception):  # the reason a schema is unfit, turned into a value by `publishable_schema.fit`
    """Following the references never ends, or nearly so."""


def resolve(raw: object, ref: str) -> object:
    """What a reference (RFC 6901, as a URI fragment) leads to in a document of any kind; None for nothing."""
    here = raw
    for token in _tokens(ref):
        if isinstance(here, Mapping):
            here = here.get(token)
        elif isinstance(here, list) and _is_index(token) and int(token) < len(here):
            here = here[int(token)]
        else:
            return None
    return here


def places(root: Node) -> dict[int, str]:
    """The reference to each subschema of a clean schema, by the subschema's identity."""
    found: dict[int, str] = {}
    waiting = [("#", root)]
    while waiting:
        place, node = waiting.pop()
        found.setdefault(id(node), place)
        for keyword, value in node.items():
            at = f"{place}/{keyword}"
            if keyword in PART_MAPS:
                waiting += ((f"{at}/{escape_token(name)}", part) for name, part in value.items())
            elif keyword in PART_LISTS:
                waiting += ((f"{at}/{number}", part) for number, part in enumerate(value))
            elif keyword in PART_SINGLES and isinstance(value, dict):
                waiting.append((at, value))
    return found


def find(root: Node, ref: str) -> Node | None:
    """The subschema that a reference of a clean schema leads to, or None."""
    found = resolve(root, ref)
    return found if isinstance(found, dict) else None


def names_at_root(root: Node) -> frozenset[str]:
    """The names of the properties that a clean schema has for the arguments themselves, in any of its alternatives."""
    targets = _targets(root)
    return frozenset(name for node in _postorder([root], targets, _IN_PLACE) for name in node.get("properties", ()))


def with_types(root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same condition, with the type of what it leads to beside a reference; the same object where none is added."""
    targets = _targets(dict(root))
    if not targets:
        return root
    made = copy.deepcopy(dict(root))
    targets, added = _targets(made), False
    for node in _all(made):
        target = targets.get(id(node))
        seen = {id(node)}
        while target is not None and "type" not in target and id(target) not in seen:
            seen.add(id(target))
            target = targets.get(id(target))
        if id(node) in targets and "type" not in node and target is not None and "type" in target:
            node["type"] = target["type"]
            added = True
    return made if added else root


def drop_unused(root: Node) -> frozenset[str]:
    """Take away the definitions that nothing refers to, and name them; they would cost every reader their length."""
    defs = root.get("$defs")
    if not defs:
        return frozenset()
    waiting = [{keyword: value for keyword, value in root.items() if keyword != "$defs"}]
    used: set[str] = set()
    while waiting:
        for node in _all(waiting.pop()):
            tokens = _tokens(node.get("$ref", ""))
            if tokens[:1] == ["$defs"] and tokens[1] not in used:
                used.add(tokens[1])
                waiting.append(defs[tokens[1]])
    unused = frozenset(defs) - used
    if unused:
        root["$defs"] = {name: part for name, part in defs.items() if name in used}
        if not used:
            del root["$defs"]
    return unused


def check_expansion(root: Node) -> None:
    """See that checking an instance against a clean schema ends soon.

    Raises:
        TooLarge: a reference leads back to itself in place, or the references multiply beyond `MOST_STEPS`.
    """
    targets = _targets(root)
    if max(_visits(_all(root), targets, _IN_PLACE), visits(root)) > MOST_STEPS:
        raise TooLarge("the references of the input schema multiply beyond measure")


def visits(root: Node) -> int:
    """How many subschemas a look at the arguments leads on to, references followed; no more than `MOST_STEPS` + 1."""
    return _visits([root], _targets(root), _APPLIED)


def _visits(starts: Iterable[Node], targets: dict[int, Node], keywords: frozenset[str]) -> int:
    known: dict[int, int] = {}
    for node in _postorder(starts, targets, keywords):
        total = 1 + sum(known.get(id(child), 0) for child in _next(node, targets, keywords))
        # Beyond the bound the exact figure does not matter, and would grow to hundreds of digits.
        known[id(node)] = min(total, MOST_STEPS + 1)
    return max(known.values())


def silence_unions(root: Node) -> Node:
    """The same condition with every union under ``if``, where a checker does not note what is wrong in each member."""
    root = copy.deepcopy(root)
    nodes, targets = list(_all(root)), _targets(root)
    for node in nodes:
        for keyword in node.keys() & {"anyOf", "oneOf"}:
            asked = {"if": {keyword: node.pop(keyword)}, "then": {}, "else": False}
            node["allOf"] = [*node.get("allOf", ()), asked]
    found = places(root)
    for node in nodes:
        if id(node) in targets:
            node["$ref"] = found[id(targets[id(node)])]
    return root


def _postorder(starts: Iterable[Node], targets: dict[int, Node], keywords: frozenset[str]) -> Iterator[Node]:
    """The subschemas that some lead on to, each once and after those it leads on to itself.

    Through keywords that step into the arguments a circle is sound, and ends where it began; in place it never ends.
    """
    done: dict[int, bool] = {}
    for start in starts:
        if id(start) in done:
            continue
        done[id(start)] = False
        path = [(start, _next(start, targets, keywords))]
        while path:
            here, ahead = path[-1]
            child = next(ahead, None)
            if child is None:
                path.pop()
                done[id(here)] = True
                yield here
            elif id(child) not in done:
                done[id(child)] = False
                path.append((child, _next(child, targets, keywords)))
            elif not done[id(child)] and keywords is _IN_PLACE:
                raise TooLarge("a reference of the input schema leads back to itself")


def recursive(root: Node) -> list[Node]:
    """The subschemas of a clean schema whose references lead round in circles."""
    targets = _targets(root)
    circling = _circling(root, targets)
    return [node for node in _all(root) if id(node) in circling and id(targets.get(id(node))) in circling]


def growth(root: Node) -> int:
    """How many times over one more level of nesting in the arguments may multiply the work: 1 where it does not.

    Parts of the arguments are looked at once for each way that leads a recursive schema there.
    """
    targets = _targets(root)
    circling = _circling(root, targets)
    # How many ways lead on from a subschema to each property and, under no name, to any part.
    ways: dict[int, Counter[str]] = {}
    most = 1
    for node in _postorder(_all(root), targets, _IN_PLACE):
        found = ways[id(node)] = Counter()
        for step, child in _steps(node, targets):
            if step is None:
                found.update(ways[id(child)])
            elif id(child) in circling:
                found[step] += 1
        if id(node) in circling:
            most = max(most, found[""] + max((count for name, count in found.items() if name), default=0))
    # To know what is unevaluated, what evaluates is looked at again.
    again = any(node.keys() & {"unevaluatedItems", "unevaluatedProperties"} for node in _all(root)) and bool(circling)
    return 2 * most if again else most


def _circling(root: Node, targets: dict[int, Node]) -> set[int]:
    """The identities of the subschemas on, or between, the ways on which references lead round in circles."""
    if not targets:
        return set()
    ahead = {id(node): [id(child) for child in _next(node, targets, None)] for node in _all(root)}
    behind: dict[int, list[int]] = {key: [] for key in ahead}
    for key, children in ahead.items():
        for child in children:
            behind[child].append(key)
    return _endless(ahead, behind) & _endless(behind, ahead)


def _endless(ahead: dict[int, list[int]], behind: dict[int, list[int]]) -> set[int]:
    """What one can go on from for ever: what is left when what leads nowhere is taken away, again and again."""
    left = {key: len(children) for key, children in ahead.items()}
    free = [key for key, count in left.items() if count == 0]
    while free:
        for key in behind[free.pop()]:
            left[key] -= 1
            if left[key] == 0:
                free.append(key)
    return {key for key, count in left.items() if count}


def _steps(node: Node, targets: dict[int, Node]) -> Iterator[tuple[str | None, Node]]:
    """The subschemas next to one: of the same part of the arguments (None), a property's, or of any part within."""
    for keyword in node.keys() & _APPLIED:
        if keyword == "properties":
            yield from ((f"/{name}", part) for name, part in node[keyword].items())
        else:
            step = None if keyword in _IN_PLACE else ""
            yield from ((step, part) for part in _next({keyword: node[keyword]}, {}, None))
    if id(node) in targets:
        yield None, targets[id(node)]


def deepest(root: Node) -> int | None:
    """How deep arguments may nest for their check against a clean schema to end soon; None: as deep as they like."""
    times = growth(root)
    return int(log(MOST_WORK) / log(times)) if times > 1 else None


def _targets(root: Node) -> dict[int, Node]:
    """The subschema each reference leads to, by the identity of the subschema that holds it."""
    found = {id(node): find(root, node["$ref"]) for node in _all(root) if "$ref" in node}
    return {key: target for key, target in found.items() if target is not None}


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


def _tokens(ref: str) -> list[str]:
    return [token.replace("~1", "/").replace("~0", "~") for token in unquote(ref[1:]).split("/")[1:]]


def escape_token(token: str) -> str:
    """A key as a part of a reference."""
    return quote(token.replace("~", "~0").replace("/", "~1"), safe=_UNESCAPED)
