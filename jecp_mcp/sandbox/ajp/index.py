"""The index beside the sandbox's agents: who they are, and how they stand. Its paths are a Provenance index's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jecp_mcp.sandbox.ajp.plans import HIRER, INDEX, AgentPlan, provenance_id

_SINCE: Final = "2026-01-01T00:00:00.000Z"


def index_pages(
    origin: str, plans: tuple[AgentPlan, ...], declared: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The profiles, by the paths that they are served at.

    Args:
        origin: where the agents and the index are served.
        declared: the declarations, by the agents' names; the hirer's among them.
    """
    incidents = {plan.name: plan.incident for plan in plans}
    return {
        f"/{INDEX}/api/agent/{provenance_id(origin, name).removeprefix('provenance:').replace(':', '/', 1)}": _profile(
            declaration, origin, incidents.get(name)
        )
        for name, declaration in declared.items()
        if name in incidents or name == HIRER
    }


def _profile(declared: Mapping[str, Any], origin: str, incident: str | None) -> dict[str, Any]:
    incidents = [] if incident is None else [{"severity": "high", "status": "open", "description": incident}]
    return {
        "provenance_id": declared["provenance_id"],
        "platform": "domain",
        "name": declared["name"],
        "description": declared["description"],
        "url": origin,
        "declared": True,
        "identity_verified": True,
        "confidence": 0.9,
        "timestamps": {"first_seen": _SINCE},
        "capabilities": declared["capabilities"],
        "constraints": declared["constraints"],
        "incident_count": len(incidents),
        "incidents": incidents,
        "resolved_incidents": [],
        "model": None,
        "status": "active",
        "public_key": declared["identity"]["public_key"],
        "ajp": declared.get("ajp", {}),
    }
