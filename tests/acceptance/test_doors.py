"""Web pages must not reach the server: requests with a foreign Host or Origin are refused on every HTTP transport."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.acceptance.roads import address, running

ALLOWED = "https://allowed.example"
ACCEPT = [("Accept", "application/json, text/event-stream"), ("Content-Type", "application/json")]
SENT = ("authorization", "content-type", "last-event-id", "mcp-method", "mcp-name", "mcp-protocol-version")
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
PAGE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FOREIGN: list[list[tuple[str, str]]] = [
    [("Host", "evil.example")],
    [("Host", "evil.example:8402")],
    [("Host", "127.0.0.1:1")],
    [("Origin", "https://evil.example")],
    [("Origin", "null")],
    [("Origin", "http://127.0.0.1:1")],
    [("Origin", "")],
    [("Origin", ALLOWED), ("Origin", ALLOWED)],
    [("Origin", ALLOWED), ("Origin", "https://evil.example")],
    [("Sec-Fetch-Site", "cross-site")],
    [("Sec-Fetch-Site", "same-site")],
    [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")],
    [*PAGE.items()],
]


def ask(client: httpx2.Client, method: str, url: str, headers: list[tuple[str, str]], **body: Any) -> int:
    with client.stream(method, url, headers=[*ACCEPT, *headers], **body) as answer:
        return answer.status_code


def preflight(client: httpx2.Client, url: str, origin: str, *more: str) -> tuple[int, str | None]:
    """How a browser is answered that asks for a page whether it may speak MCP: the status, and which origin may."""
    asked = {
        "Origin": origin,
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "cors",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": ",".join([*SENT, *more]),
        "Access-Control-Request-Private-Network": "true",
    }
    answer = client.options(url, headers=asked)
    return answer.status_code, answer.headers.get("access-control-allow-origin")


@pytest.mark.parametrize("transport", ["http", pytest.param("sse", marks=pytest.mark.slow)])
def test_foreign_hosts_and_origins_are_refused_and_our_own_are_let_in(tmp_path: Path, transport: str) -> None:
    arguments = ["--port", "0", "--hub", "http://127.0.0.1:9", "--state-dir", str(tmp_path)]
    env = {"JECP_MCP_SERVER__ALLOWED_ORIGINS": ALLOWED}
    with (
        running("serve", "--transport", transport, *arguments, env=env) as process,
        httpx2.Client(timeout=60) as client,
    ):
        url = address(process)
        base = url.rpartition("/")[0]
        hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}
        doors = [("POST", url, {"json": hello}), ("GET", url, {})]
        if transport == "sse":
            session = f"{base}/messages/?session_id={'0' * 32}"
            doors = [("GET", url, {}), ("POST", session, {"json": hello})]
        for method, door, body in doors:
            for headers in FOREIGN:
                assert ask(client, method, door, headers, **body) in {403, 421}, (method, door, headers)
        method, door, body = doors[0]
        ours = [base, base.replace("127.0.0.1", "localhost"), ALLOWED]
        let_in = [[], *([("Origin", origin)] for origin in ours), [("Sec-Fetch-Site", "same-origin")]]
        for headers in [*let_in, [("Origin", ALLOWED), ("Sec-Fetch-Site", "cross-site")]]:
            assert ask(client, method, door, headers, **body) == 200, headers
        for path in {url, doors[-1][1].partition("?")[0]}:
            assert preflight(client, path, ALLOWED) == (200, ALLOWED)
            assert preflight(client, path, base) == (200, base)
            assert preflight(client, path, "https://evil.example") == (400, None)
            assert preflight(client, path, ALLOWED, "x-api-key") == (400, ALLOWED)
        # What people answer is no script's to read, wherever it comes from.
        assert preflight(client, f"{base}/approvals", ALLOWED)[1] is None
        with client.stream(method, door, headers=[*ACCEPT, ("Origin", ALLOWED)], **body) as answer:
            assert answer.headers["access-control-allow-origin"] == ALLOWED
            assert "Mcp-Session-Id" in answer.headers["access-control-expose-headers"]
            assert "Origin" in answer.headers["vary"]
        # A link may lead a reader to the page, which answers nothing without the PIN.
        assert client.get(f"{base}/approvals", headers=PAGE).status_code == 200
        assert client.get(f"{base}/approvals", headers=PAGE | {"Sec-Fetch-Dest": "iframe"}).status_code == 403
        assert client.post(f"{base}/approvals", headers=PAGE | {"Origin": base}, data={"pin": "x"}).status_code == 403
