"""Receipts: how each stands in the first answer, and which one may take another's place."""

from __future__ import annotations

from typing import Any

import pytest

from jecp_mcp.wire.x402.assets import SANDBOX_ASSET
from tests.flow402_house import GovernedHouse

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

QR = "/qr-code?text=x"
BACK = ("refunded", "void", "expired_unconfirmed")
FULL, LESS = "4.998", "5.00"
"""What the limits leave after a purchase that stands, and after one whose money came back."""


async def _left(home: GovernedHouse) -> str:
    """What the day's limit leaves."""
    wallet = await home.call("jecp_wallet")
    [day] = [one for one in wallet["limits"] if one["limit"].startswith("daily")]
    return str(day["remaining_usdc"])


@pytest.mark.parametrize("status", ["provisional", "confirmed"])
async def test_a_receipt_that_stands_in_the_first_answer_is_told_as_paid(home: GovernedHouse, status: str) -> None:
    home.plane.next_receipt(status)
    assert (await home.buy(QR))["status"] == 200
    receipt = home.seen[-1]["receipt"]
    assert (receipt["charged"], receipt["amount_usdc"], "refunded_usdc" in receipt) == ("yes", "0.002", False)
    assert home.told.startswith("Paid 0.002 USDC to ")
    assert "came back" not in home.told
    row = await home.row()
    assert (row.state.value, row.charged, row.refunded) == ("settled", 2_000, 0)
    assert (row.look_again_at is None) is (status == "confirmed")
    assert await _left(home) == FULL


@pytest.mark.parametrize("status", BACK)
async def test_a_receipt_that_does_not_stand_in_the_first_answer_is_told_as_money_that_came_back(
    home: GovernedHouse, status: str
) -> None:
    home.plane.next_receipt(status)
    prepared = await home.prepare(QR)
    assert (await home.execute(prepared))["status"] == 200
    receipt = home.seen[-1]["receipt"]
    assert (receipt["charged"], receipt["amount_usdc"], receipt["refunded_usdc"]) == ("yes", "0.002", "0.002")
    assert "All of it came back, and counts as spent no more" in home.told.splitlines()[0]
    row = await home.row()
    assert (row.state.value, row.charged, row.refunded) == ("settled", 2_000, 2_000)
    assert (row.look_again_at is None) is (status == "refunded"), "the others may yet turn out to have been paid"
    assert await _left(home) == LESS
    await home.result(prepared)
    assert home.seen[-1]["receipt"]["refunded_usdc"] == "0.002", "so it is told whenever it is asked for"


@pytest.mark.parametrize("status", BACK)
async def test_money_that_came_back_from_a_merchant_that_failed_is_told_so(home: GovernedHouse, status: str) -> None:
    prepared = await home.prepare(QR)
    home.plane.next_receipt(status)
    home.shop.merchant.fault("settled_4xx", "/qr-code", status=410)
    failed = await home.execute(prepared)
    assert (failed["error"]["code"], failed["charged"]) == ("PAID_AND_REFUSED", "yes")
    assert failed["error"]["message"].endswith("It was charged. By its receipt all of it came back.")
    assert await _left(home) == LESS
    later = await home.result(prepared)
    assert later["refunded_usdc"] == "0.002"
    assert later["message"].endswith("All of it came back, and counts as spent no more.")


@pytest.mark.parametrize("status", ["confirmed", *BACK])
async def test_a_receipt_of_the_same_payment_takes_anothers_place(home: GovernedHouse, status: str) -> None:
    await home.buy(QR)
    home.plane.turn_receipt(str((await home.row()).reference), status, createdAt="2026-11-27T10:00:00.000Z")
    home.pass_time(31)
    await home.bridge.calls.recover()
    row = await home.row()
    assert (row.charged, row.refunded) == (2_000, 2_000 if status in BACK else 0)
    assert await _left(home) == (LESS if status in BACK else FULL)


def _money(minor: int) -> dict[str, Any]:
    amount = f"0.{minor:06d}"
    return {
        "asset": SANDBOX_ASSET.address,
        "amount": amount,
        "amountMinor": str(minor),
        "precision": 6,
        "unit": "minor",
    }


@pytest.mark.parametrize(
    "other",
    [
        {"paidRequestId": "99999999-2222-4333-8444-555555555555"},
        {"requestUrl": "https://another.example/qr-code"},
        {"merchantId": "another"},
        {"money": _money(2_001)},
    ],
    ids=lambda other: next(iter(other)),
)
@pytest.mark.parametrize("status", BACK)
async def test_a_receipt_of_another_payment_gives_no_money_back(
    home: GovernedHouse, status: str, other: dict[str, Any]
) -> None:
    await home.buy(QR)
    home.plane.turn_receipt(str((await home.row()).reference), status, **other)
    home.pass_time(31)
    await home.bridge.calls.recover()
    row = await home.row()
    assert (row.charged, row.refunded) == (2_000, 0)
    assert row.look_again_at is not None, "it is looked at again"
    assert "of another payment" in str(row.evidence)
    assert await _left(home) == FULL


async def test_a_dearer_receipt_in_anothers_place_is_charged_and_said(home: GovernedHouse) -> None:
    await home.buy(QR)
    home.plane.turn_receipt(str((await home.row()).reference), "confirmed", money=_money(2_500))
    home.pass_time(31)
    await home.bridge.calls.recover()
    row = await home.row()
    assert (row.charged, row.refunded, row.look_again_at) == (2_500, 0, None)


async def test_a_receipt_replaced_again_and_again_is_left_for_later(home: GovernedHouse) -> None:
    await home.buy(QR)
    reference = str((await home.row()).reference)
    home.plane.turn_receipt(reference, "void", supersededByReceiptId=reference)
    home.pass_time(31)
    await home.bridge.calls.recover()
    row = await home.row()
    assert (row.refunded, row.look_again_at is None) == (0, False)
    assert "again and again" in str(row.evidence)
