"""What every handler shares: the request's context, and results as either protocol era wants them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, PaginatedRequestParams
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

Context = ServerRequestContext[dict[str, Any], Any]


def is_modern(ctx: Context) -> bool:
    """Whether a 2026-era host asks."""
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS


def client_name(session: ServerSession) -> str | None:
    """What a client calls itself, in either era; None where it does not say."""
    params = session.client_params
    return None if params is None else params.client_info.name


def connection_key(session: ServerSession) -> int:
    """What tells a session's connection from all others, for as long as it lives."""
    # A session's requests share nothing else with each other, and the SDK keeps it private.
    return id(session._connection)  # noqa: SLF001


def when_connection_ends(session: ServerSession, callback: Callable[..., object], *arguments: object) -> None:
    """Have something called once a session's connection ends."""
    # The SDK offers no other hook for that.
    session._connection.exit_stack.callback(callback, *arguments)  # noqa: SLF001


def cursor_of(params: PaginatedRequestParams | None) -> str | None:
    """The cursor that a client sends; None for the first page, which some ask for by an empty one."""
    return None if params is None else params.cursor or None


def unknown_cursor(method: str) -> MCPError:
    """The error for a cursor that no page gave out."""
    return MCPError(INVALID_PARAMS, f"this cursor is not one that {method} gave out; without one it begins anew")


def complete_result(ctx: Context, answer: dict[str, Any], *, cacheable: bool = True) -> dict[str, Any]:
    """Add what the 2026 protocol requires of a result."""
    if is_modern(ctx):
        answer["resultType"] = "complete"
        if cacheable:
            answer |= {"ttlMs": 0, "cacheScope": "private"}
    return answer
