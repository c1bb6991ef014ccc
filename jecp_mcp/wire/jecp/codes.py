"""JECP's error catalog as data (JECP 03-errors §3): what each code proves about money and when a retry makes sense."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple


class Proof(StrEnum):
    """What a refusal with this code proves about the charge for the attempt it answers."""

    NO = "no"
    """Nothing was charged for this attempt."""
    UNKNOWN = "unknown"
    """Nothing is proven."""
    FIRST_CALL = "first_call"
    """An earlier call under the same id was recorded; whatever it cost stands."""
    PAYMENT = "payment"
    """Nothing was charged unless a payment authorisation was sent along; then nothing is proven."""


class Retry(StrEnum):
    """What would make another attempt worthwhile."""

    NEVER = "never"
    AFTER_WAIT = "after_wait"
    """Wait for Retry-After, then the same request."""
    SAME_ID = "same_id"
    """The identical request under the same id finds out, or finishes it."""
    FIX_INPUT = "fix_input"
    """Change the arguments; a new call."""
    TOPUP = "topup"
    """Put money into the wallet first."""
    NEW_MANDATE = "new_mandate"
    LARGER_BUDGET = "larger_budget"
    FRESH_HASH = "fresh_hash"
    """Sign again, with a new nonce and the right time."""
    SUCCESSOR = "successor"
    """Another version or capability took its place."""
    DROP_ACCEPT = "drop_accept"
    """Ask without ``Accept: text/event-stream``."""
    CREDENTIALS = "credentials"
    """Register, or mend the credentials."""
    REDISCOVER = "rediscover"
    """Look into the catalog again; the id is not there."""


class Code(NamedTuple):
    """One code of the catalog. `aliases` are other spellings seen on the wire."""

    code: str
    charge: Proof
    retry: Retry
    aliases: tuple[str, ...] = ()


_N, _U = Proof.NO, Proof.UNKNOWN
_ALL = (
    Code("AUTH_REQUIRED", _N, Retry.CREDENTIALS),
    Code("INVALID_API_KEY", _N, Retry.CREDENTIALS, ("INVALID_AGENT",)),
    Code("AGENT_NOT_FOUND", _N, Retry.CREDENTIALS),
    Code("MANDATE_EXPIRED", _N, Retry.NEW_MANDATE),
    Code("INSUFFICIENT_BUDGET", _N, Retry.LARGER_BUDGET, ("MANDATE_INSUFFICIENT_BUDGET",)),
    Code("INSUFFICIENT_BALANCE", _N, Retry.TOPUP, ("WALLET_INSUFFICIENT_BALANCE",)),
    Code("PAYMENT_REQUIRED", _N, Retry.TOPUP),
    Code("FREE_TIER_EXHAUSTED", _N, Retry.TOPUP),
    Code("PROVENANCE_MISMATCH", _N, Retry.FRESH_HASH),
    Code("INSUFFICIENT_TRUST", _N, Retry.NEVER),
    Code("INVALID_REQUEST", _N, Retry.FIX_INPUT),
    Code("PARSE_ERROR", _N, Retry.NEVER),
    Code("VALIDATION_FAILED", _N, Retry.FIX_INPUT),
    Code("MISSING_ID", _N, Retry.NEVER),
    Code("INVALID_CAPABILITY", _N, Retry.REDISCOVER),
    Code("UNSUPPORTED_VERSION", _N, Retry.NEVER, ("UNSUPPORTED_PROTOCOL",)),
    Code("INVALID_CURSOR", _N, Retry.NEVER),
    Code("INPUT_SCHEMA_VIOLATION", _N, Retry.FIX_INPUT),
    Code("UNSUPPORTED_MEDIA_TYPE", _N, Retry.NEVER),
    Code("INPUT_TOO_LARGE", _N, Retry.FIX_INPUT),
    Code("DUPLICATE_REQUEST", Proof.FIRST_CALL, Retry.NEVER),
    Code("CAPABILITY_NOT_FOUND", _N, Retry.REDISCOVER, ("UNKNOWN_CAPABILITY",)),
    Code("ACTION_NOT_FOUND", _N, Retry.REDISCOVER, ("UNKNOWN_ACTION",)),
    Code("PROVIDER_NOT_FOUND", _N, Retry.REDISCOVER),
    Code("CAPABILITY_DEPRECATED", _N, Retry.SUCCESSOR),
    Code("RATE_LIMITED", _N, Retry.AFTER_WAIT),
    Code("NOT_STREAMABLE", _N, Retry.DROP_ACCEPT),
    Code("STREAM_IN_PROGRESS", _N, Retry.AFTER_WAIT),
    Code("STREAM_TIMEOUT", _U, Retry.SAME_ID),
    Code("STREAM_INCOMPLETE", _U, Retry.SAME_ID),
    Code("PROVIDER_DISCONNECT", _U, Retry.SAME_ID),
    Code("PROVIDER_TIMEOUT", _U, Retry.SAME_ID),
    Code("COMPOSITE_STEP_FAILED", _U, Retry.SAME_ID),
    Code("COMPOSITE_BIND_ERROR", _U, Retry.SAME_ID),
    Code("COMPOSITE_DEPTH_EXCEEDED", _U, Retry.SAME_ID),
    Code("COMPOSITE_TIMEOUT", _U, Retry.SAME_ID),
    Code("COMPOSITE_REFUND_FAILED", _U, Retry.SAME_ID),
    Code("PROVIDER_ERROR", _N, Retry.SAME_ID),
    Code("PROVIDER_UNREACHABLE", _N, Retry.SAME_ID),
    Code("PROVIDER_UNAVAILABLE", _N, Retry.SAME_ID),
    Code("SERVICE_ERROR", _N, Retry.SAME_ID),
    Code("INTERNAL_ERROR", _U, Retry.SAME_ID, ("INTERNAL", "DB_ERROR")),
    Code("SERVICE_DEGRADED", _U, Retry.SAME_ID, ("DB_UNAVAILABLE",)),
    Code("EXECUTION_FAILED", _U, Retry.SAME_ID),
    Code("OUTPUT_INVALID", _U, Retry.SAME_ID),
    Code("URL_BLOCKED_SSRF", _N, Retry.FIX_INPUT),
    Code("X402_PAYMENT_INVALID", Proof.PAYMENT, Retry.NEVER),
    Code("X402_NOT_ACCEPTED", Proof.PAYMENT, Retry.NEVER),
    Code("X402_SETTLEMENT_TIMEOUT", Proof.PAYMENT, Retry.NEVER),
    Code("X402_FACILITATOR_UNREACHABLE", Proof.PAYMENT, Retry.NEVER),
    Code("X402_SETTLEMENT_REUSED", Proof.PAYMENT, Retry.NEVER),
    Code("NAMESPACE_TAKEN", _N, Retry.NEVER),
    Code("UNSUPPORTED_COUNTRY", _N, Retry.NEVER),
    Code("VERSION_EXISTS", _N, Retry.NEVER),
    Code("DNS_VERIFICATION_FAILED", _N, Retry.NEVER),
    Code("ROTATION_24H_CAP", _N, Retry.AFTER_WAIT),
    Code("ROTATION_RACE", _N, Retry.AFTER_WAIT),
    Code("INVALID_MANIFEST", _N, Retry.FIX_INPUT),
)

CODES = MappingProxyType({entry.code: entry for entry in _ALL})
"""Every known code by its canonical spelling."""

ALIASES = MappingProxyType({alias: entry.code for entry in _ALL for alias in entry.aliases})
"""Other spellings to the canonical one."""


def canonical(code: str) -> str:
    """Fold an alias into its canonical code; anything else passes through as it is."""
    return ALIASES.get(code, code)


def lookup(code: str) -> Code | None:
    """The catalog entry of a code or alias, or None when the catalog has none."""
    return CODES.get(canonical(code))
