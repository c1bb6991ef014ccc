"""The calls in PostgreSQL as they are read: outside the transactions that write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from jecp_mcp.clock import UnixMs
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.columns import CALL, read_call_row, read_grant, read_totals
from jecp_mcp.mandate.grants import Grant, GrantKind, GrantRef, GrantState, OpenQuestions
from jecp_mcp.mandate.postgres.bodies import ABANDONED_MS
from jecp_mcp.mandate.postgres.leases import DEAD_MS
from jecp_mcp.mandate.postgres.schema import KEPT
from jecp_mcp.mandate.postgres.storable_text import storable
from jecp_mcp.mandate.records import (
    RULED,
    AlreadyOpen,
    CallRow,
    EventRow,
    Totals,
    Undelivered,
)
from jecp_mcp.mandate.rules import UNDELIVERED_MS
from jecp_mcp.mandate.served import OpenOwner, read_owner
from jecp_mcp.mandate.sql_conditions import (
    AUTHORIZED,
    CAME_TO_NOTHING,
    CHARGED,
    COPIES_AMONG,
    EXCESSIVE,
    IN_TURN,
    OPEN,
    WRITTEN_OFF,
)
from jecp_mcp.mandate.states import HOLDING, State

if TYPE_CHECKING:
    from jecp_mcp.mandate.postgres.connection import Connection

COLUMNS: Final = f"SELECT {', '.join(f'c.{name}' for name in CALL)}"
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
_OPEN = f"""
SELECT found.*, owner <> %s AND jecp_mcp.dead(owner, %s)
FROM (SELECT DISTINCT owner, rail, account, {AUTHORIZED} FROM jecp_mcp.call WHERE ended_at IS NULL) AS found
"""  # noqa: S608 constants
_FEW = f"""
SELECT id FROM jecp_mcp.call WHERE ended_at IS NULL UNION ALL SELECT id FROM jecp_mcp.call WHERE {WRITTEN_OFF}
"""  # noqa: S608 a constant
_COPY = "(c.fingerprint = %s OR starts_with(c.fingerprint, %s))"
_WAITING = "state = 'asked' AND kind IN ('approval', 'limit') AND expires_at > %s"
_NOW = "greatest(jecp_mcp.now_ms(), jecp_mcp.last_at())"
"""The ledger's instant: where the clock went back, time stands still."""
_FIRST_BODY = """
SELECT coalesce(least((SELECT min(call) FROM jecp_mcp.request WHERE call > %s),
                      (SELECT min(call) FROM jecp_mcp.answer WHERE call > %s)), 9223372036854775807)
"""
_LEFT = """
DELETE FROM jecp_mcp.session AS s WHERE s.seen < jecp_mcp.lease_ms() - %s
AND NOT EXISTS (SELECT FROM jecp_mcp.call WHERE owner = s.id AND ended_at IS NULL)
"""


def by_number(found: Sequence[Sequence[Any]]) -> dict[int, CallRow]:
    """Rows of `NUMBERED`."""
    return {row.number: row for row in map(read_call_row, found)}


@dataclass(frozen=True, slots=True)
class StoredBody:
    """A request or an answer: its bytes, or the name of its parts, or neither.

    Attributes:
        size: its length in bytes.
    """

    body: bytes | None
    upload: str | None
    size: int


class LedgerQueries:
    """What is read of one ledger with one connection, outside the transactions that write."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def row(self, call_id: str) -> CallRow | None:
        return self._one("WHERE c.call_id = %s", call_id) if storable(call_id) else None

    def numbers(self, numbers: Sequence[int]) -> dict[int, CallRow]:
        """Calls that are there, by their number, without their bodies."""
        return by_number(self._connection.query(NUMBERED, (list(numbers),)))

    def identical(self, fingerprint: str) -> AlreadyOpen | Undelivered | None:
        """The call that another one with this fingerprint would repeat, as `jecp_mcp.mandate.rules` decides it."""
        found = self._one(f"WHERE c.fingerprint = %s AND c.{OPEN}", fingerprint)
        if found is not None:
            return AlreadyOpen(found)
        since = f"{_NOW} - {UNDELIVERED_MS}"
        recent = f"(c.ended_at IS NULL OR c.ended_at > {since})"
        where = f"WHERE c.fingerprint = %s AND c.{KEPT} AND {recent} ORDER BY c.id DESC LIMIT 1"
        found = self._one(where, fingerprint)
        return None if found is None else Undelivered(found)

    def of_reference(self, rail: str, account: str, reference: str) -> CallRow | None:
        if not storable(reference):
            return None
        return self._one("WHERE c.rail = %s AND c.account = %s AND c.reference = %s", rail, account, reference)

    def last_of(self, rail: str, account: str) -> CallRow | None:
        where = "WHERE c.rail = %s AND c.account = %s AND c.balance_after IS NOT NULL ORDER BY c.id DESC LIMIT 1"
        return self._one(where, rail, account)

    def has_paid(self, principal: str, rail: str, account: str, payee: str) -> bool:
        where = f"WHERE payee = %s AND principal = %s AND account = %s AND {CHARGED} AND rail = %s"
        asked = f"SELECT EXISTS (SELECT FROM jecp_mcp.call {where})"  # noqa: S608 a constant
        ((found,),) = self._connection.query(asked, (payee, principal, account, rail))
        return bool(found)

    def due(self, session: str, limit: int) -> list[CallRow]:
        """The open calls of a session whose payee is due to be asked, in turn by account, without their bodies."""
        where = f"WHERE c.owner = %s AND c.look_again_at <= {_NOW} AND c.ended_at IS NULL"
        return self._list(f"{where} ORDER BY {IN_TURN} LIMIT %s", session, limit)

    def next_look(self, session: str) -> UnixMs | None:
        ((found,),) = self._connection.query(
            "SELECT min(look_again_at) FROM jecp_mcp.call WHERE owner = %s", (session,)
        )
        return None if found is None else UnixMs(found)

    def rows(self, limit: int, states: frozenset[State] | None, principal: str | None = None) -> list[CallRow]:
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
        return self._list(f"{chosen} ORDER BY c.id DESC LIMIT %s", *values, limit)

    def open_copies(self, identity: str) -> list[CallRow]:
        # Few calls have not ended: begin with them. Texts are compared by a language here, so no range will do.
        few = "c.id IN (SELECT id FROM jecp_mcp.call WHERE ended_at IS NULL)"
        return self._list(f"WHERE {few} AND c.{OPEN} AND {_COPY}", identity, f"{identity}.")

    def copy_number(self, call_id: str) -> int:
        asked = "SELECT id, fingerprint FROM jecp_mcp.call WHERE call_id = %s"
        own = self._connection.query(asked, (call_id,)) if storable(call_id) else []
        if not own:
            return 0
        ((number, fingerprint),) = own
        identity = fingerprint.partition(".")[0]
        where = f"c.id < %s AND c.id >= %s AND {_COPY} AND NOT ({CAME_TO_NOTHING})"
        ((before,),) = self._connection.query(
            f"SELECT count(*) FROM jecp_mcp.call AS c WHERE {where}",  # noqa: S608 a constant
            (number, number - COPIES_AMONG, identity, f"{identity}."),
        )
        return 1 + int(before)

    def receipts(self, principal: str, source: str, payee: str, among: int) -> tuple[int, int]:
        latest = (
            "SELECT source, payee, charged, reference FROM jecp_mcp.call WHERE principal = %s ORDER BY id DESC LIMIT %s"
        )
        told = "SELECT count(*), count(reference)"
        ((charged, referred),) = self._connection.query(
            f"{told} FROM ({latest}) AS c WHERE source = %s AND payee = %s AND charged > 0",
            (principal, among, source, payee),
        )
        return charged, referred

    def excessive(self, limit: int) -> list[CallRow]:
        where = f"WHERE c.{EXCESSIVE} AND left(coalesce(c.evidence, ''), %s) <> %s"
        return self._list(f"{where} ORDER BY c.id DESC LIMIT %s", len(RULED), RULED, limit)

    def pages(self, after: int, limit: int) -> list[CallRow]:
        return self._list("WHERE c.id > %s ORDER BY c.id LIMIT %s", after, limit)

    def last_number(self) -> int:
        ((found,),) = self._connection.query("SELECT coalesce(max(id), 0) FROM jecp_mcp.call")
        return int(found)

    def first_body(self, behind: int) -> int:
        ((found,),) = self._connection.query(_FIRST_BODY, (behind, behind))
        return int(found)

    def open_owners(self, session: str) -> list[tuple[OpenOwner, bool]]:
        """The owners of open calls, and whether each has ended."""
        found = self._connection.query(_OPEN, (session, DEAD_MS))
        return [(read_owner(*row), bool(dead)) for *row, dead in found]

    def totals(self) -> Totals:
        return read_totals(self._connection.query("SELECT state, calls, held, charged - refunded FROM jecp_mcp.tally"))

    def events(self, call_id: str | None, after: int, limit: int) -> list[EventRow]:
        if call_id is not None and not storable(call_id):
            return []
        whose = "" if call_id is None else "e.call = (SELECT id FROM jecp_mcp.call WHERE call_id = %s) AND"
        # SQLite takes a negative limit for none.
        asked = (after, None if limit < 0 else limit)
        rows = self._connection.query(
            f"{_EVENTS} WHERE {whose} e.id > %s ORDER BY e.id LIMIT %s", asked if call_id is None else (call_id, *asked)
        )
        return [chain.read(bytes(body), bytes(digest), of) for body, digest, of in rows]

    def grant(self, ref: GrantRef) -> Grant | None:
        found = (
            self._grants("kind = %s AND slip_id = %s", ref.kind.value, ref.grant_id) if storable(ref.grant_id) else []
        )
        return found[0] if found else None

    def grants(self, kind: GrantKind, subject: str | None, states: frozenset[GrantState], limit: int) -> list[Grant]:
        names = sorted(state.value for state in states)
        where = "kind = %s AND state = ANY (%s) AND (%s::text IS NULL OR subject = %s) ORDER BY number DESC LIMIT %s"
        return self._grants(where, kind.value, names, subject, subject, limit)

    def questions(self, at: UnixMs, skip: int, limit: int) -> OpenQuestions:
        ((total,),) = self._connection.query(f"SELECT count(*) FROM jecp_mcp.slip WHERE {_WAITING}", (at,))  # noqa: S608 a constant
        return OpenQuestions(
            self._grants(f"{_WAITING} ORDER BY number LIMIT %s OFFSET %s", at, limit, skip), int(total)
        )

    def grant_page(self, after: int, limit: int) -> list[tuple[int, Grant]]:
        """Grants behind number `after`, oldest first, with their numbers."""
        rows = self._connection.query(
            f"SELECT number, {_GRANT} FROM jecp_mcp.slip WHERE number > %s ORDER BY number LIMIT %s",  # noqa: S608 likewise
            (after, limit),
        )
        return [(number, read_grant(row)) for number, *row in rows]

    def bodies(self, number: int) -> tuple[StoredBody, StoredBody]:
        """A call's request and answer."""
        found = self._connection.query(_KEPT, (number, number))
        request, answer = (
            StoredBody(None if body is None else bytes(body), upload, size) for body, upload, size in found
        )
        return request, answer

    def part(self, upload: str, number: int) -> bytes | None:
        """A part of a body, or None behind the last one."""
        return self._connection.get_part(
            "SELECT body FROM jecp_mcp.part WHERE upload = %s AND number = %s", (upload, number)
        )

    def parts(self, upload: str) -> set[int]:
        """The numbers of the parts that are there."""
        return {
            number
            for (number,) in self._connection.query("SELECT number FROM jecp_mcp.part WHERE upload = %s", (upload,))
        }

    def remove_ended_sessions(self) -> None:
        """Remove the sessions that have ended and own nothing any more."""
        self._connection.query(_LEFT, (DEAD_MS,))

    def drop_parts(self, upload: str) -> None:
        """Drop the parts of a body that nothing is going to name."""
        self._connection.query("DELETE FROM jecp_mcp.part WHERE upload = %s", (upload,))

    def sweep_parts(self) -> None:
        """Drop the parts of bodies that nothing names, and that nobody is sending any more."""
        self._connection.query("SELECT jecp_mcp.sweep(jecp_mcp.lease_ms() - %s)", (ABANDONED_MS,))

    def _one(self, where: str, *asked: Any) -> CallRow | None:
        found = self._list(where, *asked)
        return found[0] if found else None

    def _list(self, where: str, *asked: Any) -> list[CallRow]:
        return [read_call_row(row) for row in self._connection.query(f"{_LISTED} {where}", asked)]

    def _grants(self, where: str, *asked: Any) -> list[Grant]:
        found = self._connection.query(f"SELECT {_GRANT} FROM jecp_mcp.slip WHERE {where}", asked)  # noqa: S608 constants
        return [read_grant(row) for row in found]
