"""A sale reported as it happens, by server-sent events in both dialects (JECP 01-protocol §4.2, §4.3).

Providers' actions speak ``open chunk meter completed | error | cancelled``, built-ins ``status progress result done |
error``. Nothing is charged for a stream that breaks off; a completed one is charged and its answer kept before its last
event leaves, so that the same id fetches it when that event is lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any, assert_never

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from jecp_mcp import jsontext
from jecp_mcp.sandbox.call_checks import AcceptedCall
from jecp_mcp.sandbox.call_request import Call
from jecp_mcp.sandbox.error_answers import Refused, Reply, failed_envelope
from jecp_mcp.sandbox.fault_injection import DropConnection, Fault
from jecp_mcp.sandbox.fulfilment import work_refusal
from jecp_mcp.sandbox.hub import Claim, Hub
from jecp_mcp.sandbox.pricing import MOST_UNITS, UNIT_OF_RATE
from jecp_mcp.sandbox.providers.forwarding import Told
from jecp_mcp.sandbox.sales import StoredAnswer
from jecp_mcp.sandbox.success_answers import Parts, closing_events, encode, output_text
from jecp_mcp.wire.jecp.codes import canonical
from jecp_mcp.wire.jecp.stream import Delta, Metered, Progressed

if TYPE_CHECKING:
    from jecp_mcp.sandbox.work import Work

KEEP_ALIVE_SECONDS = 15.0
NO_PROGRESS_SECONDS = 30.0
TOTAL_SECONDS = 300.0
_METER_EVERY = 8
_MOST_WORDS = 200
_CANCELLED = frozenset({"STREAM_TIMEOUT", "PROVIDER_TIMEOUT"})
KEEP_ALIVE = b": keep-alive\n\n"


def event(name: str, data: Parts) -> bytes:
    """One server-sent event. Compact JSON has no line ends, so one data line holds it."""
    return b"event: " + name.encode() + b"\ndata: " + encode(data) + b"\n\n"


class EventStream(Response):
    """The HTTP response of one stream; ends its claim however it ends."""

    media_type = "text/event-stream"

    def __init__(self, hub: Hub, accepted: AcceptedCall, claim: Claim, fault: Fault | None) -> None:
        headers = {**accepted.headers, "content-type": "text/event-stream", "x-accel-buffering": "no"}
        super().__init__(b"", 200, headers)
        del self.headers["content-length"]
        self._hub, self._accepted, self._claim, self._fault = hub, accepted, claim, fault
        self._outcome: Reply | None = None
        self._place = AsyncExitStack()

    def hold(self, place: AsyncExitStack) -> None:
        """Keep a place, or whatever else the request took, until the stream has ended: the work is done meanwhile."""
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # the ASGI signature
        """Send the events while the client is there; the work stops when it has gone.

        Raises:
            DropConnection: a fault closes the connection.
        """
        async with self._place:
            sending = asyncio.ensure_future(self._send_events(send))
            gone = asyncio.ensure_future(_disconnected(receive))
            try:
                await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    sending.result()
            finally:
                sending.cancel()
                gone.cancel()
                await asyncio.wait({sending, gone})
                key = (self._accepted.agent.agent_id, self._accepted.call.call_id)
                self._hub.release(key, self._claim, self._outcome)

    async def _send_events(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with aclosing(self._events()) as events:
            async for chunk in events:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _events(self) -> AsyncGenerator[bytes, None]:
        accepted, call = self._accepted, self._accepted.call
        started = time.monotonic()
        yield _opening_event(call, accepted)
        pieces = 0
        delivered: list[tuple[Work, bytes]] = []
        try:
            async with aclosing(self._told(started, delivered)) as source:
                async for told in source:
                    yield self._told_event(told, pieces, started)
                    if isinstance(told, Delta):
                        pieces += 1
                        if pieces == 1:
                            await self._cut_short()
            work, output = delivered[0] if delivered else await self._hub.fulfilment.run(accepted)
            if not call.builtin:
                tokens = sum(count for unit, count in work.units.items() if unit.endswith("tokens"))
                yield event("meter", ({"tokens": tokens} if tokens else {}) | {"elapsed_ms": _ms(started)})
            await self._hub.turn_to_settle()
            asked = self._hub.checks.asked
            envelope, body = self._hub.fulfilment.settle(accepted, output, work, _ms(started), asked)
            await self._hub.database.durable()
            self._outcome = Reply(200, body, accepted.headers)
            self._drop_last_event()
        except Refused as refused:
            yield self._failure(refused)
            return
        for name, data in closing_events(call, envelope):
            yield event(name, data)

    def _told_event(self, told: Delta | Metered | Progressed | None, pieces: int, started: float) -> bytes:
        """What the buyer hears of what was told, after so many pieces."""
        call = self._accepted.call
        match told:
            case None:
                return KEEP_ALIVE
            case Delta(delta):
                # A provider meters by itself.
                due = (pieces + 1) % _METER_EVERY == 0 and not call.builtin and self._accepted.offer.runs is not None
                return _delta_event(call, delta, pieces) + (
                    event("meter", {"elapsed_ms": _ms(started)}) if due else b""
                )
            case Metered(raw=raw):
                return event("meter", {**_counts(raw), "elapsed_ms": _ms(started)})
            case Progressed(state, step, progress):
                return event("progress", _progress(state, step, progress))
            case _:
                assert_never(told)

    async def _cut_short(self) -> None:
        """Pause or end here where a fault says so."""
        if self._fault is not None and self._fault.kind == "pause_midway":
            await self._fault.wait()
        if self._fault is not None and self._fault.ends_stream(streaming=True):
            if self._fault.kind == "drop_midway":
                raise DropConnection
            raise self._fault.refusal()

    def _drop_last_event(self) -> None:
        """Keep the ending from the client, though all is done and charged, where a fault says so."""
        if self._fault is None or not (self._fault.after_charge or self._fault.kind == "drop_after_charge"):
            return
        if self._fault.kind == "code":
            raise self._fault.refusal()
        raise DropConnection

    async def _told(
        self, started: float, delivered: list[tuple[Work, bytes]]
    ) -> AsyncGenerator[Delta | Metered | Progressed | None, None]:
        """What is told of the work as it comes, None when there is nothing to tell but that the line is alive.

        Raises:
            Refused: it cannot be done, or does not go on.
        """
        source = self._own_work() if self._accepted.offer.runs is not None else self._hub.stream(self._accepted)
        async with aclosing(source):
            while True:
                coming = asyncio.ensure_future(anext(source, None))
                since = time.monotonic()
                try:
                    while not (await asyncio.wait({coming}, timeout=KEEP_ALIVE_SECONDS))[0]:
                        if time.monotonic() - since >= NO_PROGRESS_SECONDS:
                            silence = f"No progress from the provider for {NO_PROGRESS_SECONDS:g} s."
                            raise Refused("PROVIDER_TIMEOUT", silence)
                        yield None
                finally:
                    if not coming.done():
                        coming.cancel()
                        await asyncio.wait({coming})
                told = coming.result()
                if told is None:
                    return
                if isinstance(told, tuple):
                    delivered.append(told)
                    return
                if time.monotonic() - started >= TOTAL_SECONDS:
                    raise Refused("STREAM_TIMEOUT", f"Total stream timeout ({TOTAL_SECONDS:g} s) exceeded.")
                yield told

    async def _own_work(self) -> AsyncGenerator[Told, None]:
        """The pieces of work of the sandbox's own.

        Raises:
            Refused: it cannot be done.
        """
        fulfilment, runs = self._hub.fulfilment, self._accepted.offer.runs
        assert runs is not None, "it is work of the sandbox's own"
        try:
            iterator = fulfilment.work.stream(*runs, self._accepted.call.arguments)
        except KeyError as exc:
            raise Refused("PROVIDER_UNREACHABLE", "The sandbox has no streaming work of this name.") from exc
        returned: list[Work] = []
        while True:
            loop = asyncio.get_running_loop()
            try:
                piece = await loop.run_in_executor(fulfilment.workers, _next, iterator, returned)
            except fulfilment.work.WorkFailed as failed:
                raise work_refusal(failed.code, failed.message) from failed
            if piece is _END:
                break
            yield Delta(piece)
        for work in returned:
            yield work, output_text(work, self._accepted.offer)

    def _failure(self, refused: Refused) -> bytes:
        call = self._accepted.call
        envelope = failed_envelope(refused, call.dialect, call.call_id)
        error = envelope["error"]
        if canonical(refused.code) in _CANCELLED and not call.builtin:
            return event("cancelled", {"reason": error["code"], "message": error["message"]})
        if call.dialect.variant == "invoke":
            shown: dict[str, Any] = {key: envelope[key] for key in ("error", "next_action") if key in envelope}
            return event("error", shown)
        flat = dict(error)
        if "next_action" in envelope:
            flat["next_action"] = envelope["next_action"]
        return event("error", flat)


class ReplayedStream(Response):
    """A stored answer sent again as a stream: its opening and its last events."""

    def __init__(self, call: Call, stored: StoredAnswer) -> None:
        envelope: Mapping[str, Any] = jsontext.loads(stored.body, max_bytes=len(stored.body), max_depth=10_000)
        events = [_opening_event(call, None), *(event(name, data) for name, data in closing_events(call, envelope))]
        super().__init__(b"".join(events), 200, {**stored.headers, "content-type": "text/event-stream"})


_END = object()


def _next(iterator: Iterator[Any], returned: list[Any]) -> Any:
    """The next piece, or `_END`; what a generator returns at its end goes to `returned`."""
    try:
        return next(iterator)
    except StopIteration as stop:
        if stop.value is not None:
            returned.append(stop.value)
        return _END


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _opening_event(call: Call, accepted: AcceptedCall | None) -> bytes:
    if call.builtin:
        return event("status", {"state": "working", "step": f"executing-{call.action}", "progress": 0.1})
    capability = accepted.listing.id if accepted else call.capability.partition("@")[0]
    return event("open", {"request_id": call.call_id, "capability": capability, "action": call.action})


def _delta_event(call: Call, piece: Any, index: int) -> bytes:
    if not call.builtin:
        return event("chunk", {"delta": piece, "index": index})
    # How much there is to come is unknown: the share given grows towards nine tenths.
    progress = round(0.9 - 0.8 / (index + 2), 3)
    return event("progress", {"state": "working", "step": "executing", "progress": progress, "delta": piece})


def _counts(raw: Mapping[str, Any]) -> dict[str, int]:
    """What a provider metered so far, of what has a name and a price."""
    known = {name: raw.get(name) for name in ("tokens", *UNIT_OF_RATE.values())}
    return {name: count for name, count in known.items() if type(count) is int and 0 <= count <= MOST_UNITS}


def _progress(state: str | None, step: str | None, progress: Any) -> Parts:
    said = {"state": state and state[:_MOST_WORDS], "step": step and step[:_MOST_WORDS], "progress": progress}
    return {name: value for name, value in said.items() if value is not None}


def _ms(started: float) -> int:
    return int((time.monotonic() - started) * 1000)
