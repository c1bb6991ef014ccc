"""Saying again and again that this process lives, and giving up a server that does not answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jecp_mcp.mandate.postgres.leases import BEAT_SECONDS, STUCK_SECONDS, RenewLease

if TYPE_CHECKING:
    from jecp_mcp.mandate.postgres.server import Server
    from jecp_mcp.mandate.writer import Writer


class Heartbeat:
    """What beats while the ledger is open. Used from one event loop at a time.

    Attributes:
        started: whether it ever beat.
    """

    def __init__(self, server: Server, writer: Writer) -> None:
        self.started = False
        self._server = server
        self._writer = writer
        self._renewal = RenewLease()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next: asyncio.TimerHandle | None = None
        self._stopped = False

    def start(self) -> None:
        """Say from now on that this session lives; the batch that names it first says so before it does."""
        loop = asyncio.get_running_loop()
        if loop is self._loop or self._stopped:
            return
        self.started = True
        self._loop, self._next = loop, loop.call_later(BEAT_SECONDS, self.beat)

    def beat(self) -> None:
        """Say it once more."""
        assert self._loop is not None
        self._next = self._loop.call_later(BEAT_SECONDS, self.beat)
        self._server.break_off_after(STUCK_SECONDS)
        if not self._renewal.waiting:
            # One at a time: a server that is away must not leave a pile of them.
            self._renewal.waiting = True
            self._writer.queue(self._renewal)

    def stop(self) -> None:
        """Say nothing more."""
        self._stopped = True
        if self._next is not None:
            self._next.cancel()
