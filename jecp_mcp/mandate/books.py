"""The calls in SQLite: every change of a row, made inside a write transaction that `jecp_mcp.mandate.file` opens.

Each change goes through `jecp_mcp.mandate.states`, moves the meters by what the call now counts for, and leaves an
event behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.ledger import (
    Admission,
    Admitted,
    AlreadyOpen,
    CallRow,
    Conclusion,
    OverLimit,
    Reservation,
    Totals,
    Undelivered,
)
from jecp_mcp.mandate.meters import Meters
from jecp_mcp.mandate.states import CHARGED, HOLDING, OPEN, Event, State, after, counted
from jecp_mcp.money import MICRO_PER_USDC, MOST_USDC, MicroUSDC

UNDELIVERED_MS = 86_400_000
"""How long an answer that nobody received stands in for a repeat of the call: a Hub's idempotency window."""

_MOST_HELD = MOST_USDC * MICRO_PER_USDC
_LONGEST_TEXT = 500

_COLUMNS = """
SELECT c.call_id, c.principal, c.session, c.tool, c.payee, c.capability, c.action, c.version, c.state, c.quoted, c.held,
       c.charged, c.balance_after, c.transaction_id, c.evidence, c.attempts, c.created_at, c.ended_at, c.delivered,
       c.fingerprint"""
_ROW = f"""
{_COLUMNS}, r.body, a.body
FROM call AS c LEFT JOIN request AS r ON r.call = c.id LEFT JOIN answer AS a ON a.call = c.id
"""
# Bodies have megabytes, and a list has many.
_LISTED = f"{_COLUMNS}, x'', NULL FROM call AS c"

# Written out, so that SQLite can tell that the partial indexes cover it.
_OPEN = "state IN ('reserved', 'sent', 'in_doubt')"
_KEPT = "state IN ('settled', 'released', 'reconciled_charged', 'reconciled_free') AND answered = 1 AND delivered = 0"

_REPEATED = f"""
SELECT (SELECT id FROM call WHERE fingerprint = ?1 AND {_OPEN}),
       (SELECT max(id) FROM call WHERE fingerprint = ?1 AND {_KEPT} AND ended_at > ?2),
       EXISTS (SELECT 1 FROM call WHERE call_id = ?3)
"""  # noqa: S608 constants of this module

_INSERT = """
INSERT INTO call(call_id, principal, session, tool, payee, capability, action, version, fingerprint, state, quoted,
                 held, created_at, slots)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_EVENT = """
INSERT INTO event(call, at, event, before, after, held, charged, session, evidence) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_CONCLUDE = """
UPDATE call SET state = ?, charged = ?, balance_after = coalesce(?, balance_after),
  transaction_id = coalesce(?, transaction_id), evidence = coalesce(?, evidence), attempts = attempts + ?,
  ended_at = ?, answered = max(answered, ?)
WHERE id = ?
"""


@dataclass(frozen=True, slots=True)
class EventRow:
    """One transition of a call. `event` is ``reserve`` for the first, else the name of an `Event`."""

    at: UnixMs
    event: str
    before: State | None
    after: State
    held: MicroUSDC
    charged: MicroUSDC
    session: str
    evidence: str | None


class Books:
    """The tables of one writing connection, for one process session."""

    def __init__(self, connection: apsw.Connection, session: str) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute
        self._meters = Meters(connection)
        self._session = session

    def begin(self, at: UnixMs) -> None:
        """What every transaction starts with."""
        self._meters.begin(at)

    def reserve(self, wanted: Reservation, at: UnixMs) -> Admission:
        """Write a new call, unless it repeats an open or undelivered one, or a cap has no room.

        Raises:
            LedgerError: the call id is taken.
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
        slots = self._meters.take(wanted.hold, wanted.meters, at)
        if isinstance(slots, OverLimit):
            return slots
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
                slots,
            ),
        )
        number = self._connection.last_insert_rowid()
        self._execute("INSERT INTO request(call, body) VALUES (?, ?)", (number, wanted.request))
        self._execute(_EVENT, (number, at, "reserve", None, state.value, wanted.hold, 0, self._session, None))
        return Admitted(wanted.call_id, at)

    def send(self, call_id: str, at: UnixMs) -> bool:
        """Move a ``reserved`` row to ``sent``; False when it is no longer ``reserved``.

        Raises:
            LedgerError: there is no such call.
        """
        number, state, held, _, _ = self._find(call_id)
        if after(state, Event.SEND) is None:
            return False
        self._execute("UPDATE call SET state = ? WHERE id = ?", (State.SENT.value, number))
        self._execute(
            _EVENT, (number, at, Event.SEND.value, state.value, State.SENT.value, held, 0, self._session, None)
        )
        return True

    def conclude(self, end: Conclusion, at: UnixMs) -> None:
        """Write what became of a call.

        Raises:
            LedgerError: there is no such call, the event cannot happen in its state, or the charge contradicts it.
        """
        number, before, held, charged, slots = self._find(end.call_id)
        state = after(before, end.event)
        if state is None:
            raise LedgerError(f"{end.event.value} cannot happen to the call {end.call_id}, which is {before.value}")
        if end.charged < 0 or (end.charged and state not in CHARGED):
            raise LedgerError(f"{end.event.value} of the call {end.call_id} cannot carry a charge of {end.charged}")
        self._meters.adjust(slots, counted(state, held, end.charged) - counted(before, held, charged))
        answered, evidence = end.answer is not None, _bounded(end.evidence)
        self._execute(
            _CONCLUDE,
            (
                state.value,
                end.charged,
                end.balance_after,
                _bounded(end.transaction_id),
                evidence,
                end.attempts,
                None if state in OPEN else at,
                answered,
                number,
            ),
        )
        if answered:
            self._execute("INSERT OR REPLACE INTO answer(call, body) VALUES (?, ?)", (number, end.answer))
        self._execute(
            _EVENT,
            (number, at, end.event.value, before.value, state.value, held, end.charged, self._session, evidence),
        )

    def deliver(self, call_id: str) -> None:
        """Note that the call's answer reached the client.

        Raises:
            LedgerError: there is no such call.
        """
        number, *_ = self._find(call_id)
        self._execute("UPDATE call SET delivered = 1 WHERE id = ? AND delivered = 0", (number,))

    def adopt(self, dead: Sequence[str], at: UnixMs) -> list[CallRow]:
        """Make the open rows of dead sessions this session's, and return every ``in_doubt`` row it owns."""
        for session in dead:
            orphans = self._execute(
                f"SELECT id, call_id, state FROM call WHERE {_OPEN} AND session = ?",  # noqa: S608 a constant
                (session,),
            ).fetchall()
            for number, name, state in orphans:
                call_id = str(name)
                if state == State.RESERVED:
                    evidence = "its process ended before anything was sent"
                    self.conclude(Conclusion(call_id, Event.RELEASE, evidence=evidence, attempts=0), at)
                    continue
                if state == State.SENT:
                    evidence = "its process ended before it heard the outcome"
                    self.conclude(Conclusion(call_id, Event.DOUBT, evidence=evidence, attempts=0), at)
                self._execute("UPDATE call SET session = ? WHERE id = ?", (self._session, number))
        mine: list[Any] = self._execute(
            f"SELECT id FROM call WHERE {_OPEN} AND state = 'in_doubt' AND session = ?",  # noqa: S608 a constant
            (self._session,),
        ).fetchall()
        return [self._row(number) for (number,) in sorted(mine)]

    def _row(self, number: int) -> CallRow:
        return _call_row(self._execute(_ROW + "WHERE c.id = ?", (number,)).get)

    def _find(self, call_id: str) -> tuple[int, State, int, int, str]:
        found = self._execute("SELECT id, state, held, charged, slots FROM call WHERE call_id = ?", (call_id,)).get
        if found is None:
            raise LedgerError(f"the ledger knows no call {call_id}")
        number, state, held, charged, slots = found
        return number, State(state), held, charged, slots


def read_row(connection: apsw.Connection, call_id: str) -> CallRow | None:
    """One call, or None."""
    found = connection.execute(_ROW + "WHERE c.call_id = ?", (call_id,)).get
    return None if found is None else _call_row(found)


def read_rows(connection: apsw.Connection, limit: int, states: frozenset[State] | None) -> list[CallRow]:
    """The latest calls, newest first, without their bodies; only those in `states` when given."""
    where, names = "", tuple[str, ...]()
    if states is not None:
        names = tuple(sorted(state.value for state in states))
        chosen = f"state IN ({','.join('?' * len(names))})"
        where = f"WHERE c.{chosen}"
        if states <= OPEN:
            # Few calls are open: begin with them, not with the latest.
            where = f"WHERE c.id IN (SELECT id FROM call WHERE {_OPEN} AND {chosen})"  # noqa: S608 constants and marks
    rows = connection.execute(f"{_LISTED} {where} ORDER BY c.id DESC LIMIT ?", (*names, limit))
    return [_call_row(row) for row in rows.fetchall()]


def read_open_sessions(connection: apsw.Connection) -> list[str]:
    """The sessions that own an open call."""
    rows = connection.execute(f"SELECT DISTINCT session FROM call WHERE {_OPEN}")  # noqa: S608 a constant
    return [str(session) for (session,) in rows.fetchall()]


def read_totals(connection: apsw.Connection) -> Totals:
    """The sums over all rows."""
    charged = held = in_doubt = calls = 0
    sums: list[Any] = connection.execute(
        "SELECT state, count(*), sum(held), sum(charged) FROM call GROUP BY state"
    ).fetchall()
    for name, count, held_here, charged_here in sums:
        state = State(name)
        calls += count
        charged += charged_here if state in CHARGED else 0
        held += held_here if state in HOLDING else 0
        in_doubt += held_here if state is State.IN_DOUBT else 0
    return Totals(MicroUSDC(charged), MicroUSDC(held), MicroUSDC(in_doubt), calls)


def read_events(connection: apsw.Connection, call_id: str) -> list[EventRow]:
    """Every transition of a call, oldest first."""
    rows = connection.execute(
        "SELECT at, event, before, after, held, charged, session, evidence FROM event "
        "WHERE call = (SELECT id FROM call WHERE call_id = ?) ORDER BY id",
        (call_id,),
    )
    return [_event_row(row) for row in rows.fetchall()]


def _bounded(text: str | None) -> str | None:
    """Foreign text as a column can hold it: no lone surrogates, no end without end."""
    return None if text is None else text[:_LONGEST_TEXT].encode("utf-8", "backslashreplace").decode()


def _call_row(found: Sequence[Any]) -> CallRow:
    # The columns of _ROW stand in the order of the fields.
    fields = list(found)
    fields[8], fields[18] = State(fields[8]), bool(fields[18])
    return CallRow(*fields)


def _event_row(found: Sequence[Any]) -> EventRow:
    at, event, before, now, *rest = found
    return EventRow(at, event, None if before is None else State(before), State(now), *rest)
