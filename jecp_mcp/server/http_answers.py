"""What goes in and out of a session of Streamable HTTP: a request's id, whether its answer is whole, its last words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import pydantic_core
from mcp_types import CONNECTION_CLOSED, ErrorData, JSONRPCError, JSONRPCRequest, RequestId, jsonrpc_message_adapter

from jecp_mcp.server.http_guard import replay_body
from jecp_mcp.server.request_ids import DUPLICATE

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

_BAD_REQUEST: Final = 400
_STREAM: Final = b"text/event-stream"
_ENDED: Final = ErrorData(
    code=CONNECTION_CLOSED,
    message="The session was ended before this request was answered. What it began to buy goes on without it: make the "
    "same call in another session, and what was paid for is given without being bought again.",
)


class AnswerStream:
    """Passes on what answers a request, and knows how far that got.

    The SDK ends the streams of a session that ends, without a word to who waits there. Here they are given an error.

    Attributes:
        status: of the HTTP answer; 0 before there is one.
        whole: whether the answer has come to its end, which it does not where the client leaves before.
    """

    def __init__(self, send: Send, asked: RequestId | None = None, ended: Callable[[], bool] = lambda: False) -> None:
        """Send to `send`; `ended` says whether the session has ended in which `asked` is to be answered."""
        self._send, self._asked, self._ended = send, asked, ended
        self._events, self._last = False, b""
        self.status, self.whole = 0, False

    async def __call__(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._events = is_event_stream(message)
        elif message.get("more_body", False):
            self._last = message["body"]
        else:
            if self._events and self._ended() and not any(map(answers, _data(self._last))):
                error = JSONRPCError(jsonrpc="2.0", id=self._asked, error=_ENDED)
                said = f"event: message\r\ndata: {error.model_dump_json(exclude_unset=True)}\r\n\r\n"
                await self._send({"type": "http.response.body", "body": said.encode(), "more_body": True})
            self.whole = True
        await self._send(message)


async def read_request(receive: Receive) -> tuple[RequestId | None, Receive]:
    """The id of the request that a body has, read as the SDK reads it, and who gives that body again.

    None for what is no request: a notification, an answer, what cannot be read.
    """
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None, receive  # The client left before its request was whole.
        body += message.get("body", b"")
        more = message.get("more_body", False)
    try:
        said = jsonrpc_message_adapter.validate_python(pydantic_core.from_json(bytes(body)), by_name=False)
    except ValueError:
        # The SDK says what is wrong with it.
        said = None
    return said.id if isinstance(said, JSONRPCRequest) else None, replay_body(bytes(body), receive)


async def refuse_duplicate(scope: Scope, receive: Receive, send: Send) -> int:
    """Refuse a request whose id another has; with what status.

    Its answer has no id (MCP 2025-06-18 Transports, Sending Messages to the Server): that would be the other's.
    """
    from starlette.responses import Response

    error = JSONRPCError(jsonrpc="2.0", id=None, error=DUPLICATE).model_dump_json(exclude_unset=True)
    await Response(error, _BAD_REQUEST, media_type="application/json")(scope, receive, send)
    return _BAD_REQUEST


def is_event_stream(start: Message) -> bool:
    """Whether an answer that begins is a stream of events."""
    return any(name.lower() == b"content-type" and value.startswith(_STREAM) for name, value in start["headers"])


def answers(data: bytes) -> bool:
    """Whether a message of our own answers a request."""
    said: Any = json.loads(data)
    return isinstance(said, dict) and "method" not in said


def _data(events: bytes) -> list[bytes]:
    """What events say, each message of ours on a line of its own."""
    lines = [line.removeprefix(b"data:").strip() for line in events.splitlines() if line.startswith(b"data:")]
    return [line for line in lines if line]
