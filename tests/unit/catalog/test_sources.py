"""Several sources are one catalog; none can take another's place in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio
import pytest

from jecp_mcp.catalog.contents import Catalog, CatalogDiff
from jecp_mcp.catalog.rows import Rows
from jecp_mcp.catalog.sources import LOOK_SECONDS, AllOffers, Outage
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.errors import PayeeError
from jecp_mcp.money import MicroUSDC

pytestmark = pytest.mark.anyio

ONE = Offer("docs/pdf", "make", "docs", Price(MicroUSDC(5_000)), source="one")
OTHER = Offer("echo/job", "run", "echo", Price(MicroUSDC(1_000)), source="other")


class Shop:
    """A source whose catalog a test sets."""

    def __init__(self, name: str, *offers: Offer, fault: PayeeError | None = None) -> None:
        self.name, self.fault = name, fault
        self.current = Catalog(
            "r1", Rows.of(offers), (("odd", "no price"),), UnixMs(len(name)), frozenset({name}), {"s": (name,)}
        )
        self.callbacks: list[Callable[[CatalogDiff], Awaitable[None] | None]] = []
        self.refreshed = 0
        self.was_asked = True
        self.outage = None if fault is None else Outage(name, fault.code, fault.message, UnixMs(5))

    def subscribe(self, callback: Callable[[CatalogDiff], Awaitable[None] | None]) -> Callable[[], None]:
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

    def until_refresh(self) -> float:
        return float(len(self.name))

    async def refresh(self) -> CatalogDiff:
        self.refreshed += 1
        self.was_asked = True
        if self.fault is not None:
            raise self.fault
        return CatalogDiff()

    async def keep_fresh(self) -> None:
        self.refreshed += 10
        await anyio.sleep_forever()

    async def sells(self, *offers: Offer) -> None:
        self.current = replace(self.current, revision=self.current.revision + "+", actions=Rows.of(offers))
        for callback in self.callbacks:
            told = callback(CatalogDiff(added=tuple(offer.key for offer in offers)))
            if told is not None:
                await told


async def test_one_source_is_the_catalog_itself() -> None:
    shop = Shop("one", ONE)
    assert AllOffers([shop]).current is shop.current


async def test_what_is_on_offer_is_not_known_while_one_source_was_never_fetched() -> None:
    never, other = Shop("one", ONE), Shop("other", OTHER)
    never.current = replace(never.current, fetched_at=None)
    assert AllOffers([never, other]).current.fetched_at is None
    assert AllOffers([other, never]).current.fetched_at is None


async def test_offers_of_all_are_there_each_with_its_source() -> None:
    offers = AllOffers([Shop("one", ONE), Shop("other", OTHER)])
    assert {offer.key: offer.source for offer in offers.current.actions.values()} == {
        ONE.key: "one",
        OTHER.key: "other",
    }
    assert (offers.current.fetched_at, offers.current.excluded) == (3, frozenset({"one", "other"}))
    assert offers.current.left_out == {"s": ("one", "other")}
    assert offers.until_refresh() == 3
    assert len(offers.current.quarantined) == 2


async def test_nobody_takes_an_earlier_sources_place() -> None:
    imitation = replace(ONE, price=Price(MicroUSDC(1)), source="other")
    offers = AllOffers([Shop("one", ONE), Shop("other", imitation, OTHER)])
    assert offers.current.actions[ONE.key] == ONE
    assert (ONE.key, "another source offers it too") in offers.current.quarantined


async def test_a_change_of_one_is_told_with_all_of_them_current() -> None:
    shops = Shop("one", ONE), Shop("other")
    offers, heard = AllOffers(shops), list[tuple[CatalogDiff, bool]]()
    before = offers.current.revision

    async def hear(diff: CatalogDiff) -> None:
        heard.append((diff, OTHER.key in offers.current.actions))

    stop = offers.subscribe(hear)
    offers.subscribe(lambda diff: heard.append((diff, True)))
    await shops[1].sells(OTHER)
    assert heard == [(CatalogDiff(added=(OTHER.key,)), True)] * 2
    assert offers.current.revision != before
    stop()
    stop()
    await shops[1].sells()
    assert len(heard) == 3


async def test_every_source_is_asked_though_one_is_away() -> None:
    away, there = Shop("away", fault=PayeeError("HUB_UNREACHABLE", "down")), Shop("there", OTHER)
    offers = AllOffers([away, there])
    await offers.refresh()
    assert (away.refreshed, there.refreshed) == (1, 1)
    assert [(one.source, one.code, one.reason) for one in offers.outages] == [("away", "HUB_UNREACHABLE", "down")]
    assert OTHER.key in offers.current.actions


async def test_only_who_is_away_is_asked_again_and_not_at_every_look() -> None:
    away, there = Shop("away", fault=PayeeError("HUB_UNREACHABLE", "down")), Shop("there")
    offers = AllOffers([away, there])
    await offers.look_again()
    await offers.look_again()
    assert (away.refreshed, there.refreshed) == (1, 0)


async def test_who_was_not_asked_yet_is_asked_by_the_first_look_and_then_left_to_its_own_pace() -> None:
    shop = Shop("one", ONE)
    shop.was_asked = False
    offers = AllOffers([shop])
    await offers.look_again()
    await offers.look_again()
    assert shop.refreshed == 1


async def test_who_asked_to_be_left_alone_is_not_asked_again() -> None:
    busy = Shop("busy", fault=PayeeError("RATE_LIMITED", "wait"))
    assert busy.outage is not None
    busy.outage = replace(busy.outage, asks_to_wait=True)
    await AllOffers([busy]).look_again()
    assert busy.refreshed == 0


async def test_a_source_that_swallows_requests_holds_nobody_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jecp_mcp.catalog.sources.LOOK_SECONDS", LOOK_SECONDS / 200)
    away, other = (Shop(name, fault=PayeeError("HUB_UNREACHABLE", "down")) for name in ("away", "other"))

    async def silence() -> CatalogDiff:
        await anyio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(away, "refresh", silence)
    with anyio.fail_after(60):
        await AllOffers([away, other]).look_again()
    assert other.refreshed == 1


async def test_every_source_is_kept_fresh() -> None:
    shops = Shop("one"), Shop("other")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(AllOffers(shops).keep_fresh)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert [shop.refreshed for shop in shops] == [10, 10]
