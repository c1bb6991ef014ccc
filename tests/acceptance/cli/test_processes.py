"""The commands as processes: how they start, what they import, and how they end."""

from __future__ import annotations

import array
import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from tests.acceptance.roads import SandboxHub, output_of, running, sandbox

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHub]:
    with sandbox(tmp_path_factory.mktemp("hub") / "hub.sqlite") as running_hub:
        yield running_hub.new_agent()


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("JECP_")}
    return kept | {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)} | more


def command(tmp_path: Path, *arguments: str, env: dict[str, str] | None = None, text: str = "") -> Any:
    return subprocess.run(
        [sys.executable, "-m", "jecp_mcp", *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(tmp_path, **(env or {})),
    )


def account(hub: SandboxHub) -> dict[str, str]:
    return {"JECP_BASE_URL": hub.url, "JECP_AGENT_ID": hub.agent_id, "JECP_API_KEY": hub.api_key}


DAILY = {("stdio", signal.SIGINT), ("http", signal.SIGTERM)}


def test_serve_ends_cleanly_at_the_end_of_its_input(tmp_path: Path) -> None:
    ended = command(tmp_path, "serve", "--hub", NOWHERE)
    assert (ended.returncode, ended.stdout) == (0, "")


@pytest.mark.parametrize(
    ("transport", "number"),
    [
        pytest.param(
            transport,
            number,
            id=f"{transport}-{number.name}",
            marks=() if (transport, number) in DAILY else pytest.mark.slow,
        )
        for transport in ("stdio", "http", "sse")
        for number in (signal.SIGINT, signal.SIGTERM)
    ],
)
def test_serve_ends_cleanly_when_told(tmp_path: Path, transport: str, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "jecp_mcp", "serve", "--hub", NOWHERE, "--transport", transport, "--port", "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
    )
    with process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        if transport == "stdio":
            hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
            process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}) + "\n")
            process.stdin.flush()
            assert "serverInfo" in process.stdout.readline()
        else:
            while "listens on" not in process.stderr.readline():
                assert process.poll() is None
        process.send_signal(number)
        assert process.wait(60) == 0
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize("how", ["SIGTERM", *(pytest.param(how, marks=pytest.mark.slow) for how in ("SIGINT", "EOF"))])
def test_serve_ends_though_its_host_has_stopped_reading(tmp_path: Path, how: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "jecp_mcp", "serve", "--hub", NOWHERE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(tmp_path),
    )
    with process:
        assert process.stdin
        assert process.stdout
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}) + "\n")
        process.stdin.flush()
        assert "serverInfo" in process.stdout.readline()
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}) + "\n")
        # Together the answers fill the pipe several times over.
        for number in range(2, 60):
            process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": "tools/list"}) + "\n")
        process.stdin.flush()
        _wait_until_filled(process.stdout.fileno())
        if how == "EOF":
            process.stdin.close()
        else:
            process.send_signal(signal.Signals[how])
        try:
            assert process.wait(60) == 0
        finally:
            process.kill()


def _wait_until_filled(pipe: int) -> None:
    """Wait until a pipe holds unread bytes and takes no more."""
    last, same = -1, 0
    while True:
        count = array.array("i", [0])
        fcntl.ioctl(pipe, termios.FIONREAD, count)
        same = same + 1 if count[0] == last else 0
        last = count[0]
        if same >= 25 and last >= 30_000:
            return
        time.sleep(0.02)


def test_serve_imports_nothing_a_host_would_wait_for_in_vain(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "jecp_mcp", "serve", "--hub", NOWHERE],
        input="",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=environment(tmp_path),
    )
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines() if line.startswith("import time")}
    assert "jecp_mcp.server.mcp_server" in imported
    for name in ("rich", "jecp_mcp.sandbox", "jecp_mcp.cli.demo", "jsonschema_rs", "difflib", "PIL", "numpy"):
        assert name not in imported, name


@pytest.mark.slow
def test_the_sandbox_ends_when_told_and_keeps_its_state(tmp_path: Path) -> None:
    data = tmp_path / "hub.sqlite"
    seen = []
    for _ in range(2):
        with running("sandbox", "--port", "0", "--data", str(data)) as process:
            assert process.stdout
            ready = json.loads(process.stdout.readline())
            seen.append((ready["agent_id"], ready["api_key"]))
            process.terminate()
            assert process.wait(60) == 0
    assert seen[0] == seen[1]


@pytest.mark.slow
def test_the_sandbox_beside_a_server_dies_with_it_however_it_ends(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "jecp_mcp", "serve", "--sandbox", "--transport", "http", "--port", "0"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
    )
    with process:
        assert process.stderr
        while "listens on" not in process.stderr.readline():
            assert process.poll() is None
        [child] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.kill()
        process.wait()
        # The child holds our stderr: it reads as ended only when the child has gone too.
        process.stderr.read()
        while Path(f"/proc/{child}").exists():
            os.sched_yield()


@pytest.mark.anyio
@pytest.mark.slow
async def test_serve_with_a_sandbox_sells_for_test_money_and_spares_the_real_budget(tmp_path: Path) -> None:
    real = {"JECP_AGENT_ID": "jdb_ag_thisisarealagent0", "JECP_API_KEY": "jdb_ak_thisisarealkey000"}
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "jecp_mcp", "serve", "--sandbox"], env=environment(tmp_path, **real)
    )
    async with Client(server, mode="legacy") as client:
        found = output_of(await client.call_tool("jecp_search", {"query": "thumbnail image"}))
        tool = found["results"][0]["tool"]
        described = output_of(await client.call_tool("jecp_describe", {"tool": tool}))
        output_of(await client.call_tool("jecp_call", {"tool": tool, "arguments": described["examples"][0]["input"]}))
    rows = await anyio.to_thread.run_sync(lambda: command(tmp_path, "ledger", "--json").stdout)
    assert json.loads(rows) == []
    inside = ("ledger", "--json", "--state-dir", str(tmp_path / "jecp-mcp" / "sandbox"))
    rows = await anyio.to_thread.run_sync(lambda: command(tmp_path, *inside).stdout)
    [row] = json.loads(rows)
    assert (row["tool"], row["state"]) == (tool, "settled")


def test_the_catalog_is_listed_and_searched(tmp_path: Path, hub: SandboxHub) -> None:
    listed = json.loads(command(tmp_path, "catalog", "--json", "--hub", hub.url).stdout)
    assert len(listed) >= 14
    assert all(one["tool"] and one["price_usdc"] for one in listed)
    found = json.loads(command(tmp_path, "catalog", "invoice pdf", "--json", "--hub", hub.url).stdout)
    assert "invoice" in found[0]["tool"]
    people = command(tmp_path, "catalog", "invoice pdf", "--hub", hub.url)
    assert found[0]["tool"] in people.stdout
    assert "\x1b" not in people.stdout


def example_of(hub: SandboxHub, capability: str, action: str) -> dict[str, Any]:
    page = hub.http.get("/v1/capabilities", params={"page_size": 200}).json()
    for one in page["third_party_capabilities"]:
        if one["id"] == capability:
            [found] = [each for each in one["manifest"]["actions"] if each["id"] == action]
            return found["examples"][0]["input"]
    raise AssertionError(f"{capability} is not sold")


def test_a_call_is_paid_saved_and_entered_in_the_ledger(tmp_path: Path, hub: SandboxHub) -> None:
    before = hub.books()["charged_micro"]
    arguments = json.dumps(example_of(hub, "inkwell/invoice", "render"))
    path = tmp_path / "invoice.pdf"
    done = command(
        tmp_path, "call", "inkwell_invoice_render", "-", "--output", str(path), env=account(hub), text=arguments
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    assert "Paid $0.05" in done.stderr
    assert str(path) in done.stderr
    assert path.read_bytes().startswith(b"%PDF-")
    # Where the store keeps it is said too; what is said to models is not.
    [kept] = [line for line in done.stderr.splitlines() if line.startswith("kept until ")]
    assert Path(kept.partition(": ")[2].partition(" (PDF, ")[0]).read_bytes() == path.read_bytes()
    assert "jecp_file" not in done.stdout + done.stderr
    [row] = json.loads(command(tmp_path, "ledger", "--json").stdout)
    assert (row["tool"], row["charged_usdc"], row["state"]) == ("inkwell_invoice_render", "0.05", "settled")
    assert row["transaction_id"] in {one["transaction_id"] for one in hub.books()["transactions"]}
    assert hub.books()["charged_micro"] - before == 50_000
    day = json.loads(command(tmp_path, "budget", "--json").stdout)["windows"][0]
    assert (day["label"], day["used_usdc"]) == ("daily_usdc", "0.05")


@pytest.mark.slow
def test_a_refused_call_is_one_line_with_the_next_step_and_status_1(tmp_path: Path, hub: SandboxHub) -> None:
    done = command(tmp_path, "call", "inkwell_invoice_rendr", "{}", env=account(hub))
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("jecp-mcp: TOOL_NOT_FOUND: ")
    assert "Traceback" not in line
    programs = command(tmp_path, "call", "inkwell_invoice_rendr", "{}", "--json", env=account(hub))
    assert json.loads(programs.stdout)["error"]["code"] == "TOOL_NOT_FOUND"


@pytest.mark.slow
def test_nobody_consents_where_there_is_no_terminal(tmp_path: Path, hub: SandboxHub) -> None:
    before = hub.books()
    env = account(hub) | {"JECP_MCP_MANDATE__APPROVE_ABOVE_USDC": "0.01"}
    arguments = json.dumps(example_of(hub, "inkwell/invoice", "render"))
    done = command(tmp_path, "call", "inkwell_invoice_render", arguments, env=env, text="y\n")
    assert done.returncode == 1
    assert "APPROVAL_REQUIRED" in done.stderr
    assert hub.books() == before


@pytest.mark.parametrize(
    ("answer", "status"), [("y", 0), *(pytest.param(no, 1, marks=pytest.mark.slow) for no in ("n", ""))]
)
def test_a_person_at_a_terminal_is_asked(tmp_path: Path, hub: SandboxHub, answer: str, status: int) -> None:
    import pty

    before = hub.books()["charged_micro"]
    env = environment(tmp_path, **account(hub), JECP_MCP_MANDATE__APPROVE_ABOVE_USDC="0.01")
    arguments = json.dumps(example_of(hub, "inkwell/invoice", "render"))
    person, terminal = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "jecp_mcp", "call", "inkwell_invoice_render", arguments],
            stdin=terminal,
            stdout=subprocess.DEVNULL,
            stderr=terminal,
            env=env,
        )
        os.close(terminal)
        shown = b""
        while b"[y/N]" not in shown:
            shown += os.read(person, 4096)
        assert b"0.05 USDC" in shown
        os.write(person, answer.encode() + b"\n")
        assert process.wait(60) == status
    finally:
        os.close(person)
    assert hub.books()["charged_micro"] - before == (50_000 if status == 0 else 0)


@pytest.mark.slow
@pytest.mark.anyio
async def test_an_account_registered_through_a_host_is_kept_for_the_next_start(tmp_path: Path, hub: SandboxHub) -> None:
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "jecp_mcp", "serve", "--hub", hub.url],
        env=environment(tmp_path),
    )
    async with Client(server, mode="legacy") as client:
        assert "jecp_register" in {tool.name for tool in (await client.list_tools()).tools}
        made = output_of(await client.call_tool("jecp_register", {"name": "acceptance"}))
        assert "jecp_register" not in {tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools}
    kept = tmp_path / "jecp-mcp" / "credentials.json"
    assert (kept.stat().st_mode & 0o777) == 0o600
    stored = json.loads(kept.read_text())["hubs"][hub.url]
    assert stored["agent_id"] == made["agent_id"]
    assert stored["api_key"] not in json.dumps(made)
    async with Client(server, mode="legacy") as client:
        assert "jecp_register" not in {tool.name for tool in (await client.list_tools()).tools}
        output_of(await client.call_tool("text-stats_count", {"text": "one two three"}))


@pytest.mark.slow
def test_the_key_is_in_no_output_of_any_command(tmp_path: Path, hub: SandboxHub) -> None:
    for arguments in (("budget",), ("ledger", "--json"), ("catalog", "--json"), ("call", "text-stats_count", "{}")):
        done = command(tmp_path, *arguments, env=account(hub))
        assert hub.api_key not in done.stdout + done.stderr


def test_the_demo_holds_in_all_it_claims_and_leaves_only_what_was_bought(tmp_path: Path) -> None:
    done = command(tmp_path, "demo", "--output", str(tmp_path / "bought"), env={"TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "Everything held." in done.stdout
    assert "✗" not in done.stdout
    assert "\x1b" not in done.stdout
    assert (tmp_path / "bought" / "invoice.pdf").read_bytes().startswith(b"%PDF-")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bought"]
