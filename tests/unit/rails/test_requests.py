"""What the rail quotes and writes down: pure, the same every time, and without a secret."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from jecp_mcp.clock import SystemClock, UnixMs
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.domain.quotes import Quote, QuoteKind
from jecp_mcp.errors import WireError
from jecp_mcp.http import Http
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.base import OpenCall, StoredRequest
from jecp_mcp.rails.jecp.client import HubClient
from jecp_mcp.rails.jecp.payload import Payload, pack, unpack
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


def request(wanted: Offer, arguments: dict[str, Any], of: JecpRail | None = None) -> StoredRequest:
    of = of or rail()
    quote = Quote(HOLD, QuoteKind.EXACT, wanted.payee, of._client.account_id)
    return of.prepare("call_1234", wanted, arguments, quote, HOLD, NOW)


def payload(wanted: Offer, arguments: dict[str, Any]) -> Payload:
    return unpack(request(wanted, arguments).payload)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("price", "kind"),
    [
        (Price(MicroUSDC(5_000)), QuoteKind.EXACT),
        (Price(MicroUSDC(5_000), "per_token", metered=True), QuoteKind.FROM),
        (Price(None, problem="in yen"), QuoteKind.UNKNOWN),
    ],
)
async def test_a_price_is_quoted_as_what_is_known_of_it(price: Price, kind: QuoteKind) -> None:
    quote = await rail().quote(action(price=price), {})
    assert isinstance(quote, Quote)
    account = "http://127.0.0.1:1 jdb_ag_0123456789abcdef"
    assert (quote.amount, quote.kind, quote.payee, quote.account) == (price.amount or 0, kind, "acme", account)


@pytest.mark.anyio
async def test_what_a_metered_call_is_charged_by_is_among_the_terms() -> None:
    by_token = Price(MicroUSDC(5_000), "per_token", rates={"per_1k": "0.01"}, metered=True)
    prices = (by_token, replace(by_token, rates={"per_1k": "0.02"}), replace(by_token, model="per_second"))
    quotes = [await rail().quote(action(price=price), {}) for price in prices]
    assert len({quote.terms for quote in quotes if isinstance(quote, Quote)}) == 3


def test_a_request_names_the_version_the_catalog_showed_and_takes_the_right_road() -> None:
    made = payload(action(version="1.2.3"), {"b": 1, "a": "é"})
    assert made.path == "/v1/invoke"
    assert json.loads(made.body) == {
        "jecp": "1.0",
        "id": "call_1234",
        "capability": "acme/tool@1.2.3",
        "action": "run",
        "input": {"b": 1, "a": "é"},
    }
    assert request(action(), {}).hold == HOLD
    builtin = payload(action("text-stats", version="2.0.0"), {})
    assert (builtin.path, json.loads(builtin.body)["capability"]) == ("/v1/jecp", "text-stats")
    assert json.loads(payload(action(), {}).body)["capability"] == "acme/tool"


def test_the_same_call_is_the_same_bytes_and_holds_no_secret() -> None:
    requests = {request(action(version="1.2.3"), {"a": [1, None]}) for _ in range(5)}
    assert len(requests) == 1
    [only] = requests
    assert KEY.encode() not in only.payload


@pytest.mark.parametrize(("timeout_ms", "seconds"), [(None, 30), (1_000, 30), (90_000, 90), (900_000, 300)])
def test_a_slow_action_gets_its_time_within_the_protocols_bound(timeout_ms: int | None, seconds: float) -> None:
    assert payload(action(timeout_ms=timeout_ms), {}).timeout_seconds == seconds


@pytest.mark.parametrize("arguments", [{"a": float("nan")}, {"a": object()}, {"a": "x" * 6_000_000}])
def test_arguments_that_cannot_be_sent_are_refused_before_anything_is_reserved(arguments: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        request(action(), arguments)


@pytest.mark.anyio
@pytest.mark.parametrize("other", [rail("jdb_ag_ffffffffffffffff"), rail(hub="http://127.0.0.1:2"), rail(None)])
async def test_another_account_or_hub_never_sends_a_stored_request(other: JecpRail) -> None:
    call = OpenCall(request(action(), {}))
    replayed = await other.find_out(call, OpenDoor())
    assert (replayed.verdict, replayed.attempts) == (Verdict.IN_DOUBT, 0)
    first = await other.execute(call, OpenDoor())
    assert first.verdict is Verdict.NOT_CHARGED
    assert first.refusal is not None
    assert (first.refusal.source, first.attempts) == ("bridge", 0)
    assert first.refusal.code in {"ACCOUNT_CHANGED", "CREDENTIALS_MISSING"}
    assert "othing was charged" in first.refusal.message


@pytest.mark.anyio
async def test_a_damaged_stored_request_is_not_sent_and_an_earlier_attempt_stays_open() -> None:
    good = request(action(), {})
    for broken in (b"not a request", pack(Payload("/v1/invoke", b"not a request"))):
        call = OpenCall(replace(good, payload=broken))
        again, first = await rail().find_out(call, OpenDoor()), await rail().execute(call, OpenDoor())
        assert (again.verdict, again.attempts) == (Verdict.IN_DOUBT, 0)
        assert again.look_again_at is not None
        assert (first.verdict, first.attempts) == (Verdict.NOT_CHARGED, 0)
