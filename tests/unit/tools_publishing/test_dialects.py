"""A schema in the plain dialect accepts exactly what it accepted, and says it in words that every model's API reads."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jecp_mcp.tools.schemas.dialects import Beyond, odd_key, plain
from jecp_mcp.tools.schemas.publishable_schema import Unfit, fit

KEYWORDS = {
    "type", "title", "description", "default", "properties", "required", "additionalProperties", "minProperties",
    "maxProperties", "items", "minItems", "maxItems", "uniqueItems", "minLength", "maxLength", "pattern", "minimum",
    "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "enum", "anyOf",
}  # fmt: skip
SCALARS = [1, 0, 2, 1.5, "a", "bb", None, True, False]
SCHEMA: st.SearchStrategy[Any] = st.deferred(lambda: st.booleans() | OBJECTS)
NAMED = st.dictionaries(st.sampled_from("abc"), SCHEMA, max_size=3)
SOME = st.lists(SCHEMA, min_size=1, max_size=3)
KINDS = ["object", "string", "integer", "number", "array", "boolean", "null"]
OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(KINDS) | st.lists(st.sampled_from(KINDS), min_size=1, max_size=3, unique=True),
        "properties": NAMED,
        "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
        "$defs": NAMED,
        "anyOf": SOME,
        "oneOf": SOME,
        "allOf": SOME,
        "items": SCHEMA,
        "additionalProperties": SCHEMA,
        "enum": st.lists(st.sampled_from([*SCALARS, {}, {"a": 1}, ["a"]]), min_size=1, max_size=3),
        "const": st.sampled_from([1, True, "a", None, {"a": 1}]),
        "minimum": st.integers(-2, 2),
        "exclusiveMaximum": st.integers(-2, 2),
        "minLength": st.integers(0, 2),
        "maxItems": st.integers(0, 2),
        "minProperties": st.integers(0, 2),
        "uniqueItems": st.booleans(),
        "format": st.sampled_from(["date", "email"]),
        "description": st.just("what it is"),
        "$ref": st.sampled_from(["#/$defs/a", "#/anyOf/0", "#/oneOf/0/properties/a", "#", "#/properties/a"]),
        "not": SCHEMA,
        "patternProperties": NAMED,
    },
)
VALUES = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)
ARGUMENTS = st.lists(st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=3), min_size=5, max_size=15)
THOROUGH = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def all_of(node: Any) -> Iterator[dict[str, Any]]:
    """Every subschema, the root first."""
    yield node
    for inner in node.get("properties", {}).values():
        yield from all_of(inner)
    for inner in (node.get("items"), node.get("additionalProperties"), *node.get("anyOf", ())):
        if isinstance(inner, dict):
            yield from all_of(inner)


def check_dialect(made: dict[str, Any]) -> None:
    assert made["type"] == "object"
    assert "properties" in made
    assert "anyOf" not in made
    for node in all_of(made):
        assert node.keys() <= KEYWORDS
        assert isinstance(node.get("type", ""), str)
        assert "anyOf" not in node or node.keys() <= {"anyOf", "title", "description", "default"}


def agree(published: dict[str, Any], made: dict[str, Any], arguments: list[Any]) -> None:
    before, after = jsonschema_rs.validator_for(published), jsonschema_rs.validator_for(made)
    for value in arguments:
        assert before.is_valid(value) == after.is_valid(value), (published, made, value)


@THOROUGH
@given(OBJECTS, ARGUMENTS)
@example({"properties": {"a": {"enum": [1]}, "b": {"anyOf": [{"const": 1}, {"const": True}]}}}, [{"b": 1}, {"b": True}])
@example({"additionalProperties": False, "allOf": [{"properties": {"a": {}}}]}, [{"a": 1}, {}])
def test_what_is_put_into_the_dialect_accepts_what_it_accepted(raw: Any, arguments: list[Any]) -> None:
    published = fit(raw)
    if isinstance(published, Unfit):
        return
    made = plain(published.schema)
    if isinstance(made, Beyond):
        assert made.reason.startswith("its input schema ")
        return
    check_dialect(made)
    agree(published.schema, made, arguments)


ADDRESS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.mark.parametrize(
    ("property_", "becomes"),
    [
        ({"type": ["string", "null"]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"const": "a"}, {"type": "string", "enum": ["a"]}),
        (
            {"type": "string", "format": "date", "description": "When."},
            {"type": "string", "description": "When. (format: date)"},
        ),
        ({"type": ["integer", "number"]}, {"type": "number"}),
        ({"$ref": "#/$defs/address"}, ADDRESS),
        ({"$ref": "#/$defs/address", "description": "Where."}, {**ADDRESS, "description": "Where."}),
        (
            {"oneOf": [{"const": "a"}, {"const": "b"}], "description": "Which."},
            {"type": "string", "enum": ["a", "b"], "description": "Which."},
        ),
        (
            {"enum": ["a", None], "description": "Which."},
            {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null", "enum": [None]}], "description": "Which."},
        ),
        ({"allOf": [{"type": "integer", "minimum": 1}, {"minimum": 2}]}, {"type": "integer", "minimum": 2}),
    ],
)
def test_common_idioms_are_said_in_the_dialect(property_: dict[str, Any], becomes: dict[str, Any]) -> None:
    published = fit({"type": "object", "properties": {"p": property_}, "$defs": {"address": ADDRESS}})
    assert not isinstance(published, Unfit)
    made = plain(published.schema)
    assert not isinstance(made, Beyond), made
    assert made["properties"]["p"] == becomes


@pytest.mark.parametrize(
    ("schema", "word"),
    [
        ({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, "root"),
        ({"properties": {"a": {"$ref": "#"}}}, "refers to itself"),
        ({"properties": {"a": {"oneOf": [{"minimum": 1}, {"maximum": 3}]}}}, "oneOf"),
        (
            {"properties": {"a": {"type": "object", "patternProperties": {"^x": {"type": "string"}}}}},
            "patternProperties",
        ),
        ({"properties": {"a": {"type": "array", "prefixItems": [{"type": "string"}]}}}, "prefixItems"),
        ({"properties": {"a": {"not": {"type": "string"}}}}, "not"),
        ({"dependentRequired": {"a": ["b"]}}, "dependentRequired"),
    ],
)
def test_what_the_dialect_cannot_say_has_a_reason(schema: dict[str, Any], word: str) -> None:
    published = fit({"type": "object", **schema})
    assert not isinstance(published, Unfit)
    made = plain(published.schema)
    assert isinstance(made, Beyond)
    assert word in made.reason


def test_a_schema_that_multiplies_itself_ends_soon() -> None:
    defs = {f"d{at}": {"allOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(10)} | {"d10": {"minimum": 1}}
    published = fit({"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": defs})
    assert not isinstance(published, Unfit)
    made = plain(published.schema)
    assert isinstance(made, Beyond)
    assert "large" in made.reason
    assert len(json.dumps(made)) < 200


ITEM = {"type": "object", "properties": {"id": {"type": "string", "format": "uuid"}}, "required": ["id"]}
GENERATED: dict[str, dict[str, Any]] = {
    "Zod 4": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "headers": {"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {"type": "string"}},
            "any": {"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {}},
            "n": {"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991},
            "target": {
                "oneOf": [
                    {"type": "object", "properties": {"type": {"type": "string", "const": kind}, "at": {"type": "string", "format": "date-time"}}, "required": ["type", "at"], "additionalProperties": False}
                    for kind in ("page", "block")
                ]
            },
        },
        "required": ["target"],
        "additionalProperties": False,
    },
    "Zod 3": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"a": ITEM, "b": {"$ref": "#/properties/a"}, "c": {"type": ["string", "null"]}},
        "additionalProperties": False,
    },
    "pydantic": {
        "$defs": {"Page[Item]": {"properties": {"items": {"items": {"$ref": "#/$defs/Item"}, "type": "array"}}, "type": "object"}, "Item": ITEM},
        "properties": {
            "page": {"anyOf": [{"$ref": "#/$defs/Page[Item]"}, {"type": "null"}], "default": None},
            "first": {"$ref": "#/$defs/Page%5BItem%5D"},
            "kind": {"const": "a", "default": "a", "type": "string"},
        },
        "title": "Arguments",
        "type": "object",
    },
    "TypeScript": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$ref": "#/definitions/Arguments",
        "definitions": {
            "Arguments": {"type": "object", "properties": {"p": {"$ref": "#/definitions/Partial%3CItem%3E"}}, "additionalProperties": False},
            "Partial<Item>": ITEM,
        },
    },
}  # fmt: skip


@pytest.mark.parametrize("generator", GENERATED)
def test_what_generators_write_is_a_tool_in_every_host_and_nothing_of_it_is_lost(generator: str) -> None:
    published = fit(GENERATED[generator])
    assert not isinstance(published, Unfit)
    assert published.lost == ()
    made = plain(published.schema)
    assert not isinstance(made, Beyond), made
    assert odd_key(published.schema) is None
    check_dialect(made)
