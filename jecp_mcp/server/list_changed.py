"""Telling connected clients that their tool list changed, in both protocol eras.

2025-era clients get ``notifications/tools/list_changed`` on their session; 2026-era clients get it on the
``subscriptions/listen`` streams they opened. Each is silently ignored on the other era, so both are sent; but only to
clients whose own list is no longer what it was when they connected or were last told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ServerEvent, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp_types import NotificationParams, SubscriptionsListenRequestParams, SubscriptionsListenResult

from jecp_mcp.server.request_context import when_connection_ends
from jecp_mcp.tools.publishing.host_profiles import STRICT, Profile
from jecp_mcp.tools.types import ToolCard

log = logging.getLogger(__name__)

SETTLE_SECONDS: Final = 0.1
"""How long to wait for further changes before clients are told of the first."""

_SEND_SECONDS = 2.0
_MOST_SESSIONS = 1024

Cards = tuple[ToolCard, ...]


@dataclass
class _Streams:
    """The 2026-era streams of the hosts of one profile, and the list they were last told of."""

    profile: Profile
    last_sent: Cards
    bus: InMemorySubscriptionBus = field(default_factory=InMemorySubscriptionBus)

    def __post_init__(self) -> None:
        self.listen = ListenHandler(self.bus)


@dataclass
class _Listener:
    """A 2025-era session, and the list it was last told of."""

    session: ServerSession
    profile: Profile
    last_sent: Cards


class ListChangedNotifier:
    """Coalesces change notices and sends them to every client they concern."""

    def __init__(self, *, settle_seconds: float = SETTLE_SECONDS) -> None:
        """Wait `settle_seconds` after a change for others that come with it."""
        self._settle_seconds = settle_seconds
        self._streams: dict[str, _Streams] = {}
        self._sessions: dict[int, _Listener] = {}
        self._pending = anyio.Event()
        self._profile: Callable[[ServerSession], Profile] = lambda _: STRICT
        self._cards: Callable[[Profile], Cards] = lambda _: ()

    def bind(self, profile: Callable[[ServerSession], Profile], cards: Callable[[Profile], Cards]) -> None:
        """Learn what a client takes, and what hosts that take that are shown."""
        self._profile, self._cards = profile, cards

    async def listen(
        self, ctx: ServerRequestContext[Any, Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Serve one stream of a 2026-era client until it leaves."""
        profile = self._profile(ctx.session)
        streams = self._streams.get(profile.name)
        if streams is None:
            streams = self._streams[profile.name] = _Streams(profile, self._cards(profile))
        return await streams.listen(ctx, params)

    async def add_session(self, ctx: ServerRequestContext[Any, Any], _params: NotificationParams) -> None:
        """Remember a 2025-era session for as long as its connection lives."""
        session = ctx.session
        if len(self._sessions) >= _MOST_SESSIONS:
            log.warning("more than %d sessions: a new one gets no change notices", _MOST_SESSIONS)
            return
        profile = self._profile(session)
        self._sessions[id(session)] = _Listener(session, profile, self._cards(profile))
        when_connection_ends(session, self._sessions.pop, id(session), None)

    async def publish(self, event: ServerEvent) -> None:
        """Send an event on every 2026-era stream that asked for its kind."""
        for streams in list(self._streams.values()):
            await streams.bus.publish(event)

    def note_change(self) -> None:
        """Note that the published list may have changed; `run` tells the clients whose list did."""
        self._pending.set()

    async def run(self) -> None:
        """Send notices until cancelled. Changes that arrive together make one notice, or none if they cancel out."""
        while True:
            await self._pending.wait()
            await anyio.sleep(self._settle_seconds)
            self._pending = anyio.Event()
            for streams in list(self._streams.values()):
                if (cards := self._cards(streams.profile)) != streams.last_sent:
                    streams.last_sent = cards
                    await streams.bus.publish(ToolsListChanged())
            async with anyio.create_task_group() as tasks:
                for listener in list(self._sessions.values()):
                    if (cards := self._cards(listener.profile)) != listener.last_sent:
                        listener.last_sent = cards
                        tasks.start_soon(self._notify, listener.session)

    async def _notify(self, session: ServerSession) -> None:
        with anyio.move_on_after(_SEND_SECONDS):
            try:
                await session.send_tool_list_changed()
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, MCPError):
                self._sessions.pop(id(session), None)
