"""Meters in SQLite: what is counted against each cap, moved inside the transaction that writes the call.

A rolling window is kept in slots. What is counted in a slot leaves the window when the whole slot is older than the
window, so an amount never leaves early, and at most one slot's length late. The calls are the truth: a meter that is
new, or no longer to be trusted, is counted from them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import apsw

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.caps import matches
from jecp_mcp.mandate.ledger import WINDOW_MS, Meter, MeterReading, OverLimit, Window
from jecp_mcp.mandate.states import State, counted
from jecp_mcp.money import MicroUSDC

SLOT_MS: dict[Window, int] = {
    Window.HOUR: 60_000,
    Window.DAY: 600_000,
    Window.MONTH: 21_600_000,
}
"""The length of a slot of each rolling window."""


@lru_cache(maxsize=64)
def _take_sql(count: int) -> str:
    """Move `count` meters if every one of them has room, else none."""
    asked = ",".join(f"(?{2 + 2 * i}, ?{3 + 2 * i})" for i in range(count))
    return (
        f"WITH asked(id, most) AS (VALUES {asked}) UPDATE meter SET used = used + ?1 "  # noqa: S608 marks only
        f"WHERE id IN (SELECT id FROM asked) AND {count} = "
        "(SELECT count(*) FROM asked JOIN meter AS m ON m.id = asked.id WHERE m.used + ?1 <= asked.most)"
    )


@lru_cache(maxsize=64)
def _marks(count: int) -> str:
    return ",".join("?" * count)


class Meters:
    """The meters of one connection, inside a write transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute
        self._executemany = connection.cursor().executemany
        self._known: dict[str, tuple[int, int]] = {}
        self._lengths: dict[int, int | None] = {}
        self._pending: dict[tuple[int, int], int] = {}

    def begin(self, at: UnixMs) -> None:
        """Start a transaction: forget what the last one knew, and let what has left its window go."""
        self._known.clear()
        self._lengths.clear()
        self._pending.clear()
        gone = self._execute("SELECT id, meter, amount FROM slot WHERE expires <= ?", (at,)).fetchall()
        for slot, meter, amount in gone:
            self._execute("UPDATE meter SET used = used - ? WHERE id = ?", (amount, meter))
            self._execute("DELETE FROM slot WHERE id = ?", (slot,))

    def take(self, hold: MicroUSDC, meters: Sequence[Meter], at: UnixMs) -> str | OverLimit:
        """Count `hold` against every meter, or against none.

        Returns:
            The meters it was counted in, for the call's row, or the cap that has no room. Of several such caps it is
            the one that takes longest to reset.
        """
        if not meters:
            return ""
        if any(by > 0 for by in self._pending.values()):
            self.settle()
        ids, slots = zip(*(self._find(meter, at) for meter in meters), strict=True)
        asked = (hold, *chain.from_iterable(zip(ids, (meter.limit for meter in meters), strict=True)))
        self._execute(_take_sql(len(ids)), asked)
        if self._connection.changes() != len(ids) and self._pending:
            # What calls of this very transaction gave back may be the room that is missing.
            self.settle()
            self._execute(_take_sql(len(ids)), asked)
        if self._connection.changes() != len(ids):
            return self._over(hold, meters, ids)
        self._execute(f"UPDATE slot SET amount = amount + ? WHERE id IN ({_marks(len(slots))})", (hold, *slots))  # noqa: S608 marks only
        if self._connection.changes() != len(slots):
            raise LedgerError("a meter's slot went missing inside a transaction")
        return ",".join(map(str, ids))

    def adjust(self, meters: str, created_at: int, by: int) -> None:
        """Change what a call counts for, where its slots are still in their windows. Done by `settle`."""
        if not by or not meters:
            return
        for number in map(int, meters.split(",")):
            if number not in self._lengths:
                self._lengths[number] = self._execute("SELECT slot_ms FROM meter WHERE id = ?", (number,)).get
        for slot in slots_of(meters, created_at, self._lengths):
            self._pending[slot] = self._pending.get(slot, 0) + by

    def settle(self) -> None:
        """Write the changes of `adjust`: many calls share their slots."""
        if not self._pending:
            return
        for (meter, start), by in self._pending.items():
            self._execute("UPDATE slot SET amount = amount + ? WHERE meter = ? AND start = ?", (by, meter, start))
            if self._connection.changes():
                self._execute("UPDATE meter SET used = used + ? WHERE id = ?", (by, meter))
        self._pending.clear()

    def recount(self, at: UnixMs) -> None:
        """Count every meter anew from the calls that name it."""
        self.settle()
        meters: list[Any] = self._execute("SELECT id, slot_ms, window_ms FROM meter").fetchall()
        sums: dict[int, defaultdict[int, int]] = {number: defaultdict(int) for number, _, _ in meters}
        windows: dict[int, Any] = {number: (slot_ms, window_ms) for number, slot_ms, window_ms in meters}
        calls: list[Any] = self._execute(
            "SELECT state, held, charged, refunded, created_at, meters FROM call WHERE meters <> ''"
        ).fetchall()
        for state, held, charged, refunded, created_at, named in calls:
            amount = counted(State(state), held, charged, refunded)
            for number in map(int, named.split(",")) if amount else ():
                slot_ms, window_ms = windows[number]
                start = _start(slot_ms, created_at)
                if window_ms is None or start + slot_ms + window_ms > at:
                    sums[number][start] += amount
        self._execute("DELETE FROM slot")
        for number, starts in sums.items():
            slot_ms, window_ms = windows[number]
            self._write(number, slot_ms, window_ms, starts)
            self._execute("UPDATE meter SET used = ? WHERE id = ?", (sum(starts.values()), number))
        self._known.clear()

    def _write(self, meter: int, slot_ms: int | None, window_ms: int | None, starts: dict[int, int]) -> None:
        for start, amount in starts.items():
            expires = None if slot_ms is None or window_ms is None else start + slot_ms + window_ms
            self._execute(
                "INSERT INTO slot(meter, start, expires, amount) VALUES (?, ?, ?, ?)", (meter, start, expires, amount)
            )

    def _find(self, meter: Meter, at: UnixMs) -> tuple[int, int]:
        """The ids of a meter and of its slot at `at`, made when they are new.

        One transaction has one instant, so what it has found once stays right until its end.
        """
        known = self._known.get(meter.key)
        if known is not None:
            return known
        start = _start(SLOT_MS.get(meter.window), at)
        number, slot = self._execute(
            "SELECT m.id, s.id FROM meter AS m LEFT JOIN slot AS s ON s.meter = m.id AND s.start = ? WHERE m.key = ?",
            (start, meter.key),
        ).get or (None, None)
        if number is None:
            number = self._make(meter, at)
            slot = self._execute("SELECT id FROM slot WHERE meter = ? AND start = ?", (number, start)).get
        if slot is None:
            self._write(number, SLOT_MS.get(meter.window), WINDOW_MS.get(meter.window), {start: 0})
            slot = self._connection.last_insert_rowid()
        self._known[meter.key] = (number, slot)
        return number, slot

    def _make(self, meter: Meter, at: UnixMs) -> int:
        """A new meter, with what its window already holds."""
        slot_ms, window_ms = SLOT_MS.get(meter.window), WINDOW_MS.get(meter.window)
        starts: defaultdict[int, int] = defaultdict(int)
        numbers = []
        for number, amount, created_at in _spent(self._connection, meter, at):
            starts[_start(slot_ms, created_at)] += amount
            numbers.append((number,))
        self._execute(
            "INSERT INTO meter(key, slot_ms, window_ms, used) VALUES (?, ?, ?, ?)",
            (meter.key, slot_ms, window_ms, sum(starts.values())),
        )
        made = self._connection.last_insert_rowid()
        self._write(made, slot_ms, window_ms, starts)
        # What one of these calls still comes to must move this meter too.
        self._executemany(
            f"UPDATE call SET meters = CASE meters WHEN '' THEN '{made}' ELSE meters || ',{made}' END WHERE id = ?",  # noqa: S608 a number
            numbers,
        )
        return made

    def _over(self, hold: MicroUSDC, meters: Sequence[Meter], ids: Sequence[int]) -> OverLimit:
        longest: OverLimit | None = None
        for meter, number in zip(meters, ids, strict=True):
            used = self._execute("SELECT used FROM meter WHERE id = ?", (number,)).get
            if used + hold <= meter.limit:
                continue
            resets_at = self._room_at(number, used + hold - meter.limit) if hold <= meter.limit else None
            over = OverLimit(meter, MicroUSDC(used), resets_at)
            if resets_at is None:
                return over
            if longest is None or longest.resets_at is None or resets_at > longest.resets_at:
                longest = over
        if longest is None:
            raise LedgerError("two caps share one meter")
        return longest

    def _room_at(self, meter: int, needed: int) -> UnixMs | None:
        """When at least `needed` will have left the window; None when it never does."""
        # Fetched whole: a statement left in the middle would pin this connection to an old snapshot.
        slots: list[Any] = self._execute(
            "SELECT expires, amount FROM slot WHERE meter = ? AND expires IS NOT NULL ORDER BY expires", (meter,)
        ).fetchall()
        for expires, amount in slots:
            needed -= amount
            if needed <= 0:
                return UnixMs(expires)
        return None


def read(connection: apsw.Connection, meters: Sequence[Meter], at: UnixMs) -> list[MeterReading]:
    """How full each cap is at `at`. Needs no transaction: what has expired is left out, not removed."""
    readings = []
    for meter in meters:
        number = connection.execute("SELECT id FROM meter WHERE key = ?", (meter.key,)).get
        if number is None:
            used, resets_at = _would_hold(_spent(connection, meter, at), meter.window)
        else:
            used, resets_at = connection.execute(
                "SELECT coalesce(sum(amount), 0), min(expires) FILTER (WHERE amount > 0) FROM slot "
                "WHERE meter = ? AND (expires IS NULL OR expires > ?)",
                (number, at),
            ).get
        readings.append(MeterReading(meter, MicroUSDC(used), None if resets_at is None else UnixMs(resets_at)))
    return readings


def slots_of(meters: str, created_at: int, lengths: Mapping[int, int | None]) -> list[tuple[int, int]]:
    """The slots a call is counted in, by meter and start.

    Args:
        meters: the ids of its meters, as its row lists them.
        created_at: when it was reserved.
        lengths: the length of a slot of each meter, in milliseconds; None where the window never rolls.
    """
    if not meters:
        return []
    return [(number, _start(lengths.get(number), created_at)) for number in map(int, meters.split(","))]


def _would_hold(spent: Iterable[tuple[int, int, int]], window: Window) -> tuple[int, int | None]:
    used, resets_at = 0, None
    for _, amount, created_at in spent:
        used += amount
        if window in SLOT_MS:
            expires = _start(SLOT_MS[window], created_at) + SLOT_MS[window] + WINDOW_MS[window]
            resets_at = expires if resets_at is None else min(resets_at, expires)
    return used, resets_at


def _spent(connection: apsw.Connection, meter: Meter, at: UnixMs) -> list[tuple[int, int, int]]:
    """What the calls in a meter's window count for, as number, micro-USDC and created_at.

    A process session's meter is made with the session's first call, so nothing can have come before it.
    """
    if meter.window is Window.SESSION:
        return []
    length = SLOT_MS.get(meter.window)
    since = -1 if length is None else at - WINDOW_MS[meter.window] - length
    rows: list[Any] = connection.execute(
        "SELECT id, state, held, charged, refunded, created_at, capability, action, tool FROM call "
        "WHERE principal = ? AND created_at > ?",
        (meter.principal, since),
    ).fetchall()
    found = []
    for number, state, held, charged, refunded, created_at, capability, action, tool in rows:
        amount = counted(State(state), held, charged, refunded)
        names = (f"{capability}:{action}", capability, tool)
        inside = length is None or _start(length, created_at) + length + WINDOW_MS[meter.window] > at
        if amount and inside and (meter.pattern is None or matches(meter.pattern, names)):
            found.append((number, amount, created_at))
    return found


def _start(length: int | None, at: int) -> int:
    return 0 if length is None else at - at % length
