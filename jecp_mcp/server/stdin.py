"""Standard input as cancellable lines.

The SDK reads stdin through a worker thread that cannot be interrupted, so a server told to end by a signal would wait
for a line that never comes. Here a daemon thread reads, and the event loop only receives.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import AsyncIterator
from typing import Self

import anyio
import anyio.from_thread
import anyio.lowlevel

_MOST_LINES = 64


class Lines:
    """Lines of a binary stream, read by a daemon thread that may be left behind at exit."""

    def __init__(self, fd: int) -> None:
        self._file = os.fdopen(fd, "r", encoding="utf-8", errors="replace", newline="\n")
        self._send, self._receive = anyio.create_memory_object_stream[str](_MOST_LINES)
        self._token = anyio.lowlevel.current_token()

    def start(self) -> Self:
        """Begin to read."""
        threading.Thread(target=self._read, name="stdin", daemon=True).start()
        return self

    def _read(self) -> None:
        try:
            for line in self._file:
                anyio.from_thread.run(self._send.send, line, token=self._token)
            anyio.from_thread.run_sync(self._send.close, token=self._token)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, RuntimeError, anyio.RunFinishedError):
            # The loop has ended, or stopped listening: there is nobody left to read for.
            return

    def __aiter__(self) -> AsyncIterator[str]:
        """Iterate until the end of the stream."""
        return self._receive.__aiter__()

    async def aclose(self) -> None:
        """Stop listening."""
        self._receive.close()


def claim() -> Lines:
    """Take over standard input: fd 0 then reads the null device, so that no child or stray read eats the protocol."""
    private = os.dup(sys.stdin.fileno())
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, sys.stdin.fileno())
    os.close(null)
    return Lines(private).start()
