"""What a model is told of an action's arguments is what they are checked against."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.roads import LEGACY, Road, SandboxHub, connect, error_of, output_of
from tests.acceptance.test_rug_pull import manifest, publish

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CODE = {"type": "string", "pattern": "^[A-Z]{2}  [0-9]+$"}
ROWS = {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "object", "properties": {"id": CODE}}]}}
ACTION, TOOL = "described/counting:count", "described_counting_count"


async def test_a_pattern_keeps_its_spaces_in_the_description_and_in_each_refusal(
    own_hub: SandboxHub, tmp_path: Path
) -> None:
    hub = own_hub.new_agent()
    schema = {"type": "object", "properties": {"code": CODE, "rows": ROWS}, "additionalProperties": False}
    publish(hub, manifest("described", input_schema=schema))
    wrong: dict[str, Any] = {"tool": TOOL, "arguments": {"code": "AB 12"}}
    async with connect(Road("stdio", LEGACY), hub, tmp_path) as client:
        described = output_of(await client.call_tool("jecp_describe", {"tool": ACTION}))["arguments"]
        prepared = output_of(await client.call_tool("jecp_prepare", wrong))
        called = error_of(await client.call_tool("jecp_call", wrong))
    assert described.split("\n") == [
        f"code?: string // pattern {CODE['pattern']}",
        "rows?: (integer | {",
        f"id?: string // pattern {CODE['pattern']}",
        "})[]",
    ]
    for reason in (prepared["issues"][0]["message"], called["error"]["details"]["issues"][0]["reason"]):
        assert json.loads(reason.partition("the pattern ")[2]) == CODE["pattern"]
    assert not hub.books()["transactions"]
