"""LlamaIndex: its tools, made of the list, each call over stdio in a server of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from driver import contents, main, seen
from llama_index.tools.mcp import BasicMCPClient, McpToolSpec


class Session:
    def __init__(self, client: BasicMCPClient) -> None:
        self.client = client
        self.tools: dict[str, Any] = {}

    async def names(self) -> list[str]:
        self.tools = {tool.metadata.name: tool for tool in await McpToolSpec(self.client).to_tool_list_async()}
        return list(self.tools)

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if not self.tools:
            await self.names()
        return seen((await self.tools[name].acall(**arguments)).raw_output)

    async def read(self, uri: str) -> dict[str, Any]:
        return contents(await self.client.read_resource(uri))


@asynccontextmanager
async def connect(target: dict[str, Any]) -> AsyncIterator[Session]:
    if "url" in target:
        yield Session(BasicMCPClient(target["url"], timeout=60))
    else:
        program, *arguments = target["command"]
        yield Session(BasicMCPClient(program, args=arguments, env=target["env"], timeout=60))


main(connect)
