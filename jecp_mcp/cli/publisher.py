"""From the catalog that was fetched to the catalog that is sold: compared with the pins first, then published."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import anyio.to_thread

from jecp_mcp.catalog.contents import Catalog, CatalogDiff
from jecp_mcp.catalog.pins import Pins
from jecp_mcp.catalog.sources import AllOffers
from jecp_mcp.tools.publishing.tool_registry import ToolRegistry


class Publisher:
    """Publishes one catalog after another, none of which was not compared with the pins.

    Attributes:
        current: the catalog that is sold and searched. Until a newer one has been compared, it is the one before.
    """

    def __init__(self, source: AllOffers, pins: Pins, registry: ToolRegistry, changed: Callable[[], None]) -> None:
        """Publish what the disk remembers, and from then on what `source` fetches.

        Args:
            changed: called when the list of published tools changed.
        """
        self._source = source
        self._pins = pins
        self._registry = registry
        self._changed = changed
        # The pins' file has one user at a time.
        self._lock = anyio.Lock()
        self.current = source.current
        registry.publish(self.current, pins.vet(self.current))
        source.subscribe(self._follow)

    async def look(self) -> None:
        """Let an approval given by another process take effect, and a catalog that was fetched and not yet compared."""
        async with self._lock:
            if self._source.current.revision != self.current.revision:
                await self._take(None)
            elif self._pins.moved():
                await self._take(())

    async def _follow(self, diff: CatalogDiff) -> None:
        async with self._lock:
            # What one source drops, another may have had under the same key all along.
            touched = (*diff.added, *diff.changed, *diff.removed)
            await self._take(tuple(key for key in touched if key in self._source.current.actions))

    async def _take(self, touched: tuple[str, ...] | None) -> None:
        catalog: Catalog = self._source.current
        # Ten thousand actions seen for the first time take most of a second. What is begun here ends here, whoever
        # is cancelled; what is not begun is begun by the next look.
        vetting = await anyio.to_thread.run_sync(self._pins.vet, catalog, touched)
        self.current = catalog
        if self._registry.publish(catalog, vetting):
            self._changed()
