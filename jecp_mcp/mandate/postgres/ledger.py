"""The ledger in PostgreSQL, which every replica behind a load balancer shares."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerDamaged, LedgerError, LedgerUnavailable
from jecp_mcp.mandate import commands
from jecp_mcp.mandate.grants import Grant, GrantRef
from jecp_mcp.mandate.postgres import ledger_queries, verify
from jecp_mcp.mandate.postgres.bodies import UploadedBody
from jecp_mcp.mandate.postgres.body_uploads import BodyUploads
from jecp_mcp.mandate.postgres.heartbeat import Heartbeat
from jecp_mcp.mandate.postgres.read_side import ReadSide
from jecp_mcp.mandate.postgres.server import Server
from jecp_mcp.mandate.postgres.storable_text import check_id, check_meters, check_texts
from jecp_mcp.mandate.records import (
    Admission,
    Admitted,
    AlreadyOpen,
    CallRow,
    Conclusion,
    Meter,
    Note,
    NotGood,
    Readmission,
    Reservation,
    Undelivered,
)
from jecp_mcp.mandate.writer import Writer
from jecp_mcp.money import MicroUSDC

if TYPE_CHECKING:
    from pydantic import SecretStr


_PRUNED_AT_ONCE: Final = 2_000
"""How many calls are looked at for bodies to drop in one transaction: the other replicas wait meanwhile."""

_TRIMMED_AT_ONCE: Final = 50
"""How many calls' bodies are dropped in one transaction to keep within bounds, likewise."""

_ADOPTED_AT_ONCE: Final = 200
"""How many open calls are seen to in one transaction, likewise."""

_MOST_DUE: Final = 100
"""How many calls are handed out at once to be finished."""


class PostgresLedger(ReadSide):
    """A `jecp_mcp.mandate.ledger.Ledger` on a server. Open it with `jecp_mcp.mandate.opening.open_configured`.

    A server that cannot be used does not keep the ledger from opening: everything raises what is wrong, until the
    server is back. Instants are the server's; the clock of this process is never read.
    """

    def __init__(self, url: SecretStr, session: str, most_kept: int = commands.MOST_KEPT_BYTES) -> None:
        """Begin to connect, beside everything else: a host that waits for the first answer waits for no server.

        Args:
            most_kept: how many bytes of requests and answers are kept.
        """
        server = Server(url, session, secrets.token_hex(16))
        super().__init__(server, Writer(server), session)
        self._uploads = BodyUploads(self._server, self._queue_conclusion)
        self._most_kept = most_kept
        self._heartbeat = Heartbeat(self._server, self._writer)
        self._closed = False
        self._reader.submit(self._server.open)

    @property
    def session(self) -> str:
        """This process session's id; the owner of the rows it writes."""
        return self._session

    @property
    def fault(self) -> LedgerError | None:
        """Why the ledger cannot be used, as far as it is known, or None."""
        return self._server.fault

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
        check_texts(reservation)
        self._heartbeat.start()
        wanted = replace(reservation, request=await self._uploads.upload(reservation.request))

        def release(admission: Any) -> None:
            if isinstance(admission, Admitted):
                evidence = "the caller left before anything was sent"
                self.conclude(Conclusion(wanted.call_id, Verdict.NOT_CHARGED, claim=0, evidence=evidence, attempts=0))

        admission = await self._writer.do_counted(commands.Reserve(wanted), release)
        if not isinstance(admission, Admitted):
            await self._drop_parts(wanted.request)
        match admission:
            case AlreadyOpen(row) | Undelivered(row):
                return replace(admission, row=await self._reader.with_bodies(row))
            case NotGood(ref, _):
                return replace(admission, grant=await self.grant(ref))
            case _:
                admitted: Admission = admission
                return admitted

    async def send(self, call_id: str, claim: int = 0) -> bool:
        """Move a ``reserved`` row to ``sent``, durably. False when it is no longer ``reserved`` or under that claim.

        Raises:
            LedgerError: there is no such call.
        """
        moved: bool = await self._writer.do(commands.Send(check_id(call_id), claim))
        return moved

    async def resend(self, call_id: str, claim: int, meters: Sequence[Meter]) -> Readmission:
        """Let an open call leave again, in one atomic, durable step: the windows count it from now on, once.

        Raises:
            LedgerError: there is no such call.
        """
        self._heartbeat.start()
        check_meters(meters)
        again = commands.Resend(check_id(call_id), claim, tuple(meters))
        admission: Readmission = await self._writer.do_counted(again)
        return admission

    async def note(self, call_id: str, claim: int, notes: Sequence[Note]) -> bool:
        """Write down, durably and in one step, how far an open call has come; False where it is not ours any more.

        Raises:
            LedgerError: there is no such call, or a text is too long.
        """
        answers = [None if note.answer is None else await self._uploads.upload(note.answer) for note in notes]
        sent = tuple(replace(note, answer=answer) for note, answer in zip(notes, answers, strict=True))
        written: bool = await self._writer.do(commands.WriteNotes(check_id(call_id), claim, sent))
        return written

    async def identical(self, fingerprint: str) -> AlreadyOpen | Undelivered | None:
        """The call that a reservation with this fingerprint would repeat, or None."""
        found = await self._read(lambda connection: ledger_queries.read_identical(connection, fingerprint))
        return None if found is None else replace(found, row=await self._reader.with_bodies(found.row))

    def conclude(self, conclusion: Conclusion) -> None:
        """Queue what became of a call: for the next batch, or for when the server has a large answer.

        Losing it to a crash is safe. What says nothing new of the row, or is no longer believed, is logged and dropped.
        """
        self._uploads.conclude(conclusion)

    async def conclude_now(self, conclusion: Conclusion) -> None:
        """Write what became of a call, durably: for an operator, who wants to know.

        Raises:
            LedgerError: there is no such call, or it says nothing new of where the call stands.
        """
        answer = None if conclusion.answer is None else await self._uploads.upload(conclusion.answer)
        await self._writer.do(commands.Conclude(replace(conclusion, answer=answer)))

    def write_off(self, call_id: str, evidence: str) -> None:
        """Queue that the call's end can no longer be proven: it counts as spent until a person rules."""
        self._writer.queue(commands.WriteOff(call_id, evidence))

    async def correct(self, call_id: str, charged: MicroUSDC, evidence: str) -> None:
        """Move what a charged call counts for to `charged` micro-USDC, by an operator's ruling.

        Raises:
            LedgerError: there is no such call, it was not charged, or less than was refunded is left.
        """
        await self._writer.do(commands.Correct(check_id(call_id), charged, evidence))

    async def refund(self, call_id: str, total: MicroUSDC, evidence: str) -> bool:
        """Note that the payee gave back `total` micro-USDC of a call, in all. Returns whether that was news.

        Raises:
            LedgerError: there is no such call, or it was not charged.
        """
        news: bool = await self._writer.do(commands.Refund(check_id(call_id), total, evidence))
        return news

    async def trust_clock(self) -> None:
        """Take the server's clock as it is for right after it went back, and count the windows anew from the calls."""
        await self._writer.do(commands.TrustClock())

    async def recount(self) -> None:
        """Count every meter anew from the calls."""
        await self._writer.do(commands.Recount())

    async def prune(self, before: UnixMs) -> int:
        """Drop the requests and answers of calls that ended before; returns how many calls had one."""
        dropped = 0
        last = await self._reader.read(ledger_queries.read_last_number)
        behind = await self._reader.read(lambda connection: ledger_queries.read_first_body(connection, 0)) - 1
        while behind < last:
            dropped += await self._writer.do(commands.Prune(before, behind, _PRUNED_AT_ONCE))
            behind += _PRUNED_AT_ONCE
            # What lost its bodies long ago is passed over.
            first = await self._reader.read(partial(ledger_queries.read_first_body, behind=behind))
            behind = max(behind, first - 1)
        await self._reader.read(ledger_queries.sweep_parts)
        return dropped

    async def trim(self) -> int:
        """Drop bodies of ended calls until no more are kept than may be, those that nobody received last; how many."""
        dropped = 0
        while True:
            some: int = await self._writer.do(commands.Trim(self._most_kept, _TRIMMED_AT_ONCE))
            dropped += some
            if some < _TRIMMED_AT_ONCE:
                return dropped

    async def check(self) -> None:
        """Look for damage to what decides about money, beside the event loop and without keeping anybody from writing.

        Raises:
            LedgerUnavailable: the server cannot be read.
            LedgerDamaged: something is not what was written.
        """
        await self._reader.run(lambda: self._server.read(verify.check))

    def note_delivery(self, call_id: str) -> None:
        """Queue that the call's answer reached the client."""
        self._writer.queue(commands.Deliver(call_id))

    async def flush(self) -> None:
        """Wait until everything queued is durable, and everything that was not known is."""
        await self._uploads.flush()
        await self._flush_changes()

    async def _flush_changes(self) -> None:
        await self._writer.flush()
        if self._server.unsettled:
            await self._writer.do(_settle)

    async def adopt_orphans(
        self, serves: Callable[[str, str], bool], running: Collection[str] = (), *, clock_right: bool = False
    ) -> Sequence[CallRow]:
        """See to the open rows that nobody works on: those whose process is dead, and this one's own without a task.

        What can no longer be proven is written off only if `clock_right`.

        Returns the open rows of this process whose payee is due to be asked, the longest due first, without bodies.
        """
        self._heartbeat.start()
        owners = await self._read(lambda connection: ledger_queries.read_open(connection, self._session))
        accounts = {(rail, account) for _, rail, account, _ in owners}
        served = {(rail, account) for rail, account in accounts if serves(rail, account)}
        dead = tuple(sorted({owner for owner, _, _, ended in owners if ended}))
        behind: int | None = 0
        while behind is not None:
            # A call whose answer is on its way is being worked on, though its task has ended.
            busy = (*running, *self._uploads.calls)
            behind = await self._writer.do(commands.Adopt(dead, served, busy, behind, _ADOPTED_AT_ONCE, clock_right))
        await self._reader.read(ledger_queries.remove_ended_sessions)
        return await self._reader.read(lambda connection: ledger_queries.read_due(connection, self._session, _MOST_DUE))

    async def write_grant(self, grant: Grant) -> Grant:
        """Write a new grant, durably; older ones that still wait for the same subject and kind are superseded.

        Raises:
            LedgerError: its id is taken.
            TooManyQuestions: it asks a person, and as many of its principal wait for one as may.
            TooManyWait: there is no room for it beside those that wait.
        """
        body = await self._uploads.upload(grant.body)
        try:
            written: Grant = await self._writer.do(commands.WriteGrant(replace(grant, body=body)))
        except (LedgerUnavailable, LedgerDamaged):
            raise
        except LedgerError:
            await self._drop_parts(body)
            raise
        return written

    async def answer_grant(self, ref: GrantRef, granted: bool, note: str) -> Grant | None:
        """Answer a grant that is asked for and has not expired, durably; None when there is no such one."""
        # A batch does without the bodies of grants, which never change.
        known = await self.grant(ref)
        if known is None:
            return None
        answered: Grant | None = await self._writer.do(commands.AnswerGrant(ref, granted, note))
        return None if answered is None else replace(answered, body=known.body)

    def use_grants(self, refs: Sequence[GrantRef], subject: str, principal: str, call_id: str) -> None:
        """Queue that those which are good are used by a call that was joined instead of bought again."""
        self._writer.queue(commands.UseGrants(tuple(refs), subject, principal, call_id))

    async def close(self) -> None:
        """Write what is queued and let go of the server. Open rows are anybody's to adopt from then on.

        Raises:
            LedgerUnavailable: what was queued could not be written; the server is let go all the same.
        """
        if self._closed:
            return
        self._closed = True
        self._heartbeat.stop()
        try:
            try:
                await self._uploads.finish()
            finally:
                await self._flush_changes()
            if self._heartbeat.started:
                await self._reader.run(self._server.leave)
        finally:
            self._uploads.stop()
            await self._reader.close()
            self._writer.stop()

    async def _drop_parts(self, body: bytes) -> None:
        """Drop what was sent of a body that nothing is going to name."""
        if isinstance(body, UploadedBody):
            upload = body.upload
            await self._reader.read(lambda connection: ledger_queries.drop_parts(connection, upload))

    def _queue_conclusion(self, conclusion: Conclusion) -> None:
        self._writer.queue(commands.Conclude(conclusion))
        if conclusion.answer is not None and self._server.kept_bytes + len(conclusion.answer) > self._most_kept:
            # In a transaction of its own that nobody waits for; a little more than must be, so that not every later
            # answer has to make its own room.
            self._writer.queue(commands.Trim(self._most_kept - self._most_kept // 16, _TRIMMED_AT_ONCE))


def _settle(_books: object, _at: UnixMs) -> None:
    """A step that changes nothing: before any batch, what is left of those before it is settled."""
