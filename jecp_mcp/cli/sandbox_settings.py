"""The sandbox's Hub, account, merchants and agents in the place of those that are configured."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import SecretStr

from jecp_mcp.cli.hub_record import (
    DATA_FILE,
    HubRecord,
    SandboxAgents,
    SandboxControlPlane,
    SandboxHub,
    SandboxMerchant,
)
from jecp_mcp.settings import AjpSettings, Credentials, Flow402Settings, PaidHttpSettings

if TYPE_CHECKING:
    from jecp_mcp.cli.options import Start


def own_sandbox(given: Start) -> HubRecord:
    """The record of the state folder's own sandbox Hub."""
    return HubRecord(given.state / DATA_FILE)


def at_sandbox(given: Start, hub: SandboxHub) -> Start:
    """What was given, with a sandbox Hub and its test agent in the place of the configured Hub and account."""
    x402 = {} if hub.merchant is not None else {"payment": "wallet"}
    there = given.settings.hub.model_copy(update={"base_url": hub.url, "x402_pay_to": (), **x402})
    # Nothing is bought here from the merchants that are configured, and none of the configured agents is hired.
    paid_http = PaidHttpSettings() if hub.merchant is None else _paid_http(hub.merchant)
    ajp = AjpSettings() if hub.agents is None else _ajp(hub.agents)
    plane = hub.control_plane
    flow402 = Flow402Settings() if plane is None else _flow402(plane)
    update = {"hub": there, "hubs": (), "paid_http": paid_http, "flow402": flow402, "ajp": ajp}
    settings = given.settings.model_copy(update=update)
    credentials = Credentials(agent_id=hub.agent_id, api_key=SecretStr(hub.api_key), source="the sandbox")
    hirer = None if hub.agents is None else hub.agents.key
    bootstrap = None if plane is None else plane.key
    return replace(given, settings=settings, credentials=credentials, play_hirer=hirer, play_bootstrap=bootstrap)


def at_last_sandbox(given: Start) -> Start:
    """The same with the state folder's own sandbox as it last ran; what was given where none has run yet."""
    hub = own_sandbox(given).last
    return given if hub is None else at_sandbox(given, hub)


def _paid_http(merchant: SandboxMerchant) -> PaidHttpSettings:
    """The settings that buy from the sandbox's merchant and nobody else."""
    from jecp_mcp.wire.x402.assets import SANDBOX_ASSET

    network = SANDBOX_ASSET.network
    return PaidHttpSettings.model_validate(
        {"merchants": (merchant.url,), "networks": (network,), "rpc": {network: merchant.rpc}}
    )


def _flow402(plane: SandboxControlPlane) -> Flow402Settings:
    """The settings that buy from the sandbox's other merchant through its control plane."""
    from jecp_mcp.wire.x402.assets import SANDBOX_ASSET

    return Flow402Settings(
        base_url=plane.url,
        organization=plane.organization,
        agent=plane.agent,
        merchants=(plane.merchant,),
        networks=(SANDBOX_ASSET.network,),
    )


def _ajp(there: SandboxAgents) -> AjpSettings:
    """The settings that hire the sandbox's agents and nobody else."""
    agents = [
        {
            "name": one["name"],
            "id": one["id"],
            "description": one["description"],
            "max_usdc": one["price_usd"],
            "max_seconds": one["max_seconds"],
            "fingerprint": one["fingerprint"],
        }
        for one in there.agents
    ]
    return AjpSettings.model_validate({"identity": there.hirer, "agents": agents, "index_url": there.index_url})
