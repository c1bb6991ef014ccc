"""Arguments checked before anything is spent: quickly, by pointer, without repeating them."""

from typing import Any

import pytest

from jecp_mcp.tools.arguments import MAX_DEPTH, MOST_PROBLEMS, ArgumentCheck, ArgumentChecks
from jecp_mcp.tools.schema import Unfit, fit
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
    assert "required" in found["/text"]
    assert "minimum" in found["/lines/1/n~1o"]


def test_of_alternatives_the_nearest_is_explained():
    found = told(SCHEMA, {"text": "ok", "shape": {"kind": "square", "side": "2"}})
    assert found[0][0] == "/shape"
    assert found[1] == ("/shape/side", 'the value is not of type "number"')


def test_a_union_at_the_root_is_explained_too():
    schema = published(SCHEMA["properties"]["shape"])
    assert told(schema, {"kind": "circle"})[-1] == ("/r", "this property is required and missing")
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
    assert (pointer, reason) == ("/a", f'the value does not match "{pattern}"')


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
        ("/children/0/children/0/name", 'the value is not of type "string"')
    ]


def test_a_hundred_thousand_wrong_values_are_one_problem_after_a_look_at_each():
    schema = {"properties": {"a": {"type": "array", "items": {"type": "string"}}}}
    wrong = {"a": [1] * 100_000}
    assert told(schema, wrong) == [("/a/0", 'the value is not of type "string"')]
    assert steps(lambda: told(schema, wrong)) < 4 * 100_000


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
