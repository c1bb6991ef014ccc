"""LangChain's adapters: its tools, each call in a session of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from driver import contents, main
from langchain_mcp_adapters.client import MultiServerMCPClient


class Session:
    def __init__(self, client: MultiServerMCPClient) -> None:
        self.client = client
        self.tools: dict[str, Any] = {}

    async def names(self) -> list[str]:
        self.tools = {tool.name: tool for tool in await self.client.get_tools()}
        return list(self.tools)

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if not self.tools:
            await self.names()
        asked = {"name": name, "args": arguments, "id": "1", "type": "tool_call"}
        message = await self.tools[name].ainvoke(asked)
        blocks = [{"type": "text", "text": message.content}] if isinstance(message.content, str) else message.content
        artifact = message.artifact or {}
        return {
            "text": "\n".join(str(block.get("text") or block.get("url") or "") for block in blocks),
            "kinds": [block["type"] for block in blocks],
            "failed": message.status == "error",
            "structured": artifact.get("structured_content") if isinstance(artifact, dict) else None,
        }

    async def read(self, uri: str) -> dict[str, Any]:
        async with self.client.session("jecp") as session:
            return contents(await session.read_resource(uri))


@asynccontextmanager
async def connect(target: dict[str, Any]) -> AsyncIterator[Session]:
    if "url" in target:
        server: Any = {"transport": "streamable_http", "url": target["url"]}
    else:
        program, *arguments = target["command"]
        server = {"transport": "stdio", "command": program, "args": arguments, "env": target["env"]}
    yield Session(MultiServerMCPClient({"jecp": server}))


main(connect)
