"""Sandbox Hubs served over real HTTP from a thread, in both dialects, with a clock a test can turn."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from jecp_mcp.clock import SystemClock, UnixMs
from jecp_mcp.money import MicroUSDC
from jecp_mcp.sandbox.run import SandboxConfig, serve

PROTOCOL_LIMITS = {"bronze": 10_000, "silver": 20_000, "gold": 30_000, "platinum": 40_000}


class TurnableClock(SystemClock):
    """The machine's clock, moved by `ahead_ms`."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def now(self) -> UnixMs:
        return UnixMs(super().now() + self.ahead_ms)


@contextmanager
def running(config: SandboxConfig) -> Iterator[dict[str, str]]:
    """Serve `config` on a free port until the block ends."""
    announced: dict[str, str] = {}
    ready = threading.Event()
    ended: list[BaseException] = []
    stop: list[Any] = []

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(task.cancel))

        def announce(line: dict[str, str]) -> None:
            announced.update(line)
            ready.set()

        await serve(config, 0, announce)

    def run() -> None:
        try:
            asyncio.run(main())
        except asyncio.CancelledError:
            pass
        except BaseException as exc:  # noqa: BLE001  # raised again in the test's thread
            ended.append(exc)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="sandbox")
    thread.start()
    assert ready.wait(60)
    if ended:
        thread.join()
        raise ended[0]
    try:
        yield announced
    finally:
        stop[0]()
        thread.join(60)
        assert not thread.is_alive()


def manifest(namespace: str = "lab", capability: str = "counting", **changes: Any) -> dict[str, Any]:
    """A provider's manifest whose actions really run: they count a text."""
    base = {
        "namespace": namespace,
        "capability": capability,
        "version": "1.0.0",
        "description": "Counts texts.",
        "tags": ["text"],
        "endpoint": "https://provider.example/jecp",
        "extensions": {"sandbox": {"runs": "text-stats:count"}},
        "actions": [action()],
    }
    return {**base, **changes}


def action(action_id: str = "count", price: str = "$0.005", **changes: Any) -> dict[str, Any]:
    base = {
        "id": action_id,
        "description": "Counts a text.",
        "pricing": {"base": price, "currency": "USD", "model": "per_call"},
        "input_schema": {
            "type": "object",
            "properties": {"text": {"type": "string", "minLength": 1}},
            "required": ["text"],
        },
        "output_schema": {"type": "object"},
    }
    return {**base, **changes}


def controlled(ready: Mapping[str, str]) -> httpx2.Client:
    """A client of whoever started the Hub."""
    return httpx2.Client(base_url=ready["hub"], headers={"X-Sandbox-Key": ready["control_key"]}, timeout=30)


@dataclass
class Buyer:
    """An agent and the Hub it buys from."""

    dialect: str
    http: httpx2.Client = field(repr=False)
    agent_id: str
    api_key: str
    clock: TurnableClock

    @property
    def auth(self) -> dict[str, str]:
        return {"X-Agent-ID": self.agent_id, "X-API-Key": self.api_key}

    def request(self, capability: str = "lab/counting", name: str = "count", **parts: Any) -> dict[str, Any]:
        asked = {"jecp": "1.0", "id": uuid.uuid4().hex, "capability": capability, "action": name}
        return {**asked, "input": {"text": "one two"}, **parts}

    def endpoint(self, capability: str) -> str:
        return "/v1/jecp" if self.dialect == "reference" and "/" not in capability else "/v1/invoke"

    def send(self, request: dict[str, Any], path: str | None = None, **headers: str) -> httpx2.Response:
        path = path or self.endpoint(str(request.get("capability")))
        return self.http.post(path, json=request, headers={**self.auth, **headers})

    def buy(self, capability: str = "lab/counting", name: str = "count", **parts: Any) -> httpx2.Response:
        return self.send(self.request(capability, name, **parts))

    def mandate(self, budget: float | None = None, **parts: Any) -> dict[str, Any]:
        credentials = {"agent_id": self.agent_id, "api_key": self.api_key}
        return {**credentials, **({} if budget is None else {"budget_usdc": budget}), **parts}

    def books(self) -> dict[str, Any]:
        answer = self.http.get("/sandbox/books", headers=self.auth, params={"agent_id": self.agent_id})
        return answer.raise_for_status().json()

    def wallet(self, **changes: Any) -> None:
        self.http.post("/sandbox/wallet", headers=self.auth, json=changes).raise_for_status()

    def publish(self, *manifests: dict[str, Any]) -> None:
        self.http.post("/sandbox/catalog", json={"manifests": list(manifests)}).raise_for_status()

    def fault(self, fault: str, match: str = "lab/counting:count", **parts: Any) -> None:
        body = {"match": match, "fault": fault, **parts}
        self.http.post("/sandbox/faults", json=body).raise_for_status()

    def example(self, capability: str, name: str) -> Any:
        found = self.http.get(f"/v1/capabilities/{capability}").json()
        actions = found.get("manifest", found)["actions"]
        return next(each for each in actions if each["id"] == name)["examples"][0]["input"]


def cost(answer: httpx2.Response) -> tuple[str, str]:
    """What an answer says was charged, exactly as it stands in the text, and the transaction."""
    billing = json.loads(answer.text, parse_float=str)["billing"]
    return str(billing.get("amount_usdc", billing.get("cost_usdc"))), billing["transaction_id"]


def output(answer: httpx2.Response) -> Any:
    assert answer.status_code == 200, answer.text
    result = answer.json()["result"]
    return result["output"] if "capability" in result else result


def error(answer: httpx2.Response, code: str, status: int | None = None) -> dict[str, Any]:
    """The failed envelope, checked for form."""
    body = answer.json()
    assert body["error"]["code"] == code, answer.text
    assert (body["jecp"], body["status"]) == ("1.0", "failed")
    assert body["error"]["message"]
    assert status in (None, answer.status_code)
    return body


@pytest.fixture(scope="session", params=["reference", "spec"])
def served(request: pytest.FixtureRequest) -> Iterator[Buyer]:
    """A Hub and its default agent."""
    clock = TurnableClock()
    config = SandboxConfig(
        dialect=request.param,
        clock=clock,
        opening_balance=MicroUSDC(500_000),
        rate_limits_rpm=PROTOCOL_LIMITS,
        loopback=True,
    )
    with running(config) as ready, controlled(ready) as http:
        buyer = Buyer(request.param, http, ready["agent_id"], ready["api_key"], clock)
        buyer.publish(manifest())
        yield buyer


@pytest.fixture
def fresh(served: Buyer) -> Iterator[Buyer]:
    """A newly registered agent: no money, free calls; no faults and the clock at now."""
    path = f"/api/{'agents' if served.dialect == 'reference' else 'agent'}/register"
    made = served.http.post(path, json={"name": "tester"}).json()
    yield Buyer(served.dialect, served.http, made["agent_id"], made["api_key"], served.clock)
    served.http.delete("/sandbox/faults").raise_for_status()
    served.clock.ahead_ms = 0


@pytest.fixture
def buyer(fresh: Buyer) -> Buyer:
    """An agent with $10 of test money and no free calls."""
    fresh.wallet(balance_usdc="10")
    return fresh
