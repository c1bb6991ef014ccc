"""``next_action``: the Hub's word on what to do after a refusal (JECP 03-errors §4). Pure: no I/O.

Its URLs are text from a stranger. Nothing here judges or fetches them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from jecp_mcp.jsontext import JSONObject, nothing
from jecp_mcp.wire.jecp.codes import canonical

TYPE_ALIASES = MappingProxyType(
    {"renew_mandate": "refresh_mandate", "wait": "retry_after", "lookup_schema": "see_manifest"}
)
"""Other spellings to the canonical one."""

PAIRED = MappingProxyType(
    {
        "INSUFFICIENT_BALANCE": "topup",
        "PAYMENT_REQUIRED": "topup",
        "FREE_TIER_EXHAUSTED": "topup",
        "INSUFFICIENT_BUDGET": "increase_mandate",
        "MANDATE_EXPIRED": "refresh_mandate",
        "AUTH_REQUIRED": "register",
        "INVALID_API_KEY": "register",
        "AGENT_NOT_FOUND": "register",
        "RATE_LIMITED": "retry_after",
        "STREAM_IN_PROGRESS": "retry_after",
        "CAPABILITY_NOT_FOUND": "discover",
        "PROVIDER_NOT_FOUND": "discover",
        "INVALID_CAPABILITY": "discover",
        "CAPABILITY_DEPRECATED": "discover",
        "ACTION_NOT_FOUND": "see_manifest",
        "INPUT_SCHEMA_VIOLATION": "see_manifest",
        "INSUFFICIENT_TRUST": "earn_trust",
        "PROVIDER_ERROR": "try_alternative_provider",
        "PROVIDER_UNREACHABLE": "try_alternative_provider",
        "PROVIDER_UNAVAILABLE": "try_alternative_provider",
        "UNSUPPORTED_VERSION": "upgrade_client",
        "NOT_STREAMABLE": "drop_streaming_accept",
        "STREAM_TIMEOUT": "retry_or_alternative",
        "PROVIDER_TIMEOUT": "retry_or_alternative",
    }
)
"""Code to type, as the reference Hub pairs them, with the codes on which it leaves the action out filled in kind."""


@dataclass(frozen=True, slots=True)
class HubAction:
    """A next_action in normal form.

    Attributes:
        type: the canonical type; an unknown one as it stood, ``""`` where the Hub gave none.
        raw: the whole object as it came, with what has no place here.
    """

    type: str
    ui: str | None = None
    allowed_amounts_usd: tuple[Any, ...] = ()
    url: str | None = None
    retry_after_seconds: int | None = None
    current_tier: str | None = None
    required_tier: str | None = None
    fallback: JSONObject | None = None
    alternative: Any = None
    raw: JSONObject = field(default_factory=nothing)


_KINDS: Mapping[str, type] = {
    **dict.fromkeys(("ui", "url", "current_tier", "required_tier"), str),
    "fallback": Mapping,
    "alternative": object,
}


def parse_next_action(raw: object) -> HubAction | None:
    """Read a next_action; None when it is no object. A field of the wrong kind stays in `raw` alone."""
    if not isinstance(raw, Mapping):
        return None
    fields: dict[str, Any] = {
        name: raw[name] for name, kind in _KINDS.items() if name in raw and isinstance(raw[name], kind)
    }
    wait = raw.get("retry_after_seconds")
    if isinstance(wait, int) and not isinstance(wait, bool) and wait >= 0:
        fields["retry_after_seconds"] = wait
    offered = raw.get("allowed_amounts_usd")
    if isinstance(offered, list):
        fields["allowed_amounts_usd"] = tuple(offered)
    said = raw.get("type")
    kind = said if isinstance(said, str) else ""
    return HubAction(type=TYPE_ALIASES.get(kind, kind), raw=raw, **fields)


def paired_type(code: str) -> str | None:
    """The type that goes with an error code or alias when the Hub names none; None where nothing helps."""
    return PAIRED.get(canonical(code))
