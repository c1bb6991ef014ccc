"""Sending large bodies to the server before the changes that name them, on a line of their own.

A change that names a large answer waits until its parts are there, and nothing else waits for it: the head is not
locked meanwhile. Should this process end before, the call is what it was, ``sent`` or in doubt, and whoever takes it
over asks its payee again; parts that nothing names are swept in time.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from jecp_mcp.errors import LedgerDamaged, LedgerError, LedgerUnavailable
from jecp_mcp.mandate.postgres.bodies import INLINE, LONGEST, UploadedBody, parts_of
from jecp_mcp.mandate.records import Conclusion

if TYPE_CHECKING:
    from jecp_mcp.mandate.postgres.server import Server

_LOG = logging.getLogger(__name__)

_RETRY: Final = 1.0
"""How long to rest after a part could not be sent, in seconds."""

_LONGEST_PART: Final = 60.0
"""How long a part may be on its way before its connection is given up, in seconds."""


_LONGEST_FAREWELL: Final = 10.0
"""How long a process that ends waits for what is on its way, in seconds."""


@dataclass(slots=True)
class _Load:
    """A conclusion whose answer is on its way, and the name of the answer's parts."""

    conclusion: Conclusion
    upload: str = field(default_factory=lambda: secrets.token_hex(16))


class BodyUploads:
    """The line for large bodies. Used from one event loop at a time."""

    def __init__(self, server: Server, queue: Callable[[Conclusion], None]) -> None:
        """Send what is large to `server`, and hand the conclusions on to `queue` when their answers are there."""
        self._server = server
        self._queue = queue
        self._waiting: deque[_Load] = deque()
        self._pool = ThreadPoolExecutor(1, "ledger-bodies")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._attempt: asyncio.Task[None] | None = None

    @property
    def calls(self) -> list[str]:
        """The ids of the calls whose answers are on their way."""
        return [load.conclusion.call_id for load in self._waiting]

    def conclude(self, conclusion: Conclusion) -> None:
        """Hand a conclusion on: at once, or when its answer is there."""
        answer = conclusion.answer
        if answer is not None and len(answer) > LONGEST:
            self._queue(_without(conclusion, f"its answer of {len(answer)} bytes is too long to be kept"))
        elif answer is None or len(answer) <= INLINE:
            self._queue(conclusion)
        else:
            self._waiting.append(_Load(conclusion))
            self.start()

    async def upload(self, body: bytes) -> bytes:
        """A body as a change may carry it: sent before, where it is large.

        Raises:
            LedgerUnavailable: the server cannot be written now.
        """
        return body if len(body) <= INLINE else await self._send(body, secrets.token_hex(16))

    async def flush(self) -> None:
        """Wait until everything that was on its way is there.

        Raises:
            LedgerError: it could not be sent, and stays on its way.
        """
        while self._waiting:
            await asyncio.shield(self._attempt_first())

    async def finish(self) -> None:
        """Wait as long as a process that ends may.

        Raises:
            LedgerError: not everything that was on its way is there.
        """
        try:
            async with asyncio.timeout(_LONGEST_FAREWELL):
                await self.flush()
        except TimeoutError:
            raise LedgerUnavailable(
                "an answer could not be sent to the ledger in time; whoever takes its call over asks for it again"
            ) from None

    def start(self) -> None:
        """Go on with what is on its way, if there is an event loop to do so."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # It goes with the next change that somebody waits for.
            return
        if loop is not self._loop:
            self._loop, self._task, self._attempt = loop, None, None
        if self._waiting and (self._task is None or self._task.done()):
            self._task = loop.create_task(self._go_on())

    def stop(self) -> None:
        """Let go of the thread and of what is on its way."""
        for task in (self._task, self._attempt):
            if task is not None:
                task.cancel()
        self._server.uploader.break_off()
        self._pool.shutdown()

    async def _go_on(self) -> None:
        while self._waiting:
            try:
                await asyncio.shield(self._attempt_first())
            except LedgerError as exc:
                _LOG.warning("an answer is not kept yet, and neither is what its call cost: %s", exc)
                await asyncio.sleep(_RETRY)

    def _attempt_first(self) -> asyncio.Task[None]:
        """The attempt to send the first of what is on its way."""
        self.start()
        if self._attempt is None or self._attempt.done():
            self._attempt = asyncio.get_running_loop().create_task(self._send_first())
        return self._attempt

    async def _send_first(self) -> None:
        load = self._waiting[0]
        answer = load.conclusion.answer
        assert answer is not None
        try:
            end = replace(load.conclusion, answer=await self._send(answer, load.upload))
        except (LedgerUnavailable, LedgerDamaged):
            raise
        except LedgerError as exc:
            end = _without(load.conclusion, f"its answer could not be kept: {exc}")
        self._waiting.popleft()
        self._queue(end)

    async def _send(self, body: bytes, upload: str) -> UploadedBody:
        from jecp_mcp.mandate.postgres.ledger_queries import LedgerQueries

        there: set[int] = await self._in_thread(lambda connection: LedgerQueries(connection).parts(upload))
        for number, part in parts_of(body):
            if number not in there:
                await self._in_thread(
                    lambda connection, number=number, part=part: connection.put_part(upload, number, part)
                )
        return UploadedBody.of(body, upload)

    async def _in_thread(self, using: Callable[..., Any]) -> Any:
        loop = asyncio.get_running_loop()
        sending = loop.run_in_executor(self._pool, lambda: self._server.read(using, self._server.uploader))
        while not (await asyncio.wait([sending], timeout=_LONGEST_PART))[0]:
            self._server.uploader.break_off()
        return await sending


def _without(conclusion: Conclusion, why: str) -> Conclusion:
    evidence = why if conclusion.evidence is None else f"{conclusion.evidence}; {why}"
    return replace(conclusion, answer=None, evidence=evidence)
