"""The wallet: charged once, only for what was delivered, divided to the micro; topups, refunds, keys."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jecp_mcp.money import MicroUSDC
from jecp_mcp.sandbox.revenue_split import split
from tests.contract.sandbox.conftest import Buyer, action, cost, error, manifest, output

DAY_MS = 86_400_000


@given(st.integers(0, 10**15))
@pytest.mark.requirement("MANIFEST-6.2-5")
def test_the_parts_of_a_price_sum_to_it(price: int) -> None:
    parts = split(MicroUSDC(price))
    assert sum(parts) == price
    assert min(parts) >= 0
    assert abs(parts.provider - price * 85 / 100) <= max(1, price / 10**12)


@pytest.mark.parametrize("price", ["$0.000001", "$0.000019", "$0.0005", "$0.333333", "$1.50"])
@pytest.mark.requirement("MANIFEST-6.2-4")
def test_every_charge_is_exact_in_the_answer_and_in_the_books(buyer: Buyer, price: str) -> None:
    name = "priced-" + re.sub(r"\D", "", price)
    buyer.publish(manifest(capability=name, actions=[action(price=price)]))
    before = Decimal(buyer.books()["balance_usdc"])
    answer = buyer.buy(f"lab/{name}")
    amount, transaction_id = cost(answer)
    assert Decimal(amount) == Decimal(price[1:])
    books = buyer.books()
    [row] = books["transactions"]
    assert row["transaction_id"] == transaction_id
    assert Decimal(row["amount_usdc"]) == Decimal(price[1:])
    assert row["provider_share_micro"] + row["hub_fee_micro"] + row["payment_fee_micro"] == row["amount_micro"]
    assert before - Decimal(books["balance_usdc"]) == Decimal(price[1:])
    assert books["credited_micro"] - books["charged_micro"] == books["balance_micro"]


def test_free_calls_come_first_where_the_dialect_gives_them(fresh: Buyer) -> None:
    first = fresh.buy("text-stats")
    assert first.json()["billing"]["method"] == "free_call"
    assert Decimal(cost(first)[0]) == 0
    assert fresh.books()["free_calls_remaining"] == 99
    third = fresh.buy()
    if fresh.dialect == "spec":
        assert third.json()["billing"]["method"] == "free_call"
    else:
        error(third, "INSUFFICIENT_BALANCE", 402)
    fresh.wallet(free_calls=0)
    code = "PAYMENT_REQUIRED" if fresh.dialect == "reference" else "WALLET_INSUFFICIENT_BALANCE"
    assert error(fresh.buy("text-stats"), code, 402)["next_action"]["type"] == "topup"
    assert fresh.books()["charged_micro"] == 0


def test_an_empty_wallet_is_topped_up_by_a_person_and_the_call_completes(fresh: Buyer) -> None:
    fresh.wallet(free_calls=0)
    asked = fresh.request()
    code = "INSUFFICIENT_BALANCE" if fresh.dialect == "reference" else "WALLET_INSUFFICIENT_BALANCE"
    body = error(fresh.send(asked), code, 402)
    todo = body["next_action"]
    assert (todo["type"], todo["method"], todo["headers"]) == ("topup", "POST", ["X-Agent-ID", "X-API-Key"])
    assert todo["allowed_amounts_usd"] == [5, 20, 100]
    session = fresh.http.post(todo["api"], json=todo["body_example"], headers=fresh.auth).json()
    assert session["url"].startswith(str(fresh.http.base_url).rstrip("/"))
    assert session["sessionId"] in session["url"]
    page = fresh.http.get(session["url"])
    assert "TEST MONEY" in page.text
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    [form] = re.findall(r'<form method="post" action="([^"]+)">', page.text)
    assert fresh.books()["balance_usdc"] == "0.00"
    paid = fresh.http.post(form, follow_redirects=True)
    assert "Paid" in paid.text
    assert "<form" not in paid.text
    assert fresh.books()["balance_usdc"] == "5.00"
    assert output(fresh.send(asked))["words"] == 2
    assert fresh.books()["balance_usdc"] == "4.995"


def test_a_checkout_credits_once_however_often_the_button_is_pressed(buyer: Buyer) -> None:
    session = buyer.http.post("/api/agents/topup", json={"amount": 20}, headers=buyer.auth).json()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: httpx2.post(session["url"] + "/pay"), range(8)))
    books = buyer.books()
    assert books["balance_usdc"] == "30.00"
    assert [row["kind"] for row in books["credits"]].count("topup") == 1


def test_a_checkout_ends_after_a_day(buyer: Buyer) -> None:
    session = buyer.http.post("/api/agent/topup", json={"amount": 5}, headers=buyer.auth).json()
    buyer.clock.ahead_ms = DAY_MS + 1000
    assert buyer.http.get(session["url"]).status_code == 404
    buyer.http.post(session["url"] + "/pay")
    assert buyer.books()["balance_usdc"] == "10.00"


@pytest.mark.parametrize("amount", [None, 0, 7, -5, "five", 5.5, True, 10**40])
def test_other_amounts_are_not_sold(buyer: Buyer, amount: object) -> None:
    answer = buyer.http.post("/api/agents/topup", json={"amount": amount}, headers=buyer.auth)
    assert error(answer, "VALIDATION_FAILED", 400)["error"]["details"]["allowed_amounts_usd"] == [5, 20, 100]


def test_the_page_leads_back_only_where_it_may(buyer: Buyer) -> None:
    bad = {"amount": 5, "returnTo": "javascript:alert(1)"}
    error(buyer.http.post("/api/agents/topup", json=bad, headers=buyer.auth), "VALIDATION_FAILED", 400)
    good = {"amount": 5, "returnTo": 'https://app.example/?a="><script>'}
    session = buyer.http.post("/api/agents/topup", json=good, headers=buyer.auth).json()
    page = buyer.http.post(session["url"] + "/pay", follow_redirects=True)
    assert "<script>" not in page.text
    assert "https://app.example/?a=&quot;&gt;&lt;script&gt;" in page.text


def test_a_person_can_top_up_and_register_from_the_pages_alone(fresh: Buyer) -> None:
    page = fresh.http.get("/topup", params={"agent_id": fresh.agent_id})
    assert fresh.agent_id in page.text
    form = {"agent_id": fresh.agent_id, "amount": "100"}
    checkout = fresh.http.post("/topup", data=form, follow_redirects=True)
    fresh.http.post(str(checkout.url) + "/pay")
    assert fresh.books()["balance_usdc"] == "100.00"
    assert fresh.http.post("/topup", data={"agent_id": "nobody", "amount": "5"}).status_code == 404
    made = fresh.http.post("/register", data={"name": "<b>me</b>"})
    agent_id, api_key = re.findall(r"<code>(sbx_a[gk]_\w+)</code>", made.text)
    auth = {"X-Agent-ID": agent_id, "X-API-Key": api_key}
    assert fresh.http.get("/sandbox/books", headers=auth).json()["balance_usdc"] == "0.00"
    assert fresh.http.get("/").status_code == 200


METERED = {
    "base": "$0.0001",
    "currency": "USD",
    "model": "per_token",
    "input_per_token_usdc": 0.0000123,
    "output_per_token_usdc": 0.0000301,
}


def metered_units(buyer: Buyer, **parts: Any) -> tuple[httpx2.Response, Decimal]:
    """A metered call's answer, and what its units cost by the rates, exactly."""
    keywords = ("lectern/keywords", "extract")
    one = action(pricing=METERED, input_schema={"type": "object"})
    buyer.publish(manifest(capability="metered", actions=[one], extensions={"sandbox": {"runs": ":".join(keywords)}}))
    answer = buyer.buy("lab/metered", input=buyer.example(*keywords), **parts)
    body = answer.json()
    units = body.get("meter_summary") or body["execution"]["meter_summary"]
    exact = Decimal("0.0000123") * units["input_tokens"] + Decimal("0.0000301") * units.get("output_tokens", 0)
    return answer, exact


def test_a_metered_call_costs_its_units_rounded_up_to_the_micro(buyer: Buyer) -> None:
    answer, exact = metered_units(buyer, mandate=buyer.mandate(1))
    assert exact > Decimal("0.0001")
    assert exact <= Decimal(cost(answer)[0]) < exact + Decimal("0.000001")
    assert Decimal(buyer.books()["charged_usdc"]) == Decimal(cost(answer)[0])


def test_a_metered_call_never_costs_more_than_its_mandate(buyer: Buyer) -> None:
    answer, exact = metered_units(buyer, mandate=buyer.mandate(0.0002))
    assert exact > Decimal("0.0002")
    assert Decimal(cost(answer)[0]) == Decimal("0.0002")
    assert buyer.books()["charged_usdc"] == "0.0002"


def test_a_wallet_cannot_be_overdrawn_by_calls_at_once(buyer: Buyer) -> None:
    buyer.wallet(balance_usdc="0.012")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: buyer.buy(), range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 2 + [402] * 6
    assert buyer.books()["balance_usdc"] == "0.002"


def test_work_that_fails_on_its_input_is_not_charged(buyer: Buyer) -> None:
    given = buyer.example("inkwell/thumbnail", "make")
    broken = {key: "bm90IGFuIGltYWdl" if isinstance(value, str) else value for key, value in given.items()}
    body = error(buyer.buy("inkwell/thumbnail", "make", input=broken), "VALIDATION_FAILED", 400)
    assert body["error"]["details"]["reason"]
    assert buyer.books()["transactions"] == []


def test_a_refund_returns_ninety_percent_once(buyer: Buyer) -> None:
    buyer.publish(manifest(capability="dear", actions=[action(price="$1.00")]))
    _, transaction_id = cost(buyer.buy("lab/dear"))
    asked = {"transaction_id": transaction_id, "reason": "it was wrong"}
    made = buyer.http.post("/v1/refunds", json=asked, headers=buyer.auth)
    refund = made.json()
    assert (made.status_code, refund["status"], refund["amount_usdc"]) == (201, "requested", 1)
    error(buyer.http.post("/v1/refunds", json=asked, headers=buyer.auth), "DUPLICATE_REFUND", 409)
    path = f"/v1/refunds/{refund['refund_id']}"
    assert buyer.http.get(path, headers=buyer.auth).json()["status"] == "requested"
    buyer.clock.ahead_ms = DAY_MS + 1000
    assert buyer.http.get(path, headers=buyer.auth).json()["status"] == "auto_approved"
    assert len(buyer.http.get("/v1/refunds", headers=buyer.auth).json()["refunds"]) == 1
    books = buyer.books()
    assert books["balance_usdc"] == "9.90"
    assert books["transactions"][0]["refunded"] is True


def test_refunds_are_for_ones_own_paid_calls_of_the_last_month(buyer: Buyer, served: Buyer) -> None:
    _, transaction_id = cost(buyer.buy())
    asked = {"transaction_id": transaction_id, "reason": "because"}
    error(buyer.http.post("/v1/refunds", json=asked, headers=served.auth), "FORBIDDEN", 403)
    unknown = {"transaction_id": "00000000-0000-4000-8000-000000000000", "reason": "because"}
    error(buyer.http.post("/v1/refunds", json=unknown, headers=buyer.auth), "TRANSACTION_NOT_FOUND", 404)
    error(buyer.http.get("/v1/refunds/rf_unknown", headers=buyer.auth), "REFUND_NOT_FOUND", 404)
    buyer.clock.ahead_ms = 31 * DAY_MS
    error(buyer.http.post("/v1/refunds", json=asked, headers=buyer.auth), "REFUND_WINDOW_EXPIRED", 400)


def test_five_refunds_a_day_and_a_provider_may_deny(buyer: Buyer) -> None:
    ids = [cost(buyer.buy())[1] for _ in range(6)]
    answers = [
        buyer.http.post("/v1/refunds", json={"transaction_id": each, "reason": "no"}, headers=buyer.auth)
        for each in ids
    ]
    assert [answer.status_code for answer in answers] == [201] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) <= 600
    first, second = (answer.json()["refund_id"] for answer in answers[:2])
    buyer.http.post(f"/sandbox/refunds/{first}", json={"decision": "deny", "note": "delivered"}).raise_for_status()
    buyer.http.post(f"/sandbox/refunds/{second}", json={"decision": "approve"}).raise_for_status()
    assert buyer.books()["balance_usdc"] == "9.9745"
    denied = buyer.http.get(f"/v1/refunds/{first}", headers=buyer.auth).json()
    assert (denied["status"], denied["resolution_note"]) == ("denied", "delivered")


def test_a_rotated_key_replaces_the_old_one_after_its_grace(buyer: Buyer) -> None:
    made = buyer.http.post("/v1/agents/me/rotate-key", json={"grace_seconds": 60}, headers=buyer.auth).json()
    assert made["api_key"] != buyer.api_key
    assert buyer.buy().status_code == 200
    old = buyer.api_key
    buyer.clock.ahead_ms = 61_000
    assert buyer.buy().status_code == 401
    buyer.api_key = made["api_key"]
    assert buyer.buy().status_code == 200
    assert old not in buyer.buy().text
    for _ in range(2):
        answer = buyer.http.post("/v1/agents/me/rotate-key", json={"revoke_old": True}, headers=buyer.auth)
        buyer.api_key = answer.json()["api_key"]
    answer = buyer.http.post("/v1/agents/me/rotate-key", headers=buyer.auth)
    error(answer, "ROTATION_24H_CAP", 429)
    assert buyer.buy().status_code == 200


def test_the_books_are_shown_to_their_agent_only(buyer: Buyer, served: Buyer) -> None:
    answer = buyer.http.get("/sandbox/books", headers=buyer.auth, params={"agent_id": served.agent_id})
    error(answer, "FORBIDDEN", 403)
    error(buyer.http.get("/sandbox/books"), "AUTH_REQUIRED", 401)
