"""What opening makes and checks."""

# ruff: noqa: ASYNC240 - nothing else runs in these loops while a file is touched
import stat
from pathlib import Path

import apsw
import pytest

from jecp_mcp.errors import LedgerDamaged, LedgerUnavailable
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.sqlite import schema
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from tests.unit.mandate.reservations import reservation


@pytest.mark.anyio
async def test_every_file_is_for_its_owners_eyes_only(ledger: SqliteLedger) -> None:
    await ledger.reserve(reservation(ledger.session))
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in ledger.path.parent.rglob("*")}
    assert {path.name for path in found} >= {"ledger.db", "ledger.db-wal", "ledger.db.lock", "ledger.db.owners"}
    assert all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in found.items())
    assert stat.S_IMODE(ledger.path.parent.stat().st_mode) == 0o700


@pytest.mark.anyio
async def test_a_file_others_may_read_is_closed_to_them(ledger: SqliteLedger) -> None:
    await ledger.close()
    ledger.path.chmod(0o644)
    await open_ledger(ledger.path).close()
    assert stat.S_IMODE(ledger.path.stat().st_mode) == 0o600


@pytest.mark.anyio
async def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    ledger = open_ledger(tmp_path / "ledger.db")
    assert ledger.fault is None
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    await ledger.close()


@pytest.mark.anyio
async def test_the_file_says_whose_it_is_and_that_it_is_in_wal_mode(ledger: SqliteLedger) -> None:
    connection = apsw.Connection(str(ledger.path), flags=apsw.SQLITE_OPEN_READONLY)
    assert connection.pragma("application_id") == schema.APPLICATION_ID
    assert connection.pragma("user_version") == schema.VERSION
    assert connection.pragma("journal_mode") == "wal"
    connection.close()


def test_a_connection_that_cannot_be_made_safe_is_refused() -> None:
    connection = apsw.Connection(":memory:")
    with pytest.raises(LedgerUnavailable, match="journal_mode"):
        schema.configure(connection)
    connection.close()


@pytest.mark.parametrize("made", ["PRAGMA application_id = 1", "PRAGMA user_version = 1", "CREATE TABLE notes(text)"])
def test_a_database_that_holds_anything_is_not_taken_for_a_new_ledger(made: str) -> None:
    connection = apsw.Connection(":memory:")
    assert schema.identify(connection) == 0
    connection.execute(made)
    with pytest.raises(LedgerDamaged, match="not a ledger"):
        schema.identify(connection)
    connection.close()


@pytest.mark.anyio
async def test_a_database_of_another_program_is_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE notes(text)")
    connection.close()
    before = path.read_bytes()
    ledger = open_ledger(path)
    assert isinstance(ledger.fault, LedgerDamaged)
    with pytest.raises(LedgerDamaged, match="not a ledger"):
        await ledger.reserve(reservation(ledger.session))
    await ledger.close()
    assert path.read_bytes() == before


@pytest.mark.anyio
async def test_a_ledger_of_a_newer_version_is_refused(ledger: SqliteLedger) -> None:
    await ledger.close()
    connection = apsw.Connection(str(ledger.path))
    connection.pragma("user_version", schema.VERSION + 1)
    connection.close()
    newer = open_ledger(ledger.path)
    assert isinstance(newer.fault, LedgerUnavailable)
    assert "newer version" in str(newer.fault)
    await newer.close()


@pytest.mark.anyio
@pytest.mark.parametrize("version", [1, 2])
async def test_a_ledger_from_before_the_first_release_is_refused_by_name(ledger: SqliteLedger, version: int) -> None:
    await ledger.reserve(reservation(ledger.session))
    await ledger.close()
    connection = apsw.Connection(str(ledger.path))
    connection.pragma("user_version", version)
    connection.close()
    older = open_ledger(ledger.path)
    assert isinstance(older.fault, LedgerUnavailable)
    assert f"version {version}" in str(older.fault)
    assert "was written before the first release of jecp-mcp" in str(older.fault)
    aside = ledger.path.parent / "ledger-of-before-the-first-release"
    assert str(older.fault).endswith(f"run: mkdir {aside} && mv {ledger.path}* {aside}")
    await older.close()


def test_the_command_that_moves_a_ledger_away_can_be_pasted_whatever_the_folder_is_called() -> None:
    moved = schema.move_away_command("/my wallet/ledger.db")
    aside = "'/my wallet/ledger-of-before-the-first-release'"
    assert moved == f"mkdir {aside} && mv '/my wallet/ledger.db'* {aside}"


@pytest.mark.anyio
async def test_meters_that_disagree_with_what_they_counted_are_damage(ledger: SqliteLedger) -> None:
    await ledger.close()
    connection = apsw.Connection(str(ledger.path))
    connection.execute(
        "INSERT INTO meter(key, window, principal, since, fed, used) VALUES ('k', 'day', 'local', 0, 0, 5)"
    )
    connection.close()
    damaged = open_ledger(ledger.path)
    assert isinstance(damaged.fault, LedgerDamaged)
    assert "meters" in str(damaged.fault)
    await damaged.close()


def test_a_structure_that_is_not_what_was_written_is_damage_and_said_in_short() -> None:
    name = "n" * 300
    connection = apsw.Connection("")
    connection.execute(f"CREATE TABLE {name}(x); INSERT INTO {name} VALUES (NULL)")
    schema.check_structure(connection)
    # What the file says of itself and what it holds part company.
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
    connection.execute(
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, '(x)', '(x NOT NULL)');"
        "PRAGMA writable_schema = RESET"
    )
    with pytest.raises(LedgerDamaged) as caught:
        schema.check_structure(connection)
    connection.close()
    found = f"NULL value in {name}.x"
    assert str(caught.value) == f"the ledger's structure is damaged: {found[:200]}"


@pytest.mark.anyio
async def test_a_creation_that_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.touch(0o600)
    ledger = open_ledger(path)
    assert ledger.fault is None
    await ledger.reserve(reservation(ledger.session))
    await ledger.close()


@pytest.mark.anyio
async def test_events_cannot_be_changed_or_removed(ledger: SqliteLedger) -> None:
    await ledger.reserve(reservation(ledger.session))
    connection = apsw.Connection(str(ledger.path))
    for change in ("UPDATE event SET call = 1", "DELETE FROM event"):
        with pytest.raises(apsw.ConstraintError, match="only appended"):
            connection.execute(change)
    connection.close()


@pytest.mark.anyio
async def test_a_closed_ledger_writes_and_reads_nothing(ledger: SqliteLedger) -> None:
    await ledger.close()
    await ledger.close()
    with pytest.raises(LedgerUnavailable, match="closed"):
        await ledger.reserve(reservation(ledger.session))
    with pytest.raises(LedgerUnavailable, match="closed"):
        await ledger.rows()


@pytest.mark.anyio
async def test_a_link_to_the_file_is_the_same_ledger(ledger: SqliteLedger, tmp_path: Path) -> None:
    await ledger.reserve(reservation(ledger.session))
    link = tmp_path / "link.db"
    link.symlink_to(ledger.path)
    again = open_ledger(link)
    assert (await again.totals()).calls == 1
    await again.close()
