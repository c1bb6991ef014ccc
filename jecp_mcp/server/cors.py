"""What a browser must be told before a page of an allowed origin may speak to us (Fetch, HTTP-CORS protocol)."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from starlette.middleware.cors import CORSMiddleware

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_HEADERS: Final = (
    "accept",
    "authorization",
    "content-type",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
)
"""What MCP clients send over Streamable HTTP, of either era."""
_READABLE: Final = ("Mcp-Session-Id", "Retry-After")
_METHODS: Final = ("GET", "POST", "DELETE")


class Cors:
    """ASGI middleware for the protocol's own paths. Pages for people are read by nobody's script."""

    def __init__(self, app: ASGIApp, origins: Collection[str], paths: Collection[str]) -> None:
        """Answer preflights before `app`, and say of its answers who may read them.

        Args:
            origins: the Origins that may; one that ends in ``:*`` stands for any port.
            paths: where the protocol is spoken, at these and below.
        """
        self._app = app
        self._paths = tuple(paths)
        any_port = [re.escape(one.removesuffix(":*")) for one in origins if one.endswith(":*")]
        self._speaking = CORSMiddleware(
            app,
            allow_origins=[one for one in origins if not one.endswith(":*")],
            allow_origin_regex=rf"(?:{'|'.join(any_port)}):\d{{1,5}}" if any_port else None,
            allow_methods=_METHODS,
            allow_headers=_HEADERS,
            expose_headers=_READABLE,
            # A page of the Web may reach this machine where its operator listed it.
            allow_private_network=True,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer a preflight."""
        speaks = scope["type"] == "http" and any(
            scope["path"] == path.rstrip("/") or scope["path"].startswith(f"{path.rstrip('/')}/")
            for path in self._paths
        )
        await (self._speaking if speaks else self._app)(scope, receive, send)
