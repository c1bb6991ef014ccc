"""Where offers come from, and all of them as one catalog."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

import anyio

from jecp_mcp.catalog.contents import Catalog, CatalogDiff
from jecp_mcp.catalog.rows import Rows
from jecp_mcp.errors import PayeeError

Callback = Callable[[CatalogDiff], Awaitable[None] | None]


class Subscribers:
    """Who is told of a catalog's changes."""

    def __init__(self) -> None:
        self._callbacks: list[Callback] = []

    def add(self, callback: Callback) -> Callable[[], None]:
        """Tell somebody from now on. Returns what ends that."""
        self._callbacks.append(callback)

        def remove() -> None:
            with suppress(ValueError):
                self._callbacks.remove(callback)

        return remove

    async def tell(self, diff: CatalogDiff) -> None:
        """Tell everybody, one after the other, and wait for those that can be waited for."""
        for callback in tuple(self._callbacks):
            told = callback(diff)
            if told is not None:
                await told


class OfferSource(Protocol):
    """Where a rail's offers come from."""

    @property
    def name(self) -> str:
        """What its offers name as their source."""
        ...

    @property
    def current(self) -> Catalog:
        """The latest whole catalog; empty at first where nothing is remembered."""
        ...

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Be told of each change, after `current` is the new catalog. Returns what ends the subscription."""
        ...

    def until_refresh(self) -> float:
        """Seconds until it looks for news by itself."""
        ...

    async def refresh(self) -> CatalogDiff:
        """Look for news now.

        Raises:
            PayeeError: there was no answer, or none that is a catalog; `current` is what it was.
        """
        ...

    async def keep_fresh(self) -> None:
        """Look for news now and then, until cancelled. Never raises."""
        ...


class AllOffers:
    """The catalogs of all sources as one. An offer under a key that an earlier source has already is set aside.

    Attributes:
        current: what is on offer now.
    """

    def __init__(self, sources: Sequence[OfferSource]) -> None:
        self._sources = tuple(sources)
        self._subscribers = Subscribers()
        self.current = self._merged()
        for source in self._sources:
            source.subscribe(self._follow)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all sources."""
        return tuple(source.name for source in self._sources)

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """As `OfferSource.subscribe`."""
        return self._subscribers.add(callback)

    def until_refresh(self) -> float:
        """Seconds until some source looks for news."""
        return min((source.until_refresh() for source in self._sources), default=0.0)

    async def refresh(self) -> None:
        """Look for news everywhere, one after the other.

        Raises:
            PayeeError: one of them gave none; the others were asked all the same.
        """
        failed: PayeeError | None = None
        for source in self._sources:
            try:
                await source.refresh()
            except PayeeError as exc:
                failed = failed or exc
        if failed is not None:
            raise failed

    async def keep_fresh(self) -> None:
        """Keep every source fresh, until cancelled."""
        async with anyio.create_task_group() as tasks:
            for source in self._sources:
                tasks.start_soon(source.keep_fresh)

    async def _follow(self, diff: CatalogDiff) -> None:
        self.current = self._merged()
        await self._subscribers.tell(diff)

    def _merged(self) -> Catalog:
        first, *others = (source.current for source in self._sources)
        for other in others:
            first = _beside(first, other)
        return first


def _beside(one: Catalog, other: Catalog) -> Catalog:
    """Both as one catalog; `one` has what both offer under the same key."""
    mine, theirs = _rows(one), _rows(other)
    taken = sorted(theirs.rows.keys() & mine.rows.keys())
    fetched = [at for at in (one.fetched_at, other.fetched_at) if at is not None]
    return Catalog(
        revision=f"{one.revision}+{other.revision}",
        actions=Rows({**theirs.rows, **mine.rows}),
        quarantined=(*one.quarantined, *other.quarantined, *((key, "another source offers it too") for key in taken)),
        fetched_at=min(fetched, default=None),
        excluded=one.excluded | other.excluded,
    )


def _rows(catalog: Catalog) -> Rows:
    return catalog.actions if isinstance(catalog.actions, Rows) else Rows.of(catalog.actions.values())
