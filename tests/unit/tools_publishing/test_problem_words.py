"""Every way in which a JSON Schema can refuse a value is told in words of ours, by one table."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import jsonschema_rs
import pytest

from jecp_mcp.tools.publishing.cleaning import clean
from jecp_mcp.tools.schemas.arguments import ArgumentCheck, Problem
from jecp_mcp.tools.schemas.problem_words import TEMPLATES

CHECKERS = {
    name
    for name, kind in inspect.getmembers(jsonschema_rs.ValidationErrorKind, inspect.isclass)
    if issubclass(kind, jsonschema_rs.ValidationErrorKind)
}
"""Every kind of error that the checker can make."""

UNMET = {"BacktrackLimitExceeded", "RegexEngineFailure", "FromUtf8", "Referencing", "Custom", "Format"}
"""Kinds that no published schema and no engine that we choose can make; a later version of the checker might."""

OLD = {"$schema": "http://json-schema.org/draft-07/schema#"}
COLOURS = {"enum": ["Crimson", "Teal", {"mixed": True}]}
KNOWN = {"properties": {"quality": {}, "currency": {}}}

EXAMPLES: dict[str, tuple[dict[str, Any], Any, str]] = {
    "AdditionalItems": (OLD | {"items": [{}], "additionalItems": False}, [1, 2], "takes at most 1 items, and has 2"),
    "AdditionalProperties": (KNOWN | {"additionalProperties": False}, {"qulity": 1}, 'is no property that is known here (the nearest is "quality")'),
    "AnyOf": ({"anyOf": [{"type": "string"}, {"type": "null"}]}, 7, "fits none of the 2 alternatives; the nearest follows"),
    "Constant": ({"const": "EUR"}, "USD", 'must be "EUR"'),
    "Contains": ({"contains": {"type": "string"}}, [1], "has no item of a kind that it needs"),
    "Contains.maxContains": ({"contains": {"type": "string"}, "maxContains": 1}, ["a", "b"], "takes at most 1 items of one kind"),
    "Contains.minContains": ({"contains": {"type": "string"}, "minContains": 2}, ["a"], "needs at least 2 items of one kind"),
    "ContentEncoding": (OLD | {"contentEncoding": "base64"}, "!!", "is not encoded as base64"),
    "ContentMediaType": (OLD | {"contentMediaType": "application/json"}, "!!", "is not of the media type application/json"),
    "Enum": (COLOURS, "crimsn", 'must be one of "Crimson", "Teal", {"mixed": true} (the nearest is "Crimson")'),
    "ExclusiveMaximum": ({"exclusiveMaximum": 3}, 3, "must be less than 3"),
    "ExclusiveMinimum": ({"exclusiveMinimum": 3}, 3, "must be more than 3"),
    "FalseSchema": ({"prefixItems": [{}], "items": False}, [1, 2], "is not allowed here"),
    "FalseSchema.else": ({"if": {"type": "string"}, "else": False}, 1, "fits no alternative, or too many"),
    "MaxItems": ({"maxItems": 1}, [1, 2], "takes at most 1 items, and has 2"),
    "MaxLength": ({"maxLength": 1}, "été", "takes at most 1 characters, and has 3"),
    "MaxProperties": ({"maxProperties": 0}, {"a": 1}, "takes at most 0 properties, and has 1"),
    "Maximum": ({"maximum": 0.5}, 1, "must be at most 0.5"),
    "MinItems": ({"minItems": 8}, [1, 2, 3, 4], "needs at least 8 items, and has 4"),
    "MinLength": ({"minLength": 2}, "a", "needs at least 2 characters, and has 1"),
    "MinProperties": ({"minProperties": 1}, {}, "needs at least 1 properties, and has 0"),
    "Minimum": ({"minimum": 1}, 0, "must be at least 1"),
    "MultipleOf": ({"multipleOf": 5}, 7, "must be a multiple of 5"),
    "Not": ({"not": {"type": "integer"}}, 7, "is just what must not be here"),
    "OneOfMultipleValid": ({"oneOf": [{"type": "integer"}, {"minimum": 0}]}, 7, "fits several alternatives, and must fit one"),
    "OneOfNotValid": ({"oneOf": [{"type": "string"}, {"minimum": 9}]}, 7, "fits none of the 2 alternatives; the nearest follows"),
    "Pattern": ({"pattern": "^[A-Z]{3}$"}, "eur", 'must match the pattern "^[A-Z]{3}$"'),
    "PropertyNames": ({"propertyNames": {"maxLength": 3}}, {"abcd": 1}, "has a property whose name takes at most 3 characters, and has 4"),
    "Required": ({"required": ["currency"]}, {}, "is missing"),
    "Type": ({"type": ["integer", "null"]}, "seven", "must be null or integer, and is string"),
    "UnevaluatedItems": ({"prefixItems": [{}], "unevaluatedItems": False}, [1, 2], "has items that are not allowed"),
    "UnevaluatedProperties": (KNOWN | {"unevaluatedProperties": False}, {"Currencies": 1}, 'is no property that is known here (the nearest is "currency")'),
    "UniqueItems": ({"uniqueItems": True}, [1, 1], "has an item twice, and must not"),
}  # fmt: skip


def problems(schema: dict[str, Any], value: Any) -> tuple[Problem, ...]:
    root = {key: value for key, value in schema.items() if key == "$schema"}
    rest = {key: value for key, value in schema.items() if key != "$schema"}
    return ArgumentCheck(root | {"type": "object", "properties": {"v": rest}})({"v": value}).problems


def test_the_table_has_every_kind_of_error_that_the_checker_knows_and_no_other() -> None:
    assert len(CHECKERS) >= 34
    assert {name.partition(".")[0] for name in TEMPLATES} == CHECKERS


def test_every_text_has_an_example_but_those_that_nothing_published_can_need() -> None:
    assert EXAMPLES.keys() | UNMET == TEMPLATES.keys()
    assert not EXAMPLES.keys() & UNMET


@pytest.mark.parametrize("kind", EXAMPLES)
def test_each_is_told_with_its_bound_and_how_much_was_given(kind: str) -> None:
    schema, value, reason = EXAMPLES[kind]
    found = problems(schema, value)
    assert found[0].reason == reason
    assert found[0].lacking == TEMPLATES[kind].lacking


@pytest.mark.parametrize("kind", sorted(UNMET))
def test_what_cannot_be_met_has_words_all_the_same(kind: str) -> None:
    assert TEMPLATES[kind].reason.format(limit="date") != ""


LACKING = {"MinItems", "MinLength", "MinProperties", "Required", "Contains", "Contains.minContains"}


def test_what_takes_more_than_was_given_is_known_for_it() -> None:
    assert {kind for kind, template in TEMPLATES.items() if template.lacking} == LACKING


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (KNOWN | {"additionalProperties": False}, {"x" * 5_000: 1}),
        (KNOWN | {"additionalProperties": False}, {"elsewhere": 1}),
        ({"additionalProperties": False}, {"quality": 1}),
        (COLOURS, 7),
        ({"enum": [1, 2]}, "1"),
    ],
)
def test_where_nothing_is_near_nothing_is_named(schema: dict[str, Any], value: Any) -> None:
    assert "nearest" not in problems(schema, value)[0].reason


def test_the_nearest_name_is_found_behind_a_reference_and_within_alternatives() -> None:
    inner = KNOWN | {"additionalProperties": False}
    schema = {
        "type": "object",
        "$defs": {"n": inner},
        "properties": {"a": {"$ref": "#/$defs/n"}, "b": {"anyOf": [inner, {"type": "null"}]}},
    }
    found = ArgumentCheck(schema)({"a": {"qualty": 1}, "b": {"curency": 1}}).problems
    assert {one.pointer: one.reason.rpartition(" ")[2].rstrip(")") for one in found} == {
        "/a/qualty": '"quality"', "/b": "follows", "/b/curency": '"currency"',
    }  # fmt: skip


@pytest.mark.parametrize(
    "said", [{"pattern": "^A  [0-9]$"}, {"const": "A \u00a0\u3000 1"}, {"enum": ["A  1", "A   2"]}]
)
def test_spaces_that_count_are_all_told(said: dict[str, Any]) -> None:
    [found] = problems(said, "A 1")
    told = re.findall('"[^"]*"', clean(found.reason, 240, one_line=True))
    wanted = said.get("enum") or [*said.values()]
    assert [json.loads(one) for one in told[: len(wanted)]] == wanted


def test_many_allowed_values_are_told_in_part() -> None:
    [found] = problems({"enum": [f"value-{at}" for at in range(500)]}, 1)
    assert found.reason.endswith(" and 488 more")
    [found] = problems({"enum": ["x" * 60, "y" * 60, "z" * 60, "w" * 60, "v" * 60]}, 1)
    assert found.reason.endswith(" and 2 more")
    assert len(found.reason) <= 240
