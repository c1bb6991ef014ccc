"""A provider that streams: what its buyer hears meanwhile, what it costs, and what a broken stream leaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from jecp_mcp.provider import Call, CallFailed, Completed, Provider
from jecp_mcp.wire.jecp.stream import CallStream, Delta, Failed, Metered, Opened, Progressed
from jecp_mcp.wire.jecp.stream import Completed as Ended
from tests.contract.providers.conftest import COUNTS, Endpoint, House, Seller, manifest
from tests.contract.sandbox.conftest import Buyer

pytestmark = pytest.mark.slow

STREAM = {"accept": "text/event-stream"}
PRICED = {"base": "$0.001", "currency": "USD", "model": "per_chunk", "per_chunk_usdc": 0.002}
TELLS = {**COUNTS, "id": "tell", "streaming": True, "output_schema": {"type": "string"}}
METERED = {**TELLS, "pricing": PRICED}
PIECE = b'event: chunk\ndata: {"delta":"one ","index":0}\n\n'
NEWER = (
    b'event: open\ndata: {"request_id":"%s"}\n\n'
    + PIECE
    + b'event: meter\ndata: {"chunks":2,"tokens":7,"secret":"x"}\n\n'
    + b'event: completed\ndata: {"result":"one two"%s}\n\n'
)
OLDER = (
    b'event: status\ndata: {"state":"working","step":"reading","progress":0.5}\n\n'
    b'event: result\ndata: {"output":"one two"}\n\n'
    b'event: done\ndata: {"status":"completed","execution":{"meter_summary":{"chunks":3}}}\n\n'
)


def selling(seller: Seller, action: dict[str, Any]) -> Provider:
    return seller.sell(manifest(seller.namespace, seller.endpoint.url, actions=[COUNTS, action]))


def asked(buyer: Buyer, seller: Seller, text: str = "one two") -> dict[str, Any]:
    return buyer.request(f"{seller.namespace}/words", "tell", input={"text": text})


def heard(answer: httpx2.Response, call_id: str) -> list[Any]:
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
    call = CallStream(call_id)
    events = call.feed(answer.content)
    call.end()
    return [*events]


def told(buyer: Buyer, seller: Seller, text: str = "one two") -> list[Any]:
    request = asked(buyer, seller, text)
    return heard(buyer.send(request, **STREAM), request["id"])


@pytest.fixture
def seller(place: House, point: Endpoint) -> Seller:
    return place.seller(point)


async def pieces(call: Call) -> AsyncIterator[Any]:
    for word in call.input["text"].split():
        if word == "fail":
            raise CallFailed("NO_WORD", "that is no word")
        if word == "crash":
            raise LookupError("an inside matter")
        yield f"{word} "
    if "whole" in call.input["text"]:
        yield Completed("the whole of it", {"chunks": 5})
        yield "never heard"


def test_a_providers_pieces_reach_the_buyer_and_are_the_output(place: House, seller: Seller) -> None:
    selling(seller, TELLS).action("tell")(pieces)
    buyer = place.buyer()
    events = told(buyer, seller)
    assert isinstance(events[0], Opened)
    assert [one.delta for one in events if isinstance(one, Delta)] == ["one ", "two "]
    assert isinstance(events[-1], Ended)
    assert events[-1].answer.output == "one two "
    assert buyer.books()["charged_micro"] == 10_000
    # A stranger to streams, and whoever lost one, gets the same in one piece.
    plain = buyer.send(asked(buyer, seller)).raise_for_status().json()
    assert (plain["result"]["output"] if place.dialect == "spec" else plain["result"]) == "one two "
    assert seller.statement()["balance_micro"] == 17_000


def test_a_metered_stream_costs_what_it_metered(place: House, seller: Seller) -> None:
    selling(seller, METERED).action("tell")(pieces)
    buyer = place.buyer()
    events = told(buyer, seller, "the whole")
    assert events[-1].answer.output == "the whole of it"
    raw = events[-1].answer.raw
    assert (raw.get("meter_summary") or raw["execution"]["meter_summary"]) == {"chunks": 5}
    assert buyer.books()["charged_micro"] == 10_000
    # Its end says nothing, so that what it metered on the way counts.
    seller.endpoint.instead = (200, "text/event-stream", NEWER % (b"", b""))
    request = asked(buyer, seller)
    seller.endpoint.instead = (200, "text/event-stream", NEWER % (request["id"].encode(), b""))
    events = heard(buyer.send(request, **STREAM), request["id"])
    [meter] = [one for one in events if isinstance(one, Metered) and one.raw.get("chunks")]
    assert (meter.tokens, meter.raw["chunks"], "secret" in meter.raw) == (7, 2, False)
    assert buyer.books()["charged_micro"] == 14_000
    seller.endpoint.instead = (200, "text/event-stream", OLDER)
    events = told(buyer, seller)
    [progress] = [one for one in events if isinstance(one, Progressed)]
    assert (progress.step, float(progress.progress)) == ("reading", 0.5)
    assert buyer.books()["charged_micro"] == 20_000


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        (PIECE, "PROVIDER_DISCONNECT", "ended before the call did"),
        (PIECE + b"event: completed\ndata: {]\n\n", "PROVIDER_ERROR", "cannot be read"),
        (PIECE + b'event: completed\ndata: {"id":"another-one","result":"x"}\n\n', "PROVIDER_ERROR", "another call"),
        (PIECE + b'event: error\ndata: {"error":{"code":"NO_WORD","message":"none"}}\n\n', "PROVIDER_ERROR", "none"),
        (PIECE + b'event: cancelled\ndata: {"reason":"tired"}\n\n', "PROVIDER_ERROR", "tired"),
        (PIECE + b'event: completed\ndata: {"result":7}\n\n', "OUTPUT_INVALID", "breaks its own output schema"),
    ],
)
def test_a_stream_that_does_not_end_well_costs_nothing(
    place: House, seller: Seller, said: bytes, code: str, words: str
) -> None:
    selling(seller, TELLS)
    buyer = place.buyer()
    seller.endpoint.instead = (200, "text/event-stream", said)
    events = told(buyer, seller)
    assert [one.delta for one in events if isinstance(one, Delta)] == ["one "]
    assert isinstance(events[-1], Failed)
    assert (events[-1].refusal.code, words in events[-1].refusal.message) == (code, True)
    assert buyer.books()["transactions"] == []
    assert seller.statement()["entries"] == []


def test_what_the_function_raises_ends_its_stream_without_a_charge(place: House, seller: Seller) -> None:
    selling(seller, TELLS).action("tell")(pieces)
    buyer = place.buyer()
    for text, words in (("one fail", "that is no word"), ("one crash", "the provider failed")):
        events = told(buyer, seller, text)
        assert isinstance(events[-1], Failed)
        assert words in events[-1].refusal.message
        assert "inside" not in events[-1].refusal.message
    assert buyer.books()["transactions"] == []


def test_a_provider_that_answers_as_a_whole_is_streamed_as_its_end(place: House, seller: Seller) -> None:
    selling(seller, TELLS)
    buyer = place.buyer()
    seller.endpoint.instead = (200, "application/json", b'{"result":"all at once"}')
    events = told(buyer, seller)
    assert [type(one) for one in events if not isinstance(one, Metered)] == [Opened, Ended]
    assert events[-1].answer.output == "all at once"
    seller.endpoint.instead = (503, "application/json", b'{"error":{"code":"BUSY","message":"later"}}')
    events = told(buyer, seller)
    assert (type(events[-1]), events[-1].refusal.code) == (Failed, "PROVIDER_ERROR")


def test_a_silent_provider_is_given_up_and_an_endless_one_ended(
    place: House, seller: Seller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jecp_mcp.sandbox.event_stream.KEEP_ALIVE_SECONDS", 0.02)
    provider, buyer, closed = selling(seller, TELLS), place.buyer(), threading.Event()
    seller.endpoint.goes_on.clear()
    request = asked(buyer, seller)
    with place.http.stream("POST", "/v1/invoke", json=request, headers={**buyer.auth, **STREAM}) as answer:
        lines = answer.iter_lines()
        next(line for line in lines if line == ": keep-alive")
        monkeypatch.setattr("jecp_mcp.sandbox.event_stream.NO_PROGRESS_SECONDS", 0)
        assert any("PROVIDER_TIMEOUT" in line for line in lines)
    seller.endpoint.goes_on.set()
    monkeypatch.setattr("jecp_mcp.sandbox.event_stream.NO_PROGRESS_SECONDS", 60)
    # It is over with the first piece.
    monkeypatch.setattr("jecp_mcp.sandbox.event_stream.TOTAL_SECONDS", 0)

    @provider.action("tell")
    async def endless(call: Call) -> AsyncIterator[str]:
        try:
            while True:
                yield call.id
        finally:
            closed.set()

    request = asked(buyer, seller)
    assert b"STREAM_TIMEOUT" in buyer.send(request, **STREAM).content
    assert closed.wait(60), "the provider went on working"
    assert buyer.books()["transactions"] == []


@pytest.mark.requirement("WIRE-4.3-7")
def test_a_buyer_that_leaves_ends_the_providers_work_too(place: House, seller: Seller) -> None:
    provider, buyer, closed = selling(seller, TELLS), place.buyer(), threading.Event()

    @provider.action("tell")
    async def endless(call: Call) -> AsyncIterator[str]:
        try:
            while True:
                yield call.id
                # Nothing else ends it: not the bytes of an answer, nor a silence.
                await asyncio.sleep(0.02)
        finally:
            closed.set()

    request = asked(buyer, seller)
    with place.http.stream("POST", "/v1/invoke", json=request, headers={**buyer.auth, **STREAM}) as answer:
        next(line for line in answer.iter_lines() if line == "event: chunk")
        assert not closed.is_set()
    assert closed.wait(30), "the provider went on working"
    assert buyer.books()["transactions"] == []
