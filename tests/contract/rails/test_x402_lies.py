"""What a Hub says of x402 and is not so: no money is counted as free, or once instead of twice, by its word alone."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.wire.x402.values import encode_header
from tests.hub_x402_house import EITHER, ONLY, PRICE, House, X402Hub, house, x402_hub
from tests.lying_hub import Asked, Lie, LyingHub, Said, lying
from tests.x402_sandbox import serving

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

OTHER = "0x" + "11" * 20
RECEIPT = encode_header({"success": True, "transaction": "0x" + "ab" * 32, "network": "", "payer": None})


@pytest.fixture(scope="module")
def served() -> Iterator[X402Hub]:
    with serving() as shop, x402_hub(shop) as hub:
        yield hub


@pytest.fixture
def relay(served: X402Hub) -> Iterator[LyingHub]:
    served.wallet("1")
    with lying(served) as relay:
        yield relay
    served.put_right()


async def later(home: House, seconds: int = 700) -> tuple[str, int, int]:
    """How the one call stands once everything is final."""
    home.pass_time(seconds)
    for _ in range(2):
        await home.bridge.calls.recover()
        await home.bridge.ledger.flush()
    return await home.books()


def sold_once_and_cut(then: Callable[[Asked], Said | None]) -> Callable[[Asked], Said | None]:
    """A Hub that ignores the first payment, takes the price from the wallet, and says nothing."""
    seen: list[Asked] = []

    def lie(asked: Asked) -> Said | None:
        if not asked.paying:
            return asked.honestly()
        seen.append(asked)
        if len(seen) == 1:
            asked.by_wallet()
            return None
        return then(asked)

    return lie


BESIDE_THE_BOOKS = [
    ("RATE_LIMITED", 429),
    ("INVALID_API_KEY", 401),
    ("CAPABILITY_NOT_FOUND", 404),
    ("PROVIDER_UNAVAILABLE", 503),
    ("X402_NOT_ACCEPTED", 422),
]


@pytest.mark.parametrize(("code", "status"), BESIDE_THE_BOOKS)
async def test_a_wallet_that_was_charged_is_not_free_by_a_code_that_knows_no_books(
    tmp_path: Path, relay: LyingHub, monkeypatch: pytest.MonkeyPatch, code: str, status: int
) -> None:
    relay.lie = sold_once_and_cut(lambda _: Said.refusal(code, status))
    async with house(tmp_path, relay.hub, monkeypatch, "x402") as home:
        assert (await home.call(EITHER))["charged"] == "unknown"
        assert await later(home) == ("in_doubt", PRICE, 0)
        relay.lie = Asked.by_wallet
        assert await later(home) == ("reconciled_charged", PRICE, PRICE)
        assert home.paid == []


async def test_not_charged_again_leaves_what_was_lost_in_doubt(
    tmp_path: Path, relay: LyingHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(asked: Asked) -> Said:
        said = asked.by_wallet()
        said.body["billing"]["charged"] = False
        return said

    relay.lie = sold_once_and_cut(again)
    async with house(tmp_path, relay.hub, monkeypatch, "x402") as home:
        assert (await home.call(EITHER))["charged"] == "unknown"
        assert await later(home) == ("in_doubt", PRICE, 0)


@pytest.mark.parametrize("after", [Asked.honestly, lambda _: Said.refusal("INSUFFICIENT_BUDGET", 402)])
async def test_what_the_wallet_is_billed_for_beside_a_receipt_stays_charged_whatever_is_said_after(
    tmp_path: Path, relay: LyingHub, monkeypatch: pytest.MonkeyPatch, after: Lie
) -> None:
    def with_receipt(asked: Asked) -> Said:
        if not asked.paying:
            return asked.honestly()
        said = asked.by_wallet()
        said.headers["X-Payment-Response"] = RECEIPT
        return said

    relay.lie = with_receipt
    async with house(tmp_path, relay.hub, monkeypatch, "x402") as home:
        await home.call(EITHER)
        relay.lie = after
        assert await later(home) == ("reconciled_charged", PRICE, PRICE)
        assert home.paid == []
        assert (await home.row()).reference not in {None, "0x" + "ab" * 32}


@pytest.mark.parametrize("taken", [True, False])
async def test_a_refusal_that_bills_counts_beside_the_payment_until_the_chain_speaks(
    tmp_path: Path, relay: LyingHub, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    def both(asked: Asked) -> Said:
        if not asked.paying or asked.budget == 0:
            return Said.refusal("INSUFFICIENT_BUDGET", 402) if asked.paying else asked.honestly()
        if taken:
            asked.honestly()
        billing = {"charged": True, "amount_usdc": 0.005, "transaction_id": secrets.token_hex(16)}
        return Said.refusal("PROVIDER_ERROR", 502, billing=billing)

    relay.lie = both
    async with house(tmp_path, relay.hub, monkeypatch, "x402") as home:
        found = await home.call(EITHER)
        assert found["charged"] == "yes"
        assert "says that it took" not in found["error"]["message"], "the Hub named its bill, and not the payment"
        assert await home.books() == ("settled", PRICE, 2 * PRICE)
        assert await later(home) == ("settled", PRICE, 2 * PRICE if taken else PRICE)
        assert home.paid == ([PRICE] if taken else [])


@pytest.mark.parametrize("knows", [True, False])
async def test_a_charge_the_chain_does_not_know_comes_back_only_once_the_hub_knows_of_no_sale(
    tmp_path: Path, relay: LyingHub, monkeypatch: pytest.MonkeyPatch, knows: bool
) -> None:
    details = {"tx_hash": "0x" + "ab" * 32}
    reused = {"code": "X402_SETTLEMENT_REUSED", "message": "It was taken.", "details": details}
    relay.lie = lambda asked: (
        Said(409, {"jecp": "1.0", "status": "failed", "error": reused}) if asked.paying else asked.honestly()
    )
    async with house(tmp_path, relay.hub, monkeypatch, "x402") as home:
        assert (await home.call(EITHER))["charged"] == "yes"
        if knows:
            relay.lie = Asked.honestly
            assert await later(home) == ("settled", PRICE, 0)
        else:
            assert await later(home) == ("settled", PRICE, PRICE)
            assert await later(home, 86_400) == ("settled", PRICE, PRICE)
            assert (await home.row()).look_again_at is None, "the Hub is asked no more than it knows the id"


async def test_a_hubs_refund_gives_nothing_back_of_what_was_paid_by_x402(
    tmp_path: Path, relay: LyingHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path, relay.hub, monkeypatch, "x402", mandate={"daily_usdc": "0.01"}) as home:
        for number in range(4):
            await home.call(EITHER, text=str(number))
            relay.refunds = [
                {
                    "refund_id": f"rf_{row.number}",
                    "status": "auto_approved",
                    "transaction_id": row.reference,
                    "amount_usdc": "0.005",
                    "refund_amount_usdc": "0.005",
                }
                for row in await home.rows()
            ]
            assert await home.bridge.calls.note_refunds() == 0
        assert home.paid == [PRICE, PRICE], "the limit holds"
        home.pass_time(700)
        await home.bridge.calls.recover()
        assert await home.bridge.calls.note_refunds() == 0
        assert [(row.charged, row.refunded) for row in await home.rows()] == [(PRICE, 0)] * 2


async def test_a_first_question_that_was_lost_is_free_once_the_hub_knows_of_no_sale(
    tmp_path: Path, relay: LyingHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay.lie = lambda _: None
    async with house(tmp_path, relay.hub, monkeypatch, "x402") as home:
        assert (await home.call(EITHER))["charged"] == "unknown"
        relay.lie = Asked.honestly
        assert await later(home, 120) == ("reconciled_free", PRICE, 0)
        assert (await home.call(EITHER))["receipt"]["charged"] == "yes"
        assert home.paid == [PRICE]


async def test_a_question_that_was_lost_once_is_asked_again_and_paid(
    tmp_path: Path, relay: LyingHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Asked] = []

    def lost_once(one: Asked) -> Said | None:
        asked.append(one)
        return None if len(asked) == 1 else one.honestly()

    relay.lie = lost_once
    async with house(tmp_path, relay.hub, monkeypatch, "x402") as home:
        assert (await home.call(ONLY))["receipt"]["charged"] == "yes"
        assert home.paid == [PRICE]
        assert [one.budget for one in asked] == [0, 0, PRICE / 1_000_000]


@pytest.mark.parametrize("change", ["another key", "no key"])
async def test_a_payment_that_cannot_be_signed_any_more_is_found_out_about_all_the_same(
    tmp_path: Path, relay: LyingHub, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    relay.lie = lambda asked: None if asked.paying else asked.honestly()
    async with house(tmp_path, relay.hub, monkeypatch, "x402") as home:
        assert (await home.call(EITHER))["charged"] == "unknown"
    relay.lie = Asked.honestly
    secret: dict[str, Any] = {"key": False} if change == "no key" else {}
    async with house(tmp_path, relay.hub, monkeypatch, "wallet", **secret) as home:
        assert await later(home) == ("reconciled_free", PRICE, 0)


async def test_where_the_settings_know_no_such_network_the_call_is_left_to_who_can_look_for_its_payment(
    tmp_path: Path, relay: LyingHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay.lie = lambda asked: None if asked.paying else asked.honestly()
    async with house(tmp_path, relay.hub, monkeypatch, "x402") as home:
        call_id = (await home.call(EITHER))["call_id"]
    paid_http = {"networks": ["eip155:8453"], "rpc": {}}
    async with house(tmp_path, relay.hub, monkeypatch, "wallet", paid_http=paid_http) as home:
        assert await later(home) == ("in_doubt", PRICE, 0)
        found = await home.call("jecp_status", call_id=call_id)
        assert found["charged"] == "unknown"
        assert "may have been paid by a wallet whose key is not here" in found["message"]


async def test_another_recipient_than_the_first_is_refused_with_the_setting_that_lets_it_be_paid(
    tmp_path: Path, relay: LyingHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(asked: Asked) -> Said:
        said = asked.honestly()
        for one in said.body.get("payment", {}).get("accepts", ()):
            one["pay_to"] = OTHER
        return Said.refusal("X402_PAYMENT_INVALID", 422) if asked.paying else said

    async with house(tmp_path, relay.hub, monkeypatch, "x402") as home:
        relay.lie = elsewhere
        assert (await home.call(EITHER, text="one"))["charged"] == "unknown"
        relay.lie = Asked.honestly
        found = await home.call(EITHER, text="two")
        assert found["error"]["code"] == "CHALLENGE_REFUSED"
        assert "hub.x402_pay_to" in found["error"]["message"]
        assert "was paid" not in found["error"]["message"]
