"""The ledger in one SQLite file that every process of the user shares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.errors import LedgerError, LedgerUnavailable
from jecp_mcp.mandate import meters, records, slipbook
from jecp_mcp.mandate.file import LedgerFile
from jecp_mcp.mandate.ledger import (
    Admission,
    Admitted,
    AuditReport,
    CallRow,
    Conclusion,
    EventRow,
    Meter,
    MeterReading,
    Reservation,
    Totals,
)
from jecp_mcp.mandate.owners import OwnerLock, Owners
from jecp_mcp.mandate.slips import WAITING, OpenQuestions, Slip, SlipKind, SlipRef, SlipState
from jecp_mcp.mandate.states import Event, State
from jecp_mcp.mandate.writer import Writer
from jecp_mcp.money import MicroUSDC

_PRUNED_AT_ONCE = 200
"""How many calls' bodies go in one transaction: other processes wait meanwhile."""


class SqliteLedger:
    """A `jecp_mcp.mandate.ledger.Ledger` on a file. Open it with `jecp_mcp.mandate.opening.open_ledger`.

    A file that cannot be used does not keep the ledger from opening: reads work as far as they can, and every write
    raises what is wrong, until it is mended.
    """

    def __init__(self, file: LedgerFile, owners: Owners, session: str, clock: Clock) -> None:
        self._file = file
        self._owners = owners
        self._session = session
        self._clock = clock
        self._writer = Writer(file)
        self._owner: OwnerLock | None = None
        self._closed = False

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
        self._show_life()

        def release(admission: Admission) -> None:
            if isinstance(admission, Admitted):
                evidence = "the caller left before anything was sent"
                self.conclude(Conclusion(reservation.call_id, Event.RELEASE, evidence=evidence, attempts=0))

        admission: Admission = await self._writer.do(lambda into, at: into.reserve(reservation, at), release)
        return admission

    async def send(self, call_id: str) -> bool:
        """Move a ``reserved`` row to ``sent``, durably. False when it is no longer ``reserved``.

        Raises:
            LedgerError: there is no such call.
        """
        moved: bool = await self._writer.do(lambda into, _at: into.send(call_id))
        return moved

    def conclude(self, conclusion: Conclusion) -> None:
        """Queue what became of a call; written in the next batch. Losing it to a crash leaves ``sent``, which is safe.

        An event that cannot happen in the row's state is logged and dropped: somebody else concluded the call first.
        """
        self._writer.queue(lambda into, at: into.conclude(conclusion, at))

    async def conclude_now(self, conclusion: Conclusion) -> None:
        """Write what became of a call, durably: for an operator, who wants to know.

        Raises:
            LedgerError: there is no such call, or the event cannot happen in its state.
        """
        await self._writer.do(lambda into, at: into.conclude(conclusion, at))

    async def refund(self, call_id: str, total: MicroUSDC, evidence: str) -> bool:
        """Note that the Hub gave back `total` micro-USDC of a call, in all. Returns whether that was news.

        Raises:
            LedgerError: there is no such call, or it was not charged.
        """
        news: bool = await self._writer.do(lambda into, _at: into.refund(call_id, total, evidence))
        return news

    async def trust_clock(self) -> None:
        """Take the clock as it is for right after it went back, and count the windows anew from the calls."""
        await self._writer.do(lambda into, _at: into.trust_clock(self._clock.now()))

    async def recount(self) -> None:
        """Count every meter anew from the calls."""
        await self._writer.do(lambda into, _at: into.recount())

    async def prune(self, before: UnixMs) -> int:
        """Drop the requests and answers of calls that ended before; returns how many calls had one."""
        dropped = 0
        while True:
            some: int = await self._writer.do(lambda into, _at: into.prune(before, _PRUNED_AT_ONCE))
            dropped += some
            if some < _PRUNED_AT_ONCE:
                return dropped

    def delivered(self, call_id: str) -> None:
        """Queue that the call's answer reached the client."""
        self._writer.queue(lambda into, _at: into.deliver(call_id))

    async def flush(self) -> None:
        """Wait until everything queued is durable."""
        await self._writer.flush()

    async def adopt_orphans(self) -> Sequence[CallRow]:
        """Take over open rows whose process is dead: ``reserved`` is released, ``sent`` becomes ``in_doubt``.

        Returns every ``in_doubt`` row this process now owns, those it already owned included, oldest first.
        """
        self._show_life()
        await self._read_queued()
        sessions: list[str] = self._file.read(records.read_open_sessions)
        claims: dict[str, OwnerLock] = {}
        try:
            for session in {*sessions, *self._owners.known()} - {self._session}:
                lock = self._owners.claim(session)
                if lock is not None:
                    claims[session] = lock
            dead = [session for session in sessions if session in claims]
            adopted: list[CallRow] = await self._writer.do(lambda into, at: into.adopt(dead, at))
        except OSError as exc:
            raise LedgerUnavailable(f"the sessions of the ledger cannot be told alive or dead: {exc}") from exc
        finally:
            for lock in claims.values():
                lock.release()
        return adopted

    async def row(self, call_id: str) -> CallRow | None:
        """One call, or None."""
        await self._read_queued()
        found: CallRow | None = self._file.read(lambda reader: records.read_row(reader, call_id))
        return found

    async def rows(self, *, limit: int = 100, states: frozenset[State] | None = None) -> Sequence[CallRow]:
        """The latest calls, newest first, without their requests and answers."""
        await self._read_queued()
        found: list[CallRow] = self._file.read(lambda reader: records.read_rows(reader, limit, states))
        return found

    async def pages(self, *, after: int = 0, limit: int = 1000) -> Sequence[CallRow]:
        """The calls behind number `after`, oldest first, without their requests and answers."""
        await self._read_queued()
        found: list[CallRow] = self._file.read(lambda reader: records.read_pages(reader, after, limit))
        return found

    async def has_paid(self, principal: str, payee: str) -> bool:
        """Whether a principal ever paid a payee, as far as it is proven."""
        await self._read_queued()
        return bool(self._file.read(lambda reader: records.read_has_paid(reader, principal, payee)))

    async def of_transaction(self, transaction_id: str) -> CallRow | None:
        """The call that a Hub's transaction paid for, or None."""
        await self._read_queued()
        found: CallRow | None = self._file.read(lambda reader: records.read_transaction(reader, transaction_id))
        return found

    async def events(self, call_id: str | None = None, *, after: int = 0, limit: int = 1000) -> Sequence[EventRow]:
        """Changes behind number `after`, oldest first: those of one call, or all."""
        await self._read_queued()
        found: list[EventRow] = self._file.read(lambda reader: records.read_events(reader, call_id, after, limit))
        return found

    async def audit(self, head: str | None = None) -> AuditReport:
        """Go over everything: the chain of events, every call against its events, every meter against its calls."""
        await self._read_queued()
        report: AuditReport = self._file.read(lambda reader: records.audit(reader, head))
        return report

    async def write_slip(self, slip: Slip) -> Slip:
        """Write a new slip, durably; older ones that still wait for the same subject and kind are superseded.

        Raises:
            LedgerError: its id is taken.
            TooManyQuestions: it asks a person, and as many of its principal wait for one as may.
        """
        written: Slip = await self._writer.do(lambda into, at: into.write_slip(slip, at))
        return written

    async def answer_slip(self, ref: SlipRef, granted: bool, note: str) -> Slip | None:
        """Grant or deny a slip that is asked for and has not expired, durably; None when there is no such one."""
        answered: Slip | None = await self._writer.do(lambda into, at: into.answer_slip(ref, granted, note, at))
        return answered

    def use_slips(self, refs: Sequence[SlipRef], subject: str, principal: str, call_id: str) -> None:
        """Queue that those which are good are used by a call that was joined instead of bought again."""
        self._writer.queue(lambda into, at: into.use_slips(refs, subject, principal, call_id, at))

    async def questions(self, at: UnixMs, *, skip: int = 0, limit: int = 100) -> OpenQuestions:
        """What waits for a person at an instant, oldest first, without the first `skip`."""
        await self._read_queued()
        found: OpenQuestions = self._file.read(lambda reader: slipbook.read_questions(reader, at, skip, limit))
        return found

    async def slip(self, ref: SlipRef) -> Slip | None:
        """One slip, or None."""
        await self._read_queued()
        found: Slip | None = self._file.read(lambda reader: slipbook.read_slip(reader, ref))
        return found

    async def slips(
        self, kind: SlipKind, *, subject: str | None = None, states: frozenset[SlipState] = WAITING, limit: int = 100
    ) -> Sequence[Slip]:
        """The latest slips in some states, newest first, expired ones included; all, or those of one subject."""
        await self._read_queued()
        found: list[Slip] = self._file.read(lambda reader: slipbook.read_slips(reader, kind, subject, states, limit))
        return found

    async def readings(self, wanted: Sequence[Meter]) -> Sequence[MeterReading]:
        """How full each cap is now; one that no call has met yet shows what it will begin with."""
        await self._read_queued()
        found: list[MeterReading] = self._file.read(lambda reader: meters.read(reader, wanted, self._clock.now()))
        return found

    async def totals(self) -> Totals:
        """The sums over all rows."""
        await self._read_queued()
        sums: Totals = self._file.read(records.read_totals)
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
        try:
            await self._writer.flush()
        except LedgerError:
            # The fault is reported by whoever needs to write; what is on the disk can still be read.
            return

    def _show_life(self) -> None:
        """Hold this session's lock before the first row names it."""
        if self._owner is not None or self._closed:
            return
        try:
            self._owner = self._owners.hold(self._session)
        except OSError as exc:
            raise LedgerUnavailable(f"the ledger {self.path} cannot be written: {exc.strerror}") from exc
        except ValueError as exc:
            raise LedgerError(str(exc)) from exc
