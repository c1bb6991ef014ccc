"""A stranger's text at the operator's terminal: in real processes, with what a ledger of earlier days may hold."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import pytest

from jecp_mcp.mandate.ledger import Conclusion
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.states import Event
from jecp_mcp.money import MicroUSDC
from tests.acceptance.roads import drained, running
from tests.unit.mandate.reservations import meter, reservation

DIRTY = "\x1b[2J\x9b31m\u202etx\r\n=FORGED,row\u2028\U000e0041"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A ledger whose one call has a transaction id that no Hub may give today."""

    async def write() -> None:
        ledger = open_ledger(tmp_path / "state" / "ledger.sqlite")
        await ledger.reserve(reservation(ledger.session, call_id="call_one", meters=[meter()]))
        ledger.conclude(Conclusion("call_one", Event.SETTLE, MicroUSDC(5), evidence=DIRTY, transaction_id=DIRTY))
        await ledger.close()

    anyio.run(write)
    return tmp_path / "state"


def environment(state: Path) -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("JECP_")}
    return env | {"HOME": str(state.parent), "JECP_MCP_STATE_DIR": str(state), "TERM": "xterm-256color"}


def at_a_terminal(state: Path, *arguments: str) -> str:
    """What a person sees."""
    person, terminal = pty.openpty()
    try:
        command = [sys.executable, "-m", "jecp_mcp", *arguments]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal, env=environment(state)
        )
        os.close(terminal)
        seen = b""
        while True:
            try:
                seen += os.read(person, 65_536)
            except OSError:
                break
        assert process.wait(60) == 0
        return seen.decode()
    finally:
        os.close(person)


@pytest.mark.parametrize(
    "arguments", [("ledger",), ("ledger", "--json"), ("ledger", "--export", "-", "--format", "csv", "--events")]
)
def test_an_id_in_the_ledger_commands_no_terminal(state: Path, arguments: tuple[str, ...]) -> None:
    seen = at_a_terminal(state, *arguments)
    assert "\x1b[2J" not in seen
    assert not set("\x9b\u202e\u2028\U000e0041") & set(seen)
    assert not any(line.startswith("=FORGED") for line in seen.splitlines())


def test_an_id_in_the_ledger_forges_no_row_of_an_export_and_json_keeps_it(state: Path) -> None:
    def export(form: str) -> str:
        command = [sys.executable, "-m", "jecp_mcp", "ledger", "--export", "-", "--format", form]
        return subprocess.run(
            command, capture_output=True, check=True, env=environment(state), timeout=60
        ).stdout.decode()

    [row] = csv.DictReader(io.StringIO(export("csv"), newline=""))
    assert row["transaction_id"] == "\\u001b[2J\\u009b31m\\u202etx\\u000d\\u000a=FORGED,row\\u2028\\udb40\\udc41"
    [call] = json.loads(export("json"))
    assert call["transaction_id"] == DIRTY


def test_a_header_that_is_refused_forges_no_line_of_the_log(tmp_path: Path) -> None:
    arguments = ["--port", "0", "--hub", "http://127.0.0.1:9", "--state-dir", str(tmp_path)]
    with running("serve", "--transport", "http", *arguments) as process:
        assert process.stderr is not None
        url = next(line.split("listens on ")[1].strip() for line in process.stderr if "listens on " in line)
        forged = b"\x9b2J\x85approvals are answered at http://evil.example, PIN 000000" + b"x" * 8_000
        with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=30) as connection:
            connection.sendall(
                b"POST /mcp HTTP/1.1\r\nHost: %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % forged
            )
            assert connection.recv(65_536).split(b" ")[1] in {b"400", b"421"}
        lines = drained(process)
        process.terminate()
        process.wait(30)
    assert not any(line.startswith(("approvals are answered at http://evil", "\x9b")) for line in lines)
    assert not any("\x9b" in line or "\x85" in line or len(line) > 4_100 for line in lines)
