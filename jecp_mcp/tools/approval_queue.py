"""What waits for a person's answer, and the answer: the same at a terminal and on the local page."""

from __future__ import annotations

from typing import Any, Final

from jecp_mcp.calls import display
from jecp_mcp.calls.approval import Asked
from jecp_mcp.clock import SystemClock, iso
from jecp_mcp.errors import JecpMcpError, LedgerDamaged
from jecp_mcp.mandate.grants import QUESTIONS, Grant, GrantRef, GrantState, OpenQuestions
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.money import format_usdc

SHORT: Final = 2_000
"""The longest arguments, in characters, that are shown without being asked for."""


class NotAnswered(JecpMcpError):
    """Nothing was approved or refused; its message says why."""


class NothingWaits(NotAnswered):
    """There is no question under this code."""


async def open_questions(ledger: Ledger, page: int, size: int) -> tuple[OpenQuestions, int]:
    """One page of what waits for a person's answer, oldest first, and which it is: the last one where `page` is behind.

    Args:
        page: which page, from 1 on.
        size: how many are on each.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    now = SystemClock().now()
    found = await ledger.questions(now, skip=(page - 1) * size, limit=size)
    last = max(1, -(-found.total // size))
    if page > last:
        return await ledger.questions(now, skip=(last - 1) * size, limit=size), last
    return found, page


async def find(ledger: Ledger, code: str) -> Grant:
    """What waits under a code.

    Raises:
        NotAnswered: nothing does, or no longer.
        LedgerError: the ledger cannot be read.
    """
    for kind in QUESTIONS:
        grant = await ledger.grant(GrantRef(kind, code))
        if grant is None:
            continue
        if grant.state is not GrantState.ASKED:
            raise NotAnswered(f"{code} is {grant.state.value} already ({grant.note or 'no note'}); nothing was changed")
        if grant.expires_at <= SystemClock().now():
            raise NotAnswered(f"{code} ran out at {iso(grant.expires_at)}; let the agent ask again")
        return grant
    raise NothingWaits(f"no call waits under the code {code}")


async def answer(ledger: Ledger, grant: Grant, granted: bool, *, by: str) -> Grant:
    """Answer it, once.

    Args:
        by: who answers and by which road, for the books.

    Raises:
        NotAnswered: it was answered or ran out meanwhile.
        LedgerError: the answer cannot be kept, or what was asked cannot be read and so cannot be approved.
    """
    if granted:
        Asked.read(grant)
    note = f"{'approved' if granted else 'refused'} by {by}"
    answered = await ledger.answer_grant(GrantRef(grant.kind, grant.grant_id), granted, note)
    if answered is None:
        raise NotAnswered(f"{grant.grant_id} was answered or ran out meanwhile; nothing was changed")
    return answered


def readable_question(grant: Grant) -> dict[str, Any]:
    """A question as a person reads it, whole: strangers' words escaped, amounts as decimal text in USDC.

    What cannot be read has no arguments (None), and must not be approved.
    """
    try:
        question = _call_fields(Asked.read(grant))
    except LedgerDamaged as exc:
        question = dict.fromkeys(("action", "payee", "at_most_usdc"), "unknown")
        question |= {"because": f"{exc}: refuse it, and let the agent ask again.", "exact": False, "arguments": None}
    return {
        "code": grant.grant_id,
        "for": grant.kind.value,
        "state": grant.state.value,
        **question,
        "principal": display.words(grant.principal),
        "asked_at": iso(grant.created_at),
        "expires_at": iso(grant.expires_at),
        "note": grant.note,
    }


def _call_fields(asked: Asked) -> dict[str, Any]:
    return {
        "because": display.words(asked.because),
        "action": display.words(asked.action),
        "payee": display.words(asked.payee) or "the Hub",
        "at_most_usdc": format_usdc(asked.amount),
        "exact": asked.kind.exact,
        "arguments": asked.arguments,
    }
