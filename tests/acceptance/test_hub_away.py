"""A server that starts while its Hub is away says so to whoever asks first, and says when it is back."""

from __future__ import annotations

from pathlib import Path

import pytest
from mcp import Client

from tests.acceptance.errors.seats import seated
from tests.acceptance.errors.stage import AGENT, KEY, PLAIN, open_stage
from tests.acceptance.roads import error_of, output_of
from tests.ports import free_port

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

BUYING = {"text": "An example."}


async def said(client: Client, tool: str) -> dict[str, object]:
    return output_of(await client.call_tool(tool, {"query": "desk"} if tool == "jecp_search" else {}))


@pytest.mark.parametrize("first", ["jecp_search", "jecp_wallet"])
async def test_the_first_question_is_told_that_the_hub_is_away_and_a_call_that_it_is_back(
    tmp_path: Path, first: str
) -> None:
    port = free_port()
    with open_stage(port=port) as hub:
        async with seated(hub.url, tmp_path, agent=(AGENT, KEY), awaits=PLAIN):
            pass
    async with seated(hub.url, tmp_path, agent=(AGENT, KEY)) as client:
        assert "unreachable" in await said(client, first)
        assert error_of(await client.call_tool(PLAIN, BUYING))["error"]["code"] == "HUB_UNREACHABLE"
        assert "unreachable" in await said(client, "jecp_wallet")
        with open_stage(port=port):
            output_of(await client.call_tool(PLAIN, BUYING))
            assert "unreachable" not in await said(client, first)
