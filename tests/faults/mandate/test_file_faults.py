"""What can happen to the file: paid calls stop with words for a person, reads go on where they can, nothing is lost."""

# ruff: noqa: ASYNC221, ASYNC230, ASYNC240 - nothing else runs in these loops while a file is touched
import fcntl
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerDamaged, LedgerError, LedgerUnavailable
from jecp_mcp.mandate.grants import Grant, GrantKind, GrantState
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Admitted, Conclusion
from jecp_mcp.mandate.sqlite import write_lock
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.states import State
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import START, everything, meter, reservation


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqliteLedger]:
    """A ledger with one sent call named ``first``."""
    opened = open_ledger(tmp_path / "ledger.db")
    await opened.reserve(reservation(opened.session, call_id="first", meters=[meter()]))
    yield opened
    await opened.close()


async def refuses(ledger: SqliteLedger, kind: type[LedgerError], words: str) -> None:
    with pytest.raises(kind, match=words):
        await ledger.reserve(reservation(ledger.session))


async def reads(ledger: SqliteLedger) -> None:
    row = await ledger.row("first")
    assert row is not None
    assert [found.call_id for found in await ledger.rows()] == ["first"]
    assert [reading.used for reading in await ledger.readings([meter()])] == [5_000]
    assert (await ledger.totals()).calls == 1


def fill_disk(ledger: SqliteLedger) -> None:
    connection = ledger._file._connection
    assert connection is not None
    connection.pragma("max_page_count", connection.pragma("page_count"))


def empty_disk(ledger: SqliteLedger) -> None:
    connection = ledger._file._connection
    assert connection is not None
    connection.pragma("max_page_count", 1_000_000)


BIG = b"x" * 100_000


@pytest.mark.anyio
async def test_a_full_disk_refuses_and_recovers_when_there_is_room(ledger: SqliteLedger) -> None:
    fill_disk(ledger)
    big = reservation(ledger.session, request=BIG, meters=[meter()])
    with pytest.raises(LedgerUnavailable, match="disk is full"):
        await ledger.reserve(big)
    await reads(ledger)
    empty_disk(ledger)
    assert isinstance(await ledger.reserve(big), Admitted)


@pytest.mark.anyio
async def test_a_conclusion_waits_out_a_full_disk(ledger: SqliteLedger) -> None:
    fill_disk(ledger)
    ledger.conclude(Conclusion("first", Verdict.CHARGED, MicroUSDC(5_000), answer=BIG))
    with pytest.raises(LedgerUnavailable, match="disk is full"):
        await ledger.flush()
    row = await ledger.row("first")
    assert row is not None
    assert row.state is State.SENT
    empty_disk(ledger)
    await ledger.flush()
    row = await ledger.row("first")
    assert row is not None
    assert (row.state, row.answer) == (State.SETTLED, BIG)


@pytest.mark.anyio
async def test_closing_on_a_full_disk_says_so_and_lets_go(ledger: SqliteLedger) -> None:
    fill_disk(ledger)
    ledger.conclude(Conclusion("first", Verdict.CHARGED, MicroUSDC(5_000), answer=BIG))
    with pytest.raises(LedgerUnavailable, match="disk is full"):
        await ledger.close()
    later = open_ledger(ledger.path)
    assert [row.state for row in await later.adopt_orphans(everything)] == [State.IN_DOUBT]
    await later.close()


SMALL_DISK = """
import asyncio, resource, sys
from jecp_mcp.errors import LedgerUnavailable
from jecp_mcp.mandate.opening import open_ledger
from tests.unit.mandate.reservations import reservation
async def main():
    ledger = open_ledger(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    admitted = 0
    try:
        while True:
            await ledger.reserve(reservation(ledger.session, call_id=f"c{admitted}", request=b"x" * 20_000))
            admitted += 1
    except LedgerUnavailable:
        assert len(await ledger.rows(limit=1000)) == admitted
        print(admitted)
asyncio.run(main())
"""


@pytest.mark.anyio
async def test_a_file_system_that_takes_no_more_loses_nothing_admitted(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    done = subprocess.run(
        [sys.executable, "-c", SMALL_DISK, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    ledger = open_ledger(path)
    assert ledger.fault is None
    assert len(await ledger.adopt_orphans(everything)) == int(done.stdout) > 3
    await ledger.close()


READ_ONLY = """
import asyncio, os, sys
from concurrent.futures import ThreadPoolExecutor
from jecp_mcp.errors import LedgerUnavailable
from jecp_mcp.mandate.opening import open_ledger
from tests.unit.mandate.reservations import everything, reservation
async def main():
    if os.geteuid() == 0:
        os.setuid(65534)
    ledger = open_ledger(sys.argv[1])
    try:
        await ledger.reserve(reservation(ledger.session))
    except LedgerUnavailable as exc:
        print(exc)
    try:
        await ledger.adopt_orphans(everything)
    except LedgerUnavailable as exc:
        print(exc)
    print([row.call_id for row in await ledger.rows()])
    await ledger.close()
asyncio.run(main())
"""


@pytest.mark.anyio
@pytest.mark.parametrize("what", ["file", "folder"])
async def test_what_is_read_only_can_still_be_read(what: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "ledger.db"
        ledger = open_ledger(path)
        await ledger.reserve(reservation(ledger.session, call_id="first"))
        await ledger.close()
        for found in (*folder.iterdir(), folder):
            found.chmod(0o555 if found.is_dir() else 0o444)
        if what == "file":
            folder.chmod(0o777)
            (folder / "ledger.db.lock").chmod(0o666)
            (folder / "ledger.db.owners").chmod(0o777)
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, str(path)], capture_output=True, text=True, check=True, timeout=60
        )
        folder.chmod(0o700)
    refused, _adopting, rows = done.stdout.splitlines()
    assert "ledger.db cannot be" in refused
    assert rows == "['first']"


@pytest.mark.anyio
@pytest.mark.parametrize("size", [0, 100, 4096, 9_000])
async def test_a_truncated_file_is_damage(ledger: SqliteLedger, size: int) -> None:
    await ledger.close()
    os.truncate(ledger.path, size)
    damaged = open_ledger(ledger.path)
    assert isinstance(damaged.fault, LedgerDamaged)
    assert str(ledger.path) in str(damaged.fault) or "ledger" in str(damaged.fault)
    await refuses(damaged, LedgerDamaged, "ledger")
    await damaged.close()
    assert ledger.path.stat().st_size == size


@pytest.mark.anyio
@pytest.mark.parametrize("content", [b"this is a text file\n" * 500, b"\x00" * 8192, os.urandom(8192)])
async def test_garbage_is_damage_and_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(content)
    ledger = open_ledger(path)
    assert isinstance(ledger.fault, LedgerDamaged)
    await refuses(ledger, LedgerDamaged, "damaged|not a ledger")
    with pytest.raises(LedgerDamaged):
        await ledger.rows()
    await ledger.close()
    assert path.read_bytes() == content


@pytest.mark.anyio
async def test_damaged_pages_never_do_worse_than_refuse(tmp_path: Path) -> None:
    sound = open_ledger(tmp_path / "sound.db")
    for _ in range(60):
        await sound.reserve(reservation(sound.session, meters=[meter()]))
    await sound.close()
    whole = sound.path.read_bytes()
    chance = random.Random(7)
    refused = 0
    for number in range(80):
        path = tmp_path / f"{number}.db"
        content = bytearray(whole)
        length = chance.choice([1, 16, 64, 512])
        at = chance.randrange(0, len(content) - length)
        content[at : at + length] = chance.randbytes(length)
        path.write_bytes(content)
        ledger = open_ledger(path)
        try:
            await ledger.reserve(reservation(ledger.session))
            await ledger.rows()
            await ledger.totals()
            await ledger.check()
        except LedgerError:
            refused += 1
        await ledger.close()
    assert refused > 10


@pytest.mark.anyio
async def test_an_unlinked_file_is_not_written_and_can_be_read(ledger: SqliteLedger) -> None:
    await reads(ledger)
    ledger.path.unlink()
    await refuses(ledger, LedgerUnavailable, "is gone")
    await reads(ledger)


@pytest.mark.anyio
async def test_a_replaced_file_is_not_written(ledger: SqliteLedger, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes(b"another")
    copy.replace(ledger.path)
    await refuses(ledger, LedgerUnavailable, "was replaced")
    assert ledger.path.read_bytes() == b"another"


@pytest.mark.anyio
async def test_a_ledger_whose_file_is_gone_while_its_journal_stays_is_not_begun_anew(ledger: SqliteLedger) -> None:
    ledger.path.unlink()
    second = open_ledger(ledger.path)
    assert isinstance(second.fault, LedgerDamaged)
    assert "journal" in str(second.fault)
    assert not ledger.path.exists()
    await second.close()


@pytest.mark.anyio
async def test_another_program_that_locks_the_file_is_waited_for_and_then_reported(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_lock, "LONGEST_WAIT", 0.1)
    other = apsw.Connection(str(ledger.path))
    other.execute("BEGIN IMMEDIATE")
    await refuses(ledger, LedgerUnavailable, "locked by another process")
    await reads(ledger)
    other.execute("COMMIT")
    assert isinstance(await ledger.reserve(reservation(ledger.session)), Admitted)
    other.close()


@pytest.mark.anyio
async def test_a_process_that_never_lets_go_is_reported(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_lock, "LONGEST_WAIT", 0.1)
    with Path(f"{ledger.path}.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        await refuses(ledger, LedgerUnavailable, "locked by another process")
        await reads(ledger)
        late = open_ledger(ledger.path)
        assert isinstance(late.fault, LedgerUnavailable)
        await late.close()
    assert isinstance(await ledger.reserve(reservation(ledger.session)), Admitted)


@pytest.mark.anyio
async def test_a_ledger_that_could_not_be_opened_opens_when_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_lock, "LONGEST_WAIT", 0.1)
    with (tmp_path / "ledger.db.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ledger = open_ledger(tmp_path / "ledger.db")
        assert isinstance(ledger.fault, LedgerUnavailable)
    assert isinstance(await ledger.reserve(reservation(ledger.session)), Admitted)
    assert ledger.fault is None
    await ledger.close()


@pytest.mark.anyio
async def test_a_path_that_can_hold_no_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    tmp_path.chmod(0o755)
    for path in (tmp_path / "file" / "ledger.db", tmp_path):
        ledger = open_ledger(path)
        await refuses(ledger, LedgerUnavailable, "cannot be")
        with pytest.raises(LedgerUnavailable):
            await ledger.rows()
        await ledger.close()
    assert tmp_path.stat().st_mode & 0o777 == 0o755, "a folder is not shut to others because somebody named it"


@pytest.mark.anyio
async def test_a_row_that_cannot_be_read_is_damage(ledger: SqliteLedger) -> None:
    await ledger.close()
    connection = apsw.Connection(str(ledger.path))
    connection.execute("UPDATE call SET tool = CAST(x'ff00fe' AS TEXT)")
    connection.close()
    damaged = open_ledger(ledger.path)
    with pytest.raises(LedgerDamaged, match="cannot be read"):
        await damaged.rows()
    await damaged.close()


@pytest.mark.anyio
async def test_a_value_no_column_can_hold_is_an_error_of_its_call_alone(ledger: SqliteLedger) -> None:
    with pytest.raises(LedgerError, match="cannot hold a value: UnicodeEncodeError"):
        await ledger.reserve(reservation(ledger.session, call_id="odd", tool="\ud800"))
    with pytest.raises(LedgerError, match="cannot hold a value: OverflowError"):
        await ledger.reserve(reservation(ledger.session, provable_until=2**70))
    with pytest.raises(LedgerError, match="cannot hold a value: an amount is out of bounds"):
        await ledger.conclude_now(
            Conclusion("first", Verdict.CHARGED, MicroUSDC(5_000), balance_after=MicroUSDC(2**70))
        )
    assert isinstance(await ledger.reserve(reservation(ledger.session)), Admitted)
    assert (await ledger.audit()).findings == ()


@pytest.mark.anyio
async def test_a_row_that_cannot_be_read_while_writing_is_damage(ledger: SqliteLedger) -> None:
    connection = apsw.Connection(str(ledger.path))
    connection.execute("PRAGMA ignore_check_constraints = 1; UPDATE call SET state = 'gone'")
    connection.close()
    with pytest.raises(LedgerDamaged, match="cannot be read"):
        await ledger.conclude_now(Conclusion("first", Verdict.IN_DOUBT))
    await refuses(ledger, LedgerDamaged, "cannot be read")


@pytest.mark.anyio
async def test_an_event_that_names_no_state_is_damage_to_the_audit(ledger: SqliteLedger) -> None:
    connection = apsw.Connection(str(ledger.path))
    connection.execute(
        "DROP TRIGGER event_stays; UPDATE event SET body = CAST(replace(body, 'sent', 'gone') AS BLOB) WHERE call = 1"
    )
    connection.close()
    assert any("was changed" in words for words in (await ledger.audit()).findings)
    with pytest.raises(LedgerDamaged, match="cannot be read"):
        await ledger.events()


@pytest.mark.anyio
async def test_a_grant_of_no_known_state_is_damage_that_nothing_is_bought_over(ledger: SqliteLedger) -> None:
    asked = Grant(GrantKind.APPROVAL, "AAAA-BBBB", "local", "f", GrantState.ASKED, b"", START, UnixMs(START + 60_000))
    await ledger.write_grant(asked)
    await ledger.close()
    connection = apsw.Connection(str(ledger.path))
    connection.execute("PRAGMA ignore_check_constraints = 1")
    connection.execute("UPDATE slip SET state = 'maybe'")
    connection.close()
    damaged = open_ledger(ledger.path)
    with pytest.raises(LedgerDamaged, match="a row cannot be read"):
        await damaged.write_grant(replace(asked, grant_id="CCCC-DDDD"))
    await damaged.close()
