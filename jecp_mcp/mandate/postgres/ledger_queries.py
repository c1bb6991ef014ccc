"""The calls in PostgreSQL as they are read: outside the transactions that write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from jecp_mcp.clock import UnixMs
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.columns import read_call_row
from jecp_mcp.mandate.grants import Grant, GrantKind, GrantRef, GrantState, OpenQuestions
from jecp_mcp.mandate.postgres.bodies import ABANDONED_MS
from jecp_mcp.mandate.postgres.leases import DEAD_MS
from jecp_mcp.mandate.postgres.schema import KEPT
from jecp_mcp.mandate.postgres.store import grant_row
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
from jecp_mcp.mandate.sqlite.schema import OPEN, WRITTEN_OFF
from jecp_mcp.mandate.states import CHARGED, HOLDING, State
from jecp_mcp.money import MicroUSDC

if TYPE_CHECKING:
    from jecp_mcp.mandate.postgres.connection import Connection

COLUMNS: Final = """
SELECT c.id, c.call_id, c.principal, c.team, c.session, c.owner, c.claim, c.rail, c.account, c.tool, c.payee, c.source,
       c.offer, c.names, c.version, c.fingerprint, c.kind, c.terms, c.state, c.quoted, c.held, c.charged, c.refunded,
       c.balance_after, c.reference, c.evidence, c.attempts, c.created_at, c.sent_at, c.look_again_at, c.provable_until,
       c.ended_at, c.answered, c.delivered, c.mark"""
# Bodies have megabytes, and a list has many: an empty answer says that one is kept.
_LISTED = f"""
{COLUMNS}, ''::bytea,
CASE WHEN c.answered AND EXISTS (SELECT FROM jecp_mcp.answer WHERE call = c.id) THEN ''::bytea END
FROM jecp_mcp.call AS c
"""  # noqa: S608 constants of this module
NUMBERED: Final = f"{_LISTED} WHERE c.id = ANY (%s::bigint[])"
"""The calls of some numbers, without their bodies."""

_EVENTS = """
SELECT e.body, e.digest, coalesce(c.call_id, 'the missing call ' || e.call)
FROM jecp_mcp.event AS e LEFT JOIN jecp_mcp.call AS c ON c.id = e.call
"""
_GRANT = """
kind, slip_id, principal, subject, state, coalesce(body, (
  SELECT string_agg(p.body, ''::bytea ORDER BY p.number) FROM jecp_mcp.part AS p WHERE p.upload = slip.upload)),
created_at, expires_at, call_id, note
"""
_KEPT = """
SELECT b.body, b.upload, coalesce(b.size, 0) FROM (SELECT %s::bigint AS call) AS c
LEFT JOIN jecp_mcp.request AS b ON b.call = c.call
UNION ALL SELECT b.body, b.upload, coalesce(b.size, 0) FROM (SELECT %s::bigint AS call) AS c
LEFT JOIN jecp_mcp.answer AS b ON b.call = c.call
"""
_OPEN = """
SELECT owner, rail, account, owner <> %s AND jecp_mcp.dead(owner, %s)
FROM (SELECT DISTINCT owner, rail, account FROM jecp_mcp.call WHERE ended_at IS NULL) AS found
"""
_FEW = f"""
SELECT id FROM jecp_mcp.call WHERE ended_at IS NULL UNION ALL SELECT id FROM jecp_mcp.call WHERE {WRITTEN_OFF}
"""  # noqa: S608 a constant
_WAITING = "FROM jecp_mcp.slip WHERE state = 'asked' AND kind IN ('approval', 'limit') AND expires_at > %s"
_FIRST_BODY = """
SELECT coalesce(least((SELECT min(call) FROM jecp_mcp.request WHERE call > %s),
                      (SELECT min(call) FROM jecp_mcp.answer WHERE call > %s)), 9223372036854775807)
"""
_LEFT = """
DELETE FROM jecp_mcp.session AS s WHERE s.seen < jecp_mcp.lease_ms() - %s
AND NOT EXISTS (SELECT FROM jecp_mcp.call WHERE owner = s.id AND ended_at IS NULL)
"""


def read_row(connection: Connection, call_id: str) -> CallRow | None:
    """One call without its bodies, or None."""
    return _one(connection.query(f"{_LISTED} WHERE c.call_id = %s", (call_id,)))


def by_number(found: Sequence[Sequence[Any]]) -> dict[int, CallRow]:
    """Rows of `NUMBERED`."""
    return {row.number: row for row in map(read_call_row, found)}


def read_numbers(connection: Connection, numbers: Sequence[int]) -> dict[int, CallRow]:
    """Calls that are there, by their number, without their bodies."""
    return by_number(connection.query(NUMBERED, (list(numbers),)))


def read_identical(connection: Connection, fingerprint: str) -> AlreadyOpen | Undelivered | None:
    """The call that another one with this fingerprint would repeat, as `jecp_mcp.mandate.rules` decides it."""
    found = _one(connection.query(f"{_LISTED} WHERE c.fingerprint = %s AND c.{OPEN}", (fingerprint,)))
    if found is not None:
        return AlreadyOpen(found)
    since = f"greatest(jecp_mcp.now_ms(), jecp_mcp.last_at()) - {UNDELIVERED_MS}"
    where = f"WHERE c.fingerprint = %s AND c.{KEPT} AND c.ended_at > {since} ORDER BY c.id DESC LIMIT 1"
    found = _one(connection.query(f"{_LISTED} {where}", (fingerprint,)))
    return None if found is None else Undelivered(found)


def read_reference(connection: Connection, rail: str, account: str, reference: str) -> CallRow | None:
    """The call that a payment of an account paid for, without its bodies, or None."""
    where = "WHERE c.rail = %s AND c.account = %s AND c.reference = %s"
    return _one(connection.query(f"{_LISTED} {where}", (rail, account, reference)))


def read_last_of(connection: Connection, rail: str, account: str) -> CallRow | None:
    """The latest call of an account whose answer told the balance, without its bodies, or None."""
    where = "WHERE c.rail = %s AND c.account = %s AND c.balance_after IS NOT NULL"
    return _one(connection.query(f"{_LISTED} {where} ORDER BY c.id DESC LIMIT 1", (rail, account)))


def read_has_paid(connection: Connection, principal: str, rail: str, account: str, payee: str) -> bool:
    """Whether a principal ever paid a payee from an account."""
    ((found,),) = connection.query(
        f"SELECT EXISTS (SELECT FROM jecp_mcp.call WHERE payee = %s AND principal = %s AND account = %s "  # noqa: S608 a constant
        f"AND {CHARGED_SQL} AND rail = %s)",
        (payee, principal, account, rail),
    )
    return bool(found)


def read_due(connection: Connection, session: str, limit: int) -> list[CallRow]:
    """The open calls of a session whose payee is due to be asked, the longest due first, without their bodies."""
    # Where the clock went back, time stands still.
    at = "greatest(jecp_mcp.now_ms(), jecp_mcp.last_at())"
    where = f"WHERE c.owner = %s AND c.look_again_at <= {at} AND c.ended_at IS NULL"
    return _rows(connection.query(f"{_LISTED} {where} ORDER BY c.look_again_at, c.id LIMIT %s", (session, limit)))


def read_next_look(connection: Connection, session: str) -> UnixMs | None:
    """When the first open call of a session is due to be asked for, or None."""
    ((found,),) = connection.query("SELECT min(look_again_at) FROM jecp_mcp.call WHERE owner = %s", (session,))
    return None if found is None else UnixMs(found)


def read_rows(
    connection: Connection, limit: int, states: frozenset[State] | None, principal: str | None = None
) -> list[CallRow]:
    """The latest calls, newest first, without their bodies; only those in `states` or of `principal` when given."""
    where, values = [], list[Any]()
    if states is not None:
        values.append(sorted(state.value for state in states))
        where.append("c.state = ANY (%s)")
        if states <= HOLDING:
            # Few calls are: begin with them, not with the latest.
            where.append(f"c.id IN ({_FEW})")
    if principal is not None:
        values.append(principal)
        where.append("c.principal = %s")
    chosen = f"WHERE {' AND '.join(where)}" if where else ""
    return _rows(connection.query(f"{_LISTED} {chosen} ORDER BY c.id DESC LIMIT %s", (*values, limit)))


def read_excessive(connection: Connection, limit: int) -> list[CallRow]:
    """The latest calls that were charged more than was held for them, and on which no person has ruled."""
    where = f"WHERE c.{EXCESSIVE_SQL} AND left(coalesce(c.evidence, ''), %s) <> %s"
    return _rows(connection.query(f"{_LISTED} {where} ORDER BY c.id DESC LIMIT %s", (len(RULED), RULED, limit)))


def read_pages(connection: Connection, after: int, limit: int) -> list[CallRow]:
    """The calls behind number `after`, oldest first, without their bodies."""
    return _rows(connection.query(f"{_LISTED} WHERE c.id > %s ORDER BY c.id LIMIT %s", (after, limit)))


def read_last_number(connection: Connection) -> int:
    """The number of the last call; 0 where there is none."""
    ((found,),) = connection.query("SELECT coalesce(max(id), 0) FROM jecp_mcp.call")
    return int(found)


def read_first_body(connection: Connection, behind: int) -> int:
    """The number of the first call behind `behind` that has a body; one that no call has where there is none."""
    ((found,),) = connection.query(_FIRST_BODY, (behind, behind))
    return int(found)


def read_open(connection: Connection, session: str) -> list[tuple[str, str, str, bool]]:
    """The owners of open calls, with the rail and account of each, and whether it has ended."""
    return [
        (owner, rail, account, bool(dead)) for owner, rail, account, dead in connection.query(_OPEN, (session, DEAD_MS))
    ]


def remove_ended_sessions(connection: Connection) -> None:
    """Remove the sessions that have ended and own nothing any more."""
    connection.query(_LEFT, (DEAD_MS,))


def drop_parts(connection: Connection, upload: str) -> None:
    """Drop the parts of a body that nothing is going to name."""
    connection.query("DELETE FROM jecp_mcp.part WHERE upload = %s", (upload,))


def sweep_parts(connection: Connection) -> None:
    """Drop the parts of bodies that nothing names, and that nobody is sending any more."""
    connection.query("SELECT jecp_mcp.sweep(jecp_mcp.lease_ms() - %s)", (ABANDONED_MS,))


def read_totals(connection: Connection) -> Totals:
    """The sums over all rows."""
    charged = held = in_doubt = calls = 0
    for name, count, held_here, charged_here in connection.query(
        "SELECT state, calls, held, charged - refunded FROM jecp_mcp.tally"
    ):
        state = State(name)
        calls += count
        charged += charged_here if state in CHARGED else 0
        held += held_here if state in HOLDING else 0
        in_doubt += held_here if state is State.IN_DOUBT else 0
    return Totals(MicroUSDC(charged), MicroUSDC(held), MicroUSDC(in_doubt), calls)


def read_events(connection: Connection, call_id: str | None, after: int, limit: int) -> list[EventRow]:
    """Changes behind number `after`, oldest first: those of one call, or all."""
    whose = "" if call_id is None else "e.call = (SELECT id FROM jecp_mcp.call WHERE call_id = %s) AND"
    # SQLite takes a negative limit for none.
    asked = (after, None if limit < 0 else limit)
    rows = connection.query(
        f"{_EVENTS} WHERE {whose} e.id > %s ORDER BY e.id LIMIT %s", asked if call_id is None else (call_id, *asked)
    )
    return [chain.read(bytes(body), bytes(digest), of) for body, digest, of in rows]


def read_grant(connection: Connection, ref: GrantRef) -> Grant | None:
    """One grant, or None."""
    found = connection.query(
        f"SELECT {_GRANT} FROM jecp_mcp.slip WHERE kind = %s AND slip_id = %s",  # noqa: S608 constants of this module
        (ref.kind.value, ref.grant_id),
    )
    return grant_row(found[0]) if found else None


def read_grants(
    connection: Connection, kind: GrantKind, subject: str | None, states: frozenset[GrantState], limit: int
) -> list[Grant]:
    """The latest grants in some states, newest first."""
    names = sorted(state.value for state in states)
    rows = connection.query(
        f"SELECT {_GRANT} FROM jecp_mcp.slip WHERE kind = %s AND state = ANY (%s) "  # noqa: S608 constants of this module
        "AND (%s::text IS NULL OR subject = %s) "
        "ORDER BY number DESC LIMIT %s",
        (kind.value, names, subject, subject, limit),
    )
    return [grant_row(row) for row in rows]


def read_questions(connection: Connection, at: UnixMs, skip: int, limit: int) -> OpenQuestions:
    """What waits for a person at an instant, oldest first."""
    ((total,),) = connection.query(f"SELECT count(*) {_WAITING}", (at,))
    rows = connection.query(f"SELECT {_GRANT} {_WAITING} ORDER BY number LIMIT %s OFFSET %s", (at, limit, skip))
    return OpenQuestions([grant_row(row) for row in rows], int(total))


def read_grant_page(connection: Connection, after: int, limit: int) -> list[tuple[int, Grant]]:
    """Grants behind number `after`, oldest first, with their numbers."""
    rows = connection.query(
        f"SELECT number, {_GRANT} FROM jecp_mcp.slip WHERE number > %s ORDER BY number LIMIT %s",  # noqa: S608 likewise
        (after, limit),
    )
    return [(number, grant_row(row)) for number, *row in rows]


@dataclass(frozen=True, slots=True)
class StoredBody:
    """A request or an answer: its bytes, or the name of its parts, or neither.

    Attributes:
        size: its length in bytes.
    """

    body: bytes | None
    upload: str | None
    size: int


def read_bodies(connection: Connection, number: int) -> tuple[StoredBody, StoredBody]:
    """A call's request and answer."""
    found = connection.query(_KEPT, (number, number))
    request, answer = (StoredBody(None if body is None else bytes(body), upload, size) for body, upload, size in found)
    return request, answer


def read_part(connection: Connection, upload: str, number: int) -> bytes | None:
    """A part of a body, or None behind the last one."""
    return connection.get_part("SELECT body FROM jecp_mcp.part WHERE upload = %s AND number = %s", (upload, number))


def read_parts(connection: Connection, upload: str) -> set[int]:
    """The numbers of the parts that are there."""
    return {number for (number,) in connection.query("SELECT number FROM jecp_mcp.part WHERE upload = %s", (upload,))}


def _one(found: Sequence[Sequence[Any]]) -> CallRow | None:
    return read_call_row(found[0]) if found else None


def _rows(found: Sequence[Sequence[Any]]) -> list[CallRow]:
    return [read_call_row(row) for row in found]
