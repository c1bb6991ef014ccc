"""The calls in SQLite as they are read: outside a transaction, by a connection that never writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw

from jecp_mcp.mandate import chain, slipbook
from jecp_mcp.mandate.audit import Audit, Bodies
from jecp_mcp.mandate.ledger import AuditReport, CallRow, EventRow, Totals
from jecp_mcp.mandate.meters import slots_of
from jecp_mcp.mandate.states import CHARGED, HOLDING, OPEN, State
from jecp_mcp.money import MicroUSDC

COLUMNS = """
SELECT c.id, c.call_id, c.principal, c.session, c.tool, c.payee, c.capability, c.action, c.version, c.state, c.quoted,
       c.held, c.charged, c.refunded, c.balance_after, c.transaction_id, c.evidence, c.attempts, c.created_at,
       c.ended_at, c.answered, c.delivered, c.fingerprint"""
ROW = f"""
{COLUMNS}, coalesce(r.body, x''), a.body
FROM call AS c LEFT JOIN request AS r ON r.call = c.id LEFT JOIN answer AS a ON a.call = c.id
"""
"""One call with its bodies."""

# Bodies have megabytes, and a list has many.
_LISTED = f"{COLUMNS}, x'', NULL FROM call AS c"

OPEN_SQL = "state IN ('reserved', 'sent', 'in_doubt')"
"""Written out, so that SQLite can tell that the partial index covers it."""

_EVENTS = """
SELECT e.id, coalesce(c.call_id, 'the missing call ' || e.call), e.at, e.event, e.before, e.after, e.held, e.charged,
       e.refunded, e.session, e.evidence, e.facts, e.digest
FROM event AS e LEFT JOIN call AS c ON c.id = e.call
"""

_PAGE = 2_000
"""How many rows an audit holds at a time."""


def read_row(connection: apsw.Connection, call_id: str) -> CallRow | None:
    """One call, or None."""
    found = connection.execute(ROW + "WHERE c.call_id = ?", (call_id,)).get
    return None if found is None else call_row(found)


def read_transaction(connection: apsw.Connection, transaction_id: str) -> CallRow | None:
    """The call that a Hub's transaction paid for, or None."""
    found = connection.execute(ROW + "WHERE c.transaction_id = ? ORDER BY c.id LIMIT 1", (transaction_id,)).get
    return None if found is None else call_row(found)


def read_has_paid(connection: apsw.Connection, principal: str, payee: str) -> bool:
    """Whether a principal ever paid a payee."""
    found = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM call WHERE payee = ? AND principal = ? "
        "AND state IN ('settled', 'reconciled_charged'))",
        (payee, principal),
    ).get
    return bool(found)


def read_rows(connection: apsw.Connection, limit: int, states: frozenset[State] | None) -> list[CallRow]:
    """The latest calls, newest first, without their bodies; only those in `states` when given."""
    where, names = "", tuple[str, ...]()
    if states is not None:
        names = tuple(sorted(state.value for state in states))
        chosen = f"state IN ({','.join('?' * len(names))})"
        where = f"WHERE c.{chosen}"
        if states <= OPEN:
            # Few calls are open: begin with them, not with the latest.
            where = f"WHERE c.id IN (SELECT id FROM call WHERE {OPEN_SQL} AND {chosen})"  # noqa: S608 constants and marks
    rows = connection.execute(f"{_LISTED} {where} ORDER BY c.id DESC LIMIT ?", (*names, limit))
    return [call_row(row) for row in rows.fetchall()]


def read_pages(connection: apsw.Connection, after: int, limit: int) -> list[CallRow]:
    """The calls behind number `after`, oldest first, without their bodies."""
    rows = connection.execute(f"{_LISTED} WHERE c.id > ? ORDER BY c.id LIMIT ?", (after, limit))
    return [call_row(row) for row in rows.fetchall()]


def read_open_sessions(connection: apsw.Connection) -> list[str]:
    """The sessions that own an open call."""
    rows = connection.execute(f"SELECT DISTINCT session FROM call WHERE {OPEN_SQL}")  # noqa: S608 a constant
    return [str(session) for (session,) in rows.fetchall()]


def read_totals(connection: apsw.Connection) -> Totals:
    """The sums over all rows."""
    charged = held = in_doubt = calls = 0
    sums: list[Any] = connection.execute(
        "SELECT state, count(*), sum(held), sum(charged - refunded) FROM call GROUP BY state"
    ).fetchall()
    for name, count, held_here, charged_here in sums:
        state = State(name)
        calls += count
        charged += charged_here if state in CHARGED else 0
        held += held_here if state in HOLDING else 0
        in_doubt += held_here if state is State.IN_DOUBT else 0
    return Totals(MicroUSDC(charged), MicroUSDC(held), MicroUSDC(in_doubt), calls)


def read_events(connection: apsw.Connection, call_id: str | None, after: int, limit: int) -> list[EventRow]:
    """Changes behind number `after`, oldest first: those of one call, or all."""
    whose = "" if call_id is None else "e.call = (SELECT id FROM call WHERE call_id = ?) AND"
    asked = (after, limit) if call_id is None else (call_id, after, limit)
    rows = connection.execute(f"{_EVENTS} WHERE {whose} e.id > ? ORDER BY e.id LIMIT ?", asked)
    return [event_row(row) for row in rows.fetchall()]


def audit(connection: apsw.Connection, head: str | None) -> AuditReport:
    """Go over everything, as it was at one instant."""
    walk = Audit(head)
    # A read transaction: what other processes write meanwhile must not look like a contradiction.
    connection.execute("BEGIN")
    try:
        _walk_events(connection, walk)
        _walk_calls(connection, walk)
        walk.slips(slipbook.every_slip(connection))
        _walk_meters(connection, walk)
    finally:
        connection.execute("ROLLBACK")
    return walk.report()


def _walk_events(connection: apsw.Connection, walk: Audit) -> None:
    after = 0
    while page := read_events(connection, None, after, _PAGE):
        for event in page:
            identity = chain.NOBODY
            if event.event == chain.RESERVE:
                reserved = connection.execute(f"{_LISTED} WHERE c.call_id = ?", (event.call_id,)).get
                identity = chain.NOBODY if reserved is None else chain.identity_of(call_row(reserved))
            walk.event(event, identity)
        after = page[-1].number


def _walk_calls(connection: apsw.Connection, walk: Audit) -> None:
    meters: list[Any] = connection.execute("SELECT id, slot_ms FROM meter").fetchall()
    lengths: dict[int, int | None] = dict(meters)
    after = 0
    while page := read_pages(connection, after, _PAGE):
        for row in page:
            request, answer, named = connection.execute(
                "SELECT (SELECT body FROM request WHERE call = ?1), (SELECT body FROM answer WHERE call = ?1), "
                "(SELECT meters FROM call WHERE id = ?1)",
                (row.number,),
            ).get
            bodies = Bodies(_digest(request), _digest(answer))
            events = read_events(connection, row.call_id, 0, -1)
            walk.call(row, events, bodies, slots_of(named, row.created_at, lengths), named)
        after = page[-1].number


def _walk_meters(connection: apsw.Connection, walk: Audit) -> None:
    meters: list[Any] = connection.execute("SELECT id, key, slot_ms, window_ms, used FROM meter").fetchall()
    for number, key, slot_ms, window_ms, _ in meters:
        walk.meter(number, key, slot_ms, window_ms)
    lengths: dict[int, Any] = {number: (slot_ms, window_ms) for number, _, slot_ms, window_ms, _ in meters}
    slots: list[Any] = connection.execute("SELECT meter, start, expires, amount FROM slot").fetchall()
    for meter, start, expires, _ in slots:
        walk.slot(meter, start, expires, lengths.get(meter))
    walk.meters(
        {(meter, start): amount for meter, start, _, amount in slots},
        {
            number: (used, None if slot_ms is None or window_ms is None else slot_ms + window_ms)
            for number, _, slot_ms, window_ms, used in meters
        },
    )


def _digest(body: bytes | None) -> str | None:
    return None if body is None else chain.body_digest(body)


def call_row(found: Sequence[Any]) -> CallRow:
    """A row of `ROW`."""
    # The columns stand in the order of the fields.
    fields = list(found)
    fields[9], fields[20], fields[21] = State(fields[9]), bool(fields[20]), bool(fields[21])
    return CallRow(*fields)


def event_row(found: Sequence[Any]) -> EventRow:
    """A row of the events, with the call's id."""
    number, call_id, at, event, before, after, *rest = found
    return EventRow(
        number,
        call_id,
        at,
        event,
        None if before is None else State(before),
        None if after is None else State(after),
        *rest,
    )
