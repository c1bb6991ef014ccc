"""Clients that accept one type of answer, or do not say: they are answered in what they take.

Streamable HTTP wants a POST to accept both JSON and an event stream, and the SDK refuses any other. A client that takes
JSON alone is given the one message of the stream that answers it; what is told meanwhile has no place in its answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mcp.server.streamable_http import check_accept_headers

from jecp_mcp.server.http_answers import answers, is_event_stream

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ACCEPT: Final = b"accept"
_BOTH: Final = b"application/json, text/event-stream"
_TYPE: Final = b"content-type"
_OF_A_STREAM: Final = frozenset(
    {_TYPE, b"content-length", b"cache-control", b"x-accel-buffering", b"transfer-encoding"}
)
_UNANSWERED: Final = 502


class AnyAccept:
    """ASGI middleware at the path of Streamable HTTP."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        """Stand before `app`, which serves at `path`."""
        self._app, self._path = app, path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request as if it accepted both, where it accepts one of them or says nothing."""
        if scope["type"] != "http" or scope["path"] != self._path or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        from starlette.requests import Request

        silent = not any(name == _ACCEPT and value.strip() for name, value in scope["headers"])
        has_json, has_stream = check_accept_headers(Request(scope))
        if has_json is has_stream and not silent:
            await self._app(scope, receive, send)
            return
        headers = [(name, value) for name, value in scope["headers"] if name != _ACCEPT]
        asked = {**scope, "headers": [*headers, (_ACCEPT, _BOTH)]}
        await self._app(asked, receive, _OneAnswer(send) if has_json and not has_stream else send)


class _OneAnswer:
    """What is sent to a client that takes no event stream: of a stream, the answer alone."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._rest = b""
        self._answer: bytes | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and is_event_stream(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._read(message.get("body", b""))
            if not message.get("more_body", False):
                await self._finish(self._start)

    def _read(self, piece: bytes) -> None:
        *events, self._rest = (self._rest + piece).replace(b"\r\n", b"\n").split(b"\n\n")
        for event in events:
            lines = [line.removeprefix(b"data:").strip() for line in event.split(b"\n") if line.startswith(b"data:")]
            if lines and answers(data := b"\n".join(lines)):
                self._answer = data

    async def _finish(self, start: Message) -> None:
        body = self._answer or b""
        headers = [(name, value) for name, value in start["headers"] if name.lower() not in _OF_A_STREAM]
        headers += [(_TYPE, b"application/json"), (b"content-length", str(len(body)).encode())]
        status = start["status"] if self._answer is not None else _UNANSWERED
        await self._send({**start, "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})
