"""What a search takes of this process's CPU time: among ten thousand unlike actions, and among as many of one template.

    python -m tests.bench.bench_search [--actions 10000] [--times 30]

The unlike ones are those of `tests.scale.market`, asked for by the three sets of phrasings, of which it also says how many
find what was meant. Those of one template differ by their number alone, and every one has all the words that are asked
for. Searches go by words alone.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import anyio

from jecp_mcp.catalog.search import Finder
from jecp_mcp.clock import SystemClock
from jecp_mcp.http import Http
from jecp_mcp.rails.jecp.catalog_source import CatalogSource
from jecp_mcp.settings import CatalogSettings
from tests.acceptance.roads import sandbox
from tests.bench.bench_scale import PHRASINGS
from tests.scale.market import labelled, market
from tests.unit.catalog.offers import of_one_template

BOUND_MS = 5.0
ASKED = (
    "convert an invoice document from Word to PDF and translate the text to German",
    "convert document",
    "translate the text of an invoice",
    "Word to PDF",
)


def timed(search: Callable[[], object]) -> float:
    """Milliseconds of CPU."""
    began = time.process_time()
    search()
    return (time.process_time() - began) * 1000


def show(name: str, taken: list[float]) -> None:
    """Print what searches took."""
    taken.sort()
    p50, p99 = statistics.median(taken), taken[math.ceil(len(taken) * 0.99) - 1]
    within = "within" if p50 <= BOUND_MS else "OVER"
    print(f"  {name:<60} p50 {p50:6.2f} ms, p99 {p99:6.2f} ms of CPU   {within} {BOUND_MS:g}")


async def varied(actions: int, folder: Path) -> None:
    """Search the market, and see whether what was meant is found."""
    made = market(actions)
    (folder / "market.json").write_text(json.dumps(made.manifests))
    with sandbox(folder / "hub.sqlite", "--catalog", str(folder / "market.json")) as hub:
        async with Http(hub.url) as http:
            source = CatalogSource(http, hub.url, folder / "catalog", CatalogSettings(), SystemClock())
            await source.refresh()
    finder = Finder(lambda: source.current)
    await finder.prepare()
    print(f"{len(source.current.actions)} unlike actions")
    taken: list[float] = []
    for file in PHRASINGS:
        pairs = labelled(Path(__file__).parents[1] / "scale" / file)
        at_once = in_five = 0
        for meant, said in pairs:
            taken.append(timed(lambda said=said: finder.search(said, limit=5)))  # type: ignore[misc]
            found = finder.search(said, limit=5).actions
            right = [bool(meant & {one.key, made.trades.get(one.key, one.key)}) for one in found]
            at_once += right[:1] == [True]
            in_five += any(right)
        print(
            f"  {file:<14} {len(pairs):4} phrasings: right at first {at_once / len(pairs):6.1%}, "
            f"among the first 5 {in_five / len(pairs):6.1%}"
        )
    show("all phrasings", taken)


def templated(actions: int, times: int) -> None:
    """Search among actions of one template."""
    index = of_one_template(actions)
    print(f"{actions} actions of one template")
    for query in ASKED:
        index.search(query)
        show(query[:60], [timed(lambda query=query: index.search(query)) for _ in range(times)])  # type: ignore[misc]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actions", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=30)
    given = parser.parse_args()
    templated(given.actions, given.times)
    with tempfile.TemporaryDirectory() as name:
        anyio.run(varied, given.actions, Path(name))
