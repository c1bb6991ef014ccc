"""Who may be hired: the agents of the settings, and any other where the operator allows that. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jecp_mcp.domain.offers import Offer
from jecp_mcp.errors import WireError
from jecp_mcp.settings.ajp import CAPABILITY, AgentSettings, AjpSettings

UNLISTED: Final = ("ajp", "hire")
"""The capability and action by which an agent is hired that stands in no settings."""

_GONE: Final = "its agent does not stand in the settings any more"


class Roster:
    """The agents by what is bought of them."""

    def __init__(self, settings: AjpSettings) -> None:
        """Let the agents of the settings be hired."""
        self._listed = {agent.name: agent for agent in settings.agents}
        self._unlisted = settings.allow_unlisted

    def wanted(self, offer: Offer, arguments: Mapping[str, Any]) -> AgentSettings:
        """Whom an offer with these arguments is to hire.

        Raises:
            WireError: they cannot be hired so.
        """
        if (offer.capability, offer.action) != UNLISTED:
            found = self._listed.get(offer.action)
            if found is None:
                raise WireError(_GONE)
            return found
        agent_id = str(arguments["agent"])
        for name, agent in self._listed.items():
            if agent.id == agent_id:
                # Its own limits and the mandate's for it would not count otherwise.
                raise WireError(f"the agent {agent_id} is listed; hire it by {CAPABILITY}:{name}")
        return self._by_id(agent_id)

    def stored(self, name: str, agent_id: str) -> AgentSettings:
        """Whom a stored job was written for.

        Raises:
            WireError: they may not be hired any more.
        """
        found = self._by_id(agent_id) if name == agent_id else self._listed.get(name)
        if found is None or found.id != agent_id:
            # It may be called otherwise since.
            others = [agent for agent in self._listed.values() if agent.id == agent_id]
            found = others[0] if len(others) == 1 else None
        if found is None:
            raise WireError(_GONE)
        return found

    def is_listed(self, agent: AgentSettings) -> bool:
        """Whether an agent stands in the settings."""
        return agent.name in self._listed

    def _by_id(self, agent_id: str) -> AgentSettings:
        if not self._unlisted:
            raise WireError(_GONE)
        try:
            return AgentSettings.unlisted(agent_id)
        except ValueError as exc:
            raise WireError(str(exc)) from exc
