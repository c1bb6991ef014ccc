"""Arguments checked before anything is spent: quickly, by pointer, without repeating them."""

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jecp_mcp.tools.schemas import arguments as arguments_module
from jecp_mcp.tools.schemas.arguments import MAX_DEPTH, MOST_PROBLEMS, ArgumentCheck, ArgumentChecks
from jecp_mcp.tools.schemas.publishable_schema import Unfit, fit
from jecp_mcp.tools.schemas.references import silence_unions
from tests.steps import steps

SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "minLength": 2},
        "lines": {
            "type": "array",
            "items": {"type": "object", "properties": {"n/o": {"type": "integer", "minimum": 1}}},
        },
        "shape": {
            "oneOf": [
                {"properties": {"kind": {"const": "circle"}, "r": {"type": "number"}}, "required": ["kind", "r"]},
                {"properties": {"kind": {"const": "square"}, "side": {"type": "number"}}, "required": ["kind", "side"]},
            ]
        },
    },
    "required": ["text"],
    "additionalProperties": False,
}


def published(raw: dict[str, Any]) -> dict[str, Any]:
    made = fit(raw)
    assert not isinstance(made, Unfit)
    return made.schema


def told(schema: dict[str, Any], arguments: dict[str, Any]) -> list[tuple[str, str]]:
    return [(problem.pointer, problem.reason) for problem in ArgumentCheck(schema)(arguments).problems]


def test_arguments_that_fit_have_no_problems():
    assert told(SCHEMA, {"text": "ok", "lines": [{"n/o": 1}], "shape": {"kind": "square", "side": 2}}) == []


def test_problems_point_to_where_they_are():
    found = dict(told(SCHEMA, {"lines": [{}, {"n/o": 0}], "extra": 1}))
    assert set(found) == {"/text", "/lines/1/n~1o", "/extra"}
    assert found["/text"] == "is missing"
    assert found["/lines/1/n~1o"] == "must be at least 1"


def test_of_alternatives_the_nearest_is_explained():
    found = told(SCHEMA, {"text": "ok", "shape": {"kind": "square", "side": "two"}})
    assert found[0][0] == "/shape"
    assert found[1] == ("/shape/side", "must be number, and is string")


def test_a_union_at_the_root_is_explained_too():
    schema = published(SCHEMA["properties"]["shape"])
    assert told(schema, {"kind": "circle"})[-1] == ("/r", "is missing")
    assert told(schema, {"kind": "circle", "r": 1}) == []


def test_values_are_not_repeated_and_the_list_is_bounded():
    secret = "hunter2" * 10_000
    schema = {"type": "object", "additionalProperties": {"type": "integer"}}
    found = told(schema, {f"k{at}": secret for at in range(100)})
    assert len(found) == MOST_PROBLEMS
    assert "hunter2" not in str(found)
    assert all(len(reason) <= 240 for _, reason in found)


def test_a_giant_enum_is_not_repeated_whole():
    found = told({"properties": {"a": {"enum": [f"value-{at}" * 9 for at in range(500)]}}}, {"a": 1})
    assert len(found[0][1]) <= 240


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|aa)+$", "^(a|a?)+$", "(x+x+)+y"])
def test_no_pattern_can_stall_the_check(pattern):
    schema = published({"properties": {"a": {"type": "string", "pattern": pattern}}})
    [(pointer, reason)] = told(schema, {"a": "a" * 50_000 + "!"})
    # It was tried to the end: an engine that tracks back gives up, or never ends.
    assert (pointer, reason) == ("/a", f'must match the pattern "{pattern}"')


def test_a_recursive_schema_cannot_draw_the_check_out():
    """Checked, these arguments would take two to the fiftieth visits."""
    twice = {"properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}}
    schema = published(twice)
    arguments: dict[str, Any] = {}
    for _ in range(50):
        arguments = {"a": arguments}
    assert told(schema, arguments) == []


def test_a_recursive_schema_is_checked_as_deep_as_people_go():
    schema = published(
        {"properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}}}
    )
    assert told(schema, {"children": [{"children": [{"name": 7}]}]}) == [
        ("/children/0/children/0/name", "must be string, and is integer")
    ]


def test_a_hundred_thousand_wrong_values_are_one_problem_after_a_look_at_each():
    schema = {"properties": {"a": {"type": "array", "items": {"type": "string"}}}}
    wrong = {"a": [1] * 100_000}
    assert told(schema, wrong) == [("/a/0", "must be string, and is integer")]
    assert steps(lambda: told(schema, wrong)) < 4 * 100_000


class CountingValidator:
    """A validator, and how many errors it has made, those within errors included."""

    def __init__(self, validator: jsonschema_rs.Validator) -> None:
        self._validator = validator
        self.is_valid = validator.is_valid
        self.made = 0

    def iter_errors(self, value):
        errors = list(self._validator.iter_errors(value))
        self.made += sum(map(self._count, errors))
        return iter(errors)

    def validate(self, value):
        try:
            self._validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            self.made += self._count(error)
            raise

    def _count(self, error) -> int:
        return 1 + sum(self._count(one) for branch in getattr(error.kind, "context", ()) for one in branch)


REQUIRED = [{"required": [f"a{at}"]} for at in range(100)]
DOUBLING = {"properties": {"c": {"anyOf": [{"$ref": "#/$defs/n"}, {"$ref": "#/$defs/n"}]}}, "required": ["k"]}


def nested(levels: int) -> dict[str, Any]:
    return {"c": nested(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    ("schema", "wrong", "at"),
    [
        ({"x": {"items": {"oneOf": REQUIRED}}}, {"x": [{}] * 400}, "/x/0"),
        ({"x": {"items": {"allOf": REQUIRED}}}, {"x": [{}] * 400}, "/x/0/a0"),
        ({"x": {"anyOf": [{"items": one} for one in REQUIRED]}}, {"x": [{}] * 400}, "/x"),
        (
            {"x": {"items": {"$ref": "#/$defs/u"}}, "y": {"anyOf": [{"$ref": "#/properties/x"}]}},
            {"y": [{}] * 400},
            "/y",
        ),
        ({"c": {"$ref": "#/$defs/n"}}, nested(18), "/c/k"),
    ],
)
def test_the_work_is_bounded_however_many_parts_meet_however_many_alternatives(schema, wrong, at, monkeypatch):
    made = []

    def counting(schema):
        made.append(CountingValidator(compiled(schema)))
        return made[-1]

    compiled = arguments_module._compile
    monkeypatch.setattr(arguments_module, "_compile", counting)
    whole = published({"properties": schema, "$defs": {"n": DOUBLING, "u": {"oneOf": REQUIRED}}})
    assert told(whole, wrong)[0][0] == at
    assert 0 < sum(one.made for one in made) < 20_000


def test_a_value_among_thousands_that_fits_no_alternative_is_pointed_to():
    schema = {"properties": {"x": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}}}
    assert told(schema, {"x": ["a", 1] * 10_000 + [None]}) == [("/x/20000", "fits no alternative, or too many")]


PARTS = st.recursive(
    st.sampled_from([{"type": "string"}, {"type": "integer"}, {"required": ["x"]}, {}, {"$ref": "#/$defs/u/anyOf/1"}]),
    lambda part: st.one_of(
        st.builds(lambda some: {"anyOf": some}, st.lists(part, min_size=1, max_size=3)),
        st.builds(lambda some: {"oneOf": some}, st.lists(part, min_size=1, max_size=3)),
        st.builds(lambda one: {"properties": {"x": one}, "unevaluatedProperties": False}, part),
        st.builds(lambda one, some: {"not": one, "allOf": some}, part, st.lists(part, min_size=1, max_size=2)),
        st.builds(lambda one, other: {"if": one, "then": other, "anyOf": [one, other]}, part, part),
    ),
    max_leaves=8,
)
VALUES = st.recursive(
    st.sampled_from([1, "a", None, {}]), lambda one: st.dictionaries(st.sampled_from("xy"), one), max_leaves=4
)


@given(PARTS, VALUES)
def test_the_schema_that_names_no_alternative_takes_the_same_values(schema, value):
    schema = {
        **schema,
        "$defs": {"u": {"anyOf": [{"type": "null"}, {"oneOf": [{"required": ["y"]}, {"type": "integer"}]}]}},
    }
    assert jsonschema_rs.is_valid(silence_unions(schema), value) == jsonschema_rs.is_valid(schema, value)


def test_arguments_that_are_no_sound_json_are_a_problem_and_no_crash():
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert str(MAX_DEPTH) in told({}, deep)[0][1]
    assert told({"properties": {"a": {"type": "string"}}}, {"\ud800": 1})[0][0] == ""
    assert told({"properties": {"a": {"type": "number"}}}, {"a": float("nan")})
    assert isinstance(told({"properties": {"a": {"maximum": 5}}}, {"a": 10**5_000}), list)


def test_checks_are_kept_by_tool_and_made_anew_for_a_new_schema():
    checks = ArgumentChecks(capacity=2)
    strict = {"type": "object", "required": ["a"]}
    assert checks("t", strict, {}).problems
    kept = checks._checks["t"]
    assert checks("t", dict(strict), {}).problems
    assert checks._checks["t"] is kept
    assert not checks("t", {"type": "object"}, {}).problems
    assert not checks("u", {"type": "object"}, {}).problems
    assert not checks("v", {"type": "object"}, {}).problems
    assert set(checks._checks) == {"u", "v"}
