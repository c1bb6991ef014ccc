"""Serving an application on loopback, its connections kept where a fault can close them."""

from __future__ import annotations

import asyncio
import os
import socket
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from jecp_mcp.errors import SettingsError
from jecp_mcp.sandbox.middleware import Connection, Connections

HOST = "127.0.0.1"
_GRACE_SECONDS = 2
_PORTS = range(10_000, 20_000)
"""Where a first port is looked for: below those that systems give to outgoing connections, so that it stays free."""
_MOST_PORTS = 50


def listen(port: int) -> socket.socket:
    """Take a port of 127.0.0.1; 0 takes a free one.

    Raises:
        SettingsError: it is taken.
    """
    # With its protocol named: asyncio turns Nagle's algorithm off only then, and an answer would wait 40 ms for an ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except (OSError, OverflowError) as exc:
        listener.close()
        why = getattr(exc, "strerror", None) or str(exc)
        raise SettingsError("--port", "", f"{HOST}:{port} cannot be used: {why}; --port 0 takes a free one") from exc
    listener.setblocking(False)
    return listener


def likely_ports(data: Path | None, place: int, places: int) -> Iterator[int]:
    """Where to look for a port at a first start: for each file elsewhere, and again there at the next.

    What is kept in memory comes to no port again.

    Args:
        data: the file, or folder.
        place: which of its `places` ports this is.
    """
    if data is not None:
        first = zlib.crc32(os.fsencode(data.absolute())) + place
        yield from (_PORTS[(first + step * places) % len(_PORTS)] for step in range(_MOST_PORTS))


def listen_first(ports: Iterable[int]) -> socket.socket:
    """Listen on the first port that is free, or on any."""
    for port in ports:
        try:
            listener = listen(port)
        except SettingsError:
            continue
        try:
            # Two that only hold a port may hold the same.
            listener.listen()
        except OSError:
            listener.close()
        else:
            return listener
    return listen(0)


def url_of(listener: socket.socket) -> str:
    """Where it listens."""
    return f"http://{HOST}:{listener.getsockname()[1]}"


async def serve_app(
    app: ASGIApp, listener: socket.socket, connections: Connections, ready: Callable[[], None], *, lifespan: bool = True
) -> None:
    """Serve an application until cancelled. Signals are the caller's business.

    Args:
        app: what answers.
        listener: where; it is closed in the end.
        connections: where the open connections are kept.
        ready: called once, when requests are being answered.
        lifespan: whether the application wants to be told of its start and end.
    """
    server = _Server(
        uvicorn.Config(
            app,
            http=_protocol(connections),
            ws="none",
            lifespan="on" if lifespan else "off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        ),
        ready,
    )
    serving = asyncio.create_task(server.serve([listener]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise


class _Server(uvicorn.Server):
    """A server that says when it answers, and leaves the signals alone."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _protocol(connections: Connections) -> type[asyncio.Protocol]:
    class Tracked(H11Protocol):
        """uvicorn's HTTP protocol, its connections kept where a fault can find them."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if self.client is not None:
                connections[self.client] = Connection(transport, asyncio.Event())

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            connection = connections.pop(self.client, None) if self.client is not None else None
            if connection is not None:
                connection.lost.set()

    return Tracked
