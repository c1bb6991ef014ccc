"""The yardstick: the bare SDK's low-level server with as many tools as asked, each an echo."""

import sys
from typing import Any

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent, Tool

SCHEMA = {"type": "object", "properties": {"text": {"type": "string", "description": "What to say."}}}


async def main(tools: int) -> None:
    listed = ListToolsResult(
        tools=[
            Tool(name=f"echo_{n}", description="Says what it is told. " * 8, input_schema=SCHEMA) for n in range(tools)
        ]
    )

    async def on_list(_ctx: Any, _params: Any) -> ListToolsResult:
        return listed

    async def on_call(_ctx: Any, params: CallToolRequestParams) -> CallToolResult:
        text = str((params.arguments or {}).get("text", ""))
        return CallToolResult(content=[TextContent(type="text", text=text)], structured_content={"text": text})

    server: Server[Any] = Server(
        "bare", on_list_tools=on_list, on_call_tool=on_call, get_tool_input_schema=lambda _name: SCHEMA
    )
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]))
