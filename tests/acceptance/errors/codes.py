"""What the protocol's error catalog means for an agent: one line a code (JECP 03-errors), and one a next_action type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.acceptance.errors.stage import SUCCESSOR

SAME = "the refused call itself"
"""Stands for the tool that was called."""


class Step(NamedTuple):
    """The type of the next action, who acts, and the tool that is ready to be called."""

    type: str
    actor: str
    tool: str | None = None


TOPUP = Step("topup", "agent", "jecp_topup")
REGISTER = Step("register", "operator")
RENEW = Step("refresh_mandate", "operator")
BUDGET = Step("increase_mandate", "operator")
TRUST = Step("earn_trust", "agent", "jecp_describe")
FIX = Step("fix_input", "agent", "jecp_describe")
SCHEMA = Step("see_manifest", "agent", "jecp_describe")
GONE = Step("see_manifest", "agent", "jecp_search")
FIND = Step("discover", "agent", "jecp_search")
NEXT = Step("use_successor", "agent", "jecp_describe")
OTHER = Step("try_alternative_provider", "agent", "jecp_describe")
RETRY_OR_OTHER = Step("retry_or_alternative", "agent", "jecp_describe")
WAIT = Step("retry_after", "agent", SAME)
STATUS = Step("check_status", "agent", "jecp_status")
UPGRADE = Step("upgrade_client", "operator")
NO_STREAM = Step("drop_streaming_accept", "operator")
REVIEW = Step("review_intent", "human")
STOP = Step("ask_operator", "operator")


@dataclass(frozen=True)
class Row:
    """One code.

    Attributes:
        code: its canonical spelling; `aliases` are the others.
        statuses: the HTTP statuses it is seen with.
        charged: what it proves about the money, the first time it is met.
        ours: the step when the Hub gives none.
        word: the type a Hub gives with it, and `theirs` the step then.
    """

    code: str
    statuses: tuple[int, ...]
    charged: str
    ours: Step
    word: str
    theirs: Step
    aliases: tuple[str, ...] = ()


ROWS = (
    Row("AUTH_REQUIRED", (401,), "no", REGISTER, "register", REGISTER),
    Row("INVALID_API_KEY", (401,), "no", REGISTER, "register", REGISTER, ("INVALID_AGENT",)),
    Row("AGENT_NOT_FOUND", (404,), "no", REGISTER, "register", REGISTER),
    Row("MANDATE_EXPIRED", (401, 402, 403), "no", RENEW, "renew_mandate", RENEW),
    Row("INSUFFICIENT_BUDGET", (402,), "no", BUDGET, "increase_mandate", BUDGET, ("MANDATE_INSUFFICIENT_BUDGET",)),
    Row("INSUFFICIENT_BALANCE", (402,), "no", TOPUP, "topup", TOPUP, ("WALLET_INSUFFICIENT_BALANCE",)),
    Row("PAYMENT_REQUIRED", (402,), "no", TOPUP, "topup", TOPUP),
    Row("FREE_TIER_EXHAUSTED", (402, 429), "no", TOPUP, "topup", TOPUP),
    Row("PROVENANCE_MISMATCH", (403,), "no", STOP, "upgrade_client", UPGRADE),
    Row("INSUFFICIENT_TRUST", (403,), "no", TRUST, "earn_trust", TRUST),
    Row("INVALID_REQUEST", (400,), "no", FIX, "see_manifest", SCHEMA),
    Row("PARSE_ERROR", (400,), "no", STOP, "upgrade_client", UPGRADE),
    Row("VALIDATION_FAILED", (400,), "no", FIX, "lookup_schema", SCHEMA),
    Row("MISSING_ID", (400,), "no", STOP, "upgrade_client", UPGRADE),
    Row("INVALID_CAPABILITY", (400,), "no", FIND, "discover", FIND),
    Row("UNSUPPORTED_VERSION", (400,), "no", UPGRADE, "upgrade_client", UPGRADE, ("UNSUPPORTED_PROTOCOL",)),
    Row("INVALID_CURSOR", (400,), "no", STOP, "discover", FIND),
    Row("INPUT_SCHEMA_VIOLATION", (400,), "no", FIX, "see_manifest", SCHEMA),
    Row("UNSUPPORTED_MEDIA_TYPE", (415,), "no", STOP, "upgrade_client", UPGRADE),
    Row("INPUT_TOO_LARGE", (413,), "no", FIX, "see_manifest", SCHEMA),
    Row("DUPLICATE_REQUEST", (409,), "unknown", STATUS, "retry_after", STATUS),
    Row("CAPABILITY_NOT_FOUND", (404, 400, 422), "no", FIND, "discover", FIND, ("UNKNOWN_CAPABILITY",)),
    Row("ACTION_NOT_FOUND", (404, 400, 422), "no", GONE, "lookup_schema", GONE, ("UNKNOWN_ACTION",)),
    Row("PROVIDER_NOT_FOUND", (404, 422), "no", FIND, "discover", FIND),
    Row("CAPABILITY_DEPRECATED", (410,), "no", NEXT, "discover", NEXT),
    Row("RATE_LIMITED", (429,), "no", WAIT, "wait", WAIT),
    Row("NOT_STREAMABLE", (406,), "no", NO_STREAM, "drop_streaming_accept", NO_STREAM),
    Row("STREAM_IN_PROGRESS", (409,), "unknown", STATUS, "retry_after", STATUS),
    Row("STREAM_TIMEOUT", (504,), "unknown", STATUS, "retry_or_alternative", STATUS),
    Row("STREAM_INCOMPLETE", (504,), "unknown", STATUS, "retry_after", STATUS),
    Row("PROVIDER_DISCONNECT", (504,), "unknown", STATUS, "retry_or_alternative", STATUS),
    Row("PROVIDER_TIMEOUT", (504,), "unknown", STATUS, "retry_or_alternative", STATUS),
    Row("COMPOSITE_STEP_FAILED", (502,), "unknown", STATUS, "try_alternative_provider", STATUS),
    Row("COMPOSITE_BIND_ERROR", (422,), "unknown", STATUS, "see_manifest", STATUS),
    Row("COMPOSITE_DEPTH_EXCEEDED", (409, 422), "unknown", STATUS, "discover", STATUS),
    Row("COMPOSITE_TIMEOUT", (504,), "unknown", STATUS, "retry_after", STATUS),
    Row("COMPOSITE_REFUND_FAILED", (502,), "unknown", STATUS, "retry_after", STATUS),
    Row("PROVIDER_ERROR", (502,), "no", OTHER, "try_alternative_provider", OTHER),
    Row("PROVIDER_UNREACHABLE", (502,), "no", OTHER, "try_alternative_provider", OTHER),
    Row("PROVIDER_UNAVAILABLE", (503,), "no", OTHER, "try_alternative_provider", OTHER),
    Row("SERVICE_ERROR", (500,), "no", WAIT, "retry_or_alternative", RETRY_OR_OTHER),
    Row("INTERNAL_ERROR", (500,), "unknown", STATUS, "retry_after", STATUS, ("INTERNAL", "DB_ERROR")),
    Row("SERVICE_DEGRADED", (503,), "unknown", STATUS, "retry_after", STATUS, ("DB_UNAVAILABLE",)),
    Row("EXECUTION_FAILED", (500, 200), "unknown", STATUS, "retry_or_alternative", STATUS),
    Row("OUTPUT_INVALID", (502,), "unknown", STATUS, "try_alternative_provider", STATUS),
    Row("URL_BLOCKED_SSRF", (422,), "no", FIX, "see_manifest", SCHEMA),
    # No payment authorisation is ever sent along here, so none can have been taken.
    Row("X402_PAYMENT_INVALID", (422,), "no", STOP, "resign", Step("resign", "operator")),
    Row("X402_NOT_ACCEPTED", (422,), "no", STOP, "switch_to_wallet", Step("switch_to_wallet", "operator")),
    Row("X402_SETTLEMENT_TIMEOUT", (504,), "no", STOP, "topup", TOPUP),
    Row("X402_FACILITATOR_UNREACHABLE", (502,), "no", STOP, "topup", TOPUP),
    Row("X402_SETTLEMENT_REUSED", (409,), "no", STOP, "x402_settle", Step("x402_settle", "operator")),
    # What only a provider should meet passes through, and is nothing an agent can mend.
    Row("NAMESPACE_TAKEN", (409,), "no", STOP, "review_intent", REVIEW),
    Row("UNSUPPORTED_COUNTRY", (400,), "no", STOP, "review_intent", REVIEW),
    Row("VERSION_EXISTS", (409,), "no", STOP, "review_intent", REVIEW),
    Row("DNS_VERIFICATION_FAILED", (422,), "no", STOP, "review_intent", REVIEW),
    Row("ROTATION_24H_CAP", (429,), "no", STOP, "retry_after", WAIT),
    Row("ROTATION_RACE", (409,), "no", STOP, "retry_after", WAIT),
    Row("INVALID_MANIFEST", (400,), "no", STOP, "review_intent", REVIEW),
    # A code nobody knows proves nothing.
    Row("MOON_IN_EIGHTH_HOUSE", (418,), "unknown", STATUS, "consult_the_stars", STATUS),
)

UNKNOWN_CODE = "MOON_IN_EIGHTH_HOUSE"

WORDS: dict[str, Step] = {
    "topup": TOPUP,
    "topup_url": Step("topup_url", "agent", "jecp_topup"),
    "register": REGISTER,
    "increase_mandate": BUDGET,
    "refresh_mandate": RENEW,
    "renew_mandate": RENEW,
    "retry_after": WAIT,
    "wait": WAIT,
    "discover": FIND,
    "see_manifest": SCHEMA,
    "lookup_schema": SCHEMA,
    "earn_trust": Step("earn_trust", "human"),
    "try_alternative_provider": OTHER,
    "retry_or_alternative": RETRY_OR_OTHER,
    "upgrade_client": UPGRADE,
    "drop_streaming_accept": NO_STREAM,
    "x402_settle": Step("x402_settle", "operator"),
    "check_signer": Step("check_signer", "operator"),
    "resign": Step("resign", "operator"),
    "switch_to_wallet": Step("switch_to_wallet", "operator"),
    "check_gas": Step("check_gas", "operator"),
    "raise_cap": Step("raise_cap", "operator"),
    "review_intent": REVIEW,
    "link_wallet": Step("link_wallet", "operator"),
    "consult_the_stars": Step("consult_the_stars", "operator"),
}
"""Every type seen in the wild, under a code that proves that nothing was charged."""

SAME_WORD = {"renew_mandate": "refresh_mandate", "wait": "retry_after", "lookup_schema": "see_manifest"}

DETAILS: dict[str, dict[str, Any]] = {
    "PROVENANCE_MISMATCH": {"subcause": "hmac_mismatch"},
    "INSUFFICIENT_TRUST": {"required": "silver", "current": "bronze"},
    "INPUT_SCHEMA_VIOLATION": {
        "errors": [{"instance_path": "/text", "schema_path": "#/properties/text/maxLength", "reason": "too long"}]
    },
    "CAPABILITY_DEPRECATED": {"successor": SUCCESSOR, "sunset_at": "2026-01-01T00:00:00Z"},
    "COMPOSITE_STEP_FAILED": {"failed_step_id": "two", "unrefunded_step_ids": []},
    "COMPOSITE_REFUND_FAILED": {"unrefunded_step_ids": ["one"]},
    "URL_BLOCKED_SSRF": {"field": "url", "blocked_url": "https://10.0.0.1/", "reason": "resolved_to_deny_cidr"},
}

PAYMENT = {
    "accepts": [
        {"scheme": "stripe-wallet", "amount_usd": "0.01", "topup_url": "https://evil.example/topup"},
        {"scheme": "exact", "network": "base", "asset_symbol": "USDC", "max_amount_required": "10000"},
    ],
    "ttl_seconds": 30,
}
"""What an x402 Hub puts beside a 402."""

DOCUMENTED = {"INSUFFICIENT_BALANCE", "INPUT_SCHEMA_VIOLATION"}
"""The codes that come with a link to their page, in the specification's dialect."""

LONGER_THAN_IS_WAITED_FOR = 7
"""A Retry-After, in seconds, that is passed on instead of being waited for inside the call."""
