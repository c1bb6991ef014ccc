"""What the benchmarks of whole servers share: starting them, timing things in turn, and showing the times.

Only ratios between things timed in turn within one run mean anything: the machine's load changes from run to run.
"""

from __future__ import annotations

import math
import os
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import Tool

from tests.acceptance.roads import SandboxHub, server_env

BARE = Path(__file__).with_name("bare_server.py")
WARM_UP = 20
BOUND = 1.25
UNTYPICAL = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
"""What a build machine sets and a host does not; the first would have each start compile what it imports."""


def bridge(hub: SandboxHub, state: Path, *, mode: str = "direct") -> StdioServerParameters:
    """The server as a host starts it, with limits that a benchmark does not reach."""
    limits = {"mandate__daily_usdc": "100", "mandate__per_call_usdc": "1", "tools__mode": mode}
    env = server_env(hub.url, hub.agent_id, hub.api_key, **limits)
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "jecp_mcp", "serve", "--state-dir", str(state)],
        env={key: value for key, value in env.items() if key not in UNTYPICAL},
    )


def bare(tools: int) -> StdioServerParameters:
    """The yardstick server."""
    return StdioServerParameters(command=sys.executable, args=[str(BARE), str(tools)])


def floor(hub: SandboxHub, tools: int, path: str, ledger: Path, how: str = "bare") -> StdioServerParameters:
    """The yardstick server that buys what is at `path`, and writes each call down before and after it.

    Args:
        how: with the ``bare`` writes, or in the ``whole`` ledger.
    """
    return StdioServerParameters(
        command=sys.executable,
        args=[str(BARE), str(tools), path, "stdio", str(ledger), how],
        env=server_env(hub.url, hub.agent_id, hub.api_key),
    )


@asynccontextmanager
async def opened(server: StdioServerParameters, era: str, log: Path) -> AsyncIterator[Client]:
    """A client of a server just started, whose stderr goes to `log`, and into the error if there is one."""
    with log.open("a") as errlog:
        try:
            async with Client(stdio_client(server, errlog=errlog), mode=era) as client:
                yield client
        except Exception as exc:
            exc.add_note(f"{server.command} {' '.join(server.args)} said: {_end_of(log)}")
            raise


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


async def listed(server: StdioServerParameters, era: str, log: Path) -> list[Tool]:
    """A server's tools. A server started once has its bytecode written."""
    async with opened(server, era, log) as client:
        return (await client.list_tools()).tools


def text_counter(tools: list[Tool]) -> tuple[str, str, str]:
    """The tool that counts a text, of the bridge's: its name, its capability and its action."""
    tool = next(tool for tool in tools if "text" in tool.input_schema.get("properties", {}) and "stat" in tool.name)
    capability, action = str((tool.meta or {})["jecp/action"]).split(":")
    return tool.name, capability, action


async def in_turn(
    kinds: Mapping[str, Callable[[int], Awaitable[Any]]], rounds: int, *, warm_up: int = WARM_UP, rest: float = 0
) -> dict[str, list[float]]:
    """Time each kind once a round, in another order each round; returns each one's seconds.

    Each is given a number that is its own in the run; one that returns a float has timed itself. The first `warm_up`
    rounds do not count. Before each timing `rest` seconds pass, in which the others can finish what they do after they
    have answered, and caches go cold.
    """
    samples: dict[str, list[float]] = {name: [] for name in kinds}
    order = list(kinds.items())
    shuffle = random.Random(0).shuffle
    number = 0
    for round_ in range(-warm_up, rounds):
        shuffle(order)
        for name, one in order:
            number += 1
            await anyio.sleep(rest)
            begun = time.perf_counter()
            taken = await one(number)
            if round_ >= 0:
                samples[name].append(taken if isinstance(taken, float) else time.perf_counter() - begun)
    return samples


async def cold_starts(
    servers: Mapping[str, Callable[[int], StdioServerParameters]], era: str, rounds: int, log: Path
) -> dict[str, list[float]]:
    """Seconds from spawning each server to its first tool list, in turn; stopping it does not count."""

    def starting(server: Callable[[int], StdioServerParameters]) -> Callable[[int], Awaitable[float]]:
        async def start(number: int) -> float:
            begun = time.perf_counter()
            async with opened(server(number), era, log) as client:
                tools = (await client.list_tools()).tools
                taken = time.perf_counter() - begun
            assert tools
            return taken

        return start

    return await in_turn({name: starting(server) for name, server in servers.items()}, rounds, warm_up=1)


@contextmanager
def disk(folder: Path) -> Iterator[Callable[[int], Awaitable[None]]]:
    """A kind that writes 4 KiB in `folder` and syncs them: what the disk adds to a call that must be on it first."""
    data = os.urandom(4096)
    descriptor = os.open(folder / "synced", os.O_RDWR | os.O_CREAT)

    async def sync(number: int) -> None:
        os.pwrite(descriptor, data, number % 100 * len(data))
        os.fdatasync(descriptor)

    try:
        yield sync
    finally:
        os.close(descriptor)


def show(samples: Mapping[str, list[float]]) -> dict[str, float]:
    """Print a row of milliseconds for each kind; returns the medians in seconds."""
    medians = {}
    for name, taken in samples.items():
        ordered = sorted(taken)
        medians[name] = statistics.median(ordered)
        p99 = ordered[math.ceil(len(ordered) * 0.99) - 1]
        print(f"  {name:<44} p50 {medians[name] * 1000:9.2f} ms   p99 {p99 * 1000:9.2f} ms   n {len(ordered)}")
    return medians


def ratio(name: str, ours: float, theirs: float, bound: float = BOUND) -> None:
    """Print a ratio of medians, and whether it keeps the bound."""
    found = ours / theirs
    print(f"  ratio to {name:<35} {found:6.3f}   {'within' if found <= bound else 'OVER'} {bound}")
