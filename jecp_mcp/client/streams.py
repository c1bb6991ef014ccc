"""The events of a call while it runs, as an async iterator that ends with what the call brought."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, Self

import anyio

from jecp_mcp.client.results import InvokeResult, result_of
from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import WireError
from jecp_mcp.http import ExchangeFailed, HttpStream
from jecp_mcp.masking import Mask
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.jecp.outcome import Evidence, Lost, Unreadable, answering, conclude
from jecp_mcp.rails.jecp.stream import SILENCE_SECONDS, TOTAL_SECONDS, ending_evidence, lost, read_reply
from jecp_mcp.wire.jecp.stream import CallStream, Delta, Ending, Metered, Opened, Progressed, is_event_stream

StreamEvent = Opened | Delta | Metered | Progressed | InvokeResult
"""What a stream gives; the last one is the `InvokeResult`."""

_PATIENCE_SECONDS: Final = SILENCE_SECONDS + 2.0
"""How long nothing may be said of the call; keep-alives say nothing of it."""


class JecpStream:
    """One streaming call, to be iterated over once.

    Attributes:
        deltas: the pieces of the output that have come so far; they stay where the stream breaks off.
        result: what the call brought, once it has ended well.
    """

    def __init__(self, known_as: Callable[[], str | None], events: AsyncGenerator[StreamEvent, None]) -> None:
        """Pass on `events`, the last of which is the result; `known_as` gives the call's id once it has one."""
        self.deltas: list[Any] = []
        self.result: InvokeResult | None = None
        self._known_as, self._events = known_as, events

    @property
    def request_id(self) -> str | None:
        """The call's idempotency id, by which one finds out what became of a stream that broke off.

        None before the call is reserved, where it goes through a mandate.
        """
        return self._known_as()

    def __aiter__(self) -> Self:
        """The stream itself."""
        return self

    async def __anext__(self) -> StreamEvent:
        """The next event.

        Raises:
            JecpError: the call was refused, or its stream broke off (`CallInDoubtError`).
        """
        event = await anext(self._events)
        if isinstance(event, Delta):
            self.deltas.append(event.delta)
        elif isinstance(event, InvokeResult):
            self.result = event
        return event

    @property
    def text(self) -> str:
        """The pieces that are text, joined."""
        return "".join(one for one in self.deltas if isinstance(one, str))

    async def aclose(self) -> None:
        """Stop reading. Whether an unfinished call is charged is not known then."""
        await self._events.aclose()


class OneStream:
    """The one stream of a call that goes through no mandate: it is not sent again where it breaks off."""

    def __init__(self, answer: HttpStream, request_id: str, budget: MicroUSDC, now: UnixMs, mask: Mask) -> None:
        """Read `answer`, of which only the head has come."""
        self._request_id = request_id
        self._answer, self._budget, self._now, self._mask = answer, budget, now, mask
        self._evidence: Evidence = Lost(sent=True, reason="the stream was not read to its end")

    async def events(self) -> AsyncGenerator[StreamEvent, None]:
        """The events, and the result.

        Raises:
            JecpError: the call was refused, or its stream broke off.
        """
        if is_event_stream(self._answer.headers):
            async for event in self._listen():
                yield event
        else:
            await self._read_plain()
        evidence = answering(self._request_id, self._evidence)
        yield result_of(conclude([evidence], replay=False, budget=self._budget), self._request_id)

    async def _read_plain(self) -> None:
        """The plain JSON of a refusal before the stream began, or of a Hub that does not stream."""
        try:
            with anyio.fail_after(SILENCE_SECONDS):
                body = b"".join([chunk async for chunk in self._answer.chunks])
            answer = self._answer
            self._evidence = await read_reply(answer.status, answer.headers, body, self._now, self._mask)
        except TimeoutError:
            self._evidence = Lost(sent=True, reason=f"the answer did not end within {SILENCE_SECONDS:g} s")
        except ExchangeFailed as exc:
            self._evidence = lost(exc)

    async def _listen(self) -> AsyncGenerator[Opened | Delta | Metered | Progressed, None]:
        call, chunks = CallStream(self._request_id, mask=self._mask), aiter(self._answer.chunks)
        ends = anyio.current_time() + TOTAL_SECONDS
        heard, deadline = call.heard, anyio.current_time() + _PATIENCE_SECONDS
        try:
            while call.ending is None:
                with anyio.fail_after(min(deadline, ends) - anyio.current_time()):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    break
                events = call.feed(chunk)
                if call.heard != heard:
                    heard, deadline = call.heard, anyio.current_time() + _PATIENCE_SECONDS
                for event in events:
                    if not isinstance(event, Ending):
                        yield event
        except TimeoutError:
            late = anyio.current_time() >= ends
            why = f"the stream did not end within {TOTAL_SECONDS:g} s" if late else "nothing more was said of the call"
            self._evidence = Lost(sent=True, reason=why)
        except ExchangeFailed as exc:
            self._evidence = lost(exc)
        except WireError as exc:
            self._evidence = Unreadable(self._answer.status, f"the stream broke the protocol: {exc}")
        else:
            self._evidence = ending_evidence(call.end(), self._answer.headers)
