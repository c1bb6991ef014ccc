"""Whether this machine's clock can be gone by: somebody the operator trusts tells."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from jecp_mcp.calls import refusals
from jecp_mcp.calls.codes import CLOCK_WRONG
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import PayeeError
from jecp_mcp.rails.base import Witness
from jecp_mcp.rails.registry import Rails

MOST_SKEW_SECONDS: Final = 300.0
"""How far this machine's clock may be off the witness's: what payees themselves allow."""


async def clock_fault(rails: Rails, own: Witness | None, *, fresh: bool = False) -> Refusal | None:
    """Why this machine's clock cannot be gone by for a call, or None. Where nobody tells, it has to be.

    A rail whose payees do not tell the time goes by what others' did. It waits for nobody, unless they may be wrong.

    Args:
        own: who tells the time where the call is paid; None where nobody does there.
        fresh: ask them now, instead of going by what was last heard.
    """
    if own is None:
        doubts = [await _doubt(witness) for witness in rails.witnesses]
        return next((fault for fault in doubts if fault is not None), None)
    try:
        return _fault(await own.skew(fresh=fresh))
    except PayeeError as exc:
        return Refusal(exc.code, exc.message, source="bridge")


async def house_clock_fault(rails: Rails) -> Refusal | None:
    """Why this machine's clock cannot be gone by for anything, asking who tells the time; None where it can."""
    faults = [await clock_fault(rails, witness, fresh=True) for witness in rails.witnesses]
    wrong = next((fault for fault in faults if fault is not None and fault.code == CLOCK_WRONG), None)
    return wrong or (faults[0] if faults and all(faults) else None)


async def confirmed_skew(rails: Rails, own: Witness | None) -> float | None:
    """How far this machine's clock is ahead, in seconds, as somebody says who was asked now; None where nobody does."""
    for witness in rails.witnesses if own is None else (own,):
        with suppress(PayeeError):
            skew = await witness.skew(fresh=True)
            if skew is not None:
                return skew
    return None


async def _doubt(witness: Witness) -> Refusal | None:
    """Why another rail's witness speaks against the clock, also when asked anew: this machine may have slept since."""
    if _fault(witness.heard()) is None:
        return None
    with suppress(PayeeError):
        return _fault(await witness.skew(fresh=True))
    return None


def _fault(skew: float | None) -> Refusal | None:
    return refusals.clock_wrong(skew) if skew is not None and abs(skew) > MOST_SKEW_SECONDS else None
