"""What counts as wider, narrower or as new words in an input schema."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jecp_mcp.catalog.schema_change import SchemaChange, schema_change

NONE, WIDER, NARROWER, WORDS = SchemaChange.NONE, SchemaChange.WIDER, SchemaChange.NARROWER, SchemaChange.WORDS


def of(schema: Any, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": schema}, **more}


CASES: list[tuple[str, Any, Any, SchemaChange]] = [
    ("the order of keys", {"type": "object", "title": "t"}, {"title": "t", "type": "object"}, NONE),
    ("a longer text", of({"maxLength": 5}), of({"maxLength": 9}), WIDER),
    ("a shorter text", of({"maxLength": 5}), of({"maxLength": 4}), NARROWER),
    ("a bound taken away", of({"minimum": 5}), of({}), WIDER),
    ("a bound that was not there", of({}), of({"maximum": 5}), NARROWER),
    ("a field that is required now", of({}), of({}, required=["a"]), NARROWER),
    ("a field that may be left out now", of({}, required=["a"]), of({}), WIDER),
    ("an integer that may be a fraction", of({"type": "integer"}), of({"type": "number"}), WIDER),
    ("a number that must be whole", of({"type": "number"}), of({"type": "integer"}), NARROWER),
    ("another type", of({"type": "string"}), of({"type": "boolean"}), WIDER | NARROWER),
    ("a field more", of({}, additionalProperties=False), {**of({}, additionalProperties=False), "properties": {"a": {}, "b": {}}}, WIDER | WORDS),
    ("a field less", {**of({}, additionalProperties=False), "properties": {"a": {}, "b": {}}}, of({}, additionalProperties=False), NARROWER | WORDS),
    ("a field named that could hold anything", of({}), {"type": "object", "properties": {"a": {}, "b": {"type": "string"}}}, NARROWER | WORDS),
    ("a field no longer named", {"type": "object", "properties": {"a": {}, "b": {"type": "string"}}}, of({}), WIDER | WORDS),
    ("a choice more", of({"enum": ["x"]}), of({"enum": ["x", "y"]}), WIDER | WORDS),
    ("a number more to choose", of({"enum": [1]}), of({"enum": [1, 2]}), WIDER),
    ("a choice less", of({"enum": ["x", "y"]}), of({"enum": ["x"]}), NARROWER),
    ("no choices any more", of({"enum": ["x"]}), of({}), WIDER),
    ("other words", of({"description": "a"}), of({"description": "b"}), WORDS),
    ("a default", of({}), of({"default": 1}), WORDS),
    ("words that change places", {"properties": {"a": {"title": "to"}, "b": {"title": "from"}}}, {"properties": {"a": {"title": "from"}, "b": {"title": "to"}}}, WORDS),
    ("nothing else allowed", of({}), of({}, additionalProperties=False), NARROWER),
    ("anything else allowed", of({}, additionalProperties=False), of({}), WIDER),
    ("a pattern", of({}), of({"pattern": "^a$"}), NARROWER | WORDS),
    ("no pattern", of({"pattern": "^a$"}), of({}), WIDER),
    ("items more", of({"items": {"type": "integer"}}), of({"items": {}}), WIDER),
    ("one way more", {"anyOf": [{"required": ["a"]}]}, {"anyOf": [{"required": ["a"]}, {"minProperties": 1}]}, WIDER | WORDS),
    ("one demand more", {}, {"allOf": [{"minProperties": 1}]}, NARROWER | WORDS),
    ("a narrower exception", {"not": {"maxLength": 5}}, {"not": {"maxLength": 4}}, WIDER),
    ("true for 1", of({"const": 1}), of({"const": True}), WIDER | NARROWER | WORDS),
    ("an unknown keyword", of({"x-more": 1}), of({"x-more": 2}), WIDER | NARROWER | WORDS),
    ("definitions", {"$defs": {"a": {"type": "string"}}}, {"$defs": {"a": {}}}, WIDER | NARROWER | WORDS),
    ("a schema that is none", of({}), of("x"), WIDER | NARROWER | WORDS),
    ("never", of({}), of(False), NARROWER),
    ("no longer never", of(False), of({"title": "t"}), WIDER | WORDS),
    ("unique members", of({}), of({"uniqueItems": True}), NARROWER),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "found"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_each_change_is_what_it_is_called(old: Any, new: Any, found: SchemaChange) -> None:
    assert schema_change(old, new) == found
    assert schema_change(old, old) == schema_change(new, new) == NONE


def test_a_bottomless_schema_is_everything_at_once() -> None:
    def nested(leaf: Any) -> Any:
        for _ in range(200):
            leaf = {"items": leaf}
        return leaf

    assert schema_change(nested({}), nested({"title": "x"})) == WIDER | NARROWER | WORDS


LEAVES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["string", "integer", "number", "boolean", ["integer", "string"], ["null", "number"]]),
        "minimum": st.integers(-2, 3),
        "maximum": st.integers(-2, 3),
        "minLength": st.integers(0, 2),
        "maxLength": st.integers(0, 2),
        "enum": st.lists(st.sampled_from([0, 1, "a", "bb", True, None]), min_size=1, max_size=3, unique_by=repr),
        "const": st.sampled_from([0, "a", True]),
        "multipleOf": st.sampled_from([1, 2]),
    },
)
SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    LEAVES | st.booleans(),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
            "required": st.lists(st.sampled_from(["a", "b"]), unique=True, max_size=2),
            "additionalProperties": inner,
            "maxProperties": st.integers(0, 2),
            "items": inner,
            "uniqueItems": st.booleans(),
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
        },
    ),
    max_leaves=6,
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([None, True, False, -2, 0, 1, 2, 1.5, "", "a", "bb", "ccc"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=4,
)


@given(old=SCHEMAS, new=SCHEMAS, values=st.lists(VALUES, min_size=1, max_size=12))
def test_what_is_not_called_narrower_takes_all_it_took_and_what_is_not_called_wider_nothing_more(
    old: Any, new: Any, values: list[Any]
) -> None:
    found = schema_change(old, new)
    before, after = jsonschema_rs.validator_for(old), jsonschema_rs.validator_for(new)
    for value in values:
        was, now = before.is_valid(value), after.is_valid(value)
        assert not (was and not now) or NARROWER in found
        assert not (now and not was) or WIDER in found


@st.composite
def loosened(draw: st.DrawFn) -> tuple[Any, Any]:
    """A schema, and the same with one constraint somewhere changed or gone."""
    schema = draw(SCHEMAS.filter(lambda one: isinstance(one, dict) and one))
    keyword = draw(st.sampled_from(sorted(schema)))
    other = {key: value for key, value in schema.items() if key != keyword}
    return (schema, other) if draw(st.booleans()) else (other, schema)


@given(pair=loosened(), values=st.lists(VALUES, min_size=1, max_size=12))
def test_the_same_holds_where_only_one_keyword_differs(pair: tuple[Any, Any], values: list[Any]) -> None:
    old, new = pair
    found = schema_change(old, new)
    before, after = jsonschema_rs.validator_for(old), jsonschema_rs.validator_for(new)
    for value in values:
        was, now = before.is_valid(value), after.is_valid(value)
        assert not (was and not now) or NARROWER in found
        assert not (now and not was) or WIDER in found
