"""What the merchant sells, and how it asks to be paid."""

from __future__ import annotations

import base64
import json

import pytest

from jecp_mcp.sandbox.paid_http.merchant.routes import ROUTES
from jecp_mcp.wire.x402.challenge import OtherProtocol, PaymentOption, read_challenge
from jecp_mcp.wire.x402.settlement import read_settlement
from tests.x402_sandbox import PaidHttp, Payer

TEXT = {"text": "Rain fell. The rain went on, and the river rose. Nobody slept."}
BUYABLE = ["/offers/v2", "/offers/v1", "/offers/both", "/offers/mpp-and-x402", "/offers/foreign-resource"]


@pytest.mark.parametrize("path", BUYABLE)
def test_what_is_paid_is_delivered_with_the_transfers_receipt(payer: Payer, path: str) -> None:
    before = payer.balance()
    bought = payer.buy(path)
    assert bought.answer.status_code == 200
    assert bought.answer.json()["words"] == 3
    assert bought.answer.headers["cache-control"] == "private, no-store"
    receipt = bought.receipt
    assert receipt is not None
    assert receipt.success
    (transfer,) = [each for each in payer.shop.chain.transfers() if each["from"] == payer.address]
    assert receipt.transaction == transfer["hash"]
    assert (transfer["value"], transfer["nonce"]) == ("1000", f"0x{bought.payment.authorization.nonce.hex()}")
    assert payer.balance() == before - 1_000
    assert payer.used(bought.payment)


def test_a_summary_and_a_code_are_sold_for_cents(payer: Payer) -> None:
    summary = payer.buy("/abstract", "POST", json={**TEXT, "sentences": 1}).answer
    assert summary.json()["summary"] in TEXT["text"]
    assert payer.buy("/abstract", "POST", version=1, json=TEXT).answer.status_code == 200
    code = payer.buy("/qr-code?text=hello&scale=2").answer
    assert (code.headers["content-type"], code.content[:4]) == ("image/png", b"\x89PNG")
    assert payer.shop.chain.paid_by(payer.address) == [10_000, 10_000, 2_000]


@pytest.mark.slow
def test_a_document_is_sold_by_version_1(payer: Payer) -> None:
    document = payer.buy("/pdf", "POST", json={"markdown": "# Rain"}).answer
    assert (document.headers["content-type"], document.content[:4]) == ("application/pdf", b"%PDF")
    assert payer.shop.chain.paid_by(payer.address) == [20_000]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"json": {}}, 400),
        ({"json": {"text": "Rain.", "sentences": 99}}, 400),
        ({"json": [1]}, 400),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400),
        ({"content": b"text=Rain"}, 415),
        ({"json": {"text": " "}}, 422),
        ({"content": b"x" * 300_000}, 413),
    ],
)
def test_nobody_pays_for_what_cannot_be_done(payer: Payer, request_: dict, status: int) -> None:
    payment = payer.sign(payer.challenge("/abstract", "POST", json=TEXT))
    answer = payer.send(payment, "/abstract", "POST", **request_)
    assert answer.status_code == status
    assert not payer.used(payment)
    assert payer.send(payment, "/abstract", "POST", json=TEXT).status_code == 200


def test_the_three_styles_stand_where_their_versions_have_them(payer: Payer) -> None:
    header = payer.probe("/offers/v2")
    assert "payment-required" in header.headers
    assert header.headers["content-type"].startswith("text/html")
    body = payer.probe("/offers/v1")
    assert "payment-required" not in body.headers
    assert body.json()["x402Version"] == 1
    both = payer.probe("/offers/both")
    assert "payment-required" in both.headers
    assert both.json()["x402Version"] == 1
    assert {each.headers["cache-control"] for each in (header, body, both)} == {"private, no-store"}


@pytest.mark.parametrize("name", ["l402", "mpp"])
def test_other_protocols_are_other_protocols(payer: Payer, name: str) -> None:
    answer = payer.probe(f"/offers/{name}")
    assert answer.status_code == 402
    assert read_challenge(answer.headers, answer.content) == OtherProtocol(name)


def test_what_is_free_is_answered_at_once(payer: Payer) -> None:
    assert payer.probe("/offers/free?text=one two").json()["words"] == 2


def test_every_offer_is_written_as_the_protocol_has_it(payer: Payer) -> None:
    for route in (route for route in ROUTES if route.style not in {"free", "l402", "mpp"}):
        for version in {"v1": (1,), "both": (1, 2)}.get(route.style, (2,)):
            challenge = payer.challenge(route.path, route.product.method, version)
            assert challenge.version == version
            assert len(challenge.options) == len(route.terms)
            assert all(isinstance(option, PaymentOption) for option in challenge.options), challenge.options


@pytest.mark.parametrize(
    ("path", "networks"),
    [
        ("/offers/solana-first", ["solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", "eip155:4024024024021"]),
        ("/offers/mixed-networks", ["eip155:8453", "eip155:84532", "eip155:4024024024021"]),
    ],
)
def test_offers_keep_their_order(payer: Payer, path: str, networks: list[str]) -> None:
    assert [option.network for option in payer.challenge(path).options] == networks
    assert payer.buy(path, entry=len(networks) - 1).answer.status_code == 200


@pytest.mark.parametrize(
    ("path", "entry", "reason"),
    [
        ("/offers/upto", 0, "unsupported_scheme"),
        ("/offers/permit2", 0, "invalid_exact_evm_eip3009_not_supported"),
        ("/offers/wrong-name", 0, "invalid_exact_evm_token_name_mismatch"),
        ("/offers/unknown-token", 0, "asset_not_deployed_contract"),
        ("/offers/eighteen-decimals", 0, "network_mismatch"),
        ("/offers/mixed-networks", 0, "network_mismatch"),
    ],
)
def test_an_offer_that_the_chain_cannot_serve_takes_no_money(payer: Payer, path: str, entry: int, reason: str) -> None:
    challenge = payer.challenge(path)
    payment = payer.sign(challenge, entry)
    answer = payer.send(payment, path)
    assert answer.status_code == 402
    read = read_challenge(answer.headers, answer.content)
    assert getattr(read, "error", None) == reason
    assert not payer.used(payment)


def test_a_payment_is_for_one_entry_as_it_was_written(payer: Payer) -> None:
    challenge = payer.challenge("/offers/v2")
    payment = payer.sign(challenge)
    other = json.loads(json.dumps({**payment.accepted, "extra": {}}))
    changed = type(payment)(2, payment.authorization, payment.signature, other, payment.resource)
    refused = payer.send(changed, "/offers/v2")
    assert read_challenge(refused.headers, refused.content).error == "no_matching_payment_requirements"
    assert payer.send(payment, "/offers/v1").status_code == 402, "version 2 does not pay version 1"
    assert not payer.used(payment)


def test_a_changed_price_is_not_paid_with_the_old_one(shop: PaidHttp, payer: Payer) -> None:
    first = {version: payer.sign(payer.challenge("/offers/both", version=version)) for version in (1, 2)}
    shop.merchant.change("/offers/both", amount="2000")
    try:
        for payment in first.values():
            assert payer.send(payment, "/offers/both").status_code == 402
        assert payer.buy("/offers/both").answer.status_code == 200
        assert shop.chain.paid_by(payer.address) == [2_000]
    finally:
        shop.merchant.change("/offers/both")
    assert payer.send(first[2], "/offers/both").status_code == 200


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("PAYMENT-SIGNATURE", "no base64"),
        ("PAYMENT-SIGNATURE", base64.b64encode(b"[]").decode()),
        ("PAYMENT-SIGNATURE", base64.b64encode(b'{"x402Version":2}').decode()),
        ("X-PAYMENT", base64.b64encode(b'{"x402Version":2,"payload":{}}').decode()),
    ],
)
def test_a_payment_that_cannot_be_read_is_a_bad_request(payer: Payer, header: str, value: str) -> None:
    answer = payer.probe("/offers/both", headers={header: value})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_payload")


def test_head_is_asked_to_pay_and_never_charged(payer: Payer) -> None:
    assert payer.probe("/offers/v2", "HEAD").status_code == 402
    payment = payer.sign(payer.challenge("/offers/v2"))
    assert payer.send(payment, "/offers/v2", "HEAD").status_code == 402
    assert not payer.used(payment)


def test_a_repeated_payment_is_refused_as_used(payer: Payer) -> None:
    bought = payer.buy("/offers/v2")
    again = payer.send(bought.payment, "/offers/v2")
    assert again.status_code == 402
    assert read_challenge(again.headers, again.content).error == "invalid_exact_evm_nonce_already_used"
    assert payer.shop.chain.paid_by(payer.address) == [1_000]


IDENTIFIER = "call_0123456789abcdef"


def test_a_payment_known_by_its_identifier_is_answered_again_and_charged_once(payer: Payer) -> None:
    path = "/offers/identifier?text=one two three"
    identifier = f"{IDENTIFIER}-{payer.address}"
    payment = payer.sign(payer.challenge(path), identifier=identifier)
    first, second = (payer.send(payment, path) for _ in range(2))
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert read_settlement(first.headers) == read_settlement(second.headers)
    fresh = payer.sign(payer.challenge(path), identifier=identifier)
    assert payer.send(fresh, path).content == first.content
    assert payer.send(payment, "/offers/identifier?text=other").status_code == 409
    assert payer.shop.chain.paid_by(payer.address) == [1_000]


def test_a_required_identifier_is_required(payer: Payer) -> None:
    challenge = payer.challenge("/offers/identifier-required")
    payment = payer.sign(challenge)
    assert payer.send(payment, "/offers/identifier-required").status_code == 400
    assert not payer.used(payment)
    named = payer.sign(challenge, identifier=f"{IDENTIFIER}{payer.address}")
    assert payer.send(named, "/offers/identifier-required").status_code == 200


@pytest.mark.parametrize(
    ("path", "method", "where"), [("/abstract", "POST", "body"), ("/qr-code", "GET", "queryParams")]
)
def test_bazaar_says_what_input_is_wanted(payer: Payer, path: str, method: str, where: str) -> None:
    bazaar = payer.challenge(path, method).extensions["bazaar"]
    assert bazaar["info"]["input"][where]["text"]
    assert bazaar["schema"]["properties"]["input"]["properties"][where]["required"] == ["text"]
    if path == "/abstract":
        fields = payer.challenge(path, method, version=1).options[0].raw["outputSchema"]["input"]["bodyFields"]
        assert fields["text"]["required"] is True
        assert fields["sentences"]["required"] is False


def test_the_shop_says_what_it_sells(shop: PaidHttp) -> None:
    listed = shop.http.get(shop.url).json()["routes"]
    offers = shop.http.get(f"{shop.url}/offers").json()["routes"]
    assert {route["path"] for route in [*listed, *offers]} == {route.path for route in ROUTES}
    assert len(listed) < 8, "an honest shop's list is short; the odd ways of asking have one of their own"
    assert {route["path"]: route["price_usd"] for route in listed}["/abstract"] == "0.01"
