"""What waits for a person's answer, and the answer: the same at a terminal and on the local page."""

from __future__ import annotations

from typing import Any, Final

from jecp_mcp.calls.approval import Asked
from jecp_mcp.clock import SystemClock, iso
from jecp_mcp.errors import JecpMcpError
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.slips import Slip, SlipKind, SlipRef, SlipState
from jecp_mcp.money import format_usdc
from jecp_mcp.tools.cleaning import clean

_SHOWN: Final = 1_000
_KINDS: Final = (SlipKind.APPROVAL, SlipKind.LIMIT)


class NotAnswered(JecpMcpError):
    """Nothing was approved or refused; its message says why."""


async def waiting(ledger: Ledger) -> list[Slip]:
    """What waits for a person's answer, newest first.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    now = SystemClock().now()
    asked = [
        slip
        for kind in _KINDS
        for slip in await ledger.slips(kind, states=frozenset({SlipState.ASKED}))
        if slip.expires_at > now
    ]
    return sorted(asked, key=lambda slip: slip.created_at, reverse=True)


async def find(ledger: Ledger, code: str) -> Slip:
    """What waits under a code.

    Raises:
        NotAnswered: nothing does, or no longer.
        LedgerError: the ledger cannot be read.
    """
    for kind in _KINDS:
        slip = await ledger.slip(SlipRef(kind, code))
        if slip is None:
            continue
        if slip.state is not SlipState.ASKED:
            raise NotAnswered(f"{code} is {slip.state.value} already ({slip.note or 'no note'}); nothing was changed")
        if slip.expires_at <= SystemClock().now():
            raise NotAnswered(f"{code} ran out at {iso(slip.expires_at)}; let the agent ask again")
        return slip
    raise NotAnswered(f"no call waits under the code {code}; `jecp-mcp approve` lists those that do")


async def answer(ledger: Ledger, slip: Slip, granted: bool, *, by: str) -> Slip:
    """Answer it, once.

    Args:
        by: who answers and by which road, for the books.

    Raises:
        NotAnswered: it was answered or ran out meanwhile.
        LedgerError: the answer cannot be kept.
    """
    note = f"{'approved' if granted else 'refused'} by {by}"
    answered = await ledger.answer_slip(SlipRef(slip.kind, slip.slip_id), granted, note)
    if answered is None:
        raise NotAnswered(f"{slip.slip_id} was answered or ran out meanwhile; nothing was changed")
    return answered


def shown(slip: Slip) -> dict[str, Any]:
    """A question as a person reads it: provider's words cleaned, amounts as decimal text in USDC."""
    asked = Asked.read(slip)
    return {
        "code": slip.slip_id,
        "for": slip.kind.value,
        "state": slip.state.value,
        "because": clean(asked.because, _SHOWN, one_line=True),
        "action": clean(asked.action, _SHOWN, one_line=True),
        "payee": clean(asked.payee, _SHOWN, one_line=True) or "the Hub",
        "at_most_usdc": format_usdc(asked.amount),
        "exact": asked.exact,
        "arguments": clean(asked.arguments, _SHOWN, one_line=True),
        "principal": slip.principal,
        "asked_at": iso(slip.created_at),
        "expires_at": iso(slip.expires_at),
        "note": slip.note,
    }
