"""The facilitator over HTTP: what it supports, every reason to refuse, and that a payment is settled once."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from jecp_mcp import jsontext
from jecp_mcp.clock import SystemClock
from jecp_mcp.sandbox.paid_http.chain.chain import MOST_WAITING, Chain
from jecp_mcp.sandbox.paid_http.chain.transactions import grant
from jecp_mcp.sandbox.paid_http.database import Database
from jecp_mcp.sandbox.paid_http.facilitator.facilitator import Facilitator
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET
from jecp_mcp.wire.x402.challenge import Challenge
from jecp_mcp.wire.x402.payment import Payment, payment_json
from tests.x402_sandbox import PaidHttp, Payer

DAY = 86_400


class Asked:
    """A payment with what it is for, as a merchant sends them on."""

    def __init__(self, payer: Payer, version: int = 2, **other: Any) -> None:
        challenge: Challenge = payer.challenge("/offers/both", version=version)
        self.shop, self.payer = payer.shop, payer
        self.payment: Payment = payer.sign(challenge, **other)
        self.requirements: dict[str, Any] = jsontext.plain(challenge.options[0].raw)

    def body(self) -> dict[str, Any]:
        return {
            "x402Version": self.payment.version,
            "paymentPayload": jsontext.plain(payment_json(self.payment)),
            "paymentRequirements": self.requirements,
        }

    def post(self, path: str, status: int = 200) -> dict[str, Any]:
        answer = self.shop.http.post(f"{self.shop.where['facilitator']}{path}", json=self.body())
        assert answer.status_code == status
        return answer.json()


def test_it_says_what_it_supports(shop: PaidHttp) -> None:
    found = shop.http.get(f"{shop.where['facilitator']}/supported").json()
    assert [(kind["x402Version"], kind["scheme"], kind["network"]) for kind in found["kinds"]] == [
        (2, "exact", "eip155:4024024024021"),
        (1, "exact", "jecp-sandbox"),
    ]
    assert found["extensions"] == ["payment-identifier"]
    assert list(found["signers"]) == ["eip155:*"]


@pytest.mark.parametrize("version", [1, 2])
def test_a_payment_is_verified_without_being_used_and_settled_once(payer: Payer, version: int) -> None:
    asked = Asked(payer, version)
    for _ in range(2):
        assert asked.post("/verify") == {"isValid": True, "payer": payer.address}
    assert not payer.used(asked.payment)
    settled = asked.post("/settle")
    assert (settled["success"], settled["payer"], settled["amount"]) == (True, payer.address, "1000")
    assert payer.used(asked.payment)
    used = "invalid_exact_evm_nonce_already_used"
    assert asked.post("/verify") == {"isValid": False, "invalidReason": used, "payer": payer.address}
    again = asked.post("/settle")
    assert (again["success"], again["errorReason"], again["transaction"]) == (False, used, "")
    assert payer.shop.chain.paid_by(payer.address) == [1_000]


def requirement(**changes: Any) -> Callable[[Asked], None]:
    return lambda asked: asked.requirements.update(changes)


def extra(**changes: Any) -> Callable[[Asked], None]:
    return lambda asked: asked.requirements["extra"].update(changes)


def accepted(**changes: Any) -> Callable[[Asked], None]:
    def change(asked: Asked) -> None:
        asked.payment = replace(asked.payment, accepted={**asked.payment.accepted, **changes})

    return change


def signature(change: Callable[[bytes], bytes]) -> Callable[[Asked], None]:
    def with_it(asked: Asked) -> None:
        asked.payment = replace(asked.payment, signature=change(asked.payment.signature))

    return with_it


def no_domain(asked: Asked) -> None:
    del asked.requirements["extra"]["version"]


EXACT = "invalid_exact_evm_"
REFUSALS: dict[str, tuple[Callable[[Asked], None], str]] = {
    "another scheme is asked for": (requirement(scheme="upto"), "unsupported_scheme"),
    "another scheme is paid": (accepted(scheme="upto"), "unsupported_scheme"),
    "another network is asked for": (requirement(network="eip155:8453"), "network_mismatch"),
    "another network is paid": (accepted(network="eip155:8453"), "network_mismatch"),
    "another token": (requirement(asset="0x" + "22" * 20), "asset_not_deployed_contract"),
    "permit2": (extra(assetTransferMethod="permit2"), f"{EXACT}eip3009_not_supported"),
    "no domain": (no_domain, "missing_eip712_domain"),
    "another name": (extra(name="USD Coin"), f"{EXACT}token_name_mismatch"),
    "another version": (extra(version="2"), f"{EXACT}token_version_mismatch"),
    "another payee": (requirement(payTo="0x" + "22" * 20), f"{EXACT}payload_recipient_mismatch"),
    "a dearer price": (requirement(amount="1001"), f"{EXACT}payload_authorization_value_mismatch"),
    "a cheaper price": (requirement(amount="999"), f"{EXACT}payload_authorization_value_mismatch"),
    "no price": (requirement(amount="1e3"), "invalid_payment_requirements"),
    "a changed signature": (signature(lambda s: bytes([s[0] ^ 1]) + s[1:]), f"{EXACT}payload_signature"),
    "no signature's v": (signature(lambda s: s[:64] + b"\x05"), f"{EXACT}payload_signature"),
    "the other signature's v": (signature(lambda s: s[:64] + bytes([55 - s[64]])), f"{EXACT}payload_signature"),
}


@pytest.mark.parametrize("change", REFUSALS)
def test_a_payment_that_is_not_what_is_asked_for_is_refused_with_the_reason(payer: Payer, change: str) -> None:
    asked = Asked(payer)
    make, reason = REFUSALS[change]
    make(asked)
    assert asked.post("/verify") == {"isValid": False, "invalidReason": reason, "payer": payer.address}
    settled = asked.post("/settle")
    assert (settled["success"], settled["errorReason"]) == (False, reason)
    assert not payer.used(asked.payment)


SIGNED: dict[str, tuple[Callable[[int], dict[str, Any]], str]] = {
    "too late": (lambda now: {"valid_before": now + 4}, "payload_authorization_valid_before"),
    "too early": (
        lambda now: {"valid_after": now + DAY, "valid_before": now + 2 * DAY},
        "payload_authorization_valid_after",
    ),
    "another value": (lambda _now: {"value": 1}, "payload_authorization_value_mismatch"),
    "another payee": (lambda _now: {"to": "0x" + "33" * 20}, "payload_recipient_mismatch"),
    "another payer": (lambda _now: {"sender": "0x" + "44" * 20}, "payload_signature"),
}


@pytest.mark.parametrize("change", SIGNED)
def test_an_authorization_for_something_else_is_refused(payer: Payer, change: str) -> None:
    other, reason = SIGNED[change]
    asked = Asked(payer, **other(payer.shop.chain.now()))
    assert asked.post("/verify")["invalidReason"] == f"{EXACT}{reason}"
    assert asked.post("/settle")["success"] is False
    assert payer.shop.chain.paid_by(payer.address) == []


def test_nobody_pays_more_than_it_has(shop: PaidHttp) -> None:
    poor = Payer(shop, type(shop.payer().key)(secrets.token_bytes(32)))
    asked = Asked(poor)
    assert asked.post("/verify")["invalidReason"] == f"{EXACT}insufficient_balance"
    shop.chain.give(poor.address, 1_000)
    assert asked.post("/settle")["success"] is True
    assert poor.balance() == 0


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "invalid_x402_version"),
        ({"x402Version": 3}, "invalid_x402_version"),
        ({"x402Version": True}, "invalid_x402_version"),
        ({"x402Version": 2}, "invalid_payload"),
        ({"x402Version": 2, "paymentPayload": {}, "paymentRequirements": {}}, "invalid_payload"),
    ],
)
def test_what_is_no_payment_is_a_bad_request(shop: PaidHttp, body: dict, reason: str) -> None:
    for path, name in (("/verify", "invalidReason"), ("/settle", "errorReason")):
        answer = shop.http.post(f"{shop.where['facilitator']}{path}", json=body)
        assert (answer.status_code, answer.json()[name]) == (400, reason)


def test_payload_and_body_speak_one_version(payer: Payer) -> None:
    asked = Asked(payer)
    body = {**asked.body(), "x402Version": 1}
    answer = payer.shop.http.post(f"{payer.shop.where['facilitator']}/verify", json=body)
    assert (answer.status_code, answer.json()["invalidReason"]) == (400, "invalid_payload")


def test_a_settlement_that_was_pending_is_followed_to_its_end(shop: PaidHttp, payer: Payer) -> None:
    def pending() -> Asked:
        shop.merchant.fault("settlement_pending", "/offers/both")
        asked = Asked(payer)
        assert payer.send(asked.payment, "/offers/both").status_code == 402
        assert asked.post("/settle")["errorReason"] == "settlement_pending"
        return asked

    mined = pending()
    (name,) = shop.chain.books()["waiting"]
    shop.chain.mine()
    settled = mined.post("/settle")
    assert (settled["success"], settled["transaction"]) == (True, name)
    assert mined.post("/settle")["errorReason"] == f"{EXACT}nonce_already_used"

    expired = pending()
    shop.chain.advance(301)
    shop.chain.mine()
    assert expired.post("/settle")["errorReason"] == "invalid_transaction_state"
    assert expired.post("/settle")["errorReason"] == f"{EXACT}payload_authorization_valid_before"

    dropped = pending()
    shop.chain.drop_waiting()
    assert dropped.post("/settle")["success"] is True
    assert [payer.used(asked.payment) for asked in (mined, expired, dropped)] == [True, False, True]


def test_a_chain_that_takes_no_more_is_a_failed_transaction(payer: Payer) -> None:
    asked = Asked(payer)
    chain = Chain(SANDBOX_ASSET, SystemClock(), Database(None))
    chain.give(payer.address, 10_000)
    facilitator = Facilitator(chain)
    assert facilitator.verify(asked.payment, asked.requirements).reason is None
    chain.waiting.extend([grant(payer.address, 1, 0)] * MOST_WAITING)
    settled = facilitator.settle(asked.payment, asked.requirements)
    assert (settled.success, settled.error_reason, settled.transaction) == (False, "transaction_failed", "")
    assert settled.error_message == "too many transactions wait"
    assert not chain.used(payer.address, f"0x{asked.payment.authorization.nonce.hex()}")


def test_a_body_beyond_all_measure_is_not_read(shop: PaidHttp) -> None:
    answer = shop.http.post(
        f"{shop.where['facilitator']}/verify", content=b" " * 1_100_000, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 413
