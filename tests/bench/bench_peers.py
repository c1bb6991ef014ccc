"""The bridge beside two servers that make tools of an OpenAPI document, serving the same actions of the same Hub.

    python -m tests.bench.bench_peers [--calls 200] [--starts 10] [--rest MS] [--venvs FOLDER]

The peers are FastMCP's OpenAPI provider and mcp-openapi-proxy, each in a virtual environment of its own, which is made
with pip on the first run and kept in FOLDER. They are given every action of the sandbox Hub's live catalog as an
operation, in a local file, and post to the Hub themselves: `peer_purchase` makes each request they send the purchase of
that action, with the agent's headers and a fresh id, so there is no process between a peer and the Hub. Every call
of the bridge, of a peer and of the bare POST is one real purchase, and the Hub's books are counted afterwards.

Calls and starts are timed in turn with those of the bare SDK server, so that the ratios are of one run. What the peers
leave out stays left out: they keep no mandate and write nothing down. What the disk takes to keep a reservation is
shown beside the calls and not counted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client, StdioServerParameters
from mcp_types import Tool
from platformdirs import user_cache_path

from tests.acceptance.roads import LEGACY, SandboxHub, sandbox
from tests.bench.peer_document import openapi_of, operation_id
from tests.bench.peer_purchase import Buyer
from tests.bench.stopwatch import (
    WARM_UP,
    bare,
    bridge,
    cold_starts,
    disk,
    in_turn,
    listed,
    opened,
    ratio,
    show,
    text_counter,
)

HERE = Path(__file__).parent
TEXT = "A short text, counted for the benchmark."
OURS, FIRST_EVER, ECHO, POST = "jecp-mcp", "jecp-mcp, with an empty state folder", "bare SDK server", "bare POST"
DISK = "disk: 4 KiB written and synced"
INSTALL_SECONDS = 600
SHOWN = ("mcp", "pydantic")
"""Whose versions decide much of the times of all of them."""


class NotInstalled(Exception):
    """A peer's environment could not be made."""


@dataclass(frozen=True)
class Peer:
    """A server to be compared with, and what makes its environment."""

    package: str
    pins: tuple[str, ...]
    script: str

    def install(self, venvs: Path) -> Path:
        """The Python of its environment, made unless it is there. Raises `NotInstalled`."""
        folder = venvs / f"{self.package}-{sys.version_info.major}.{sys.version_info.minor}"
        python, done = folder / "bin" / "python", folder / "installed"
        wanted = " ".join(self.pins)
        if done.is_file() and done.read_text() == wanted:
            return python
        shutil.rmtree(folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(folder))
        _run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *self.pins)
        done.write_text(wanted)
        return python

    def server(self, python: Path, hub: SandboxHub, document: Path) -> StdioServerParameters:
        """It, buying as the agent of `hub`. Its folder is the document's: the proxy looks for a .env file in it."""
        env = {
            "JECP_BASE_URL": hub.url,
            "JECP_AGENT_ID": hub.agent_id,
            "JECP_API_KEY": hub.api_key,
            "OPENAPI_SPEC_URL": document.as_uri(),
        }
        arguments = [str(HERE / self.script), str(document)]
        return StdioServerParameters(command=str(python), args=arguments, env=env, cwd=document.parent)


# The latest of each whose dependencies could all be had when this was written, with the SDK that the bridge uses.
PEERS = (
    Peer("fastmcp", ("fastmcp==4.1.2", "mcp==2.3.0"), "peer_fastmcp.py"),
    Peer("mcp-openapi-proxy", ("mcp-openapi-proxy==0.4.0", "mcp==2.3.0"), "peer_openapi_proxy.py"),
)


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=True)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise NotInstalled(str(exc)) from exc
    except subprocess.CalledProcessError as exc:
        said = (exc.stderr or exc.stdout).strip().splitlines()
        raise NotInstalled(said[-1] if said else str(exc)) from exc
    return done.stdout


def versions(python: Path, *packages: str) -> str:
    """What is installed in an environment."""
    asking = "import sys; from importlib.metadata import version; print(', '.join(f'{n} {version(n)}' for n in sys.argv[1:]))"
    return _run(str(python), "-c", asking, *packages).strip()


@dataclass(frozen=True)
class Contestant:
    """A server that sells the same actions, the agent it buys as, and its tool that counts a text."""

    name: str
    server: StdioServerParameters
    agent: SandboxHub
    tools: list[Tool]
    counter: str

    async def buy(self, client: Client, number: int) -> None:
        """One purchase. That it was one is seen in the books: the proxy shows a failure as a success."""
        result = await client.call_tool(self.counter, {"text": f"{TEXT} {number}"})
        assert not result.is_error, result.content[0]

    def bought(self) -> int:
        return len(self.agent.books()["transactions"])


async def installed(venvs: Path, *beside: str) -> AsyncIterator[tuple[Peer, Path]]:
    """The peers that can be installed, each with its Python, told with its version and those of packages `beside` it."""
    for peer in PEERS:
        try:
            python = await anyio.to_thread.run_sync(peer.install, venvs)
        except NotInstalled as exc:
            print(f"{peer.package}: LEFT OUT, for {' '.join(peer.pins)} could not be installed: {exc}")
            continue
        print(f"{peer.package}: {versions(python, peer.package, *beside)}")
        yield peer, python


async def contestants(hub: SandboxHub, folder: Path, venvs: Path) -> list[Contestant]:
    """The bridge first, then the peers that could be installed; each has run once and bought with an agent of its own."""
    document = folder / "openapi.json"
    document.write_text(json.dumps(openapi_of(hub.http)))
    log = folder / "log"
    agent = hub.new_agent("100.00")
    server = bridge(agent, folder / "state")
    tools = await listed(server, LEGACY, log)
    counter, capability, action = text_counter(tools)
    path = f"/{capability}/{action}"
    found = [Contestant(OURS, server, agent, tools, counter)]
    print(f"{OURS}: {', '.join(f'{name} {version(name)}' for name in SHOWN)}")
    async for peer, python in installed(venvs, *SHOWN):
        agent = hub.new_agent("100.00")
        server = peer.server(python, agent, document)
        tools = await listed(server, LEGACY, log)
        counter = next(tool.name for tool in tools if tool.name.endswith(operation_id(path)))
        found.append(Contestant(peer.package, server, agent, tools, counter))
    for each in found:
        async with opened(each.server, LEGACY, log) as client:
            await each.buy(client, 0)
        assert each.bought() == 1, f"{each.name} bought nothing"
        actions = sum(each.name != OURS or "jecp/action" in (tool.meta or {}) for tool in each.tools)
        own = len(each.tools) - actions
        print(
            f"{each.name}: {len(each.tools)} tools listed, {actions} of them actions"
            + f" and {own} of its own" * bool(own)
        )
    return found


async def compare_calls(found: list[Contestant], hub: SandboxHub, log: Path, rounds: int, rest: float) -> None:
    """Time a purchase by each, an echo and a bare POST, in turn, and check that the Hub sold as often."""
    _, capability, action = text_counter(found[0].tools)
    poster = hub.new_agent("100.00")
    buyer = Buyer(poster.url, poster.agent_id, poster.api_key)
    before = [each.bought() for each in found]
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx2.AsyncClient())
        echo = await stack.enter_async_context(opened(bare(len(found[0].tools)), LEGACY, log))

        async def said(number: int) -> None:
            await echo.call_tool("echo_1", {"text": f"{TEXT} {number}"})

        async def posted(number: int) -> None:
            bought = buyer.purchase(f"/{capability}/{action}", {"text": f"{TEXT} {number}"})
            answer = await http.post(bought.url, headers=bought.headers, content=bought.body)
            assert answer.status_code == 200, answer.text

        kinds: dict[str, Callable[[int], Awaitable[Any]]] = {}
        for each in found:
            client = await stack.enter_async_context(opened(each.server, LEGACY, log))
            kinds[each.name] = _buying(each, client)
        synced = stack.enter_context(disk(log.parent))
        samples = await in_turn({**kinds, ECHO: said, POST: posted, DISK: synced}, rounds, rest=rest)
    for each, at_first in zip(found, before, strict=True):
        assert each.bought() - at_first == rounds + WARM_UP, f"not every call of {each.name} was a purchase"
    print(f"\ncalls of {capability}:{action} over stdio, each but the echo a purchase in the Hub's books")
    medians = show(samples)
    ratio(f"{ECHO} + {POST}", medians[OURS], medians[ECHO] + medians[POST])
    for each in found[1:]:
        ratio(each.name, medians[OURS], medians[each.name])


def _buying(contestant: Contestant, client: Client) -> Callable[[int], Awaitable[None]]:
    async def buy(number: int) -> None:
        await contestant.buy(client, number)

    return buy


async def compare_starts(found: list[Contestant], folder: Path, rounds: int) -> None:
    """Time from the spawn to the first tool list, in turn."""
    ours = found[0]
    starting: dict[str, Callable[[int], StdioServerParameters]] = {each.name: always(each.server) for each in found}
    starting[ECHO] = always(bare(len(ours.tools)))
    starting[FIRST_EVER] = lambda number: bridge(ours.agent, folder / f"state-{number}")
    print("\ncold start, from the spawn to the first tools/list")
    medians = show(await cold_starts(starting, LEGACY, rounds, folder / "log"))
    for name in (ECHO, *(each.name for each in found[1:])):
        ratio(name, medians[OURS], medians[name])


def always(server: StdioServerParameters) -> Callable[[int], StdioServerParameters]:
    """The same server for every start."""
    return lambda _number: server


async def main(rounds: int, start_rounds: int, rest: float, venvs: Path) -> None:
    """Run it all."""
    with tempfile.TemporaryDirectory() as name, sandbox(Path(name) / "hub.sqlite") as hub:
        folder = Path(name)
        found = await contestants(hub, folder, venvs)
        await compare_calls(found, hub, folder / "log", rounds, rest)
        await compare_starts(found, folder, start_rounds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--rest", type=float, default=0, help="milliseconds before each call; 0 calls without a break")
    parser.add_argument("--venvs", type=Path, default=user_cache_path("jecp-mcp-bench"))
    given = parser.parse_args()
    anyio.run(main, given.calls, given.starts, given.rest / 1000, given.venvs)
