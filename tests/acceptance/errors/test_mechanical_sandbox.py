"""The mechanical agent on a real Hub, in both dialects: true refusals, lost answers, and books that agree."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from tests.acceptance.errors.mechanical import Ended, run
from tests.acceptance.errors.seats import ledger, seated
from tests.acceptance.roads import SandboxHub, output_of, sandbox

pytestmark = pytest.mark.anyio

TALLY, COUNT = "acme_tally_count", "text-stats_count"
OWN_TALLIES = ("tally", "counter", "leaving", "fading", "rising")


def tally(capability: str, price: str = "$0.001", version: str = "1.0.0", **more: Any) -> dict[str, Any]:
    """A provider's manifest that does the work of the Hub's own word count."""
    counts = {
        "id": "count",
        "description": "Counts the words of a text.",
        "pricing": {"base": price, "currency": "USD", "model": "flat"},
        "input_schema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
        "output_schema": {"type": "object"},
        "examples": [{"input": {"text": "one two"}}],
    }
    return {
        "namespace": "acme",
        "capability": capability,
        "version": version,
        "description": "Counts words.",
        "endpoint": "https://provider.example/jecp",
        "actions": [counts],
        "extensions": {"sandbox": {"runs": "text-stats:count"}},
        **more,
    }


@dataclass
class Place:
    """A server before a sandbox Hub."""

    hub: SandboxHub
    client: Client
    state: Path

    async def go(self, text: str, *, tool: str = TALLY, meanwhile: Callable[[], Any] = lambda: None) -> Ended:
        """Let the agent buy; `meanwhile` is what happens while it waits."""

        async def wait(_seconds: float) -> None:
            await anyio.to_thread.run_sync(meanwhile)

        return await run(self.client.call_tool, wait, tool, {"text": text})

    def tell(self, path: str, **body: Any) -> None:
        """Tell the sandbox something."""
        self.hub.http.post(path, headers=self.hub.auth, json=body).raise_for_status()

    def fault(self, fault: str, times: int = 1, **more: Any) -> None:
        """The next calls of the tally go wrong."""
        self.tell("/sandbox/faults", match="acme/tally:count", fault=fault, times=times, **more)

    def paid(self) -> int:
        """How often the Hub has charged."""
        return len(self.hub.books()["transactions"])


@pytest.fixture(scope="module", params=["reference", "spec"])
def first(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHub]:
    with sandbox(tmp_path_factory.mktemp("hub") / "hub.sqlite", "--dialect", request.param) as hub:
        manifests = [tally(capability) for capability in OWN_TALLIES]
        hub.http.post("/sandbox/catalog", json={"manifests": manifests}).raise_for_status()
        yield hub


@pytest.fixture(scope="module")
async def place(first: SandboxHub, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """A new agent with $10; what changes at the Hub from now on, its server does not know."""
    hub, state = first.new_agent(), tmp_path_factory.mktemp("state")
    settings = {"mandate__per_call_usdc": "1.00"}
    async with seated(hub.url, state, agent=(hub.agent_id, hub.api_key), awaits=TALLY, **settings) as client:
        yield Place(hub, client, state)


async def test_a_lost_answer_is_fetched_and_paid_once(place: Place) -> None:
    before = place.paid()
    place.fault("drop_after_charge", times=4)
    ended = await place.go("lost")
    assert (ended.how, ended.types) == ("answered", ["check_status"])
    assert place.paid() == before + 1


async def test_a_fault_after_the_charge_is_cleared_up_and_paid_once(place: Place) -> None:
    before = place.paid()
    place.fault("code:INTERNAL_ERROR", after_charge=True, retry_after_seconds=30)
    ended = await place.go("charged")
    assert (ended.how, ended.types) == ("answered", ["check_status"])
    assert place.paid() == before + 1


async def test_a_rate_limit_is_waited_out(place: Place) -> None:
    before = place.paid()
    place.tell("/sandbox/wallet", rate_limit_rpm=1)
    ended = await place.go("limited", meanwhile=lambda: place.tell("/sandbox/wallet", rate_limit_rpm=None))
    assert (ended.how, ended.types) == ("answered", ["retry_after"])
    assert place.paid() == before + 1


@pytest.mark.parametrize("code", ["PROVIDER_ERROR", "PROVIDER_UNAVAILABLE"])
async def test_a_provider_that_fails_is_replaced_by_another(place: Place, code: str) -> None:
    before = place.paid()
    place.fault(f"code:{code}", retry_after_seconds=30)
    ended = await place.go(f"alternative to {code}")
    assert (ended.how, ended.types) == ("answered", ["try_alternative_provider"])
    assert place.paid() == before + 1


async def test_a_capability_taken_down_meanwhile_is_replaced_by_another(place: Place) -> None:
    before = place.paid()
    place.tell("/sandbox/catalog", remove="acme/leaving")
    ended = await place.go("taken down", tool="acme_leaving_count")
    assert (ended.how, ended.types) == ("answered", ["discover"])
    assert place.paid() == before + 1


async def test_a_withdrawn_version_leads_on(place: Place) -> None:
    before = place.paid()
    gone = {"status": "sunset", "sunset_at": "2026-01-01T00:00:00Z", "successor_version": "2.0.0"}
    place.tell("/sandbox/catalog", manifests=[tally("fading", deprecation=gone), tally("fading", version="2.0.0")])
    ended = await place.go("withdrawn", tool="acme_fading_count")
    assert (ended.how, ended.types) == ("answered", ["use_successor"])
    assert place.paid() == before + 1


async def test_a_price_that_rose_meanwhile_stops_it_with_nothing_spent(place: Place) -> None:
    before = place.paid()
    place.tell("/sandbox/catalog", manifests=[tally("rising", price="$0.002")])
    ended = await place.go("dearer", tool="acme_rising_count")
    assert (ended.how, ended.types) == ("operator", ["increase_mandate"])
    assert place.paid() == before


async def test_a_tier_not_yet_earned_stops_it_with_nothing_spent(place: Place) -> None:
    before = place.paid()
    described = output_of(await place.client.call_tool("jecp_describe", {"tool": "plumbline/simulation:monte-carlo"}))
    ended = await run(place.client.call_tool, anyio.sleep, described["tool"], described["examples"][0]["input"])
    assert (ended.how, ended.types) == ("human", ["earn_trust"])
    assert place.paid() == before


async def test_an_empty_wallet_stops_it_until_a_person_has_paid(place: Place) -> None:
    before = place.paid()
    place.tell("/sandbox/wallet", balance_usdc="0")
    ended = await place.go("empty")
    assert (ended.how, ended.types) == ("human", ["topup", "open_url"])
    assert ended.last is not None
    assert ended.last["next_action"]["url"].startswith(place.hub.url)
    assert place.paid() == before
    place.hub.fund("5.00")
    again = await place.go("empty")
    assert (again.how, again.types) == ("answered", [])


async def test_the_ledger_equals_the_hubs_books_after_all_of_it(place: Place) -> None:
    rows = await anyio.to_thread.run_sync(ledger, place.hub.url, place.state)
    theirs = {row["call_id"]: row["amount_usdc"] for row in place.hub.books()["transactions"]}
    assert {row["call_id"]: row["charged_usdc"] for row in rows if row["charged_usdc"] != "0.00"} == theirs
    assert theirs
    assert all(row["held_usdc"] == "0.00" for row in rows)


async def test_a_key_the_hub_does_not_know_stops_it(first: SandboxHub, tmp_path: Path) -> None:
    other = ("sbx_ag_nobody0123456789ab", "sbx_ak_nobody0123456789ab")
    async with seated(first.url, tmp_path, agent=other, awaits=COUNT) as client:
        ended = await run(client.call_tool, anyio.sleep, COUNT, {"text": "whose?"})
    assert (ended.how, ended.types) == ("operator", ["register"])


async def test_without_an_account_it_registers_and_spends_a_free_call(first: SandboxHub, tmp_path: Path) -> None:
    async with seated(first.url, tmp_path, agent=None, awaits=COUNT) as client:
        ended = await run(client.call_tool, anyio.sleep, COUNT, {"text": "new here"})
    assert (ended.how, ended.types) == ("answered", ["register"])
