"""Whether anybody is left to serve: a host's end of the pipe may stay open in another process that it started."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

import anyio

_Line = TypeVar("_Line")

LOOK_SECONDS: Final = 2.0
"""How often is looked."""

GRACE_SECONDS: Final = 4.0
"""How long whoever may speak in the parent's place has to say something."""


class ParentWatch:
    """Notices that the process that started this one has ended, and nobody speaks in its place.

    A launcher that ends while its host goes on is no reason to leave the host: who speaks after that is served until
    the end of its pipe.
    """

    def __init__(
        self,
        parent: Callable[[], int] = os.getppid,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        """Watch the parent that there is now.

        Args:
            parent: gives its process id; another one, of whoever takes orphans in, once it has ended (POSIX _exit).
            sleep: waits that many seconds.
        """
        self._parent = parent
        self._sleep = sleep
        self._first = parent()
        self._heard = 0

    async def listen(self, lines: AsyncIterable[_Line]) -> AsyncIterator[_Line]:
        """Pass lines on, to know that somebody speaks."""
        async for line in lines:
            self._heard += 1
            yield line

    async def wait(self) -> None:
        """Return once the parent has ended and nobody has spoken since; never where somebody has."""
        while self._parent() == self._first:
            await self._sleep(LOOK_SECONDS)
        heard = self._heard
        await self._sleep(GRACE_SECONDS)
        if self._heard != heard:
            await anyio.sleep_forever()
