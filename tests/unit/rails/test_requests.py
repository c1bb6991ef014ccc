"""What the rail quotes and writes down: pure, the same every time, and without a secret."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from jecp_mcp.calls.stored import pack, unpack
from jecp_mcp.clock import SystemClock, UnixMs
from jecp_mcp.domain.offers import Offer, Price, PricingModel
from jecp_mcp.errors import WireError
from jecp_mcp.http import Http
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.base import Quote, QuoteKind, Verdict
from jecp_mcp.rails.jecp.client import HubClient
from jecp_mcp.rails.jecp.rail import JecpRail
from jecp_mcp.settings import Credentials
from tests.faults.rails.raw_hub import OpenDoor

KEY = "jdb_ak_SECRETSECRETSECRET"
HOLD = MicroUSDC(5_000)
NOW = UnixMs(1_800_000_000_000)


def rail(agent: str | None = "jdb_ag_0123456789abcdef", hub: str = "http://127.0.0.1:1") -> JecpRail:
    identity = agent and Credentials(agent_id=agent, api_key=SecretStr(KEY), source="test")
    clock = SystemClock()
    client = HubClient(hub, Http(hub), lambda: identity or None, clock)
    return JecpRail(client, timeout_seconds=30, clock=clock, random=lambda: 0.5)


def action(capability: str = "acme/tool", **more: Any) -> Offer:
    namespace = capability.partition("/")[0] if "/" in capability else ""
    return Offer(capability, "run", namespace, more.pop("price", Price(MicroUSDC(5_000))), **more)


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (PricingModel.FLAT, QuoteKind.EXACT),
        (PricingModel.PER_CALL, QuoteKind.EXACT),
        (PricingModel.PER_TOKEN, QuoteKind.FROM),
        (PricingModel.TIERED, QuoteKind.FROM),
        (None, QuoteKind.FROM),
    ],
)
def test_a_price_that_can_grow_is_quoted_as_a_bound(model: PricingModel | None, kind: QuoteKind) -> None:
    assert rail().quote(action(price=Price(MicroUSDC(5_000), model)), {}) == Quote(MicroUSDC(5_000), kind)


def test_an_unknown_price_is_no_quote() -> None:
    assert rail().quote(action(price=Price(None, problem="in yen")), {}) is None


def test_a_request_names_the_version_the_catalog_showed_and_takes_the_right_road() -> None:
    request = rail().request("call_1234", action(version="1.2.3"), {"b": 1, "a": "é"}, HOLD, NOW)
    assert request.path == "/v1/invoke"
    assert json.loads(request.body) == {
        "jecp": "1.0",
        "id": "call_1234",
        "capability": "acme/tool@1.2.3",
        "action": "run",
        "input": {"b": 1, "a": "é"},
    }
    assert request.budget == HOLD
    builtin = rail().request("call_1234", action("text-stats", version="2.0.0"), {}, HOLD, NOW)
    assert (builtin.path, json.loads(builtin.body)["capability"]) == ("/v1/jecp", "text-stats")
    assert json.loads(rail().request("call_1234", action(), {}, HOLD, NOW).body)["capability"] == "acme/tool"


def test_the_same_call_is_the_same_bytes_and_holds_no_secret() -> None:
    requests = {rail().request("call_1234", action(version="1.2.3"), {"a": [1, None]}, HOLD, NOW) for _ in range(5)}
    assert len(requests) == 1
    [request] = requests
    assert KEY.encode() not in pack(request)
    assert unpack(pack(request)) == request


@pytest.mark.parametrize(("timeout_ms", "seconds"), [(None, 30), (1_000, 30), (90_000, 90), (900_000, 300)])
def test_a_slow_action_gets_its_time_within_the_protocols_bound(timeout_ms: int | None, seconds: float) -> None:
    assert rail().request("call_1234", action(timeout_ms=timeout_ms), {}, HOLD, NOW).timeout_seconds == seconds


@pytest.mark.parametrize("arguments", [{"a": float("nan")}, {"a": object()}, {"a": "x" * 6_000_000}])
def test_arguments_that_cannot_be_sent_are_refused_before_anything_is_reserved(arguments: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        rail().request("call_1234", action(), arguments, HOLD, NOW)


@pytest.mark.anyio
@pytest.mark.parametrize("other", [rail("jdb_ag_ffffffffffffffff"), rail(hub="http://127.0.0.1:2"), rail(None)])
async def test_another_account_or_hub_never_sends_a_stored_request(other: JecpRail) -> None:
    request = unpack(pack(rail().request("call_1234", action(), {}, HOLD, NOW)))
    replayed = await other.execute(request, OpenDoor(), replay=True)
    assert (replayed.verdict, replayed.attempts) == (Verdict.IN_DOUBT, 0)
    first = await other.execute(request, OpenDoor())
    assert first.verdict is Verdict.NOT_CHARGED
    assert first.refusal is not None
    assert (first.refusal.source, first.attempts) == ("bridge", 0)
    assert first.refusal.code in {"ACCOUNT_CHANGED", "CREDENTIALS_MISSING"}
    assert "othing was charged" in first.refusal.message


@pytest.mark.anyio
async def test_a_damaged_stored_request_is_not_sent_and_an_earlier_attempt_stays_open() -> None:
    good = rail().request("call_1234", action(), {}, HOLD, NOW)
    broken = replace(good, body=b"not a request")
    assert (await rail().execute(broken, OpenDoor(), replay=True)).verdict is Verdict.IN_DOUBT
    assert (await rail().execute(broken, OpenDoor())).verdict is Verdict.NOT_CHARGED
