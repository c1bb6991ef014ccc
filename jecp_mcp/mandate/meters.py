"""Meters in SQLite: what is counted against each cap, moved inside the transaction that writes the call.

A rolling window is kept in slots. What is counted in a slot leaves the window when the whole slot is older than the
window, so an amount never leaves early, and at most one slot's length late.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import apsw

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.ledger import WINDOW_MS, Meter, MeterReading, OverLimit, Window
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
    """The meters of one connection. Every method but `read` runs inside a write transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute
        self._known: dict[str, tuple[int, int]] = {}

    def begin(self, at: UnixMs) -> None:
        """Start a transaction: forget what the last one knew, and let what has left its window go."""
        self._known.clear()
        gone = self._execute("SELECT id, meter, amount FROM slot WHERE expires <= ?", (at,)).fetchall()
        for slot, meter, amount in gone:
            self._execute("UPDATE meter SET used = used - ? WHERE id = ?", (amount, meter))
            self._execute("DELETE FROM slot WHERE id = ?", (slot,))

    def take(self, hold: MicroUSDC, meters: Sequence[Meter], at: UnixMs) -> str | OverLimit:
        """Count `hold` against every meter, or against none.

        Returns:
            The slots it was counted in, for the call's row, or the cap that has no room. Of several such caps it is
            the one that takes longest to reset.
        """
        if not meters:
            return ""
        ids, slots = zip(*(self._find(meter, at) for meter in meters), strict=True)
        limits = chain.from_iterable(zip(ids, (meter.limit for meter in meters), strict=True))
        self._execute(_take_sql(len(ids)), (hold, *limits))
        if self._connection.changes() != len(ids):
            return self._over(hold, meters, ids)
        self._execute(f"UPDATE slot SET amount = amount + ? WHERE id IN ({_marks(len(slots))})", (hold, *slots))  # noqa: S608 marks only
        if self._connection.changes() != len(slots):
            raise LedgerError("a meter's slot went missing inside a transaction")
        return ",".join(map(str, slots))

    def adjust(self, slots: str, by: int) -> None:
        """Change what a call counts for, where its slot is still in the window."""
        if not by or not slots:
            return
        numbers = [int(number) for number in slots.split(",")]
        still = self._execute(
            f"UPDATE slot SET amount = amount + ? WHERE id IN ({_marks(len(numbers))}) RETURNING meter",  # noqa: S608 marks only
            (by, *numbers),
        ).fetchall()
        ids = [meter for (meter,) in still]
        self._execute(f"UPDATE meter SET used = used + ? WHERE id IN ({_marks(len(ids))})", (by, *ids))  # noqa: S608 marks only

    def _find(self, meter: Meter, at: UnixMs) -> tuple[int, int]:
        """The ids of a meter and of its slot at `at`, made when they are new.

        One transaction has one instant, so what it has found once stays right until its end.
        """
        known = self._known.get(meter.key)
        if known is not None:
            return known
        length = SLOT_MS.get(meter.window)
        start = 0 if length is None else at - at % length
        number, slot = self._execute(
            "SELECT m.id, s.id FROM meter AS m LEFT JOIN slot AS s ON s.meter = m.id AND s.start = ? WHERE m.key = ?",
            (start, meter.key),
        ).get or (None, None)
        if number is None:
            self._execute("INSERT INTO meter(key, used) VALUES (?, 0)", (meter.key,))
            number = self._connection.last_insert_rowid()
        if slot is None:
            expires = None if length is None else start + length + WINDOW_MS[meter.window]
            self._execute(
                "INSERT INTO slot(meter, start, expires, amount) VALUES (?, ?, ?, 0)", (number, start, expires)
            )
            slot = self._connection.last_insert_rowid()
        self._known[meter.key] = (number, slot)
        return number, slot

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
        used, resets_at = connection.execute(
            "SELECT coalesce(sum(amount), 0), min(expires) FILTER (WHERE amount > 0) FROM slot "
            "WHERE meter = (SELECT id FROM meter WHERE key = ?) AND (expires IS NULL OR expires > ?)",
            (meter.key, at),
        ).get
        readings.append(MeterReading(meter, MicroUSDC(used), None if resets_at is None else UnixMs(resets_at)))
    return readings
