"""How long a decision may be asked for under its key, and when it is worth asking again. Pure: no I/O, no clock."""

from __future__ import annotations

from typing import Final

from jecp_mcp.clock import UnixMs

RESEND_MS: Final = 3_300_000
"""How long after it was written down a request may leave. How long a control plane knows a key nobody says."""

FOLLOW_MS: Final = 30 * 86_400_000
"""How long a provisional receipt is followed."""

_FIRST_WAIT_MS: Final = 3_000
_LONGEST_WAIT_MS: Final = 60_000
_RECEIPT_SOONEST_MS: Final = 30_000
_RECEIPT_LATEST_MS: Final = 3_600_000


def ask_again_at(now: UnixMs, *, attempts: int) -> UnixMs:
    """When a decision is worth asking for again; `attempts` may have reached the control plane so far."""
    return UnixMs(now + min(_FIRST_WAIT_MS << min(max(attempts - 1, 0), 16), _LONGEST_WAIT_MS))


def look_again_at(now: UnixMs, prepared_at: int) -> UnixMs | None:
    """When a provisional receipt is worth another look: less and less often; None once it never will be."""
    age = now - prepared_at
    if age > FOLLOW_MS:
        return None
    return UnixMs(now + min(max(age, _RECEIPT_SOONEST_MS), _RECEIPT_LATEST_MS))
