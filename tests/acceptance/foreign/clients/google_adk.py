"""Google's Agent Development Kit: what a tool's run returns to the model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from driver import contents, main
from google.adk.tools.mcp_tool.mcp_session_manager import StdioConnectionParams, StreamableHTTPConnectionParams
from google.adk.tools.mcp_tool.mcp_toolset import McpToolset
from mcp import StdioServerParameters


class Session:
    def __init__(self, toolset: McpToolset) -> None:
        self.toolset = toolset
        self.tools: dict[str, Any] = {}

    async def names(self) -> list[str]:
        self.tools = {tool.name: tool for tool in await self.toolset.get_tools()}
        return list(self.tools)

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if not self.tools:
            await self.names()
        context: Any = SimpleNamespace(tool_confirmation=None, custom_metadata={}, state={})
        got = await self.tools[name]._run_async_impl(args=arguments, tool_context=context, credential=None)
        blocks = got.get("content", [])
        return {
            "text": "\n".join(str(block.get("text") or block.get("uri") or "") for block in blocks),
            "kinds": [block["type"] for block in blocks],
            "failed": bool(got.get("isError")),
            "structured": got.get("structuredContent"),
        }

    async def read(self, uri: str) -> dict[str, Any]:
        session = await self.toolset._mcp_session_manager.create_session()
        return contents(await session.read_resource(uri))


@asynccontextmanager
async def connect(target: dict[str, Any]) -> AsyncIterator[Session]:
    if "url" in target:
        params: Any = StreamableHTTPConnectionParams(url=target["url"], timeout=60)
    else:
        program, *arguments = target["command"]
        server = StdioServerParameters(command=program, args=arguments, env=target["env"])
        params = StdioConnectionParams(server_params=server, timeout=60)
    toolset = McpToolset(connection_params=params)
    try:
        yield Session(toolset)
    finally:
        await toolset.close()


main(connect)
