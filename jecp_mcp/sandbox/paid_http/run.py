"""Serving the merchant, the facilitator, the chain and the control plane on ports of loopback that stay theirs.

No signature made for them can be worth anything: the token is the sandbox's own, on a chain that is nowhere, and a
start with one of a real chain is refused.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from starlette.types import ASGIApp

from jecp_mcp.errors import SettingsError
from jecp_mcp.sandbox.loopback_server import likely_ports, listen_first, serve_app, url_of
from jecp_mcp.sandbox.middleware import Connections
from jecp_mcp.sandbox.paid_http.apps import NODES, chain_app, facilitator_app, merchant_app
from jecp_mcp.sandbox.paid_http.chain.chain import Chain
from jecp_mcp.sandbox.paid_http.config import PaidHttpConfig
from jecp_mcp.sandbox.paid_http.control_plane.app import control_plane_app
from jecp_mcp.sandbox.paid_http.control_plane.payer import Payer
from jecp_mcp.sandbox.paid_http.control_plane.plane import AGENT, ORGANIZATION, ControlPlane
from jecp_mcp.sandbox.paid_http.control_plane.store import Store
from jecp_mcp.sandbox.paid_http.database import Database
from jecp_mcp.sandbox.paid_http.facilitator.facilitator import Facilitator
from jecp_mcp.sandbox.paid_http.merchant.merchant import Merchant
from jecp_mcp.wire.x402.assets import ASSETS, Asset

_KEPT_PORTS: Final = "ports"
_LISTENERS: Final = 5
_GOVERNED: Final = 3
"""Which of them is the merchant that the control plane pays."""

Served = dict[str, Any]
"""``{"merchant", "facilitator", "rpc": [node, node], "faucet", "chain", "network", "asset", "402flow"}``: URLs, and
what is paid with. ``402flow`` is ``{"control_plane", "merchant", "organization", "agent", "bootstrap_key"}``: who pays
the same merchant at another address, for whom."""


@asynccontextmanager
async def serve_paid_http(config: PaidHttpConfig) -> AsyncIterator[Served]:
    """Serve them until the block ends. Each has the port it had at the last start, where that is free.

    Yields:
        Where they are.

    Raises:
        SettingsError: the token is one of a real chain, or the file of the configuration cannot be used.
    """
    refuse_real(config.asset)
    with ExitStack() as stack:
        database = Database(config.data)
        stack.callback(database.close)
        listeners = _listen_again(database, config.data)
        for listener in listeners:
            stack.callback(listener.close)
        chain = Chain(config.asset, config.clock, database)
        facilitator = Facilitator(chain)
        merchant = Merchant(config.asset, facilitator, database)
        connections: Connections = {}
        store = Store(database)
        shop_app = merchant_app(merchant, config.control_key, connections)
        payer = Payer(shop_app, chain, config.asset, store.wallet)
        allowed = (f"{url_of(listeners[_GOVERNED])}/",)
        plane = ControlPlane(store, payer, chain, config.asset, allowed)
        apps = (
            shop_app,
            facilitator_app(facilitator, connections),
            chain_app(chain, config.control_key, connections),
            shop_app,
            control_plane_app(plane, store, config.control_key, connections),
        )
        async with _serve_all(zip(apps, listeners, strict=True), connections):
            shop, house, node, governed, control = (url_of(listener) for listener in listeners)
            yield {
                "merchant": shop,
                "facilitator": house,
                "rpc": [f"{node}/node/{number}" for number in range(1, NODES + 1)],
                "faucet": f"{node}/faucet",
                "chain": node,
                "network": config.asset.network,
                "asset": config.asset.address,
                "402flow": {
                    "control_plane": control,
                    "merchant": governed,
                    "organization": ORGANIZATION,
                    "agent": AGENT,
                    "bootstrap_key": store.bootstrap_key,
                },
            }


def refuse_real(asset: Asset) -> None:
    """Refuse a token for which a signature could be worth something.

    Raises:
        SettingsError: its chain or its address is one of a real token's.
    """
    for real in ASSETS:
        if asset.network == real.network or asset.address.lower() == real.address.lower():
            meant = f"{real.symbol} on {real.network}"
            raise SettingsError("the sandbox", "", f"it takes nothing that is signed for {meant}, which has a worth")


def _listen_again(database: Database, data: Path | None) -> list[socket.socket]:
    """Take the ports of the last start, or others; they are kept for the next."""
    kept = json.loads(database.fact(_KEPT_PORTS) or "[]")
    listeners = [
        listen_first([*kept[place : place + 1], *likely_ports(data, place, _LISTENERS)]) for place in range(_LISTENERS)
    ]
    database.set_fact(_KEPT_PORTS, json.dumps([listener.getsockname()[1] for listener in listeners]))
    return listeners


@asynccontextmanager
async def _serve_all(served: Iterable[tuple[ASGIApp, socket.socket]], connections: Connections) -> AsyncIterator[None]:
    tasks, ready = [], []
    for app, listener in served:
        began = asyncio.Event()
        ready.append(began.wait())
        tasks.append(asyncio.create_task(serve_app(app, listener, connections, began.set, lifespan=False)))
    try:
        await asyncio.gather(*ready)
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
