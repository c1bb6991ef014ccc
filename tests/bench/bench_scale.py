"""Ten thousand actions of strangers: what they cost a host's start, a model's context, a search and a refresh.

    python -m tests.bench.bench_scale [--actions 10000] [--starts 10] [--venvs FOLDER]

The Hub is the sandbox with a generated market (`tests.scale.market`). FastMCP's OpenAPI provider with its BM25 search
and mcp-openapi-proxy serve the same actions, each in a virtual environment of its own (see `bench_peers`); starts are
timed in turn with the bare SDK server's. Searches go over stdio, for phrasings whose right answers are known; they go
by words alone, and where the extra `embeddings` is installed also by meaning.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from platformdirs import user_cache_path

from jecp_mcp.clock import SystemClock
from jecp_mcp.http import Http
from jecp_mcp.rails.jecp.catalog_source import CatalogSource
from jecp_mcp.settings import CatalogSettings
from tests.acceptance.roads import LEGACY, SandboxHub, sandbox
from tests.bench.bench_peers import always, installed
from tests.bench.peer_document import openapi_of, operation_id
from tests.bench.stopwatch import bare, bridge, cold_starts, listed, opened, ratio, show
from tests.scale.counted import Counted
from tests.scale.market import Market, labelled, market

OURS, ECHO = "jecp-mcp", "bare SDK server"
PHRASINGS = ("phrasings.txt", "unseen.txt", "fresh.txt")
CHARACTERS_PER_TOKEN = 4
FASTMCP_NAME = 56
Search = Callable[[Client, str], Any]


async def refreshes(hub: SandboxHub, folder: Path) -> None:
    """What a fetch and a refresh of the unchanged catalog take, in this process."""
    print("\nthe catalog, fetched and refreshed")
    async with Http(hub.url) as http:
        counted = Counted(http)
        source = CatalogSource(counted, hub.url, folder / "catalog", CatalogSettings(), SystemClock())
        for what in ("first fetch", "refresh", "refresh"):
            counted.answers.clear()
            began, cpu = time.perf_counter(), time.process_time()
            await source.refresh()
            seconds, busy = time.perf_counter() - began, time.process_time() - cpu
            size, news = (
                sum(length for _, length in counted.answers),
                sum(status == 200 for status, _ in counted.answers),
            )
            print(
                f"  {what:<12} {len(counted.answers):4} requests, {news:3} with a body, {size:10,} bytes, "
                f"{seconds * 1000:7.0f} ms, {busy * 1000:6.0f} ms of CPU"
            )


def memory(client_of: StdioServerParameters) -> int:
    """The resident memory of the newest process with these arguments, in bytes."""
    wanted = [Path(client_of.command).name, *client_of.args]
    found = []
    for folder in Path("/proc").iterdir():
        try:
            said = (folder / "cmdline").read_bytes().decode().split("\0")[:-1]
            status = (folder / "status").read_text()
        except (OSError, UnicodeDecodeError):
            continue
        if [Path(said[0]).name, *said[1:]] == wanted if said else False:
            found.append((int(folder.name), status))
    line = next(line for line in max(found)[1].splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


async def lists(name: str, server: StdioServerParameters, log: Path) -> int:
    """Time the tool list of a running server, page by page; returns its memory."""
    async with opened(server, LEGACY, log) as client:
        pages: list[float] = []
        tools = []
        for _ in range(5):
            cursor: str | None = None
            while True:
                began = time.perf_counter()
                page = await client.list_tools(cursor=cursor)
                pages.append(time.perf_counter() - began)
                tools += page.tools
                cursor = page.next_cursor
                if cursor is None:
                    break
        whole = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools[: len(tools) // 5]]
        tokens = len(json.dumps(whole, separators=(",", ":"))) // CHARACTERS_PER_TOKEN
        used = memory(server)
    pages.sort()
    print(
        f"  {name:<44} {len(whole):6} tools in {len(pages) // 5:3} pages, {tokens:8,} tokens, a page p50 "
        f"{statistics.median(pages) * 1000:7.2f} ms, p99 {pages[math.ceil(len(pages) * 0.99) - 1] * 1000:7.2f} ms, "
        f"{used / 1e6:5.0f} MB"
    )
    return used


async def searches(
    name: str,
    server: StdioServerParameters,
    search: Search,
    asked: Mapping[str, Sequence[tuple[frozenset[str], str]]],
    trade_of: Callable[[str], frozenset[str]],
    log: Path,
) -> int:
    """Time searches, and count how many found what was meant; returns the server's memory after them."""
    async with opened(server, LEGACY, log) as client:
        began = time.perf_counter()
        await search(client, "warm up")
        first = time.perf_counter() - began
        taken: list[float] = []
        for file, pairs in asked.items():
            at_once = in_five = 0
            for meant, said in pairs:
                began = time.perf_counter()
                found = await search(client, said)
                taken.append(time.perf_counter() - began)
                right = [bool(trade_of(one) & meant) for one in found[:5]]
                at_once += right[:1] == [True]
                in_five += any(right)
            print(
                f"  {name:<44} {file:<14} {len(pairs):4} phrasings: right at first {at_once / len(pairs):6.1%}, "
                f"among the first 5 {in_five / len(pairs):6.1%}"
            )
        used = memory(server)
    taken.sort()
    print(
        f"  {name:<44} first search {first * 1000:6.0f} ms, p50 {statistics.median(taken) * 1000:6.2f} ms, "
        f"p99 {taken[math.ceil(len(taken) * 0.99) - 1] * 1000:6.2f} ms, then {used / 1e6:5.0f} MB"
    )
    return used


async def _ours(client: Client, query: str) -> list[str]:
    found = await client.call_tool("jecp_search", {"query": query, "limit": 5})
    return [one["tool"] for one in (found.structured_content or {})["results"]]


async def _fastmcp(client: Client, query: str) -> list[str]:
    found = await client.call_tool("search_tools", {"query": query})
    # Nothing found is no content at all.
    return [one["name"] for block in found.content for one in json.loads(block.text)]  # type: ignore[union-attr]


async def main(actions: int, starts: int, venvs: Path) -> None:
    """Run it all."""
    made: Market = market(actions)
    here = Path(__file__).parents[1] / "scale"
    asked = {file: labelled(here / file) for file in PHRASINGS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "market.json").write_text(json.dumps(made.manifests))
        with sandbox(folder / "hub.sqlite", "--catalog", str(folder / "market.json")) as hub:
            await refreshes(hub, folder)
            log = folder / "log"
            document = folder / "openapi.json"
            document.write_text(json.dumps(openapi_of(hub.http)))
            ours = bridge(hub, folder / "state", mode="auto")
            direct = bridge(hub, folder / "state", mode="direct")
            own = await listed(ours, LEGACY, log)
            servers = {OURS: ours, ECHO: bare(len(own))}
            async for peer, python in installed(venvs):
                server = peer.server(python, hub, document)
                if peer.package == "fastmcp":
                    server = server.model_copy(update={"args": [*server.args, "search"]})
                servers[peer.package] = server

            print("\nlists, of a server that runs")
            used = {one: await lists(one, server, log) for one, server in servers.items()}
            await lists(f"{OURS}, as many as go one by one", direct, log)
            await lists(f"{ECHO}, a page's worth", bare(200), log)

            print("\nsearches over stdio")

            def sold(key: str) -> frozenset[str]:
                return frozenset({key, made.trades.get(key, key)})

            async with opened(ours, LEGACY, log) as client:
                keys = {tool: key async for tool, key in _keys(client, asked)}
            used[OURS] = await searches(OURS, ours, _ours, asked, lambda tool: sold(keys[tool]), log)
            if "fastmcp" in servers:
                paths = {
                    operation_id(path)[:FASTMCP_NAME]: sold(":".join(path.strip("/").rsplit("/", 1)))
                    for path in json.loads(document.read_bytes())["paths"]
                }
                await searches("fastmcp", servers["fastmcp"], _fastmcp, asked, lambda tool: paths[tool], log)
            print(f"  memory beside the bare server's: {(used[OURS] - used[ECHO]) / 1e6:.0f} MB")

            print("\ncold start, from the spawn to the first tools/list")
            quick = {one: always(servers[one]) for one in (OURS, ECHO)}
            medians = show(await cold_starts(quick, LEGACY, starts, log))
            ratio(ECHO, medians[OURS], medians[ECHO], bound=1.3)
            # The peers take half a minute each.
            show(await cold_starts({one: always(servers[one]) for one in servers.keys() - quick}, LEGACY, 1, log))


async def _keys(client: Client, asked: Mapping[str, Sequence[tuple[frozenset[str], str]]]) -> Any:
    """Each tool that a search finds, with its action's key."""
    seen: set[str] = set()
    for pairs in asked.values():
        for _, said in pairs:
            for tool in await _ours(client, said):
                if tool not in seen:
                    seen.add(tool)
                    (told,) = (await client.read_resource(f"jecp://catalog/{tool}")).model_dump()["contents"]
                    yield tool, json.loads(told["text"])["action"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actions", type=int, default=10_000)
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--venvs", type=Path, default=user_cache_path("jecp-mcp-bench"))
    given = parser.parse_args()
    anyio.run(main, given.actions, given.starts, given.venvs)
