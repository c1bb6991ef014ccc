"""FastMCP's client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from driver import contents, main, seen
from fastmcp import Client
from fastmcp.client.transports import StdioTransport


class Session:
    def __init__(self, client: Client) -> None:
        self.client = client

    async def names(self) -> list[str]:
        return [tool.name for tool in await self.client.list_tools()]

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        steps: list[float] = []

        async def progress(done: float, _total: float | None, _message: str | None) -> None:
            steps.append(done)

        result = await self.client.call_tool(name, arguments, raise_on_error=False, progress_handler=progress)
        return {**seen(result), "steps": len(steps)}

    async def read(self, uri: str) -> dict[str, Any]:
        return contents(await self.client.read_resource(uri))


@asynccontextmanager
async def connect(target: dict[str, Any]) -> AsyncIterator[Session]:
    if "url" in target:
        to: Any = target["url"]
    else:
        program, *arguments = target["command"]
        to = StdioTransport(command=program, args=arguments, env=target["env"], keep_alive=False)
    async with Client(to, timeout=60) as client:
        yield Session(client)


main(connect)
