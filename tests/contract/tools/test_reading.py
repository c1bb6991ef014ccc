"""What clients write in their own way buys what it means, once, and says so; all through the dispatcher."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.tools.types import Text

from .shop import ACTIONS, INVOICE, SCHEMA, lost, opened
from .test_dispatch import ME, error, told

pytestmark = pytest.mark.anyio

NOTED = replace(
    INVOICE,
    capability="docs/noted",
    input_schema={**SCHEMA, "properties": {**SCHEMA["properties"], "note": {"type": "string"}}},
)
GOODS = [*ACTIONS, NOTED]
TOOL = "docs_noted_render"


def called(arguments: Any) -> dict[str, Any]:
    return {"tool": TOOL, "arguments": arguments}


@pytest.mark.parametrize(
    ("tool", "arguments", "notices"),
    [
        (TOOL, {"n": 1, "note": None}, []),
        (TOOL, {"n": "1", "note": None}, ["/n was sent as text and read as a number."]),
        (TOOL, {"n": 1, "toolCallId": "x"}, ["toolCallId is no argument of this tool and was left out."]),
        (
            "jecp_call",
            called('{"n": "1"}'),
            ["/arguments was sent as text and read as an object.", "/n was sent as text and read as a number."],
        ),
        ("jecp_call", called({"n": 1, "note": None}) | {"sessionId": None, "note": None}, []),
    ],
)
async def test_however_it_is_written_it_is_the_same_call_and_its_receipt_says_what_was_read(
    tmp_path: Path, tool: str, arguments: dict[str, Any], notices: list[str]
) -> None:
    async with opened(tmp_path, goods=GOODS) as shop:
        result = await shop.dispatcher.call(tool, arguments, ME)
        plain = await shop.dispatcher.call(TOOL, {"n": 1}, ME)
        one, other = await shop.calls.reader(LOCAL).latest(limit=2)
    assert told(result) == told(plain) == {"done": True}
    assert one.fingerprint == other.fingerprint
    assert (result.structured or {}).get("notices", []) == notices
    assert isinstance(result.blocks[0], Text)
    lines = result.blocks[0].text.split("\n")
    assert lines[0].startswith("Paid")
    assert lines[1:-1] == [f"Notice: {said}" for said in notices]
    assert result.notes[1:] == tuple(lines[1:-1])


async def test_a_call_in_doubt_is_known_again_with_a_null_in_it(tmp_path: Path) -> None:
    async with opened(tmp_path, lambda *_: lost(), goods=GOODS) as shop:
        first = error(await shop.dispatcher.call(TOOL, {"n": 1}, ME))
        second = error(await shop.dispatcher.call(TOOL, {"n": "1", "note": None}, ME))
        assert first["call_id"] == second["call_id"]
        assert {call for call, _ in shop.rail.sent} == {first["call_id"]}


async def test_the_free_tools_read_so_too(tmp_path: Path) -> None:
    async with opened(tmp_path, goods=GOODS) as shop:
        found = told(await shop.dispatcher.call("jecp_search", {"query": "render", "limit": None, "tags": ""}, ME))
        assert found == told(await shop.dispatcher.call("jecp_search", {"query": "render"}, ME))
        made = told(await shop.dispatcher.call("jecp_prepare", called({"n": "1", "note": None}), ME))
        assert made["notices"] == ["/n was sent as text and read as a number."]
        bought = await shop.dispatcher.call("jecp_execute", {"prepared_id": made["prepared_id"]}, ME)
        assert told(bought) == {"done": True}


async def test_what_cannot_be_read_is_refused_as_it_was_sent_and_costs_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, goods=GOODS) as shop:
        found = error(await shop.dispatcher.call(TOOL, {"n": "one", "note": None, "chatInput": "hi"}, ME))
        assert found["error"]["details"]["issues"] == [{"pointer": "/n", "reason": "must be integer, and is string"}]
        assert shop.rail.sent == []
