"""A process that pays a Hub over HTTP, or finishes what another left open, until it kills itself at a chosen point.

Its points are those of the ledger (see `tests.crash.mandate.dying`), every event of the HTTP library's trace, and the
moments before and after a conclusion is queued.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
from pydantic import SecretStr

from jecp_mcp import http as http_module
from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.calls.ports import Caller, Charge
from jecp_mcp.clock import SystemClock
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.domain.purchases import LOCAL, Purchase
from jecp_mcp.http import Http
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.base import new_call_id
from jecp_mcp.rails.jecp.client import HubClient
from jecp_mcp.rails.jecp.rail import JecpRail
from jecp_mcp.settings import Credentials, MandateSettings
from tests.crash.mandate.dying import Fuse
from tests.rails import at_hub

PRICE = MicroUSDC(500)
ACTION = Offer("text-stats", "count", "", Price(PRICE))
TEXTS = ("the first", "the second")


@dataclass(frozen=True)
class Account:
    """An agent at a Hub."""

    url: str
    agent_id: str
    api_key: str


async def at_once(_seconds: float) -> None:
    await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def pipeline(folder: Path, account: Account) -> AsyncIterator[tuple[Calls, SqliteLedger]]:
    """The real pipeline, rail, HTTP and ledger file; only the pauses between attempts take no time."""
    clock = SystemClock()
    credentials = Credentials(agent_id=account.agent_id, api_key=SecretStr(account.api_key), source="test")
    ledger = open_ledger(folder / "ledger.db", clock=clock)
    assert ledger.fault is None
    async with Http(account.url) as http, Http(account.url) as other:
        client, before = (HubClient(account.url, one, lambda: credentials, clock) for one in (http, other))
        # The guide is known, and by another connection, so that the first request's trace is a paid call's.
        client.guide, client.guide_known, client.hub_time = await before.discover(), True, before.hub_time
        rail = JecpRail(client, timeout_seconds=30, clock=clock, random=lambda: 0.5, sleep=at_once)
        policy = Policy.from_settings(MandateSettings(per_call_usdc="0.01", daily_usdc="1"))
        calls = Calls(policy=policy, ledger=ledger, rails=at_hub(rail, client), clock=clock, mint=new_call_id)
        async with calls.open():
            yield calls, ledger
    await ledger.close()


def lay(fuse: Fuse) -> None:
    """Add what comes after the ledger to the points."""
    trace, conclude = http_module._Trail.__call__, SqliteLedger.conclude

    async def tracing(self: Any, name: str, info: Any) -> None:
        fuse.passing(name)
        await trace(self, name, info)

    def concluding(self: SqliteLedger, conclusion: Any) -> None:
        fuse.passing("before the conclusion")
        conclude(self, conclusion)
        fuse.passing("after the conclusion, which is not written yet")

    http_module._Trail.__call__ = tracing  # type: ignore[method-assign]
    SqliteLedger.conclude = concluding  # type: ignore[method-assign]


def live(folder: Path, account: Account, deed: str, last: int | str, tell: Connection) -> None:
    """Pay twice (``pay``) or finish what is open (``recover``); die at point `last`, by number or by name."""
    fuse = Fuse(last, tell)
    fuse.lay()
    lay(fuse)

    async def do() -> None:
        async with pipeline(folder, account) as (calls, ledger):
            fuse.lit = True
            if deed == "recover":
                await calls.recover()
                await ledger.flush()
                return
            for text in TEXTS:
                end = await calls.pay(Purchase("text_stats_count", ACTION, {"text": text}), Caller(LOCAL))
                assert end.charge is Charge.YES, json.dumps(str(end.refusal))
                tell.send(("answered", end.call_id))
                calls.delivered(end)
            await ledger.flush()

    anyio.run(do)
    tell.send(("passed", fuse.passed))
