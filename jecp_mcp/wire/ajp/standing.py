"""How an agent stands by an index of agents: what speaks against it there. Pure: no I/O."""

from __future__ import annotations

from typing import Final

from jecp_mcp.errors import WireError
from jecp_mcp.wire.ajp import values

MAX_BYTES: Final = 262_144
"""The longest profile read, in bytes."""

_ACTIVE: Final = "active"


def profile_path(agent_id: str) -> str:
    """Where an index has the profile of an agent, below its own address."""
    platform, name = agent_id.removeprefix("provenance:").split(":", 1)
    return f"/api/agent/{platform}/{name}"


def objection(raw: bytes, agent_id: str) -> str | None:
    """What speaks against an agent by its profile; None where nothing does.

    Raises:
        WireError: it is no profile of this agent's.
    """
    profile = values.message(raw, "the profile", MAX_BYTES)
    if profile.get("provenance_id") != agent_id:
        raise WireError("the profile is of another agent")
    if profile.get("status") != _ACTIVE:
        return "it is not active there"
    incidents = profile.get("incident_count")
    if not isinstance(incidents, int) or isinstance(incidents, bool):
        raise WireError("the profile does not count incidents")
    return f"it has open incidents there: {incidents}" if incidents else None
