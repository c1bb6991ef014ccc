"""The whole bridge beside the sandbox's control plane, which pays the sandbox's merchant, with a clock to be turned."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.cli import assembly
from jecp_mcp.cli.assembly import Bridge, build
from jecp_mcp.cli.options import Start
from jecp_mcp.clock import SystemClock
from jecp_mcp.settings import Settings
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from tests.paid_http_house import CHARGED, FREE, MANDATE, House, TurnedClock
from tests.x402_sandbox import PaidHttp


@dataclass
class Plane:
    """The control plane: what it decided, and its switches."""

    shop: PaidHttp

    @property
    def where(self) -> Mapping[str, str]:
        return self.shop.where["402flow"]

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"x-sandbox-key": self.shop.control_key}
        answer = self.shop.http.post(f"{self.where['control_plane']}{path}", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def script(self, outcome: str, route: str = "*") -> None:
        """What the next new request for a route comes to."""
        self._post("/sandbox/decisions", {"route": route, "outcome": outcome})

    def fault(self, mode: str, on: str = "decisions") -> None:
        """Let the next of an endpoint go wrong."""
        self._post("/sandbox/faults", {"mode": mode, "on": on})

    def expire_tokens(self) -> None:
        self._post("/sandbox/tokens", {})

    def turn_receipt(self, receipt_id: str, status: str, **replacement: Any) -> None:
        """Let a receipt stand otherwise; with other members, let one that has these take its place."""
        other = {"replacement": replacement} if replacement else {}
        self._post("/sandbox/receipts", {"receipt_id": receipt_id, "status": status, **other})

    def next_receipt(self, status: str) -> None:
        """How the next receipt stands from its beginning."""
        self._post("/sandbox/receipts", {"status": status})

    def reset(self) -> None:
        """Let nothing wait that would go wrong."""
        headers = {"x-sandbox-key": self.shop.control_key}
        self.shop.http.delete(f"{self.where['control_plane']}/sandbox/faults", headers=headers).raise_for_status()

    def seen(self) -> dict[str, Any]:
        """``{"decisions": {key: {"paid", "amount", "outcome"}}, "asked": [key], "exchanges"}``."""
        headers = {"x-sandbox-key": self.shop.control_key}
        url = f"{self.where['control_plane']}/sandbox/decisions"
        return self.shop.http.get(url, headers=headers).raise_for_status().json()


@dataclass(frozen=True)
class Door:
    """The merchant at the address where the control plane pays it."""

    shop: PaidHttp
    url: str

    @property
    def chain(self) -> Any:
        return self.shop.chain

    @property
    def merchant(self) -> Any:
        return self.shop.merchant


@dataclass
class GovernedHouse(House):
    """One process that buys through the control plane."""

    plane: Plane = field(kw_only=True)

    async def key(self) -> str:
        """The one call's idempotency key."""
        return (await self.row()).call_id

    async def made(self) -> dict[str, Any]:
        """What was decided under the one call's key; empty where nothing was."""
        return self.plane.seen()["decisions"].get(await self.key(), {})

    async def close_books(self) -> None:
        """Whatever happened: nothing was paid that is not in the books, and the books prove themselves."""
        report = await self.bridge.ledger.audit()
        assert report.findings == ()
        decisions = self.plane.seen()["decisions"]
        for row in await self.rows():
            paid = decisions.get(row.call_id, {}).get("amount", 0)
            counted = row.charged if row.state.value in CHARGED else row.held * (row.state.value not in FREE)
            assert paid <= counted, row


def governed_settings(shop: PaidHttp, mandate: Mapping[str, Any] | None = None, **flow402: Any) -> Settings:
    """The settings of a house that buys from the sandbox's merchant through the control plane."""
    where = shop.where["402flow"]
    section = {
        "base_url": where["control_plane"],
        "organization": where["organization"],
        "agent": where["agent"],
        "merchants": [where["merchant"]],
        "networks": [SANDBOX_ASSET.network],
    } | flow402
    hub = {"base_url": "http://127.0.0.1:9"}
    return Settings.model_validate({"hub": hub, "mandate": {**MANDATE, **(mandate or {})}, "flow402": section})


def started(folder: Path, shop: PaidHttp, mandate: Mapping[str, Any] | None = None, **flow402: Any) -> Start:
    """A start with the control plane's own key."""
    settings = governed_settings(shop, mandate, **flow402)
    return Start(settings, folder, None, play_bootstrap=shop.where["402flow"]["bootstrap_key"])


@asynccontextmanager
async def governed(
    folder: Path,
    shop: PaidHttp,
    monkeypatch: pytest.MonkeyPatch,
    *,
    mandate: Mapping[str, Any] | None = None,
    **flow402: Any,
) -> AsyncIterator[GovernedHouse]:
    """One process. Its books are looked at when it ends."""
    clock = TurnedClock()
    clock.ahead = shop.chain.now() - SystemClock().now() // 1000
    monkeypatch.setattr(assembly, "SystemClock", lambda: clock)
    async with build(started(folder, shop, mandate, **flow402)) as bridge:
        made = governed_house(bridge, shop, clock)
        yield made
        await made.close_books()


def governed_house(bridge: Bridge, shop: PaidHttp, clock: TurnedClock) -> GovernedHouse:
    door: Any = Door(shop, shop.where["402flow"]["merchant"])
    return GovernedHouse(bridge, door, clock, PrivateKey(b"\x01" * 32), plane=Plane(shop))
