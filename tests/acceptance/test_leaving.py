"""An HTTP client that drops its connection and asks again, as hosts do after a time limit of their own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.acceptance.roads import MODERN, SandboxHub, address, running, server_env

ACCEPT = {"Accept": "application/json, text/event-stream"}
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
BUY = {"name": "text-stats_count", "arguments": {"text": "as it was said"}}
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": HELLO["clientInfo"],
    "io.modelcontextprotocol/clientCapabilities": {},
}


def said(answer: httpx2.Response) -> Any:
    if answer.headers["content-type"].startswith("application/json"):
        return answer.json()["result"]
    data = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
    return json.loads(data[-1])["result"]


def until_listed(listed: Callable[[int], Any]) -> None:
    """A server keeps no host waiting for a Hub that a loaded machine makes slow."""
    for number in range(100, 2_100):
        if any(tool["name"] == BUY["name"] for tool in listed(number)["tools"]):
            return
        time.sleep(0.05)
    raise AssertionError("the tool is not listed")


def leave(hub: SandboxHub, url: str, headers: dict[str, str], message: dict[str, Any]) -> None:
    """Ask, and drop the connection while the Hub, which has charged, holds its answer back."""
    at = urlsplit(url)
    hub.hold_the_fetch("text-stats:count")
    with closing(HTTPConnection(at.hostname or "", at.port, timeout=60)) as line:
        line.request("POST", at.path, json.dumps(message), {**headers, "Content-Type": "application/json"})
        hub.wait_for_charges(1)
    hub.heal()


@pytest.mark.slow
@pytest.mark.parametrize("era", ["2025", "2026"])
def test_an_answer_to_a_closed_connection_is_kept_for_the_repeat_and_not_bought_again(
    hub: SandboxHub, tmp_path: Path, era: str
) -> None:
    env = server_env(hub.url, hub.agent_id, hub.api_key)
    with running("serve", "--transport", "http", "--port", "0", "--state-dir", str(tmp_path), env=env) as process:
        url = address(process)
        with httpx2.Client(headers=ACCEPT, timeout=60) as client:

            def message(number: int, method: str, params: dict[str, Any]) -> dict[str, Any]:
                params = {**params, "_meta": META} if era == "2026" else params
                return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}

            def headers(method: str, name: str | None = None) -> dict[str, str]:
                told = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method} if era == "2026" else {}
                return told | ({"Mcp-Name": name} if told and name else {})

            def ask(number: int, method: str, params: dict[str, Any]) -> httpx2.Response:
                sent = headers(method, params.get("name"))
                return client.post(url, json=message(number, method, params), headers=sent)

            if era == "2025":
                hello = ask(1, "initialize", HELLO)
                client.headers["Mcp-Session-Id"] = hello.headers["mcp-session-id"]
                client.post(url, json={"jsonrpc": "2.0", "method": "notifications/initialized"})
            until_listed(lambda number: said(ask(number, "tools/list", {})))
            sent = {**dict(client.headers), **headers("tools/call", BUY["name"])}
            leave(hub, url, sent, message(2, "tools/call", BUY))
            for number, stored in ((3, True), (4, False)):
                result = said(ask(number, "tools/call", BUY))
                assert not result["isError"]
                assert result["_meta"]["jecp-mcp/billing"].get("stored", False) is stored
    assert len(hub.books()["transactions"]) == 2
