"""What a start says on stderr of the machine it finds, and doctor with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from mcp import Client
from mcp.client.sse import sse_client

from tests.acceptance.roads import SandboxHub, output_of, running, server_env


@pytest.mark.slow
def test_what_others_may_write_and_what_is_empty_is_said_at_the_start_and_by_doctor(tmp_path: Path) -> None:
    config, state = tmp_path / "config.toml", tmp_path / "state"
    config.write_text('[hub]\nbase_url = "http://127.0.0.1:9"\n')
    config.chmod(0o666)
    state.mkdir()
    state.chmod(0o777)
    env = {key: value for key, value in os.environ.items() if not key.startswith("JECP_")}
    env |= {"JECP_MCP_MANDATE__DENY": "", "HOME": str(tmp_path)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "jecp_mcp", *arguments, "--config", str(config), "--state-dir", str(state)]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, check=False)

    served = run("serve")
    assert served.returncode == 0
    for path in (config, state):
        assert f"other users may write {path}" in served.stderr
    assert "JECP_MCP_MANDATE__DENY is empty, which counts as not set" in served.stderr
    found = {one["what"]: one for one in json.loads(run("doctor", "--json").stdout)["findings"]}
    for path in (config, state):
        said = found[f"other users may write {path}"]
        assert (said["level"], said["mend"]) == ("fault", f"chmod go-w {path}")
    assert found["JECP_MCP_MANDATE__DENY is empty, which counts as not set"]["level"] == "warning"
    state.chmod(0o700)
    assert f"other users may write {state}" not in run("serve").stderr


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["direct", "search"])
@pytest.mark.parametrize("transport", ["http", "sse"])
def test_a_healthy_start_says_where_it_is_reached_and_warns_of_nothing(
    hub: SandboxHub, tmp_path: Path, transport: str, mode: str
) -> None:
    env = server_env(hub.url, hub.agent_id, hub.api_key, tools__mode=mode) | {"PYTHONWARNINGS": "default"}
    arguments = ["serve", "--transport", transport, "--port", "0", "--state-dir", str(tmp_path)]

    async def use(url: str) -> None:
        async with Client(url if transport == "http" else sse_client(url)) as client:
            assert (await client.list_tools()).tools
            output_of(await client.call_tool("jecp_search", {"query": "text"}))
            output_of(await client.call_tool("text-stats_count", {"text": "quietly"}))

    with running(*arguments, env=env) as process:
        assert process.stderr is not None
        said = [process.stderr.readline(), process.stderr.readline()]
        assert "listens on " in said[1], said
        anyio.run(use, said[1].split("listens on ")[1].strip())
        process.terminate()
        process.wait(timeout=60)
        said += process.stderr.readlines()
    assert [line.partition(" at ")[0].partition(" on ")[0] for line in said] == [
        "approvals are answered",
        "jecp-mcp listens",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["direct", "search"])
def test_a_healthy_start_over_stdio_says_nothing_at_all(hub: SandboxHub, tmp_path: Path, mode: str) -> None:
    env = server_env(hub.url, hub.agent_id, hub.api_key, tools__mode=mode) | {"PYTHONWARNINGS": "default"}
    version = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    buy = {"name": "text-stats_count", "arguments": {"text": "quietly"}}
    asked = [
        {"id": 1, "method": "initialize", "params": version},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/list"},
        {"id": 3, "method": "tools/call", "params": buy},
    ]
    said = "".join(json.dumps({"jsonrpc": "2.0", **one}) + "\n" for one in asked)
    command = [sys.executable, "-m", "jecp_mcp", "serve", "--state-dir", str(tmp_path)]
    done = subprocess.run(command, input=said, capture_output=True, text=True, env=env, check=True, timeout=120)
    assert done.stdout.count("\n") >= 2
    assert done.stderr == ""
