"""The rarer ways in which a file cannot be used: for lack of rights, of room, or because somebody else has it."""

# ruff: noqa: ASYNC240 - nothing else runs in these loops while a file is touched
from __future__ import annotations

import fcntl
import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
import pytest

from jecp_mcp.clock import SystemClock
from jecp_mcp.errors import LedgerUnavailable
from jecp_mcp.mandate.opening import open_configured, open_ledger
from jecp_mcp.mandate.records import Admitted
from jecp_mcp.mandate.repair.backup import back_up, beside, restore
from jecp_mcp.mandate.repair.diagnose import examine
from jecp_mcp.mandate.repair.repair import mend
from jecp_mcp.mandate.repair.salvage import salvage
from jecp_mcp.mandate.sqlite.session_locks import SessionLocks
from jecp_mcp.settings import LedgerSettings
from tests.unit.mandate.reservations import everything, meter, reservation

pytestmark = pytest.mark.anyio

NOBODY = 65534


async def bought(path: Path, *names: str, request: bytes = b"{}") -> Path:
    ledger = open_ledger(path)
    for name in names:
        await ledger.reserve(reservation(ledger.session, call_id=name, meters=[meter()], request=request))
    await ledger.close()
    return path


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be a user whom permissions bind, which they do not bind root."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes: as a full disk, writing fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that every user can reach."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)
        Path(name).chmod(0o700)


async def test_a_ledger_in_a_folder_that_cannot_be_written_is_read_and_not_written(reachable: Path) -> None:
    path = await bought(reachable / "ledger.sqlite", "first")
    path.chmod(0o444)
    reachable.chmod(0o555)
    with unprivileged():
        ledger = open_ledger(path)
        assert [row.call_id for row in await ledger.rows()] == ["first"]
        with pytest.raises(LedgerUnavailable, match="cannot be"):
            await ledger.reserve(reservation(ledger.session))
        await ledger.close()


async def test_a_file_that_is_read_only_is_read_and_not_written(reachable: Path) -> None:
    path = await bought(reachable / "ledger.sqlite", "first")
    reachable.chmod(0o777)
    Path(f"{path}.owners").chmod(0o777)
    Path(f"{path}.lock").chmod(0o666)
    path.chmod(0o444)
    with unprivileged():
        ledger = open_ledger(path)
        with pytest.raises(LedgerUnavailable, match="cannot be used now: it is read-only"):
            await ledger.reserve(reservation(ledger.session))
        assert [row.call_id for row in await ledger.rows()] == ["first"]
        await ledger.close()


async def test_a_program_that_keeps_the_file_to_itself_is_named_as_the_reason(tmp_path: Path) -> None:
    path = await bought(tmp_path / "ledger.sqlite", "first")
    with closing(apsw.Connection(str(path))) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; SELECT * FROM call").fetchall()
        ledger = open_ledger(path)
        with pytest.raises(LedgerUnavailable, match="another program has locked it"):
            await ledger.rows()
    assert [row.call_id for row in await ledger.rows()] == ["first"]
    await ledger.close()


async def test_sessions_that_cannot_be_told_alive_or_dead_are_not_taken_over(tmp_path: Path) -> None:
    path = await bought(tmp_path / "ledger.sqlite", "left open")
    ledger = open_ledger(path)
    mine = reservation(ledger.session)
    await ledger.reserve(mine)
    owners = Path(f"{path}.owners")
    owners.rename(tmp_path / "elsewhere")
    owners.touch()
    with pytest.raises(LedgerUnavailable, match="cannot be told alive or dead"):
        await ledger.adopt_orphans(everything, [mine.call_id])
    owners.unlink()
    (tmp_path / "elsewhere").rename(owners)
    assert [row.call_id for row in await ledger.adopt_orphans(everything, [mine.call_id])] == ["left open"]
    await ledger.close()


async def test_a_session_whose_lock_was_taken_and_made_anew_in_between_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners, theirs, flock = SessionLocks(tmp_path), list[object](), fcntl.flock
    first = owners.claim("dead")
    assert first is not None

    def meanwhile(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        # Between opening the file and locking it, another process claims the session and one of its name begins.
        first.release()
        theirs.append(owners.claim("dead"))
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", meanwhile)
    assert owners.claim("dead") is None
    assert theirs != [None]
    assert owners.claim("dead") is None


async def test_a_ledger_is_copied_whole_or_not_at_all_when_the_disk_is_full(tmp_path: Path) -> None:
    path = await bought(tmp_path / "ledger.sqlite", "first", "second", request=os.urandom(200_000))
    size = path.stat().st_size
    with largest_file(size // 2), pytest.raises(LedgerUnavailable, match=r"cannot be copied to .*: "):
        back_up(path, tmp_path / "copy")
    assert not list(tmp_path.glob("*copy*"))
    assert back_up(path, tmp_path / "copy").report.calls == 2


async def test_what_is_saved_of_a_damaged_ledger_is_nothing_when_the_disk_is_full(tmp_path: Path) -> None:
    path = await bought(tmp_path / "ledger.sqlite", "first", "second", request=os.urandom(200_000))
    size = path.stat().st_size
    refused = pytest.raises(LedgerUnavailable, match="cannot be written beside it")
    with beside(path) as made, largest_file(size // 2), refused:
        salvage(path, made, SystemClock())
    with beside(path) as made:
        assert salvage(path, made, SystemClock()).calls == 2


async def test_without_a_server_in_the_settings_the_ledger_is_the_file(tmp_path: Path) -> None:
    ledger = open_configured(LedgerSettings(), tmp_path / "ledger.sqlite")
    assert isinstance(await ledger.reserve(reservation(ledger.session)), Admitted)
    await ledger.close()
    assert (tmp_path / "ledger.sqlite").exists()


async def test_what_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    path = await bought(tmp_path / "ledger.sqlite", "first")
    path.chmod(0o644)
    lock = Path(f"{path}.lock")
    lock.chmod(0o666)
    words = "is readable and writable by its owner only"
    assert mend(path, examine(path, SystemClock()), SystemClock()) == [f"{path} {words}", f"{lock} {words}"]
    assert [found.stat().st_mode & 0o777 for found in (path, lock)] == [0o600, 0o600]


async def test_a_backup_that_forgets_calls_is_put_in_place_only_when_forced(tmp_path: Path) -> None:
    path = await bought(tmp_path / "ledger.sqlite", "first")
    copy = back_up(path, tmp_path / "copy").path
    await bought(path, "second", "third")
    with pytest.raises(LedgerUnavailable, match=r"knows 2 calls that the backup, whose last change is of 20"):
        restore(path, copy)
    missing = restore(path, copy, force=True).missing
    assert missing is not None
    assert (missing.calls, missing.counts) == (2, 10_000)
