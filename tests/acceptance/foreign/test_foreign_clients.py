"""Clients in other languages take the list of a server whose Hub means nothing but harm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from tests.acceptance.foreign.hub import serving
from tests.acceptance.foreign.installed import node_folder
from tests.acceptance.roads import LEGACY, MODERN

PATIENCE = 600
"""Seconds after which a client or server that says nothing is given up: a bound, not a measure."""


@pytest.fixture(scope="module")
def hub() -> Iterator[tuple[str, int]]:
    with serving() as served:
        yield served


def server(url: str, folder: Path, profile: str) -> list[str]:
    """The server's command. Not every client hands its environment or every option on."""
    config = folder / "config.toml"
    config.write_text(
        f'[hub]\nbase_url = "{url}"\n[tools]\nmode = "direct"\nmax_tools = 1000\nhost_profile = "{profile}"\n'
    )
    places = (f"JECP_MCP_CONFIG={config}", f"JECP_MCP_STATE_DIR={folder / 'state'}")
    program = ["env", *places, sys.executable, "-m", "jecp_mcp"]
    # A server does not make a host wait for a slow Hub; one that was there before has the catalog at once.
    subprocess.run([*program, "catalog", "--json"], capture_output=True, timeout=PATIENCE, check=True)
    return [*program, "serve"]


def check(names: list[str], listed: int) -> None:
    """Ours, a good one of each page, and what could be made of the others."""
    assert len(names) == len(set(names))
    assert {"jecp_search", "jecp_call"} <= set(names)
    pages = [name for name in names if name.startswith("good-")]
    assert len(pages) == -(-listed // 100)
    assert 400 < len(names) < listed
    print(f"{len(names)} tools listed of {listed} manifests")


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize(("era", "profile"), [(LEGACY, "open"), (MODERN, "auto")])
async def test_the_python_client_takes_the_list(hub: tuple[str, int], tmp_path: Path, era: str, profile: str) -> None:
    url, listed = hub
    program, *arguments = server(url, tmp_path, profile)
    command = StdioServerParameters(command=program, args=arguments)
    async with Client(command, mode=era, read_timeout_seconds=PATIENCE) as client:
        names: list[str] = []
        cursor = None
        while True:
            page = await client.list_tools(cursor=cursor)
            names += [tool.name for tool in page.tools]
            cursor = page.next_cursor
            if cursor is None:
                break
    check(names, listed)


@pytest.fixture(scope="session")
def node() -> Path:
    """A folder with the clients installed, and Node in ``node_modules/.bin``."""
    return node_folder()


def run(node: Path, *command: str) -> Any:
    programs = node / "node_modules" / ".bin"
    env = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run(
        [str(programs / "node"), *command],
        cwd=node,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("version", [1, 2])
def test_the_typescript_clients_take_the_list(hub: tuple[str, int], node: Path, tmp_path: Path, version: int) -> None:
    url, listed = hub
    found = run(node, f"list_{version}.mjs", *server(url, tmp_path, "open"))
    check(found["names"], listed)
    assert found["uncompiled"] == []


@pytest.mark.slow
@pytest.mark.parametrize(("era", "profile"), [("legacy", "auto"), ("modern", "open")])
def test_the_inspector_finds_nothing_amiss(
    hub: tuple[str, int], node: Path, tmp_path: Path, era: str, profile: str
) -> None:
    url, listed = hub
    inspector = "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"
    program, *arguments = server(url, tmp_path, profile)
    # Left to itself it gives a server 15 seconds to start. A connection timeout of 0 is none; a request has one always.
    patient = {"connectionTimeout": 0, "requestTimeout": PATIENCE * 1_000}
    config = tmp_path / "inspector.json"
    config.write_text(json.dumps({"mcpServers": {"ours": {"command": program, "args": arguments, **patient}}}))
    options = ("--method", "tools/list", "--strict", "--protocol-era", era, "--format", "json")
    found = run(node, inspector, "--cli", "--config", str(config), "--server", "ours", *options)
    check([tool["name"] for tool in found["result"]["tools"]], listed)
