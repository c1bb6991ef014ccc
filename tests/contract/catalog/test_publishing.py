"""What is fetched is compared with the pins beside everything else, and nothing of it is sold before."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from jecp_mcp.catalog.changes import Vetting
from jecp_mcp.catalog.contents import Catalog
from jecp_mcp.catalog.pins import Pins
from jecp_mcp.cli.publisher import Publisher
from jecp_mcp.clock import SystemClock
from jecp_mcp.rails.jecp.catalog_source import CatalogSource
from jecp_mcp.settings import CatalogSettings, ToolSettings
from jecp_mcp.tools.publishing.tool_registry import ToolRegistry
from tests.unit.catalog.hubs import FakeHub, capability

pytestmark = pytest.mark.anyio

HUB = "https://hub.example"


class HeldUp(Pins):
    """Pins that take as long as the test wants."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, [HUB], CatalogSettings(), SystemClock())
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()

    def vet(self, catalog: Catalog, touched: Iterable[str] | None = None) -> Vetting:
        self.begun.set()
        assert self.gate.wait(60)
        return super().vet(catalog, touched)


class Stall:
    """A Hub's catalog on its way into a registry."""

    def __init__(self, path: Path, hub: FakeHub) -> None:
        self.hub = hub
        self.source = CatalogSource(hub, HUB, None, CatalogSettings(), SystemClock())
        self.pins = HeldUp(path / "pins.sqlite")
        self.registry = ToolRegistry(ToolSettings(mode="direct"))
        self.changes = 0
        self.publisher = Publisher(self.source, self.pins, self.registry, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def reprice(self, price: str) -> None:
        self.hub.capabilities = [capability("acme/pdf", "make", price=price)]

    @property
    def prices(self) -> list[str]:
        return [str(card.meta["jecp/price_usdc"]) for card in self.registry.cards]


@asynccontextmanager
async def stall(path: Path) -> AsyncIterator[Stall]:
    made = Stall(path, FakeHub([capability("acme/pdf", "make", price="0.05")]))
    try:
        yield made
    finally:
        made.pins.gate.set()
        made.pins.close()


async def test_a_change_is_neither_sold_nor_searched_while_it_is_compared_and_nobody_waits(tmp_path: Path) -> None:
    async with stall(tmp_path) as at, anyio.create_task_group() as tasks:
        await at.source.refresh()
        assert at.prices == ["0.05"]
        at.reprice("5.00")
        at.pins.gate.clear()
        at.pins.begun.clear()
        tasks.start_soon(at.source.refresh)
        with anyio.fail_after(60):
            # The loop goes on while the comparison stands still.
            while not at.pins.begun.is_set():
                await anyio.lowlevel.checkpoint()
        assert at.source.current.actions["acme/pdf:make"].price.amount == 5_000_000
        (known,) = at.publisher.current.actions.values()
        assert (known.price.amount, at.prices, at.changes) == (50_000, ["0.05"], 1)
        at.pins.gate.set()
    assert (at.prices, at.changes) == ([], 2)
    assert "rose" in at.registry.quarantined["acme/pdf:make"]


async def test_a_comparison_that_was_begun_is_published_though_its_refresh_is_cancelled(tmp_path: Path) -> None:
    async with stall(tmp_path) as at:
        await at.source.refresh()
        at.reprice("0.01")
        at.pins.gate.clear()
        at.pins.begun.clear()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(at.source.refresh)
            with anyio.fail_after(60):
                while not at.pins.begun.is_set():
                    await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
            at.pins.gate.set()
        assert at.prices == ["0.01"]


async def test_a_catalog_whose_comparison_never_began_is_published_at_the_next_look(tmp_path: Path) -> None:
    async with stall(tmp_path) as at:
        async with anyio.create_task_group() as tasks:
            held = anyio.Event()

            async def hold() -> None:
                async with at.publisher._lock:
                    held.set()
                    await anyio.sleep_forever()

            tasks.start_soon(hold)
            await held.wait()
            tasks.start_soon(at.source.refresh)
            with anyio.fail_after(60):
                while not at.source.current.actions:
                    await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        assert at.prices == []
        await at.publisher.look()
        assert (at.prices, at.changes) == (["0.05"], 1)
        await at.publisher.look()
        assert at.changes == 1
