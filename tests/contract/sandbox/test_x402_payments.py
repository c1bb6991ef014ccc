"""Calls paid by x402 at a sandbox Hub: what it asks for, what it takes, what it refuses, and that it takes it once."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from jecp_mcp.money import MicroUSDC
from jecp_mcp.sandbox.run import SandboxConfig
from jecp_mcp.sandbox.x402_payments import SPLITTER, Accepted
from jecp_mcp.wire.jecp.errors import parse_refusal
from jecp_mcp.wire.jecp.x402 import read_payment_challenge, read_receipt
from jecp_mcp.wire.x402.challenge import Challenge
from jecp_mcp.wire.x402.payment import payment_header
from tests.contract.sandbox.conftest import Buyer, TurnableClock, action, controlled, error, manifest, output, running
from tests.x402_sandbox import PaidHttp, Payer, serving

pytestmark = pytest.mark.slow

EITHER, ONLY = "either", "only"
UNSERVED = "lab/unserved"
"""Nobody registered to do it."""
METHODS = {EITHER: ["stripe", "x402"], ONLY: ["x402"]}


@pytest.fixture(scope="module")
def shop() -> Iterator[PaidHttp]:
    with serving() as served:
        yield served


@pytest.fixture(scope="module", params=["reference", "spec"])
def served(request: pytest.FixtureRequest, shop: PaidHttp) -> Iterator[Buyer]:
    x402 = Accepted(str(shop.where["facilitator"]))
    config = SandboxConfig(dialect=request.param, opening_balance=MicroUSDC(0), free_calls=0, x402=x402)
    with running(config) as ready, controlled(ready) as http:
        buyer = Buyer(request.param, http, ready["agent_id"], ready["api_key"], TurnableClock())
        buyer.publish(manifest(actions=[action(), *(payable(name, found) for name, found in METHODS.items())]))
        buyer.publish(manifest(capability="unserved", extensions={}, actions=[payable(EITHER, METHODS[EITHER])]))
        yield buyer


@pytest.fixture
def buyer(served: Buyer) -> Iterator[Buyer]:
    served.wallet(balance_usdc="0")
    yield served
    served.http.delete("/sandbox/faults").raise_for_status()


@pytest.fixture
def payer(shop: PaidHttp) -> Payer:
    return shop.payer()


def payable(name: str, methods: list[str]) -> dict[str, Any]:
    pricing = {"base": "$0.005", "currency": "USD", "model": "per_call", "payment_methods": methods}
    return action(name, pricing=pricing)


def challenge(answer: httpx2.Response) -> Challenge:
    body = error(answer, "PAYMENT_REQUIRED", 402)
    found = read_payment_challenge(parse_refusal(body, status=402))
    assert found is not None
    return found


def pay(buyer: Buyer, payer: Payer, asked: dict[str, Any], **other: Any) -> httpx2.Response:
    """Ask, sign what is asked for, and send the same with it."""
    return send(buyer, payer, asked, challenge(buyer.send(asked)), **other)


def send(buyer: Buyer, payer: Payer, asked: dict[str, Any], found: Challenge, **other: Any) -> httpx2.Response:
    _, value = payment_header(payer.sign(found, **other))
    return buyer.send(asked, **{"X-Payment": value})


def test_an_empty_wallet_is_told_of_both_ways_to_pay_the_wallet_first(buyer: Buyer) -> None:
    body = error(buyer.buy(name=EITHER), "PAYMENT_REQUIRED", 402)
    wallet, signed = body["payment"]["accepts"]
    assert (wallet["scheme"], signed["scheme"]) == ("stripe-wallet", "exact")
    assert (signed["max_amount_required"], signed["pay_to"]) == ("5000", SPLITTER)
    assert body["payment"]["x402Version"] == 1
    assert body["payment"]["next_action"]["type"] == "x402_settle"
    assert body["next_action"]["type"] == "topup"
    [alone] = error(buyer.buy(name=ONLY), "PAYMENT_REQUIRED", 402)["payment"]["accepts"]
    assert alone["scheme"] == "exact"
    poor = buyer.buy().json()
    assert [one["scheme"] for one in poor["payment"]["accepts"]] == ["stripe-wallet"]
    assert "x402Version" not in poor["payment"]


def test_a_full_wallet_pays_unless_the_action_is_paid_by_x402_only(buyer: Buyer) -> None:
    buyer.wallet(balance_usdc="1")
    assert output(buyer.buy(name=EITHER))
    assert buyer.books()["balance_usdc"] == "0.995"
    challenge(buyer.buy(name=ONLY))
    assert buyer.books()["balance_usdc"] == "0.995"


@pytest.mark.parametrize("name", METHODS)
def test_a_signed_payment_buys_and_says_how_it_was_paid(buyer: Buyer, payer: Payer, shop: PaidHttp, name: str) -> None:
    buyer.wallet(balance_usdc="1")
    asked = buyer.request(name=name)
    found = challenge(buyer.send({**asked, "id": "asked-only-once"}) if name == ONLY else _poor(buyer, asked))
    bought = send(buyer, payer, asked, found)
    assert output(bought)
    billing = bought.json()["billing"]
    receipt = read_receipt(bought.headers, {})
    assert receipt is not None
    assert receipt == read_receipt({}, billing) or receipt.amount == 5_000
    assert (receipt.success, receipt.payer, receipt.network) == (True, payer.address, "jecp-sandbox")
    assert billing["x402"]["settlement_tx"] == receipt.transaction
    assert billing["method"] == "x402"
    assert "balance_after" not in billing
    assert shop.chain.paid_by(payer.address) == [5_000]
    assert buyer.books()["balance_usdc"] == "1.00", "the wallet is not touched"
    again = buyer.send(asked, **{"X-Payment": bought.request.headers["x-payment"]})
    assert again.json() == bought.json()
    assert again.headers["x-payment-response"] == bought.headers["x-payment-response"]
    assert shop.chain.paid_by(payer.address) == [5_000]


def _poor(buyer: Buyer, asked: dict[str, Any]) -> httpx2.Response:
    """What the Hub asks of whoever cannot pay; the wallet is filled again."""
    buyer.wallet(balance_usdc="0")
    answer = buyer.send(asked)
    buyer.wallet(balance_usdc="1")
    return answer


def subcause(answer: httpx2.Response, code: str, status: int) -> str:
    return str(error(answer, code, status)["error"]["details"]["subcause"])


def test_what_is_not_good_is_refused_and_not_taken(buyer: Buyer, payer: Payer, shop: PaidHttp) -> None:
    asked = buyer.request(name=EITHER)
    found = challenge(buyer.send(asked))
    invalid = ("X402_PAYMENT_INVALID", 422)
    assert subcause(send(buyer, payer, asked, found, value=4_999), *invalid) == "amount_mismatch"
    assert subcause(send(buyer, payer, asked, found, to="0x" + "1" * 40), *invalid) == "payto_mismatch"
    assert subcause(send(buyer, payer, asked, found, valid_before=shop.chain.now() - 1), *invalid) == "expired"
    assert subcause(send(buyer, payer, asked, found, sender="0x" + "2" * 40), *invalid) == "signature_invalid"
    assert subcause(buyer.send(asked, **{"X-Payment": "?"}), *invalid) == "payload_decode_error"
    assert subcause(buyer.send(asked, **{"X-Payment": "A" * 8_200}), *invalid) == "header_too_large"
    twice = [("X-Payment", base64.b64encode(b"{}").decode()), ("x-payment", "e30=")]
    doubled = buyer.http.post("/v1/invoke", json=asked, headers=[*buyer.auth.items(), *twice])
    assert subcause(doubled, *invalid) == "duplicate_payment_header"
    assert subcause(send(buyer, payer, buyer.request(), found), "X402_NOT_ACCEPTED", 422) == "capability_wallet_only"
    streamed = buyer.send(asked, Accept="text/event-stream", **{"X-Payment": payment_header(payer.sign(found))[1]})
    error(streamed, "NOT_STREAMABLE", 406)
    assert shop.chain.paid_by(payer.address) == []


def test_one_payment_pays_one_call(buyer: Buyer, payer: Payer, shop: PaidHttp) -> None:
    asked = buyer.request(name=EITHER)
    bought = pay(buyer, payer, asked)
    header = {"X-Payment": bought.request.headers["x-payment"]}
    other = buyer.send(buyer.request(name=EITHER), **header)
    refused = error(other, "X402_SETTLEMENT_REUSED", 409)["error"]["details"]
    assert (refused["subcause"], refused["original_request_id"]) == ("nonce_reused", asked["id"])
    # The same id with another payment is another request.
    error(send(buyer, payer, asked, challenge(buyer.buy(name=EITHER))), "DUPLICATE_REQUEST", 409)
    assert shop.chain.paid_by(payer.address) == [5_000]


def test_what_fails_after_the_settlement_has_spent_the_money(buyer: Buyer, payer: Payer, shop: PaidHttp) -> None:
    asked = buyer.request(name=EITHER)
    found = challenge(buyer.send(asked))
    buyer.fault("code:PROVIDER_ERROR", "x402", after_settlement=True)
    failed = send(buyer, payer, asked, found)
    error(failed, "PROVIDER_ERROR", 502)
    again = buyer.send(asked, **{"X-Payment": failed.request.headers["x-payment"]})
    details = error(again, "X402_SETTLEMENT_REUSED", 409)["error"]["details"]
    assert details["original_request_id"] == asked["id"]
    [transfer] = [one for one in shop.chain.transfers() if one["from"] == payer.address]
    assert details["tx_hash"] == transfer["hash"]


def test_work_that_fails_after_the_settlement_says_that_the_payment_stays_taken(
    buyer: Buyer, payer: Payer, shop: PaidHttp
) -> None:
    failed = error(pay(buyer, payer, buyer.request(UNSERVED, name=EITHER)), "PROVIDER_UNREACHABLE", 502)["error"][
        "message"
    ]
    assert failed.endswith(". The payment was taken before the work was done, and stays taken.")
    assert "othing was charged" not in failed
    assert shop.chain.paid_by(payer.address) == [5_000]


CODES = {
    "X402_PAYMENT_INVALID": 422,
    "X402_NOT_ACCEPTED": 422,
    "X402_SETTLEMENT_TIMEOUT": 504,
    "X402_FACILITATOR_UNREACHABLE": 502,
    "X402_SETTLEMENT_REUSED": 409,
}


@pytest.mark.parametrize("code", CODES)
def test_every_code_can_be_had_before_and_after_the_money_moved(
    buyer: Buyer, payer: Payer, shop: PaidHttp, code: str
) -> None:
    found = challenge(buyer.buy(name=EITHER))
    for after, taken in ((False, 0), (True, 5_000)):
        buyer.fault(f"code:{code}", "x402", after_settlement=after)
        error(send(buyer, payer, buyer.request(name=EITHER), found), code, CODES[code])
        assert sum(shop.chain.paid_by(payer.address)) == taken


def test_a_facilitator_that_is_away_is_said_to_be(shop: PaidHttp, payer: Payer) -> None:
    config = SandboxConfig(opening_balance=MicroUSDC(0), x402=Accepted("http://127.0.0.1:9"))
    with running(config) as ready, controlled(ready) as http:
        buyer = Buyer("reference", http, ready["agent_id"], ready["api_key"], TurnableClock())
        buyer.publish(manifest(actions=[payable(ONLY, ["x402"])]))
        away = pay(buyer, payer, buyer.request(name=ONLY))
    assert subcause(away, "X402_FACILITATOR_UNREACHABLE", 502) == "connection_refused"
    assert away.headers["retry-after"] == "30"
