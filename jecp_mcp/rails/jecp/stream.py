"""One attempt's answer as evidence: plain JSON, or a stream whose events become progress until one of them ends it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Final

import anyio
import anyio.to_thread

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import WireError
from jecp_mcp.http import ExchangeFailed, HttpStream
from jecp_mcp.rails.base import Progress
from jecp_mcp.rails.jecp.outcome import Evidence, Lost, Replied, Unreadable
from jecp_mcp.wire.envelope import parse_answer
from jecp_mcp.wire.forms import Refusal
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

log = logging.getLogger(__name__)

SILENCE_SECONDS: Final = 30.0
"""The longest time without a byte. Keep-alives, due every 15 s, count as life: whether the work itself still moves is
watched by the Hub (JECP 01-protocol §4.3)."""

TOTAL_SECONDS: Final = 300.0
"""The longest stream (JECP 01-protocol §4.3)."""

_LARGE_BYTES: Final = 256 * 1024
_MESSAGE_CHARACTERS: Final = 200
_LINGER_SECONDS: Final = 0.1


async def read_reply(status: int, headers: Mapping[str, str], body: bytes, now: UnixMs) -> Evidence:
    """A plain answer as evidence. A large one is parsed beside the event loop, which serves other calls meanwhile."""
    if len(body) > _LARGE_BYTES:
        return await anyio.to_thread.run_sync(_read, status, headers, body, now)
    return _read(status, headers, body, now)


def _read(status: int, headers: Mapping[str, str], body: bytes, now: UnixMs) -> Evidence:
    try:
        return Replied(parse_answer(body, headers, status, now=now))
    except WireError as exc:
        return Unreadable(status, f"HTTP {status}: {exc}")


def lost(failure: ExchangeFailed) -> Lost:
    """A failed exchange as evidence."""
    return Lost(sent=failure.sent, reason=str(failure), again=failure.phase not in {"url", "size"})


async def read_stream(answer: HttpStream, now: UnixMs, progress: Progress | None, *, silence: float) -> Evidence:
    """Read one answer to its end: an event stream, or the plain JSON of a pre-flight refusal.

    Args:
        answer: the answer, its body still to come.
        now: the clock, to read a Retry-After that is a date.
        progress: who hears of the events, or None.
        silence: how long a plain answer may take, in seconds; a stream has `TOTAL_SECONDS`.
    """
    streaming = is_event_stream(answer.headers)
    seconds = TOTAL_SECONDS if streaming else silence
    try:
        with anyio.fail_after(seconds):
            if streaming:
                return await _follow(answer, progress)
            body = b"".join([chunk async for chunk in answer.chunks])
            return await read_reply(answer.status, answer.headers, body, now)
    except TimeoutError:
        return Lost(sent=True, reason=f"the answer did not end within {seconds:g} s")
    except ExchangeFailed as exc:
        return lost(exc)
    except WireError as exc:
        return Unreadable(answer.status, f"the stream broke the protocol: {exc}")


async def _follow(answer: HttpStream, progress: Progress | None) -> Evidence:
    call, pieces, unread = CallStream(), 0, 0
    async for chunk in answer.chunks:
        unread += len(chunk)
        # As in `read_reply`: an event may hold a whole artifact.
        events = call.feed(chunk) if unread <= _LARGE_BYTES else await anyio.to_thread.run_sync(call.feed, chunk)
        unread = 0 if events else unread
        for event in events:
            message = _told(event)
            if message is not None and progress is not None:
                pieces += 1
                await progress.report(float(pieces), None, message)
        if call.ending is not None:
            await _hear_out(answer.chunks)
            break
    match call.end():
        case Completed(found):
            return Replied(replace(found, notices=(*found.notices, *notices(answer.headers))))
        case Failed(refusal):
            return Replied(refusal)
        case Cancelled(reason, said=False):
            return Lost(sent=True, reason=reason)
        case Cancelled(reason, raw=raw):
            return Replied(Refusal("STREAM_INCOMPLETE", f"The Hub cut the stream short: {reason}", raw=raw))


async def _hear_out(chunks: AsyncIterator[bytes]) -> None:
    """Let the Hub end the body itself, so that it sees no listener leave and the connection can serve again."""
    with anyio.move_on_after(_LINGER_SECONDS, shield=True):
        try:
            async for _ in chunks:
                pass
        except ExchangeFailed as exc:
            log.debug("after its last event the stream ended badly, which changes nothing: %s", exc)


def _told(event: StreamEvent) -> str | None:
    """What a listener hears of an event; None for those that say nothing about progress."""
    match event:
        case Delta(delta):
            return delta[:_MESSAGE_CHARACTERS] if isinstance(delta, str) else "a piece arrived"
        case Metered(tokens=tokens, elapsed_ms=elapsed):
            return f"{tokens} tokens" if tokens is not None else f"{elapsed or 0} ms"
        case Progressed(state=state, step=step):
            return (step or state or "working")[:_MESSAGE_CHARACTERS]
        case _:
            return None
