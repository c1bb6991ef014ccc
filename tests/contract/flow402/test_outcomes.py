"""Buying through a control plane as a model does: every outcome, and the end that each has in the books."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from jecp_mcp.cli import assembly
from jecp_mcp.cli.assembly import build
from jecp_mcp.clock import SystemClock
from jecp_mcp.settings.wallet_key import WalletKey
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from tests.flow402_house import GovernedHouse, governed, governed_house, started
from tests.paid_http_house import TEXT, TurnedClock, sandbox_settings
from tests.x402_sandbox import PaidHttp

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

QR = "/qr-code?text=x"


async def test_a_request_is_priced_paid_by_the_control_plane_and_answered_once(home: GovernedHouse) -> None:
    prepared = await home.prepare("/abstract", json=TEXT)
    assert (prepared["kind"], prepared["payment"]["amount_usdc"], prepared["charged"]) == ("ready", "0.01", "no")
    assert prepared["payment"]["paid_by"] == "402flow"
    assert home.plane.seen()["decisions"].keys() & {row.call_id for row in await home.rows()} == set()
    bought = await home.execute(prepared)
    assert (bought["status"], bought["body"]["total_sentences"]) == (200, 2)
    assert f"Paid 0.01 USDC to {home.shop.url}" in home.told
    assert await home.execute(prepared) == bought, "asked again, it gives the same result"
    assert (await home.result(prepared))["body"] == bought["body"]
    assert await home.books() == ("settled", 10_000, 10_000)
    row = await home.row()
    where = home.plane.where
    assert (row.rail, row.account) == ("402flow", f"{where['control_plane']} sandbox-org/sandbox-agent")
    assert home.plane.seen()["asked"].count(row.call_id) == 1
    assert await home.made() == {"paid": True, "amount": 10_000, "outcome": "allow"}


async def test_a_request_that_lacks_a_field_is_not_paid_for(home: GovernedHouse) -> None:
    prepared = await home.prepare("/abstract", json={})
    assert prepared["next_action"]["type"] == "revise_request"
    refused = await home.execute(prepared)
    assert (refused["error"]["code"], refused["charged"]) == ("PREPARED_INCOMPLETE", "no")


async def test_what_asks_for_nothing_is_handed_back(home: GovernedHouse) -> None:
    free = await home.prepare("/offers/free")
    assert free["status"] == 200
    assert await home.books() == ("released", 0, 0)


@pytest.mark.parametrize(
    ("script", "code", "actor"),
    [
        ("deny", "PAYMENT_DENIED", "operator"),
        ("review", "PAYMENT_DENIED", "operator"),
        ("preflight_failed", "PAYMENT_NOT_POSSIBLE", "agent"),
    ],
)
async def test_what_is_not_paid_is_released(home: GovernedHouse, script: str, code: str, actor: str) -> None:
    home.plane.script(script)
    refused = await home.buy(QR)
    assert (refused["error"]["code"], refused["charged"]) == (code, "no")
    assert refused["next_action"]["actor"] == actor
    assert ("review_event_id" in refused["error"]["details"]) is (script == "review")
    assert await home.books() == ("released", 2_000, 0)
    assert (await home.made())["paid"] is False


async def test_the_policy_of_the_control_plane_reviews_what_is_dear_and_ours_limits_before_it(
    home: GovernedHouse, tmp_path: Path, shop: PaidHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = await home.buy("/pdf", json={"markdown": "# x"})
    assert refused["error"]["code"] == "PAYMENT_DENIED"
    assert refused["error"]["details"]["review_event_id"] in refused["error"]["message"]
    async with governed(tmp_path / "b", shop, monkeypatch, mandate={"per_call_usdc": "0.001"}) as other:
        limited = await other.prepare(QR)
        assert (limited["error"]["code"], limited["charged"]) == ("PER_CALL_LIMIT", "no")


async def test_a_payment_on_its_way_is_asked_for_again_under_the_same_key(home: GovernedHouse) -> None:
    home.plane.script("executing")
    prepared = await home.prepare(QR)
    running = await home.execute(prepared)
    assert running["charged"] == "unknown"
    assert running["error"]["code"] == "CALL_IN_PROGRESS"
    assert (await home.row()).state.value == "sent"
    done = await home.result(prepared)
    assert done["status"] == 200
    assert await home.books() == ("settled", 2_000, 2_000)
    key = await home.key()
    assert home.plane.seen()["asked"].count(key) == 2


async def test_what_is_inconclusive_stays_held_and_is_written_off_in_the_end(home: GovernedHouse) -> None:
    home.plane.script("inconclusive")
    prepared = await home.prepare(QR)
    doubt = await home.execute(prepared)
    assert (doubt["error"]["code"], doubt["charged"]) == ("PAYMENT_IN_DOUBT", "unknown")
    assert (await home.result(prepared))["charged"] == "unknown"
    assert (await home.row()).state.value == "in_doubt"
    home.pass_time(3_400)
    await home.bridge.calls.recover()
    assert await home.books() == ("written_off", 2_000, 0)


async def test_a_merchant_that_refuses_without_a_receipt_leaves_it_in_doubt(home: GovernedHouse) -> None:
    prepared = await home.prepare(QR)
    home.shop.merchant.fault("double_402", "/qr-code")
    doubt = await home.execute(prepared)
    assert (doubt["error"]["code"], doubt["charged"]) == ("PAYMENT_IN_DOUBT", "unknown")
    assert doubt["error"]["details"]["status"] == 402
    assert (await home.made())["outcome"] == "execution_failed"
    assert (await home.row()).state.value == "in_doubt"


async def test_a_merchant_that_takes_the_money_and_fails_was_paid(home: GovernedHouse) -> None:
    prepared = await home.prepare(QR)
    home.shop.merchant.fault("settled_4xx", "/qr-code", status=410)
    failed = await home.execute(prepared)
    assert (failed["error"]["code"], failed["charged"]) == ("PAID_AND_REFUSED", "yes")
    assert failed["error"]["details"]["status"] == 410
    assert failed["next_action"]["actor"] == "human"
    assert await home.books() == ("settled", 2_000, 2_000)


async def test_a_merchant_that_breaks_off_while_it_is_paid_leaves_it_in_doubt(home: GovernedHouse) -> None:
    prepared = await home.prepare(QR)
    home.shop.merchant.fault("drop", "/qr-code")
    assert (await home.execute(prepared))["charged"] == "unknown"
    assert (await home.made())["outcome"] == "inconclusive"


@pytest.mark.parametrize("path", ["/offers/solana-only", "/offers/upto", "/offers/l402", "/offers/unknown-token"])
async def test_what_has_no_price_that_can_be_known_is_not_asked_for(home: GovernedHouse, path: str) -> None:
    before = len(home.plane.seen()["asked"])
    refused = await home.prepare(path)
    assert (refused["error"]["code"], refused["charged"]) == ("PAYMENT_NOT_POSSIBLE", "no")
    assert len(home.plane.seen()["asked"]) == before


async def test_only_what_was_looked_at_is_passed_on(home: GovernedHouse) -> None:
    prepared = await home.prepare("/offers/cheap-unsupported-first")
    assert "error" in prepared, "the dear one is all that can be paid, and above the limit"
    assert prepared["error"]["code"] == "PER_CALL_LIMIT"
    many = await home.buy("/offers/many")
    assert many["status"] == 200
    assert await home.books() == ("settled", 1_000, 1_000)


async def test_a_merchant_that_is_not_listed_is_not_asked(home: GovernedHouse) -> None:
    refused = await home.call("paid_http_prepare", url=f"{home.shop.shop.url}/qr-code?text=x")
    assert (refused["error"]["code"], refused["charged"]) == ("MERCHANT_NOT_LISTED", "no")


async def test_both_roads_pay_from_the_same_limits(
    tmp_path: Path, shop: PaidHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = secrets.token_bytes(32)
    shop.http.post(shop.where["faucet"], json={"address": PrivateKey(secret).address}).raise_for_status()
    given = started(tmp_path, shop, {"daily_usdc": "0.0045"})
    settings = given.settings.model_copy(update={"paid_http": sandbox_settings(shop).paid_http})
    clock = TurnedClock()
    clock.ahead = shop.chain.now() - SystemClock().now() // 1000
    monkeypatch.setattr(assembly, "SystemClock", lambda: clock)
    start = replace(given, settings=settings, play_wallet=WalletKey(secret, "test"))
    async with build(start) as bridge:
        home = governed_house(bridge, shop, clock)
        assert (await home.buy(QR))["status"] == 200
        by_wallet = await home.call("paid_http_prepare", url=f"{shop.url}{QR}")
        assert "pay_to" in by_wallet["payment"]
        assert (await home.execute(by_wallet))["status"] == 200
        assert [row.rail for row in await home.rows()] == ["x402", "402flow"]
        full = await home.prepare("/offers/v2")
        assert full["issues"], "what is left of the day is less than the next one costs"
        refused = await home.execute(full)
        assert (refused["error"]["code"], refused["charged"]) == ("LIMIT_REACHED", "no")
        await home.close_books()
