"""Who uses a ledger's file: living sessions, locks, and where the system tells, the processes that hold them."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jecp_mcp.errors import LedgerUnavailable

_LOCKS = Path("/proc/locks")
_MOST_LOCKS = 100_000
_WAIT = 2.0
"""How long `exclusive` waits, in seconds; a batch takes milliseconds."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """The sessions that have an owner file: those whose process lives, and those it has left behind."""

    living: tuple[Path, ...]
    stale: tuple[Path, ...]


def sessions_of(ledger: Path) -> Sessions:
    """Tell the living sessions of a ledger from the dead, taking nothing over."""
    living: list[Path] = []
    stale: list[Path] = []
    for path in sorted(Path(f"{ledger}.owners").glob("*.lock")):
        held = is_locked(path)
        if held is not None:
            (living if held else stale).append(path)
    return Sessions(tuple(living), tuple(stale))


def is_locked(path: Path) -> bool | None:
    """Whether a process holds the flock(2) of a file; None when there is no such file, or a link in its place.

    Raises:
        OSError: it cannot be told.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            return None
        raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def holders(paths: list[Path]) -> list[int]:
    """The processes that hold a lock on one of the files, as far as the system tells (proc(5), locks)."""
    wanted = set()
    for path in paths:
        try:
            found = path.stat()
        except OSError:
            continue
        wanted.add((os.major(found.st_dev), os.minor(found.st_dev), found.st_ino))
    return sorted({pid for pid, file in _locks() if file in wanted and pid != os.getpid()})


def describe(pids: list[int]) -> str:
    """Processes in words, to follow the word "by"."""
    if not pids:
        return "another process"
    return ("process " if len(pids) == 1 else "processes ") + ", ".join(map(str, pids))


def files_of(ledger: Path) -> list[Path]:
    """The files on which a process that uses a ledger may hold a lock."""
    sides = [Path(f"{ledger}{side}") for side in ("-shm", ".lock")]
    return [ledger, *sides, *sorted(Path(f"{ledger}.owners").glob("*.lock"))]


@contextmanager
def exclusive(ledger: Path) -> Iterator[int]:
    """Hold the lock between a ledger's processes, so that none of them writes or opens it.

    Yields:
        The lock file's descriptor.

    Raises:
        LedgerUnavailable: somebody else holds it and does not let go.
        OSError: the lock cannot be made.
    """
    lock = Path(f"{ledger}.lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _WAIT
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    by = describe(holders([lock]))
                    raise LedgerUnavailable(f"the ledger {ledger} is locked by {by}; stop it and try again") from None
                time.sleep(0.005)
        yield descriptor
    finally:
        os.close(descriptor)


def unused(ledger: Path) -> None:
    """Make sure that no other process uses a ledger, while `exclusive` is held.

    Raises:
        LedgerUnavailable: one does.
    """
    pids = holders(files_of(ledger))
    if pids or sessions_of(ledger).living:
        raise LedgerUnavailable(
            f"the ledger {ledger} is in use by {describe(pids)}", "close the hosts that run jecp-mcp and try again"
        )


def _locks() -> Iterator[tuple[int, tuple[int, int, int]]]:
    try:
        lines = _LOCKS.read_text(encoding="ascii").splitlines()[:_MOST_LOCKS]
    except (OSError, ValueError):
        return
    for line in lines:
        # 1: POSIX  ADVISORY  WRITE 22000 fe:00:2692810 1073741824 1073742335
        words = line.replace("->", "").split()
        try:
            pid, (major, minor, inode) = int(words[4]), words[5].split(":")
            yield pid, (int(major, 16), int(minor, 16), int(inode))
        except (IndexError, ValueError):
            continue
