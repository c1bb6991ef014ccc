"""What Gemini's API is given is what it takes: a strict reading of its documented subset, over all that is sold here."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from jecp_mcp.settings import ToolSettings
from jecp_mcp.tools.own.definitions import OWN
from jecp_mcp.tools.publishing.host_profiles import PROFILES
from jecp_mcp.tools.publishing.tool_registry import ToolRegistry
from jecp_mcp.tools.publishing.views import Views
from jecp_mcp.tools.schemas.dialects import Beyond, plain
from jecp_mcp.tools.schemas.gemini import for_gemini
from jecp_mcp.tools.schemas.publishable_schema import Unfit, fit
from tests.unit.sandbox_work.test_catalog import listed

KINDS = {
    "string": {"enum", "minLength", "maxLength", "pattern"},
    "integer": {"minimum", "maximum"},
    "number": {"minimum", "maximum"},
    "boolean": set[str](),
    "array": {"items", "minItems", "maxItems"},
    "object": {"properties", "required", "minProperties", "maxProperties"},
}
"""The fields of Gemini's `Schema` by type (Gemini API, function calling), without what older models refuse."""


def check_gemini(schema: Any) -> None:
    """Raise unless every part of a schema is one that Gemini's API takes."""
    assert isinstance(schema, dict)
    if "anyOf" in schema:
        assert schema.keys() == {"anyOf"}
        assert len(schema["anyOf"]) > 1
        for member in schema["anyOf"]:
            assert "anyOf" not in member
            check_gemini(member)
        return
    assert schema.keys() <= {"type", "title", "description", "default"} | KINDS[schema["type"]], schema
    assert schema.get("default", "") is not None
    for word in ("title", "description", "pattern"):
        assert isinstance(schema.get(word, ""), str)
    if "enum" in schema:
        assert schema["enum"]
        assert all(isinstance(value, str) and value for value in schema["enum"])
    if schema["type"] == "array":
        check_gemini(schema["items"])
    for part in schema.get("properties", {}).values():
        check_gemini(part)
    assert set(schema.get("required", ())) <= schema.get("properties", {}).keys()


def published(raw: dict[str, Any]) -> Any:
    made = fit(raw)
    assert not isinstance(made, Unfit)
    whole = plain(made.schema)
    assert not isinstance(whole, Beyond)
    return for_gemini(whole)


def test_every_action_of_the_sandbox_is_shown_and_takes_its_own_examples() -> None:
    for _, action in listed():
        made = published(action["input_schema"])
        check_gemini(made)
        assert all(jsonschema_rs.is_valid(made, example["input"]) for example in action["examples"])


def test_our_own_tools_are_all_shown_and_described_in_every_argument() -> None:
    cards = tuple(OWN.values())
    shown = Views(ToolRegistry(ToolSettings()), ToolSettings()).own(PROFILES["gemini"], cards)
    assert [card.name for card in shown] == [card.name for card in cards]
    for card, original in zip(shown, cards, strict=True):
        check_gemini(dict(card.input_schema))
        for name, schema in original.input_schema["properties"].items():
            assert schema["description"], (card.name, name)


@pytest.mark.parametrize(
    ("raw", "made"),
    [
        ({"enum": ["", "a"]}, {"type": "string", "enum": ["a"]}),
        ({"enum": ["", "a"], "default": ""}, {"type": "string", "enum": ["a"]}),
        ({"enum": [""]}, None),
        ({"type": "integer", "enum": [1, 2]}, {"type": "integer", "description": "One of 1, 2."}),
        ({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 9.5}, {"type": "integer", "minimum": 1, "maximum": 9}),
        ({"type": "integer", "exclusiveMinimum": 0, "minimum": 5}, {"type": "integer", "minimum": 5}),
        (
            {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "description": "A share."},
            {"type": "number", "description": "A share. More than 0. Less than 1."},
        ),
        ({"type": "integer", "multipleOf": 5}, {"type": "integer", "description": "A multiple of 5."}),
        ({"type": "string", "default": None}, {"type": "string"}),
        ({"type": "null"}, None),
        ({"type": ["string", "null"], "description": "A name."}, {"type": "string", "description": "A name."}),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, {"type": "integer"}),
        (
            {"description": "Which.", "type": ["string", "integer", "null"]},
            {"anyOf": [{"type": "string", "description": "Which."}, {"type": "integer"}]},
        ),
        (
            {"type": "object", "properties": {"b": {"type": "string"}}, "additionalProperties": False},
            {"type": "object", "properties": {"b": {"type": "string"}}},
        ),
        (
            {"type": "object", "additionalProperties": {"type": "number"}},
            {"type": "object", "description": "Members may have any name, and are each of type number."},
        ),
        (
            {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
            {"type": "array", "items": {"type": "string"}, "description": "No item twice."},
        ),
    ],
)  # fmt: skip
def test_what_gemini_refuses_is_written_otherwise(raw: dict[str, Any], made: dict[str, Any] | None) -> None:
    found = published({"properties": {"a": raw}})
    check_gemini(found)
    assert found["properties"].get("a") == made


def test_what_takes_anything_has_types() -> None:
    found = published({"properties": {"a": {"description": "Any."}, "b": {"type": "array"}}, "required": ["c"]})
    check_gemini(found)
    assert found["properties"]["a"]["anyOf"][0] == {"type": "string", "description": "Any."}
    assert len(found["properties"]["b"]["items"]["anyOf"]) == len(found["properties"]["c"]["anyOf"]) == 5


def test_what_needs_a_null_is_bought_by_its_name() -> None:
    assert isinstance(published({"properties": {"a": {"type": "null"}}, "required": ["a"]}), Beyond)
