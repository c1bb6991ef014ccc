"""Web pages must not reach the server: requests with a foreign Host or Origin are refused on every HTTP transport."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.acceptance.roads import _address, running

HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
FOREIGN: list[dict[str, str]] = [
    {"Host": "evil.example"},
    {"Host": "evil.example:8402"},
    {"Host": "127.0.0.1:1"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
]


def ask(client: httpx2.Client, method: str, url: str, headers: dict[str, str], **body: Any) -> int:
    accept = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    with client.stream(method, url, headers=accept | headers, **body) as answer:
        return answer.status_code


@pytest.mark.parametrize("transport", ["http", "sse"])
def test_foreign_hosts_and_origins_are_refused_and_our_own_are_let_in(tmp_path: Path, transport: str) -> None:
    arguments = ["--port", "0", "--hub", "http://127.0.0.1:9", "--state-dir", str(tmp_path)]
    with running("serve", "--transport", transport, *arguments) as process, httpx2.Client(timeout=60) as client:
        url = _address(process)
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
        for headers in ({}, {"Origin": base}, {"Origin": base.replace("127.0.0.1", "localhost")}):
            assert ask(client, method, door, headers, **body) == 200
