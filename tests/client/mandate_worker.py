"""A program that buys through a mandate until it kills itself at a point; see `tests.crash.calls.children`."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import anyio

from jecp_mcp import JecpClient, Mandate
from jecp_mcp.mandate.states import CHARGED, FREE
from tests.crash.calls.children import ledger_rows, light


@dataclass(frozen=True)
class Life:
    """What a program is to buy, by which ledger, and the point to die at; 0 to live."""

    folder: Path
    url: str
    agent_id: str
    api_key: str
    texts: tuple[str, ...]
    last: int | str = 0
    daily_usdc: str = "1"


def live(life: Life, tell: Connection) -> None:
    """Buy; says ``("died", point)``, or ``("passed", points)`` and ``("heard", [{id, words} or {code}])``."""
    fuse = light(life.last, tell)
    heard: list[dict[str, object]] = []

    async def do() -> None:
        mandate = Mandate(life.folder / "ledger.sqlite", per_call_usdc="0.01", daily_usdc=life.daily_usdc)
        async with JecpClient(life.agent_id, life.api_key, base_url=life.url, mandate=mandate) as hub:
            await hub.guide()
            await hub.catalog.capability("text-stats")
            fuse.lit = True
            for text in life.texts:
                try:
                    bought = await hub.invoke("text-stats", "count", {"text": text})
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
