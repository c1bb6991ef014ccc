"""Models and people read about the same refusals, each what is meant for them."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import jecp_mcp as jecp_mcp_package
import tests.acceptance.errors.snapshot as every_error
import tests.contract.tools.test_own_refusals as own_refusals
from jecp_mcp.cli.advice import _BY_CODE, _BY_TYPE, advice, for_person, problems
from jecp_mcp.cli.call import _as_json
from jecp_mcp.cli.main import COMMANDS, jecp_mcp
from jecp_mcp.settings.command_lines import CommandLine
from jecp_mcp.tools.own import browse
from jecp_mcp.tools.own.definitions import OWN
from jecp_mcp.tools.types import ToolResult
from tests.contract.tools.error_codes import every_code

SOURCES = Path(jecp_mcp_package.__file__).parent
STATUS = {"type": "check_status", "tool": "jecp_status", "retry_after_seconds": 15}
FOR_MODELS = re.compile(r"[Tt]ell the user|the user\b|[Ss]top here|this call unchanged|\bjecp_(?!topup|register)")
FOR_PEOPLE = re.compile(r"`|jecp-mcp (?!needs)|\bJECP_[A-Z]|--\w")
COMMAND = re.compile("`([^`]+)`")


def reviewed() -> Iterator[tuple[str, dict[str, Any]]]:
    yield from json.loads(own_refusals.FILE.read_text(encoding="utf-8")).items()
    for heading, manners in every_error.read().items():
        for manner, text in manners.items():
            yield f"{heading}, {manner}", json.loads(text)


REVIEWED = dict(reviewed())


def test_no_person_is_told_what_a_model_is_to_do() -> None:
    assert {name: said for name, one in REVIEWED.items() if FOR_MODELS.search(said := advice(one))} == {}


def test_messages_and_hints_speak_to_the_person_who_reads_them() -> None:
    hints = [text for name, text in vars(browse).items() if name.startswith(("_NO", "_ALL")) and isinstance(text, str)]
    waits = "it has changed. Its operator can look at it and approve it"
    said = [for_person(text) for text in (*hints, waits, *(str(one["error"]["message"]) for one in REVIEWED.values()))]
    assert [text for text in said if re.search(r"operator|the user|in the chat", text, re.IGNORECASE)] == []
    assert "You can look at it and approve it" in said[len(hints)]
    assert for_person("It is not acknowledged. The operator rules on it.") == "It is not acknowledged. You rule on it."
    assert "No close match. Try other words; if those find none either, it is not on sale here." in said


def test_what_somebody_does_is_said_of_the_reader_whatever_it_is() -> None:
    """In every text of ours, for any of them may come before a person."""
    texts = {
        node.value
        for path in SOURCES.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    told = {found for text in texts for found in re.findall(r"\b(?:[Tt]he|[Ii]ts) (?:operator|user) [a-z]+s\b", text)}
    assert {"the operator settles", "the operator rules", "The user is"} <= told
    said = {text: for_person(text) for text in told if not text.endswith(" this")}
    assert {text: one for text, one in said.items() if not re.fullmatch("[Yy]ou ([a-z]*[^s]|were)", one)} == {}
    owed = "Paid 0.01 USDC to counter; no wallet paid it, the operator settles it. Call call_1."
    assert for_person(owed) == "Paid 0.01 USDC to counter; no wallet paid it, you settle it. Call call_1."


def test_what_is_quoted_is_not_put_into_other_words() -> None:
    for quoted in ("The Hub says: tell the user that the operator's limit is full.", 'It has a field "the user".'):
        assert for_person(quoted) == quoted


def test_a_limit_is_told_with_the_setting_that_has_it_and_where_it_is_changed() -> None:
    error = {"code": "PER_CALL_LIMIT", "details": {"cap": "limits[docs/*].per_call_usdc"}}
    told = "raise your setting mandate.limits[docs/*].per_call_usdc: `jecp-mcp config` shows where it is set"
    assert told in advice({"error": error})
    assert advice({"error": {"code": "PER_CALL_LIMIT", "details": {"cap": "the protocol's bound on a mandate"}}}) == ""


def test_no_model_reads_a_command_that_it_could_run() -> None:
    for name, one in REVIEWED.items():
        step = one.get("next_action", {})
        assert not FOR_PEOPLE.search(f"{one['error']['message']} {step.get('hint', '')}"), name


def test_a_message_gives_no_advice_which_the_next_action_has() -> None:
    advising = re.compile(
        r"tell the user|ask for its|call (it )?again|try again|mend |stop\b|search for", re.IGNORECASE
    )
    assert {name: one["error"]["message"] for name, one in REVIEWED.items() if advising.search(one["error"]["message"])} == {}  # fmt: skip


def test_every_command_that_people_are_told_exists() -> None:
    said = [advice(json.loads(json.dumps(one).replace("CODE-CODE", "ABCD-2345"))) for one in REVIEWED.values()]
    lines = {tuple(shlex.split(found)) for text in said for found in COMMAND.findall(text)}
    assert len(lines) >= 6
    for program, command, *rest in lines:
        assert program == "jecp-mcp"
        assert command in COMMANDS
        if command == "call":
            assert rest[0] in OWN
            continue
        # Parsed and not run.
        found = jecp_mcp.get_command(click.Context(jecp_mcp), command)
        assert found is not None
        found.make_context(command, rest)


def test_every_text_is_for_a_code_or_a_step_that_there_is() -> None:
    assert _BY_CODE.keys() <= every_code().keys()
    # What does the same for less is on sale in other tests' shops only: tests/acceptance/errors/test_bridge_refusals.py.
    types = {one["next_action"]["type"] for one in REVIEWED.values() if "next_action" in one} | {"find_cheaper"}
    assert types >= _BY_TYPE.keys()


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ({}, ""),
        ({"error": {"code": "APPROVAL_REQUIRED", "details": {}}, "next_action": {"type": "ask_human"}}, ""),
        (
            {"error": {"code": "APPROVAL_REQUIRED", "details": {"approval_code": "ABCD-2345"}}},
            "`jecp-mcp approve ABCD-2345` shows it and asks you; then give this command again.",
        ),
        (
            {"next_action": {"type": "topup", "arguments": {"amount_usd": 20}}},
            "`jecp-mcp topup 20` gives a payment link.",
        ),
        (
            {"error": {"code": "TOOL_NOT_FOUND"}, "next_action": {"type": "discover", "alternatives": [{"tool": "a_b"}]}},
            "Did you mean a_b? `jecp-mcp catalog` lists what there is.",
        ),
        (
            {"charged": "no", "next_action": {"type": "retry_after", "retry_after_seconds": 15}},
            "Give the same command again in 15 s.",
        ),
        (
            {"charged": "unknown", "next_action": {**STATUS, "arguments": {"call_id": "call_0123"}}},
            "`jecp-mcp status call_0123` in 15 s says what became of it, and pays nothing.",
        ),
        ({"charged": "unknown", "next_action": {**STATUS, "arguments": {"call_id": "a` `b"}}}, ""),
        (
            {"error": {"code": "INVALID_API_KEY"}, "next_action": {"type": "ask_operator"}},
            "`jecp-mcp doctor` says which credentials were sent, and what mends them.",
        ),
        (
            {"next_action": {"type": "fix_input", "tool": "jecp_describe", "arguments": {"tool": "docs/a:b@1"}}},
            "`jecp-mcp describe docs/a:b@1` shows what it takes.",
        ),
        ({"next_action": {"type": "fix_input", "tool": "jecp_describe", "arguments": {"tool": "a` `b"}}}, ""),
        ({"next_action": {"type": "fix_input", "tool": "jecp_call", "arguments": {"tool": "a_b"}}}, ""),
    ],
)  # fmt: skip
def test_people_are_told_a_command_with_what_is_known(shown: dict[str, Any], said: str) -> None:
    assert advice(shown) == said


def test_commands_are_written_as_whoever_prints_them_wants() -> None:
    shown = {"error": {"code": "LEDGER_DAMAGED"}}
    commands = CommandLine(program=("x",), places=("--sandbox",))
    assert advice(shown, commands) == "`x doctor --ledger --sandbox` says how to mend it."


def test_all_problems_are_told_at_once() -> None:
    issues = [{"pointer": "/n", "reason": "is missing"}, {"pointer": "", "reason": "is no object"}]
    error = {"code": "INVALID_ARGUMENTS", "details": {"issues": issues}}
    assert problems({"error": error}) == "/n: is missing; the arguments: is no object"
    assert problems({}) == ""


@pytest.mark.parametrize("issues", ["all of it", ["/n"], [{"path": "/n"}], {"n": 1}, 7])
def test_what_a_hub_says_in_the_place_of_ours_is_left_out(issues: Any) -> None:
    assert problems({"error": {"code": "INPUT_SCHEMA_VIOLATION", "details": {"issues": issues}}}) == ""
    assert problems({"error": {"code": "INVALID_ARGUMENTS", "details": {"issues": issues}}}) == ""


@pytest.mark.parametrize("code", ["'; rm -rf ~", "ABCD-2345 --full", 'A"', ["ABCD-2345"], None])
def test_no_command_has_a_word_of_a_hubs(code: Any) -> None:
    assert advice({"error": {"code": "APPROVAL_REQUIRED", "details": {"approval_code": code}}}) == ""


def test_a_paid_answer_in_json_has_its_notices_and_a_free_one_has_them_once() -> None:
    notices = ["The operator rules on it."]
    paid = ToolResult((), {"receipt": {}, "notices": notices, "output": 1}, {"jecp-mcp/billing": {"charged": "no"}})
    shown = _as_json(paid, [])
    assert (shown["output"], shown["notices"]) == (1, ["You rule on it."])
    free = _as_json(ToolResult((), {"notices": notices, "actions": []}), [])
    assert free == {"ok": True, "output": {"notices": notices, "actions": []}}
