"""A stranger's schema whose references multiply, or lead nowhere but back, is no schema: nobody begins to check by it."""

from __future__ import annotations

from typing import Any

import pytest

from jecp_mcp.jsontext import MAX_DEPTH
from jecp_mcp.wire.json_schemas import schema_validator, violations


def doubling(keyword: str, named: str = "$defs", reference: str = "$ref", levels: int = 40) -> dict[str, Any]:
    """A schema that comes to 2^levels subschemas."""

    def twice(number: int) -> dict[str, Any]:
        both = [{reference: f"#/{named}/d{number + 1}"}] * 2
        if keyword in {"properties", "dependentSchemas", "dependencies", "patternProperties"}:
            return {keyword: dict(zip("ab", both, strict=True))}
        if keyword == "not":
            return {"not": both[0], "if": both[1]}
        return {keyword: both}

    defs = {f"d{number}": twice(number) for number in range(levels)}
    return {named: {**defs, f"d{levels}": {"type": "object"}}, "$ref": f"#/{named}/d0"}


@pytest.mark.parametrize(
    "schema",
    [
        *(doubling(keyword) for keyword in ("allOf", "anyOf", "oneOf", "not", "dependentSchemas", "properties")),
        doubling("allOf", "definitions"),
        doubling("allOf", "elsewhere"),
        doubling("prefixItems"),
        {**doubling("items"), "$schema": "http://json-schema.org/draft-07/schema#"},
        {**doubling("dependencies"), "$schema": "http://json-schema.org/draft-07/schema#"},
        doubling("allOf", reference="$dynamicRef"),
        {"$id": "urn:me", **doubling("allOf"), "$ref": "urn:me#/$defs/d0"},
        {"allOf": [doubling("anyOf")["$defs"]["d0"]], "$defs": doubling("anyOf")["$defs"]},
        # Behind a step into the value, and on a circle.
        {"items": {"$ref": "#/$defs/d0"}, "$defs": doubling("allOf")["$defs"]},
        {"items": {"$ref": "#"}, **{k: v for k, v in doubling("allOf").items() if k == "$defs"}, "allOf": [
            {"$ref": "#/$defs/d0"}
        ]},
        {"$defs": {
            f"n{i}": {"$anchor": f"a{i}", "anyOf": [{"$ref": f"#a{i + 1}"}] * 2} for i in range(30)
        } | {"n30": {"$anchor": "a30"}}, "$ref": "#a0"},
    ],
)  # fmt: skip
def test_a_schema_that_multiplies_by_its_references_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="multiply beyond measure"):
        schema_validator(schema)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"$ref": "#"}, "back to itself"),
        ({"allOf": [{"$ref": "#"}]}, "back to itself"),
        ({"$dynamicRef": "#a", "$dynamicAnchor": "a"}, "back to itself"),
        ({"$recursiveRef": "#", "$schema": "https://json-schema.org/draft/2019-09/schema"}, "back to itself"),
        ({"items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}}, "back to itself"),
        ({"$ref": "#/$defs/none"}, "leads nowhere"),
        ({"$ref": "#/allOf/7", "allOf": [{}]}, "leads nowhere"),
        ({"$ref": "#none"}, "leads nowhere"),
        ({"$ref": "https://a.example/schema"}, "other documents"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$id": "urn:other"}}}, "documents of their own"),
        ({"$ref": "#a", "$defs": {"x": {"$anchor": "a"}, "y": {"$anchor": "a"}}}, "two of its anchors"),
    ],
)
def test_a_reference_that_leads_nowhere_new_is_refused(schema: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        schema_validator(schema)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (
            {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}, "type": "object"},
            {"left": {"right": {}}},
            {"left": {"right": 7}},
        ),
        ({"items": {"$ref": "#/$defs/n~1a%20b"}, "$defs": {"n/a b": {"type": "integer"}}}, [1], ["x"]),
        ({"$ref": "#/allOf/0", "allOf": [{"type": "integer"}]}, 1, "x"),
        ({"$ref": "#word", "$defs": {"a": {"$anchor": "word", "type": "string"}}}, "x", 1),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, {"type": "object"}, {"type": 7}),
        ({"properties": {"$ref": {"type": "integer"}, "allOf": {"type": "object"}}}, {"$ref": 1}, {"$ref": "x"}),
        ({"$ref": "#/$defs/a", "$defs": {"a": True}}, 1, None),
        (True, 1, None),
    ],
)
def test_other_references_mean_what_they_lead_to(schema: Any, good: Any, bad: Any) -> None:
    validator = schema_validator(schema)
    assert violations(validator, good) == []
    assert bad is None or violations(validator, bad)


def nest(depth: int, kind: str, leaf: Any = None) -> Any:
    """A value that nests so deep, in lists or in objects."""
    made = leaf
    for _ in range(depth):
        made = [made] if kind == "list" else {"a": made}
    return made


AGAIN: dict[str, Any] = {"$ref": "#"}
A_LIST: dict[str, Any] = {"type": "array", "items": AGAIN}


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"anyOf": [A_LIST, A_LIST]}, "list"),
        ({"allOf": [A_LIST, A_LIST]}, "list"),
        ({"oneOf": [A_LIST, {**A_LIST, "minItems": 1}, {"type": "integer"}]}, "list"),
        ({"type": ["array", "integer"], "items": AGAIN, "contains": AGAIN}, "list"),
        ({"type": ["array", "integer"], "items": AGAIN, "unevaluatedItems": AGAIN}, "list"),
        ({"anyOf": [{"type": "object", "properties": {"a": AGAIN}}, {"type": "object", "additionalProperties": AGAIN}]}, "object"),
        ({"type": "object", "properties": {"a": AGAIN}, "patternProperties": {"a": AGAIN, "^a": AGAIN}}, "object"),
        ({"$defs": {"x": {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/y"}}] * 2}, "y": {
            "anyOf": [{"type": "array", "items": {"$ref": "#/$defs/x"}}] * 2
        }}, "$ref": "#/$defs/x"}, "list"),
        ({"$dynamicAnchor": "n", "anyOf": [{"type": "array", "items": {"$dynamicRef": "#n"}}] * 2}, "list"),
    ],
)  # fmt: skip
def test_a_value_in_which_a_recursive_schema_multiplies_is_refused_without_every_way_being_gone(
    schema: dict[str, Any], kind: str
) -> None:
    validator = schema_validator(schema)
    deep = nest(MAX_DEPTH - 1, kind, "no integer")
    [broken] = violations(validator, deep)
    assert broken["instance_path"] == ""
    assert "nests too deep" in broken["reason"]
    assert all("nests too deep" not in one["reason"] for one in violations(validator, nest(2, kind, "no integer")))


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        (A_LIST | {"type": ["array", "integer"]}, "list"),
        ({"type": ["object", "integer"], "properties": {"a": AGAIN, "b": AGAIN}, "additionalProperties": AGAIN}, "object"),
        ({"anyOf": [A_LIST, {"type": "integer"}]}, "list"),
        ({"properties": {f"p{n}": {"type": "integer"} for n in range(200)} | {"a": AGAIN}, "type": ["object", "integer"]}, "object"),
    ],
)  # fmt: skip
def test_a_recursive_schema_that_does_not_multiply_says_where_however_deep_a_value_nests(
    schema: dict[str, Any], kind: str
) -> None:
    validator = schema_validator(schema)
    assert violations(validator, nest(MAX_DEPTH - 1, kind, 7)) == []
    broken = violations(validator, nest(MAX_DEPTH - 1, kind, "no integer"))
    assert broken
    assert all("nests too deep" not in one["reason"] for one in broken)


def test_a_wide_value_counts_as_much_as_a_deep_one() -> None:
    validator = schema_validator({"anyOf": [A_LIST, A_LIST]})
    [broken] = violations(validator, [[["x"] * 10_000]])
    assert "nests too deep" in broken["reason"]
    assert validator.is_valid([[[]] * 10_000])
