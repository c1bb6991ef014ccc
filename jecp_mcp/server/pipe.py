"""Lines of a pipe or socket, read by the event loop itself: no thread hand-off between a host's question and us."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, cast

log = logging.getLogger(__name__)

MOST_LINE_BYTES: Final = 4 * 1024 * 1024
"""The longest line, as much as the HTTP transports take in one request. A longer one is thrown away as it comes in."""

_MOST_LINES: Final = 64
"""How far is read ahead, in lines or in bytes of one longest line: then the pipe is left alone, and the host waits."""


def readable_by_loop(fd: int) -> bool:
    """Whether the event loop can wait for `fd`: pipes and sockets. A terminal is left as its shell has it."""
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def warn_of_a_long_line() -> None:
    """Say that a message was thrown away; which request it was is not known, so its host waits in vain."""
    log.warning("a message of more than %d bytes was not read; nothing was bought by it", MOST_LINE_BYTES)


class PipeLines(asyncio.Protocol):
    """Lines as they arrive; iterate once."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self._partial = bytearray()
        self._too_long = False
        self._held = 0
        self._arrived = asyncio.Event()
        self._ended = False
        self._paused = False
        self._transport: asyncio.ReadTransport | None = None

    @classmethod
    async def open(cls, fd: int) -> PipeLines:
        """Begin to read; `fd` is ours from now on."""
        loop = asyncio.get_running_loop()
        _, lines = await loop.connect_read_pipe(cls, os.fdopen(fd, "rb", buffering=0))
        return lines

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport, to be able to pause it."""
        self._transport = cast("asyncio.ReadTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Cut what came into lines."""
        *whole, rest = data.split(b"\n")
        for part in whole:
            self._extend(part)
            self._take()
        self._extend(rest)
        if not whole:
            return
        if (len(self._lines) >= _MOST_LINES or self._held >= MOST_LINE_BYTES) and self._transport is not None:
            self._transport.pause_reading()
            self._paused = True
        self._arrived.set()

    def _extend(self, part: bytes) -> None:
        if len(self._partial) + len(part) > MOST_LINE_BYTES:
            self._too_long = True
            self._partial.clear()
        if not self._too_long:
            self._partial += part

    def _take(self) -> None:
        """Put the line away that has come to its end."""
        if self._too_long:
            warn_of_a_long_line()
        else:
            line = self._partial.decode("utf-8", "replace")
            self._held += len(line)
            self._lines.append(line)
        self._too_long = False
        self._partial.clear()

    def eof_received(self) -> None:
        """The host has closed its end; what stands without a newline is the last line."""
        if self._partial or self._too_long:
            self._take()
        self._ended = True
        self._arrived.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The pipe is gone, with or without a word."""
        del exc
        self._ended = True
        self._arrived.set()

    def close(self) -> None:
        """Stop reading."""
        if self._transport is not None:
            self._transport.close()

    async def __aiter__(self) -> AsyncIterator[str]:
        """Iterate until the end of the stream."""
        while True:
            while self._lines:
                line = self._lines.popleft()
                self._held -= len(line)
                if self._paused and not self._lines and self._transport is not None:
                    self._paused = False
                    self._transport.resume_reading()
                yield line
            if self._ended:
                return
            self._arrived.clear()
            await self._arrived.wait()
