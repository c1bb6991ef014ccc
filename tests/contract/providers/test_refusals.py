"""What the Hub refuses a provider: each rule of registration and manifest names its field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jecp_mcp.sandbox.catalog import Catalog
from tests.contract.providers.conftest import COUNTS, Endpoint, House, Seller, endpoint, house, manifest
from tests.contract.sandbox.conftest import manifest as cataloged

pytestmark = pytest.mark.slow

REGISTRATION = {
    "namespace": "nobody-yet",
    "display_name": "Words",
    "owner_email": "owner@words.example",
    "endpoint_url": "https://words.example/jecp",
    "country": "JP",
}


@pytest.mark.parametrize(
    ("changes", "status", "code", "field"),
    [
        ({"namespace": "1invalid"}, 400, "INVALID_NAMESPACE", "namespace"),
        ({"namespace": "ab"}, 400, "INVALID_NAMESPACE", "namespace"),
        ({"namespace": None}, 400, "INVALID_NAMESPACE", "namespace"),
        ({"owner_email": "owner"}, 400, "INVALID_EMAIL", "owner_email"),
        ({"display_name": " "}, 400, "INVALID_DISPLAY_NAME", "display_name"),
        ({"display_name": " x "}, 400, "INVALID_DISPLAY_NAME", "display_name"),
        ({"country": "XX"}, 400, "UNSUPPORTED_COUNTRY", "country"),
        ({"usdc_payout_address": "0x12"}, 400, "INVALID_USDC_PAYOUT_ADDRESS", "usdc_payout_address"),
        ({"website": 7}, 400, "INVALID_REQUEST", "website"),
        ({"endpoint_url": "x" * 3_000}, 400, "INVALID_REQUEST", "endpoint_url"),
    ],
)
def test_a_registration_that_breaks_a_rule_is_refused_and_leaves_nothing(
    place: House, point: Endpoint, changes: dict[str, Any], status: int, code: str, field: str
) -> None:
    body = {**REGISTRATION, "endpoint_url": point.url, **changes}
    answer = place.http.post("/v1/providers/register", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["details"]["field"]) == (status, code, field)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.requirement("AUTH-9.7-1", "AUTH-9.7-4", "AUTH-9.7.1.1-2", "AUTH-9.7.1.1-4")
def test_an_endpoint_is_where_the_hub_may_call(own: bool) -> None:
    refused = {
        "ftp://words.example/jecp": "scheme",
        "https://owner@words.example/jecp": "host_syntax",
        "https://[fe80::1]/jecp": "host_syntax",
        "https://[fe80::1/jecp": "parse_error",
    }
    if own:
        refused |= {"https://words.example/jecp": "host_syntax", "http://10.0.0.1/jecp": "host_syntax"}
    else:
        refused |= {
            "http://words.example/jecp": "scheme",
            "https://192.168.1.1/jecp": "resolved_to_deny_cidr",
            "https://0x7f000001/jecp": "resolved_to_deny_cidr",
            "https://localhost/jecp": "resolved_to_deny_cidr",
            "https://%31%32%37.0.0.1/jecp": "host_syntax",
        }
    with house() if own else house(loopback=False) as made:
        for url, reason in refused.items():
            answer = made.http.post("/v1/providers/register", json={**REGISTRATION, "endpoint_url": url})
            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (422, "URL_BLOCKED_SSRF"), url
            assert (error["details"]["field"], error["details"]["reason"]) == ("endpoint_url", reason), url
            assert "owner@" not in answer.text, "what may be a password is not repeated"


def test_a_provider_on_the_network_is_asked_for_its_record_by_the_resolver_given() -> None:
    asked: list[str] = []
    answers: dict[str, list[str]] = {}

    async def resolve(name: str) -> list[str]:
        asked.append(name)
        if name not in answers:
            raise OSError("no such domain")
        return answers[name]

    with house(loopback=False, resolve_txt=resolve) as made:
        seller = made.seller(Endpoint(REGISTRATION["endpoint_url"]))
        answer = seller.post("/v1/providers/verify-dns")
        assert (answer.status_code, answer.json()["error"]["details"]["reason"]) == (400, "nxdomain")
        told = seller.registered["next_steps"]["1_dns"]
        answers[told["name"]] = ["v=spf1 -all", told["value"]]
        assert seller.post("/v1/providers/verify-dns").json()["verified"]
        assert asked == ["_jecp.words.example"] * 2
        # It is not there to be asked for its health, and nothing is published.
        answer = seller.publish(manifest(seller.namespace, REGISTRATION["endpoint_url"]))
        assert answer.json()["error"]["details"]["errors"][0]["instance_path"] == "/endpoint"


def test_providers_of_one_host_are_each_proven(place: House, point: Endpoint) -> None:
    both = [place.seller(point) for _ in range(2)]
    assert [each.post("/v1/providers/verify-dns").json()["verified"] for each in both] == [True, True]


@pytest.mark.requirement("MANIFEST-6.1-3")
def test_a_namespace_is_one_providers(place: House, seller: Seller) -> None:
    for namespace in (seller.namespace, "lectern"):
        body = {**REGISTRATION, "endpoint_url": seller.endpoint.url, "namespace": namespace}
        answer = place.http.post("/v1/providers/register", json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "NAMESPACE_TAKEN")


def test_what_the_operator_lists_is_not_called_where_nobody_registered_or_proved_it(
    place: House, seller: Seller
) -> None:
    buyer = place.buyer()
    there = {"extensions": {}, "endpoint": "https://words.example/jecp"}
    for namespace, why in (("strangers", "nobody is registered"), (seller.namespace, "this machine")):
        made = cataloged(namespace, "remote", **there)
        place.http.post("/sandbox/catalog", json={"manifest": made}).raise_for_status()
        answer = buyer.buy(f"{namespace}/remote")
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "PROVIDER_UNREACHABLE")
        assert why in answer.json()["error"]["message"]
    assert buyer.books()["charged_micro"] == 0


def changed(**changes: Any) -> dict[str, Any]:
    return {"actions": [{**COUNTS, **changes}]}


@pytest.mark.parametrize(
    ("changes", "place_named"),
    [
        ({"actions": []}, "/actions"),
        ({"description": "x" * 501}, "/description"),
        ({"version": "1.0"}, "/version"),
        ({"display_name": None}, "/display_name"),
        ({"surprise": 1}, "/surprise"),
        ({"namespace": "lectern"}, "/namespace"),
        ({"endpoint": "http://127.0.0.2/jecp"}, "/endpoint"),
        ({"endpoint": "http://localhost:1/jecp"}, "/endpoint"),
        ({"endpoint": "https://words.example/jecp"}, "/endpoint"),
        (changed(id="no"), "/actions/0/id"),
        (changed(pricing={"base": "five", "currency": "USD", "model": "flat"}), "/actions/0/pricing/base"),
        (changed(pricing={"base": "$1", "currency": "JPY", "model": "flat"}), "/actions/0/pricing"),
        (changed(pricing={"base": "$1", "currency": "USD", "model": "per_chunk"}), "/actions/0/pricing"),
        (changed(input_schema={"type": "nothing"}), "/actions/0/input_schema"),
        (changed(output_schema={"$ref": "https://words.example/schema"}), "/actions/0/output_schema"),
        (
            changed(pricing={"base": "$1", "currency": "USD", "model": "flat", "payment_methods": ["x402"]}),
            "/actions/0/pricing/payment_methods",
        ),
    ],
)
@pytest.mark.requirement(
    "MANIFEST-5-2", "MANIFEST-6.1-2", "MANIFEST-6.1-7", "MANIFEST-6.1-8", "MANIFEST-7.1-1", "PAYMENT-8.9-1"
)
def test_a_manifest_that_breaks_a_rule_is_refused_by_its_place(
    verified: Seller, changes: dict[str, Any], place_named: str
) -> None:
    made = {**manifest(verified.namespace, verified.endpoint.url), **changes}
    if made["display_name"] is None:
        del made["display_name"]
    answer = verified.publish(made)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_MANIFEST")
    assert place_named in [each["instance_path"] for each in answer.json()["error"]["details"]["errors"]]


@pytest.fixture
def verified(seller: Seller) -> Seller:
    assert seller.post("/v1/providers/verify-dns").json()["verified"]
    return seller


@pytest.mark.requirement("MANIFEST-4.2-1", "MANIFEST-4.4-1", "MANIFEST-6.1-1")
def test_a_manifest_in_yaml_is_one_in_json_and_neither_may_be_garbled_or_long(verified: Seller) -> None:
    written = f"""
namespace: {verified.namespace}
display_name: Words
capability: words
version: 1.0.0
description: Counts words.
endpoint: {verified.endpoint.url}
actions:
  - id: count
    description: Counts the words of a text.
    pricing: {{base: $0.00, currency: USD, model: flat}}
    input_schema: {{type: object, required: [text], properties: {{text: {{type: string}}}}}}
    output_schema: {{type: object}}
    examples:
      - input: {{text: 7}}
"""
    made = verified.publish(written, "application/x-yaml; charset=utf-8")
    assert (made.status_code, made.json()["status"]) == (201, "active"), made.text
    warnings = made.json()["validation_warnings"]
    assert [each.partition(": ")[0] for each in warnings] == ["/actions/0/examples/0/input/text", "/support_email"]
    for text, kind, status, code in (
        (written, "text/plain", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("a: [1", "application/x-yaml", 400, "PARSE_ERROR"),
        ("{", "application/json", 400, "PARSE_ERROR"),
        ("[]", "application/json", 400, "INVALID_MANIFEST"),
        ("#" * 10_241, "application/x-yaml", 413, "MANIFEST_TOO_LARGE"),
        ("#" * 100_000, "application/x-yaml", 413, "INPUT_TOO_LARGE"),
    ):
        answer = verified.publish(text, kind)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.requirement("MANIFEST-6.1-4", "MANIFEST-7.3-1")
def test_a_version_stands_as_it_was_published_until_it_ends(place: House, verified: Seller) -> None:
    verified.sell()
    buyer, name = place.buyer(), f"{verified.namespace}/words"
    made = manifest(verified.namespace, verified.endpoint.url)
    assert verified.publish(made).json()["error"]["code"] == "VERSION_EXISTS"
    assert verified.publish({**made, "description": "Better."}).json()["error"]["code"] == "VERSION_EXISTS"
    assert verified.publish({**made, "version": "1.10.0"}).status_code == 201
    assert verified.publish({**made, "version": "1.9.0"}).status_code == 201
    assert buyer.buy(name).status_code == 200
    sold = place.http.get(f"/v1/capabilities/{name}").json()
    assert "1.10.0" in str(sold)
    ending = {"status": "sunset", "sunset_at": "2026-01-01T00:00:00Z", "successor_version": "1.9.0"}
    answer = verified.publish({**made, "version": "1.10.0", "deprecation": ending})
    assert (answer.status_code, answer.json()["status"]) == (200, "sunset")
    assert buyer.buy(f"{name}@1.10.0").status_code == 410
    assert buyer.buy(name).status_code == 200


@pytest.mark.requirement("MANIFEST-6.1-5")
def test_an_endpoint_that_is_not_well_is_not_published(verified: Seller) -> None:
    verified.endpoint.healthy = 503
    answer = verified.publish(manifest(verified.namespace, verified.endpoint.url))
    assert answer.json()["error"]["details"]["errors"][0]["instance_path"] == "/endpoint"


def test_what_was_published_is_for_sale_after_a_restart_and_called_where_it_may_be(tmp_path: Any) -> None:
    data = tmp_path / "hub.sqlite"
    with endpoint() as point:
        with house(data=data) as made:
            seller = made.seller(point)
            provider = seller.sell()
        with house(data=data) as made:
            point.provider = provider
            made.buyer().buy(f"{seller.namespace}/words").raise_for_status()
            seller.hub = made.http
            assert seller.statement()["earned_micro"] == 8_500
        with house(data=data, loopback=False) as made:
            answer = made.buyer().buy(f"{seller.namespace}/words")
            assert answer.json()["error"]["code"] == "PROVIDER_UNREACHABLE"


@pytest.mark.requirement("WIRE-8-2", "MANIFEST-6.2-2")
def test_a_provider_that_is_slow_or_away_is_refused_and_costs_nothing(place: House) -> None:
    buyer = place.buyer()
    with endpoint() as point:
        seller = place.seller(point)
        seller.sell(manifest(seller.namespace, point.url, **changed(sla={"timeout_ms": 1_000})))
        point.goes_on.clear()
        assert buyer.buy(f"{seller.namespace}/words").json()["error"]["code"] == "PROVIDER_TIMEOUT"
        point.goes_on.set()
    assert buyer.buy(f"{seller.namespace}/words").json()["error"]["code"] == "PROVIDER_UNREACHABLE"
    assert buyer.books()["charged_micro"] == 0


DOUBLING = {
    "$defs": {
        **{f"d{number}": {"anyOf": [{"$ref": f"#/$defs/d{number + 1}"}] * 2} for number in range(40)},
        "d40": {"type": "integer"},
    },
    "$ref": "#/$defs/d0",
}
"""Nothing that is no integer is ever found to be none."""


@pytest.mark.parametrize("field", ["input_schema", "output_schema"])
def test_a_schema_that_multiplies_is_not_published_and_one_from_before_holds_nobody_up(
    place: House, seller: Seller, field: str
) -> None:
    assert seller.post("/v1/providers/verify-dns").json()["verified"]
    example = {"input": {"text": "x"}, "output": {"words": 1}}
    made = manifest(seller.namespace, seller.endpoint.url, actions=[{**COUNTS, field: DOUBLING, "examples": [example]}])
    answer = seller.publish(made)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_MANIFEST")
    [fault] = answer.json()["error"]["details"]["errors"]
    assert fault["instance_path"] == f"/actions/0/{field}"
    assert "multiply beyond measure" in fault["reason"]
    shown = cataloged(actions=[{**COUNTS, field: DOUBLING, "examples": []}])
    answer = place.http.post("/sandbox/catalog", json={"manifest": shown})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_MANIFEST")
    catalog = Catalog([], [])
    catalog.restore([(f"{seller.namespace}/words", "1.0.0", json.dumps(made))], "hub.sqlite")
    offer = catalog.find(f"{seller.namespace}/words").offers["count"]
    look = offer.violations if field == "input_schema" else offer.output_violations
    assert [f"the {field} cannot be used" in each["reason"] for each in look({"text": "x"})] == [True]
