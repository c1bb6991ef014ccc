"""How the Hub refuses, in both dialects: spelling, status, details, next_action. Pure: no I/O.

The specification's dialect is that of JECP 03-errors §2 to §4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from jecp_mcp import jsontext
from jecp_mcp.errors import JecpMcpError
from jecp_mcp.sandbox.dialect import Dialect
from jecp_mcp.wire.jecp.codes import ALIASES, canonical
from jecp_mcp.wire.jecp.tiers import TIER_CALLS

TOPUP_AMOUNTS_USD = (5, 20, 100)


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP answer, ready to be sent, kept or sent again; `durable` where what it says was waited for."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    durable: bool = False


class Refused(JecpMcpError):
    """A request the Hub turns down. No wallet is charged for it; what came by x402 may have been taken before.

    Attributes:
        code: the canonical code, or an alias to be sent exactly so.
        details: ``error.details``.
        retry_after: whole seconds, for the header and the body.
        status: the HTTP status, when not the code's own.
        next_action: instead of the one that goes with the code.
        payment: the ``payment`` block of a 402.
        headers: further headers.
        literal: the code was asked for by name: another spelling may take its place, another code may not.
        exact: whether the code is spelt the same in every dialect.
    """

    exact = False

    def __init__(
        self,
        code: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        retry_after: int | None = None,
        status: int | None = None,
        next_action: Mapping[str, Any] | None = None,
        payment: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        literal: bool = False,
    ) -> None:
        self.code, self.message, self.retry_after, self.status = code, message, retry_after, status
        self.literal = literal
        self.details, self.next_action, self.payment, self.headers = details, next_action, payment, headers
        super().__init__(f"{code}: {message}")


_SPELLINGS = {
    "spec": {
        "INSUFFICIENT_BUDGET": "MANDATE_INSUFFICIENT_BUDGET",
        "INSUFFICIENT_BALANCE": "WALLET_INSUFFICIENT_BALANCE",
        "PARSE_ERROR": "INVALID_REQUEST",
        "MISSING_ID": "INVALID_REQUEST",
    },
    "invoke": {"INVALID_API_KEY": "INVALID_AGENT", "UNSUPPORTED_VERSION": "UNSUPPORTED_PROTOCOL"},
    "jecp": {
        "CAPABILITY_NOT_FOUND": "UNKNOWN_CAPABILITY",
        "ACTION_NOT_FOUND": "UNKNOWN_ACTION",
        "PARSE_ERROR": "INVALID_REQUEST",
        "MISSING_ID": "INVALID_REQUEST",
        "INSUFFICIENT_BALANCE": "PAYMENT_REQUIRED",
    },
}
"""What each variant of a dialect calls a code, where it has its own word."""

_STATUS: Mapping[str, int | tuple[int, int, int]] = {
    "AUTH_REQUIRED": 401,
    "INVALID_API_KEY": 401,
    "AGENT_NOT_FOUND": 404,
    "MANDATE_EXPIRED": (401, 403, 402),
    "INSUFFICIENT_BUDGET": 402,
    "INSUFFICIENT_BALANCE": 402,
    "PAYMENT_REQUIRED": 402,
    "FREE_TIER_EXHAUSTED": (402, 429, 429),
    "PROVENANCE_MISMATCH": 403,
    "INSUFFICIENT_TRUST": 403,
    "FORBIDDEN": 403,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "INPUT_TOO_LARGE": 413,
    "DUPLICATE_REQUEST": 409,
    "DUPLICATE_REFUND": 409,
    "CAPABILITY_NOT_FOUND": (404, 404, 400),
    "ACTION_NOT_FOUND": (404, 422, 400),
    "PROVIDER_NOT_FOUND": 404,
    "NOT_FOUND": 404,
    "TRANSACTION_NOT_FOUND": 404,
    "REFUND_NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "REQUEST_TIMEOUT": 408,
    "CAPABILITY_DEPRECATED": 410,
    "RATE_LIMITED": 429,
    "NOT_STREAMABLE": 406,
    "STREAM_IN_PROGRESS": 409,
    "STREAM_TIMEOUT": 504,
    "STREAM_INCOMPLETE": 502,
    "PROVIDER_DISCONNECT": 502,
    "PROVIDER_TIMEOUT": 504,
    "COMPOSITE_STEP_FAILED": 502,
    "COMPOSITE_BIND_ERROR": 422,
    "COMPOSITE_DEPTH_EXCEEDED": 409,
    "COMPOSITE_TIMEOUT": 504,
    "COMPOSITE_REFUND_FAILED": 502,
    "PROVIDER_ERROR": 502,
    "PROVIDER_UNREACHABLE": 502,
    "PROVIDER_UNAVAILABLE": 503,
    "SERVICE_ERROR": 500,
    "INTERNAL_ERROR": 500,
    "SERVICE_DEGRADED": 503,
    # The reference Hub's built-ins fail inside an HTTP 200.
    "EXECUTION_FAILED": (500, 500, 200),
    "OUTPUT_INVALID": 502,
    "URL_BLOCKED_SSRF": 422,
    "X402_PAYMENT_INVALID": 422,
    "X402_NOT_ACCEPTED": 422,
    "X402_SETTLEMENT_TIMEOUT": 504,
    "X402_FACILITATOR_UNREACHABLE": 502,
    "X402_SETTLEMENT_REUSED": 409,
    "NAMESPACE_TAKEN": 409,
    "VERSION_EXISTS": 409,
    "DNS_VERIFICATION_FAILED": 422,
    "MANIFEST_TOO_LARGE": 413,
    "ROTATION_24H_CAP": 429,
    "ROTATION_RACE": 409,
}
"""HTTP status by canonical code, one or (spec, invoke, jecp); 400 for any other."""

_VARIANTS = ("spec", "invoke", "jecp")


def spelling(refused: Refused, dialect: Dialect) -> str:
    """The word for a refusal's code in this dialect. An alias was chosen on purpose and stays."""
    code = refused.code
    if code in ALIASES or refused.exact:
        return code
    word = _SPELLINGS[dialect.variant].get(code, code)
    return code if refused.literal and canonical(word) != code else word


def status_of(code: str, dialect: Dialect) -> int:
    """The HTTP status of a code in this dialect."""
    status = _STATUS.get(canonical(code), 400)
    return status if isinstance(status, int) else status[_VARIANTS.index(dialect.variant)]


_DOCUMENTED: Mapping[str, str] = {
    "PROVENANCE_MISMATCH": "subcause",
    "URL_BLOCKED_SSRF": "reason",
    **dict.fromkeys(
        (
            "UNSUPPORTED_MEDIA_TYPE",
            "INPUT_SCHEMA_VIOLATION",
            "DUPLICATE_REQUEST",
            "CAPABILITY_DEPRECATED",
            "RATE_LIMITED",
        ),
        "",
    ),
}
"""Codes whose page the details name, and which of the details says where on it."""


def failed_envelope(refused: Refused, dialect: Dialect, call_id: str | None) -> dict[str, Any]:
    """The failed envelope (JECP 03-errors §2)."""
    code = spelling(refused, dialect)
    error: dict[str, Any] = {"code": code, "message": refused.message}
    details = dict(refused.details or {})
    if refused.retry_after is not None:
        details.setdefault("retry_after_seconds", refused.retry_after)
    page = f"https://jecp.dev/errors/{code.lower()}"
    if (which := _DOCUMENTED.get(canonical(code))) is not None:
        details["documentation_url"] = page + (f"#{details[which]}" if which in details else "")
    if details:
        error["details"] = details
    if dialect.name == "spec":
        error["documentation_url"] = page.replace("_", "-")
    envelope: dict[str, Any] = {"jecp": "1.0"}
    if call_id is not None:
        envelope["id"] = call_id
    envelope |= {"status": "failed", "error": error}
    action = dict(refused.next_action) if refused.next_action is not None else next_action(refused, dialect)
    if action is not None:
        envelope["next_action"] = action
    if refused.payment is not None:
        envelope["payment"] = refused.payment
    return envelope


def refusal_reply(refused: Refused, dialect: Dialect, call_id: str | None = None) -> Reply:
    """The whole answer for a refusal."""
    headers = {"content-type": "application/json", "cache-control": "no-store", **(refused.headers or {})}
    if refused.retry_after is not None:
        headers["retry-after"] = str(refused.retry_after)
    status = refused.status or status_of(refused.code, dialect)
    if status == HTTPStatus.PAYMENT_REQUIRED:
        headers["www-authenticate"] = _challenge(refused.payment)
    return Reply(status, jsontext.dumps(failed_envelope(refused, dialect, call_id)), headers)


def _challenge(payment: Mapping[str, Any] | None) -> str:
    """``WWW-Authenticate`` of a 402, by the ways to pay that it names (JECP 06-x402-integration §11.3)."""
    ways = {} if payment is None else {one["scheme"]: one for one in payment["accepts"]}
    if "exact" not in ways:
        return "Bearer"
    return "x402, Bearer" if len(ways) > 1 else f'x402, scheme="exact", network="{ways["exact"]["network"]}"'


_SPEC_TYPES = {"refresh_mandate": "renew_mandate", "retry_after": "wait", "see_manifest": "lookup_schema"}
"""The specification's words for what the reference Hub calls otherwise (JECP 03-errors §4.2)."""


def _type_in(dialect: Dialect, kind: str) -> str:
    return kind if dialect.variant == "invoke" else _SPEC_TYPES.get(kind, kind)


def next_action(refused: Refused, dialect: Dialect) -> dict[str, Any] | None:
    """What to do about a refusal, or None where the protocol names nothing."""
    code = canonical(spelling(refused, dialect))
    make = _ACTIONS.get(code)
    if make is None:
        return None
    kind, fields = make
    action: dict[str, Any] = {"type": _type_in(dialect, kind)}
    details = refused.details or {}
    match kind:
        case "topup":
            action |= {
                "ui": f"{dialect.origin}/topup",
                "api": dialect.path("topup"),
                "method": "POST",
                "headers": ["X-Agent-ID", "X-API-Key"],
                "body_example": {"amount": TOPUP_AMOUNTS_USD[0]},
                "allowed_amounts_usd": list(TOPUP_AMOUNTS_USD),
            }
        case "register":
            action |= {
                "ui": f"{dialect.origin}/register",
                "api": dialect.path("register"),
                "method": "POST",
                "body_example": {"name": "My Agent", "agent_type": "automation"},
            }
        case "earn_trust":
            action |= {
                "current_tier": details.get("current", "bronze"),
                "required_tier": details.get("required", "silver"),
                "fallback": {"alternative": "Use actions of a lower tier until enough calls are made."},
            }
        case "retry_after":
            action["retry_after_seconds"] = refused.retry_after if refused.retry_after is not None else 1
        case "discover" | "try_alternative_provider" | "retry_or_alternative":
            action["api"] = f"{dialect.origin}/v1/capabilities"
        case "see_manifest":
            named = details.get("capability")
            url = f"{dialect.origin}/v1/capabilities" + (f"/{named}" if isinstance(named, str) else "")
            action |= {"api": url, "schema_url": url}
        case "upgrade_client":
            action["spec"] = "https://github.com/jecpdev/jecp-spec"
        case _:
            pass
    return action | {"hint" if dialect.variant == "invoke" else "description": fields}


_EARNED = ", ".join(f"{tier} from {calls}" for tier, calls in TIER_CALLS.items() if calls)
_ACTIONS: Mapping[str, tuple[str, str]] = {
    "AUTH_REQUIRED": ("register", "Register an agent to receive agent_id and api_key, with free calls."),
    "INVALID_API_KEY": ("register", "Check the credentials, or register a new agent."),
    "INSUFFICIENT_BALANCE": ("topup", "Top up the agent's wallet with test money."),
    "PAYMENT_REQUIRED": ("topup", "Top up the agent's wallet with test money."),
    "FREE_TIER_EXHAUSTED": ("topup", "The free calls are used up; top up the wallet."),
    "INSUFFICIENT_BUDGET": ("increase_mandate", "mandate.budget_usdc is below the price of this action."),
    "MANDATE_EXPIRED": ("refresh_mandate", "Issue a new mandate with a future expires_at."),
    "RATE_LIMITED": ("retry_after", "Send fewer requests, or earn a higher trust tier."),
    "CAPABILITY_NOT_FOUND": ("discover", "List the capabilities and check namespace and name."),
    "PROVIDER_NOT_FOUND": ("discover", "No provider has this namespace; list the capabilities."),
    "INVALID_CURSOR": ("discover", "Drop the cursor parameter to start from the first page."),
    "ACTION_NOT_FOUND": ("see_manifest", "Look up the action ids in the capability's manifest."),
    "VALIDATION_FAILED": ("see_manifest", "Compare the input with the action's schema."),
    "INPUT_SCHEMA_VIOLATION": ("see_manifest", "Compare the input with the action's schema."),
    "INSUFFICIENT_TRUST": ("earn_trust", f"Trust grows with calls: {_EARNED}."),
    "PROVIDER_ERROR": ("try_alternative_provider", "The provider failed; look for another one."),
    "PROVIDER_UNREACHABLE": ("try_alternative_provider", "The provider cannot be reached; look for another one."),
    "PROVIDER_UNAVAILABLE": ("try_alternative_provider", "The provider is offline; look for another one."),
    "UNSUPPORTED_VERSION": ("upgrade_client", 'Send "jecp": "1.0" in the request body.'),
    "NOT_STREAMABLE": ("drop_streaming_accept", "Send the request again without Accept: text/event-stream."),
    "STREAM_TIMEOUT": ("retry_or_alternative", "Try again or, if it stays so, another provider."),
    "PROVIDER_TIMEOUT": ("retry_or_alternative", "Try again or, if it stays so, another provider."),
    "X402_SETTLEMENT_REUSED": ("x402_settle", "Sign a new authorisation with a fresh nonce."),
    "X402_SETTLEMENT_TIMEOUT": ("topup", "x402 cannot settle at present; top up the wallet."),
    "X402_FACILITATOR_UNREACHABLE": ("topup", "x402 cannot settle at present; top up the wallet."),
}
"""What goes with a code: the reference Hub's type, and a sentence."""


def error_recovery(dialect: Dialect) -> dict[str, dict[str, str]]:
    """What to do about each code, for the agent guide (JECP 05-discovery §4.2)."""
    return {code: {"next_action": _type_in(dialect, kind), "hint": hint} for code, (kind, hint) in _ACTIONS.items()}
