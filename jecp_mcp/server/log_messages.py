"""Log messages for 2025-era sessions that ask for them: what a call is doing, and what the operator is warned of.

A session is sent nothing before it sets a level. Over HTTP nobody may be looking at the server's own output; and many
clients never ask for progress. The 2026 protocol gives log messages up, and so do we there.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import Any, Final, get_args

import anyio
from mcp.server.session import ServerSession
from mcp.shared.exceptions import MCPError
from mcp_types import LoggingLevel, LoggingMessageNotification, LoggingMessageNotificationParams, SetLevelRequestParams

from jecp_mcp.server.request_context import Context, connection_key, when_connection_ends
from jecp_mcp.tools.publishing.cleaning import safe_text

LOGGER: Final = "jecp-mcp"

_PACKAGE: Final = "jecp_mcp"
_RANKS: Final = {level: rank for rank, level in enumerate(get_args(LoggingLevel))}
_MOST_WAITING: Final = 100
_LONGEST: Final = 1_000
_SEND_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Reader:
    session: ServerSession
    level: LoggingLevel

    def wants(self, level: LoggingLevel) -> bool:
        return _RANKS[level] >= _RANKS[self.level]


class LogMessages:
    """Who reads the log, from which level on. One per process."""

    def __init__(self) -> None:
        """Know no reader yet."""
        self._readers: dict[int, _Reader] = {}
        self._waiting: deque[tuple[LoggingLevel, str]] = deque(maxlen=_MOST_WAITING)
        self._pending = anyio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def set_level(self, ctx: Context, params: SetLevelRequestParams) -> dict[str, Any]:
        """Send a session what is of this level or worse, for as long as it lives."""
        key = connection_key(ctx.session)
        if key not in self._readers:
            when_connection_ends(ctx.session, self._readers.pop, key, None)
        self._readers[key] = _Reader(ctx.session, params.level)
        return {}

    async def tell(self, ctx: Context, message: str) -> None:
        """Say to who asked for it what their call is doing, on the way that its answer takes.

        Raises:
            anyio.BrokenResourceError: the client has gone, or `anyio.ClosedResourceError`.
        """
        reader = self._readers.get(connection_key(ctx.session))
        if reader is not None and reader.wants("info"):
            await ctx.session.send_notification(_notice("info", message), related_request_id=ctx.request_id)

    def take(self, record: logging.LogRecord) -> bool:
        """Pass a record of this program on, from any thread; as a filter that keeps nothing back."""
        if self._loop is not None and record.name.partition(".")[0] == _PACKAGE:
            level: LoggingLevel = "error" if record.levelno >= logging.ERROR else "warning"
            self._waiting.append((level, record.getMessage()))
            self._loop.call_soon_threadsafe(self._wake)
        return True

    def _wake(self) -> None:
        self._pending.set()

    async def run(self) -> None:
        """Send what is logged until cancelled."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                await self._pending.wait()
                self._pending = anyio.Event()
                while self._waiting:
                    await self._send(*self._waiting.popleft())
        finally:
            self._loop = None

    async def _send(self, level: LoggingLevel, message: str) -> None:
        async with anyio.create_task_group() as tasks:
            for key, reader in list(self._readers.items()):
                if reader.wants(level):
                    tasks.start_soon(self._send_to, key, reader.session, _notice(level, message))

    async def _send_to(self, key: int, session: ServerSession, notice: LoggingMessageNotification) -> None:
        with anyio.move_on_after(_SEND_SECONDS):
            try:
                await session.send_notification(notice)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, MCPError):
                self._readers.pop(key, None)


def _notice(level: LoggingLevel, message: str) -> LoggingMessageNotification:
    data = safe_text(message, _LONGEST, one_line=True)
    return LoggingMessageNotification(params=LoggingMessageNotificationParams(level=level, logger=LOGGER, data=data))
