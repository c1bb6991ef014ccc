"""Schemas as models read them: shorter, taking whatever the whole ones take, and no word of a choice lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest

from jecp_mcp.tools.schemas.concise_schema import concise
from jecp_mcp.wire.json_schemas import schema_validator

TEXT: dict[str, Any] = {"type": "string"}
TOOL = "text-stats_count"


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
        (
            root(on={**TEXT, "pattern": r"^\d{4}-\d{2}-\d{2}$", "description": "Date of issue, YYYY-MM-DD."}),
            root(on={**TEXT, "description": "Date of issue, YYYY-MM-DD"}),
        ),
        *(
            (
                root(on={**TEXT, "pattern": r"^\d{4}-\d{2}-\d{2}$", "description": words}),
                root(on={**TEXT, "pattern": r"^\d{4}-\d{2}-\d{2}$", "description": words}),
            )
            for words in (
                "Not YYYY-MM-DD but 31.12.2026",
                "A day, no YYYY-MM-DD",
                "YYYY-MM-DDTHH",
                "YYYY-MM-DD or a word",
            )
        ),
        (
            root(currency={**TEXT, "pattern": "^[A-Z]{3}$", "description": "ISO 4217 code."}),
            root(currency={**TEXT, "description": "ISO 4217 code"}),
        ),
        (root(a={**TEXT, "pattern": r"\S", "maxLength": 50_000}), root(a=TEXT)),
        (
            root(a={"type": "array", "items": {**TEXT, "description": "An a."}, "minItems": 1, "maxItems": 1000}),
            root(a={"type": "array", "items": TEXT}),
        ),
        # What the tool's name says, and what was said of its like.
        (root(text={**TEXT, "description": "The text to count."}), root(text=TEXT)),
        (
            root(**{side: root(name={**TEXT, "description": "Name or firm"}) for side in ("seller", "buyer")}),
            root(seller=root(name={**TEXT, "description": "Name or firm"}), buyer=root(name=TEXT)),
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
    assert concise(whole, TOOL) == short
    assert concise(short, TOOL) is short


@pytest.mark.parametrize(
    "schema",
    [
        root() | {"additionalProperties": False},
        root(a=TEXT) | {"additionalProperties": True},
        root(a=TEXT) | {"additionalProperties": False, "patternProperties": {"^x": TEXT}},
        root(a={**TEXT, "minLength": 3, "pattern": "^[a-z]{3,5}$"}),
        root(a={**TEXT, "minLength": 2, "pattern": "^a|bc$"}),
        root(a={"type": "boolean", "default": True}, b={"type": "integer", "default": 0, "minimum": 0}),
        root(a={**TEXT, "description": "The file's text"}),
        root(a={**TEXT, "description": "The count"}, b={**TEXT, "description": "And so on..."}),
        root(text={**TEXT, "description": "How many words of the text"}),
        root(at={"type": "integer", "minimum": 1_700_000_000, "maximum": 9_999_999}),
        root(on={**TEXT, "pattern": r"^\d{4}-\d{2}-\d{2}$", "description": "Due in 30 days"}),
        root(a={"type": "array", "items": TEXT, "minItems": 2, "maxItems": 999}),
        # Less of these would take less.
        root(a={"not": {**TEXT, "minLength": 1}}),
        root(a={"oneOf": [{**TEXT, "minLength": 1}, {"const": ""}]}),
    ],
)
def test_what_says_something_stays(schema: dict[str, Any]) -> None:
    assert concise(schema, TOOL) is schema


KEYWORDS: dict[str, list[tuple[str, Any]]] = {
    "string": [
        *(("minLength", least) for least in (0, 1, 3, 10)),
        *(("maxLength", most) for most in (3, 10, 49_999, 50_000)),
        *(("pattern", one) for one in (r"\S", "^[A-Z]{3}$", r"^\d{4}-\d{2}-\d{2}$", "^[a-c]+$")),
        ("enum", ["EUR", "b"]),
        ("default", ""),
    ],
    "number": [
        *((name, bound) for name in ("minimum", "exclusiveMinimum") for bound in (-(10**7), -3, 0, 10**8)),
        *((name, bound) for name in ("maximum", "exclusiveMaximum") for bound in (-(10**8), 0, 3, 10**7)),
        ("multipleOf", 2),
        ("default", None),
    ],
    "array": [
        *(("minItems", least) for least in (0, 1, 2)),
        *(("maxItems", most) for most in (1, 2, 999, 1_000)),
        ("uniqueItems", True),
        ("uniqueItems", False),
        ("items", {"type": "string", "minLength": 1}),
        ("items", {"type": "number", "maximum": 3}),
    ],
    "boolean": [("default", False), ("default", True), ("enum", [True])],
}
WORDS = ({}, {"description": "The a."}, {"description": "ISO 4217 code"}, {"description": "As YYYY-MM-DD."})
ORDINARY = ("EUR", "b", "abcd", "2026-11-27", "some words", "x" * 20_000)
ORDINARY += (-9_999_999, -4, 0, 2, 3, 9_999_999, True, False, None, ["b"], ["b", "b"], ["b", "c"], [2, 2], [1, 4, 2])
ODD = ("", " ", "x" * 50_001, 10**9, -(10**9), [], [""], ["b"] * 1_001)
"""What nobody gives: nothing at all, and what never ends."""


def leaves(kind: str) -> Iterator[dict[str, Any]]:
    """A type with each pair of its keywords, and with words."""
    for one, other in product(KEYWORDS[kind], repeat=2):
        for words in WORDS:
            yield {"type": kind, **dict((one, other)), **words}


def around(leaf: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Callable[[Any], Any]]]:
    """Schemas that a leaf stands in, and arguments for them by what is given for the leaf."""
    yield root(a=leaf) | {"required": ["a"], "additionalProperties": False}, lambda value: {"a": value}
    yield root(a={"type": "array", "items": root(b=leaf)}), lambda value: {"a": [{"b": value}]}
    yield root(a={"anyOf": [leaf, {"type": "null"}]}), lambda value: {"a": value}


def unshown(leaf: dict[str, Any]) -> dict[str, Any]:
    """A leaf without the pattern that its description shows, and its length."""
    shown = {"^[A-Z]{3}$": ("ISO 4217", 3), r"^\d{4}-\d{2}-\d{2}$": ("YYYY-MM-DD", 10)}
    words, length = shown.get(leaf.get("pattern", ""), ("none", 0))
    if words not in leaf.get("description", ""):
        return leaf
    implied = {("pattern", leaf["pattern"]), ("minLength", length), ("maxLength", length)}
    return {key: value for key, value in leaf.items() if key == "enum" or (key, value) not in implied}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KEYWORDS)
def test_what_a_model_reads_takes_all_that_is_taken_and_of_ordinary_arguments_no_others(kind: str) -> None:
    differs = 0
    for leaf in leaves(kind):
        for (whole, given), (said, _) in zip(around(leaf), around(unshown(leaf)), strict=True):
            short = concise(whole, TOOL)
            taken, same, read = map(schema_validator, (whole, said, short))
            for value in ORDINARY:
                assert read.is_valid(given(value)) == same.is_valid(given(value)), (whole, value)
            for value in (*ORDINARY, *ODD):
                assert read.is_valid(given(value)) or not taken.is_valid(given(value)), (whole, value)
            differs += short != whole
    assert differs
