"""The lock between the processes that write one ledger's file: flock(2) on a side file.

SQLite's own busy handling would do, but lets a waiting process sleep far longer than a batch takes. Where SQLite is too
old for several writers, the lock is held for as long as the file is open, and a second process can only read.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

import apsw

from jecp_mcp.errors import LedgerUnavailable
from jecp_mcp.mandate.sqlite.file_users import describe, holders
from jecp_mcp.mandate.writer import Contended

LONGEST_WAIT = 5.0
"""How long a batch waits for another process, in seconds."""

MARK = b"A ledger of jecp-mcp stands beside this file.\n"
"""What the side file holds once the ledger was written: one that is gone or empty since then is not begun anew."""

SAFE_FOR_SEVERAL = (3, 51, 3)
"""The first SQLite whose WAL several writers can share without damage (https://sqlite.org/wal.html, WAL-reset bug)."""

_ALONE_WAIT = 0.5
"""How long a process waits for a ledger that it must have for itself, in seconds: whoever has it keeps it."""


def several_may_write() -> bool:
    """Whether this SQLite lets several processes write one ledger."""
    return tuple(map(int, apsw.sqlite_lib_version().split("."))) >= SAFE_FOR_SEVERAL


class WriteLock:
    """The lock of one ledger's file, as one process has it. Deadlines are of `time.monotonic`; 0 is not to wait."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._path = Path(f"{ledger}.lock")
        self._descriptor: int | None = None
        self._alone = not several_may_write()
        self._kept = False

    def open(self) -> None:
        """Open the side file, made where it is not there.

        Raises:
            OSError: it cannot be.
        """
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def deadline_to_open(self, deadline: float) -> float:
        """Until when to wait for the lock before the file is opened."""
        return min(deadline, time.monotonic() + _ALONE_WAIT) if self._alone else deadline

    @property
    def marked(self) -> bool:
        """Whether the ledger was written before."""
        return os.fstat(self._opened).st_size > 0

    def mark(self) -> None:
        """Note that the ledger is written from now on."""
        if not self.marked:
            os.pwrite(self._opened, MARK, 0)

    @contextlib.contextmanager
    def hold(self, deadline: float) -> Iterator[None]:
        """Hold the lock; a process that must be alone never lets go of it.

        Raises:
            Contended: another process has it, and the deadline is 0.
            LedgerUnavailable: another process has it for too long.
        """
        if self._kept:
            yield
            return
        pause = 0.00005
        while True:
            try:
                fcntl.flock(self._opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                self.pause(pause, deadline)
                pause = min(pause * 2, 0.001)
        self._kept = self._alone
        try:
            yield
        finally:
            if not self._kept:
                fcntl.flock(self._opened, fcntl.LOCK_UN)

    def pause(self, seconds: float, deadline: float) -> None:
        """Wait a little for whoever has the file, as `hold` does."""
        if not deadline:
            raise Contended("another process is writing the ledger")
        if time.monotonic() > deadline:
            if self._alone:
                raise LedgerUnavailable(
                    f"another process has the ledger {self._ledger}, and SQLite {apsw.sqlite_lib_version()} can damage "
                    "a file that several processes write",
                    f"stop the other one, or install apsw {'.'.join(map(str, SAFE_FOR_SEVERAL))} or newer for both",
                )
            by = describe(holders([self._path, self._ledger]))
            raise LedgerUnavailable(f"the ledger {self._ledger} has been locked by {by} for {LONGEST_WAIT:.0f} seconds")
        time.sleep(seconds)

    def close(self) -> None:
        """Let go of it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor, self._kept = None, False

    @property
    def _opened(self) -> int:
        assert self._descriptor is not None
        return self._descriptor
