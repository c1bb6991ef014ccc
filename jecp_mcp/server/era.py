"""What every handler shares: the request's context, and results as either protocol era wants them."""

from __future__ import annotations

from typing import Any

from mcp.server.context import ServerRequestContext
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

Context = ServerRequestContext[dict[str, Any], Any]


def modern(ctx: Context) -> bool:
    """Whether a 2026-era host asks."""
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS


def whole(ctx: Context, answer: dict[str, Any], *, cacheable: bool = True) -> dict[str, Any]:
    """Add what the 2026 protocol requires of a result. No result stays fresh: the catalog may change any time."""
    if modern(ctx):
        answer["resultType"] = "complete"
        if cacheable:
            answer |= {"ttlMs": 0, "cacheScope": "private"}
    return answer
