"""What the calls in SQLite count for, added up: what feeds a meter that lags, and what a reading adds to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import apsw

from jecp_mcp.clock import UnixMs
from jecp_mcp.mandate.columns import METER as METER_COLUMNS
from jecp_mcp.mandate.columns import read_meter, read_names
from jecp_mcp.mandate.counting import new_meter, reading
from jecp_mcp.mandate.records import Meter, MeterReading
from jecp_mcp.mandate.sql_conditions import COUNTED
from jecp_mcp.mandate.windows import SLOT_MS, Window, earliest
from jecp_mcp.mandate.working_set import MeterState

METER: Final = f"SELECT {', '.join(METER_COLUMNS)} FROM meter "  # noqa: S608 a constant
"""A meter, for `read_meter`."""


def read(
    connection: apsw.Connection, meters: Sequence[Meter], session: str, at: UnixMs, most: int | None = None
) -> list[MeterReading] | None:
    """How full each cap is at `at`, what a meter has yet to count included.

    Needs no transaction of its own: what has expired is left out, not removed.

    Args:
        most: how many calls may have to be added up for one of these caps; None where however many may.

    Returns:
        None where there are more.
    """
    last = connection.execute("SELECT max(id) FROM call").get or 0
    states: list[MeterState] = []
    for meter in meters:
        found = connection.execute(f"{METER} WHERE key = ?", (meter.key,)).get
        if found is not None:
            state = read_meter(found)
        else:
            state = new_meter(meter, 0, session, last=last, fed=fed_from(connection, meter.window, at, last))
        if most is not None and last - state.fed > most:
            return None
        states.append(state)
    return [_reading(connection, *one, at, last) for one in zip(meters, states, strict=True)]


def _reading(connection: apsw.Connection, meter: Meter, state: MeterState, at: UnixMs, last: int) -> MeterReading:
    """How full a cap is; a meter that is not stored has no slots."""
    slots: list[Any] = connection.execute(
        "SELECT start, amount FROM slot WHERE meter = ? AND (expires IS NULL OR expires > ?)", (state.number, at)
    ).fetchall()
    return reading(meter, state, slots, read_feed(connection, state, state.fed, last, earliest(state.window, at)))


def read_feed(
    connection: apsw.Connection, state: MeterState, behind: int, upto: int, since: int
) -> list[tuple[tuple[str, ...], int, int]]:
    """What the calls behind one number and up to another count for: names, start of the slot, micro-USDC.

    Only those of the meter's principal and session that were sent at `since` or later; the pattern is not asked here.
    """
    if behind >= upto:
        return []
    length = SLOT_MS.get(state.window)
    start = "0" if length is None else f"sent_at - sent_at % {length}"
    rows: list[Any] = connection.execute(
        f"SELECT names, {start} AS start, sum({COUNTED}) FROM call WHERE id > ? AND id <= ? AND principal = ? "  # noqa: S608 constants
        f"AND sent_at >= ? {'AND session = ?' if state.session is not None else ''} GROUP BY names, start",
        (behind, upto, state.principal, since, *(() if state.session is None else (state.session,))),
    ).fetchall()
    return [(read_names(names), slot, amount) for names, slot, amount in rows]


def fed_from(connection: apsw.Connection, window: Window, at: int, stored: int) -> int:
    """A number up to which no call can be in a window that ends at `at`."""
    if window not in SLOT_MS:
        return 0
    # Without the plus, SQLite would look for the first such call from the oldest on.
    first: int | None = connection.execute(
        "SELECT min(+id) FROM call INDEXED BY call_sent WHERE sent_at >= ?", (earliest(window, at),)
    ).get
    return stored if first is None else first - 1
