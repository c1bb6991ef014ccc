"""A real client at a real server: what it may spend, what stands in its way, and copies; in both modes and eras."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.acceptance.roads import LEGACY, MODERN, PATIENT, SandboxHub

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.mark.parametrize("era", [LEGACY, MODERN])
@pytest.mark.parametrize("mode", ["direct", "search"])
async def test_a_model_lowers_what_a_call_may_cost_copies_it_and_knows_before(
    hub: SandboxHub, tmp_path: Path, mode: str, era: str
) -> None:
    agent = hub.new_agent()
    env = {
        "JECP_BASE_URL": agent.url,
        "JECP_AGENT_ID": agent.agent_id,
        "JECP_API_KEY": agent.api_key,
        "JECP_MCP_STATE_DIR": str(tmp_path),
        "JECP_MCP_CONFIG": os.devnull,
        "JECP_MCP_TOOLS__MODE": mode,
        "JECP_MCP_MANDATE__PER_CALL_USDC": "0.25",
        "JECP_MCP_MANDATE__APPROVE_ABOVE_USDC": "0.20",
        "JECP_MCP_MANDATE__DENY": '["text-stats*"]',
    }
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "jecp_mcp", "serve"], env={**os.environ, **PATIENT, **env}
    )
    with anyio.fail_after(120):
        async with Client(stdio_client(command), mode=era) as client:

            async def call(name: str, /, **arguments: Any) -> dict[str, Any]:
                return dict((await client.call_tool(name, arguments)).structured_content or {})

            listed = {tool.name for tool in (await client.list_tools()).tools}
            rows = (await call("jecp_search", query="", limit=20))["results"]
            (metered,) = [row for row in rows if row.get("metered")]
            buying = {"tool": metered["tool"], "arguments": await example(call, metered["tool"])}
            whole = await call("jecp_call", **buying)
            refused = await call("jecp_call", **buying, max_usdc="0.000001")
            prepared = await call("jecp_prepare", **buying, max_usdc="0.05")
            bought = [await call("jecp_call", **buying, max_usdc="0.05", label=label) for label in ("1", "2")]
            denied = await call("jecp_prepare", tool="text-stats_count", arguments={"wrong": 1})
    assert not [name for name in listed if name.startswith("text-stats")]
    assert [row["blocked_by"] for row in rows if row["tool"].startswith("text-stats")] == [["DENIED_BY_POLICY"]]
    assert "per input token" in metered["price"]
    assert "at most 0.25 USDC" in metered["price"]
    assert metered["blocked_by"] == ["APPROVAL_REQUIRED"]
    assert whole["error"]["code"] == "APPROVAL_REQUIRED"
    assert refused["error"]["code"] == "PRICE_ABOVE_MAXIMUM"
    assert prepared["at_most_usdc"] == "0.05"
    assert [one["receipt"]["copy"] for one in bought] == [1, 2]
    assert denied["error"]["code"] == "DENIED_BY_POLICY"
    assert len(agent.books()["transactions"]) == 2


async def example(call: Any, tool: str) -> Any:
    """The arguments of a tool's first example."""
    return (await call("jecp_describe", tool=tool))["examples"][0]["input"]
