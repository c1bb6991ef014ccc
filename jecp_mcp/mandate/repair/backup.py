"""Copies of a ledger's file: made while others spend, proven before they count, and put back without losing anything.

Blocking. A copy is one file of its own, without a journal beside it, for its owner's eyes only.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from jecp_mcp.clock import Clock, SystemClock, UnixMs, iso
from jecp_mcp.errors import LedgerDamaged, LedgerUnavailable
from jecp_mcp.mandate.records import AuditReport
from jecp_mcp.mandate.repair.kept_files import REPLACED
from jecp_mcp.mandate.sqlite import file_users, schema, verify
from jecp_mcp.mandate.sqlite.database import LedgerFile
from jecp_mcp.mandate.sqlite.ledger_queries import LedgerQueries
from jecp_mcp.mandate.sqlite.write_lock import MARK
from jecp_mcp.mandate.states import State, counted_amount
from jecp_mcp.plurals import counted

_SIDES = ("", "-wal", "-shm")

_MISSING = """
SELECT c.state, c.held, c.charged, c.refunded, c.created_at FROM main.call AS c
LEFT JOIN copy.call AS b ON b.call_id = c.call_id
WHERE b.id IS NULL OR (b.state, b.charged, b.refunded) IS NOT (c.state, c.charged, c.refunded)
"""


@dataclass(frozen=True, slots=True)
class Copy:
    """A ledger's copy.

    Attributes:
        report: what an audit of the copy came to.
        last_at: the last change that is in it, or None when it holds none.
    """

    path: Path
    report: AuditReport
    last_at: UnixMs | None


@dataclass(frozen=True, slots=True)
class Missing:
    """Calls that one ledger has and a copy has not, or not as they stand.

    Attributes:
        counts: what they count as spent, micro-USDC.
        first, last: when the first and the last of them was reserved.
    """

    calls: int
    counts: int
    first: UnixMs | None
    last: UnixMs | None


@dataclass(frozen=True, slots=True)
class Restored:
    """What putting a copy in place came to.

    Attributes:
        aside: where the ledger that stood there is now, or None when there was none.
        missing: what of it is not in the copy, or None when that could not be read.
    """

    copy: Copy
    aside: Path | None
    missing: Missing | None


def back_up(ledger: Path, target: Path, *, force: bool = False) -> Copy:
    """Copy a ledger as it is at one instant, however many processes spend meanwhile.

    Args:
        ledger: the ledger's file.
        target: where the copy goes; its folder must exist.
        force: overwrite what is there, and keep a copy even of a ledger in which the audit finds something.

    Raises:
        LedgerUnavailable: there is no ledger, or the copy cannot be written there.
        LedgerDamaged: the audit of the copy found something, or the ledger cannot be read.
    """
    ledger, target = Path(os.path.realpath(ledger)), target.absolute()
    if not ledger.exists():
        raise LedgerUnavailable(f"there is no ledger at {ledger}")
    if target.exists() and (not force or target.samefile(ledger)):
        raise LedgerUnavailable(f"{target} is there already; name another file" + (", or add --force" * (not force)))
    with beside(target) as made:
        _copy(ledger, made)
        copy = check(made, target)
        if copy.report.findings and not force:
            raise LedgerDamaged(
                f"nothing was backed up, for the ledger does not hold together: {copy.report.findings[0]}; "
                "add --force to keep a copy of it as it is"
            )
        _place(made, target)
    return copy


def restore(ledger: Path, source: Path, *, force: bool = False, clock: Clock | None = None) -> Restored:
    """Put a copy in the place of a ledger; what stood there is kept beside it.

    Args:
        ledger: the ledger's file; it need not be there.
        source: the copy.
        force: put it there though the present ledger knows of calls that the copy does not know, or the audit of the
            copy found something. A ledger that another process uses is never replaced: it may be paying.
        clock: the clock of the instants written.

    Raises:
        LedgerUnavailable: the ledger is in use, is newer than the copy, or cannot be written.
        LedgerDamaged: the copy is not what was written.
    """
    ledger, source, clock = Path(os.path.realpath(ledger)), source.absolute(), clock or SystemClock()
    if not source.is_file():
        raise LedgerUnavailable(f"there is no backup at {source}")
    if ledger.exists() and source.samefile(ledger):
        raise LedgerUnavailable(f"{source} is the ledger itself")
    try:
        ledger.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with beside(ledger) as made, file_users.exclusive(ledger) as lock:
            file_users.unused(ledger)
            _copy(source, made)
            copy = check(made, source)
            if copy.report.findings and not force:
                raise LedgerDamaged(f"the backup {source} does not hold together: {copy.report.findings[0]}")
            missing = _compare(ledger, made, copy, force=force)
            aside = put_in_place(ledger, made, lock, REPLACED, clock.now())
    except OSError as exc:
        raise LedgerUnavailable(f"{ledger} cannot be replaced: {exc.strerror or exc}") from exc
    return Restored(copy, aside, missing)


def check(path: Path, named: Path) -> Copy:
    """Go over a whole file: its structure, then the audit.

    Args:
        path: the file.
        named: the file that the result and any error speak of.

    Raises:
        LedgerDamaged: it is no ledger, or cannot be read.
        LedgerUnavailable: an earlier or a newer version wrote it.
    """

    def read(connection: apsw.Connection) -> tuple[AuditReport, UnixMs | None]:
        if schema.identify(connection) == 0:
            raise LedgerDamaged(f"{named} holds no ledger")
        wrong: list[Any] = connection.execute("PRAGMA integrity_check(10)").fetchall()
        broken = [str(words)[:200] for (words,) in wrong if words != "ok"]
        if broken:
            raise LedgerDamaged(f"the structure of {named} is damaged: {broken[0]}")
        return verify.verify(connection, None), LedgerQueries(connection).last_at()

    report, last_at = _reading(path, read)
    return Copy(named, report, last_at)


def put_in_place(ledger: Path, made: Path, lock: int, label: str, at: UnixMs) -> Path | None:
    """Move the present ledger aside and another one to its place; returns where the present one went.

    Between the two there is none, and the side file says that there was one: nothing is paid on an empty ledger.

    Args:
        made: the new one: a single file in the same folder.
        lock: the side file's descriptor, locked.
        label: what the old one is now, for its name.
        at: the instant for its name.

    Raises:
        OSError: a file cannot be moved.
    """
    _sync(made)
    if not os.fstat(lock).st_size:
        os.pwrite(lock, MARK, 0)
    aside = ledger.with_name(f"{ledger.name}.{label}-{iso(at).replace(':', '').replace('.', '')}")
    wal, present = Path(f"{ledger}-wal"), ledger.exists()
    if present:
        ledger.rename(aside)
    if wal.exists() and wal.stat().st_size:
        wal.rename(f"{aside}-wal")
    for side in ("-wal", "-shm"):
        Path(f"{ledger}{side}").unlink(missing_ok=True)
    made.rename(ledger)
    _sync(ledger.parent)
    return aside if present else None


def _compare(ledger: Path, made: Path, copy: Copy, *, force: bool) -> Missing | None:
    """What the present ledger knows and the copy does not; refuses to forget it unless forced."""
    if not ledger.is_file():
        return None
    try:
        missing: Missing = _reading(ledger, lambda connection: _missing(connection, made))
    except LedgerDamaged:
        return None
    except LedgerUnavailable:
        if force:
            return None
        raise
    if missing.calls and not force:
        since = "" if copy.last_at is None else f", whose last change is of {iso(copy.last_at)}"
        raise LedgerUnavailable(
            f"the present ledger knows {counted(missing.calls, 'call')} that the backup{since} does not know, or knows "
            f"otherwise, from {iso(missing.first or 0)} to {iso(missing.last or 0)}; a restore would let that money be "
            "spent again. To do so all the same, add --force"
        )
    return missing


def _missing(connection: apsw.Connection, made: Path) -> Missing:
    if schema.identify(connection) == 0:
        raise LedgerDamaged("nothing is written in the present ledger")
    connection.execute("ATTACH ? AS copy", (str(made),))
    rows: list[Any] = connection.execute(_MISSING).fetchall()
    connection.execute("DETACH copy")
    counts = sum(counted_amount(State(state), held, charged, refunded) for state, held, charged, refunded, _ in rows)
    instants = [at for *_, at in rows]
    return Missing(len(rows), counts, min(instants, default=None), max(instants, default=None))


def _copy(source: Path, target: Path) -> None:
    """Copy every page in one read transaction, into a file that needs no journal beside it."""

    def pages(connection: apsw.Connection) -> None:
        try:
            with closing(apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READWRITE)) as into:
                with into.backup("main", connection, "main") as copying:
                    copying.step(-1)
                into.pragma("journal_mode", "delete")
        except (apsw.FullError, apsw.IOError) as exc:
            raise LedgerUnavailable(f"the ledger {source} cannot be copied to {target.parent}: {exc}") from exc

    _reading(source, pages)


def _reading(path: Path, reading: Any) -> Any:
    file = LedgerFile(path, "backup", SystemClock())
    try:
        return file.read(reading)
    finally:
        file.close()


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """An empty file of this user's own in the target's folder, gone at the end unless it was moved."""
    made = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    try:
        os.close(os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as exc:
        raise LedgerUnavailable(f"{target.parent} cannot be written: {exc.strerror or exc}") from exc
    try:
        yield made
    finally:
        for side in (*_SIDES, "-journal"):
            with suppress(OSError):
                Path(f"{made}{side}").unlink()


def _place(made: Path, target: Path) -> None:
    try:
        _sync(made)
        made.rename(target)
        _sync(target.parent)
    except OSError as exc:
        raise LedgerUnavailable(f"{target} cannot be written: {exc.strerror or exc}") from exc


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
