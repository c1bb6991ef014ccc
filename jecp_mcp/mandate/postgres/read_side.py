"""What a ledger in PostgreSQL tells: reads beside whoever writes, after what this process queued before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.grants import WAITING, Grant, GrantKind, GrantRef, GrantState, OpenQuestions
from jecp_mcp.mandate.postgres import ledger_queries, verify
from jecp_mcp.mandate.postgres.read_thread import ReadThread
from jecp_mcp.mandate.postgres.storable_text import storable
from jecp_mcp.mandate.postgres.store import Store
from jecp_mcp.mandate.records import (
    AuditReport,
    CallRow,
    EventRow,
    Meter,
    MeterReading,
    Totals,
)
from jecp_mcp.mandate.states import State

if TYPE_CHECKING:
    from jecp_mcp.mandate.postgres.connection import Connection
    from jecp_mcp.mandate.postgres.server import Server
    from jecp_mcp.mandate.writer import Writer

_T = TypeVar("_T")

_PATIENCE_IN_TROUBLE: Final = 0.1
"""How long a read waits, in seconds, for what could not be written before: whoever reads several times waits once."""


class ReadSide:
    """The part of the ledger that reads."""

    def __init__(self, server: Server, writer: Writer, session: str) -> None:
        self._server = server
        self._writer = writer
        self._session = session
        self._reader = ReadThread(server)

    async def next_look(self) -> UnixMs | None:
        """When the first open row of this process is due to be asked for, or None."""
        return await self._read(lambda connection: ledger_queries.read_next_look(connection, self._session))

    async def row(self, call_id: str) -> CallRow | None:
        """One call, or None."""
        if not storable(call_id):
            return None
        found = await self._read(lambda connection: ledger_queries.read_row(connection, call_id))
        return None if found is None else await self._reader.with_bodies(found)

    async def rows(
        self, *, limit: int = 100, states: frozenset[State] | None = None, principal: str | None = None
    ) -> Sequence[CallRow]:
        """The latest calls, newest first, without their requests and answers."""
        return await self._read(lambda connection: ledger_queries.read_rows(connection, limit, states, principal))

    async def excessive(self, *, limit: int = 100) -> Sequence[CallRow]:
        """The latest calls that were charged more than was held for them, and on which no person has ruled."""
        return await self._read(lambda connection: ledger_queries.read_excessive(connection, limit))

    async def pages(self, *, after: int = 0, limit: int = 1000) -> Sequence[CallRow]:
        """The calls behind number `after`, oldest first, without their requests and answers."""
        return await self._read(lambda connection: ledger_queries.read_pages(connection, after, limit))

    async def has_paid(self, principal: str, rail: str, account: str, payee: str) -> bool:
        """Whether a principal ever paid a payee from an account, as far as it is proven."""
        return await self._read(
            lambda connection: ledger_queries.read_has_paid(connection, principal, rail, account, payee)
        )

    async def of_reference(self, rail: str, account: str, reference: str) -> CallRow | None:
        """The call that a payment of an account paid for, or None."""
        if not storable(reference):
            return None
        found = await self._read(lambda connection: ledger_queries.read_reference(connection, rail, account, reference))
        return None if found is None else await self._reader.with_bodies(found)

    async def last_of(self, rail: str, account: str) -> CallRow | None:
        """The latest call of an account whose answer told the balance, without its bodies, or None."""
        return await self._read(lambda connection: ledger_queries.read_last_of(connection, rail, account))

    async def questions(self, at: UnixMs, *, skip: int = 0, limit: int = 100) -> OpenQuestions:
        """What waits for a person at an instant, oldest first, without the first `skip`."""
        return await self._read(lambda connection: ledger_queries.read_questions(connection, at, skip, limit))

    async def grant(self, ref: GrantRef) -> Grant | None:
        """One grant, or None."""
        if not storable(ref.grant_id):
            return None
        return await self._read(lambda connection: ledger_queries.read_grant(connection, ref))

    async def grants(
        self, kind: GrantKind, *, subject: str | None = None, states: frozenset[GrantState] = WAITING, limit: int = 100
    ) -> Sequence[Grant]:
        """The latest grants in some states, newest first, expired ones included; all, or those of one subject."""
        return await self._read(lambda connection: ledger_queries.read_grants(connection, kind, subject, states, limit))

    async def events(self, call_id: str | None = None, *, after: int = 0, limit: int = 1000) -> Sequence[EventRow]:
        """Changes behind number `after`, oldest first: those of one call, or all."""
        if call_id is not None and not storable(call_id):
            return []
        return await self._read(lambda connection: ledger_queries.read_events(connection, call_id, after, limit))

    async def audit(self, head: str | None = None) -> AuditReport:
        """Go over everything: the chain of events, every call against its events, every meter against its calls."""
        await self._read_queued()
        return await self._reader.run(lambda: self._server.read(lambda connection: verify.verify(connection, head)))

    async def readings(self, wanted: Sequence[Meter]) -> Sequence[MeterReading]:
        """How full each cap is now; one that no call has met yet shows what it will begin with."""
        return await self._read(lambda connection: Store(connection, self._session, "").readings(wanted))

    async def totals(self) -> Totals:
        """The sums over all rows."""
        return await self._read(ledger_queries.read_totals)

    async def _read(self, reading: Callable[[Connection], _T]) -> _T:
        await self._read_queued()
        return await self._reader.read(reading)

    async def _read_queued(self) -> None:
        """Let a read see what this process queued before it, if that can be written."""
        patience = _PATIENCE_IN_TROUBLE if self._writer.trouble is not None else None
        try:
            async with asyncio.timeout(patience):
                await self._writer.flush()
        except (LedgerError, TimeoutError):
            # The fault is reported by whoever needs to write; what is there can perhaps still be read.
            return
