"""From a refusal to the next step: which one, by code and by the Hub's own word. Pure: no I/O.

The Hub's own ``next_action`` decides the type where it gave one; the actor, the ready call and every hint are ours
(`jecp_mcp.tools.next_actions.builders`). Where it is not proven whether money moved, the only step is to ask for the
call's status.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from jecp_mcp.calls import codes as call_codes
from jecp_mcp.calls.ports import CallEnd, Charge
from jecp_mcp.calls.refusals import came_back
from jecp_mcp.mandate import codes as mandate_codes
from jecp_mcp.mandate.policy import PROHIBITIONS
from jecp_mcp.money import format_usdc
from jecp_mcp.rails import codes as rail_codes
from jecp_mcp.rails.jecp import codes as hub_codes
from jecp_mcp.tools import codes as tool_codes
from jecp_mcp.tools.next_actions import builders, catalog_lookups, human_approval
from jecp_mcp.tools.next_actions.case import Case, Context
from jecp_mcp.tools.types import NextAction
from jecp_mcp.wire.jecp.next_actions import paired_type, parse_next_action


def choose(end: CallEnd, context: Context) -> NextAction | None:
    """The next step after a refused call; None where nothing is left to do. `end` carries a refusal."""
    refusal = end.refusal
    assert refusal is not None
    if refusal.code in _NOTHING_LEFT:
        return None
    said = parse_next_action(refusal.next_action)
    if said is not None and not said.type:
        said = None
    kind = said.type if said is not None else _OURS.get(refusal.code) or paired_type(refusal.code) or "ask_operator"
    case = Case(end, refusal, context, said, kind, "hub" if said is not None else "bridge")
    if end.charge is Charge.UNKNOWN and refusal.code not in _RULED_BY_OPERATOR:
        forbidden = refusal.source == "bridge" and refusal.details.get("because") in PROHIBITIONS
        return human_approval.forbidden_since(case) if forbidden else builders.check_status(case)
    if end.charge is Charge.YES:
        # Whatever the code or the Hub says: buying it, or something like it, a second time is a person's decision.
        return builders.buy_again(case)
    if refusal.code in _BY_CODE:
        return _BY_CODE[refusal.code](case)
    return _BY_TYPE.get(kind, builders.foreign)(case)


_NOTHING_LEFT: Final = frozenset({tool_codes.ALREADY_REGISTERED, tool_codes.NOT_CHARGED})
"""What was asked for is there, or there is nothing that could be."""

_RULED_BY_OPERATOR: Final = frozenset(
    {
        call_codes.CALL_WRITTEN_OFF,
        call_codes.LEDGER_UNAVAILABLE,
        call_codes.LEDGER_DAMAGED,
        call_codes.ACCOUNT_NOT_HERE,
        rail_codes.RESULT_UNVERIFIED,
        rail_codes.LEGACY_SIGNATURE,
    }
)
"""Charge unknown until the operator acts: asking again finds out nothing."""

PREPARE_ANEW: Final = frozenset({call_codes.PREPARED_EXPIRED, call_codes.PREPARED_SUPERSEDED, call_codes.PRICE_CHANGED})
"""A prepared call that cannot be executed any more; another one can be prepared."""

_OURS: Final[Mapping[str, str]] = MappingProxyType(
    {
        hub_codes.CREDENTIALS_MISSING: "register",
        mandate_codes.MANDATE_EXPIRED: "refresh_mandate",
        tool_codes.INVALID_ARGUMENTS: "fix_input",
        "INPUT_SCHEMA_VIOLATION": "fix_input",
        rail_codes.INVALID_REQUEST: "fix_input",
        "VALIDATION_FAILED": "fix_input",
        "INPUT_TOO_LARGE": "fix_input",
        "URL_BLOCKED_SSRF": "fix_input",
        tool_codes.TOOL_NOT_FOUND: "discover",
        tool_codes.VERSION_NOT_AVAILABLE: "use_available_version",
        tool_codes.TOOL_QUARANTINED: "discover",
        tool_codes.CALL_NOT_FOUND: "list_calls",
        call_codes.PREPARED_NOT_FOUND: "prepare",
        tool_codes.CHARGE_NOT_PROVEN: "check_status",
        tool_codes.ARTIFACT_NOT_FOUND: "check_status",
        call_codes.PREPARED_EXPIRED: "prepare",
        call_codes.PREPARED_SUPERSEDED: "prepare",
        call_codes.PRICE_CHANGED: "prepare",
        call_codes.APPROVAL_REQUIRED: "ask_human",
        call_codes.APPROVAL_PENDING: "ask_human",
        call_codes.APPROVAL_DENIED: "ask_human",
        call_codes.APPROVAL_SPENT: "retry_after",
        call_codes.NOT_SHOWABLE: "fix_input",
        call_codes.TOO_MANY_QUESTIONS: "ask_human",
        rail_codes.ACCOUNT_CHANGED: "retry_after",
        rail_codes.TOO_LATE_TO_SEND: "retry_after",
        hub_codes.HUB_UNREACHABLE: "retry_after",
        call_codes.SHUTTING_DOWN: "retry_after",
        "SERVICE_ERROR": "retry_after",
        "SERVICE_DEGRADED": "retry_after",
        "INTERNAL_ERROR": "retry_after",
        "STREAM_INCOMPLETE": "retry_or_alternative",
        "PROVIDER_DISCONNECT": "retry_or_alternative",
        "EXECUTION_FAILED": "try_alternative_provider",
        "OUTPUT_INVALID": "try_alternative_provider",
        "COMPOSITE_STEP_FAILED": "try_alternative_provider",
        "COMPOSITE_BIND_ERROR": "try_alternative_provider",
        "COMPOSITE_DEPTH_EXCEEDED": "try_alternative_provider",
        "COMPOSITE_TIMEOUT": "retry_or_alternative",
        call_codes.CALL_IN_PROGRESS: "check_status",
        call_codes.CALL_IN_DOUBT: "check_status",
        hub_codes.HUB_LOST_ANSWER: "check_status",
        "DUPLICATE_REQUEST": "check_status",
        call_codes.BRIDGE_FAULT: "check_status",
        rail_codes.MERCHANT_NOT_LISTED: "stop",
        rail_codes.WALLET_MISSING: "ask_operator",
        hub_codes.PAYMENT_METHOD_OFF: "ask_operator",
        hub_codes.CHALLENGE_REFUSED: "ask_operator",
        rail_codes.MERCHANT_UNREACHABLE: "retry_after",
        rail_codes.MERCHANT_REFUSED: "revise_request",
        rail_codes.PAYMENT_NOT_POSSIBLE: "stop",
        rail_codes.PAYMENT_IN_DOUBT: "check_status",
        rail_codes.PAYMENT_NEVER_TAKEN: "prepare",
        rail_codes.CONTROL_PLANE_KEY_MISSING: "ask_operator",
        rail_codes.CONTROL_PLANE_UNREACHABLE: "retry_after",
        rail_codes.CONTROL_PLANE_REFUSED: "ask_operator",
        rail_codes.PAYMENT_DENIED: "ask_operator",
        rail_codes.AGENT_KEY_MISSING: "ask_operator",
        rail_codes.AGENT_UNREACHABLE: "retry_after",
        rail_codes.AGENT_NOT_TRUSTED: "ask_operator",
        rail_codes.AGENT_REFUSED: "revise_request",
        rail_codes.AGENT_BUSY: "retry_after",
        rail_codes.JOB_FAILED: "revise_request",
        rail_codes.JOB_IN_DOUBT: "check_status",
        rail_codes.RESULT_UNVERIFIED: "ask_operator",
        rail_codes.LEGACY_SIGNATURE: "ask_operator",
        tool_codes.PREPARED_INCOMPLETE: "revise_request",
        call_codes.PRICE_ABOVE_MAXIMUM: "stop",
    }
)
"""The type for a code when the Hub gave no next_action, where the protocol pairs none or a better one is known.

Codes that stand here as text are the Hub's.
"""

_BY_CODE: Final[Mapping[str, Callable[[Case], NextAction]]] = MappingProxyType(
    {
        call_codes.LIMIT_REACHED: human_approval.full_limit,
        mandate_codes.PER_CALL_LIMIT: catalog_lookups.within_call_limit,
        call_codes.APPROVAL_REQUIRED: human_approval.approve,
        call_codes.APPROVAL_PENDING: human_approval.wait_for_person,
        call_codes.APPROVAL_DENIED: human_approval.accept_refusal,
        call_codes.NOT_SHOWABLE: human_approval.shorten,
        call_codes.TOO_MANY_QUESTIONS: human_approval.too_many_questions,
        call_codes.PREPARED_NOT_FOUND: human_approval.prepare_first,
        call_codes.PREPARED_EXPIRED: human_approval.prepare_anew,
        call_codes.PREPARED_SUPERSEDED: human_approval.prepare_anew,
        call_codes.PRICE_CHANGED: human_approval.prepare_anew,
        tool_codes.CHARGE_NOT_PROVEN: builders.status_of_call,
        tool_codes.NOT_REFUNDABLE: builders.without_refund,
        tool_codes.VERSION_NOT_AVAILABLE: catalog_lookups.sold_version,
        tool_codes.TOOL_QUARANTINED: catalog_lookups.beside_held,
        tool_codes.ARTIFACT_NOT_FOUND: builders.call_of_file,
        mandate_codes.DENIED_BY_POLICY: builders.other_action,
        tool_codes.ACTION_LEFT_OUT: builders.other_action,
        mandate_codes.PRICE_UNKNOWN: builders.other_action,
        "INSUFFICIENT_BUDGET": builders.above_listed_price,
        call_codes.LEDGER_UNAVAILABLE: builders.mend_ledger,
        call_codes.LEDGER_DAMAGED: builders.mend_ledger,
        call_codes.CLOCK_WRONG: builders.check_clock,
        call_codes.ACCOUNT_NOT_HERE: builders.other_account,
        call_codes.CALL_OVER: builders.buy_again,
        call_codes.CALL_WRITTEN_OFF: builders.ask_for_ruling,
        hub_codes.HUB_UNREACHABLE: catalog_lookups.wait_for_source,
        hub_codes.PAYMENT_METHOD_OFF: builders.operators_payment,
        rail_codes.MERCHANT_NOT_LISTED: builders.listed_merchant,
        rail_codes.MERCHANT_REFUSED: builders.revise_request,
        rail_codes.PAYMENT_NOT_POSSIBLE: builders.other_merchant,
        rail_codes.PAYMENT_DENIED: builders.governed_denial,
        rail_codes.AGENT_REFUSED: builders.other_agent,
        rail_codes.JOB_FAILED: builders.other_agent,
        rail_codes.RESULT_UNVERIFIED: builders.ask_for_ruling,
        rail_codes.LEGACY_SIGNATURE: builders.ask_for_ruling,
        rail_codes.PAYMENT_NEVER_TAKEN: builders.prepare_once_more,
        tool_codes.PREPARED_INCOMPLETE: builders.revise_request,
        call_codes.PRICE_ABOVE_MAXIMUM: catalog_lookups.within_maximum,
        "CAPABILITY_DEPRECATED": catalog_lookups.successor,
        "ACTION_NOT_FOUND": catalog_lookups.gone_action,
        "PROVENANCE_MISMATCH": builders.check_clock,
    }
)
"""Codes on which we know more than any type says."""

_BY_TYPE: Final[Mapping[str, Callable[[Case], NextAction]]] = MappingProxyType(
    {
        "topup": builders.topup,
        "topup_url": builders.topup,
        "register": builders.register,
        "increase_mandate": builders.outside_mandate,
        "refresh_mandate": builders.renew_mandate,
        "raise_cap": builders.outside_mandate,
        "retry_after": builders.retry,
        "retry_or_alternative": catalog_lookups.alternative,
        "try_alternative_provider": catalog_lookups.alternative,
        "discover": catalog_lookups.search,
        "see_manifest": catalog_lookups.describe,
        "fix_input": catalog_lookups.describe,
        "check_status": builders.check_status,
        "list_calls": builders.list_calls,
        "earn_trust": catalog_lookups.earn_trust,
        "upgrade_client": builders.upgrade,
        "drop_streaming_accept": builders.ask_operator,
        "x402_settle": builders.operators_payment,
        "check_signer": builders.operators_payment,
        "resign": builders.operators_payment,
        "check_gas": builders.operators_payment,
        "switch_to_wallet": builders.operators_payment,
        "link_wallet": builders.operators_payment,
        "review_intent": builders.review,
        "ask_operator": builders.ask_operator,
    }
)


def amount_charged(name: str, amount: int, *, estimated: bool) -> dict[str, Any]:
    """An amount that was charged, for programs; one that could not be read stands as what counts instead."""
    if estimated:
        return {"amount_unreadable": True, "counts_as_usdc": format_usdc(amount)}
    return {name: format_usdc(amount)}


def money_sentence(end: CallEnd) -> str:
    """What a refused call did to the money, in a sentence or two."""
    said = _charge_sentence(end)
    return f"{said} {came_back(end.refunded, end.amount)}" if end.refunded else said


def _charge_sentence(end: CallEnd) -> str:
    if end.charge is Charge.NO:
        return "Nothing was charged."
    if end.estimated:
        return f"It was charged; how much cannot be read, so {format_usdc(end.amount)} USDC count as spent."
    if end.charge is Charge.YES:
        if end.excessive:
            return (
                f"The payee says that it took {format_usdc(end.amount)} USDC, where at most "
                f"{format_usdc(end.reserved)} was allowed, which the operator must check."
            )
        return f"{format_usdc(end.amount)} USDC were charged."
    if end.held:
        return f"Whether it was charged is not known; {format_usdc(end.held)} USDC stay held."
    return "Whether it was charged is not known."
