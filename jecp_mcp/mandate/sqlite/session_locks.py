"""Which process sessions are alive: each holds a lock on a file of its own for as long as it lives.

The system lets go of the lock when a process ends, however it ends (flock(2)), so a lock that can be taken tells
that its session is dead.
"""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class SessionHeld(ValueError):
    """Another process holds the session's lock."""


class SessionLock:
    """A held lock on a session's file."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Remove the file and let go of the lock. Does nothing the second time."""
        if self._descriptor is None:
            return
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None


class SessionLocks:
    """The folder of the sessions' lock files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def hold(self, session: str) -> SessionLock:
        """Show that `session` is alive, for as long as the lock is held.

        Raises:
            SessionHeld: another process holds it; one that looks for the dead does so for no longer than that takes it.
            ValueError: the session's id is no file name.
            OSError: the folder cannot be written.
        """
        if not _SESSION.fullmatch(session):
            raise ValueError("a session id is 1 to 64 letters, digits, - or _")
        self._folder.mkdir(mode=0o700, exist_ok=True)
        # Another process that looks for the dead may have removed the new file between two steps.
        for _ in range(5):
            lock = self._take(session)
            if lock is not None:
                return lock
        raise SessionHeld(f"the session {session} is another process")

    def known(self) -> set[str]:
        """The sessions that have a lock file, alive or dead."""
        return {path.stem for path in self._folder.glob("*.lock")}

    def claim(self, session: str) -> SessionLock | None:
        """Take over a dead session's lock; None when it is alive.

        Raises:
            OSError: the folder cannot be written.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        return self._take(session) if _SESSION.fullmatch(session) else None

    def _take(self, session: str) -> SessionLock | None:
        path = self._folder / f"{session}.lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return SessionLock(path, descriptor)
        except (BlockingIOError, FileNotFoundError):
            # Held by the living, or removed by another process that claimed it just now.
            pass
        os.close(descriptor)
        return None
