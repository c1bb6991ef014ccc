"""Clients that watch the wallet, the latest calls or the catalog, and what they are told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.subscriptions import listen
from mcp.shared.exceptions import MCPError
from mcp_types import ResourceUpdatedNotification

from jecp_mcp.server.elicitation import Askers
from jecp_mcp.server.list_changed import ListChangedNotifier
from jecp_mcp.server.mcp_server import build_server
from jecp_mcp.server.resource_updates import MOST_WATCHED, ResourceUpdates
from tests.contract.tools.shop import opened

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings(
        "ignore:resources/(un)?subscribe is removed:mcp.shared.exceptions.MCPDeprecationWarning"
    ),
]

TOOL = "docs_invoice_render"
WALLET, RECENT, CATALOG = "jecp://wallet", "jecp://ledger/recent", "jecp://catalog"


class Heard:
    """The addresses that a client was told of, in order."""

    def __init__(self) -> None:
        self.uris: list[str] = []
        self.came = anyio.Event()

    def note(self, uri: object) -> None:
        self.uris.append(str(uri))
        self.came.set()
        self.came = anyio.Event()

    async def message(self, message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            self.note(message.params.uri)

    async def told(self, *uris: str) -> None:
        """Wait until it was told of these, and of nothing else."""
        with anyio.fail_after(60):
            while len(self.uris) < len(uris):
                await self.came.wait()
        assert tuple(self.uris) == uris
        self.uris.clear()


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[tuple[Any, ResourceUpdates]]:
    async with opened(path) as shop, anyio.create_task_group() as tasks:
        notifier = ListChangedNotifier()
        updates = ResourceUpdates(notifier.publish)
        shop.calls.ended = updates.note_call
        tasks.start_soon(updates.run)
        yield build_server(shop.dispatcher, notifier, Askers(patience=10), updates=updates), updates
        tasks.cancel_scope.cancel()


async def test_a_session_is_told_of_what_it_watches_and_of_nothing_else(tmp_path: Path) -> None:
    heard = Heard()
    async with (
        serving(tmp_path) as (server, updates),
        Client(server, mode="legacy", message_handler=heard.message) as client,
    ):
        for uri in (WALLET, CATALOG, "test://never"):
            await client.session.subscribe_resource(uri)
        await client.call_tool(TOOL, {"n": 1})
        await heard.told(WALLET)
        await client.session.unsubscribe_resource(WALLET)
        await client.session.subscribe_resource(RECENT)
        await client.call_tool(TOOL, {"n": 2})
        updates.note_catalog()
        await heard.told(CATALOG, RECENT)


async def test_a_stream_is_told_of_what_it_names(tmp_path: Path) -> None:
    heard = Heard()
    async with (
        serving(tmp_path) as (server, _),
        Client(server, mode="2026-07-28") as client,
        listen(client.session, resource_subscriptions=[RECENT]) as events,
        anyio.create_task_group() as tasks,
    ):

        async def hear() -> None:
            async for event in events:
                heard.note(getattr(event, "uri", None))

        tasks.start_soon(hear)
        await client.call_tool(TOOL, {"n": 1})
        await heard.told(RECENT)
        tasks.cancel_scope.cancel()


async def test_a_session_watches_no_more_than_so_much(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, _), Client(server, mode="legacy") as client:
        for at in range(MOST_WATCHED):
            await client.session.subscribe_resource(f"test://{at}")
        with pytest.raises(MCPError, match="64 addresses at most"):
            await client.session.subscribe_resource("test://more")


async def test_who_has_gone_keeps_nobody_from_being_told() -> None:
    class Connection:
        def __init__(self) -> None:
            self.exit_stack = AsyncExitStack()

    class Session:
        def __init__(self, fault: Exception | None = None) -> None:
            self._connection = Connection()
            self.fault = fault
            self.told = anyio.Event()
            self.times = 0

        async def send_resource_updated(self, _uri: str) -> None:
            self.times += 1
            self.told.set()
            if self.fault is not None:
                raise self.fault

    class Asked:
        def __init__(self, session: Session) -> None:
            self.session = session

    class Named:
        uri = WALLET

    async def nobody(_event: object) -> None:
        pass

    updates: Any = ResourceUpdates(nobody)
    gone, here = Session(anyio.ClosedResourceError()), Session()
    for session in (gone, here):
        await updates.subscribe(Asked(session), Named())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(updates.run)
        for _ in range(2):
            here.told = anyio.Event()
            updates.note_call()
            with anyio.fail_after(60):
                await here.told.wait()
        tasks.cancel_scope.cancel()
    assert (gone.times, here.times) == (1, 2)
