"""Whose 2025-era session ends when there are as many as there may be, on the SDK's own application."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import anyio
import httpx2
import pytest
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import CallToolRequestParams, CallToolResult, TextContent

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
    calls: list[str] = field(default_factory=list)
    ids: Iterator[int] = field(default_factory=count)

    async def say(
        self, method: str, params: dict[str, Any] | None = None, asked: int | str | None = None, **headers: str
    ) -> httpx2.Response:
        asked = next(self.ids) if asked is None else asked
        message = {"jsonrpc": "2.0", "id": asked, "method": method, "params": params or {}}
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
    async def call(_ctx: Any, params: CallToolRequestParams) -> CallToolResult:
        text = (params.arguments or {}).get("text")
        served.calls.append(text or "")
        served.begun.set()
        await served.hold.wait()
        served.ended.set()
        return CallToolResult(content=[] if text is None else [TextContent(text=text)])

    server: Server[Any] = Server("test", on_call_tool=call)
    rules = security(ServerSettings(), 80)
    app = server.streamable_http_app(transport_security=rules, max_sessions=3)
    without = StreamableHTTPSessionManager(server, stateless=True, security_settings=rules)
    sessions = HttpSessions(app, "/mcp", rules.allowed_hosts[0], 3, without.handle_request)
    server.middleware.insert(0, sessions.watch_call)
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


def message_of(answer: httpx2.Response) -> Any:
    """The last message of an answer, as whichever type it came."""
    *_, last = [line for line in answer.text.splitlines() if line.strip()]
    return json.loads(last.removeprefix("data:"))


def text(answer: httpx2.Response) -> str:
    return message_of(answer)["result"]["content"][0]["text"]


def is_refused(answer: httpx2.Response) -> bool:
    said = message_of(answer)
    assert "nothing was bought" in said["error"]["message"]
    return (answer.status_code, said["id"], said["error"]["code"]) == (400, None, -32600)


@pytest.mark.parametrize(("first", "second"), [("dup", "dup"), (7, 7), (7, "7"), ("7", 7), ("07", 7), ("", "")])
async def test_of_two_requests_of_one_id_at_once_one_is_refused_and_the_other_gets_its_own_answer(
    first: int | str, second: int | str
) -> None:
    async with serving() as served:
        session, got = {SESSION: await served.open()}, []

        async def ask(asked: int | str) -> None:
            got.append(await served.say("tools/call", slow("A"), asked, **session))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, first)
            await served.begun.wait()
            for method, params in [("tools/call", slow("B")), ("ping", {}), ("initialize", HELLO)]:
                assert is_refused(await served.say(method, params, second, **session))
            served.hold.set()
        assert ([text(one) for one in got], served.calls) == (["A"], ["A"])
        # Once it is answered, an id is as good as any.
        assert text(await served.say("tools/call", slow("C"), second, **session)) == "C"


def slow(text: str) -> dict[str, Any]:
    return {"name": "slow", "arguments": {"text": text}}


async def test_an_id_whose_client_has_left_is_taken_until_the_request_was_handled() -> None:
    async with serving() as served:
        session = {SESSION: await served.open()}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: served.say("tools/call", slow("A"), "dup", **session))
            await served.begun.wait()
            tasks.cancel_scope.cancel()
        assert is_refused(await served.say("tools/call", slow("B"), "dup", **session))
        served.hold.set()
        await served.ended.wait()
        while is_taken(again := await served.say("tools/call", slow("C"), "dup", **session)):
            await anyio.lowlevel.checkpoint()
        assert text(again) == "C"
        assert served.calls == ["A", "C"]


def is_taken(answer: httpx2.Response) -> bool:
    return answer.status_code == 400 and is_refused(answer)


async def test_an_id_whose_request_is_cancelled_is_free_again() -> None:
    async with serving() as served:
        session = {SESSION: await served.open()}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: served.say("tools/call", slow("A"), "dup", **session))
            await served.begun.wait()
            cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "dup"}}
            assert (await served.client.post("/mcp", json=cancelled, headers=session)).status_code == 202
        served.hold.set()
        assert text(await served.say("tools/call", slow("B"), "dup", **session)) == "B"


async def test_an_id_that_the_sdk_keeps_for_itself_is_refused() -> None:
    async with serving() as served:
        assert is_refused(await served.say("ping", {}, "_GET_stream", **{SESSION: await served.open()}))


async def test_two_sessions_and_two_requests_without_one_may_use_one_id_at_once() -> None:
    async with serving() as served:
        envelope = {"_meta": {f"io.modelcontextprotocol/{name}": value for name, value in MODERN_CLIENT.items()}}
        modern = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "slow"}
        apart: list[dict[str, str]] = [
            *[{SESSION: await served.open()} for _ in range(2)], *[{SESSION: "of-another-day"}] * 2, *[modern] * 2
        ]  # fmt: skip
        got: dict[str, str] = {}

        async def ask(name: str, headers: dict[str, str]) -> None:
            got[name] = text(await served.say("tools/call", slow(name) | envelope, "dup", **headers))

        async with anyio.create_task_group() as tasks:
            for at, headers in enumerate(apart):
                tasks.start_soon(ask, str(at), headers)
            while len(served.calls) < len(apart):
                await anyio.lowlevel.checkpoint()
            served.hold.set()
        assert got == {str(at): str(at) for at in range(len(apart))}


MODERN_CLIENT: dict[str, Any] = {
    "protocolVersion": "2026-07-28",
    "clientInfo": {"name": "x", "version": "1"},
    "clientCapabilities": {},
}


@pytest.mark.parametrize("accept", ["application/json, text/event-stream", "application/json", "text/event-stream"])
async def test_whoever_waits_in_a_session_that_is_ended_is_told_so(accept: str) -> None:
    async with serving() as served:
        session, got = {SESSION: await served.open()}, []

        async def ask(asked: str) -> None:
            got.append(await served.say("tools/call", slow(asked), asked, Accept=accept, **session))

        async with anyio.create_task_group() as tasks:
            for asked in ("one", "two"):
                tasks.start_soon(ask, asked)
            while len(served.calls) < 2:
                await anyio.lowlevel.checkpoint()
            assert (await served.client.delete("/mcp", headers=session)).status_code == 200
        assert sorted(message_of(one)["id"] for one in got) == ["one", "two"]
        for one in got:
            assert one.status_code == 200
            assert message_of(one)["error"]["code"] == -32000
            assert "without being bought again" in message_of(one)["error"]["message"]
