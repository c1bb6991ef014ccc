"""The calls in PostgreSQL as they are read: outside the transactions that write."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from jecp_mcp.mandate import chain
from jecp_mcp.mandate.audit import Audit, Bodies
from jecp_mcp.mandate.ledger import AuditReport, CallRow, EventRow, Totals
from jecp_mcp.mandate.meters import slots_of
from jecp_mcp.mandate.postgres.link import Link
from jecp_mcp.mandate.postgres.schema import OPEN as OPEN_SQL
from jecp_mcp.mandate.postgres.slips import every_slip
from jecp_mcp.mandate.records import call_row, event_row, walk_meters
from jecp_mcp.mandate.states import CHARGED, HOLDING, OPEN, State
from jecp_mcp.money import MicroUSDC

_COLUMNS = """
SELECT c.id, c.call_id, c.principal, c.session, c.tool, c.payee, c.capability, c.action, c.version, c.state, c.quoted,
       c.held, c.charged, c.refunded, c.balance_after, c.transaction_id, c.evidence, c.attempts, c.created_at,
       c.ended_at, c.answered, c.delivered, c.fingerprint"""
_ROW = f"""
{_COLUMNS}, coalesce(r.body, ''::bytea), a.body
FROM jecp_mcp.call AS c LEFT JOIN jecp_mcp.request AS r ON r.call = c.id LEFT JOIN jecp_mcp.answer AS a ON a.call = c.id
"""
NUMBERED = _ROW + "WHERE c.id = ANY (%s::bigint[])"
"""The calls of some numbers, with their bodies."""

# Bodies have megabytes, and a list has many.
_LISTED = f"{_COLUMNS}, ''::bytea, NULL FROM jecp_mcp.call AS c"

_EVENTS = """
SELECT e.id, coalesce(c.call_id, 'the missing call ' || e.call), e.at, e.event, e.before, e.after, e.held, e.charged,
       e.refunded, e.session, e.evidence, e.facts, e.digest
FROM jecp_mcp.event AS e LEFT JOIN jecp_mcp.call AS c ON c.id = e.call
"""

# An event with what its call's row says for good, in the order of `chain.identity_of`.
_IDENTIFIED = """
SELECT e.id, coalesce(c.call_id, 'the missing call ' || e.call), e.at, e.event, e.before, e.after, e.held, e.charged,
       e.refunded, e.session, e.evidence, e.facts, e.digest,
       c.principal, c.tool, c.payee, c.capability, c.action, c.version, c.fingerprint, c.quoted
FROM jecp_mcp.event AS e LEFT JOIN jecp_mcp.call AS c ON c.id = e.call
WHERE e.id > %s ORDER BY e.id LIMIT %s
"""
_OF_EVENT = 13
_BODIES = f"""
{_COLUMNS}, ''::bytea, NULL, c.meters, (SELECT encode(sha256(body), 'hex') FROM jecp_mcp.request WHERE call = c.id),
       (SELECT encode(sha256(body), 'hex') FROM jecp_mcp.answer WHERE call = c.id)
FROM jecp_mcp.call AS c WHERE c.id > %s ORDER BY c.id LIMIT %s
"""  # noqa: S608 constants of this module

_PAGE = 2_000
"""How many rows an audit holds at a time."""


def read_row(link: Link, call_id: str) -> CallRow | None:
    """One call, or None."""
    return _one(link.query(_ROW + "WHERE c.call_id = %s", (call_id,)))


def read_numbers(link: Link, numbers: Sequence[int]) -> dict[int, CallRow]:
    """The calls of some numbers, by number."""
    return by_number(link.query(NUMBERED, (list(numbers),)))


def by_number(found: Sequence[Sequence[Any]]) -> dict[int, CallRow]:
    """The rows of `NUMBERED`, by number."""
    return {row.number: row for row in map(call_row, found)}


def read_transaction(link: Link, transaction_id: str) -> CallRow | None:
    """The call that a Hub's transaction paid for, or None."""
    return _one(link.query(_ROW + "WHERE c.transaction_id = %s ORDER BY c.id LIMIT 1", (transaction_id,)))


def read_has_paid(link: Link, principal: str, payee: str) -> bool:
    """Whether a principal ever paid a payee."""
    found = link.query(
        "SELECT EXISTS (SELECT FROM jecp_mcp.call WHERE payee = %s AND principal = %s "
        "AND state IN ('settled', 'reconciled_charged'))",
        (payee, principal),
    )
    return bool(found[0][0])


def read_rows(link: Link, limit: int, states: frozenset[State] | None) -> list[CallRow]:
    """The latest calls, newest first, without their bodies; only those in `states` when given."""
    if states is None:
        return _rows(link.query(f"{_LISTED} ORDER BY c.id DESC LIMIT %s", (limit,)))
    names = sorted(state.value for state in states)
    where = "c.state = ANY (%s)"
    if states <= OPEN:
        # Few calls are open: begin with them, not with the latest.
        where = f"c.id IN (SELECT id FROM jecp_mcp.call WHERE {OPEN_SQL} AND state = ANY (%s))"  # noqa: S608 a constant
    return _rows(link.query(f"{_LISTED} WHERE {where} ORDER BY c.id DESC LIMIT %s", (names, limit)))


def read_pages(link: Link, after: int, limit: int) -> list[CallRow]:
    """The calls behind number `after`, oldest first, without their bodies."""
    return _rows(link.query(f"{_LISTED} WHERE c.id > %s ORDER BY c.id LIMIT %s", (after, limit)))


def read_owned(link: Link, session: str) -> list[CallRow]:
    """The calls in doubt that a session owns, oldest first."""
    open_ = f"SELECT id FROM jecp_mcp.call WHERE {OPEN_SQL} AND session = %s AND state = 'in_doubt'"  # noqa: S608 a constant
    return _rows(link.query(f"{_ROW} WHERE c.id IN ({open_}) ORDER BY c.id", (session,)))


def read_totals(link: Link) -> Totals:
    """The sums over all rows."""
    charged = held = in_doubt = calls = 0
    for name, count, held_here, charged_here in link.query(
        "SELECT state, count(*), sum(held)::bigint, sum(charged - refunded)::bigint FROM jecp_mcp.call GROUP BY state"
    ):
        state = State(name)
        calls += count
        charged += charged_here if state in CHARGED else 0
        held += held_here if state in HOLDING else 0
        in_doubt += held_here if state is State.IN_DOUBT else 0
    return Totals(MicroUSDC(charged), MicroUSDC(held), MicroUSDC(in_doubt), calls)


def read_events(link: Link, call_id: str | None, after: int, limit: int) -> list[EventRow]:
    """Changes behind number `after`, oldest first: those of one call, or all."""
    whose = "" if call_id is None else "e.call = (SELECT id FROM jecp_mcp.call WHERE call_id = %s) AND"
    # SQLite takes a negative limit for none.
    asked = (after, None if limit < 0 else limit)
    rows = link.query(
        f"{_EVENTS} WHERE {whose} e.id > %s ORDER BY e.id LIMIT %s", asked if call_id is None else (call_id, *asked)
    )
    return [event_row(row) for row in rows]


def audit(link: Link, head: str | None) -> AuditReport:
    """Go over everything, as it was at one instant."""
    walk = Audit(head)
    link.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        _walk_events(link, walk)
        _walk_calls(link, walk)
        walk.slips(every_slip(link))
        _walk_meters(link, walk)
    finally:
        link.rollback()
    return walk.report()


def _walk_events(link: Link, walk: Audit) -> None:
    after = 0
    while page := link.query(_IDENTIFIED, (after, _PAGE)):
        for row in page:
            event = event_row(row[:_OF_EVENT])
            walk.event(event, tuple(row[_OF_EVENT:]) if event.event == chain.RESERVE else chain.NOBODY)
        after = page[-1][0]


def _walk_calls(link: Link, walk: Audit) -> None:
    lengths: dict[int, int | None] = {row[0]: row[1] for row in link.query("SELECT id, slot_ms FROM jecp_mcp.meter")}
    after = 0
    while page := link.query(_BODIES, (after, _PAGE)):
        events: defaultdict[int, list[EventRow]] = defaultdict(list)
        numbers = [row[0] for row in page]
        for number, *row in link.query(
            f"SELECT e.call, {_EVENTS.replace('SELECT', '', 1)} WHERE e.call = ANY (%s::bigint[]) ORDER BY e.id",
            (numbers,),
        ):
            events[number].append(event_row(row))
        for *columns, meters, request, answer in page:
            call = call_row(columns)
            listed = ",".join(map(str, meters))
            slots = slots_of(listed, call.created_at, lengths)
            walk.call(call, events[call.number], Bodies(request, answer), slots, listed)
        after = page[-1][0]


def _walk_meters(link: Link, walk: Audit) -> None:
    meters = link.query("SELECT id, key, slot_ms, window_ms, used FROM jecp_mcp.meter")
    slots = link.query("SELECT meter, start, expires, amount FROM jecp_mcp.slot")
    walk_meters(walk, meters, slots)


def _one(found: Sequence[Sequence[Any]]) -> CallRow | None:
    return call_row(found[0]) if found else None


def _rows(found: Sequence[Sequence[Any]]) -> list[CallRow]:
    return [call_row(row) for row in found]
