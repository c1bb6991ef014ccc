"""Lost answers, pages of proxies, refused tokens, replays, restarts: one decision a call, and receipts to their end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.flow402_house import GovernedHouse, Plane, governed, governed_settings
from tests.x402_sandbox import PaidHttp

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

QR = "/qr-code?text=x"
BACK = ("refunded", "void", "expired_unconfirmed")


def _account(home: GovernedHouse) -> str:
    where = home.plane.where
    return f"{where['control_plane']} {where['organization']}/{where['agent']}"


async def asked(home: GovernedHouse) -> int:
    """How often the one call's decision was asked for."""
    return int(home.plane.seen()["asked"].count(await home.key()))


@pytest.mark.parametrize("mode", ["lost", "lost_page"])
async def test_an_answer_that_was_lost_is_asked_for_again_under_its_key(home: GovernedHouse, mode: str) -> None:
    prepared = await home.prepare(QR)
    home.plane.fault(mode)
    doubt = await home.execute(prepared)
    assert (doubt["error"]["code"], doubt["charged"]) == ("PAYMENT_IN_DOUBT", "unknown")
    assert await home.made() == {"paid": True, "amount": 2_000, "outcome": "allow"}
    done = await home.result(prepared)
    assert done["status"] == 200
    assert await home.books() == ("reconciled_charged", 2_000, 2_000)
    assert await asked(home) == 2
    assert len([one for one in home.plane.seen()["decisions"] if one == await home.key()]) == 1


async def test_a_page_in_the_place_of_a_decision_proves_nothing(home: GovernedHouse) -> None:
    prepared = await home.prepare(QR)
    home.plane.fault("html")
    assert (await home.execute(prepared))["charged"] == "unknown"
    assert (await home.result(prepared))["status"] == 200
    assert await asked(home) == 1


async def test_a_refusal_of_the_request_releases_the_only_attempt_and_no_other(home: GovernedHouse) -> None:
    prepared = await home.prepare(QR)
    home.plane.fault("problem")
    refused = await home.execute(prepared)
    assert (refused["error"]["code"], refused["charged"]) == ("CONTROL_PLANE_REFUSED", "no")
    assert refused["error"]["details"]["control_plane_says"] == "No."
    assert await home.books() == ("released", 2_000, 0)
    home.plane.fault("lost")
    again = await home.prepare(QR)
    assert (await home.execute(again))["charged"] == "unknown"
    home.plane.fault("problem")
    assert (await home.result(again))["charged"] == "unknown", "what was lost before it may have been paid"
    assert (await home.result(again))["status"] == 200


async def test_a_token_that_is_refused_in_mid_call_is_renewed_once(home: GovernedHouse) -> None:
    prepared = await home.prepare(QR)
    exchanged = home.plane.seen()["exchanges"]
    home.plane.expire_tokens()
    assert (await home.execute(prepared))["status"] == 200
    assert home.plane.seen()["exchanges"] == exchanged + 1
    assert await asked(home) == 1
    assert (await home.row()).attempts == 2


async def test_a_token_that_is_refused_again_and_again_releases_the_call(home: GovernedHouse) -> None:
    prepared = await home.prepare(QR)
    home.plane.fault("unauthorized")
    home.plane.fault("unauthorized")
    refused = await home.execute(prepared)
    assert (refused["error"]["code"], refused["charged"]) == ("CONTROL_PLANE_REFUSED", "no")
    assert await home.books() == ("released", 2_000, 0)
    assert await asked(home) == 0


async def test_a_token_is_exchanged_for_the_next_before_it_ends_and_once_for_many(home: GovernedHouse) -> None:
    before = home.plane.seen()["exchanges"]
    prices = []

    async def prepare(number: int) -> None:
        prices.append(await home.prepare(f"/qr-code?text={number}"))

    async with anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(prepare, number)
    assert home.plane.seen()["exchanges"] == before + 1
    home.clock.ahead += 200
    await prepare(7)
    assert home.plane.seen()["exchanges"] == before + 1
    home.clock.ahead += 71
    await prepare(8)
    assert home.plane.seen()["exchanges"] == before + 2


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ("html", "CONTROL_PLANE_UNREACHABLE"),
        ("problem", "CONTROL_PLANE_REFUSED"),
        ("lost", "CONTROL_PLANE_UNREACHABLE"),
    ],
)
async def test_without_a_token_nothing_is_asked_and_nobody_is_probed(home: GovernedHouse, mode: str, code: str) -> None:
    visits = len(home.shop.merchant.visits())
    home.plane.fault(mode, on="tokens")
    refused = await home.prepare(QR)
    assert (refused["error"]["code"], refused["charged"]) == (code, "no")
    assert len(home.shop.merchant.visits()) == visits
    assert await home.rows() == []


async def test_a_token_that_cannot_be_renewed_in_mid_call_releases_it(home: GovernedHouse) -> None:
    prepared = await home.prepare(QR)
    home.plane.fault("unauthorized")
    home.plane.fault("html", on="tokens")
    refused = await home.execute(prepared)
    assert (refused["error"]["code"], refused["charged"]) == ("CONTROL_PLANE_UNREACHABLE", "no")
    assert await home.books() == ("released", 2_000, 0)


async def test_many_executions_at_once_are_one_decision(home: GovernedHouse) -> None:
    prepared = await home.prepare(QR)
    found: list[dict[str, Any]] = []

    async def execute() -> None:
        found.append(await home.execute(prepared))

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(execute)
    assert [one["status"] for one in found] == [200] * 8
    assert await asked(home) == 1


async def test_the_same_key_with_another_request_is_refused_and_the_first_decision_stands(
    home: GovernedHouse, shop: PaidHttp
) -> None:
    assert (await home.buy(QR))["status"] == 200
    before = await home.made()
    token = shop.http.post(
        f"{home.plane.where['control_plane']}/api/sdk/runtime-tokens",
        headers={"authorization": f"Bearer {home.plane.where['bootstrap_key']}", "x-402flow-sdk-version": "0.1.2"},
    ).json()["token"]
    body = {
        "context": {"organization": "sandbox-org", "agent": "sandbox-agent"},
        "request": {"url": f"{home.shop.url}/pdf", "method": "POST"},
        "challenge": {"protocol": "x402", "headers": {}},
        "idempotencyKey": await home.key(),
    }
    answer = shop.http.post(
        f"{home.plane.where['control_plane']}/api/sdk/payment-decisions",
        headers={"authorization": f"Bearer {token}", "x-402flow-sdk-version": "0.1.2"},
        json=body,
    )
    assert (answer.status_code, answer.json()["message"][:20]) == (409, "The idempotency key ")
    assert await home.made() == before


async def test_a_provisional_receipt_is_followed_until_it_is_confirmed(home: GovernedHouse) -> None:
    await home.buy(QR)
    row = await home.row()
    assert row.look_again_at is not None
    home.pass_time(31)
    await home.bridge.calls.recover()
    row = await home.row()
    assert (row.look_again_at, row.charged, row.refunded) == (None, 2_000, 0)
    assert "confirmed" in str(row.evidence)


@pytest.mark.parametrize("status", BACK)
async def test_money_that_comes_back_returns_to_its_windows(home: GovernedHouse, status: str) -> None:
    await home.buy(QR)
    assert home.seen[-1]["receipt"]["remaining_usdc"] == "4.998"
    row = await home.row()
    home.plane.turn_receipt(str(row.reference), status)
    home.pass_time(31)
    await home.bridge.calls.recover()
    row = await home.row()
    assert (row.look_again_at is None, row.charged, row.refunded) == (status == "refunded", 2_000, 2_000)
    await home.buy("/qr-code?text=y")
    assert home.seen[-1]["receipt"]["remaining_usdc"] == "4.998"


@pytest.mark.parametrize("status", ["void", "expired_unconfirmed"])
async def test_money_that_was_paid_after_all_counts_again(home: GovernedHouse, status: str) -> None:
    await home.buy(QR)
    reference = str((await home.row()).reference)
    home.plane.turn_receipt(reference, status)
    home.pass_time(31)
    await home.bridge.calls.recover()
    assert (await home.row()).refunded == 2_000
    home.plane.turn_receipt(reference, "confirmed")
    home.pass_time(120)
    await home.bridge.calls.recover()
    row = await home.row()
    assert (row.look_again_at, row.charged, row.refunded) == (None, 2_000, 0)


async def test_a_network_taken_out_since_is_not_paid_on(home: GovernedHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = await home.prepare(QR)
    rail: Any = home.bridge.calls._rails.serving("402flow", _account(home))
    monkeypatch.setattr(rail, "_settings", rail._settings.model_copy(update={"networks": ("eip155:8453",)}))
    refused = await home.execute(prepared)
    assert (refused["error"]["code"], refused["charged"]) == ("PAYMENT_NOT_POSSIBLE", "no")
    assert await home.books() == ("released", 2_000, 0)
    assert await home.made() == {}


async def test_a_round_gives_up_on_receipts_that_are_not_given(home: GovernedHouse) -> None:
    for number in range(5):
        await home.buy(f"/qr-code?text={number}")
    for _ in range(5):
        home.plane.fault("html", on="receipts")
    home.pass_time(31)
    assert await home.bridge.calls._upkeep.recover(), "after three in vain the others are left for a while"
    assert len([row for row in await home.rows() if "the receipt cannot be read" in str(row.evidence)]) == 3


@pytest.mark.parametrize("wrong", ["html", "problem", "lost", "unauthorized"])
async def test_a_receipt_that_cannot_be_read_now_is_looked_at_again(home: GovernedHouse, wrong: str) -> None:
    await home.buy(QR)
    home.plane.fault(wrong, on="receipts")
    home.pass_time(31)
    await home.bridge.calls.recover()
    row = await home.row()
    if wrong == "unauthorized":
        assert row.look_again_at is None, "the token was renewed"
    else:
        assert row.look_again_at is not None
        home.pass_time(120)
        await home.bridge.calls.recover()
        assert (await home.row()).look_again_at is None
    assert (await home.row()).refunded == 0


async def test_a_receipt_is_followed_across_a_restart(
    tmp_path: Path, shop: PaidHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with governed(tmp_path, shop, monkeypatch) as home:
        await home.buy(QR)
        reference = str((await home.row()).reference)
    Plane(shop).turn_receipt(reference, "refunded")
    async with governed(tmp_path, shop, monkeypatch) as home:
        home.pass_time(31)
        await home.bridge.calls.recover()
        row = await home.row()
        assert (row.reference, row.refunded, row.look_again_at) == (reference, 2_000, None)


async def test_a_lost_answer_is_finished_after_a_restart_without_the_merchant_being_asked_for_its_price(
    tmp_path: Path, shop: PaidHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with governed(tmp_path, shop, monkeypatch) as home:
        prepared = await home.prepare(QR)
        home.plane.fault("lost")
        await home.execute(prepared)
        visits = len(shop.merchant.visits())
    async with governed(tmp_path, shop, monkeypatch) as home:
        home.pass_time(10)
        await home.bridge.calls.recover()
        assert await home.books() == ("reconciled_charged", 2_000, 2_000)
        assert (await home.execute(prepared))["status"] == 200, "its answer was kept"
        assert len(shop.merchant.visits()) == visits
        assert await asked(home) == 2


async def test_another_account_does_not_finish_what_this_one_asked_for(
    tmp_path: Path, shop: PaidHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with governed(tmp_path, shop, monkeypatch) as home:
        prepared = await home.prepare(QR)
        home.plane.fault("lost")
        await home.execute(prepared)
        key = await home.key()
    async with governed(tmp_path, shop, monkeypatch, agent="another-agent") as home:
        home.pass_time(10)
        await home.bridge.calls.recover()
        assert (await home.row()).state.value in {"sent", "in_doubt"}
        assert home.plane.seen()["asked"].count(key) == 1
        other = await home.prepare("/qr-code?text=other")
        refused = await home.execute(other)
        assert (refused["error"]["code"], refused["charged"]) == ("CONTROL_PLANE_REFUSED", "no")


async def test_what_was_prepared_by_another_road_is_prepared_anew(
    tmp_path: Path, shop: PaidHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with governed(tmp_path, shop, monkeypatch) as home:
        prepared = await home.prepare(QR)
        tools = home.bridge.dispatcher._deps.paid_http
        assert tools is not None
        tools._roads = [replace(road, summarise=_of_another) for road in tools._roads]
        refused = await home.execute(prepared)
        assert (refused["error"]["code"], refused["charged"]) == ("PREPARED_NOT_FOUND", "no")


def _of_another(payload: bytes) -> Any:
    from jecp_mcp.rails.x402.payload import summary_of

    return summary_of(payload)


def test_secrets_are_shown_nowhere(shop: PaidHttp) -> None:
    key = shop.where["402flow"]["bootstrap_key"]
    assert key not in str(governed_settings(shop).model_dump())
