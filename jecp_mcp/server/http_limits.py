"""What a client may take of the HTTP server: connections, and the time in which a request must be whole.

Whoever floods the port must not keep others from buying. A connection that waits for its client (half a request, a
body that does not end, silence) may be dropped at any time: after `REQUEST_SECONDS`, and as soon as a newcomer needs
its place, the longest waiting first. One whose request is being answered is never dropped, but for a client that does
not take the answer; how many there may be of those, `jecp_mcp.server.http_guard` decides. Nor is one of whose request
something has arrived that the event loop has yet to read: its client has done its part.

A client that keeps a connection for its next request may send that just as the connection is dropped, and its request
is lost (RFC 9112 §9.5). So once half of the places are taken, an answer says that its connection closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import select
import socket
from asyncio.trsock import TransportSocket
from dataclasses import dataclass
from itertools import islice
from typing import Final, Self

from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS: Final = 20.0
"""How long a whole request may take to arrive."""
STALLED_SECONDS: Final = 30.0
"""How long a client may take nothing of an answer that waits for it."""
ACCEPTED: Final = 1
"""How many connections to accept in one turn of the event loop.

It answers a request in many turns. Were more accepted in each, a burst of newcomers would be more requests at once than
may be, where one by one they wait in the kernel until it is their turn, and all are answered.
"""

_UNREAD: Final = 4
"""How many connections may be open beyond those that are kept, until they are read: two turns pass before that, and
asyncio may accept one more in each than it was told to."""
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
        most = max(_LEAST, min(_MOST, allowed))
        connections = most - _UNREAD
        requests = connections - connections // 8
        return cls(connections, requests, requests // 2)


class Connections:
    """The open connections, those that wait for their clients in the order in which they began to."""

    def __init__(self, most: int) -> None:
        """Keep `most` connections open, and for a moment `_UNREAD` more."""
        self._most = most
        self._open: set[BoundedConnection] = set()
        self._waiting: dict[BoundedConnection, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: BoundedConnection) -> None:
        """Take on a connection; for each that is one too many, drop the one that has waited longest."""
        self._open.add(connection)
        spare = [*self._waiting] or [connection]
        self._waiting[connection] = None
        too_many = len(self._open) - self._most
        if too_many > 0:
            for other in list(islice((other for other in spare if not other.unread()), too_many)):
                other.drop()
        if len(self._open) > self._most + _UNREAD:
            spare[0].drop()

    @property
    def scarce(self) -> bool:
        """Whether half of the places are taken."""
        return len(self._open) > self._most // 2

    def waits(self, connection: BoundedConnection) -> bool:
        """The connection waits for its client, from now on or since earlier; whether it is open at all."""
        if connection not in self._open:
            return False
        self._waiting.setdefault(connection)
        return True

    def begins(self, connection: BoundedConnection) -> None:
        """The connection's client begins a request: however long it was silent before, its wait begins anew."""
        if self._waiting.pop(connection, self) is None:
            self._waiting[connection] = None

    def answers(self, connection: BoundedConnection) -> None:
        """The connection's request is being answered."""
        self._waiting.pop(connection, None)

    def discard(self, connection: BoundedConnection) -> None:
        """Forget a connection."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)


class BoundedConnection(H11Protocol):
    """uvicorn's HTTP connection, dropped when its client keeps it waiting."""

    places: Connections
    """Given by `bounded_protocol`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._late: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._begun = False
        self.places.add(self)
        self._look()

    def data_received(self, data: bytes) -> None:
        """Take some of a request."""
        if not self._begun:
            self._begun = True
            self.places.begins(self)
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """An answer has gone out whole."""
        self._begun = False
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

    def unread(self) -> bool:
        """Whether something has arrived from the client, be it the end, that the event loop has yet to read."""
        poll = select.poll()
        poll.register(self._socket(), select.POLLIN)
        return bool(poll.poll(0))

    def drop(self) -> None:
        """Close the connection at once, whatever the client still means to say."""
        self._forget()
        # The transport closes only in the loop's next turn, and a client would meanwhile send its next request here.
        with contextlib.suppress(OSError):
            self._socket().shutdown(socket.SHUT_RDWR)
        self.transport.abort()

    def _socket(self) -> TransportSocket:
        bound: TransportSocket = self.transport.get_extra_info("socket")
        return bound

    def _forget(self) -> None:
        self.places.discard(self)
        for timer in (self._late, self._stalled):
            if timer is not None:
                timer.cancel()
        self._late = self._stalled = None

    def _look(self) -> None:
        """See whose turn it is: the client's, who has so long for a whole request however little he sends, or ours."""
        if self.transport.is_closing():
            # It closes once its client has taken what is left of the answer, and holds a place until then.
            if self.places.waits(self) and self._late is None:
                self._late = self.loop.call_later(STALLED_SECONDS, self.drop)
            return
        cycle = self.cycle
        if cycle is not None and not cycle.more_body and not cycle.response_complete:
            self.places.answers(self)
            if self.places.scarce:
                # As if the client had asked for it: uvicorn then says so in the answer, and closes.
                cycle.scope["headers"] = [*cycle.scope["headers"], CLOSE_HEADER]
            if self._late is not None:
                self._late.cancel()
                self._late = None
        else:
            self.places.waits(self)
            if self._late is None:
                self._late = self.loop.call_later(REQUEST_SECONDS, self.drop)


def bounded_protocol(connections: Connections) -> type[BoundedConnection]:
    """The protocol for uvicorn, whose connections take their places among these."""
    return type("BoundedConnection", (BoundedConnection,), {"places": connections})
