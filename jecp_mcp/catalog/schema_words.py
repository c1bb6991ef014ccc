"""What the schemas and examples of an action say in words: fields, what they are, values to choose from. Pure: no I/O.

A query such as "outliers" or "miles to km" is often answered by nothing else. Everything is a stranger's: bounded in
depth, breadth and length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from jecp_mcp.jsontext import NOTHING

_DEPTH: Final = 5
_MEMBERS: Final = 24
"""The most members of one object or list that are looked at."""
_MOST: Final = 64
"""The most pieces of text that are taken from one schema or example."""
_LONGEST: Final = 120
_LONGEST_VALUE: Final = 24
"""A longer value of an example is material, and says nothing about what is done with it."""
_WITHIN: Final = ("properties", "$defs")
_BESIDE: Final = ("items", "additionalProperties", "oneOf", "anyOf", "allOf", "prefixItems")


def schema_words(schema: Mapping[str, Any]) -> list[str]:
    """The names of a schema's fields, their descriptions, and the values they may take."""
    return list(islice(_words(schema), _MOST))


def enum_words(schema: Mapping[str, Any]) -> list[str]:
    """The values among which a schema lets somebody choose, at any place in it."""
    return list(islice((one for _, inner in _places(None, schema, _DEPTH) for one in _own_choices(inner)), _MOST))


def example_words(example: object) -> list[str]:
    """The short values of an example."""
    return list(islice(_values(example, _DEPTH), _MOST))


def _words(schema: Mapping[str, Any]) -> Iterator[str]:
    for name, inner in _places(None, schema, _DEPTH):
        if name is not None:
            yield name[:_LONGEST]
        yield from _texts((inner.get("description"),))
        yield from _own_choices(inner)


def _places(name: str | None, schema: object, depth: int) -> Iterator[tuple[str | None, Mapping[str, Any]]]:
    """A schema and those within it, each with the name of the field that it is of; empty where it is none."""
    inner = schema if isinstance(schema, Mapping) and depth else NOTHING
    yield name, inner
    for key in _WITHIN:
        for field, one in _members(inner.get(key)):
            yield from _places(field, one, depth - 1)
    for one in _parts(inner):
        yield from _places(None, one, depth - 1)


def _own_choices(schema: Mapping[str, Any]) -> Iterator[str]:
    among = schema.get("enum")
    yield from _texts(among if isinstance(among, list | tuple) else ())
    yield from _texts((schema.get("const"),))


def _values(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, str) and len(value) <= _LONGEST_VALUE:
        yield value
    elif isinstance(value, Mapping) and depth:
        for _, inner in _members(value):
            yield from _values(inner, depth - 1)
    elif isinstance(value, list | tuple) and depth:
        for inner in value[:_MEMBERS]:
            yield from _values(inner, depth - 1)


def _parts(schema: Mapping[str, Any]) -> Iterator[object]:
    """The schemas beside a schema's fields: of a list's items, of either of several."""
    for inner in filter(None, map(schema.get, _BESIDE)):
        yield from inner[:_MEMBERS] if isinstance(inner, list | tuple) else (inner,)


def _members(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for name, inner in islice(value.items(), _MEMBERS):
            if isinstance(name, str):
                yield name, inner


def _texts(values: Any) -> Iterator[str]:
    for value in islice(values, _MEMBERS):
        if isinstance(value, str):
            yield value[:_LONGEST]
