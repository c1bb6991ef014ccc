"""Streams in both dialects: their events, one charge, one ending, and what is left when they break."""

from __future__ import annotations

from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from jecp_mcp.wire.jecp.stream import (
    CallStream,
    Cancelled,
    Completed,
    Delta,
    EventSplitter,
    Failed,
    Metered,
    Opened,
)
from tests.contract.sandbox.conftest import Buyer, error, output

STREAM = {"accept": "text/event-stream"}
CAPABILITY, ACTION = "lectern/concordance", "keyword-in-context"


def asked(buyer: Buyer, **parts: Any) -> dict[str, Any]:
    given = parts.pop("input", None) or buyer.example(CAPABILITY, ACTION)
    return buyer.request(CAPABILITY, ACTION, input=given, **parts)


def heard(answer: httpx2.Response) -> list[Any]:
    stream = CallStream()
    events = stream.feed(answer.content)
    stream.end()
    return events


def names(answer: httpx2.Response) -> list[str]:
    return [event.name for event in EventSplitter().feed(answer.content)]


@pytest.mark.requirement("WIRE-4.3-3")
def test_a_stream_opens_delivers_and_completes_with_its_bill(buyer: Buyer) -> None:
    request = asked(buyer)
    answer = buyer.send(request, **STREAM)
    assert answer.headers["content-type"].startswith("text/event-stream")
    said = names(answer)
    assert said[0] == "open"
    assert set(said[1:-1]) == {"chunk", "meter"}
    assert said[-1] == "completed"
    events = heard(answer)
    assert isinstance(events[0], Opened)
    assert events[0].raw["request_id"] == request["id"]
    assert [event.index for event in events if isinstance(event, Delta)] == list(range(said.count("chunk")))
    assert any(isinstance(event, Metered) for event in events)
    completed = events[-1]
    assert isinstance(completed, Completed)
    assert completed.answer.billing.amount == 6_000
    plain = output(buyer.send(asked(buyer, input=request["input"])))
    assert completed.answer.output == plain
    assert buyer.books()["transactions"][0]["transaction_id"] == completed.answer.billing.reference


def test_a_completed_stream_is_told_again_and_not_paid_again(buyer: Buyer) -> None:
    request = asked(buyer)
    first = heard(buyer.send(request, **STREAM))[-1]
    again = heard(buyer.send(request, **STREAM))[-1]
    assert isinstance(first, Completed)
    assert isinstance(again, Completed)
    assert again.answer.billing == first.answer.billing
    assert output(buyer.send(request)) == first.answer.output
    assert len(buyer.books()["transactions"]) == 1
    other = {**request, "input": {**request["input"], "text": "something else entirely"}}
    error(buyer.send(other, **STREAM), "DUPLICATE_REQUEST", 409)


def test_delivery_mode_asks_for_a_stream_too(buyer: Buyer) -> None:
    answer = buyer.send(asked(buyer, delivery={"mode": "stream"}))
    assert isinstance(heard(answer)[-1], Completed)


@pytest.mark.requirement("WIRE-4.3-1", "WIRE-4.3-2")
def test_an_action_that_does_not_stream_says_so_before_any_charge(buyer: Buyer) -> None:
    body = error(buyer.send(buyer.request(), **STREAM), "NOT_STREAMABLE", 406)
    assert body["next_action"]["type"] == "drop_streaming_accept"
    assert buyer.books()["transactions"] == []


def test_what_fails_before_the_stream_is_plain_json(fresh: Buyer) -> None:
    fresh.wallet(free_calls=0)
    answer = fresh.send(asked(fresh), **STREAM)
    assert answer.status_code == 402
    assert answer.headers["content-type"] == "application/json"


def opened(buyer: Buyer, request: dict[str, Any]) -> AbstractContextManager[httpx2.Response]:
    return buyer.http.stream("POST", "/v1/invoke", json=request, headers={**buyer.auth, **STREAM})


@pytest.mark.requirement("WIRE-4.3-6")
def test_a_second_request_under_an_open_streams_id_is_refused(buyer: Buyer) -> None:
    request = asked(buyer)
    buyer.fault("pause_midway:1", CAPABILITY)
    with opened(buyer, request) as answer:
        chunks = answer.iter_bytes()
        received = next(chunks)
        for headers in (STREAM, {}):
            body = error(buyer.send(request, **headers), "STREAM_IN_PROGRESS", 409)
            assert body["error"]["details"]["retry_after_seconds"] == 1
        received += b"".join(chunks)
    assert b"event: completed" in received
    assert len(buyer.books()["transactions"]) == 1


@pytest.mark.requirement("WIRE-4.3-4")
def test_a_client_that_leaves_is_not_charged_and_its_id_is_free(buyer: Buyer) -> None:
    request = asked(buyer)
    buyer.fault("pause_midway:60", CAPABILITY)
    with opened(buyer, request) as answer:
        next(answer.iter_bytes())
    while (again := buyer.send(request)).status_code == 409:
        error(again, "STREAM_IN_PROGRESS")
    assert output(again)
    assert len(buyer.books()["transactions"]) == 1


def idle(buyer: Buyer) -> int:
    return buyer.http.get("/health").raise_for_status().json()["pools"]["invoke"]["idle"]


@pytest.mark.slow
@pytest.mark.parametrize("leaves", [True, False])
def test_a_stream_has_its_place_in_the_pool_until_it_ends(buyer: Buyer, leaves: bool) -> None:
    before = idle(buyer)
    buyer.fault(f"pause_midway:{60 if leaves else 1}", CAPABILITY)
    with opened(buyer, asked(buyer)) as answer:
        chunks = answer.iter_bytes()
        next(chunks)
        assert idle(buyer) == before - 1
        if not leaves:
            assert b"event: completed" in b"".join(chunks)
    while idle(buyer) != before:
        pass


def received_before_the_loss(buyer: Buyer, request: dict[str, Any]) -> bytes:
    received: list[bytes] = []
    with pytest.raises(httpx2.TransportError):
        receive(buyer, request, received)
    return b"".join(received)


def receive(buyer: Buyer, request: dict[str, Any], received: list[bytes]) -> None:
    with opened(buyer, request) as answer:
        received.extend(answer.iter_bytes())


@pytest.mark.requirement("WIRE-4.3-4")
def test_a_stream_dropped_midway_costs_nothing(buyer: Buyer) -> None:
    request = asked(buyer)
    buyer.fault("drop_midway", f"{CAPABILITY}:{ACTION}")
    assert b"event: completed" not in received_before_the_loss(buyer, request)
    assert buyer.books()["transactions"] == []
    assert isinstance(heard(buyer.send(request, **STREAM))[-1], Completed)


def test_a_stream_whose_last_event_is_lost_was_charged_and_can_be_fetched(buyer: Buyer) -> None:
    request = asked(buyer)
    buyer.fault("drop_after_charge", CAPABILITY)
    assert b"event: completed" not in received_before_the_loss(buyer, request)
    assert len(buyer.books()["transactions"]) == 1
    fetched = heard(buyer.send(request, **STREAM))[-1]
    assert isinstance(fetched, Completed)
    assert fetched.answer.billing.reference == buyer.books()["transactions"][0]["transaction_id"]
    assert len(buyer.books()["transactions"]) == 1


@pytest.mark.requirement("WIRE-4.2-1")
def test_an_error_after_the_charge_ends_the_stream_and_the_answer_is_kept(buyer: Buyer) -> None:
    request = asked(buyer)
    buyer.fault("code:INTERNAL_ERROR", CAPABILITY, after_charge=True)
    last = heard(buyer.send(request, **STREAM))[-1]
    assert isinstance(last, Failed)
    assert last.refusal.code == "INTERNAL_ERROR"
    assert isinstance(heard(buyer.send(request, **STREAM))[-1], Completed)
    assert len(buyer.books()["transactions"]) == 1


@pytest.mark.parametrize(
    ("code", "ending"),
    [
        ("STREAM_TIMEOUT", Cancelled),
        ("PROVIDER_TIMEOUT", Cancelled),
        ("STREAM_INCOMPLETE", Failed),
        ("PROVIDER_DISCONNECT", Failed),
    ],
)
@pytest.mark.requirement("WIRE-4.2-1", "WIRE-4.3-3")
def test_each_bad_ending_is_one_event_and_uncharged(buyer: Buyer, code: str, ending: type) -> None:
    buyer.fault(f"code:{code}", CAPABILITY)
    answer = buyer.send(asked(buyer), **STREAM)
    assert answer.status_code == 200
    last = heard(answer)[-1]
    assert isinstance(last, ending)
    assert code in (last.reason if isinstance(last, Cancelled) else last.refusal.code)
    assert names(answer)[-1] == ("cancelled" if ending is Cancelled else "error")
    assert buyer.books()["transactions"] == []


def test_a_stream_costs_the_same_as_the_plain_call(buyer: Buyer) -> None:
    request = asked(buyer)
    heard(buyer.send(request, **STREAM))
    buyer.send(asked(buyer, input=request["input"]))
    amounts = [Decimal(row["amount_usdc"]) for row in buyer.books()["transactions"]]
    assert amounts[0] == amounts[1]
