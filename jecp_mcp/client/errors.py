"""What a call by `jecp_mcp.JecpClient` raises: one class a kind of refusal, by the Hub's code (JECP 03-errors §3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from jecp_mcp.calls import codes as calls
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import JecpMcpError
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.mandate import codes as mandate
from jecp_mcp.rails.jecp.codes import HUB_UNREACHABLE
from jecp_mcp.wire.jecp.codes import canonical


class JecpError(JecpMcpError):
    """A request that the Hub did not fulfil, or that could not be brought to it.

    Attributes:
        code: the canonical code, such as ``INSUFFICIENT_BALANCE``; one that no version knows passes through as it is.
        message: what happened, for a person.
        status: the HTTP status it came with; None where no answer arrived, or it came within a stream.
        charged: False, True, or None where it is not known: the call then counts as charged until it is found out.
        request_id: the call's idempotency id; None for what is no call.
        next_action: what the Hub proposes, whole, as it sent it; or who can do what about a refusal of the mandate's.
        details: what else the Hub says of it.
        documentation_url: where the Hub explains the code. Text from the Hub: judge it before following it.
        retry_after_seconds: when the same request may succeed.
        raw: the whole parsed answer, without the key.
    """

    def __init__(self, refusal: Refusal, *, charged: bool | None = False, request_id: str | None = None) -> None:
        self.code = refusal.code
        self.message = refusal.message
        self.status = refusal.http_status
        self.charged = charged
        self.request_id = request_id
        self.next_action = refusal.next_action
        self.details: JSONObject = refusal.details
        self.documentation_url = refusal.documentation_url
        self.retry_after_seconds = refusal.retry_after_seconds
        self.raw: JSONObject = refusal.raw
        super().__init__(f"{refusal.code}: {refusal.message}")

    def _detail(self, name: str) -> str | None:
        value = self.details.get(name)
        return value if isinstance(value, str) else None


class AuthError(JecpError):
    """The Hub does not know the agent or its key."""


class InsufficientBalanceError(JecpError):
    """The wallet holds less than the call costs."""


class InsufficientBudgetError(JecpError):
    """The call costs more than the budget that was given with it."""


class MandateExpiredError(JecpError):
    """The mandate's time was over when it arrived."""


class RateLimitError(JecpError):
    """Too many requests; `retry_after_seconds` says when the next one is welcome."""


class SpendingLimitError(JecpError):
    """A limit of the mandate has no room for what the call may cost; `details` says which, and when it has."""


class DeniedByMandateError(JecpError):
    """The mandate does not let this action be bought, or not at an unknown price."""


class ApprovalError(JecpError):
    """A person must approve the call, and has not; where one can still do so, `approval_code` names the question."""

    @property
    def approval_code(self) -> str | None:
        """What ``jecp-mcp approve`` takes; None where nothing waits for a person."""
        return self._detail("approval_code")


class LedgerUnavailableError(JecpError):
    """The mandate's ledger, or the clock that it goes by, cannot be used, so nothing can be bought."""


class CapabilityNotFoundError(JecpError):
    """The Hub has no such capability, or no such provider."""


class ActionNotFoundError(JecpError):
    """The capability has no such action."""


class InsufficientTrustError(JecpError):
    """The agent's trust tier is too low for this action."""

    @property
    def required(self) -> str | None:
        """The tier it takes."""
        return self._detail("required")

    @property
    def current(self) -> str | None:
        """The tier the agent has."""
        return self._detail("current")


class ProviderError(JecpError):
    """The provider could not be reached, or failed."""


class UnsupportedMediaTypeError(JecpError):
    """Something on the way changed the request's content type."""


class DuplicateRequestError(JecpError):
    """The id was used before, for another request (JECP ADR-0001); what that one cost stands."""


class CapabilityDeprecatedError(JecpError):
    """The capability is no longer sold."""

    @property
    def sunset_at(self) -> str | None:
        """When it ended, RFC 3339 text as the Hub gave it."""
        return self._detail("sunset_at")

    @property
    def successor(self) -> str | None:
        """What took its place, if anything is named."""
        return self._detail("successor") or self._detail("successor_version")


class InputSchemaViolationError(JecpError):
    """The input is not what the action's schema asks for."""

    @property
    def errors(self) -> Sequence[Mapping[str, Any]]:
        """Each fault as the Hub tells it: ``instance_path``, ``schema_path``, ``reason``."""
        return _errors_of(self.details)


class UrlBlockedError(JecpError):
    """The Hub does not go to a URL that was given to it; ``details`` says to which, and why."""


class RotationCapError(JecpError):
    """The key was rotated as often as a day allows."""


class NamespaceTakenError(JecpError):
    """The namespace belongs to another provider."""


class UnsupportedCountryError(JecpError):
    """The Hub pays nobody in this country."""


class DnsVerificationError(JecpError):
    """The provider's host is not proven to be its own."""


class ManifestParseError(JecpError):
    """The manifest's text cannot be read."""


class ManifestInvalidError(JecpError):
    """The manifest breaks a rule, or is too large."""

    @property
    def errors(self) -> Sequence[Mapping[str, Any]]:
        """Each fault as the Hub tells it: ``instance_path``, ``reason``."""
        return _errors_of(self.details)


class ManifestVersionExistsError(JecpError):
    """This version was published before."""


class CallInDoubtError(JecpError):
    """Whether the call was charged is not known: its answer was lost, cut short, or no JECP answer.

    Send it again under the same `request_id` with ``replay=True``: the Hub says what became of it, and charges at most
    once. With a mandate, `JecpClient.find_out` does that, and so does the identical call.
    """


class HubUnreachableError(JecpError):
    """Nothing left this machine: the Hub could not be reached. Nothing was charged."""


class WebhookVerificationError(JecpMcpError):
    """What arrived as a webhook is none of that Hub's, is too old, or is no event: do nothing that it says.

    Attributes:
        reason: what is wrong, without the secret.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"not a webhook of this Hub: {reason}")


def _errors_of(details: JSONObject) -> Sequence[Mapping[str, Any]]:
    found = details.get("errors")
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


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
        )
        for code in codes
    }
)
"""What to do about a refusal of the mandate's own, which no Hub knows of."""

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
    return kind(refusal, charged=charged, request_id=request_id)


def error_without_answer(code: str, message: str) -> JecpError:
    """The error of a request that is no call and got no answer of the Hub's protocol."""
    return error_of(Refusal(code, message, source="bridge"))
