"""What an action gives back, in one line, from its output schema. Pure: no I/O.

The schema is a stranger's: names are cleaned and cut, and no more of them is read than is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from jecp_mcp.domain.offers import Offer
from jecp_mcp.tools.publishing import file_words
from jecp_mcp.tools.publishing.cleaning import clean, safe_text

_DEPTH: Final = 3
_FIELDS: Final = 12
_CHOICES: Final = 6
_NAME: Final = 40
_LENGTH: Final = 400
_FILE: Final = "contentEncoding"
_TYPES: Final = frozenset({"string", "number", "integer", "boolean", "number or null"})
"""What is left out: the field's name says enough."""


def return_words(action: Offer) -> str:
    """One line such as ``rows, columns [{name, missing, outliers}]``; ``""`` where nothing is said."""
    said = _fields(action.output_schema, _DEPTH) or _kind(action.output_schema, _DEPTH)
    return safe_text(said, _LENGTH, one_line=True)


def _fields(schema: Mapping[str, Any], depth: int) -> str:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or not depth:
        return ""
    named = [_field(name, inner, depth) for name, inner in islice(properties.items(), _FIELDS) if isinstance(name, str)]
    more = f", {len(properties) - _FIELDS} more" if len(properties) > _FIELDS else ""
    return ", ".join(named) + more


def _field(name: str, schema: object, depth: int) -> str:
    shown = clean(name, _NAME, one_line=True)
    kind = _kind(schema, depth - 1) if isinstance(schema, Mapping) else ""
    if not kind or kind in _TYPES:
        return shown
    return f"{shown} {kind}" if kind.startswith(("{", "[")) else f"{shown} ({kind})"


def _kind(schema: Mapping[str, Any], depth: int) -> str:
    """What a value is: a file, one of several values, an object with its fields, a list of what, or a type."""
    if _is_file(schema):
        return _file(schema)
    choices = schema.get("enum")
    if isinstance(choices, list | tuple) and choices:
        return " | ".join(_choices(choices)) + (" | …" if len(choices) > _CHOICES else "")
    if (inner := _fields(schema, depth)) != "":
        return f"{{{inner}}}"
    items = schema.get("items")
    if isinstance(items, Mapping):
        return f"[{_kind(items, depth)}]"
    kinds = schema.get("type")
    several = kinds if isinstance(kinds, list | tuple) else [kinds]
    return " or ".join(filter(None, (clean(one, _NAME, one_line=True) for one in several[:_CHOICES])))


def _choices(choices: Any) -> Iterator[str]:
    for one in choices[:_CHOICES]:
        yield clean(one if isinstance(one, str) else str(one), _NAME, one_line=True)


def _is_file(schema: Mapping[str, Any]) -> bool:
    """Whether it is what a Hub puts round bytes, or bytes as text."""
    return schema.get(_FILE) == "base64" or any(
        isinstance(inner, Mapping) and inner.get(_FILE) == "base64" for inner in _inner(schema)
    )


def _file(schema: Mapping[str, Any]) -> str:
    kinds = [schema.get("contentMediaType")]
    for inner in _inner(schema):
        kinds += [inner.get("const"), inner.get("contentMediaType")] if isinstance(inner, Mapping) else []
    mime_type = next((one for one in kinds if isinstance(one, str) and "/" in one), None)
    return "a file" if mime_type is None else f"a file: {file_words.kind(clean(mime_type, 80, one_line=True))}"


def _inner(schema: Mapping[str, Any]) -> Iterator[object]:
    properties = schema.get("properties")
    return islice(properties.values(), _FIELDS) if isinstance(properties, Mapping) else iter(())
