"""The mechanical agent on a real Hub, in both dialects: true refusals, lost answers, and books that agree."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
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
PATIENCE = 2.0
"""How long the agent really waits at most, in seconds, however long it is told to."""


def tally(capability: str = "tally", price: str = "$0.001", version: str = "1.0.0", **more: Any) -> dict[str, Any]:
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

        async def wait(seconds: float) -> None:
            await anyio.to_thread.run_sync(meanwhile)
            await anyio.sleep(min(seconds, PATIENCE) if meanwhile is _nothing else 0)

        return await run(self.client.call_tool, wait, tool, {"text": text})

    async def post(self, path: str, body: dict[str, Any]) -> None:
        """Tell the sandbox something."""
        send = lambda: self.hub.http.post(path, headers=self.hub.auth, json=body).raise_for_status()  # noqa: E731 - one line
        await anyio.to_thread.run_sync(send)

    async def fault(self, fault: str, times: int = 1, **more: Any) -> None:
        """The next calls of the tally go wrong."""
        await self.post("/sandbox/faults", {"match": "acme/tally:count", "fault": fault, "times": times, **more})

    async def paid(self) -> int:
        """How often the Hub has charged."""
        books = await anyio.to_thread.run_sync(self.hub.books)
        return len(books["transactions"])


def _nothing() -> None:
    """The time just passes."""


@pytest.fixture(scope="module", params=["reference", "spec"])
def first(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHub]:
    with sandbox(tmp_path_factory.mktemp("hub") / "hub.sqlite", "--dialect", request.param) as hub:
        yield hub


@pytest.fixture
async def place(first: SandboxHub, tmp_path: Path) -> AsyncIterator[Place]:
    """A new agent with $10, before a catalog that has the tally."""
    hub = first.new_agent()
    place = Place(hub, None, tmp_path)  # type: ignore[arg-type] # the client comes when the catalog is ready
    await place.post("/sandbox/catalog", {"remove": "acme/tally", "manifests": [tally(), tally("counter")]})
    async with seated(hub.url, tmp_path, agent=(hub.agent_id, hub.api_key), awaits=TALLY) as client:
        yield replace(place, client=client)
    rows = await anyio.to_thread.run_sync(ledger, hub.url, tmp_path)
    theirs = {row["call_id"]: row["amount_usdc"] for row in hub.books()["transactions"]}
    assert {row["call_id"]: row["charged_usdc"] for row in rows if row["charged_usdc"] != "0.00"} == theirs
    assert all(row["held_usdc"] == "0.00" for row in rows)


async def test_a_lost_answer_is_fetched_and_paid_once(place: Place) -> None:
    await place.fault("drop_after_charge", times=4)
    ended = await place.go("lost", meanwhile=_nothing)
    assert (ended.how, ended.types) == ("answered", ["check_status"])
    assert await place.paid() == 1


async def test_a_fault_after_the_charge_is_cleared_up_and_paid_once(place: Place) -> None:
    await place.fault("code:INTERNAL_ERROR", after_charge=True, retry_after_seconds=30)
    ended = await place.go("charged")
    assert (ended.how, ended.types) == ("answered", ["check_status"])
    assert await place.paid() == 1


async def test_a_rate_limit_is_waited_out(place: Place) -> None:
    await place.post("/sandbox/wallet", {"rate_limit_rpm": 1})
    output_of((await place.go("first")).answer)
    minute_passes = {"rate_limit_rpm": None}
    send = lambda: place.hub.http.post("/sandbox/wallet", headers=place.hub.auth, json=minute_passes)  # noqa: E731 - one line
    ended = await place.go("second", meanwhile=send)
    assert (ended.how, ended.types) == ("answered", ["retry_after"])
    assert await place.paid() == 2


@pytest.mark.parametrize("code", ["PROVIDER_ERROR", "PROVIDER_UNAVAILABLE"])
async def test_a_provider_that_fails_is_replaced_by_another(place: Place, code: str) -> None:
    await place.fault(f"code:{code}", retry_after_seconds=30)
    ended = await place.go("alternative")
    assert (ended.how, ended.types) == ("answered", ["try_alternative_provider"])
    assert await place.paid() == 1


async def test_a_capability_taken_down_meanwhile_is_replaced_by_another(place: Place) -> None:
    await place.post("/sandbox/catalog", {"remove": "acme/tally"})
    ended = await place.go("taken down")
    assert (ended.how, ended.types) == ("answered", ["discover"])
    assert await place.paid() == 1


async def test_a_withdrawn_version_leads_on(place: Place) -> None:
    gone = {"status": "sunset", "sunset_at": "2026-01-01T00:00:00Z", "successor_version": "2.0.0"}
    await place.post("/sandbox/catalog", {"manifests": [tally(deprecation=gone), tally(version="2.0.0")]})
    ended = await place.go("withdrawn")
    assert (ended.how, ended.types) == ("answered", ["use_successor"])
    assert await place.paid() == 1


async def test_a_price_that_rose_meanwhile_stops_it_with_nothing_spent(place: Place) -> None:
    await place.post("/sandbox/catalog", {"manifests": [tally(price="$0.002")]})
    ended = await place.go("dearer")
    assert (ended.how, ended.types) == ("operator", ["increase_mandate"])
    assert await place.paid() == 0


async def test_a_tier_not_yet_earned_stops_it_with_nothing_spent(place: Place) -> None:
    described = output_of(await place.client.call_tool("jecp_describe", {"tool": "plumbline/simulation:monte-carlo"}))
    ended = await run(place.client.call_tool, anyio.sleep, described["tool"], described["examples"][0]["input"])
    assert ended.how in {"human", "nobody", "answered"}
    assert ended.types[0] in {"earn_trust", "find_cheaper"}


async def test_an_empty_wallet_stops_it_until_a_person_has_paid(place: Place) -> None:
    await place.post("/sandbox/wallet", {"balance_usdc": "0"})
    ended = await place.go("empty")
    assert (ended.how, ended.types) == ("human", ["topup", "open_url"])
    assert ended.last is not None
    assert ended.last["next_action"]["url"].startswith(place.hub.url)
    assert await place.paid() == 0
    await anyio.to_thread.run_sync(place.hub.fund, "5.00")
    again = await place.go("empty")
    assert (again.how, again.types) == ("answered", [])


async def test_a_key_the_hub_does_not_know_stops_it(first: SandboxHub, tmp_path: Path) -> None:
    other = ("sbx_ag_nobody0123456789ab", "sbx_ak_nobody0123456789ab")
    async with seated(first.url, tmp_path, agent=other, awaits=COUNT) as client:
        ended = await run(client.call_tool, anyio.sleep, COUNT, {"text": "whose?"})
    assert (ended.how, ended.types) == ("operator", ["register"])


async def test_without_an_account_it_registers_and_spends_a_free_call(first: SandboxHub, tmp_path: Path) -> None:
    async with seated(first.url, tmp_path, agent=None, awaits=COUNT) as client:
        ended = await run(client.call_tool, anyio.sleep, COUNT, {"text": "new here"})
    assert (ended.how, ended.types) == ("answered", ["register"])
