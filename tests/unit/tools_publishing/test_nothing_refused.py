"""Whatever schema is published: a value that the original accepts is never refused, and no check is left out unsaid."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jecp_mcp.tools.schemas.arguments import ArgumentCheck
from jecp_mcp.tools.schemas.dialects import Beyond, plain
from jecp_mcp.tools.schemas.publishable_schema import Fitted, Unfit, fit, loosen
from jecp_mcp.tools.schemas.references import deepest, growth, recursive
from jecp_mcp.tools.schemas.root_object import unfold

DRAFTS = [
    "http://json-schema.org/draft-04/schema#",
    "http://json-schema.org/draft-07/schema#",
    "https://json-schema.org/draft/2019-09/schema",
    "https://json-schema.org/draft/2020-12/schema",
]
HIDDEN = "b\u200b"
HUGE = 2**70
KEYS = st.sampled_from(["a", "b", "$filter", "uids[]"])
DEFINITIONS = st.sampled_from(["a", "P<T>", "b c", "50%"])
SCALARS = [0, 1, 1.5, "a", "bb", "a@b.example", HIDDEN, HUGE, None, True]
SCHEMA: st.SearchStrategy[Any] = st.deferred(lambda: st.booleans() | OBJECTS)
NAMED = st.dictionaries(KEYS, SCHEMA, max_size=2)
DEFINED = st.dictionaries(DEFINITIONS, SCHEMA, max_size=2)
SOME = st.lists(SCHEMA, min_size=1, max_size=2)
PATTERNS = ["^a", r"^\S{1,500}$", r"\p{L}{1,25}", "(?=a)b", r"(?<n>a)", r"^a\@b\-?"]
KINDS = st.sampled_from(["object", "string", "integer", "array", "number", ["object", "null"], ["array", "string"]])
KEYWORDS: dict[str, st.SearchStrategy[Any]] = {
    "type": KINDS,
    "properties": NAMED,
    "required": st.lists(KEYS, min_size=1, max_size=2, unique=True),
    "$defs": DEFINED,
    "definitions": DEFINED,
    "anyOf": SOME,
    "oneOf": SOME,
    "allOf": SOME,
    "not": SCHEMA,
    "if": SCHEMA,
    "then": SCHEMA,
    "else": SCHEMA,
    "items": SCHEMA,
    "prefixItems": SOME,
    "additionalItems": SCHEMA,
    "additionalProperties": SCHEMA,
    "unevaluatedProperties": SCHEMA,
    "unevaluatedItems": SCHEMA,
    "patternProperties": st.dictionaries(st.sampled_from(PATTERNS), SCHEMA, max_size=2),
    "propertyNames": SCHEMA,
    "contains": SCHEMA,
    "minContains": st.integers(0, 2),
    "maxContains": st.integers(1, 2),
    "dependentSchemas": NAMED,
    "dependentRequired": st.dictionaries(KEYS, st.lists(KEYS, max_size=2, unique=True), max_size=1),
    "enum": st.lists(st.sampled_from([*SCALARS, {}, {"a": 1}, ["a"]]), min_size=1, max_size=3),
    "const": st.sampled_from([*SCALARS, {"a": 1}]),
    "pattern": st.sampled_from(PATTERNS),
    "format": st.sampled_from(["email", "date", "ipv4"]),
    "minimum": st.sampled_from([0, 1, HUGE]),
    "maxLength": st.integers(0, 2),
    "uniqueItems": st.booleans(),
    "minProperties": st.integers(0, 1),
    "id": st.sampled_from(["item", "https://x.example/item"]),
    "$id": st.sampled_from(["item", "https://x.example/item"]),
    "$anchor": st.just("here"),
    "$dynamicAnchor": st.just("there"),
    "$dynamicRef": st.sampled_from(["#there", "#", "#/$defs/a"]),
    "$recursiveRef": st.just("#"),
    "$ref": st.sampled_from(
        [
            "#", "#/$defs/a", "#/$defs/P%3CT%3E", "#/$defs/b%20c", "#/definitions/50%25", "#/definitions/a", "#/anyOf/0",
            "#/oneOf/0/properties/a", "#/properties/a", "#/properties/$filter", "#/properties/uids%5B%5D", "#here",
            "#/items", "#/not", "#/if", "#/allOf/0",
        ]
    ),
}  # fmt: skip
OBJECTS = st.fixed_dictionaries({}, optional=KEYWORDS) | st.sampled_from(sorted(KEYWORDS)).flatmap(
    lambda keyword: st.fixed_dictionaries({keyword: KEYWORDS[keyword]})
)
SMALL = st.lists(st.sampled_from(sorted(KEYWORDS)), min_size=1, max_size=4, unique=True).flatmap(
    lambda keywords: st.fixed_dictionaries({keyword: KEYWORDS[keyword] for keyword in keywords})
)
ROOTS = st.builds(
    lambda draft, schema: schema if draft is None else {"$schema": draft, **schema},
    st.none() | st.sampled_from(DRAFTS),
    SMALL | st.builds(lambda schema, defs: {"$defs": defs, "properties": {"a": schema}}, SMALL, DEFINED),
)
VALUES = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=5,
)
ARGUMENTS = st.lists(st.dictionaries(KEYS, VALUES, max_size=3), min_size=3, max_size=10)
THOROUGH = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def originals(raw: Any) -> list[jsonschema_rs.Validator]:
    """The original as a reader takes it that asserts formats, and as one that does not."""
    try:
        return [jsonschema_rs.validator_for(raw, validate_formats=formats, offline=True) for formats in (True, False)]
    except ValueError:
        return []


def in_parts(schema: dict[str, Any]) -> list[jsonschema_rs.Validator]:
    """What a schema is checked by in part: without its patterns, without what repeats itself, and without either."""
    patterns, whole = frozenset({"pattern", "patternProperties"}), unfold(schema)
    circles = frozenset(id(node) for node in recursive(schema))
    less = [
        loosen(whole, without=patterns),
        loosen(whole, cut=circles),
        loosen(whole, without=patterns, cut=circles),
    ]
    return [jsonschema_rs.validator_for(one, pattern_options=jsonschema_rs.RegexOptions()) for one in less]


def compare(raw: Any, arguments: list[dict[str, Any]]) -> None:
    made = fit(raw)
    if isinstance(made, Unfit):
        return
    check = ArgumentCheck(made.schema)
    assert not check.left
    parts = in_parts(made.schema)
    for value in arguments:
        read = check(value)
        assert read.problems or all(part.is_valid(read.arguments) for part in parts)
    for original in originals(raw):
        for value in arguments:
            meant, problems, left, _ = check(value)
            if original.is_valid(value):
                assert not problems, (made, value, problems)
                assert meant is value
            elif not problems and not original.is_valid(meant):
                assert made.lost or made.unchecked or left, (made, value)


def link(part: dict[str, Any]) -> dict[str, Any]:
    return {"not": {"allOf": [{"anyOf": [{"type": "integer"}, True]}, part]}}


CHAIN = {
    "properties": {
        "a": link({"pattern": "(?=x)"}),
        **{name: link({"$ref": f"#/properties/{before}/not/allOf/0/anyOf/0"}) for before, name in pairwise("abcdef")},
    },
}
"""Where each part that is let go of takes along what another refers to."""


@THOROUGH
@given(ROOTS, ARGUMENTS)
@example({"type": "object", "$ref": "#/anyOf/0", "anyOf": [{"required": ["a"]}]}, [{}, {"a": 1}])
@example({"$ref": "#/anyOf/0", "anyOf": [{"required": ["a"]}], "if": {"required": ["b"]}, "then": {}}, [{}, {"a": 1}])
@example({"not": {"$ref": "#/x"}, "x": {"required": ["a"]}}, [{}, {"a": 1}])
@example(
    {"$ref": "#/$defs/a", "unevaluatedProperties": False, "$defs": {"a": {"patternProperties": {"(?=a)": True}}}},
    [{"a": 1}],
)
def test_no_accepted_value_is_refused_and_what_is_not_checked_is_said(
    raw: Any, arguments: list[dict[str, Any]]
) -> None:
    compare(raw, arguments)


def doubling(levels: int, last: dict[str, Any]) -> dict[str, Any]:
    """Each definition refers to the next twice, and the last to what is given."""
    defs: dict[str, Any] = {f"d{at}": {"allOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{levels}": last}}


BRANCH = {"$ref": "#"}
BRANCHES = {"type": "array", "items": {"$ref": "#"}}


@pytest.mark.parametrize(
    ("raw", "times"),
    [
        ({"properties": {"a": {"type": "string"}}}, 1),
        ({"type": "object", "properties": {"left": BRANCH, "right": BRANCH}}, 1),
        ({"type": "object", "properties": {"and": BRANCHES, "or": BRANCHES, "not": BRANCH}}, 1),
        ({"properties": {"next": BRANCH}}, 1),
        ({"anyOf": [{"properties": {"a": BRANCH}}, {"properties": {"a": BRANCH, "b": BRANCH}}]}, 2),
        ({"type": "object", "properties": {"a": BRANCH}, "additionalProperties": BRANCH}, 2),
        ({"type": "object", "properties": {"a": BRANCH}, "unevaluatedProperties": False}, 2),
        (doubling(10, {"properties": {"a": {"$ref": "#/$defs/d0"}}}), 2**10),
        (doubling(10, {"properties": {"a": {"type": "string"}}}), 1),
    ],
)
def test_only_ways_that_lead_to_the_same_part_again_and_again_multiply(raw: dict[str, Any], times: int) -> None:
    made = fit(raw)
    assert isinstance(made, Fitted)
    assert growth(made.schema) == times
    bound = deepest(made.schema)
    assert (bound is None) == (times == 1)
    assert bound is None or times**bound <= 1_000_000 < times ** (bound + 1)
    assert bool(made.unchecked) == (times > 1)


def test_a_schema_as_large_as_may_be_is_checked_in_parts_too() -> None:
    branches = [{"properties": {f"k{at}": {"pattern": "^a"}}, "required": [f"k{at}"]} for at in range(250)]
    made = fit({"anyOf": branches, "properties": {"n": {"type": "integer"}, "m": {"$ref": "#"}}})
    assert isinstance(made, Fitted)
    for part in in_parts(made.schema):
        assert part.is_valid({"k7": "a", "n": 1})
        assert not part.is_valid({"k7": "a", "n": "x"})
        assert not part.is_valid({"n": 1})


@pytest.mark.parametrize("length", [100, 400, 500])
def test_a_long_chain_of_references_is_followed_to_its_end(length: int) -> None:
    defs: dict[str, Any] = {f"d{at}": {"$ref": f"#/$defs/d{at + 1}"} for at in range(length)}
    made = fit({"properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": {**defs, f"d{length}": {"type": "integer"}}})
    assert isinstance(made, Fitted)
    assert ArgumentCheck(made.schema)({"a": "x"}).problems
    assert isinstance(plain(made.schema), Beyond)
