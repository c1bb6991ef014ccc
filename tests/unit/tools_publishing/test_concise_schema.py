"""Schemas as models read them: shorter, taking whatever the whole ones take, and no word of a choice lost."""

from __future__ import annotations

from typing import Any

import pytest

from jecp_mcp.tools.schemas.concise_schema import concise

TEXT: dict[str, Any] = {"type": "string"}


def root(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("whole", "short"),
    [
        ({**root(a=TEXT), "additionalProperties": False, "required": []}, root(a=TEXT)),
        (root(a={**TEXT, "minLength": 1, "maxLength": 9}), root(a={**TEXT, "maxLength": 9})),
        (
            root(day={**TEXT, "minLength": 10, "maxLength": 10, "pattern": r"^\d{4}-\d{2}-\d{2}$"}),
            root(day={**TEXT, "pattern": r"^\d{4}-\d{2}-\d{2}$"}),
        ),
        (root(unitPrice={**TEXT, "title": "Unit price", "description": "The unit price."}), root(unitPrice=TEXT)),
        (root(n={"type": "number", "minimum": -1e15, "maximum": 10**12}), root(n={"type": "number"})),
        (root(a={"type": "boolean", "default": False}), root(a={"type": "boolean"})),
        (root(a={**TEXT, "examples": ["x", "y"]}), root(a={**TEXT, "examples": ["x"]})),
        (
            root(a={"type": "array", "items": {**root(b={**TEXT, "minLength": 1}), "additionalProperties": False}}),
            root(a={"type": "array", "items": root(b=TEXT)}),
        ),
        (root(a={"anyOf": [{**TEXT, "minLength": 1}, {"type": "null"}]}), root(a={"anyOf": [TEXT, {"type": "null"}]})),
    ],
)
def test_what_goes_without_saying_is_left_out(whole: dict[str, Any], short: dict[str, Any]) -> None:
    assert concise(whole) == short
    assert concise(short) is short


@pytest.mark.parametrize(
    "schema",
    [
        root() | {"additionalProperties": False},
        root(a=TEXT) | {"additionalProperties": True},
        root(a=TEXT) | {"additionalProperties": False, "patternProperties": {"^x": TEXT}},
        root(a={**TEXT, "minLength": 3, "pattern": "^[a-z]{3,5}$"}),
        root(a={**TEXT, "minLength": 2, "pattern": "^a|bc$"}),
        root(a={"type": "boolean", "default": True}, b={"type": "integer", "default": 0, "minimum": 0}),
        root(a={**TEXT, "description": "The file's text."}),
        # Less of these would take less.
        root(a={"not": {**TEXT, "minLength": 1}}),
        root(a={"oneOf": [{**TEXT, "minLength": 1}, {"const": ""}]}),
    ],
)
def test_what_says_something_stays(schema: dict[str, Any]) -> None:
    assert concise(schema) is schema
