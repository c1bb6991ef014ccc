"""The ledger's commands as an operator runs them: proofs, sums, exports, backups, and rulings."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest

from jecp_mcp.cli.main import _run
from jecp_mcp.clock import SystemClock, UnixMs
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Admitted, Conclusion
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import meter, reservation

HOUR = 3_600_000


class Back:
    """A clock that is some milliseconds behind."""

    def __init__(self, ms: int) -> None:
        self._ms = ms

    def now(self) -> UnixMs:
        return UnixMs(SystemClock().now() - self._ms)

    def monotonic(self) -> float:
        return SystemClock().monotonic()


def run(state: Path, *arguments: str) -> Any:
    env = {key: value for key, value in os.environ.items() if not key.startswith("JECP_")}
    env |= {"HOME": str(state.parent), "XDG_CONFIG_HOME": str(state.parent), "JECP_MCP_STATE_DIR": str(state)}
    return subprocess.run(
        [sys.executable, "-m", "jecp_mcp", *arguments],
        capture_output=True, text=True, timeout=60, check=False, env=env, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """As `run`, in this process: for the many ways to ask wrongly."""
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("JECP_MCP_STATE_DIR", str(tmp_path / "state"))

    def command(*arguments: str) -> Any:
        monkeypatch.setattr("sys.argv", ["jecp-mcp", *arguments])
        status = _run()
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, status, out, err)

    return command


def buy(state: Path, name: str, end: Verdict | None, *, charged: int = 0, age: int = 0, evidence: str = "") -> None:
    """One call that held 5,000 micro-USDC and ended, or did not."""

    async def write() -> None:
        ledger = open_ledger(state / "ledger.sqlite", clock=Back(age))
        until = Back(age).now() + 55 * 60_000
        wanted = reservation(ledger.session, call_id=name, meters=[meter()], provable_until=until)
        admission = await ledger.reserve(wanted)
        assert isinstance(admission, Admitted)
        if end is not None:
            ledger.conclude(
                Conclusion(name, end, MicroUSDC(charged), evidence=evidence or None, answer=b'{"result": 1}')
            )
            ledger.note_delivery(name)
        await ledger.close()

    anyio.run(write)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A ledger with a call of each kind, the oldest two hours old."""
    folder = tmp_path / "state"
    buy(folder, "paid", Verdict.CHARGED, charged=4_000, age=2 * HOUR)
    buy(folder, "free", Verdict.NOT_CHARGED, age=2 * HOUR, evidence='=HYPERLINK("http://x")')
    buy(folder, "late", Verdict.IN_DOUBT, age=2 * HOUR)
    buy(folder, "fresh", Verdict.IN_DOUBT)
    return folder


def used(state: Path) -> int:
    async def read() -> int:
        ledger = open_ledger(state / "ledger.sqlite")
        [reading] = await ledger.readings([meter()])
        await ledger.close()
        return reading.used

    return anyio.run(read)


def edit(state: Path, sql: str) -> None:
    connection = apsw.Connection(str(state / "ledger.sqlite"))
    connection.execute(sql)
    connection.close()


def test_verify_gives_a_head_that_later_proves_the_books(state: Path) -> None:
    first = run(state, "ledger", "--verify", "--json")
    assert first.returncode == 0, first.stderr
    head = json.loads(first.stdout)["head"]
    buy(state, "later", Verdict.CHARGED, charged=5_000)
    again = run(state, "ledger", "--verify", "--head", head)
    assert again.returncode == 0
    assert "is in the chain" in again.stdout
    foreign = run(state, "ledger", "--verify", "--head", "0" * 63 + "1")
    assert foreign.returncode == 1
    assert "not in the chain" in foreign.stdout
    assert run(state, "ledger", "--verify", "--head", "12").returncode == 2


@pytest.mark.slow
def test_verify_names_an_edited_row_and_ends_with_1(state: Path) -> None:
    edit(state, "UPDATE call SET charged = 3999 WHERE call_id = 'paid'")
    done = run(state, "ledger", "--verify", "--json")
    assert done.returncode == 1
    assert any("paid" in finding and "charged" in finding for finding in json.loads(done.stdout)["findings"])
    assert "does not hold: " in run(state, "ledger", "--verify").stdout


def test_a_ledger_that_is_not_there_proves_nothing_and_is_not_begun(tmp_path: Path, here: Callable[..., Any]) -> None:
    for task in (
        ["--verify"],
        ["--statement"],
        ["--export", "-", "--format", "csv"],
        ["--backup", "x"],
        ["--prune"],
        ["--trust-clock"],
    ):
        done = here("ledger", *task)
        assert done.returncode == 1, task
        assert "there is no ledger" in done.stderr
    assert not (tmp_path / "state" / "ledger.sqlite").exists()


@pytest.mark.slow
def test_the_statement_adds_up(state: Path) -> None:
    done = run(state, "ledger", "--statement", "--json", "--by", "provider")
    expected = {
        "calls": 4,
        "charged_usdc": "0.004",
        "refunded_usdc": "0.00",
        "net_usdc": "0.004",
        "held_usdc": "0.01",
        "in_doubt_usdc": "0.01",
        "uncharged_calls": 1,
    }
    assert json.loads(done.stdout) == {"by": "provider", "lines": [{"provider": "docs", **expected}], "total": expected}
    since = json.loads(run(state, "ledger", "--statement", "--json", "--since", "2020-01-01").stdout)
    assert since["total"]["calls"] == 4
    until = json.loads(run(state, "ledger", "--statement", "--json", "--until", "2020-01-01T00:00:00Z").stdout)
    assert until["total"]["calls"] == 0
    table = list(csv.DictReader(io.StringIO(run(state, "ledger", "--statement", "--format", "csv").stdout)))
    assert [line["tool"] for line in table] == ["docs_pdf_make", "total"]
    assert "total" in run(state, "ledger", "--statement", "--by", "month").stdout


@pytest.mark.slow
def test_an_export_is_whole_exact_private_and_no_formula(state: Path, tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    assert run(state, "ledger", "--export", str(path)).returncode == 0
    rows = {row["call_id"]: row for row in csv.DictReader(io.StringIO(path.read_text()))}
    assert list(rows) == ["paid", "free", "late", "fresh"]
    assert (rows["paid"]["charged_usdc"], rows["late"]["held_usdc"]) == ("0.004", "0.005")
    assert rows["free"]["evidence"].startswith("'=")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    calls = json.loads(run(state, "ledger", "--export", "-", "--format", "json").stdout)
    assert calls[1]["evidence"].startswith("=")
    events = json.loads(run(state, "ledger", "--export", "-", "--events", "--format", "json").stdout)
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    assert all(len(event["digest"]) == 64 for event in events)
    assert run(state, "ledger", "--export", str(tmp_path / "no" / "calls.csv")).returncode == 1
    assert run(state, "ledger", "--export", str(tmp_path / "calls.txt")).returncode == 2


@pytest.mark.usefixtures("state")
def test_an_export_overwrites_nothing_unasked(here: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text("mine")
    refused = here("ledger", "--export", str(path))
    assert (refused.returncode, path.read_text()) == (1, "mine")
    assert f"{path} is there already and is not overwritten; name another file, or add --force" in refused.stderr
    assert here("ledger", "--export", str(path), "--force").returncode == 0
    assert len(list(csv.DictReader(io.StringIO(path.read_text())))) == 4


@pytest.mark.usefixtures("state")
def test_tasks_do_not_mix(here: Callable[..., Any]) -> None:
    for wrong in (
        ["--verify", "--prune"],
        ["--trust-clock", "--prune"],
        ["--trust-clock", "--limit", "3"],
        ["--since", "2026-01-01"],
        ["--export", "-", "--head", "a"],
        ["--verify", "--limit", "3"],
        ["--statement", "--since", "yesterday"],
        ["--force"],
    ):
        assert here("ledger", *wrong).returncode == 2, wrong


@pytest.mark.slow
def test_old_bodies_are_dropped_and_the_books_still_prove_themselves(tmp_path: Path) -> None:
    state = tmp_path / "state"
    buy(state, "ancient", Verdict.CHARGED, charged=1_000, age=91 * 24 * HOUR)
    buy(state, "recent", Verdict.CHARGED, charged=1_000, age=89 * 24 * HOUR)
    told = json.loads(run(state, "ledger", "--prune", "--json").stdout)
    assert (told["pruned_calls"], told["keep_bodies_days"]) == (1, 90)
    assert len(json.loads(run(state, "ledger", "--json").stdout)) == 2
    assert run(state, "ledger", "--verify").returncode == 0


@pytest.mark.slow
def test_the_operator_says_that_the_clock_is_right_though_the_books_were_ahead(tmp_path: Path) -> None:
    state = tmp_path / "state"
    buy(state, "ahead", Verdict.CHARGED, charged=1_000, age=-25 * HOUR)
    shown = run(state, "doctor", "--ledger").stdout
    assert "ledger --trust-clock" in " ".join(shown.split())
    told = json.loads(run(state, "ledger", "--trust-clock", "--json").stdout)
    assert told["was_ahead"] is True
    assert "the ledger was last written at" in told["evidence"]
    assert "nothing is to be done" in run(state, "ledger", "--trust-clock").stdout
    assert "trust-clock" not in run(state, "doctor", "--ledger").stdout
    assert run(state, "ledger", "--verify").returncode == 0


@pytest.mark.slow
def test_what_was_trusted_is_said_in_words(tmp_path: Path) -> None:
    state = tmp_path / "state"
    buy(state, "ahead", Verdict.CHARGED, charged=1_000, age=-25 * HOUR)
    told = run(state, "ledger", "--trust-clock").stdout
    assert told.startswith("Taken for right, and every limit is counted anew: the clock shows 20")


SPENDER = """
import asyncio, sys
from jecp_mcp.mandate.records import Admitted, Conclusion
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.states import Verdict
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import meter, reservation
async def main():
    ledger, number = open_ledger(sys.argv[1]), 0
    while True:
        name = f"{ledger.session}-{number}"
        assert isinstance(await ledger.reserve(reservation(ledger.session, 1, call_id=name, meters=[meter()])), Admitted)
        ledger.conclude(Conclusion(name, Verdict.CHARGED, MicroUSDC(1)))
        number += 1
        if number % 50 == 0:
            print(number, flush=True)
asyncio.run(main())
"""


@pytest.mark.slow
def test_a_backup_taken_while_hosts_spend_is_whole_and_can_be_spent_on(state: Path, tmp_path: Path) -> None:
    copy, path = tmp_path / "copy.sqlite", state / "ledger.sqlite"
    with subprocess.Popen([sys.executable, "-c", SPENDER, str(path)], stdout=subprocess.PIPE, text=True) as spender:
        assert spender.stdout
        assert spender.stdout.readline()
        done = run(state, "ledger", "--backup", str(copy), "--json")
        assert done.returncode == 0, done.stderr
        assert spender.stdout.readline()
        refused = run(state, "ledger", "--restore", str(copy), "--force")
        assert refused.returncode == 1
        assert "in use" in refused.stderr
        if Path("/proc/locks").exists():
            assert str(spender.pid) in refused.stderr
        spender.kill()
        spender.wait()
    told = json.loads(done.stdout)
    assert told["calls"] > 50
    assert not told["findings"]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert not list(tmp_path.glob("copy.sqlite-*"))
    assert run(state, "ledger", "--backup", str(copy)).returncode == 1
    assert run(state, "ledger", "--backup", str(copy), "--force").returncode == 0
    buy(state, "after", Verdict.CHARGED, charged=5_000)
    before = used(state)

    unforced = run(state, "ledger", "--restore", str(copy))
    assert unforced.returncode == 1
    assert "knows 1 call " in unforced.stderr
    assert used(state) == before
    forced = run(state, "ledger", "--restore", str(copy), "--force", "--json")
    assert forced.returncode == 0, forced.stderr
    lost = json.loads(forced.stdout)
    assert (lost["not_in_it"]["calls"], lost["not_in_it"]["counted_usdc"]) == (1, "0.005")
    assert Path(lost["replaced"]).exists()
    assert used(state) == before - 5_000
    buy(state, "on", Verdict.CHARGED, charged=5_000)
    assert used(state) == before
    assert run(state, "ledger", "--verify").returncode == 0


@pytest.mark.slow
def test_a_backup_stands_in_for_a_ledger_that_is_gone_or_damaged(state: Path, tmp_path: Path) -> None:
    copy, path = tmp_path / "copy.sqlite", state / "ledger.sqlite"
    before = used(state)
    assert run(state, "ledger", "--backup", str(copy)).returncode == 0
    path.unlink()
    gone = run(state, "ledger", "--restore", str(copy))
    assert gone.returncode == 0, gone.stderr
    assert used(state) == before
    path.write_bytes(b"garbage" * 1_000)
    damaged = run(state, "ledger", "--restore", str(copy))
    assert damaged.returncode == 0, damaged.stderr
    assert "is not in it" in damaged.stdout
    assert used(state) == before
    [kept] = state.glob("ledger.sqlite.replaced-*")
    assert kept.read_bytes() == b"garbage" * 1_000


@pytest.mark.slow
def test_a_backup_that_is_none_or_was_edited_is_not_restored(state: Path, tmp_path: Path) -> None:
    copy, before = tmp_path / "copy.sqlite", used(state)
    assert run(state, "ledger", "--backup", str(copy)).returncode == 0
    text = tmp_path / "text"
    text.write_text("no ledger")
    for wrong, words in ((text, "damaged"), (tmp_path / "none", "no backup"), (state / "ledger.sqlite", "itself")):
        done = run(state, "ledger", "--restore", str(wrong))
        assert done.returncode == 1
        assert words in done.stderr
    connection = apsw.Connection(str(copy))
    connection.execute("UPDATE call SET charged = 1 WHERE call_id = 'paid'")
    connection.close()
    edited = run(state, "ledger", "--restore", str(copy))
    assert edited.returncode == 1
    assert "does not hold together" in edited.stderr
    assert used(state) == before
    assert sorted(one.name for one in state.iterdir() if one.name.startswith(".")) == []


@pytest.mark.slow
def test_reconcile_lists_what_needs_a_ruling_and_what_will_be_found_out(state: Path) -> None:
    found = json.loads(run(state, "reconcile", "--json").stdout)
    assert [one["call_id"] for one in found["needs_ruling"]] == ["late"]
    [other] = found["still_found_out"]
    assert (other["call_id"], other["found_out_until"] is not None) == ("fresh", True)
    shown = run(state, "reconcile").stdout
    assert "Needs a ruling" in shown
    assert "late" in shown


def test_a_ruling_is_kept_with_its_reason_and_user_and_proof_overrules_it(state: Path) -> None:
    before = used(state)
    done = run(state, "reconcile", "late", "--free", "--reason", "not on the statement", "--json")
    assert done.returncode == 0, done.stderr
    ruled = json.loads(done.stdout)
    assert ruled["state"] == "reconciled_free"
    assert "ruled free by" in ruled["reason"]
    assert "not on the statement" in ruled["reason"]
    assert used(state) == before - 5_000
    events = json.loads(run(state, "ledger", "--export", "-", "--events", "--format", "json").stdout)
    assert events[-1]["evidence"] == ruled["reason"]
    again = run(state, "reconcile", "late", "--charged", "0.003", "--reason", "it is on the statement")
    assert "charged 0.003 USDC" in again.stdout
    assert used(state) == before - 2_000
    assert run(state, "ledger", "--verify").returncode == 0


@pytest.mark.slow
def test_a_charge_without_an_amount_is_the_whole_hold(state: Path) -> None:
    before = used(state)
    done = run(state, "reconcile", "fresh", "--charged", "--reason", "seen")
    assert "charged 0.005 USDC" in done.stdout
    assert used(state) == before


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["fresh", "--free", "--reason", "x"], 1, "may still find out"),
        (["nobody", "--free", "--reason", "x"], 1, "knows no call"),
        (["paid", "--free", "--reason", "x"], 1, "settled at 0.004 USDC already"),
        (["late", "--charged=-1", "--reason", "x"], 2, "-1"),
        (["late", "--charged", "much", "--reason", "x"], 1, "amount"),
        (["late", "--free"], 2, "--reason"),
        (["late", "--free", "--reason", " "], 2, "--reason"),
        (["late", "--free", "--charged", "--reason", "x"], 2, "either"),
        (["late", "--reason", "x"], 2, "either"),
        (["--free"], 2, "CALL_ID"),
    ],
)
def test_a_ruling_that_cannot_be_made_changes_nothing(
    state: Path, here: Callable[..., Any], arguments: list[str], status: int, words: str
) -> None:
    before = (state / "ledger.sqlite").read_bytes()
    done = here("reconcile", *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert words in done.stderr
    assert (state / "ledger.sqlite").read_bytes() == before


@pytest.mark.slow
def test_a_call_that_a_living_process_pays_for_cannot_be_ruled_on(state: Path) -> None:
    script = SPENDER.replace("while True:", "if True:").replace(
        "ledger.conclude", "print(name, flush=True); sys.stdin.read() #"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(state / "ledger.sqlite")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as payer:  # fmt: skip
        assert payer.stdout
        name = payer.stdout.readline().strip()
        done = run(state, "reconcile", name, "--charged", "--reason", "x")
        assert done.returncode == 1
        assert "running process" in done.stderr
        payer.kill()
    done = run(state, "reconcile", name, "--charged", "--reason", "its process is dead")
    assert done.returncode == 0, done.stderr
