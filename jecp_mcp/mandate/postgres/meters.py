"""Meters in PostgreSQL: fetched with a batch, moved in memory while the head is locked, written back with it.

The rules are those of `jecp_mcp.mandate.meters`: the same slots, the same windows, the calls as the truth.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.ledger import WINDOW_MS, Meter, MeterReading, OverLimit, Window
from jecp_mcp.mandate.meters import SLOT_MS, facts_of
from jecp_mcp.mandate.postgres.link import Link
from jecp_mcp.mandate.states import State, counted
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.settings.patterns import matches

# Which calls a pattern counts is decided here, by the names that occur. What a state counts for is linear in the
# amounts, so their sums will do.
_NAMES = """
SELECT DISTINCT capability, action, tool FROM jecp_mcp.call WHERE principal = %s AND created_at > %s
"""
_CHOSEN = """
  principal = %s AND created_at > %s AND (capability, action, tool) IN (
    SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]))
"""
_START = "CASE WHEN %s::bigint IS NULL THEN 0 ELSE created_at - created_at %% %s::bigint END"
_SPENT = f"""
SELECT {_START} AS start, state, sum(held)::bigint, sum(charged)::bigint, sum(refunded)::bigint
FROM jecp_mcp.call WHERE {_CHOSEN} GROUP BY 1, 2
"""  # noqa: S608 constants of this module
_NAME_METER = f"""
UPDATE jecp_mcp.call SET meters = meters || %s::bigint WHERE NOT %s = ANY (meters) AND {_CHOSEN} RETURNING id
"""  # noqa: S608 a constant
_MAKE = """
INSERT INTO jecp_mcp.meter(id, key, slot_ms, window_ms, used)
SELECT coalesce(max(id), 0) + 1, %s, %s, %s, %s FROM jecp_mcp.meter RETURNING id
"""
_FILL = """
INSERT INTO jecp_mcp.slot(meter, start, expires, amount) SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[],
                                                                             %s::bigint[])
"""
_COUNTED = """
SELECT m.id, m.slot_ms, m.window_ms,
       CASE WHEN m.slot_ms IS NULL THEN 0 ELSE c.created_at - c.created_at % m.slot_ms END, c.state,
       sum(c.held)::bigint, sum(c.charged)::bigint, sum(c.refunded)::bigint
FROM jecp_mcp.call AS c, unnest(c.meters) AS named JOIN jecp_mcp.meter AS m ON m.id = named
GROUP BY 1, 2, 3, 4, 5
"""
_SET_USED = """
UPDATE jecp_mcp.meter AS m
SET used = coalesce((SELECT sum(amount) FROM jecp_mcp.slot AS s WHERE s.meter = m.id), 0)
"""
_READINGS = """
SELECT m.key, coalesce(sum(s.amount), 0)::bigint, min(s.expires) FILTER (WHERE s.amount > 0)
FROM jecp_mcp.meter AS m
LEFT JOIN jecp_mcp.slot AS s ON s.meter = m.id AND (s.expires IS NULL OR s.expires > %s)
WHERE m.key = ANY (%s) GROUP BY m.key
"""


@dataclass(slots=True)
class _Standing:
    """A meter as the batch has it so far."""

    number: int
    slot_ms: int | None
    window_ms: int | None
    used: int

    def start(self, at: int) -> int:
        return _start(self.slot_ms, at)

    def expires(self, start: int) -> int | None:
        return _expires(start, self.slot_ms, self.window_ms)


class Meters:
    """The meters of one batch."""

    def __init__(self, link: Link, found: Iterable[Sequence[Any]], at: UnixMs) -> None:
        self._link = link
        self._at = at
        self._standing: dict[int, _Standing] = {}
        self._by_key: dict[str, _Standing] = {}
        for number, key, slot_ms, window_ms, used in found:
            self._standing[number] = self._by_key[key] = _Standing(number, slot_ms, window_ms, used)
        self._moves: defaultdict[tuple[int, int], int] = defaultdict(int)
        self._slots: dict[int, list[tuple[int, int, int]]] = {}

    def take(self, hold: MicroUSDC, meters: Sequence[Meter]) -> list[int] | OverLimit:
        """Count `hold` against every meter, or against none.

        Returns:
            The meters it was counted in, or the cap that has no room. Of several such caps it is the one that takes
            longest to reset.
        """
        asked = [self._by_key[meter.key] for meter in meters]
        if len({one.number for one in asked}) != len(asked):
            raise LedgerError("two caps share one meter")
        full = [(meter, one) for meter, one in zip(meters, asked, strict=True) if one.used + hold > meter.limit]
        if full:
            return self._over(hold, full)
        for one in asked:
            self._move(one, one.start(self._at), hold)
        return [one.number for one in asked]

    def adjust(self, meters: Sequence[int], created_at: int, by: int) -> None:
        """Change what a call counts for, where its slots are still in their windows."""
        if not by:
            return
        for number in meters:
            one = self._standing[number]
            start = one.start(created_at)
            expires = one.expires(start)
            if expires is None or expires > self._at:
                self._move(one, start, by)

    def written(self) -> list[dict[str, Any]]:
        """The slots that were moved, in a fixed order."""
        return [
            {"meter": meter, "start": start, "expires": self._standing[meter].expires(start), "by": by}
            for (meter, start), by in sorted(self._moves.items())
        ]

    def _move(self, one: _Standing, start: int, by: int) -> None:
        one.used += by
        self._moves[one.number, start] += by

    def _over(self, hold: MicroUSDC, full: Sequence[tuple[Meter, _Standing]]) -> OverLimit:
        longest: OverLimit | None = None
        for meter, one in full:
            resets_at = self._room_at(one, one.used + hold - meter.limit) if hold <= meter.limit else None
            over = OverLimit(meter, MicroUSDC(one.used), resets_at)
            if resets_at is None:
                return over
            if longest is None or longest.resets_at is None or resets_at > longest.resets_at:
                longest = over
        assert longest is not None
        return longest

    def _room_at(self, one: _Standing, needed: int) -> UnixMs | None:
        """When at least `needed` will have left the window; None when it never does."""
        if one.slot_ms is None:
            return None
        if one.number not in self._slots:
            self._slots[one.number] = [
                (start, expires, amount)
                for start, expires, amount in self._link.query(
                    "SELECT start, expires, amount FROM jecp_mcp.slot WHERE meter = %s", (one.number,)
                )
            ]
        amounts = {(expires, start): amount for start, expires, amount in self._slots[one.number]}
        for (meter, start), by in self._moves.items():
            expires = one.expires(start)
            if meter == one.number and expires is not None:
                amounts[expires, start] = amounts.get((expires, start), 0) + by
        for (expires, _), amount in sorted(amounts.items()):
            needed -= amount
            if needed <= 0:
                return UnixMs(expires)
        return None


def make(link: Link, meter: Meter, at: UnixMs) -> str:
    """A new meter, with what its window already holds; the calls it holds name it from then on.

    Returns the facts of its event.
    """
    slot_ms, window_ms = SLOT_MS.get(meter.window), WINDOW_MS.get(meter.window)
    chosen = _chosen(link, meter, at)
    starts = _spent(link, meter, chosen, at)
    ((number,),) = link.query(_MAKE, (meter.key, slot_ms, window_ms, sum(starts.values())))
    _fill(
        link, {(int(number), start): (_expires(start, slot_ms, window_ms), amount) for start, amount in starts.items()}
    )
    # What one of these calls still comes to must move this meter too.
    named = [] if chosen is None else link.query(_NAME_METER, (number, number, *chosen))
    return _facts(int(number), meter, named)


def refill(link: Link, at: UnixMs) -> list[str]:
    """Let every meter list what its window holds at an earlier instant than it was made for.

    Returns the facts of the events that tell of it.
    """
    facts = []
    for (told,) in link.query("SELECT facts FROM jecp_mcp.event WHERE event = 'meter' ORDER BY id"):
        made = json.loads(told)
        if made["window"] not in SLOT_MS:
            continue
        meter = Meter(made["key"], Window(made["window"]), ZERO, "", made["principal"], made.get("pattern"))
        chosen = _chosen(link, meter, at)
        named = [] if chosen is None else link.query(_NAME_METER, (made["meter"], made["meter"], *chosen))
        if named:
            facts.append(_facts(made["meter"], meter, named))
    return facts


def recount(link: Link, at: UnixMs) -> None:
    """Count every meter anew from the calls that name it."""
    amounts: defaultdict[tuple[int, int], int] = defaultdict(int)
    expiries: dict[tuple[int, int], int | None] = {}
    for number, slot_ms, window_ms, start, state, *sums in link.query(_COUNTED):
        expires = _expires(start, slot_ms, window_ms)
        if expires is None or expires > at:
            amounts[number, start] += counted(State(state), *sums)
            expiries[number, start] = expires
    link.query("DELETE FROM jecp_mcp.slot")
    _fill(link, {slot: (expiries[slot], amount) for slot, amount in amounts.items()})
    link.query(_SET_USED)


def read(link: Link, meters: Sequence[Meter]) -> list[MeterReading]:
    """How full each cap is now, by the server's clock; one that no call has met yet shows what it will begin with."""
    ((at,),) = link.query("SELECT jecp_mcp.now_ms()")
    rows = link.query(_READINGS, (at, [meter.key for meter in meters]))
    known: dict[str, tuple[int, int | None]] = {key: (used, resets_at) for key, used, resets_at in rows}
    readings = []
    for meter in meters:
        used, resets_at = known[meter.key] if meter.key in known else _would_hold(link, meter, at)
        readings.append(MeterReading(meter, MicroUSDC(used), None if resets_at is None else UnixMs(resets_at)))
    return readings


def _facts(number: int, meter: Meter, named: Sequence[Sequence[Any]]) -> str:
    whose = {"principal": meter.principal, "pattern": meter.pattern, "window": meter.window.value}
    lengths = (SLOT_MS.get(meter.window), WINDOW_MS.get(meter.window))
    return facts_of(number, meter.key, *lengths, sorted(call for (call,) in named), whose)


def _would_hold(link: Link, meter: Meter, at: UnixMs) -> tuple[int, int | None]:
    starts = _spent(link, meter, _chosen(link, meter, at), at)
    slot_ms, window_ms = SLOT_MS.get(meter.window), WINDOW_MS.get(meter.window)
    expiries = [expires for start in starts if (expires := _expires(start, slot_ms, window_ms)) is not None]
    return sum(starts.values()), min(expiries, default=None)


def _chosen(link: Link, meter: Meter, at: UnixMs) -> tuple[Any, ...] | None:
    """What picks the calls a new meter may count; None where there are none.

    A process session's meter is made with the session's first call, so nothing can have come before it.
    """
    if meter.window is Window.SESSION:
        return None
    length = SLOT_MS.get(meter.window)
    # The whole oldest slot that can still be in the window, and nothing older.
    since = -1 if length is None else _start(length, at - WINDOW_MS[meter.window]) - 1
    names = [
        found
        for found in link.query(_NAMES, (meter.principal, since))
        if meter.pattern is None or matches(meter.pattern, (f"{found[0]}:{found[1]}", found[0], found[2]))
    ]
    if not names:
        return None
    return (meter.principal, since, *(list(column) for column in zip(*names, strict=True)))


def _spent(link: Link, meter: Meter, chosen: tuple[Any, ...] | None, at: UnixMs) -> dict[int, int]:
    """What the calls in a meter's window count for, micro-USDC by the start of their slot."""
    if chosen is None:
        return {}
    slot_ms, window_ms = SLOT_MS.get(meter.window), WINDOW_MS.get(meter.window)
    starts: defaultdict[int, int] = defaultdict(int)
    for start, state, *sums in link.query(_SPENT, (slot_ms, slot_ms, *chosen)):
        amount = counted(State(state), *sums)
        expires = _expires(start, slot_ms, window_ms)
        if amount and (expires is None or expires > at):
            starts[start] += amount
    return starts


def _fill(link: Link, slots: dict[tuple[int, int], tuple[int | None, int]]) -> None:
    rows = [(meter, start, expires, amount) for (meter, start), (expires, amount) in slots.items()]
    if rows:
        link.query(_FILL, [list(column) for column in zip(*rows, strict=True)])


def _start(length: int | None, at: int) -> int:
    return 0 if length is None else at - at % length


def _expires(start: int, slot_ms: int | None, window_ms: int | None) -> int | None:
    return None if slot_ms is None or window_ms is None else start + slot_ms + window_ms
