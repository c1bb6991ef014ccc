"""One streamed attempt: events become progress, and the ending becomes evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import anyio

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import WireError
from jecp_mcp.http import ExchangeFailed, HttpStream
from jecp_mcp.rails.base import Progress
from jecp_mcp.rails.jecp.outcome import Evidence, Lost, Replied, Unreadable
from jecp_mcp.wire.envelope import parse_answer
from jecp_mcp.wire.headers import notices
from jecp_mcp.wire.stream import (
    CallStream,
    Cancelled,
    Completed,
    Delta,
    Failed,
    Metered,
    Progressed,
    StreamEvent,
    is_event_stream,
)

SILENCE_SECONDS: Final = 30.0
"""The longest time without a byte; the Hub sends keep-alives every 15 s (JECP 01-protocol §4.3)."""

TOTAL_SECONDS: Final = 300.0
"""The longest stream (JECP 01-protocol §4.3)."""


def read_reply(status: int, headers: Mapping[str, str], body: bytes, now: UnixMs) -> Evidence:
    """A plain answer as evidence."""
    try:
        return Replied(parse_answer(body, headers, status, now=now))
    except WireError as exc:
        return Unreadable(status, f"HTTP {status}: {exc}")


async def read_stream(answer: HttpStream, now: UnixMs, progress: Progress | None) -> Evidence:
    """Read one answer to its end: an event stream, or the plain JSON of a pre-flight refusal."""
    try:
        with anyio.fail_after(TOTAL_SECONDS):
            if not is_event_stream(answer.headers):
                body = b"".join([chunk async for chunk in answer.chunks])
                return read_reply(answer.status, answer.headers, body, now)
            return await _follow(answer, progress)
    except TimeoutError:
        return Lost(sent=True, reason=f"the stream did not end within {TOTAL_SECONDS:g} s")
    except ExchangeFailed as exc:
        return Lost(sent=exc.sent, reason=str(exc))
    except WireError as exc:
        return Unreadable(answer.status, f"the stream broke the protocol: {exc}")


async def _follow(answer: HttpStream, progress: Progress | None) -> Evidence:
    call, pieces = CallStream(), 0
    async for chunk in answer.chunks:
        for event in call.feed(chunk):
            message = _told(event)
            if message is not None and progress is not None:
                pieces += 1
                await progress.report(float(pieces), None, message)
        if call.ending is not None:
            break
    match call.end():
        case Completed(found):
            return Replied(replace(found, notices=(*found.notices, *notices(answer.headers))))
        case Failed(refusal):
            return Replied(refusal)
        case Cancelled(reason):
            return Lost(sent=True, reason=reason)


def _told(event: StreamEvent) -> str | None:
    """What a listener hears of an event; None for those that say nothing about progress."""
    match event:
        case Delta(delta):
            return delta[:200] if isinstance(delta, str) else "a piece arrived"
        case Metered(tokens=tokens, elapsed_ms=elapsed):
            return f"{tokens} tokens" if tokens is not None else f"{elapsed} ms"
        case Progressed(state=state, step=step):
            return step or state or "working"
        case _:
            return None
