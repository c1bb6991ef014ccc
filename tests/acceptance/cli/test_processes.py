"""The commands as processes: how they start, what they import, and how they end."""

from __future__ import annotations

import array
import fcntl
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters

from jecp_mcp.cli.hub_record import HubRecord
from jecp_mcp.cli.main import _run
from jecp_mcp.settings import Settings
from tests.acceptance.roads import PATIENT, SandboxHub, example_of, output_of, running, sandbox, until_on_sale
from tests.hub_users import ended, hub_pid

NOWHERE = "http://127.0.0.1:9"
INVOICE = "inkwell/invoice:render"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHub]:
    with sandbox(tmp_path_factory.mktemp("hub") / "hub.sqlite") as running_hub:
        yield running_hub.new_agent()


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("JECP_")}
    places = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    return kept | places | PATIENT | more


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


@contextmanager
def at_a_pty(
    tmp_path: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A command at a terminal of its own, and the descriptor of the person there."""
    person, terminal = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "jecp_mcp", *arguments],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=environment(tmp_path, **(env or {})),
            start_new_session=True,
            # Its Ctrl-C is a signal only where the terminal is the session's own.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - one thread starts it
        )
        os.close(terminal)
        with process:
            try:
                yield process, person
            finally:
                process.kill()
    finally:
        os.close(person)


def seen_until(person: int, words: bytes | None) -> bytes:
    """What a terminal shows up to some words; None reads to its end."""
    shown = b""
    while words is None or words not in shown:
        try:
            piece = os.read(person, 4096)
        except OSError:
            piece = b""
        if not piece:
            assert words is None, shown
            break
        shown += piece
    return shown


def account(hub: SandboxHub) -> dict[str, str]:
    return {"JECP_BASE_URL": hub.url, "JECP_AGENT_ID": hub.agent_id, "JECP_API_KEY": hub.api_key}


DAILY = ("http", signal.SIGTERM)


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
            marks=() if (transport, number) == DAILY else pytest.mark.slow,
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


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "EOF"])
@pytest.mark.slow
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


def test_on_windows_a_sentence_says_that_it_does_not_run_there(tmp_path: Path) -> None:
    # What Windows does not have cannot be imported there.
    script = (
        "import sys, click\n"
        "sys.modules |= dict.fromkeys(('fcntl', 'grp', 'pwd', 'resource', 'termios', 'tty'))\n"
        "sys.platform = 'win32'\n"
        "import jecp_mcp.__main__\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(tmp_path),
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    [line] = ended.stderr.splitlines()
    assert "not on Windows yet" in line


@pytest.mark.slow
def test_serve_in_a_terminal_says_that_it_waits_for_a_host_and_ends_when_told(tmp_path: Path) -> None:
    with at_a_pty(tmp_path, "serve", "--hub", NOWHERE) as (process, person):
        shown = seen_until(person, b"Ctrl-C ends it")
        assert b"waits for an MCP host" in shown
        ended = threading.Event()

        def press_until_it_ends() -> None:
            while not ended.wait(5):
                os.write(person, b"\x03")

        os.write(person, b"\x03")
        # A first one may be lost among the imports of a start, where Python cannot raise it; a person presses again.
        pressing = threading.Thread(target=press_until_it_ends)
        pressing.start()
        try:
            assert b"Traceback" not in seen_until(person, None)
        finally:
            ended.set()
            pressing.join()
        # Told to end before it had begun, it ends as interrupted.
        assert process.wait(60) in {0, 130}


@pytest.mark.slow
def test_a_streaming_call_shows_at_a_terminal_how_it_goes_on(tmp_path: Path, hub: SandboxHub) -> None:
    hub.fault("lectern/concordance", "pause_midway:600")
    arguments = json.dumps({"text": "one fish two fish", "keyword": "fish"})
    with at_a_pty(tmp_path, "call", "lectern/concordance.keyword-in-context", arguments, env=account(hub)) as (
        process,
        person,
    ):
        seen_until(person, b"1: a piece arrived")
        hub.heal()
        # The line is gone before the answer comes.
        shown = seen_until(person, b"Paid 0.006 USDC")
        assert shown.index(b"\r\x1b[K") < shown.index(b"offset")
        assert process.wait(60) == 0


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


SHORT_STAY = """
import sys
from jecp_mcp.cli import hub_process
hub_process.sandbox_hub.__wrapped__.__kwdefaults__["linger"] = 0
from jecp_mcp.cli.main import main
main()
"""
"""The command, but the Hub that it starts ends at once when nobody uses it."""


@pytest.mark.slow
def test_the_sandbox_beside_a_server_ends_after_it_however_that_ends_and_holds_none_of_its_streams(
    tmp_path: Path,
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SHORT_STAY, "serve", "--sandbox", "--transport", "http", "--port", "0"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
    )
    with process:
        assert process.stderr
        said = process.stderr.readline()
        while "listens on" not in said:
            said += process.stderr.readline()
            assert process.poll() is None
        data = tmp_path / "jecp-mcp" / "sandbox" / "sandbox.sqlite"
        hub, pid = HubRecord(data).hub, hub_pid(data)
        assert hub is not None
        assert f"test money from the sandbox Hub at {hub.url}, whose page" in said
        assert hub.api_key not in said
        # A person can fill the wallet with what is said there.
        [fill] = re.findall(r"fill the wallet with test money at (\S+)", said)
        assert "Agent id" in httpx2.get(fill).raise_for_status().text
        process.kill()
        process.wait()
        process.stderr.read()
    ended(pid)


@pytest.mark.slow
def test_a_topup_leaves_a_sandbox_at_which_its_link_can_be_opened_and_says_for_how_long(tmp_path: Path) -> None:
    brief = SHORT_STAY.replace('["linger"] = 0', '["linger"] = 0.01')
    made = subprocess.run(
        [sys.executable, "-c", brief, "topup", "5", "--sandbox"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=environment(tmp_path),
    )
    assert "runs for 15 minutes more" in made.stderr
    assert "topup 5 --sandbox" in made.stderr
    page = httpx2.get(made.stdout.strip()).raise_for_status().text
    [form] = re.findall(r'action="(\S+)"', page)
    pid = hub_pid(tmp_path / "jecp-mcp" / "sandbox" / "sandbox.sqlite")
    paid = httpx2.post(httpx2.URL(made.stdout.strip()).join(form), follow_redirects=True).raise_for_status()
    assert "The wallet was credited" in paid.text
    os.kill(pid, signal.SIGTERM)
    ended(pid)


@pytest.mark.anyio
@pytest.mark.slow
async def test_two_servers_share_a_sandbox_and_what_a_crash_of_all_left_open_is_finished(tmp_path: Path) -> None:
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "jecp_mcp", "serve", "--sandbox"], env=environment(tmp_path)
    )
    data = tmp_path / "jecp-mcp" / "sandbox" / "sandbox.sqlite"
    state = ("--state-dir", str(data.parent))
    async with Client(server) as first, Client(server) as second:
        hub = HubRecord(data).hub
        assert hub is not None
        pid = hub_pid(data)
        for client in (first, second):
            await until_on_sale(client)
            wanted = {"tool": INVOICE, "arguments": example_of(hub.url, INVOICE)}
            output_of(await client.call_tool("jecp_call", wanted))
        # The answer of the next is lost with the Hub, which has charged it, and with the server that waited for it.
        body = {"match": "inkwell/invoice:render", "fault": "drop_after_charge", "times": 1}
        lost = {"match": "inkwell/invoice:render", "fault": "drop_before", "times": 99}
        for fault in (body, lost):
            httpx2.post(f"{hub.url}/sandbox/faults", json=fault, headers={"X-Sandbox-Key": hub.control_key})
        with anyio.move_on_after(120):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(first.call_tool, "jecp_call", wanted)
                while not [row for row in ledger_rows(tmp_path, state) if row["state"] in {"sent", "in_doubt"}]:
                    await anyio.sleep(0.1)
                os.kill(pid, signal.SIGKILL)
                ended(pid)
                tasks.cancel_scope.cancel()
    async with Client(server):
        again = HubRecord(data).hub
        assert again is not None
        assert (again.url, again.agent_id, again.api_key) == (hub.url, hub.agent_id, hub.api_key)
        with anyio.fail_after(120):
            # A server that was quick has settled the last itself, with the Hub that was started again.
            while not {row["state"] for row in ledger_rows(tmp_path, state)} <= {"settled", "reconciled_charged"}:
                await anyio.sleep(0.2)
    auth = {"X-Agent-ID": hub.agent_id, "X-API-Key": hub.api_key}
    books = httpx2.get(f"{hub.url}/sandbox/books", headers=auth).json()
    assert len(books["transactions"]) == 3
    os.kill(hub_pid(data), signal.SIGTERM)


def ledger_rows(tmp_path: Path, state: tuple[str, ...]) -> list[dict[str, Any]]:
    return json.loads(command(tmp_path, "ledger", "--json", *state).stdout)


@pytest.mark.slow
def test_a_second_sandbox_on_the_same_file_says_where_the_first_is(tmp_path: Path) -> None:
    data = str(tmp_path / "hub.sqlite")
    with running("sandbox", "--port", "0", "--data", data) as process:
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        second = command(tmp_path, "sandbox", "--port", "0", "--data", data)
        assert (second.returncode, second.stdout) == (2, "")
        assert f"a sandbox runs on this file already, at {ready['hub']}" in second.stderr


@pytest.mark.anyio
@pytest.mark.slow
async def test_serve_with_a_sandbox_sells_for_test_money_and_spares_the_real_budget(tmp_path: Path) -> None:
    real = {"JECP_AGENT_ID": "jdb_ag_thisisarealagent0", "JECP_API_KEY": "jdb_ak_thisisarealkey000"}
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "jecp_mcp", "serve", "--sandbox"], env=environment(tmp_path, **real)
    )
    async with Client(server, mode="legacy") as client:
        await until_on_sale(client)
        found = output_of(await client.call_tool("jecp_search", {"query": "thumbnail image"}))
        tool = found["results"][0]["tool"]
        sandbox = HubRecord(tmp_path / "jecp-mcp" / "sandbox" / "sandbox.sqlite").hub
        assert sandbox is not None
        arguments = example_of(sandbox.url, "inkwell/thumbnail:make")
        output_of(await client.call_tool("jecp_call", {"tool": tool, "arguments": arguments}))
    rows = await anyio.to_thread.run_sync(lambda: command(tmp_path, "ledger", "--json").stdout)
    assert json.loads(rows) == []
    inside = ("ledger", "--json", "--state-dir", str(tmp_path / "jecp-mcp" / "sandbox"))
    rows = await anyio.to_thread.run_sync(lambda: command(tmp_path, *inside).stdout)
    [row] = json.loads(rows)
    assert (row["tool"], row["state"]) == (tool, "settled")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """As `command`, in this process."""

    def run(*arguments: str, env: Mapping[str, str] | None = None) -> Any:
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("JECP_")]:
                patch.delenv(name)
            for name, value in environment(tmp_path, **(env or {})).items():
                patch.setenv(name, value)
            patch.setattr("sys.argv", ["jecp-mcp", *arguments])
            status = _run()
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, status, out, err)

    return run


def test_what_is_on_sale_is_listed_searched_described_and_completed(
    here: Callable[..., Any], hub: SandboxHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    env = account(hub)
    listed = json.loads(here("catalog", "--json", env=env).stdout)
    assert len(listed) >= 14
    assert all(one["tool"] and one["price_usdc"] for one in listed)
    people = here("catalog", env=env).stdout
    assert re.search(r"^inkwell_invoice_render +0\.05 +bronze +Make an invoice PDF \(A4\)$", people, re.MULTILINE)
    found = json.loads(here("search", "invoice pdf", "--json", env=env).stdout)["results"]
    assert "invoice" in found[0]["tool"]
    people = here("search", "invoice pdf", env=env).stdout
    assert re.search(r"^inkwell_invoice_render +0\.05 +Make an invoice PDF", people, re.MULTILINE)
    dear = here("search", "report", env=env).stdout
    assert re.search(r"plumbline_report_compile .* per call limit$", dear, re.MULTILINE)
    assert "No close match" in here("search", "zzzz qqqq", env=env).stdout
    assert [one["tool"] for one in json.loads(here("search", "pdf", "--max-price", "0.03", "--limit", "1", "--json", env=env).stdout)["results"]] == [
        "inkwell_convert_markdown-to-pdf"
    ]  # fmt: skip
    for named in ("inkwell_invoice_render", "inkwell/invoice:render", "inkwell.invoice.render@2.1.0"):
        assert json.loads(here("describe", named, "--json", env=env).stdout)["tool"] == "inkwell_invoice_render"
    people = here("describe", "inkwell/invoice/render", env=env).stdout
    assert re.search(r"^within your limits +yes$", people, re.MULTILINE)
    assert re.search(r"^number +string +yes +The invoice's number\.$", people, re.MULTILINE)
    # The example can be typed as it stands.
    [typed] = re.findall(r"^  (\S*jecp-mcp call .*)$", people, re.MULTILINE)
    tool, arguments = shlex.split(typed)[2:4]
    assert tool == "inkwell_invoice_render"
    assert json.loads(arguments) == example_of(hub.url, INVOICE)
    monkeypatch.setenv("_JECP_MCP_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "jecp-mcp describe plumb")
    monkeypatch.setenv("COMP_CWORD", "2")
    with pytest.raises(SystemExit) as ended:
        here(env=env)
    assert ended.value.code == 0
    assert "plain,plumbline_csv_profile" in capsys.readouterr().out.splitlines()


def test_a_person_registers_buys_tops_up_and_asks_for_money_back(
    here: Callable[..., Any], hub: SandboxHub, tmp_path: Path
) -> None:
    env = {"JECP_BASE_URL": hub.url}
    made = here("register", "--name", "by hand", env=env)
    assert made.returncode == 0, made.stderr
    stored = json.loads((tmp_path / "jecp-mcp" / "credentials.json").read_text())["hubs"][hub.url]
    assert stored["agent_id"] in made.stdout
    again = here("register", env=env)
    assert (again.returncode, again.stdout) == (1, "")
    assert "ALREADY_REGISTERED" in again.stderr

    free = here("call", "text-stats.count@1.0.0", '{"text": "one two"}', env=env)
    assert (free.returncode, json.loads(free.stdout)["words"]) == (0, 2)
    assert free.stderr.startswith("Free: the Hub charged nothing")
    [one] = json.loads(here("status", "--json", env=env).stdout)["calls"]
    assert (one["tool"], one["charged"]) == ("text-stats_count", "no")
    for shown in (here("status", env=env).stdout, here("ledger", env=env).stdout):
        assert re.search(rf"^{one['call_id']} .* free\b", shown, re.MULTILINE)
    stored_answer = here("status", one["call_id"], env=env)
    assert json.loads(stored_answer.stdout)["words"] == 2
    assert "Free" in stored_answer.stderr
    wallet = json.loads(here("wallet", "--json", env=env).stdout)
    left = wallet["free_calls_remaining"]
    assert (left > 0, wallet["calls"], wallet["charged_usdc"]) == (True, 0, "0.00")
    assert re.search(rf"^free calls left +{left}$", here("wallet", env=env).stdout, re.MULTILINE)
    refused = here("refund", one["call_id"], "--reason", "why not", env=env)
    assert (refused.returncode, refused.stdout, "NOT_CHARGED" in refused.stderr) == (1, "", True)
    assert "nothing was charged" in here("call", "jecp_wallet", "{}", env=env).stderr

    link = here("topup", "20", env=env)
    assert link.stdout.startswith(f"{hub.url}/checkout/")
    assert "nothing is charged before that" in link.stderr
    httpx2.post(f"{link.stdout.strip()}/pay", follow_redirects=True).raise_for_status()
    arguments = json.dumps(example_of(hub.url, INVOICE))
    assert "Paid 0.05 USDC" in here("call", "inkwell/invoice/render", arguments, env=env).stderr
    [bought, _] = json.loads(here("status", "--json", env=env).stdout)["calls"]
    asked = json.loads(here("refund", bought["call_id"], "--reason", "no second page", "--json", env=env).stdout)
    assert asked["call_id"] == bought["call_id"]
    for shown in (here("refund", env=env).stdout, here("refund", "--json", env=env).stdout):
        assert asked["refund_id"] in shown


def test_the_settings_are_shown_with_where_they_come_from_and_without_a_secret(
    here: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "given.toml"
    file.write_text('[mandate]\ndaily_usdc = "3.00"\n')
    env = {"JECP_MCP_LEDGER__URL": "postgresql://me:topsecret@db.example/jecp", "JECP_MCP_TOOLS__MODE": "search"}
    env |= {"JECP_AGENT_ID": "jdb_ag_thisisanagent00000", "JECP_API_KEY": "jdb_ak_thisisitskey000000"}
    asked = ("config", "--config", str(file), "--hub", NOWHERE)
    told = json.loads(here(*asked, "--json", env=env).stdout)
    settings = told["settings"]
    assert settings["mandate.daily_usdc"] == {"value": "3.00", "from": str(file)}
    assert settings["tools.mode"] == {"value": "search", "from": "the environment variable JECP_MCP_TOOLS__MODE"}
    assert settings["hub.base_url"] == {"value": NOWHERE, "from": "the command line"}
    assert settings["mandate.per_call_usdc"] == {"value": "0.25", "from": None}
    assert set(settings) == {
        f"{name}.{key}" for name, one in Settings() if name != "hubs" for key in type(one).model_fields
    }
    assert told["credentials"] == {
        "agent_id": env["JECP_AGENT_ID"],
        "api_key": "********",
        "from": "environment",
    }
    people = here(*asked, env=env).stdout
    assert re.search(rf"^mandate\.daily_usdc +3\.00 +{re.escape(str(file))}$", people, re.MULTILINE)
    assert "db.example" in people
    for shown in (json.dumps(told), people):
        assert env["JECP_AGENT_ID"] in shown
        assert "topsecret" not in shown
        assert env["JECP_API_KEY"] not in shown


def test_a_call_is_paid_saved_and_entered_in_the_ledger(tmp_path: Path, hub: SandboxHub) -> None:
    before = hub.books()["charged_micro"]
    arguments = json.dumps(example_of(hub.url, INVOICE))
    path = tmp_path / "invoice.pdf"
    done = command(
        tmp_path, "call", "inkwell_invoice_render", "-", "--output", str(path), env=account(hub), text=arguments
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    assert "Paid 0.05 USDC" in done.stderr
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
    day = json.loads(command(tmp_path, "wallet", "--json").stdout)["limits"][0]
    assert (day["limit"], day["used_usdc"]) == ("daily_usdc", "0.05")


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
    arguments = json.dumps(example_of(hub.url, INVOICE))
    done = command(tmp_path, "call", "inkwell_invoice_render", arguments, env=env, text="y\n")
    assert done.returncode == 1
    assert "APPROVAL_REQUIRED" in done.stderr
    assert hub.books() == before


@pytest.mark.parametrize(
    ("answer", "status"), [("y", 0), *(pytest.param(no, 1, marks=pytest.mark.slow) for no in ("n", ""))]
)
def test_a_person_at_a_terminal_is_asked(tmp_path: Path, hub: SandboxHub, answer: str, status: int) -> None:
    before = hub.books()["charged_micro"]
    env = account(hub) | {"JECP_MCP_MANDATE__APPROVE_ABOVE_USDC": "0.01"}
    arguments = json.dumps(example_of(hub.url, INVOICE))
    with at_a_pty(tmp_path, "call", "inkwell_invoice_render", arguments, env=env) as (process, person):
        assert b"0.05 USDC" in seen_until(person, b"[y/N]")
        os.write(person, answer.encode() + b"\n")
        seen_until(person, None)
        assert process.wait(60) == status
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
    for arguments in (
        ("wallet",),
        ("config", "--json"),
        ("ledger", "--json"),
        ("catalog", "--json"),
        ("call", "text-stats_count", "{}"),
    ):
        done = command(tmp_path, *arguments, env=account(hub))
        assert hub.api_key not in done.stdout + done.stderr


@pytest.mark.slow
def test_the_demo_holds_in_all_it_claims_and_leaves_only_what_was_bought(tmp_path: Path) -> None:
    done = command(tmp_path, "demo", "--output", str(tmp_path / "bought"), env={"TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "Everything held." in done.stdout
    assert "✗" not in done.stdout
    assert "\x1b" not in done.stdout
    assert (tmp_path / "bought" / "invoice.pdf").read_bytes().startswith(b"%PDF-")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bought"]
