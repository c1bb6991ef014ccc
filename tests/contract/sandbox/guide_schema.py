"""The agent guide's schema, as far as a Hub's own words are held to it (JECP 05-discovery §4.5)."""

from __future__ import annotations

from typing import Any

_URL = {"type": "string", "format": "uri", "pattern": "^https://"}
_ANY_URL = {"type": "string", "format": "uri"}
_TEXT = {"type": "string"}
_VERSION = {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"}


def _closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": list(required)}


def _listed(item: dict[str, Any], least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": least}


_ENDPOINTS = ("invoke", "invoke_legacy_alias", "capabilities", "refunds", "subscriptions", "openapi", "health")
_LEVELS = ["Hub-Core", "Hub-Streaming", "Hub-Composite", "Provider-API", "SDK-Client"]
GUIDE: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": [
        "version",
        "last_updated",
        "vendor_prefix",
        "hub_name",
        "hub_url",
        "supported_capabilities",
        "conformance_levels",
        "register_endpoint",
        "contact",
    ],
    "properties": {
        "$schema": _ANY_URL,
        "version": _VERSION,
        "spec_version_pinned": _VERSION,
        "last_updated": {"type": "string", "format": "date-time"},
        "vendor_prefix": {"type": "string", "pattern": "^[a-z]{2,8}$"},
        "hub_name": {"type": "string", "minLength": 2, "maxLength": 100},
        "hub_operator": {"type": "string", "maxLength": 200},
        "hub_url": _URL,
        "endpoints": _closed(dict.fromkeys(_ENDPOINTS, _URL)),
        "supported_capabilities": _listed({"type": "string", "pattern": "^[a-z][a-z0-9-]*(/[a-z][a-z0-9-]*)?$"}),
        "conformance_levels": {**_listed({"enum": _LEVELS}, 1), "uniqueItems": True},
        "replay_cache_mode": {"enum": ["local", "redis", "disabled"]},
        "provenance_versions_supported": {**_listed({"enum": ["v1", "v2"]}, 1), "uniqueItems": True},
        "register_endpoint": _URL,
        "contact": _closed(
            {"support": {**_TEXT, "minLength": 1}, "security": _TEXT, "security_txt": _URL, "status_url": _ANY_URL},
            "support",
        ),
        "documentation": _closed(dict.fromkeys(("homepage", "spec", "quickstart", "errors", "discussions"), _ANY_URL)),
        "rate_limits_default_rpm": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}},
        "currencies_accepted": _listed({"type": "string", "pattern": "^[A-Z]{3,5}$"}),
        "regions": _listed(_TEXT),
        "trust_policy": {"type": "object"},
        "extensions": {"type": "object"},
    },
}
