"""jecp-mcp: an MCP server that buys from JECP Hubs under a hard spending limit.

A Python program buys at a Hub by `JecpClient`. What is exported here is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module

__version__ = "0.1.0"

_ERRORS = (
    "ActionNotFoundError",
    "ApprovalError",
    "AuthError",
    "CallInDoubtError",
    "CapabilityDeprecatedError",
    "CapabilityNotFoundError",
    "DeniedByMandateError",
    "DnsVerificationError",
    "DuplicateRequestError",
    "HubUnreachableError",
    "InputSchemaViolationError",
    "InsufficientBalanceError",
    "InsufficientBudgetError",
    "InsufficientPaymentOptionsError",
    "InsufficientTrustError",
    "JecpError",
    "LedgerUnavailableError",
    "MandateExpiredError",
    "ManifestInvalidError",
    "ManifestParseError",
    "ManifestVersionExistsError",
    "NamespaceTakenError",
    "ProviderError",
    "RateLimitError",
    "RotationCapError",
    "SpendingLimitError",
    "UnsupportedCountryError",
    "UnsupportedMediaTypeError",
    "UrlBlockedError",
    "WebhookVerificationError",
    "X402Error",
    "X402FacilitatorUnreachableError",
    "X402NotAcceptedError",
    "X402PaymentInvalidError",
    "X402SettlementReusedError",
    "X402SettlementTimeoutError",
)
_EXPORTED = {
    "JecpClient": "client.agent",
    "JecpProviderClient": "client.provider",
    "Mandate": "client.mandate",
    "Retry": "client.orders",
    "InvokeResult": "client.results",
    "JecpStream": "client.streams",
    "Subscription": "wire.jecp.subscriptions",
    "WebhookEvent": "wire.jecp.webhooks",
    "verify_webhook": "client.webhooks",
    **dict.fromkeys(_ERRORS, "client.errors"),
}

__all__ = [*_EXPORTED]  # noqa: PLE0604  # names, each a text


def __getattr__(name: str) -> object:
    module = _EXPORTED.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTED])
