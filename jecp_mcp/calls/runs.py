"""One execution, those who wait for it, and the reports of its progress."""

from __future__ import annotations

import anyio

from jecp_mcp.calls.ports import CallEnd
from jecp_mcp.rails.base import Progress

PROGRESS_SECONDS = 2.0
"""How long one report of progress may take: a host that does not read must not hold up what is being paid for."""


class Relay:
    """Progress that can be cut off when nobody listens any more."""

    def __init__(self, sink: Progress | None) -> None:
        self._sink = sink

    def cut(self, sink: Progress | None) -> None:
        """Stop reporting, if it is `sink` that listens."""
        if self._sink is sink:
            self._sink = None

    async def report(self, done: float, total: float | None, message: str | None) -> None:
        """Pass the report on while the caller is there and takes it."""
        if self._sink is None:
            return
        with anyio.move_on_after(PROGRESS_SECONDS) as scope:
            await self._sink.report(done, total, message)
        if scope.cancelled_caught:
            self._sink = None


class Run:
    """One execution and those who wait for it.

    Attributes:
        end: how the call stands as far as it is known; final once `done` is set.
    """

    __slots__ = ("done", "end", "relay")

    def __init__(self, progress: Progress | None, end: CallEnd) -> None:
        self.done = anyio.Event()
        self.end = end
        self.relay = Relay(progress)

    async def wait(self, progress: Progress | None = None) -> CallEnd:
        """How it ended. A caller that is cancelled leaves the execution running, its own `progress` cut off."""
        try:
            await self.done.wait()
        except anyio.get_cancelled_exc_class():
            self.relay.cut(progress)
            raise
        return self.end
