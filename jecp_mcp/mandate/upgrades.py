"""Bringing a ledger that an earlier version wrote up to the present tables: all of it or, if it breaks off, nothing."""

from __future__ import annotations

from typing import Any

import apsw

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import LedgerDamaged
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.ledger import WINDOW_MS
from jecp_mcp.mandate.meters import SLOT_MS, facts_of
from jecp_mcp.mandate.records import COLUMNS, call_row
from jecp_mcp.mandate.schema import CALL_INDEXES, EVENTS, SLIPS, VERSION


def upgrade(connection: apsw.Connection, version: int, session: str, at: UnixMs) -> None:
    """Take the tables from `version` to the present one, in one transaction.

    Raises:
        LedgerDamaged: a call or its request is gone.
        ValueError: a row cannot be read.
    """
    if version == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have done it while this one waited.
        if connection.pragma("user_version") == 1:
            _columns(connection)
            _meters(connection)
            _events(connection, session, at)
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _columns(connection: apsw.Connection) -> None:
    connection.execute(
        """
        ALTER TABLE call ADD COLUMN refunded INTEGER NOT NULL DEFAULT 0 CHECK (refunded >= 0 AND refunded <= charged);
        ALTER TABLE call ADD COLUMN meters TEXT NOT NULL DEFAULT '';
        ALTER TABLE meter ADD COLUMN slot_ms INTEGER;
        ALTER TABLE meter ADD COLUMN window_ms INTEGER;
        DROP INDEX call_open;
        DROP INDEX call_undelivered;
        """
        + CALL_INDEXES
        + SLIPS
    )


def _meters(connection: apsw.Connection) -> None:
    """Calls listed their slots; now they list their meters, and a meter knows its window.

    A slot that had left its window by then is not known any more, and nothing depends on it.
    """
    slots: list[Any] = connection.execute("SELECT id, meter FROM slot").fetchall()
    owners: dict[int, int] = dict(slots)
    for window, slot_ms in SLOT_MS.items():
        connection.execute(
            "UPDATE meter SET slot_ms = ?1, window_ms = ?2 WHERE key LIKE ?3 "
            "OR EXISTS (SELECT 1 FROM slot WHERE meter = meter.id AND expires - start = ?1 + ?2)",
            (slot_ms, WINDOW_MS[window], f'["{window.value}",%'),
        )
    listed: list[Any] = connection.execute("SELECT id, slots FROM call WHERE slots <> ''").fetchall()
    for number, named in listed:
        meters = [owners[slot] for slot in map(int, named.split(",")) if slot in owners]
        connection.execute("UPDATE call SET meters = ? WHERE id = ?", (",".join(map(str, meters)), number))
    connection.execute("ALTER TABLE call DROP COLUMN slots")


def _events(connection: apsw.Connection, session: str, at: UnixMs) -> None:
    """Write the events anew, as a chain, and add those that were not kept before."""
    old: list[Any] = connection.execute(
        'SELECT call, at, event, "before", "after", held, charged, session, evidence FROM event ORDER BY id'
    ).fetchall()
    connection.execute("DROP TRIGGER event_stays; DROP TRIGGER event_kept; DROP TABLE event;" + EVENTS)
    now = max(at, *(told[0] for _, *told in old)) if old else at
    rewrite = _Rewriting(connection, session)
    last = {call: number for number, (call, *_) in enumerate(old)}
    for number, (call, *told, evidence) in enumerate(old):
        # What was not kept for each change is told by the last one of a call.
        rewrite.event(call, *told, evidence=evidence, told_last=last[call] == number)
    calls: list[Any] = connection.execute("SELECT id FROM call ORDER BY id").fetchall()
    for (call,) in calls:
        rewrite.standing(call, now)
    meters: list[Any] = connection.execute("SELECT id, key, slot_ms, window_ms FROM meter ORDER BY id").fetchall()
    for number, key, slot_ms, window_ms in meters:
        rewrite.whole(chain.METER, facts_of(number, key, slot_ms, window_ms, ()), now)
    rewrite.whole(chain.UPGRADE, chain.facts(version=VERSION), now)


class _Rewriting:
    """The new chain, as far as it is written."""

    def __init__(self, connection: apsw.Connection, session: str) -> None:
        self._connection = connection
        self._session = session
        self._number = 0
        self._head = chain.GENESIS
        self._owner: dict[int, str] = {}

    def event(
        self,
        call: int,
        at: int,
        event: str,
        before: str | None,
        now: str,
        held: int,
        charged: int,
        session: str,
        *,
        evidence: str | None,
        told_last: bool,
    ) -> None:
        """An event of the old ledger."""
        found = self._connection.execute(COLUMNS + ", x'', NULL FROM call AS c WHERE c.id = ?", (call,)).get
        request, answer, meters = self._connection.execute(
            "SELECT (SELECT body FROM request WHERE call = ?1), (SELECT body FROM answer WHERE call = ?1), "
            "(SELECT meters FROM call WHERE id = ?1)",
            (call,),
        ).get
        if found is None or request is None:
            raise LedgerDamaged(f"the ledger has lost the call {call}, or its request")
        row = call_row(found)
        reserved = event == chain.RESERVE
        told: dict[str, object] = {}
        if reserved:
            self._owner[call] = session
            told |= {"request": chain.body_digest(request), "meters": meters or None}
        if told_last:
            told |= {"attempts": row.attempts or None, "balance_after": row.balance_after}
            told |= {"transaction_id": row.transaction_id}
            told |= {"answer": None if answer is None else chain.body_digest(answer)}
            evidence = row.evidence
        identity = chain.identity_of(row) if reserved else chain.NOBODY
        self._write(
            call,
            row.call_id,
            (at, event, before, now, held, charged, 0, session, evidence),
            chain.facts(**told),
            identity,
        )

    def standing(self, call: int, at: int) -> None:
        """What a row shows that no old event tells."""
        found = self._connection.execute(
            "SELECT call_id, state, held, charged, session, delivered FROM call WHERE id = ?", (call,)
        ).get
        call_id, state, held, charged, session, delivered = found
        for event, missing in ((chain.ADOPT, self._owner.get(call) != session), (chain.DELIVER, delivered)):
            if missing:
                self._write(call, call_id, (at, event, state, state, held, charged, 0, session, None), "{}")

    def whole(self, event: str, facts: str, at: int) -> None:
        """What concerns the whole ledger: a meter that was there, or that it was brought up to date."""
        self._write(None, None, (at, event, None, None, 0, 0, 0, self._session, None), facts)

    def _write(
        self,
        call: int | None,
        call_id: str | None,
        written: chain.Written,
        facts: str,
        identity: chain.Identity = chain.NOBODY,
    ) -> None:
        """Add an event; `written` is its columns from ``at`` to ``evidence``."""
        self._number += 1
        columns = (*written, facts)
        self._head = chain.digest(self._head, (self._number, call_id, *columns), identity)
        self._connection.execute(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (self._number, call, *columns, self._head),
        )
