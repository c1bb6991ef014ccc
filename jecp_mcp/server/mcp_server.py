"""The MCP face: handlers on the SDK's low-level server, for 2025-era and 2026-era clients alike."""

from __future__ import annotations

import bisect
import json
import logging
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.context import CallNext, HandlerResult
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.server.session import ServerSession
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolRequestParams,
    NotificationParams,
    PaginatedRequestParams,
    SetLevelRequestParams,
)
from pydantic import ValidationError

from jecp_mcp import __version__
from jecp_mcp.calls.ports import Caller
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.server import mcp_json, tasks
from jecp_mcp.server.elicitation import Askers, boundary
from jecp_mcp.server.invalid_messages import invalid_params
from jecp_mcp.server.list_changed import ListChangedNotifier
from jecp_mcp.server.log_messages import LogMessages
from jecp_mcp.server.prompt_handlers import get_prompt, list_prompts
from jecp_mcp.server.request_context import Context, client_name, complete_result, cursor_of, is_modern, unknown_cursor
from jecp_mcp.server.request_ids import UniqueIds
from jecp_mcp.server.resource_handlers import ResourceHandlers
from jecp_mcp.server.resource_updates import ResourceUpdates
from jecp_mcp.settings import ToolSettings
from jecp_mcp.tools.dispatch import ToolDispatcher
from jecp_mcp.tools.publishing.cleaning import safe_text
from jecp_mcp.tools.publishing.host_profiles import Profile, profile_for
from jecp_mcp.tools.publishing.result_profiles import result_profile
from jecp_mcp.tools.types import ToolCard

if TYPE_CHECKING:
    from mcp.shared._stream_protocols import ReadStream, WriteStream
    from mcp.shared.message import SessionMessage
    from starlette.requests import Request

log = logging.getLogger(__name__)

NAME = "jecp-mcp"

PAGE = 250
"""Tools on one page of ``tools/list``. Some hosts read the first page only, so it is larger than any sane list."""

PAGE_CHARACTERS = 960 * 1024
"""What a page may hold beyond its first tool: clients and hosts stop at 1 MiB a message."""

SSE_MESSAGES = "/messages/"
"""Where the SSE transport takes messages; what they ask is answered on the stream at ``/sse``."""

_KEPT = frozenset({"initialize", "subscriptions/listen"})
_MOST_KEPT = 16_384
"""What a client may say of itself, in characters: it is kept for as long as the client stays."""
_CACHED_PAGES = 64
_AFTER = "after:"
_LONGEST_CURSOR = len(_AFTER) + 128
_PROGRESS = 2_000


class _ProgressNotices:
    """Reports the progress of a call as MCP progress notifications, and in the log, while the client is there."""

    def __init__(self, ctx: Context, tool: str, logs: LogMessages) -> None:
        self._ctx = ctx
        self._tool = tool
        self._logs = logs

    async def report(self, done: float, total: float | None, message: str | None) -> None:
        """Send one notice; a client that has gone needs none."""
        try:
            await self._ctx.session.report_progress(
                done, total, message and safe_text(message, _PROGRESS, one_line=True)
            )
            if message:
                await self._logs.tell(self._ctx, f"{self._tool}: {message}")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, MCPError):
            log.debug("a progress notice had no receiver")


class _Connection:
    """Whether the HTTP request that asks is still open.

    A 2025-era client that drops its connection cancels nothing: the call ends, and its answer goes nowhere. Over SSE
    the answer takes another way than the request, and the end of that one does cancel the handler, as it does for a
    client of the 2026 era.
    """

    def __init__(self, request: Request) -> None:
        self._request = request

    async def listening(self) -> bool:
        """False once the client has closed the connection on which it waits."""
        return not await self._request.is_disconnected()


def _connection(ctx: Context) -> _Connection | None:
    request: Request | None = ctx.request
    if request is None or is_modern(ctx) or request.scope["path"].startswith(SSE_MESSAGES):
        return None
    return _Connection(request)


class BridgeServer(Server[dict[str, Any]]):
    """The SDK server, advertising that the tool list changes on every transport.

    Attributes:
        tell: what a client is told once, at the moment when it asks: a catalog that arrives late may change it.
    """

    tell: Callable[[], str]

    @property
    def instructions(self) -> str:  # the SDK reads it whenever a client asks
        """As the SDK's attribute."""
        return self.tell()

    @instructions.setter
    def instructions(self, _: str | None) -> None:
        """The SDK sets what it was not given."""

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        """As the SDK's, with ``tools.listChanged`` on: the HTTP transport calls it without options."""
        options = notification_options or NotificationOptions(tools_changed=True)
        return super().create_initialization_options(options, experimental_capabilities, extensions)

    async def run(
        self,
        read_stream: ReadStream[SessionMessage | Exception],
        write_stream: WriteStream[SessionMessage],
        initialization_options: InitializationOptions,
        raise_exceptions: bool = False,
    ) -> None:
        """As the SDK's, with every id taken by one request at a time. Streamable HTTP has sessions of its own."""
        ids = UniqueIds(read_stream, write_stream)
        await super().run(ids.read, ids.write, initialization_options, raise_exceptions)


class _Handlers:
    """The handlers. One per process; every connection and transport shares it."""

    def __init__(
        self,
        dispatcher: ToolDispatcher,
        askers: Askers,
        tools: ToolSettings,
        answer_seconds: float | None,
        fresh_seconds: Callable[[], float],
        logs: LogMessages,
    ) -> None:
        self._dispatcher = dispatcher
        self._askers = askers
        self._tools = tools
        self._answer_seconds = answer_seconds
        self._fresh_seconds = fresh_seconds
        self._logs = logs
        self._pages: dict[tuple[str, str | None, str, bool], tuple[tuple[ToolCard, ...], HandlerResult]] = {}

    def profile(self, session: ServerSession) -> Profile:
        """What the client of a session takes."""
        return profile_for(self._tools, client_name(session))

    async def list_tools(self, ctx: Context, params: PaginatedRequestParams | None) -> dict[str, Any]:
        """One page of the tool list, in a stable order: a cursor has the last name of the page before."""
        cards = self._dispatcher.cards(self.profile(ctx.session))
        start = 0
        if (cursor := cursor_of(params)) is not None:
            name = cursor.removeprefix(_AFTER)
            if not 0 < len(name) < len(cursor) <= _LONGEST_CURSOR:
                raise unknown_cursor("tools/list")
            # It may have gone meanwhile: what came after it has not.
            start = bisect.bisect_right([_rank(card.name) for card in cards], _rank(name))
        outputs = _takes_outputs(ctx)
        page: list[dict[str, Any]] = []
        room = PAGE_CHARACTERS
        for card in cards[start : start + PAGE]:
            entry = mcp_json.tool(card, outputs=outputs)
            room -= len(json.dumps(entry))
            if page and room < 0:
                break
            page.append(entry)
        answer: dict[str, Any] = {"tools": page}
        if start + len(page) < len(cards):
            answer["nextCursor"] = _AFTER + page[-1]["name"]
        return complete_result(ctx, answer)

    async def guard(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Keep the text of unexpected exceptions from clients: 2025-era connections would send it as it is."""
        if ctx.method in _KEPT and len(json.dumps(ctx.params)) > _MOST_KEPT:
            raise MCPError(INVALID_PARAMS, f"{ctx.method} says more than {_MOST_KEPT} characters")
        try:
            return await (self._cached_page(ctx, call_next) if ctx.method == "tools/list" else call_next(ctx))
        except MCPError:
            raise
        except ValidationError as exc:
            raise MCPError(INVALID_PARAMS, invalid_params(ctx.method, exc)) from None
        except Exception:
            # The last boundary before the wire; nothing above it would catch what a handler did not expect.
            log.exception("handling %s failed", ctx.method)
            raise MCPError(INTERNAL_ERROR, "the bridge failed while handling this request; its log says why") from None

    async def _cached_page(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """A page as it was built before, per era and cursor, until the list changes."""
        if ctx.session.client_capabilities is None:
            return await call_next(ctx)
        cursor = (ctx.params or {}).get("cursor")
        if cursor is not None and not isinstance(cursor, str):
            return await call_next(ctx)
        profile = self.profile(ctx.session)
        cards = self._dispatcher.cards(profile)
        key = (ctx.protocol_version, cursor, profile.name, _takes_outputs(ctx))
        known = self._pages.get(key)
        if known is None or known[0] is not cards:
            if len(self._pages) >= _CACHED_PAGES:
                self._pages.clear()
            known = self._pages[key] = (cards, await call_next(ctx))
        page = known[1]
        if isinstance(page, dict) and "ttlMs" in page:
            page = {**page, "ttlMs": max(0, int(self._fresh_seconds() * 1_000))}
        return page

    async def call_tool(self, ctx: Context, params: CallToolRequestParams) -> dict[str, Any]:
        """Run one tool call. Refusals are results with ``isError``, so that the model sees them."""
        asker, client = self._askers.of(ctx, params), client_name(ctx.session) or ""
        knows_tasks = tasks.knows_tasks(ctx)
        caller = Caller(
            LOCAL,
            progress=_ProgressNotices(ctx, params.name, self._logs),
            connection=_connection(ctx),
            asker=asker,
            host=self.profile(ctx.session).name,
            client=client,
            patience=tasks.PATIENCE if knows_tasks else self._answer_seconds or result_profile(client).answer_seconds,
            holds_list=True,
        )
        made = await self._dispatcher.call(params.name, params.arguments or {}, caller)
        if knows_tasks and made.goes_on is not None:
            row = await self._dispatcher.call_row(made.goes_on, caller)
            if row is not None:
                return tasks.create_result(row)
        result = mcp_json.result(made, links=ctx.protocol_version >= mcp_json.LINKS_SINCE)
        return asker.question() or complete_result(ctx, result, cacheable=False)


def _takes_outputs(ctx: Context) -> bool:
    """Whether the client always gets structured content, without which some throw away a result that has a schema."""
    return not result_profile(client_name(ctx.session) or "").drops_blocks


def _rank(name: str) -> tuple[bool, str]:
    """The order of the list: the bridge's own tools first, then the catalog's by name."""
    return (not name.startswith("jecp_"), name)


def build_server(
    dispatcher: ToolDispatcher,
    notifier: ListChangedNotifier,
    askers: Askers,
    *,
    tools: ToolSettings | None = None,
    answer_seconds: float | None = None,
    fresh_seconds: Callable[[], float] = lambda: 0.0,
    updates: ResourceUpdates | None = None,
    logs: LogMessages | None = None,
) -> BridgeServer:
    """The server for `dispatcher`.

    Args:
        notifier: carries its change notices.
        askers: carry its questions to people.
        tools: what the operator says of the hosts.
        answer_seconds: after how long a call that is still running is answered by its id; None goes by the host.
        fresh_seconds: for how long from now the list of tools is surely what it is.
        updates: who watches which resource; None tells of none.
        logs: who reads the log.
    """
    updates, logs = updates or ResourceUpdates(notifier.publish), logs or LogMessages()
    handlers = _Handlers(dispatcher, askers, tools or ToolSettings(), answer_seconds, fresh_seconds, logs)
    readable = ResourceHandlers(dispatcher.resources)
    notifier.bind(handlers.profile, dispatcher.cards)
    server = BridgeServer(
        NAME,
        version=__version__,
        title="JECP wallet",
        get_tool_input_schema=dispatcher.input_schema,
        on_list_tools=handlers.list_tools,  # type: ignore[arg-type]  # the SDK takes wire dicts at run time
        on_call_tool=handlers.call_tool,  # type: ignore[arg-type]
        on_list_resources=readable.list,  # type: ignore[arg-type]
        on_list_resource_templates=readable.templates,  # type: ignore[arg-type]
        on_read_resource=readable.read,  # type: ignore[arg-type]
        on_subscribe_resource=updates.subscribe,  # type: ignore[arg-type]
        on_unsubscribe_resource=updates.unsubscribe,  # type: ignore[arg-type]
        on_completion=readable.complete,  # type: ignore[arg-type]
        on_list_prompts=list_prompts,  # type: ignore[arg-type]
        on_get_prompt=get_prompt,  # type: ignore[arg-type]
        on_subscriptions_listen=notifier.listen,
    )
    # As an argument it would be warned of, since the later protocol has none.
    server.add_request_handler("logging/setLevel", SetLevelRequestParams, logs.set_level)
    tasks.Tasks(dispatcher, Caller(LOCAL)).offer(server)
    server.tell = dispatcher.instructions
    if find_spec("opentelemetry.sdk") is None:
        # Without the SDK that would export them, spans only cost time.
        server.middleware.clear()
    server.middleware += [handlers.guard, boundary(NAME)]
    server.add_notification_handler("notifications/initialized", NotificationParams, notifier.add_session)
    return server
