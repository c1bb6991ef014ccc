"""What the Hub says about itself (JECP 05-discovery §2): agent guide, agent card, llms.txt, health."""

from __future__ import annotations

import time
from typing import Any

from jecp_mcp import __version__
from jecp_mcp.clock import iso
from jecp_mcp.sandbox.agents import VENDOR_PREFIX
from jecp_mcp.sandbox.bulkhead import pool_view
from jecp_mcp.sandbox.catalog import Catalog
from jecp_mcp.sandbox.config import SandboxConfig
from jecp_mcp.sandbox.dialect import Dialect
from jecp_mcp.sandbox.error_answers import TOPUP_AMOUNTS_USD, error_recovery
from jecp_mcp.sandbox.hub import Hub
from jecp_mcp.sandbox.hub_database import ANSWER_WINDOW_MS
from jecp_mcp.sandbox.revenue_split import HUB_PERCENT, PAYMENT_PERCENT, PROVIDER_PERCENT
from jecp_mcp.sandbox.success_answers import ENGINE
from jecp_mcp.sandbox.webhooks.dispatcher import AT_ONCE
from jecp_mcp.sandbox.x402_payments import Accepted, paid_by_either
from jecp_mcp.wire.jecp.envelope import MAX_ANSWER_BYTES, MAX_INPUT_BYTES, MAX_METADATA_BYTES, MAX_REQUEST_BYTES

SPEC_VERSION = "1.0.2"
OPERATOR = "jecp-mcp, on this machine"
MAX_LLMS_BYTES = 50_000


def agent_guide(config: SandboxConfig, catalog: Catalog, x402: Accepted | None, dialect: Dialect) -> dict[str, Any]:
    """``/.well-known/agent-guide.json``; `x402` is what is taken by it at present."""
    origin = dialect.origin
    builtins = catalog.listings(builtin=True)
    return {
        "$schema": "https://jecp.dev/schemas/v1/agent-guide.json",
        "version": SPEC_VERSION,
        "spec_version_pinned": SPEC_VERSION,
        "last_updated": iso(config.clock.now()),
        "identity": {"protocol": f"JECP {SPEC_VERSION}", "operator": OPERATOR},
        "quickstart": {
            "step_1_register": f"POST {dialect.path('register')} with a name gives agent_id and api_key.",
            "step_2_buy": f"POST {origin}/v1/invoke with both in the headers X-Agent-ID and X-API-Key.",
            "step_3_topup": f"POST {dialect.path('topup')} gives a page where a person pays with test money.",
        },
        "capabilities": {
            each.id: {"description": each.manifest.get("description", ""), "actions": [*each.offers]}
            for each in builtins
        },
        "error_recovery": error_recovery(dialect),
        "related_resources": {
            "capabilities_url": f"{origin}/v1/capabilities",
            "agent_card": f"{origin}/.well-known/agent.json",
            "llms_txt": f"{origin}/llms.txt",
            "health": f"{origin}/health",
        },
        "vendor_prefix": VENDOR_PREFIX,
        "hub_name": "JECP sandbox (test money)",
        "hub_operator": OPERATOR,
        "hub_url": origin,
        "endpoints": {
            "invoke": f"{origin}/v1/invoke",
            "invoke_legacy_alias": f"{origin}/v1/jecp",
            "capabilities": f"{origin}/v1/capabilities",
            "refunds": f"{origin}/v1/refunds",
            "subscriptions": f"{origin}/v1/subscriptions",
            "health": f"{origin}/health",
        },
        "supported_capabilities": [*dict.fromkeys(each.id for each in (*builtins, *catalog.listings(builtin=False)))],
        "conformance_levels": ["Hub-Core", "Hub-Streaming", "Hub-Composite", "Provider-API"],
        "provenance_versions_supported": ["v2"],
        "register_endpoint": dialect.path("register"),
        "topup_endpoint": dialect.path("topup"),
        "contact": {"support": "support@sandbox.example"},
        "documentation": {"homepage": origin, "spec": "https://github.com/jecpdev/jecp-spec"},
        "rate_limits_default_rpm": dict(config.rate_limits_rpm),
        "currencies_accepted": ["USD", "USDC"],
        **({"payment_methods_supported": ["stripe"]} if x402 is None else paid_by_either(x402)),
        "idempotency": {"window_seconds": ANSWER_WINDOW_MS // 1000},
        "limits": {
            "request_bytes": MAX_REQUEST_BYTES,
            "input_bytes": MAX_INPUT_BYTES,
            "metadata_bytes": MAX_METADATA_BYTES,
            "response_bytes": MAX_ANSWER_BYTES,
        },
        "replay_cache_mode": "local",
        "trust_policy": {
            "default_tier": "bronze",
            "provenance_v2_recommended": "silver",
            "provenance_v2_required": "platinum",
            "v1_sunset": "2026-11-01",
        },
        "topup": {"allowed_amounts_usd": list(TOPUP_AMOUNTS_USD)},
        "extensions": {
            "x-sandbox": {"test_money": True, "dialect": config.dialect, "streaming_protocol": "SSE"},
            "x-revenue_split": {
                "provider": PROVIDER_PERCENT / 100,
                "hub": HUB_PERCENT / 100,
                "payment": PAYMENT_PERCENT / 100,
            },
        },
    }


def agent_card(dialect: Dialect) -> dict[str, Any]:
    """``/.well-known/agent.json``, the A2A card."""
    origin = dialect.origin
    return {
        "name": "JECP sandbox",
        "description": "A JECP Hub on this machine: real capabilities, test money.",
        "url": origin,
        "version": __version__,
        "provider": {"organization": "jecp-mcp", "url": origin},
        "jecp": {
            "endpoint": f"{origin}/v1/{'invoke' if dialect.name == 'spec' else 'jecp'}",
            "version": "1.0",
            "engine": ENGINE,
            "capabilities_url": f"{origin}/v1/capabilities",
            "streaming": True,
            "mandate_required": False,
        },
        "authentication": {
            "schemes": ["api_key", "mandate"],
            "api_key_header": "X-API-Key",
            "agent_id_header": "X-Agent-ID",
            "registration_url": dialect.path("register"),
        },
    }


def llms_txt(catalog: Catalog, dialect: Dialect) -> bytes:
    """``/llms.txt``, cut where it is longer than it may be (JECP 05-discovery §5)."""
    builtins, others = catalog.listings(builtin=True), catalog.listings(builtin=False)
    lines = [
        "# JECP sandbox",
        "",
        "> A JECP Hub on this machine: real capabilities, test money.",
        "",
        "Nothing here costs real money. Only webhooks that an agent asks for leave this machine.",
        "",
        "## For AI Agents",
        "",
        f"- Register: POST {dialect.path('register')}",
        f"- Buy work: POST {dialect.origin}/v1/invoke (built-ins: {dialect.origin}/v1/jecp)",
        f"- Catalog: GET {dialect.origin}/v1/capabilities",
        f"- Guide: GET {dialect.origin}/.well-known/agent-guide.json",
        "- Authentication: the headers X-Agent-ID and X-API-Key",
        "",
        "## Pricing",
        "",
        "Each action's price stands in the catalog, in USDC. Failed calls are not charged.",
        "",
        "## Capabilities",
        "",
        *(f"- {each.id} {each.version}: {each.manifest.get('description', '')}" for each in (*builtins, *others)),
    ]
    text = "\n".join((*lines, "")).encode()
    return text[:MAX_LLMS_BYTES].decode(errors="ignore").encode()


def pools(hub: Hub) -> dict[str, Any]:
    """How full each pool is, that of what the Hub sends by itself too."""
    shown: dict[str, Any] = {name: pool.view() for name, pool in hub.bulkhead.pools.items()}
    return {**shown, "background": pool_view(AT_ONCE, AT_ONCE - hub.background.dispatcher.under_way, 0)}


def health(hub: Hub, *, uptime_seconds: int) -> tuple[dict[str, Any], bool]:
    """``/health``, and whether all is well."""
    began = time.perf_counter()
    healthy = hub.database.healthy()
    state = "ok" if healthy else "down"
    checked = {"database": state, "stripe": "ok", "response_ms": round((time.perf_counter() - began) * 1000, 3)}
    shown = {
        "status": state,
        "engine": ENGINE,
        "version": __version__,
        "uptime_seconds": uptime_seconds,
        "checks": checked,
        "pools": pools(hub),
        "pool_assignments": hub.bulkhead.assignments,
        "versions": {"spec": SPEC_VERSION},
    }
    return shown, healthy
