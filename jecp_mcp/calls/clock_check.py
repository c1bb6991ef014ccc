"""Whether this machine's clock can be gone by: the payee's tells."""

from __future__ import annotations

from typing import Final

from jecp_mcp.calls import refusals
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import HubError
from jecp_mcp.rails.base import Rail

MOST_SKEW_SECONDS: Final = 300.0
"""How far this machine's clock may be off the Hub's: what the Hub itself allows (JECP 02-authentication §5.2)."""


async def clock_fault(rail: Rail, *, fresh: bool = False) -> Refusal | None:
    """Why this machine's clock cannot be gone by now, or None. With a payee that never tells the time, it has to be.

    Args:
        fresh: ask the payee now, instead of going by what was last heard.
    """
    try:
        skew = await rail.skew(fresh=fresh)
    except HubError as exc:
        return Refusal(exc.code, exc.message, source="bridge")
    return refusals.clock_wrong(skew) if skew is not None and abs(skew) > MOST_SKEW_SECONDS else None
