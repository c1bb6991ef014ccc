"""What stands before every request: only loopback names as Host; and the connections that a fault can close."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from jecp_mcp.sandbox.fault_injection import DropConnection

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Connection(NamedTuple):
    """An open connection; `lost` is set once it is no longer."""

    transport: asyncio.Transport
    lost: asyncio.Event


Connections = MutableMapping[tuple[str, int], Connection]
"""The open connections by the client's address, kept by the server."""


class LoopbackMiddleware:
    """ASGI middleware: only loopback names as Host, and a dropped connection where a fault wants one."""

    def __init__(self, app: ASGIApp, connections: Connections) -> None:
        self._app, self._connections = app, connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if not _is_loopback(Request(scope).headers.get("host", "")):
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


def _is_loopback(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").hostname in LOOPBACK_NAMES
    except ValueError:
        return False
