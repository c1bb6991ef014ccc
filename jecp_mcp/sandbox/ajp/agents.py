"""The sandbox's agents as they run, on the server that anybody's agent runs on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jecp_mcp.ajp_server import Agent, Identity, Job, Surroundings, Terms, Work
from jecp_mcp.ajp_server.results import Ended
from jecp_mcp.ajp_server.work import Worker
from jecp_mcp.money import MicroUSDC
from jecp_mcp.sandbox.ajp.config import AgentsConfig
from jecp_mcp.sandbox.ajp.plans import HIRER, AgentPlan, agent_plans, play_key, provenance_id
from jecp_mcp.sandbox.ajp.workers import count, late, summarise
from jecp_mcp.wire.ajp.declaration import WELL_KNOWN, sign_declaration
from jecp_mcp.wire.ajp.signatures import PrivateKey


class Overcharger(Agent):
    """Reports twice what it was offered, whatever the work costs: what no honest server lets through."""

    def ending(self, job: Job, work: Work) -> Ended:
        """Report what nobody agreed to."""
        return replace(super().ending(job, work), cost=MicroUSDC(2 * job.max_usd))


def agents_at(origin: str, config: AgentsConfig) -> Mapping[str, Agent]:
    """The agents by their names, to be served at an origin of loopback, each below its name."""
    return {plan.name: _agent(plan, origin, config) for plan in agent_plans(config.slow_seconds)}


def hirer_declaration(origin: str) -> tuple[str, Mapping[str, Any]]:
    """Where the declaration of who hires them is served, and what it is."""
    declared = {
        "provenance_id": provenance_id(origin, HIRER),
        "name": "The sandbox's hirer",
        "description": "Hires the sandbox's agents, for test money.",
        "capabilities": ["delegate:agents"],
        "constraints": [],
    }
    return f"/{HIRER}{WELL_KNOWN}", sign_declaration(declared, PrivateKey(play_key(HIRER)))


def _agent(plan: AgentPlan, origin: str, config: AgentsConfig) -> Agent:
    identity = Identity(
        provenance_id(origin, plan.name),
        play_key(f"new {plan.name}" if plan.name == "stranger" else plan.name),
        endpoint=f"{origin}/{plan.name}",
        name=plan.name,
        description=plan.description,
        constraints=("no:pii",),
    )
    room = {"at_once": 0, "queue": 0} if plan.name == "busy" else {}
    return (Overcharger if plan.name == "overcharger" else Agent)(
        _work(plan, config),
        identity,
        None if config.data is None else config.data / f"{plan.name}.sqlite",
        terms=Terms(least_usdc=plan.price, **room),
        surroundings=Surroundings(config.clock, config.sleep, loopback=True),
    )


def _work(plan: AgentPlan, config: AgentsConfig) -> Worker:
    if plan.name == "slow":
        return late(summarise(plan.price), config.slow_seconds, config.sleep)
    return summarise(plan.price) if plan.name == "summariser" else count(plan.price)
