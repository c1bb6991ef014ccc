"""What a Hub sells, read page by page (JECP 05-discovery §6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import quote, urlencode

import anyio.to_thread

from jecp_mcp import jsontext
from jecp_mcp.client.error_classes import error_of, error_without_answer
from jecp_mcp.clock import Clock
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.http import ExchangeFailed, Http, HttpAnswer
from jecp_mcp.rails.jecp.codes import HUB_MISBEHAVED, HUB_UNREACHABLE
from jecp_mcp.wire.jecp.catalog import MAX_PAGE_BYTES, CatalogPage, parse_page
from jecp_mcp.wire.jecp.errors import parse_refusal

_CATALOG_SECONDS: Final = 30.0
_ERROR_STATUS: Final = 400


class Catalog:
    """The catalog of one Hub. It is public: no key goes with these requests."""

    def __init__(self, http: Http, origin: str, clock: Clock) -> None:
        """Read the catalog of the Hub at `origin`."""
        self._http, self._origin, self._clock = http, origin, clock

    async def page(
        self,
        cursor: str | None = None,
        *,
        page_size: int = 100,
        namespace: str | None = None,
        tags: tuple[str, ...] = (),
    ) -> CatalogPage:
        """One page of what the Hub sells.

        Raises:
            JecpError: the Hub refused, could not be reached, or what came is no catalog.
        """
        query = {"page_size": str(page_size), "limit": str(page_size)}
        chosen = {"cursor": cursor, "namespace": namespace, "tags": ",".join(tags) or None}
        query |= {name: value for name, value in chosen.items() if value is not None}
        return await self._read(f"/v1/capabilities?{urlencode(query)}")

    async def pages(
        self, *, page_size: int = 100, namespace: str | None = None, tags: tuple[str, ...] = ()
    ) -> AsyncIterator[CatalogPage]:
        """Every page of what the Hub sells, one after the other. A Hub repeats what is its own on each.

        Raises:
            JecpError: as `page`; also where the pages lead round in a circle.
        """
        cursor: str | None = None
        seen: set[str] = set()
        while True:
            page = await self.page(cursor, page_size=page_size, namespace=namespace, tags=tags)
            yield page
            cursor = page.next_cursor
            if cursor is None or not page.has_more:
                return
            if cursor in seen:
                raise error_without_answer(HUB_MISBEHAVED, "The Hub's catalog leads round in a circle.")
            seen.add(cursor)

    async def offers(self, *, namespace: str | None = None, tags: tuple[str, ...] = ()) -> list[Offer]:
        """Everything the Hub sells, each action once.

        Raises:
            JecpError: as `pages`.
        """
        found: dict[str, Offer] = {}
        async for page in self.pages(namespace=namespace, tags=tags):
            found.update({offer.key: offer for offer in page.actions})
        return list(found.values())

    async def capability(self, capability: str) -> tuple[Offer, ...]:
        """The actions of one capability.

        Raises:
            JecpError: as `page`.
        """
        page = await self._read(f"/v1/capabilities/{quote(capability, safe='/@')}")
        return page.actions

    async def _read(self, path: str) -> CatalogPage:
        try:
            answer = await self._http.exchange(
                "GET",
                self._origin + path,
                headers={"Accept": "application/json"},
                timeout=_CATALOG_SECONDS,
                max_bytes=MAX_PAGE_BYTES,
            )
        except ExchangeFailed as exc:
            raise error_without_answer(HUB_UNREACHABLE, f"The Hub's catalog could not be fetched: {exc}.") from exc
        try:
            if answer.status >= _ERROR_STATUS:
                raise error_of(self._refusal(answer))
            return await anyio.to_thread.run_sync(lambda: parse_page(answer.body, source=self._origin))
        except WireError as exc:
            raise error_without_answer(HUB_MISBEHAVED, f"The Hub's catalog cannot be read: {exc}.") from exc

    def _refusal(self, answer: HttpAnswer) -> Refusal:
        body = jsontext.loads_forgiving(answer.body, max_bytes=MAX_PAGE_BYTES)
        if not isinstance(body, dict):
            raise WireError("the answer is not a JSON object")
        return parse_refusal(body, status=answer.status, headers=answer.headers, now=self._clock.now())
