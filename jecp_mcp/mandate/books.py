"""The calls in SQLite: every change of a row, made inside a write transaction that `jecp_mcp.mandate.file` opens.

Each change goes through `jecp_mcp.mandate.states`, moves the meters by what the call now counts for, and leaves an
event behind, chained to the one before it. A transaction is `begin`, the changes, `end`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.errors import ClockWentBack, LedgerError
from jecp_mcp.mandate import chain
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
from jecp_mcp.mandate.states import CHARGED, OPEN, Event, State, after, counted
from jecp_mcp.money import MICRO_PER_USDC, MOST_USDC, MicroUSDC

UNDELIVERED_MS = 86_400_000
"""How long an answer that nobody received stands in for a repeat of the call: a Hub's idempotency window."""

CLOCK_SLACK_MS = 60_000
"""How far the clock may be behind the last change before nothing more is reserved; time stands still meanwhile."""

_MOST_HELD = MOST_USDC * MICRO_PER_USDC
_LONGEST_TEXT = 500

_KEPT = "state IN ('settled', 'released', 'reconciled_charged', 'reconciled_free') AND answered = 1 AND delivered = 0"

_REPEATED = f"""
SELECT (SELECT id FROM call WHERE fingerprint = ?1 AND {OPEN_SQL}),
       (SELECT max(id) FROM call WHERE fingerprint = ?1 AND {_KEPT} AND ended_at > ?2),
       EXISTS (SELECT 1 FROM call WHERE call_id = ?3)
"""  # noqa: S608 constants of this module

_INSERT = """
INSERT INTO call(call_id, principal, session, tool, payee, capability, action, version, fingerprint, state, quoted,
                 held, created_at, meters)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_EVENT = """
INSERT INTO event(id, call, at, event, before, after, held, charged, refunded, session, evidence, facts, digest)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
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


@dataclass(frozen=True, slots=True)
class _Call:
    """What a change needs of a row."""

    number: int
    call_id: str
    state: State
    held: int
    charged: int
    refunded: int
    created_at: int
    meters: str

    @property
    def counts(self) -> int:
        return counted(self.state, self.held, self.charged, self.refunded)


class Books:
    """The tables of one writing connection, for one process session."""

    def __init__(self, connection: apsw.Connection, session: str) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute
        self._executemany = connection.cursor().executemany
        self._meters = Meters(connection)
        self._session = session
        self._at = UnixMs(0)
        self._behind: ClockWentBack | None = None
        self._number, self._head = 0, chain.GENESIS
        self._events: list[tuple[Any, ...]] = []
        self._requests: list[tuple[int, bytes]] = []

    @property
    def at(self) -> UnixMs:
        """The transaction's instant: that of the clock, or that of the last change where the clock is behind it."""
        return self._at

    def begin(self, now: UnixMs) -> None:
        """What every transaction starts with."""
        self._number, last, self._head = self._execute(
            "SELECT id, at, digest FROM event ORDER BY id DESC LIMIT 1"
        ).get or (0, 0, chain.GENESIS)
        self._events.clear()
        self._requests.clear()
        self._at = UnixMs(max(now, last))
        self._behind = None
        if now < last - CLOCK_SLACK_MS:
            self._behind = ClockWentBack(
                f"the clock shows {iso(now)}, and the ledger was last written at {iso(last)}; what has left the "
                "limits' windows is not known"
            )
        self._meters.begin(self._at)

    def end(self) -> bool:
        """What every transaction ends with; returns whether anything was changed."""
        changed = bool(self._events)
        self._meters.settle()
        self._write_requests()
        self._executemany(_EVENT, self._events)
        self._events.clear()
        return changed

    def reserve(self, wanted: Reservation, at: UnixMs) -> Admission:
        """Write a new call, unless it repeats an open or undelivered one, or a cap has no room.

        Raises:
            LedgerError: the call id is taken.
            ClockWentBack: the clock is well behind the last change.
        """
        if not 0 <= wanted.hold <= _MOST_HELD:
            raise LedgerError(f"a hold of {wanted.hold} micro-USDC is out of bounds")
        looked_up: tuple[int | None, int | None, int] = self._execute(
            _REPEATED, (wanted.fingerprint, at - UNDELIVERED_MS, wanted.call_id)
        ).get
        is_open, undelivered, taken = looked_up
        if is_open is not None:
            return AlreadyOpen(self._row(is_open))
        if undelivered is not None:
            return Undelivered(self._row(undelivered))
        if taken:
            raise LedgerError(f"the call id {wanted.call_id} is taken")
        if self._behind is not None:
            raise self._behind
        meters = self._meters.take(wanted.hold, wanted.meters, at)
        self._append_meters()
        if isinstance(meters, OverLimit):
            return meters
        state = State.SENT if wanted.send else State.RESERVED
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
        number = self._connection.last_insert_rowid()
        self._requests.append((number, wanted.request))
        made = _Call(number, wanted.call_id, state, wanted.hold, 0, 0, at, meters)
        facts = chain.facts(request=chain.body_digest(wanted.request), meters=meters or None)
        self._append(chain.RESERVE, made, None, facts=facts, identity=chain.identity_of(wanted))
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
        self._append(Event.SEND.value, _moved(call, State.SENT), call.state)
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
        moved = _moved(call, state, charged=end.charged)
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
        self._append(end.event.value, moved, call.state, evidence=evidence, facts=facts_of(end, transaction_id))

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
        moved = _moved(call, call.state, charged=call.charged, refunded=refunded)
        told = bounded(evidence)
        self._execute("UPDATE call SET evidence = ? WHERE id = ?", (told, call.number))
        self._append(Event.REFUND.value, moved, call.state, evidence=told)
        return True

    def deliver(self, call_id: str) -> None:
        """Note that the call's answer reached the client.

        Raises:
            LedgerError: there is no such call.
        """
        call = self._find(call_id)
        self._execute("UPDATE call SET delivered = 1 WHERE id = ? AND delivered = 0", (call.number,))
        if self._connection.changes():
            self._append(chain.DELIVER, call, call.state)

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
                self._append(chain.ADOPT, call, call.state)
        mine: list[Any] = self._execute(
            f"SELECT id FROM call WHERE {OPEN_SQL} AND state = 'in_doubt' AND session = ?",  # noqa: S608 a constant
            (self._session,),
        ).fetchall()
        return [self._row(number) for (number,) in sorted(mine)]

    def trust_clock(self, now: UnixMs) -> None:
        """Let the clock's instant be the ledger's, and count the windows anew."""
        if self._behind is None:
            return
        evidence, self._behind, self._at = str(self._behind), None, now
        self._append(chain.CLOCK, None, None, evidence=bounded(evidence))
        # A limit that came while the clock was ahead began without what had seemed to have left its window.
        self._meters.refill(now)
        self._append_meters()
        self._meters.recount(now)

    def recount(self) -> None:
        """Count every meter anew from the calls."""
        self._meters.recount(self._at)
        self._append(chain.RECOUNT, None, None)

    def prune(self, before: UnixMs, most: int) -> int:
        """Drop the bodies of at most so many calls that ended before; returns how many had one."""
        numbers: list[Any] = self._execute(_PRUNABLE + "LIMIT ?2", (before, most)).fetchall()
        for table in ("request", "answer"):
            self._executemany(f"DELETE FROM {table} WHERE call = ?", numbers)  # noqa: S608 two constants
        if numbers:
            self._append(chain.PRUNE, None, None, facts=chain.facts(before=before, calls=len(numbers)))
        return len(numbers)

    def _append_meters(self) -> None:
        for facts in self._meters.new():
            self._append(chain.METER, None, None, facts=facts)

    def _append(
        self,
        event: str,
        call: _Call | None,
        before: State | None,
        *,
        evidence: str | None = None,
        facts: str = "{}",
        identity: chain.Identity = chain.NOBODY,
    ) -> None:
        self._number += 1
        told: chain.Written = (
            self._at,
            event,
            None if before is None else before.value,
            *((None, 0, 0, 0) if call is None else (call.state.value, call.held, call.charged, call.refunded)),
            self._session,
            evidence,
            facts,
        )
        number, call_id = (None, None) if call is None else (call.number, call.call_id)
        self._head = chain.digest(self._head, (self._number, call_id, *told), identity)
        self._events.append((self._number, number, *told, self._head))

    def _write_requests(self) -> None:
        self._executemany("INSERT INTO request(call, body) VALUES (?, ?)", self._requests)
        self._requests.clear()

    def _row(self, number: int) -> CallRow:
        self._write_requests()
        return call_row(self._execute(ROW + "WHERE c.id = ?", (number,)).get)

    def _find(self, call_id: str) -> _Call:
        found = self._execute(
            "SELECT id, call_id, state, held, charged, refunded, created_at, meters FROM call WHERE call_id = ?",
            (call_id,),
        ).get
        if found is None:
            raise LedgerError(f"the ledger knows no call {call_id}")
        number, name, state, *rest = found
        return _Call(number, name, State(state), *rest)


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


def _moved(call: _Call, state: State, charged: int = 0, refunded: int = 0) -> _Call:
    return _Call(call.number, call.call_id, state, call.held, charged, refunded, call.created_at, call.meters)
