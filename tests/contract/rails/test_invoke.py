"""A paid call on the wire, in both dialects: what is sent, and what is made of the answer."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from typing import Any

import anyio
import pytest

from jecp_mcp import jsontext
from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.rails.jecp.payload import unpack
from jecp_mcp.wire.jecp.provenance import verify
from tests.faults.rails.raw_hub import (
    ACTION,
    IDENTITY,
    KEY,
    PAID,
    PRICE,
    SPEC_PAID,
    bench,
    fails,
    raw,
    raw_hub,
    says,
    streams,
)

pytestmark = pytest.mark.anyio

BUILTIN = Offer("text-stats", "count", "", ACTION.price)
STREAMED = dataclasses.replace(ACTION, streaming=True)


@pytest.mark.parametrize("body", [PAID, SPEC_PAID], ids=["reference", "spec"])
async def test_a_bought_answer_reads_the_same_in_either_dialect(body: dict[str, Any]) -> None:
    async with raw_hub(says(body)) as hub, bench(hub.url) as parts:
        found = await parts.rail.send(parts.request())
    assert (found.verdict, found.amount, found.reference, found.attempts) == (Verdict.CHARGED, PRICE, "tx_1", 1)
    assert found.refusal is None
    assert found.answer is not None
    assert found.answer.output == {"said": "yes"}
    assert found.answer.billing.balance_after == 9_995_000


async def test_a_call_tells_whether_the_hub_answers() -> None:
    async with raw_hub(says(PAID)) as hub, bench(hub.url) as parts:
        await parts.rail.send(parts.request())
        assert not parts.client.reachability.was_asked
        url = hub.url
    async with bench(url) as parts:
        parts.client.reachability.remember()
        found = await parts.rail.send(parts.request())
        assert found.refusal is not None
        fault = parts.client.reachability.fault
    assert fault is not None
    assert (found.refusal.code, fault.code) == ("HUB_UNREACHABLE", "HUB_UNREACHABLE")
    async with raw_hub(says(PAID)) as hub, bench(hub.url) as parts:
        parts.client.reachability.remember()
        parts.client.reachability.note_failure(fault)
        await parts.rail.send(parts.request())
        assert parts.client.reachability.fault is None


@pytest.mark.requirement("AUTH-4.3-1")
async def test_a_request_carries_the_mandate_for_exactly_what_was_reserved_and_the_two_headers() -> None:
    async with raw_hub(says(PAID)) as hub, bench(hub.url) as parts:
        request = parts.request(text="hi")
        await parts.rail.send(request)
        [heard] = hub.heard
    assert (heard.method, heard.path) == ("POST", "/v1/invoke")
    assert heard.headers["x-agent-id"] == IDENTITY.agent_id
    assert heard.headers["x-api-key"] == KEY
    assert heard.headers["content-type"] == "application/json"
    assert heard.headers["accept"] == "application/json"
    sent = jsontext.loads(heard.body, max_bytes=10_000)
    mandate = sent.pop("mandate")
    assert mandate == {
        "agent_id": IDENTITY.agent_id,
        "api_key": KEY,
        "budget_usdc": Decimal("0.005"),
        "expires_at": iso(request.provable_until),
    }
    assert sent == json.loads(unpack(request.payload).body)
    assert sent["capability"] == "acme/tool@1.2.3"


async def test_built_in_capabilities_take_their_own_road_and_its_deprecation_is_a_notice() -> None:
    headers = ("Deprecation: true", "Sunset: Fri, 31 Dec 2027 23:59:59 GMT", '<x>; rel="deprecation"')
    script = says(SPEC_PAID, "200 OK", *headers[:2], f"Link: {headers[2]}")
    async with raw_hub(script) as hub, bench(hub.url) as parts:
        found = await parts.rail.send(parts.request(BUILTIN))
        assert hub.heard[0].path == "/v1/jecp"
        assert hub.heard[0].json["capability"] == "text-stats"
    assert found.answer is not None
    assert [notice.kind for notice in found.answer.notices] == ["endpoint_deprecation"]


async def test_a_free_call_is_delivered_and_not_charged() -> None:
    free = [
        {**PAID, "billing": {"charged": False, "amount_usdc": 0.005}},
        {**SPEC_PAID, "billing": {"cost_usdc": 0, "method": "free_call"}},
    ]
    async with raw_hub(*map(says, free)) as hub, bench(hub.url) as parts:
        for _ in free:
            found = await parts.rail.send(parts.request())
            assert (found.verdict, found.amount) == (Verdict.NOT_CHARGED, 0)
            assert found.answer is not None
            assert found.answer.output == {"said": "yes"}


async def test_a_success_without_billing_counts_as_the_whole_reservation() -> None:
    body = {key: value for key, value in PAID.items() if key != "billing"}
    async with raw_hub(says(body)) as hub, bench(hub.url) as parts:
        found = await parts.rail.send(parts.request())
    assert (found.verdict, found.amount) == (Verdict.CHARGED, PRICE)


@pytest.mark.requirement("ERROR-5-3")
async def test_a_refusal_keeps_the_hubs_words_and_its_next_action() -> None:
    action = {"type": "topup", "allowed_amounts_usd": [5, 20, 100]}
    body = {
        "jecp": "1.0",
        "id": "call_0123456789",
        "status": "failed",
        "error": {"code": "WALLET_INSUFFICIENT_BALANCE", "message": "Your wallet is empty.", "details": {"need": 1}},
        "next_action": action,
    }
    for status in ("402 Payment Required", "200 OK"):
        async with raw_hub(says(body, status)) as hub, bench(hub.url) as parts:
            found = await parts.rail.send(parts.request())
            assert len(hub.heard) == 1
        assert (found.verdict, found.answer) == (Verdict.NOT_CHARGED, None)
        assert found.refusal is not None
        assert found.refusal.code == "INSUFFICIENT_BALANCE"
        assert (found.refusal.message, found.refusal.source) == ("Your wallet is empty.", "payee")
        assert found.refusal.next_action == action


async def test_provenance_goes_along_where_the_hub_demands_it_and_a_replay_repeats_its_nonce() -> None:
    workflow = Offer("workflow", "run", "", ACTION.price, tier="platinum")
    async with raw_hub(raw(b"garbage\r\n\r\n"), says(SPEC_PAID)) as hub, bench(hub.url) as parts:
        request = parts.request(workflow)
        await parts.rail.send(request)
        await parts.rail.send(request, replay=True)
        first, second, third = (heard.json["mandate"]["provenance_hash"] for heard in hub.heard)
    assert first == second
    assert first.split(":")[2] == third.split(":")[2]
    at = UnixMs(int(first.split(":")[1]) * 1000)
    assert verify(first, IDENTITY.agent_id, KEY, now=at, seen=lambda _: False) is None
    async with raw_hub(says(PAID)) as hub, bench(hub.url) as parts:
        await parts.rail.send(parts.request())
        assert "provenance_hash" not in hub.heard[0].json["mandate"]


async def test_a_nonce_spent_on_a_plain_refusal_is_not_used_again() -> None:
    workflow = Offer("workflow", "run", "", ACTION.price, tier="platinum")
    limited = fails("RATE_LIMITED", "429 Too Many Requests", "Retry-After: 1")
    async with raw_hub(limited, says(SPEC_PAID)) as hub, bench(hub.url) as parts:
        found = await parts.rail.send(parts.request(workflow))
        first, second = (heard.json["mandate"]["provenance_hash"].split(":")[2] for heard in hub.heard)
    assert found.verdict is Verdict.CHARGED
    assert first != second


async def test_without_an_account_nothing_is_sent_and_nothing_charged() -> None:
    async with raw_hub(says(PAID)) as hub, bench(hub.url, identity=None) as parts:
        found = await parts.rail.send(parts.request())
        assert hub.connections == 0
        missing = parts.rail.ready()
    assert missing is not None
    assert found.verdict is Verdict.NOT_CHARGED
    assert found.refusal == missing
    assert (missing.code, missing.source) == ("CREDENTIALS_MISSING", "bridge")


class Listener:
    """What a host would show."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, str | None]] = []

    async def report(self, done: float, total: float | None, message: str | None) -> None:
        assert total is None
        self.heard.append((done, message))


BILLING = {"charged": True, "amount_usdc": 0.005, "transaction_id": "tx_1", "balance_after": 1}
STREAMS: dict[str, tuple[list[Any], Any, list[str]]] = {
    "deltas alone": (
        [
            ("open", {"id": "call_0123456789"}),
            ("chunk", {"delta": "Hel", "index": 0}),
            ": keep-alive\n\n",
            ("meter", {"tokens": 7}),
            ("chunk", {"delta": "lo", "index": 1}),
            ("completed", {"billing": BILLING}),
        ],
        "Hello",
        ["Hel", "7 tokens", "lo"],
    ),
    "a result of its own": (
        [("open", {}), ("chunk", {"delta": "x"}), ("completed", {"result": {"said": "yes"}, "billing": BILLING})],
        {"said": "yes"},
        ["x"],
    ),
    "the specification's events": (
        [
            ("status", {"state": "working", "step": "fetching", "progress": 0.5}),
            ("result", {"output": {"said": "yes"}}),
            (
                "done",
                {"status": "completed", "billing": {"cost_usdc": 0.005, "method": "wallet", "transaction_id": "tx_1"}},
            ),
        ],
        {"said": "yes"},
        ["fetching"],
    ),
}


@pytest.mark.parametrize("label", STREAMS)
@pytest.mark.requirement("WIRE-3.5-1")
async def test_a_stream_reports_progress_and_ends_in_an_answer(label: str) -> None:
    events, output, messages = STREAMS[label]
    listener = Listener()
    async with raw_hub(streams(*events)) as hub, bench(hub.url) as parts:
        with anyio.fail_after(60):
            found = await parts.rail.send(parts.request(STREAMED), progress=listener)
        assert "text/event-stream" in hub.heard[0].headers["accept"]
    assert (found.verdict, found.amount, found.reference, found.attempts) == (Verdict.CHARGED, PRICE, "tx_1", 1)
    assert found.answer is not None
    assert found.answer.output == output
    assert [message for _, message in listener.heard] == messages
    done = [number for number, _ in listener.heard]
    assert done == sorted(set(done)), "progress only grows"


@pytest.mark.requirement("WIRE-4.3-6")
async def test_an_event_arrives_while_the_stream_is_still_open() -> None:
    heard = anyio.Event()

    class Waiter:
        async def report(self, _done: float, _total: float | None, _message: str | None) -> None:
            heard.set()

    open_stream = streams(("chunk", {"delta": "first"}), end=False)
    async with raw_hub(open_stream) as hub, bench(hub.url) as parts, anyio.create_task_group() as tasks:

        async def run() -> None:
            await parts.rail.send(parts.request(STREAMED), progress=Waiter())

        tasks.start_soon(run)
        with anyio.fail_after(60):
            await heard.wait()
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    "shape",
    [{"error": {"code": "INSUFFICIENT_BALANCE", "message": "No."}}, {"code": "INSUFFICIENT_BALANCE", "message": "No."}],
)
async def test_a_streams_own_refusal_counts_like_a_plain_one(shape: dict[str, Any]) -> None:
    async with raw_hub(streams(("open", {}), ("error", shape))) as hub, bench(hub.url) as parts:
        found = await parts.rail.send(parts.request(STREAMED))
    assert found.refusal is not None
    assert (found.verdict, found.refusal.code) == (Verdict.NOT_CHARGED, "INSUFFICIENT_BALANCE")


async def test_a_pre_flight_refusal_is_plain_json() -> None:
    async with (
        raw_hub(fails("RATE_LIMITED", "429 Too Many Requests", "Retry-After: 60")) as hub,
        bench(hub.url) as parts,
    ):
        found = await parts.rail.send(parts.request(STREAMED))
    assert found.refusal is not None
    assert (found.verdict, found.refusal.retry_after_seconds) == (Verdict.NOT_CHARGED, 60)


async def test_what_cannot_be_streamed_is_bought_without_a_stream_under_the_same_id() -> None:
    async with raw_hub(fails("NOT_STREAMABLE", "406 Not Acceptable"), says(PAID)) as hub, bench(hub.url) as parts:
        found = await parts.rail.send(parts.request(STREAMED))
        assert parts.waits.seconds == []
        first, second = hub.heard
    assert found.verdict is Verdict.CHARGED
    assert first.body == second.body
    assert second.headers["accept"] == "application/json"


@pytest.mark.requirement("WIRE-3.5-1")
async def test_a_rate_limited_stream_is_streamed_when_its_turn_comes() -> None:
    limited = fails("RATE_LIMITED", "429 Too Many Requests", "Retry-After: 1")
    async with raw_hub(limited, streams(*STREAMS["deltas alone"][0])) as hub, bench(hub.url) as parts:
        found = await parts.rail.send(parts.request(STREAMED))
        assert all("text/event-stream" in heard.headers["accept"] for heard in hub.heard)
    assert (found.verdict, found.attempts) == (Verdict.CHARGED, 2)


async def test_a_replay_of_a_streamed_call_asks_for_the_kept_answer() -> None:
    async with raw_hub(says(PAID)) as hub, bench(hub.url) as parts:
        found = await parts.rail.send(parts.request(STREAMED), replay=True)
        assert hub.heard[0].headers["accept"] == "application/json"
    assert found.verdict is Verdict.CHARGED


async def test_a_large_answer_does_not_stop_the_others() -> None:
    large = json.dumps({**PAID, "result": ["x" * 100] * 20_000}).encode()
    async with raw_hub(says(large)) as hub, bench(hub.url) as parts:
        found = await parts.rail.send(parts.request())
    assert found.answer is not None
    assert len(found.answer.output) == 20_000
