"""Who asks at an MCP endpoint: a client is passed on, a person in a browser gets a page."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from jecp_mcp.errors import SettingsError
from jecp_mcp.server.http_guard import HttpGuard
from jecp_mcp.server.http_limits import HttpLimits
from jecp_mcp.server.transports import listen
from jecp_mcp.settings import ServerSettings

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


async def ask(method: str, path: str, accept: str) -> tuple[int, bytes]:
    sent: list[Any] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"the client's"})

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    guard = HttpGuard(app, HttpLimits.of_process(), [], streams=["/mcp"], pages=[])
    headers = [(b"accept", accept.encode())]
    await guard({"type": "http", "method": method, "path": path, "headers": headers}, receive, send)
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent)


@pytest.mark.anyio
async def test_a_browser_at_the_endpoint_gets_a_page_that_leads_on() -> None:
    status, page = await ask("GET", "/mcp", BROWSER)
    assert (status, b"This address is for MCP clients" in page, b'href="/"' in page) == (406, True, True)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("method", "path", "accept"),
    [
        ("GET", "/mcp", "text/event-stream"),
        ("GET", "/mcp", "text/html, text/event-stream"),
        ("GET", "/mcp", "*/*"),
        ("POST", "/mcp", BROWSER),
        ("GET", "/approvals", BROWSER),
    ],
)
async def test_whatever_else_comes_is_passed_on(method: str, path: str, accept: str) -> None:
    assert await ask(method, path, accept) == (200, b"the client's")


def test_a_port_that_is_taken_is_told_with_the_way_to_a_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SettingsError, match=f"cannot listen on port {port}: .*; --port 0 takes a free one"):
            listen(ServerSettings(port=port))
