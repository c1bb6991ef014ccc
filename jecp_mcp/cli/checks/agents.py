"""What is wrong with hiring agents here: the key that signs, our own declaration, and each agent's."""

from __future__ import annotations

import os
from contextlib import closing

from jecp_mcp.cli.identity import published
from jecp_mcp.cli.options import Start
from jecp_mcp.clock import SystemClock
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import SettingsError, WireError
from jecp_mcp.extras import AJP
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.mandate.repair.diagnose import Finding, Level
from jecp_mcp.rails.ajp.declarations import Declarations
from jecp_mcp.rails.ajp.standing import Standing
from jecp_mcp.rails.ajp.wiring import PINS
from jecp_mcp.rails.payee_pins import PayeePins
from jecp_mcp.settings.agent_key import FILE, KEY_VARIABLE
from jecp_mcp.settings.ajp import AgentSettings, AjpSettings

_ABOUT = "agents"
_INDEX, _OURS = "agents' index", "our standing"
_NOT_HIRED = "nobody can be hired; everything else goes on"


async def agent_findings(given: Start) -> list[Finding]:
    """Look at the keys and the declarations; no key and no secret is shown."""
    settings, clock = given.settings.ajp, SystemClock()
    absence = AJP.absence()
    if absence is not None:
        return [Finding(Level.FAULT, _ABOUT, absence, _NOT_HIRED, AJP.install())]
    findings: list[Finding] = []
    if settings.signs:
        findings.append(await _own(given))
    with closing(PayeePins(given.state, PINS, clock)) as pins:
        async with HttpGate(clock, loopback=settings.loopback) as gate:
            declarations = Declarations(gate, pins, clock, loopback=settings.loopback)
            findings += [await _agent(agent, declarations) for agent in settings.agents]
            return [*findings, *await _by_the_index(settings, Standing(gate, settings))]


async def _by_the_index(settings: AjpSettings, standing: Standing) -> list[Finding]:
    """What the index says of us and of each agent; one finding where it says nothing at all."""
    if settings.index_url is None:
        return []
    index, refuses = f"the index {settings.index_url}", settings.on_standing_unavailable == "deny"
    asked = {f"standing of {agent.name}": agent.id for agent in settings.agents}
    if settings.signs and settings.identity is not None:
        asked = {_OURS: settings.identity, **asked}
    findings: list[Finding] = []
    for about, agent_id in asked.items():
        try:
            against = await standing.objection(agent_id)
        except WireError as exc:
            money = _NOT_HIRED if refuses else "agents are hired without its word, as on_standing_unavailable says"
            mend = "see to the address in index_url, or ask whoever runs the index"
            level = Level.FAULT if refuses else Level.WARNING
            return [Finding(level, _INDEX, f"{index} does not say how {agent_id} stands ({exc})", money, mend)]
        if against is None:
            findings.append(Finding(Level.OK, about, f"{index} has nothing against {agent_id}"))
            continue
        money = "agents that ask it may refuse your offers" if about == _OURS else "it is not hired"
        words = f"{index} speaks against {agent_id}: {against}"
        findings.append(Finding(Level.WARNING, about, words, money, "see to it with whoever runs the index"))
    return findings


async def _agent(agent: AgentSettings, declarations: Declarations) -> Finding:
    about, what, money = f"agent {agent.name}", f"{agent.name} ({agent.id})", "it cannot be hired"
    if agent.secret_env is not None and not os.environ.get(agent.secret_env):
        mend = f"set {agent.secret_env} in the environment of the server"
        return Finding(Level.FAULT, about, f"{what}: its shared secret is not set", money, mend)
    found = await declarations.identify(agent)
    if isinstance(found, Refusal):
        return Finding(Level.FAULT, about, f"{what}: {found.message}", money, "ask whoever runs it")
    if found.because is not None:
        mend = "ask whoever runs it whether they changed it, and approve its next job if so"
        return Finding(Level.WARNING, about, found.because, "a person must approve its jobs", mend)
    key = found.declaration.key.fingerprint
    return Finding(Level.OK, about, f"{what} takes jobs at {found.endpoint.url}, with the key {key}")


async def _own(given: Start) -> Finding:
    try:
        at = await published(given)
    except SettingsError as exc:
        publish = given.commands.line("identity", "declaration", "--name", "NAME", "--description", "WORDS")
        mend = f"see to {KEY_VARIABLE} or {given.state / FILE}, and publish what this prints: {publish}"
        return Finding(Level.WARNING, _ABOUT, str(exc), "agents may refuse offers that they cannot prove", mend)
    return Finding(Level.OK, _ABOUT, f"{given.settings.ajp.identity} is declared at {at}")
