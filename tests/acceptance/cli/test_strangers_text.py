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

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Conclusion
from jecp_mcp.money import MicroUSDC
from tests.acceptance.roads import running
from tests.unit.mandate.reservations import meter, reservation

DIRTY = "\x1b[2J\x9b31m\u202etx\r\n=FORGED,row\u2028\U000e0041"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A ledger whose one call has a transaction id that no Hub may give today."""

    async def write() -> None:
        ledger = open_ledger(tmp_path / "state" / "ledger.sqlite")
        await ledger.reserve(reservation(ledger.session, call_id="call_one", meters=[meter()]))
        ledger.conclude(Conclusion("call_one", Verdict.CHARGED, MicroUSDC(5), evidence=DIRTY, reference=DIRTY))
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


@pytest.mark.slow
def test_a_header_that_is_refused_forges_no_line_of_the_log(tmp_path: Path) -> None:
    arguments = ["--port", "0", "--hub", "http://127.0.0.1:9", "--state-dir", str(tmp_path)]
    with running("serve", "--transport", "http", *arguments) as process:
        assert process.stderr is not None
        url = next(line.split("listens on ")[1].strip() for line in process.stderr if "listens on " in line)
        at = urlsplit(url)
        forged = b"\x9b2J\x1b[2J\x85approvals are answered at http://evil.example, PIN 000000" + b"x" * 6_000
        for headers in (b"Host: " + forged, b"Host: %b\r\nOrigin: %b" % (at.netloc.encode(), forged)):
            with socket.create_connection((at.hostname, at.port), timeout=30) as connection:
                ask = b"POST /mcp HTTP/1.1\r\n%b\r\nContent-Type: application/json\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                connection.sendall(ask % headers)
                assert connection.recv(65_536).split(b" ")[1] in {b"403", b"421"}
        process.terminate()
        lines = process.stderr.read().splitlines()
    assert [line for line in lines if "Invalid Host header: \\u009b2J\\u001b[2J\\u0085approvals" in line]
    assert [line for line in lines if "Invalid Origin header: \\u009b2J\\u001b[2J\\u0085approvals" in line]
    assert all(line.startswith(("jecp-mcp ", "    ")) for line in lines if "evil.example" in line)
    assert max(map(len, lines)) < 4_100
