"""Telling connected clients that the tool list changed, in both protocol eras.

2025-era clients get ``notifications/tools/list_changed`` on their session; 2026-era clients get it on the
``subscriptions/listen`` streams they opened. Each is silently ignored on the other era, so both are sent.
"""

from __future__ import annotations

import logging
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp_types import NotificationParams

log = logging.getLogger(__name__)

_SEND_SECONDS = 2.0
_MOST_SESSIONS = 1024


class Announcer:
    """Coalesces change notices and sends them to every connected client."""

    def __init__(self) -> None:
        self._bus = InMemorySubscriptionBus()
        self.listen = ListenHandler(self._bus)
        self._sessions: dict[int, ServerSession] = {}
        self._pending = anyio.Event()

    async def initialized(self, ctx: ServerRequestContext[Any, Any], _params: NotificationParams) -> None:
        """Remember a 2025-era session for as long as its connection lives."""
        session = ctx.session
        if len(self._sessions) >= _MOST_SESSIONS:
            log.warning("more than %d sessions: a new one gets no change notices", _MOST_SESSIONS)
            return
        self._sessions[id(session)] = session
        # The SDK keeps the connection private to the session and offers no other hook for its end.
        session._connection.exit_stack.callback(self._sessions.pop, id(session), None)  # noqa: SLF001

    def changed(self) -> None:
        """Note that the published list changed; `run` tells the clients."""
        self._pending.set()

    async def run(self) -> None:
        """Send notices until cancelled. Changes that arrive together make one notice."""
        while True:
            await self._pending.wait()
            self._pending = anyio.Event()
            await self._bus.publish(ToolsListChanged())
            async with anyio.create_task_group() as tasks:
                for session in list(self._sessions.values()):
                    tasks.start_soon(self._tell, session)

    async def _tell(self, session: ServerSession) -> None:
        with anyio.move_on_after(_SEND_SECONDS):
            try:
                await session.send_tool_list_changed()
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, MCPError):
                self._sessions.pop(id(session), None)
