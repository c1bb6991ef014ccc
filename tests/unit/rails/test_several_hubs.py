"""Several ways to pay by one rail: each offer and each stored call finds its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from jecp_mcp.calls.clock_check import ClockCheck
from jecp_mcp.catalog import snapshot
from jecp_mcp.catalog.sources import AllOffers
from jecp_mcp.clock import SystemClock
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.errors import PayeeError
from jecp_mcp.http import Http
from jecp_mcp.rails.jecp.account import HubAccount
from jecp_mcp.rails.jecp.catalog_source import CatalogSource
from jecp_mcp.rails.jecp.client import HubClient
from jecp_mcp.rails.jecp.rail import JecpRail
from jecp_mcp.rails.registry import Rails, Way
from jecp_mcp.settings import CatalogSettings, Credentials
from jecp_mcp.tools.publishing.naming import Names, notations
from tests.rails import source
from tests.unit.catalog.hubs import FakeHub, capability

pytestmark = pytest.mark.anyio

FIRST, EU = "https://hub.example", "https://eu.example"


class Told(HubAccount):
    """An account whose Hub tells the time as the test says."""

    ahead: float | None = 0.0

    def heard(self) -> float | None:
        return self.ahead

    async def skew(self, *, fresh: bool = False) -> float | None:
        if self.ahead is None:
            raise PayeeError("HUB_UNREACHABLE", "It is away. Nothing was charged.")
        return self.ahead


def way(url: str, agent: str) -> Way:
    identity = Credentials(agent_id=agent, api_key=SecretStr("jdb_ak_x"), source="test")
    client = HubClient(url, Http(url), lambda: identity, SystemClock())
    rail = JecpRail(client, timeout_seconds=1, clock=SystemClock(), random=lambda: 0.5)
    account = Told(client)
    return Way(rail=rail, sources=(source(url),), account=account, witness=account)


def offer(url: str) -> Offer:
    return Offer("docs/pdf", "merge", "docs", Price(None), source=url)


async def test_each_offer_and_each_stored_call_finds_its_own_hub() -> None:
    first, eu = way(FIRST, "agent_1"), way(EU, "agent_2")
    rails = Rails([first, eu])
    assert (rails.selling(offer(FIRST)), rails.selling(offer(EU))) == (first.rail, eu.rail)
    assert rails.selling(offer("https://us.example")) is None
    assert rails.serving("jecp", f"{EU} agent_2") is eu.rail
    assert rails.serving("jecp", f"{EU} agent_1") is None
    assert rails.paying(offer(EU)) == ("jecp", eu.account)
    assert rails.witness("jecp", f"{EU} agent_2") is eu.witness
    assert rails.witness("jecp", f"{EU} another") is None
    assert Rails([first]).witness("jecp", f"{FIRST} another") is first.witness


async def test_a_hub_that_is_away_or_wrong_holds_back_its_own_calls_only() -> None:
    first, eu = way(FIRST, "agent_1"), way(EU, "agent_2")
    rails = Rails([first, eu])
    check = ClockCheck(rails, SystemClock())
    assert isinstance(eu.witness, Told)
    eu.witness.ahead = None
    assert await check.fault(rails.witness_of(first.rail), fresh=True) is None
    fault = await check.fault(rails.witness_of(eu.rail), fresh=True)
    assert fault is not None
    assert fault.code == "HUB_UNREACHABLE"
    assert await check.house_fault() is None
    eu.witness.ahead = 4_000.0
    fault = await check.house_fault()
    assert fault is not None
    assert fault.code == "CLOCK_WRONG"


async def test_two_hubs_that_sell_the_same_stand_side_by_side_and_on_the_disk_under_their_names(tmp_path: Path) -> None:
    hub, path = FakeHub([capability("docs/pdf", "merge"), capability("stats", "count")]), tmp_path / "eu.jsonl"
    first = CatalogSource(hub, FIRST, None, CatalogSettings(), SystemClock())
    eu = CatalogSource(hub, EU, path, CatalogSettings(without=["eu::stats*"]), SystemClock(), called="eu")
    offers = AllOffers([first, eu])
    await offers.refresh()
    assert sorted(offers.current.actions) == ["docs/pdf:merge", "eu::docs/pdf:merge", "stats:count"]
    [key] = CatalogSource(
        hub, EU, path, CatalogSettings(without=["eu::stats*"]), SystemClock(), called="eu"
    ).current.actions
    assert key == "eu::docs/pdf:merge"
    again = CatalogSource(hub, EU, path, CatalogSettings(without=["eu::stats*"]), SystemClock(), called="us")
    assert again.current.fetched_at is None
    kept = offers.current.actions["eu::docs/pdf:merge"]
    assert (kept.capability, kept.source_name, kept.source, kept.payee) == ("docs/pdf", "eu", EU, "docs")
    assert snapshot.is_whole(path)


def test_a_name_of_one_hub_is_never_anothers_whoever_came_first() -> None:
    first, eu = "eu/docs:merge", "eu::docs:merge"
    for order in ([first], [eu], [first, eu]), ([first, eu],), ([eu], [eu, first]):
        names = Names()
        for keys in order:
            names.assign(keys)
        assert (names.name(first), names.name(eu)) == ("eu_docs_merge", "eu__docs_merge")
    long = "eu::" + "a" * 40 + "/" + "b" * 20 + ":merge"
    names.assign([long, long.removeprefix("eu::")])
    assert (names.name(long) or "").startswith("eu__")
    assert not (names.name(long.removeprefix("eu::")) or "").startswith("eu__")
    assert ("eu::docs/pdf:merge", "1.0.0") in list(notations("eu::docs/pdf@1.0.0:merge"))
