"""CrewAI through mcpadapt, which is what its `MCPServerAdapter` is: one session, kept in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from driver import main
from mcp import StdioServerParameters
from mcpadapt.core import MCPAdapt
from mcpadapt.crewai_adapter import CrewAIAdapter


class Session:
    def __init__(self, adapter: MCPAdapt) -> None:
        self.adapter = adapter
        self.tools: dict[str, Any] = {}

    async def names(self) -> list[str]:
        self.tools = {tool.name: tool for tool in await asyncio.to_thread(self.adapter.tools)}
        return list(self.tools)

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if not self.tools:
            await self.names()
        # What is an error is not told apart: the model sees its text.
        got = await asyncio.to_thread(self.tools[name].run, **arguments)
        return {"text": got, "kinds": ["text"], "failed": None, "structured": None}


@asynccontextmanager
async def connect(target: dict[str, Any]) -> AsyncIterator[Session]:
    if "url" in target:
        server: Any = {"transport": "streamable-http", "url": target["url"]}
    else:
        program, *arguments = target["command"]
        server = StdioServerParameters(command=program, args=arguments, env=target["env"])
    adapter = MCPAdapt(server, CrewAIAdapter(), connect_timeout=60)
    await asyncio.to_thread(adapter.start)
    try:
        yield Session(adapter)
    finally:
        await asyncio.to_thread(adapter.close)


main(connect)
