"""Where offers come from, and all of them as one catalog."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

import anyio

from jecp_mcp.catalog.contents import Catalog, CatalogDiff
from jecp_mcp.catalog.rows import Rows
from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import PayeeError

Callback = Callable[[CatalogDiff], Awaitable[None] | None]

LOOK_AGAIN_SECONDS: Final = 10.0
"""How often at most whoever wants to see the catalog has sources that are away asked again."""

LOOK_SECONDS: Final = 2.0
"""How long they wait for that: a source that swallows requests must not hold up the offers of the others."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A source that gives no news: what is on offer there now is not known.

    Attributes:
        source: its name.
        code: what kind of trouble it is, as `PayeeError` says it.
        reason: what came of asking it, as a sentence without its full stop.
        since: when it failed first after its last answer, Unix ms; None where it was never reached from here.
        offers: how many of its offers are known from before.
        known_at: of when they are, Unix ms; None where nothing of it was ever known here.
        again_in: seconds until it is asked by itself; 0 while it is, and where nobody keeps it fresh.
        asks_to_wait: whether it was the source that said how long not to ask it.
    """

    source: str
    code: str
    reason: str
    since: UnixMs | None
    offers: int = 0
    known_at: UnixMs | None = None
    again_in: float = 0.0
    asks_to_wait: bool = False


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

    @property
    def outage(self) -> Outage | None:
        """Why `current` may not be what is on offer now; None where the source answered when it was last asked.

        What is remembered of an earlier run counts as an answer until the source is asked.
        """
        ...

    @property
    def was_asked(self) -> bool:
        """Whether what `current` and `outage` say was found out by this process; False where it is only remembered."""
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
        self._look_not_before = -float("inf")
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

    async def refresh(self, but: Collection[str] = ()) -> None:
        """Look for news everywhere, side by side, `but` at these sources.

        Who gave none is among the `outages`, and hides nobody else's.
        """
        await _refresh([source for source in self._sources if source.name not in but])

    @property
    def outages(self) -> tuple[Outage, ...]:
        """The sources that are away, in their order."""
        return tuple(one.outage for one in self._sources if one.outage is not None)

    async def look_again(self) -> None:
        """Ask the sources that are away once more, side by side, `LOOK_AGAIN_SECONDS` after the last time at most.

        A source of which there is only what an earlier run remembers is asked too, for it may be away as well. Waits
        for `LOOK_SECONDS`. What comes of it is in `current` and `outages`.
        """
        away = [one for one in self._sources if _is_worth_asking(one)]
        now = anyio.current_time()
        if not away or now < self._look_not_before:
            return
        self._look_not_before = now + LOOK_AGAIN_SECONDS
        with anyio.move_on_after(LOOK_SECONDS):
            await _refresh(away)

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


def _is_worth_asking(source: OfferSource) -> bool:
    outage = source.outage
    return not source.was_asked if outage is None else not outage.asks_to_wait


async def _refresh(sources: Iterable[OfferSource]) -> None:
    async def look(source: OfferSource) -> None:
        # Why it gives no news, its `outage` says.
        with suppress(PayeeError):
            await source.refresh()

    async with anyio.create_task_group() as tasks:
        for source in sources:
            tasks.start_soon(look, source)


def _beside(one: Catalog, other: Catalog) -> Catalog:
    """Both as one catalog; `one` has what both offer under the same key."""
    mine, theirs = _rows(one), _rows(other)
    taken = sorted(theirs.rows.keys() & mine.rows.keys())
    known = None not in {one.fetched_at, other.fetched_at}
    fetched = [at for at in (one.fetched_at, other.fetched_at) if at is not None]
    return Catalog(
        revision=f"{one.revision}+{other.revision}",
        actions=Rows({**theirs.rows, **mine.rows}),
        quarantined=(*one.quarantined, *other.quarantined, *((key, "another source offers it too") for key in taken)),
        # Where one was never fetched, what is on offer is not known.
        fetched_at=min(fetched) if known else None,
        excluded=one.excluded | other.excluded,
        left_out={
            setting: (*one.left_out.get(setting, ()), *other.left_out.get(setting, ()))
            for setting in one.left_out.keys() | other.left_out.keys()
        },
    )


def _rows(catalog: Catalog) -> Rows:
    return catalog.actions if isinstance(catalog.actions, Rows) else Rows.of(catalog.actions.values())
