"""Calls paid by x402 at a sandbox Hub: what it asks for, what it takes, what it refuses, and that it takes it once."""

from __future__ import annotations

import base64
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx2
import pytest

from jecp_mcp.money import MicroUSDC
from jecp_mcp.sandbox.hub_database import HubDatabase
from jecp_mcp.sandbox.paid_http.facilitator import reasons
from jecp_mcp.sandbox.run import SandboxConfig
from jecp_mcp.sandbox.x402_payments import SPLITTER, Accepted, X402Switch
from jecp_mcp.wire.jecp.errors import parse_refusal
from jecp_mcp.wire.jecp.x402 import read_payment_challenge, read_receipt
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET
from jecp_mcp.wire.x402.challenge import Challenge
from jecp_mcp.wire.x402.payment import payment_header
from jecp_mcp.wire.x402.secp256k1 import keccak256
from tests.contract.sandbox.conftest import Buyer, TurnableClock, action, controlled, error, manifest, output, running
from tests.served import served as address
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


@pytest.mark.requirement(
    "PAYMENT-2-1",
    "PAYMENT-2.2-1",
    "PAYMENT-2.2-3",
    "PAYMENT-2.2-4",
    "PAYMENT-2.2-5",
    "PAYMENT-2.3-1",
    "PAYMENT-7.2-1",
    "WIRE-3.3.1-1",
    "ERROR-PAYMENT_REQUIRED-1",
)
def test_an_empty_wallet_is_told_of_both_ways_to_pay_the_wallet_first(buyer: Buyer) -> None:
    body = error(buyer.buy(name=EITHER), "PAYMENT_REQUIRED", 402)
    wallet, signed = body["payment"]["accepts"]
    assert (wallet["scheme"], signed["scheme"]) == ("stripe-wallet", "exact")
    assert (signed["max_amount_required"], signed["pay_to"]) == ("5000", SPLITTER)
    assert body["payment"]["x402Version"] == 1
    assert body["payment"]["ttl_seconds"] == 30
    assert body["payment"]["next_action"]["type"] == "x402_settle"
    assert body["next_action"]["type"] == "topup"
    [alone] = error(buyer.buy(name=ONLY), "PAYMENT_REQUIRED", 402)["payment"]["accepts"]
    assert alone["scheme"] == "exact"
    poor = buyer.buy().json()
    assert [one["scheme"] for one in poor["payment"]["accepts"]] == ["stripe-wallet"]
    assert "x402Version" not in poor["payment"]


@pytest.mark.requirement("PAYMENT-2.4-2", "PAYMENT-7.1-1", "PAYMENT-7.2-2")
def test_a_full_wallet_pays_unless_the_action_is_paid_by_x402_only(buyer: Buyer) -> None:
    buyer.wallet(balance_usdc="1")
    assert output(buyer.buy(name=EITHER))
    assert buyer.books()["balance_usdc"] == "0.995"
    challenge(buyer.buy(name=ONLY))
    assert buyer.books()["balance_usdc"] == "0.995"


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.requirement(
    "PAYMENT-2.4-2", "PAYMENT-3.4-2", "PAYMENT-5-1", "PAYMENT-5-2", "PAYMENT-5.1-1", "PAYMENT-5.2-1"
)
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
    assert bought.headers["cache-control"] == "no-store"
    assert "X-Payment-Response" in bought.headers["access-control-expose-headers"]
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


@pytest.mark.requirement("PAYMENT-2.4-1", "PAYMENT-3.2-1", "PAYMENT-3.3-1", "PAYMENT-7.1-1", "ERROR-3.8-1")
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


@pytest.mark.requirement("PAYMENT-3.1-2")
def test_the_order_of_a_payments_names_means_nothing(buyer: Buyer, payer: Payer) -> None:
    asked = buyer.request(name=EITHER)
    _, value = payment_header(payer.sign(challenge(buyer.send(asked))))
    turned = json.dumps(dict(reversed(json.loads(base64.b64decode(value)).items()))).encode()
    assert output(buyer.send(asked, **{"X-Payment": base64.b64encode(turned).decode()}))


@pytest.mark.requirement("PAYMENT-3.4-1")
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


@pytest.mark.requirement("PAYMENT-4.5-1")
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


@pytest.mark.requirement("PAYMENT-4.4-1")
def test_a_facilitator_that_is_away_is_said_to_be(shop: PaidHttp, payer: Payer) -> None:
    config = SandboxConfig(opening_balance=MicroUSDC(0), x402=Accepted("http://127.0.0.1:9"))
    with running(config) as ready, controlled(ready) as http:
        buyer = Buyer("reference", http, ready["agent_id"], ready["api_key"], TurnableClock())
        buyer.publish(manifest(actions=[payable(ONLY, ["x402"])]))
        away = pay(buyer, payer, buyer.request(name=ONLY))
    assert subcause(away, "X402_FACILITATOR_UNREACHABLE", 502) == "connection_refused"
    assert away.headers["retry-after"] == "30"


@pytest.mark.requirement("PAYMENT-2.2-6", "PAYMENT-2.4-3", "PAYMENT-11.1-1", "PAYMENT-11.2-1", "PAYMENT-11.3-1")
def test_a_402_says_as_an_http_challenge_what_may_pay(buyer: Buyer) -> None:
    alone, either, wallet = (buyer.buy(name=name) for name in (ONLY, EITHER, "count"))
    [entry] = alone.json()["payment"]["accepts"]
    assert alone.headers["www-authenticate"] == f'x402, scheme="exact", network="{entry["network"]}"'
    assert either.headers["www-authenticate"] == "x402, Bearer"
    beyond = buyer.buy(mandate=buyer.mandate(0.001))
    assert wallet.headers["www-authenticate"] == beyond.headers["www-authenticate"] == "Bearer"
    for answer in (alone, either, wallet, beyond):
        assert (answer.status_code, answer.headers["cache-control"]) == (402, "no-store")
        assert "WWW-Authenticate" in answer.headers["access-control-expose-headers"]
    assert alone.json()["next_action"]["type"] == "x402_settle"
    assert either.json()["next_action"]["type"] == "topup"


@pytest.mark.requirement("PAYMENT-2.2-2", "PAYMENT-2.2-4", "PAYMENT-8.3-2", "PAYMENT-8.8-1")
def test_the_challenge_names_each_thing_that_a_payer_must_know(buyer: Buyer) -> None:
    [entry] = error(buyer.buy(name=ONLY), "PAYMENT_REQUIRED", 402)["payment"]["accepts"]
    assert (entry["scheme"], entry["network"], entry["pay_to"]) == ("exact", SANDBOX_ASSET.v1_network, SPLITTER)
    assert (entry["asset"], entry["asset_decimals"]) == (SANDBOX_ASSET.address, SANDBOX_ASSET.decimals)
    assert entry["resource"] == f"{str(buyer.http.base_url).rstrip('/')}/v1/invoke"
    assert entry["max_timeout_seconds"] == 60
    assert entry["extra"]["facilitator_url"].startswith("http://127.0.0.1:")
    # A name that provider and Hub can each work out.
    assert entry["extra"]["splitter_capability_id"] == f"0x{keccak256(b'lab:only').hex()}"


def put_switch(buyer: Buyer, *, on: object) -> httpx2.Response:
    return buyer.http.post("/sandbox/x402", json={"enabled": on})


@pytest.mark.requirement("PAYMENT-6.3-1", "PAYMENT-6.3-2", "PAYMENT-6.3-3", "PAYMENT-6.3-4")
def test_its_operator_switches_x402_off_and_on(buyer: Buyer, payer: Payer, shop: PaidHttp) -> None:
    asked = buyer.request(name=EITHER)
    found = challenge(buyer.send(asked))
    assert put_switch(buyer, on="no").status_code == 400
    stranger = buyer.http.post("/sandbox/x402", json={"enabled": False}, headers={**buyer.auth, "X-Sandbox-Key": "x"})
    error(stranger, "FORBIDDEN", 403)
    try:
        assert put_switch(buyer, on=False).json() == {"enabled": False}
        poor = buyer.send(asked)
        assert [one["scheme"] for one in poor.json()["payment"]["accepts"]] == ["stripe-wallet"]
        assert (poor.status_code, poor.headers["www-authenticate"]) == (402, "Bearer")
        assert subcause(send(buyer, payer, asked, found), "X402_NOT_ACCEPTED", 422) == "x402_disabled"
        alone = error(buyer.buy(name=ONLY), "PAYMENT_REQUIRED", 402)
        assert "payment" not in alone
        assert alone["next_action"]["type"] == "discover"
        assert shop.chain.paid_by(payer.address) == []
        guide = buyer.http.get("/.well-known/agent-guide.json").json()
        assert (guide["payment_methods_supported"], "x402" in guide) == (["stripe"], False)
        buyer.wallet(balance_usdc="1")
        assert output(buyer.buy(name=EITHER))
    finally:
        put_switch(buyer, on=True).raise_for_status()
    buyer.wallet(balance_usdc="0")
    assert output(send(buyer, payer, asked, found))


def test_the_switch_stays_as_it_was_put() -> None:
    accepted, database = Accepted("http://127.0.0.1:9"), HubDatabase(None)
    try:
        X402Switch(accepted, database).turn(on=False)
        assert X402Switch(accepted, database).accepted is None
        X402Switch(accepted, database).turn(on=True)
        assert X402Switch(accepted, database).accepted == accepted
        assert X402Switch(None, database).accepted is None
    finally:
        database.close()


@pytest.mark.requirement("PAYMENT-9.3-2")
def test_a_hub_without_a_facilitator_says_nothing_of_x402() -> None:
    with running(SandboxConfig(opening_balance=MicroUSDC(0), free_calls=0)) as ready, controlled(ready) as http:
        error(http.post("/sandbox/x402", json={"enabled": True}), "INVALID_REQUEST", 400)
        buyer = Buyer("reference", http, ready["agent_id"], ready["api_key"], TurnableClock())
        buyer.publish(manifest(actions=[payable(name, found) for name, found in METHODS.items()]))
        for name in METHODS:
            answer = buyer.buy(name=name)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (402, "Bearer")
            assert "exact" not in answer.text
        guide = http.get("/.well-known/agent-guide.json").json()
        assert guide["payment_methods_supported"] == ["stripe"]


@pytest.mark.requirement("PAYMENT-7.2-1", "PAYMENT-7.3-1", "PAYMENT-9.3-2", "DISCOVERY-4.4.1-1")
def test_the_guide_and_the_catalog_say_what_is_taken(buyer: Buyer) -> None:
    guide = buyer.http.get("/.well-known/agent-guide.json").json()
    assert guide["payment_methods_supported"] == ["stripe", "x402"]
    x402 = guide["x402"]
    assert (x402["splitter_contract"], x402["supported_networks"]) == (SPLITTER, [SANDBOX_ASSET.v1_network])
    assert x402["supported_assets"][0]["address"] == SANDBOX_ASSET.address
    listed = buyer.http.get("/v1/capabilities").json()
    [entry] = [
        one for one in (listed.get("third_party_capabilities") or listed["capabilities"]) if one["id"] == "lab/counting"
    ]
    methods = {one["id"]: one["payment_methods"] for one in entry["actions"]}
    assert methods == {"count": ["stripe"], **METHODS}


@pytest.mark.requirement("ERROR-3.8.6-3")
def test_no_subcause_of_a_payment_is_told_to_whoever_has_not_the_key(buyer: Buyer) -> None:
    asked = buyer.request(name=EITHER)
    wrong = {**buyer.auth, "X-API-Key": "sbx_ak_wrongwrongwrongwrong"}
    for headers in ([("X-Payment", "?")], [("X-Payment", "A" * 8_200)], [("X-Payment", "e30="), ("x-payment", "e30=")]):
        answer = buyer.http.post("/v1/invoke", json=asked, headers=[*wrong.items(), *headers])
        error(answer, "INVALID_AGENT" if buyer.dialect == "reference" else "INVALID_API_KEY", 401)
        assert "subcause" not in answer.text
        unknown = buyer.http.post("/v1/invoke", json=asked, headers=headers)
        error(unknown, "AUTH_REQUIRED", 401)
        assert "subcause" not in unknown.text


INVALID = {
    "signature_invalid", "signature_malleable", "amount_mismatch", "payto_mismatch", "network_mismatch",
    "asset_mismatch", "expired", "nonce_reused", "unsupported_scheme", "header_too_large", "duplicate_payment_header",
    "payload_decode_error", "payment_capability_binding_violation", "insufficient_funds",
}  # fmt: skip
"""What JECP 03-errors §3.8.6 registers for a payment that is not good, and what 06-x402-integration §4.4 adds."""


@dataclass
class Facilitator:
    """A facilitator that says what a test wants; `asked` are the endpoints it was asked at."""

    url: str = ""
    says: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    heard: list[dict[str, Any]] = field(default_factory=list)
    answers: threading.Event = field(default_factory=threading.Event)


@pytest.fixture(scope="module")
def facilitator() -> Iterator[Facilitator]:
    made = Facilitator()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.heard.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            what = self.path.rpartition("/")[2]
            made.asked.append(what)
            made.answers.wait(60)
            status, body = made.says[what]
            self.send_response(status)
            self.end_headers()
            with suppress(OSError):  # the Hub did not wait
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with address(Handler) as made.url:
        yield made


@pytest.fixture(scope="module")
def elsewhere(facilitator: Facilitator) -> Iterator[Buyer]:
    """A buyer at a Hub with that facilitator."""
    config = SandboxConfig(opening_balance=MicroUSDC(0), x402=Accepted(facilitator.url))
    with running(config) as ready, controlled(ready) as http:
        buyer = Buyer("reference", http, ready["agent_id"], ready["api_key"], TurnableClock())
        buyer.publish(manifest(actions=[payable(ONLY, ["x402"])]))
        yield buyer


@pytest.fixture
def says(facilitator: Facilitator) -> Iterator[Facilitator]:
    facilitator.answers.set()
    facilitator.asked.clear()
    facilitator.heard.clear()
    facilitator.says.clear()
    yield facilitator
    facilitator.answers.set()


GOOD = (200, b'{"isValid":true}')


@pytest.mark.requirement("PAYMENT-1-1", "PAYMENT-4-1", "PAYMENT-4.2-1", "PAYMENT-4.3-1", "PAYMENT-6.1-1", "ERROR-3.8-1")
def test_a_payment_is_verified_and_only_then_settled(elsewhere: Buyer, says: Facilitator, payer: Payer) -> None:
    asked = elsewhere.request(name=ONLY)
    known = [word for name, word in vars(reasons).items() if name.isupper()]
    for reason in (*known, "unheard_of"):
        says.says["verify"] = (200, json.dumps({"isValid": False, "invalidReason": reason}).encode())
        refused = error(pay(elsewhere, payer, asked), "X402_PAYMENT_INVALID", 422)["error"]
        assert refused.get("details", {}).get("subcause", "expired") in INVALID
        assert reason in refused["message"]
    assert set(says.asked) == {"verify"}
    for what in (b'"success":false,"errorReason":"invalid_exact_evm_insufficient_balance"', b'"success":true'):
        says.asked.clear()
        says.says |= {"verify": GOOD, "settle": (200, b"{%s,%s}" % (what, _settled(payer)))}
        answer = pay(elsewhere, payer, elsewhere.request(name=ONLY))
        assert says.asked == ["verify", "settle"]
    assert output(answer)
    # What is asked for is the Hub's word, and so is who is asked.
    [url] = {one["paymentRequirements"]["extra"]["facilitator_url"] for one in says.heard}
    assert (url, {one["paymentRequirements"]["payTo"] for one in says.heard}) == (says.url, {SPLITTER})


def _settled(payer: Payer) -> bytes:
    told = {"transaction": f"0x{secrets.token_hex(32)}", "network": "jecp-sandbox", "payer": payer.address}
    return json.dumps(told).encode()[1:-1]


@pytest.mark.parametrize(
    ("said", "code", "status", "subcause"),
    [
        (None, "X402_SETTLEMENT_TIMEOUT", 504, "facilitator_slow"),
        ((200, b'{"success":false,"errorReason":"settlement_pending",%s}'), "X402_SETTLEMENT_TIMEOUT", 504, "chain_congested"),
        ((500, b"{}"), "X402_FACILITATOR_UNREACHABLE", 502, None),
        ((200, b"hello"), "X402_FACILITATOR_UNREACHABLE", 502, None),
    ],
)  # fmt: skip
@pytest.mark.requirement("PAYMENT-4.4-1", "ERROR-3.8-1", "ERROR-X402_SETTLEMENT_TIMEOUT-1")
def test_a_facilitator_that_does_not_say_what_became_of_a_payment(
    elsewhere: Buyer,
    says: Facilitator,
    payer: Payer,
    monkeypatch: pytest.MonkeyPatch,
    said: tuple[int, bytes] | None,
    code: str,
    status: int,
    subcause: str | None,
) -> None:
    if said is None:
        monkeypatch.setattr("jecp_mcp.sandbox.x402_payments._FACILITATOR_SECONDS", 1.0)
        says.answers.clear()
    else:
        says.says["settle"] = said[0], said[1].replace(b"%s", _settled(payer))
    says.says |= {"verify": GOOD}
    answer = pay(elsewhere, payer, elsewhere.request(name=ONLY))
    body = error(answer, code, status)
    assert body["error"]["details"].get("subcause") == subcause
    assert (answer.headers["retry-after"], body["next_action"]["type"]) == ("30", "topup")
