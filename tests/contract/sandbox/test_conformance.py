"""The specification's conformance cases (its v1.0 folder), each by its id, at a Hub that speaks as the specification.

``docs/sandbox.md`` lists them, and those of providers, which `tests.contract.providers.test_conformance` has.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import jsonschema_rs
import pytest

from jecp_mcp.sandbox.run import SandboxConfig
from tests.contract.providers import test_conformance as of_providers
from tests.contract.sandbox.conftest import TurnableClock, action, controlled, manifest, running
from tests.contract.sandbox.guide_schema import GUIDE
from tests.contract.sandbox.test_webhooks import resolved

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).parents[3] / "docs" / "sandbox.md"
PUBLIC = "https://hub.example.com"
ENDED = {"status": "sunset", "sunset_at": "2020-01-01T00:00:00Z", "successor_version": "2.0.0"}


class Conforming:
    """A Hub that agents register at, and what they send."""

    def __init__(self, http: httpx2.Client) -> None:
        self.http = http
        made = http.post("/api/agents/register", json={"name": "conformance", "agent_type": "conformance"}).json()
        self.mandate = {"agent_id": made["agent_id"], "api_key": made["api_key"], "budget_usdc": 0.10}
        self.auth = {"X-Agent-ID": made["agent_id"], "X-API-Key": made["api_key"]}

    def call(self, path: str = "/v1/jecp", *, headers: bool = True, **parts: Any) -> httpx2.Response:
        asked = {"jecp": "1.0", "id": uuid.uuid4().hex, "capability": "text-stats", "action": "count"}
        asked |= {"input": {"text": "hi"}, "mandate": self.mandate, **parts}
        return self.http.post(path, json=asked, headers=self.auth if headers else {})

    def subscribe(self, url: str) -> httpx2.Response:
        body = {"endpoint_url": url, "events": ["invoke.completed"]}
        return self.http.post("/v1/subscriptions", json=body, headers=self.auth)


@pytest.fixture
def hub() -> Iterator[Conforming]:
    limits = dict.fromkeys(("bronze", "silver", "gold", "platinum"), 10)
    config = SandboxConfig(
        dialect="spec", resolve=resolved, rate_limits_rpm=limits, clock=TurnableClock(), public_url=PUBLIC
    )
    with running(config) as ready, controlled(ready) as http:
        gone = manifest("jecp-test", "deprecated-echo", deprecation=ENDED, actions=[action("echo")])
        http.post("/sandbox/catalog", json={"manifests": [gone, manifest()]}).raise_for_status()
        yield Conforming(http)


def refusal(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The details of a refusal, checked for form, and for the page that explains it."""
    body = answer.json()
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    assert (body["jecp"], body["status"], body["error"]["code"]) == ("1.0", "failed", code)
    assert f"/errors/{code.lower()}" in body["error"]["details"]["documentation_url"]
    details = body["error"]["details"]
    assert isinstance(details, dict)
    return details


@pytest.mark.requirement("DISCOVERY-4.5-1")
def test_discovery_must_001(hub: Conforming) -> None:
    for host in ("127.0.0.1", "hub.example.com"):
        answer = hub.http.get("/.well-known/agent-guide.json", headers={"Host": host})
        assert answer.headers["content-type"].startswith("application/json")
        assert "max-age=300" in answer.headers["cache-control"]
        assert "must-revalidate" in answer.headers["cache-control"]
        guide = answer.json()
        jsonschema_rs.validator_for(GUIDE, validate_formats=True).validate(guide)
        assert guide["hub_url"] == PUBLIC
        assert guide["contact"]["support"]
    assert hub.http.get("/health", headers={"Host": "elsewhere.example.com"}).status_code == 421


@pytest.mark.requirement("OPERATIONS-BULKHEAD-1", "OPERATIONS-BULKHEAD-3")
def test_ops_must_bulkhead_isolation(hub: Conforming) -> None:
    shown = hub.http.get("/health")
    health = shown.json()
    assert health["status"] == "ok"
    assert health["checks"]["response_ms"] >= 0
    assert set(health["pools"]) == {"invoke", "read", "provider", "background"}
    assert all(pool["idle"] <= pool["size"] for pool in health["pools"].values())
    for route, pool in {
        "POST /v1/invoke": "invoke",
        "POST /v1/jecp": "invoke",
        "POST /v1/refunds": "invoke",
        "GET  /v1/capabilities": "read",
    }.items():
        assert health["pool_assignments"][route] == pool
    # That a full pool starves no other: test_bulkhead.


@pytest.mark.requirement("AUTH-9.7.1-1", "AUTH-9.7.1.1-4", "AUTH-9.7.1.3-1")
def test_ops_must_ssrf_deny_ip_literal(hub: Conforming) -> None:
    for url in (
        "https://127.0.0.1/webhook",
        "https://169.254.169.254/",
        "https://[::ffff:127.0.0.1]/",
        "https://%31%32%37.0.0.1/",
    ):
        details = refusal(hub.subscribe(url), 422, "URL_BLOCKED_SSRF")
        assert details["reason"] in {"resolved_to_deny_cidr", "host_syntax"}


@pytest.mark.requirement("AUTH-9.7.1-1", "AUTH-9.7.1.1-5")
def test_ops_must_ssrf_deny_resolved(hub: Conforming) -> None:
    for url in ("https://metadata.example/webhook", "https://private.example/webhook", "https://localhost/webhook"):
        assert refusal(hub.subscribe(url), 422, "URL_BLOCKED_SSRF")["reason"] == "resolved_to_deny_cidr"
    assert hub.subscribe("https://public.example/webhook").is_success


@pytest.mark.requirement("WIRE-input-2")
def test_wire_must_400_input_schema(hub: Conforming) -> None:
    wanted = {"capability": "lab/counting", "action": "count"}
    for wrong in ({}, {"text": 42}):
        details = refusal(hub.call("/v1/invoke", input=wrong, **wanted), 400, "INPUT_SCHEMA_VIOLATION")
        for violation in details["errors"]:
            assert all(isinstance(violation[name], str) for name in ("instance_path", "schema_path", "reason"))
        assert details["errors"]
    books = hub.http.get("/sandbox/books", headers=hub.auth).json()
    assert (books["charged_micro"], books["total_calls"], books["free_calls_remaining"]) == (0, 0, 100)
    bare = action(input_schema={})
    hub.http.post("/sandbox/catalog", json={"manifest": manifest(capability="bare", actions=[bare])}).raise_for_status()
    assert hub.call("/v1/invoke", capability="lab/bare", input={"text": "x", "more": 1}).status_code == 200


@pytest.mark.requirement("WIRE-5-4")
def test_wire_must_409_dup_different_input(hub: Conforming) -> None:
    assert hub.call(id="conformance-409").status_code == 200
    refusal(hub.call(id="conformance-409", input={"text": "ALTERED"}), 409, "DUPLICATE_REQUEST")


@pytest.mark.requirement("WIRE-5-1", "WIRE-5-2", "ERROR-DUPLICATE_REQUEST-1")
def test_wire_must_409_dup_idempotent_no_conflict(hub: Conforming) -> None:
    first, second = hub.call(id="conformance-409-neg"), hub.call(id="conformance-409-neg")
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert first.status_code == 200


@pytest.mark.requirement("WIRE-4.6-1", "ERROR-CAPABILITY_DEPRECATED-1")
def test_wire_must_410_sunset(hub: Conforming) -> None:
    answer = hub.call("/v1/invoke", capability="jecp-test/deprecated-echo", action="echo", input={"msg": "test"})
    details = refusal(answer, 410, "CAPABILITY_DEPRECATED")
    assert details["capability"] == "jecp-test/deprecated-echo"
    assert "2020-01-01" in details["sunset_at"]
    assert answer.headers["sunset"] == "Wed, 01 Jan 2020 00:00:00 GMT"
    assert answer.headers["deprecation"] == "true"
    assert 'rel="deprecation"' in answer.headers["link"]


@pytest.mark.requirement("WIRE-2-3")
def test_wire_must_415(hub: Conforming) -> None:
    answer = hub.http.post("/v1/invoke", content=b"garbage-not-json", headers={"Content-Type": "text/plain"})
    details = refusal(answer, 415, "UNSUPPORTED_MEDIA_TYPE")
    assert (details["received"], details["expected"]) == ("text/plain", "application/json")
    assert hub.http.post("/v1/invoke", content=b"{}").status_code != 415
    charset = {"Content-Type": "application/json; charset=utf-8"}
    assert hub.http.post("/v1/invoke", content=b"{}", headers=charset).status_code != 415
    xml = hub.http.post("/v1/jecp", content=b"<x/>", headers={"Content-Type": "application/xml"})
    refusal(xml, 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.requirement("AUTH-6.5-2", "ERROR-RATE_LIMITED-1")
def test_wire_must_429_retry_after(hub: Conforming) -> None:
    answers = [hub.call(headers=False) for _ in range(15)]
    limited = next(answer for answer in answers if answer.status_code == 429)
    details = refusal(limited, 429, "RATE_LIMITED")
    assert 1 <= int(limited.headers["retry-after"]) <= 600
    assert details["retry_after_seconds"] == int(limited.headers["retry-after"])


@pytest.mark.requirement("PAYMENT-10-2")
def test_each_case_stands_in_the_document_with_its_test_or_its_reason() -> None:
    rows = re.findall(r"^\| `(JECP-[A-Z0-9-]+)` \| (.+) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    named = {text.strip("`") for _, text in rows if text.startswith("`")}
    assert named - {"test_a_name_led_elsewhere_after_it_was_given_is_a_dead_letter_at_once"} == {
        name for name in (*globals(), *vars(of_providers)) if re.match("test_(discovery|ops|wire|provider)_must", name)
    }
    assert len(rows) == len({case for case, _ in rows}) == 17


@pytest.mark.requirement("PAYMENT-5-2", "PAYMENT-11.1-1", "PAYMENT-11.2-1", "PAYMENT-11.2-2")
def test_what_cannot_be_cached_or_read_by_pages_says_so(hub: Conforming) -> None:
    answers = [hub.call(), hub.call(capability="none"), hub.call("/v1/invoke", headers=False, mandate=None)]
    answers += [
        hub.http.post("/api/agents/register", json={"name": "n"}),
        hub.http.get("/v1/refunds", headers=hub.auth),
    ]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["access-control-allow-origin"] == "*"
        exposed = answer.headers["access-control-expose-headers"]
        assert all(
            name in exposed for name in ("X-Payment-Response", "X-Request-Id", "Retry-After", "WWW-Authenticate")
        )
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    preflight = hub.http.options("/v1/invoke", headers=asked)
    assert preflight.status_code == 204
    assert "X-Payment" in preflight.headers["access-control-allow-headers"]
    assert "X-Payment-Response" in preflight.headers["access-control-expose-headers"]
    for path in ("/", "/sandbox/books", "/topup"):
        assert "access-control-allow-origin" not in hub.http.get(path, headers=hub.auth).headers


@pytest.mark.requirement("PAYMENT-11.1-1")
def test_every_answer_to_a_call_says_how_many_are_left(hub: Conforming) -> None:
    left = [
        int(answer.headers["x-ratelimit-remaining"])
        for answer in (
            hub.call(id="first-call"),
            hub.call(id="first-call"),
            hub.call(capability="none"),
            hub.call(capability="lectern/concordance", action="keyword-in-context", delivery={"mode": "stream"}),
        )
    ]
    assert left == [9, 8, 7, 6]
    streamed = hub.http.post(
        "/v1/invoke",
        headers={**hub.auth, "Accept": "text/event-stream"},
        json={
            "jecp": "1.0",
            "id": "stream-0001",
            "capability": "lectern/concordance",
            "action": "keyword-in-context",
            "input": {"text": "the mill and the reed", "keyword": "the"},
        },
    )
    assert streamed.headers["x-ratelimit-remaining"] == "5"
    assert streamed.headers["cache-control"] == "no-store"
    assert json.loads(hub.http.get("/health").content)["status"] == "ok"
