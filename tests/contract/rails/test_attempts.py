"""What the attempts of one call share: bytes, time, connections; and what the Hub's log would show of them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from typing import Any

import anyio
import pytest

from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.domain.outcomes import Outcome, Verdict
from jecp_mcp.http import ExchangeFailed, HttpAnswer
from jecp_mcp.rails.jecp.client import HubClient
from jecp_mcp.rails.jecp.retries import MAX_REPLAYS
from tests.faults.rails.raw_hub import (
    ACTION,
    IDENTITY,
    KEY,
    PAID,
    PRICE,
    Request,
    Script,
    WillingRail,
    bench,
    fails,
    raw_hub,
    says,
    streams,
    vanishes,
)

pytestmark = pytest.mark.anyio

STREAMED = dataclasses.replace(ACTION, streaming=True)
COMPLETED = ("completed", {"result": "done", "billing": PAID["billing"]})


@pytest.mark.requirement("WIRE-3.1-1")
async def test_the_very_bytes_of_a_paid_request() -> None:
    heard: list[bytes] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        heard.append(head + await reader.readexactly(length))
        await says(PAID)(Request("POST", "", {}, b""), writer)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with bench(f"http://127.0.0.1:{port}") as parts:
        request = parts.request(text="é")
        await parts.rail.send(request)
    server.close()
    await server.wait_closed()
    body = (
        '{"jecp":"1.0","id":"call_0123456789","capability":"acme/tool@1.2.3","action":"run","input":{"text":"é"},'
        f'"mandate":{{"agent_id":"{IDENTITY.agent_id}","api_key":"{KEY}","budget_usdc":0.005,'
        f'"expires_at":"{iso(request.provable_until)}"}}}}'
    ).encode()
    head, _, sent = heard[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert first == "POST /v1/invoke HTTP/1.1"
    assert {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines} == {
        "host": f"127.0.0.1:{port}",
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": "jecp-mcp",
        "content-type": "application/json",
        "content-length": str(len(body)),
        "x-agent-id": IDENTITY.agent_id,
        "x-api-key": KEY,
    }
    assert sent == body


async def test_calls_and_refusals_share_one_connection() -> None:
    async with raw_hub(says(PAID), fails("INSUFFICIENT_TRUST", "403 Forbidden"), says(PAID)) as hub:
        async with bench(hub.url) as parts:
            for _ in range(5):
                await parts.rail.send(parts.request())
        assert (len(hub.heard), hub.connections) == (5, 1)


def chunked(*events: tuple[str, dict[str, Any]], end: bytes = b"0\r\n\r\n") -> Script:
    """An event stream that says where it ends, on a connection that stays."""

    async def script(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for name, data in events:
            text = f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
            writer.write(b"%x\r\n%b\r\n" % (len(text), text))
            await writer.drain()
        writer.write(end)
        await writer.drain()

    return script


async def test_streams_that_end_well_share_one_connection() -> None:
    async with raw_hub(chunked(("chunk", {"delta": "a"}), COMPLETED)) as hub, bench(hub.url) as parts:
        for _ in range(3):
            found = await parts.rail.send(parts.request(STREAMED))
            assert found.verdict is Verdict.CHARGED
        assert (len(hub.heard), hub.connections) == (3, 1)


@pytest.mark.parametrize(
    "script",
    [streams(COMPLETED, end=False), chunked(COMPLETED, end=b"no chunk\r\n"), chunked(COMPLETED, end=b"")],
    ids=["stays open", "broken off", "never ends"],
)
async def test_what_follows_the_last_event_changes_nothing(script: Script) -> None:
    async with raw_hub(script) as hub, bench(hub.url, seconds=600) as parts:
        with anyio.fail_after(60):
            found = await parts.rail.send(parts.request(STREAMED))
        assert (found.verdict, found.amount, len(hub.heard)) == (Verdict.CHARGED, PRICE, 1)


async def test_an_artifact_in_one_event_arrives_whole() -> None:
    large = "A" * 3_000_000
    script = chunked(("chunk", {"delta": "a"}), ("completed", {"result": large, "billing": PAID["billing"]}))
    async with raw_hub(script) as hub, bench(hub.url) as parts:
        found = await parts.rail.send(parts.request(STREAMED))
    assert found.answer is not None
    assert found.answer.output == large


async def test_the_answer_of_a_stream_still_running_is_waited_for() -> None:
    running = fails("STREAM_IN_PROGRESS", "409 Conflict")
    dropped = streams(("chunk", {"delta": "half"}))
    async with raw_hub(dropped, running, running, says(PAID)) as hub, bench(hub.url, seconds=30) as parts:
        found = await parts.rail.send(parts.request(STREAMED))
        assert [heard.headers["accept"] for heard in hub.heard[1:]] == ["application/json"] * 3
        assert len({heard.body for heard in hub.heard}) == 1
        assert (found.verdict, found.attempts) == (Verdict.CHARGED, 4)
        assert sum(parts.waits.seconds) > 10


async def test_a_stream_that_never_stops_running_leaves_the_call_in_doubt() -> None:
    running = fails("STREAM_IN_PROGRESS", "409 Conflict")
    async with raw_hub(streams(), running) as hub, bench(hub.url, seconds=30) as parts:
        found = await parts.rail.send(parts.request(STREAMED))
        assert (found.verdict, len(hub.heard)) == (Verdict.IN_DOUBT, 1 + MAX_REPLAYS)


async def test_one_execution_of_a_replay_is_three_attempts_at_most() -> None:
    async with raw_hub(vanishes) as hub, bench(hub.url) as parts:
        found = await parts.rail.send(parts.request(), replay=True)
        assert (found.verdict, len(hub.heard)) == (Verdict.IN_DOUBT, MAX_REPLAYS)


@pytest.mark.parametrize("value", ["0", "-1", "99999999999999999999", "soon", "1e9", "\xb2", "5, 5", "5.5"])
@pytest.mark.requirement("ERROR-5-2")
async def test_a_foolish_retry_after_neither_hammers_nor_hangs(value: str) -> None:
    limited = fails("RATE_LIMITED", "429 Too Many Requests", f"Retry-After: {value}")
    async with raw_hub(limited) as hub, bench(hub.url) as parts:
        with anyio.fail_after(60):
            found = await parts.rail.send(parts.request())
        assert found.verdict is Verdict.NOT_CHARGED
        assert len(hub.heard) <= 1 + MAX_REPLAYS
        assert all(0.1 <= wait <= 6 for wait in parts.waits.seconds)


class Slow:
    """An HTTP client to which each attempt takes as long as it may, or `seconds`, and gets no answer."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self.time, self.allowed = seconds, 0.0, list[float]()

    def now(self) -> UnixMs:
        return UnixMs(1_800_000_000_000 + int(self.time * 1000))

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds

    async def exchange(self, *_: Any, timeout: float, **__: Any) -> HttpAnswer:  # noqa: ASYNC109 - Http's own shape
        self.allowed.append(timeout)
        self.time += min(timeout, self._seconds)
        raise ExchangeFailed(sent=True, phase="answer", reason="no answer came in time")

    def stream(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


async def executed(slow: Slow, timeout_seconds: float) -> Outcome:
    client = HubClient("http://127.0.0.1:1", slow, lambda: IDENTITY, slow)
    rail = WillingRail(client, timeout_seconds=timeout_seconds, clock=slow, random=lambda: 0.5, sleep=slow.sleep)
    return await rail.send(rail.request(ACTION, {}, slow.now()))


@pytest.mark.parametrize(
    ("timeout_seconds", "answer_seconds", "most"),
    [(5.0, 99.0, 7.5), (30.0, 99.0, 45.0), (30.0, 10.0, 45.0), (45.0, 99.0, 50.0), (300.0, 1.0, 60.0)],
)
async def test_replays_end_before_a_host_gives_up(timeout_seconds: float, answer_seconds: float, most: float) -> None:
    slow = Slow(answer_seconds)
    found = await executed(slow, timeout_seconds)
    assert found.verdict is Verdict.IN_DOUBT
    assert len(slow.allowed) > 1
    assert slow.time <= most
    assert slow.allowed[0] == timeout_seconds
    assert all(1.0 <= seconds <= timeout_seconds for seconds in slow.allowed)


async def test_a_long_workflow_has_all_its_time_and_is_not_sent_again_after_it() -> None:
    slow = Slow(999.0)
    await executed(slow, 300.0)
    assert (slow.allowed, slow.time) == ([300.0], 300.0)


async def test_the_librarys_log_stays_shut_when_it_is_opened_after_the_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with raw_hub(says(PAID, "200 OK", f"X-Echo: {KEY}")) as hub, bench(hub.url) as parts:
        await parts.rail.send(parts.request())
        for name in ("", "httpx2", "httpcore2", "httpcore2.http11", "httpcore2.connection"):
            caplog.set_level(logging.DEBUG, logger=name or None)
        await parts.rail.send(parts.request())
        assert len(hub.heard) == 2
    assert not [record for record in caplog.records if record.name.startswith("http")]
    assert KEY not in caplog.text


async def test_an_answer_that_was_not_charged_again_after_a_lost_one_keeps_the_money_held_and_is_kept() -> None:
    again = {**PAID, "billing": {**PAID["billing"], "charged": False}}
    async with raw_hub(vanishes, says(again)) as hub, bench(hub.url, seconds=20) as parts:
        found = await parts.rail.send(parts.request())
    assert (found.verdict, found.amount, found.attempts, found.reference) == (Verdict.IN_DOUBT, 0, 2, "tx_1")
    assert found.answer is not None
    assert found.answer.output == PAID["result"]
    assert found.look_again_at is not None
