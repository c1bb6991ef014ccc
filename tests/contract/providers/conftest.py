"""Providers on this machine: a real endpoint behind a real socket, and a sandbox Hub that calls it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx2
import pytest

from jecp_mcp.provider import Provider
from jecp_mcp.sandbox.run import SandboxConfig
from tests.contract.sandbox.conftest import Buyer, TurnableClock, running
from tests.served import served

COUNTS = {
    "id": "count",
    "description": "Counts the words of a text.",
    "pricing": {"base": "$0.01", "currency": "USD", "model": "per_call"},
    "input_schema": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}},
    "output_schema": {"type": "object", "required": ["words"], "properties": {"words": {"type": "integer"}}},
    "examples": [{"input": {"text": "one two"}, "output": {"words": 2}}],
}


def manifest(namespace: str, endpoint: str, **changes: Any) -> dict[str, Any]:
    return {
        "namespace": namespace,
        "display_name": "Words",
        "capability": "words",
        "version": "1.0.0",
        "description": "Counts words.",
        "support_email": "help@words.example",
        "endpoint": endpoint,
        "actions": [COUNTS],
        **changes,
    }


@dataclass
class Endpoint:
    """Where a provider is called: by its `Provider`, or by what a test puts in its place."""

    url: str = ""
    provider: Provider | None = None
    instead: tuple[int, str, bytes] | None = None
    healthy: int = 200
    calls: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)
    goes_on: threading.Event = field(default_factory=threading.Event)
    """Cleared, no call is answered."""
    looked_after: threading.Event = field(default_factory=threading.Event)
    """Cleared, nobody hears that it is healthy."""

    def __post_init__(self) -> None:
        self.goes_on.set()
        self.looked_after.set()


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """Serve an endpoint until the block ends."""
    made = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.path.endswith("/health"):
                made.looked_after.wait(60)
                return self.say(made.healthy, "application/json", b"{}")
            made.calls.append((dict(self.headers), body))
            made.goes_on.wait(60)
            if made.instead is not None:
                return self.say(*made.instead)
            assert made.provider is not None
            return asyncio.run(self.reply(made.provider, body))

        async def reply(self, provider: Provider, body: bytes) -> None:
            reply = await provider.stream(dict(self.headers), body)
            self.send_response(reply.status)
            for name, value in {**reply.headers, "connection": "close"}.items():
                self.send_header(name, value)
            self.end_headers()
            async with contextlib.aclosing(reply.chunks) as chunks:
                async for chunk in chunks:
                    self.wfile.write(chunk)
                    self.wfile.flush()

        def say(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with served(Handler) as origin:
        made.url = f"{origin}/jecp"
        yield made


@dataclass
class Seller:
    """A registered provider and the Hub it sells at."""

    hub: httpx2.Client = field(repr=False)
    endpoint: Endpoint
    registered: dict[str, Any] = field(repr=False)

    @property
    def namespace(self) -> str:
        return self.registered["namespace"]

    @property
    def auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.registered['provider_api_key']}"}

    def post(self, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        return self.hub.post(path, json=body or {}, headers={**self.auth, **headers})

    def publish(self, made: Any, kind: str = "application/json") -> httpx2.Response:
        if isinstance(made, dict):
            return self.hub.post("/v1/manifests", json=made, headers=self.auth)
        return self.hub.post("/v1/manifests", content=made, headers={**self.auth, "content-type": kind})

    def onboard(self) -> None:
        url = self.post("/v1/providers/connect-stripe").raise_for_status().json()["onboarding_url"]
        assert "Take test payouts" in self.hub.get(url).text
        assert self.hub.post(url).status_code == 303
        assert "You can be paid" in self.hub.get(url).text

    def me(self) -> dict[str, Any]:
        return self.hub.get("/v1/providers/me", headers=self.auth).raise_for_status().json()

    def statement(self) -> dict[str, Any]:
        return self.hub.get("/v1/providers/me/payouts", headers=self.auth).raise_for_status().json()

    def sell(self, made: dict[str, Any] | None = None) -> Provider:
        """Verify, onboard and publish, and answer what is bought by counting words."""
        published = made or manifest(self.namespace, self.endpoint.url)
        assert self.post("/v1/providers/verify-dns").json()["verified"]
        self.onboard()
        self.publish(published).raise_for_status()
        provider = Provider(self.registered["hmac_secret"], published)
        self.endpoint.provider, self.endpoint.instead = provider, None

        @provider.action(published["actions"][0]["id"])
        def count(call: Any) -> Any:
            return {"words": len(call.input["text"].split())}

        return provider


@dataclass
class House:
    """A sandbox Hub whose providers are on this machine."""

    http: httpx2.Client
    clock: TurnableClock
    dialect: str
    agents: int = 0

    def seller(self, at: Endpoint, **changes: Any) -> Seller:
        self.agents += 1
        body = {
            "namespace": f"seller-{self.agents}",
            "display_name": "Words",
            "owner_email": "owner@words.example",
            "endpoint_url": at.url,
            "country": "JP",
            **changes,
        }
        return Seller(self.http, at, self.http.post("/v1/providers/register", json=body).raise_for_status().json())

    def buyer(self, balance: str = "10.00") -> Buyer:
        made = self.http.post(f"/api/{'agent' if self.dialect == 'spec' else 'agents'}/register", json={"name": "b"})
        agent = made.raise_for_status().json()
        buyer = Buyer(self.dialect, self.http, agent["agent_id"], agent["api_key"], self.clock)
        buyer.wallet(balance_usdc=balance)
        return buyer


@contextmanager
def house(**config: Any) -> Iterator[House]:
    clock = TurnableClock()
    made = SandboxConfig(**{"clock": clock, "loopback": True, **config})
    with (
        running(made) as ready,
        httpx2.Client(base_url=ready["hub"], headers={"X-Sandbox-Key": ready["control_key"]}, timeout=60) as http,
    ):
        yield House(http, clock, made.dialect)


@pytest.fixture(scope="module", params=["reference", pytest.param("spec", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest) -> Iterator[House]:
    with house(dialect=request.param) as made:
        yield made


@pytest.fixture(scope="module")
def point() -> Iterator[Endpoint]:
    with endpoint() as made:
        yield made


@pytest.fixture
def seller(place: House, point: Endpoint) -> Seller:
    place.clock.ahead_ms = 0
    point.instead, point.healthy = None, 200
    point.calls.clear()
    return place.seller(point)
