"""The agent's account at a Hub: found in either dialect, and clear when it cannot be had."""

from __future__ import annotations

import socket

import pytest

from jecp_mcp.errors import PayeeError
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.jecp.client import HubRefused
from jecp_mcp.rails.jecp.payload import unpack
from tests.faults.rails.raw_hub import IDENTITY, KEY, bench, fails, raw_hub, says, vanishes

pytestmark = pytest.mark.anyio

AGENT = {"agent_id": "jdb_ag_aaaaaaaaaaaaaaaa", "api_key": "jdb_ak_bbbbbbbbbbbbbbbb", "free_calls_remaining": 100}
SESSION = {"url": "https://checkout.stripe.com/c/1", "sessionId": "cs_1"}
NOT_HERE = says(b"<html>404</html>", "404 Not Found", kind="text/html")


async def test_an_account_is_made_on_either_dialects_path() -> None:
    async with raw_hub(says(AGENT, "201 Created")) as hub, bench(hub.url, identity=None) as parts:
        made = await parts.client.register("mine")
        assert (hub.heard[0].path, hub.heard[0].json["name"]) == ("/api/agents/register", "mine")
        assert "x-api-key" not in hub.heard[0].headers
    assert (made.agent_id, made.api_key, made.free_calls_remaining) == (AGENT["agent_id"], AGENT["api_key"], 100)
    assert made.api_key not in repr(made)
    async with raw_hub(NOT_HERE, says(AGENT)) as hub, bench(hub.url, identity=None) as parts:
        assert (await parts.client.register("mine")).agent_id == AGENT["agent_id"]
        assert [heard.path for heard in hub.heard] == ["/api/agents/register", "/api/agent/register"]


async def test_a_payment_link_comes_from_either_dialects_path() -> None:
    async with raw_hub(NOT_HERE, says(SESSION)) as hub, bench(hub.url) as parts:
        assert (await parts.client.topup(20)).url == SESSION["url"]
        assert [heard.path for heard in hub.heard] == ["/api/agents/topup", "/api/agent/topup"]
        assert hub.heard[1].json == {"amount": 20}
        assert hub.heard[1].headers["x-api-key"] == KEY


async def test_the_guide_says_where_things_are_and_is_asked_once() -> None:
    guide = {
        "vendor_prefix": "jdb",
        "endpoints": {"invoke": "https://elsewhere.example/v2/invoke"},
        "register_endpoint": "https://elsewhere.example/accounts",
    }
    async with raw_hub(says(guide), says(AGENT)) as hub, bench(hub.url, identity=None) as parts:
        await parts.client.discover()
        await parts.client.register("mine")
        assert [heard.path for heard in hub.heard] == ["/.well-known/agent-guide.json", "/accounts"]
        assert unpack(parts.request().payload).path == "/v2/invoke"


@pytest.mark.parametrize("script", [NOT_HERE, vanishes, says(b"[]"), says(b"{", "200 OK")])
@pytest.mark.requirement("DISCOVERY-4.3-1")
async def test_a_hub_without_a_guide_gets_the_protocols_defaults(script: object) -> None:
    async with raw_hub(script) as hub, bench(hub.url) as parts:  # type: ignore[arg-type]
        guide = await parts.client.discover()
        assert guide.paths["invoke"] == "/v1/invoke"
        assert unpack(parts.request().payload).path == "/v1/invoke"


async def test_a_refusal_is_raised_with_all_the_hub_said() -> None:
    async with raw_hub(fails("RATE_LIMITED", "429 Slow", "Retry-After: 30")) as hub, bench(hub.url) as parts:
        with pytest.raises(HubRefused) as caught:
            await parts.client.topup(5)
    assert (caught.value.code, caught.value.refusal.retry_after_seconds) == ("RATE_LIMITED", 30)


async def test_an_unknown_agent_is_not_taken_for_an_unknown_path() -> None:
    async with raw_hub(fails("AGENT_NOT_FOUND", "404 Not Found")) as hub, bench(hub.url) as parts:
        with pytest.raises(HubRefused, match="AGENT_NOT_FOUND"):
            await parts.client.topup(5)
        assert len(hub.heard) == 1


async def test_a_refund_is_asked_for_and_listed() -> None:
    refund = {"refund_id": "rf_1", "status": "requested", "transaction_id": "tx_1", "amount_usdc": "0.0045"}
    async with raw_hub(says(refund, "201 Created"), says({"refunds": [refund]})) as hub, bench(hub.url) as parts:
        asked = await parts.client.request_refund("tx_1", "wrong output")
        listed = await parts.client.refunds()
        assert [(heard.method, heard.path) for heard in hub.heard] == [("POST", "/v1/refunds"), ("GET", "/v1/refunds")]
        assert hub.heard[0].json == {"transaction_id": "tx_1", "reason": "wrong output"}
        assert hub.heard[1].headers["x-agent-id"] == IDENTITY.agent_id
    assert (asked.refund_id, asked.amount) == ("rf_1", MicroUSDC(4_500))
    assert [one.refund_id for one in listed] == ["rf_1"]


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (vanishes, "HUB_UNREACHABLE"),
        (NOT_HERE, "HUB_MISBEHAVED"),
        (says(b"<html>"), "HUB_MISBEHAVED"),
        (says({"url": 7}), "HUB_MISBEHAVED"),
        (says(b"", "302 Found", "Location: https://evil.example/"), "HUB_MISBEHAVED"),
    ],
)
async def test_a_hub_that_gives_no_link_is_a_clear_error(script: object, code: str) -> None:
    async with raw_hub(script) as hub, bench(hub.url) as parts:  # type: ignore[arg-type]
        with pytest.raises(PayeeError, match=code) as caught:
            await parts.client.topup(5)
    assert KEY not in str(caught.value)
    assert "othing was charged" in str(caught.value)


async def test_without_an_account_there_is_no_wallet() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        async with bench(url, identity=None) as parts:
            for call in (parts.client.topup(5), parts.client.request_refund("tx", "why"), parts.client.refunds()):
                with pytest.raises(PayeeError, match="CREDENTIALS_MISSING"):
                    await call
        async with bench(url) as parts:
            with pytest.raises(PayeeError, match="HUB_UNREACHABLE"):
                await parts.client.topup(5)
