"""Until when a call may leave, and when its Hub is asked for it again. Pure: no I/O, no clock.

A Hub knows an id for a window that begins with the first attempt to reach it (JECP ADR-0001), and no attempt is earlier
than the instant at which the call was prepared. What leaves within that window can therefore not be bought twice; a
margin at its end is for the way, and for clocks that differ.
"""

from __future__ import annotations

from typing import Final

from jecp_mcp.clock import UnixMs
from jecp_mcp.rails.jecp.retries import MAX_REPLAYS

_LONGEST_WINDOW_MS: Final = 86_400_000
_MARGIN_MS: Final = 300_000

_FIRST_WAIT_MS: Final = 30_000
_LONGEST_WAIT_MS: Final = 600_000
_UNSENT_WAIT_MS: Final = 60_000
_LAST_LOOK_MS: Final = 120_000
"""How long before the end a call is asked for once more, whatever the waits say."""

_PER_ROUND: Final = 1 + MAX_REPLAYS


def provable_until(prepared: UnixMs, window_seconds: int) -> UnixMs:
    """The last instant at which a call may leave.

    Args:
        prepared: when it was written down.
        window_seconds: how long the Hub says that it knows an id.
    """
    window = min(window_seconds * 1000, _LONGEST_WINDOW_MS)
    return UnixMs(prepared + window - min(_MARGIN_MS, window // 2))


def look_again_at(now: UnixMs, until: UnixMs, *, attempts: int, left: bool, allowed_at: UnixMs | None = None) -> UnixMs:
    """When a call in doubt is worth asking for again.

    Args:
        until: the last instant at which it may leave.
        attempts: how many attempts may have reached the Hub so far.
        left: whether one of them was made just now.
        allowed_at: when it may leave, where it was held back until then.
    """
    wait = _UNSENT_WAIT_MS
    if left:
        rounds = -(-attempts // _PER_ROUND)
        wait = min(_FIRST_WAIT_MS << min(rounds - 1, 16), _LONGEST_WAIT_MS)
    wanted = now + wait if allowed_at is None else allowed_at
    last = until - _LAST_LOOK_MS
    return UnixMs(min(wanted, last if now < last else until))
