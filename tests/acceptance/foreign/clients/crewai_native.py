"""CrewAI's own client, as `Agent(mcps=[...])` uses it: each call in a session, and over stdio in a server, of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from crewai.mcp import MCPServerHTTP, MCPServerStdio
from crewai.mcp.tool_resolver import MCPToolResolver
from crewai.tools.tool_failure import ToolFailure
from crewai.utilities.logger import Logger
from driver import main


class Session:
    def __init__(self, server: MCPServerHTTP | MCPServerStdio) -> None:
        self.server = server
        self.tools: dict[str, Any] = {}

    async def names(self) -> list[str]:
        resolver = MCPToolResolver(agent=None, logger=Logger(verbose=False))
        # What the model is shown is made of the server's command line and this name, so that it begins differently.
        self.tools = {
            tool.original_tool_name: tool for tool in await asyncio.to_thread(resolver.resolve, [self.server])
        }
        return list(self.tools)

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if not self.tools:
            await self.names()
        got = await asyncio.to_thread(self.tools[name].run, **arguments)
        failed = isinstance(got, ToolFailure)
        return {"text": got.message if failed else got, "kinds": ["text"], "failed": failed, "structured": None}


@asynccontextmanager
async def connect(target: dict[str, Any]) -> AsyncIterator[Session]:
    if "url" in target:
        yield Session(MCPServerHTTP(url=target["url"], streamable=True))
    else:
        program, *arguments = target["command"]
        yield Session(MCPServerStdio(command=program, args=arguments, env=target["env"]))


main(connect)
