"""Lines of a pipe or socket, read by the event loop itself: no thread hand-off between a host's question and us."""

from __future__ import annotations

import asyncio
import os
import stat
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, cast

from jecp_mcp.server.long_lines import MOST_LINE_BYTES, LongLine

_MOST_LINES: Final = 64
"""How far is read ahead, in lines or in bytes of one longest line: then the pipe is left alone, and the host waits."""


def readable_by_loop(fd: int) -> bool:
    """Whether the event loop can wait for `fd`: pipes and sockets. A terminal is left as its shell has it."""
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


class PipeLines(asyncio.Protocol):
    """Lines as they arrive, of one that is too long what is kept; iterate once."""

    def __init__(self) -> None:
        self._lines: deque[str | LongLine] = deque()
        self._partial = bytearray()
        self._too_long: LongLine | None = None
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
        if self._too_long is not None:
            self._too_long.extend(part)
        elif len(self._partial) + len(part) <= MOST_LINE_BYTES:
            self._partial += part
        else:
            self._too_long = LongLine(self._partial + part)
            self._partial.clear()

    def _take(self) -> None:
        """Put the line away that has come to its end."""
        line = self._partial.decode("utf-8", "replace") if self._too_long is None else self._too_long
        self._held += len(line)
        self._lines.append(line)
        self._too_long = None
        self._partial.clear()

    def eof_received(self) -> None:
        """The host has closed its end; what stands without a newline is the last line."""
        if self._partial or self._too_long is not None:
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

    async def __aiter__(self) -> AsyncIterator[str | LongLine]:
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
