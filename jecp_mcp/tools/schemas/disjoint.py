"""Whether two schemas, or two values, are plainly not the same. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jecp_mcp.tools.schemas.references import Node


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal as JSON, where true is not 1."""
    match one, other:
        case (bool(), _) | (_, bool()):
            return one is other
        case (list(), list()):
            return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
        case (dict(), dict()):
            return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return bool(one == other)


def common(one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    """The values of one list that are in the other too."""
    return [value for value in one if any(same(value, another) for another in other)]


def apart(one: Node, other: Node, given: str | None) -> bool:
    """Whether it is plain to see that nothing meets both of two clean schemas.

    Args:
        given: the only type that matters where they stand, if there is one.
    """
    kinds = _kinds(one, given) & _kinds(other, given)
    if not kinds or _no_value_in_common(one, other):
        return True
    if kinds != {"object"}:
        return False
    for name in {*one.get("required", ()), *other.get("required", ())}:
        parts = [side.get("properties", {}).get(name, {}) for side in (one, other)]
        if all(name in side.get("required", ()) for side in (one, other)) and _no_value_in_common(*parts):
            return True
        for this, that in ((one, other), (other, one)):
            closed = that.get("additionalProperties") is False and "patternProperties" not in that
            if name in this.get("required", ()) and closed and name not in that.get("properties", {}):
                return True
    return False


_KINDS = frozenset({"object", "array", "string", "number", "boolean", "null"})


def _kinds(node: Node, given: str | None) -> frozenset[str]:
    """The types of values that a schema may accept; an integer is a number."""
    said = node.get("type", given)
    if said is None:
        return _KINDS
    return frozenset("number" if kind == "integer" else kind for kind in ([said] if isinstance(said, str) else said))


def _no_value_in_common(one: Node, other: Node) -> bool:
    mine, theirs = _values(one), _values(other)
    return mine is not None and theirs is not None and not common(mine, theirs)


def _values(node: Node) -> list[Any] | None:
    """The only values that a schema accepts, if it says so outright."""
    return [node["const"]] if "const" in node else node.get("enum")
