"""Where in time an amount counts: the slots of a rolling window. Pure: no I/O, no clock.

A rolling window is kept in slots. What is counted in a slot leaves the window when the whole slot is older than the
window, so an amount never leaves early, and at most one slot's length late. Every slot is a whole number of minutes
long, so whatever leaves within the minute that it was admitted in is counted in the right slot.
"""

from __future__ import annotations

from enum import StrEnum


class Window(StrEnum):
    """The stretch of time a cap looks at. Rolling windows end now and start that long ago."""

    SESSION = "session"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


WINDOW_MS: dict[Window, int] = {
    Window.HOUR: 3_600_000,
    Window.DAY: 86_400_000,
    Window.MONTH: 30 * 86_400_000,
}
"""The length of each rolling window; a month is 30 days. The others never roll."""

SLOT_MS: dict[Window, int] = {
    Window.HOUR: 60_000,
    Window.DAY: 600_000,
    Window.MONTH: 21_600_000,
}
"""The length of a slot of each rolling window."""

SHORTEST_SLOT_MS = 60_000
"""The length of the shortest slot, of which every other is a multiple."""


def slot_start(window: Window, at: int) -> int:
    """The start of the slot that counts what is spent at `at`; 0 where the window never rolls."""
    length = SLOT_MS.get(window)
    return 0 if length is None else at - at % length


def slot_expiry(window: Window, start: int) -> int | None:
    """When a slot leaves its window; None where it never does."""
    length = SLOT_MS.get(window)
    return None if length is None else start + length + WINDOW_MS[window]


def earliest(window: Window, at: int) -> int:
    """The earliest instant whose slot has not left the window at `at`; -1 where it never rolls."""
    length = SLOT_MS.get(window)
    return -1 if length is None else slot_start(window, at - WINDOW_MS[window])
