"""Web pages must not reach the server: requests with a foreign Host or Origin are refused on every HTTP transport."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.acceptance.roads import address, running

ALLOWED = "https://allowed.example"
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
    accept = [("Accept", "application/json, text/event-stream"), ("Content-Type", "application/json")]
    with client.stream(method, url, headers=[*accept, *headers], **body) as answer:
        return answer.status_code


@pytest.mark.parametrize("transport", ["http", "sse"])
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
        # A link may lead a reader to the page, which answers nothing without the PIN.
        assert client.get(f"{base}/approvals", headers=PAGE).status_code == 200
        assert client.get(f"{base}/approvals", headers=PAGE | {"Sec-Fetch-Dest": "iframe"}).status_code == 403
        assert client.post(f"{base}/approvals", headers=PAGE | {"Origin": base}, data={"pin": "x"}).status_code == 403
