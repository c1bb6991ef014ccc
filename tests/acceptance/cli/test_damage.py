"""Whatever happens to the ledger's file: paid calls are refused with a next step, free reads go on, the doctor names it
and how to mend it, and after that the same money counts as spent.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest

from jecp_mcp.clock import SystemClock, UnixMs
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Conclusion
from tests.acceptance.roads import SandboxHub, sandbox
from tests.unit.mandate.reservations import reservation

BUY = ("call", "text-stats_count", '{"text": "one two"}')


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHub]:
    with sandbox(tmp_path_factory.mktemp("hub") / "hub.sqlite") as running_hub:
        yield running_hub.new_agent()


class Seat:
    """An operator's place: a state folder, and commands as processes."""

    def __init__(self, folder: Path, hub: SandboxHub) -> None:
        self.state = folder / "state"
        self.ledger = self.state / "ledger.sqlite"
        self.hub = hub
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("JECP_")}
        self.env |= {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "JECP_MCP_STATE_DIR": str(self.state)}
        self.env |= {"JECP_BASE_URL": hub.url, "JECP_AGENT_ID": hub.agent_id, "JECP_API_KEY": hub.api_key}

    def run(self, *arguments: str, limit: int | None = None) -> Any:
        def small() -> None:
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        return subprocess.run(
            [sys.executable, "-m", "jecp_mcp", *arguments],
            capture_output=True, text=True, timeout=60, check=False, env=self.env, stdin=subprocess.DEVNULL,
            preexec_fn=small,
        )  # fmt: skip

    def used(self) -> int:
        day = json.loads(self.run("wallet", "--json").stdout)["limits"][0]
        return round(float(day["used_usdc"]) * 1_000_000)

    def charged(self) -> int:
        return int(self.hub.books()["charged_micro"])

    def wrong(self, *options: str) -> dict[str, dict[str, str]]:
        """What the doctor finds wrong, by what it is about."""
        done = self.run("doctor", "--json", *options)
        told = json.loads(done.stdout)
        found = {one["about"]: one for one in told["findings"] if one["level"] != "ok"}
        assert done.returncode == (1 if found else 0)
        assert told["wrong"] == bool(found)
        assert all(one["money"] and one["mend"] for one in found.values())
        return found

    def refuses(self) -> None:
        before = self.charged()
        done = self.run(*BUY)
        assert done.returncode == 1
        assert "LEDGER_" in done.stderr
        assert "Nothing was sent and nothing was charged" in done.stderr
        assert self.charged() == before
        assert self.run("catalog", "--json").returncode == 0

    def edit(self, sql: str) -> None:
        connection = apsw.Connection(str(self.ledger))
        connection.execute(sql)
        connection.close()


@pytest.fixture
def seat(tmp_path: Path, hub: SandboxHub) -> Seat:
    """A seat that has bought once and has a backup."""
    made = Seat(tmp_path, hub)
    assert made.run(*BUY).returncode == 0
    assert made.run("ledger", "--backup", str(tmp_path / "backup.sqlite")).returncode == 0
    return made


def gone(seat: Seat) -> None:
    seat.ledger.unlink()


def gone_but_for_its_journal(seat: Seat) -> None:
    seat.ledger.unlink()
    journal = Path(f"{seat.ledger}-wal")
    journal.write_bytes(b"x" * 4096)
    journal.chmod(0o600)


def empty(seat: Seat) -> None:
    os.truncate(seat.ledger, 0)


def garbage(seat: Seat) -> None:
    seat.ledger.write_bytes(b"no database at all\n" * 500)


def truncated(seat: Seat) -> None:
    os.truncate(seat.ledger, seat.ledger.stat().st_size - 4096)


def meters(seat: Seat) -> None:
    seat.edit("UPDATE meter SET used = 0; UPDATE slot SET amount = 1")


def not_ours(seat: Seat) -> None:
    seat.ledger.unlink()
    seat.edit("CREATE TABLE notes(text)")


RESTORE, MEND = "restore", "mend"

KINDS: list[tuple[Callable[[Seat], None], str, str, str]] = [
    (truncated, "structure", "is truncated", MEND),
    (gone, "file", "is gone, though it was written before", RESTORE),
    (meters, "meters", "micro-USDC", MEND),
    (gone_but_for_its_journal, "file", "its journal ledger.sqlite-wal is still there", RESTORE),
    (empty, "file", "is empty, though it was written before", RESTORE),
    (garbage, "contents", "is no database", RESTORE),
    (truncated, "structure", "is truncated", RESTORE),
    (not_ours, "contents", "another program's database", RESTORE),
]


@pytest.mark.parametrize(
    ("damage", "about", "words", "how"),
    [pytest.param(*kind, id=f"{kind[0].__name__}-{kind[3]}", marks=pytest.mark.slow) for kind in KINDS],
)  # fmt: skip
@pytest.mark.slow
def test_damage_is_refused_named_and_mended(
    seat: Seat, tmp_path: Path, damage: Callable[[Seat], None], about: str, words: str, how: str
) -> None:
    before = seat.used()
    assert before > 0
    damage(seat)
    seat.refuses()
    found = seat.wrong("--ledger")
    assert set(found) == {about}
    assert words in found[about]["what"]
    assert f"--{how}" in found[about]["mend"]
    if how == RESTORE:
        done = seat.run("ledger", "--restore", str(tmp_path / "backup.sqlite"))
        assert done.returncode == 0, done.stderr
    else:
        assert seat.run("doctor", "--ledger", "--mend").returncode == 0
    assert seat.wrong() == {}
    assert seat.used() == before
    assert seat.run(*BUY).returncode == 0
    assert seat.used() == before * 2
    assert seat.run("ledger", "--verify").returncode == 0


@pytest.mark.slow
def test_nothing_is_wrong_before_the_first_purchase_and_after_it(tmp_path: Path, hub: SandboxHub) -> None:
    new = Seat(tmp_path, hub)
    assert new.wrong() == {}
    assert not new.ledger.exists()
    assert new.run(*BUY).returncode == 0
    told = new.run("doctor")
    assert told.returncode == 0, told.stdout
    assert {line.split()[0] for line in told.stdout.splitlines()} == {"ok"}
    for about in ("settings", "credentials", "hub", "clock", "catalog", "books", "backup"):
        assert f"{about}: " in told.stdout
    assert hub.api_key not in told.stdout


@pytest.mark.slow
def test_a_newer_ledger_is_refused_and_named(seat: Seat) -> None:
    seat.edit("PRAGMA user_version = 99")
    seat.refuses()
    [fault] = seat.wrong("--ledger").values()
    assert "newer version" in fault["what"]
    assert fault["mend"] == "update jecp-mcp"


@pytest.mark.slow
def test_a_disk_that_takes_no_more_refuses_loses_nothing_and_recovers(seat: Seat) -> None:
    before, paid = seat.used(), seat.charged()
    full = seat.run(*BUY, limit=1_000)
    assert full.returncode == 1
    assert "LEDGER_UNAVAILABLE" in full.stderr
    assert seat.charged() == paid
    assert seat.used() == before
    assert seat.run(*BUY).returncode == 0
    assert seat.used() == before * 2


@pytest.mark.slow
def test_a_backup_that_does_not_fit_is_not_left_half_written(seat: Seat, tmp_path: Path) -> None:
    done = seat.run("ledger", "--backup", str(tmp_path / "second.sqlite"), limit=40_000)
    assert done.returncode == 1
    assert "cannot be copied" in done.stderr or "cannot be written" in done.stderr
    assert not list(tmp_path.glob("*second*"))


HOLD = """
import fcntl, sys
import apsw
if sys.argv[2] == "lock":
    lock = open(sys.argv[1] + ".lock")
    fcntl.flock(lock, fcntl.LOCK_EX)
else:
    connection = apsw.Connection(sys.argv[1])
    connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.parametrize("what", ["lock", "database"])
def test_whoever_has_locked_the_ledger_is_named_by_process(seat: Seat, what: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(seat.ledger), what], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline()
        seat.refuses()
        fault = seat.wrong("--ledger")["lock"]
        if Path("/proc/locks").exists():
            assert str(holder.pid) in fault["what"]
        holder.kill()
        holder.wait()
    assert seat.wrong("--ledger") == {}
    assert seat.run(*BUY).returncode == 0


@pytest.mark.slow
def test_what_others_can_read_is_named_and_closed(seat: Seat) -> None:
    seat.ledger.chmod(0o644)
    fault = seat.wrong("--ledger")["permissions"]
    assert f"chmod 600 {seat.ledger}" in fault["mend"]
    assert seat.ledger.stat().st_mode & 0o777 == 0o644
    assert seat.wrong("--ledger", "--mend") == {}
    assert seat.ledger.stat().st_mode & 0o777 == 0o600


def test_an_edited_row_is_a_fault_that_no_mend_hides(seat: Seat) -> None:
    seat.edit("UPDATE call SET evidence = 'another story'")
    assert "evidence" in seat.wrong("--ledger", "--mend")["chain"]["what"]
    assert "statements of who was paid" in seat.wrong("--ledger")["chain"]["mend"]


class Ahead:
    """A clock that is two hours ahead."""

    def now(self) -> UnixMs:
        return UnixMs(SystemClock().now() + 7_200_000)

    def monotonic(self) -> float:
        return SystemClock().monotonic()


def left_behind(seat: Seat, *, ahead: bool = False, end: Verdict | None = None) -> None:
    """A call in doubt, or one that came to another end after that."""

    async def write() -> None:
        ledger = open_ledger(seat.ledger, clock=Ahead() if ahead else None)
        await ledger.reserve(replace(reservation(ledger.session, call_id="left"), source=seat.hub.url))
        for event in (Verdict.IN_DOUBT, end):
            if event is not None:
                await ledger.conclude_now(Conclusion("left", event))
        await ledger.close()

    anyio.run(write)


@pytest.mark.slow
def test_a_clock_behind_the_books_is_named(seat: Seat) -> None:
    left_behind(seat, ahead=True, end=Verdict.NOT_CHARGED)
    assert "last written at" in seat.wrong("--ledger")["clock"]["what"]


KILLED = """
import asyncio, dataclasses, os, sys
from jecp_mcp.mandate.opening import open_ledger
from tests.unit.mandate.reservations import reservation
async def main():
    ledger = open_ledger(sys.argv[1])
    await ledger.reserve(dataclasses.replace(reservation(ledger.session, call_id="killed"), source=sys.argv[2]))
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""


@pytest.mark.slow
def test_what_a_killed_process_left_behind_is_named_and_swept(seat: Seat) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(seat.ledger), seat.hub.url], check=False)
    assert "1 owner files" in seat.wrong("--ledger")["sessions"]["what"]
    assert seat.wrong("--ledger", "--mend") == {}
    assert "killed" in seat.run("ledger").stdout


@pytest.mark.slow
def test_calls_in_doubt_and_written_off_are_named_with_the_next_step(seat: Seat) -> None:
    left_behind(seat, end=None)
    assert "1 call is in doubt: 0.005 USDC held, the oldest since" in seat.wrong("--ledger")["calls"]["what"]

    async def write_off() -> None:
        ledger = open_ledger(seat.ledger)
        ledger.write_off("left", "too late")
        await ledger.flush()
        await ledger.close()

    anyio.run(write_off)
    assert seat.wrong("--ledger")["calls"]["mend"].endswith(f"jecp-mcp reconcile --state-dir {seat.state}")
    assert seat.run("reconcile", "left", "--free", "--reason", "not on the statement").returncode == 0
    assert seat.wrong("--ledger") == {}


@pytest.mark.slow
def test_settings_credentials_hub_and_catalog_are_each_named(seat: Seat, tmp_path: Path) -> None:
    (seat.state / "catalog.jsonl").write_text("damaged")
    for name in ("JECP_AGENT_ID", "JECP_API_KEY"):
        del seat.env[name]
    assert set(seat.wrong()) == {"credentials", "catalog"}
    kept = seat.state / "credentials.json"
    kept.write_text(json.dumps({"hubs": {seat.hub.url: {"agent_id": "agent_1", "api_key": "key-of-the-test"}}}))
    kept.chmod(0o644)
    fault = seat.wrong()["credentials"]
    assert f"chmod 600 {kept}" in fault["mend"]
    closed = seat.wrong("--mend")
    assert set(closed) == {"credentials", "catalog"}
    assert f"refuses agent agent_1 with the key from {kept}" in closed["credentials"]["what"]
    seat.env["JECP_BASE_URL"] = "http://127.0.0.1:9"
    assert "does not answer" in seat.wrong()["sandbox"]["what"]
    assert seat.wrong("--ledger") == {}
    (tmp_path / "wrong.toml").write_text("[mandate]\ndaily_usdc = 5\n")
    found = seat.wrong("--config", str(tmp_path / "wrong.toml"))
    assert "daily_usdc" in found["settings"]["what"]
