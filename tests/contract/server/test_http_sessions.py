"""Whose 2025-era session ends when there are as many as there may be, on the SDK's own application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
import pytest
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import CallToolResult

from jecp_mcp.server.http_accept import AnyAccept
from jecp_mcp.server.http_sessions import HttpSessions
from jecp_mcp.server.transports import security
from jecp_mcp.settings import ServerSettings

pytestmark = pytest.mark.anyio

VERSION = "2025-06-18"
HELLO = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
SESSION = "mcp-session-id"


@dataclass
class Served:
    """The application with room for three sessions, and what its one tool did."""

    client: httpx2.AsyncClient
    sessions: HttpSessions
    begun: anyio.Event = field(default_factory=anyio.Event)
    hold: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)

    async def say(self, method: str, params: dict[str, Any] | None = None, **headers: str) -> httpx2.Response:
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
        return await self.client.post("/mcp", json=message, headers=headers)

    async def open(self) -> str:
        answer = await self.say("initialize", HELLO)
        assert answer.status_code == 200
        return answer.headers[SESSION]

    async def ping(self, session: str) -> int:
        return (await self.say("ping", **{SESSION: session})).status_code

    async def call(self, session: str) -> int:
        return (await self.say("tools/call", {"name": "slow"}, **{SESSION: session})).status_code


@asynccontextmanager
async def serving() -> AsyncIterator[Served]:
    async def call(_ctx: Any, _params: Any) -> CallToolResult:
        served.begun.set()
        await served.hold.wait()
        served.ended.set()
        return CallToolResult(content=[])

    server: Server[Any] = Server("test", on_call_tool=call)
    rules = security(ServerSettings(), 80)
    app = server.streamable_http_app(transport_security=rules, max_sessions=3)
    without = StreamableHTTPSessionManager(server, stateless=True, security_settings=rules)
    sessions = HttpSessions(app, "/mcp", rules.allowed_hosts[0], 3, without.handle_request)
    server.middleware.append(sessions.watch_call)
    headers = {"Accept": "application/json, text/event-stream", "Host": "127.0.0.1:80"}
    transport = httpx2.ASGITransport(AnyAccept(sessions, "/mcp"))
    async with (
        app.router.lifespan_context(app),
        without.run(),
        httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client,
    ):
        served = Served(client, sessions)
        with anyio.fail_after(60):
            yield served


async def test_a_flood_of_new_sessions_locks_nobody_out() -> None:
    async with serving() as served:
        for _ in range(10):
            last = await served.open()
            assert len(served.sessions) <= 3
        assert await served.ping(last) == 200


async def test_the_idlest_ends_and_first_of_those_that_were_only_opened() -> None:
    async with serving() as served:
        used, opened, later = [await served.open() for _ in range(3)]
        assert await served.ping(used) == 200
        await served.open()
        assert await served.ping(opened) == 404
        assert [await served.ping(later), await served.ping(used)] == [200, 200]


async def test_of_those_in_use_the_idlest_ends() -> None:
    async with serving() as served:
        sessions = [await served.open() for _ in range(3)]
        for session in (sessions[1], sessions[0], sessions[2]):
            assert await served.ping(session) == 200
        await served.open()
        assert await served.ping(sessions[1]) == 404


async def test_no_session_ends_in_mid_call_also_when_its_client_has_left() -> None:
    async with serving() as served:
        buyer = await served.open()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(served.call, buyer)
            await served.begun.wait()
            tasks.cancel_scope.cancel()
        for _ in range(10):
            assert await served.ping(await served.open()) == 200
        assert await served.ping(buyer) == 200
        served.hold.set()
        await served.ended.wait()


async def test_where_none_is_idle_the_newcomer_is_refused() -> None:
    async with serving() as served, anyio.create_task_group() as tasks:
        for _ in range(3):
            served.begun = anyio.Event()
            tasks.start_soon(served.call, await served.open())
            await served.begun.wait()
        assert (await served.say("initialize", HELLO)).status_code == 503
        served.hold.set()


async def test_a_session_that_its_client_ends_leaves_its_place() -> None:
    async with serving() as served:
        first, second = await served.open(), await served.open()
        assert (await served.client.delete("/mcp", headers={SESSION: second})).status_code == 200
        assert len(served.sessions) == 1
        for _ in range(2):
            await served.open()
        assert [await served.ping(first), await served.ping(second)] == [200, 404]


async def test_a_request_that_opens_none_ends_none_beyond_its_own_place() -> None:
    async with serving() as served:
        await served.open()
        for _ in range(5):
            assert (await served.say("ping")).status_code == 400
        assert len(served.sessions) == 1
        assert (await served.say("initialize", HELLO, Host="evil.example")).status_code == 421


async def test_what_can_open_no_session_ends_none() -> None:
    async with serving() as served:
        opened = [await served.open() for _ in range(3)]
        for session in opened:
            await served.ping(session)
        async with anyio.create_task_group() as tasks:
            for method in ("GET", "DELETE", "PUT") * 5:
                tasks.start_soon(served.client.request, method, "/mcp")
        assert len(served.sessions) == 3
        for session in opened:
            assert await served.ping(session) == 200


async def test_a_session_that_was_never_here_is_served_without_one() -> None:
    async with serving() as served:
        served.hold.set()
        assert await served.call("of-another-day") == 200
        answer = await served.say("tools/call", {"name": "slow"}, **{SESSION: "of-another-day"})
        assert '"content":[]' in answer.text
        assert SESSION not in answer.headers
        assert len(served.sessions) == 0
        for method in ("GET", "DELETE"):
            assert (await served.client.request(method, "/mcp", headers={SESSION: "of-another-day"})).status_code == 404
        evil = await served.say("ping", **{SESSION: "of-another-day", "Host": "evil.example"})
        assert evil.status_code == 421


@pytest.mark.parametrize(
    "accept", ["application/json", "application/*;q=0.5, text/html", "text/event-stream", "", "*/*"]
)
async def test_a_client_is_answered_in_what_it_accepts(accept: str) -> None:
    async with serving() as served:
        served.hold.set()
        opened = await served.say("initialize", HELLO, Accept=accept)
        session = opened.headers[SESSION]
        bought = await served.say("tools/call", {"name": "slow"}, **{SESSION: session, "Accept": accept})
        for answer in (opened, bought):
            assert answer.status_code == 200
            if accept.startswith("application/"):
                assert answer.headers["content-type"] == "application/json"
                assert "result" in answer.json()
            else:
                assert answer.headers["content-type"].startswith("text/event-stream")
        unheard = await served.client.post("/mcp", content=b"{", headers={SESSION: session, "Accept": accept})
        assert unheard.status_code == 400


async def test_a_client_that_accepts_something_else_alone_is_refused() -> None:
    async with serving() as served:
        assert (await served.say("initialize", HELLO, Accept="text/html")).status_code == 406
        assert (await served.client.get("/mcp", headers={"Accept": "application/json"})).status_code == 406


async def test_a_stream_that_ends_without_an_answer_is_no_answer() -> None:
    async def cut_off(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        notice = b'event: message\ndata: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\n\n'
        await send({"type": "http.response.body", "body": notice + b"data: {", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    transport = httpx2.ASGITransport(AnyAccept(cut_off, "/mcp"))
    async with httpx2.AsyncClient(transport=transport, base_url="http://a.example") as client:
        answer = await client.post("/mcp", json={}, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.content) == (502, b"")
