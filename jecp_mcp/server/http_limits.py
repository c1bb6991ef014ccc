"""What a client may take of the HTTP server: connections, and the time in which a request must be whole.

Whoever floods the port must not keep others from buying. A connection that waits for its client (half a request, a
body that does not end, silence) may be dropped at any time: after `REQUEST_SECONDS`, and as soon as a newcomer needs
its place, the longest waiting first. One whose request is being answered is never dropped, but for a client that does
not take the answer; how many there may be of those, `jecp_mcp.server.http_guard` decides.
"""

from __future__ import annotations

import asyncio
import resource
from dataclasses import dataclass
from typing import Final, Self

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS: Final = 20.0
"""How long a whole request may take to arrive."""
STALLED_SECONDS: Final = 30.0
"""How long a client may take nothing of an answer that waits for it."""
BACKLOG: Final = 32
"""How many connections are accepted at once: asyncio takes as many as the backlog before it looks at anything else."""

_MOST: Final = 256
_LEAST: Final = 16
_OTHER_FILES: Final = 32
"""Descriptors that are in use before the first connection: the ledger, pins, the event loop, standard streams."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """How much is taken on at once.

    Attributes:
        connections: open connections; those beyond `requests` wait for their clients.
        requests: requests being answered, streams included. Fewer than `connections`: one can always be dropped.
        streams: answers that stay open until the client leaves.
    """

    connections: int
    requests: int
    streams: int

    @classmethod
    def of_process(cls) -> Self:
        """What the process's descriptors allow: of those left, half, for an answer may need one towards the Hub."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        allowed = _MOST if soft == resource.RLIM_INFINITY else (soft - _OTHER_FILES) // 2
        connections = max(_LEAST, min(_MOST, allowed))
        requests = connections - connections // 8
        return cls(connections, requests, requests // 2)


class Connections:
    """The open connections, those that wait for their clients in the order in which they began to."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[BoundedConnection] = set()
        self._waiting: dict[BoundedConnection, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, connection: BoundedConnection) -> None:
        """Take on a connection; where that is one too many, drop the one that has waited longest."""
        self._open.add(connection)
        self._waiting[connection] = None
        if len(self._open) > self._most:
            next(iter(self._waiting)).drop()

    def waits(self, connection: BoundedConnection) -> None:
        """The connection waits for its client, from now on or since earlier."""
        if connection in self._open:
            self._waiting.setdefault(connection)

    def answers(self, connection: BoundedConnection) -> None:
        """The connection's request is being answered."""
        self._waiting.pop(connection, None)

    def closed(self, connection: BoundedConnection) -> None:
        """Forget a connection."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)


class BoundedConnection(H11Protocol):
    """uvicorn's HTTP connection, dropped when its client keeps it waiting."""

    places: Connections
    """Given by `bounded`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._late: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self.places.opened(self)
        self._look()

    def data_received(self, data: bytes) -> None:
        """Take some of a request."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """An answer has gone out whole."""
        super().on_response_complete()
        self._look()

    def pause_writing(self) -> None:
        """The client takes nothing for the moment."""
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED_SECONDS, self.drop)

    def resume_writing(self) -> None:
        """The client takes some again."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._forget()
        super().connection_lost(exc)

    def drop(self) -> None:
        """Close the connection at once, whatever the client still means to say."""
        self._forget()
        self.transport.abort()

    def _forget(self) -> None:
        self.places.closed(self)
        for timer in (self._late, self._stalled):
            if timer is not None:
                timer.cancel()
        self._late = self._stalled = None

    def _look(self) -> None:
        """See whose turn it is: the client's, who has so long for a whole request however little he sends, or ours."""
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is not None and not cycle.more_body and not cycle.response_complete:
            self.places.answers(self)
            if self._late is not None:
                self._late.cancel()
                self._late = None
        else:
            self.places.waits(self)
            if self._late is None:
                self._late = self.loop.call_later(REQUEST_SECONDS, self.drop)


def bounded(connections: Connections) -> type[BoundedConnection]:
    """The protocol for uvicorn, whose connections take their places among these."""
    return type("BoundedConnection", (BoundedConnection,), {"places": connections})
