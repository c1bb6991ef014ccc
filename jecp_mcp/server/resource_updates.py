"""Telling clients that a resource which they watch is no longer what it was, in both protocol eras.

2025-era clients subscribe to each address, and are told on their session; 2026-era ones are told on the
``subscriptions/listen`` streams that name it. What a call of this process did to the books changes the wallet and the
latest calls, whoever asked for it and however late it ended; what a source tells anew changes the catalog.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
from mcp.server.session import ServerSession
from mcp.server.subscriptions import ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, SubscribeRequestParams, UnsubscribeRequestParams

from jecp_mcp.server.request_context import Context, connection_key, when_connection_ends
from jecp_mcp.tools.resources import CATALOG, RECENT, WALLET

SETTLE_SECONDS: Final = 0.1
"""How long to wait for further changes before clients are told of the first."""

MOST_WATCHED: Final = 64
"""How many addresses one session may watch."""

_LONGEST: Final = 2_048
_SEND_SECONDS: Final = 2.0


@dataclass(slots=True)
class _Watcher:
    session: ServerSession
    uris: set[str] = field(default_factory=set)


class ResourceUpdates:
    """Who watches what. One per process."""

    def __init__(self, publish: Callable[[ResourceUpdated], Awaitable[None]]) -> None:
        """Tell 2026-era clients by `publish`."""
        self._publish = publish
        self._watchers: dict[int, _Watcher] = {}
        self._updated: set[str] = set()
        self._pending = anyio.Event()

    async def subscribe(self, ctx: Context, params: SubscribeRequestParams) -> dict[str, Any]:
        """Watch an address for as long as the session lives; nothing ever comes of one that never changes."""
        key = connection_key(ctx.session)
        watcher = self._watchers.get(key)
        if len(params.uri) > _LONGEST or (watcher is not None and len(watcher.uris) >= MOST_WATCHED):
            raise MCPError(
                INVALID_PARAMS, f"a session watches {MOST_WATCHED} addresses at most, of {_LONGEST} characters"
            )
        if watcher is None:
            watcher = self._watchers[key] = _Watcher(ctx.session)
            when_connection_ends(ctx.session, self._watchers.pop, key, None)
        watcher.uris.add(params.uri)
        return {}

    async def unsubscribe(self, ctx: Context, params: UnsubscribeRequestParams) -> dict[str, Any]:
        """Watch an address no longer."""
        watcher = self._watchers.get(connection_key(ctx.session))
        if watcher is not None:
            watcher.uris.discard(params.uri)
        return {}

    def note_call(self) -> None:
        """Note that a call ended, or stands differently."""
        self._note(WALLET, RECENT)

    def note_catalog(self) -> None:
        """Note that a source told what it sells."""
        self._note(CATALOG)

    def _note(self, *uris: str) -> None:
        self._updated.update(uris)
        self._pending.set()

    async def run(self) -> None:
        """Send notices until cancelled. Changes that come together make one notice for each address."""
        while True:
            await self._pending.wait()
            await anyio.sleep(SETTLE_SECONDS)
            self._pending = anyio.Event()
            updated, self._updated = sorted(self._updated), set()
            for uri in updated:
                await self._publish(ResourceUpdated(uri))
            async with anyio.create_task_group() as tasks:
                for key, watcher in list(self._watchers.items()):
                    if watched := [uri for uri in updated if uri in watcher.uris]:
                        tasks.start_soon(self._tell, key, watcher.session, watched)

    async def _tell(self, key: int, session: ServerSession, uris: list[str]) -> None:
        with anyio.move_on_after(_SEND_SECONDS):
            try:
                for uri in uris:
                    await session.send_resource_updated(uri)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, MCPError):
                self._watchers.pop(key, None)
