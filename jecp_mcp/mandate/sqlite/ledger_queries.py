"""The calls in SQLite as they are read: outside a transaction, by a connection that never writes."""

from __future__ import annotations

import json
from dataclasses import fields
from operator import attrgetter
from typing import Any

import apsw

from jecp_mcp.clock import UnixMs
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.columns import read_call_row, write_names
from jecp_mcp.mandate.grants import Grant, GrantKind, GrantRef, GrantState, OpenQuestions
from jecp_mcp.mandate.records import (
    RULED,
    AlreadyOpen,
    CallRow,
    EventRow,
    Totals,
    Undelivered,
)
from jecp_mcp.mandate.rules import UNDELIVERED_MS
from jecp_mcp.mandate.sqlite.schema import CHARGED as CHARGED_SQL
from jecp_mcp.mandate.sqlite.schema import EXCESSIVE as EXCESSIVE_SQL
from jecp_mcp.mandate.sqlite.schema import KEPT, WRITTEN_OFF
from jecp_mcp.mandate.sqlite.schema import OPEN as OPEN_SQL
from jecp_mcp.mandate.sqlite.store import READ_GRANT, grant_row
from jecp_mcp.mandate.states import CHARGED, HOLDING, State
from jecp_mcp.money import MicroUSDC

COLUMNS = """
SELECT c.id, c.call_id, c.principal, c.team, c.session, c.owner, c.claim, c.rail, c.account, c.tool, c.payee, c.source,
       c.offer, c.names, c.version, c.fingerprint, c.kind, c.terms, c.state, c.quoted, c.held, c.charged, c.refunded,
       c.balance_after, c.reference, c.evidence, c.attempts, c.created_at, c.sent_at, c.look_again_at, c.provable_until,
       c.ended_at, c.answered, c.delivered, c.mark"""
ROW = f"""
{COLUMNS}, coalesce(r.body, x''), a.body
FROM call AS c LEFT JOIN request AS r ON r.call = c.id LEFT JOIN answer AS a ON a.call = c.id
"""
"""One call with its bodies."""

# Bodies have megabytes, and a list has many: an empty answer says that one is kept.
_LISTED = f"""
{COLUMNS}, x'', CASE WHEN c.answered AND EXISTS (SELECT 1 FROM answer WHERE call = c.id) THEN x'' END FROM call AS c
"""  # noqa: S608 constants of this module

_EVENTS = """
SELECT e.body, e.digest, coalesce(c.call_id, 'the missing call ' || e.call)
FROM event AS e LEFT JOIN call AS c ON c.id = e.call
"""

_LATEST = 10_000
"""How many of the latest calls are looked at for an account's balance."""


def read_row(connection: apsw.Connection, call_id: str) -> CallRow | None:
    """One call, or None."""
    found = connection.execute(ROW + "WHERE c.call_id = ?", (call_id,)).get
    return None if found is None else read_call_row(found)


def read_identical(connection: apsw.Connection, fingerprint: str, now: UnixMs) -> AlreadyOpen | Undelivered | None:
    """The call that another one with this fingerprint would repeat, as `jecp_mcp.mandate.rules` decides it."""
    found = connection.execute(f"{ROW} WHERE c.fingerprint = ? AND c.{OPEN_SQL}", (fingerprint,)).get
    if found is not None:
        return AlreadyOpen(read_call_row(found))
    since = max(now, read_last_at(connection) or now) - UNDELIVERED_MS
    found = connection.execute(
        f"{ROW} WHERE c.fingerprint = ? AND {KEPT} AND c.ended_at > ? ORDER BY c.id DESC LIMIT 1", (fingerprint, since)
    ).get
    return None if found is None else Undelivered(read_call_row(found))


def read_number(connection: apsw.Connection, number: int) -> CallRow:
    """A call that is there, by its number."""
    return read_call_row(connection.execute(ROW + "WHERE c.id = ?", (number,)).get)


def read_reference(connection: apsw.Connection, rail: str, account: str, reference: str) -> CallRow | None:
    """The call that a payment of an account paid for, or None."""
    found = connection.execute(
        ROW + "WHERE c.rail = ? AND c.account = ? AND c.reference = ?", (rail, account, reference)
    ).get
    return None if found is None else read_call_row(found)


def read_last_of(connection: apsw.Connection, rail: str, account: str) -> CallRow | None:
    """The latest call of an account whose answer told the balance, or None where it is none of the latest calls."""
    found = connection.execute(
        f"{_LISTED} WHERE c.rail = ? AND c.account = ? AND c.balance_after IS NOT NULL "  # noqa: S608 a constant
        "AND c.id > (SELECT max(id) FROM call) - ? ORDER BY c.id DESC LIMIT 1",
        (rail, account, _LATEST),
    ).get
    return None if found is None else read_call_row(found)


def read_has_paid(connection: apsw.Connection, principal: str, rail: str, account: str, payee: str) -> bool:
    """Whether a principal ever paid a payee from an account."""
    found = connection.execute(
        f"SELECT EXISTS (SELECT 1 FROM call WHERE payee = ? AND account = ? AND {CHARGED_SQL} "  # noqa: S608 a constant
        "AND rail = ? AND principal = ?)",
        (payee, account, rail, principal),
    ).get
    return bool(found)


def read_due(connection: apsw.Connection, session: str, now: UnixMs, limit: int) -> list[CallRow]:
    """The open calls of a session whose payee is due to be asked, the longest due first.

    Where the clock is behind the last change, that one's instant is the ledger's.
    """
    last = read_last_at(connection)
    at = now if last is None else max(now, last)
    rows = connection.execute(
        f"{_LISTED} WHERE c.owner = ? AND c.look_again_at <= ? AND c.{OPEN_SQL} ORDER BY c.look_again_at, c.id LIMIT ?",
        (session, at, limit),
    )
    return [read_call_row(row) for row in rows.fetchall()]


def read_last_at(connection: apsw.Connection) -> UnixMs | None:
    """The instant of the last change; None where there is none."""
    last = connection.execute("SELECT body FROM event ORDER BY id DESC LIMIT 1").get
    return None if last is None else UnixMs(json.loads(last)[1])


def read_next_look(connection: apsw.Connection, session: str) -> UnixMs | None:
    """When the first open call of a session is due to be asked for, or None."""
    found: UnixMs | None = connection.execute(
        "SELECT min(look_again_at) FROM call WHERE owner = ? AND look_again_at IS NOT NULL", (session,)
    ).get
    return found


def read_rows(
    connection: apsw.Connection, limit: int, states: frozenset[State] | None, principal: str | None = None
) -> list[CallRow]:
    """The latest calls, newest first, without their bodies; only those in `states` or of `principal` when given."""
    where, values = [], list[str]()
    if states is not None:
        values += sorted(state.value for state in states)
        where.append(f"c.state IN ({','.join('?' * len(values))})")
        if states <= HOLDING:
            # Few calls are: begin with them, not with the latest.
            few = f"SELECT id FROM call WHERE {OPEN_SQL} UNION ALL SELECT id FROM call WHERE {WRITTEN_OFF}"  # noqa: S608 constants
            where.append(f"c.id IN ({few})")
    if principal is not None:
        values.append(principal)
        where.append("c.principal = ?")
    chosen = f"WHERE {' AND '.join(where)}" if where else ""
    rows = connection.execute(f"{_LISTED} {chosen} ORDER BY c.id DESC LIMIT ?", (*values, limit))
    return [read_call_row(row) for row in rows.fetchall()]


def read_excessive(connection: apsw.Connection, limit: int) -> list[CallRow]:
    """The latest calls that were charged more than was held for them, and on which no person has ruled."""
    rows = connection.execute(
        f"{_LISTED} WHERE {EXCESSIVE_SQL} AND substr(coalesce(c.evidence, ''), 1, ?) <> ? ORDER BY c.id DESC LIMIT ?",
        (len(RULED), RULED, limit),
    )
    return [read_call_row(row) for row in rows.fetchall()]


def read_pages(connection: apsw.Connection, after: int, limit: int) -> list[CallRow]:
    """The calls behind number `after`, oldest first, without their bodies."""
    rows = connection.execute(f"{_LISTED} WHERE c.id > ? ORDER BY c.id LIMIT ?", (after, limit))
    return [read_call_row(row) for row in rows.fetchall()]


def read_last_number(connection: apsw.Connection) -> int:
    """The number of the last call; 0 where there is none."""
    return int(connection.execute("SELECT max(id) FROM call").get or 0)


def read_first_body(connection: apsw.Connection, behind: int) -> int:
    """The number of the first call behind `behind` that has a body; one that no call has where there is none."""
    firsts = [
        connection.execute(f"SELECT min(call) FROM {table} WHERE call > ?", (behind,)).get  # noqa: S608 two constants
        for table in ("request", "answer")
    ]
    return min((int(first) for first in firsts if first is not None), default=2**63 - 1)


def read_open(connection: apsw.Connection) -> list[tuple[str, str, str]]:
    """The owners of open calls, with the rail and account of each."""
    found: list[Any] = connection.execute(
        f"SELECT DISTINCT owner, rail, account FROM call WHERE {OPEN_SQL}"  # noqa: S608 a constant
    ).fetchall()
    return found


def read_totals(connection: apsw.Connection) -> Totals:
    """The sums over all rows."""
    charged = held = in_doubt = calls = 0
    sums: list[Any] = connection.execute("SELECT state, calls, held, charged - refunded FROM tally").fetchall()
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
    rows: list[Any] = connection.execute(f"{_EVENTS} WHERE {whose} e.id > ? ORDER BY e.id LIMIT ?", asked).fetchall()
    return [chain.read(*row) for row in rows]


def read_grant(connection: apsw.Connection, ref: GrantRef) -> Grant | None:
    """One grant, or None."""
    found = connection.execute(READ_GRANT + "WHERE kind = ? AND slip_id = ?", (ref.kind.value, ref.grant_id)).get
    return None if found is None else grant_row(found)


def read_grants(
    connection: apsw.Connection, kind: GrantKind, subject: str | None, states: frozenset[GrantState], limit: int
) -> list[Grant]:
    """The latest grants in some states, newest first."""
    names = sorted(state.value for state in states)
    whose = "" if subject is None else "AND subject = ?"
    asked = (kind.value, *names, *(() if subject is None else (subject,)), limit)
    rows: list[Any] = connection.execute(
        f"{READ_GRANT} WHERE kind = ? AND state IN ({','.join('?' * len(names))}) {whose} ORDER BY id DESC LIMIT ?",
        asked,
    ).fetchall()
    return [grant_row(row) for row in rows]


def read_questions(connection: apsw.Connection, at: UnixMs, skip: int, limit: int) -> OpenQuestions:
    """What waits for a person at an instant, oldest first."""
    waiting = "FROM slip WHERE state = 'asked' AND kind IN ('approval', 'limit') AND expires_at > ?"
    total: int = connection.execute(f"SELECT count(*) {waiting}", (at,)).get
    rows: list[Any] = connection.execute(
        f"{READ_GRANT} WHERE id IN (SELECT id {waiting}) ORDER BY id LIMIT ? OFFSET ?", (at, limit, skip)
    ).fetchall()
    return OpenQuestions([grant_row(row) for row in rows], total)


def values_of(row: CallRow) -> list[Any]:
    """A call's columns, without its bodies, as `read_call_row` reads them."""
    values = list(_FIELDS(row))
    values[13], values[18] = write_names(row.names), row.state.value
    return values


_FIELDS = attrgetter(*[field.name for field in fields(CallRow)][:-2])
