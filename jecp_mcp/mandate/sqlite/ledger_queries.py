"""The calls in SQLite as they are read: outside a transaction, by a connection that never writes."""

from __future__ import annotations

from typing import Any, Final

import apsw

from jecp_mcp.clock import UnixMs
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.columns import CALL, read_call_row, read_grant, read_totals
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
from jecp_mcp.mandate.sqlite.recent_calls import RecentCalls
from jecp_mcp.mandate.sqlite.schema import KEPT, UNENDED
from jecp_mcp.mandate.sqlite.store import READ_GRANT
from jecp_mcp.mandate.states import HOLDING, State

COLUMNS: Final = f"SELECT {', '.join(f'c.{name}' for name in CALL)}"
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

_FIRST_BODY = """
SELECT coalesce(min(first), 9223372036854775807) FROM (
    SELECT min(call) AS first FROM request WHERE call > ? UNION ALL SELECT min(call) FROM answer WHERE call > ?
)
"""

_LATEST = 10_000
"""How many of the latest calls are looked at for an account's balance."""


class LedgerQueries:
    """What is read of one ledger with one connection, outside the transactions that write."""

    def __init__(self, connection: apsw.Connection, recent: RecentCalls | None = None) -> None:
        """Read with `connection`; `recent` remembers what was read with it before."""
        self._connection = connection
        self._recent = recent

    def row(self, call_id: str) -> CallRow | None:
        return self._one(ROW, "WHERE c.call_id = ?", call_id)

    def number(self, number: int) -> CallRow:
        """A call that is there, by its number."""
        return read_call_row(self._connection.execute(ROW + "WHERE c.id = ?", (number,)).get)

    def identical(self, fingerprint: str, now: UnixMs) -> AlreadyOpen | Undelivered | None:
        """The call that another one with this fingerprint would repeat, as `jecp_mcp.mandate.rules` decides it."""
        found = self._one(ROW, f"WHERE c.fingerprint = ? AND c.{OPEN}", fingerprint)
        if found is not None:
            return AlreadyOpen(found)
        where = (
            f"WHERE c.fingerprint = ? AND {KEPT} AND (c.ended_at IS NULL OR c.ended_at > ?) ORDER BY c.id DESC LIMIT 1"
        )
        found = self._one(ROW, where, fingerprint, now - UNDELIVERED_MS)
        if found is not None:
            # Where the clock is behind the last change, that one's instant is the ledger's, and fewer are to be found.
            found = self._one(ROW, where, fingerprint, self._at(now) - UNDELIVERED_MS)
        return None if found is None else Undelivered(found)

    def of_reference(self, rail: str, account: str, reference: str) -> CallRow | None:
        return self._one(ROW, "WHERE c.rail = ? AND c.account = ? AND c.reference = ?", rail, account, reference)

    def last_of(self, rail: str, account: str) -> CallRow | None:
        """The latest call of an account whose answer told the balance, or None where it is none of the latest calls."""
        where = """WHERE c.rail = ? AND c.account = ? AND c.balance_after IS NOT NULL
        AND c.id > (SELECT max(id) FROM call) - ? ORDER BY c.id DESC LIMIT 1"""
        return self._one(_LISTED, where, rail, account, _LATEST)

    def has_paid(self, principal: str, rail: str, account: str, payee: str) -> bool:
        paid = f"SELECT 1 FROM call WHERE payee = ? AND account = ? AND {CHARGED} AND rail = ? AND principal = ?"  # noqa: S608 a constant
        return bool(self._connection.execute(f"SELECT EXISTS ({paid})", (payee, account, rail, principal)).get)

    def due(self, session: str, now: UnixMs, limit: int) -> list[CallRow]:
        """The open calls of a session whose payee is due to be asked: of each account in turn, the longest due first.

        Where the clock is behind the last change, that one's instant is the ledger's.
        """
        where = f"WHERE c.owner = ? AND c.look_again_at <= ? ORDER BY {IN_TURN} LIMIT ?"
        return self._list(where, session, self._at(now), limit)

    def _at(self, now: UnixMs) -> UnixMs:
        return max(now, self.last_at() or now)

    def last_at(self) -> UnixMs | None:
        """The instant of the last change; None where there is none."""
        last = self._connection.execute("SELECT body FROM event ORDER BY id DESC LIMIT 1").get
        return None if last is None else chain.instant(last)

    def next_look(self, session: str) -> UnixMs | None:
        found: UnixMs | None = self._connection.execute(
            "SELECT min(look_again_at) FROM call WHERE owner = ? AND look_again_at IS NOT NULL", (session,)
        ).get
        return found

    def rows(self, limit: int, states: frozenset[State] | None, principal: str | None = None) -> list[CallRow]:
        where, values = [], sorted(state.value for state in states or ())
        if states is not None:
            where.append(f"c.state IN ({','.join('?' * len(values))})")
            if states <= HOLDING:
                # Few calls are: begin with them, not with the latest.
                few = f"SELECT id FROM call WHERE {OPEN} UNION ALL SELECT id FROM call WHERE {WRITTEN_OFF}"  # noqa: S608 constants
                where.append(f"c.id IN ({few})")
        if principal is not None:
            values.append(principal)
            where.append("c.principal = ?")
        chosen = f"WHERE {' AND '.join(where)}" if where else ""
        return self._list(f"{chosen} ORDER BY c.id DESC LIMIT ?", *values, limit)

    def open_copies(self, identity: str) -> list[CallRow]:
        # The point is the sign before the slash.
        return self._list(f"WHERE c.fingerprint >= ? AND c.fingerprint < ? AND {OPEN}", identity, f"{identity}/")

    def copy_number(self, call_id: str) -> int:
        own = self._connection.execute("SELECT id, fingerprint FROM call WHERE call_id = ?", (call_id,)).get
        if own is None:
            return 0
        number, fingerprint = own
        identity = fingerprint.partition(".")[0]
        if self._recent is not None and not self._recent.may_have_copies(self._connection, number, identity):
            return 1
        where = f"id < ? AND id >= ? AND fingerprint >= ? AND fingerprint < ? AND NOT ({CAME_TO_NOTHING})"
        asked = (number, number - COPIES_AMONG, identity, f"{identity}/")
        return 1 + int(self._connection.execute(f"SELECT count(*) FROM call WHERE {where}", asked).get)  # noqa: S608 a constant

    def receipts(self, principal: str, source: str, payee: str, among: int) -> tuple[int, int]:
        latest = "SELECT source, payee, charged, reference FROM call WHERE principal = ? ORDER BY id DESC LIMIT ?"
        told = f"SELECT count(*), count(reference) FROM ({latest}) WHERE source = ? AND payee = ? AND charged > 0"  # noqa: S608 a constant
        ((charged, referred),) = self._all(told, principal, among, source, payee)
        return charged, referred

    def excessive(self, limit: int) -> list[CallRow]:
        unruled = "substr(coalesce(c.evidence, ''), 1, ?) <> ?"
        return self._list(f"WHERE {EXCESSIVE} AND {unruled} ORDER BY c.id DESC LIMIT ?", len(RULED), RULED, limit)

    def pages(self, after: int, limit: int) -> list[CallRow]:
        return self._list("WHERE c.id > ? ORDER BY c.id LIMIT ?", after, limit)

    def last_number(self) -> int:
        return int(self._connection.execute("SELECT coalesce(max(id), 0) FROM call").get)

    def first_body(self, behind: int) -> int:
        return int(self._connection.execute(_FIRST_BODY, (behind, behind)).get)

    def open_owners(self) -> list[OpenOwner]:
        """The owners of calls that are open or whose charge may yet turn."""
        found = self._all(f"SELECT DISTINCT owner, rail, account, {AUTHORIZED} FROM call WHERE id IN ({UNENDED})")  # noqa: S608 constants
        return [read_owner(*row) for row in found]

    def totals(self) -> Totals:
        return read_totals(self._all("SELECT state, calls, held, charged - refunded FROM tally"))

    def events(self, call_id: str | None, after: int, limit: int) -> list[EventRow]:
        whose = "" if call_id is None else "e.call = (SELECT id FROM call WHERE call_id = ?) AND"
        asked = (after, limit) if call_id is None else (call_id, after, limit)
        return [
            chain.read(*row) for row in self._all(f"{_EVENTS} WHERE {whose} e.id > ? ORDER BY e.id LIMIT ?", *asked)
        ]

    def grant(self, ref: GrantRef) -> Grant | None:
        found = self._all(READ_GRANT + "WHERE kind = ? AND slip_id = ?", ref.kind.value, ref.grant_id)
        return read_grant(found[0]) if found else None

    def grants(self, kind: GrantKind, subject: str | None, states: frozenset[GrantState], limit: int) -> list[Grant]:
        names = sorted(state.value for state in states)
        whose = "" if subject is None else "AND subject = ?"
        where = f"WHERE kind = ? AND state IN ({','.join('?' * len(names))}) {whose} ORDER BY id DESC LIMIT ?"
        asked = (kind.value, *names, *(() if subject is None else (subject,)), limit)
        return [read_grant(row) for row in self._all(READ_GRANT + where, *asked)]

    def questions(self, at: UnixMs, skip: int, limit: int) -> OpenQuestions:
        waiting = "FROM slip WHERE state = 'asked' AND kind IN ('approval', 'limit') AND expires_at > ?"
        ((total,),) = self._all(f"SELECT count(*) {waiting}", at)
        where = f"WHERE id IN (SELECT id {waiting}) ORDER BY id LIMIT ? OFFSET ?"
        return OpenQuestions([read_grant(row) for row in self._all(READ_GRANT + where, at, limit, skip)], total)

    def _one(self, calls: str, where: str, *asked: Any) -> CallRow | None:
        found = self._connection.execute(f"{calls} {where}", asked).get
        return None if found is None else read_call_row(found)

    def _list(self, where: str, *asked: Any) -> list[CallRow]:
        return [read_call_row(row) for row in self._all(f"{_LISTED} {where}", *asked)]

    def _all(self, sql: str, *asked: Any) -> list[Any]:
        found: list[Any] = self._connection.execute(sql, asked).fetchall()
        return found
