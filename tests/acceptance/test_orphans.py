"""A server whose host was killed ends by itself, and what it had in flight stands in the ledger."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.errors.seats import ledger
from tests.acceptance.held_hub import holding
from tests.acceptance.roads import SandboxHub, server_env

# A host that starts something else, which inherits the server's end of the pipe, and is killed during a call.
HOST = """
import json, subprocess, sys
errors, message = int(sys.argv[1]), json.loads(sys.argv[2])
server = subprocess.Popen(
    [sys.executable, "-m", "jecp_mcp", "serve", "--state-dir", sys.argv[3]],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
)
held = server.stdin.fileno()
other = subprocess.Popen(["sleep", "600"], pass_fds=[held, server.stdout.fileno()], stdout=subprocess.DEVNULL)
def say(**more):
    server.stdin.write(json.dumps({"jsonrpc": "2.0", **more}).encode() + b"\\n")
    server.stdin.flush()
hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
say(id=1, method="initialize", params=hello)
server.stdout.readline()
say(method="notifications/initialized")
say(id=2, method="tools/call", params=message)
print(other.pid, flush=True)
server.stdout.readline()
"""


@pytest.mark.slow
@pytest.mark.parametrize("call", [True, False])
def test_a_server_whose_host_was_killed_ends_though_something_else_holds_its_pipe(
    hub: SandboxHub, tmp_path: Path, call: bool
) -> None:
    with holding(hub) as held:
        asked = {"name": "text-stats_count", "arguments": {"text": "to nobody"}}
        read, write = os.pipe()
        env = server_env(held.hub.url, hub.agent_id, hub.api_key)
        host = subprocess.Popen(
            [sys.executable, "-c", HOST, str(write), json.dumps(asked if call else {"name": "jecp_wallet"}), str(tmp_path)],
            stdout=subprocess.PIPE, pass_fds=[write], env=env,
        )  # fmt: skip
        os.close(write)
        assert host.stdout is not None
        other = int(host.stdout.readline())
        try:
            if call:
                held.wait()
            host.send_signal(signal.SIGKILL)
            host.wait()
            with os.fdopen(read) as errors:
                # Its end is the server's, which alone still holds the other side.
                errors.read()
            rows = ledger(hub.url, tmp_path)
        finally:
            os.kill(other, signal.SIGKILL)
            host.stdout.close()
    assert [row["state"] in {"sent", "in_doubt", "settled"} for row in rows] == [True] * call
