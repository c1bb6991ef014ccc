"""What stops a purchase is found by the doctor, and the command that it names makes an end of the finding."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import apsw
import pytest

from jecp_mcp.catalog.pins import FILE as PINS
from jecp_mcp.cli.checks.limit_conflicts import limit_conflicts
from jecp_mcp.cli.checks.settings_edit import change_command
from jecp_mcp.cli.pins_check import doctor_named
from jecp_mcp.errors import PinsUnusable
from jecp_mcp.money import format_usdc
from jecp_mcp.settings import MandateSettings
from jecp_mcp.settings.command_lines import CommandLine
from tests.unit.catalog.offers import catalog, offer, opened
from tests.unit.cli.test_commands import bought, run, state

__all__ = ["run", "state"]

NOBODY = ("--hub", "http://127.0.0.1:9")
ALONE = ("--sandbox",)
"""Where no Hub is asked, which takes most of the doctor's time."""


class Doctor:
    """Runs it, and does what it says in a shell, whose environment is ours from then on."""

    def __init__(self, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self._run = run
        self._patch = monkeypatch

    def wrong(self, about: str, *options: str) -> list[dict[str, str]]:
        status, out, _ = self._run("doctor", "--json", *(options or ALONE))
        found = [one for one in json.loads(out)["findings"] if one["level"] != "ok"]
        assert status == (1 if found else 0)
        assert all(one["money"] and one["mend"] for one in found)
        return [one for one in found if one["about"] == about]

    def obey(self, finding: dict[str, str]) -> None:
        command = finding["mend"].partition(", or ")[0]
        done = subprocess.run(["/bin/sh", "-c", f"{command} && env -0"], capture_output=True, check=True, text=True)
        now = dict(part.split("=", 1) for part in done.stdout.split("\0") if part)
        for name in [name for name in os.environ if name not in now]:
            self._patch.delenv(name)
        for name, value in now.items():
            self._patch.setenv(name, value)


@pytest.fixture
def doctor(run: Any, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    return Doctor(run, monkeypatch)


class Hub(BaseHTTPRequestHandler):
    """A Hub that knows one agent."""

    key = "jdb_ak_the_right_one"
    code = "INVALID_API_KEY"

    def do_GET(self) -> None:
        if not self.path.endswith("/refunds"):
            self._answer(404, b"{}")
        elif self.headers.get("X-API-Key") == self.key:
            self._answer(200, b'{"jecp": "1.0", "refunds": [], "count": 0}')
        else:
            error = {"code": self.code, "message": "Agent authentication failed."}
            self._answer(401, json.dumps({"jecp": "1.0", "status": "failed", "error": error}).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A Hub's address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setenv("JECP_BASE_URL", url)
        yield url
        server.shutdown()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"JECP_AGENT_ID": "agent_1"}, "JECP_API_KEY: is not set"),
        ({"JECP_AGENT_KEY": "jdb_ak_old"}, "JECP_AGENT_ID: is not set, but JECP_AGENT_KEY is"),
        ({"JECP_AGENT_ID": "agent_1", "JECP_API_KEY": "${KEY}"}, "JECP_API_KEY: is a placeholder"),
        ({"JECP_AGENT_ID": "agent 1", "JECP_API_KEY": "jdb_ak_x"}, "JECP_AGENT_ID: is no credential"),
    ],
)
def test_credentials_of_the_environment_that_are_none_are_named_by_their_variable(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], named: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    [found] = doctor.wrong("credentials", *NOBODY)
    assert (found["level"], named in found["what"]) == ("fault", True)
    doctor.obey(found)
    assert all(one["level"] == "warning" for one in doctor.wrong("credentials", *NOBODY))


def test_credentials_that_the_hub_refuses_are_named_by_their_variables(
    doctor: Doctor, run: Any, monkeypatch: pytest.MonkeyPatch, hub: str
) -> None:
    monkeypatch.setenv("JECP_AGENT_ID", "agent_1")
    monkeypatch.setenv("JECP_AGENT_KEY", "jdb_ak_forgotten")
    monkeypatch.setenv("JECP_API_KEY", Hub.key)
    assert doctor.wrong("credentials", "--hub", hub) == []
    monkeypatch.setenv("JECP_API_KEY", "jdb_ak_a_wrong_one")
    shown = json.loads(run("doctor", "--json", "--hub", hub)[1])["findings"]
    # Nothing is well about a matter with which something is wrong.
    [found] = [one for one in shown if one["about"] == "credentials"]
    assert found["what"] == (
        f"{hub} refuses agent agent_1 with the key from JECP_AGENT_ID and JECP_API_KEY (INVALID_API_KEY)"
    )
    assert "jdb_ak" not in str(found)
    doctor.obey(found)
    assert [one["what"] for one in doctor.wrong("credentials", "--hub", hub)] == [f"there are none for {hub}"]


def test_a_hub_that_refuses_for_another_reason_says_nothing_of_the_credentials(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, hub: str
) -> None:
    monkeypatch.setenv("JECP_AGENT_ID", "agent_1")
    monkeypatch.setenv("JECP_API_KEY", "jdb_ak_a_wrong_one")
    for code in ("RATE_LIMITED", "A_CODE_OF_ITS_OWN"):
        monkeypatch.setattr(Hub, "code", code)
        assert doctor.wrong("credentials", "--hub", hub) == []
    monkeypatch.setattr(Hub, "key", "jdb_ak_a_wrong_one")
    monkeypatch.setattr(Hub, "_answer", lambda self, _status, _body: self.wfile.write(b"no HTTP at all\r\n\r\n"))
    assert doctor.wrong("credentials", "--hub", hub) == []


def test_stored_credentials_that_the_hub_refuses_are_named_by_their_file(doctor: Doctor, state: Path, hub: str) -> None:
    state.mkdir()
    file = state / "credentials.json"
    file.write_text(json.dumps({"hubs": {hub: {"agent_id": "agent_1", "api_key": "jdb_ak_a_wrong_one"}}}))
    file.chmod(0o600)
    [found] = doctor.wrong("credentials", "--hub", hub)
    assert (found["mend"], str(file) in found["what"]) == (
        f"have the key replaced at the Hub, and correct {file}",
        True,
    )


DAMAGE = {
    "no file of pins": lambda path: path.write_bytes(b"not a database, and long enough to be looked at" * 20),
    "another program's": lambda path: apsw.Connection(str(path)).execute("DELETE FROM pins; PRAGMA application_id=1"),
    "a page overwritten": lambda path: path.write_bytes(
        path.read_bytes()[:4096] + b"\xff" * 4096 + path.read_bytes()[8192:]
    ),
    "a pin without content": lambda path: apsw.Connection(str(path)).execute("DELETE FROM documents"),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_pins_are_found_and_moved_out_of_the_way(doctor: Doctor, state: Path, damage: str) -> None:
    seen = catalog(offer("acme/count:words"))
    with closing(opened(state)) as first:
        assert first.vet(seen).held == {}
    assert doctor.wrong("pins") == []
    path = state / PINS
    DAMAGE[damage](path)
    before = path.read_bytes() if path.is_file() else None
    [found] = doctor.wrong("pins")
    assert found["level"] == "fault"
    assert str(path) in found["what"]
    assert "once the file is out of the way" in found["money"]
    assert before == (path.read_bytes() if path.is_file() else None)
    doctor.obey(found)
    assert doctor.wrong("pins") == []
    kept = state / f"{PINS}.damaged-1"
    assert before == (kept.read_bytes() if kept.is_file() else None)
    with closing(opened(state)) as later:
        assert later.vet(seen).held == {}
    # What was moved there once is not lost by a second time.
    path.write_bytes(b"damaged anew, and again long enough to be looked at" * 20)
    Path(f"{path}-journal").write_bytes(b"of the damaged one")
    [again] = doctor.wrong("pins")
    doctor.obey(again)
    assert (doctor.wrong("pins"), (state / f"{PINS}.damaged-2").exists()) == ([], True)
    assert not Path(f"{path}-journal").exists()


def test_a_command_that_needs_the_pins_leads_to_the_doctor(state: Path) -> None:
    with (
        pytest.raises(PinsUnusable, match="x; `jecp-mcp doctor --state-dir /srv` says how to mend it"),
        doctor_named(CommandLine(places=("--state-dir", "/srv"))),
    ):
        raise PinsUnusable("x")


CONFLICTS: dict[str, tuple[str, str]] = {
    "a call and a day": ("per_call_usdc", 'per_call_usdc = "5.00"'),
    "a call and an hour": ("per_call_usdc", 'per_call_usdc = "0.20"\nhourly_usdc = "0.10"'),
    "a day and a month": ("daily_usdc", 'daily_usdc = "9"   # a comment\nmonthly_usdc = "4.50"'),
    "a session and all": ("session_usdc", "session_usdc = '3'\ntotal_usdc = '1.00'"),
    "an unknown price": ("unknown_price", 'unknown_price = "0.50"'),
    "asking too late": ("approve_above_usdc", 'approve_above_usdc = "0.25"'),
    "a pattern and all": ("per_call_usdc", '\n[[mandate.limits]]\nmatch = "docs/*"\nper_call_usdc = "1.00"'),
    "within a pattern": (
        "daily_usdc",
        '''daily_usdc = "0.50"

[[mandate.limits]]
match = "a/*"
daily_usdc = "0.10"

[[mandate.limits]]
match = "b/*"
daily_usdc = "0.40"
monthly_usdc = "0.30"''',
    ),
}


@pytest.mark.parametrize("case", CONFLICTS)
def test_limits_that_contradict_each_other_are_found_and_mended_in_the_file(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: str
) -> None:
    key, lines = CONFLICTS[case]
    file = tmp_path / "my settings.toml"
    text = f"# {key} = nothing\n[catalog]\nrefresh_seconds = 60\n\n[mandate]\n{lines}\n"
    file.write_text(text)
    monkeypatch.setenv("JECP_MCP_CONFIG", str(file))
    [found] = doctor.wrong("limits")
    assert key in found["what"]
    doctor.obey(found)
    assert doctor.wrong("limits") == []
    assert Path(f"{file}.before").read_text() == text
    assert [old for old, new in zip(text.split("\n"), file.read_text().split("\n"), strict=True) if old != new] == [
        line for line in text.split("\n") if line.startswith(key) and line in lines.split("\n")
    ][-1:]


@pytest.mark.parametrize(
    ("variable", "value"), [("PER_CALL_USDC", "5"), ("approve_above_usdc", "1"), ("DAILY_USDC", "3")]
)
def test_limits_that_contradict_each_other_are_mended_in_the_environment_they_came_from(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(f"JECP_MCP_MANDATE__{variable}", value)
    monkeypatch.setenv("JECP_MCP_MANDATE__TOTAL_USDC", "2.50")
    [found] = doctor.wrong("limits")
    assert f"JECP_MCP_MANDATE__{variable}" in found["mend"]
    doctor.obey(found)
    assert doctor.wrong("limits") == []


def test_what_was_not_said_contradicts_nothing() -> None:
    for given in ({}, {"daily_usdc": "0.10"}, {"hourly_usdc": "0.01"}, {"total_usdc": "0"}, {"monthly_usdc": "1"}):
        assert list(limit_conflicts(MandateSettings.model_validate(given))) == []
    wide = {"per_call_usdc": "1", "daily_usdc": "1", "monthly_usdc": "1", "limits": [{"match": "a", "daily_usdc": "1"}]}
    assert list(limit_conflicts(MandateSettings.model_validate(wide))) == []


def test_a_conflict_is_told_with_both_limits() -> None:
    given = {"per_call_usdc": "5", "limits": [{"match": "a/*", "hourly_usdc": "3", "total_usdc": "2.50"}]}
    first, second = limit_conflicts(MandateSettings.model_validate(given))
    assert first.what == "mandate.per_call_usdc is 5.00 USDC, and mandate.daily_usdc lets only 2.00 through"
    assert second.what == (
        'the limit for "a/*", hourly_usdc, is 3.00 USDC, and mandate.daily_usdc lets only 2.00 through'
    )
    assert second.place == ("mandate", "limits", 0, "hourly_usdc")
    assert second.instead is not None
    assert format_usdc(second.instead) == "2.00"


@pytest.mark.parametrize(
    "text",
    [
        'mandate = {per_call_usdc = "5"}\n',
        'mandate.per_call_usdc = "5" \nmandate.per_call_usdc.x = 1\n',
        '[mandate]\nper_call_usdc = """5"""\n',
        "[hub]\n",
        "",
    ],
)
def test_no_command_is_given_that_was_not_seen_to_work(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    assert change_command(("mandate", "per_call_usdc"), "2.00", {}, file) is None
    assert change_command(("mandate", "per_call_usdc"), "2.00", {}, tmp_path / "none.toml") is None


def test_a_settings_file_that_says_it_otherwise_is_mended_by_hand(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    file.write_text('mandate = {per_call_usdc = "5"}\n')
    monkeypatch.setenv("JECP_MCP_CONFIG", str(file))
    assert doctor.wrong("limits")[0]["mend"] == "make it 2.00 there, or raise the other"
    file.write_text('mandate = {approve_above_usdc = "5"}\n')
    assert doctor.wrong("limits")[0]["mend"] == "set it lower"


def test_a_mandate_that_lets_nothing_be_bought_is_a_fault(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JECP_MCP_MANDATE__EXPIRES_AT", "2026-01-01T00:00:00Z")
    monkeypatch.setenv("JECP_MCP_MANDATE__ALLOW", "docs/*,text/*")
    monkeypatch.setenv("JECP_MCP_MANDATE__DENY", "docs/*,te*")
    ended, denied = doctor.wrong("limits")
    assert ended["what"] == "the mandate ended at 2026-01-01T00:00:00.000Z"
    assert denied["what"] == (
        'mandate.deny leaves nothing of mandate.allow: "docs/*" takes all of "docs/*", "te*" takes all of "text/*"'
    )
    monkeypatch.setenv("JECP_MCP_MANDATE__DENY", "docs/*")
    monkeypatch.setenv("JECP_MCP_MANDATE__EXPIRES_AT", "2096-01-01T00:00:00Z")
    assert doctor.wrong("limits") == []


@pytest.mark.parametrize("variable", ["JECP_MCP_MANDATE__DAILY_USDC", "JECP_MCP_NO__SUCH"])
def test_a_variable_with_which_nothing_starts_is_named_and_taken_out(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "much")
    [found] = doctor.wrong("settings")
    assert variable in found["what"]
    doctor.obey(found)
    assert doctor.wrong("settings") == []


def test_an_empty_variable_is_named_and_taken_out(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JECP_MCP_MANDATE__DENY", "")
    [found] = doctor.wrong("settings")
    doctor.obey(found)
    assert doctor.wrong("settings") == []


def test_what_others_may_write_is_closed_by_the_command(doctor: Doctor, state: Path) -> None:
    state.mkdir()
    state.chmod(0o777)
    [found] = doctor.wrong("files")
    doctor.obey(found)
    assert doctor.wrong("files") == []


def test_a_sandbox_that_does_not_run_is_started_by_the_command(doctor: Doctor, state: Path) -> None:
    """The commands themselves are run in `tests/acceptance/test_hints.py`."""
    [found] = doctor.wrong("sandbox", "--hub", "http://127.0.0.1:8401")
    assert found["mend"].partition(", or ")[0].endswith("jecp-mcp sandbox --port 8401")


@pytest.mark.parametrize("within", [(), ("x", "y")])
def test_a_state_folder_that_is_none_is_the_one_thing_found(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, within: tuple[str, ...]
) -> None:
    (tmp_path / "file").write_text("kept")
    monkeypatch.setenv("JECP_MCP_STATE_DIR", str(tmp_path.joinpath("file", *within)))
    [found] = doctor.wrong("state folder", *NOBODY)
    assert f"{tmp_path / 'file'} is not a folder" in found["what"]
    assert doctor.wrong("credentials", *NOBODY) == []
    doctor.obey(found)
    assert doctor.wrong("state folder", *NOBODY) == []
    assert (tmp_path / "file").read_text() == "kept"


def test_a_ledger_that_no_release_reads_is_moved_away_whole(doctor: Doctor, state: Path) -> None:
    bought(state, call_id="call_1", price=50_000, charged=50_000)
    with closing(apsw.Connection(str(state / "ledger.sqlite"))) as connection:
        connection.execute("PRAGMA user_version = 2")
    [found] = doctor.wrong("contents")
    assert found["what"].endswith("which no release reads")
    doctor.obey(found)
    assert doctor.wrong("contents") == []
    assert doctor.wrong("file") == []
    moved = {path.name for path in (state / "ledger-of-before-the-first-release").iterdir()}
    assert {"ledger.sqlite", "ledger.sqlite.lock"} <= moved


def test_where_there_are_no_credentials_a_person_is_told_the_command_that_makes_them(doctor: Doctor) -> None:
    [found] = doctor.wrong("credentials", *NOBODY)
    assert re.match(r"\S*jecp-mcp register --state-dir \S+ --hub \S+, or set JECP_AGENT_ID", found["mend"])
