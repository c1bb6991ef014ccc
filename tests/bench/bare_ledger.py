"""The least that a ledger writes of a paid call: its request, durable before it leaves, and its answer after it.

No limit, no rule, no lock between processes, no digest: what these two writes cost is what nothing can go below that
keeps its promise. Those of one turn of the loop are one transaction with whatever ended before, which the answer to the
caller does not wait for; `jecp_mcp.mandate.writer` lets callers gather for a few turns.
"""

from __future__ import annotations

import asyncio

import apsw

_LINGER = 0.001


class BareLedger:
    """Two writes a call, in a file of its own."""

    def __init__(self, path: str) -> None:
        self._connection = apsw.Connection(path)
        for pragma in ("journal_mode = wal", "synchronous = full"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute("CREATE TABLE call(id TEXT PRIMARY KEY, request BLOB, answer BLOB) WITHOUT ROWID")
        self._reserved: list[tuple[str, bytes]] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._concluded: list[tuple[bytes, str]] = []
        self._timer: asyncio.TimerHandle | None = None

    async def reserve(self, call_id: str, request: bytes) -> None:
        """Write a request down; durable when it returns."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._commit)
        self._reserved.append((call_id, request))
        self._waiting.append(loop.create_future())
        await self._waiting[-1]

    def conclude(self, call_id: str, answer: bytes) -> None:
        """Have an answer written down soon."""
        self._concluded.append((answer, call_id))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LINGER, self._linger_over)

    def _linger_over(self) -> None:
        self._timer = None
        if self._concluded and not self._waiting:
            self._commit()

    def _commit(self) -> None:
        with self._connection:
            self._connection.executemany("UPDATE call SET answer = ? WHERE id = ?", self._concluded)
            self._connection.executemany("INSERT INTO call(id, request) VALUES (?, ?)", self._reserved)
        waiting, self._waiting = self._waiting, []
        self._reserved.clear()
        self._concluded.clear()
        for future in waiting:
            if not future.cancelled():
                future.set_result(None)
