"""A command that a server tells a person to run works as it stands, in another terminal, for that server's own books."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from jecp_mcp.tools.results import META_BILLING
from tests.acceptance.roads import LEGACY, PATIENT, SandboxHub, error_of, output_of, until_on_sale
from tests.acceptance.terminal import another_terminal, typed_as_told
from tests.ports import free_port
from tests.postgres.cluster import Cluster, new_cluster

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

KINDS = ["sandbox", "sandbox with a folder", "flag", "environment", "settings file", "PostgreSQL"]
TALLY, TEXT = "text-stats_count", {"text": "one two"}


@pytest.fixture(scope="module")
def database() -> Iterator[Cluster]:
    cluster = new_cluster()
    yield cluster
    cluster.remove()


def started(kind: str, home: Path, hub: SandboxHub, request: pytest.FixtureRequest) -> tuple[list[str], dict[str, str]]:
    """The options and the environment that a host gives a server of this kind."""
    folder = home / "it's a folder"
    env = another_terminal(home) | PATIENT | {"JECP_MCP_MANDATE__APPROVE_ABOVE_USDC": "0.0001"}
    at_hub = {"JECP_BASE_URL": hub.url, "JECP_AGENT_ID": hub.agent_id, "JECP_API_KEY": hub.api_key}
    match kind:
        case "sandbox":
            return ["--sandbox"], env
        case "sandbox with a folder":
            return ["--sandbox"], env | {"JECP_MCP_STATE_DIR": str(folder)}
        case "flag":
            return ["--state-dir", str(folder)], env | at_hub
        case "environment":
            return [], env | at_hub | {"JECP_MCP_STATE_DIR": str(folder), "JECP_MCP_CONFIG": os.devnull}
        case "settings file":
            file = home / "own settings.toml"
            file.write_text(f'[ledger]\nurl = "{request.getfixturevalue("database").database()}"\n')
            return ["--config", str(file)], env | at_hub
        case _:
            return [], env | at_hub | {"JECP_MCP_LEDGER__URL": request.getfixturevalue("database").database()}


@pytest.mark.parametrize("kind", KINDS)
async def test_the_command_that_a_server_writes_for_its_operator_approves_the_call_from_another_terminal(
    tmp_path: Path, first_agent: SandboxHub, request: pytest.FixtureRequest, kind: str
) -> None:
    options, env = started(kind, tmp_path, first_agent.new_agent(), request)
    server = StdioServerParameters(command=sys.executable, args=["-m", "jecp_mcp", "serve", *options], env=env)
    log = tmp_path / "the host's log"
    with log.open("w") as errors:
        await approved(stdio_client(server, errlog=errors), log, tmp_path)


async def approved(server: Any, log: Path, home: Path) -> None:
    async with Client(server, mode=LEGACY) as client:
        await until_on_sale(client)
        refused = error_of(await client.call_tool("jecp_call", {"tool": TALLY, "arguments": TEXT}))
        assert refused["error"]["code"] == "APPROVAL_REQUIRED"
        code = refused["error"]["details"]["approval_code"]
        command = told_to_run(log, code)
        status, seen = await anyio.to_thread.run_sync(typed_as_told, f"`{command}`", home, "y")
        assert status == 0, seen
        bought = await client.call_tool("jecp_call", {"tool": TALLY, "arguments": TEXT})
        output_of(bought)
        # What a command of the person's says leads to the same books.
        ledger = command.replace(f"approve {code}", "ledger --json")
        done = await anyio.to_thread.run_sync(listed, ledger, home)
        assert [one["call_id"] for one in done] == [bought.meta[META_BILLING]["call_id"]]


def told_to_run(log: Path, code: str) -> str:
    """The command for a question that stands in a server's own output."""
    [command] = re.findall(f"waits for a person's answer: run (.* approve {code}.*)\\n", log.read_text())
    return command


def listed(command: str, home: Path) -> Any:
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, env=another_terminal(home), check=True)
    return json.loads(done.stdout)


async def doctor(home: Path, *options: str, **given: str) -> list[dict[str, str]]:
    """What the doctor says of the sandbox, from another terminal."""
    command = [sys.executable, "-m", "jecp_mcp", "doctor", "--json", *options]
    done = await anyio.run_process(command, env=another_terminal(home) | given, check=False)
    found: list[dict[str, str]] = json.loads(done.stdout)["findings"]
    return [one for one in found if one["about"] in {"sandbox", "hub"}]


async def test_a_host_that_runs_what_the_doctor_names_makes_an_end_of_the_finding(tmp_path: Path) -> None:
    [found] = await doctor(tmp_path, "--sandbox")
    [command] = re.findall(" runs on .* now; (.*) starts it", found["what"])
    server = StdioServerParameters(command="/bin/sh", args=["-c", command], env=another_terminal(tmp_path))
    async with Client(server, mode=LEGACY):
        [found] = await doctor(tmp_path, "--sandbox")
        assert found["what"].startswith("a Hub with test money runs on")
    with anyio.fail_after(120):
        # It stays for a while after its last user.
        while " now; " not in found["what"]:
            [found] = await doctor(tmp_path, "--sandbox")


async def test_the_sandbox_that_the_doctor_names_answers_at_the_hub_s_address(tmp_path: Path) -> None:
    hub = f"http://127.0.0.1:{free_port()}"
    [found] = await doctor(tmp_path, JECP_BASE_URL=hub)
    assert (found["about"], found["level"]) == ("sandbox", "fault")
    command = ["/bin/sh", "-c", f"exec {found['mend'].partition(', or ')[0]}"]
    async with await anyio.open_process(command, env=another_terminal(tmp_path)) as started_hub:
        assert started_hub.stdout is not None
        assert json.loads(await started_hub.stdout.receive())["hub"] == hub
        [found] = await doctor(tmp_path, JECP_BASE_URL=hub)
        assert (found["about"], found["level"]) == ("hub", "ok")
        started_hub.terminate()
