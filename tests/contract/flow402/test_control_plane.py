"""The sandbox's control plane by itself: what it takes, what it refuses, and what a restart leaves of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.sandbox.paid_http.config import PaidHttpConfig
from jecp_mcp.sandbox.paid_http.control_plane.plane import BUDGET
from jecp_mcp.wire.flow402.decision import Allowed, DecisionRequest, Denied, Inconclusive, read_decision, write_request
from jecp_mcp.wire.flow402.receipt import ReceiptStatus, read_receipt_answer
from jecp_mcp.wire.flow402.tokens import read_token
from tests.x402_sandbox import PaidHttp, serving

pytestmark = pytest.mark.slow

VERSION = {"x-402flow-sdk-version": "0.1.2"}


class Buyer:
    """Speaks to the control plane message by message."""

    def __init__(self, shop: PaidHttp) -> None:
        self.shop, self.where = shop, shop.where["402flow"]
        answer = self.post("/api/sdk/runtime-tokens", self.where["bootstrap_key"])
        self.token = read_token(answer.content).token

    def post(self, path: str, bearer: str, **more: Any) -> Any:
        headers = {"authorization": f"Bearer {bearer}", **VERSION, **more.pop("headers", {})}
        return self.shop.http.post(f"{self.where['control_plane']}{path}", headers=headers, **more)

    def request(self, path: str, key: str, **other: Any) -> bytes:
        heard = self.shop.http.get(f"{self.where['merchant']}{path}")
        given: dict[str, Any] = {
            "organization": self.where["organization"],
            "agent": self.where["agent"],
            "url": f"{self.where['merchant']}{path}",
            "method": "GET",
            "headers": {},
            "body": None,
            "challenge_headers": {"payment-required": heard.headers.get("payment-required", "")},
            "challenge_body": None,
            "idempotency_key": key,
        }
        return write_request(DecisionRequest(**given | other))

    def decide(self, body: bytes, token: str | None = None) -> Any:
        headers = {"content-type": "application/json"}
        return self.post("/api/sdk/payment-decisions", token or self.token, content=body, headers=headers)

    def receipt(self, receipt_id: str) -> Any:
        headers = {"authorization": f"Bearer {self.token}", **VERSION}
        return self.shop.http.get(f"{self.where['control_plane']}/api/sdk/receipts/{receipt_id}", headers=headers)


def test_a_key_has_one_decision_and_one_payment(shop: PaidHttp) -> None:
    buyer = Buyer(shop)
    body = buyer.request("/qr-code?text=x", "one-decision")
    before = len(shop.chain.transfers())
    first, again = buyer.decide(body), buyer.decide(body)
    assert (first.status_code, first.json()) == (200, again.json())
    assert isinstance(read_decision(first.content), Allowed)
    assert len(shop.chain.transfers()) == before + 1
    other = buyer.decide(buyer.request("/offers/v2", "one-decision"))
    assert (other.status_code, "another request" in other.json()["message"]) == (409, True)


def test_a_receipt_becomes_final_with_the_chain(shop: PaidHttp) -> None:
    buyer = Buyer(shop)
    made = read_decision(buyer.decide(buyer.request("/qr-code?text=x", "becomes-final")).content)
    assert isinstance(made, Allowed)
    assert made.receipt.status is ReceiptStatus.PROVISIONAL
    shop.chain.advance(25)
    found = read_receipt_answer(buyer.receipt(made.receipt.receipt_id).content)
    assert (found.status, found.money.minor) == (ReceiptStatus.CONFIRMED, 2_000)
    assert buyer.receipt("44444444-2222-4333-8444-555555555555").status_code == 404


def test_its_policy_denies_reviews_and_knows_its_merchants(shop: PaidHttp) -> None:
    buyer = Buyer(shop)
    dear = read_decision(buyer.decide(buyer.request("/offers/cheap-unsupported-first", "dear")).content)
    assert isinstance(dear, Denied)
    elsewhere = buyer.request("/qr-code?text=x", "elsewhere", url=f"{shop.url}/qr-code?text=x")
    denied = read_decision(buyer.decide(elsewhere).content)
    assert isinstance(denied, Denied)
    assert denied.reason == "The merchant is not allowed."
    unpayable = read_decision(buyer.decide(buyer.request("/offers/solana-only", "unpayable")).content)
    assert isinstance(unpayable, Denied)
    assert unpayable.code == "challenge_no_supported_candidates"


def test_what_is_no_request_of_the_protocol_is_refused_with_the_reason(shop: PaidHttp) -> None:
    buyer = Buyer(shop)
    body = buyer.request("/qr-code?text=x", "refused")
    assert buyer.decide(body, "rt_none").status_code == 401
    old = buyer.post(
        "/api/sdk/payment-decisions", buyer.token, content=body, headers={"x-402flow-sdk-version": "0.0.1"}
    )
    assert (old.status_code, old.json()["message"]) == (400, "Unsupported SDK version.")
    assert buyer.post("/api/sdk/runtime-tokens", "another-key").status_code == 401
    assert buyer.decide(buyer.request("/qr-code?text=x", "refused", agent="another")).status_code == 403
    for wrong in ({"idempotencyKey": ""}, {"context": {}}, {"request": {"url": "x"}}, {"challenge": 5}):
        answer = buyer.decide(json.dumps(json.loads(body) | wrong).encode())
        assert (answer.status_code, "fieldErrors" in answer.json()["issues"]) == (422, True), wrong
    lying = json.loads(buyer.request("/abstract", "refused", body="{}"))
    lying["request"]["bodyHash"] = "0" * 64
    assert buyer.decide(json.dumps(lying).encode()).status_code == 422


def test_its_controls_want_the_key(shop: PaidHttp) -> None:
    url = shop.where["402flow"]["control_plane"]
    for path in ("decisions", "faults", "tokens", "receipts"):
        assert shop.http.post(f"{url}/sandbox/{path}", json={}).status_code == 403
    headers = {"x-sandbox-key": shop.control_key}
    for path in ("decisions", "faults", "receipts"):
        assert shop.http.post(f"{url}/sandbox/{path}", json={}, headers=headers).status_code == 400


def test_decisions_receipts_keys_and_ports_outlive_a_restart(tmp_path: Path) -> None:
    config = PaidHttpConfig(tmp_path / "sandbox.x402.sqlite")
    with serving(config) as shop:
        buyer = Buyer(shop)
        where, body = dict(buyer.where), buyer.request("/qr-code?text=x", "outlives")
        first = buyer.decide(body).json()
    with serving(PaidHttpConfig(config.data)) as shop:
        assert dict(shop.where["402flow"]) == where
        again = Buyer(shop)
        assert again.decide(body).json() == first
        assert again.receipt(first["receipt"]["receiptId"]).status_code == 200


def test_a_budget_that_is_spent_denies_what_would_go_beyond_it(tmp_path: Path) -> None:
    config = PaidHttpConfig(tmp_path / "sandbox.x402.sqlite")
    with serving(config) as shop:
        buyer = Buyer(shop)
        buyer.decide(buyer.request("/qr-code?text=x", "first"))
    import apsw

    connection = apsw.Connection(str(config.data))
    [(entry,)] = connection.execute("SELECT entry FROM decisions").fetchall()
    connection.execute("UPDATE decisions SET entry = ?", (json.dumps(json.loads(entry) | {"amount": BUDGET - 2_000}),))
    connection.close()
    with serving(PaidHttpConfig(config.data)) as shop:
        buyer = Buyer(shop)
        last = read_decision(buyer.decide(buyer.request("/qr-code?text=y", "the last one")).content)
        assert isinstance(last, Allowed)
        denied = read_decision(buyer.decide(buyer.request("/qr-code?text=z", "beyond")).content)
        assert isinstance(denied, Denied)
        assert (denied.code, denied.reason) == ("policy_denied", "The budget is spent.")


def test_what_it_began_to_pay_when_it_was_killed_is_inconclusive_for_good(tmp_path: Path) -> None:
    config = PaidHttpConfig(tmp_path / "sandbox.x402.sqlite")
    with serving(config) as shop:
        buyer = Buyer(shop)
        body = buyer.request("/qr-code?text=x", "killed")
        buyer.decide(body)
    import apsw

    connection = apsw.Connection(str(config.data))
    [(entry,)] = connection.execute("SELECT entry FROM decisions").fetchall()
    connection.execute("UPDATE decisions SET entry = ?", (json.dumps(json.loads(entry) | {"decision": None}),))
    connection.close()
    with serving(PaidHttpConfig(config.data)) as shop:
        buyer = Buyer(shop)
        for _ in range(2):
            assert isinstance(read_decision(buyer.decide(body).content), Inconclusive)
