"""Reading the ledger in a thread of its own, beside whoever writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from jecp_mcp.errors import LedgerUnavailable
from jecp_mcp.mandate.postgres.bodies import PART
from jecp_mcp.mandate.postgres.ledger_queries import LedgerQueries, StoredBody
from jecp_mcp.mandate.records import CallRow

if TYPE_CHECKING:
    from jecp_mcp.mandate.postgres.connection import Connection
    from jecp_mcp.mandate.postgres.server import Server

_T = TypeVar("_T")

_LONGEST_READ: Final = 30.0
"""How long a server may take over a read, in seconds; an audit may take as long as it takes."""


class ReadThread:
    """The thread that reads."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._pool = ThreadPoolExecutor(1, "ledger-reading")
        self._closed = False

    def submit(self, blocking: Callable[[], Any]) -> None:
        """Do something there that nobody waits for."""
        self._pool.submit(blocking)

    async def read(self, reading: Callable[[Connection], _T]) -> _T:
        """What a read comes to; a server that does not answer it in time is given up.

        Raises:
            LedgerUnavailable: the server cannot be read.
            LedgerDamaged: what is there is no ledger.
        """
        found = asyncio.ensure_future(self.run(lambda: self._server.read(reading)))
        try:
            # A read whose connection broke is tried once more, and that may take too long again.
            while not (await asyncio.wait([found], timeout=_LONGEST_READ))[0]:
                self._server.reader.break_off()
            return await found
        finally:
            found.cancel()

    async def run(self, blocking: Callable[[], _T]) -> _T:
        """What something comes to that may take as long as it takes."""
        if self._closed:
            raise LedgerUnavailable("the ledger is closed")
        return await asyncio.get_running_loop().run_in_executor(self._pool, blocking)

    async def with_bodies(self, row: CallRow) -> CallRow:
        """A call with its bodies, read while nobody is kept from writing."""
        request, answer = await self.read(lambda connection: LedgerQueries(connection).bodies(row.number))
        body = await self._body(request)
        return replace(row, request=body or b"", answer=await self._body(answer) if row.answered else None)

    async def close(self) -> None:
        """Let go of the server and of the thread."""
        await self.run(self._server.close)
        self._closed = True
        self._pool.shutdown()

    async def _body(self, kept: StoredBody) -> bytes | None:
        """A body, put together from its parts; None where there is none (any more)."""
        if kept.upload is None:
            return kept.body
        whole = bytearray()
        while len(whole) < kept.size:
            part = await self.read(partial(_read_part, upload=kept.upload, number=len(whole) // PART))
            if not part:
                return None
            whole += part
        return bytes(whole)


def _read_part(connection: Connection, upload: str, number: int) -> bytes | None:
    return LedgerQueries(connection).part(upload, number)
