"""The official Python SDK, in the era that the target names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from driver import Steps, contents, destination, main, seen
from mcp import Client, StdioServerParameters


class Session:
    def __init__(self, client: Client) -> None:
        self.client = client

    async def names(self) -> list[str]:
        names: list[str] = []
        cursor = None
        while True:
            page = await self.client.list_tools(cursor=cursor)
            names += [tool.name for tool in page.tools]
            cursor = page.next_cursor
            if cursor is None:
                return names

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        steps = Steps()
        return {**seen(await self.client.call_tool(name, arguments, progress_callback=steps)), "steps": steps.count}

    async def read(self, uri: str) -> dict[str, Any]:
        return contents(await self.client.read_resource(uri))


@asynccontextmanager
async def connect(target: dict[str, Any]) -> AsyncIterator[Session]:
    async with Client(
        destination(target, StdioServerParameters), mode=target["era"], read_timeout_seconds=60
    ) as client:
        yield Session(client)


main(connect)
