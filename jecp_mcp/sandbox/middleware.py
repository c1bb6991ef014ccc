"""What stands before every request: which names are answered to, which pages may ask, what closes a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, MutableMapping
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jecp_mcp.sandbox.dialect import DialectName
from jecp_mcp.sandbox.fault_injection import DropConnection

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Connection(NamedTuple):
    """An open connection; `lost` is set once it is no longer."""

    transport: asyncio.Transport
    lost: asyncio.Event


Connections = MutableMapping[tuple[str, int], Connection]
"""The open connections by the client's address, kept by the server."""


class LoopbackMiddleware:
    """ASGI middleware: only loopback's names and the Hub's own as Host, and a dropped connection for a fault."""

    def __init__(self, app: ASGIApp, connections: Connections, public_url: str | None = None) -> None:
        self._app, self._connections = app, connections
        self._names = LOOPBACK_NAMES | {urlsplit(public_url or "").hostname}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if name_of(Request(scope).headers.get("host", "")) not in self._names:
            # A page elsewhere whose name was pointed at this machine would come with its own name (DNS rebinding).
            await Response("This Hub answers to loopback names only.", 421)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            return  # The client left before its request was whole: nobody is there to answer.
        except DropConnection:
            client = scope.get("client")
            connection = self._connections.get((client[0], client[1])) if client else None
            if connection is not None:
                connection.transport.abort()
                # Only a server that knows of the loss expects no answer any more.
                await connection.lost.wait()


class CorsMiddleware:
    """ASGI middleware: pages of any origin may speak the protocol, and read the headers that it goes by.

    Whoever speaks it has a key of their own; the sandbox's pages and controls are for no foreign page.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, or say with an answer who may read it."""
        if scope["type"] != "http" or not scope["path"].startswith(_SHARED_PATHS):
            await self._app(scope, receive, send)
            return
        if scope["method"] == "OPTIONS":
            await Response(status_code=204, headers={**_SHARED, **_PREFLIGHT})(scope, receive, send)
            return

        async def shared(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_SHARED)
            await send(message)

        await self._app(scope, receive, shared)


class LegacyAliasMiddleware:
    """ASGI middleware: every answer at ``/v1/jecp`` says that this path ends (JECP 01-protocol §2.1).

    What is sold there may end sooner: the ``Sunset`` that an answer already has stays.
    """

    def __init__(self, app: ASGIApp, dialect: DialectName) -> None:
        self._app = app
        self._sunset, self._link = _LEGACY[dialect]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, and its answer say so."""
        if scope["type"] != "http" or scope["path"] != "/v1/jecp":
            await self._app(scope, receive, send)
            return

        async def ending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("deprecation", "true")
                headers.setdefault("sunset", self._sunset)
                headers.append("link", self._link)
            await send(message)

        await self._app(scope, receive, ending)


_LEGACY: Mapping[DialectName, tuple[str, str]] = {
    "reference": (
        "Fri, 31 Dec 2027 00:00:00 GMT",
        '<https://jecp.dev/spec/v1.0/01-protocol#v1-jecp>; rel="deprecation"',
    ),
    "spec": (
        "Sat, 01 Jan 2028 00:00:00 GMT",
        '<https://jecp.dev/spec/v1.0/01-protocol.md#21-legacy-alias>; rel="deprecation"',
    ),
}
"""The end of ``/v1/jecp`` and the page about it."""

_SHARED_PATHS = ("/v1/", "/api/agent", "/.well-known/", "/llms.txt", "/health")
_SHARED = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": (
        "X-Payment-Response, X-Request-Id, Retry-After, WWW-Authenticate, X-RateLimit-Limit, X-RateLimit-Remaining, "
        "X-RateLimit-Reset, Deprecation, Sunset, Link, ETag"
    ),
}
_PREFLIGHT = {
    "access-control-allow-methods": "GET, POST, PATCH, DELETE",
    "access-control-allow-headers": (
        "Content-Type, Accept, Authorization, X-Agent-ID, X-API-Key, X-Payment, X-Request-Id, If-None-Match"
    ),
    "access-control-max-age": "600",
    "cache-control": "no-store",
}


def name_of(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or "-"
    except ValueError:
        return "-"
