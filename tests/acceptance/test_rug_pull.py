"""What a provider changed is not bought by any road, by any process, until the operator approves it."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import ResourceTemplateReference

from tests.acceptance.roads import LEGACY, MODERN, Road, SandboxHub, connect, error_of, output_of, server_env
from tests.acceptance.test_pins import MANIFEST, PULLS

pytestmark = pytest.mark.anyio

SETTINGS = {"mandate__per_call_usdc": "1.00", "tools__mode": "direct", "tools__max_tools": "200"}
ROAD = Road("stdio", LEGACY)
TEXT = {"text": "one two three"}


@pytest.fixture
def hub(own_hub: SandboxHub) -> SandboxHub:
    """A Hub of this file alone, for what is on sale there changes, seen by an agent that no other test uses."""
    return own_hub.new_agent()


def manifest(namespace: str, **changes: Any) -> dict[str, Any]:
    made = copy.deepcopy(MANIFEST) | {"namespace": namespace}
    # Its own words, so that it does not pass for another test's.
    made["actions"][0] |= {"description": f"Counts the words of a text, as {namespace} does it."} | changes
    return made


def publish(hub: SandboxHub, *manifests: dict[str, Any]) -> None:
    hub.http.post("/sandbox/catalog", json={"manifests": list(manifests)}).raise_for_status()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["name", *PULLS])
async def test_no_road_leads_to_what_was_changed(hub: SandboxHub, tmp_path: Path, what: str) -> None:
    namespace = f"pull-{what}"
    key, tool = f"{namespace}/counting:count", f"{namespace}_counting_count"
    publish(hub, manifest(namespace))
    async with connect(ROAD, hub, tmp_path, settings=SETTINGS) as client:
        assert output_of(await client.call_tool(tool, TEXT))["words"] == 3
        prepared = output_of(await client.call_tool("jecp_prepare", {"tool": tool, "arguments": TEXT}))
    paid = len(hub.books()["transactions"])
    publish(hub, manifest(namespace, **({"id": "tally"} if what == "name" else PULLS[what])))
    if what == "name":
        key, tool = f"{namespace}/counting:tally", f"{namespace}_counting_tally"
    async with connect(ROAD, hub, tmp_path, settings=SETTINGS) as client:
        # The server learns of the change behind its first answers.
        with anyio.fail_after(60):
            while True:
                found = await client.call_tool("jecp_describe", {"tool": key})
                if found.is_error and error_of(found)["error"]["code"] == "TOOL_QUARANTINED":
                    break
                await anyio.sleep(0.1)
        assert tool not in {one.name for one in (await client.list_tools(cache_mode="bypass")).tools}
        for name, arguments in (
            (tool, TEXT),
            ("jecp_call", {"tool": tool, "arguments": TEXT}),
            ("jecp_call", {"tool": key, "arguments": TEXT}),
            ("jecp_call", {"tool": f"{namespace}/counting", "arguments": TEXT}),
            ("jecp_prepare", {"tool": key, "arguments": TEXT}),
        ):
            refused = error_of(await client.call_tool(name, arguments))
            assert (refused["error"]["code"], refused["charged"]) == ("TOOL_QUARANTINED", "no")
        stale = error_of(await client.call_tool("jecp_execute", {"prepared_id": prepared["prepared_id"]}))
        assert stale["charged"] == "no"
        with pytest.raises(MCPError, match="set aside"):
            await client.read_resource(f"jecp://catalog/{key.replace('/', '%2F')}")
        shelf = json.loads((await client.read_resource("jecp://catalog")).contents[0].text)  # type: ignore[union-attr]
        assert tool not in {one["tool"] for one in shelf["actions"]}
        reference = ResourceTemplateReference(uri="jecp://catalog/{id}")
        offered = await client.complete(reference, {"name": "id", "value": tool})
        assert tool not in offered.completion.values
    command = [sys.executable, "-m", "jecp_mcp", "call", tool, json.dumps(TEXT), "--state-dir", str(tmp_path), "--json"]
    env = server_env(hub.url, hub.agent_id, hub.api_key, **SETTINGS)
    done = await anyio.to_thread.run_sync(
        lambda: subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    )
    assert done.returncode == 1
    assert "TOOL_QUARANTINED" in done.stdout + done.stderr
    assert len(hub.books()["transactions"]) == paid


async def test_a_server_that_has_not_seen_the_change_never_pays_more_than_it_showed(
    hub: SandboxHub, tmp_path: Path
) -> None:
    publish(hub, manifest("pull-late"))
    tool = "pull-late_counting_count"
    async with connect(Road("http", MODERN), hub, tmp_path, settings=SETTINGS) as client:
        assert output_of(await client.call_tool(tool, TEXT))["words"] == 3
        paid = len(hub.books()["transactions"])
        publish(hub, manifest("pull-late", pricing={"base": "$0.20", "currency": "USD", "model": "flat"}))
        refused = error_of(await client.call_tool(tool, {"text": "four"}))
        assert refused["charged"] == "no"
    assert len(hub.books()["transactions"]) == paid
