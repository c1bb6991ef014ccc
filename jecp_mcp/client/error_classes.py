"""Which error a refusal becomes: its class by its code, and what is to be done about it. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from jecp_mcp.calls import codes as calls
from jecp_mcp.client.errors import (
    ActionNotFoundError,
    ApprovalError,
    AuthError,
    CallInDoubtError,
    CapabilityDeprecatedError,
    CapabilityNotFoundError,
    DeniedByMandateError,
    DnsVerificationError,
    DuplicateRequestError,
    HubUnreachableError,
    InputSchemaViolationError,
    InsufficientBalanceError,
    InsufficientBudgetError,
    InsufficientPaymentOptionsError,
    InsufficientTrustError,
    JecpError,
    LedgerUnavailableError,
    MandateExpiredError,
    ManifestInvalidError,
    ManifestVersionExistsError,
    NamespaceTakenError,
    ProviderError,
    RateLimitError,
    RotationCapError,
    SpendingLimitError,
    UnsupportedCountryError,
    UnsupportedMediaTypeError,
    UrlBlockedError,
    X402Error,
    X402FacilitatorUnreachableError,
    X402NotAcceptedError,
    X402PaymentInvalidError,
    X402SettlementReusedError,
    X402SettlementTimeoutError,
)
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.mandate import codes as mandate
from jecp_mcp.rails.jecp.codes import CHALLENGE_REFUSED, HUB_UNREACHABLE, PAYMENT_METHOD_OFF
from jecp_mcp.wire.jecp.codes import canonical

_IN_DOUBT: Final = "Whether the call was charged is not known. {} to find out; it is charged at most once."
_BY_REPLAY: Final = "Send it again under the same request_id with replay=True"
_BY_LEDGER: Final = "Its price stays counted. Ask by find_out(request_id), or make the identical call,"

_MANDATE_STEPS: Final[Mapping[str, JSONObject]] = MappingProxyType(
    {
        code: {"type": kind, "actor": actor, "hint": hint}
        for kind, actor, hint, codes in (
            (
                "raise_limit",
                "operator",
                "Wait until the limit has room, or have whoever set the mandate raise it.",
                (calls.LIMIT_REACHED, mandate.PER_CALL_LIMIT),
            ),
            (
                "change_mandate",
                "operator",
                "Buy something else, or have whoever set the mandate allow this.",
                (mandate.DENIED_BY_POLICY, mandate.PRICE_UNKNOWN, mandate.MANDATE_EXPIRED),
            ),
            (
                "ask_user",
                "human",
                "Approve it by jecp-mcp's approve command, or give the mandate an approve callback; then call again.",
                (calls.APPROVAL_REQUIRED,),
            ),
            (
                "repair_ledger",
                "operator",
                "Run jecp-mcp's doctor command with the ledger's state folder.",
                (calls.LEDGER_UNAVAILABLE, calls.LEDGER_DAMAGED, calls.CLOCK_WRONG),
            ),
            (
                "change_payment",
                "operator",
                "Give the client a payment that the action takes, or buy something else.",
                (PAYMENT_METHOD_OFF,),
            ),
            (
                "change_payment",
                "operator",
                "See what the Hub asks for, and which networks, recipients and prices are let through here.",
                (CHALLENGE_REFUSED,),
            ),
        )
        for code in codes
    }
)
"""What to do about a refusal of the mandate's own, which no Hub knows of."""

_FIND_OUT: Final[JSONObject] = {
    "type": "find_out",
    "actor": "agent",
    "hint": "Ask by find_out(request_id), now and once the payment has expired. Do not pay for it anew before.",
}

_BY_CODE: Final[Mapping[str, type[JecpError]]] = MappingProxyType(
    {
        "AUTH_REQUIRED": AuthError,
        "INVALID_API_KEY": AuthError,
        "INVALID_PROVIDER": AuthError,
        "AGENT_NOT_FOUND": AuthError,
        "INSUFFICIENT_BALANCE": InsufficientBalanceError,
        "PAYMENT_REQUIRED": InsufficientBalanceError,
        "FREE_TIER_EXHAUSTED": InsufficientBalanceError,
        "INSUFFICIENT_BUDGET": InsufficientBudgetError,
        "MANDATE_EXPIRED": MandateExpiredError,
        "RATE_LIMITED": RateLimitError,
        "CAPABILITY_NOT_FOUND": CapabilityNotFoundError,
        "PROVIDER_NOT_FOUND": CapabilityNotFoundError,
        "ACTION_NOT_FOUND": ActionNotFoundError,
        "INSUFFICIENT_TRUST": InsufficientTrustError,
        "PROVIDER_ERROR": ProviderError,
        "PROVIDER_UNREACHABLE": ProviderError,
        "PROVIDER_UNAVAILABLE": ProviderError,
        "PROVIDER_TIMEOUT": ProviderError,
        "UNSUPPORTED_MEDIA_TYPE": UnsupportedMediaTypeError,
        "DUPLICATE_REQUEST": DuplicateRequestError,
        "CAPABILITY_DEPRECATED": CapabilityDeprecatedError,
        "INPUT_SCHEMA_VIOLATION": InputSchemaViolationError,
        "URL_BLOCKED_SSRF": UrlBlockedError,
        "X402_PAYMENT_INVALID": X402PaymentInvalidError,
        "X402_NOT_ACCEPTED": X402NotAcceptedError,
        "X402_SETTLEMENT_TIMEOUT": X402SettlementTimeoutError,
        "X402_FACILITATOR_UNREACHABLE": X402FacilitatorUnreachableError,
        "X402_SETTLEMENT_REUSED": X402SettlementReusedError,
        PAYMENT_METHOD_OFF: InsufficientPaymentOptionsError,
        CHALLENGE_REFUSED: InsufficientPaymentOptionsError,
        "ROTATION_24H_CAP": RotationCapError,
        "NAMESPACE_TAKEN": NamespaceTakenError,
        "UNSUPPORTED_COUNTRY": UnsupportedCountryError,
        "DNS_VERIFICATION_FAILED": DnsVerificationError,
        "INVALID_MANIFEST": ManifestInvalidError,
        "MANIFEST_TOO_LARGE": ManifestInvalidError,
        "VERSION_EXISTS": ManifestVersionExistsError,
        HUB_UNREACHABLE: HubUnreachableError,
        calls.LIMIT_REACHED: SpendingLimitError,
        mandate.PER_CALL_LIMIT: SpendingLimitError,
        calls.PRICE_ABOVE_MAXIMUM: InsufficientBudgetError,
        mandate.DENIED_BY_POLICY: DeniedByMandateError,
        mandate.PRICE_UNKNOWN: DeniedByMandateError,
        **dict.fromkeys(
            (
                calls.APPROVAL_REQUIRED,
                calls.APPROVAL_PENDING,
                calls.APPROVAL_DENIED,
                calls.APPROVAL_SPENT,
                calls.NOT_SHOWABLE,
                calls.TOO_MANY_QUESTIONS,
            ),
            ApprovalError,
        ),
        calls.LEDGER_UNAVAILABLE: LedgerUnavailableError,
        calls.LEDGER_DAMAGED: LedgerUnavailableError,
        calls.CLOCK_WRONG: LedgerUnavailableError,
    }
)


def error_of(
    refusal: Refusal, *, charged: bool | None = False, request_id: str | None = None, mandated: bool = False
) -> JecpError:
    """The error of the class that belongs to a refusal's code.

    Where it is not known whether a call was charged, and no answer of the Hub explains it, it is `CallInDoubtError`.

    Args:
        mandated: whether it is a call through a mandate, whose ledger knows of it.
    """
    if charged is None and refusal.source == "bridge":
        details = {**refusal.details, "cause": refusal.message.partition(". ")[0]}
        message = _IN_DOUBT.format(_BY_LEDGER if mandated else _BY_REPLAY)
        told = Refusal(refusal.code, message, details=details, source="bridge")
        return CallInDoubtError(told, charged=None, request_id=request_id)
    if refusal.source == "bridge" and refusal.next_action is None:
        refusal = replace(refusal, next_action=_MANDATE_STEPS.get(refusal.code))
    kind = _BY_CODE.get(canonical(refusal.code), CallInDoubtError if charged is None else JecpError)
    if charged is None and issubclass(kind, X402Error):
        # Hubs advise to sign anew, or to pay otherwise: that may pay twice.
        refusal = replace(refusal, next_action=_FIND_OUT)
    return kind(refusal, charged=charged, request_id=request_id)


def error_without_answer(code: str, message: str) -> JecpError:
    """The error of a request that is no call and got no answer of the Hub's protocol."""
    return error_of(Refusal(code, message, source="bridge"))
