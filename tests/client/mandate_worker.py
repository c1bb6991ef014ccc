"""A program that buys through a mandate until it kills itself at a point; see `tests.crash.calls.children`."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import anyio

from jecp_mcp import JecpClient, Mandate
from jecp_mcp.mandate.states import CHARGED, FREE
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET
from tests.crash.calls.children import ledger_rows, light


@dataclass(frozen=True)
class Life:
    """What a program is to buy, by which ledger, and the point to die at; 0 to live.

    Attributes:
        key: the wallet's where it is paid by x402, on the sandbox's chain.
        rpc: that chain's nodes.
    """

    folder: Path
    url: str
    agent_id: str
    api_key: str
    texts: tuple[str, ...]
    last: int | str = 0
    daily_usdc: str = "1"
    key: str = ""
    rpc: tuple[str, ...] = ()


def live(life: Life, tell: Connection) -> None:
    """Buy; says ``("died", point)``, or ``("passed", points)`` and ``("heard", [{id, words} or {code}])``."""
    fuse = light(life.last, tell)
    heard: list[dict[str, object]] = []
    sold = ("lab/counting", "only") if life.key else ("text-stats", "count")
    network = SANDBOX_ASSET.network
    x402: dict[str, Any] = {
        "payment": "x402",
        "wallet_key": life.key,
        "x402": {"networks": [network], "rpc": {network: life.rpc}},
    }

    async def do() -> None:
        mandate = Mandate(life.folder / "ledger.sqlite", per_call_usdc="0.01", daily_usdc=life.daily_usdc)
        options = {"base_url": life.url, "mandate": mandate, **(x402 if life.key else {})}
        async with JecpClient(life.agent_id, life.api_key, **options) as hub:
            await hub.guide()
            await hub.catalog.capability(sold[0])
            fuse.lit = True
            for text in life.texts:
                try:
                    bought = await hub.invoke(*sold, {"text": text})
                except Exception as refused:  # noqa: BLE001 - whatever it is, the test reads it
                    heard.append({"code": getattr(refused, "code", repr(refused))})
                else:
                    heard.append({"id": bought.request_id, "words": bought.output["words"]})
            fuse.lit = False

    anyio.run(do)
    tell.send(("passed", fuse.passed))
    tell.send(("heard", heard))


def counted(folder: Path) -> int:
    """What a ledger counts as spent, micro-USDC."""
    rows = ledger_rows(folder, "state, held, charged")
    return sum(charged if state in CHARGED else held * (state not in FREE) for state, held, charged in rows)
