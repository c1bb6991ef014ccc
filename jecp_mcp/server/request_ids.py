"""An id names one request at a time: one that comes while another of its connection has its id is refused unread.

The SDK finds by the id which request an answer, a cancellation and what is told meanwhile belong to. Of two at once
under one id, one would get what the other has paid for. MCP forbids a client to use an id twice in a session at all;
here one that was answered may come again.
"""

from __future__ import annotations

from contextvars import Context
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

from mcp.shared.dispatcher import coerce_request_id
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp_types import INVALID_REQUEST, ErrorData, JSONRPCError, JSONRPCRequest, JSONRPCResponse, RequestId

if TYPE_CHECKING:
    from mcp.shared._stream_protocols import ReadStream, WriteStream

DUPLICATE: Final = ErrorData(
    code=INVALID_REQUEST,
    message="Another request that is not answered yet has this id, so this one was not read, and nothing was bought "
    "or charged by it. Send it again under an id of its own.",
)

_Stream = TypeVar("_Stream", bound="ReadStream[SessionMessage | Exception] | WriteStream[SessionMessage]")

id_key = coerce_request_id
"""What the SDK takes for one id: ``7`` and ``"7"`` are."""


class UniqueIds:
    """The ids that are taken on a connection whose answers all share one stream: stdio, and HTTP+SSE."""

    def __init__(self, read: ReadStream[SessionMessage | Exception], write: WriteStream[SessionMessage]) -> None:
        """Stand between the SDK's server and its transport; `read` and `write` of this are for the server."""
        self._taken: set[RequestId] = set()
        self._out = write
        self.read, self.write = _Read(read, self), _Write(write, self)

    async def admit(self, item: SessionMessage | Exception) -> SessionMessage | Exception | None:
        """What the server is to read; None for a request that was refused."""
        if not isinstance(item, SessionMessage) or not isinstance(item.message, JSONRPCRequest):
            return item
        asked = item.message.id
        if id_key(asked) in self._taken:
            await self._out.send(SessionMessage(JSONRPCError(jsonrpc="2.0", id=asked, error=DUPLICATE)))
            return None
        self._taken.add(id_key(asked))
        given = item.metadata if isinstance(item.metadata, ServerMessageMetadata) else ServerMessageMetadata()

        async def unanswered() -> None:
            self.free(asked)

        return SessionMessage(item.message, replace(given, on_request_unanswered=unanswered))

    def free(self, asked: RequestId) -> None:
        """A request was answered, or never will be."""
        self._taken.discard(id_key(asked))


class _Half(Generic[_Stream]):
    """One half of a connection, opened and closed as the transport's."""

    def __init__(self, inner: _Stream, ids: UniqueIds) -> None:
        self._inner, self._ids = inner, ids

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._inner.__aexit__(kind, error, trace)


class _Read(_Half["ReadStream[SessionMessage | Exception]"]):
    """What the server reads of a client."""

    @property
    def last_context(self) -> Context | None:
        """In what the message read last was sent, where the transport says so."""
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        """The next message that is not refused."""
        while (admitted := await self._ids.admit(await self._inner.receive())) is None:
            pass
        return admitted

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        while (admitted := await self._ids.admit(await anext(self._inner))) is None:
            pass
        return admitted


class _Write(_Half["WriteStream[SessionMessage]"]):
    """What the server writes to a client."""

    async def send(self, item: SessionMessage, /) -> None:
        """Send a message; an answer frees its request's id."""
        if isinstance(item.message, JSONRPCResponse | JSONRPCError) and item.message.id is not None:
            self._ids.free(item.message.id)
        await self._inner.send(item)
