"""What backups, the doctor and the mends do where hardly anybody gets: every way out of them, on real files."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
import apsw
import pytest

from jecp_mcp.clock import SystemClock, UnixMs
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerDamaged, LedgerUnavailable
from jecp_mcp.mandate.opening import open_for_reading, open_ledger
from jecp_mcp.mandate.records import Conclusion
from jecp_mcp.mandate.repair import diagnose
from jecp_mcp.mandate.repair.backup import back_up, restore
from jecp_mcp.mandate.repair.diagnose import Finding, Level, Mend, examine
from jecp_mcp.mandate.repair.repair import mend
from jecp_mcp.mandate.repair.salvage import salvage
from jecp_mcp.mandate.sqlite import file_users
from jecp_mcp.mandate.sqlite.session_locks import SessionLocks
from jecp_mcp.money import MicroUSDC
from jecp_mcp.settings import LedgerSettings
from tests.unit.mandate.reservations import meter, reservation

CLOCK = SystemClock()


class Yesterday(SystemClock):
    def now(self) -> UnixMs:
        return UnixMs(super().now() - 86_400_000)


def bought(path: Path, *names: str) -> Path:
    async def write() -> None:
        ledger = open_ledger(path)
        for name in names or ("first",):
            await ledger.reserve(reservation(ledger.session, call_id=name, meters=[meter()]))
        await ledger.close()

    anyio.run(write)
    return path


@contextmanager
def opened(path: Path) -> Iterator[apsw.Connection]:
    with closing(apsw.Connection(str(path))) as connection:
        yield connection


def edited(path: Path) -> Path:
    """A ledger in which somebody changed what a call holds."""
    with opened(path) as connection:
        connection.execute("UPDATE call SET held = held + 1")
    return path


def empty_database(path: Path) -> Path:
    with opened(path) as connection:
        connection.execute("PRAGMA user_version = 0; CREATE TABLE x(y); DROP TABLE x")
    return path


def earlier(path: Path) -> Path:
    """A ledger of tables that no release wrote."""
    forgotten(path)
    with opened(bought(path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    return path


def forgotten(path: Path) -> None:
    """Let nothing tell any more that there was a ledger."""
    for found in (path, Path(f"{path}.lock")):
        found.unlink(missing_ok=True)


def faults(path: Path, clock: SystemClock = CLOCK) -> list[Finding]:
    return [one for one in examine(path, clock) if one.level is not Level.OK]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder / "ledger.sqlite"


# --- backups ---------------------------------------------------------------------------------------------------------


def test_a_ledger_that_does_not_hold_together_is_backed_up_only_when_forced(ledger: Path, tmp_path: Path) -> None:
    edited(bought(ledger))
    with pytest.raises(LedgerDamaged, match="nothing was backed up"):
        back_up(ledger, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    assert back_up(ledger, tmp_path / "copy", force=True).report.findings
    with pytest.raises(LedgerDamaged, match="does not hold together"):
        restore(bought(tmp_path / "other.sqlite"), tmp_path / "copy")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (empty_database, LedgerDamaged, "holds no ledger"),
        (earlier, LedgerUnavailable, "before the first release"),
    ],
)
def test_what_is_no_ledger_of_this_version_is_not_backed_up(
    ledger: Path, tmp_path: Path, make: object, error: type[Exception], words: str
) -> None:
    make(ledger)  # type: ignore[operator]
    with pytest.raises(error, match=words):
        back_up(ledger, tmp_path / "copy")


def test_a_backup_overwrites_nothing_unasked_and_never_the_ledger_itself(ledger: Path, tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="there is no ledger"):
        back_up(ledger, tmp_path / "copy")
    bought(ledger)
    (tmp_path / "copy").write_text("mine")
    with pytest.raises(LedgerUnavailable, match="name another file, or add --force"):
        back_up(ledger, tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "mine"
    with pytest.raises(LedgerUnavailable, match=r"name another file$"):
        back_up(ledger, ledger, force=True)
    assert back_up(ledger, tmp_path / "copy", force=True).report.calls == 1


def test_a_backup_that_has_no_place_to_go_says_so(ledger: Path, tmp_path: Path) -> None:
    bought(ledger)
    with pytest.raises(LedgerUnavailable, match="cannot be written"):
        back_up(ledger, tmp_path / "nowhere" / "copy")
    (tmp_path / "folder").mkdir()
    with pytest.raises(LedgerUnavailable, match="cannot be written"):
        back_up(ledger, tmp_path / "folder", force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "state"]


def test_only_a_backup_is_restored_and_only_where_it_can_be_put(ledger: Path, tmp_path: Path) -> None:
    bought(ledger)
    copy = back_up(ledger, tmp_path / "copy").path
    for source, words in ((tmp_path / "none", "there is no backup"), (ledger, "is the ledger itself")):
        with pytest.raises(LedgerUnavailable, match=words):
            restore(ledger, source)
    (tmp_path / "file").touch()
    with pytest.raises(LedgerUnavailable, match="cannot be replaced"):
        restore(tmp_path / "file" / "ledger.sqlite", copy)
    with opened(copy) as connection:
        connection.execute("PRAGMA user_version = 1")
    with pytest.raises(LedgerUnavailable, match="before the first release"):
        restore(ledger, copy)


def test_a_ledger_that_was_never_there_is_restored_and_then_known_to_have_been(ledger: Path, tmp_path: Path) -> None:
    copy = back_up(bought(tmp_path / "other.sqlite"), tmp_path / "copy").path
    done = restore(ledger, copy)
    assert (done.aside, done.missing) == (None, None)
    assert Path(f"{ledger}.lock").stat().st_size
    assert not faults(ledger)


def test_what_stands_there_is_compared_only_where_it_can_be(ledger: Path, tmp_path: Path) -> None:
    copy = back_up(bought(tmp_path / "other.sqlite"), tmp_path / "copy").path
    empty_database(ledger)
    assert restore(ledger, copy).missing is None
    ledger.unlink()
    earlier(ledger)
    with pytest.raises(LedgerUnavailable, match="before the first release"):
        restore(ledger, copy)
    assert restore(ledger, copy, force=True).missing is None


def test_the_journal_of_a_ledger_that_cannot_be_read_is_kept_with_it(ledger: Path, tmp_path: Path) -> None:
    copy = back_up(bought(ledger), tmp_path / "copy").path
    ledger.write_bytes(b"garbage" * 999)
    Path(f"{ledger}-wal").write_bytes(b"the last changes")
    aside = restore(ledger, copy).aside
    assert aside is not None
    assert Path(f"{aside}-wal").read_bytes() == b"the last changes"


def test_a_structure_that_is_damaged_is_not_taken_for_a_backup(ledger: Path, tmp_path: Path) -> None:
    _tear_an_index(bought(ledger, *(f"call {number}" for number in range(40))))
    with pytest.raises(LedgerDamaged, match="structure"):
        back_up(ledger, tmp_path / "copy", force=True)
    [torn] = [one for one in faults(ledger) if one.about == "structure"]
    assert (torn.safe, torn.level) == (Mend.SALVAGE, Level.FAULT)


def _tear_an_index(path: Path) -> None:
    """Take an entry out of an index, behind the back of its table."""
    with opened(path) as connection:
        name = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL").get
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = sql || ' -- torn' WHERE name = 'nothing'")
        root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name LIKE 'sqlite_autoindex_call%'").get
        size = connection.execute("PRAGMA page_size").get
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert name
    with path.open("r+b") as raw:
        raw.seek((root - 1) * size + 3)
        count = int.from_bytes(raw.read(2), "big")
        raw.seek((root - 1) * size + 3)
        raw.write((count - 1).to_bytes(2, "big"))


# --- the doctor ------------------------------------------------------------------------------------------------------


def test_a_ledger_that_is_not_there_is_told_from_one_that_is_lost(ledger: Path) -> None:
    assert [one.what for one in examine(ledger, CLOCK) if one.about == "file"] == [
        f"there is no ledger at {ledger} yet; the first start begins one"
    ]
    bought(ledger)
    ledger.rename(ledger.with_name("elsewhere"))
    assert [one.what for one in faults(ledger)] == [f"{ledger} is gone, though it was written before"]
    Path(f"{ledger}-wal").write_bytes(b"changes")
    assert "its journal" in faults(ledger)[0].what
    Path(f"{ledger}-wal").unlink()
    ledger.touch(0o600)
    assert [one.what for one in faults(ledger)] == [f"{ledger} is empty, though it was written before"]
    ledger.unlink()
    ledger.mkdir(mode=0o700)
    assert [one.what for one in faults(ledger)] == [f"{ledger} is no file"]


def test_what_is_in_the_file_is_told_by_kind(ledger: Path, tmp_path: Path) -> None:
    empty_database(ledger).chmod(0o600)
    assert "nothing is written in it yet" in [one.what for one in examine(ledger, CLOCK)]
    ledger.unlink()
    earlier(ledger).chmod(0o600)
    [old] = [one for one in faults(ledger) if "are version 2" in one.what]
    assert old.mend.endswith(", or after it jecp-mcp ledger --restore BACKUP")
    ledger.unlink()
    ledger.write_bytes(b"not a database at all" * 99)
    assert "is no database" in faults(ledger)[-1].what
    ledger.unlink()
    with opened(ledger) as connection:
        connection.execute("PRAGMA application_id = 4242; CREATE TABLE theirs(x)")
    assert f"{ledger} is another program's database" in [one.what for one in faults(ledger)]
    forgotten(ledger)
    with opened(bought(ledger)) as connection:
        connection.execute("PRAGMA user_version = 9999")
    assert "update jecp-mcp" in [one.mend for one in faults(ledger)]
    # Beside it lies what is a copy of a ledger, and what cannot be looked at.
    ledger.unlink()
    back_up(bought(tmp_path / "other.sqlite"), ledger.with_name("copy"))
    (ledger.parent / "secret").symlink_to(ledger.parent / "copy")
    assert [one.what for one in examine(ledger, CLOCK) if one.about == "backup" and "copy, of" in one.what]


def test_a_file_that_cannot_be_read_is_named(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bought(ledger)
    back_up(ledger, ledger.with_name("copy"))
    sound = Path.open

    def refused(path: Path, *given: object, **more: object) -> object:
        if path.name in {ledger.name, "copy"}:
            raise PermissionError(13, "Permission denied")
        return sound(path, *given, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refused)
    assert [one.what for one in faults(ledger)] == [f"{ledger} cannot be read: Permission denied"]


def test_another_user_s_file_and_folder_are_named(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bought(ledger)
    if os.geteuid() == 0:
        os.chown(ledger, 65534, 65534)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != ledger.parent)
    named = [one.what for one in faults(ledger)]
    assert f"{ledger} belongs to another user" in named
    assert f"the folder {ledger.parent} is read-only" in named


def test_a_clock_behind_the_books_and_files_left_behind_are_named_and_swept(ledger: Path) -> None:
    bought(ledger)
    owners = Path(f"{ledger}.owners")
    owners.mkdir(exist_ok=True)
    (owners / "0123456789abcdef.lock").touch()
    found = faults(ledger, Yesterday())
    assert {one.about for one in found} == {"clock", "sessions"}
    assert mend(ledger, found, CLOCK) == ["1 owner files of dead processes are removed"]
    assert not faults(ledger)


@pytest.mark.parametrize("old", [False, True])
def test_whoever_does_not_let_go_of_the_ledger_is_named(
    ledger: Path, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    bought(ledger)
    monkeypatch.setattr(diagnose, "_PATIENCE", 0.05)
    monkeypatch.setattr(file_users, "_WAIT", 0.05)
    monkeypatch.setattr(diagnose, "several_may_write", lambda: not old)
    with Path(f"{ledger}.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        [held] = faults(ledger)
        assert (held.about, held.level) == ("lock", Level.WARNING if old else Level.FAULT)
        with pytest.raises(LedgerUnavailable, match="is locked by"):
            restore(ledger, back_up(ledger, ledger.with_name("copy")).path)
    assert not faults(ledger)


def test_a_transaction_that_does_not_end_is_named(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bought(ledger)
    monkeypatch.setattr(diagnose, "_PATIENCE", 0.05)
    with opened(ledger) as other:
        other.execute("BEGIN IMMEDIATE")
        [held] = faults(ledger)
        assert "another program has locked" in held.what


def test_a_ledger_that_cannot_be_written_though_nothing_else_is_wrong_is_named(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bought(ledger)

    def refused(*_given: object, **_more: object) -> object:
        raise apsw.CantOpenError("unable to open database file")

    with monkeypatch.context() as patched:
        patched.setattr(diagnose.apsw, "Connection", refused)
        patched.setattr(diagnose, "_inside", lambda *_: iter(()))
        assert [one.what for one in faults(ledger)] == [f"{ledger} cannot be written: unable to open database file"]


def test_who_holds_a_lock_is_unknown_where_the_system_does_not_tell(
    ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bought(ledger)
    monkeypatch.setattr(file_users, "_LOCKS", tmp_path / "none")
    assert file_users.holders([ledger]) == []
    told = tmp_path / "locks"
    told.write_text("1: POSIX\n2: FLOCK ADVISORY WRITE not-a-pid fe:00:1 0 EOF\n")
    monkeypatch.setattr(file_users, "_LOCKS", told)
    assert file_users.holders([ledger, tmp_path / "gone"]) == []
    assert file_users.is_locked(tmp_path / "gone") is None


def test_a_session_that_ends_while_it_is_looked_at_is_neither(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owners = Path(f"{ledger}.owners")
    owners.mkdir()
    (owners / "0123456789abcdef.lock").touch()
    monkeypatch.setattr(file_users, "is_locked", lambda _path: None)
    assert file_users.sessions_of(ledger) == file_users.Sessions((), ())


def test_a_link_in_the_place_of_a_lock_is_not_followed(ledger: Path, tmp_path: Path) -> None:
    bought(ledger)
    lock, owners = Path(f"{ledger}.lock"), Path(f"{ledger}.owners")
    for link in (lock, owners / "0123456789abcdef.lock"):
        elsewhere = tmp_path / link.name
        elsewhere.write_bytes(b"theirs")
        elsewhere.chmod(0o600)
        link.unlink(missing_ok=True)
        link.symlink_to(elsewhere)
    assert [one.what for one in faults(ledger)] == [f"{lock} is a link, and none is followed"]
    assert file_users.sessions_of(ledger) == file_users.Sessions((), ())
    with pytest.raises(NotADirectoryError):
        file_users.is_locked(ledger / "no folder.lock")


def test_what_was_charged_beyond_its_hold_is_found_in_a_file_that_nobody_has_open(ledger: Path) -> None:
    bought(ledger, "first", "second")

    async def charge() -> None:
        opened = open_ledger(ledger)
        await opened.conclude_now(Conclusion("second", Verdict.CHARGED, MicroUSDC(5_001)))
        await opened.close()

    async def look() -> list[tuple[str, int, int]]:
        found = open_for_reading(LedgerSettings(), ledger)
        try:
            return [(row.call_id, row.charged, row.held) for row in await found.excessive()]
        finally:
            await found.close()

    anyio.run(charge)
    assert anyio.run(look) == [("second", 5_001, 5_000)]
    assert file_users.sessions_of(ledger) == file_users.Sessions((), ())


def test_amounts_that_somebody_changed_are_named_and_cannot_be_mended(ledger: Path) -> None:
    [changed] = [one for one in faults(edited(bought(ledger))) if one.about != "meters"]
    assert (changed.about, changed.safe) == ("chain", None)
    assert "call first is not what its events say: held" in changed.what


# --- the mends -------------------------------------------------------------------------------------------------------


def test_a_mend_that_cannot_be_made_says_so_and_changes_nothing(ledger: Path) -> None:
    bought(ledger)
    recount = Finding(Level.FAULT, "meters", "they disagree", safe=Mend.RECOUNT)
    with pytest.raises(LedgerUnavailable, match="cannot be mended"):
        mend(ledger.parent / "nowhere" / "ledger.sqlite", [recount], CLOCK)
    with opened(ledger) as connection:
        connection.execute("DROP TABLE slot")
    with pytest.raises(LedgerDamaged, match="cannot be counted anew"):
        mend(ledger, [recount], CLOCK)


def test_owner_files_of_the_living_are_left(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bought(ledger)
    owners = SessionLocks(Path(f"{ledger}.owners"))
    mine = owners.claim("0123456789abcdef")
    assert mine is not None
    try:
        # It looked dead a moment ago.
        stale = file_users.Sessions((), (Path(f"{ledger}.owners") / "0123456789abcdef.lock",))
        monkeypatch.setattr(file_users, "sessions_of", lambda _ledger: stale)
        left = Finding(Level.WARNING, "sessions", "left behind", safe=Mend.OWNERS)
        assert mend(ledger, [left], CLOCK) == ["0 owner files of dead processes are removed"]
    finally:
        mine.release()


def test_nothing_is_salvaged_of_what_is_no_database(ledger: Path, tmp_path: Path) -> None:
    ledger.write_bytes(b"x" * 8192)
    (tmp_path / "new").touch()
    with pytest.raises(LedgerDamaged, match=r"nothing can be (saved|read)"):
        salvage(ledger, tmp_path / "new", CLOCK)
    shutil.copy(bought(tmp_path / "other.sqlite"), ledger)
    (tmp_path / "newer").touch()
    assert salvage(ledger, tmp_path / "newer", CLOCK).calls == 1
