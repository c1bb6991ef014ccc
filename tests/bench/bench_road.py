"""What the bridge adds: a paid call over stdio, and the cold start, as ratios within one run.

    python -m tests.bench.bench_road [--calls 400] [--starts 15]

A paid call is compared with the sum of its unavoidable parts, measured in turn with it: an echo call on a bare SDK
server over stdio, and a bare HTTP POST of the same purchase to the same Hub over a kept-alive connection. The cold
start (spawn to the first ``tools/list`` answer) is compared with a bare low-level SDK server's.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client, StdioServerParameters

from tests.acceptance.roads import LEGACY, MODERN, SandboxHub, sandbox, server_env

BARE = Path(__file__).with_name("bare_server.py")
CAPABILITY, ACTION, TEXT = "text-stats", "count", {"text": "A short text, counted for the benchmark."}


def bridge(hub: SandboxHub, state: Path) -> StdioServerParameters:
    """The server as a host starts it, with limits that a benchmark does not reach."""
    limits = {"mandate__daily_usdc": "100", "mandate__per_call_usdc": "1", "tools__mode": "direct"}
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "jecp_mcp", "serve", "--state-dir", str(state)],
        env=server_env(hub.url, hub.agent_id, hub.api_key, **limits),
    )


def bare(tools: int) -> StdioServerParameters:
    """The yardstick server."""
    return StdioServerParameters(command=sys.executable, args=[str(BARE), str(tools)])


def show(name: str, samples: list[float]) -> float:
    """Print a row of milliseconds and return the median in seconds."""
    ordered = sorted(samples)
    p50, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99) - 1]
    print(f"  {name:<34} p50 {p50 * 1000:8.2f} ms   p99 {p99 * 1000:8.2f} ms   n {len(ordered)}")
    return p50


async def calls(hub: SandboxHub, state: Path, era: str, count: int, path: str, capability: str, action: str, tool: str) -> float:
    """Measure the three kinds of call in turn; returns the ratio of medians."""
    ids = itertools.count()
    headers = {**hub.auth, "content-type": "application/json"}
    samples: dict[str, list[float]] = {"paid call through the bridge": [], "bare SDK echo": [], "bare POST": []}
    async with (
        Client(bridge(hub, state), mode=era) as ours,
        Client(bare(40), mode=era) as echo,
        httpx2.AsyncClient(base_url=hub.url) as http,
    ):

        async def paid(number: int) -> None:
            result = await ours.call_tool(tool, {"text": f"{TEXT['text']} {number}"})
            assert not result.is_error, result.content[0]

        async def said(number: int) -> None:
            await echo.call_tool("echo_1", {"text": f"{TEXT['text']} {number}"})

        async def posted(number: int) -> None:
            body: dict[str, Any] = {
                "jecp": "1.0",
                "id": f"bench_{era[:4]}_{time.time_ns()}_{number}",
                "capability": capability,
                "action": action,
                "input": {"text": f"{TEXT['text']} {number}"},
                "mandate": {"agent_id": hub.agent_id, "api_key": hub.api_key, "budget_usdc": 0.25},
            }
            answer = await http.post(path, headers=headers, content=json.dumps(body))
            assert answer.status_code == 200, answer.text

        kinds = list(zip(samples, (paid, said, posted), strict=True))
        for round_ in range(count + 20):
            for name, one in kinds:
                number = next(ids)
                begun = time.perf_counter()
                await one(number)
                if round_ >= 20:
                    samples[name].append(time.perf_counter() - begun)
    medians = {name: show(name, taken) for name, taken in samples.items()}
    whole = medians.pop("paid call through the bridge")
    return whole / sum(medians.values())


async def start(parameters: StdioServerParameters, era: str) -> float:
    """Seconds from spawning a server to its first tool list."""
    begun = time.perf_counter()
    async with Client(parameters, mode=era) as client:
        listed = await client.list_tools()
        taken = time.perf_counter() - begun
    assert listed.tools
    return taken


async def starts(hub: SandboxHub, state: Path, count: int) -> float:
    """Measure cold starts in turn; returns the ratio of medians."""
    async with Client(bridge(hub, state), mode=LEGACY) as client:
        tools = len((await client.list_tools()).tools)
    samples: dict[str, list[float]] = {"bridge": [], "bare SDK server": []}
    for _ in range(count):
        samples["bridge"].append(await start(bridge(hub, state), LEGACY))
        samples["bare SDK server"].append(await start(bare(tools), LEGACY))
    print(f"cold start to the first tools/list ({tools} tools)")
    medians = [show(name, taken) for name, taken in samples.items()]
    return medians[0] / medians[1]


async def main(count: int, start_count: int) -> None:
    """Run it all."""
    with tempfile.TemporaryDirectory() as folder, sandbox(Path(folder) / "hub.sqlite") as first:
        hub = first.new_agent("100.00")
        state = Path(folder) / "state"
        async with Client(bridge(hub, state), mode=LEGACY) as client:
            tools = (await client.list_tools()).tools
        cheap = next(tool for tool in tools if "text" in tool.input_schema.get("properties", {}) and "stat" in tool.name)
        origin = cheap.meta or {}
        capability, action = str(origin["jecp/action"]).split(":")
        path = "/v1/invoke" if "/" in capability else "/v1/jecp"
        for era in (LEGACY, MODERN):
            print(f"calls of {capability}:{action}, {era}")
            ratio = await calls(hub, state, era, count, path, capability, action, cheap.name)
            print(f"  ratio to echo + POST: {ratio:.3f}\n")
        print(f"  ratio to the bare server: {await starts(hub, state, start_count):.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--starts", type=int, default=15)
    given = parser.parse_args()
    anyio.run(main, given.calls, given.starts)
