"""The Tasks extension (SEP-2663): a call that takes long is answered by a task, which its client asks for.

A task is a call of the ledger, and its id the call's: it is there after this process has ended, for whoever made the
call and nobody else, and its result is the call's answer. Only clients that declare the extension are given one.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import decode_header_value
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, RequestParams
from mcp_types.jsonrpc import HEADER_MISMATCH, MISSING_REQUIRED_CLIENT_CAPABILITY
from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from jecp_mcp.calls.ports import Caller
from jecp_mcp.calls.refusals import ledger_trouble
from jecp_mcp.clock import iso
from jecp_mcp.errors import LedgerError, ToolFault
from jecp_mcp.mandate.records import CallRow
from jecp_mcp.mandate.states import OPEN
from jecp_mcp.server import mcp_json
from jecp_mcp.server.request_context import Context, is_modern
from jecp_mcp.tools.dispatch import ToolDispatcher

EXTENSION: Final = "io.modelcontextprotocol/tasks"

PATIENCE: Final = 0.5
"""How long a call may take before a client that knows tasks is given one, in seconds."""

_POLL_MS: Final = 1_000
_MOST_CANCELLED: Final = 1_024
_CANCELLED: Final = (
    "It is not waited for any more. What was sent cannot be called back and may be charged: jecp_status says what "
    "became of it, and gives its answer at no further cost."
)
_IN_WORK: Final = "The payee is working on it. Whether it is charged is not known yet."


class TaskParams(RequestParams):
    """What all methods of tasks are given."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")

    task_id: str = Field(max_length=200)


def knows_tasks(ctx: Context) -> bool:
    """Whether the client that asks knows tasks, as its request or its session says."""
    capabilities = ctx.session.client_capabilities
    return is_modern(ctx) and EXTENSION in ((capabilities and capabilities.extensions) or {})


def create_result(row: CallRow) -> dict[str, Any]:
    """The answer to ``tools/call`` for a call that goes on."""
    return {"resultType": "task", **_task(row, "working", _IN_WORK)}


class Tasks:
    """The methods ``tasks/get``, ``tasks/update`` and ``tasks/cancel``. One per process."""

    def __init__(self, dispatcher: ToolDispatcher, caller: Caller) -> None:
        """Show the calls of `caller`."""
        self._dispatcher = dispatcher
        self._caller = caller
        self._cancelled: OrderedDict[str, None] = OrderedDict()

    def offer(self, server: Server[dict[str, Any]]) -> None:
        """Have a server offer them."""
        server.extensions[EXTENSION] = {}
        for method, handler in (("get", self.get), ("update", self.update), ("cancel", self.cancel)):
            server.add_request_handler(f"tasks/{method}", TaskParams, handler)

    async def get(self, ctx: Context, params: TaskParams) -> dict[str, Any]:
        """How a task stands; of one that has ended, the result of its call, which counts as delivered then."""
        row = await self._row(ctx, params)
        if row.call_id in self._cancelled:
            return {"resultType": "complete", **_task(row, "cancelled", _CANCELLED)}
        if row.state in OPEN:
            return {"resultType": "complete", **_task(row, "working", _IN_WORK)}
        try:
            result = mcp_json.result(await self._dispatcher.outcome(row.call_id, self._caller))
        except (ToolFault, LedgerError) as exc:
            raise _protocol_error(exc) from exc
        return {"resultType": "complete", **_task(row, "completed"), "result": result}

    async def update(self, ctx: Context, params: TaskParams) -> dict[str, Any]:
        """Take note of answers; no task of ours ever waits for one."""
        await self._row(ctx, params)
        return {"resultType": "complete"}

    async def cancel(self, ctx: Context, params: TaskParams) -> dict[str, Any]:
        """Wait no more for a task. Its call goes on: what was sent cannot be called back."""
        row = await self._row(ctx, params)
        if row.state in OPEN:
            self._cancelled[row.call_id] = None
            if len(self._cancelled) > _MOST_CANCELLED:
                self._cancelled.popitem(last=False)
        return {"resultType": "complete"}

    async def _row(self, ctx: Context, params: TaskParams) -> CallRow:
        if not knows_tasks(ctx):
            raise MCPError(
                MISSING_REQUIRED_CLIENT_CAPABILITY,
                f"the client has not declared the extension {EXTENSION}",
                {"requiredCapabilities": {"extensions": {EXTENSION: {}}}},
            )
        named = None if ctx.request is None else decode_header_value(ctx.request.headers.get("mcp-name"))
        if named is not None and named != params.task_id:
            raise MCPError(HEADER_MISMATCH, "the header Mcp-Name names another task than the request")
        try:
            row = await self._dispatcher.call_row(params.task_id, self._caller)
        except LedgerError as exc:
            raise _protocol_error(exc) from exc
        if row is None:
            raise MCPError(INVALID_PARAMS, "there is no such task")
        return row


def _protocol_error(fault: ToolFault | LedgerError) -> MCPError:
    return MCPError(INTERNAL_ERROR, ledger_trouble(fault).message if isinstance(fault, LedgerError) else str(fault))


def _task(row: CallRow, status: str, message: str | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {
        "taskId": row.call_id,
        "status": status,
        "createdAt": iso(row.created_at),
        "lastUpdatedAt": iso(row.created_at if row.ended_at is None else row.ended_at),
        # The ledger keeps every call.
        "ttlMs": None,
        "pollIntervalMs": _POLL_MS,
    }
    return made if message is None else made | {"statusMessage": message}
