"""How an account stands at its Hub, as far as the Hub's answers in the books tell: balance, free calls, trust tier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from jecp_mcp.calls.ends import kept_answer
from jecp_mcp.calls.reader import Reader
from jecp_mcp.clock import iso_seconds
from jecp_mcp.mandate.records import CallRow
from jecp_mcp.mandate.states import CHARGED
from jecp_mcp.money import MicroUSDC, format_usdc
from jecp_mcp.tools.receipts import free_calls_left
from jecp_mcp.wire.jecp.tiers import TIER_CALLS, TIERS

_ROWS: Final = 100
"""How far back the agent's standing is looked for, in calls."""

_ANSWERS: Final = 3
"""In how many of the latest answers, and of those of the Hub's own actions, the agent's standing is looked for."""

_TOLD_BY_HUB: Final = ("balance_usdc", "free_calls_remaining", "trust_tier")
_NEVER_CALLED: Final = "Null: the Hub tells it with a purchase, and nothing was bought from here yet."
_NOT_TOLD: Final = "Null: the Hub did not tell it with the latest purchases."


@dataclass(frozen=True, slots=True)
class Standing:
    """What was told of an account.

    Attributes:
        balance: the balance last told, micro-USDC; it moves when other programs use it. None where it is not known.
        balance_at: when it was told, Unix ms.
        status: free calls, trust tier and the calls to the next one, as far as they are known.
        bought: whether anything was bought by it from here.
    """

    balance: MicroUSDC | None = None
    balance_at: int = 0
    status: Mapping[str, Any] = field(default_factory=dict)
    bought: bool = False

    def facts(self) -> dict[str, Any]:
        """The same as ``jecp_wallet`` shows it; amounts are decimal text in USDC."""
        made: dict[str, Any] = {"balance_usdc": None}
        if self.balance is not None:
            made = {"balance_usdc": format_usdc(self.balance), "balance_at": iso_seconds(self.balance_at)}
        made |= {"free_calls_remaining": None, "trust_tier": None} | dict(self.status)
        if any(made[name] is None for name in _TOLD_BY_HUB):
            made["not_known"] = _NOT_TOLD if self.bought else _NEVER_CALLED
        return made


async def read_standing(
    reader: Reader, paid_by: tuple[str, str] | None, free_calls: int | None, *, status: bool = True
) -> Standing:
    """How an account stands.

    Args:
        paid_by: its rail and name; None: all of this process's as one.
        free_calls: what came with its registration in this process; it counts until something is bought.
        status: whether more than the balance is to be read.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    told = await reader.last_told(paid_by)
    known = Standing()
    if told is not None and told.balance_after is not None:
        known = Standing(told.balance_after, told.ended_at or told.created_at)
    if not status:
        return known
    rows = [row for row in await reader.latest(limit=_ROWS) if _paid(reader, row, paid_by)]
    first = {} if rows or free_calls is None else {"free_calls_remaining": free_calls}
    return replace(known, status=first | await _account_status(reader, rows), bought=bool(rows))


def _paid(reader: Reader, row: CallRow, paid_by: tuple[str, str] | None) -> bool:
    return reader.paid_here(row) if paid_by is None else (row.rail, row.account) == paid_by


async def _account_status(reader: Reader, rows: Sequence[CallRow]) -> dict[str, Any]:
    """Free calls, trust tier and the calls to the next one, as far as the Hub's latest answers tell them."""
    answered = [row for row in rows if row.answered]
    # Of the reference Hub's actions, only its own are answered with a tier.
    own = [row for row in answered if not row.payee]
    looked_at = {row.number: row for row in (*answered[:_ANSWERS], *own[:_ANSWERS])}
    made: dict[str, Any] = {}
    for number in sorted(looked_at, reverse=True):
        row = await reader.call(looked_at[number].call_id)
        answer = None if row is None else kept_answer(row)
        if answer is None:
            continue
        free = free_calls_left(answer)
        if free is not None:
            made.setdefault("free_calls_remaining", free)
        if answer.standing in TIERS:
            made.setdefault("trust_tier", answer.standing)
    if "trust_tier" in made and made["trust_tier"] != TIERS[-1]:
        made["next_tier"] = _next_tier(made["trust_tier"], rows)
    return made


def _next_tier(tier: str, rows: Sequence[CallRow]) -> dict[str, Any]:
    """The next trust tier and the most calls it can still take: the Hub counts them, and may have seen more."""
    following = TIERS[TIERS.index(tier) + 1]
    seen = sum(row.state in CHARGED or row.answered for row in rows)
    return {"tier": following, "calls_to_go_at_most": max(1, TIER_CALLS[following] - max(TIER_CALLS[tier], seen))}
