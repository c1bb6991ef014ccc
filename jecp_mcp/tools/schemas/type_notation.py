"""A published schema as the members of a TypeScript type, for a model that only reads it. Pure: no I/O.

It says the same as JSON Schema in about half the characters: one member a line, ``?`` behind the name of one that may
be left out, and behind ``//`` its words and bounds. What says more than the notation can is not written in it at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.tools.schemas.concise_schema import FORMS

Schema = Mapping[str, Any]

_TYPES: Final = frozenset({"string", "number", "integer", "boolean", "null", "object", "array"})
_UNIONS: Final = ("anyOf", "oneOf")
_WITHIN: Final = frozenset({"properties", "required", "items", "additionalProperties"})
_VALUED: Final = frozenset({"enum", "const"})
_STRUCTURE: Final = _WITHIN | _VALUED | {"type"}
_SILENT: Final = frozenset({"$schema", "$comment", "readOnly", "writeOnly"})
"""Keywords that say nothing to whoever gives arguments."""

_RANGES: Final = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " chars"),
    ("minItems", "maxItems", " items"),
    ("minProperties", "maxProperties", " members"),
)
_VALUES: Final[Mapping[str, str]] = {
    "exclusiveMinimum": "above",
    "exclusiveMaximum": "below",
    "multipleOf": "multiple of",
    "format": "format",
    "pattern": "pattern",
    "contentMediaType": "type",
    "contentEncoding": "in",
    "default": "default",
}
"""Keywords of one value, and the word before it."""

_FLAGS: Final[Mapping[str, str]] = {"uniqueItems": "no two alike", "deprecated": "deprecated"}
_TEXTS: Final = frozenset({"title", "description", "format", "pattern", "contentMediaType", "contentEncoding"})
_BOUNDS: Final = frozenset(name for least, most, _ in _RANGES for name in (least, most))
_NUMBERS: Final = _BOUNDS | {"exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
_KNOWN: Final = _STRUCTURE | _SILENT | _BOUNDS | _VALUES.keys() | _FLAGS.keys() | _TEXTS | {*_UNIONS, "examples"}

_IDENTIFIER: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_UNQUOTED: Final = re.compile(r"[^'\"\\]*")


def type_notation(schema: Schema) -> str | None:
    """The members of an object, one a line: name, type, words and bounds.

    Returns:
        Lines such as ``text: string // English text (max 20000 chars)``; None where the schema says what cannot be
        said so, such as which members exclude each other.
    """
    if schema.get("type") != "object" or not _VALUED.isdisjoint(schema) or not _is_covered(schema):
        return None
    note = _note(schema)
    lines = [f"// {note}"] if note else []
    return "\n".join([*lines, *_members(schema)]) or "{}"


def is_described(schema: Schema) -> bool:
    """Whether most members have a description, and none a type that is left open."""
    members = schema.get("properties")
    if not isinstance(members, Mapping) or any(map(_is_open, members.values())):
        return False
    return 2 * sum(bool(one.get("description")) for one in members.values()) > len(members)


def _is_open(schema: object) -> bool:
    """Whether a value, or one within it, can be of any shape as far as its schema says."""
    if not isinstance(schema, Mapping):
        return True
    match schema.get("type"):
        case "string" | "number" | "integer" | "boolean":
            return False
        case "array":
            return _is_open(schema.get("items"))
        case "object" if isinstance(members := schema.get("properties"), Mapping) and members:
            return any(map(_is_open, members.values()))
    return True


def _is_covered(schema: Any) -> bool:
    """Whether everything that a schema says can be said in the notation."""
    if isinstance(schema, bool):
        return schema
    return (
        isinstance(schema, Mapping)
        and _is_plain(schema)
        and all(map(_is_covered, _parts(schema)))
        # What a part of a choice says of itself has no place.
        and not any(map(_note, _union(schema)))
    )


def _is_plain(schema: Schema) -> bool:
    """Whether a schema has no keyword, and no value of one, that the notation cannot say; whatever its parts have."""
    texts = [schema[key] for key in _TEXTS & schema.keys()]
    members, required = schema.get("properties", {}), schema.get("required", [])
    # What stands beside a choice holds for each of its parts.
    choices = [schema[key] for key in _UNIONS if key in schema]
    alone = not choices or (len(choices) == 1 and _STRUCTURE.isdisjoint(schema))
    return (
        schema.keys() <= _KNOWN
        and all(isinstance(one, str) for one in texts)
        # A pattern is shown as it is, and of blanks at its ends nobody sees how many there are.
        and schema.get("pattern", "").isprintable()
        and schema.get("pattern", "").strip() == schema.get("pattern", "")
        and all(_is_of("number", schema[key]) for key in _NUMBERS & schema.keys())
        and isinstance(members, Mapping)
        and isinstance(required, list)
        and set(required) <= members.keys()
        and alone
        and _TYPES.issuperset(_types(schema))
        and (_VALUED.isdisjoint(schema) or _is_listed(schema))
        and ("oneOf" not in schema or _is_exclusive(schema["oneOf"]))
    )


def _is_listed(schema: Schema) -> bool:
    """Whether its values are all that a schema takes, whatever else it says of their shape."""
    values = [schema["const"]] if "const" in schema else schema["enum"]
    kinds = _types(schema)
    return (
        not schema.keys() >= _VALUED
        and _WITHIN.isdisjoint(schema)
        and isinstance(values, list)
        and bool(values)
        and (not kinds or all(any(_is_of(kind, one) for kind in kinds) for one in values))
    )


def _is_exclusive(choices: Any) -> bool:
    """Whether no value fits two of the choices, as far as their types say."""
    if not isinstance(choices, list) or not all(isinstance(one, Mapping) and "type" in one for one in choices):
        return False
    kinds = ["number" if kind == "integer" else kind for one in choices for kind in set(_types(one))]
    return len(set(kinds)) == len(kinds)


def _is_of(kind: str, value: Any) -> bool:
    """Whether a JSON value is of a type, where true is no number and 1.0 an integer."""
    if isinstance(value, bool) or value is None:
        return kind == ("null" if value is None else "boolean")
    if isinstance(value, int | float | Decimal):
        return kind == "number" or (kind == "integer" and Decimal(value) == Decimal(value).to_integral_value())
    return kind == ("string" if isinstance(value, str) else "array" if isinstance(value, list) else "object")


def _parts(schema: Schema) -> Iterator[Any]:
    yield from schema.get("properties", {}).values()
    yield from _union(schema)
    yield from (schema[key] for key in ("items", "additionalProperties") if schema.get(key, False) is not False)


def _union(schema: Schema) -> list[Any]:
    """The choices of a schema; where their keyword lists none, the one that nothing fits."""
    found: Any = next((schema[key] for key in _UNIONS if key in schema), None)
    return [] if found is None else found if isinstance(found, list) and found else [False]


def _types(schema: Schema) -> list[Any]:
    kinds = schema.get("type", "object" if "properties" in schema else "array" if "items" in schema else [])
    return kinds if isinstance(kinds, list) else [kinds]


def _members(schema: Schema) -> Iterator[str]:
    required = schema.get("required", [])
    for name, one in schema.get("properties", {}).items():
        shown = name if _IDENTIFIER.fullmatch(name) else _json(name)
        yield _line(f"{shown}{'' if name in required else '?'}", one)
    if (others := schema.get("additionalProperties", False)) is not False:
        yield _line("[name]", others)


def _line(name: str, schema: Any) -> str:
    note = _note(schema)
    return f"{name}: {_type(schema)}{f' // {note}' if note else ''}"


def _type(schema: Any) -> str:
    return " | ".join(_alternatives(schema))


def _alternatives(schema: Any) -> list[str]:
    """The types of which a value has one; none of them is a choice in turn, unless in brackets."""
    if not isinstance(schema, Mapping):
        return ["any"]
    if "const" in schema:
        return [_literal(schema["const"])]
    if "enum" in schema:
        return [*map(_literal, schema["enum"])]
    if union := _union(schema):
        return [kind for one in union for kind in _alternatives(one)]
    return [_of_kind(one, schema) for one in _types(schema)] or ["any"]


def _of_kind(kind: str, schema: Schema) -> str:
    if kind == "array":
        if (items := schema.get("items", True)) is False:
            return "[]"
        each = _alternatives(items)
        return f"{each[0]}[]" if len(each) == 1 else f"({' | '.join(each)})[]"
    if kind == "object":
        members = [*_members(schema)]
        closed = "{}" if schema.get("additionalProperties") is False else kind
        return "\n".join(["{", *members, "}"]) if members else closed
    return kind


def _note(schema: Any) -> str:
    """What is said of a value beside its type: words first, then what bounds it."""
    if not isinstance(schema, Mapping):
        return ""
    words = _on_one_line(schema.get("description") or schema.get("title") or "")
    bounds = ", ".join(_bounds(schema, words))
    if each := _note(schema.get("items")):
        bounds = f"{bounds}; each: {each}" if bounds else f"each: {each}"
    return f"{words} ({bounds})" if words and bounds else words or bounds


def _bounds(schema: Schema, words: str) -> Iterator[str]:
    for least, most, unit in _RANGES:
        low, high = (_json(schema[key]) if key in schema else None for key in (least, most))
        if low is not None and high is not None:
            yield f"{low}{unit}" if low == high else f"{low} to {high}{unit}"
        elif low is not None or high is not None:
            yield f"max {high}{unit}" if low is None else f"min {low}{unit}"
    for key, word in _VALUES.items():
        if key not in schema or (key == "contentEncoding" and schema[key] in words):
            continue
        value = schema[key]
        if key == "pattern" and value in FORMS:
            yield FORMS[value]
        else:
            yield f"{word} {value if key == 'pattern' else _on_one_line(value) if key in _TEXTS else _literal(value)}"
    yield from (words for key, words in _FLAGS.items() if schema.get(key) is True)
    if isinstance(examples := schema.get("examples"), list) and examples:
        yield f"such as {_literal(examples[0])}"


def _literal(value: Any) -> str:
    """A value as JSON; a text in the quotes that JSON does not escape, where it has none of its own."""
    if isinstance(value, str) and value.isprintable() and _UNQUOTED.fullmatch(value):
        return f"'{value}'"
    return _json(value)


def _json(value: Any) -> str:
    return jsontext.dumps(value).decode()


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
