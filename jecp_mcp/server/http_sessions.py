"""The 2025-era sessions of Streamable HTTP: how many there may be, and whose ends when a newcomer needs its place.

The SDK refuses a session too many until one of the others has been idle for half an hour, so a few hundred requests
that open one would lock all new clients out. Here the idlest ends instead, first of those that were never used again.
None does while a request or a call of it is open: not even one whose client has left, for it may be buying.

Of a session that ended here its client is told so, and opens another. One that was never here, as after a restart, its
client may never let go of: what it asks is served without a session.

The SDK keeps the streams of a session's answers by the ids of their requests. So an id is taken until its answer has
gone out, or where the client has left, until the request has been handled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcp.server.context import CallNext, HandlerResult
from mcp.server.streamable_http import GET_STREAM_KEY, MCP_SESSION_ID_HEADER
from mcp_types import RequestId
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from jecp_mcp.server.http_answers import AnswerStream, read_request, refuse_duplicate
from jecp_mcp.server.request_context import Context
from jecp_mcp.server.request_ids import id_key

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADER = MCP_SESSION_ID_HEADER.encode()
_VERSION = b"mcp-protocol-version"
_REFUSED = 400
_GONE = 404
_MOST_ENDED = 4_096


@dataclass
class _Request:
    """A request whose id is taken: whether its client is still there, and whether it has been handled."""

    waiting: bool = True
    handled: bool = False


@dataclass
class _Session:
    """What is open of a session, whether its client came again after opening it, and which ids are taken."""

    open: int = 1
    used: bool = False
    requests: dict[RequestId, _Request] = field(default_factory=dict)


class HttpSessions:
    """ASGI middleware that ends idle sessions; `watch_call` is its counterpart among the server's."""

    def __init__(self, app: ASGIApp, path: str, host: str, most: int, without: ASGIApp) -> None:
        """Keep to `most` sessions.

        Args:
            app: the SDK's application, which ends a session that is deleted.
            path: where it serves them.
            host: a Host that it lets in.
            without: serves a request without a session.
        """
        self._without = without
        self._app, self._path, self._host, self._most = app, path, host.encode(), most
        self._opening = 0
        # In the order of their last use.
        self._sessions: dict[str, _Session] = {}
        self._ending: set[str] = set()
        self._ended: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; before one that opens a session, make room for it."""
        if scope["type"] != "http" or scope["path"] != self._path or not _handshake(scope):
            await self._app(scope, receive, send)
        elif (given := _value(scope["headers"], _HEADER)) is None:
            # Nothing but a message opens a session.
            await (self._open if scope["method"] == "POST" else self._app)(scope, receive, send)
        elif given in self._ending:
            await send({"type": "http.response.start", "status": _GONE, "headers": []})
            await send({"type": "http.response.body", "body": b"Session not found"})
        elif scope["method"] == "POST" and given not in self._sessions and given not in self._ended:
            headers = [(name, value) for name, value in scope["headers"] if name != _HEADER]
            await self._without({**scope, "headers": headers}, receive, send)
        elif scope["method"] == "DELETE":
            with self._busy(given):
                await self._delete(given, scope, receive, send)
        else:
            with self._busy(given):
                status = await self._serve(given, scope, receive, send)
            if status == _GONE:
                self._forget(given)

    async def watch_call(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Let no session end while a message of it is being handled, whether or not its client still waits."""
        given = None if ctx.request is None else ctx.request.headers.get(MCP_SESSION_ID_HEADER)
        if given is not None and ctx.request_id is not None:
            self._watch_end(given, id_key(ctx.request_id))
        with self._busy(given):
            return await call_next(ctx)

    def _watch_end(self, given: str, key: RequestId) -> None:
        """Free the id of a request whose client has left, once it has been handled."""
        session, task = self._sessions.get(given), asyncio.current_task()
        request = None if session is None else session.requests.get(key)
        if session is None or request is None or task is None:
            return

        def end(_: object) -> None:
            request.handled = True
            # Where its answer had gone out before, another may have the id by now.
            if not request.waiting and session.requests.get(key) is request:
                del session.requests[key]

        # The SDK handles each request in a task of its own, which ends when the session's transport has the answer.
        task.add_done_callback(end)

    @contextmanager
    def _busy(self, given: str | None) -> Iterator[None]:
        session = None if given is None else self._sessions.get(given)
        if given is None or session is None:
            yield
            return
        session.open += 1
        session.used = True
        try:
            yield
        finally:
            self._release(given)

    def _release(self, given: str) -> None:
        """Something of a session is no longer open; it was used last."""
        session = self._sessions.pop(given, None)
        if session is not None:
            session.open -= 1
            self._sessions[given] = session

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked, receive = await read_request(receive)
        while len(self._sessions) + self._opening >= self._most:
            idlest = self._idlest()
            if idlest is None or not await self._end(idlest, scope):
                break  # The SDK refuses the newcomer.
        self._opening += 1
        opened: str | None = None
        request = _Request()

        async def answer(message: Message) -> None:
            nonlocal opened
            if message["type"] == "http.response.start" and message["status"] < _REFUSED:
                opened = _value(message["headers"], _HEADER)
                if opened is not None:
                    self._opening -= 1
                    self._sessions[opened] = session = _Session()
                    if asked is not None:
                        session.requests[id_key(asked)] = request
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            if opened is None:
                self._opening -= 1
            else:
                if asked is not None and opened in self._sessions:
                    del self._sessions[opened].requests[id_key(asked)]
                self._release(opened)

    def _idlest(self) -> str | None:
        idle = [given for given, session in self._sessions.items() if not session.open and given not in self._ending]
        return next((given for given in idle if not self._sessions[given].used), idle[0] if idle else None)

    async def _end(self, given: str, scope: Scope) -> bool:
        """End a session as its client would; whether it is gone."""
        headers = [(b"host", self._host), (_HEADER, given.encode())]
        asked = {**scope, "method": "DELETE", "query_string": b"", "headers": headers}
        return await self._delete(given, asked, _receive_nothing, _send_nowhere)

    async def _delete(self, given: str, scope: Scope, receive: Receive, send: Send) -> bool:
        """Have a session ended; whether it is gone."""
        self._ending.add(given)
        try:
            status = await self._serve(given, scope, receive, send)
        finally:
            self._ending.discard(given)
        gone = status < _REFUSED or status == _GONE
        if gone:
            self._forget(given)
        return gone

    def _forget(self, given: str) -> None:
        """Note of a session of ours that it has ended."""
        if self._sessions.pop(given, None) is not None:
            self._ended[given] = None
            if len(self._ended) > _MOST_ENDED:
                del self._ended[next(iter(self._ended))]

    async def _serve(self, given: str, scope: Scope, receive: Receive, send: Send) -> int:
        """Have a request answered that comes in a session; with what status."""
        asked: RequestId | None = None
        if scope["method"] == "POST":
            asked, receive = await read_request(receive)
        session = self._sessions.get(given)
        if asked is None or session is None:
            stream = AnswerStream(send)
            await self._app(scope, receive, stream)
            return stream.status
        key = id_key(asked)
        if key in session.requests or str(asked) == GET_STREAM_KEY:
            return await refuse_duplicate(scope, receive, send)
        request = session.requests[key] = _Request()
        stream = AnswerStream(send, asked, lambda: self._sessions.get(given) is not session or given in self._ending)
        try:
            await self._app(scope, receive, stream)
        finally:
            request.waiting = False
            if stream.whole or request.handled:
                del session.requests[key]
        return stream.status


def _value(headers: Any, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in headers if key == name), None)


def _handshake(scope: Scope) -> bool:
    """Whether the SDK serves a request in a session: as it does, by the first header of that name."""
    version = _value(scope["headers"], _VERSION)
    return version is None or version in HANDSHAKE_PROTOCOL_VERSIONS


async def _receive_nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send_nowhere(_: Message) -> None:
    return
