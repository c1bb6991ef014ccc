"""The ledger in PostgreSQL, which every replica behind a load balancer shares."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import LedgerDamaged, LedgerError, LedgerUnavailable
from jecp_mcp.mandate.commands import MOST_KEPT_BYTES, Command
from jecp_mcp.mandate.grants import Grant, GrantRef
from jecp_mcp.mandate.postgres import verify
from jecp_mcp.mandate.postgres.bodies import UploadedBody
from jecp_mcp.mandate.postgres.body_uploads import BodyUploads
from jecp_mcp.mandate.postgres.heartbeat import Heartbeat
from jecp_mcp.mandate.postgres.ledger_queries import LedgerQueries
from jecp_mcp.mandate.postgres.read_thread import ReadThread
from jecp_mcp.mandate.postgres.server import Server
from jecp_mcp.mandate.postgres.storable_text import check_needs, check_texts
from jecp_mcp.mandate.postgres.store import Store
from jecp_mcp.mandate.records import (
    Admission,
    Admitted,
    AlreadyOpen,
    AuditReport,
    CallRow,
    Conclusion,
    Meter,
    MeterReading,
    Note,
    NotGood,
    Reservation,
    Undelivered,
)
from jecp_mcp.mandate.served import Serves, served_of
from jecp_mcp.mandate.stored_ledger import MOST_DUE, StoredLedger

if TYPE_CHECKING:
    from pydantic import SecretStr

_T = TypeVar("_T")


class PostgresLedger(StoredLedger[LedgerQueries]):
    """A `jecp_mcp.mandate.ledger.Ledger` on a server. Open it with `jecp_mcp.mandate.opening.open_configured`.

    A server that cannot be used does not keep the ledger from opening: everything raises what is wrong, until the
    server is back. Instants are the server's; the clock of this process is never read.
    """

    PRUNED_AT_ONCE: ClassVar[int] = 2_000
    ADOPTED_AT_ONCE: ClassVar[int] = 200

    def __init__(self, url: SecretStr, session: str, most_kept: int = MOST_KEPT_BYTES) -> None:
        """Begin to connect, beside everything else: a host that waits for the first answer waits for no server.

        Args:
            most_kept: how many bytes of requests and answers are kept.
        """
        self._server = Server(url, session, secrets.token_hex(16))
        super().__init__(self._server, session, most_kept)
        self._reader = ReadThread(self._server)
        self._uploads = BodyUploads(self._server, super().conclude)
        self._heartbeat = Heartbeat(self._server, self._writer)
        self._reader.submit(self._server.open)

    async def reserve(self, reservation: Reservation) -> Admission:
        self._check_session(reservation)
        check_texts(reservation)
        await self._show_life()
        wanted = replace(reservation, request=await self._uploads.upload(reservation.request))
        admission = await super().reserve(wanted)
        if not isinstance(admission, Admitted):
            await self._drop_parts(wanted.request)
        match admission:
            case AlreadyOpen(row) | Undelivered(row):
                return replace(admission, row=await self._reader.with_bodies(row))
            case NotGood(ref, _):
                return replace(admission, grant=await self.grant(ref))
            case _:
                return admission

    async def note(self, call_id: str, claim: int, notes: Sequence[Note]) -> bool:
        answers = [None if note.answer is None else await self._uploads.upload(note.answer) for note in notes]
        there = [replace(note, answer=answer) for note, answer in zip(notes, answers, strict=True)]
        return await super().note(call_id, claim, there)

    async def identical(self, fingerprint: str) -> AlreadyOpen | Undelivered | None:
        found = await self._read(lambda queries: queries.identical(fingerprint))
        return None if found is None else replace(found, row=await self._reader.with_bodies(found.row))

    def conclude(self, conclusion: Conclusion) -> None:
        # For the next batch, or for when the server has a large answer.
        self._uploads.conclude(conclusion)

    async def conclude_now(self, conclusion: Conclusion) -> None:
        answer = None if conclusion.answer is None else await self._uploads.upload(conclusion.answer)
        await super().conclude_now(replace(conclusion, answer=answer))

    async def prune(self, before: UnixMs) -> int:
        dropped = await super().prune(before)
        await self._query(lambda queries: queries.sweep_parts())
        return dropped

    async def check(self) -> None:
        await self._reader.run(lambda: self._server.read(verify.check))

    async def flush(self) -> None:
        await self._uploads.flush()
        await self._flush_changes()

    async def adopt_orphans(
        self, serves: Serves, running: Collection[str] = (), *, clock_right: bool = False
    ) -> Sequence[CallRow]:
        await self._show_life()
        owners = await self._read(lambda queries: queries.open_owners(self._session))
        served = served_of([one for one, _ in owners], serves)
        dead = {one.owner for one, ended in owners if ended}
        await self._adopt(dead, served, running, clock_right=clock_right)
        await self._query(lambda queries: queries.remove_ended_sessions())
        return await self._query(lambda queries: queries.due(self._session, MOST_DUE))

    async def row(self, call_id: str) -> CallRow | None:
        found = await super().row(call_id)
        return None if found is None else await self._reader.with_bodies(found)

    async def of_reference(self, rail: str, account: str, reference: str) -> CallRow | None:
        found = await super().of_reference(rail, account, reference)
        return None if found is None else await self._reader.with_bodies(found)

    async def audit(self, head: str | None = None) -> AuditReport:
        await self._read_queued()
        return await self._reader.run(lambda: self._server.read(lambda connection: verify.verify(connection, head)))

    async def readings(self, meters: Sequence[Meter], *, wait: bool = True) -> Sequence[MeterReading]:
        if wait:
            await self._read_queued()
        return await self._reader.read(lambda connection: Store(connection, self._session, "").readings(meters))

    async def write_grant(self, grant: Grant) -> Grant:
        body = await self._uploads.upload(grant.body)
        try:
            return await super().write_grant(replace(grant, body=body))
        except (LedgerUnavailable, LedgerDamaged):
            raise
        except LedgerError:
            await self._drop_parts(body)
            raise

    async def answer_grant(self, ref: GrantRef, granted: bool, note: str) -> Grant | None:
        # A batch does without the bodies of grants, which never change.
        known = await self.grant(ref)
        answered = None if known is None else await super().answer_grant(ref, granted, note)
        return None if known is None or answered is None else replace(answered, body=known.body)

    async def close(self) -> None:
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

    async def _do(self, command: Command[_T], abandoned: Callable[[Any], None] | None = None) -> _T:
        check_needs(command.needs)
        return await super()._do(command, abandoned)

    async def _query(self, reading: Callable[[LedgerQueries], _T]) -> _T:
        return await self._reader.read(lambda connection: reading(LedgerQueries(connection)))

    async def _show_life(self) -> None:
        self._heartbeat.start()

    def _at_work(self) -> Sequence[str]:
        # A call whose answer is on its way is being worked on, though its task has ended.
        return self._uploads.calls

    async def _flush_changes(self) -> None:
        """Wait until everything queued is durable, and everything that was not known is."""
        await self._writer.flush()
        if self._server.unsettled:
            await self._writer.do(_settle)

    async def _drop_parts(self, body: bytes) -> None:
        """Drop what was sent of a body that nothing is going to name."""
        if isinstance(body, UploadedBody):
            upload = body.upload
            await self._query(lambda queries: queries.drop_parts(upload))


def _settle(_books: object, _at: UnixMs) -> None:
    """A step that changes nothing: before any batch, what is left of those before it is settled."""
