"""What changed from one input schema to another, as seen by whoever fills it in. Pure: no I/O.

The answer errs to the strict side: what cannot be shown to accept at least what was accepted counts as narrower, and a
keyword this module does not know counts as everything at once. Works on JSON Schema 2020-12 and the drafts before it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from enum import Flag, auto
from typing import Any, Final


class SchemaChange(Flag):
    """How a schema differs from the one before.

    Attributes:
        WIDER: it may accept what was not accepted.
        NARROWER: it may refuse what was accepted.
        WORDS: it says something it did not say, or asks for something it did not ask for.
    """

    NONE = 0
    WIDER = auto()
    NARROWER = auto()
    WORDS = auto()


_NONE: Final = SchemaChange.NONE
_WIDER: Final = SchemaChange.WIDER
_NARROWER: Final = SchemaChange.NARROWER
_WORDS: Final = SchemaChange.WORDS
_OTHER: Final = _WIDER | _NARROWER
_ANY: Final = _OTHER | _WORDS

_MOST_LEVELS: Final = 40
_MISSING: Final = object()
_OTHER_NAMES: Final = frozenset({"patternProperties", "unevaluatedProperties"})
"""Keywords that decide, beside ``additionalProperties``, over properties which are not named."""

_TYPES: Final = frozenset({"null", "boolean", "object", "array", "number", "string", "integer"})


def schema_change(old: object, new: object) -> SchemaChange:
    """How `new` differs from `old`; two schemas that differ only in the order of their keys do not."""
    return _relate(old, new, 0)


def _relate(old: object, new: object, depth: int) -> SchemaChange:
    if _same(old, new):
        return _NONE
    if depth > _MOST_LEVELS:
        return _ANY
    if new is False:
        return _NARROWER
    if old is False:
        return _WIDER | _spoken(new)
    before, after = _keywords(old), _keywords(new)
    if before is None or after is None:
        return _ANY
    found = _properties(before, after, depth + 1)
    for keyword in (before.keys() | after.keys()) - {"properties"}:
        a, b = before.get(keyword, _MISSING), after.get(keyword, _MISSING)
        if not _same(a, b):
            found |= _RULES.get(keyword, _unknown)(a, b, depth + 1)
    return found


def _keywords(schema: object) -> Mapping[str, Any] | None:
    """A subschema's keywords; True and a missing one say nothing."""
    if schema is True or schema is _MISSING:
        return {}
    return schema if isinstance(schema, Mapping) else None


def _same(a: object, b: object) -> bool:
    """Whether two JSON values are the same. In Python 1 is True and 1.0; in JSON Schema a boolean is no number."""
    if a is b:
        return True
    return a is not _MISSING and b is not _MISSING and _text(a) == _text(b)


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _spoken(schema: object) -> SchemaChange:
    """Whether a part that was not there says anything."""
    return _WORDS if any(isinstance(part, str) for part in _parts(schema, 0)) else _NONE


def _parts(value: object, depth: int) -> Iterator[object]:
    if depth > _MOST_LEVELS:
        yield "too deep to look"
    elif isinstance(value, Mapping):
        yield from value
        for part in value.values():
            yield from _parts(part, depth + 1)
    elif isinstance(value, list):
        for part in value:
            yield from _parts(part, depth + 1)
    elif value is not _MISSING:
        yield value


def _unknown(a: object, b: object, depth: int) -> SchemaChange:  # noqa: ARG001 - one of the rules
    return _ANY


def _annotation(a: object, b: object, depth: int) -> SchemaChange:  # noqa: ARG001 - one of the rules
    return _WORDS


def _incomparable(a: object, b: object, depth: int) -> SchemaChange:  # noqa: ARG001 - one of the rules
    """A constraint of which only the presence can be compared."""
    if b is _MISSING:
        return _WIDER
    return (_NARROWER if a is _MISSING else _OTHER) | _spoken(b)


def _upper(a: object, b: object, depth: int) -> SchemaChange:  # noqa: ARG001 - one of the rules
    return _bound(a, b, 1)


def _lower(a: object, b: object, depth: int) -> SchemaChange:  # noqa: ARG001 - one of the rules
    return _bound(a, b, -1)


def _bound(a: object, b: object, sign: int) -> SchemaChange:
    if not (_is_number(a) and _is_number(b)):
        return _OTHER
    if b is _MISSING:
        return _WIDER
    if a is _MISSING:
        return _NARROWER
    return _WIDER if (b - a) * sign > 0 else _NARROWER  # type: ignore[operator]  # both are numbers here


def _is_number(value: object) -> bool:
    return value is _MISSING or (isinstance(value, (int, float, Decimal)) and not isinstance(value, bool))


def _unique(a: object, b: object, depth: int) -> SchemaChange:  # noqa: ARG001 - one of the rules
    was, now = a is True, b is True
    return _NONE if was == now else _NARROWER if now else _WIDER


def _required(a: object, b: object, depth: int) -> SchemaChange:  # noqa: ARG001 - one of the rules
    was, now = _texts(a), _texts(b)
    if was is None or now is None:
        return _OTHER
    return (_NARROWER if now - was else _NONE) | (_WIDER if was - now else _NONE)


def _texts(value: object) -> frozenset[str] | None:
    if value is _MISSING:
        return frozenset()
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return frozenset(value)
    return None


def _type(a: object, b: object, depth: int) -> SchemaChange:  # noqa: ARG001 - one of the rules
    was, now = _type_names(a), _type_names(b)
    if was is None or now is None:
        return _OTHER
    return (_NARROWER if was - now else _NONE) | (_WIDER if now - was else _NONE)


def _type_names(value: object) -> frozenset[str] | None:
    if value is _MISSING:
        return _TYPES
    names = _texts([value] if isinstance(value, str) else value)
    if names is None or not names <= _TYPES:
        return None
    return names | {"integer"} if "number" in names else names


def _enum(a: object, b: object, depth: int) -> SchemaChange:  # noqa: ARG001 - one of the rules
    if b is _MISSING:
        return _WIDER
    if not isinstance(b, list) or not (a is _MISSING or isinstance(a, list)):
        return _ANY
    now = {_text(member): member for member in b}
    if not isinstance(a, list):
        return _NARROWER | _spoken(b)
    was = {_text(member) for member in a}
    added = [member for text, member in now.items() if text not in was]
    removed = was - now.keys()
    return (_WIDER | _spoken(added) if added else _NONE) | (_NARROWER if removed else _NONE)


def _sub(a: object, b: object, depth: int) -> SchemaChange:
    """A part that constrains the whole as it constrains itself."""
    return _relate(True if a is _MISSING else a, True if b is _MISSING else b, depth)


def _negated(a: object, b: object, depth: int) -> SchemaChange:
    if a is _MISSING or b is _MISSING:
        return _incomparable(a, b, depth)
    inner = _relate(a, b, depth)
    turned = (_NARROWER if inner & _WIDER else _NONE) | (_WIDER if inner & _NARROWER else _NONE)
    return turned | (inner & _WORDS)


def _properties(before: Mapping[str, Any], after: Mapping[str, Any], depth: int) -> SchemaChange:
    """Properties by name, one that a side does not name being what the side says of all others.

    One more asks for more, and one less is no longer explained: both change the words.
    """
    was, now = before.get("properties", {}), after.get("properties", {})
    if not isinstance(was, Mapping) or not isinstance(now, Mapping):
        return _ANY
    one_sided = was.keys() ^ now.keys()
    if one_sided and not _OTHER_NAMES.isdisjoint(before.keys() | after.keys()):
        return _ANY
    found = _WORDS if one_sided else _NONE
    for name in was.keys() | now.keys():
        found |= _relate(
            was.get(name, before.get("additionalProperties", True)),
            now.get(name, after.get("additionalProperties", True)),
            depth,
        )
    return found


def _all_of(a: object, b: object, depth: int) -> SchemaChange:
    return _listed(a, b, depth, more=_NARROWER)


def _any_of(a: object, b: object, depth: int) -> SchemaChange:
    if a is _MISSING or b is _MISSING:
        return _incomparable(a, b, depth)
    return _listed(a, b, depth, more=_WIDER)


def _listed(a: object, b: object, depth: int, *, more: SchemaChange) -> SchemaChange:
    was, now = ([] if side is _MISSING else side for side in (a, b))
    if not isinstance(was, list) or not isinstance(now, list):
        return _ANY
    found = _NONE
    for before, after in zip(was, now, strict=False):
        found |= _relate(before, after, depth)
    if len(now) > len(was):
        found |= more | _spoken(now[len(was) :])
    elif len(was) > len(now):
        found |= _NARROWER if more is _WIDER else _WIDER
    return found


_Rule = Callable[[object, object, int], SchemaChange]

_RULES: Final[Mapping[str, _Rule]] = {
    **dict.fromkeys(
        ("title", "description", "$comment", "examples", "default", "deprecated", "readOnly", "writeOnly"), _annotation
    ),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains"), _upper),
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains"), _lower),
    **dict.fromkeys(("items", "additionalProperties", "propertyNames", "unevaluatedProperties"), _sub),
    **dict.fromkeys(("pattern", "format", "multipleOf"), _incomparable),
    "type": _type,
    "enum": _enum,
    "required": _required,
    "uniqueItems": _unique,
    "allOf": _all_of,
    "anyOf": _any_of,
    "not": _negated,
}
