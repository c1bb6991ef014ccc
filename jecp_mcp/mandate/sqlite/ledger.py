"""The ledger in one SQLite file that every process of the user shares."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import ClassVar, Final, TypeVar

import apsw

from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.errors import LedgerError, LedgerUnavailable
from jecp_mcp.mandate.commands import MOST_KEPT_BYTES
from jecp_mcp.mandate.counting import FEED_AT_ONCE
from jecp_mcp.mandate.records import AlreadyOpen, AuditReport, CallRow, Meter, MeterReading, Undelivered
from jecp_mcp.mandate.served import Serves, served_of
from jecp_mcp.mandate.sqlite import meter_backfill, verify
from jecp_mcp.mandate.sqlite.database import LedgerFile
from jecp_mcp.mandate.sqlite.ledger_queries import LedgerQueries
from jecp_mcp.mandate.sqlite.recent_calls import RecentCalls
from jecp_mcp.mandate.sqlite.session_locks import SessionHeld, SessionLock, SessionLocks
from jecp_mcp.mandate.stored_ledger import MOST_DUE, StoredLedger

_T = TypeVar("_T")

_TRIES: Final = 250
_BETWEEN_TRIES: Final = 0.02
"""How often, and how many seconds apart, a session's own lock is tried for again while another process has it."""

_REST: Final = 0.005
"""Others look for the lock every millisecond."""


class SqliteLedger(StoredLedger[LedgerQueries]):
    """A `jecp_mcp.mandate.ledger.Ledger` on a file. Open it with `jecp_mcp.mandate.opening.open_ledger`.

    A file that cannot be used does not keep the ledger from opening: reads work as far as they can, and every write
    raises what is wrong, until it is mended.
    """

    PRUNED_AT_ONCE: ClassVar[int] = 500
    ADOPTED_AT_ONCE: ClassVar[int] = 500
    REST: ClassVar[float | None] = _REST

    def __init__(
        self, file: LedgerFile, locks: SessionLocks, session: str, clock: Clock, most_kept: int = MOST_KEPT_BYTES
    ) -> None:
        """Keep the ledger in `file`.

        Args:
            most_kept: how many bytes of requests and answers are kept.
        """
        super().__init__(file, session, most_kept)
        self._file = file
        self._locks = locks
        self._clock = clock
        self._own_lock: SessionLock | None = None
        self._recent = RecentCalls()

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._file.path

    async def identical(self, fingerprint: str) -> AlreadyOpen | Undelivered | None:
        if self.fault is not None:
            raise self.fault
        return await self._read(lambda queries: queries.identical(fingerprint, self._clock.now()))

    async def prune(self, before: UnixMs) -> int:
        dropped = await super().prune(before)
        await self._give_back()
        return dropped

    async def trim(self) -> int:
        """As `StoredLedger.trim`, and give the system back what is free then."""
        dropped = await super().trim()
        await self._give_back()
        return dropped

    async def check(self) -> None:
        await asyncio.to_thread(self._file.check)

    async def adopt_orphans(
        self, serves: Serves, running: Collection[str] = (), *, clock_right: bool = False
    ) -> Sequence[CallRow]:
        await self._show_life()
        found = await self._read(lambda queries: queries.open_owners())
        served = served_of(found, serves)
        owners = {one.owner for one in found}
        claims: dict[str, SessionLock] = {}
        try:
            for session in {*owners, *self._locks.known()} - {self._session}:
                lock = self._locks.claim(session)
                if lock is not None:
                    claims[session] = lock
            await self._adopt(owners & claims.keys(), served, running, clock_right=clock_right)
        except OSError as exc:
            raise LedgerUnavailable(f"the sessions of the ledger cannot be told alive or dead: {exc}") from exc
        finally:
            for lock in claims.values():
                lock.release()
        return await self._query(lambda queries: queries.due(self._session, self._clock.now(), MOST_DUE))

    async def audit(self, head: str | None = None) -> AuditReport:
        await self._read_queued()
        return await asyncio.to_thread(self._file.read_apart, lambda reader: verify.verify(reader, head))

    async def readings(self, meters: Sequence[Meter], *, wait: bool = True) -> Sequence[MeterReading]:
        if wait:
            await self._read_queued()
        now = self._clock.now()

        def read(reader: apsw.Connection, most: int | None = None) -> list[MeterReading] | None:
            # Where the clock is behind the last change, time stands still.
            at = max(now, LedgerQueries(reader).last_at() or now)
            return meter_backfill.read(reader, meters, self._session, at, most)

        found = self._file.read(lambda reader: read(reader, FEED_AT_ONCE))
        if found is None:
            # A limit that no call has met yet is added up from all that its window holds.
            found = await asyncio.to_thread(self._file.read_apart, read)
        assert found is not None
        return found

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            await self._writer.flush()
        finally:
            self._writer.stop()
            self._file.close()
            if self._own_lock is not None:
                self._own_lock.release()

    async def _query(self, reading: Callable[[LedgerQueries], _T]) -> _T:
        return self._file.read(lambda reader: reading(LedgerQueries(reader, self._recent)))

    async def _give_back(self) -> None:
        """Give the system back what the file has no use for any more, some at a time."""
        more = True
        while more:
            more = await asyncio.to_thread(self._file.give_back)
            await asyncio.sleep(_REST)

    async def _show_life(self) -> None:
        """Hold this session's lock before the first row names it.

        Another process that looks for the dead may have it as soon as its file is there, until it has seen to them.
        """
        left = _TRIES
        while self._own_lock is None and not self._closed:
            try:
                self._own_lock = self._locks.hold(self._session)
            except SessionHeld as exc:
                if not left:
                    raise LedgerError(str(exc)) from exc
                left -= 1
                await asyncio.sleep(_BETWEEN_TRIES)
            except OSError as exc:
                raise LedgerUnavailable(f"the ledger {self.path} cannot be written: {exc.strerror}") from exc
            except ValueError as exc:
                raise LedgerError(str(exc)) from exc
