"""What a call by `jecp_mcp.JecpClient` raises: one class a kind of refusal, by the Hub's code (JECP 03-errors §3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import JecpMcpError
from jecp_mcp.jsontext import JSONObject


class JecpError(JecpMcpError):
    """A request that the Hub did not fulfil, or that could not be brought to it.

    Attributes:
        code: the canonical code, such as ``INSUFFICIENT_BALANCE``; one that no version knows passes through as it is.
        message: what happened, for a person.
        status: the HTTP status it came with; None where no answer arrived, or it came within a stream.
        charged: False, True, or None where it is not known: the call then counts as charged until it is found out.
        request_id: the call's idempotency id; None for what is no call.
        next_action: what the Hub proposes, whole, as it sent it; or who can do what about a refusal of the mandate's,
            or about a payment by x402 in doubt.
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


class InsufficientPaymentOptionsError(JecpError):
    """Nothing that the action takes may be paid with, or not as the Hub asks for it; nothing was signed."""


class X402Error(JecpError):
    """What the Hub says of a payment by x402.

    Where one was sent, `charged` is None whatever is said: it can be taken until it expires, and counts as spent until
    `JecpClient.find_out` has its end. It is never signed anew meanwhile.
    """

    @property
    def subcause(self) -> str | None:
        """Why, in the Hub's word for it (JECP 06-x402-integration §4.4)."""
        return self._detail("subcause")


class X402PaymentInvalidError(X402Error):
    """The facilitator does not take the payment."""


class X402NotAcceptedError(X402Error):
    """The action is not paid by x402, or not on this network or in this token."""


class X402SettlementTimeoutError(X402Error):
    """The payment was not seen on the chain in time; it may be taken yet."""


class X402FacilitatorUnreachableError(X402Error):
    """The Hub did not reach who brings payments to the chain."""


class X402SettlementReusedError(X402Error):
    """The Hub has the payment in its books already."""


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
