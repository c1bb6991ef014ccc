"""A provider's life at the Hub: registered, verified, published, called with a signature, paid its share."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.contract.providers.conftest import COUNTS, Endpoint, House, Seller, manifest


def code(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    return answer.json()["error"]["code"]


@pytest.mark.requirement("MANIFEST-6.2-2", "MANIFEST-6.2-4", "MANIFEST-6.2-5", "MANIFEST-8.6-1")
def test_what_a_provider_sells_is_signed_delivered_charged_and_shared(place: House, seller: Seller) -> None:
    seller.sell()
    buyer = place.buyer("1.00")
    answer = buyer.buy(f"{seller.namespace}/words", input={"text": "one two three"}).raise_for_status().json()
    output = answer["result"]["output"] if place.dialect == "spec" else answer["result"]
    assert output == {"words": 3}
    [(headers, body)] = seller.endpoint.calls
    assert json.loads(body) == {
        "jecp": "1.0",
        "id": answer["id"],
        "capability": f"{seller.namespace}/words",
        "action": "count",
        "input": {"text": "one two three"},
    }
    assert (headers["x-jecp-namespace"], headers["x-jecp-action"]) == (seller.namespace, "count")
    [sold] = buyer.books()["transactions"]
    assert (sold["amount_micro"], sold["provider_share_micro"], sold["hub_fee_micro"]) == (10_000, 8_500, 1_000)
    stated = seller.statement()
    assert (stated["earned_micro"], stated["balance_micro"], stated["paid_out_micro"]) == (8_500, 8_500, 0)
    assert [entry["reference"] for entry in stated["entries"]] == [sold["transaction_id"]]
    assert seller.me()["total_calls"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("instead", "status", "expected"),
    [
        ((500, "application/json", b'{"error":{"code":"OUT_OF_PAPER","message":"no paper"}}'), 502, "PROVIDER_ERROR"),
        ((200, "application/json", b'{"status":"failed","error":{"code":"NO"}}'), 502, "PROVIDER_ERROR"),
        ((200, "application/json", b"{"), 502, "PROVIDER_ERROR"),
        ((200, "application/json", b'{"result":{"words":"three"}}'), 502, "OUTPUT_INVALID"),
        ((200, "text/plain", b"three"), 502, "OUTPUT_INVALID"),
        ((200, "image/png", b"\x89PNG"), 502, "OUTPUT_INVALID"),
        ((302, "application/json", b"{}"), 502, "PROVIDER_ERROR"),
    ],
)
@pytest.mark.requirement("AUTH-9.7.1.1-8", "MANIFEST-6.2-3")
def test_what_a_provider_fails_at_is_refused_and_costs_nothing(
    place: House, seller: Seller, instead: tuple[int, str, bytes], status: int, expected: str
) -> None:
    seller.sell()
    seller.endpoint.instead = instead
    buyer = place.buyer("1.00")
    assert code(buyer.buy(f"{seller.namespace}/words"), status) == expected
    assert (buyer.books()["balance_micro"], buyer.books()["transactions"]) == (1_000_000, [])
    assert seller.statement()["entries"] == []


@pytest.mark.slow
def test_text_bytes_and_plain_json_are_delivered_as_they_come(place: House, seller: Seller) -> None:
    seller.sell(manifest(seller.namespace, seller.endpoint.url, actions=[{**COUNTS, "output_schema": {}}]))
    buyer = place.buyer()
    for said, expected in (
        ((200, "text/plain", b"three"), {"raw": "three"}),
        ((200, "application/json", b"[1,2]"), [1, 2]),
        ((200, "image/png", b"\x89PNG"), "iVBORw=="),
    ):
        seller.endpoint.instead = said
        answer = buyer.buy(f"{seller.namespace}/words").raise_for_status().json()
        output = answer["result"]["output"] if place.dialect == "spec" else answer["result"]
        assert (output["artifact"]["data_base64"] if expected == "iVBORw==" else output) == expected


@pytest.mark.slow
def test_a_metered_action_costs_what_its_provider_says_it_used(place: House, seller: Seller) -> None:
    pricing = {"base": "$0.001", "currency": "USD", "model": "per_chunk", "per_chunk_usdc": 0.002}
    seller.sell(manifest(seller.namespace, seller.endpoint.url, actions=[{**COUNTS, "pricing": pricing}]))
    buyer = place.buyer()
    seller.endpoint.instead = (200, "application/json", b'{"result":{"words":1},"meter_summary":{"chunks":3}}')
    buyer.buy(f"{seller.namespace}/words").raise_for_status()
    assert buyer.books()["charged_micro"] == 6_000
    seller.endpoint.instead = (200, "application/json", b'{"result":{"words":1}}')
    assert code(buyer.buy(f"{seller.namespace}/words"), 502) == "OUTPUT_INVALID"
    for units in (10**15, 10**15 + 1, 10**19, 10**400):
        said = b'{"result":{"words":1},"meter_summary":{"chunks":%d}}' % units
        seller.endpoint.instead = (200, "application/json", said)
        assert code(buyer.buy(f"{seller.namespace}/words"), 502) == "OUTPUT_INVALID"
    assert buyer.books()["charged_micro"] == 6_000


@pytest.mark.slow
def test_a_refund_takes_the_share_back_and_a_payout_pays_it_once(place: House, seller: Seller) -> None:
    seller.sell()
    buyer = place.buyer()
    sold = [buyer.buy(f"{seller.namespace}/words").raise_for_status().json() for _ in range(3)]
    refund = place.http.post(
        "/v1/refunds",
        json={"transaction_id": sold[0]["billing"]["transaction_id"], "reason": "not the words"},
        headers=buyer.auth,
    ).json()
    place.http.post(f"/sandbox/refunds/{refund['refund_id']}", json={"decision": "approve"}).raise_for_status()
    assert seller.statement()["balance_micro"] == 17_000
    assert place.http.post("/sandbox/payouts", json={}).json()["payouts"] == []
    assert code(place.http.post("/sandbox/payouts", json={"least_usdc": "much"}), 400) == "INVALID_REQUEST"
    paid = place.http.post("/sandbox/payouts", json={"least_usdc": "0.01"}).json()["payouts"]
    assert [each["amount_micro"] for each in paid if each["provider_id"] == seller.me()["provider_id"]] == [17_000]
    assert place.http.post("/sandbox/payouts", json={"least_usdc": "0.01"}).json()["payouts"] == []
    stated = seller.statement()
    assert [stated[f"{name}_micro"] for name in ("earned", "refunded", "paid_out", "balance")] == [
        25_500,
        8_500,
        17_000,
        0,
    ]
    assert [entry["kind"] for entry in stated["entries"]] == ["payout", "refund", "sale", "sale", "sale"]


@pytest.mark.slow
@pytest.mark.requirement("MANIFEST-8.3-1")
def test_what_costs_money_is_for_sale_once_its_provider_can_be_paid(place: House, seller: Seller) -> None:
    assert seller.post("/v1/providers/verify-dns").json()["verified"]
    seller.endpoint.instead = (200, "application/json", b'{"result":{"words":1}}')
    free = {**COUNTS, "pricing": {"base": "$0", "currency": "USD", "model": "flat"}}
    made = seller.publish(manifest(seller.namespace, seller.endpoint.url, capability="free-words", actions=[free]))
    assert (made.status_code, made.json()["status"]) == (201, "active")
    made = seller.publish(manifest(seller.namespace, seller.endpoint.url))
    assert (made.status_code, made.json()["status"]) == (201, "submitted")
    assert "connect-stripe" in made.json()["validation_warnings"][0]
    buyer = place.buyer()
    assert buyer.buy(f"{seller.namespace}/words").status_code == 404
    seller.onboard()
    buyer.buy(f"{seller.namespace}/words").raise_for_status()
    assert place.http.get("/onboarding/nobody").status_code == 404


@pytest.mark.slow
@pytest.mark.requirement("MANIFEST-6.1-6", "MANIFEST-8.6-1", "MANIFEST-8.6.2-1", "MANIFEST-8.6.2-3")
def test_a_host_is_proven_by_its_txt_record(place: House, point: Endpoint, seller: Seller) -> None:
    told = seller.registered["next_steps"]["1_dns"]
    refused = seller.publish(manifest(seller.namespace, point.url))
    assert code(refused, 422) == "DNS_VERIFICATION_FAILED"
    for values, reason in (([], "txt_record_missing"), (["jecp-verify=another"], "txt_record_mismatch")):
        place.http.post("/sandbox/dns", json={"name": told["name"], "values": values}).raise_for_status()
        answer = seller.post("/v1/providers/verify-dns")
        assert reason in answer.text
        if place.dialect == "spec":
            assert code(answer, 422) == "DNS_VERIFICATION_FAILED"
            assert answer.json()["error"]["details"]["reason"] == reason
        else:
            assert (answer.status_code, answer.json()["verified"], answer.json()["status"]) == (
                200,
                False,
                "dns_pending",
            )
    assert seller.me()["dns_verified"] is False
    answer = seller.post("/v1/providers/verify-dns", {"domain": "victim.example"})
    assert code(answer, 400) == ("INVALID_REQUEST" if place.dialect == "spec" else "DOMAIN_MISMATCH")
    place.http.post("/sandbox/dns", json={"name": f"{told['name']}.", "values": [told["value"]]}).raise_for_status()
    assert seller.post("/v1/providers/verify-dns", {"domain": "127.0.0.1"}).json()["verified"]
    assert (seller.me()["status"], seller.me()["dns_verified"]) == ("verified", True)
    assert code(place.http.post("/sandbox/dns", json={"name": "x"}), 400) == "INVALID_REQUEST"


@pytest.mark.slow
@pytest.mark.requirement("MANIFEST-8.6-1", "MANIFEST-8.6.3-3")
def test_a_replaced_key_works_through_its_grace_and_three_rotations_are_a_days(place: House, seller: Seller) -> None:
    old = dict(seller.auth)
    made = seller.post("/v1/providers/me/rotate-key", {"grace_seconds": 120}).raise_for_status().json()
    assert (made["grace_seconds"], made["rotations_in_last_24h"]) == (120, 1)
    seller.registered["provider_api_key"] = made["api_key"]
    me = "/v1/providers/me"
    assert [place.http.get(me, headers=each).status_code for each in (old, seller.auth)] == [200, 200]
    place.clock.ahead_ms = 121_000
    assert [place.http.get(me, headers=each).status_code for each in (old, seller.auth)] == [401, 200]
    old = dict(seller.auth)
    made = seller.post("/v1/providers/me/rotate-key", {"revoke_old": True}).raise_for_status().json()
    assert (made["grace_seconds"], made["previous_key_valid_until"]) == (0, None)
    seller.registered["provider_api_key"] = made["api_key"]
    assert place.http.get(me, headers=old).status_code == 401
    assert code(seller.post("/v1/providers/me/rotate-key", {"grace_seconds": "long"}), 400) == "INVALID_REQUEST"
    seller.registered["provider_api_key"] = seller.post("/v1/providers/me/rotate-key").json()["api_key"]
    capped = seller.post("/v1/providers/me/rotate-key")
    assert code(capped, 429) == "ROTATION_24H_CAP"
    assert capped.headers["retry-after"] == "600"
    assert place.http.get(me, headers=seller.auth).status_code == 200


@pytest.mark.slow
@pytest.mark.requirement("MANIFEST-8.6-2")
def test_nobody_is_let_in_without_a_key(place: House) -> None:
    asked = [("GET", "/v1/providers/me"), ("GET", "/v1/providers/me/payouts"), ("POST", "/v1/manifests")]
    asked += [("POST", f"/v1/providers/{name}") for name in ("verify-dns", "me/rotate-key", "connect-stripe")]
    for method, path in asked:
        answer = place.http.request(method, path)
        assert code(answer, 401) == "AUTH_REQUIRED"
        assert answer.json()["next_action"]["api"].endswith("/v1/providers/register")
        answer = place.http.request(method, path, headers={"Authorization": "Bearer sbx_pk_" + "0" * 48})
        assert code(answer, 401) == "INVALID_API_KEY"
    for path in ("/sandbox/dns", "/sandbox/payouts"):
        assert code(place.http.post(path, json={}, headers={"X-Sandbox-Key": "no"}), 403) == "FORBIDDEN"


@pytest.mark.slow
@pytest.mark.requirement("MANIFEST-8.6.3-1")
def test_rotations_at_once_follow_one_another_and_leave_one_key(place: House, seller: Seller) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = [*pool.map(lambda _: seller.post("/v1/providers/me/rotate-key"), range(6))]
    # The key that all of them came with is no key once it was replaced twice.
    assert {each.status_code for each in answers} <= {200, 401, 429}
    done = sorted((each.json() for each in answers if each.status_code == 200), key=by_number)
    assert [by_number(each) for each in done] == [*range(1, len(done) + 1)]
    assert len(done) >= 2
    let_in = [
        place.http.get("/v1/providers/me", headers={"Authorization": f"Bearer {each['api_key']}"}).status_code
        for each in done
    ]
    assert let_in == [401] * (len(done) - 2) + [200, 200]


def by_number(rotation: dict[str, Any]) -> int:
    return int(rotation["rotations_in_last_24h"])
