"""The ledger in PostgreSQL, which every replica behind a load balancer shares."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import LedgerError, LedgerUnavailable
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
from jecp_mcp.mandate.postgres.leases import BEAT_SECONDS, STUCK_SECONDS
from jecp_mcp.mandate.postgres.server import Server
from jecp_mcp.mandate.postgres.texts import check_texts, checked, storable
from jecp_mcp.mandate.slips import WAITING, OpenQuestions, Slip, SlipKind, SlipRef, SlipState
from jecp_mcp.mandate.states import Event, State
from jecp_mcp.mandate.writer import Writer
from jecp_mcp.money import MicroUSDC

if TYPE_CHECKING:
    from pydantic import SecretStr

    from jecp_mcp.mandate.postgres.link import Link
    from jecp_mcp.mandate.postgres.steps import Live

_PRUNED_AT_ONCE = 2_000
"""How many calls' bodies go in one transaction: the other replicas wait meanwhile."""

_ADOPTED_AT_ONCE = 200
"""How many open calls are taken over in one transaction, likewise."""

_LONGEST_READ = 30.0
"""How long a server may take over a read, in seconds; an audit may take as long as it takes."""


class PostgresLedger:
    """A `jecp_mcp.mandate.ledger.Ledger` on a server. Open it with `jecp_mcp.mandate.opening.open_configured`.

    A server that cannot be used does not keep the ledger from opening: everything raises what is wrong, until the
    server is back. Instants are the server's; the clock of this process is never read.
    """

    def __init__(self, url: SecretStr, session: str) -> None:
        """Begin to connect, beside everything else: a host that waits for the first answer waits for no server."""
        self._session = session
        self._server = Server(url, session, secrets.token_hex(16))
        self._writer = Writer(self._server)
        self._reading = ThreadPoolExecutor(1, "jecp-ledger-reading")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._beats: asyncio.TimerHandle | None = None
        self._live: Live | None = None
        self._closed = False
        self._reading.submit(self._server.open)

    @property
    def session(self) -> str:
        """This process session's id; the owner of the rows it writes."""
        return self._session

    @property
    def fault(self) -> LedgerError | None:
        """Why the ledger cannot be used, as far as it is known, or None."""
        return self._server.fault

    async def reserve(self, reservation: Reservation) -> Admission:
        """Check every cap and write the row in one atomic, durable step.

        Looked at in this order: an open call with the same fingerprint, an undelivered answer to it from the
        last 24 hours, the caps. When several caps have no room, the one reported takes longest to reset.

        A caller that is cancelled meanwhile leaves nothing held.

        Raises:
            LedgerError: the call id is taken, or the reservation names another session.
        """
        from jecp_mcp.mandate.postgres.steps import Reserve

        if reservation.session != self._session:
            raise LedgerError(f"a reservation of the session {reservation.session} belongs to another process")
        check_texts(reservation)
        self._show_life()

        def release(admission: Admission) -> None:
            if isinstance(admission, Admitted):
                evidence = "the caller left before anything was sent"
                self.conclude(Conclusion(reservation.call_id, Event.RELEASE, evidence=evidence, attempts=0))

        admission: Admission = await self._writer.do(Reserve(reservation), release)
        return admission

    async def send(self, call_id: str) -> bool:
        """Move a ``reserved`` row to ``sent``, durably. False when it is no longer ``reserved``.

        Raises:
            LedgerError: there is no such call.
        """
        from jecp_mcp.mandate.postgres.steps import Send

        moved: bool = await self._writer.do(Send(checked(call_id)))
        return moved

    def conclude(self, conclusion: Conclusion) -> None:
        """Queue what became of a call; written in the next batch. Losing it to a crash leaves ``sent``, which is safe.

        An event that cannot happen in the row's state is logged and dropped: somebody else concluded the call first.
        """
        from jecp_mcp.mandate.postgres.steps import Conclude

        self._writer.queue(Conclude(conclusion))

    async def conclude_now(self, conclusion: Conclusion) -> None:
        """Write what became of a call, durably: for an operator, who wants to know.

        Raises:
            LedgerError: there is no such call, or the event cannot happen in its state.
        """
        from jecp_mcp.mandate.postgres.steps import Conclude

        await self._writer.do(Conclude(conclusion))

    async def refund(self, call_id: str, total: MicroUSDC, evidence: str) -> bool:
        """Note that the Hub gave back `total` micro-USDC of a call, in all. Returns whether that was news.

        Raises:
            LedgerError: there is no such call, or it was not charged.
        """
        from jecp_mcp.mandate.postgres.steps import Refund

        news: bool = await self._writer.do(Refund(checked(call_id), total, evidence))
        return news

    async def trust_clock(self) -> None:
        """Take the server's clock as it is for right after it went back, and count the windows anew from the calls."""
        from jecp_mcp.mandate.postgres.steps import TrustClock

        await self._writer.do(TrustClock())

    async def recount(self) -> None:
        """Count every meter anew from the calls."""
        from jecp_mcp.mandate.postgres.steps import Recount

        await self._writer.do(Recount())

    async def prune(self, before: UnixMs) -> int:
        """Drop the requests and answers of calls that ended before; returns how many calls had one."""
        from jecp_mcp.mandate.postgres.steps import Prune

        dropped = 0
        while True:
            some: int = await self._writer.do(Prune(before, _PRUNED_AT_ONCE))
            dropped += some
            if some < _PRUNED_AT_ONCE:
                return dropped

    def delivered(self, call_id: str) -> None:
        """Queue that the call's answer reached the client."""
        from jecp_mcp.mandate.postgres.steps import Deliver

        self._writer.queue(Deliver(call_id))

    async def flush(self) -> None:
        """Wait until everything queued is durable, and everything that was not known is."""
        await self._writer.flush()
        if self._server.unsettled:
            await self._writer.do(_settle)

    async def adopt_orphans(self) -> Sequence[CallRow]:
        """Take over open rows whose process is dead: ``reserved`` is released, ``sent`` becomes ``in_doubt``.

        Replicas that do so at once share the dead sessions among them. Returns every ``in_doubt`` row this process
        now owns, those it already owned included, oldest first.
        """
        from jecp_mcp.mandate.postgres import records
        from jecp_mcp.mandate.postgres.steps import Adopt

        self._show_life()
        await self._read_queued()
        if await self._in_thread(self._server.claim):
            while await self._writer.do(Adopt(_ADOPTED_AT_ONCE)):
                pass
        owned: list[CallRow] = await self._read(lambda link: records.read_owned(link, self._session))
        return owned

    async def row(self, call_id: str) -> CallRow | None:
        """One call, or None."""
        from jecp_mcp.mandate.postgres import records

        if not storable(call_id):
            return None
        await self._read_queued()
        found: CallRow | None = await self._read(lambda link: records.read_row(link, call_id))
        return found

    async def rows(self, *, limit: int = 100, states: frozenset[State] | None = None) -> Sequence[CallRow]:
        """The latest calls, newest first, without their requests and answers."""
        from jecp_mcp.mandate.postgres import records

        await self._read_queued()
        found: list[CallRow] = await self._read(lambda link: records.read_rows(link, limit, states))
        return found

    async def pages(self, *, after: int = 0, limit: int = 1000) -> Sequence[CallRow]:
        """The calls behind number `after`, oldest first, without their requests and answers."""
        from jecp_mcp.mandate.postgres import records

        await self._read_queued()
        found: list[CallRow] = await self._read(lambda link: records.read_pages(link, after, limit))
        return found

    async def has_paid(self, principal: str, payee: str) -> bool:
        """Whether a principal ever paid a payee, as far as it is proven."""
        from jecp_mcp.mandate.postgres import records

        await self._read_queued()
        return bool(await self._read(lambda link: records.read_has_paid(link, principal, payee)))

    async def write_slip(self, slip: Slip) -> Slip:
        """Write a new slip, durably; older ones that still wait for the same subject and kind are superseded.

        Raises:
            LedgerError: its id is taken.
            TooManyQuestions: it asks a person, and as many of its principal wait for one as may.
        """
        from jecp_mcp.mandate.postgres.steps import WriteSlip

        written: Slip = await self._writer.do(WriteSlip(slip))
        return written

    async def answer_slip(self, ref: SlipRef, granted: bool, note: str) -> Slip | None:
        """Grant or deny a slip that is asked for and has not expired, durably; None when there is no such one."""
        from jecp_mcp.mandate.postgres.steps import AnswerSlip

        answered: Slip | None = await self._writer.do(AnswerSlip(ref, granted, note))
        return answered

    def use_slips(self, refs: Sequence[SlipRef], subject: str, principal: str, call_id: str) -> None:
        """Queue that those which are good are used by a call that was joined instead of bought again."""
        from jecp_mcp.mandate.postgres.steps import UseSlips

        self._writer.queue(UseSlips(refs, subject, principal, call_id))

    async def questions(self, at: UnixMs, *, skip: int = 0, limit: int = 100) -> OpenQuestions:
        """What waits for a person at an instant, oldest first, without the first `skip`."""
        from jecp_mcp.mandate.postgres import slips

        await self._read_queued()
        found: OpenQuestions = await self._read(lambda link: slips.read_questions(link, at, skip, limit))
        return found

    async def slip(self, ref: SlipRef) -> Slip | None:
        """One slip, or None."""
        from jecp_mcp.mandate.postgres import slips

        if not storable(ref.slip_id):
            return None
        await self._read_queued()
        found: Slip | None = await self._read(lambda link: slips.read_slip(link, ref))
        return found

    async def slips(
        self, kind: SlipKind, *, subject: str | None = None, states: frozenset[SlipState] = WAITING, limit: int = 100
    ) -> Sequence[Slip]:
        """The latest slips in some states, newest first, expired ones included; all, or those of one subject."""
        from jecp_mcp.mandate.postgres import slips

        await self._read_queued()
        found: list[Slip] = await self._read(lambda link: slips.read_slips(link, kind, subject, states, limit))
        return found

    async def of_transaction(self, transaction_id: str) -> CallRow | None:
        """The call that a Hub's transaction paid for, or None."""
        from jecp_mcp.mandate.postgres import records

        if not storable(transaction_id):
            return None
        await self._read_queued()
        found: CallRow | None = await self._read(lambda link: records.read_transaction(link, transaction_id))
        return found

    async def events(self, call_id: str | None = None, *, after: int = 0, limit: int = 1000) -> Sequence[EventRow]:
        """Changes behind number `after`, oldest first: those of one call, or all."""
        from jecp_mcp.mandate.postgres import records

        if call_id is not None and not storable(call_id):
            return []
        await self._read_queued()
        found: list[EventRow] = await self._read(lambda link: records.read_events(link, call_id, after, limit))
        return found

    async def audit(self, head: str | None = None) -> AuditReport:
        """Go over everything: the chain of events, every call against its events, every meter against its calls."""
        from jecp_mcp.mandate.postgres import records

        await self._read_queued()
        report: AuditReport = await self._in_thread(lambda: self._server.read(lambda link: records.audit(link, head)))
        return report

    async def readings(self, wanted: Sequence[Meter]) -> Sequence[MeterReading]:
        """How full each cap is now; one that no call has met yet shows what it will begin with."""
        from jecp_mcp.mandate.postgres import meters

        await self._read_queued()
        found: list[MeterReading] = await self._read(lambda link: meters.read(link, wanted))
        return found

    async def totals(self) -> Totals:
        """The sums over all rows."""
        from jecp_mcp.mandate.postgres import records

        await self._read_queued()
        sums: Totals = await self._read(records.read_totals)
        return sums

    async def close(self) -> None:
        """Write what is queued and let go of the server. Open rows are anybody's to adopt from then on.

        Raises:
            LedgerUnavailable: what was queued could not be written; the server is let go all the same.
        """
        if self._closed:
            return
        self._closed = True
        if self._beats is not None:
            self._beats.cancel()
        try:
            await self.flush()
            if self._live is not None:
                await asyncio.get_running_loop().run_in_executor(self._reading, self._server.leave)
        finally:
            await asyncio.get_running_loop().run_in_executor(self._reading, self._server.close)
            self._writer.stop()
            self._reading.shutdown()

    async def _read(self, reading: Callable[[Link], Any]) -> Any:
        found = asyncio.ensure_future(self._in_thread(lambda: self._server.read(reading)))
        try:
            # A read whose connection broke is tried once more, and that may take too long again.
            while not (await asyncio.wait([found], timeout=_LONGEST_READ))[0]:
                self._server.break_off_reading()
            return await found
        finally:
            found.cancel()

    async def _in_thread(self, blocking: Callable[[], Any]) -> Any:
        if self._closed:
            raise LedgerUnavailable("the ledger is closed")
        return await asyncio.get_running_loop().run_in_executor(self._reading, blocking)

    async def _read_queued(self) -> None:
        """Let a read see what this process queued before it, if that can be written."""
        try:
            await self._writer.flush()
        except LedgerError:
            # The fault is reported by whoever needs to write; what is there can perhaps still be read.
            return

    def _show_life(self) -> None:
        """Say from now on that this session lives; the batch that names it first says so before it does."""
        loop = asyncio.get_running_loop()
        if loop is self._loop or self._closed:
            return
        from jecp_mcp.mandate.postgres.steps import Live

        self._live = self._live or Live()
        self._loop, self._beats = loop, loop.call_later(BEAT_SECONDS, self._beat)

    def _beat(self) -> None:
        assert self._loop is not None
        assert self._live is not None
        self._beats = self._loop.call_later(BEAT_SECONDS, self._beat)
        self._server.break_off_after(STUCK_SECONDS)
        if not self._live.waiting:
            # One at a time: a server that is away must not leave a pile of them.
            self._live.waiting = True
            self._writer.queue(self._live)


def _settle(_books: object, _at: UnixMs) -> None:
    """A step that changes nothing: before any batch, what is left of those before it is settled."""
