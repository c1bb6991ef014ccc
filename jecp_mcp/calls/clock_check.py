"""Whether this machine's clock can be gone by: somebody the operator trusts tells."""

from __future__ import annotations

from typing import Final

from jecp_mcp.calls import refusals
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import PayeeError
from jecp_mcp.rails.registry import Rails

MOST_SKEW_SECONDS: Final = 300.0
"""How far this machine's clock may be off the witness's: what payees themselves allow."""


async def clock_fault(rails: Rails, rail: str | None = None, *, fresh: bool = False) -> Refusal | None:
    """Why this machine's clock cannot be gone by now, or None. Where nobody ever tells the time, it has to be.

    Args:
        rail: for whose calls; a rail whose payees do not tell the time goes by another's, but does not wait for it.
        fresh: ask now, instead of going by what was last heard.
    """
    witness = rails.witness(rail)
    if witness is None:
        return None
    try:
        skew = await witness.skew(fresh=fresh)
    except PayeeError as exc:
        return Refusal(exc.code, exc.message, source="bridge") if rails.is_own(witness, rail) else None
    return refusals.clock_wrong(skew) if skew is not None and abs(skew) > MOST_SKEW_SECONDS else None
