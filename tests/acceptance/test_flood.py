"""A flood over HTTP against the real server with few descriptors: others go on buying, and nothing grows."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client

from tests.acceptance.roads import LEGACY, MODERN, SandboxHub, output_of, server_env

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

DESCRIPTORS = 128
TEXT = "text-stats_count"
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}}
NOISE_BYTES = 1_000_000
GROWTH_KB = 40 * 1024
"""What an allocator may keep of a flood; one that is kept grows by a hundred megabytes a round."""


class Server:
    """A server process with few descriptors, and what it takes."""

    def __init__(self, process: subprocess.Popen[bytes], noise: Path) -> None:
        self.process, self.noise, self.url = process, noise, ""

    async def ready(self) -> None:
        await until(lambda: "listens on " in self.noise.read_text())
        self.url = self.noise.read_text().split("listens on ")[1].split()[0]

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def kilobytes(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(120):
        while not true():
            await anyio.sleep(0.05)


@contextmanager
def few_descriptors(transport: str, hub: SandboxHub, folder: Path) -> Iterator[Server]:
    noise = folder / "stderr"
    env = server_env(hub.url, hub.agent_id, hub.api_key, mandate__daily_usdc="5", catalog__refresh_seconds="5")
    arguments = ["serve", "--transport", transport, "--port", "0", "--state-dir", str(folder / "state")]
    command = ["sh", "-c", f'ulimit -n {DESCRIPTORS}; exec "$@"', "sh", sys.executable, "-m", "jecp_mcp", *arguments]
    with noise.open("wb") as stderr:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, env=env)
    try:
        yield Server(process, noise)
    finally:
        process.terminate()
        process.wait(timeout=60)


class Flood:
    """Connections of somebody who means no good; all stay open until the end of the round."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._path = parts.netloc, parts.port, parts.path
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.close()
        for writer in self._writers:
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def send(self, data: bytes, times: int) -> None:
        """So many connections that each say this and then wait."""
        for _ in range(times):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self._port)
                self._writers.append(writer)
                writer.write(data)
                await writer.drain()

    def head(self, method: str = "POST", path: str = "", **headers: str) -> bytes:
        """The head of a request, without its end."""
        given = {
            "Host": self._host,
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{method} {path or self._path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), ""]
        return "\r\n".join(lines).encode()

    def post(self, method: str, params: dict[str, Any], **headers: str) -> bytes:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        return self.head(Content_Length=str(len(body)), **headers) + b"\r\n" + body

    async def all_kinds(self) -> None:
        # Half requests: nothing, half a head, a head without end, half a body.
        await self.send(b"", 60)
        await self.send(self.head()[:40], 60)
        await self.send(self.head() + b"X-More: of the same\r\n" * 500, 60)
        await self.send(self.head(Content_Length="4000000") + b"\r\n" + b"{" * 1_000_000, 30)
        # Idle streams, in both eras.
        await self.send(self.head("GET") + b"\r\n", 60)
        modern = {"Mcp_Method": "subscriptions/listen", "Mcp_Protocol_Version": MODERN}
        await self.send(self.post("subscriptions/listen", {"x": "y" * 1_000_000}, **modern), 30)
        # Huge names: in the head, where they are logged; of tools and of clients.
        for name in ("Host", "Origin", "Mcp_Session_Id", "Mcp_Protocol_Version", "Sec_Fetch_Site", "X" * 10_000):
            await self.send(self.head(**{name: "n" * 10_000, "Content_Length": "2"}) + b"\r\n{}", 40)
        await self.send(self.head("GET", f"/{'p' * 10_000}?session_id={'s' * 3_000}") + b"\r\n", 40)
        await self.send(b"\x00\xff" * 5_000, 40)
        await self.send(self.post("tools/call", {"name": "t" * 1_000_000, "arguments": {}}), 20)
        who = {**HELLO, "clientInfo": {"name": "c" * 1_000_000, "version": "1"}}
        await self.send(self.post("initialize", who), 40)


@pytest.mark.parametrize(("transport", "era"), [("http", LEGACY), ("http", MODERN), ("sse", LEGACY)])
async def test_a_flood_keeps_nobody_from_buying_and_leaves_nothing_behind(
    hub: SandboxHub, tmp_path: Path, transport: str, era: str
) -> None:
    with few_descriptors(transport, hub, tmp_path) as server:
        await server.ready()
        target = sse_client(server.url) if transport == "sse" else server.url
        async with Client(target, mode=era) as client:
            bought = 0

            async def buy() -> None:
                nonlocal bought
                bought += 1
                output_of(await client.call_tool(TEXT, {"text": f"purchase {bought}"}))

            # On a busy machine the server is up before it has read the catalog.
            with anyio.fail_after(120):
                while not any(tool.name == TEXT for tool in (await client.list_tools(cache_mode="bypass")).tools):
                    await anyio.sleep(0.1)
            await buy()
            quiet = server.descriptors()
            kilobytes = 0
            for _ in range(3):
                async with Flood(server.url) as flood, anyio.create_task_group() as tasks:
                    tasks.start_soon(flood.all_kinds)
                    for _ in range(3):
                        await buy()
                await buy()
                # A connection that buys may be kept open for a moment.
                await until(lambda: server.descriptors() <= quiet + 2)
                # The first round is what the allocator grows to.
                kilobytes = kilobytes or server.kilobytes()
            assert server.kilobytes() - kilobytes < GROWTH_KB
        assert server.noise.stat().st_size < NOISE_BYTES
    assert len(hub.books()["transactions"]) == bought


async def test_half_requests_are_dropped_though_nobody_else_comes(hub: SandboxHub, tmp_path: Path) -> None:
    with few_descriptors("http", hub, tmp_path) as server:
        await server.ready()
        quiet = server.descriptors()
        async with Flood(server.url) as flood:
            await flood.send(b"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", 30)
            # On a busy machine the server opens a few of its own only now: the ledger's, and one to the Hub.
            await until(lambda: server.descriptors() > quiet + 20)
            await until(lambda: server.descriptors() <= quiet + 8)
        async with httpx2.AsyncClient(timeout=30) as client:
            assert (await client.get(server.url.replace("/mcp", "/approvals"))).status_code == 200
