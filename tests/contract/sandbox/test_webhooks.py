"""Webhooks: who is told of what, signed, again where it was not taken, and never where nobody may be asked."""

from __future__ import annotations

import base64
import json
import logging
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest

from jecp_mcp.clock import SystemClock, UnixMs, iso
from jecp_mcp.sandbox import background
from jecp_mcp.sandbox.app import build_app, hub_of
from jecp_mcp.sandbox.run import SandboxConfig
from jecp_mcp.sandbox.webhooks import dispatcher
from jecp_mcp.sandbox.webhooks.outbox import MOST_ATTEMPTS
from jecp_mcp.sandbox.webhooks.subscriptions import MOST_SUBSCRIPTIONS
from jecp_mcp.wire.jecp import provenance
from tests.contract.sandbox.conftest import (
    Buyer,
    TurnableClock,
    action,
    controlled,
    cost,
    error,
    manifest,
    output,
    running,
)
from tests.contract.sandbox.receiver import SECONDS, Receiver, receiver


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def subscribe(buyer: Buyer, url: str, *events: str) -> dict[str, Any]:
    made = buyer.http.post("/v1/subscriptions", json={"endpoint_url": url, "events": events}, headers=buyer.auth)
    assert made.status_code == 201, made.text
    return made.json()


def deliveries(buyer: Buyer, status: str = "") -> list[dict[str, Any]]:
    path = f"/sandbox/deliveries?status={status}" if status else "/sandbox/deliveries"
    return buyer.http.get(path, headers=buyer.auth).json()["deliveries"]


def advance(buyer: Buyer, seconds: int) -> None:
    buyer.http.post("/sandbox/clock", json={"advance_seconds": seconds}).raise_for_status()


def tried(buyer: Buyer, status: str, attempts: int) -> dict[str, Any]:
    """The delivery of that status, once the books know of so many tries."""
    for _ in range(10_000):
        for found in deliveries(buyer, status):
            if found["attempts"] == attempts:
                return found
    raise AssertionError(deliveries(buyer))


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Buyer]:
    """An agent with $10 at a Hub of its own, whose clock may be moved."""
    config = SandboxConfig(data=tmp_path / "hub.sqlite", loopback=True)
    with running(config) as ready, controlled(ready) as http:
        buyer = Buyer("reference", http, ready["agent_id"], ready["api_key"], TurnableClock())
        buyer.wallet(balance_usdc="10")
        buyer.publish(manifest())
        yield buyer


def test_a_subscription_is_made_shown_changed_and_ended_by_its_owner_alone(buyer: Buyer, served: Buyer) -> None:
    made = subscribe(buyer, "http://127.0.0.1:9/one", "invocation.completed")
    path = f"/v1/subscriptions/{made['subscription_id']}"
    listed = buyer.http.get("/v1/subscriptions", headers=buyer.auth)
    assert made["hmac_secret"] not in listed.text
    [shown] = listed.json()["subscriptions"]
    assert shown.items() <= made.items()
    assert (shown["endpoint_url"], shown["events"], shown["status"]) == (
        "http://127.0.0.1:9/one",
        ["invocation.completed"],
        "active",
    )
    assert served.http.get("/v1/subscriptions", headers=served.auth).json()["count"] == 0
    for method, below in (("PATCH", ""), ("DELETE", ""), ("POST", "/test")):
        error(served.http.request(method, path + below, json={}, headers=served.auth), "NOT_FOUND", 404)
    changed = buyer.http.patch(path, json={"events": [], "status": "paused"}, headers=buyer.auth).json()
    assert (changed["events"], changed["status"]) == ([], "paused")
    again = subscribe(buyer, "http://127.0.0.1:9/one", "wallet.low_balance")
    assert again["subscription_id"] == made["subscription_id"]
    assert again["hmac_secret"] != made["hmac_secret"]
    other = subscribe(buyer, "http://127.0.0.1:9/two")
    taken = buyer.http.patch(path, json={"endpoint_url": other["endpoint_url"]}, headers=buyer.auth)
    error(taken, "INVALID_REQUEST", 400)
    assert buyer.http.delete(path, headers=buyer.auth).json()["deleted"] is True
    assert buyer.http.get("/v1/subscriptions", headers=buyer.auth).json()["count"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"endpoint_url": "http://127.0.0.1/", "events": "all"},
        {"endpoint_url": "http://127.0.0.1/", "events": ["No Type"]},
        {"endpoint_url": "http://127.0.0.1/", "events": ["a"] * 51},
    ],
)
@pytest.mark.slow
def test_what_is_no_subscription_is_refused(buyer: Buyer, body: dict[str, Any]) -> None:
    error(buyer.http.post("/v1/subscriptions", json=body, headers=buyer.auth), "INVALID_REQUEST", 400)
    error(buyer.http.post("/v1/subscriptions", json=body), "AUTH_REQUIRED", 401)
    assert buyer.http.get("/v1/subscriptions", headers=buyer.auth).json()["count"] == 0


@pytest.mark.slow
def test_one_has_so_many_subscriptions_and_no_more(buyer: Buyer) -> None:
    for number in range(MOST_SUBSCRIPTIONS):
        subscribe(buyer, f"http://127.0.0.1:9/{number}")
    answer = buyer.http.post("/v1/subscriptions", json={"endpoint_url": "http://127.0.0.1:9/x"}, headers=buyer.auth)
    error(answer, "INVALID_REQUEST", 400)
    subscribe(buyer, "http://127.0.0.1:9/0")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_makes_the_same_signature(buyer: Buyer, endpoint: Receiver) -> None:
    made = subscribe(buyer, f"{endpoint.url}/signed")
    buyer.http.post(f"/v1/subscriptions/{made['subscription_id']}/test", headers=buyer.auth).raise_for_status()
    arrived = endpoint.next()
    key = base64.b64decode(made["hmac_secret"]).hex()
    signed = arrived.headers["X-JECP-Webhook-Timestamp"].encode() + b"." + arrived.body
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key}", "-binary"]
    theirs = subprocess.run(command, input=signed, capture_output=True, check=True).stdout
    assert arrived.headers["X-JECP-Webhook-Signature"] == "v1=" + base64.b64encode(theirs).decode()


@pytest.mark.slow
def test_each_event_is_told_signed_to_who_wants_it(buyer: Buyer, endpoint: Receiver) -> None:
    buyer.publish(manifest(capability="dear", actions=[action(price="$9.60")]))
    made = subscribe(buyer, f"{endpoint.url}/all")
    of_refunds = subscribe(buyer, f"{endpoint.url}/refunds", "invocation.refunded")
    secrets = {"/all": made["hmac_secret"], "/refunds": of_refunds["hmac_secret"]}
    _, transaction_id = cost(buyer.buy("lab/dear"))
    buyer.buy()
    asked = {"transaction_id": transaction_id, "reason": "it was wrong"}
    refund_id = buyer.http.post("/v1/refunds", json=asked, headers=buyer.auth).json()["refund_id"]
    buyer.http.post(f"/sandbox/refunds/{refund_id}", json={"decision": "approve"}).raise_for_status()
    buyer.http.post("/v1/agents/me/rotate-key", json={"grace_seconds": 3600}, headers=buyer.auth).raise_for_status()
    test = buyer.http.post(f"/v1/subscriptions/{made['subscription_id']}/test", headers=buyer.auth).json()
    arrived = [endpoint.next() for _ in range(8)]
    events = [(one.path, one.event(secrets[one.path])) for one in arrived]
    told = [event for path, event in events if path == "/all"]
    # One endpoint hears of things in their order.
    assert [event.type for event in told] == [
        "invocation.completed",
        "wallet.low_balance",
        "invocation.completed",
        "refund.requested",
        "invocation.refunded",
        "agent.key_rotated",
        "test.synthetic",
    ]
    [refunded] = [event for path, event in events if path == "/refunds"]
    assert refunded == told[4]
    assert told[0].data["transaction_id"] == transaction_id
    assert told[1].data["balance_usdc"] == Decimal("0.4")
    assert (refunded.data["refund_id"], refunded.data["refund_amount_usdc"]) == (refund_id, Decimal("8.64"))
    assert told[6].id == test["event_id"]
    assert "api_key" not in told[5].data


@pytest.mark.slow
def test_what_is_not_taken_is_sent_again_until_it_is_a_dead_letter_and_can_be_revived(
    alone: Buyer, endpoint: Receiver
) -> None:
    made = subscribe(alone, f"{endpoint.url}/failing", "test.synthetic")
    test = f"/v1/subscriptions/{made['subscription_id']}/test"
    for status in [302, *[500] * (MOST_ATTEMPTS - 1)]:
        endpoint.answers.put(status)
    alone.http.post(test, headers=alone.auth).raise_for_status()
    first = endpoint.next()
    assert first.path == "/failing"  # and not where the redirect leads
    for attempts in range(1, MOST_ATTEMPTS):
        assert tried(alone, "pending", attempts)["last_error"] == ("HTTP 302" if attempts == 1 else "HTTP 500")
        advance(alone, 3_600)
        assert endpoint.next().body == first.body
    dead = tried(alone, "dead", MOST_ATTEMPTS)
    assert (dead["attempts"], dead["last_error"], dead["next_attempt_at"]) == (MOST_ATTEMPTS, "HTTP 500", None)
    assert (
        alone.http.get("/v1/subscriptions", headers=alone.auth).json()["subscriptions"][0]["last_error"] == "HTTP 500"
    )
    revive = f"/sandbox/deliveries/{dead['delivery_id']}"
    alone.http.post(revive, headers=alone.auth).raise_for_status()
    assert endpoint.next().event(made["hmac_secret"]).id == first.event(made["hmac_secret"]).id
    tried(alone, "delivered", 1)
    error(alone.http.post(revive, headers=alone.auth), "NOT_FOUND", 404)


@pytest.mark.slow
def test_a_paused_subscription_is_told_once_it_goes_on(alone: Buyer, endpoint: Receiver) -> None:
    made = subscribe(alone, f"{endpoint.url}/paused", "test.synthetic")
    path = f"/v1/subscriptions/{made['subscription_id']}"
    endpoint.answers.put(503)
    alone.http.post(f"{path}/test", headers=alone.auth).raise_for_status()
    held = endpoint.next()
    tried(alone, "pending", 1)
    alone.http.patch(path, json={"status": "paused"}, headers=alone.auth).raise_for_status()
    advance(alone, 7_200)
    alone.http.patch(path, json={"status": "active"}, headers=alone.auth).raise_for_status()
    assert endpoint.next().body == held.body
    assert endpoint.inbox.empty()


@pytest.mark.slow
def test_refunds_are_approved_by_themselves_in_time_and_told(alone: Buyer, endpoint: Receiver) -> None:
    subscribe(alone, f"{endpoint.url}/approved", "invocation.refunded")
    _, transaction_id = cost(alone.buy())
    asked = {"transaction_id": transaction_id, "reason": "it was wrong"}
    alone.http.post("/v1/refunds", json=asked, headers=alone.auth).raise_for_status()
    advance(alone, 86_400)
    event = json.loads(endpoint.next().body)
    assert (event["type"], event["data"]["status"]) == ("invocation.refunded", "auto_approved")
    for seconds in (-1, 1.5, True, None, 10**12):
        answer = alone.http.post("/sandbox/clock", json={"advance_seconds": seconds})
        error(answer, "INVALID_REQUEST", 400)


@pytest.mark.slow
def test_whoever_knows_nothing_of_the_moved_time_goes_on_buying(alone: Buyer) -> None:
    advance(alone, 3 * 86_400)
    at = SystemClock().now()
    proof = provenance.build(alone.agent_id, alone.api_key, at=at, nonce="a" * 32)
    mandate = alone.mandate(1, expires_at=iso(UnixMs(at + 60_000)), provenance_hash=proof)
    assert output(alone.buy(mandate=mandate))["words"] == 2
    error(alone.buy(mandate=alone.mandate(1, expires_at=iso(UnixMs(at - 1_000)))), "MANDATE_EXPIRED", 403)


@pytest.mark.slow
def test_what_was_written_down_is_told_after_a_restart_by_a_clock_that_stays_ahead(tmp_path: Path) -> None:
    config = SandboxConfig(data=tmp_path / "hub.sqlite", loopback=True)
    with receiver() as gone:
        url = gone.url
    with running(config) as ready, controlled(ready) as http:
        buyer = Buyer("reference", http, ready["agent_id"], ready["api_key"], TurnableClock())
        secret = subscribe(buyer, f"{url}/later", "test.synthetic")["hmac_secret"]
        [shown] = http.get("/v1/subscriptions", headers=buyer.auth).json()["subscriptions"]
        http.post(f"/v1/subscriptions/{shown['subscription_id']}/test", headers=buyer.auth).raise_for_status()
        assert "reached" in tried(buyer, "pending", 1)["last_error"]
        advance(buyer, 30)
    with running(config) as ready, controlled(ready) as http, receiver() as found:
        buyer = Buyer("reference", http, ready["agent_id"], ready["api_key"], TurnableClock())
        changed = {"endpoint_url": f"{found.url}/later"}
        http.patch(f"/v1/subscriptions/{shown['subscription_id']}", json=changed, headers=buyer.auth).raise_for_status()
        assert http.post("/sandbox/clock", json={"advance_seconds": 3_600}).json()["ahead_seconds"] == 3_630
        assert found.next().event(secret).type == "test.synthetic"


NAMES = {
    "public.example": ["1.1.1.1"],
    "metadata.example": ["169.254.169.254"],
    "private.example": ["1.1.1.1", "10.0.0.1"],
    "2130706433": ["127.0.0.1"],
}


async def resolved(host: str, _port: int) -> Sequence[str]:
    if host not in NAMES:
        raise OSError("no such name")
    return NAMES[host]


@pytest.fixture(scope="module")
def public() -> Iterator[Buyer]:
    with running(SandboxConfig(resolve=resolved)) as ready, controlled(ready) as http:
        yield Buyer("reference", http, ready["agent_id"], ready["api_key"], TurnableClock())


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (7, "parse_error"),
        ("hook", "parse_error"),
        ("https://", "parse_error"),
        ("https://public.example:port/", "parse_error"),
        ("https://[::1/", "parse_error"),
        ("http://public.example/", "scheme"),
        ("file:///etc/passwd", "parse_error"),
        ("ftp://public.example/", "scheme"),
        ("https://%31%32%37.0.0.1/", "host_syntax"),
        ("https://user:secret@public.example/", "host_syntax"),
        ("https://127.0.0.1/webhook", "resolved_to_deny_cidr"),
        ("https://169.254.169.254/latest", "resolved_to_deny_cidr"),
        ("https://192.168.1.1/", "resolved_to_deny_cidr"),
        ("https://0.0.0.0/", "resolved_to_deny_cidr"),
        ("https://[::1]/", "resolved_to_deny_cidr"),
        ("https://[::ffff:127.0.0.1]/", "resolved_to_deny_cidr"),
        ("https://[fd00:ec2::254]/", "resolved_to_deny_cidr"),
        ("https://localhost/", "resolved_to_deny_cidr"),
        ("https://2130706433/", "resolved_to_deny_cidr"),
        ("https://metadata.example/", "resolved_to_deny_cidr"),
        ("https://private.example/", "resolved_to_deny_cidr"),
        ("https://nowhere.example/", "dns_resolve_failed"),
    ],
)
@pytest.mark.slow
@pytest.mark.requirement(
    "AUTH-9.7-1", "AUTH-9.7-4", "AUTH-9.7.1.1-1", "AUTH-9.7.1.1-2", "AUTH-9.7.1.1-3", "AUTH-9.7.1.3-1"
)
def test_nothing_is_sent_where_nobody_may_be_asked(public: Buyer, url: object, reason: str) -> None:
    answer = public.http.post("/v1/subscriptions", json={"endpoint_url": url}, headers=public.auth)
    details = error(answer, "URL_BLOCKED_SSRF", 422)["error"]["details"]
    assert (details["field"], details["reason"]) == ("endpoint_url", reason)
    assert "secret" not in answer.text
    assert public.http.get("/v1/subscriptions", headers=public.auth).json()["count"] == 0


class LeapingClock(SystemClock):
    """A clock whose monotonic time a test moves."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.requirement("AUTH-9.7-2", "AUTH-9.7.1.3-2", "AUTH-9.7.1.5-1")
async def test_a_name_led_elsewhere_after_it_was_given_is_a_dead_letter_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = LeapingClock()
    app = build_app(SandboxConfig(clock=clock, resolve=resolved))
    async with app.router.lifespan_context(app), client_of(app) as http:
        made = await http.post("/v1/subscriptions", json={"endpoint_url": "https://public.example/"})
        monkeypatch.setitem(NAMES, "public.example", ["127.0.0.1"])
        clock.ahead = 60
        await http.post(f"/v1/subscriptions/{made.json()['subscription_id']}/test")
        [letter] = await ended(http)
        assert (letter["status"], letter["attempts"]) == ("dead", 1)
        assert letter["last_error"].startswith("SSRF_DENIED")


@pytest.mark.slow
@pytest.mark.anyio
async def test_books_that_cannot_be_written_for_a_while_lose_no_event(
    endpoint: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for module in (background, dispatcher):
        monkeypatch.setattr(module, "AFTER_FAULT_SECONDS", 0.01)
    app = build_app(SandboxConfig(loopback=True))
    hub = hub_of(app)
    async with app.router.lifespan_context(app), client_of(app) as http:
        made = await http.post("/v1/subscriptions", json={"endpoint_url": f"{endpoint.url}/again"})
        test = await http.post(f"/v1/subscriptions/{made.json()['subscription_id']}/test")
        hub.database.rows("PRAGMA query_only = 1")
        with caplog.at_level(logging.WARNING):
            arrived = [await anyio.to_thread.run_sync(endpoint.next) for _ in range(2)]
        assert {one.event(made.json()["hmac_secret"]).id for one in arrived} == {test.json()["event_id"]}
        assert "cannot be written now" in caplog.text
        caplog.clear()
        hub.database.rows("PRAGMA query_only = 0")
        await http.post("/sandbox/wallet", json={"balance_usdc": "1"})
        bought = {
            "jecp": "1.0",
            "id": "call-0001",
            "capability": "text-stats",
            "action": "count",
            "input": {"text": "x"},
        }
        sold = (await http.post("/v1/jecp", json=bought)).json()["billing"]["transaction_id"]
        await http.post("/v1/refunds", json={"transaction_id": sold, "reason": "r"})
        hub.database.rows("PRAGMA query_only = 1")
        hub.clock.advance(86_400_000)
        hub.outbox.written.ring()
        with anyio.fail_after(SECONDS):
            while "the Hub's books" not in caplog.text:
                await anyio.lowlevel.checkpoint()
        hub.database.rows("PRAGMA query_only = 0")
        with anyio.fail_after(SECONDS):
            while (await http.get("/v1/refunds")).json()["refunds"][0]["status"] != "auto_approved":
                await anyio.lowlevel.checkpoint()


def client_of(app: Any) -> httpx2.AsyncClient:
    hub = hub_of(app)
    headers = {"X-Agent-ID": hub.agent_id, "X-API-Key": hub.api_key, "X-Sandbox-Key": hub.config.control_key}
    transport = httpx2.ASGITransport(app=app)
    return httpx2.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)


async def ended(http: httpx2.AsyncClient) -> list[dict[str, Any]]:
    """The deliveries, once one has ended."""
    with anyio.fail_after(SECONDS):
        while True:
            await anyio.lowlevel.checkpoint()
            found = (await http.get("/sandbox/deliveries")).json()["deliveries"]
            if any(one["ended_at"] for one in found):
                return found
