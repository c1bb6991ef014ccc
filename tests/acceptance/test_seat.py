"""A real client at a real server: what a model knows before it buys, what it reads, and what it finds afterwards.

In both modes and eras.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import Tool

from tests.acceptance.roads import LEGACY, MODERN, PATIENT, SandboxHub, until_on_sale
from tests.bench.bench_listed_tools import of_actions, parts

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


TEXT = "The old lock at Marsh End was built for barges that no longer come. Its gates leak in every season."
Call = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def hub(own_hub: SandboxHub) -> SandboxHub:
    """A Hub of this file alone, for what is on sale there is counted, seen by an agent that no other test uses."""
    return own_hub.new_agent()


@pytest.mark.parametrize("era", [LEGACY, MODERN])
@pytest.mark.parametrize("mode", ["direct", "search"])
async def test_a_model_lowers_what_a_call_may_cost_copies_it_and_knows_before(
    hub: SandboxHub, tmp_path: Path, mode: str, era: str
) -> None:
    agent = hub.new_agent()
    async with seated(agent, tmp_path, mode, era, deny="text-stats*") as (call, tools):
        rows = (await call("jecp_search", query="", limit=20))["results"]
        (metered,) = [row for row in rows if row.get("metered")]
        described = await call("jecp_describe", tool=metered["tool"])
        buying = {"tool": metered["tool"], "arguments": {"text": TEXT}}
        whole = await call("jecp_call", **buying)
        refused = await call("jecp_call", **buying, max_usdc="0.000001")
        prepared = await call("jecp_prepare", **buying, max_usdc="0.05")
        bought = [await call("jecp_call", **buying, max_usdc="0.05", label=label) for label in ("1", "2")]
        denied = await call("jecp_prepare", tool="text-stats_count", arguments={"wrong": 1})
    listed = {tool.name for tool in tools}
    assert not [name for name in listed if name.startswith("text-stats")]
    assert [row["blocked_by"] for row in rows if row["tool"].startswith("text-stats")] == [["DENIED_BY_POLICY"]]
    assert "per input token" in described["price"]
    assert "at most 0.25 USDC" in described["price"]
    assert metered["blocked_by"] == ["APPROVAL_REQUIRED"]
    assert metered["no_approval_with"] == {"max_usdc": "0.20"}
    assert whole["error"]["code"] == "APPROVAL_REQUIRED"
    assert refused["error"]["code"] == "PRICE_ABOVE_MAXIMUM"
    assert prepared["at_most_usdc"] == "0.05"
    assert [one["receipt"]["copy"] for one in bought] == [1, 2]
    assert denied["error"]["code"] == "DENIED_BY_POLICY"
    assert len(agent.books()["transactions"]) == 2


@pytest.mark.parametrize("era", [LEGACY, MODERN])
@pytest.mark.parametrize("mode", ["direct", "search"])
async def test_a_model_finds_what_fits_and_looks_back_without_reading_anything_twice(
    hub: SandboxHub, tmp_path: Path, mode: str, era: str
) -> None:
    async with seated(hub.new_agent(), tmp_path, mode, era) as (call, tools):
        before = await call("jecp_wallet")
        every = await call("jecp_search", limit=20)
        outliers, pdf, nothing = [
            await call("jecp_search", query=words) for words in ("outliers", "text to PDF", "translate to Japanese")
        ]
        described = await call("jecp_describe", tool="plumbline_csv_profile")
        ending = (await call("jecp_search", withdrawn=True))["results"]
        other = await call("jecp_describe", tool="inkwell/thumbnail:make@1.0.0")
        code = {"tool": "qr-code_encode", "arguments": {"text": "https://example.com"}}
        bought = await call("jecp_call", **code)
        await call("jecp_call", tool="text-stats_count", arguments={"text": TEXT})
        latest = await call("jecp_status", limit=1)
        earlier = await call("jecp_status", limit=1, offset=latest["next_offset"])
        again = await call("jecp_status", call_id=bought["receipt"]["call_id"])
        after = await call("jecp_wallet")
    rows = {row["tool"]: row for row in every["results"]}
    listed = {tool.name: tool for tool in tools}
    # 5: what comes back, misfits cut off, and nothing of what the list says.
    assert [row["tool"] for row in outliers["results"]] == ["plumbline_csv_profile"]
    assert "outliers" in described["returns"]
    assert pdf["results"][0]["tool"] == "inkwell_convert_markdown-to-pdf"
    assert "text-stats_count" not in [row["tool"] for row in pdf["results"]]
    assert (nothing["results"], nothing["total"]) == ([], 0)
    assert all(("summary" in row) == (name not in listed) for name, row in rows.items())
    assert ("tool list" in every.get("note", "")) == (mode == "direct")
    # 6: what ends, and versions.
    assert [row["replaced_by"] for row in ending] == ["none named"]
    assert other["error"]["code"] == "VERSION_NOT_AVAILABLE"
    assert other["error"]["details"]["version"] == described["version"] == "2.0.0"
    assert "versions_on_sale" not in described, "that the one version there is can be had goes without saying"
    assert "@" in listed["jecp_call"].input_schema["properties"]["tool"]["description"]
    # 7: the history in short, in pages, and a result once more without its bytes.
    assert [one["tool"] for one in latest["calls"]] == ["text-stats_count"]
    (first,) = earlier["calls"]
    assert first["files"] == [bought["files"][0]["uri"]]
    assert first["asked"] == {"text": "https://example.com"}
    assert latest["total"] == {"calls": 2, "charged_usdc": first["charged_usdc"][:-1] + "15"}
    assert again["receipt"]["note"] == "Bought earlier, not bought again."
    assert again["files"][0]["uri"] == first["files"][0]
    # 9: nothing is promised that the wallet may not hold, and what comes back is said.
    assert (before["balance_usdc"], before["can_spend_now_usdc"]) == (None, None)
    assert (after["balance_usdc"] is None, after["can_spend_now_usdc"] is None) == (False, False)
    assert [one["returns_usdc"] for one in after["limits"]] == [after["charged_usdc"]]
    # 13: titles that say what is made.
    if mode == "direct":
        assert listed["inkwell_invoice_render"].title == "Make an invoice PDF"
        assert "additionalProperties" not in listed["inkwell_invoice_render"].input_schema
        # Once 191.5; now 152.9, and some more where limits stand in the way of two of them.
        assert parts(of_actions(tools))["whole"] <= 156


@asynccontextmanager
async def seated(
    agent: SandboxHub, state: Path, mode: str, era: str, *, deny: str = "nothing/*"
) -> AsyncIterator[tuple[Call, Sequence[Tool]]]:
    """What calls a tool and gives its structured content, and the tools that are listed."""
    env = {
        "JECP_BASE_URL": agent.url,
        "JECP_AGENT_ID": agent.agent_id,
        "JECP_API_KEY": agent.api_key,
        "JECP_MCP_STATE_DIR": str(state),
        "JECP_MCP_CONFIG": os.devnull,
        "JECP_MCP_TOOLS__MODE": mode,
        "JECP_MCP_MANDATE__PER_CALL_USDC": "0.25",
        "JECP_MCP_MANDATE__DAILY_USDC": "0.60",
        "JECP_MCP_MANDATE__APPROVE_ABOVE_USDC": "0.20",
        "JECP_MCP_MANDATE__DENY": f'["{deny}"]',
    }
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "jecp_mcp", "serve"], env={**os.environ, **PATIENT, **env}
    )
    with anyio.fail_after(120):
        async with Client(stdio_client(command), mode=era) as client:

            async def call(name: str, /, **arguments: Any) -> dict[str, Any]:
                return dict((await client.call_tool(name, arguments)).structured_content or {})

            await until_on_sale(client)
            yield call, (await client.list_tools(cache_mode="bypass")).tools
