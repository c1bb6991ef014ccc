import json
from typing import Any

import pytest

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.wire.jecp import stream
from jecp_mcp.wire.jecp.stream import (
    CallStream,
    Cancelled,
    Completed,
    Delta,
    Event,
    EventSplitter,
    Failed,
    Metered,
    Opened,
    Progressed,
)


def sse(*events: tuple[str, Any]) -> bytes:
    return b"".join(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode() for name, data in events)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_lines_end_in_any_of_three_ways_and_data_lines_join(end: str) -> None:
    text = end.join(
        [": keep-alive", "event: chunk", "data: a", "data:b", "data", "id: 7", "retry: 5", "", "data:  c", "", ""]
    )
    assert EventSplitter().feed(text.encode()) == [Event("chunk", "a\nb\n"), Event("message", " c")]


def test_an_event_without_data_is_none_and_an_unfinished_one_waits() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"event: x\n\ndata: 1\n") == []
    assert splitter.feed(b"\n") == [Event("message", "1")]


def test_a_byte_order_mark_is_skipped_once_at_the_start() -> None:
    assert EventSplitter().feed(b"\xef\xbb\xbfdata: 1\n\ndata: \xff\n\n") == [
        Event("message", "1"),
        Event("message", "\ufffd"),
    ]


@pytest.mark.parametrize("flood", [b"data: " + b"x" * 200, b"data:\n" * 200, b"x" * 200, b":" + b"x" * 200])
def test_what_outgrows_the_bound_gives_what_came_before_and_then_the_fault(flood: bytes) -> None:
    splitter = EventSplitter(max_event_bytes=100)
    assert splitter.feed(b"data: 1\n\n" + flood + b"\n\ndata: 2\n\n") == [Event("message", "1")]
    with pytest.raises(WireError, match="longer than 100 bytes"):
        splitter.feed(b"data: 3\n\n")


def test_the_invoke_dialect_ends_in_an_answer() -> None:
    calls = CallStream()
    body = sse(
        ("open", {"request_id": "req-1", "capability": "llm/chat", "action": "complete"}),
        ("chunk", {"delta": "Hel", "index": 0}), ("chunk", {"delta": "lo"}), ("meter", {"tokens": 12, "elapsed_ms": 340}),
        ("completed", {"result": {"text": "Hello"}, "billing": {"charged": True, "amount_usdc": 0.01, "transaction_id": "t"},
                       "provider": {"namespace": "llm", "version": "1.0.0"}}),
    )  # fmt: skip
    opened, first, second, metered, completed = calls.feed(body)
    assert isinstance(opened, Opened)
    assert (first, second) == (Delta("Hel", 0), Delta("lo", None))
    assert isinstance(metered, Metered)
    assert (metered.tokens, metered.elapsed_ms) == (12, 340)
    assert isinstance(completed, Completed)
    answer = completed.answer
    assert (answer.id, answer.output, answer.provider, answer.version) == ("req-1", {"text": "Hello"}, "llm", "1.0.0")
    assert (answer.billing.charged, answer.billing.amount) == (True, 10_000)
    assert calls.ending is completed
    assert calls.end() is completed
    assert calls.feed(sse(("error", {"code": "INTERNAL"}))) == []


def test_the_older_dialect_ends_in_the_same_answer_form() -> None:
    calls = CallStream()
    body = sse(
        ("status", {"state": "working", "step": "validating", "progress": 0.1}),
        ("progress", {"state": "working", "step": "executing", "progress": 1}),
        ("result", {"output": {"output": 5}}),
        (
            "done",
            {
                "status": "completed",
                "billing": {"cost_usdc": 0.005, "method": "wallet"},
                "execution": {"duration_ms": 9},
            },
        ),
    )
    status, progress, done = calls.feed(body)
    assert isinstance(status, Progressed)
    assert (status.step, str(status.progress)) == ("validating", "0.1")
    assert isinstance(progress, Progressed)
    assert isinstance(done, Completed)
    assert (done.answer.output, done.answer.billing.amount, done.answer.duration_ms) == ({"output": 5}, 5_000, 9)


@pytest.mark.parametrize(("deltas", "output"), [(["a", "b"], "ab"), ([{"x": 1}, "b"], [{"x": 1}, "b"]), ([], "")])
def test_without_a_result_the_pieces_are_the_output(deltas: list[Any], output: Any) -> None:
    calls = CallStream()
    *_, completed = calls.feed(
        sse(*(("chunk", {"delta": delta}) for delta in deltas), ("completed", {"billing": {"charged": False}}))
    )
    assert isinstance(completed, Completed)
    assert completed.answer.output == output


@pytest.mark.parametrize(
    "data", [{"error": {"code": "STREAM_INCOMPLETE", "message": "m"}}, {"code": "STREAM_INCOMPLETE", "message": "m"}]
)
def test_an_error_in_either_form_is_a_refusal(data: dict[str, Any]) -> None:
    (failed,) = CallStream().feed(sse(("error", data)))
    assert isinstance(failed, Failed)
    assert (failed.refusal.code, failed.refusal.message, failed.refusal.http_status) == ("STREAM_INCOMPLETE", "m", None)


def test_done_with_a_failed_status_is_a_refusal() -> None:
    (failed,) = CallStream().feed(
        sse(("done", {"status": "failed", "error": {"code": "PROVIDER_ERROR", "message": "m"}}))
    )
    assert isinstance(failed, Failed)
    assert failed.refusal.code == "PROVIDER_ERROR"


def test_a_cancel_said_by_the_hub_is_told_from_a_connection_that_just_ended() -> None:
    (cancelled,) = CallStream().feed(sse(("cancelled", {"reason": "STREAM_TIMEOUT", "billing": {"charged": True}})))
    assert isinstance(cancelled, Cancelled)
    assert (cancelled.reason, cancelled.said, cancelled.raw["billing"]) == ("STREAM_TIMEOUT", True, {"charged": True})
    silent = CallStream()
    silent.feed(sse(("chunk", {"delta": "x"})))
    assert silent.ending is None
    assert silent.end() == Cancelled(stream.CONNECTION_ENDED, said=False)


@pytest.mark.parametrize("data", [b"nonsense", b"[1]", b'{"a":NaN}', b"[" * 500])
def test_a_broken_event_is_a_fault_after_what_came_before_and_ends_unsaid(data: bytes) -> None:
    calls = CallStream()
    assert calls.feed(sse(("chunk", {"delta": "x"})) + b"event: chunk\ndata: " + data + b"\n\n") == [Delta("x")]
    with pytest.raises(WireError):
        calls.feed(b"")
    ending = calls.end()
    assert isinstance(ending, Cancelled)
    assert not ending.said
    assert "broke the protocol" in ending.reason


def test_events_nobody_knows_are_passed_over_whatever_they_hold() -> None:
    assert CallStream().feed(b"event: news\ndata: not json\n\ndata: x\n\n") == []


def test_pieces_without_end_are_bounded() -> None:
    calls = CallStream(max_event_bytes=100)
    piece = sse(("chunk", {"delta": "x" * 20}))
    assert [calls.feed(piece) for _ in range(3)] == [[Delta("x" * 20)]] * 3
    with pytest.raises(WireError, match="longer than 100"):
        calls.feed(piece)


def test_an_event_stream_is_recognised_by_its_media_type() -> None:
    assert stream.is_event_stream({"Content-Type": "Text/Event-Stream; charset=utf-8"})
    assert not stream.is_event_stream({"content-type": "application/json"})
    assert not stream.is_event_stream({})


def test_a_streamed_output_with_too_many_parts_leaves_the_charge_readable() -> None:
    many = [1] * (jsontext.MAX_MARKS + 2)
    billing = {"charged": True, "amount_usdc": "0.01"}
    (ending,) = CallStream().feed(sse(("completed", {"status": "completed", "result": many, "billing": billing})))
    assert isinstance(ending, Completed)
    assert ending.answer.billing.amount == 10_000
    (ending,) = CallStream().feed(sse(("result", {"output": many}), ("done", {"billing": billing})))
    assert isinstance(ending, Completed)
    assert list(ending.answer.output) == ["output_unreadable"]
    with pytest.raises(WireError, match="commas and brackets"):
        CallStream().feed(sse(("chunk", {"delta": many})))
