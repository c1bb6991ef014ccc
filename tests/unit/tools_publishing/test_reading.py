"""Arguments are read as clients are known to write them, and only where they would be refused as they are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jecp_mcp.tools.own.definitions import OURS, OWN
from jecp_mcp.tools.schemas.arguments import ArgumentCheck, Checked
from jecp_mcp.tools.schemas.publishable_schema import Unfit, fit
from jecp_mcp.tools.schemas.reading import PROVIDERS, Leniency
from tests.unit.tools_publishing.test_nothing_refused import ARGUMENTS, ROOTS

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "count": {"type": "integer", "minimum": 1},
        "share": {"type": "number"},
        "colour": {"enum": ["red", "blue"]},
        "nothing": {"type": ["string", "null"]},
        "options": {
            "type": "object",
            "properties": {"deep": {"type": "integer"}, "must": {"type": "string"}},
            "required": ["must"],
        },
        "either": {
            "anyOf": [
                {"type": "boolean"},
                {"type": "object", "properties": {"size": {"type": "integer"}}, "additionalProperties": False},
            ]
        },
        "rows": {"type": "array", "items": {"type": "object", "properties": {"at": {"type": "integer"}}}},
        "list": {"type": "array", "items": {"type": "integer"}},
        "flag": {"type": "boolean"},
    },
    "required": ["text"],
    "additionalProperties": False,
}
CHOICE = {
    "type": "object",
    "oneOf": [
        {"properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False},
        {"properties": {"action": {"enum": ["x"]}}, "required": ["action"], "additionalProperties": False},
    ],
}


def check(arguments: Any, schema: Any = SCHEMA, leniency: Leniency = PROVIDERS) -> Checked:
    made = fit(schema)
    assert not isinstance(made, Unfit)
    return ArgumentCheck(made.schema)(arguments, leniency)


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ({"count": None, "colour": None, "list": None}, {}),
        ({"nothing": None, "count": None}, {"nothing": None}),
        ({"options": {"must": "x", "deep": None}}, {"options": {"must": "x"}}),
        ({"rows": [{"at": None}, {"at": 1}]}, {"rows": [{}, {"at": 1}]}),
        ({"either": {"size": None}}, {"either": {}}),
        ({"either": None}, {}),
        ({"unheard of": None}, {}),
        ({"count": "5"}, {"count": 5}),
        ({"share": "0.25"}, {"share": 0.25}),
        ({"share": "-3e2"}, {"share": -300.0}),
        ({"options": '{"must": "x", "deep": null}'}, {"options": {"must": "x"}}),
        ({"either": '{"size": "7"}'}, {"either": {"size": 7}}),
        ({"toolCallId": "t", "sessionId": 1, "chatInput": "hi", "action": "send", "task_progress": []}, {}),
    ],
)
def test_what_clients_send_is_read_as_it_is_meant(sent: dict[str, Any], meant: dict[str, Any]) -> None:
    found = check({"text": "5", **sent})
    assert not found.problems
    assert found.arguments == {"text": "5", **meant}


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ({"text": None}, "/text"),
        ({"options": {"must": None}}, "/options/must"),
        ({"list": [None]}, "/list/0"),
        ({"list": "[1]"}, "/list"),
        ({"flag": "true"}, "/flag"),
        ({"count": ""}, "/count"),
        ({"colour": ""}, "/colour"),
        ({"count": "5.5"}, "/count"),
        ({"count": "0x5"}, "/count"),
        ({"count": "$5"}, "/count"),
        ({"share": "NaN"}, "/share"),
        ({"share": "1e999"}, "/share"),
        ({"share": "0,25"}, "/share"),
        ({"options": "must"}, "/options"),
        ({"options": "{'must': 'x'}"}, "/options"),
        ({"options": '{"must":' + '{"a":' * 99}, "/options"),
        ({"toolcallid": "t"}, "/toolcallid"),
        ({"options": {"must": "x", "deep": {}}}, "/options/deep"),
    ],
)
def test_everything_else_is_refused_where_it_is_and_handed_back_as_it_was(sent: dict[str, Any], pointer: str) -> None:
    arguments = {"text": "x", "share": None, **sent}
    found = check(arguments)
    assert [problem.pointer for problem in found.problems] == [pointer]
    assert found.arguments is arguments
    assert not found.notices


def test_what_a_required_null_is_refused_with_is_that_it_is_null() -> None:
    (problem,) = check({"text": None}).problems
    assert problem.reason == "must be string, and is null"


def test_a_member_that_any_alternative_names_is_not_taken_for_a_hosts() -> None:
    assert check({"a": 1, "action": "y"}, CHOICE).problems
    assert check({"a": 1, "sessionId": "y"}, CHOICE).arguments == {"a": 1}
    assert check({"a": None, "action": "x"}, CHOICE).arguments == {"action": "x"}


def test_a_member_that_a_host_adds_stays_where_the_tool_takes_it() -> None:
    sent = {"sessionId": "s", "toolCallId": None}
    found = check(sent, {"type": "object"})
    assert found.arguments is sent
    named = {"propertyNames": {"pattern": "^[a-z]+$"}}
    assert check({"toolCallId": 1, "a": 2, "B": None}, named).arguments == {"a": 2}


def test_what_was_read_is_said_and_what_holds_nothing_is_not() -> None:
    sent = {"text": "x", "count": "5", "options": '{"must": "x"}', "action": "send", "colour": None}
    assert set(check(sent).notices) == {
        "/count was sent as text and read as a number.",
        "/options was sent as text and read as an object.",
        "action is no argument of this tool and was left out.",
    }
    many = {"type": "object", "additionalProperties": {"type": "integer"}}
    notices = check({f"n{at}": str(at) for at in range(9)}, many).notices
    assert len(notices) == 4
    assert notices[-1] == "6 more arguments were read so."


@pytest.mark.parametrize(
    ("tool", "sent", "meant"),
    [
        ("jecp_search", {"query": "", "limit": None, "namespace": None, "tags": "", "max_price_usdc": ""}, {"query": ""}),
        ("jecp_search", {"limit": "5", "max_price_usdc": "$0.05"}, {"limit": 5, "max_price_usdc": "0.05"}),
        ("jecp_status", {"call_id": ""}, {}),
        ("jecp_topup", {"amount_usd": "$20"}, {"amount_usd": 20}),
        ("jecp_call", {"tool": "t", "arguments": '{"n": 1}'}, {"tool": "t", "arguments": {"n": 1}}),
        (
            "paid_http_prepare",
            {"url": "https://a.example/", "method": "", "headers": {"X": None, "Y": ""}, "json": '{"a": null}',
             "body": None, "max_usdc": "$ 1", "replaces": "", "known_fields": None},
            {"url": "https://a.example/", "headers": {"Y": ""}, "json": {"a": None}, "max_usdc": "1"},
        ),
    ],
)  # fmt: skip
def test_for_our_own_tools_an_empty_text_counts_as_left_out_and_an_amount_may_have_a_dollar_sign(
    tool: str, sent: dict[str, Any], meant: dict[str, Any]
) -> None:
    found = ArgumentCheck(OWN[tool].input_schema)(sent, OURS)
    assert not found.problems
    assert found.arguments == meant


def test_of_our_own_tools_too_what_is_required_is_not_left_out() -> None:
    for tool, sent in (("jecp_call", {"tool": "", "arguments": {}}), ("jecp_execute", {"prepared_id": ""})):
        assert ArgumentCheck(OWN[tool].input_schema)(sent, OURS).problems


def test_a_search_for_a_reading_ends() -> None:
    fork = {"anyOf": [{"type": "integer"}, {"type": "object", "properties": {"a": {"$ref": "#/$defs/fork"}}}]}
    schema = {"type": "object", "$defs": {"fork": fork}, "additionalProperties": {"$ref": "#/$defs/fork"}}
    sent = {f"n{at}": {"a": {"a": "5"}} for at in range(40)}
    found = check(sent, schema)
    assert found.problems
    assert found.arguments is sent
    assert check({"n": {"a": {"a": "5"}}}, schema).arguments == {"n": {"a": {"a": 5}}}


def unchanged(check: ArgumentCheck, sent: dict[str, Any]) -> None:
    fits = check._whole[0].validator.is_valid
    for leniency in (PROVIDERS, OURS):
        found = check(sent, leniency)
        again = check(found.arguments, leniency)
        assert again.arguments is found.arguments
        assert again.problems == found.problems
        assert not again.notices
        # What fits is the same call, and what is read was refused before and fits now.
        assert (found.arguments is sent) or (fits(found.arguments) and not fits(sent))


VALUES = st.sampled_from([None, "", "5", 5, "x", "red", True, '{"must": "x"}', '{"size": "1"}', {"size": None}, [None]])
PUBLISHED = ArgumentCheck(SCHEMA)


@given(st.dictionaries(st.sampled_from([*SCHEMA["properties"], "action", "unheard of"]), VALUES))
def test_reading_changes_nothing_that_fits_and_nothing_twice(sent: dict[str, Any]) -> None:
    unchanged(PUBLISHED, {"text": "x", **sent})


@given(st.dictionaries(st.sampled_from(sorted(SCHEMA["properties"])), VALUES), st.data())
def test_a_null_for_what_is_left_out_makes_no_other_call(sent: dict[str, Any], data: st.DataObject) -> None:
    """So the guard against buying the identical call twice holds, whichever way a client sends it."""
    plain = PUBLISHED({"text": "x", **sent})
    free = sorted(SCHEMA["properties"].keys() - sent.keys() - {"text", "nothing"})
    nulls = dict.fromkeys(data.draw(st.sets(st.sampled_from(free)) if free else st.just(set())))
    if not plain.problems:
        assert PUBLISHED({**nulls, "text": "x", **sent}).arguments == plain.arguments


@pytest.mark.slow
@given(ROOTS, ARGUMENTS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_reading_holds_so_for_any_schema(raw: Any, arguments: list[dict[str, Any]]) -> None:
    made = fit(raw)
    if not isinstance(made, Unfit):
        check = ArgumentCheck(made.schema)
        for sent in arguments:
            unchanged(check, sent)
