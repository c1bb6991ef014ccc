"""How those who wait are told that there is something to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

Sleep = Callable[[float], Awaitable[None]]
"""Waits for so many seconds."""


class Bell:
    """Wakes whoever waits for its next ring. Use from one event loop."""

    def __init__(self) -> None:
        self._next = anyio.Event()

    def ring(self) -> None:
        """Wake all who wait."""
        rung, self._next = self._next, anyio.Event()
        rung.set()

    @property
    def next_ring(self) -> anyio.Event:
        """Set at the next ring. Taken before one looks for work, it misses nothing that comes while one looks."""
        return self._next


async def wait(rung: anyio.Event, sleep: Sleep, seconds: float | None) -> None:
    """Wait for a ring, or for so many seconds; None waits for the ring alone."""
    if seconds is None:
        await rung.wait()
        return
    async with anyio.create_task_group() as group:

        async def wake() -> None:
            await sleep(seconds)
            group.cancel_scope.cancel()

        group.start_soon(wake)
        await rung.wait()
        group.cancel_scope.cancel()
