"""A type in the notation takes what its schema takes: the notation is read back, and both are asked about values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest

from jecp_mcp.tools.schemas.type_notation import type_notation
from jecp_mcp.wire.json_schemas import schema_validator

Takes = Callable[[Any], bool]

TOKEN = re.compile(r"""\ *('[^']*'|"(?:[^"\\]|\\.)*"|-?\d[\d.]*|[A-Za-z_]\w*|\n|[][(){}|:?,])""")
KINDS: dict[str, Takes] = {
    "any": lambda value: True,
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "object": lambda value: isinstance(value, dict),
}


class Reader:
    """Reads a type as TypeScript does: a list binds closer than a choice."""

    def __init__(self, text: str) -> None:
        self.tokens = TOKEN.findall(text)
        assert not TOKEN.sub("", text).strip(), "all of it is read"

    def next(self, *wanted: str) -> str | None:
        return self.tokens.pop(0) if self.tokens and (not wanted or self.tokens[0] in wanted) else None

    def choice(self) -> Takes:
        taking = [self.list()]
        while self.next("|"):
            taking.append(self.list())
        return lambda value: any(takes(value) for takes in taking)

    def list(self) -> Takes:
        takes = self.single()
        while self.tokens[:2] == ["[", "]"]:
            del self.tokens[:2]
            takes = list_of(takes)
        return takes

    def single(self) -> Takes:
        match self.next():
            case "(":
                takes = self.choice()
                assert self.next(")")
                return takes
            case "{" if self.next("\n"):
                takes = self.members()
                assert self.next("}")
                return takes
            case str(token) if token in KINDS and token != "null":
                return KINDS[token]
            case str(token):
                return only(self.literal(token))
        raise AssertionError("a type ends early")

    def literal(self, token: str) -> Any:
        """A value: JSON, but for texts in single quotes."""
        if token not in "{[":
            return token[1:-1] if token.startswith("'") else json.loads(token)
        text, depth = token, 1
        while depth:
            text += (token := str(self.next()))
            depth += (token in "{[") - (token in "}]")
        return json.loads(text)

    def members(self) -> Takes:
        members: dict[str, tuple[bool, Takes]] = {}
        others: Takes = lambda value: False  # noqa: E731 - replaced where others are taken
        while self.tokens and self.tokens[0] != "}":
            name = str(self.next())
            if name == "[":
                assert (self.next("name"), self.next("]"), self.next(":")) == ("name", "]", ":")
                others = self.choice()
            else:
                optional = self.next("?") is not None
                assert self.next(":")
                members[name] = (optional, self.choice())
            self.next("\n")

        def takes(value: Any) -> bool:
            return (
                isinstance(value, dict)
                and all(optional or name in value for name, (optional, _) in members.items())
                and all(members.get(name, (True, others))[1](one) for name, one in value.items())
            )

        return takes


def list_of(takes: Takes) -> Takes:
    return lambda value: isinstance(value, list) and all(map(takes, value))


def only(literal: Any) -> Takes:
    return lambda value: json.dumps(value) == json.dumps(literal)


LEAVES: list[Any] = [
    True,
    {},
    *({"type": kind} for kind in ("string", "number", "integer", "boolean", "null", "object", "array")),
    {"type": ["string", "null"]},
    {"type": ["integer", "boolean"]},
    {"type": ["string", "integer"], "enum": ["x | y", 1]},
    {"enum": [{"a": 1}, "b", None]},
    {"const": []},
    {"const": {}},
    {"const": "x"},
    {"type": "array", "items": False},
    {"type": "object", "additionalProperties": False},
    {"type": "object", "additionalProperties": {"type": "integer"}},
]
AROUND: list[Callable[[Any], dict[str, Any]]] = [
    lambda one: {"type": "array", "items": one},
    lambda one: {"type": ["array", "null"], "items": one},
    lambda one: closed(a=one),
    lambda one: closed(a=one) | {"required": ["a"], "type": ["object", "string"]},
    lambda one: closed(b={"type": "string"}) | {"additionalProperties": one},
    lambda one: {"anyOf": [one, {"type": "string"}]},
    lambda one: {"anyOf": [{"type": "null"}, one]},
    lambda one: {"oneOf": [one, {"type": "boolean"}]},
]
VALUES: list[Any] = [None, True, 1, 1.5, "x", "b", "x | y", {}, {"a": 1}, {"a": "x"}, {"b": "x", "c": 1}, []]
VALUES += [*([one] for one in VALUES), [None, "b", {"a": 1}], *({"a": one} for one in VALUES[3:])]
VALUES += [*([one] for one in VALUES[-12:]), *({"a": one} for one in VALUES[-12:]), {"c": [1]}, {"c": None}, {"b": 1}]


def closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def nested() -> Iterator[Any]:
    """Each kind of value within each pair of kinds that hold another."""
    yield from LEAVES
    for leaf, inner in product(LEAVES, AROUND):
        yield inner(leaf)
        yield from (outer(inner(leaf)) for outer in AROUND)


@pytest.mark.slow
def test_a_type_takes_what_its_schema_takes() -> None:
    written = 0
    for schema in nested():
        notation = type_notation(closed(v=schema) | {"required": ["v"]})
        if notation is None:
            assert "oneOf" in json.dumps(schema), "only that one choice shuts out another is not said"
            continue
        written += 1
        takes, validator = Reader(notation).members(), schema_validator(schema)
        for value in VALUES:
            assert takes({"v": value}) is validator.is_valid(value), (schema, notation, value)
    assert written > 1_000


BOUNDS: list[tuple[str, str, Any]] = [
    ("integer", "minimum", 2),
    ("integer", "maximum", 2),
    ("integer", "exclusiveMinimum", 2),
    ("integer", "exclusiveMaximum", 2),
    ("integer", "multipleOf", 2),
    ("integer", "enum", [2]),
    ("integer", "const", 2),
    ("string", "minLength", 2),
    ("string", "maxLength", 2),
    ("string", "pattern", "^a  b$"),
    ("string", "format", "uuid"),
    ("string", "contentEncoding", "base64"),
    ("string", "contentMediaType", "text/plain"),
    ("string", "contentSchema", {}),
    ("array", "items", {"type": "null"}),
    ("array", "items", [{"type": "null"}]),
    ("array", "items", False),
    ("array", "minItems", 2),
    ("array", "maxItems", 2),
    ("array", "uniqueItems", True),
    ("array", "prefixItems", [{"type": "null"}]),
    ("array", "additionalItems", False),
    ("array", "unevaluatedItems", False),
    ("array", "contains", {"type": "null"}),
    ("array", "minContains", 2),
    ("array", "maxContains", 2),
    ("object", "properties", {"a": False}),
    ("object", "properties", {"a": {"type": "null"}}),
    ("object", "required", ["a"]),
    ("object", "additionalProperties", False),
    ("object", "additionalProperties", {"type": "null"}),
    ("object", "unevaluatedProperties", False),
    ("object", "patternProperties", {"^a": False}),
    ("object", "propertyNames", {"maxLength": 2}),
    ("object", "minProperties", 2),
    ("object", "maxProperties", 2),
    ("object", "dependentRequired", {"a": ["b"]}),
    ("object", "dependentSchemas", {"a": False}),
    ("object", "dependencies", {"a": ["b"]}),
    *(("string", name, [{"maxLength": 2}]) for name in ("allOf", "anyOf", "oneOf")),
    *(("string", name, {"maxLength": 2}) for name in ("not", "if", "then", "else")),
    *(("string", name, "#/$defs/a") for name in ("$ref", "$dynamicRef", "$recursiveRef", "$schemaOfItsOwn")),
]


@pytest.mark.parametrize(("kind", "keyword", "value"), BOUNDS)
def test_whatever_bounds_a_value_stands_in_its_type_or_the_schema_is_shown_instead(
    kind: str, keyword: str, value: Any
) -> None:
    for around in [lambda one: one, *AROUND]:
        free, bound = (closed(v=around({"type": kind} | more)) for more in ({}, {keyword: value}))
        said = type_notation(bound)
        assert said is None or said != type_notation(free)
