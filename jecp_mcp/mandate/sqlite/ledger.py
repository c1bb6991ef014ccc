"""The ledger in one SQLite file that every process of the user shares."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import apsw

from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerError, LedgerUnavailable
from jecp_mcp.mandate import commands
from jecp_mcp.mandate.counting import FEED_AT_ONCE
from jecp_mcp.mandate.grants import WAITING, Grant, GrantKind, GrantRef, GrantState, OpenQuestions
from jecp_mcp.mandate.records import (
    Admission,
    Admitted,
    AlreadyOpen,
    AuditReport,
    CallRow,
    Conclusion,
    EventRow,
    Meter,
    MeterReading,
    Note,
    Readmission,
    Reservation,
    Totals,
    Undelivered,
)
from jecp_mcp.mandate.sqlite import ledger_queries, meter_backfill, verify
from jecp_mcp.mandate.sqlite.database import LedgerFile
from jecp_mcp.mandate.sqlite.session_locks import SessionHeld, SessionLock, SessionLocks
from jecp_mcp.mandate.states import State
from jecp_mcp.mandate.writer import Writer
from jecp_mcp.money import MicroUSDC

_PRUNED_AT_ONCE: Final = 500
"""How many calls are looked at for bodies to drop in one transaction: other processes wait meanwhile."""

_TRIMMED_AT_ONCE: Final = 50
"""How many calls' bodies are dropped in one transaction to keep within bounds, likewise."""

_ADOPTED_AT_ONCE: Final = 500
"""How many open calls are seen to in one transaction, likewise."""

_PATIENCE_IN_TROUBLE: Final = 0.1
"""How long a read waits, in seconds, for what could not be written before: whoever reads several times waits once."""

_MOST_DUE: Final = 100
"""How many calls are handed out at once to be finished."""

_TRIES: Final = 250
_BETWEEN_TRIES: Final = 0.02
"""How often, and how many seconds apart, a session's own lock is tried for again while another process has it."""

_REST: Final = 0.005
"""How long whatever takes many transactions leaves the file to others between two of them, in seconds: they look for
the lock every millisecond."""


class SqliteLedger:
    """A `jecp_mcp.mandate.ledger.Ledger` on a file. Open it with `jecp_mcp.mandate.opening.open_ledger`.

    A file that cannot be used does not keep the ledger from opening: reads work as far as they can, and every write
    raises what is wrong, until it is mended.
    """

    def __init__(
        self,
        file: LedgerFile,
        owners: SessionLocks,
        session: str,
        clock: Clock,
        most_kept: int = commands.MOST_KEPT_BYTES,
    ) -> None:
        """Keep the ledger in `file`.

        Args:
            most_kept: how many bytes of requests and answers are kept.
        """
        self._file = file
        self._owners = owners
        self._session = session
        self._clock = clock
        self._writer = Writer(file)
        self._owner: SessionLock | None = None
        self._closed = False
        self._most_kept = most_kept

    @property
    def session(self) -> str:
        """This process session's id; the owner of the rows it writes."""
        return self._session

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._file.path

    @property
    def fault(self) -> LedgerError | None:
        """Why the ledger cannot be written, as far as it is known, or None."""
        return self._file.fault

    @property
    def trouble(self) -> str | None:
        """Why what waits to be written could not be, the last time it was tried; None where it could."""
        return self._writer.trouble

    async def reserve(self, reservation: Reservation) -> Admission:
        """Check every cap and write the row in one atomic, durable step.

        Looked at in this order: an open call with the same fingerprint, an undelivered answer to it from the
        last 24 hours, the caps. When several caps have no room, the one reported takes longest to reset.

        A caller that is cancelled meanwhile leaves nothing held.

        Raises:
            LedgerError: the call id is taken, or the reservation names another session.
        """
        if reservation.session != self._session:
            raise LedgerError(f"a reservation of the session {reservation.session} belongs to another process")
        await self._show_life()

        def release(admission: Any) -> None:
            if isinstance(admission, Admitted):
                evidence = "the caller left before anything was sent"
                self.conclude(
                    Conclusion(reservation.call_id, Verdict.NOT_CHARGED, claim=0, evidence=evidence, attempts=0)
                )

        admission: Admission = await self._writer.do_counted(commands.Reserve(reservation), release, rest=_REST)
        return admission

    async def send(self, call_id: str, claim: int = 0) -> bool:
        """Move a ``reserved`` row to ``sent``, durably. False when it is no longer ``reserved`` or under that claim.

        Raises:
            LedgerError: there is no such call.
        """
        moved: bool = await self._writer.do(commands.Send(call_id, claim))
        return moved

    async def resend(self, call_id: str, claim: int, meters: Sequence[Meter]) -> Readmission:
        """Let an open call leave again, in one atomic, durable step: the windows count it from now on, once.

        Raises:
            LedgerError: there is no such call.
        """
        await self._show_life()
        again = commands.Resend(call_id, claim, tuple(meters))
        admission: Readmission = await self._writer.do_counted(again, rest=_REST)
        return admission

    async def note(self, call_id: str, claim: int, notes: Sequence[Note]) -> bool:
        """Write down, durably and in one step, how far an open call has come; False where it is not ours any more.

        Raises:
            LedgerError: there is no such call, or a text is too long.
        """
        written: bool = await self._writer.do(commands.WriteNotes(call_id, claim, tuple(notes)))
        return written

    async def identical(self, fingerprint: str) -> AlreadyOpen | Undelivered | None:
        """The call that a reservation with this fingerprint would repeat, or None."""
        await self._read_queued()
        now = self._clock.now()
        found: AlreadyOpen | Undelivered | None = self._file.read(
            lambda reader: ledger_queries.read_identical(reader, fingerprint, now)
        )
        return found

    def conclude(self, conclusion: Conclusion) -> None:
        """Queue what became of a call; written in the next batch. Losing it to a crash leaves ``sent``, which is safe.

        What says nothing new of the row, or is no longer believed, is logged and dropped.
        """
        self._writer.queue(commands.Conclude(conclusion))
        if conclusion.answer is not None and self._file.kept_bytes + len(conclusion.answer) > self._most_kept:
            # In a transaction of its own that nobody waits for; a little more than must be, so that not every later
            # answer has to make its own room.
            self._writer.queue(commands.Trim(self._most_kept - self._most_kept // 16, _TRIMMED_AT_ONCE))

    async def conclude_now(self, conclusion: Conclusion) -> None:
        """Write what became of a call, durably: for an operator, who wants to know.

        Raises:
            LedgerError: there is no such call, or it says nothing new of where the call stands.
        """
        await self._writer.do(commands.Conclude(conclusion))

    def write_off(self, call_id: str, evidence: str) -> None:
        """Queue that the call's end can no longer be proven: it counts as spent until a person rules."""
        self._writer.queue(commands.WriteOff(call_id, evidence))

    async def correct(self, call_id: str, charged: MicroUSDC, evidence: str) -> None:
        """Move what a charged call counts for to `charged` micro-USDC, by an operator's ruling.

        Raises:
            LedgerError: there is no such call, it was not charged, or less than was refunded is left.
        """
        await self._writer.do(commands.Correct(call_id, charged, evidence))

    async def refund(self, call_id: str, total: MicroUSDC, evidence: str) -> bool:
        """Note that the payee gave back `total` micro-USDC of a call, in all. Returns whether that was news.

        Raises:
            LedgerError: there is no such call, or it was not charged.
        """
        news: bool = await self._writer.do(commands.Refund(call_id, total, evidence))
        return news

    async def trust_clock(self) -> None:
        """Take the clock as it is for right after it went back, and count the windows anew from the calls."""
        await self._writer.do(commands.TrustClock())

    async def recount(self) -> None:
        """Count every meter anew from the calls."""
        await self._writer.do(commands.Recount())

    async def prune(self, before: UnixMs) -> int:
        """Drop the requests and answers of calls that ended before; returns how many calls had one."""
        dropped = 0
        last: int = self._file.read(ledger_queries.read_last_number)
        behind: int = self._file.read(lambda reader: ledger_queries.read_first_body(reader, 0)) - 1
        while behind < last:
            some: int = await self._writer.do(commands.Prune(before, behind, _PRUNED_AT_ONCE))
            dropped += some
            # Others buy meanwhile, and what lost its bodies long ago is passed over.
            await asyncio.sleep(_REST if some else 0)
            behind += _PRUNED_AT_ONCE
            behind = max(behind, self._file.read(partial(ledger_queries.read_first_body, behind=behind)) - 1)
        await self._give_back()
        return dropped

    async def trim(self) -> int:
        """Drop bodies of calls that have ended until no more are kept than may be; returns how many calls lost theirs.

        The oldest that were delivered go first, those that nobody received last.
        """
        dropped = 0
        while True:
            some: int = await self._writer.do(commands.Trim(self._most_kept, _TRIMMED_AT_ONCE))
            dropped += some
            if some < _TRIMMED_AT_ONCE:
                await self._give_back()
                return dropped
            await asyncio.sleep(_REST)

    async def _give_back(self) -> None:
        """Give the system back what the file has no use for any more, some at a time."""
        more = True
        while more:
            more = await asyncio.to_thread(self._file.give_back)
            await asyncio.sleep(_REST)

    async def check(self) -> None:
        """Look for damage to the whole file, beside the event loop and without keeping anybody from writing.

        Raises:
            LedgerUnavailable: the file cannot be read.
            LedgerDamaged: something is not what was written; nothing is written to it any more.
        """
        await asyncio.to_thread(self._file.check)

    def note_delivery(self, call_id: str) -> None:
        """Queue that the call's answer reached the client."""
        self._writer.queue(commands.Deliver(call_id))

    async def flush(self) -> None:
        """Wait until everything queued is durable."""
        await self._writer.flush()

    async def adopt_orphans(
        self, serves: Callable[[str, str], bool], running: Collection[str] = (), *, clock_right: bool = False
    ) -> Sequence[CallRow]:
        """See to the open rows that nobody works on: those whose process is dead, and this one's own without a task.

        What can no longer be proven is written off only if `clock_right`.

        Returns the open rows of this process whose payee is due to be asked, the longest due first, without bodies.
        """
        await self._show_life()
        await self._read_queued()
        owners: list[tuple[str, str, str]] = self._file.read(ledger_queries.read_open)
        served = {(rail, account) for _, rail, account in owners if serves(rail, account)}
        claims: dict[str, SessionLock] = {}
        try:
            for session in {*(owner for owner, _, _ in owners), *self._owners.known()} - {self._session}:
                lock = self._owners.claim(session)
                if lock is not None:
                    claims[session] = lock
            dead = tuple(sorted({owner for owner, _, _ in owners} & claims.keys()))
            behind: int | None = 0
            while behind is not None:
                adopt = commands.Adopt(dead, served, tuple(running), behind, _ADOPTED_AT_ONCE, clock_right)
                behind = await self._writer.do(adopt)
        except OSError as exc:
            raise LedgerUnavailable(f"the sessions of the ledger cannot be told alive or dead: {exc}") from exc
        finally:
            for lock in claims.values():
                lock.release()
        now = self._clock.now()
        due: list[CallRow] = self._file.read(
            lambda reader: ledger_queries.read_due(reader, self._session, now, _MOST_DUE)
        )
        return due

    async def next_look(self) -> UnixMs | None:
        """When the first open row of this process is due to be asked for, or None."""
        await self._read_queued()
        found: UnixMs | None = self._file.read(lambda reader: ledger_queries.read_next_look(reader, self._session))
        return found

    async def row(self, call_id: str) -> CallRow | None:
        """One call, or None."""
        await self._read_queued()
        found: CallRow | None = self._file.read(lambda reader: ledger_queries.read_row(reader, call_id))
        return found

    async def rows(
        self, *, limit: int = 100, states: frozenset[State] | None = None, principal: str | None = None
    ) -> Sequence[CallRow]:
        """The latest calls, newest first, without their requests and answers; of all principals, or of one."""
        await self._read_queued()
        found: list[CallRow] = self._file.read(
            lambda reader: ledger_queries.read_rows(reader, limit, states, principal)
        )
        return found

    async def excessive(self, *, limit: int = 100) -> Sequence[CallRow]:
        """The latest calls that were charged more than was held for them, and on which no person has ruled."""
        await self._read_queued()
        found: list[CallRow] = self._file.read(lambda reader: ledger_queries.read_excessive(reader, limit))
        return found

    async def pages(self, *, after: int = 0, limit: int = 1000) -> Sequence[CallRow]:
        """The calls behind number `after`, oldest first, without their requests and answers."""
        await self._read_queued()
        found: list[CallRow] = self._file.read(lambda reader: ledger_queries.read_pages(reader, after, limit))
        return found

    async def has_paid(self, principal: str, rail: str, account: str, payee: str) -> bool:
        """Whether a principal ever paid a payee from an account, as far as it is proven."""
        await self._read_queued()
        return bool(
            self._file.read(lambda reader: ledger_queries.read_has_paid(reader, principal, rail, account, payee))
        )

    async def of_reference(self, rail: str, account: str, reference: str) -> CallRow | None:
        """The call that a payment of an account paid for, or None."""
        await self._read_queued()
        found: CallRow | None = self._file.read(
            lambda one: ledger_queries.read_reference(one, rail, account, reference)
        )
        return found

    async def last_of(self, rail: str, account: str) -> CallRow | None:
        """The latest call of an account whose answer told the balance, without its bodies, or None."""
        await self._read_queued()
        found: CallRow | None = self._file.read(lambda reader: ledger_queries.read_last_of(reader, rail, account))
        return found

    async def events(self, call_id: str | None = None, *, after: int = 0, limit: int = 1000) -> Sequence[EventRow]:
        """Changes behind number `after`, oldest first: those of one call, or all."""
        await self._read_queued()
        found: list[EventRow] = self._file.read(
            lambda reader: ledger_queries.read_events(reader, call_id, after, limit)
        )
        return found

    async def audit(self, head: str | None = None) -> AuditReport:
        """Go over everything: the chain of events, every call against its events, every meter against its calls."""
        await self._read_queued()
        report: AuditReport = await asyncio.to_thread(self._file.read_apart, lambda reader: verify.verify(reader, head))
        return report

    async def write_grant(self, grant: Grant) -> Grant:
        """Write a new grant, durably; older ones that still wait for the same subject and kind are superseded.

        Raises:
            LedgerError: its id is taken.
            TooManyQuestions: it asks a person, and as many of its principal wait for one as may.
        """
        written: Grant = await self._writer.do(commands.WriteGrant(grant))
        return written

    async def answer_grant(self, ref: GrantRef, granted: bool, note: str) -> Grant | None:
        """Answer a grant that is asked for and has not expired, durably; None when there is no such one."""
        answered: Grant | None = await self._writer.do(commands.AnswerGrant(ref, granted, note))
        return answered

    def use_grants(self, refs: Sequence[GrantRef], subject: str, principal: str, call_id: str) -> None:
        """Queue that those which are good are used by a call that was joined instead of bought again."""
        self._writer.queue(commands.UseGrants(tuple(refs), subject, principal, call_id))

    async def questions(self, at: UnixMs, *, skip: int = 0, limit: int = 100) -> OpenQuestions:
        """What waits for a person at an instant, oldest first, without the first `skip`."""
        await self._read_queued()
        found: OpenQuestions = self._file.read(lambda reader: ledger_queries.read_questions(reader, at, skip, limit))
        return found

    async def grant(self, ref: GrantRef) -> Grant | None:
        """One grant, or None."""
        await self._read_queued()
        found: Grant | None = self._file.read(lambda reader: ledger_queries.read_grant(reader, ref))
        return found

    async def grants(
        self, kind: GrantKind, *, subject: str | None = None, states: frozenset[GrantState] = WAITING, limit: int = 100
    ) -> Sequence[Grant]:
        """The latest grants in some states, newest first, expired ones included; all, or those of one subject."""
        await self._read_queued()
        found: list[Grant] = self._file.read(
            lambda reader: ledger_queries.read_grants(reader, kind, subject, states, limit)
        )
        return found

    async def readings(self, wanted: Sequence[Meter]) -> Sequence[MeterReading]:
        """How full each cap is now; one that no call has met yet shows what it will begin with."""
        await self._read_queued()
        now = self._clock.now()

        def read(reader: apsw.Connection, most: int | None = None) -> list[MeterReading] | None:
            # Where the clock is behind the last change, time stands still.
            at = max(now, ledger_queries.read_last_at(reader) or now)
            if most is not None and meter_backfill.lag(reader, wanted, at) > most:
                return None
            return meter_backfill.read(reader, wanted, self._session, at)

        found: list[MeterReading] | None = self._file.read(lambda reader: read(reader, FEED_AT_ONCE))
        if found is None:
            # A limit that no call has met yet is added up from all that its window holds.
            found = await asyncio.to_thread(self._file.read_apart, read)
        assert found is not None
        return found

    async def totals(self) -> Totals:
        """The sums over all rows."""
        await self._read_queued()
        sums: Totals = self._file.read(ledger_queries.read_totals)
        return sums

    async def close(self) -> None:
        """Write what is queued and let go of the file. Open rows are anybody's to adopt from then on.

        Raises:
            LedgerUnavailable: what was queued could not be written; the file is let go all the same.
        """
        if self._closed:
            return
        self._closed = True
        try:
            await self._writer.flush()
        finally:
            self._writer.stop()
            self._file.close()
            if self._owner is not None:
                self._owner.release()

    async def _read_queued(self) -> None:
        """Let a read see what this process queued before it, if that can be written."""
        patience = _PATIENCE_IN_TROUBLE if self._writer.trouble is not None else None
        try:
            async with asyncio.timeout(patience):
                await self._writer.flush()
        except (LedgerError, TimeoutError):
            # The fault is reported by whoever needs to write; what is on the disk can still be read.
            return

    async def _show_life(self) -> None:
        """Hold this session's lock before the first row names it.

        Another process that looks for the dead may have it as soon as its file is there, until it has seen to them.
        """
        left = _TRIES
        while self._owner is None and not self._closed:
            try:
                self._owner = self._owners.hold(self._session)
            except SessionHeld as exc:
                if not left:
                    raise LedgerError(str(exc)) from exc
                left -= 1
                await asyncio.sleep(_BETWEEN_TRIES)
            except OSError as exc:
                raise LedgerUnavailable(f"the ledger {self.path} cannot be written: {exc.strerror}") from exc
            except ValueError as exc:
                raise LedgerError(str(exc)) from exc
