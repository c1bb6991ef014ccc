"""One attempt's answer as evidence: plain JSON, or a stream whose events become progress until one of them ends it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

import anyio
import anyio.to_thread

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.http import ExchangeFailed, HttpStream
from jecp_mcp.masking import Mask
from jecp_mcp.rails.base import Progress
from jecp_mcp.rails.jecp.outcome import Evidence, Lost, Replied, Unreadable
from jecp_mcp.rails.jecp.progress_reports import ProgressReports
from jecp_mcp.wire.jecp.envelope import parse_answer
from jecp_mcp.wire.jecp.headers import notices
from jecp_mcp.wire.jecp.stream import (
    CallStream,
    Cancelled,
    Completed,
    Ending,
    Failed,
    StreamEvent,
    is_event_stream,
)

log = logging.getLogger(__name__)

SILENCE_SECONDS: Final = 30.0
"""The longest time in which nothing is said of the call (JECP 01-protocol §4.3). Keep-alives say nothing of it."""

_HUBS_WORD_SECONDS: Final = 2.0
"""How much longer is listened, so that a Hub that watches the same time can say itself how the call ended."""

TOTAL_SECONDS: Final = 300.0
"""The longest stream (JECP 01-protocol §4.3)."""

_LARGE_BYTES: Final = 256 * 1024
_LINGER_SECONDS: Final = 0.1


Listener = Callable[[StreamEvent], Awaitable[None]]
"""Hears the events of a stream, whole."""


async def read_reply(status: int, headers: Mapping[str, str], body: bytes, now: UnixMs, mask: Mask) -> Evidence:
    """A plain answer as evidence. A large one is parsed beside the event loop, which serves other calls meanwhile."""
    if len(body) > _LARGE_BYTES:
        return await anyio.to_thread.run_sync(_read, status, headers, body, now, mask)
    return _read(status, headers, body, now, mask)


def _read(status: int, headers: Mapping[str, str], body: bytes, now: UnixMs, mask: Mask) -> Evidence:
    try:
        return Replied(parse_answer(body, headers, status, now=now, mask=mask))
    except WireError as exc:
        return Unreadable(status, f"HTTP {status}: {exc}")


def lost(failure: ExchangeFailed) -> Lost:
    """A failed exchange as evidence."""
    return Lost(sent=failure.sent, reason=str(failure), again=failure.phase not in {"url", "size"})


async def read_stream(
    answer: HttpStream,
    call_id: str,
    now: UnixMs,
    progress: Progress | None,
    *,
    silence: float,
    mask: Mask,
    listener: Listener | None = None,
) -> Evidence:
    """Read one answer to its end: an event stream, or the plain JSON of a pre-flight refusal.

    Args:
        answer: the answer, its body still to come.
        call_id: whose answer it must be, where it says.
        now: the clock, to read a Retry-After that is a date.
        progress: who hears of the events, a few times a second, or None.
        silence: how long a plain answer may take, or a stream say nothing of the call, in seconds; all of a stream has
            `TOTAL_SECONDS`.
        mask: what to take out of all that is read.
        listener: hears each event whole.
    """
    streaming = is_event_stream(answer.headers)
    seconds = TOTAL_SECONDS if streaming else silence
    try:
        with anyio.fail_after(seconds):
            if streaming:
                reports = None if progress is None else ProgressReports(progress, mask)
                return await _follow(answer, CallStream(call_id, mask=mask), reports, silence, listener)
            body = b"".join([chunk async for chunk in answer.chunks])
            return await read_reply(answer.status, answer.headers, body, now, mask)
    except TimeoutError:
        return Lost(sent=True, reason=f"the answer did not end within {seconds:g} s")
    except ExchangeFailed as exc:
        return lost(exc)
    except WireError as exc:
        return Unreadable(answer.status, f"the stream broke the protocol: {exc}")


async def _follow(
    answer: HttpStream, call: CallStream, reports: ProgressReports | None, silence: float, listener: Listener | None
) -> Evidence:
    longest = silence + _HUBS_WORD_SECONDS
    with anyio.move_on_after(longest) as patience:
        await _listen(answer, call, reports, patience, longest, listener)
    if patience.cancelled_caught and call.ending is None:
        return Lost(sent=True, reason=f"nothing was said of the call for {longest:g} s")
    return ending_evidence(call.end(), answer.headers)


def ending_evidence(ending: Ending, headers: Mapping[str, str]) -> Evidence:
    """How a stream ended, as evidence; `headers` are those of its answer."""
    match ending:
        case Completed(found):
            return Replied(replace(found, notices=(*found.notices, *notices(headers))))
        case Failed(refusal):
            return Replied(refusal)
        case Cancelled(reason, said=False):
            return Lost(sent=True, reason=reason)
        case Cancelled(reason, raw=raw):
            return Replied(Refusal("STREAM_INCOMPLETE", f"The Hub cut the stream short: {reason}", raw=raw))


async def _listen(
    answer: HttpStream,
    call: CallStream,
    reports: ProgressReports | None,
    patience: anyio.CancelScope,
    longest: float,
    listener: Listener | None,
) -> None:
    """Hear the stream until it ends; `patience` gets another `longest` seconds whenever something is said."""
    unread, heard = 0, call.heard
    async for chunk in answer.chunks:
        unread += len(chunk)
        # As in `read_reply`: an event may hold a whole artifact.
        events = call.feed(chunk) if unread <= _LARGE_BYTES else await anyio.to_thread.run_sync(call.feed, chunk)
        unread = 0 if events else unread
        if call.heard != heard:
            heard, patience.deadline = call.heard, anyio.current_time() + longest
        for event in events:
            if listener is not None:
                await listener(event)
            if reports is not None:
                reports.note(event)
                await reports.tell()
        if reports is not None:
            # Also where nothing but a sign of life came: what waits is told.
            await reports.tell(ended=call.ending is not None)
        if call.ending is not None:
            await _hear_out(answer.chunks)
            return


async def _hear_out(chunks: AsyncIterator[bytes]) -> None:
    """Let the Hub end the body itself, so that it sees no listener leave and the connection can serve again."""
    with anyio.move_on_after(_LINGER_SECONDS, shield=True):
        try:
            async for _ in chunks:
                pass
        except ExchangeFailed as exc:
            log.debug("after its last event the stream ended badly, which changes nothing: %s", exc)


def refused_streaming(heard: Evidence) -> bool:
    """Whether the Hub refused the call only for it was to be streamed."""
    return isinstance(heard, Replied) and isinstance(heard.reply, Refusal) and heard.reply.code == "NOT_STREAMABLE"
