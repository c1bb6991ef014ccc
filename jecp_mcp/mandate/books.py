"""The calls in SQLite: every change of a row, made inside a write transaction that `jecp_mcp.mandate.file` opens.

Each change goes through `jecp_mcp.mandate.states`, moves the meters by what the call now counts for, and leaves an
event behind, chained to the one before it. A transaction is `begin`, the changes, `end`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.journal import Journal, Standing
from jecp_mcp.mandate.ledger import (
    Admission,
    Admitted,
    AlreadyOpen,
    CallRow,
    Conclusion,
    OverLimit,
    Reservation,
    Undelivered,
)
from jecp_mcp.mandate.meters import Meters
from jecp_mcp.mandate.records import OPEN_SQL, ROW, call_row
from jecp_mcp.mandate.slipbook import SlipBook
from jecp_mcp.mandate.slips import Slip, SlipRef, SlipState
from jecp_mcp.mandate.states import CHARGED, OPEN, Event, State, after
from jecp_mcp.money import MICRO_PER_USDC, MOST_USDC, MicroUSDC

UNDELIVERED_MS = 86_400_000
"""How long an answer that nobody received stands in for a repeat of the call: a Hub's idempotency window."""

_MOST_HELD = MOST_USDC * MICRO_PER_USDC
_LONGEST_TEXT = 500

_KEPT = "state IN ('settled', 'released', 'reconciled_charged', 'reconciled_free') AND answered = 1 AND delivered = 0"

_REPEATED = f"""
SELECT (SELECT id FROM call WHERE fingerprint = ?1 AND {OPEN_SQL}),
       (SELECT max(id) FROM call WHERE fingerprint = ?1 AND {_KEPT} AND ended_at > ?2)
"""  # noqa: S608 constants of this module

_INSERT = """
INSERT INTO call(call_id, principal, session, tool, payee, capability, action, version, fingerprint, state, quoted,
                 held, created_at, meters)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_CONCLUDE = """
UPDATE call SET state = ?, charged = ?, balance_after = coalesce(?, balance_after),
  transaction_id = coalesce(?, transaction_id), evidence = coalesce(?, evidence), attempts = attempts + ?,
  ended_at = ?, answered = max(answered, ?)
WHERE id = ?
"""

_PRUNABLE = f"""
SELECT id FROM call
WHERE ended_at < ?1 AND NOT ({_KEPT}) AND (EXISTS (SELECT 1 FROM request WHERE call = call.id)
      OR EXISTS (SELECT 1 FROM answer WHERE call = call.id))
"""  # noqa: S608 constants of this module


class Books:
    """The tables of one writing connection, for one process session."""

    def __init__(self, connection: apsw.Connection, session: str) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute
        self._executemany = connection.cursor().executemany
        self._meters = Meters(connection)
        self._slips = SlipBook(connection)
        self._journal = Journal(connection, session)
        self._session = session
        self._requests: list[tuple[int, bytes]] = []

    @property
    def at(self) -> UnixMs:
        """The transaction's instant: that of the clock, or that of the last change where the clock is behind it."""
        return self._journal.at

    def begin(self, now: UnixMs) -> None:
        """What every transaction starts with."""
        self._requests.clear()
        self._journal.begin(now)
        self._meters.begin(self._journal.at)

    def end(self) -> bool:
        """What every transaction ends with; returns whether anything was changed."""
        self._meters.settle()
        self._write_requests()
        return self._journal.end()

    def reserve(self, wanted: Reservation, at: UnixMs) -> Admission:
        """Write a new call, unless it repeats an open or undelivered one, or a cap has no room.

        Raises:
            LedgerError: the call id is taken.
            ClockWentBack: the clock is well behind the last change.
        """
        if not 0 <= wanted.hold <= _MOST_HELD:
            raise LedgerError(f"a hold of {wanted.hold} micro-USDC is out of bounds")
        looked_up: tuple[int | None, int | None] = self._execute(
            _REPEATED, (wanted.fingerprint, at - UNDELIVERED_MS)
        ).get
        is_open, undelivered = looked_up
        if is_open is not None:
            return AlreadyOpen(self._row(is_open))
        if undelivered is not None:
            return Undelivered(self._row(undelivered))
        if self._journal.behind is not None:
            raise self._journal.behind
        if wanted.uses:
            wrong = self._slips.check(wanted.uses, wanted.fingerprint, wanted.principal, at)
            if wrong is not None:
                return wrong
        meters = self._meters.take(wanted.hold, wanted.meters, at)
        self._add_meters()
        return meters if isinstance(meters, OverLimit) else self._write(wanted, meters, at)

    def _write(self, wanted: Reservation, meters: str, at: UnixMs) -> Admitted:
        state = State.SENT if wanted.send else State.RESERVED
        try:
            self._execute(
                _INSERT,
                (
                    wanted.call_id,
                    wanted.principal,
                    wanted.session,
                    wanted.tool,
                    wanted.payee,
                    wanted.capability,
                    wanted.action,
                    wanted.version,
                    wanted.fingerprint,
                    state.value,
                    wanted.quoted,
                    wanted.hold,
                    at,
                    meters,
                ),
            )
        except apsw.ConstraintError as exc:
            raise LedgerError(f"the call id {wanted.call_id} is taken") from exc
        number = self._connection.last_insert_rowid()
        self._requests.append((number, wanted.request))
        made = Standing(number, wanted.call_id, state, wanted.hold, 0, 0, at, meters)
        facts = chain.reserve_facts(wanted.request, meters)
        self._journal.add(chain.RESERVE, made, None, facts=facts, identity=chain.identity_of(wanted))
        for ref in wanted.uses:
            self._slips.use(ref, wanted.call_id)
            self._slip_event(ref, SlipState.USED, call_id=wanted.call_id)
        return Admitted(wanted.call_id, at)

    def send(self, call_id: str) -> bool:
        """Move a ``reserved`` row to ``sent``; False when it is no longer ``reserved``.

        Raises:
            LedgerError: there is no such call.
        """
        call = self._find(call_id)
        if after(call.state, Event.SEND) is None:
            return False
        self._execute("UPDATE call SET state = ? WHERE id = ?", (State.SENT.value, call.number))
        self._journal.add(Event.SEND.value, call.moved(State.SENT), call.state)
        return True

    def conclude(self, end: Conclusion, at: UnixMs) -> None:
        """Write what became of a call.

        Raises:
            LedgerError: there is no such call, the event cannot happen in its state, or the charge contradicts it.
        """
        call = self._find(end.call_id)
        state = after(call.state, end.event)
        if state is None or end.event is Event.REFUND:
            raise LedgerError(f"{end.event.value} cannot happen to the call {end.call_id}, which is {call.state.value}")
        if end.charged < 0 or (end.charged and state not in CHARGED):
            raise LedgerError(f"{end.event.value} of the call {end.call_id} cannot carry a charge of {end.charged}")
        moved = call.moved(state, charged=end.charged)
        self._meters.adjust(call.meters, call.created_at, moved.counts - call.counts)
        evidence, transaction_id = bounded(end.evidence), bounded(end.transaction_id)
        self._execute(
            _CONCLUDE,
            (
                state.value,
                end.charged,
                end.balance_after,
                transaction_id,
                evidence,
                end.attempts,
                None if state in OPEN else at,
                end.answer is not None,
                call.number,
            ),
        )
        if end.answer is not None:
            self._execute("INSERT OR REPLACE INTO answer(call, body) VALUES (?, ?)", (call.number, end.answer))
        self._journal.add(end.event.value, moved, call.state, evidence=evidence, facts=facts_of(end, transaction_id))

    def refund(self, call_id: str, total: MicroUSDC, evidence: str) -> bool:
        """Note that the Hub gave back `total` of a call, in all; False when that is no news.

        Raises:
            LedgerError: there is no such call, or it was not charged.
        """
        call = self._find(call_id)
        if after(call.state, Event.REFUND) is None:
            raise LedgerError(f"the call {call_id} was not charged: it is {call.state.value}")
        refunded = min(total, call.charged)
        if refunded <= call.refunded:
            return False
        self._meters.adjust(call.meters, call.created_at, call.refunded - refunded)
        self._execute("UPDATE call SET refunded = ? WHERE id = ?", (refunded, call.number))
        moved = call.moved(call.state, charged=call.charged, refunded=refunded)
        told = bounded(evidence)
        self._execute("UPDATE call SET evidence = ? WHERE id = ?", (told, call.number))
        self._journal.add(Event.REFUND.value, moved, call.state, evidence=told)
        return True

    def deliver(self, call_id: str) -> None:
        """Note that the call's answer reached the client.

        Raises:
            LedgerError: there is no such call.
        """
        call = self._find(call_id)
        self._execute("UPDATE call SET delivered = 1 WHERE id = ? AND delivered = 0", (call.number,))
        if self._connection.changes():
            self._journal.add(chain.DELIVER, call, call.state)

    def adopt(self, dead: Sequence[str], at: UnixMs) -> list[CallRow]:
        """Make the open rows of dead sessions this session's, and return every ``in_doubt`` row it owns."""
        for session in dead:
            orphans = self._execute(
                f"SELECT call_id, state FROM call WHERE {OPEN_SQL} AND session = ?",  # noqa: S608 a constant
                (session,),
            ).fetchall()
            for name, state in orphans:
                call_id = str(name)
                if state == State.RESERVED:
                    evidence = "its process ended before anything was sent"
                    self.conclude(Conclusion(call_id, Event.RELEASE, evidence=evidence, attempts=0), at)
                    continue
                if state == State.SENT:
                    evidence = "its process ended before it heard the outcome"
                    self.conclude(Conclusion(call_id, Event.DOUBT, evidence=evidence, attempts=0), at)
                call = self._find(call_id)
                self._execute("UPDATE call SET session = ? WHERE id = ?", (self._session, call.number))
                self._journal.add(chain.ADOPT, call, call.state)
        mine: list[Any] = self._execute(
            f"SELECT id FROM call WHERE {OPEN_SQL} AND state = 'in_doubt' AND session = ?",  # noqa: S608 a constant
            (self._session,),
        ).fetchall()
        return [self._row(number) for (number,) in sorted(mine)]

    def write_slip(self, slip: Slip, at: UnixMs) -> Slip:
        """Write a new slip; older ones that still wait for the same are superseded.

        Raises:
            LedgerError: its id is taken.
        """
        written, superseded = self._slips.write(slip, at)
        for old in superseded:
            self._slip_event(SlipRef(old.kind, old.slip_id), SlipState.SUPERSEDED)
        body = chain.body_digest(written.body)
        self._slip_event(
            SlipRef(slip.kind, slip.slip_id),
            written.state,
            evidence=written.note,
            principal=written.principal,
            subject=written.subject,
            body=body,
            expires_at=written.expires_at,
            call_id=written.call_id,
        )
        return written

    def answer_slip(self, ref: SlipRef, granted: bool, note: str, at: UnixMs) -> Slip | None:
        """Grant or deny a slip that is asked for and has not expired; None when there is no such one."""
        told = bounded(note)
        answered = self._slips.answer(ref, granted, told, at)
        if answered is not None:
            self._slip_event(ref, answered.state, evidence=told)
        return answered

    def use_slips(self, refs: Sequence[SlipRef], subject: str, principal: str, call_id: str, at: UnixMs) -> None:
        """Use those that are good for a call that is in the books."""
        for ref in refs:
            if self._slips.check((ref,), subject, principal, at) is None:
                self._slips.use(ref, call_id)
                self._slip_event(ref, SlipState.USED, call_id=call_id)

    def trust_clock(self, now: UnixMs) -> None:
        """Let the clock's instant be the ledger's, and count the windows anew."""
        journal = self._journal
        if journal.behind is None:
            return
        evidence, journal.behind, journal.at = str(journal.behind), None, now
        journal.add(chain.CLOCK, evidence=bounded(evidence))
        # A limit that came while the clock was ahead began without what had seemed to have left its window.
        self._meters.refill(now)
        self._add_meters()
        self._meters.recount(now)

    def recount(self) -> None:
        """Count every meter anew from the calls."""
        self._meters.recount(self._journal.at)
        self._journal.add(chain.RECOUNT)

    def prune(self, before: UnixMs, most: int) -> int:
        """Drop the bodies of at most so many calls that ended before; returns how many had one."""
        numbers: list[Any] = self._execute(_PRUNABLE + "LIMIT ?2", (before, most)).fetchall()
        for table in ("request", "answer"):
            self._executemany(f"DELETE FROM {table} WHERE call = ?", numbers)  # noqa: S608 two constants
        if numbers:
            self._journal.add(chain.PRUNE, facts=chain.facts(before=before, calls=len(numbers)))
        return len(numbers)

    def _slip_event(self, ref: SlipRef, state: SlipState, *, evidence: str | None = None, **told: object) -> None:
        facts = chain.facts(kind=ref.kind.value, slip=ref.slip_id, state=state.value, **told)
        self._journal.add(chain.SLIP, evidence=evidence, facts=facts)

    def _add_meters(self) -> None:
        for facts in self._meters.new():
            self._journal.add(chain.METER, facts=facts)

    def _write_requests(self) -> None:
        self._executemany("INSERT INTO request(call, body) VALUES (?, ?)", self._requests)
        self._requests.clear()

    def _row(self, number: int) -> CallRow:
        self._write_requests()
        return call_row(self._execute(ROW + "WHERE c.id = ?", (number,)).get)

    def _find(self, call_id: str) -> Standing:
        found = self._execute(
            "SELECT id, call_id, state, held, charged, refunded, created_at, meters FROM call WHERE call_id = ?",
            (call_id,),
        ).get
        if found is None:
            raise LedgerError(f"the ledger knows no call {call_id}")
        number, name, state, *rest = found
        return Standing(number, name, State(state), *rest)


def facts_of(end: Conclusion, transaction_id: str | None) -> str:
    """What a conclusion writes into the call's row, beside the event's own columns."""
    return chain.facts(
        attempts=end.attempts or None,
        balance_after=end.balance_after,
        transaction_id=transaction_id,
        answer=None if end.answer is None else chain.body_digest(end.answer),
    )


def bounded(text: str | None) -> str | None:
    """Foreign text as a column can hold it: no lone surrogates, no end without end."""
    return None if text is None else text[:_LONGEST_TEXT].encode("utf-8", "backslashreplace").decode()
