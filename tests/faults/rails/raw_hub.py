"""A Hub made of bare TCP: each request is answered by the next script, which may do anything to the connection."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from pydantic import SecretStr

from jecp_mcp.clock import SystemClock, UnixMs
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.domain.outcomes import Entry, Outcome
from jecp_mcp.domain.quotes import Quote, QuoteKind
from jecp_mcp.http import Http
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.base import Journal, OpenCall, Progress, StoredRequest
from jecp_mcp.rails.jecp.client import HubClient
from jecp_mcp.rails.jecp.rail import JecpRail
from jecp_mcp.settings import Credentials

KEY = "jdb_ak_SECRETSECRETSECRET"
IDENTITY = Credentials(agent_id="jdb_ag_0123456789abcdef", api_key=SecretStr(KEY), source="test")
PRICE = MicroUSDC(5_000)
ACTION = Offer("acme/tool", "run", "acme", Price(PRICE), version="1.2.3")


@dataclass(frozen=True)
class Request:
    """What arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Script = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RawHub:
    """Where it listens, what it will do, and what it heard. The last script repeats."""

    url: str
    scripts: list[Script]
    heard: list[Request] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.split("\r\n")
                headers = {
                    key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines if line)
                }
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                method, path, _ = first.split(" ")
                request = Request(method, path, headers, body)
                self.heard.append(request)
                script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                await script(request, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def passes_on(url: str) -> Script:
    """Pass each request on to the Hub at `url`, and its whole answer back."""

    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        async with httpx2.AsyncClient(base_url=url, timeout=60) as client:
            kept = {name: value for name, value in request.headers.items() if name not in {"host", "content-length"}}
            answer = await client.request(request.method, request.path, headers=kept, content=request.body)
        head = [f"HTTP/1.1 {answer.status_code} OK", f"content-length: {len(answer.content)}", "connection: close"]
        head += [f"{name}: {answer.headers[name]}" for name in ("content-type", "date")]
        writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + answer.content)
        await writer.drain()
        writer.close()

    return script


@asynccontextmanager
async def raw_hub(*scripts: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawHub]:
    """Listen on loopback while the block runs."""
    hub = RawHub("", list(scripts))
    running: set[asyncio.Task[None]] = set()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await hub.serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            running.discard(task)

    server = await asyncio.start_server(accepted, "127.0.0.1", 0, ssl=tls)
    hub.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield hub
    finally:
        server.close()
        for task in tuple(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await server.wait_closed()


def raw(*pieces: bytes) -> Script:
    """Write these bytes and keep the connection open."""

    async def script(_request: Request, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return script


def says(body: bytes | dict[str, Any], status: str = "200 OK", *headers: str, kind: str = "application/json") -> Script:
    """A well-formed HTTP answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(data)}", *headers, "", ""]
    return raw("\r\n".join(lines).encode("latin-1") + data)


def fails(code: str, status: str = "400 Bad Request", *headers: str, **more: Any) -> Script:
    """A refusal in the reference dialect."""
    return says(
        {"jecp": "1.0", "status": "failed", "error": {"code": code, "message": "No.", **more}}, status, *headers
    )


def streams(*events: tuple[str, dict[str, Any]] | str, end: bool = True) -> Script:
    """An event stream; text stands for itself. With `end`, the connection closes after it."""
    written = [
        event if isinstance(event, str) else f"event: {event[0]}\ndata: {json.dumps(event[1])}\n\n" for event in events
    ]
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"

    async def script(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode())
        for text in written:
            writer.write(text.encode())
            await writer.drain()
        if end:
            writer.close()

    return script


async def vanishes(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Read the request and close without a word."""
    writer.close()


async def resets(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Half a head, then RST."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    await writer.drain()
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def stops_halfway(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Promise more than comes."""
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"jecp":"1.0",')
    await writer.drain()
    writer.close()


async def stops_in_a_chunk(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Chunked, and cut inside a chunk."""
    writer.write(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"jecp":')
    await writer.drain()
    writer.close()


async def hangs(_request: Request, _writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def drips(_request: Request, writer: asyncio.StreamWriter) -> None:
    """A byte every 20 ms, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def dangles(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Interim answers without end (RFC 9110 §15.2)."""
    while not writer.is_closing():
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def floods(_request: Request, writer: asyncio.StreamWriter) -> None:
    """More than 50 MB of JSON string, chunked, so that nobody can know beforehand."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    for _ in range(52):
        writer.write(piece)
        await writer.drain()
    writer.close()


PAID: dict[str, Any] = {
    "jecp": "1.0",
    "status": "success",
    "result": {"said": "yes"},
    "provider": {"namespace": "acme", "capability": "tool", "version": "1.2.3"},
    "billing": {"charged": True, "amount_usdc": 0.005, "transaction_id": "tx_1", "balance_after": 9.995},
}
SPEC_PAID: dict[str, Any] = {
    "jecp": "1.0",
    "status": "completed",
    "result": {"capability": "acme/tool", "action": "run", "output": {"said": "yes"}},
    "billing": {"cost_usdc": 0.005, "method": "wallet", "balance_after": 9.995, "transaction_id": "tx_1"},
}


class Waits:
    """Sleeps that only take note."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


class OpenDoor:
    """A journal that lets every attempt leave."""

    async def sending(self) -> None:
        return

    async def keep(self, *entries: Entry) -> None:
        raise AssertionError("a Hub's calls need no journal")


class WillingRail(JecpRail):
    """The rail, where nobody stands between an attempt and its first byte unless a test says so."""

    def request(self, action: Offer, arguments: Mapping[str, Any], now: UnixMs) -> StoredRequest:
        quote = Quote(PRICE, QuoteKind.EXACT, action.payee, self._client.account_id)
        return self.prepare("call_0123456789", action, arguments, quote, PRICE, now)

    async def send(
        self,
        request: StoredRequest,
        journal: Journal | None = None,
        progress: Progress | None = None,
        *,
        replay: bool = False,
        attempts: int = 0,
    ) -> Outcome:
        call, door = OpenCall(request, attempts), journal or OpenDoor()
        return await (self.find_out if replay else self.execute)(call, door, progress)


@dataclass
class Bench:
    """A real rail over a real HTTP client to a raw Hub."""

    rail: WillingRail
    client: HubClient
    http: Http
    waits: Waits

    def request(self, action: Offer = ACTION, **arguments: Any) -> StoredRequest:
        return self.rail.request(action, arguments or {"text": "hi"}, SystemClock().now())


@asynccontextmanager
async def bench(url: str, *, seconds: float = 5.0, identity: Credentials | None = IDENTITY) -> AsyncIterator[Bench]:
    """Build the parts as the command line does."""
    clock, waits = SystemClock(), Waits()
    async with Http(url) as http:
        client = HubClient(url, http, lambda: identity, clock)
        rail = WillingRail(client, timeout_seconds=seconds, clock=clock, random=lambda: 0.5, sleep=waits)
        yield Bench(rail, client, http, waits)
