"""The wallet shows what a real Hub told, in both dialects: balance, free calls, trust tier, windows, open holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from tests.acceptance.roads import MODERN, Road, SandboxHub, connect, error_of, example_of, output_of, sandbox

pytestmark = pytest.mark.anyio

COUNT = "text-stats:count"
"""The Hub's own; `BOUGHT` is a provider's."""
BOUGHT = "inkwell/invoice:render"


@pytest.fixture(scope="module", params=["reference", pytest.param("spec", marks=pytest.mark.slow)])
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHub]:
    with sandbox(tmp_path_factory.mktemp("hub") / "hub.sqlite", "--dialect", request.param) as hub:
        yield hub


@pytest.fixture
def fresh(either: SandboxHub) -> SandboxHub:
    """An agent as it is after registering: no money, free calls."""
    made = either.http.post("/api/agents/register", json={"name": "wallet"}).raise_for_status().json()
    return replace(either, agent_id=made["agent_id"], api_key=made["api_key"])


def wallet_at(hub: SandboxHub, **changes: Any) -> None:
    hub.http.post("/sandbox/wallet", headers=hub.auth, json=changes).raise_for_status()


async def wallet(client: Client) -> dict[str, Any]:
    return dict(output_of(await client.call_tool("jecp_wallet", {})))


async def buy(client: Client, text: str) -> Any:
    return await client.call_tool("jecp_call", {"tool": COUNT, "arguments": {"text": text}})


@pytest.mark.slow
async def test_the_wallet_follows_the_agent_from_its_first_free_call_up_the_tiers(
    fresh: SandboxHub, tmp_path: Path
) -> None:
    settings = {"mandate__hourly_usdc": "1.00"}
    async with connect(Road("stdio", MODERN), fresh, tmp_path, settings=settings) as client:
        unknown = await wallet(client)
        assert unknown["balance_usdc"] is None
        assert (unknown["trust_tier"], unknown["free_calls_remaining"], "next_tier" in unknown) == (None, None, False)
        assert "nothing was bought from here yet" in unknown["not_known"]

        output_of(await buy(client, "one"))
        output_of(await buy(client, "two"))
        free = await wallet(client)
        books = fresh.books()
        assert (free["free_calls_remaining"], books["free_calls_remaining"]) == (98, 98)
        assert (free["trust_tier"], books["tier"]) == ("bronze", "bronze")
        assert free["next_tier"] == {"tier": "silver", "calls_to_go_at_most": 98}

        wallet_at(fresh, balance_usdc="3.00", total_calls=700)
        output_of(await buy(client, "three"))
        paid = await wallet(client)
        books = fresh.books()
        assert (paid["trust_tier"], books["tier"]) == ("gold", "gold")
        assert paid["next_tier"] == {"tier": "platinum", "calls_to_go_at_most": 1_500}
        assert paid["balance_usdc"] == books["balance_usdc"] != "3.00"
        windows = {one["limit"]: one for one in paid["limits"]}
        for name, limit in (("hourly_usdc", "1.00"), ("daily_usdc", "2.00")):
            assert windows[name]["limit_usdc"] == limit
            assert windows[name]["used_usdc"] == books["charged_usdc"]
            assert windows[name]["resets_at"] > paid["balance_at"]
            assert windows[name]["remaining_usdc"] < limit

        wallet_at(fresh, total_calls=5_000)
        output_of(await buy(client, "four"))
        top = await wallet(client)
        assert (top["trust_tier"], "next_tier" in top) == ("platinum", False)


@pytest.mark.slow
async def test_a_provider_that_tells_no_tier_leaves_the_one_last_told(fresh: SandboxHub, tmp_path: Path) -> None:
    async with connect(Road("stdio", MODERN), fresh, tmp_path) as client:
        wallet_at(fresh, balance_usdc="3.00", total_calls=150)
        output_of(await buy(client, "one"))
        for _ in range(4):
            await client.call_tool("jecp_call", {"tool": BOUGHT, "arguments": example_of(fresh.url, BOUGHT)})
        assert (await wallet(client))["trust_tier"] == "silver"
    # What was told is durable.
    async with connect(Road("stdio", MODERN), fresh, tmp_path) as client:
        assert (await wallet(client))["trust_tier"] == "silver"


@pytest.mark.slow
async def test_a_call_in_doubt_is_listed_as_a_hold_until_it_is_resolved(fresh: SandboxHub, tmp_path: Path) -> None:
    wallet_at(fresh, balance_usdc="3.00")
    async with connect(Road("stdio", MODERN), fresh, tmp_path) as client:
        fault = {"match": COUNT, "fault": "drop_after_charge", "times": 200, "agent_id": fresh.agent_id}
        fresh.http.post("/sandbox/faults", json=fault).raise_for_status()
        call_id = error_of(await buy(client, "lost"))["call_id"]
        held = await wallet(client)
        [hold] = held["open_holds"]
        assert (hold["call_id"], hold["charged"], hold["held_usdc"]) == (call_id, "unknown", held["held_usdc"])
        fresh.heal()
        output_of(await client.call_tool("jecp_status", {"call_id": call_id}))
        after = await wallet(client)
        assert {"open_holds", "held_usdc"} & after.keys() == set()
        assert after["charged_usdc"] == hold["held_usdc"]
