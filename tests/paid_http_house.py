"""The whole bridge beside the sandbox's merchant and chain, with a clock that a test turns for all of them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from jecp_mcp.calls.ports import Asker, Caller
from jecp_mcp.cli import assembly
from jecp_mcp.cli.assembly import Bridge, build
from jecp_mcp.cli.options import Start
from jecp_mcp.clock import SystemClock, UnixMs
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.mandate.records import CallRow
from jecp_mcp.settings import Settings
from jecp_mcp.settings.wallet_key import WalletKey
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from tests.x402_sandbox import ChainHandle, PaidHttp

MANDATE: Mapping[str, Any] = {"per_call_usdc": "0.10", "daily_usdc": "5"}
TEXT = {"text": "A short text about nothing in particular. It has two sentences."}


class TurnedClock(SystemClock):
    """The machine's clock, once `ahead` seconds more have passed."""

    ahead = 0

    def now(self) -> UnixMs:
        return UnixMs(super().now() + self.ahead * 1000)

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


CHARGED = frozenset({"settled", "reconciled_charged"})
FREE = frozenset({"released", "reconciled_free"})


class PayingHouse:
    """What a process has bought with its wallet: its rows, and its transfers on the chain."""

    bridge: Bridge
    wallet: PrivateKey

    @property
    def chain(self) -> ChainHandle:
        """The chain that its wallet pays on."""
        raise NotImplementedError

    @property
    def paid(self) -> list[int]:
        """What left the wallet, each transfer in micro-USDC."""
        return self.chain.paid_by(self.wallet.address)

    async def rows(self) -> list[CallRow]:
        await self.bridge.ledger.flush()
        return list(await self.bridge.ledger.rows())

    async def row(self) -> CallRow:
        [row] = await self.rows()
        return row

    async def close_books(self) -> None:
        """Whatever happened: nothing was paid that is not in the books, and the books prove themselves."""
        report = await self.bridge.ledger.audit()
        assert report.findings == ()
        rows = await self.rows()
        counted = sum(
            row.charged if row.state.value in CHARGED else row.held * (row.state.value not in FREE) for row in rows
        )
        assert sum(self.paid) <= counted
        nonces = [one["nonce"] for one in self.chain.transfers()]
        assert len(nonces) == len(set(nonces))


@dataclass
class House(PayingHouse):
    """One process: its parts, its wallet and its clock."""

    bridge: Bridge
    shop: PaidHttp
    clock: TurnedClock
    wallet: PrivateKey
    seen: list[dict[str, Any]] = field(default_factory=list)

    async def call(self, name: str, asker: Asker | None = None, /, **arguments: Any) -> dict[str, Any]:
        """What a model reads of a call: its structured content."""
        with anyio.fail_after(120):
            found = await self.bridge.dispatcher.call(name, arguments, Caller(LOCAL, asker=asker))
        made = dict(found.structured or {})
        self.seen.append({"tool": name, "text": [getattr(one, "text", "") for one in found.blocks], **made})
        return dict(made["output"]) if {"receipt", "output"} <= made.keys() else made

    @property
    def told(self) -> str:
        """All the text of the last answer."""
        return "\n".join(self.seen[-1]["text"])

    async def prepare(self, path: str, **more: Any) -> dict[str, Any]:
        return await self.call("paid_http_prepare", url=f"{self.shop.url}{path}", **more)

    async def execute(self, prepared: Mapping[str, Any], asker: Asker | None = None) -> dict[str, Any]:
        return await self.call("paid_http_execute", asker, prepared_id=prepared["prepared_id"])

    async def result(self, prepared: Mapping[str, Any]) -> dict[str, Any]:
        return await self.call("paid_http_result", prepared_id=prepared["prepared_id"])

    async def buy(self, path: str, **more: Any) -> dict[str, Any]:
        """Prepare and execute."""
        prepared = await self.prepare(path, **more)
        assert "prepared_id" in prepared, prepared
        return await self.execute(prepared)

    def pass_time(self, seconds: int) -> None:
        """Let time pass here and on the chain."""
        self.clock.ahead += seconds
        self.shop.chain.advance(seconds)

    async def books(self) -> tuple[str, int, int]:
        """The one call: its state, what is held or was, and what was charged."""
        row = await self.row()
        return row.state.value, row.held, row.charged

    @property
    def chain(self) -> ChainHandle:
        """The chain that its wallet pays on."""
        return self.shop.chain


def sandbox_settings(shop: PaidHttp, mandate: Mapping[str, Any] | None = None, **paid_http: Any) -> Settings:
    """The settings of a house that buys from the sandbox's merchant."""
    network = SANDBOX_ASSET.network
    section = {"merchants": [shop.url], "networks": [network], "rpc": {network: shop.rpc}} | paid_http
    # Nothing listens where the Hub would be: neither rail needs the other.
    hub = {"base_url": "http://127.0.0.1:9"}
    return Settings.model_validate({"hub": hub, "mandate": {**MANDATE, **(mandate or {})}, "paid_http": section})


@asynccontextmanager
async def house(
    folder: Path,
    shop: PaidHttp,
    monkeypatch: pytest.MonkeyPatch,
    *,
    key: PrivateKey | None = None,
    secret: bytes | None = None,
    mandate: Mapping[str, Any] | None = None,
    **paid_http: Any,
) -> AsyncIterator[House]:
    """One process with a funded wallet. Its books are looked at when it ends."""
    secret = secret or secrets.token_bytes(32)
    wallet = PrivateKey(secret)
    shop.http.post(shop.where["faucet"], json={"address": wallet.address}).raise_for_status()
    clock = TurnedClock()
    clock.ahead = shop.chain.now() - SystemClock().now() // 1000
    monkeypatch.setattr(assembly, "SystemClock", lambda: clock)
    start = Start(sandbox_settings(shop, mandate, **paid_http), folder, None, play_wallet=WalletKey(secret, "test"))
    async with build(start) as bridge:
        made = House(bridge, shop, clock, wallet)
        yield made
        await made.close_books()
