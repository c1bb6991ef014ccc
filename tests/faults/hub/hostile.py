"""A Hub that means harm: a raw TCP server whose every answer is a script."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Script = Callable[["Request", asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def http(status: str, body: bytes, *headers: str) -> bytes:
    """A well-formed HTTP answer, whatever its body is."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def says(body: bytes | dict[str, Any], status: str = "200 OK", kind: str = "application/json", *headers: str) -> Script:
    """Answer with `body`."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def script(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(http(status, data, f"Content-Type: {kind}", *headers))
        await writer.drain()

    return script


async def vanishes(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Close without a word."""
    writer.close()


async def resets(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Reset the connection in the middle of the headers."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    await writer.drain()
    writer.transport.abort()


async def stops_halfway(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Promise more than comes."""
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"jecp":"1.0",')
    await writer.drain()
    writer.close()


async def drips(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Send one byte every tenth of a second, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.1)


async def hangs(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    while not writer.is_closing():
        await asyncio.sleep(0.1)


async def floods(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Send 60 MB of JSON string."""
    size = 60_000_000
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {size + 2}\r\n\r\n".encode())
    writer.write(b'"')
    for _ in range(60):
        writer.write(b"x" * 1_000_000)
        await writer.drain()
    writer.write(b'"')
    await writer.drain()


@dataclass
class HostileHub:
    """The server's address, what it will say, and what it heard."""

    url: str = ""
    catalog: Script = field(default_factory=lambda: says({"jecp": "1.0", "capabilities": []}))
    invoke: Script = vanishes
    heard: list[Request] = field(default_factory=list)

    @property
    def paid(self) -> list[Request]:
        """The purchases that arrived."""
        return [request for request in self.heard if request.method == "POST"]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests until it closes."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                first, *lines = head.decode("latin-1").split("\r\n")
                headers = {
                    key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines if line)
                }
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                method, path, _ = first.split(" ")
                request = Request(method, path, headers, body)
                self.heard.append(request)
                if method == "POST":
                    await self.invoke(request, writer)
                elif path.startswith("/v1/capabilities"):
                    await self.catalog(request, writer)
                else:
                    await says({"error": "not here"}, "404 Not Found")(request, writer)
                if writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            # Cancelled only when the Hub itself ends; the stream's callback would report it as an error.
            return
        finally:
            writer.close()


@contextmanager
def hostile_hub() -> Iterator[HostileHub]:
    """A hostile Hub on loopback, in a thread of its own."""
    hub = HostileHub()
    with running(hub):
        yield hub


@contextmanager
def running(hub: HostileHub, port: int = 0) -> Iterator[None]:
    """Serve a scripted Hub on loopback, in a thread of its own."""
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        server = await asyncio.start_server(hub.serve, "127.0.0.1", port)
        hub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await stop.wait()
        server.close()
        for task in asyncio.all_tasks(loop) - {asyncio.current_task()}:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
        loop.close()


def action(identity: str, **more: Any) -> dict[str, Any]:
    """One action of a manifest."""
    return {
        "id": identity,
        "description": "Does something.",
        "pricing": {"base": "$0.01", "currency": "USD", "model": "flat"},
        "input_schema": {"type": "object", "properties": {"text": {"type": "string"}}},
        "output_schema": {"type": "object"},
        **more,
    }


def manifest(namespace: str, capability: str, actions: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """One entry of a reference-dialect catalog."""
    body = {
        "namespace": namespace,
        "capability": capability,
        "version": "1.0.0",
        "description": "A capability.",
        "endpoint": "https://provider.example/",
        "actions": actions,
        **more,
    }
    return {
        "id": f"{namespace}/{capability}",
        "namespace": namespace,
        "name": capability,
        "version": "1.0.0",
        "description": "A capability.",
        "actions": [{"id": one.get("id")} for one in actions],
        "manifest": body,
    }


def catalog_of(*entries: dict[str, Any]) -> dict[str, Any]:
    """A whole reference-dialect catalog on one page."""
    return {
        "jecp": "1.0",
        "engine": "hostile",
        "capabilities": [],
        "third_party_capabilities": list(entries),
        "third_party_count": len(entries),
        "has_more": False,
        "next_cursor": None,
        "paginated": True,
    }


GOOD = manifest("good", "thing", [action("make")])
