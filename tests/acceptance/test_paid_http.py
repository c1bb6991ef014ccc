"""Buying from a merchant through an official client and the real server, in both protocol eras."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp import Client

from jecp_mcp.settings.wallet_key import SANDBOX_FILE, store_wallet_key
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from tests.acceptance.roads import LEGACY, MODERN, NOBODY, Road, connect_with_yes, error_of, output_of
from tests.x402_sandbox import PaidHttp, serving

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

TEXT = {"text": "A short text about nothing in particular. It has two sentences."}


@pytest.fixture(scope="module")
def shop() -> Iterator[PaidHttp]:
    with serving() as served:
        yield served


@pytest.fixture(params=[LEGACY, MODERN], ids=["2025", "2026"])
def road(request: pytest.FixtureRequest) -> Road:
    return Road("stdio", request.param)


@asynccontextmanager
async def buyer(
    road: Road, shop: PaidHttp, state: Path, **mandate: str
) -> AsyncIterator[tuple[Client, str, list[str]]]:
    """A client, the address it pays from, and what its person was asked; they type the price of a QR code."""
    secret = secrets.token_bytes(32)
    address = PrivateKey(secret).address
    shop.http.post(shop.where["faucet"], json={"address": address}).raise_for_status()
    store_wallet_key(state / SANDBOX_FILE, secret)
    network = SANDBOX_ASSET.network
    config = state / "config.toml"
    config.write_text(
        f"[paid_http]\nmerchants = [{json.dumps(shop.url)}]\nnetworks = [{json.dumps(network)}]\n"
        f"rpc = {{ {json.dumps(network)} = {json.dumps(shop.rpc)} }}\n"
    )
    async with connect_with_yes(road, NOBODY, state, config, "0.002", sells=False, **mandate) as (client, asked):
        yield client, address, asked


async def test_a_request_is_prepared_revised_bought_and_looked_up(road: Road, shop: PaidHttp, tmp_path: Path) -> None:
    async with buyer(road, shop, tmp_path) as (client, address, _):
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert shop.url in tools["paid_http_prepare"].description
        lacking = output_of(await client.call_tool("paid_http_prepare", {"url": f"{shop.url}/abstract", "json": {}}))
        assert lacking["next_action"]["type"] == "revise_request"
        given = {"url": f"{shop.url}/abstract", "json": TEXT, "replaces": lacking["prepared_id"]}
        prepared = output_of(await client.call_tool("paid_http_prepare", given))
        step = prepared["next_action"]
        bought = await client.call_tool(step["tool"], step["arguments"])
        assert output_of(bought)["body"]["total_sentences"] == 2
        assert "Paid 0.01 USDC" in "".join(getattr(one, "text", "") for one in bought.content)
        again = await client.call_tool(step["tool"], step["arguments"])
        assert output_of(again) == output_of(bought), "a host that retries by itself pays once"
        found = await client.call_tool("paid_http_result", step["arguments"])
        assert output_of(found) == output_of(bought)
        assert f"Bought earlier, not bought again: paid 0.01 USDC to {shop.url}" in "".join(
            getattr(one, "text", "") for one in found.content
        )
        assert shop.chain.paid_by(address) == [10_000]
        refused = error_of(await client.call_tool("paid_http_prepare", {"url": "https://elsewhere.example/"}))
        assert (refused["error"]["code"], refused["charged"]) == ("MERCHANT_NOT_LISTED", "no")


async def test_a_new_payee_is_approved_in_the_host(road: Road, shop: PaidHttp, tmp_path: Path) -> None:
    async with buyer(road, shop, tmp_path, approve_new_payees="true") as (client, address, asked):
        prepared = output_of(await client.call_tool("paid_http_prepare", {"url": f"{shop.url}/qr-code?text=x"}))
        assert "the user is asked here" in prepared["next_action"]["hint"]
        arguments = {"prepared_id": prepared["prepared_id"]}
        assert output_of(await client.call_tool("paid_http_execute", arguments))["status"] == 200
        assert len(asked) == 1
        assert shop.url in asked[0]
        assert shop.chain.paid_by(address) == [2_000]
        once_more = output_of(await client.call_tool("paid_http_prepare", {"url": f"{shop.url}/qr-code?text=y"}))
        assert once_more["next_action"]["tool"] == "paid_http_execute", "who was paid once is known"


@pytest.mark.parametrize(
    ("section", "used"), [("", False), ("[paid_http]\nmerchants = ['https://a.example.com']", True)]
)
def test_a_start_that_pays_no_merchant_imports_nothing_of_it(tmp_path: Path, section: str, used: bool) -> None:
    (tmp_path / "config.toml").write_text(section)
    code = (
        "import sys, anyio; from pathlib import Path; from jecp_mcp.cli.assembly import build\n"
        "from jecp_mcp.cli.options import start\n"
        "async def main():\n"
        "    async with build(start(None, Path('config.toml'), Path('state'))): pass\n"
        "anyio.run(main)\n"
        "rooms = ('jecp_mcp.rails.x402', 'jecp_mcp.wire.x402', 'jecp_mcp.http_gate', 'coincurve', 'Crypto', 'httpx2')\n"
        "print([one for one in sys.modules if one.startswith(rooms)])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ("jecp_mcp.rails.x402.rail" in done.stdout) is used, done.stderr
    assert used or done.stdout.strip() == "[]"


async def test_a_lost_answer_is_finished_with_one_transfer(road: Road, shop: PaidHttp, tmp_path: Path) -> None:
    async with buyer(road, shop, tmp_path) as (client, address, _):
        prepared = output_of(await client.call_tool("paid_http_prepare", {"url": f"{shop.url}/abstract", "json": TEXT}))
        shop.merchant.fault("cut", "/abstract", settles=True)
        arguments = {"prepared_id": prepared["prepared_id"]}
        lost = error_of(await client.call_tool("paid_http_execute", arguments))
        assert (lost["error"]["code"], lost["charged"]) == ("PAYMENT_IN_DOUBT", "unknown")
        step = lost["next_action"]
        same = {"url": f"{shop.url}/%61bstr%61ct?", "json": TEXT}
        again = error_of(await client.call_tool("paid_http_prepare", same))
        assert (again["call_id"], again["charged"]) == (lost["call_id"], "unknown"), "an equivalent address is the same"
        found = await client.call_tool(step["tool"], step["arguments"])
        assert output_of(found)["status"] == 200
        assert f"Bought earlier, not bought again: paid 0.01 USDC to {shop.url}" in "".join(
            getattr(one, "text", "") for one in found.content
        )
        assert shop.chain.paid_by(address) == [10_000]
