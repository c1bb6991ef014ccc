"""Buying a Hub's actions by x402 through an official client and the real server, in both protocol eras."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp import Client

from jecp_mcp.settings.wallet_key import SANDBOX_FILE, store_wallet_key
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from tests.acceptance.roads import LEGACY, MODERN, Road, SandboxHub, connect, error_of, output_of
from tests.hub_x402_house import EITHER, ONLY, PRICE, TEXT, X402Hub, x402_hub
from tests.x402_sandbox import serving

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
def hub() -> Iterator[X402Hub]:
    with serving() as shop, x402_hub(shop) as served:
        yield served


@pytest.fixture(params=[LEGACY, MODERN], ids=["2025", "2026"])
def road(request: pytest.FixtureRequest) -> Road:
    return Road("stdio", request.param)


@asynccontextmanager
async def buyer(
    road: Road, hub: X402Hub, state: Path, payment: str, **mandate: str
) -> AsyncIterator[tuple[Client, str]]:
    """A client of a server that pays so, and the address that it signs for."""
    secret, shop, network = secrets.token_bytes(32), hub.shop, SANDBOX_ASSET.network
    address = PrivateKey(secret).address
    shop.http.post(shop.where["faucet"], json={"address": address}).raise_for_status()
    store_wallet_key(state / SANDBOX_FILE, secret)
    config = state / "config.toml"
    config.write_text(
        f"[hub]\npayment = {json.dumps(payment)}\n[paid_http]\nnetworks = [{json.dumps(network)}]\n"
        f"rpc = {{ {json.dumps(network)} = {json.dumps(shop.rpc)} }}\n"
    )
    settings = {"config": str(config)} | {f"mandate__{name}": value for name, value in mandate.items()}
    at_hub = SandboxHub(hub.url, hub.agent_id, hub.api_key, hub.http)
    async with connect(road, at_hub, state, settings=settings) as client:
        yield client, address


async def bought(client: Client, tool: str) -> str:
    """What a model reads of a call that went well."""
    found = await client.call_tool(tool, TEXT)
    assert not found.is_error, found.content
    return "".join(getattr(one, "text", "") for one in found.content)


async def test_it_is_bought_by_wallet_and_by_x402_where_that_is_empty(road: Road, hub: X402Hub, tmp_path: Path) -> None:
    hub.wallet("0.005")
    async with buyer(road, hub, tmp_path, "auto") as (client, address):
        text = await bought(client, EITHER)
        assert "Paid 0.005 USDC to lab; balance 0.00, budget left" in text
        assert hub.shop.chain.paid_by(address) == []
        told = output_of(await client.call_tool("jecp_describe", {"tool": EITHER}))
        prepared = output_of(await client.call_tool("jecp_prepare", {"tool": EITHER, "arguments": TEXT}))
        for one in (told, prepared):
            assert one["paid_with"].startswith("the wallet at the Hub or, where it is not enough, x402")
            assert not one.get("blocked_by"), "an empty wallet stands in nobody's way"
        text = await bought(client, EITHER)
        assert "Paid 0.005 USDC to lab by x402; budget left" in text, "and no balance of a wallet that did not pay"
        assert hub.shop.chain.paid_by(address) == [PRICE]
        assert [method for method, _ in hub.sold()[-2:]] == ["wallet", "x402"]


async def test_it_is_bought_by_x402_and_never_above_the_limit(road: Road, hub: X402Hub, tmp_path: Path) -> None:
    hub.wallet("1")
    sold = len(hub.sold())
    async with buyer(road, hub, tmp_path, "x402", daily_usdc="0.01") as (client, address):
        for tool in (EITHER, ONLY):
            assert "by x402" in await bought(client, tool)
        refused = error_of(await client.call_tool(EITHER, {"text": "a third"}))
        assert (refused["error"]["code"], refused["charged"]) == ("LIMIT_REACHED", "no")
        assert hub.shop.chain.paid_by(address) == [PRICE, PRICE]
        assert len(hub.sold()) == sold + 2


async def test_a_lost_answer_is_finished_with_one_transfer(road: Road, hub: X402Hub, tmp_path: Path) -> None:
    hub.wallet("0")
    hub.fault("drop_after_charge")
    async with buyer(road, hub, tmp_path, "auto") as (client, address):
        lost = error_of(await client.call_tool(EITHER, TEXT))
        assert lost["charged"] == "unknown"
        step = lost["next_action"]
        found = await client.call_tool(step["tool"], step["arguments"])
        text = "".join(getattr(one, "text", "") for one in found.content)
        assert "Bought earlier, not bought again: paid 0.005 USDC to lab" in text
        assert hub.shop.chain.paid_by(address) == [PRICE]


async def test_what_only_x402_pays_is_not_bought_from_the_wallet(road: Road, hub: X402Hub, tmp_path: Path) -> None:
    hub.wallet("1")
    async with buyer(road, hub, tmp_path, "wallet") as (client, address):
        refused = error_of(await client.call_tool(ONLY, TEXT))
        assert (refused["error"]["code"], refused["charged"]) == ("PAYMENT_METHOD_OFF", "no")
        told = output_of(await client.call_tool("jecp_describe", {"tool": ONLY}))
        assert told["blocked_by"] == ["PAYMENT_METHOD_OFF"]
        assert refused["next_action"]["actor"] == "operator"
        assert hub.shop.chain.paid_by(address) == []
