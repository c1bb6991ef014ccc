"""An HTTP client that drops its connection and asks again, as hosts do after a time limit of their own."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.acceptance.roads import MODERN, SandboxHub, address, running, server_env

ACCEPT = {"Accept": "application/json, text/event-stream"}
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
BUY = {"name": "text-stats_count", "arguments": {"text": "as it was said"}}


def said(answer: httpx2.Response) -> Any:
    data = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
    return json.loads(data[-1])["result"]


def wait_for_a_charge(hub: SandboxHub) -> None:
    while not hub.books()["transactions"]:
        time.sleep(0.05)


@pytest.mark.slow
def test_an_answer_to_a_closed_connection_is_kept_for_the_repeat_and_not_bought_again(
    hub: SandboxHub, tmp_path: Path
) -> None:
    env = server_env(hub.url, hub.agent_id, hub.api_key)
    with running("serve", "--transport", "http", "--port", "0", "--state-dir", str(tmp_path), env=env) as process:
        url = address(process)
        with httpx2.Client(headers=ACCEPT, timeout=60) as client:

            def ask(number: int, **message: Any) -> httpx2.Response:
                return client.post(url, json={"jsonrpc": "2.0", "id": number, **message})

            hello = ask(1, method="initialize", params=HELLO)
            client.headers["Mcp-Session-Id"] = hello.headers["mcp-session-id"]
            client.post(url, json={"jsonrpc": "2.0", "method": "notifications/initialized"})
            hub.fault("text-stats:count", "delay:1")
            with pytest.raises(httpx2.ReadTimeout):
                client.post(
                    url,
                    json={"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": BUY},
                    timeout=0.3,
                )
            wait_for_a_charge(hub)
            for number, stored in ((3, True), (4, False)):
                result = said(ask(number, method="tools/call", params=BUY))
                assert not result["isError"]
                assert result["_meta"]["jecp-mcp/billing"].get("stored", False) is stored
    assert len(hub.books()["transactions"]) == 2


@pytest.mark.slow
def test_a_2026_era_client_that_leaves_loses_nothing_either(hub: SandboxHub, tmp_path: Path) -> None:
    env = server_env(hub.url, hub.agent_id, hub.api_key)
    era = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": BUY["name"]}
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": HELLO["clientInfo"],
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    with running("serve", "--transport", "http", "--port", "0", "--state-dir", str(tmp_path), env=env) as process:
        url = address(process)
        with httpx2.Client(headers={**ACCEPT, **era}, timeout=60) as client:

            def buy(number: int, **options: Any) -> Any:
                asked = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {**BUY, "_meta": meta}}
                return client.post(url, json=asked, **options).json()["result"]

            hub.fault("text-stats:count", "delay:1")
            with pytest.raises(httpx2.ReadTimeout):
                buy(1, timeout=0.3)
            wait_for_a_charge(hub)
            for number, stored in ((2, True), (3, False)):
                result = buy(number)
                assert not result["isError"]
                assert result["_meta"]["jecp-mcp/billing"].get("stored", False) is stored
    assert len(hub.books()["transactions"]) == 2
