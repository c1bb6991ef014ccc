"""A call that takes long, for a client that knows tasks and for one that does not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest
from mcp import Client
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolResult, Request, RequestParams, Result
from mcp_types.jsonrpc import MISSING_REQUIRED_CLIENT_CAPABILITY
from pydantic import ConfigDict

from jecp_mcp.domain.outcomes import Outcome
from jecp_mcp.mandate.states import OPEN
from jecp_mcp.rails.base import Journal, OpenCall, Progress
from jecp_mcp.server.elicitation import Askers
from jecp_mcp.server.list_changed import ListChangedNotifier
from jecp_mcp.server.mcp_server import build_server
from jecp_mcp.server.tasks import EXTENSION
from tests.contract.tools.shop import Shop, opened, refusing

pytestmark = pytest.mark.anyio

MODERN = "2026-07-28"
INVOICE, ARGUMENTS = "docs_invoice_render", {"n": 1}


class Task(Result):
    """What a client is given in place of the answer."""

    model_config = ConfigDict(extra="allow")

    result_type: Literal["task"] = "task"
    taskId: str  # noqa: N815 - the protocol's name


@dataclass
class Patient(ClientExtension):
    """A client that keeps the tasks it is given."""

    tasks: list[Task] = field(default_factory=list)
    identifier = EXTENSION

    def claims(self) -> list[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=Task, resolve=self._keep)]

    async def _keep(self, task: Task, _context: ClaimContext) -> CallToolResult:
        self.tasks.append(task)
        return CallToolResult(content=[])


class Named(RequestParams):
    taskId: str  # noqa: N815


@dataclass
class Seat:
    shop: Shop
    client: Client
    known: Patient
    go_on: anyio.Event

    async def begin(self) -> Task:
        await self.client.call_tool(INVOICE, ARGUMENTS)
        return self.known.tasks[-1]

    async def ask(self, method: str, task: str) -> dict[str, Any]:
        request = Request[Named, str](method=f"tasks/{method}", params=Named(taskId=task))
        made = await self.client.session.send_request(request, Answer)  # type: ignore[arg-type]
        return made.model_dump(by_alias=True)

    async def ended(self, task: str) -> None:
        self.go_on.set()
        while (row := await self.shop.ledger.row(task)) is None or row.state in OPEN:
            await anyio.lowlevel.checkpoint()


class Answer(Result):
    model_config = ConfigDict(extra="allow")


@asynccontextmanager
async def seat(path: Path, outcome: Callable[..., Outcome] | None = None, era: str = MODERN) -> AsyncIterator[Seat]:
    go_on, known = anyio.Event(), Patient()
    async with opened(path, **({} if outcome is None else {"script": outcome})) as shop:
        now = shop.rail.execute

        async def execute(call: OpenCall, journal: Journal, progress: Progress | None = None) -> Outcome:
            await go_on.wait()
            return await now(call, journal, progress)

        shop.rail.execute = execute  # type: ignore[method-assign]
        server = build_server(shop.dispatcher, ListChangedNotifier(), Askers(patience=10), answer_seconds=0.001)
        async with Client(server, mode=era, extensions=[known]) as client:
            yield Seat(shop, client, known, go_on)


async def test_a_task_is_the_call_and_its_result_the_calls_answer(tmp_path: Path) -> None:
    async with seat(tmp_path) as at:
        begun = await at.begin()
        assert (begun.model_extra or {})["status"] == "working"
        assert (begun.model_extra or {})["ttlMs"] is None
        working = await at.ask("get", begun.taskId)
        assert working["status"] == "working"
        assert (await at.ask("update", begun.taskId))["resultType"] == "complete"
        await at.ended(begun.taskId)
        done = await at.ask("get", begun.taskId)
        assert (done["status"], done["result"]["isError"]) == ("completed", False)
        assert done["result"]["structuredContent"]["receipt"]["call_id"] == begun.taskId
        # What a task gave back is delivered: the same again is another purchase.
        await at.client.call_tool(INVOICE, ARGUMENTS)
        assert len(at.shop.rail.sent) == 2


async def test_a_call_that_failed_is_a_task_whose_result_is_the_error(tmp_path: Path) -> None:
    async with seat(tmp_path, lambda _request, _replay: refusing("PROVIDER_ERROR")) as at:
        begun = await at.begin()
        await at.ended(begun.taskId)
        done = await at.ask("get", begun.taskId)
    assert (done["status"], done["result"]["isError"]) == ("completed", True)


async def test_a_cancelled_task_is_not_waited_for_and_its_answer_is_not_lost(tmp_path: Path) -> None:
    async with seat(tmp_path) as at:
        begun = await at.begin()
        await at.ask("cancel", begun.taskId)
        cancelled = await at.ask("get", begun.taskId)
        assert cancelled["status"] == "cancelled"
        assert "may be charged" in cancelled["statusMessage"]
        await at.ended(begun.taskId)
        again = await at.client.call_tool(INVOICE, ARGUMENTS)
        assert again.structured_content is not None
        assert again.structured_content["receipt"]["call_id"] == begun.taskId
        assert len(at.shop.rail.sent) == 1
        # One that has ended stays what it came to.
        await at.ask("cancel", begun.taskId)


async def test_there_is_no_task_that_is_not_the_callers(tmp_path: Path) -> None:
    async with seat(tmp_path) as at:
        for method in ("get", "update", "cancel"):
            with pytest.raises(MCPError) as refused:
                await at.ask(method, "call_none")
            assert refused.value.error.code == INVALID_PARAMS


async def test_who_does_not_know_tasks_is_answered_by_the_calls_id(tmp_path: Path) -> None:
    async with seat(tmp_path, era="legacy") as at:
        told = await at.client.call_tool(INVOICE, ARGUMENTS)
        assert told.structured_content is not None
        assert told.structured_content["error"]["code"] == "CALL_IN_PROGRESS"
        call_id = told.structured_content["call_id"]
        assert told.structured_content["next_action"]["arguments"] == {"call_id": call_id}
        await at.ended(call_id)
        found = await at.client.call_tool("jecp_status", {"call_id": call_id})
        assert found.structured_content is not None
        assert found.structured_content["receipt"]["call_id"] == call_id
        with pytest.raises(MCPError) as refused:
            await at.ask("get", call_id)
        assert refused.value.error.code == MISSING_REQUIRED_CLIENT_CAPABILITY
