"""The live catalog: fetched page by page in either dialect, kept fresh, remembered on disk.

Reads ``GET /v1/capabilities`` (JECP 05-discovery §6). A fetch that does not reach its end changes nothing: the catalog
in use stays whole. Nothing here moves money, and no credentials are sent.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import anyio
import anyio.to_thread

from jecp_mcp.catalog.contents import Catalog, CatalogDiff, difference, merged, revision_of
from jecp_mcp.catalog.filter import CatalogFilter
from jecp_mcp.catalog.rows import Rows, packed
from jecp_mcp.catalog.snapshot import Snapshot, StoredPage, catalog_of, read, write
from jecp_mcp.catalog.sources import Callback, Outage, Subscribers
from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.domain.offers import Offer
from jecp_mcp.errors import PayeeError, WireError
from jecp_mcp.http import ExchangeFailed, HttpAnswer
from jecp_mcp.rails.jecp.client import Exchange
from jecp_mcp.rails.jecp.codes import HUB_MISBEHAVED, HUB_UNREACHABLE
from jecp_mcp.rails.jecp.reachability import Reachability
from jecp_mcp.settings import CatalogSettings
from jecp_mcp.source_names import NAMED
from jecp_mcp.wire.jecp.catalog import parse_page
from jecp_mcp.wire.jecp.headers import header, retry_after
from jecp_mcp.wire.jecp.tiers import TIERS

log = logging.getLogger(__name__)

PAGE_SIZE: Final = 200
MAX_PAGES: Final = 1_000
MAX_ACTIONS: Final = 100_000
MAX_PAGE_BYTES: Final = 16 * 1024 * 1024
MAX_BYTES: Final = 128 * 1024 * 1024
PAGE_SECONDS: Final = 30.0
WHOLE_SECONDS: Final = 240.0

_OK: Final = 200
_NOT_MODIFIED: Final = 304
_BAD_REQUEST: Final = 400
_AT_ONCE: Final = 4
_LEAST_AHEAD: Final = 3
_FIRST_RETRY_SECONDS: Final = 5.0
_LONGEST_WAIT_SECONDS: Final = 3_600.0


class _CursorGone(Exception):
    """The Hub no longer knows a cursor: its catalog changed between two pages."""


class CatalogSource:
    """One Hub's catalog, always there and sometimes newer.

    Attributes:
        name: the Hub's origin, which its offers name as their source.
        current: the latest whole catalog; from disk at first, empty when there is none.
    """

    def __init__(
        self,
        http: Exchange,
        base_url: str,
        snapshot: Path | None,
        settings: CatalogSettings,
        clock: Clock,
        *,
        called: str = "",
        reachability: Reachability | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        """Start from the snapshot, if the file holds one of this Hub; reads the disk and nothing else.

        Args:
            base_url: the Hub's origin, without a trailing slash.
            snapshot: the file that remembers the catalog, or None to remember nothing.
            called: what every offer's key begins with, as `Offer.source_name`.
            reachability: what others who ask the same Hub know of it; nobody does where it is None.
            sleep: how `keep_fresh` waits, in seconds.
        """
        self._http = http
        self.name = self._base_url = base_url.rstrip("/")
        self._path = snapshot
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._filter = CatalogFilter(settings, None if settings.max_tier is None else TIERS.index(settings.max_tier))
        self._called = called
        self._scope = f"{self._base_url} {settings.scope()}{NAMED + called if called else ''}"
        self._pages: dict[str, StoredPage] = {}
        self._arrived: dict[str, StoredPage] = {}
        self._side_by_side = True
        self._subscribers = Subscribers()
        self._lock = anyio.Lock()
        self._refreshes = 0
        self._last = CatalogDiff()
        self._not_before = 0.0
        self._due = 0.0
        self._reachability = reachability or Reachability(clock)
        self._rows = Rows({})
        self.current = Catalog()
        stored = read(snapshot, self._scope, self._base_url) if snapshot is not None else None
        if stored is not None:
            self._pages = {page.url: page for page in stored.pages}
            self._rows = merged(page.rows for page in stored.pages)
            self.current = catalog_of(self._rows, stored.pages, stored.revision, stored.fetched_at)
            self._reachability.remember()

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Be told of each change, after `current` is the new catalog. Returns what ends the subscription.

        The first catalog is a change too, though it be empty. A callback that is awaitable is waited for before the
        refresh has ended.
        """
        return self._subscribers.add(callback)

    @property
    def outage(self) -> Outage | None:
        """As `OfferSource.outage`."""
        fault = self._reachability.fault
        if fault is None:
            return None
        asked = self._not_before - self._clock.monotonic()
        return Outage(
            self.name,
            fault.code,
            fault.message,
            self._reachability.since,
            len(self._rows),
            self.current.fetched_at,
            max(asked, self.until_refresh()),
            asks_to_wait=asked > 0,
        )

    @property
    def was_asked(self) -> bool:
        """As `OfferSource.was_asked`."""
        return self._reachability.was_asked

    def until_refresh(self) -> float:
        """Seconds until `keep_fresh` looks for news again; 0 while it does, and before it began."""
        return max(0.0, self._due - self._clock.monotonic())

    async def refresh(self) -> CatalogDiff:
        """Fetch what changed. Callers at the same time share one fetch.

        Raises:
            PayeeError: the Hub could not be reached (``HUB_UNREACHABLE``), asked to wait (``RATE_LIMITED``) or answered
                what is no catalog (``HUB_MISBEHAVED``); `current` is what it was.
        """
        begun = self._refreshes
        try:
            async with self._lock:
                if self._refreshes == begun:
                    self._last = await self._timely_refresh()
                    self._refreshes += 1
                return self._last
        except PayeeError as exc:
            self._reachability.note_failure(exc)
            raise
        except anyio.get_cancelled_exc_class():
            self._reachability.note_silence()
            raise

    async def keep_fresh(self) -> None:
        """Refresh now and then every ``catalog.refresh_seconds``, sooner and then ever later while it fails.

        Never returns and never raises but for cancellation.
        """
        failures = 0
        while True:
            try:
                await self.refresh()
                failures = 0
            except PayeeError as exc:
                failures += 1
                log.warning("the catalog was not refreshed: %s", exc)
            except Exception:
                # A fault in a subscriber or in reading a stranger's page must not end the only loop that would get
                # past it when the catalog changes again.
                failures += 1
                log.exception("the catalog was not refreshed")
            pause = self._pause(failures)
            self._due = self._clock.monotonic() + pause
            await self._sleep(pause)

    def _pause(self, failures: int) -> float:
        """Seconds until the next refresh: jittered by a quarter either way, so that many hosts do not march in step."""
        pause = float(self._settings.refresh_seconds)
        if failures:
            pause = min(_FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 16), max(pause, _LONGEST_WAIT_SECONDS / 4))
        jitter = 0.75 + int.from_bytes(os.urandom(2), "big") / 131_072
        asked = self._not_before - self._clock.monotonic()
        return max(pause * jitter, min(asked, _LONGEST_WAIT_SECONDS))

    async def _timely_refresh(self) -> CatalogDiff:
        with anyio.move_on_after(WHOLE_SECONDS):
            return await self._refresh()
        raise PayeeError(HUB_UNREACHABLE, f"the catalog did not arrive within {WHOLE_SECONDS:.0f} seconds")

    async def _refresh(self) -> CatalogDiff:
        try:
            pages = await self._walk(await self._ahead())
        except _CursorGone:
            try:
                pages = await self._walk({})
            except _CursorGone as exc:
                raise PayeeError(HUB_MISBEHAVED, "the Hub refuses the cursors it gives out") from exc
        self._arrived.clear()
        self._reachability.note_catalog()
        now = self._clock.now()
        first = self.current.fetched_at is None
        if not first and pages == list(self._pages.values()):
            self.current = replace(self.current, fetched_at=now)
            return CatalogDiff()
        # Reading and writing so much takes long enough for a host to notice.
        diff = await anyio.to_thread.run_sync(self._take, pages, now)
        if not diff.unchanged:
            log.info(
                "the catalog changed: %d added, %d removed, %d changed",
                len(diff.added), len(diff.removed), len(diff.changed),
            )  # fmt: skip
        # That a first catalog is empty is news too.
        if first or not diff.unchanged:
            await self._subscribers.tell(diff)
        return diff

    def _take(self, pages: list[StoredPage], now: UnixMs) -> CatalogDiff:
        """Make these pages the current catalog, and remember them on disk."""
        rows = merged(stored.rows for stored in pages)
        first = self.current.fetched_at is None
        diff = difference(self._rows, rows)
        revision = self.current.revision if diff.unchanged and not first else revision_of(rows)
        self._pages = {page.url: page for page in pages}
        self._rows, self.current = rows, catalog_of(rows, pages, revision, now)
        if self._path is not None:
            write(self._path, Snapshot(self._scope, revision, now, tuple(pages)))
        return diff

    async def _ahead(self) -> dict[str, StoredPage]:
        """The pages of the last walk, asked for side by side: of an unchanged catalog no cursor need be waited for.

        Other failures prove nothing, for the page may be one that nothing leads to any more; the walk will meet them.

        Raises:
            PayeeError: the Hub asks to wait.
        """
        known = [page for page in self._pages.values() if page.etag is not None]
        found: dict[str, StoredPage] = {}
        if len(known) < _LEAST_AHEAD or not self._side_by_side:
            return found
        asked = iter(known)
        refused: list[PayeeError] = []

        async def ask() -> None:
            for page in asked:
                try:
                    found[page.url], _ = await self._page(page.url, first=False)
                except _CursorGone:
                    continue
                except PayeeError as exc:
                    refused.append(exc)
                if refused:
                    return

        async with anyio.create_task_group() as tasks:
            for _ in range(_AT_ONCE):
                tasks.start_soon(ask)
        for exc in refused:
            if exc.code == "RATE_LIMITED":
                # A Hub that counts requests is asked for one page at a time from now on.
                self._side_by_side = False
                raise exc
        return found

    async def _walk(self, ahead: Mapping[str, StoredPage]) -> list[StoredPage]:
        """Every page, in order; those in `ahead` are here already.

        Raises:
            PayeeError: one of them did not arrive, or there is no end to them.
            _CursorGone: the Hub no longer knows a cursor.
        """
        pages: list[StoredPage] = []
        cursors: set[str] = set()
        cursor: str | None = None
        actions = size = 0
        while True:
            url = self._url(cursor)
            here = ahead.get(url)
            stored, length = (here, 0) if here is not None else await self._page(url, first=cursor is None)
            pages.append(stored)
            actions += len(stored.rows)
            size += length
            cursor = stored.next_cursor
            if cursor is None or not stored.has_more:
                return pages
            if cursor in cursors:
                # Whatever that page holds has been seen, so this is the end, badly told.
                log.warning("the Hub's catalog leads round in a circle; taken as its end")
                return pages
            cursors.add(cursor)
            if len(pages) >= MAX_PAGES or actions > MAX_ACTIONS or size > MAX_BYTES:
                self._arrived.clear()
                raise PayeeError(HUB_MISBEHAVED, f"the catalog has no end after {len(pages)} pages")

    async def _page(self, url: str, *, first: bool) -> tuple[StoredPage, int]:
        """One page and how many bytes it took."""
        known = self._arrived.get(url) or self._pages.get(url)
        headers = {"Accept": "application/json"}
        if known is not None and known.etag is not None:
            headers["If-None-Match"] = known.etag
        try:
            answer = await self._http.exchange(
                "GET", url, headers=headers, timeout=PAGE_SECONDS, max_bytes=MAX_PAGE_BYTES
            )
        except ExchangeFailed as exc:
            raise PayeeError(HUB_UNREACHABLE, f"the Hub's catalog could not be fetched: {exc}") from exc
        self._reachability.note_contact()
        if answer.status == _NOT_MODIFIED and known is not None:
            return known, 0
        if answer.status == _BAD_REQUEST and not first:
            raise _CursorGone
        if answer.status != _OK:
            raise self._refused(answer)
        try:
            page = await anyio.to_thread.run_sync(self._read, url, answer)
        except WireError as exc:
            raise PayeeError(HUB_MISBEHAVED, f"the Hub's catalog cannot be read: {exc}") from exc
        # What has arrived need not come again when a later page does not.
        self._arrived[url] = page
        return page, len(answer.body)

    def _read(self, url: str, answer: HttpAnswer) -> StoredPage:
        page = parse_page(answer.body, source=self._base_url, max_bytes=MAX_PAGE_BYTES)
        kept: list[Offer] = []
        excluded: set[str] = set()
        left_out: dict[str, list[str]] = {}
        for listed in page.actions:
            action = replace(listed, source_name=self._called) if self._called else listed
            excluding = self._filter.excluding(action)
            excluded.update(excluding)
            setting = self._filter.leaving_out(action, excluding)
            if setting is None:
                kept.append(action)
            else:
                left_out.setdefault(setting, []).append(action.key)
        data, rows, bad = packed(kept)
        return StoredPage(
            url,
            header(answer.headers, "ETag"),
            data,
            rows,
            (*page.quarantined, *bad),
            page.next_cursor,
            page.has_more,
            tuple(sorted(excluded)),
            {setting: tuple(keys) for setting, keys in left_out.items()},
        )

    def _refused(self, answer: HttpAnswer) -> PayeeError:
        wait = retry_after(answer.headers, self._clock.now())
        if wait is None:
            return PayeeError(HUB_MISBEHAVED, f"the Hub answered its catalog with HTTP {answer.status}")
        self._not_before = self._clock.monotonic() + wait
        return PayeeError("RATE_LIMITED", f"the Hub asks to wait {wait} s before its catalog is fetched again")

    def _url(self, cursor: str | None) -> str:
        # The dialects name the size differently and ignore each other's name.
        query = {"page_size": str(PAGE_SIZE), "limit": str(PAGE_SIZE)}
        if cursor is not None:
            query["cursor"] = cursor
        return f"{self._base_url}/v1/capabilities?{urlencode(query)}"
