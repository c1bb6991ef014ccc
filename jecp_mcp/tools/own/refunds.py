"""``jecp_refund``: asking for money back, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from jecp_mcp.calls.codes import ACCOUNT_NOT_HERE, CALL_WRITTEN_OFF
from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.calls.ports import Caller
from jecp_mcp.errors import PayeeError, ToolFault
from jecp_mcp.mandate.records import CallRow
from jecp_mcp.mandate.states import CHARGED, HOLDING, State
from jecp_mcp.money import format_usdc
from jecp_mcp.rails.jecp.client import HubClient
from jecp_mcp.rails.jecp.codes import CREDENTIALS_MISSING
from jecp_mcp.settings.merchants import PAID_HTTP
from jecp_mcp.tools.codes import CALL_NOT_FOUND, CHARGE_NOT_PROVEN, INVALID_ARGUMENTS, NOT_CHARGED, NOT_REFUNDABLE
from jecp_mcp.tools.error_results import next_action_object
from jecp_mcp.tools.own.hubs import Hubs
from jecp_mcp.tools.publishing.links import LinkPolicy, hub_id
from jecp_mcp.tools.types import NextAction
from jecp_mcp.wire.jecp.account import Refund

_LISTED: Final = 20
_NOTE: Final = 300


async def refund(
    calls: Calls, hub: HubClient, arguments: Mapping[str, Any], caller: Caller, links: LinkPolicy
) -> dict[str, Any]:
    """Ask for a call's money back, or say what became of earlier requests; amounts are decimal text in USDC.

    Raises:
        ToolFault: there is no such call, it was not charged, or a reason is missing.
        PayeeError: the Hub refused, or could not be reached.
        LedgerError: the ledger cannot be read.
    """
    call_id = arguments.get("call_id")
    if call_id is None:
        listed = await hub.refunds()
        await calls.note_refunds()
        return {"refunds": [_refund_json(one, links) for one in listed[:_LISTED]]}
    row = await _row(calls, call_id, caller)
    reason = arguments.get("reason")
    if reason is None:
        raise ToolFault(
            INVALID_ARGUMENTS,
            "A refund needs a reason, which a person will judge. Asking charged nothing.",
        )
    assert row.reference is not None
    made = _refund_json(await hub.request_refund(row.reference, reason), links)
    step = NextAction(
        "check_status",
        "agent",
        "The provider answers within a day or so, and nine tenths can come back. Ask later what became of it; do not "
        "ask for the refund again.",
        "bridge",
        tool="jecp_refund",
        arguments={},
    )
    return {"call_id": call_id, **made, "next_action": next_action_object(step)}


async def all_refunds(calls: Calls, hubs: Hubs, links: LinkPolicy) -> dict[str, Any]:
    """What became of earlier requests at each of several Hubs; one that does not say is named.

    Raises:
        PayeeError: none of them says.
        LedgerError: the ledger cannot be read.
    """
    listed: list[dict[str, Any]] = []
    silent: dict[str, PayeeError] = {}
    asked = [hub for hub in hubs if hub.account.present()]
    for hub in asked:
        try:
            found = await hub.client.refunds()
        except PayeeError as exc:
            silent[hub.called] = exc
            continue
        listed += [{"hub": hub.called, **_refund_json(one, links)} for one in found[:_LISTED]]
    if len(silent) == len(asked):
        nobody = PayeeError(CREDENTIALS_MISSING, "There is no agent account yet. Nothing was charged.")
        raise next(iter(silent.values()), nobody)
    with suppress(PayeeError):
        # Whoever does not say is named here; what the others say is noted.
        await calls.note_refunds()
    return {"refunds": listed, **({"did_not_answer": list(silent)} if silent else {})}


async def _row(calls: Calls, call_id: str, caller: Caller) -> CallRow:
    reader = calls.reader(caller.principal)
    row = await reader.call(call_id)
    if row is None:
        raise ToolFault(CALL_NOT_FOUND, "No call has this id. Nothing was charged for asking.")
    if row.source == PAID_HTTP:
        raise ToolFault(
            NOT_REFUNDABLE,
            "This call was paid to a merchant, and no way to ask it for money back is known. Asking charged nothing.",
        )
    if not reader.may_come_back(row):
        raise ToolFault(
            NOT_REFUNDABLE,
            "This call was bought in a way that knows no refund; only the payee can give anything back. Asking charged "
            "nothing.",
        )
    if not reader.paid_here(row):
        raise ToolFault(
            ACCOUNT_NOT_HERE,
            "Another account paid for this call, so this server cannot ask its money back. Asking charged nothing.",
        )
    if row.state is State.WRITTEN_OFF:
        raise ToolFault(
            CALL_WRITTEN_OFF,
            "The Hub no longer knows this call, so nothing can be asked back. Whether it was charged stays unknown.",
        )
    if row.state in HOLDING:
        raise ToolFault(
            CHARGE_NOT_PROVEN,
            "Nobody knows yet whether this call was charged. Asking charged nothing.",
        )
    if row.state not in CHARGED:
        raise ToolFault(NOT_CHARGED, "This call was free, so nothing can come back. Nothing was charged.")
    if row.reference is None:
        raise ToolFault(
            NOT_REFUNDABLE,
            "The Hub named no transaction for this call, so nothing can be asked back. Asking charged nothing.",
        )
    return row


def _refund_json(one: Refund, links: LinkPolicy) -> dict[str, Any]:
    made: dict[str, Any] = {"refund_id": hub_id(one.refund_id), "status": links.safe_text(one.status, 40)}
    if (transaction := hub_id(one.transaction_id)) is not None:
        made["transaction_id"] = transaction
    for name, amount in (("amount_usdc", one.amount), ("returns_usdc", one.returned)):
        if amount is not None:
            made[name] = format_usdc(amount)
    texts = {
        "requested_at": one.requested_at,
        "estimated_resolution": one.estimated_resolution,
        "resolved_at": one.resolved_at,
        "note": one.resolution_note,
    }
    made |= {name: links.safe_text(text, _NOTE) for name, text in texts.items() if text}
    return made
