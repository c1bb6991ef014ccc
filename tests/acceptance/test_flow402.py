"""Buying through a control plane through an official client and the real server, in both protocol eras."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp import Client

from jecp_mcp.settings.bootstrap_key import FILE
from jecp_mcp.settings.key_file import store_key
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET
from tests.acceptance.roads import LEGACY, MODERN, NOBODY, Road, connect_with_yes, error_of, output_of
from tests.flow402_house import Plane
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
async def buyer(road: Road, shop: PaidHttp, state: Path, **mandate: str) -> AsyncIterator[tuple[Client, list[str]]]:
    """A client, and what its person was asked; they type the price of a QR code."""
    where = shop.where["402flow"]
    store_key(state / FILE, where["bootstrap_key"])
    config = state / "config.toml"
    config.write_text(
        f"[flow402]\nbase_url = {json.dumps(where['control_plane'])}\norganization = {json.dumps(where['organization'])}\n"
        f"agent = {json.dumps(where['agent'])}\nmerchants = [{json.dumps(where['merchant'])}]\n"
        f"networks = [{json.dumps(SANDBOX_ASSET.network)}]\n"
    )
    async with connect_with_yes(road, NOBODY, state, config, "0.002", sells=False, **mandate) as (client, asked):
        yield client, asked


async def test_a_request_is_prepared_revised_bought_and_looked_up(road: Road, shop: PaidHttp, tmp_path: Path) -> None:
    url = shop.where["402flow"]["merchant"]
    async with buyer(road, shop, tmp_path) as (client, _):
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert url in tools["paid_http_prepare"].description
        lacking = output_of(await client.call_tool("paid_http_prepare", {"url": f"{url}/abstract", "json": {}}))
        assert lacking["next_action"]["type"] == "revise_request"
        given = {"url": f"{url}/abstract", "json": TEXT, "replaces": lacking["prepared_id"]}
        step = output_of(await client.call_tool("paid_http_prepare", given))["next_action"]
        bought = await client.call_tool(step["tool"], step["arguments"])
        assert output_of(bought)["body"]["total_sentences"] == 2
        assert "Paid 0.01 USDC" in "".join(getattr(one, "text", "") for one in bought.content)
        again = await client.call_tool("paid_http_result", step["arguments"])
        assert output_of(again) == output_of(bought)


async def test_a_denied_review_names_its_event_and_a_lost_answer_is_finished(
    road: Road, shop: PaidHttp, tmp_path: Path
) -> None:
    url = shop.where["402flow"]["merchant"]
    async with buyer(road, shop, tmp_path) as (client, _):
        dear = await client.call_tool("paid_http_prepare", {"url": f"{url}/pdf", "json": {"markdown": "# x"}})
        denied = error_of(await client.call_tool("paid_http_execute", {"prepared_id": output_of(dear)["prepared_id"]}))
        assert (denied["error"]["code"], denied["charged"]) == ("PAYMENT_DENIED", "no")
        assert denied["error"]["details"]["review_event_id"] in denied["error"]["message"]
        prepared = output_of(await client.call_tool("paid_http_prepare", {"url": f"{url}/qr-code?text=x"}))
        Plane(shop).fault("lost")
        lost = error_of(await client.call_tool("paid_http_execute", {"prepared_id": prepared["prepared_id"]}))
        assert (lost["error"]["code"], lost["charged"]) == ("PAYMENT_IN_DOUBT", "unknown")
        step = lost["next_action"]
        again = error_of(await client.call_tool("paid_http_prepare", {"url": f"{url}/qr-code?text=%78"}))
        assert (again["call_id"], again["charged"]) == (lost["call_id"], "unknown"), "an equivalent address is the same"
        assert output_of(await client.call_tool(step["tool"], step["arguments"]))["status"] == 200


async def test_a_new_payee_is_approved_in_the_host(road: Road, shop: PaidHttp, tmp_path: Path) -> None:
    url = shop.where["402flow"]["merchant"]
    async with buyer(road, shop, tmp_path, approve_new_payees="true") as (client, asked):
        prepared = output_of(await client.call_tool("paid_http_prepare", {"url": f"{url}/qr-code?text=x"}))
        arguments = {"prepared_id": prepared["prepared_id"]}
        assert output_of(await client.call_tool("paid_http_execute", arguments))["status"] == 200
        assert len(asked) == 1
        assert url in asked[0]
