"""`JecpProviderClient` and `jecp_mcp.provider` at a real sandbox Hub, and what they refuse."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import httpx2
import pytest

from jecp_mcp import (
    AuthError,
    DnsVerificationError,
    HubUnreachableError,
    JecpError,
    JecpProviderClient,
    ManifestInvalidError,
    ManifestParseError,
    ManifestVersionExistsError,
    NamespaceTakenError,
    RotationCapError,
    UnsupportedCountryError,
)
from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import WireError
from jecp_mcp.provider import (
    Artifact,
    Call,
    CallFailed,
    Metered,
    Provider,
    load_manifest,
)
from jecp_mcp.wire.jecp.hub_answer import HubAnswer
from jecp_mcp.wire.jecp.provider_account import parse_registration
from tests.contract.providers.conftest import COUNTS, Endpoint, House, endpoint, house, manifest
from tests.contract.sandbox.conftest import TurnableClock
from tests.faults.rails.raw_hub import raw_hub, says

pytestmark = pytest.mark.anyio

SECRET = base64.b64encode(bytes(range(32))).decode()
NOW = 1_800_000_000
NAMES = iter(f"client-{number}" for number in range(1_000))


class Stopped:
    def now(self) -> UnixMs:
        return UnixMs(NOW * 1000)

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture(scope="module", params=["reference", "spec"])
def place(request: pytest.FixtureRequest) -> Iterator[House]:
    with house(dialect=request.param) as made:
        yield made


@pytest.fixture(scope="module")
def point() -> Iterator[Endpoint]:
    with endpoint() as made:
        yield made


async def registered(place: House, point: Endpoint, **changes: Any) -> Any:
    about = {
        "namespace": next(NAMES).upper(),
        "display_name": "Words",
        "owner_email": "owner@words.example",
        "endpoint_url": point.url,
        "country": "jp",
        "base_url": str(place.http.base_url).rstrip("/"),
    }
    return await JecpProviderClient.register(**{**about, **changes})


def client(place: House, key: str) -> JecpProviderClient:
    return JecpProviderClient(key, base_url=str(place.http.base_url))


@pytest.mark.parametrize("namespace", ["abc", "wxyz"])
def test_a_short_namespace_loses_no_key_and_a_short_secret_is_none(namespace: str) -> None:
    answer = {
        "provider_id": "p1",
        "namespace": namespace,
        "provider_api_key": "sbx_pk_" + "0" * 48,
        "hmac_secret": SECRET,
        "dns_verification_token": "t",
    }

    def read(**changes: str) -> Any:
        body = json.dumps({**answer, **changes}).encode()
        return parse_registration(HubAnswer(body, 201, {}, UnixMs(NOW * 1000)), "https://words.example/jecp")

    assert (read().namespace, read().hmac_secret) == (namespace, SECRET)
    for name in ("provider_api_key", "hmac_secret"):
        with pytest.raises(WireError, match=name):
            read(**{name: "abc"})
    for name in answer:
        with pytest.raises(WireError, match=name):
            read(**{name: ""})


@pytest.mark.slow
@pytest.mark.requirement("MANIFEST-8.6.1-1")
async def test_a_provider_registers_proves_its_host_publishes_and_can_be_paid(place: House, point: Endpoint) -> None:
    made = await registered(place, point, website="https://words.example", usdc_payout_address="0x" + "AB" * 20)
    assert made.api_key not in repr(made)
    assert made.hmac_secret not in repr(made) + repr(made.raw)
    async with client(place, made.api_key) as hub:
        assert (await hub.me()).dns_verified is False
        assert (await hub.verify_dns()).verified
        published = await hub.publish(manifest(made.namespace, point.url))
        assert (published.capability, published.version, published.status) == (
            f"{made.namespace}/words",
            "1.0.0",
            "submitted",
        )
        link = await hub.connect_stripe()
        place.http.post(link.url)
        assert link.expires_at is not None
        me = await hub.me()
        assert (me.namespace, me.dns_verified, me.stripe_verified, me.total_calls) == (made.namespace, True, True, 0)
        assert made.api_key not in repr(hub)


@pytest.mark.slow
async def test_a_record_that_is_not_there_yet_is_waited_for_and_a_wrong_key_is_not(
    place: House, point: Endpoint
) -> None:
    made = await registered(place, point)
    name, value = made.dns_record
    place.http.post("/sandbox/dns", json={"name": name, "values": []})
    heard: list[tuple[int, bool]] = []

    def publish(number: int, status: Any) -> None:
        heard.append((number, status.verified))
        if number == 2:
            place.http.post("/sandbox/dns", json={"name": name, "values": [value]})

    async with client(place, made.api_key) as hub:
        assert not (await hub.wait_for_dns(interval=60, timeout=0)).verified
        assert (await hub.wait_for_dns(interval=0.001, on_attempt=publish)).verified
        assert heard == [(1, False), (2, False), (3, True)]
    async with client(place, "sbx_pk_" + "0" * 48) as stranger:
        with pytest.raises(AuthError):
            await stranger.wait_for_dns(interval=0.001)


@pytest.mark.slow
async def test_a_manifest_is_sent_as_it_is_and_refused_by_its_kind(place: House, point: Endpoint) -> None:
    made = await registered(place, point)
    async with client(place, made.api_key) as hub:
        with pytest.raises(DnsVerificationError):
            await hub.publish(manifest(made.namespace, point.url))
        await hub.verify_dns()
        await hub.publish(json.dumps(manifest(made.namespace, point.url)))
        with pytest.raises(ManifestVersionExistsError):
            await hub.publish(manifest(made.namespace, point.url), content_type="application/json")
        with pytest.raises(ManifestParseError):
            await hub.publish("namespace: [")
        with pytest.raises(ManifestInvalidError) as refused:
            await hub.publish(b"namespace: words")
        assert "/actions" in [each["instance_path"] for each in refused.value.errors]


@pytest.mark.slow
async def test_a_replaced_key_is_used_at_once_and_three_are_a_days(place: House, point: Endpoint) -> None:
    made = await registered(place, point)
    async with client(place, made.api_key) as hub, client(place, made.api_key) as old:
        with pytest.raises(ValueError, match="grace_seconds"):
            await hub.rotate_key(grace_seconds=-1)
        replaced = await hub.rotate_key(grace_seconds=60)
        assert replaced.previous_key_valid_until is not None
        assert (await hub.me()).namespace == (await old.me()).namespace
        await hub.rotate_key(revoke_old=True)
        with pytest.raises(AuthError):
            await old.me()
        await hub.rotate_key()
        with pytest.raises(RotationCapError) as capped:
            await hub.rotate_key()
        assert capped.value.retry_after_seconds == 600


@pytest.mark.slow
async def test_what_a_hub_refuses_a_provider_is_an_error_of_its_kind(place: House, point: Endpoint) -> None:
    made = await registered(place, point)
    with pytest.raises(NamespaceTakenError):
        await registered(place, point, namespace=made.namespace)
    with pytest.raises(UnsupportedCountryError):
        await registered(place, point, country="xx")


@pytest.mark.slow
async def test_what_is_no_hub_is_said_to_be_none() -> None:
    with pytest.raises(ValueError, match="api_key"):
        JecpProviderClient("a key")
    nonsense: list[tuple[bytes, str]] = [
        (b"[]", "not a JSON object"), (b"{}", "no provider"), (b"{}", "no API key"), (b"{}", "no onboarding URL"),
        (b'{"provider_id":"p"}', "lacks"),
    ]  # fmt: skip
    async with raw_hub(*(says(body) for body, _ in nonsense)) as raw:
        async with JecpProviderClient("sbx_pk_" + "0" * 48, base_url=raw.url) as hub:
            asked: list[Any] = [hub.me, hub.me, hub.rotate_key, hub.connect_stripe]
            for ask, (_, why) in zip(asked, nonsense, strict=False):
                with pytest.raises(JecpError, match=why):
                    await ask()
        with pytest.raises(JecpError, match="lacks"):
            await registered(House(httpx2.Client(base_url=raw.url), TurnableClock(), ""), Endpoint("https://w.example"))
    with pytest.raises(HubUnreachableError):
        await JecpProviderClient("sbx_pk_" + "0" * 48, base_url="http://127.0.0.1:9").me()


# -- jecp_mcp.provider -------------------------------------------------------------------------------------------------


def selling(**changes: Any) -> Provider:
    return Provider(SECRET, manifest("words", "https://words.example", **changes), clock=Stopped())


def signed(body: bytes, at: int = NOW) -> dict[str, str]:
    mac = hmac.digest(bytes(range(32)), str(at).encode() + b"." + body, "sha256")
    return {"X-JECP-Signature": "v1=" + base64.b64encode(mac).decode(), "X-JECP-Timestamp": str(at)}


def call(**changes: Any) -> bytes:
    base = {"jecp": "1.0", "id": "call_1", "capability": "words/words@1.0.0", "action": "count"}
    return json.dumps({**base, "input": {"text": "one two"}, **changes}).encode()


async def test_only_what_the_hub_signed_now_is_answered() -> None:
    provider, seen = selling(), []

    @provider.action("count")
    async def count(call: Call) -> dict[str, int]:
        seen.append(call)
        return {"words": len(call.input["text"].split())}

    body = call()
    good = await provider.answer(signed(body), body)
    assert (good.status, json.loads(good.body)["result"], seen[0].version) == (200, {"words": 2}, "1.0.0")
    forged = [
        ({}, "MISSING_SIGNATURE"),
        (signed(body + b" "), "INVALID_SIGNATURE"),
        (signed(body, NOW - 301), "INVALID_SIGNATURE"),
        (signed(body, NOW + 301), "INVALID_SIGNATURE"),
        ({**signed(body), "X-JECP-Timestamp": "0" + str(NOW)}, "INVALID_SIGNATURE"),
        ({**signed(body), "X-JECP-Timestamp": "soon"}, "INVALID_SIGNATURE"),
        ({**signed(body), "X-JECP-Signature": "v1=é"}, "INVALID_SIGNATURE"),
    ]
    for headers, code in forged:
        refused = await provider.answer(headers, body)
        assert (refused.status, json.loads(refused.body)["error"]["code"]) == (401, code)
    assert len(seen) == 1
    for secret in ("no base64!", "c2hvcnQ="):
        with pytest.raises(ValueError, match="secret"):
            Provider(secret, manifest("words", "https://words.example"))
    two = Provider(
        base64.b64encode(b"x" * 32).decode(), manifest("words", "https://w.example"), SECRET, clock=Stopped()
    )
    assert (await two.answer(signed(body), body)).status == 404


async def test_what_a_provider_answers_is_what_its_manifest_promises() -> None:
    provider = selling()

    @provider.action("count")
    def count(call: Call) -> Any:
        match call.input["text"]:
            case "bytes":
                return Artifact("image/png", b"\x89PNG")
            case "metered":
                return Metered({"words": 1}, {"chunks": 2})
            case "failed":
                raise CallFailed("NO_WORDS", "there are none")
            case "broken":
                raise KeyError("a secret")
            case "wrong":
                return {"words": "two"}
            case "set":
                return {1, 2}
        return {"words": 2}

    async def answer(body: bytes) -> Any:
        return await provider.answer(signed(body), body)

    # A step's call is its composite's, the longest there may be, and the step's id, the longest there may be.
    for call_id in ("a" * 64 + ":" + "s" * 31, "abcd:s"):
        assert (await answer(call(id=call_id))).status == 200
    image = await answer(call(input={"text": "bytes"}))
    assert (image.headers["content-type"], image.body) == ("image/png", b"\x89PNG")
    assert json.loads((await answer(call(input={"text": "metered"}))).body)["meter_summary"] == {"chunks": 2}
    for body, status, code in (
        (call(input={"text": "failed"}), 422, "NO_WORDS"),
        (call(input={"text": "broken"}), 500, "PROVIDER_INTERNAL_ERROR"),
        (call(input={"text": "wrong"}), 500, "OUTPUT_INVALID"),
        (call(input={"text": "set"}), 500, "OUTPUT_INVALID"),
        (call(input={"text": 7}), 400, "INPUT_SCHEMA_VIOLATION"),
        (call(action="other"), 404, "ACTION_NOT_FOUND"),
        (call(capability="words/others"), 404, "CAPABILITY_NOT_FOUND"),
        (call(capability="?"), 400, "PARSE_ERROR"),
        (call(id=7), 400, "PARSE_ERROR"),
        *(
            (call(id=wrong), 400, "PARSE_ERROR")
            for wrong in ("abc", "abc:a", "call_1:", "call_1:A", "call_1:a:b", "a" * 65)
        ),
        (call(action=7), 400, "PARSE_ERROR"),
        (b"[]", 400, "PARSE_ERROR"),
        (b"{", 400, "PARSE_ERROR"),
    ):
        refused = await answer(body)
        assert (refused.status, json.loads(refused.body)["error"]["code"]) == (status, code)
        assert b"a secret" not in refused.body
    with pytest.raises(ValueError, match="no action"):
        provider.action("other")
    with pytest.raises(ValueError, match="done already"):
        provider.action("count")
    with pytest.raises(ValueError, match="lacks"):
        Provider(SECRET, {})
    with pytest.raises(ValueError, match="code"):
        CallFailed("no", "why")


async def test_a_provider_is_an_asgi_application() -> None:
    provider = selling()

    @provider.action("count")
    def count(call: Call) -> dict[str, int]:
        return {"words": len(call.input["text"].split())}

    transport = httpx2.ASGITransport(provider)
    async with httpx2.AsyncClient(transport=transport, base_url="https://words.example") as http:
        body = call()
        assert (await http.post("/jecp", content=body, headers=signed(body))).json()["result"] == {"words": 2}
        assert (await http.post("/jecp/health")).json()["status"] == "ok"
        assert (await http.get("/jecp")).status_code == 405
        assert (await http.post("/jecp", content=b"x" * (10 * 1024 * 1024 + 1))).status_code == 413
    sent: list[Any] = []
    stages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Any:
        return next(stages)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await provider({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    with pytest.raises(RuntimeError):
        await provider({"type": "websocket"}, receive, send)
    stages = iter([{"type": "http.disconnect"}])
    await provider({"type": "http", "method": "POST", "path": "/", "headers": []}, receive, send)
    assert len(sent) == 2


async def test_a_provider_stops_working_for_a_hub_that_has_gone() -> None:
    provider, sent, closed = selling(), list[Any](), anyio.Event()

    @provider.action("count")
    async def count(call: Call) -> AsyncIterator[str]:
        try:
            while True:
                yield call.id
                await anyio.lowlevel.checkpoint()
        finally:
            closed.set()

    async def receive() -> Any:
        if not sent:
            return {"type": "http.request", "body": body}
        while len(sent) < 3:
            await anyio.lowlevel.checkpoint()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    body = call()
    headers = {**signed(body), "accept": "text/event-stream"}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    with anyio.fail_after(60):
        await provider({"type": "http", "method": "POST", "path": "/jecp", "headers": raw}, receive, send)
    assert closed.is_set()
    assert sent[1]["body"].startswith(b"event: open\n")
    assert sent[2]["body"].startswith(b"event: chunk\n")
    with pytest.raises(ValueError, match="asynchronous generator"):

        @selling().action("count")
        def wrong(call: Call) -> Iterator[str]:
            yield call.id


async def test_a_manifest_is_read_and_checked_before_it_is_published() -> None:
    made = manifest("words", "https://words.example/jecp")
    assert load_manifest(json.dumps(made)) == made
    local = {**made, "endpoint": "http://127.0.0.1:8000/jecp"}
    assert load_manifest(json.dumps(local), loopback=True) == local
    with pytest.raises(WireError, match="/endpoint"):
        load_manifest(json.dumps(local))
    with pytest.raises(WireError, match="/actions/0/id"):
        load_manifest(json.dumps({**made, "actions": [{**COUNTS, "id": "?"}]}))
    await anyio.lowlevel.checkpoint()
