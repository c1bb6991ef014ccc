"""Who may ask, and what for: authentication, form, catalog ids, trust, mandates, provenance, rate limits."""

from __future__ import annotations

import json
import uuid

import httpx2
import pytest

from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.wire.jecp import provenance
from tests.contract.sandbox.conftest import Buyer, action, error, manifest, output


def said(buyer: Buyer, reference: str, spec: str) -> str:
    return reference if buyer.dialect == "reference" else spec


@pytest.mark.requirement("WIRE-3.4-1")
def test_a_good_call_is_answered_in_the_dialects_own_shape(buyer: Buyer) -> None:
    body = buyer.buy().json()
    if buyer.dialect == "reference":
        assert body["status"] == "success"
        assert body["result"]["words"] == 2
        assert body["provider"] == {"namespace": "lab", "capability": "counting", "version": "1.0.0"}
        assert body["billing"]["charged"] is True
        assert body["wallet_balance_after"] == body["billing"]["balance_after"] == 9.995
    else:
        assert body["status"] == "completed"
        assert body["result"]["output"]["words"] == 2
        assert (body["result"]["capability"], body["result"]["action"]) == ("lab/counting", "count")
        assert body["billing"]["method"] == "wallet"
        assert body["execution"]["provider"] == "lab"
        assert body["execution"]["trust_tier"] == "bronze"


def test_metadata_comes_back_where_the_specification_says(buyer: Buyer) -> None:
    body = buyer.buy("text-stats", metadata={"session": "s1"}).json()
    assert body["result"]["metadata"] == {"session": "s1"}


def test_built_ins_are_sold_at_the_old_endpoint_which_says_it_ends(buyer: Buyer) -> None:
    answer = buyer.send(buyer.request("text-stats"), "/v1/jecp")
    assert output(answer)["words"] == 2
    assert answer.headers["deprecation"] == "true"
    assert answer.headers["sunset"].endswith("GMT")
    assert 'rel="deprecation"' in answer.headers["link"]


@pytest.mark.requirement("WIRE-2.1-1")
def test_each_endpoint_sells_what_its_dialect_lets_it(buyer: Buyer) -> None:
    builtin = buyer.send(buyer.request("text-stats"), "/v1/invoke")
    third = buyer.send(buyer.request(), "/v1/jecp")
    if buyer.dialect == "reference":
        error(builtin, "INVALID_CAPABILITY", 400)
        error(third, "UNKNOWN_CAPABILITY", 400)
    else:
        assert output(builtin) == output(third)


@pytest.mark.parametrize("headers", [{}, {"X-Agent-ID": "sbx_ag_0123456789abcdef"}])
@pytest.mark.requirement("WIRE-3.1-2", "AUTH-2-1", "AUTH-3.5-2")
def test_without_credentials_the_way_to_register_is_shown(buyer: Buyer, headers: dict[str, str]) -> None:
    answer = buyer.http.post("/v1/invoke", json=buyer.request(), headers=headers)
    action_ = error(answer, "AUTH_REQUIRED", 401)["next_action"]
    assert action_["type"] == "register"
    made = buyer.http.post(action_["api"], json=action_["body_example"])
    assert made.json()["agent_id"].startswith("sbx_ag_")


@pytest.mark.requirement("AUTH-2-1", "AUTH-3.5-3")
def test_a_wrong_key_is_refused_at_every_endpoint(buyer: Buyer) -> None:
    wrong = {"X-Agent-ID": buyer.agent_id, "X-API-Key": "sbx_ak_wrongwrongwrongwrong"}
    answer = buyer.http.post("/v1/invoke", json=buyer.request(), headers=wrong)
    error(answer, said(buyer, "INVALID_AGENT", "INVALID_API_KEY"), 401)
    unknown = {"X-Agent-ID": "sbx_ag_nobodynobodynobody", "X-API-Key": buyer.api_key}
    answer = buyer.http.post("/v1/jecp", json=buyer.request("text-stats"), headers=unknown)
    error(answer, said(buyer, "AGENT_NOT_FOUND", "INVALID_API_KEY"), 404 if buyer.dialect == "reference" else 401)


@pytest.mark.requirement("AUTH-3.5-1")
def test_a_mandate_alone_authenticates_in_the_specifications_dialect_only(buyer: Buyer) -> None:
    answer = buyer.http.post("/v1/invoke", json=buyer.request(mandate=buyer.mandate(1)))
    if buyer.dialect == "spec":
        assert output(answer)["words"] == 2
    else:
        error(answer, "AUTH_REQUIRED", 401)


def test_another_agents_mandate_is_no_mandate(buyer: Buyer) -> None:
    other = {"agent_id": "sbx_ag_nobodynobodynobody", "api_key": buyer.api_key, "budget_usdc": 1}
    error(buyer.buy(mandate=other), said(buyer, "INVALID_AGENT", "INVALID_API_KEY"), 401)


@pytest.mark.parametrize(
    ("change", "reference", "spec"),
    [
        ({"jecp": "2.0"}, "UNSUPPORTED_PROTOCOL", "UNSUPPORTED_VERSION"),
        ({"id": ""}, "MISSING_ID", "INVALID_REQUEST"),
        ({"id": "a b"}, "INVALID_REQUEST", "INVALID_REQUEST"),
        ({"capability": "Lab/Counting"}, "INVALID_CAPABILITY", "INVALID_CAPABILITY"),
        ({"capability": "lab/counting@one"}, "INVALID_CAPABILITY", "INVALID_CAPABILITY"),
        ({"action": None}, "INVALID_REQUEST", "INVALID_REQUEST"),
        ({"mandate": {"budget_usdc": 1}}, "INVALID_REQUEST", "INVALID_REQUEST"),
        ({"delivery": {"mode": "async"}}, "INVALID_REQUEST", "INVALID_REQUEST"),
    ],
)
def test_a_malformed_request_is_refused(buyer: Buyer, change: dict, reference: str, spec: str) -> None:
    body = error(buyer.send({**buyer.request(), **change}, "/v1/invoke"), said(buyer, reference, spec), 400)
    if "jecp" in change:
        assert body["next_action"]["type"] == "upgrade_client"


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"a":NaN}', b"\xff", b"[" * 5000])
def test_what_is_no_json_object_is_refused(buyer: Buyer, body: bytes) -> None:
    answer = buyer.http.post("/v1/invoke", content=body, headers={**buyer.auth, "content-type": "application/json"})
    error(answer, said(buyer, "PARSE_ERROR", "INVALID_REQUEST"), 400)


@pytest.mark.requirement("WIRE-2-3")
def test_another_content_type_is_refused_and_a_missing_one_is_not(buyer: Buyer) -> None:
    body = json.dumps(buyer.request()).encode()
    answer = buyer.http.post("/v1/invoke", content=body, headers={**buyer.auth, "content-type": "text/plain"})
    details = error(answer, "UNSUPPORTED_MEDIA_TYPE", 415)["error"]["details"]
    assert (details["received"], details["expected"]) == ("text/plain", "application/json")
    assert output(buyer.http.post("/v1/invoke", content=body, headers=buyer.auth))["words"] == 2


@pytest.mark.requirement("WIRE-metadata-2", "WIRE-7-2")
def test_sizes_are_bounded(buyer: Buyer) -> None:
    for request in (
        buyer.request(input={"text": "x" * (5 * 1024 * 1024)}),
        buyer.request(metadata={"note": "x" * 4096}),
        buyer.request(extensions={"x": "x" * (10 * 1024 * 1024)}),
    ):
        error(buyer.send(request), "INPUT_TOO_LARGE", 413)
    assert buyer.books()["transactions"] == []


@pytest.mark.requirement("WIRE-3.4-2")
def test_an_unknown_capability_leads_to_the_catalog(buyer: Buyer) -> None:
    body = error(buyer.buy("lab/nothing"), "CAPABILITY_NOT_FOUND", 404)
    assert body["next_action"]["type"] == "discover"
    assert buyer.http.get(body["next_action"]["api"]).status_code == 200
    code = said(buyer, "CAPABILITY_NOT_FOUND", "PROVIDER_NOT_FOUND")
    error(buyer.buy("nobody/nothing"), code, 404)


@pytest.mark.requirement("WIRE-action-2", "MANIFEST-3-1")
def test_an_unknown_action_leads_to_the_manifest(buyer: Buyer) -> None:
    status = 422 if buyer.dialect == "reference" else 404
    body = error(buyer.buy(name="nothing"), "ACTION_NOT_FOUND", status)
    assert body["next_action"]["type"] == said(buyer, "see_manifest", "lookup_schema")
    found = buyer.http.get(body["next_action"]["api"]).json()
    assert [each["id"] for each in found["actions"]] == ["count"]


def test_a_pinned_version_is_bought_or_refused(buyer: Buyer) -> None:
    buyer.publish(manifest(capability="pinned"), manifest(capability="pinned", version="2.1.0"))
    pinned = buyer.http.get("/v1/capabilities/lab/pinned@1.0.0").json()
    assert pinned["version"] == "1.0.0"
    for asked, expected in (("lab/pinned@1.0.0", "1.0.0"), ("lab/pinned", "2.1.0")):
        body = buyer.buy(asked).json()
        if buyer.dialect == "reference":
            assert body["provider"]["version"] == expected
        else:
            assert body["status"] == "completed"
    details = error(buyer.buy("lab/pinned@9.9.9"), "CAPABILITY_NOT_FOUND", 404)["error"]["details"]
    assert details["versions"] == ["1.0.0", "2.1.0"]


@pytest.mark.requirement("WIRE-input-2", "MANIFEST-6.2-1")
def test_a_schema_violation_names_every_place_and_costs_nothing(buyer: Buyer) -> None:
    schema = {
        "type": "object",
        "properties": {"a/b": {"type": "integer"}, "list": {"type": "array", "items": {"type": "string"}}},
        "required": ["text"],
    }
    buyer.publish(manifest(capability="strict", actions=[action(input_schema=schema)]))
    body = error(buyer.buy("lab/strict", input={"a/b": "x", "list": ["y", 3]}), "INPUT_SCHEMA_VIOLATION", 400)
    places = {each["instance_path"]: each for each in body["error"]["details"]["errors"]}
    assert set(places) == {"", "/a~1b", "/list/1"}
    assert places[""]["schema_path"] == "/required"
    assert places["/list/1"]["reason"]
    assert buyer.books()["charged_micro"] == 0


@pytest.mark.requirement("AUTH-6.3-1", "AUTH-6.4-1", "AUTH-9.6-1")
def test_trust_is_earned_by_calls(buyer: Buyer) -> None:
    buyer.publish(manifest(capability="trusted", actions=[action(trust_tier_required="silver")]))
    buyer.wallet(total_calls=98)
    body = error(buyer.buy("lab/trusted"), "INSUFFICIENT_TRUST", 403)
    assert body["error"]["details"] == {"required": "silver", "current": "bronze"}
    assert body["next_action"]["type"] == "earn_trust"
    assert (body["next_action"]["current_tier"], body["next_action"]["required_tier"]) == ("bronze", "silver")
    for _ in range(2):
        assert buyer.buy().status_code == 200
    assert buyer.books()["tier"] == "silver"
    assert output(buyer.buy("lab/trusted"))["words"] == 2


@pytest.mark.requirement("AUTH-4.3-2")
def test_a_budget_below_the_price_is_refused_and_one_at_the_price_is_not(buyer: Buyer) -> None:
    body = error(
        buyer.buy(mandate=buyer.mandate(0.004999)),
        said(buyer, "INSUFFICIENT_BUDGET", "MANDATE_INSUFFICIENT_BUDGET"),
        402,
    )
    assert body["next_action"]["type"] == "increase_mandate"
    assert body["error"]["details"]["required_usdc"] == 0.005
    assert body["payment"]["accepts"][0]["scheme"] == "stripe-wallet"
    assert output(buyer.buy(mandate=buyer.mandate(0.005)))["words"] == 2
    assert buyer.books()["charged_usdc"] == "0.005"


@pytest.mark.requirement("AUTH-4.3-3")
def test_an_expired_mandate_is_refused(buyer: Buyer) -> None:
    past = buyer.mandate(1, expires_at=iso(UnixMs(buyer.clock.now() - 1000)))
    body = error(buyer.buy(mandate=past), "MANDATE_EXPIRED", 403 if buyer.dialect == "reference" else 401)
    assert body["next_action"]["type"] == said(buyer, "refresh_mandate", "renew_mandate")
    coming = buyer.mandate(1, expires_at=iso(UnixMs(buyer.clock.now() + 60_000)))
    assert output(buyer.buy(mandate=coming))["words"] == 2


def signed(buyer: Buyer, *, ahead_seconds: int = 0, nonce: str | None = None, key: str | None = None) -> str:
    at = UnixMs(buyer.clock.now() + ahead_seconds * 1000)
    return provenance.build(buyer.agent_id, key or buyer.api_key, at=at, nonce=nonce or uuid.uuid4().hex)


@pytest.mark.parametrize(
    ("make", "subcause"),
    [
        (lambda _: "v2:nonsense", "wire_malformed"),
        (lambda _: 7, "wire_malformed"),
        (lambda b: signed(b, ahead_seconds=-310), "clock_skew"),
        (lambda b: signed(b, ahead_seconds=310), "clock_skew"),
        (lambda b: signed(b, key="sbx_ak_anotheranotheranother"), "hmac_mismatch"),
        (lambda _: "a" * 64, "v1_unavailable"),
    ],
)
@pytest.mark.requirement(
    "AUTH-5.2-1", "AUTH-5.2-2", "AUTH-5.2-4", "AUTH-5.4-1", "AUTH-5.7-3", "ERROR-PROVENANCE_MISMATCH-1"
)
def test_a_wrong_provenance_hash_is_refused_with_its_subcause(buyer: Buyer, make, subcause: str) -> None:
    body = error(buyer.buy(mandate=buyer.mandate(1, provenance_hash=make(buyer))), "PROVENANCE_MISMATCH", 403)
    details = body["error"]["details"]
    assert details["subcause"] == subcause
    if subcause == "clock_skew":
        assert abs(details["drift_seconds"]) in range(309, 312)
    assert buyer.books()["transactions"] == []


@pytest.mark.requirement("AUTH-5.2.2-2", "AUTH-5.5-1", "AUTH-5.7-1", "AUTH-9.2-1")
def test_a_nonce_is_good_once_within_ten_minutes(buyer: Buyer) -> None:
    nonce = uuid.uuid4().hex
    first = buyer.request(mandate=buyer.mandate(1, provenance_hash=signed(buyer, nonce=nonce)))
    assert output(buyer.send(first))["words"] == 2
    for again in (first, buyer.request(mandate=buyer.mandate(1, provenance_hash=signed(buyer, nonce=nonce)))):
        details = error(buyer.send(again), "PROVENANCE_MISMATCH", 403)["error"]["details"]
        assert details["subcause"] == "nonce_replay"
    resigned = {**first, "mandate": buyer.mandate(1, provenance_hash=signed(buyer))}
    error(buyer.send(resigned), "DUPLICATE_REQUEST", 409)
    buyer.clock.ahead_ms = 601_000
    later = buyer.request(mandate=buyer.mandate(1, provenance_hash=signed(buyer, nonce=nonce)))
    assert output(buyer.send(later))["words"] == 2


@pytest.mark.requirement("AUTH-5.3-1")
def test_a_platinum_workflow_demands_provenance(buyer: Buyer) -> None:
    buyer.publish(manifest(capability="workflow-count", actions=[action(trust_tier_required="platinum")]))
    buyer.wallet(total_calls=2000)
    error(buyer.buy("lab/workflow-count"), "PROVENANCE_MISMATCH", 403)
    proven = buyer.mandate(1, provenance_hash=signed(buyer))
    assert output(buyer.buy("lab/workflow-count", mandate=proven))["words"] == 2


@pytest.mark.requirement("AUTH-6.5-1", "ERROR-RATE_LIMITED-1")
def test_the_rate_limit_slides_and_says_when_there_is_room_again(buyer: Buyer) -> None:
    buyer.wallet(rate_limit_rpm=3)
    for _ in range(3):
        assert buyer.buy().status_code == 200
    answer = buyer.buy()
    body = error(answer, "RATE_LIMITED", 429)
    wait = int(answer.headers["retry-after"])
    assert 1 <= wait <= 60
    assert body["error"]["details"]["retry_after_seconds"] == body["next_action"]["retry_after_seconds"] == wait
    assert body["next_action"]["type"] == said(buyer, "retry_after", "wait")
    assert answer.headers["x-ratelimit-limit"] == "3"
    buyer.clock.ahead_ms += wait * 1000
    assert buyer.buy().status_code == 200


def test_a_higher_tier_has_a_higher_limit(buyer: Buyer) -> None:
    buyer.wallet(rate_limit_rpm=None, total_calls=0)
    guide = buyer.http.get("/.well-known/agent-guide.json").json()
    assert guide["rate_limits_default_rpm"] == {
        "bronze": 10_000,
        "silver": 20_000,
        "gold": 30_000,
        "platinum": 40_000,
    }
    buyer.publish(manifest(capability="slow", actions=[action(rate_limit_rpm=1)]))
    assert buyer.buy("lab/slow").status_code == 200
    error(buyer.buy("lab/slow"), "RATE_LIMITED", 429)
    assert buyer.buy().status_code == 200


@pytest.mark.requirement("WIRE-4.6-1", "WIRE-4.6-3", "MANIFEST-7.3-1")
def test_a_sunset_capability_is_gone_and_one_in_its_last_30_days_says_so(buyer: Buyer) -> None:
    day = 86_400_000
    now = buyer.clock.now()

    def ending(name: str, days: float) -> dict:
        return manifest(
            capability=name,
            deprecation={
                "status": "deprecated",
                "sunset_at": iso(UnixMs(int(now + days * day))),
                "successor_version": "2.0.0",
            },
        )

    buyer.publish(ending("gone", -1), ending("going", 29), ending("later", 40))
    answer = buyer.buy("lab/gone")
    body = error(answer, "CAPABILITY_DEPRECATED", 410)
    assert body["error"]["details"]["successor"] == "lab/gone@2.0.0"
    assert body["error"]["details"]["sunset_at"].endswith("Z")
    assert answer.headers["sunset"]
    going = buyer.buy("lab/going")
    assert output(going)["words"] == 2
    assert going.headers["deprecation"] == "true"
    assert going.headers["sunset"].endswith("GMT")
    assert going.headers["link"].endswith('/v1/capabilities/lab/going@2.0.0>; rel="successor-version"')
    assert "deprecation" not in buyer.buy("lab/later").headers


def test_a_provider_the_sandbox_does_not_know_is_unreachable_and_uncharged(buyer: Buyer) -> None:
    buyer.publish(manifest(capability="remote", extensions={}))
    body = error(buyer.buy("lab/remote"), "PROVIDER_UNREACHABLE", 502)
    assert body["next_action"]["type"] == "try_alternative_provider"
    assert buyer.books()["transactions"] == []


def test_only_loopback_names_are_answered(buyer: Buyer) -> None:
    url = httpx2.URL(str(buyer.http.base_url))
    assert buyer.http.get("/health", headers={"host": "hub.attacker.example"}).status_code == 421
    assert buyer.http.get("/health", headers={"host": f"localhost:{url.port}"}).status_code == 200


@pytest.mark.requirement("ERROR-2-1")
def test_an_unknown_path_or_method_is_an_envelope_too(buyer: Buyer) -> None:
    error(buyer.http.get("/v1/nothing"), "NOT_FOUND", 404)
    error(buyer.http.get("/v1/invoke"), "METHOD_NOT_ALLOWED", 405)
