"""How long hostile and largest inputs take: catalogs of strangers, texts that address the model, the sandbox's work.

    python -m tests.bench.bench_hostile

The tests count steps of the same inputs; what runs in C, such as regular expressions, counts no steps and is timed here.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import anyio

from jecp_mcp.catalog.changes import written
from jecp_mcp.catalog.contents import Catalog
from jecp_mcp.catalog.pins import Pins
from jecp_mcp.clock import SystemClock
from jecp_mcp.errors import WireError
from jecp_mcp.rails.jecp.catalog_source import CatalogSource
from jecp_mcp.sandbox import work
from jecp_mcp.settings import CatalogSettings
from jecp_mcp.tools.publishing.prompt_injection import find_suspicion
from jecp_mcp.tools.schemas.dialects import plain
from jecp_mcp.tools.schemas.publishable_schema import Unfit, fit
from tests.unit.catalog.hubs import FakeHub, capability
from tests.unit.sandbox_work.test_bounds import ENDLESS, WORST
from tests.unit.tools_publishing.hostile import Case
from tests.unit.tools_publishing.hostile_pages import RAW
from tests.unit.tools_publishing.test_hostile_catalog import CASES, publish
from tests.unit.tools_publishing.test_hostile_pages import read

HUB = "https://hub.example"
BEGINNINGS = (
    "ignore all ", "do not ever ", "send a b c ", "always must ", "approve the ", "already ", "![", "<|", "system ",
)  # fmt: skip
"""The worst texts for each pattern: its beginnings again and again, and never its end."""


def best(work_: Callable[[], object], rounds: int) -> float:
    """CPU seconds of the best round; a busy machine may disturb one."""
    taken = []
    for _ in range(rounds):
        begun = time.process_time()
        work_()
        taken.append(time.process_time() - begun)
    return min(taken)


def show(what: str, kinds: Mapping[str, Callable[[], object]], rounds: int = 3) -> None:
    """Print the median and the worst of some kinds of work."""
    taken = sorted((best(one, rounds), name) for name, one in kinds.items())
    print(
        f"{what:<28} {len(taken):4} inputs, CPU ms p50 {taken[len(taken) // 2][0] * 1e3:9.3f}, "
        f"max {taken[-1][0] * 1e3:9.2f} ({taken[-1][1]})"
    )


def pin(case: Case) -> None:
    """Write an action down as it is pinned."""
    with suppress(WireError):
        written(case.action)


def reduce(case: Case) -> None:
    """Reduce an action's schema to what every host takes."""
    if not isinstance(made := fit(case.action.input_schema), Unfit):
        plain(made)


def do(name: str) -> None:
    """One of the largest inputs of the sandbox's work."""
    sold, action, given = WORST[name]()
    with suppress(work.WorkFailed):
        work.run(sold, action, given)


async def longest_wait(catalog: Catalog, file: Path) -> float:
    """The longest that the loop stood still while a catalog was compared in a thread, as a share of all of it."""
    pins = Pins(file, [HUB], CatalogSettings(), SystemClock())
    longest = 0.0
    over = anyio.Event()

    async def beat() -> None:
        nonlocal longest
        while not over.is_set():
            before = time.perf_counter()
            await anyio.sleep(0.001)
            longest = max(longest, time.perf_counter() - before)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(beat)
        begun = time.perf_counter()
        await anyio.to_thread.run_sync(pins.vet, catalog)
        took = time.perf_counter() - begun
        over.set()
    pins.close()
    return longest / took


async def first_sight() -> None:
    """Ten thousand actions seen for the first time."""
    hub = FakeHub([capability(f"acme-{n // 26}/cap-{chr(97 + n % 26)}", "run") for n in range(10_000)], page_size=200)
    made = CatalogSource(hub, HUB, None, CatalogSettings(), SystemClock())
    await made.refresh()
    with tempfile.TemporaryDirectory() as folder:
        shares = [await longest_wait(made.current, Path(folder) / f"pins-{turn}.sqlite") for turn in range(3)]
    print(f"first sight of 10,000: the loop stood still for {min(shares):.1%} of it at most")


def main() -> None:
    """Print all figures."""
    show("hostile pages", {name: partial(read, raw) for name, raw in RAW.items()})
    show("manifests, cleaned", {case.name: partial(publish, case.action) for case in CASES})
    show("manifests, reduced", {case.name: partial(reduce, case) for case in CASES})
    show("manifests, pinned", {case.name: partial(pin, case) for case in CASES})
    for size in (2_000, 20_000):
        texts = {part: partial(find_suspicion, part * (size // len(part))) for part in BEGINNINGS}
        show(f"texts of {size:,} characters", texts)
    counts = {repr(text[:3]): partial(work.run, "text-stats", "count", {"text": text}) for text in ENDLESS}
    show("texts counted", counts)
    show("largest inputs", {name: partial(do, name) for name in WORST}, rounds=1)
    anyio.run(first_sight)


if __name__ == "__main__":
    main()
