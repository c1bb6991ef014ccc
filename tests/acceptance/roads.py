"""Reaching the real server process as a host would: every transport, in both protocol eras."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp_types import ElicitResult, TextResourceContents

from jecp_mcp.server.elicitation import PERSON_SECONDS

PATIENT = {"JECP_MCP_SERVER__ANSWER_SECONDS": "600"}
"""What makes a server wait for its calls on the most loaded machine: the official client is taken for an impatient one."""

LEGACY = "legacy"
MODERN = "2026-07-28"


@dataclass(frozen=True)
class Road:
    """One way for a host to reach the server."""

    transport: str
    era: str

    def __str__(self) -> str:
        return f"{self.transport}-{'2025' if self.era == LEGACY else '2026'}"


ROADS = [Road(transport, era) for transport in ("stdio", "sse", "http") for era in (LEGACY, MODERN)]
DAILY = [Road("stdio", LEGACY), Road("http", MODERN)]
"""Those that the README's test command takes; `.ci/run` takes all."""


@dataclass
class SandboxHub:
    """A running sandbox Hub process and its test agent."""

    url: str
    agent_id: str
    api_key: str
    http: httpx2.Client = field(repr=False)

    @property
    def auth(self) -> dict[str, str]:
        return {"X-Agent-ID": self.agent_id, "X-API-Key": self.api_key}

    def new_agent(self, balance: str = "10.00") -> SandboxHub:
        """The same Hub, seen by a newly registered agent with `balance` of test money."""
        made = self.http.post("/api/agents/register", json={"name": "acceptance"}).raise_for_status().json()
        other = SandboxHub(self.url, made["agent_id"], made["api_key"], self.http)
        other.fund(balance)
        return other

    def fund(self, balance: str) -> None:
        self.http.post("/sandbox/wallet", headers=self.auth, json={"balance_usdc": balance}).raise_for_status()

    def fault(self, match: str, fault: str, times: int = 1) -> None:
        body = {"match": match, "fault": fault, "times": times}
        self.http.post("/sandbox/faults", json=body).raise_for_status()

    def hold_the_fetch(self, match: str) -> None:
        """The next call is charged and its answer lost; the attempt that would fetch it is held until `heal`."""
        self.fault(match, "drop_after_charge")
        self.fault(match, "delay:600")

    def heal(self) -> None:
        """Nothing goes wrong at the Hub any more, and what was held up there goes on."""
        self.http.delete("/sandbox/faults").raise_for_status()

    def wait_for_charges(self, count: int) -> None:
        """Until the Hub has charged this agent so often."""
        for _ in range(6_000):
            if len(self.books()["transactions"]) >= count:
                return
            time.sleep(0.02)
        raise AssertionError(f"the Hub has not charged {count} times")

    def books(self) -> dict[str, Any]:
        answer = self.http.get("/sandbox/books", headers=self.auth, params={"agent_id": self.agent_id})
        return answer.raise_for_status().json()


NOBODY = SandboxHub("http://127.0.0.1:9", "sbx_ag_0123456789abcdef", "sbx_ak_0123456789abcdef", None)  # type: ignore[arg-type]
"""A Hub that is not there."""


@contextmanager
def running(*arguments: str, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A `jecp-mcp` command as a process, ended at the end and waited for."""
    process = subprocess.Popen(
        [sys.executable, "-m", "jecp_mcp", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            process.stdout.close()
            process.stderr.close()


def drained(process: subprocess.Popen[str]) -> list[str]:
    """Keep reading a process's stderr, so that it never blocks; returns the growing list of lines."""
    lines: list[str] = []
    assert process.stderr is not None
    stream = process.stderr

    def read() -> None:
        try:
            lines.extend(iter(stream.readline, ""))
        except ValueError:
            return

    threading.Thread(target=read, daemon=True).start()
    return lines


@contextmanager
def sandbox(data: Path, *options: str) -> Iterator[SandboxHub]:
    """A sandbox Hub process on a port of its own."""
    with running("sandbox", "--port", "0", "--data", str(data), *options) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            assert process.stderr is not None
            raise AssertionError(f"the sandbox did not start: {process.stderr.read()}")
        drained(process)
        ready = json.loads(line)
        with httpx2.Client(base_url=ready["hub"], headers={"X-Sandbox-Key": ready["control_key"]}, timeout=60) as http:
            yield SandboxHub(ready["hub"], ready["agent_id"], ready["api_key"], http)


def server_env(hub_url: str, agent_id: str, api_key: str, **settings: str) -> dict[str, str]:
    """The environment a host gives the server; settings as ``mandate__daily_usdc="5"``."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("JECP_")}
    env |= {"JECP_BASE_URL": hub_url, "JECP_AGENT_ID": agent_id, "JECP_API_KEY": api_key} | PATIENT
    return env | {f"JECP_MCP_{key.upper()}": value for key, value in settings.items()}


async def until_on_sale(client: Client) -> None:
    """Wait until a server has a catalog: it keeps no host waiting for a Hub that a loaded machine makes slow."""
    with anyio.fail_after(60):
        while True:
            [catalog] = (await client.read_resource("jecp://catalog", cache_mode="bypass")).contents
            if isinstance(catalog, TextResourceContents) and json.loads(catalog.text)["actions"]:
                return
            await anyio.sleep(0.05)


@asynccontextmanager
async def connect(
    road: Road,
    hub: SandboxHub,
    state: Path,
    *,
    settings: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    sells: bool = True,
    **options: Any,
) -> AsyncIterator[Client]:
    """An official client connected to a real server process over `road`.

    Args:
        variables: what the server's environment has beside.
        sells: whether it has something to sell, which is waited for.
    """
    env = server_env(hub.url, hub.agent_id, hub.api_key, **(settings or {})) | dict(variables or {})
    if road.transport == "stdio":
        command = StdioServerParameters(
            command=sys.executable, args=["-m", "jecp_mcp", "serve", "--state-dir", str(state)], env=env
        )
        async with Client(command, mode=road.era, **options) as client:
            if sells:
                await until_on_sale(client)
            yield client
        return
    arguments = ["serve", "--transport", road.transport, "--port", "0", "--state-dir", str(state)]
    with running(*arguments, env=env) as process:
        url = await anyio.to_thread.run_sync(address, process)
        target = sse_client(url) if road.transport == "sse" else url
        async with Client(target, mode=road.era, **options) as client:
            if sells:
                await until_on_sale(client)
            yield client


@asynccontextmanager
async def connect_with_yes(
    road: Road, hub: SandboxHub, state: Path, config: Path, typed: str, *, sells: bool = True, **mandate: str
) -> AsyncIterator[tuple[Client, list[str]]]:
    """A client of a server with the settings file `config`, and what its person was asked, who types this each time."""
    asked: list[str] = []

    async def agree(_context: Any, parameters: Any) -> ElicitResult:
        asked.append(parameters.message)
        return ElicitResult(action="accept", content=dict.fromkeys(parameters.requested_schema["properties"], typed))

    settings = {"config": str(config)} | {f"mandate__{name}": value for name, value in mandate.items()}
    async with connect(road, hub, state, settings=settings, sells=sells, elicitation_callback=agree) as client:
        yield client, asked


def address(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    seen = []
    for line in iter(process.stderr.readline, ""):
        seen.append(line)
        if "listens on " in line:
            drained(process)
            return line.split("listens on ")[1].strip()
    raise AssertionError("the server did not start: " + "".join(seen))


async def read_by_a_person() -> None:
    """Let the time pass in which no person has read a question: a host that says no sooner is not believed."""
    await anyio.sleep(PERSON_SECONDS * 1.1)  # Time itself is what tells them apart.


def error_of(result: Any) -> dict[str, Any]:
    """The one error shape, checked to be the same in text and structured content."""
    assert result.is_error
    shown = json.loads(result.content[0].text)
    assert shown == result.structured_content
    assert shown["status"] == "failed"
    return shown


def output_of(result: Any) -> Any:
    """The output of a good result, checked to be the same in text and structured content."""
    assert not result.is_error, result.content[0].text
    shown = result.structured_content
    shown = shown["output"] if "receipt" in shown else shown
    last = result.content[0].text.split("\n")[-1]
    # An output that is nothing but a kept file is in words in the text.
    assert last.startswith("File: ") or json.loads(last) == shown
    return shown


def example_of(hub_url: str, action: str) -> dict[str, Any]:
    """What the provider of ``<capability>:<action>`` gives as an example; a model is shown less of it, or none."""
    capability, _, name = action.rpartition(":")
    page = httpx2.get(f"{hub_url}/v1/capabilities/{capability}").raise_for_status().json()
    actions = page.get("manifest", page)["actions"]
    return next(one["examples"][0]["input"] for one in actions if one["id"] == name)
