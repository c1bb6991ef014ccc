"""The yardstick: the bare SDK's low-level server with as many tools as asked, each an echo or a bare POST.

    python tests/bench/bare_server.py TOOLS [CAPABILITY/ACTION [stdio|http [FILE [whole]]]]

With a capability, each call buys that of the Hub in the environment; with ``http`` it serves Streamable HTTP on a free
port, which it prints. With a file, each call is written down in it before it leaves and after it was answered: the least
that a server costs which must not forget what it pays for. With ``whole``, the product's own ledger does so.
"""

from __future__ import annotations

import json
import socket
import sys
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent, Tool

if TYPE_CHECKING:
    import httpx2
    from bare_ledger import BareLedger
    from whole_ledger import WholeLedger

SCHEMA = {"type": "object", "properties": {"text": {"type": "string", "description": "What to say."}}}


def yardstick(
    tools: int, path: str | None, http: httpx2.AsyncClient | None, ledger: BareLedger | WholeLedger | None = None
) -> Server[Any]:
    """The server; with an HTTP client, its calls buy what is at `path`; with a ledger, they are written down."""
    listed = ListToolsResult(
        tools=[
            Tool(name=f"echo_{n}", description="Says what it is told. " * 8, input_schema=SCHEMA) for n in range(tools)
        ]
    )

    async def on_list(_ctx: Any, _params: Any) -> ListToolsResult:
        return listed

    async def on_call(_ctx: Any, params: CallToolRequestParams) -> CallToolResult:
        said: Any = {"text": str((params.arguments or {}).get("text", ""))}
        if http is not None:
            bought = buyer.purchase(f"/{path}", said)
            if ledger is not None:
                await ledger.reserve(bought.call_id, bought.body)
            answer = await http.post(bought.url, headers=bought.headers, content=bought.body)
            if ledger is not None:
                ledger.conclude(bought.call_id, answer.content)
            said = answer.json()["result"]
        return CallToolResult(content=[TextContent(type="text", text=json.dumps(said))], structured_content=said)

    if http is not None:
        from peer_purchase import Buyer

        buyer = Buyer.from_environment()
    return Server("bare", on_list_tools=on_list, on_call_tool=on_call, get_tool_input_schema=lambda _name: SCHEMA)


async def over_stdio(server: Server[Any]) -> None:
    """Serve one client."""
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


async def over_http(server: Server[Any]) -> None:
    """Serve Streamable HTTP, as the SDK's own documentation does it."""
    import uvicorn

    config = uvicorn.Config(server.streamable_http_app(), log_level="warning")
    with socket.create_server(("127.0.0.1", 0)) as bound:
        print(f"the yardstick listens on http://127.0.0.1:{bound.getsockname()[1]}/mcp", file=sys.stderr, flush=True)
        await uvicorn.Server(config).serve(sockets=[bound])


async def main(
    tools: int, path: str | None = None, transport: str = "stdio", kept_in: str | None = None, how: str = "bare"
) -> None:
    """Serve until the client leaves."""
    serve = over_http if transport == "http" else over_stdio
    if path is None:
        await serve(yardstick(tools, None, None))
        return
    import httpx2

    ledger: BareLedger | WholeLedger | None = None
    if kept_in is not None and how == "whole":
        from whole_ledger import WholeLedger

        ledger = WholeLedger(kept_in)
    elif kept_in is not None:
        from bare_ledger import BareLedger

        ledger = BareLedger(kept_in)
    async with httpx2.AsyncClient() as http:
        await serve(yardstick(tools, path, http, ledger))


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]), *sys.argv[2:])
