"""Composite actions: steps bound, charged once, each step's provider paid out of the whole, and nothing where one fails."""

from __future__ import annotations

from typing import Any

import pytest

from jecp_mcp.sandbox.providers import composites
from tests.contract.providers.conftest import COUNTS, Endpoint, House, Seller, endpoint, manifest

pytestmark = pytest.mark.slow


def composed(of: Seller, price: str = "$0.05", tier: str = "bronze", **composes: Any) -> dict[str, Any]:
    name = f"{of.namespace}/words"
    steps = [
        {"id": "first", "call": name, "action": "count", "input": {"text": "${input.text}"}},
        {"id": "second", "call": name, "action": "count", "input": {"text": "${first.words} of ${input.text}"}},
    ]
    return {
        **COUNTS,
        "id": "twice",
        "pricing": {"base": price, "currency": "USD", "model": "flat"},
        "trust_tier_required": tier,
        "output_schema": {"type": "object", "required": ["first", "second"]},
        "examples": [],
        "composes": {"steps": steps, **composes},
    }


@pytest.fixture
def sold(seller: Seller) -> Seller:
    seller.sell()
    return seller


def publish(place: House, point: Endpoint, action: dict[str, Any]) -> tuple[Seller, Any]:
    made = place.seller(point)
    assert made.post("/v1/providers/verify-dns").json()["verified"]
    made.onboard()
    return made, made.publish(manifest(made.namespace, point.url, capability="bundle", actions=[action]))


@pytest.mark.requirement("MANIFEST-5.2-1", "MANIFEST-5.2.5-1")
def test_a_composite_is_charged_once_and_pays_whoever_did_its_steps(
    place: House, point: Endpoint, sold: Seller
) -> None:
    bundler, answer = publish(place, point, composed(sold))
    assert answer.json()["status"] == "active", answer.text
    buyer = place.buyer("1.00")
    made = buyer.buy(f"{bundler.namespace}/bundle", "twice", input={"text": "one two"}).raise_for_status().json()
    output = made["result"]["output"] if place.dialect == "spec" else made["result"]
    assert output == {"first": {"words": 2}, "second": {"words": 4}}
    [transaction] = buyer.books()["transactions"]
    assert (transaction["amount_micro"], transaction["provider_share_micro"]) == (50_000, 42_500)
    assert (sold.statement()["earned_micro"], bundler.statement()["earned_micro"]) == (17_000, 25_500)
    assert {entry["reference"] for entry in sold.statement()["entries"]} == {
        f"{transaction['transaction_id']}:{step}" for step in ("first", "second")
    }
    ids = [headers["x-jecp-action"] for headers, _ in point.calls]
    assert ids == ["count", "count"]
    assert f'"id":"{made["id"]}:second"'.encode() in point.calls[1][1]
    asked = {"transaction_id": transaction["transaction_id"], "reason": "not what I meant"}
    refund = place.http.post("/v1/refunds", json=asked, headers=buyer.auth).json()
    place.http.post(f"/sandbox/refunds/{refund['refund_id']}", json={"decision": "approve"}).raise_for_status()
    assert (sold.statement()["balance_micro"], bundler.statement()["balance_micro"]) == (0, 0)


@pytest.mark.requirement("MANIFEST-5.2.1-3")
def test_a_step_that_fails_fails_the_whole_and_costs_nothing_unless_it_may_go_on(
    place: House, point: Endpoint, sold: Seller
) -> None:
    bundler, _ = publish(place, point, composed(sold))
    lenient, _ = publish(place, point, composed(sold, on_step_failure="continue"))
    point.instead = (500, "application/json", b"{}")
    buyer = place.buyer("1.00")
    answer = buyer.buy(f"{bundler.namespace}/bundle", "twice").json()["error"]
    assert (answer["code"], answer["details"]["failed_step_id"]) == ("COMPOSITE_STEP_FAILED", "first")
    assert answer["details"]["upstream_error"]["code"] == "PROVIDER_ERROR"
    # With no first output, the second has nothing to be bound to.
    answer = buyer.buy(f"{lenient.namespace}/bundle", "twice").json()["error"]
    assert (answer["code"], answer["details"]["failed_step_id"]) == ("COMPOSITE_BIND_ERROR", "second")
    point.instead = (200, "application/json", b'{"result":{"words":1}}')
    name = f"{sold.namespace}/words"
    place.http.post("/sandbox/catalog", json={"remove": name}).raise_for_status()
    answer = buyer.buy(f"{bundler.namespace}/bundle", "twice").json()["error"]
    assert answer["details"]["upstream_error"]["code"] == "CAPABILITY_NOT_FOUND"
    assert (buyer.books()["charged_micro"], sold.statement()["entries"]) == (0, [])


def test_steps_that_take_too_long_together_cost_nothing(place: House) -> None:
    with endpoint() as point:
        sold = place.seller(point)
        sold.sell()
        bundler, _ = publish(place, point, composed(sold, timeout_total_ms=1_000))
        point.goes_on.clear()
        buyer = place.buyer()
        assert buyer.buy(f"{bundler.namespace}/bundle", "twice").json()["error"]["code"] == "COMPOSITE_TIMEOUT"
        point.goes_on.set()
        assert buyer.books()["charged_micro"] == 0


@pytest.mark.requirement("WIRE-4.4-2", "MANIFEST-5.2.1-1", "MANIFEST-5.2.1-2", "MANIFEST-5.2.3-1", "MANIFEST-5.2.4-1")
def test_a_composite_that_cannot_work_is_not_published(place: House, point: Endpoint, sold: Seller) -> None:
    def step(**changes: Any) -> dict[str, Any]:
        base = {"id": "first", "call": f"{sold.namespace}/words", "action": "count", "input": {"text": "x"}}
        return {**base, **changes}

    refused = {
        "/actions/0/pricing/base": composed(sold, "$0.02"),
        "/actions/0/composes/steps/0/input": composed(sold, steps=[step(input={"text": "${later.words}"})]),
        "/actions/0/composes/steps/1/id": composed(sold, steps=[step(), step()]),
        "/actions/0/composes/steps/0/call": composed(sold, steps=[step(call="nobody/words")]),
        "/actions/0/composes/steps/0/action": composed(sold, steps=[step(action="other")]),
    }
    for place_named, action in refused.items():
        _, answer = publish(place, point, action)
        assert [each["instance_path"] for each in answer.json()["error"]["details"]["errors"]] == [place_named]
    bundler, _ = publish(place, point, composed(sold, tier="silver"))
    nested = step(call=f"{bundler.namespace}/bundle", action="twice")
    _, answer = publish(place, point, composed(sold, "$1", "silver", steps=[nested]))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "COMPOSITE_DEPTH_EXCEEDED")
    metered = step(call="lectern/keywords", action="extract")
    _, answer = publish(place, point, composed(sold, "$1", steps=[metered]))
    assert [each["instance_path"] for each in answer.json()["error"]["details"]["errors"]] == [
        "/actions/0/composes/steps/0"
    ]
    untrusted = step(call="plumbline/report", action="compile")
    _, answer = publish(place, point, composed(sold, "$9", steps=[untrusted]))
    assert [each["instance_path"] for each in answer.json()["error"]["details"]["errors"]] == [
        "/actions/0/trust_tier_required"
    ]


def test_a_composite_whose_steps_no_longer_fit_costs_nothing(place: House, point: Endpoint, sold: Seller) -> None:
    short, _ = publish(place, point, {**composed(sold), "output_schema": {"type": "object", "required": ["third"]}})
    wrong = {"id": "first", "call": f"{sold.namespace}/words", "action": "count", "input": {"text": 7}}
    wrongly, _ = publish(place, point, composed(sold, steps=[wrong]))
    whole, _ = publish(place, point, composed(sold))
    buyer = place.buyer()
    assert buyer.buy(f"{short.namespace}/bundle", "twice").json()["error"]["code"] == "OUTPUT_INVALID"
    answer = buyer.buy(f"{wrongly.namespace}/bundle", "twice").json()["error"]
    assert answer["details"]["upstream_error"]["code"] == "INPUT_SCHEMA_VIOLATION"
    dearer = {**COUNTS, "pricing": {"base": "$0.04", "currency": "USD", "model": "flat"}}
    sold.publish(manifest(sold.namespace, point.url, version="2.0.0", actions=[dearer])).raise_for_status()
    answer = buyer.buy(f"{whole.namespace}/bundle", "twice").json()["error"]
    assert (answer["code"], "cost more" in answer["message"]) == ("COMPOSITE_STEP_FAILED", True)
    assert (buyer.books()["charged_micro"], sold.statement()["entries"]) == (0, [])


@pytest.mark.requirement("MANIFEST-5.2.4-1")
def test_what_a_step_became_since_is_no_way_round_its_price_trust_rate_or_end(
    place: House, point: Endpoint, sold: Seller
) -> None:
    bundler, _ = publish(place, point, composed(sold))
    buyer = place.buyer()
    metered = {"base": "$0", "currency": "USD", "model": "per_chunk", "per_chunk_usdc": 0.002}
    later = [
        ("2.0.0", {"trust_tier_required": "platinum"}, "INSUFFICIENT_TRUST"),
        ("2.1.0", {"pricing": metered}, "COMPOSITE_STEP_FAILED"),
        ("2.2.0", {"rate_limit_rpm": 3}, None),
    ]
    for version, changes, upstream in later:
        new = manifest(sold.namespace, point.url, version=version, actions=[{**COUNTS, **changes}])
        sold.publish(new).raise_for_status()
        if upstream is None:
            continue
        point.calls.clear()
        answer = buyer.buy(f"{bundler.namespace}/bundle", "twice").json()["error"]
        assert (answer["code"], answer["details"]["upstream_error"]["code"]) == ("COMPOSITE_STEP_FAILED", upstream)
        assert point.calls == []
    buyer.buy(f"{bundler.namespace}/bundle", "twice").raise_for_status()
    charged = buyer.books()["charged_micro"]
    buyer.buy(f"{sold.namespace}/words", "count").raise_for_status()
    answer = buyer.buy(f"{bundler.namespace}/bundle", "twice").json()["error"]
    assert answer["details"]["upstream_error"]["code"] == "RATE_LIMITED"
    assert buyer.books()["charged_micro"] == charged + 10_000


def test_the_steps_inputs_come_to_no_more_than_an_input_may(place: House, point: Endpoint, sold: Seller) -> None:
    many = {"text": "${input.text}" * 300}
    whole = {"text": "x", "more": ["${input.text}"] * 300}
    buyer = place.buyer()
    for given in (many, whole):
        step = {"id": "first", "call": f"{sold.namespace}/words", "action": "count", "input": given}
        bundler, _ = publish(place, point, composed(sold, steps=[step]))
        point.calls.clear()
        answer = buyer.buy(f"{bundler.namespace}/bundle", "twice", input={"text": "x" * 1_000_000}).json()["error"]
        assert (answer["code"], answer["details"]["failed_step_id"]) == ("COMPOSITE_BIND_ERROR", "first")
        assert "more than 5242880 bytes" in answer["message"]
        assert point.calls == []
    assert buyer.books()["charged_micro"] == 0


@pytest.mark.requirement("WIRE-4.4-2")
def test_a_step_that_became_a_composite_since_is_one_too_deep_and_costs_nothing(
    place: House, point: Endpoint, sold: Seller
) -> None:
    bundler, _ = publish(place, point, composed(sold))
    deeper, _ = publish(place, point, COUNTS)
    step = {"id": "only", "call": f"{deeper.namespace}/bundle", "action": "count", "input": {"text": "x"}}
    inner = {**composed(sold), "id": "count", "composes": {"steps": [step]}, "output_schema": {"type": "object"}}
    new = manifest(sold.namespace, point.url, version="2.0.0", actions=[inner])
    sold.publish(new).raise_for_status()
    buyer = place.buyer()
    point.calls.clear()
    answer = buyer.buy(f"{bundler.namespace}/bundle", "twice")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "COMPOSITE_DEPTH_EXCEEDED")
    assert (buyer.books()["charged_micro"], point.calls) == (0, [])


@pytest.mark.parametrize("on_step_failure", ["stop", "continue"])
def test_the_steps_outputs_come_to_no_more_than_an_answer_may(
    place: House, point: Endpoint, sold: Seller, monkeypatch: pytest.MonkeyPatch, on_step_failure: str
) -> None:
    more = {"on_step_failure": on_step_failure} if on_step_failure == "continue" else {}
    bundler, _ = publish(place, point, composed(sold, **more))
    buyer = place.buyer("1.00")
    once = len('{"words":2}')
    monkeypatch.setattr(composites, "MAX_ANSWER_BYTES", 2 * once - 1)
    answer = buyer.buy(f"{bundler.namespace}/bundle", "twice", input={"text": "one two"}).json()["error"]
    assert (answer["code"], answer["details"]["failed_step_id"]) == ("OUTPUT_INVALID", "second")
    assert f"more than {2 * once - 1} bytes" in answer["message"]
    assert (buyer.books()["charged_micro"], sold.statement()["earned_micro"]) == (0, 0)
    monkeypatch.setattr(composites, "MAX_ANSWER_BYTES", 2 * once)
    buyer.buy(f"{bundler.namespace}/bundle", "twice", input={"text": "one two"}).raise_for_status()
