"""Meters in SQLite: what is counted against each cap, moved inside the transaction that writes the call.

A rolling window is kept in slots. What is counted in a slot leaves the window when the whole slot is older than the
window, so an amount never leaves early, and at most one slot's length late. The calls are the truth: a meter that is
new, or no longer to be trusted, is counted from them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain as links
from typing import Any

import apsw

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.ledger import WINDOW_MS, Meter, MeterReading, OverLimit, Window
from jecp_mcp.mandate.states import State, counted
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.settings.patterns import matches

SLOT_MS: dict[Window, int] = {
    Window.HOUR: 60_000,
    Window.DAY: 600_000,
    Window.MONTH: 21_600_000,
}
"""The length of a slot of each rolling window."""


_MOVED_AT_ONCE = 5_000
"""How many meters one statement moves: SQLite takes 32 766 values, and a meter needs three."""


@lru_cache(maxsize=64)
def _move_sql(count: int) -> str:
    """Move `count` meters if every one of them still stands where it was read, else none."""
    moved = ",".join(f"(?{1 + 3 * i}, ?{2 + 3 * i}, ?{3 + 3 * i})" for i in range(count))
    return (
        f"WITH moved(id, before, after) AS (VALUES {moved}) "  # noqa: S608 marks only
        "UPDATE meter SET used = (SELECT after FROM moved WHERE id = meter.id) "
        f"WHERE id IN (SELECT id FROM moved) AND {count} = "
        "(SELECT count(*) FROM moved JOIN meter AS m ON m.id = moved.id WHERE m.used = moved.before)"
    )


class Meters:
    """The meters of one connection, inside a write transaction.

    A transaction holds the only right to write, so each meter is read once, every cap is checked against what was
    read and counted since, and one statement moves all of them from exactly there: `settle`.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute
        self._executemany = connection.cursor().executemany
        self._known: dict[str, tuple[int, int]] = {}
        self._lengths: dict[int, int | None] = {}
        self._slots: dict[tuple[int, int], int | None] = {}
        self._read: dict[int, int] = {}
        self._used: dict[int, int] = {}
        self._amounts: defaultdict[int, int] = defaultdict(int)
        self._new: list[str] = []

    def begin(self, at: UnixMs) -> None:
        """Start a transaction: forget what the last one knew, and let what has left its window go."""
        self._forget()
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
        found = [self._find(meter, at) for meter in meters]
        used = self._used
        for (number, _), meter in zip(found, meters, strict=True):
            if used[number] + hold > meter.limit:
                return self._over(hold, meters, [number for number, _ in found])
        for number, slot in found:
            used[number] += hold
            self._amounts[slot] += hold
        return ",".join([str(number) for number, _ in found])

    def new(self) -> list[str]:
        """The facts of every meter made since this was last asked."""
        made, self._new = self._new, []
        return made

    def adjust(self, meters: str, created_at: int, by: int) -> None:
        """Change what a call counts for, where its slots are still in their windows."""
        if not by or not meters:
            return
        for number in map(int, meters.split(",")):
            if number not in self._lengths:
                self._lengths[number] = self._execute("SELECT slot_ms FROM meter WHERE id = ?", (number,)).get
        for meter, start in slots_of(meters, created_at, self._lengths):
            slot = self._slot(meter, start)
            if slot is not None:
                self._stand(meter)
                self._used[meter] += by
                self._amounts[slot] += by

    def settle(self) -> None:
        """Write what was counted.

        Raises:
            LedgerError: a meter does not stand where it was read, which the right to write rules out.
        """
        moved = [(meter, self._read[meter], used) for meter, used in self._used.items() if used != self._read[meter]]
        if self._amounts:
            amounts = [(by, slot) for slot, by in self._amounts.items() if by]
            self._executemany("UPDATE slot SET amount = amount + ? WHERE id = ?", amounts)
            self._amounts.clear()
        for first in range(0, len(moved), _MOVED_AT_ONCE):
            some = moved[first : first + _MOVED_AT_ONCE]
            self._execute(_move_sql(len(some)), tuple(links.from_iterable(some)))
            if self._connection.changes() != len(some):
                raise LedgerError("a meter moved inside another's transaction")
        self._read |= self._used

    def _forget(self) -> None:
        for known in (self._known, self._lengths, self._slots, self._read, self._used, self._amounts, self._new):
            known.clear()

    def _stand(self, meter: int) -> None:
        """Read where a meter stands, once."""
        if meter not in self._used:
            self._used[meter] = self._read[meter] = self._execute("SELECT used FROM meter WHERE id = ?", (meter,)).get

    def _slot(self, meter: int, start: int) -> int | None:
        """The id of a meter's slot, or None where there is none (any more)."""
        at = (meter, start)
        if at not in self._slots:
            self._slots[at] = self._execute("SELECT id FROM slot WHERE meter = ? AND start = ?", at).get
        return self._slots[at]

    def refill(self, at: UnixMs) -> None:
        """Let every meter list what its window holds at an earlier instant than it was made for."""
        told: list[Any] = self._execute("SELECT facts FROM event WHERE event = 'meter' ORDER BY id").fetchall()
        for (facts,) in told:
            made = json.loads(facts)
            if "window" in made and made["window"] in SLOT_MS:
                number, window = made["meter"], Window(made["window"])
                meter = Meter(made["key"], window, ZERO, "", made["principal"], made.get("pattern"))
                listing = self._execute(
                    "SELECT id FROM call WHERE ',' || meters || ',' LIKE ?", (f"%,{number},%",)
                ).fetchall()
                missing = {call for call, _, _ in _spent(self._connection, meter, at)} - {call for (call,) in listing}
                if missing:
                    self._list(number, meter, [(call,) for call in sorted(missing)])

    def recount(self, at: UnixMs) -> None:
        """Count every meter anew from the calls that name it."""
        self._forget()
        meters: list[Any] = self._execute("SELECT id, slot_ms, window_ms FROM meter").fetchall()
        sums: dict[int, defaultdict[int, int]] = {number: defaultdict(int) for number, _, _ in meters}
        windows: dict[int, Any] = {number: (slot_ms, window_ms) for number, slot_ms, window_ms in meters}
        calls: list[Any] = self._execute(
            "SELECT state, held, charged, refunded, created_at, meters FROM call WHERE meters <> ''"
        ).fetchall()
        for state, held, charged, refunded, created_at, named in calls:
            amount = counted(State(state), held, charged, refunded)
            for number in map(int, named.split(",")):
                slot_ms, window_ms = windows[number]
                start = _start(slot_ms, created_at)
                if window_ms is None or start + slot_ms + window_ms > at:
                    sums[number][start] += amount
        self._execute("DELETE FROM slot")
        for number, starts in sums.items():
            slot_ms, window_ms = windows[number]
            self._write(number, slot_ms, window_ms, starts)
            self._execute("UPDATE meter SET used = ? WHERE id = ?", (sum(starts.values()), number))

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
        number = self._execute("SELECT id FROM meter WHERE key = ?", (meter.key,)).get
        if number is None:
            number = self._make(meter, at)
        slot = self._slot(number, start)
        if slot is None:
            self._write(number, SLOT_MS.get(meter.window), WINDOW_MS.get(meter.window), {start: 0})
            slot = self._slots[number, start] = self._connection.last_insert_rowid()
        self._stand(number)
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
        self._list(made, meter, numbers)
        return made

    def _list(self, number: int, meter: Meter, calls: Sequence[tuple[int]]) -> None:
        """Let calls from before list a meter: what they still come to must move it too."""
        self._executemany(
            f"UPDATE call SET meters = CASE meters WHEN '' THEN '{number}' ELSE meters || ',{number}' END WHERE id = ?",  # noqa: S608 a number
            calls,
        )
        lengths = (SLOT_MS.get(meter.window), WINDOW_MS.get(meter.window))
        whose = {"principal": meter.principal, "pattern": meter.pattern, "window": meter.window.value}
        self._new.append(facts_of(number, meter.key, *lengths, [call for (call,) in calls], whose))

    def _over(self, hold: MicroUSDC, meters: Sequence[Meter], ids: Sequence[int]) -> OverLimit:
        self.settle()
        longest: OverLimit | None = None
        for meter, number in zip(meters, ids, strict=True):
            used = self._used[number]
            if used + hold <= meter.limit:
                continue
            resets_at = self._room_at(number, used + hold - meter.limit) if hold <= meter.limit else None
            over = OverLimit(meter, MicroUSDC(used), resets_at)
            if resets_at is None:
                return over
            if longest is None or longest.resets_at is None or resets_at > longest.resets_at:
                longest = over
        assert longest is not None
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


def facts_of(
    number: int,
    key: str,
    slot_ms: int | None,
    window_ms: int | None,
    calls: Sequence[int],
    whose: Mapping[str, str | None] | None = None,
) -> str:
    """What the event of a meter tells: the meter, the calls before it that it counts, and whose it counts if known."""
    told: dict[str, object] = {**(whose or {}), "calls": list(calls)}
    return chain.facts(meter=number, key=key, slot_ms=slot_ms, window_ms=window_ms, **told)


def _would_hold(spent: Iterable[tuple[int, int, int]], window: Window) -> tuple[int, int | None]:
    used, resets_at = 0, None
    for _, amount, created_at in spent:
        used += amount
        if amount and window in SLOT_MS:
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
        if inside and (meter.pattern is None or matches(meter.pattern, names)):
            found.append((number, amount, created_at))
    return found


def _start(length: int | None, at: int) -> int:
    return 0 if length is None else at - at % length
