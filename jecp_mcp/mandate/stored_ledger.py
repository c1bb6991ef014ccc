"""What every ledger does alike, whatever keeps it: changes go through its writer, reads after what was queued before.

What each method promises stands in `jecp_mcp.mandate.ledger`.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate import commands
from jecp_mcp.mandate.commands import Command
from jecp_mcp.mandate.grants import WAITING, Grant, GrantKind, GrantRef, GrantState, OpenQuestions
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.records import (
    Admission,
    Admitted,
    CallRow,
    Conclusion,
    EventRow,
    Meter,
    Note,
    Readmission,
    Reservation,
    Totals,
)
from jecp_mcp.mandate.served import Served
from jecp_mcp.mandate.states import State
from jecp_mcp.mandate.writer import Batches, Writer
from jecp_mcp.money import MicroUSDC

MOST_DUE: Final = 100
"""How many calls are handed out at once to be finished."""

_PATIENCE_IN_TROUBLE: Final = 0.1
"""How long a read waits, in seconds, for what could not be written before: whoever reads several times waits once."""


class Store(Batches, Protocol):
    """What keeps the ledger, as a ledger uses it.

    Attributes:
        fault: why it cannot be used now, or None.
        kept_bytes: how many bytes of requests and answers there were when it was last written.
    """

    fault: LedgerError | None
    kept_bytes: int


class Queries(Protocol):
    """What a store reads with one connection; blocking. Each is what the method of `Ledger` of that name tells."""

    def row(self, call_id: str) -> CallRow | None: ...

    def rows(self, limit: int, states: frozenset[State] | None, principal: str | None) -> Sequence[CallRow]: ...

    def open_copies(self, identity: str) -> Sequence[CallRow]: ...

    def copy_number(self, call_id: str) -> int: ...

    def receipts(self, principal: str, source: str, payee: str, among: int) -> tuple[int, int]: ...

    def excessive(self, limit: int) -> Sequence[CallRow]: ...

    def pages(self, after: int, limit: int) -> Sequence[CallRow]: ...

    def has_paid(self, principal: str, rail: str, account: str, payee: str) -> bool: ...

    def of_reference(self, rail: str, account: str, reference: str) -> CallRow | None: ...

    def last_of(self, rail: str, account: str) -> CallRow | None: ...

    def next_look(self, session: str) -> UnixMs | None: ...

    def events(self, call_id: str | None, after: int, limit: int) -> Sequence[EventRow]: ...

    def totals(self) -> Totals: ...

    def grant(self, ref: GrantRef) -> Grant | None: ...

    def grants(
        self, kind: GrantKind, subject: str | None, states: frozenset[GrantState], limit: int
    ) -> Sequence[Grant]: ...

    def questions(self, at: UnixMs, skip: int, limit: int) -> OpenQuestions: ...

    def last_number(self) -> int:
        """The number of the last call; 0 where there is none."""
        ...

    def first_body(self, behind: int) -> int:
        """The number of the first call behind `behind` that has a body; one that no call has where there is none."""
        ...


_Q = TypeVar("_Q", bound=Queries)
_T = TypeVar("_T")


class StoredLedger(Ledger, Generic[_Q]):
    """The part of a ledger that does not depend on what keeps it.

    Attributes:
        PRUNED_AT_ONCE: how many calls are looked at for bodies to drop in one transaction: others wait meanwhile.
        TRIMMED_AT_ONCE: how many calls' bodies are dropped in one transaction to keep within bounds, likewise.
        ADOPTED_AT_ONCE: how many open calls are seen to in one transaction, likewise.
        REST: how long whatever takes many transactions leaves the store to others between two of them, in seconds;
            None where they need no such help.
    """

    PRUNED_AT_ONCE: ClassVar[int]
    TRIMMED_AT_ONCE: ClassVar[int] = 50
    ADOPTED_AT_ONCE: ClassVar[int]
    REST: ClassVar[float | None] = None

    def __init__(self, store: Store, session: str, most_kept: int) -> None:
        self._store = store
        self._session = session
        self._most_kept = most_kept
        self._writer = Writer(store)
        self._closed = False

    @property
    def session(self) -> str:
        return self._session

    @property
    def fault(self) -> LedgerError | None:
        """Why the ledger cannot be written, as far as it is known, or None."""
        return self._store.fault

    @property
    def trouble(self) -> str | None:
        return self._writer.trouble

    async def reserve(self, reservation: Reservation) -> Admission:
        self._check_session(reservation)
        await self._show_life()

        def release(admission: Any) -> None:
            if isinstance(admission, Admitted):
                why = "the caller left before anything was sent"
                self._writer.queue(commands.release_unsent(reservation.call_id, why))

        return await self._do(commands.Reserve(reservation), release)

    async def send(self, call_id: str, claim: int = 0) -> bool:
        return await self._do(commands.Send(call_id, claim))

    async def resend(self, call_id: str, claim: int, meters: Sequence[Meter]) -> Readmission:
        await self._show_life()
        return await self._do(commands.Resend(call_id, claim, tuple(meters)))

    async def note(self, call_id: str, claim: int, notes: Sequence[Note]) -> bool:
        return await self._do(commands.WriteNotes(call_id, claim, tuple(notes)))

    def conclude(self, conclusion: Conclusion) -> None:
        self._writer.queue(commands.Conclude(conclusion))
        if conclusion.answer is not None and self._store.kept_bytes + len(conclusion.answer) > self._most_kept:
            # In a transaction of its own that nobody waits for; a little more than must be, so that not every later
            # answer has to make its own room.
            self._writer.queue(commands.Trim(self._most_kept - self._most_kept // 16, self.TRIMMED_AT_ONCE))

    async def conclude_now(self, conclusion: Conclusion) -> None:
        await self._do(commands.Conclude(conclusion))

    def write_off(self, call_id: str, evidence: str) -> None:
        self._writer.queue(commands.WriteOff(call_id, evidence))

    async def correct(self, call_id: str, charged: MicroUSDC, evidence: str) -> None:
        await self._do(commands.Correct(call_id, charged, evidence))

    async def refund(self, call_id: str, total: MicroUSDC, evidence: str) -> bool:
        return await self._do(commands.Refund(call_id, total, evidence))

    async def trust_clock(self) -> str | None:
        return await self._do(commands.TrustClock())

    async def recount(self) -> None:
        """Count every meter anew from the calls."""
        await self._do(commands.Recount())

    async def prune(self, before: UnixMs) -> int:
        dropped = 0
        last = await self._query(lambda queries: queries.last_number())
        behind = await self._first_body(0) - 1
        while behind < last:
            some = await self._do(commands.Prune(before, behind, self.PRUNED_AT_ONCE))
            dropped += some
            # Others buy meanwhile, and what lost its bodies long ago is passed over.
            await self._rest(some)
            behind += self.PRUNED_AT_ONCE
            behind = max(behind, await self._first_body(behind) - 1)
        return dropped

    async def trim(self) -> int:
        """Drop bodies of calls that have ended until no more are kept than may be; returns how many calls lost theirs.

        The oldest that were delivered go first, those that nobody received last.
        """
        dropped = 0
        while True:
            some = await self._do(commands.Trim(self._most_kept, self.TRIMMED_AT_ONCE))
            dropped += some
            if some < self.TRIMMED_AT_ONCE:
                return dropped
            await self._rest(some)

    def note_delivery(self, call_id: str) -> None:
        self._writer.queue(commands.Deliver(call_id))

    async def flush(self) -> None:
        await self._writer.flush()

    async def next_look(self) -> UnixMs | None:
        return await self._read(lambda queries: queries.next_look(self._session))

    async def row(self, call_id: str) -> CallRow | None:
        return await self._read(lambda queries: queries.row(call_id))

    async def rows(
        self, *, limit: int = 100, states: frozenset[State] | None = None, principal: str | None = None
    ) -> Sequence[CallRow]:
        return await self._read(lambda queries: queries.rows(limit, states, principal))

    async def open_copies(self, identity: str, *, wait: bool = True) -> Sequence[CallRow]:
        return await (self._read if wait else self._query)(lambda queries: queries.open_copies(identity))

    async def copy_number(self, call_id: str) -> int:
        return await self._query(lambda queries: queries.copy_number(call_id))

    async def receipts(self, principal: str, source: str, payee: str, *, among: int) -> tuple[int, int]:
        return await self._read(lambda queries: queries.receipts(principal, source, payee, among))

    async def excessive(self, *, limit: int = 100) -> Sequence[CallRow]:
        return await self._read(lambda queries: queries.excessive(limit))

    async def pages(self, *, after: int = 0, limit: int = 1000) -> Sequence[CallRow]:
        return await self._read(lambda queries: queries.pages(after, limit))

    async def has_paid(self, principal: str, rail: str, account: str, payee: str) -> bool:
        return await self._read(lambda queries: queries.has_paid(principal, rail, account, payee))

    async def of_reference(self, rail: str, account: str, reference: str) -> CallRow | None:
        return await self._read(lambda queries: queries.of_reference(rail, account, reference))

    async def last_of(self, rail: str, account: str) -> CallRow | None:
        return await self._read(lambda queries: queries.last_of(rail, account))

    async def events(self, call_id: str | None = None, *, after: int = 0, limit: int = 1000) -> Sequence[EventRow]:
        return await self._read(lambda queries: queries.events(call_id, after, limit))

    async def totals(self) -> Totals:
        return await self._read(lambda queries: queries.totals())

    async def write_grant(self, grant: Grant) -> Grant:
        return await self._do(commands.WriteGrant(grant))

    async def answer_grant(self, ref: GrantRef, granted: bool, note: str) -> Grant | None:
        return await self._do(commands.AnswerGrant(ref, granted, note))

    def use_grants(self, refs: Sequence[GrantRef], subject: str, principal: str, call_id: str) -> None:
        self._writer.queue(commands.UseGrants(tuple(refs), subject, principal, call_id))

    def withdraw_grants(self, refs: Sequence[GrantRef]) -> None:
        self._writer.queue(commands.WithdrawGrants(tuple(refs)))

    async def questions(self, at: UnixMs, *, skip: int = 0, limit: int = 100) -> OpenQuestions:
        return await self._read(lambda queries: queries.questions(at, skip, limit))

    async def grant(self, ref: GrantRef) -> Grant | None:
        return await self._read(lambda queries: queries.grant(ref))

    async def grants(
        self, kind: GrantKind, *, subject: str | None = None, states: frozenset[GrantState] = WAITING, limit: int = 100
    ) -> Sequence[Grant]:
        return await self._read(lambda queries: queries.grants(kind, subject, states, limit))

    @abstractmethod
    async def _show_life(self) -> None:
        """Let the other processes see that this session lives, before the first row names it."""

    @abstractmethod
    async def _query(self, reading: Callable[[_Q], _T]) -> _T:
        """What is stored, as it is now."""

    def _at_work(self) -> Sequence[str]:
        """The ids of calls that the ledger itself still works on."""
        return ()

    def _check_session(self, reservation: Reservation) -> None:
        if reservation.session != self._session:
            raise LedgerError(f"a reservation of the session {reservation.session} belongs to another process")

    async def _do(self, command: Command[_T], abandoned: Callable[[Any], None] | None = None) -> _T:
        """Make a change, durably; `abandoned` is called with what it came to when the caller left meanwhile."""
        outcome: _T = await self._writer.do_counted(command, abandoned, rest=self.REST)
        return outcome

    async def _adopt(
        self, dead: Iterable[str], served: Collection[Served], running: Collection[str], *, clock_right: bool
    ) -> None:
        """See to the open calls of dead sessions, and to those of this one that nothing works on."""
        gone = tuple(sorted(dead))
        behind: int | None = 0
        while behind is not None:
            busy = (*running, *self._at_work())
            behind = await self._do(commands.Adopt(gone, served, busy, behind, self.ADOPTED_AT_ONCE, clock_right))

    async def _first_body(self, behind: int) -> int:
        return await self._query(lambda queries: queries.first_body(behind))

    async def _rest(self, some: int) -> None:
        if self.REST is not None:
            await asyncio.sleep(self.REST if some else 0)

    async def _read(self, reading: Callable[[_Q], _T]) -> _T:
        await self._read_queued()
        return await self._query(reading)

    async def _read_queued(self) -> None:
        """Let a read see what this process queued before it, if that can be written."""
        patience = _PATIENCE_IN_TROUBLE if self._writer.trouble is not None else None
        try:
            async with asyncio.timeout(patience):
                await self._writer.flush()
        except (LedgerError, TimeoutError):
            # The fault is reported by whoever needs to write; what is there can perhaps still be read.
            return
