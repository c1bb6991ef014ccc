"""FastMCP's client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from driver import Steps, contents, destination, main, seen
from fastmcp import Client
from fastmcp.client.transports import StdioTransport


class Session:
    def __init__(self, client: Client) -> None:
        self.client = client

    async def names(self) -> list[str]:
        return [tool.name for tool in await self.client.list_tools()]

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        steps = Steps()
        result = await self.client.call_tool(name, arguments, raise_on_error=False, progress_handler=steps)
        return {**seen(result), "steps": steps.count}

    async def read(self, uri: str) -> dict[str, Any]:
        return contents(await self.client.read_resource(uri))


@asynccontextmanager
async def connect(target: dict[str, Any]) -> AsyncIterator[Session]:
    async with Client(destination(target, partial(StdioTransport, keep_alive=False)), timeout=60) as client:
        yield Session(client)


main(connect)
