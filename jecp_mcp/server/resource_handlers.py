"""The handlers of resources and of completion."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CompleteRequestParams,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ResourceTemplateReference,
)

from jecp_mcp.calls.ports import Caller
from jecp_mcp.calls.refusals import ledger_trouble
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.errors import LedgerError, ToolFault
from jecp_mcp.server.codes import RESOURCE_TOO_LARGE
from jecp_mcp.server.request_context import Context, complete_result, cursor_of, unknown_cursor
from jecp_mcp.tools.prompts import CALL_ID
from jecp_mcp.tools.resources import MOST_COMPLETIONS, TEMPLATES, Entry, Resources, TooLarge
from jecp_mcp.tools.results import FILE_TOOL


class ResourceHandlers:
    """The handlers for one process's resources."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def list(self, ctx: Context, params: PaginatedRequestParams | None) -> dict[str, Any]:
        """One page: the wallet, the latest calls and the catalog, then stored files, newest first."""
        try:
            page = await self._resources.page(cursor_of(params), Caller(LOCAL))
        except ToolFault as exc:
            raise MCPError(INVALID_PARAMS, str(exc)) from exc
        answer: dict[str, Any] = {"resources": [_entry(one, "uri") for one in page.entries]}
        if page.cursor is not None:
            answer["nextCursor"] = page.cursor
        return complete_result(ctx, answer)

    async def templates(self, ctx: Context, params: PaginatedRequestParams | None) -> dict[str, Any]:
        """How an action and an artifact are addressed; they fit on one page."""
        if cursor_of(params) is not None:
            raise unknown_cursor("resources/templates/list")
        return complete_result(ctx, {"resourceTemplates": [_entry(one, "uriTemplate") for one in TEMPLATES]})

    async def read(self, ctx: Context, params: ReadResourceRequestParams) -> dict[str, Any]:
        """One resource, whole; what does not fit into a message is an error that says how to have the file."""
        try:
            found = await self._resources.read(params.uri, Caller(LOCAL))
        except ToolFault as exc:
            raise MCPError(INVALID_PARAMS, str(exc)) from exc
        except LedgerError as exc:
            raise MCPError(INTERNAL_ERROR, ledger_trouble(exc).message) from exc
        if isinstance(found, TooLarge):
            raise _too_large(params.uri, found)
        content: dict[str, Any] = {"uri": found.uri, "mimeType": found.mime_type}
        if found.text is not None:
            content["text"] = found.text
        else:
            content["blob"] = base64.b64encode(found.data or b"").decode("ascii")
        return complete_result(ctx, {"contents": [content]})

    async def complete(self, ctx: Context, params: CompleteRequestParams) -> dict[str, Any]:
        """Values for the argument of a resource template or a prompt; none where nothing is known."""
        values = await self._values(params)
        completion = {"values": list(values[:MOST_COMPLETIONS]), "hasMore": len(values) > MOST_COMPLETIONS}
        return complete_result(ctx, {"completion": completion}, cacheable=False)

    async def _values(self, params: CompleteRequestParams) -> Sequence[str]:
        name, value = params.argument.name, params.argument.value
        if isinstance(params.ref, ResourceTemplateReference):
            return await self._resources.complete(params.ref.uri, value, Caller(LOCAL)) if name == "id" else []
        if name != CALL_ID:
            return []
        try:
            return await self._resources.call_ids(value, Caller(LOCAL))
        except LedgerError as exc:
            raise MCPError(INTERNAL_ERROR, ledger_trouble(exc).message) from exc


def _too_large(uri: str, found: TooLarge) -> MCPError:
    opened = "" if found.path is None else f", or open {found.path}"
    data = {"code": RESOURCE_TOO_LARGE, "size": found.size, "mimeType": found.mime_type, "tool": FILE_TOOL}
    return MCPError(
        INVALID_PARAMS,
        f"This file has {found.size} bytes, more than one message may carry. Reading it costs nothing: "
        f'call {FILE_TOOL} with {{"uri":"{uri}"}}, which gives it in pieces{opened}.',
        data if found.path is None else {**data, "path": str(found.path)},
    )


def _entry(one: Entry, address: str) -> dict[str, Any]:
    made: dict[str, Any] = {address: one.uri, "name": one.name, "description": one.description}
    if one.mime_type:
        made["mimeType"] = one.mime_type
    if one.size is not None:
        made["size"] = one.size
    return made
