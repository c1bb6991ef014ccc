"""A call of the ledger as programs read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jecp_mcp.calls.refusals import estimated
from jecp_mcp.clock import iso
from jecp_mcp.mandate.states import CHARGED, HOLDING
from jecp_mcp.money import format_usdc

if TYPE_CHECKING:
    from jecp_mcp.cli.options import Start
    from jecp_mcp.mandate.records import CallRow


def excess_in_words(row: CallRow) -> str:
    """A call that the payee took more for than it was allowed to cost, in words."""
    return (
        f"for the call {row.call_id} of {iso(row.created_at)} ({row.tool}) the payee says that it took "
        f"{format_usdc(row.charged)} USDC, where at most {format_usdc(row.held)} was allowed; that counts as spent"
    )


def of_hub_gone(given: Start, row: CallRow) -> bool:
    """Whether a call was made at a Hub that is not among the settings any more: nobody here can find out about it."""
    from jecp_mcp.rails.jecp.rail import JecpRail

    here = {hub.base_url for hub in given.settings.every_hub.values()}
    return row.rail == JecpRail.name and row.source not in here


def call_json(row: CallRow) -> dict[str, Any]:
    """A call as JSON; amounts are decimal text in USDC, instants RFC 3339."""
    return {
        "call_id": row.call_id,
        "tool": row.tool,
        "state": row.state.value,
        # Only what counts as spent: what was set aside for a call that has ended is free again.
        "held_usdc": format_usdc(row.held if row.state in HOLDING else 0),
        "charged_usdc": format_usdc(row.charged if row.state in CHARGED else 0),
        # Whether that is what counts instead of a figure of the payee's, which could not be read.
        "amount_unreadable": estimated(row),
        "refunded_usdc": format_usdc(row.refunded),
        "reserved_usdc": format_usdc(row.held),
        "quoted_usdc": format_usdc(row.quoted),
        "transaction_id": row.reference,
        "balance_after_usdc": None if row.balance_after is None else format_usdc(row.balance_after),
        "rail": row.rail,
        "account": row.account,
        "payee": row.payee,
        "source": row.source,
        "offer": row.offer,
        "version": row.version,
        "principal": row.principal,
        "attempts": row.attempts,
        "evidence": row.evidence,
        "answer": None if not row.answered else "dropped" if row.answer is None else "kept",
        "delivered": row.delivered,
        "created_at": iso(row.created_at),
        "ended_at": None if row.ended_at is None else iso(row.ended_at),
    }
