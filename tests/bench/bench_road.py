"""What the bridge adds: a paid call over stdio, and the cold start, as ratios within one run.

    python -m tests.bench.bench_road [--calls 400] [--starts 15]

A paid call is compared with the sum of its unavoidable parts, measured in turn with it: an echo call on a bare SDK
server over stdio, and a bare HTTP POST of the same purchase to the same Hub over a kept-alive connection. What the
disk takes to keep a reservation is shown and not counted. Beside it stand two floors: a bare SDK server that POSTs, and
does no more than write each call down, durable before it leaves and again after it; and one that writes it down in
the product's ledger, with all its rules, and does nothing else of what the product does. The cold start (spawn to the
first ``tools/list`` answer) is compared with a bare low-level SDK server's.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import httpx2
from mcp import Client
from mcp_types import Tool

from tests.acceptance.roads import LEGACY, MODERN, SandboxHub, sandbox
from tests.bench.peer_purchase import Buyer
from tests.bench.stopwatch import (
    bare,
    bridge,
    cold_starts,
    disk,
    floor,
    in_turn,
    listed,
    opened,
    ratio,
    show,
    text_counter,
)

TEXT = "A short text, counted for the benchmark."
OURS, ECHO, POST = "jecp-mcp: a paid call", "bare SDK server: an echo", "bare POST: the same purchase"
FLOOR = "bare SDK server: a POST, two durable writes"
LEDGER = "bare SDK server: a POST, the whole ledger"
CALL_BOUND = 1.15
DISK = "disk: 4 KiB written and synced"


async def calls(hub: SandboxHub, folder: Path, era: str, count: int, tools: list[Tool]) -> None:
    """Measure the kinds of call in turn."""
    name, capability, action = text_counter(tools)
    path = f"{capability}/{action}"
    buyer = Buyer(hub.url, hub.agent_id, hub.api_key)
    log = folder / "log"
    async with (
        opened(bridge(hub, folder / "state"), era, log) as ours,
        opened(bare(len(tools)), era, log) as echo,
        opened(floor(hub, len(tools), path, folder / f"floor-{era}.sqlite"), era, log) as least,
        opened(floor(hub, len(tools), path, folder / f"whole-{era}.sqlite", "whole"), era, log) as whole,
        httpx2.AsyncClient() as http,
    ):

        async def paid(number: int) -> None:
            result = await ours.call_tool(name, {"text": f"{TEXT} {number}"})
            assert not result.is_error, result.content[0]

        async def said(number: int) -> None:
            await echo.call_tool("echo_1", {"text": f"{TEXT} {number}"})

        def purchase_at(server: Client) -> Callable[[int], Awaitable[None]]:
            async def call(number: int) -> None:
                result = await server.call_tool("echo_1", {"text": f"{TEXT} {number}"})
                assert not result.is_error, result.content[0]

            return call

        async def posted(number: int) -> None:
            bought = buyer.purchase(f"/{path}", {"text": f"{TEXT} {number}"})
            answer = await http.post(bought.url, headers=bought.headers, content=bought.body)
            assert answer.status_code == 200, answer.text

        with disk(folder) as synced:
            kinds = {
                OURS: paid,
                FLOOR: purchase_at(least),
                LEDGER: purchase_at(whole),
                ECHO: said,
                POST: posted,
                DISK: synced,
            }
            samples = await in_turn(kinds, count)
    print(f"calls of {capability}:{action}, {era}")
    medians = show(samples)
    parts = medians[ECHO] + medians[POST]
    ratio("echo + POST", medians[OURS], parts, CALL_BOUND)
    ratio("echo + POST, of two durable writes", medians[FLOOR], parts, CALL_BOUND)
    ratio("echo + POST, of the whole ledger", medians[LEDGER], parts, CALL_BOUND)
    print(f"  beside the floors {medians[OURS] / medians[FLOOR]:.3f}, {medians[OURS] / medians[LEDGER]:.3f}")


async def main(count: int, start_count: int) -> None:
    """Run it all."""
    with tempfile.TemporaryDirectory() as name, sandbox(Path(name) / "hub.sqlite") as first:
        folder = Path(name)
        hub = first.new_agent("100.00")
        server, log = bridge(hub, folder / "state"), folder / "log"
        tools = await listed(server, LEGACY, log)
        for era in (LEGACY, MODERN):
            await calls(hub, folder, era, count, tools)
        starting = {"jecp-mcp": lambda _: server, "bare SDK server": lambda _: bare(len(tools))}
        print(f"cold start to the first tools/list ({len(tools)} tools)")
        medians = show(await cold_starts(starting, LEGACY, start_count, log))
        ratio("the bare SDK server", medians["jecp-mcp"], medians["bare SDK server"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--starts", type=int, default=15)
    given = parser.parse_args()
    anyio.run(main, given.calls, given.starts)
