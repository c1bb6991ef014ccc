"""What every HTTP request passes first: did a foreign web page send it, and is there room for it?

A browser says of each request which site it comes from (W3C Fetch Metadata, ``Sec-Fetch-Site``), also where it sends no
Origin: for an image, a frame, or a window that opens an address. So no page can open a stream or a session here, or
spend by it. The one thing it may do is lead its reader to a page of ours, which by itself answers nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from jecp_mcp.pages import wants_html
from jecp_mcp.server.front_page import error_response

if TYPE_CHECKING:
    from starlette.routing import Route
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from jecp_mcp.server.http_limits import HttpLimits

MOST_BYTES: Final = 4 * 1024 * 1024
"""The largest request."""

_SMALL: Final = 64 * 1024
_MOST_LARGE: Final = 64 * 1024 * 1024
"""What all requests together may hold beyond `_SMALL` each."""
_RETRY_SECONDS: Final = 5
_HANDSHAKES: Final = frozenset(version.encode() for version in HANDSHAKE_PROTOCOL_VERSIONS)
_OWN_SITES: Final = frozenset({b"same-origin", b"none"})


class _Refused(Exception):
    """A request that is not let in, with the status it is answered by."""

    def __init__(self, status: int, words: str) -> None:
        self.status, self.words = status, words
        super().__init__(words)


class HttpGuard:
    """ASGI middleware: refuses what a foreign page sent, reads the body, and keeps within the limits."""

    def __init__(
        self,
        app: ASGIApp,
        limits: HttpLimits,
        origins: Collection[str],
        streams: Collection[str],
        pages: Collection[Route],
    ) -> None:
        """Guard `app`.

        Args:
            origins: the Origins that are let in; one that ends in ``:*`` stands for any port.
            streams: the paths at which a GET is answered by a stream that stays open.
            pages: pages for people.
        """
        self._app = app
        self._limits = limits
        self._origins = frozenset(origins)
        self._stream_paths = frozenset(streams)
        self._pages = tuple(pages)
        self._requests = self._streams = self._large = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it with the reason why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check_site(scope)
            body = await self._body(scope, receive)
            if body is None:
                return  # The client left before its request was whole.
            self._check_reader(scope)
            stream = self._is_stream(scope)
            self._check_room(stream)
        except _Refused as refused:
            await _answer(refused, scope, receive, send)
            return
        self._requests += 1
        self._streams += stream
        try:
            await self._app(scope, replay_body(body, receive), send)
        finally:
            self._requests -= 1
            self._streams -= stream

    def _check_site(self, scope: Scope) -> None:
        origins, sites = _values(scope, b"origin"), _values(scope, b"sec-fetch-site")
        if len(origins) > 1 or any(not origin.strip() for origin in origins):
            raise _Refused(403, "Invalid Origin header")
        if not sites or (len(sites) == 1 and sites[0] in _OWN_SITES):
            return
        if origins and self._admits(origins[0].decode("latin-1")):
            return
        followed = _values(scope, b"sec-fetch-mode") == [b"navigate"] and _values(scope, b"sec-fetch-dest") == [
            b"document"
        ]
        if followed and scope["method"] == "GET" and any(_is_at(page, scope) for page in self._pages):
            return
        raise _Refused(403, "Requests from other web sites are refused.")

    def _check_reader(self, scope: Scope) -> None:
        accept = b",".join(_values(scope, b"accept")).decode("latin-1")
        if (
            scope["method"] == "GET"
            and scope["path"] in self._stream_paths
            and wants_html(accept)
            and "text/event-stream" not in accept
        ):
            raise _Refused(406, "Not Acceptable: this address is for MCP clients")

    def _admits(self, origin: str) -> bool:
        return origin in self._origins or f"{origin.rpartition(':')[0]}:*" in self._origins

    def _check_room(self, stream: bool) -> None:
        if self._requests >= self._limits.requests or (stream and self._streams >= self._limits.streams):
            raise _Refused(503, "Too many requests at once; try again in a moment.")

    def _is_stream(self, scope: Scope) -> bool:
        # The SDK holds 2026-era clients to naming the method in this header, too.
        listens = b"subscriptions/listen" in _values(scope, b"mcp-method")
        return listens or (scope["method"] == "GET" and scope["path"] in self._stream_paths)

    def _opens(self, scope: Scope) -> bool:
        """Whether a request begins what stays, and what it says with it: a stream, or a 2025-era session."""
        versions = _values(scope, b"mcp-protocol-version")
        handshake = not versions or versions[0] in _HANDSHAKES
        begins = scope["path"] in self._stream_paths and not _values(scope, b"mcp-session-id")
        return self._is_stream(scope) or (begins and handshake)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The whole body; None when the client leaves before its end."""
        too_large = _Refused(413, "Request body too large")
        most = _SMALL if self._opens(scope) else MOST_BYTES
        stated = b"".join(_values(scope, b"content-length"))
        if stated.isdigit() and int(stated) > most:
            raise too_large
        body, large = bytearray(), 0
        try:
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return None
                body += message.get("body", b"")
                if len(body) > most:
                    raise too_large
                more = max(0, len(body) - _SMALL) - large
                if self._large + more > _MOST_LARGE:
                    raise _Refused(503, "Too many large requests at once; try again in a moment.")
                large += more
                self._large += more
                if not message.get("more_body", False):
                    return bytes(body)
        finally:
            self._large -= large


def _is_at(page: Route, scope: Scope) -> bool:
    from starlette.routing import Match

    return page.matches(scope)[0] is Match.FULL


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]


def replay_body(body: bytes, receive: Receive) -> Receive:
    """A receiver that gives the body, and then what there is beyond it: that the client leaves."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


async def _answer(refused: _Refused, scope: Scope, receive: Receive, send: Send) -> None:
    accept = b"".join(_values(scope, b"accept")[:1]).decode("latin-1")
    headers = {"connection": "close"}
    if refused.status == 503:  # noqa: PLR2004  # Service Unavailable, for now
        headers["retry-after"] = str(_RETRY_SECONDS)
    await error_response(accept, refused.status, refused.words, headers)(scope, receive, send)
