"""Whether an index of agents speaks against hiring one, asked anew before each job."""

from __future__ import annotations

from typing import Final

from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.http import ExchangeFailed
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.rails.ajp.declarations import distrusted
from jecp_mcp.settings.ajp import AgentSettings, AjpSettings
from jecp_mcp.settings.merchants import read_place
from jecp_mcp.wire.ajp.standing import MAX_BYTES, objection, profile_path

_SECONDS: Final = 8.0
_OK: Final = 200
_NOT_FOUND: Final = 404


class Standing:
    """Asks the index of the settings."""

    def __init__(self, gate: HttpGate, settings: AjpSettings) -> None:
        """Ask through `gate`; nothing is asked where the settings name no index."""
        self._gate = gate
        self._index = settings.index_url
        self._allows_unknown = settings.on_standing_unavailable == "allow"

    async def refusal(self, agent: AgentSettings) -> Refusal | None:
        """Why an agent is not hired; None where nothing is known against it."""
        try:
            against = await self.objection(agent.id)
        except WireError as exc:
            if self._allows_unknown:
                return None
            return distrusted(agent, f"the index {self._index} does not say how it stands ({exc})")
        return None if against is None else distrusted(agent, f"by the index {self._index}, {against}")

    async def objection(self, agent_id: str) -> str | None:
        """What the index has against an agent; None where it has nothing, or there is none to ask.

        Raises:
            WireError: it does not say.
        """
        if self._index is None:
            return None
        try:
            place = read_place(self._index.rstrip("/") + profile_path(agent_id))
            heard = await self._gate.exchange("GET", place, timeout=_SECONDS, max_bytes=MAX_BYTES)
        except ExchangeFailed as exc:
            raise WireError(exc.reason) from exc
        except ValueError as exc:
            raise WireError(str(exc)) from exc
        if heard.status == _NOT_FOUND:
            return "it is not known there"
        if heard.status != _OK:
            raise WireError(f"it answered with status {heard.status}")
        return objection(heard.body, agent_id)
