"""Where SQLite is too old for several writers, one process has the ledger for itself, and the others are told why."""

# ruff: noqa: ASYNC240 - nothing else runs in these loops while a file is touched
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from jecp_mcp.errors import LedgerUnavailable
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Admitted
from jecp_mcp.mandate.sqlite import write_lock
from tests.unit.mandate.reservations import reservation

OLD = """
import asyncio, sys
import apsw
apsw.sqlite_lib_version = lambda: sys.argv[2]
from jecp_mcp.mandate.opening import open_ledger
from tests.unit.mandate.reservations import reservation
async def main():
    ledger = open_ledger(sys.argv[1])
    await ledger.reserve(reservation(ledger.session, call_id=sys.argv[3]))
    print("has it", flush=True)
    sys.stdin.read()
asyncio.run(main())
"""


@pytest.fixture
def old(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process with an old SQLite that has bought something, and lives."""
    arguments = [sys.executable, "-c", OLD, str(tmp_path / "ledger.db"), "3.51.2", "first"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "has it\n"
        yield process
        process.kill()


@pytest.mark.anyio
async def test_a_second_process_is_refused_at_once_reads_on_and_buys_when_the_first_has_ended(
    old: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.50.4")
    monkeypatch.setattr(write_lock, "LONGEST_WAIT", 3_600)
    ledger = open_ledger(tmp_path / "ledger.db")
    with pytest.raises(LedgerUnavailable, match=r"another process has the ledger.*SQLite 3\.50\.4.*install apsw"):
        await ledger.reserve(reservation(ledger.session))
    assert [row.call_id for row in await ledger.rows()] == ["first"]
    old.kill()
    old.wait()
    assert isinstance(await ledger.reserve(reservation(ledger.session)), Admitted)
    await ledger.close()


@pytest.mark.anyio
async def test_a_process_with_a_newer_sqlite_waits_too(
    old: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_lock, "LONGEST_WAIT", 0.1)
    ledger = open_ledger(tmp_path / "ledger.db")
    with pytest.raises(LedgerUnavailable, match=f"locked by process {old.pid}"):
        await ledger.reserve(reservation(ledger.session))
    old.kill()
    old.wait()
    assert isinstance(await ledger.reserve(reservation(ledger.session)), Admitted)
    await ledger.close()


@pytest.mark.anyio
async def test_closing_lets_the_next_one_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    for _ in range(2):
        ledger = open_ledger(tmp_path / "ledger.db")
        for _ in range(2):
            assert isinstance(await ledger.reserve(reservation(ledger.session)), Admitted)
        await ledger.close()


@pytest.mark.anyio
@pytest.mark.parametrize("version", ["3.51.3", "3.60.0", "4.0.1"])
async def test_a_sqlite_without_the_bug_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: version)
    one, two = open_ledger(tmp_path / "ledger.db"), open_ledger(tmp_path / "ledger.db")
    for ledger in (one, two, one):
        assert isinstance(await ledger.reserve(reservation(ledger.session)), Admitted)
    await one.close()
    await two.close()


@pytest.mark.anyio
@pytest.mark.parametrize("left", ["nothing", "an empty file"])
async def test_a_ledger_that_was_lost_is_not_begun_anew(tmp_path: Path, left: str) -> None:
    path = tmp_path / "ledger.db"
    first = open_ledger(path)
    await first.reserve(reservation(first.session))
    await first.close()
    path.unlink()
    if left == "an empty file":
        path.touch()
    second = open_ledger(path)
    assert "written before" in str(second.fault)
    await second.close()
    Path(f"{path}.lock").unlink()
    third = open_ledger(path)
    assert third.fault is None
    await third.close()


@pytest.mark.anyio
async def test_a_ledger_copied_here_without_its_side_files_is_known_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    first = open_ledger(path)
    await first.reserve(reservation(first.session))
    await first.close()
    Path(f"{path}.lock").unlink()
    await open_ledger(path).close()
    path.unlink()
    lost = open_ledger(path)
    assert "written before" in str(lost.fault)
    await lost.close()
