"""The demo's MCP host: the official client, whose calls the log shows as they are made and answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp import Client

    from jecp_mcp.cli.demo_log import DemoLog


class Host:
    """An MCP host with the official client."""

    def __init__(self, client: Client, log: DemoLog) -> None:
        self._client = client
        self._log = log

    async def tools(self) -> dict[str, str]:
        """Every published tool with its description."""
        listed: dict[str, str] = {}
        cursor = None
        while True:
            page = await self._client.list_tools(cursor=cursor)
            listed |= {tool.name: tool.description or "" for tool in page.tools}
            cursor = page.next_cursor
            if cursor is None:
                return listed

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call a tool; returns the result as plain data, as it came over the wire."""
        result = await self._client.call_tool(tool, dict(arguments))
        shown: dict[str, Any] = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        return shown

    async def read(self, uri: str) -> dict[str, Any]:
        """Read one of the server's resources that hold a JSON object."""
        (content,) = (await self._client.read_resource(uri)).model_dump()["contents"]
        found: dict[str, Any] = json.loads(content["text"])
        return found

    async def ask(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call a tool, and show that."""
        self._log.request(tool, arguments)
        return await self.call(tool, arguments)

    async def buy(self, tool: str, arguments: Mapping[str, Any], note: str = "") -> dict[str, Any]:
        """Call a tool that must answer, and show what came and what was paid."""
        if note:
            self._log.note(note)
        result = await self.ask(tool, arguments)
        *lines, output = result["content"][0]["text"].split("\n")
        self._log.response(output)
        self._log.check(not result.get("isError", False), "the call is answered")
        for line in lines:
            self._log.receipt(line)
        return result

    async def expect_refusal(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call a tool that must refuse; returns the error."""
        result = await self.ask(tool, arguments)
        self._log.check(bool(result.get("isError")), "the call is refused")
        error: dict[str, Any] = result["structuredContent"]
        step = error["next_action"]
        self._log.receipt(f"{error['error']['code']}: {error['error']['message']}")
        self._log.receipt(f"charged: {error['charged']}; next_action: {step['type']} by the {step['actor']}")
        return error

    async def follow(self, step: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a next_action says, knowing nothing else."""
        result = await self.ask(step["tool"], step["arguments"])
        self._log.check(not result.get("isError", False), "the server accepts the call that came with the error")
        return result


def billing(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The receipt of a result, as programs read it."""
    meta: Mapping[str, Any] = result["_meta"]
    found: Mapping[str, Any] = next(value for key, value in meta.items() if key.endswith("/billing"))
    return found
