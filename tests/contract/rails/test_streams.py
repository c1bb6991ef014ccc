"""A stream is believed about its own call only, and only as long as it says something."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import anyio
import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.rails.jecp.partial_output import MOST_CHARACTERS
from jecp_mcp.wire.jecp.envelope import MAX_ANSWER_BYTES
from jecp_mcp.wire.jecp.stream import CallStream
from tests.faults.rails.raw_hub import ACTION, KEY, PAID, PRICE, Request, Script, bench, fails, raw_hub, says, streams

pytestmark = pytest.mark.anyio

STREAMED = dataclasses.replace(ACTION, streaming=True)
OURS, OTHER = "call_0123456789", "call_of_another"
BILLED = {"charged": True, "amount_usdc": 0.005, "transaction_id": "tx_other"}
ENDED: tuple[str, dict[str, Any]] = ("completed", {"id": OURS, "result": "ours", "billing": PAID["billing"]})

FOREIGN: dict[str, tuple[str, dict[str, Any]]] = {
    "open": ("open", {"id": OTHER}),
    "open by its other name": ("open", {"request_id": OTHER}),
    "a piece": ("chunk", {"id": OTHER, "delta": "theirs"}),
    "a meter": ("meter", {"id": OTHER, "tokens": 1}),
    "progress": ("progress", {"id": OTHER, "step": "theirs"}),
    "a result": ("result", {"id": OTHER, "output": "theirs"}),
    "completed": ("completed", {"id": OTHER, "result": "theirs", "billing": BILLED}),
    "done": ("done", {"id": OTHER, "status": "completed", "billing": BILLED}),
    "completed, and free": ("completed", {"id": OTHER, "result": "theirs", "billing": {"charged": False}}),
    "an error": ("error", {"id": OTHER, "error": {"code": "INSUFFICIENT_BALANCE", "message": "No."}}),
    "an error that charged": ("error", {"id": OTHER, "code": "PROVIDER_ERROR", "message": "No.", "billing": BILLED}),
    "cancelled": ("cancelled", {"id": OTHER, "reason": "theirs", "billing": BILLED}),
    "cancelled, and free": ("cancelled", {"id": OTHER, "reason": "theirs", "billing": {"charged": False}}),
}


@pytest.mark.parametrize("label", FOREIGN)
async def test_an_event_about_another_call_ends_the_stream_unbelieved(label: str) -> None:
    script = streams(("open", {"id": OURS}), FOREIGN[label], ENDED)
    async with raw_hub(script, fails("INTERNAL_ERROR", "500 Oops")) as hub, bench(hub.url, seconds=60) as parts:
        found = await parts.rail.send(parts.request(STREAMED))
        assert (found.verdict, found.answer, found.reference) == (Verdict.IN_DOUBT, None, None)
    async with raw_hub(script, says(PAID)) as hub, bench(hub.url, seconds=60) as parts:
        found = await parts.rail.send(parts.request(STREAMED))
        assert (found.verdict, found.amount, found.reference) == (Verdict.CHARGED, PRICE, "tx_1")
        assert hub.heard[0].body == hub.heard[1].body


FOREIGN_PLAIN: dict[str, Script] = {
    "an answer": says({**PAID, "id": OTHER}),
    "a free answer": says({**PAID, "id": OTHER, "billing": {"charged": False}}),
    "a refusal": says(
        {"jecp": "1.0", "id": OTHER, "status": "failed", "error": {"code": "INSUFFICIENT_BALANCE", "message": "No."}},
        "402 Payment Required",
    ),
}


@pytest.mark.parametrize("label", FOREIGN_PLAIN)
async def test_plain_json_about_another_call_is_no_answer_to_a_stream(label: str) -> None:
    script = FOREIGN_PLAIN[label]
    async with raw_hub(script, fails("INTERNAL_ERROR", "500 Oops")) as hub, bench(hub.url, seconds=60) as parts:
        found = await parts.rail.send(parts.request(STREAMED))
        assert (found.verdict, found.answer, found.reference) == (Verdict.IN_DOUBT, None, None)
    async with raw_hub(script, says(PAID)) as hub, bench(hub.url, seconds=60) as parts:
        found = await parts.rail.send(parts.request(STREAMED))
        assert (found.verdict, found.amount, found.attempts) == (Verdict.CHARGED, PRICE, 2)


async def test_events_about_this_call_or_about_none_are_believed() -> None:
    script = streams(("open", {"id": OURS}), ("chunk", {"delta": "a"}), ("meter", {"id": OURS}), ENDED)
    async with raw_hub(script) as hub, bench(hub.url, seconds=60) as parts:
        found = await parts.rail.send(parts.request(STREAMED))
    assert (found.verdict, found.amount) == (Verdict.CHARGED, PRICE)


ALIVE: dict[str, str] = {
    "comments": ": keep-alive\n\n",
    "events of no meaning": "event: ping\ndata: {}\n\n",
    "events without a name": "data: {}\n\n",
    "empty lines": "\n",
    "a comment without end": ": and on and on",
}


def keeps_alive(text: str) -> Script:
    async def script(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        while not writer.is_closing():
            writer.write(text.encode())
            await writer.drain()
            await asyncio.sleep(0.02)

    return script


@pytest.mark.parametrize("label", ALIVE)
async def test_a_stream_that_only_keeps_its_connection_alive_is_given_up(
    label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jecp_mcp.rails.jecp.stream._HUBS_WORD_SECONDS", 0.0)
    async with raw_hub(keeps_alive(ALIVE[label]), says(PAID)) as hub, bench(hub.url, seconds=1.5) as parts:
        # All of a stream may take five minutes.
        with anyio.fail_after(60):
            found = await parts.rail.send(parts.request(STREAMED))
        assert (found.verdict, found.attempts) == (Verdict.CHARGED, 2)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b": keep-alive\n\n", False),
        (b"event: ping\ndata: {}\n\n", False),
        (b"event: ping\ndata: {", False),
        (b"retry: 3000\n", False),
        (b"\n", False),
        (b'event: meter\ndata: {"tokens": 1}\n\n', True),
        (b'event: completed\ndata: {"result": "the beginning of something large', True),
        (b"event: completed\ndata: {\ndata: ", True),
    ],
)
def test_what_is_said_of_the_call_is_told_from_what_is_not(data: bytes, said: bool) -> None:
    call = CallStream(max_event_bytes=MAX_ANSWER_BYTES)
    call.feed(b'event: open\ndata: {"id": "c"}\n\n')
    before = call.heard
    call.feed(data)
    assert (call.heard != before) is said


async def test_a_large_event_that_comes_slowly_is_heard_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jecp_mcp.rails.jecp.stream._HUBS_WORD_SECONDS", 0.0)
    text = 'event: completed\ndata: {"result":"' + "x" * 120 + '","billing":{"charged":true,"amount_usdc":0.005}}\n\n'

    async def slowly(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        # Longer in all than a silence may be; each of them is far shorter, for a loaded machine makes it longer.
        for start in range(0, len(text), 50):
            writer.write(text[start : start + 50].encode())
            await writer.drain()
            await asyncio.sleep(0.5)
        writer.close()

    async with raw_hub(slowly) as hub, bench(hub.url, seconds=1.5) as parts:
        found = await parts.rail.send(parts.request(STREAMED))
    assert (found.verdict, found.attempts) == (Verdict.CHARGED, 1)


async def test_what_a_broken_stream_brought_is_shown_where_no_answer_comes_any_more() -> None:
    half = len(KEY) // 2
    pieces = ("one ", KEY[:half], KEY[half:], " two", "x" * 9_000)
    broken = streams(("open", {"id": OURS}), *(("chunk", {"delta": piece}) for piece in pieces))
    async with raw_hub(broken, fails("INTERNAL_ERROR", "500 Oops")) as hub, bench(hub.url, seconds=60) as parts:
        found = await parts.rail.send(parts.request(STREAMED))
    assert (found.verdict, found.answer) == (Verdict.IN_DOUBT, None)
    assert found.refusal is not None
    partial = found.refusal.details["partial_output"]
    assert partial.startswith("one ")
    assert partial.endswith("x" * 100)
    assert len(partial) <= MOST_CHARACTERS
    assert KEY not in partial
    first = streams(("chunk", {"delta": "of the first "}), ("error", {"code": "PROVIDER_ERROR", "message": "Later."}))
    second = streams(("chunk", {"delta": "of the second"}))
    async with raw_hub(first, second, fails("INTERNAL_ERROR", "500 Oops")) as hub, bench(hub.url, seconds=60) as parts:
        found = await parts.rail.send(parts.request(STREAMED))
    assert found.refusal is not None
    assert found.refusal.details["partial_output"] == "of the second"
    parts_of = streams(("chunk", {"delta": {"line": 1}}), ("chunk", {"delta": {"line": "y" * 9_000}}))
    async with raw_hub(parts_of, fails("INTERNAL_ERROR", "500 Oops")) as hub, bench(hub.url, seconds=60) as parts:
        found = await parts.rail.send(parts.request(STREAMED))
    assert found.refusal is not None
    assert found.refusal.details["partial_output"] == [{"line": 1}]
