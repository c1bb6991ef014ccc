"""A host's place before a real server process over stdio, and what that server's ledger says afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from tests.acceptance.roads import LEGACY, MODERN, server_env

ERAS = {"2025": LEGACY, "2026": MODERN}
YEARS = [pytest.param("2025", marks=pytest.mark.slow), "2026"]
"""Both eras; every day the later one."""

Person = Callable[[Any, Any], Awaitable[Any]]
"""Answers the questions that a host shows its user."""


@asynccontextmanager
async def seated(
    hub_url: str,
    state: Path,
    era: str = MODERN,
    *,
    agent: tuple[str, str] | None,
    awaits: str | None = None,
    person: Person | None = None,
    **settings: str,
) -> AsyncIterator[Client]:
    """A client of a server process.

    Args:
        agent: id and key, or None for a machine without credentials.
        awaits: a tool that must be published before the test begins.
        person: who answers the questions of the host; without one the host cannot ask.
    """
    # What the reviewer read must not depend on what else is installed.
    env = server_env(hub_url, *(agent or ("", "")), **{"catalog__embeddings": "false", **settings})
    # Nobody's real configuration or credentials may reach a test.
    env |= {"HOME": str(state), "XDG_CONFIG_HOME": str(state / "config")}
    if agent is None:
        del env["JECP_AGENT_ID"], env["JECP_API_KEY"]
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "jecp_mcp", "serve", "--state-dir", str(state)], env=env
    )
    async with Client(command, mode=era, read_timeout_seconds=60, elicitation_callback=person) as client:
        with anyio.fail_after(60):
            while awaits is not None and awaits not in await names(client):
                await anyio.sleep(0.05)
        yield client


async def names(client: Client) -> set[str]:
    """The published tools."""
    return {tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools}


def ledger(hub_url: str, state: Path) -> list[dict[str, Any]]:
    """What ``jecp-mcp ledger --json`` prints."""
    env: Mapping[str, str] = server_env(hub_url, "", "") | {"HOME": str(state)}
    command = [sys.executable, "-m", "jecp_mcp", "ledger", "--json", "--state-dir", str(state)]
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, check=True, timeout=60)
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def total(rows: list[dict[str, Any]], field: str) -> Decimal:
    """The sum of an amount over the ledger's rows, in USDC."""
    return sum((Decimal(row[field]) for row in rows), Decimal(0))
