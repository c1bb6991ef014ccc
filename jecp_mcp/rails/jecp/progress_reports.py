"""What is told of a stream while it runs: a few reports a second, however many events it has."""

from __future__ import annotations

from typing import Final, assert_never

import anyio

from jecp_mcp.masking import Mask
from jecp_mcp.rails.base import Progress
from jecp_mcp.wire.jecp.stream import Cancelled, Completed, Delta, Failed, Metered, Opened, Progressed, StreamEvent

AT_ONCE: Final = 12
"""How many reports a stream has before they are bounded by the time."""
PER_SECOND: Final = 4.0
"""How many more there are in a second."""
MOST_CHARACTERS: Final = 2_000
"""The longest report; what is longer comes with the answer."""
_OF_ONE: Final = 200


class ProgressReports:
    """Reports of one stream. What comes too fast is told together with what comes next, or when the stream ends."""

    def __init__(self, progress: Progress, mask: Mask) -> None:
        """Tell `progress`, and take out by `mask` what is whole in no event, but in several together."""
        self._progress, self._mask = progress, mask
        self._events, self._allowed, self._at = 0, float(AT_ONCE), anyio.current_time()
        self._text, self._latest = "", ""

    def note(self, event: StreamEvent) -> None:
        """Take an event: a text goes on, of anything else the latest says it all."""
        words = _words(event)
        if words is None:
            return
        self._events += 1
        if isinstance(event, Delta) and isinstance(event.delta, str):
            self._text = (self._text + words)[:MOST_CHARACTERS]
        else:
            self._latest = words

    async def tell(self, *, ended: bool = False) -> None:
        """Tell what has come since the last time, if it is time or the stream has `ended`."""
        now = anyio.current_time()
        self._allowed, self._at = min(float(AT_ONCE), self._allowed + (now - self._at) * PER_SECOND), now
        told = [one for one in (self._text, self._latest) if one]
        if not told or (self._allowed < 1 and not ended):
            return
        self._allowed -= 1
        self._text, self._latest = "", ""
        await self._progress.report(float(self._events), None, self._mask.text("; ".join(told)))


def _words(event: StreamEvent) -> str | None:
    """What is told of an event; None for those that say nothing about progress."""
    match event:
        case Delta(delta):
            return delta[:_OF_ONE] if isinstance(delta, str) else "a piece arrived"
        case Metered(tokens=tokens, elapsed_ms=elapsed):
            return f"{tokens} tokens" if tokens is not None else f"{elapsed or 0} ms"
        case Progressed(state=state, step=step):
            return (step or state or "working")[:_OF_ONE]
        case Opened() | Completed() | Failed() | Cancelled():
            return None
        case _:
            assert_never(event)
