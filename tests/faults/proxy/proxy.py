"""A TCP proxy that spoils connections: what kind of fault, at which point of the exchange, and how many times."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit


class Kind(StrEnum):
    """What happens to the bytes."""

    LATENCY = "latency"
    THROTTLED = "throttled"
    SLOW_CLOSE = "slow close"
    TIMEOUT = "timeout"
    RESET = "reset"
    SLICED = "sliced"
    TRUNCATED = "truncated"
    GARBAGE = "garbage"


class Point(StrEnum):
    """Where in the exchange it begins."""

    CONNECT = "connect"
    REQUEST_SENT = "request sent"
    HALF_RESPONSE = "half response"
    MID_STREAM = "mid-stream"


PAUSE = 0.2
"""How long a late byte is late, and how long a slow close takes, in seconds."""

NOISE = b"\x00\xff\x16\x03\x01 not HTTP at all \r\n\r\n" * 4


@dataclass
class Proxy:
    """A running proxy.

    Attributes:
        spoil: how many more connections are spoiled; the others pass.
        spoiled: how many were.
    """

    url: str
    spoil: int = 0
    spoiled: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


@asynccontextmanager
async def proxied(hub_url: str, kind: Kind, point: Point, times: int) -> AsyncIterator[Proxy]:
    """A proxy before the Hub at `hub_url` that spoils the first `times` connections."""
    parts = urlsplit(hub_url)
    assert parts.hostname is not None
    assert parts.port is not None
    target = (parts.hostname, parts.port)
    proxy = Proxy("", times)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        proxy.tasks.add(task)
        try:
            line = _Line(reader, writer, *target)
            if proxy.spoil > 0:
                proxy.spoil -= 1
                proxy.spoiled += 1
                await _POINTS[point](line, kind)
            else:
                await line.passed_through()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # The bridge or the Hub has closed its end, which is what a spoiled connection looks like, or the test ends.
            pass
        finally:
            proxy.tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        for task in list(proxy.tasks):
            task.cancel()
        await asyncio.gather(*proxy.tasks, return_exceptions=True)
        await server.wait_closed()


class _Line:
    """One connection of the bridge, and one to the Hub once something is passed on."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
        self.reader, self.writer = reader, writer
        self._target = (host, port)

    async def passed_through(self) -> None:
        """Pass everything on, both ways, for as long as both ends like."""
        hub_reader, hub_writer = await asyncio.open_connection(*self._target)
        try:
            ways = [
                asyncio.ensure_future(_copy(self.reader, hub_writer)),
                asyncio.ensure_future(_copy(hub_reader, self.writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            hub_writer.close()

    async def request(self) -> bytes:
        """The bridge's whole request."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        return head + await self.reader.readexactly(_length(head))

    @asynccontextmanager
    async def asked(self, request: bytes, *, piece: int = 0, pause: float = 0.0) -> AsyncIterator[asyncio.StreamReader]:
        """The Hub, with the request passed on, at once or in pieces."""
        hub_reader, hub_writer = await asyncio.open_connection(*self._target)
        try:
            await _write(hub_writer, request, piece, pause)
            yield hub_reader
        finally:
            hub_writer.close()

    async def send(self, data: bytes, *, piece: int = 0, pause: float = 0.0) -> None:
        """Send bytes to the bridge, at once or in pieces."""
        await _write(self.writer, data, piece, pause)

    def reset(self) -> None:
        """Close without a goodbye: the peer sees a reset (SO_LINGER 0, socket(7))."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


async def _write(writer: asyncio.StreamWriter, data: bytes, piece: int, pause: float) -> None:
    size = piece or max(1, len(data))
    for at in range(0, len(data), size):
        writer.write(data[at : at + size])
        await writer.drain()
        await asyncio.sleep(pause)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


def _length(head: bytes) -> int:
    lines = (line.partition(b":") for line in head.lower().split(b"\r\n"))
    return next((int(value) for name, _, value in lines if name == b"content-length"), 0)


async def _answer(hub: asyncio.StreamReader) -> bytes:
    """The Hub's whole answer, of a declared length or in chunks."""
    head = await hub.readuntil(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return head + await hub.readexactly(_length(head))
    body = b""
    while not body.endswith(b"0\r\n\r\n"):
        body += await hub.read(65_536)
    return head + body


async def _spoil(line: _Line, kind: Kind, rest: bytes) -> None:
    """What becomes of the bytes that are still to come from the Hub."""
    match kind:
        case Kind.LATENCY:
            await asyncio.sleep(PAUSE)
            await line.send(rest)
        case Kind.THROTTLED:
            await line.send(rest, piece=max(64, len(rest) // 20), pause=0.01)
        case Kind.SLICED:
            await line.send(rest, piece=7)
        case Kind.SLOW_CLOSE:
            await asyncio.sleep(PAUSE)
        case Kind.TIMEOUT:
            # Until the bridge has had enough.
            await line.reader.read()
        case Kind.RESET:
            line.reset()
        case Kind.GARBAGE:
            await line.send(NOISE)
        case Kind.TRUNCATED:
            pass


async def _at_connect(line: _Line, kind: Kind) -> None:
    match kind:
        case Kind.LATENCY:
            await asyncio.sleep(PAUSE)
            await line.passed_through()
        case Kind.THROTTLED | Kind.SLICED:
            request = await line.request()
            piece, pause = (7, 0.0) if kind is Kind.SLICED else (max(64, len(request) // 20), 0.01)
            async with line.asked(request, piece=piece, pause=pause) as hub:
                await line.send(await _answer(hub))
        case Kind.TRUNCATED:
            request = await line.request()
            async with line.asked(request[: len(request) // 2]):
                pass
        case Kind.SLOW_CLOSE:
            await line.request()
            await asyncio.sleep(PAUSE)
        case _:
            await _spoil(line, kind, b"")


async def _after_request(line: _Line, kind: Kind) -> None:
    async with line.asked(await line.request()) as hub:
        # The Hub has done its work before anything is spoiled.
        answer = await _answer(hub)
        await _spoil(line, kind, answer)


async def _half_way(line: _Line, kind: Kind) -> None:
    async with line.asked(await line.request()) as hub:
        answer = await _answer(hub)
        await line.send(answer[: len(answer) // 2])
        await _spoil(line, kind, answer[len(answer) // 2 :])


async def _mid_stream(line: _Line, kind: Kind) -> None:
    async with line.asked(await line.request()) as hub:
        answer = await _answer(hub)
        if b"text/event-stream" not in answer.partition(b"\r\n\r\n")[0].lower():
            # The attempts after a broken stream ask for a plain answer.
            cut = len(answer) // 2
        else:
            # Two whole events have come; the one that tells the end has not.
            cut = answer.index(b"\n\n", answer.index(b"\n\n", answer.index(b"\r\n\r\n") + 4) + 2) + 2
            assert b"completed" not in answer[:cut]
        await line.send(answer[:cut])
        await _spoil(line, kind, answer[cut:])


_POINTS: dict[Point, Callable[[_Line, Kind], object]] = {
    Point.CONNECT: _at_connect,
    Point.REQUEST_SENT: _after_request,
    Point.HALF_RESPONSE: _half_way,
    Point.MID_STREAM: _mid_stream,
}
