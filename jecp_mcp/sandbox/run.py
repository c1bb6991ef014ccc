"""Serving the sandbox on loopback: the Hub, and beside it what sells by x402 and who is hired by AJP."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from jecp_mcp.sandbox.ajp.config import AgentsConfig
from jecp_mcp.sandbox.app import SandboxConfig, build_app, hub_of
from jecp_mcp.sandbox.console.layout import PATH as CONSOLE
from jecp_mcp.sandbox.loopback_server import HOST, listen, serve_app, url_of
from jecp_mcp.sandbox.middleware import Connections
from jecp_mcp.sandbox.paid_http.config import PaidHttpConfig
from jecp_mcp.sandbox.paid_http.database import FILE_SUFFIX
from jecp_mcp.sandbox.x402_payments import Accepted

Ready = dict[str, Any]
"""``{"hub", "agent_id", "api_key", "control_key", "console", "x402"?, "402flow"?, "ajp"?}``; for the last three
see `jecp_mcp.sandbox.paid_http.run` and `jecp_mcp.sandbox.ajp.run`."""


async def serve(
    config: SandboxConfig,
    port: int,
    announce: Callable[[Ready], None],
    paid_http: PaidHttpConfig | None = None,
    agents: AgentsConfig | None = None,
) -> None:
    """Serve a sandbox until cancelled. Signals are the caller's business.

    Args:
        config: how the Hub runs.
        port: the Hub's, on 127.0.0.1; 0 takes a free one.
        announce: called once, when requests are being answered, with the Hub's URL, its test agent and the key to the
            sandbox's controls.
        paid_http: how the merchant, its facilitator and their chain run, on free ports; None for none.
        agents: how the agents to be hired run, on a free port; None for none.

    Raises:
        SettingsError: the port is taken, or a file of the configuration cannot be used.
    """
    connections: Connections = {}
    async with AsyncExitStack() as stack:
        listener = listen(port)
        stack.callback(listener.close)
        beside: Ready = {}
        if paid_http is not None:
            # Its work is imported where it is served, as the Hub's is.
            from jecp_mcp.sandbox.paid_http.run import serve_paid_http

            served = await stack.enter_async_context(serve_paid_http(paid_http))
            beside["402flow"] = served.pop("402flow")
            beside["x402"] = served
            # The Hub takes the same play money, through the same facilitator.
            config = replace(config, x402=Accepted(served["facilitator"], paid_http.asset))
        if agents is not None:
            from jecp_mcp.sandbox.ajp.run import serve_agents

            beside["ajp"] = await stack.enter_async_context(serve_agents(agents))
        app = build_app(config, connections)
        hub = hub_of(app)
        line: Ready = {
            "hub": url_of(listener),
            "agent_id": hub.agent_id,
            "api_key": hub.api_key,
            "control_key": config.control_key,
            "console": f"{url_of(listener)}{CONSOLE}",
            **beside,
        }
        await serve_app(app, listener, connections, lambda: announce(line))


def paid_http_beside(config: SandboxConfig) -> PaidHttpConfig:
    """How what sells by x402 runs beside a Hub: its file lies beside the Hub's, its controls have the same key."""
    data = None if config.data is None else config.data.with_suffix(FILE_SUFFIX)
    return PaidHttpConfig(data, clock=config.clock, control_key=config.control_key)


def agents_beside(config: SandboxConfig) -> AgentsConfig:
    """How the agents run beside a Hub: the folder of their jobs lies beside the Hub's file."""
    return AgentsConfig(None if config.data is None else config.data.with_suffix(".ajp"), clock=config.clock)


__all__ = [
    "HOST",
    "AgentsConfig",
    "PaidHttpConfig",
    "Ready",
    "SandboxConfig",
    "agents_beside",
    "paid_http_beside",
    "serve",
]
