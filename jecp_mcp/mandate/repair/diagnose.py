"""What is wrong with a ledger's file, what that means for the money, and how to mend it. Changes nothing.

Blocking, and for a process that has the ledger not open: a file's bytes are looked at beside SQLite.
"""

from __future__ import annotations

import os
import shlex
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import apsw

from jecp_mcp.clock import Clock, UnixMs, iso
from jecp_mcp.errors import LedgerDamaged, LedgerUnavailable
from jecp_mcp.mandate.records import AuditReport
from jecp_mcp.mandate.repair.kept_files import MAGIC, backups_beside, declared_size, put_aside
from jecp_mcp.mandate.rules import CLOCK_SLACK_MS
from jecp_mcp.mandate.sqlite import file_users, schema, verify
from jecp_mcp.mandate.sqlite.database import LedgerFile
from jecp_mcp.mandate.sqlite.ledger_queries import LedgerQueries
from jecp_mcp.mandate.sqlite.write_lock import SAFE_FOR_SEVERAL, several_may_write
from jecp_mcp.mandate.states import State
from jecp_mcp.money import format_usdc
from jecp_mcp.plurals import are, counted
from jecp_mcp.settings.command_lines import PLAIN, CommandLine

_LITTLE_ROOM, _NO_ROOM = 100 << 20, 8 << 20
_PATIENCE = 1.5
_MOST_COPIES = 20

_NOTHING_BOUGHT = "nothing can be bought until it is mended; free reads go on"


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


class Mend(StrEnum):
    """What can be mended without asking anybody."""

    CHMOD = "chmod"
    RECOUNT = "recount"
    OWNERS = "owners"
    SALVAGE = "salvage"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        about: what was looked at, in a word.
        what: what was found.
        money: what that means for the money; empty when nothing is wrong.
        mend: the command or the deed that mends it; empty when nothing is wrong.
        safe: what `jecp_mcp.mandate.repair.repair` can do about it.
    """

    level: Level
    about: str
    what: str
    money: str = ""
    mend: str = ""
    safe: Mend | None = None


def examine(ledger: Path, clock: Clock, commands: CommandLine = PLAIN) -> list[Finding]:
    """Look at everything about a ledger's file; `commands` is what a person is told to run."""
    ledger = Path(os.path.realpath(ledger))
    findings = [*_existence(ledger, commands), *_permissions(ledger), *_room(ledger)]
    if ledger.is_file() and ledger.stat().st_size:
        inside = list(_inside(ledger, clock, commands))
        findings += inside
        findings += _locks(ledger, sound=all(one.level is not Level.FAULT for one in [*findings, *inside]))
    return [*findings, *_sessions(ledger, commands), *_backup_findings(ledger, commands)]


def _shell(*words: object) -> str:
    return shlex.join(map(str, words))


def _mends(commands: CommandLine) -> str:
    return commands.line("doctor", "--ledger", "--mend")


def _restores(commands: CommandLine) -> str:
    return commands.line("ledger", "--restore", "BACKUP")


def _replaces(ledger: Path, commands: CommandLine) -> str:
    """What mends a ledger of which nothing can be saved: each command moves aside what is there, whatever it is."""
    copies = backups_beside(ledger)
    restore = commands.line("ledger", "--restore", str(copies[-1])) if copies else _restores(commands)
    new = f"{commands.line('ledger', '--new')} (asks first; each limit counts as used up until you rule)"
    return f"{restore}; without a backup: {new}"


def _fault(about: str, what: str, mend: str, money: str = _NOTHING_BOUGHT, safe: Mend | None = None) -> Finding:
    return Finding(Level.FAULT, about, what, money, mend, safe)


def _existence(ledger: Path, commands: CommandLine) -> Iterator[Finding]:
    lock, wal = Path(f"{ledger}.lock"), Path(f"{ledger}-wal")
    written = lock.exists() and lock.stat().st_size > 0
    lost = "nothing can be bought; what the limits have counted is not known, and counts again once it is back"
    replaces = _replaces(ledger, commands)
    back = f"put the file back, or {replaces}"
    if ledger.exists() and not ledger.is_file():
        yield _fault("file", f"{ledger} is no file", replaces)
    elif ledger.exists() and ledger.stat().st_size == 0 and written:
        yield _fault("file", f"{ledger} is empty, though it was written before", replaces, lost)
    elif not ledger.exists() and wal.exists() and wal.stat().st_size:
        yield _fault("file", f"{ledger} is gone, but its journal {wal.name} is still there", back, lost)
    elif not ledger.exists() and written:
        yield _fault("file", f"{ledger} is gone, though it was written before", back, lost)
    elif not ledger.exists() or ledger.stat().st_size == 0:
        yield Finding(Level.OK, "file", f"there is no ledger at {ledger} yet; the first start begins one")


def _permissions(ledger: Path) -> Iterator[Finding]:
    for path in (ledger, *(Path(f"{ledger}{side}") for side in ("-wal", "-shm", ".lock"))):
        try:
            found = path.stat()
        except OSError:
            continue
        if found.st_uid not in {os.geteuid(), 0} and os.geteuid() != 0:
            yield _fault("permissions", f"{path} belongs to another user", _shell("sudo", "chown", os.geteuid(), path))
        elif stat.S_ISREG(found.st_mode) and found.st_mode & 0o077:
            yield Finding(
                Level.WARNING,
                "permissions",
                f"other users can reach {path} (mode {found.st_mode & 0o777:o})",
                "they may read what you buy, and raise what can be spent where they may write",
                _shell("chmod", 600, path),
                Mend.CHMOD,
            )
        if not os.access(path, os.R_OK | os.W_OK) and path == ledger:
            yield _fault("permissions", f"{path} is read-only", _shell("chmod", 600, path), safe=_own(found))
    folder = ledger.parent
    if folder.exists() and not os.access(folder, os.W_OK | os.X_OK) and not _read_only(folder):
        yield _fault("permissions", f"the folder {folder} is read-only", _shell("chmod", 700, folder))


def _own(found: os.stat_result) -> Mend | None:
    return Mend.CHMOD if found.st_uid == os.geteuid() and not found.st_mode & stat.S_IWUSR else None


def _room(ledger: Path) -> Iterator[Finding]:
    folder = next(path for path in ledger.parents if path.exists())
    about = os.statvfs(folder)
    free = about.f_bavail * about.f_frsize
    if _read_only(folder):
        yield _fault("disk", f"the file system of {folder} is read-only", "mount it for writing again")
    elif free < _NO_ROOM or (about.f_files and not about.f_favail):
        yield _fault("disk", f"the disk of {folder} is full ({free >> 10} KiB are left)", "make room on it")
    elif free < _LITTLE_ROOM:
        what = f"the disk of {folder} is nearly full ({free >> 20} MiB are left)"
        yield Finding(Level.WARNING, "disk", what, "when it is full, nothing can be bought", "make room on it")


def _read_only(folder: Path) -> bool:
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def _inside(ledger: Path, clock: Clock, commands: CommandLine) -> Iterator[Finding]:
    replaces = _replaces(ledger, commands)
    try:
        with ledger.open("rb") as raw:
            header = raw.read(100)
    except OSError as exc:
        yield _fault("file", f"{ledger} cannot be read: {exc.strerror}", _shell("chmod", 600, ledger))
        return
    if header[:16] != MAGIC:
        yield _fault("contents", f"{ledger} is no database: its beginning is not what SQLite writes", replaces)
        return
    file = LedgerFile(ledger, "doctor", clock)
    try:
        version = file.read(schema.identify)
        if version == 0:
            yield Finding(Level.OK, "contents", "nothing is written in it yet")
        else:
            yield from file.read(lambda connection: _contents(connection, clock, commands))
    except LedgerDamaged as exc:
        if "not a ledger" in str(exc):
            yield _fault("contents", f"{ledger} is another program's database", replaces)
        else:
            size = declared_size(header)
            short = f"{ledger} is truncated: {ledger.stat().st_size} of {size} bytes are there"
            yield _broken(short if ledger.stat().st_size < size else str(exc), commands)
    except LedgerUnavailable as exc:
        newer, older = "newer version" in str(exc), "before the first release" in str(exc)
        mend = "update jecp-mcp" if newer else f"{_shell('chmod', 600, ledger)}, and stop what has locked it"
        mend = f"{schema.move_away_command(str(ledger))}, or after it {_restores(commands)}" if older else mend
        yield _fault("contents", exc.cause, mend)
    finally:
        file.close()


def _broken(what: str, commands: CommandLine) -> Finding:
    salvages = f"{_mends(commands)} (saves what can still be read, keeps the damaged file)"
    mend = f"{_restores(commands)}; without a backup: {salvages}"
    return _fault("structure", what, mend, safe=Mend.SALVAGE)


def _contents(connection: apsw.Connection, clock: Clock, commands: CommandLine) -> list[Finding]:
    wrong: list[Any] = connection.execute("PRAGMA integrity_check(5)").fetchall()
    broken = "; ".join(str(words)[:200] for (words,) in wrong if words != "ok")
    if broken:
        return [_broken(f"its structure is damaged: {broken}", commands)]
    report = verify.verify(connection, None)
    return [*_books(report, commands), *_clock(connection, clock, commands), *_open_calls(connection, commands)]


def _books(report: AuditReport, commands: CommandLine) -> Iterator[Finding]:
    meters = [words for words in report.findings if words.startswith("meter ")]
    chain = [words for words in report.findings if words not in meters]
    if not report.findings:
        what = f"{counted(report.calls, 'call')} and {counted(report.events, 'event')}"
        yield Finding(Level.OK, "books", f"{what}; every digest and meter agrees (head {report.head})")
    if meters:
        money = "the limits count another sum than was spent, so nothing can be bought until they agree"
        yield _fault(
            "meters", _few(meters), f"{_mends(commands)} (counts them anew from the calls)", money, Mend.RECOUNT
        )
    if chain:
        money = "something other than jecp-mcp changed what was written; these amounts are not proven any more"
        mend = (
            f"compare these calls with the statements of who was paid; or {_restores(commands)}, a backup from before"
        )
        yield _fault("chain", _few(chain), mend, money)


def _few(words: list[str]) -> str:
    more = f"; and {len(words) - 3} more" if len(words) > 3 else ""  # noqa: PLR2004 - as many as a line holds
    return "; ".join(words[:3]) + more


def _clock(connection: apsw.Connection, clock: Clock, commands: CommandLine) -> Iterator[Finding]:
    last, now = LedgerQueries(connection).last_at(), clock.now()
    if last is not None and now < last - CLOCK_SLACK_MS:
        yield _fault(
            "clock",
            f"the clock shows {iso(now)}, and the ledger was last written at {iso(last)}",
            f"set the clock of this machine; if it is right now, a call goes on where a Hub says so, or else once "
            f"you have: {commands.line('ledger', '--trust-clock')}",
            "what has left the limits' windows is not known, so nothing can be bought",
        )


def _open_calls(connection: apsw.Connection, commands: CommandLine) -> Iterator[Finding]:
    rows: list[Any] = connection.execute(
        "SELECT state, count(*), sum(held), min(created_at) FROM call "
        "WHERE state IN ('sent', 'in_doubt', 'written_off') GROUP BY state"
    ).fetchall()
    rules = commands.line("reconcile")
    told = {
        State.SENT: (Level.OK, "sent and open, or left so by a process that died", "", ""),
        State.IN_DOUBT: (
            Level.WARNING,
            "in doubt",
            "they count as spent until it is found out whether they were charged",
            f"a running server finds out while it can; then {rules}",
        ),
        State.WRITTEN_OFF: (
            Level.WARNING,
            "written off and await a ruling",
            "they count as spent for ever until you rule",
            rules,
        ),
    }
    for name, count, held, since in rows:
        level, words, money, mend = told[State(name)]
        of = f"{format_usdc(held)} USDC held, the oldest since {iso(since)}"
        what = f"{counted(count, 'call')} {are(count)} {words}: {of}"
        yield Finding(level, "calls", what, money, mend)


def _locks(ledger: Path, *, sound: bool) -> Iterator[Finding]:
    lock = Path(f"{ledger}.lock")
    if lock.is_symlink():
        yield _fault(
            "lock", f"{lock} is a link, and none is followed", f"find out who made it, and {_shell('rm', lock)}"
        )
        return
    deadline = time.monotonic() + _PATIENCE
    while file_users.is_locked(lock):
        if time.monotonic() > deadline:
            yield _locked(lock)
            return
        time.sleep(0.01)
    if not sound:
        return
    try:
        with closing(apsw.Connection(str(ledger), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
            connection.set_busy_timeout(int(_PATIENCE * 1000))
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except apsw.BusyError:
        by = file_users.describe(file_users.holders([ledger, Path(f"{ledger}-shm")]))
        yield _fault("lock", f"another program has locked {ledger}: {by}", "stop that program, or end its transaction")
    except apsw.Error as exc:
        yield _fault("lock", f"{ledger} cannot be written: {exc}", "see what else is found here")


def _locked(lock: Path) -> Finding:
    pids = file_users.holders([lock])
    if not several_may_write():
        newest = ".".join(map(str, SAFE_FOR_SEVERAL))
        what = (
            f"{file_users.describe(pids)} has the ledger for itself, for SQLite {apsw.sqlite_lib_version()} is too old"
        )
        return Finding(
            Level.WARNING, "lock", what, "other processes can read, but buy nothing", f"install apsw {newest} or newer"
        )
    kill = f"kill {pids[0]}" if pids else "end the processes that run jecp-mcp, and look again"
    return _fault("lock", f"{file_users.describe(pids)} holds {lock} and does not let go", kill)


def _sessions(ledger: Path, commands: CommandLine) -> Iterator[Finding]:
    sessions = file_users.sessions_of(ledger)
    if sessions.living:
        pids = file_users.holders(list(sessions.living))
        yield Finding(Level.OK, "sessions", f"{len(sessions.living)} running, of {file_users.describe(pids)}")
        # Whoever has a database in WAL mode open holds a lock on its shared memory (https://sqlite.org/walformat.html).
        strangers = sorted({*pids} - {*file_users.holders([ledger, Path(f"{ledger}-shm")])})
        if strangers:
            who = file_users.describe(strangers)
            what = f"{ledger} is not the file that {who} opened: it was replaced or removed meanwhile"
            money = "whoever has another file open buys nothing; what it wrote there is not in this one"
            yield Finding(Level.WARNING, "sessions", what, money, f"put the file back, or end {who} and start anew")
    if sessions.stale:
        yield Finding(
            Level.WARNING,
            "sessions",
            f"{len(sessions.stale)} owner files were left behind by processes that were killed",
            "nothing: calls they left open count as spent until the next start takes them over",
            f"{_mends(commands)}, or start a server once",
            Mend.OWNERS,
        )


def _backup_findings(ledger: Path, commands: CommandLine) -> Iterator[Finding]:
    copies = backups_beside(ledger)
    for path in copies[-_MOST_COPIES:]:
        when = iso(UnixMs(int(path.stat().st_mtime * 1000)))
        yield Finding(
            Level.OK, "backup", f"{path}, of {when}; to use it: {commands.line('ledger', '--restore', str(path))}"
        )
    if not copies:
        yield Finding(
            Level.OK, "backup", f"none beside the ledger; make one: {commands.line('ledger', '--backup', 'FILE')}"
        )
    if aside := put_aside(ledger):
        yield Finding(Level.OK, "kept", f"{counted(len(aside), 'damaged or replaced ledger')}, such as {aside[-1]}")
