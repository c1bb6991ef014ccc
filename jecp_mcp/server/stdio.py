"""Standard input and output for the protocol alone: cancellable lines in, cheap lines out.

The SDK reads stdin through a worker thread that cannot be interrupted, so a server told to end by a signal would wait
for a line that never comes. Here the event loop reads a host's pipe itself, and a daemon thread whatever else stdin may
be: a terminal, a file. The SDK's writer pays two thread
hand-offs a message; here a message that fits into the pipe is written at once, and one that has to wait for a slow
reader waits in a daemon thread, which the end of the process does not wait for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import sys
import threading
from collections.abc import AsyncIterator
from typing import Final, Self

import anyio

from jecp_mcp.server.long_lines import MOST_LINE_BYTES, LongLine
from jecp_mcp.server.pipe import PipeLines, readable_by_loop

_MOST_LINES: Final = 64
"""How far the thread reads ahead: then it waits, and so does the host."""


class ThreadLines:
    """Lines of a stream, read by a daemon thread that may be left behind at exit."""

    def __init__(self, fd: int) -> None:
        self._file = os.fdopen(fd, "rb")
        self._send, self._receive = anyio.create_memory_object_stream[str | LongLine](_MOST_LINES + 1)
        self._room = threading.Semaphore(_MOST_LINES)
        self._loop = asyncio.get_running_loop()

    def start(self) -> Self:
        """Begin to read."""
        threading.Thread(target=self._read, name="stdin", daemon=True).start()
        return self

    def _read(self) -> None:
        try:
            while line := self._file.readline(MOST_LINE_BYTES + 1):
                if len(line) > MOST_LINE_BYTES + line.endswith(b"\n"):
                    taken: str | LongLine = self._rest(LongLine(line), ended=line.endswith(b"\n"))
                else:
                    taken = line.decode("utf-8", "replace")
                self._room.acquire()
                self._loop.call_soon_threadsafe(self._pass_on, taken)
            self._loop.call_soon_threadsafe(self._send.close)
        except RuntimeError:
            # The loop has ended: there is nobody left to read for.
            return
        finally:
            self._file.close()

    def _rest(self, line: LongLine, *, ended: bool) -> LongLine:
        """Read a line that is too long to its end."""
        while not ended and (part := self._file.readline(MOST_LINE_BYTES)):
            line.extend(part)
            ended = part.endswith(b"\n")
        return line

    def _pass_on(self, line: str | LongLine) -> None:
        try:
            self._send.send_nowait(line)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            # Nobody listens any more; the line has no reader.
            return

    async def __aiter__(self) -> AsyncIterator[str | LongLine]:
        """Iterate until the end of the stream."""
        async for line in self._receive:
            self._room.release()
            yield line


class Output:
    """Writes to a descriptor that may be a slow reader's pipe, without ever blocking the event loop."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._ready = select.poll()
        self._ready.register(fd, select.POLLOUT)
        self._pending = b""
        self._writing = anyio.Lock(fast_acquire=True)

    async def write(self, text: str) -> None:
        """Take a message; `flush` sends it."""
        self._pending += text.encode("utf-8", "replace")

    async def flush(self) -> None:
        """Send what is pending.

        Raises:
            anyio.ClosedResourceError: the reader has gone.
        """
        async with self._writing:
            # Whoever comes while another's message waits for the reader waits too, so that none is cut in two.
            data, self._pending = self._pending, b""
            await self._send(data)

    async def say(self, text: str) -> None:
        """Write and send a message; a reader that has gone needs none."""
        await self.write(text)
        with contextlib.suppress(anyio.ClosedResourceError):
            await self.flush()

    async def _send(self, data: bytes) -> None:
        try:
            # A pipe that polls as writable takes PIPE_BUF bytes at once (POSIX write); more may have to wait.
            if len(data) <= select.PIPE_BUF and any(event == select.POLLOUT for _, event in self._ready.poll(0)):
                with contextlib.suppress(BlockingIOError):
                    data = data[os.write(self._fd, data) :]
            if data:
                await self._write_slowly(data)
        except OSError as exc:
            raise anyio.ClosedResourceError from exc

    async def _write_slowly(self, data: bytes) -> None:
        """Write in a thread of its own: a worker of the loop's would keep the process from ending."""
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()

        def tell(failure: OSError | None) -> None:
            if written.cancelled():
                return
            if failure is None:
                written.set_result(None)
            else:
                written.set_exception(failure)

        def write_all() -> None:
            failure, view = None, memoryview(data)
            try:
                while view:
                    # One socket may be both input and output, and input does not block.
                    self._ready.poll()
                    view = view[os.write(self._fd, view) :]
            except OSError as exc:
                failure = exc
            # A loop that has ended has nobody who waits for this.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(tell, failure)

        threading.Thread(target=write_all, name="stdout", daemon=True).start()
        await written


async def claim_stdio() -> tuple[ThreadLines | PipeLines, Output]:
    """Take over standard input and output.

    From then on fd 0 reads the null device and fd 1 writes to stderr, so that no child, library or stray print reads
    from or writes into the protocol.
    """
    source, output = os.dup(sys.stdin.fileno()), os.dup(sys.stdout.fileno())
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, sys.stdin.fileno())
    os.close(null)
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    lines = await PipeLines.open(source) if readable_by_loop(source) else ThreadLines(source).start()
    return lines, Output(output)
