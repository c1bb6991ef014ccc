"""A server that dies in the middle of a paid call, and the one that the host starts after it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.roads import SandboxHub, server_env

HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
BUY: dict[str, Any] = {"name": "text-stats_count", "arguments": {"text": "said before the end"}}


class Host:
    """A host on stdio that can be as rude as hosts are."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.number = 0

    def send(self, method: str, **params: Any) -> int:
        self.number += 1
        message = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        return self.number

    def answer(self, number: int) -> Any:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said = json.loads(line)
            if said.get("id") == number:
                return said["result"]
        raise AssertionError("the server ended without an answer")

    def ask(self, method: str, **params: Any) -> Any:
        return self.answer(self.send(method, **params))

    def wait_for(self, tool: str) -> None:
        """Until a tool is listed: a server keeps no host waiting for a Hub that a loaded machine makes slow."""
        for _ in range(2_000):
            if any(one["name"] == tool for one in self.ask("tools/list")["tools"]):
                return
            time.sleep(0.05)
        raise AssertionError(f"{tool} is not listed")


@contextmanager
def served(hub: SandboxHub, state: Path, *, sold: str = BUY["name"], **settings: str) -> Iterator[Host]:
    """A server that sells, among other things, the tool `sold`."""
    command = [sys.executable, "-m", "jecp_mcp", "serve", "--state-dir", str(state)]
    env = server_env(hub.url, hub.agent_id, hub.api_key, **settings)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env
    ) as process:
        host = Host(process)
        try:
            host.ask("initialize", **HELLO)
            host.wait_for(sold)
            yield host
        finally:
            process.kill()


def stored(result: Any) -> bool:
    assert not result["isError"], result
    return bool(result["_meta"]["jecp-mcp/billing"].get("stored", False))


def test_a_call_whose_server_was_killed_is_finished_and_not_bought_again(hub: SandboxHub, tmp_path: Path) -> None:
    hub.hold_the_fetch("text-stats:count")
    with served(hub, tmp_path) as host:
        host.send("tools/call", **BUY)
        hub.wait_for_charges(1)
        host.process.send_signal(signal.SIGKILL)
        host.process.wait(60)
    hub.heal()
    with served(hub, tmp_path) as host:
        told = [stored(host.ask("tools/call", **BUY)) for _ in range(2)]
    # The first repeat is the lost answer, the second, after it was delivered, a new purchase.
    assert told == [True, False]
    assert len(hub.books()["transactions"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("asked", ["status", "repeat"])
def test_an_answer_that_no_host_ever_read_outlives_the_server(hub: SandboxHub, tmp_path: Path, asked: str) -> None:
    hub.hold_the_fetch("text-stats:count")
    with served(hub, tmp_path) as host:
        number = host.send("tools/call", **BUY)
        hub.wait_for_charges(1)
        # The host gives up on the request, as a user who presses stop does, and restarts the server.
        assert host.process.stdin is not None
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}}
        host.process.stdin.write(json.dumps(cancel) + "\n")
        # What is answered afterwards was read afterwards.
        host.ask("tools/list")
        host.process.stdin.close()
        hub.heal()
        assert host.process.wait(60) == 0
    with served(hub, tmp_path) as host:
        (call,) = host.ask("tools/call", name="jecp_status", arguments={})["structuredContent"]["calls"]
        # What was paid for at its price needs no word in the list.
        assert call.get("charged", "yes") in {"yes", "unknown"}
        if asked == "status":
            arguments = {"call_id": call["call_id"]}
            found = host.ask("tools/call", name="jecp_status", arguments=arguments)
        else:
            found = host.ask("tools/call", **BUY)
        assert stored(found)
        assert found["structuredContent"]["output"]["characters"] == len(BUY["arguments"]["text"])
    assert len(hub.books()["transactions"]) == 1


@pytest.mark.slow
def test_a_call_that_never_reached_the_hub_is_not_bought_once_the_operator_denies_it(
    hub: SandboxHub, tmp_path: Path
) -> None:
    hub.fault("text-stats:count", "drop_before", times=9)
    with served(hub, tmp_path) as host:
        lost = host.ask("tools/call", **BUY)["structuredContent"]
        assert lost["charged"] == "unknown"
    hub.heal()
    status = {"name": "jecp_status", "arguments": {"call_id": lost["call_id"]}}
    with served(hub, tmp_path, sold="qr-code_encode", mandate__deny="*text-stats*") as host:
        told = host.ask("tools/call", **status)["structuredContent"]
        assert (told["charged"], told["next_action"]["actor"]) == ("unknown", "operator")
        assert "forbids it by now (DENIED_BY_POLICY)" in told["message"]
        assert hub.books()["transactions"] == []
    with served(hub, tmp_path) as host:
        assert stored(host.ask("tools/call", **status))
    assert len(hub.books()["transactions"]) == 1
