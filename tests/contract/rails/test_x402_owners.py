"""Calls at a Hub for which a payment may be signed: whoever cannot find out about them leaves them to who can."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from jecp_mcp import CallInDoubtError, JecpClient, Mandate
from jecp_mcp.client import agent
from tests.hub_x402_house import EITHER, PRICE, House, X402Hub, house, x402_hub
from tests.x402_sandbox import serving

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
def hub() -> Iterator[X402Hub]:
    with serving() as shop, x402_hub(shop) as served:
        yield served


async def rounds(home: House) -> None:
    await home.bridge.calls.recover()
    await home.bridge.ledger.flush()


async def lose(home: House) -> str:
    """Make a call whose payment is taken and whose answer is lost; its id."""
    home.hub.wallet("0")
    home.hub.fault("drop_after_charge")
    lost = await home.call(EITHER)
    home.hub.put_right()
    assert lost["charged"] == "unknown", lost
    return str(lost["call_id"])


async def still_fetched(home: House) -> None:
    """See that the process with the payer's key brings the answer that was paid for, beside all others."""
    await rounds(home)
    again = await home.call(EITHER)
    assert again.get("receipt", {}).get("charged") == "yes", again
    assert (await home.books(), home.paid) == (("reconciled_charged", PRICE, PRICE), [PRICE])


@pytest.mark.parametrize("key", [None, secrets.token_bytes(32)], ids=["no key", "another key"])
async def test_a_server_that_cannot_look_for_a_payment_leaves_it_to_the_one_that_can(
    tmp_path: Path, hub: X402Hub, monkeypatch: pytest.MonkeyPatch, key: bytes | None
) -> None:
    secret = secrets.token_bytes(32)
    async with house(tmp_path, hub, monkeypatch, secret=secret) as home:
        call_id = await lose(home)
    async with house(tmp_path, hub, monkeypatch, secret=key, key=key is not None) as other:
        await rounds(other)
        told = await other.call("jecp_status", call_id=call_id)
        assert (told["charged"], told["next_action"]["actor"]) == ("unknown", "operator"), told
        assert "by a wallet whose key is not here" in told["message"]
        same = await other.call(EITHER)
        assert (same["error"]["code"], same["charged"]) == ("ACCOUNT_NOT_HERE", "unknown"), same
        assert await other.books() == ("in_doubt", PRICE, 0)
        async with house(tmp_path, hub, monkeypatch, secret=secret) as home:
            await still_fetched(home)


async def test_once_a_payment_cannot_be_taken_any_more_whoever_has_the_account_looks_for_it(
    tmp_path: Path, hub: X402Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path, hub, monkeypatch) as home:
        await lose(home)
    async with house(tmp_path, hub, monkeypatch, key=False) as other:
        other.pass_time(700)
        for _ in range(2):
            await rounds(other)
        row = await other.row()
        assert row.owner == other.bridge.ledger.session
        assert (row.state.value, row.charged) == ("reconciled_charged", PRICE), "the chain says so"


async def test_a_program_leaves_a_servers_payment_to_the_server(
    tmp_path: Path, hub: X402Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = secrets.token_bytes(32)
    async with house(tmp_path, hub, monkeypatch, secret=secret) as home:
        call_id, clock = await lose(home), home.clock
    monkeypatch.setattr(agent, "SystemClock", lambda: clock)
    mandate = Mandate(tmp_path / "ledger.sqlite", daily_usdc="5", per_call_usdc="0.10")
    async with JecpClient(hub.agent_id, hub.api_key, base_url=hub.url, mandate=mandate) as program:
        with pytest.raises(CallInDoubtError) as told:
            await program.find_out(call_id)
        assert told.value.code == "ACCOUNT_NOT_HERE"
        assert "by a wallet whose key is not here" in str(told.value.details["cause"])
        assert await program.open_calls() == (call_id,)
        async with house(tmp_path, hub, monkeypatch, secret=secret) as home:
            await still_fetched(home)
