"""What the specification demands of a Hub beside selling: places, forms, statuses, keys, mandates, bounds of time.

At a Hub that speaks as the specification. `tests.requirements` ties each demand to its test.
"""

from __future__ import annotations

import json
import logging
import random
import re
import socket
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.sandbox import agents, discovery, endpoints, event_stream
from jecp_mcp.sandbox.hub import Hub
from jecp_mcp.sandbox.run import SandboxConfig
from jecp_mcp.wire.jecp import provenance
from tests.contract.sandbox.conftest import (
    PROTOCOL_LIMITS,
    Buyer,
    TurnableClock,
    action,
    controlled,
    error,
    manifest,
    output,
    running,
)

pytestmark = pytest.mark.slow

STREAM = {"accept": "text/event-stream"}
DISCOVERY = {
    "/.well-known/agent.json": "application/json",
    "/.well-known/agent-guide.json": "application/json",
    "/llms.txt": "text/plain",
    "/v1/capabilities": "application/json",
    "/v1/capabilities/text-stats": "application/json",
    "/health": "application/json",
}
STATUS = {
    "AUTH_REQUIRED": 401,
    "INVALID_API_KEY": 401,
    "MANDATE_EXPIRED": 401,
    "MANDATE_INSUFFICIENT_BUDGET": 402,
    "PROVENANCE_MISMATCH": 403,
    "INSUFFICIENT_TRUST": 403,
    "INVALID_REQUEST": 400,
    "UNSUPPORTED_VERSION": 400,
    "VALIDATION_FAILED": 400,
    "INPUT_SCHEMA_VIOLATION": 400,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "INPUT_TOO_LARGE": 413,
    "DUPLICATE_REQUEST": 409,
    "CAPABILITY_NOT_FOUND": 404,
    "ACTION_NOT_FOUND": 404,
    "CAPABILITY_DEPRECATED": 410,
    "PROVIDER_NOT_FOUND": 404,
    "WALLET_INSUFFICIENT_BALANCE": 402,
    "PAYMENT_REQUIRED": 402,
    "RATE_LIMITED": 429,
    "NOT_STREAMABLE": 406,
    "STREAM_IN_PROGRESS": 409,
    "COMPOSITE_STEP_FAILED": 502,
    "COMPOSITE_BIND_ERROR": 422,
    "COMPOSITE_DEPTH_EXCEEDED": 409,
    "COMPOSITE_TIMEOUT": 504,
    "COMPOSITE_REFUND_FAILED": 502,
    "PROVIDER_ERROR": 502,
    "PROVIDER_UNAVAILABLE": 503,
    "PROVIDER_TIMEOUT": 504,
    "INTERNAL_ERROR": 500,
    "SERVICE_DEGRADED": 503,
    "EXECUTION_FAILED": 500,
    "OUTPUT_INVALID": 502,
    "URL_BLOCKED_SSRF": 422,
}


@pytest.fixture(scope="module")
def place() -> Iterator[Buyer]:
    config = SandboxConfig(dialect="spec", clock=TurnableClock(), rate_limits_rpm=PROTOCOL_LIMITS)
    with running(config) as ready, controlled(ready) as http:
        made = Buyer("spec", http, ready["agent_id"], ready["api_key"], TurnableClock())
        made.publish(manifest())
        yield made


def newcomer(place: Buyer) -> Buyer:
    """A new agent with $10."""
    made = place.http.post("/api/agent/register", json={"name": "one"}).json()
    buyer = Buyer("spec", place.http, made["agent_id"], made["api_key"], place.clock)
    buyer.wallet(balance_usdc="10", free_calls=0)
    return buyer


@pytest.fixture
def hub(place: Buyer) -> Buyer:
    return newcomer(place)


def signed(buyer: Buyer, nonce: str | None = None, *, capital: bool = False) -> str:
    """A hash of this minute; `capital` writes its nonce in capitals."""
    nonce = nonce or uuid.uuid4().hex
    made = provenance.build(buyer.agent_id, buyer.api_key, at=buyer.clock.now(), nonce=nonce)
    if not capital:
        return made
    at = made.split(":")[1]
    return f"v2:{at}:{nonce.upper()}:" + provenance._digest(buyer.agent_id, buyer.api_key, at, nonce.upper())


@pytest.mark.requirement("WIRE-2.1-2", "WIRE-2.1-3")
def test_every_answer_at_the_old_path_says_when_it_ends_and_where_that_is_explained(hub: Buyer) -> None:
    answers = [
        hub.send(hub.request(), "/v1/jecp"),
        hub.send({**hub.request(), "jecp": "2.0"}, "/v1/jecp"),
        hub.send(hub.request("nobody/nothing"), "/v1/jecp"),
        hub.http.post("/v1/jecp", json=hub.request()),
        hub.http.post("/v1/jecp", content=b"<x/>", headers={"Content-Type": "application/xml"}),
        hub.http.get("/v1/jecp"),
        hub.send(hub.request("lectern/concordance", "keyword-in-context", input=CONCORDANCE), "/v1/jecp", **STREAM),
    ]
    assert [each.status_code for each in answers] == [200, 400, 404, 401, 415, 405, 200]
    for answer in answers:
        assert answer.headers["deprecation"] == "true"
        assert answer.headers["sunset"] == "Sat, 01 Jan 2028 00:00:00 GMT"
        link = '<https://jecp.dev/spec/v1.0/01-protocol.md#21-legacy-alias>; rel="deprecation"'
        assert link in answer.headers["link"]
    assert "deprecation" not in hub.buy().headers


CONCORDANCE = {"text": "the mill and the reed", "keyword": "the"}


@pytest.mark.requirement("WIRE-8-1")
def test_a_body_that_does_not_come_is_answered_with_408(hub: Buyer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "BODY_SECONDS", 0.05)
    at = urlsplit(str(hub.http.base_url))
    head = f"POST /v1/invoke HTTP/1.1\r\nHost: {at.netloc}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{{"
    with socket.create_connection((at.hostname, at.port), 60) as connection:
        connection.sendall(head.encode())
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "REQUEST_TIMEOUT"
    assert hub.books()["transactions"] == []


@pytest.mark.parametrize("version", ["2.0", "1.1", "1", "v1.0", 1.0, None])
@pytest.mark.requirement("WIRE-jecp-2")
def test_another_version_of_the_protocol_is_refused(hub: Buyer, version: object) -> None:
    body = error(hub.send({**hub.request(), "jecp": version}), "UNSUPPORTED_VERSION", 400)
    assert body["error"]["details"]["supported"] == ["1.0"]


@pytest.mark.requirement("VERSION-6-1")
def test_every_answer_names_the_version_of_the_protocol(hub: Buyer) -> None:
    answers = [hub.buy(), hub.buy("text-stats"), hub.buy("nobody/nothing"), hub.http.get("/v1/refunds")]
    answers += [hub.http.get("/v1/capabilities"), hub.http.get("/v1/refunds", headers=hub.auth)]
    answers += [hub.http.post("/api/agent/register", json={"name": "two"})]
    assert [each.json()["jecp"] for each in answers] == ["1.0"] * len(answers)
    assert hub.buy(id="echoed-0001").json()["id"] == "echoed-0001"


@pytest.mark.parametrize(("code", "status"), STATUS.items())
@pytest.mark.requirement("VERSION-6-1", "WIRE-8-2", "ERROR-2-1", "ERROR-2-2")
def test_every_code_has_the_status_and_the_form_of_the_catalog(hub: Buyer, code: str, status: int) -> None:
    hub.fault(f"code:{code}")
    answer = hub.buy(id="refused-0001")
    body = error(answer, code, status)
    assert body["id"] == "refused-0001"
    assert set(body) <= {"jecp", "id", "status", "error", "next_action", "payment"}
    assert set(body["error"]) <= {"code", "message", "details", "documentation_url"}
    assert "\n" not in body["error"]["message"]
    assert body["error"]["documentation_url"] == f"https://jecp.dev/errors/{code.lower().replace('_', '-')}"
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.requirement("WIRE-2.1-2", "ERROR-INTERNAL_ERROR-1", "PAYMENT-11.1-1", "PAYMENT-11.2-1")
def test_a_fault_of_the_hub_shows_nothing_of_its_inside(hub: Buyer, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Any:
        raise RuntimeError("db-7.internal: no such table agents")

    monkeypatch.setattr(discovery, "agent_card", broken)
    monkeypatch.setattr(Hub, "invoke", broken)
    for method, path in (("GET", "/.well-known/agent.json"), ("POST", "/v1/invoke"), ("POST", "/v1/jecp")):
        # Of its own connection: the server closes one on which it failed.
        answer = httpx2.request(method, f"{hub.http.base_url}{path}")
        error(answer, "INTERNAL_ERROR", 500)
        assert not re.search("internal:|table|Traceback|RuntimeError", answer.text)
        assert answer.headers["cache-control"] == "no-store"
        assert "Retry-After" in answer.headers["access-control-expose-headers"]
        assert ("deprecation" in answer.headers) is (path == "/v1/jecp")


@pytest.mark.requirement("WIRE-metadata-1", "WIRE-extensions-1")
def test_metadata_and_extensions_change_nothing_of_a_call(hub: Buyer) -> None:
    plain = output(hub.buy())
    odd = {"trust_tier": "platinum", "budget_usdc": 0, "input": {"text": "another"}, "delivery": {"mode": "stream"}}
    answer = hub.buy(metadata=odd, extensions={"x-unknown": odd, "cost_usdc": 0})
    assert output(answer) == plain
    assert answer.json()["result"]["metadata"] == odd
    assert hub.books()["charged_micro"] == 10_000


@pytest.mark.requirement("AUTH-9.6-2")
def test_a_tier_that_a_caller_claims_counts_for_nothing(hub: Buyer) -> None:
    hub.publish(manifest(capability="earned", actions=[action(trust_tier_required="silver")]))
    claims = {"trust_tier": "platinum", "tier": "platinum"}
    claimed = hub.request("lab/earned", metadata=claims, extensions=claims, mandate=hub.mandate(1, **claims), **claims)
    answer = hub.send(claimed, **{"X-Trust-Tier": "platinum", "X-JECP-Trust-Tier": "platinum"})
    assert error(answer, "INSUFFICIENT_TRUST", 403)["error"]["details"]["current"] == "bronze"


@pytest.mark.requirement("AUTH-3.5-3")
def test_an_unknown_agent_and_a_wrong_key_are_refused_alike(hub: Buyer) -> None:
    said = []
    for changes in ({"X-API-Key": "sbx_ak_wrongwrongwrongwrong"}, {"X-Agent-ID": "sbx_ag_nobodynobodynobody"}):
        answer = hub.http.post("/v1/invoke", json=hub.request(id="same-0001"), headers={**hub.auth, **changes})
        error(answer, "INVALID_API_KEY", 401)
        said.append(answer.content)
    assert said[0] == said[1]


@pytest.mark.requirement("AUTH-4.4-1")
def test_a_mandate_is_judged_by_key_then_end_then_hash_then_budget(hub: Buyer) -> None:
    wrong = [
        ("INVALID_API_KEY", {"api_key": "sbx_ak_wrongwrongwrongwrong"}, {}),
        ("MANDATE_EXPIRED", {"expires_at": iso(UnixMs(hub.clock.now() - 1_000))}, {}),
        ("PROVENANCE_MISMATCH", {"provenance_hash": "v2:1:0123456789abcdef:" + "0" * 64}, {}),
        ("MANDATE_INSUFFICIENT_BUDGET", {"budget_usdc": 0.001}, {"provenance_hash": True}),
    ]
    faults: dict[str, Any] = {name: value for _, parts, _ in wrong for name, value in parts.items()}
    for code, parts, fresh in wrong:
        mandate = {**hub.mandate(1), **faults, **({"provenance_hash": signed(hub)} if fresh else {})}
        error(hub.buy(mandate=mandate), code)
        for name in parts:
            del faults[name]
    assert faults == {}
    assert hub.books()["transactions"] == []


@pytest.mark.requirement("AUTH-4.4-2")
def test_a_mandate_without_a_budget_sets_no_bound(hub: Buyer) -> None:
    hub.publish(manifest(capability="dear", actions=[action(price="$9")]))
    assert output(hub.buy("lab/dear", mandate=hub.mandate()))["words"] == 2
    assert hub.books()["charged_micro"] == 9_000_000


@pytest.mark.requirement("AUTH-5.2.1-1", "AUTH-5.2.1-2")
def test_a_nonce_is_the_same_in_capitals_and_counts_once_however_many_come_at_once(hub: Buyer) -> None:
    nonce = uuid.uuid4().hex
    for hashed in (signed(hub, nonce, capital=True), signed(hub, nonce)):
        answer = hub.buy(mandate=hub.mandate(1, provenance_hash=hashed))
        if answer.status_code != 200:
            assert error(answer, "PROVENANCE_MISMATCH", 403)["error"]["details"]["subcause"] == "nonce_replay"
    assert len(hub.books()["transactions"]) == 1
    mandate = hub.mandate(1, provenance_hash=signed(hub))
    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(lambda _: hub.buy(mandate=mandate), range(8))]
    assert sorted(each.status_code for each in answers) == [200] + [403] * 7


@pytest.mark.parametrize("hashed", ["nonsense", "a" * 64, "v2:1:0123456789abcdef:" + "0" * 64])
@pytest.mark.requirement("ERROR-PROVENANCE_MISMATCH-4")
def test_no_subcause_is_told_to_whoever_has_not_the_key(hub: Buyer, hashed: str) -> None:
    mandate = {"agent_id": hub.agent_id, "api_key": "sbx_ak_wrongwrongwrongwrong", "provenance_hash": hashed}
    for headers in ({}, hub.auth, {**hub.auth, "X-API-Key": mandate["api_key"]}):
        answer = hub.http.post("/v1/invoke", json=hub.request(mandate=mandate), headers=headers)
        error(answer, "INVALID_API_KEY", 401)
        assert "subcause" not in answer.text


@pytest.mark.requirement("AUTH-3.2-3", "AUTH-3.3-3", "AUTH-3.3-4", "AUTH-3.3-5")
def test_a_key_is_shown_once_and_stands_in_no_other_answer_address_or_log(
    place: Buyer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    buyer = newcomer(place)
    answers = [buyer.buy(), buyer.buy(mandate=buyer.mandate(1)), buyer.buy("nobody/nothing")]
    answers += [buyer.buy(mandate=buyer.mandate(1, provenance_hash="x")), buyer.buy(mandate={"api_key": buyer.api_key})]
    answers += [buyer.http.post("/v1/invoke", json=buyer.request(), headers={"X-API-Key": buyer.api_key})]
    answers += [buyer.http.post("/v1/invoke", content=buyer.api_key.encode(), headers=buyer.auth)]
    answers += [buyer.http.post("/api/agent/topup", json={"amount": 5}, headers=buyer.auth)]
    answers += [
        buyer.http.get(path, headers=buyer.auth) for path in ("/v1/refunds", "/v1/subscriptions", "/topup", "/")
    ]
    answers += [buyer.http.get("/sandbox/books", headers=buyer.auth, params={"agent_id": buyer.agent_id})]
    answers += [buyer.http.post("/api/agent/register", json={"name": "one"})]
    for answer in answers:
        assert buyer.api_key not in answer.text + str(answer.headers)
    logged = [each.getMessage() for each in caplog.records]
    assert not [each for each in logged if buyer.api_key in each]


class NeverCompared(bytes):
    """A digest that only a comparison of constant time may look at."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared byte by byte")

    __hash__ = bytes.__hash__


@pytest.mark.requirement("AUTH-3.2-1", "AUTH-3.2-2", "AUTH-9.5-2")
def test_keys_come_from_the_systems_randomness_and_are_compared_in_constant_time(place: Buyer) -> None:
    made = []
    for _ in range(3):
        random.seed(18)
        made.append(place.http.post("/api/agent/register", json={"name": "one"}).json())
    assert len({each["agent_id"] for each in made} | {each["api_key"] for each in made}) == 6
    for each in made:
        assert re.fullmatch("sbx_ag_[A-Za-z0-9]{24,}", each["agent_id"])
        assert re.fullmatch("sbx_ak_[A-Za-z0-9]{40,}", each["api_key"])
    digests = [NeverCompared(agents._hash_key(key)) for key in ("sbx_ak_now", "sbx_ak_before")]
    agent = agents.Agent("sbx_ag_one", "one", digests[0], digests[1], 10, 0, 0, 0, None)
    held = [agent.holds(key, at) for key, at in (("sbx_ak_now", 99), ("sbx_ak_before", 9), ("sbx_ak_before", 10))]
    assert held == [True, True, False]
    assert not agent.holds("sbx_ak_other", 9)


@pytest.mark.requirement("AUTH-3.2-4", "AUTH-9.5-1")
def test_registrations_are_limited(tmp_path: Any) -> None:
    config = SandboxConfig(dialect="spec", registrations_rpm=2, loopback=True, clock=(clock := TurnableClock()))
    with running(config) as ready, controlled(ready) as http:
        provider = {"namespace": "seller", "display_name": "Sells", "owner_email": "o@seller.example", "country": "JP"}
        provider["endpoint_url"] = "http://127.0.0.1:9/jecp"
        assert http.post("/api/agent/register", json={"name": "one"}).status_code == 201
        assert http.post("/v1/providers/register", json=provider).is_success
        for answer in (
            http.post("/api/agent/register", json={"name": "two"}),
            http.post("/v1/providers/register", json={**provider, "namespace": "other"}),
            http.post("/register", data={"name": "three"}),
        ):
            error(answer, "RATE_LIMITED", 429)
            assert 1 <= int(answer.headers["retry-after"]) <= 60
        clock.ahead_ms = 61_000
        assert http.post("/api/agent/register", json={"name": "two"}).status_code == 201


@pytest.mark.requirement("DISCOVERY-2-1", "DISCOVERY-2-2", "DISCOVERY-8-1")
def test_the_well_known_places_are_there_for_everybody(place: Buyer) -> None:
    with httpx2.Client(base_url=place.http.base_url) as stranger:
        for path, kind in DISCOVERY.items():
            answer = stranger.get(path)
            assert answer.status_code == 200, path
            assert answer.headers["content-type"].startswith(kind), path
            assert answer.headers["access-control-allow-origin"] == "*", path
            assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.requirement("DISCOVERY-3-1")
def test_the_agent_card_says_where_and_how_to_call(place: Buyer) -> None:
    card, origin = place.http.get("/.well-known/agent.json").json(), str(place.http.base_url).rstrip("/")
    assert all(isinstance(card[name], str) and card[name] for name in ("name", "description", "version"))
    assert (card["url"], set(card["provider"])) == (origin, {"organization", "url"})
    jecp, authentication = card["jecp"], card["authentication"]
    assert (jecp["endpoint"], jecp["version"]) == (f"{origin}/v1/invoke", "1.0")
    assert jecp["capabilities_url"] == f"{origin}/v1/capabilities"
    assert (jecp["streaming"], jecp["mandate_required"], isinstance(jecp["engine"], str)) == (True, False, True)
    assert {"api_key", "mandate"} <= set(authentication["schemes"])
    assert (authentication["api_key_header"], authentication["agent_id_header"]) == ("X-API-Key", "X-Agent-ID")
    assert authentication["registration_url"] == f"{origin}/api/agent/register"


@pytest.mark.requirement(
    "AUTH-3.1-1", "AUTH-5.3-2", "MANIFEST-10-1", "DISCOVERY-4.2-1", "DISCOVERY-4.4-1", "DISCOVERY-4.5-2"
)
def test_the_guide_has_every_section_and_follows_the_catalog(place: Buyer) -> None:
    def guide() -> dict[str, Any]:
        found = place.http.get("/.well-known/agent-guide.json").json()
        assert isinstance(found, dict)
        return found

    shown = guide()
    assert all(shown["identity"][name] for name in ("protocol", "operator"))
    assert place.http.post(shown["quickstart"]["step_1_register"].split()[1], json={"name": "guided"}).is_success
    assert shown["capabilities"]["text-stats"]["actions"] == ["count"]
    assert {"AUTH_REQUIRED", "INSUFFICIENT_BALANCE", "INSUFFICIENT_TRUST"} <= set(shown["error_recovery"])
    assert place.http.get(shown["related_resources"]["capabilities_url"]).status_code == 200
    assert shown["contact"]["support"]
    assert place.agent_id.startswith(f"{shown['vendor_prefix']}_ag_")
    assert shown["trust_policy"]["provenance_v2_required"] == "platinum"
    assert shown["extensions"]["x-revenue_split"] == {"provider": 0.85, "hub": 0.1, "payment": 0.05}
    assert "lab/brand-new" not in shown["supported_capabilities"]
    place.publish(manifest(capability="brand-new"))
    assert {"text-stats", "lab/counting", "lab/brand-new"} <= set(guide()["supported_capabilities"])
    place.http.post("/sandbox/catalog", json={"remove": "lab/brand-new"}).raise_for_status()
    assert "lab/brand-new" not in guide()["supported_capabilities"]


@pytest.mark.requirement("DISCOVERY-5-1")
def test_llms_txt_is_bounded_in_any_script() -> None:
    with running(SandboxConfig()) as ready, controlled(ready) as http:
        many = [manifest(capability=f"many-{number}", description="語" * 500) for number in range(50)]
        http.post("/sandbox/catalog", json={"manifests": many}).raise_for_status()
        text = http.get("/llms.txt").content
        assert 40_000 < len(text) <= 50_000
        assert "many-1 " in text.decode()


@pytest.mark.requirement("WIRE-4.3-5")
def test_a_stream_that_stands_still_or_never_ends_is_cancelled(hub: Buyer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert event_stream.NO_PROGRESS_SECONDS >= 30
    assert event_stream.TOTAL_SECONDS <= 300
    goes_on = threading.Event()

    def held(iterator: Iterator[Any], delivered: list[Any]) -> Any:
        assert goes_on.wait(60)
        return following(iterator, delivered)

    following = event_stream._next
    monkeypatch.setattr(event_stream, "_next", held)
    for names, code in (
        (("NO_PROGRESS_SECONDS", "KEEP_ALIVE_SECONDS"), "PROVIDER_TIMEOUT"),
        (("TOTAL_SECONDS",), "STREAM_TIMEOUT"),
    ):
        with monkeypatch.context() as patch:
            for name in names:
                patch.setattr(event_stream, name, 0.0)
            asked = hub.request("lectern/concordance", "keyword-in-context", input=CONCORDANCE)
            answer = hub.send(asked, **STREAM)
        goes_on.set()
        endings = re.findall(r"^event: (completed|error|cancelled)$", answer.text, re.MULTILINE)
        assert (answer.status_code, endings) == (200, ["cancelled"])
        assert code in answer.text.rpartition("event: cancelled")[2]
    assert hub.books()["transactions"] == []


@pytest.mark.requirement("AUTH-9.7-4")
def test_a_subscription_is_not_led_to_where_nobody_may_be_asked(place: Buyer) -> None:
    async def resolved(_host: str, _port: int) -> list[str]:
        return ["1.1.1.1"]

    with running(SandboxConfig(dialect="spec", resolve=resolved)) as ready, controlled(ready) as http:
        auth = {"X-Agent-ID": ready["agent_id"], "X-API-Key": ready["api_key"]}
        made = http.post("/v1/subscriptions", json={"endpoint_url": "https://public.example/"}, headers=auth).json()
        path = f"/v1/subscriptions/{made['subscription_id']}"
        answer = http.patch(path, json={"endpoint_url": "https://169.254.169.254/?key=secret"}, headers=auth)
        details = error(answer, "URL_BLOCKED_SSRF", 422)["error"]["details"]
        assert (details["field"], details["reason"]) == ("endpoint_url", "resolved_to_deny_cidr")
        assert "secret" not in answer.text
        [kept] = http.get("/v1/subscriptions", headers=auth).json()["subscriptions"]
        assert kept["endpoint_url"] == "https://public.example/"


@pytest.mark.parametrize("days", [29, -1])
@pytest.mark.requirement("WIRE-4.6-2", "WIRE-4.6-3", "ERROR-CAPABILITY_DEPRECATED-1", "ERROR-CAPABILITY_DEPRECATED-2")
def test_a_capability_that_ends_says_so_as_the_specification_words_it(hub: Buyer, days: int) -> None:
    ends = iso(UnixMs(hub.clock.now() + days * 86_400_000))
    deprecation = {"status": "deprecated", "sunset_at": ends, "successor_version": "2.0.0"}
    hub.publish(manifest(capability="ending", deprecation=deprecation))
    answer = hub.buy("lab/ending")
    assert answer.status_code == (200 if days > 0 else 410)
    assert answer.headers["deprecation"] == "true"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer.headers["sunset"])
    links = answer.headers["link"]
    assert '<https://jecp.dev/spec/v1.0/03-errors.md#capability-deprecated>; rel="deprecation"' in links
    assert '/v1/capabilities/lab/ending@2.0.0>; rel="successor-version"' in links
