"""What sessions that set a log level are told, and that no others are told anything."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from jecp_mcp.domain.outcomes import Outcome
from jecp_mcp.rails.base import Journal, OpenCall, Progress
from jecp_mcp.server.elicitation import Askers
from jecp_mcp.server.list_changed import ListChangedNotifier
from jecp_mcp.server.log_messages import LogMessages
from jecp_mcp.server.mcp_server import build_server
from tests.contract.tools.shop import charged, opened

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:.*logging.*:mcp.shared.exceptions.MCPDeprecationWarning"),
]

TOOL = "docs_invoice_render"


class Heard:
    """The messages that a client was sent."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []
        self.came = anyio.Event()

    async def __call__(self, params: Any) -> None:
        self.messages.append((params.level, params.data))
        self.came.set()
        self.came = anyio.Event()

    async def told(self, *messages: tuple[str, str]) -> None:
        """Wait until it was told these, and nothing else."""
        with anyio.fail_after(60):
            while len(self.messages) < len(messages):
                await self.came.wait()
        assert tuple(self.messages) == messages
        self.messages.clear()


async def reporting(call: OpenCall, _journal: Journal, progress: Progress | None = None) -> Outcome:
    assert progress is not None
    await progress.report(1.0, None, "half\x1bway")
    return charged(call.request)


class Quiet(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        pass


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[Any]:
    handler, logs = Quiet(), LogMessages()
    # As on the log's handler in a server.
    handler.addFilter(logs.take)
    logging.getLogger().addHandler(handler)
    try:
        async with opened(path) as shop, anyio.create_task_group() as tasks:
            shop.rail.execute = reporting  # type: ignore[method-assign]
            tasks.start_soon(logs.run)
            await anyio.wait_all_tasks_blocked()
            yield build_server(shop.dispatcher, ListChangedNotifier(), Askers(patience=10), logs=logs)
            tasks.cancel_scope.cancel()
    finally:
        logging.getLogger().removeHandler(handler)


async def test_a_session_is_told_from_the_level_on_that_it_sets(tmp_path: Path) -> None:
    heard, log = Heard(), logging.getLogger("jecp_mcp.catalog.pins")
    async with serving(tmp_path) as server, Client(server, mode="legacy", logging_callback=heard) as client:
        log.warning("nobody asked")
        await client.call_tool(TOOL, {"n": 1})
        await client.session.set_logging_level("warning")
        await client.call_tool(TOOL, {"n": 2})
        log.warning("%d actions are held", 3)
        logging.getLogger("somebody.else").warning("not of this program")
        log.error("the ledger is damaged")
        await heard.told(("warning", "3 actions are held"), ("error", "the ledger is damaged"))
        await client.session.set_logging_level("debug")
        await client.call_tool(TOOL, {"n": 3})
        await heard.told(("info", f"{TOOL}: halfway"))
        await client.session.set_logging_level("error")
        log.warning("not that bad")
        await anyio.to_thread.run_sync(log.error, "from a thread")
        await heard.told(("error", "from a thread"))


async def test_no_client_of_the_later_era_is_told(tmp_path: Path) -> None:
    heard = Heard()
    async with serving(tmp_path) as server, Client(server, mode="2026-07-28", logging_callback=heard) as client:
        logging.getLogger("jecp_mcp").error("the ledger is damaged")
        await client.call_tool(TOOL, {"n": 1})
        await anyio.wait_all_tasks_blocked()
    assert heard.messages == []


async def test_who_has_gone_keeps_nobody_from_being_told() -> None:
    class Session:
        def __init__(self, fault: Exception | None = None) -> None:
            self._connection = self
            self.exit_stack = AsyncExitStack()
            self.fault = fault
            self.told: list[str] = []

        async def send_notification(self, notice: Any) -> None:
            self.told.append(notice.params.data)
            if self.fault is not None:
                raise self.fault

    class Asked:
        def __init__(self, session: Session) -> None:
            self.session = session

    class All:
        level = "debug"

    logs: Any = LogMessages()
    gone, here = Session(anyio.ClosedResourceError()), Session()
    for session in (gone, here):
        await logs.set_level(Asked(session), All())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(logs.run)
        await anyio.wait_all_tasks_blocked()
        for text in ("one", "two"):
            logs.take(logging.LogRecord("jecp_mcp", logging.WARNING, "f", 1, text, (), None))
            await anyio.wait_all_tasks_blocked()
            with anyio.fail_after(60):
                while here.told[-1:] != [text]:
                    await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert (gone.told, here.told) == (["one"], ["one", "two"])
