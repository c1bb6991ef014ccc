"""A 2025-era HTTP client that drops its connection and asks again, as hosts do after a time limit of their own."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.acceptance.roads import SandboxHub, address, running, server_env

ACCEPT = {"Accept": "application/json, text/event-stream"}
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}


def said(answer: httpx2.Response) -> Any:
    data = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
    return json.loads(data[-1])["result"]


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
            # It keeps no host waiting for a Hub that a loaded machine makes slow.
            for number in range(100, 2_100):
                if any(tool["name"] == "text-stats_count" for tool in said(ask(number, method="tools/list"))["tools"]):
                    break
                time.sleep(0.05)
            else:
                raise AssertionError("the tool is not listed")
            buy = {"name": "text-stats_count", "arguments": {"text": "as it was said"}}
            hub.hold_the_fetch("text-stats:count")
            with client.stream(
                "POST", url, json={"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": buy}
            ) as left:
                assert left.status_code == 200
                hub.wait_for_charges(1)
            hub.heal()
            for number, stored in ((3, True), (4, False)):
                result = said(ask(number, method="tools/call", params=buy))
                assert not result["isError"]
                assert result["_meta"]["jecp-mcp/billing"].get("stored", False) is stored
    assert len(hub.books()["transactions"]) == 2
