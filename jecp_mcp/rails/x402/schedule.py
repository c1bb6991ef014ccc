"""How long a payment is good for, and when it is worth asking what became of it. Pure: no I/O, no clock."""

from __future__ import annotations

from typing import Final

from jecp_mcp.clock import UnixMs

SAFE_TO_SEND_SECONDS: Final = 10
"""How long before its end a payment is no longer sent: its merchant must have time to have it taken."""

MARGIN_SECONDS: Final = 60
"""How long after a payment's end the blocks that prove it are expected to be final."""

_SHORTEST: Final = 30
_FIRST_WAIT_MS: Final = 3_000
_LONGEST_WAIT_MS: Final = 60_000
_CHAIN_WAIT_MS: Final = 60_000
_RESENDS: Final = 6


def valid_seconds(asked: int, most: int) -> int:
    """For how long a payment is signed: as long as the merchant needs, within what the operator allows."""
    return min(max(asked, _SHORTEST), most)


def look_again_at(now: UnixMs, valid_before: int, *, attempts: int) -> UnixMs:
    """When a payment in doubt is worth asking for again.

    Args:
        valid_before: when it ends, Unix seconds.
        attempts: how often it may have reached its merchant so far.
    """
    last = (valid_before - SAFE_TO_SEND_SECONDS) * 1000
    wait = min(_FIRST_WAIT_MS << min(max(attempts - 1, 0), 16), _LONGEST_WAIT_MS)
    if now + wait < last and attempts < _RESENDS:
        return UnixMs(now + wait)
    return proven_at(now, valid_before)


def proven_at(now: UnixMs, valid_before: int) -> UnixMs:
    """When the chain is expected to know what became of a payment; a while from now where it should already."""
    settled = (valid_before + MARGIN_SECONDS) * 1000
    return UnixMs(settled if now < settled else now + _CHAIN_WAIT_MS)
