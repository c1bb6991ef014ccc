"""Pydantic AI's toolset: what it returns to the model, and what it raises to have the model try again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from driver import contents, destination, main
from fastmcp.client.transports import StdioTransport
from pydantic_ai import ModelRetry
from pydantic_ai.mcp import MCPToolset


class Session:
    def __init__(self, toolset: MCPToolset[Any]) -> None:
        self.toolset = toolset

    async def names(self) -> list[str]:
        return [tool.name for tool in await self.toolset.list_tools()]

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            value = await self.toolset.direct_call_tool(name, arguments)
        except ModelRetry as exc:
            return {"text": exc.message, "kinds": ["text"], "failed": True, "structured": None}
        parts = value if isinstance(value, list) else [value]
        kinds = [type(part).__name__ for part in parts]
        text = "\n".join(part if isinstance(part, str) else repr(part) for part in parts)
        return {"text": text, "kinds": kinds, "failed": False, "structured": value if isinstance(value, dict) else None}

    async def read(self, uri: str) -> dict[str, Any]:
        return contents(await self.toolset.client.read_resource(uri))


@asynccontextmanager
async def connect(target: dict[str, Any]) -> AsyncIterator[Session]:
    to = destination(target, partial(StdioTransport, keep_alive=False))
    async with MCPToolset(to, init_timeout=60, read_timeout=60) as toolset:
        yield Session(toolset)


main(connect)
