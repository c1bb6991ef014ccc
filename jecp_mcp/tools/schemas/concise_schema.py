"""A published schema without what tells a model nothing, for whoever only reads it. Pure: no I/O.

Every schema in a list of tools is paid for in every context window. What is left out goes without saying, and is still
checked before anything is paid for: that no other arguments are taken, that a text is not empty, a length that a
pattern implies, bounds that no value comes near, and words and defaults that say nothing. What comes of it accepts
whatever the schema accepts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

_NAMED: Final = frozenset({"properties", "patternProperties", "$defs"})
_LISTED: Final = frozenset({"anyOf", "allOf", "prefixItems"})
_ONE: Final = frozenset({"items", "additionalProperties"})
_TURNING: Final = frozenset(
    {"not", "if", "oneOf", "contains", "propertyNames", "dependentSchemas", "unevaluatedProperties", "unevaluatedItems"}
)
"""Keywords under which less of a schema may refuse more, or a reference may stand that does."""

_NOTHING: Final[tuple[tuple[str, Any], ...]] = (
    ("minLength", 0),
    ("minLength", 1),
    ("minItems", 0),
    ("minProperties", 0),
    ("uniqueItems", False),
    ("required", []),
    ("deprecated", False),
    ("readOnly", False),
    ("writeOnly", False),
    ("default", None),
    ("default", False),
    ("default", ""),
    ("default", []),
    ("default", {}),
)
"""Keywords with a value that goes without saying."""

_FAR: Final = 10**12
"""A number so large bounds nothing that a model gives."""

_BOUNDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_PIECE: Final = re.compile(r"(?:\\d|\[[^\]\\^]+\]|[A-Za-z0-9_ :/-])(?:\{(\d{1,3})\})?")
_WORD: Final = re.compile(r"[^\W_]+")
_FILLERS: Final = frozenset({"a", "an", "the", "of", "this"})


def concise(schema: Schema) -> Schema:
    """What a model needs to read of a published schema; the same object where that is all of it."""
    if _turns(schema):
        return schema
    made = _shorter(schema, "")
    return schema if made == schema else made


def _turns(value: Any) -> bool:
    """Whether something in it may refuse more when less is said."""
    if isinstance(value, Mapping):
        return not _TURNING.isdisjoint(value) or any(map(_turns, value.values()))
    return isinstance(value, list) and any(map(_turns, value))


def _shorter(schema: Any, name: str) -> Any:
    """A subschema without what says nothing under the name that it has; "" where it has none."""
    if not isinstance(schema, Mapping):
        return schema
    return {key: _within(key, value) for key, value in schema.items() if not _says_nothing(schema, key, value, name)}


def _within(key: str, value: Any) -> Any:
    if key in _NAMED and isinstance(value, Mapping):
        return {name: _shorter(one, name) for name, one in value.items()}
    if key in _LISTED and isinstance(value, list):
        return [_shorter(one, "") for one in value]
    if key == "examples" and isinstance(value, list):
        return value[:1]
    return _shorter(value, "") if key in _ONE else value


def _says_nothing(schema: Schema, key: str, value: Any, name: str) -> bool:
    if any(key == one and type(value) is type(empty) and value == empty for one, empty in _NOTHING):
        return True
    match key:
        case "additionalProperties":
            # What takes no arguments at all says so; that it takes any others is said as it is.
            return value is False and bool(schema.get("properties")) and "patternProperties" not in schema
        case "minLength" | "maxLength":
            return isinstance(pattern := schema.get("pattern"), str) and value == _length(pattern)
        case "title" | "description":
            return isinstance(value, str) and bool(name) and _words(value) <= _words(f"{name} {schema.get('type', '')}")
    return key in _BOUNDS and isinstance(value, int | float) and abs(value) >= _FAR


def _length(pattern: str) -> int | None:
    """How long every text is that fits a pattern as plain as that of a date; None for any other."""
    inner, length = pattern.removeprefix("^").removesuffix("$"), 0
    if f"^{inner}$" != pattern:
        return None
    while inner:
        found = _PIECE.match(inner)
        if found is None:
            return None
        length, inner = length + int(found[1] or 1), inner[found.end() :]
    return length


def _words(text: str) -> frozenset[str]:
    """The words that say something, in small letters; a name in camel case has several."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return frozenset(_WORD.findall(apart.casefold())) - _FILLERS
