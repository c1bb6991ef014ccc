"""The way to hire agents, put together from the settings."""

from __future__ import annotations

import logging
from typing import Final

from jecp_mcp.errors import SettingsError, WireError
from jecp_mcp.extras import AJP
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.rails.ajp.declarations import Declarations
from jecp_mcp.rails.ajp.keyring import Keyring
from jecp_mcp.rails.ajp.rail import AjpRail
from jecp_mcp.rails.ajp.source import AgentSource
from jecp_mcp.rails.payee_pins import PayeePins, gate_with_pins
from jecp_mcp.rails.registry import Parts, Way
from jecp_mcp.wire.ajp.signatures import PrivateKey, SharedSecret

log = logging.getLogger(__name__)

PINS: Final = "ajp-agents"
"""Tells the pins of agents from others."""


def open_ajp(parts: Parts) -> Way:
    """Read ``[ajp]``; nothing is asked yet."""
    settings, clock = parts.settings.ajp, parts.clock
    gate = HttpGate(clock, loopback=settings.loopback)
    pins = PayeePins(parts.state, PINS, clock)
    declarations = Declarations(gate, pins, clock, loopback=settings.loopback)
    rail = AjpRail(gate, settings, declarations, open_keyring(parts), clock)
    return Way(rail=rail, sources=(AgentSource(settings, clock),), opened=gate_with_pins(gate, pins), own_offers=True)


def open_keyring(parts: Parts) -> Keyring:
    """The signers of the settings' agents; a missing or wrong one is said, and stops nothing but hiring by it."""
    settings = parts.settings.ajp
    fault = AJP.absence()
    if fault is not None:
        log.error("nobody can be hired: %s", fault)
        return Keyring(settings.identity, None, {}, fault)
    key, shared = None, dict[str, SharedSecret]()
    try:
        text = parts.agent_key()
        if text is not None:
            key = PrivateKey(text)
        elif settings.signs:
            log.error("there is no key to sign offers with; make one: %s", parts.commands.line("identity", "key"))
    except (SettingsError, WireError) as exc:
        log.error("offers cannot be signed: %s", exc)  # noqa: TRY400 - the cause is in the message
    for agent in settings.agents:
        secret = "" if agent.secret_env is None else parts.environ.get(agent.secret_env, "")
        try:
            if secret:
                shared[agent.name] = SharedSecret(secret)
        except WireError as exc:
            log.error("%s cannot be hired: %s: %s", agent.name, agent.secret_env, exc)  # noqa: TRY400 - as above
    return Keyring(settings.identity, key, shared, None)
