"""The Hub's agent guide, ``/.well-known/agent-guide.json`` (JECP 05-discovery §4.5). Pure: no I/O.

Every field is optional here: a Hub without a guide, or with half of one, gets the defaults. The guide's URLs count for
their path only, because credentials go to the configured origin and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.wire.jecp.tiers import TIERS

MAX_GUIDE_BYTES = 1024 * 1024
LEAST_IDEMPOTENCY_WINDOW_SECONDS = 3_600
"""What JECP ADR-0001 grants at least when a Hub advertises nothing."""

DEFAULT_PATHS: Mapping[str, str] = {
    "invoke": "/v1/invoke",
    "invoke_legacy_alias": "/v1/jecp",
    "capabilities": "/v1/capabilities",
    "refunds": "/v1/refunds",
    "health": "/health",
    "register": "/api/agents/register",
    "topup": "/api/agents/topup",
    "rotate_key": "/v1/agents/me/rotate-key",
    "subscriptions": "/v1/subscriptions",
}
"""Where the reference Hub keeps things."""

ALTERNATIVE_PATHS: Mapping[str, str] = {"register": "/api/agent/register", "topup": "/api/agent/topup"}
"""Where the specification puts what the reference Hub keeps elsewhere; worth a try after a 404."""

_WINDOW_KEYS = ("idempotency_window_seconds", "idempotency_ttl_seconds", "window_seconds", "ttl_seconds")
_LONGEST_WINDOW = 30 * 86_400


@dataclass(frozen=True, slots=True)
class AgentGuide:
    """What a Hub says about itself that bears on a call.

    Attributes:
        paths: endpoint name to path on the configured origin, defaults filled in.
        provenance_required_tier: the trust tier from which it demands provenance, None when it demands none.
        provenance_required_for: capability patterns it demands provenance for, where it lists some.
        idempotency_window_seconds: how long a call id is remembered, as far as advertised.
    """

    paths: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_PATHS))
    provenance_required_tier: str | None = TIERS[-1]
    provenance_required_for: tuple[str, ...] = ()
    idempotency_window_seconds: int = LEAST_IDEMPOTENCY_WINDOW_SECONDS

    def requires_provenance(self, capability: str, trust_tier_required: str) -> bool:
        """Whether a call must carry a provenance hash.

        Only where the Hub demands it, because the hash makes a lost answer unreachable by replay: for the patterns it
        lists or, without a list, for workflows at the tier it names.
        """
        name = capability.rpartition("/")[2]
        if self.provenance_required_for:
            return any(_covers(pattern, capability, name) for pattern in self.provenance_required_for)
        return trust_tier_required == self.provenance_required_tier and _covers("workflow", capability, name)


def parse_guide(body: bytes) -> AgentGuide:
    """Read an agent guide; a field that is absent or of the wrong kind gets its default.

    Raises:
        WireError: it is no JSON object.
    """
    guide = jsontext.loads(body, max_bytes=MAX_GUIDE_BYTES)
    if not isinstance(guide, dict):
        raise WireError("the agent guide is not a JSON object")
    trust = guide.get("trust_policy")
    trust = trust if isinstance(trust, dict) else {}
    return AgentGuide(
        paths=_paths(guide),
        provenance_required_tier=_required_tier(trust),
        provenance_required_for=_texts(trust.get("provenance_required_for"))
        or _texts(guide.get("provenance_required_for")),
        idempotency_window_seconds=_window(guide),
    )


def _covers(pattern: str, capability: str, name: str) -> bool:
    stem = pattern.removesuffix("*").rstrip(".:")
    if pattern.endswith("*"):
        return capability.startswith(stem) or name.startswith(stem)
    return stem in (capability, name)


def _required_tier(trust: Mapping[str, Any]) -> str | None:
    if "provenance_v2_required" not in trust:
        return TIERS[-1]
    tier = trust["provenance_v2_required"]
    return tier if isinstance(tier, str) and tier in TIERS else None


def _paths(guide: Mapping[str, Any]) -> Mapping[str, str]:
    paths = dict(DEFAULT_PATHS)
    endpoints = guide.get("endpoints")
    said = dict(endpoints) if isinstance(endpoints, dict) else {}
    for name in ("register", "topup"):
        said[name] = guide.get(f"{name}_endpoint", said.get(name))
    for name, url in said.items():
        path = _path(url)
        if path is not None:
            paths[name] = path
    return paths


def _path(url: object) -> str | None:
    """The path of an endpoint's URL, if it is a plain one."""
    if not isinstance(url, str) or len(url) > 2048:  # noqa: PLR2004  # far beyond any endpoint
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    plain = parts.path.startswith("/") and not parts.path.startswith("//") and not parts.query and not parts.fragment
    safe = all("!" <= character <= "~" and character != "\\" for character in parts.path)
    return parts.path if plain and safe and "/../" not in f"{parts.path}/" else None


def _window(guide: Mapping[str, Any]) -> int:
    places = [guide]
    places += [guide[key] for key in ("idempotency", "limits") if isinstance(guide.get(key), dict)]
    for place in places:
        for key in _WINDOW_KEYS if place is not guide else _WINDOW_KEYS[:2]:
            if _positive(place.get(key)):
                return min(int(place[key]), _LONGEST_WINDOW)
    return LEAST_IDEMPOTENCY_WINDOW_SECONDS


def _positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(item for item in value if isinstance(item, str) and item)
    return ()
