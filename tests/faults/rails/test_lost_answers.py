"""A paid call when the Hub or the network misbehaves: what the rail tries again, and what it says is proven."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import anyio
import pytest

from jecp_mcp.domain.outcomes import Outcome, Verdict
from jecp_mcp.rails.jecp.retries import MAX_REPLAYS
from tests.faults.rails.raw_hub import (
    ACTION,
    KEY,
    PAID,
    PRICE,
    Request,
    Script,
    bench,
    drips,
    fails,
    floods,
    hangs,
    raw,
    raw_hub,
    resets,
    says,
    stops_halfway,
    stops_in_a_chunk,
    streams,
    vanishes,
)

pytestmark = pytest.mark.anyio

HTML = b"<html><h1>Not the Hub</h1></html>"
DEEP = b"[" * 100_000 + b"]" * 100_000

LOST: dict[str, Script] = {
    "no answer": vanishes,
    "a reset": resets,
    "half an answer": stops_halfway,
    "half a chunk": stops_in_a_chunk,
    "garbage": raw(b"\x00\x01\r\n\r\n"),
    "silence": hangs,
    "a drip": drips,
}
SLOW = {"silence", "a drip"}
NOT_JECP: dict[str, Script] = {
    "an HTML 502": says(HTML, "502 Bad Gateway", kind="text/html"),
    "an HTML 404": says(HTML, "404 Not Found", kind="text/html"),
    "an empty 524": says(b"", "524 A Timeout Occurred"),
    "an empty 200": says(b""),
    "a redirect": says(b"", "307 Temporary Redirect", "Location: https://evil.example/v1/invoke"),
    "half a JSON": says(b'{"jecp":"1.0","sta'),
    "a list": says(b"[1]"),
    "another API's error": says({"detail": "Not Found"}, "404 Not Found"),
    "not a number": says(b'{"jecp":"1.0","status":"success","result":NaN}'),
    "a deep nest": says(DEEP),
    "a success of nothing": says({"jecp": "1.0", "status": "success"}),
}


async def outcome(
    *scripts: Script, seconds: float = 5.0, replay: bool = False
) -> tuple[Outcome, list[Request], list[float]]:
    async with raw_hub(*scripts) as hub, bench(hub.url, seconds=seconds) as parts:
        with anyio.fail_after(60):
            found = await parts.rail.send(parts.request(), replay=replay)
        assert KEY not in repr(found)
        return found, hub.heard, parts.waits.seconds


@pytest.mark.parametrize("label", [label for label in LOST if label not in SLOW])
async def test_a_lost_answer_is_fetched_by_the_identical_request(label: str) -> None:
    found, heard, _ = await outcome(LOST[label], says(PAID))
    assert (found.verdict, found.amount, found.reference) == (Verdict.CHARGED, PRICE, "tx_1")
    assert found.answer is not None
    assert found.answer.output == {"said": "yes"}
    assert len({request.body for request in heard}) == 1
    assert found.attempts == len(heard) == 2


async def test_an_answer_that_took_too_long_is_fetched_by_the_identical_request() -> None:
    found, heard, _ = await outcome(hangs, says(PAID), seconds=2.6)
    assert (found.verdict, found.attempts, len({request.body for request in heard})) == (Verdict.CHARGED, 2, 1)


@pytest.mark.parametrize("label", LOST)
async def test_an_answer_that_never_comes_leaves_the_call_in_doubt(label: str) -> None:
    found, heard, _ = await outcome(LOST[label], seconds=1.8 if label in SLOW else 60.0)
    assert len(heard) == (1 if label in SLOW else 1 + MAX_REPLAYS)
    assert (found.verdict, found.amount, found.answer) == (Verdict.IN_DOUBT, 0, None)
    assert found.refusal is not None
    assert (found.refusal.code, found.refusal.source) == ("HUB_LOST_ANSWER", "bridge")
    assert "0.005 USDC stay held" in found.refusal.message


@pytest.mark.parametrize("label", NOT_JECP)
async def test_what_is_no_jecp_answer_proves_nothing_and_is_asked_again(label: str) -> None:
    found, heard, waits = await outcome(NOT_JECP[label])
    assert found.verdict is Verdict.IN_DOUBT
    assert found.refusal is not None
    assert (found.refusal.code, found.refusal.source) == ("HUB_MISBEHAVED", "bridge")
    assert "0.005 USDC stay held" in found.refusal.message
    assert (len(heard), len(waits), found.attempts) == (4, 3, 4)
    assert waits == sorted(waits)
    assert len({request.body for request in heard}) == 1
    found, heard, _ = await outcome(NOT_JECP[label], says(PAID))
    assert (found.verdict, len(heard)) == (Verdict.CHARGED, 2)


async def test_an_answer_too_long_to_read_is_not_fetched_again() -> None:
    found, heard, _ = await outcome(floods, seconds=60)
    assert (found.verdict, len(heard)) == (Verdict.IN_DOUBT, 1)
    assert found.refusal is not None
    assert "longer than" in found.refusal.message


async def test_a_hub_that_is_away_is_tried_three_times_and_costs_nothing() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        async with bench(url) as parts:
            found = await parts.rail.send(parts.request())
            replayed = await parts.rail.send(parts.request(), replay=True)
    assert (found.verdict, found.attempts, len(parts.waits.seconds)) == (Verdict.NOT_CHARGED, 0, 4)
    assert found.refusal is not None
    assert (found.refusal.code, found.refusal.source) == ("HUB_UNREACHABLE", "bridge")
    assert "nothing was charged" in found.refusal.message
    assert replayed.verdict is Verdict.IN_DOUBT


async def test_a_refusal_after_a_lost_answer_proves_nothing() -> None:
    found, heard, _ = await outcome(vanishes, fails("INSUFFICIENT_BALANCE", "402 Payment Required"))
    assert (found.verdict, len(heard)) == (Verdict.IN_DOUBT, 2)
    assert found.refusal is not None
    assert found.refusal.code == "HUB_LOST_ANSWER"
    assert found.refusal.details == {"last_answer": "INSUFFICIENT_BALANCE"}


async def test_a_refused_replay_of_an_earlier_process_proves_nothing() -> None:
    for code in ("INSUFFICIENT_BALANCE", "DUPLICATE_REQUEST", "CAPABILITY_NOT_FOUND", "RATE_LIMITED"):
        found, _, _ = await outcome(fails(code), replay=True)
        assert found.verdict is Verdict.IN_DOUBT


@pytest.mark.requirement("ERROR-5-2")
async def test_a_short_rate_limit_is_waited_out_and_a_long_one_passed_on() -> None:
    limited = fails("RATE_LIMITED", "429 Too Many Requests", "Retry-After: 2")
    found, heard, waits = await outcome(limited, says(PAID))
    assert (found.verdict, len(heard), waits) == (Verdict.CHARGED, 2, [2.25])
    found, heard, _ = await outcome(fails("RATE_LIMITED", "429 Too Many Requests", "Retry-After: 6"), says(PAID))
    assert (found.verdict, len(heard)) == (Verdict.NOT_CHARGED, 1)
    assert found.refusal is not None
    assert (found.refusal.code, found.refusal.retry_after_seconds) == ("RATE_LIMITED", 6)
    found, heard, waits = await outcome(limited, seconds=1.5)
    assert (found.verdict, len(heard), waits) == (Verdict.NOT_CHARGED, 1, []), "there was no time to wait"


@pytest.mark.requirement("ERROR-5-1")
async def test_a_failed_provider_is_tried_once_more_and_a_plain_refusal_never() -> None:
    found, heard, _ = await outcome(fails("PROVIDER_ERROR", "502 Bad Gateway"))
    assert (found.verdict, len(heard)) == (Verdict.NOT_CHARGED, 2)
    found, heard, _ = await outcome(fails("INSUFFICIENT_TRUST", "403 Forbidden"))
    assert (found.verdict, len(heard)) == (Verdict.NOT_CHARGED, 1)


async def test_attempts_that_overlap_in_a_pool_keep_their_own_evidence() -> None:
    async def every_other(request: Request, writer: asyncio.StreamWriter) -> None:
        number = int(request.json["input"]["n"])
        if number % 2:
            await says({**PAID, "result": {"n": number}})(request, writer)
        else:
            await fails("INSUFFICIENT_TRUST", "403 Forbidden")(request, writer)

    async with raw_hub(every_other) as hub, bench(hub.url, seconds=60) as parts:

        async def one(number: int) -> None:
            found = await parts.rail.send(parts.request(n=number))
            assert found.verdict is (Verdict.CHARGED if number % 2 else Verdict.NOT_CHARGED)
            assert found.answer is None or found.answer.output == {"n": number}

        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(one, number)


STREAMED = type(ACTION)("acme/tool", "run", "acme", ACTION.price, version="1.2.3", streaming=True)
OPEN: tuple[str, dict[str, Any]] = ("open", {"id": "call_0123456789"})
CHUNK: tuple[str, dict[str, Any]] = ("chunk", {"delta": "half"})

BROKEN_STREAMS: dict[str, Script] = {
    "a dropped stream": streams(OPEN, CHUNK),
    "a stream that says nothing": streams(),
    "an event that is no JSON": streams(OPEN, "event: chunk\ndata: {\n\n"),
    "a silent stream": streams(OPEN, CHUNK, end=False),
    "a cancelled stream": streams(OPEN, ("cancelled", {"reason": "provider went away"})),
    "a stream timeout": streams(OPEN, ("error", {"code": "STREAM_TIMEOUT", "message": "No progress."})),
    "no answer": vanishes,
}


@pytest.mark.parametrize("label", BROKEN_STREAMS)
async def test_a_broken_stream_is_finished_by_a_plain_request_under_the_same_id(label: str) -> None:
    async with raw_hub(BROKEN_STREAMS[label], says(PAID)) as hub, bench(hub.url, seconds=2.0) as parts:
        with anyio.fail_after(60):
            found = await parts.rail.send(parts.request(STREAMED))
        assert (found.verdict, found.amount, found.attempts) == (Verdict.CHARGED, PRICE, 2)
        first, second = hub.heard
        assert first.body == second.body
        assert "text/event-stream" in first.headers["accept"]
        assert second.headers["accept"] == "application/json"


@pytest.mark.parametrize("label", BROKEN_STREAMS)
@pytest.mark.requirement("WIRE-4.3-4")
async def test_a_broken_stream_alone_proves_nothing(label: str) -> None:
    lost = fails("INTERNAL_ERROR", "500 Oops")
    async with raw_hub(BROKEN_STREAMS[label], lost) as hub, bench(hub.url, seconds=1.5) as parts:
        with anyio.fail_after(60):
            found = await parts.rail.send(parts.request(STREAMED))
    assert found.verdict is Verdict.IN_DOUBT


@pytest.mark.slow
async def test_a_pre_flight_answer_that_drips_does_not_get_a_streams_patience() -> None:
    async with raw_hub(drips) as hub, bench(hub.url, seconds=1.5) as parts:
        with anyio.fail_after(60):
            found = await parts.rail.send(parts.request(STREAMED))
    assert found.verdict is Verdict.IN_DOUBT
