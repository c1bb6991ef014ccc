"""Schemas as a model reads them: as members of a TypeScript type, none of whose bounds is lost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from jecp_mcp.tools.schemas.concise_schema import concise
from jecp_mcp.tools.schemas.type_notation import is_described, type_notation
from tests.unit.tools_publishing.test_concise_schema import KEYWORDS, TEXT, TOOL, leaves, root

PAIR: dict[str, Any] = {"properties": {"b": {}}}
WORD: dict[str, Any] = {**TEXT, "description": "A word"}


@pytest.mark.parametrize(
    ("schema", "notation"),
    [
        ({"type": "object"}, "{}"),
        (root(a=TEXT) | {"required": ["a"]}, "a: string"),
        (root(a=WORD), "a?: string // A word"),
        (root(a={**WORD, "minLength": 2, "maxLength": 9}), "a?: string // A word (2 to 9 chars)"),
        (root(a={**TEXT, "minLength": 3, "maxLength": 3}), "a?: string // 3 chars"),
        (root(a={"type": "integer", "minimum": 1, "default": 5}), "a?: integer // min 1, default 5"),
        (root(a={"type": "number", "exclusiveMinimum": 0, "maximum": 1.5}), "a?: number // max 1.5, above 0"),
        (root(a={"type": "number", "multipleOf": 5}), "a?: number // multiple of 5"),
        (root(a={"enum": ["x", "y'z", 3, None]}), "a?: 'x' | \"y'z\" | 3 | null"),
        (root(a={"const": "x"}), "a?: 'x'"),
        (root(a={"type": ["string", "number"], "enum": ["x", 1.5]}), "a?: 'x' | 1.5"),
        (root(a={"type": "integer", "const": Decimal("1e999999")}), "a?: 1E+999999"),
        (root(a={**TEXT, "pattern": "^[A-Z]{2}  [0-9]+$"}), "a?: string // pattern ^[A-Z]{2}  [0-9]+$"),
        (root(a={"type": "array", "items": False}), "a?: []"),
        (root(a={"type": "object", "additionalProperties": False}), "a?: {}"),
        (root(a={"type": "array", "items": {"type": ["object", "null"], **PAIR}}), "a?: ({\nb?: any\n} | null)[]"),
        (
            root(a={"type": "array", "items": {"anyOf": [{"type": "object"} | PAIR, TEXT]}}),
            "a?: ({\nb?: any\n} | string)[]",
        ),
        (root(a={"type": "array", "items": {"enum": [{"a": 1}, "b"]}}), """a?: ({"a":1} | 'b')[]"""),
        (root(a={"oneOf": [TEXT, {"type": "integer"}]}), "a?: string | integer"),
        (root(a={**TEXT, "pattern": r"^\d{4}-\d{2}-\d{2}$"}), "a?: string // YYYY-MM-DD"),
        (root(a={**TEXT, "pattern": "^a+$", "format": "uri"}), "a?: string // format uri, pattern ^a+$"),
        (root(a={**WORD, "contentEncoding": "base64"}), "a?: string // A word (in base64)"),
        (root(a={**TEXT, "description": "In base64", "contentEncoding": "base64"}), "a?: string // In base64"),
        (root(a={**TEXT, "title": "Words", "examples": ["x y"]}), "a?: string // Words (such as 'x y')"),
        (root(a={"type": ["string", "null"]}), "a?: string | null"),
        (root(a={"anyOf": [TEXT, {"type": "array", "items": TEXT}]}), "a?: string | string[]"),
        (root(a={"type": "array"}, b={"type": "object"}, c={}, d=True), "a?: any[]\nb?: object\nc?: any\nd?: any"),
        (
            root(a={"type": "array", "items": {"enum": ["x", "y"]}, "maxItems": 2, "uniqueItems": True}),
            "a?: ('x' | 'y')[] // max 2 items, no two alike",
        ),
        (
            root(a={"type": "array", "description": "Words", "items": {**WORD, "maxLength": 9}, "minItems": 2}),
            "a?: string[] // Words (min 2 items; each: A word (max 9 chars))",
        ),
        (
            root(a={"type": "array", "items": root(b=TEXT) | {"required": ["b"]}, "description": "Rows"}),
            "a?: {\nb: string\n}[] // Rows",
        ),
        (
            {**root(**{"a b": TEXT, "$c": TEXT, "d\n}": TEXT}), "description": "All", "additionalProperties": WORD},
            '// All\n"a b"?: string\n$c?: string\n"d\\n}"?: string\n[name]: string // A word',
        ),
        (root(a={**TEXT, "description": "One\n}\nb: string"}), "a?: string // One } b: string"),
    ],
)
def test_a_schema_is_written_as_members_of_a_type(schema: dict[str, Any], notation: str) -> None:
    assert type_notation(schema) == notation


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array"},
        root(a=TEXT) | {"anyOf": [{"required": ["a"]}]},
        root(a=TEXT) | {"required": ["b"]},
        root(a=TEXT) | {"enum": [{"a": "x"}]},
        root(a=TEXT) | {"patternProperties": {"^x": TEXT}},
        root(a=TEXT) | {"dependentRequired": {"a": ["b"]}},
        root(a={"not": TEXT}),
        root(a={"$ref": "#/$defs/b"}),
        root(a={"allOf": [TEXT]}),
        root(a=False),
        root(a={"type": "array", "prefixItems": [TEXT]}),
        root(a={"type": "array", "items": {"if": TEXT}}),
        root(a={"anyOf": [TEXT], "oneOf": [TEXT]}),
        root(a={"anyOf": [TEXT], "type": "string"}),
        root(a={"anyOf": [{**TEXT, "maxLength": 3}, {"type": "null"}]}),
        root(a={"anyOf": {"type": "null"}}),
        root(a={"anyOf": []}),
        # That a value fits one choice only.
        root(a={"oneOf": [{"type": "number"}, {"type": "integer"}]}),
        root(a={"oneOf": [TEXT, {"const": "x"}]}),
        root(a={"oneOf": [TEXT, True]}),
        root(a={"oneOf": TEXT}),
        # Values that another keyword refuses.
        root(a={**TEXT, "enum": ["x", None]}),
        root(a={"type": "integer", "const": 1.5}),
        root(a={"type": "boolean", "enum": [1]}),
        root(a={"enum": [["x"]], "items": {"type": "number"}}),
        root(a={"const": "x", "enum": ["y"]}),
        root(a={"enum": []}),
        root(a={"enum": "x"}),
        # Draft 4's bounds, which are flags.
        root(a={"type": "number", "minimum": 1, "exclusiveMinimum": True}),
        root(a={**TEXT, "pattern": "^a  "}),
        root(a={**TEXT, "pattern": "a\nb"}),
        root(a={"type": "text"}),
        root(a={**TEXT, "description": ["x"]}),
    ],
)
def test_what_the_notation_cannot_say_is_not_written_in_it(schema: dict[str, Any]) -> None:
    assert type_notation(schema) is None


@pytest.mark.parametrize("kind", KEYWORDS)
def test_schemas_that_take_others_are_written_otherwise(kind: str) -> None:
    written: dict[str | None, Any] = {}
    for leaf in leaves(kind):
        schema = concise(root(a=leaf), TOOL)
        assert written.setdefault(type_notation(schema), schema) == schema
    assert None not in written
    assert len(written) > len(KEYWORDS[kind])


@pytest.mark.parametrize(
    ("schema", "described"),
    [
        ({"type": "object"}, False),
        (root(a=WORD, b=TEXT), False),
        (root(a=WORD, b=WORD, c=TEXT), True),
        (root(a=WORD, b={"type": "array", "items": root(c=TEXT), "description": "Rows"}), True),
        (root(a=WORD, b={"type": "array", "description": "Anything"}), False),
        (root(a=WORD, b=root(c={}) | {"description": "Open within"}), False),
        (root(a=WORD, b={"type": "object", "description": "Open"}), False),
        (root(a=WORD, b=WORD, c=True), False),
    ],
)
def test_arguments_are_described_where_most_have_words_and_none_is_open(
    schema: dict[str, Any], described: bool
) -> None:
    assert is_described(schema) is described
