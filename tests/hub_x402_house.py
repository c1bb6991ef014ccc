"""The whole bridge beside a sandbox Hub that takes x402, its facilitator and their chain, with one clock for all."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from pydantic import SecretStr

from jecp_mcp.calls.ports import Asker, Caller
from jecp_mcp.cli import assembly
from jecp_mcp.cli.assembly import Bridge, build
from jecp_mcp.cli.options import Start
from jecp_mcp.clock import SystemClock
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.jecp.hub_time import HubTime
from jecp_mcp.sandbox.dialect import DialectName
from jecp_mcp.sandbox.run import SandboxConfig
from jecp_mcp.sandbox.x402_payments import Accepted
from jecp_mcp.settings import Credentials, Settings
from jecp_mcp.settings.wallet_key import WalletKey
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from tests.contract.sandbox.conftest import TurnableClock, action, controlled, manifest, running
from tests.paid_http_house import PayingHouse, TurnedClock
from tests.x402_sandbox import ChainHandle, PaidHttp

PRICE = 5_000
EITHER, ONLY, WALLET = "lab_counting_either", "lab_counting_only", "lab_counting_wallet"
"""The tools of what is paid by wallet or x402, by x402 only, by the wallet only; each costs `PRICE`."""
TEXT = {"text": "one two"}


@dataclass
class X402Hub:
    """A Hub, its test agent, and the chain that its facilitator brings payments to."""

    url: str
    agent_id: str
    api_key: str
    shop: PaidHttp
    http: httpx2.Client = field(repr=False)
    clock: TurnableClock = field(repr=False)

    @property
    def auth(self) -> dict[str, str]:
        return {"X-Agent-ID": self.agent_id, "X-API-Key": self.api_key}

    def wallet(self, usdc: str) -> None:
        """Set what is in the wallet at the Hub."""
        self.http.post("/sandbox/wallet", headers=self.auth, json={"balance_usdc": usdc}).raise_for_status()

    def fault(self, fault: str, match: str = "x402", **more: Any) -> None:
        """Go wrong once (or `times`) at the calls that come with a payment, or at others."""
        self.http.post("/sandbox/faults", json={"match": match, "fault": fault, **more}).raise_for_status()

    def put_right(self) -> None:
        self.http.delete("/sandbox/faults").raise_for_status()
        self.shop.put_right()

    def sold(self) -> list[tuple[str, int]]:
        """What the agent bought, each with how it was paid and its amount."""
        answer = self.http.get("/sandbox/books", headers=self.auth, params={"agent_id": self.agent_id})
        return [(one["method"], one["amount_micro"]) for one in answer.raise_for_status().json()["transactions"]]


def _payable(name: str, *methods: str) -> dict[str, Any]:
    pricing = {"base": "$0.005", "currency": "USD", "model": "per_call", "payment_methods": list(methods)}
    return action(name, pricing=pricing)


@contextmanager
def x402_hub(shop: PaidHttp, dialect: DialectName = "reference") -> Iterator[X402Hub]:
    """Serve a Hub that takes x402; its wallet is empty."""
    clock = TurnableClock()
    config = SandboxConfig(
        dialect=dialect,
        clock=clock,
        opening_balance=MicroUSDC(0),
        free_calls=0,
        x402=Accepted(str(shop.where["facilitator"])),
    )
    with running(config) as ready, controlled(ready) as http:
        hub = X402Hub(ready["hub"], ready["agent_id"], ready["api_key"], shop, http, clock)
        actions = [_payable("either", "stripe", "x402"), _payable("only", "x402"), action("wallet")]
        http.post("/sandbox/catalog", json={"manifests": [manifest(actions=actions)]}).raise_for_status()
        yield hub


def settings_for(
    hub: str, rpc: list[str], payment: str, mandate: Mapping[str, Any] | None = None, **more: Any
) -> Settings:
    """The settings of who buys at a Hub; `more` goes to ``[hub]``, but for ``paid_http``."""
    network = SANDBOX_ASSET.network
    paid_http = {"networks": [network], "rpc": {network: rpc} if rpc else {}, **more.pop("paid_http", {})}
    section = {"base_url": hub, "payment": payment, **more}
    limits = {"per_call_usdc": "0.10", "daily_usdc": "5", **(mandate or {})}
    return Settings.model_validate({"hub": section, "mandate": limits, "paid_http": paid_http})


@dataclass
class House(PayingHouse):
    """One process: its parts, its wallet and its clock."""

    bridge: Bridge
    hub: X402Hub
    clock: TurnedClock
    wallet: PrivateKey

    async def call(self, tool: str, asker: Asker | None = None, /, **arguments: Any) -> dict[str, Any]:
        """What a model reads of a call: its structured content."""
        with anyio.fail_after(120):
            found = await self.bridge.dispatcher.call(tool, arguments or TEXT, Caller(LOCAL, asker=asker))
        self.text = "\n".join(getattr(one, "text", "") for one in found.blocks)
        return dict(found.structured or {})

    def pass_time(self, seconds: int) -> None:
        """Let time pass here, at the Hub and on the chain."""
        self.clock.ahead += seconds
        self.hub.clock.ahead_ms += seconds * 1000
        self.hub.shop.chain.advance(seconds)

    @property
    def chain(self) -> ChainHandle:
        """The chain that its wallet pays on."""
        return self.hub.shop.chain

    async def marks(self) -> list[str]:
        """What was written down of the one call."""
        events = await self.bridge.ledger.events((await self.row()).call_id, limit=100)
        return [str(one.facts["mark"]) for one in events if one.event == "note"]

    async def books(self) -> tuple[str, int, int]:
        """The one call: its state, what is held or was, and what was charged less what came back."""
        row = await self.row()
        return row.state.value, row.held, row.charged - row.refunded


@asynccontextmanager
async def house(
    folder: Path,
    hub: X402Hub,
    monkeypatch: pytest.MonkeyPatch,
    payment: str = "auto",
    *,
    secret: bytes | None = None,
    key: bool = True,
    nodes: bool = True,
    mandate: Mapping[str, Any] | None = None,
    **more: Any,
) -> AsyncIterator[House]:
    """One process with a funded wallet of its own. Its books are looked at when it ends.

    Args:
        key: whether there is a key to sign with.
        nodes: whether the chain can be asked.
    """
    shop, secret = hub.shop, secret or secrets.token_bytes(32)
    wallet = PrivateKey(secret)
    shop.http.post(shop.where["faucet"], json={"address": wallet.address}).raise_for_status()
    clock = TurnedClock()
    clock.ahead = shop.chain.now() - SystemClock().now() // 1000
    hub.clock.ahead_ms = clock.ahead * 1000
    monkeypatch.setattr(assembly, "SystemClock", lambda: clock)
    # The Hub's clock is turned too, but for the dates of the server that it runs in.
    monkeypatch.setattr(HubTime, "skew", lambda _: 0.0)
    settings = settings_for(hub.url, shop.rpc if nodes else [], payment, mandate, **more)
    credentials = Credentials(agent_id=hub.agent_id, api_key=SecretStr(hub.api_key), source="test")
    start = Start(settings, folder, credentials, play_wallet=WalletKey(secret, "test") if key else None)
    async with build(start) as bridge:
        await bridge.source.refresh()
        made = House(bridge, hub, clock, wallet)
        yield made
        await made.close_books()
