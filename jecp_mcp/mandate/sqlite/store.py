"""The tables in SQLite: what a transaction needs is loaded, and what it came to is stored. No rule stands here.

A transaction holds the only right to write, so what was read stays right until its end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import apsw

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import LedgerDamaged
from jecp_mcp.mandate import chain, columns
from jecp_mcp.mandate.counting import FEED_AT_ONCE, new_meter
from jecp_mcp.mandate.grant_rules import LAPSED_AT_ONCE, LAPSED_MS
from jecp_mcp.mandate.grants import GrantKind, GrantRef
from jecp_mcp.mandate.needs import Needs, Orphans
from jecp_mcp.mandate.records import Meter
from jecp_mcp.mandate.rules import CLOCK_SLACK_MS, UNDELIVERED_MS, Batch
from jecp_mcp.mandate.sql_conditions import OPEN
from jecp_mcp.mandate.sqlite.meter_backfill import METER, fed_from, read_feed
from jecp_mcp.mandate.sqlite.schema import KEPT, UNENDED
from jecp_mcp.mandate.windows import Window, earliest, slot_expiry
from jecp_mcp.mandate.working_set import (
    Call,
    Changes,
    Feed,
    MeterState,
    WorkingSet,
)

VACUUMED_AT_ONCE: Final = 1_024
"""How many free pages a transaction gives back at most."""

_HEAD: Final = "SELECT id, body, digest, (SELECT max(id) FROM call) FROM event ORDER BY id DESC LIMIT 1"
"""The last event, and the number of the last call: none is written without an event."""

_CALL: Final = f"SELECT {', '.join(columns.DECIDING)} FROM call "  # noqa: S608 constants of this module
# Two searches of an index each; as one condition over ids they take ten times as long.
_SAME: Final = f"""{_CALL} WHERE fingerprint = ?1 AND {OPEN}
UNION ALL {_CALL} WHERE fingerprint = ?1 AND {KEPT} AND (ended_at IS NULL OR ended_at > ?2)
"""
_ORPHANS: Final = f"""{_CALL} WHERE id IN ({UNENDED}) AND id > ?1 AND (
  owner IN (SELECT value FROM json_each(?2))
  OR owner = ?3 AND call_id NOT IN (SELECT value FROM json_each(?4)) AND (
    state = 'reserved' OR state = 'sent' AND look_again_at IS NULL
    OR {OPEN} AND (provable_until <= ?5 OR created_at > ?5 + {CLOCK_SLACK_MS})))
ORDER BY id LIMIT ?6
"""  # noqa: S608 likewise

INSERT: Final = f"INSERT INTO call({', '.join(columns.CALL)}) VALUES ({', '.join('?' * len(columns.CALL))})"  # noqa: S608 constants
"""A call, its columns in the order of `CallRow`."""
_UPDATE: Final = f"UPDATE call SET {', '.join(f'{name} = ?' for name in columns.CHANGING)} WHERE id = ?"  # noqa: S608 likewise
_METERS: Final = f"{METER} WHERE principal = ?1 AND (session IS NULL OR session = ?2)"
_ADD_TO_SLOT: Final = """
INSERT INTO slot(meter, start, expires, amount) VALUES (?, ?, ?, ?)
ON CONFLICT (meter, start) DO UPDATE SET amount = amount + excluded.amount
"""
_GRANT: Final = ", ".join(columns.GRANT)
_INSERT_METER: Final = f"INSERT INTO meter({', '.join(columns.METER)}) VALUES ({', '.join('?' * len(columns.METER))})"  # noqa: S608 likewise
READ_GRANT: Final = f"SELECT {_GRANT} FROM slip "  # noqa: S608 constants of this module
_STORED_GRANTS: Final = """
SELECT kind, slip_id, state, length(body), expires_at FROM slip
WHERE principal = ? AND kind IN (SELECT value FROM json_each(?)) ORDER BY id
"""
_LAPSED: Final = "SELECT kind, slip_id FROM slip WHERE expires_at <= ? ORDER BY expires_at LIMIT ?"
_PRUNABLE: Final = f"""
SELECT id FROM call WHERE id > ?1 AND id <= ?1 + ?2 AND ended_at < ?3 AND NOT ({KEPT})
  AND (EXISTS (SELECT 1 FROM request WHERE call = call.id) OR EXISTS (SELECT 1 FROM answer WHERE call = call.id))
"""  # noqa: S608 constants of this module
_ENDED: Final = """
SELECT r.call, length(r.body) + coalesce((SELECT length(body) FROM answer AS a WHERE a.call = r.call), 0)
FROM request AS r JOIN call AS c ON c.id = r.call WHERE ended_at IS NOT NULL AND {} ORDER BY r.call LIMIT ?
"""
# Where a request was dropped before its call was answered.
_ENDED_ALONE: Final = """
SELECT a.call, length(a.body) FROM answer AS a JOIN call AS c ON c.id = a.call WHERE ended_at IS NOT NULL AND {}
  AND NOT EXISTS (SELECT 1 FROM request AS r WHERE r.call = a.call) ORDER BY a.call LIMIT ?
"""
_OPEN_BYTES: Final = f"""
SELECT coalesce(sum((SELECT coalesce(sum(length(body)), 0) FROM request WHERE call = c.id)
  + (SELECT coalesce(sum(length(body)), 0) FROM answer WHERE call = c.id)), 0) FROM call AS c WHERE c.id IN ({UNENDED})
"""  # noqa: S608 a constant
_OLDEST: Final = tuple(sql.format(which) for which in (f"NOT ({KEPT})", KEPT) for sql in (_ENDED, _ENDED_ALONE))


class Store:
    """The tables of one writing connection, for one process session."""

    def __init__(self, connection: apsw.Connection, session: str) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute
        self._executemany = connection.cursor().executemany
        self._session = session
        self._loaded = WorkingSet(0, chain.GENESIS, 0, self._slots)
        self._now = self._at = UnixMs(0)
        self._of: set[tuple[str, str]] = set()
        self._same: set[str] = set()
        self._read: dict[int, int] = {}
        self._last_meter: int | None = None

    def begin(self, now: UnixMs) -> Batch:
        """What every transaction starts with: the chain, and what has left its window."""
        last: tuple[int, bytes, bytes, int | None] | None = self._execute(_HEAD).get
        number, body, digest, calls = last or (0, b"", chain.GENESIS, None)
        last_at = chain.instant(body) if body else 0
        self._loaded = WorkingSet(number, digest, calls or 0, self._slots)
        self._of.clear()
        self._same.clear()
        self._read.clear()
        self._last_meter = None
        self._now, self._at = now, UnixMs(max(now, last_at))
        for slot, meter, amount in self._execute(
            "SELECT id, meter, amount FROM slot WHERE expires <= ?", (self._at,)
        ).fetchall():
            self._execute("UPDATE meter SET used = used - ? WHERE id = ?", (amount, meter))
            self._execute("DELETE FROM slot WHERE id = ?", (slot,))
        return Batch(self._loaded, self, self._session, now, last_at)

    def load(self, needs: Needs) -> None:
        """Fetch what a change depends on, unless the transaction knows it."""
        for fingerprint in needs.fingerprints:
            if fingerprint not in self._same:
                self._same.add(fingerprint)
                self._take(self._execute(_SAME, (fingerprint, self._at - UNDELIVERED_MS)))
        for call_id in needs.ids:
            self._load_call(call_id, needs.reference)
        if needs.orphans is not None:
            self._load_orphans(needs.orphans)
        if needs.principal is not None:
            self._load_meters(needs.principal, self._session)
        for meter in needs.meters:
            self._load_meter(meter)
        self._load_grants(needs)

    def store(self, changes: Changes) -> None:
        """Write what a transaction came to.

        Raises:
            LedgerDamaged: a meter or a call does not stand where it was read, which the right to write rules out.
        """
        # What is no longer open first: a new call may carry its fingerprint.
        self._changing(
            _UPDATE, [(*columns.changing_values(call), call.number) for call in changes.moved.values()], "a call"
        )
        self._executemany(INSERT, [columns.new_call_values(call, wanted) for call, wanted in changes.made])
        self._store_bodies(changes)
        self._executemany(
            _ADD_TO_SLOT,
            [
                (meter, start, slot_expiry(changes.meters[meter].window, start), by)
                for (meter, start), by in changes.slots.items()
                if by > 0
            ],
        )
        self._changing(
            "UPDATE slot SET amount = amount + ? WHERE meter = ? AND start = ?",
            [(by, *slot) for slot, by in changes.slots.items() if by < 0],
            "a slot",
        )
        known = [state for state in changes.meters.values() if state.number in self._read]
        self._changing(
            "UPDATE meter SET used = ?, fed = ? WHERE id = ? AND used = ?",
            [(state.used, state.fed, state.number, self._read[state.number]) for state in known],
            "a meter",
        )
        self._executemany(
            _INSERT_METER,
            [columns.meter_values(state) for state in changes.meters.values() if state.number not in self._read],
        )
        self._executemany(
            "UPDATE tally SET calls = calls + ?, held = held + ?, charged = charged + ?, refunded = refunded + ? "
            "WHERE state = ?",
            [(*sums, state.value) for state, sums in changes.tally.items() if any(sums)],
        )
        self._store_grants(changes)
        self._executemany(
            "INSERT INTO event(id, call, body, digest) VALUES (?, ?, ?, ?)",
            [(one.number, one.call, one.body, one.digest) for one in changes.events],
        )

    def prune(self, before: int, behind: int, most: int) -> int:
        """As `jecp_mcp.mandate.rules.Bulk.prune`."""
        rows: list[Any] = self._execute(_PRUNABLE, (behind, most, before)).fetchall()
        self._drop([int(number) for (number,) in rows])
        return len(rows)

    def trim(self, bound: int, most: int) -> tuple[int, int]:
        """As `jecp_mcp.mandate.rules.Bulk.trim`."""
        # What open calls keep cannot be dropped; that answers go for it instead would not bring it below any bound.
        over = self.kept_bytes() - int(self._execute(_OPEN_BYTES).get) - bound
        chosen: list[int] = []
        size = 0
        for number, length in self._oldest(most):
            if size >= over:
                break
            chosen.append(number)
            size += length
        self._drop(chosen)
        return len(chosen), size

    def recount(self, at: int) -> None:
        """As `jecp_mcp.mandate.rules.Bulk.recount`."""
        states = [columns.read_meter(row) for row in self._execute(METER).fetchall()]
        from_ = {window: fed_from(self._connection, window, at, self._loaded.stored) for window in Window}
        self._execute("DELETE FROM slot")
        self._executemany(
            "UPDATE meter SET used = 0, fed = ? WHERE id = ?",
            [(max(state.since, from_[state.window]), state.number) for state in states],
        )

    def kept_bytes(self) -> int:
        """How many bytes of requests and answers are kept."""
        return int(self._execute("SELECT bytes FROM kept").get)

    def _take(self, rows: Iterator[Any]) -> list[Call]:
        found: list[Any] = list(rows)
        calls = [self._loaded.add(columns.read_call(row)) for row in found]
        for call in calls:
            self._load_meters(call.principal, call.session)
        return calls

    def _load_call(self, call_id: str, reference: str | None) -> None:
        if call_id not in self._loaded.calls:
            self._take(self._execute(_CALL + "WHERE call_id = ?", (call_id,)))
        call = self._loaded.calls.get(call_id)
        if call is not None and reference is not None:
            where = "WHERE rail = ? AND account = ? AND reference = ?"
            self._take(self._execute(_CALL + where, (call.rail, call.account, reference)))

    def _load_orphans(self, wanted: Orphans) -> None:
        asked = (
            wanted.behind,
            json.dumps(wanted.dead),
            self._session,
            json.dumps(wanted.running),
            self._now,
            wanted.most,
        )
        self._loaded.orphans = [call.call_id for call in self._take(self._execute(_ORPHANS, asked))]

    def _load_meters(self, principal: str, session: str) -> None:
        if (principal, session) in self._of:
            return
        self._of.add((principal, session))
        rows: list[Any] = self._execute(_METERS, (principal, session)).fetchall()
        for row in rows:
            state = columns.read_meter(row)
            if state.key not in self._loaded.meters:
                self._loaded.meters[state.key] = state
                self._read[state.number] = state.used

    def _load_meter(self, meter: Meter) -> None:
        self._load_meters(meter.principal, self._session)
        state = self._loaded.meters.get(meter.key)
        if state is None:
            state = self._loaded.meters[meter.key] = self._new_meter(meter)
        if state.fed < self._loaded.stored and state.key not in self._loaded.feeds:
            upto = min(state.fed + FEED_AT_ONCE, self._loaded.stored)
            rows = read_feed(self._connection, state, state.fed, upto, earliest(state.window, self._at))
            self._loaded.feeds[state.key] = Feed(upto, rows)

    def _new_meter(self, meter: Meter) -> MeterState:
        if self._last_meter is None:
            self._last_meter = self._execute("SELECT max(id) FROM meter").get or 0
        self._last_meter += 1
        fed = fed_from(self._connection, meter.window, self._at, self._loaded.stored)
        return new_meter(meter, self._last_meter, self._session, last=self._loaded.stored, fed=fed)

    def _load_grants(self, needs: Needs) -> None:
        for ref in needs.grants:
            self._take_grants("WHERE kind = ? AND slip_id = ?", (ref.kind.value, ref.grant_id))
        if needs.subject is not None:
            kind, subject = needs.subject
            where = "WHERE kind = ? AND subject = ? AND state IN ('asked', 'granted')"
            self._take_grants(where, (kind.value, subject))
        if needs.stored_grants is not None:
            self._load_stored(*needs.stored_grants)

    def _load_stored(self, kinds: tuple[GrantKind, ...], principal: str) -> None:
        rows: list[Any] = self._execute(_STORED_GRANTS, (principal, json.dumps(kinds))).fetchall()
        self._loaded.stored_grants = columns.read_stored_grants(rows)
        lapsed: list[Any] = self._execute(_LAPSED, (self._at - LAPSED_MS, LAPSED_AT_ONCE)).fetchall()
        self._loaded.lapsed = [GrantRef(GrantKind(of), grant_id) for of, grant_id in lapsed]

    def _take_grants(self, where: str, asked: tuple[Any, ...]) -> None:
        for row in self._execute(READ_GRANT + where, asked).fetchall():
            grant = columns.read_grant(row)
            self._loaded.grants.setdefault(GrantRef(grant.kind, grant.grant_id), grant)
            if grant.call_id is not None and grant.call_id not in self._loaded.calls:
                self._take(self._execute(_CALL + "WHERE call_id = ?", (grant.call_id,)))

    def _slots(self, meter: int) -> list[tuple[int, int]]:
        found: list[Any] = self._execute("SELECT start, amount FROM slot WHERE meter = ?", (meter,)).fetchall()
        return found

    def _store_bodies(self, changes: Changes) -> None:
        by = sum(map(len, changes.requests.values()))
        self._executemany("INSERT INTO request(call, body) VALUES (?, ?)", list(changes.requests.items()))
        for call, body in changes.answers.items():
            by += len(body) - (self._execute("SELECT length(body) FROM answer WHERE call = ?", (call,)).get or 0)
            self._execute(
                "INSERT INTO answer(call, body) VALUES (?, ?) ON CONFLICT (call) DO UPDATE SET body = excluded.body",
                (call, body),
            )
        if by:
            self._execute("UPDATE kept SET bytes = bytes + ?", (by,))

    def _store_grants(self, changes: Changes) -> None:
        self._executemany(
            f"INSERT INTO slip({_GRANT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 a constant
            [columns.grant_values(grant) for grant in changes.new_grants.values()],
        )
        self._changing(
            "UPDATE slip SET state = ?, call_id = ?, note = ? WHERE kind = ? AND slip_id = ?",
            [
                (grant.state.value, grant.call_id, grant.note, grant.kind.value, grant.grant_id)
                for grant in changes.grants.values()
            ],
            "a grant",
        )
        self._changing(
            "DELETE FROM slip WHERE kind = ? AND slip_id = ?",
            [(ref.kind.value, ref.grant_id) for ref in changes.dropped_grants],
            "a grant",
        )
        if changes.dropped_grants:
            self._give_back()

    def _changing(self, sql: str, rows: Sequence[tuple[Any, ...]], what: str) -> None:
        """Run a statement that changes one row for each of `rows`."""
        if not rows:
            return
        before = self._connection.total_changes()
        self._executemany(sql, rows)
        if self._connection.total_changes() - before != len(rows):
            raise LedgerDamaged(f"{what} moved inside another's transaction")

    def _oldest(self, most: int) -> Iterator[tuple[int, int]]:
        """The ended calls that have bodies, with the bodies' bytes: oldest first, those never delivered last."""
        for sql in _OLDEST:
            rows: list[Any] = self._execute(sql, (most,)).fetchall()
            most -= len(rows)
            yield from rows

    def _drop(self, numbers: Sequence[int]) -> None:
        """Drop the bodies of some calls, and give pages back that are free then."""
        if not numbers:
            return
        size = 0
        for number in numbers:
            for table in ("request", "answer"):
                size += self._execute(f"SELECT length(body) FROM {table} WHERE call = ?", (number,)).get or 0  # noqa: S608
                self._execute(f"DELETE FROM {table} WHERE call = ?", (number,))  # noqa: S608 two constants
        self._execute("UPDATE kept SET bytes = bytes - ?", (size,))
        self._give_back()

    def _give_back(self) -> None:
        """Give pages back that are free now, so many that nobody waits long."""
        self._execute(f"PRAGMA incremental_vacuum({VACUUMED_AT_ONCE})").fetchall()
