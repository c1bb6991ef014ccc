"""What a Hub's 402 asks for by x402, in its names, and what it says of a payment."""

from __future__ import annotations

from typing import Any

import pytest

from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.wire.jecp.errors import parse_refusal
from jecp_mcp.wire.jecp.x402 import from_version_1, read_payment_challenge, read_receipt, settled_before, to_version_1
from jecp_mcp.wire.x402.challenge import PaymentOption, UnreadableOption
from jecp_mcp.wire.x402.values import encode_header

ENTRY: dict[str, Any] = {
    "scheme": "exact",
    "network": "base",
    "asset": "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
    "asset_symbol": "USDC",
    "asset_decimals": 6,
    "max_amount_required": "200000",
    "pay_to": "0x" + "ab" * 20,
    "resource": "https://jecp.dev/v1/invoke",
    "description": "Payment",
    "mime_type": "application/json",
    "max_timeout_seconds": 60,
    "extra": {"name": "USD Coin", "version": "2", "facilitator_url": "https://x402.org/facilitator"},
}
WALLET = {"scheme": "stripe-wallet", "amount_usd": 0.2, "topup_url": "https://jecp.dev/topup"}
TX = "0x" + "c0" * 32


def refusal(*accepts: Any, code: str = "PAYMENT_REQUIRED", **payment: Any) -> Refusal:
    body = {"jecp": "1.0", "status": "failed", "error": {"code": code, "message": "No."}}
    return parse_refusal({**body, "payment": {"accepts": list(accepts), **payment}}, status=402)


def option(*accepts: Any) -> PaymentOption | UnreadableOption:
    found = read_payment_challenge(refusal(*accepts))
    assert found is not None
    assert found.version == 1
    [read] = found.options
    return read


def test_the_hubs_names_are_read_as_x402s() -> None:
    found = option(WALLET, ENTRY)
    assert isinstance(found, PaymentOption)
    assert (found.index, found.amount, found.pay_to) == (1, 200_000, "0x" + "ab" * 20)
    assert found.max_timeout_seconds == 60
    assert found.extra["decimals"] == 6
    written = from_version_1(to_version_1({name: ENTRY[name] for name in ENTRY if name != "asset_decimals"}), "USDC", 6)
    assert written == ENTRY


@pytest.mark.parametrize("name", ["amount", "max_amount_required"])
def test_the_amount_has_two_names_and_one_value(name: str) -> None:
    rest = {key: value for key, value in ENTRY.items() if key != "max_amount_required"}
    found = option({**rest, name: "7"})
    assert isinstance(found, PaymentOption)
    assert found.amount == 7
    assert isinstance(option({**ENTRY, "amount": "200001"}), UnreadableOption)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_amount_required": 200000},
        {"max_amount_required": "0x10"},
        {"pay_to": "0x" + "00" * 20},
        {"max_timeout_seconds": "60"},
        {"extra": []},
    ],
)
def test_what_cannot_be_meant_is_no_way_to_pay(wrong: dict[str, Any]) -> None:
    assert isinstance(option({**ENTRY, **wrong}), UnreadableOption)
    assert isinstance(option("entry"), UnreadableOption)


def test_only_a_refusal_that_asks_for_money_asks_for_a_payment() -> None:
    assert read_payment_challenge(refusal(WALLET)) is None
    assert read_payment_challenge(refusal(ENTRY, code="PROVIDER_ERROR")) is None
    assert read_payment_challenge(refusal(ENTRY, code="WALLET_INSUFFICIENT_BALANCE")) is not None
    assert read_payment_challenge(parse_refusal({"code": "PAYMENT_REQUIRED", "message": ""}, status=402)) is None
    with pytest.raises(WireError):
        read_payment_challenge(refusal(ENTRY, x402Version=2))


@pytest.mark.parametrize(
    ("headers", "billing"),
    [
        ({"x-payment-response": {"success": True, "transaction": TX, "network": "base", "payer": "0xA"}}, {}),
        ({"x-payment-response": {"success": True, "txHash": TX, "networkId": "base", "payer": "0xA"}}, {}),
        ({}, {"x402": {"settlement_tx": TX, "network": "base", "payer": "0xA", "facilitator": "https://f"}}),
    ],
)
def test_a_receipt_is_read_wherever_it_stands(headers: dict[str, Any], billing: dict[str, Any]) -> None:
    found = read_receipt({name: encode_header(value) for name, value in headers.items()}, billing)
    assert found is not None
    assert (found.success, found.transaction, found.network, found.payer) == (True, TX, "base", "0xa")


def test_what_is_no_receipt_says_nothing() -> None:
    assert read_receipt({}, {}) is None
    assert read_receipt({"x-payment-response": "?"}, {}) is None
    assert read_receipt({"x-payment-response": encode_header({"success": "yes"})}, {}) is None
    assert read_receipt({}, {"x402": "paid"}) is None


@pytest.mark.parametrize(
    ("code", "details", "said"),
    [
        ("X402_SETTLEMENT_REUSED", {"tx_hash": TX.upper().replace("0X", "0x"), "original_request_id": "call_1"}, TX),
        ("X402_SETTLEMENT_REUSED", {"tx_hash": TX}, TX),
        ("X402_SETTLEMENT_REUSED", {"tx_hash": TX, "original_request_id": "call_2"}, None),
        ("X402_SETTLEMENT_REUSED", {"tx_hash": "yes", "original_request_id": "call_1"}, None),
        ("X402_SETTLEMENT_REUSED", {"subcause": "nonce_reused"}, None),
        ("X402_SETTLEMENT_TIMEOUT", {"tx_hash": TX, "original_request_id": "call_1"}, None),
    ],
)
def test_a_payment_taken_before_is_believed_where_it_was_for_this_call(
    code: str, details: dict[str, Any], said: str | None
) -> None:
    assert settled_before(Refusal(code, "No.", details=details, source="payee"), "call_1") == said
