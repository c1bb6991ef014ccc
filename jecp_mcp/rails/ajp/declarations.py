"""Who an agent is, by its own declaration at the one place where it counts, and whether that is who was hired before.

What was seen first is pinned: the key and the endpoint. Another of either is another payee, of which a person is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jecp_mcp.agent_declarations import AnotherDeclared, PublishedDeclarations
from jecp_mcp.clock import Clock
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.http import ExchangeFailed
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.rails.codes import AGENT_NOT_TRUSTED, AGENT_UNREACHABLE
from jecp_mcp.rails.payee_pins import PayeePins
from jecp_mcp.settings.ajp import AgentSettings
from jecp_mcp.settings.merchants import Place, read_place
from jecp_mcp.wire.ajp.declaration import WELL_KNOWN, Coverage, Declaration, standard_place
from jecp_mcp.wire.ajp.notice import MAX_BYTES, NOTICES, vouches
from jecp_mcp.wire.ajp.signatures import PublicKey

_SECONDS: Final = 8.0


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an agent is now.

    Attributes:
        endpoint: where it takes jobs.
        because: why a person must agree to it as a new payee; None where it is who was hired before, or the first.
    """

    declaration: Declaration
    endpoint: Place
    because: str | None

    @property
    def payee(self) -> str:
        """To whom approvals bind: the id with its key and endpoint."""
        return f"{self.declaration.id}#{self.declaration.key.fingerprint[:16]}@{self.endpoint.url}"

    @property
    def pin(self) -> str:
        """What is pinned of it."""
        return _pin(self.declaration, self.endpoint)


class Declarations:
    """Fetches declarations, and goes by each for a while."""

    def __init__(self, gate: HttpGate, pins: PayeePins, clock: Clock, *, loopback: bool) -> None:
        """Fetch through `gate`.

        Args:
            loopback: whether agents are on this machine, and nowhere else.
        """
        self._gate = gate
        self._published = PublishedDeclarations(gate, clock)
        self._pins = pins
        self._loopback = loopback

    async def identify(self, agent: AgentSettings) -> Identity | Refusal:
        """Who an agent is; or why it is not hired."""
        try:
            found = await self._declaration(agent)
            endpoint = _endpoint(agent, found, loopback=self._loopback)
        except WireError as exc:
            return distrusted(agent, str(exc))
        except ExchangeFailed as exc:
            return Refusal(
                AGENT_UNREACHABLE,
                f"The declaration of the agent {agent.name} could not be fetched: {exc.reason}. No job was offered and "
                "nothing was charged.",
                source="bridge",
            )
        return Identity(found, endpoint, await self._new_payee(agent, found, endpoint))

    async def admit(self, agent: AgentSettings, pin: str, *, agreed: bool) -> bool:
        """Whether an agent may be hired as it is now; it is pinned then."""
        return await self._pins.admit(agent.id, pin, agreed=agreed)

    async def _new_payee(self, agent: AgentSettings, found: Declaration, endpoint: Place) -> str | None:
        known = self._pins.of(agent.id)
        if known is None:
            return "Who was hired before cannot be read on this machine, so a person must agree to each agent."
        if not known or _pin(found, endpoint) in known:
            return None
        keys = [one.partition(" ")[0] for one in known]
        changed = "endpoint" if found.key.text in keys else "key"
        vouched = changed == "key" and await self._is_vouched_for(agent, found.key, keys)
        told = "The key that it had before vouches for this one." if vouched else "It may be somebody else."
        return (
            f"The agent {agent.name} has another {changed} than when it was hired before: now the key "
            f"{found.key.fingerprint[:16]}… at {endpoint.url}. {told}"
        )

    async def _is_vouched_for(self, agent: AgentSettings, key: PublicKey, before: Sequence[str]) -> bool:
        """Whether a key that the agent was hired with publishes that this one follows it."""
        place = standard_place(agent.id, loopback=self._loopback)
        if place is None or not place.url.endswith(WELL_KNOWN):
            return False
        try:
            heard = await self._gate.exchange(
                "GET", read_place(f"{place.origin}{NOTICES}"), timeout=_SECONDS, max_bytes=MAX_BYTES
            )
            return any(vouches(heard.body, agent.id, PublicKey(one), key) for one in before)
        except (ExchangeFailed, WireError):
            return False

    async def _declaration(self, agent: AgentSettings) -> Declaration:
        """Raises `WireError` and `ExchangeFailed`."""
        place = standard_place(agent.id, loopback=self._loopback)
        if place is None:
            raise WireError("its id does not say where its declaration stands")
        known = self._published.known(agent.id, place)
        if known is not None:
            return known
        try:
            return await self._published.fetch(agent.id, place)
        except AnotherDeclared:
            raise
        except WireError as exc:
            raise WireError(f"its declaration at {place.url} proves nothing: {exc}") from exc


def _pin(declaration: Declaration, endpoint: Place) -> str:
    return f"{declaration.key.text} {endpoint.url}"


def _endpoint(agent: AgentSettings, found: Declaration, *, loopback: bool) -> Place:
    """Where an agent takes jobs, if its declaration is what the settings ask for.

    Raises:
        WireError: it is not.
    """
    if agent.fingerprint is not None and found.key.fingerprint != agent.fingerprint:
        raise WireError(f"its key is {found.key.fingerprint}, and the setting fingerprint names another")
    if agent.require_constraints and found.covers is not Coverage.DECLARATION:
        raise WireError("its declaration signs its key only, so that anybody could have written what it keeps to")
    lacks = [one for one in agent.require_constraints if one not in found.constraints]
    if lacks:
        raise WireError(f"it does not declare to keep to {lacks[0]!a}, which the settings require")
    if found.endpoint is None:
        raise WireError("its declaration names no ajp.endpoint, so it takes no jobs")
    try:
        endpoint = read_place(found.endpoint)
    except ValueError as exc:
        raise WireError(f"its ajp.endpoint is no address: {exc}") from exc
    if not endpoint.is_reachable(loopback=loopback) or "?" in endpoint.url:
        raise WireError("its ajp.endpoint is not reached by plain https on the public network")
    return endpoint


def distrusted(agent: AgentSettings, reason: str) -> Refusal:
    """Why an agent is not hired, whatever it costs."""
    return Refusal(
        AGENT_NOT_TRUSTED,
        f"The agent {agent.name} is not hired: {reason}. Nothing was sent and nothing was charged.",
        source="bridge",
    )
