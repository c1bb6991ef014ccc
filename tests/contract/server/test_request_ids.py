"""Where all answers share one stream (stdio, HTTP+SSE), an id names one request at a time, in either era."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import CallToolRequestParams, CallToolResult, TextContent, jsonrpc_message_adapter

from jecp_mcp.server.mcp_server import BridgeServer

pytestmark = pytest.mark.anyio

HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "x", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
REFUSED = -32600


@dataclass
class Host:
    """A client of the real server over a pair of streams, and what the server's one tool did."""

    to: MemoryObjectSendStream[SessionMessage | Exception]
    heard: MemoryObjectReceiveStream[SessionMessage]
    modern: bool
    begun: list[str] = field(default_factory=list)
    hold: anyio.Event = field(default_factory=anyio.Event)

    async def say(self, method: str, params: dict[str, Any], asked: int | str | None = None) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        if asked is not None:
            message |= {"id": asked}
        if self.modern and asked is not None:
            message["params"] = params | {"_meta": ENVELOPE}
        await self.to.send(SessionMessage(jsonrpc_message_adapter.validate_python(message, by_name=False)))

    async def call(self, text: str, asked: int | str) -> None:
        await self.say("tools/call", {"name": "slow", "arguments": {"text": text}}, asked)

    async def read(self) -> tuple[object, object]:
        """The id of the next answer, and its text or its error's code."""
        said = (await self.heard.receive()).message.model_dump(by_alias=True, exclude_unset=True)
        if "error" in said:
            return said["id"], said["error"]["code"]
        return said["id"], next((one["text"] for one in said["result"].get("content", ())), None)

    async def wait_for(self, calls: int) -> None:
        while len(self.begun) < calls:
            await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def serving(modern: bool) -> AsyncIterator[Host]:
    async def call(_ctx: Any, params: CallToolRequestParams) -> CallToolResult:
        text = (params.arguments or {})["text"]
        host.begun.append(text)
        await host.hold.wait()
        return CallToolResult(content=[TextContent(text=text)])

    server = BridgeServer("test", on_call_tool=call)
    server.tell = lambda: ""
    to, read = anyio.create_memory_object_stream[SessionMessage | Exception](8)
    write, heard = anyio.create_memory_object_stream[SessionMessage](8)
    host = Host(to, heard, modern)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.run, read, write, server.create_initialization_options())
            if not modern:
                await host.say("initialize", HELLO, 0)
                await host.read()
                await host.say("notifications/initialized", {})
            yield host
            await to.aclose()
        await heard.aclose()


ERAS = pytest.mark.parametrize("modern", [False, True], ids=["2025", "2026"])


@ERAS
@pytest.mark.parametrize(("first", "second"), [("dup", "dup"), (7, 7), (7, "7"), ("7", 7)])
async def test_of_two_requests_of_one_id_at_once_one_is_refused(
    modern: bool, first: int | str, second: int | str
) -> None:
    async with serving(modern) as host:
        await host.call("A", first)
        await host.wait_for(1)
        await host.call("B", second)
        assert await host.read() == (second, REFUSED)
        await host.say("tools/list", {}, second)
        assert await host.read() == (second, REFUSED)
        host.hold.set()
        assert await host.read() == (first, "A")
        # Once it is answered, an id is as good as any.
        await host.call("C", second)
        assert await host.read() == (second, "C")
        assert host.begun == ["A", "C"]


@ERAS
async def test_an_id_is_free_again_whatever_became_of_its_request(modern: bool) -> None:
    async with serving(modern) as host:
        await host.say("no/such/method", {}, "x")
        assert await host.read() == ("x", -32601)
        await host.call("A", "x")
        await host.wait_for(1)
        await host.say("notifications/cancelled", {"requestId": "x"})
        await host.say("tools/call", {"name": 5}, "y")
        assert await host.read() == ("y", -32602)
        host.hold.set()
        for asked in ("x", "y"):
            await host.call("B", asked)
            assert await host.read() == (asked, "B")


async def test_an_id_is_free_again_of_a_request_that_the_other_era_would_understand() -> None:
    async with serving(modern=True) as host:
        await host.say("ping", {}, "x")
        await host.read()
        host.modern = False
        await host.say("ping", {}, "x")
        assert (await host.read())[1] != REFUSED


async def test_ids_of_two_connections_are_apart() -> None:
    async with serving(modern=True) as one, serving(modern=True) as two:
        for host, text in ((one, "A"), (two, "B")):
            await host.call(text, 1)
            await host.wait_for(1)
        for host, text in ((one, "A"), (two, "B")):
            host.hold.set()
            assert await host.read() == (1, text)
