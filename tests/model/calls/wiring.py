"""The real rail over the Hub model."""

from __future__ import annotations

import random

import anyio.lowlevel
from pydantic import SecretStr

from jecp_mcp.clock import SystemClock
from jecp_mcp.rails.jecp.client import HubClient
from jecp_mcp.rails.jecp.rail import JecpRail
from jecp_mcp.settings import Credentials
from tests.model.calls.hub_model import HubModel

IDENTITY = Credentials(agent_id="jdb_ag_0123456789abcdef", api_key=SecretStr("jdb_ak_0123456789abcdef"), source="test")


async def no_sleep(_seconds: float) -> None:
    await anyio.lowlevel.checkpoint()


def rail_over(hub: HubModel, rng: random.Random) -> JecpRail:
    """A rail whose waits take no time."""
    clock = SystemClock()
    client = HubClient("http://127.0.0.1:1", hub, lambda: IDENTITY, clock)
    return JecpRail(client, timeout_seconds=30, clock=clock, random=rng.random, sleep=no_sleep)
