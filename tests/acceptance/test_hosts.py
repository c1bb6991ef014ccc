"""Two kinds of host on one real server over HTTP, and what the operator is told of both."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from mcp import Client
from mcp_types import Implementation

from tests.acceptance.roads import LEGACY, MODERN, SandboxHub, address, output_of, running, server_env, until_on_sale
from tests.acceptance.test_pins import MANIFEST

pytestmark = pytest.mark.anyio

CHOICE = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "words": {"type": "string"}},
    "anyOf": [{"required": ["text"]}, {"required": ["words"]}],
}
SETTINGS = {"tools__mode": "direct", "tools__max_tools": "200", "catalog__refresh_seconds": "5"}


def publish(hub: SandboxHub, namespace: str, **changes: Any) -> None:
    action = MANIFEST["actions"][0] | {"description": f"Counts what {namespace} counts in a text."} | changes
    body = {"manifests": [MANIFEST | {"namespace": namespace, "actions": [action]}]}
    hub.http.post("/sandbox/catalog", json=body).raise_for_status()


@pytest.mark.parametrize("era", [pytest.param(LEGACY, marks=pytest.mark.slow), MODERN])
@pytest.mark.slow
async def test_two_hosts_on_one_server_each_get_what_they_take(own_hub: SandboxHub, tmp_path: Path, era: str) -> None:
    hub = own_hub.new_agent()
    namespace = f"choice-{'old' if era == LEGACY else 'new'}"
    tool = f"{namespace}_counting_count"
    publish(hub, namespace, input_schema=CHOICE)
    arguments = ["serve", "--transport", "http", "--port", "0", "--state-dir", str(tmp_path)]
    with running(*arguments, env=server_env(hub.url, hub.agent_id, hub.api_key, **SETTINGS)) as process:
        url = await anyio.to_thread.run_sync(address, process)
        claude = Client(url, mode=era, client_info=Implementation(name="claude-code", version="2"))
        other = Client(url, mode=era, client_info=Implementation(name="an agent", version="1"))
        async with claude, other:
            await until_on_sale(other)
            theirs = await claude.list_tools()
            ours = await other.list_tools()
            assert {one.name for one in ours.tools} < {one.name for one in theirs.tools}
            unshown = {one.name for one in theirs.tools} - {one.name for one in ours.tools}
            assert tool in unshown
            assert output_of(await other.call_tool(tool, {"text": "one two three"}))["words"] == 3
            if era == MODERN:
                # A refresh is due every five seconds, a quarter sooner or later.
                assert 0 <= (ours.ttl_ms or 0) <= 6_250
    command = [sys.executable, "-m", "jecp_mcp", "catalog", "--json", "--state-dir", str(tmp_path)]
    env = server_env(hub.url, hub.agent_id, hub.api_key, **SETTINGS)
    done = await anyio.to_thread.run_sync(
        lambda: subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True)
    )
    told = {one["tool"]: one for one in json.loads(done.stdout)}
    assert told[tool]["call_only"].keys() == {"strict", "cursor", "gemini", "vscode", "windsurf"}
    assert "root" in told[tool]["call_only"]["strict"]
    assert unshown == {name for name, one in told.items() if one["call_only"]}
