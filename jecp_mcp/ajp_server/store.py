"""What an agent must not forget: the jobs it took, the results it signed, and the keys of who hired it. SQLite.

Every write is on the disk before its method returns. The file belongs to one process at a time: SQLite's exclusive lock
keeps a second server out, which would run the same jobs again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import JecpMcpError, SettingsError
from jecp_mcp.money import MicroUSDC
from jecp_mcp.wire.ajp.report import JobStatus

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY, job_id TEXT NOT NULL UNIQUE, digest BLOB NOT NULL, offer BLOB NOT NULL,
    status TEXT NOT NULL, accepted_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, began_at INTEGER, ended_at INTEGER, result BLOB, cost INTEGER,
    acknowledged_at INTEGER, settled_at INTEGER, callback_at INTEGER, callback_tries INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS pins (sender TEXT PRIMARY KEY, fingerprint TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""
_LATER_COLUMNS: Final = ("sender TEXT", "host TEXT", "parent TEXT", "settle_at INTEGER")
"""What files of earlier versions lack."""
_INDEXES: Final = """
CREATE INDEX IF NOT EXISTS open_jobs ON jobs (status, number) WHERE status IN ('accepted', 'running');
CREATE INDEX IF NOT EXISTS open_senders ON jobs (host, sender) WHERE status IN ('accepted', 'running');
CREATE INDEX IF NOT EXISTS callbacks ON jobs (callback_at) WHERE callback_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS settlements ON jobs (settle_at) WHERE settle_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS ended_jobs ON jobs (ended_at) WHERE ended_at IS NOT NULL;
"""
_OPEN: Final = "status IN ('accepted', 'running')"
_COLUMNS: Final = (
    "job_id, digest, offer, status, accepted_at, attempts, began_at, ended_at, result, cost, callback_tries"
)
_LATEST: Final = 20
"""How many ended jobs tell how long one takes."""
_AGAIN_SECONDS: Final = 5

T = TypeVar("T")
_log = logging.getLogger(__name__)


class StoreUnavailable(JecpMcpError):
    """The file cannot be read or written now: the disk is full, as a rule. Nothing was written."""


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job as it is kept.

    Attributes:
        digest: SHA-256 of the offer's bytes.
        offer: the offer's bytes as they came.
        attempts: how often work on it began, but for what was put back.
        began_at: when it first did.
        result: the signed bytes; None before it ended.
        cost: what its result says it costs.
        callback_tries: how often its callback was tried.
    """

    job_id: str
    digest: bytes
    offer: bytes = field(repr=False)
    status: JobStatus
    accepted_at: UnixMs
    attempts: int
    began_at: UnixMs | None
    ended_at: UnixMs | None
    result: bytes | None = field(repr=False)
    cost: MicroUSDC | None
    callback_tries: int


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be taken.

    Attributes:
        sender: the hirer's provenance id; None for people.
        host: who stands behind that id, and others like it.
        parent: the job that it is a part of, as the hirer says.
    """

    job_id: str
    digest: bytes
    offer: bytes = field(repr=False)
    expires_at: UnixMs
    sender: str | None
    host: str | None
    parent: str | None


class JobStore:
    """The file. Use from one thread. Every method but `close` may raise `StoreUnavailable`."""

    def __init__(self, path: Path | None) -> None:
        """Open or create it.

        Args:
            path: the file; None keeps everything in memory, for tests.

        Raises:
            SettingsError: the file cannot be used, or another server has it.
        """
        try:
            if path is not None:
                _create(path)
            self._db = apsw.Connection(str(path) if path else ":memory:")
            # One by one: a statement that gives a row holds up those behind it.
            for mode in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
                self._db.execute(f"PRAGMA {mode}")
            with self._db:
                self._db.execute(_SCHEMA)
                known = {name for _, name, *_ in self._db.execute("PRAGMA table_info(jobs)")}
                for column in _LATER_COLUMNS:
                    if column.split()[0] not in known:
                        self._db.execute(f"ALTER TABLE jobs ADD COLUMN {column}")
                self._db.execute(_INDEXES)
        except apsw.BusyError as exc:
            reason = "another server is using this file; an agent runs in one process"
            raise SettingsError(str(path), "", reason) from exc
        except (apsw.Error, OSError) as exc:
            raise SettingsError(str(path), "", f"this file cannot hold an agent's jobs: {exc}") from exc

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # -- jobs --------------------------------------------------------------------------------------------------------

    def find(self, job_id: str) -> StoredJob | None:
        """A job by its id."""
        return self._one(f"SELECT {_COLUMNS} FROM jobs WHERE job_id = ?", job_id)  # noqa: S608  # a constant

    def add(self, new: NewJob, at: UnixMs) -> None:
        """Take a job whose id is new."""
        self._write(
            "INSERT INTO jobs (job_id, digest, offer, expires_at, sender, host, parent, status, accepted_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            new.job_id,
            new.digest,
            new.offer,
            new.expires_at,
            new.sender,
            new.host,
            new.parent,
            JobStatus.ACCEPTED,
            at,
        )

    def open(self) -> int:
        """How many jobs have not ended."""
        return int(self._value("SELECT count(*) FROM jobs WHERE status IN ('accepted', 'running')"))

    def open_of(self, sender: str) -> int:
        """How many of a sender's jobs have not ended."""
        return int(self._value(f"SELECT count(*) FROM jobs WHERE {_OPEN} AND sender = ?", sender))  # noqa: S608

    def open_at(self, host: str) -> int:
        """How many jobs of senders at a host have not ended."""
        return int(self._value(f"SELECT count(*) FROM jobs WHERE {_OPEN} AND host = ?", host))  # noqa: S608

    def depth(self, job_id: str, most: int) -> int:
        """How many jobs stand one above the other here, from this one upward: `most` at most, 0 where it is none."""
        return int(
            self._value(
                "WITH RECURSIVE above (id, depth) AS (VALUES (?, 0) UNION ALL"
                " SELECT jobs.parent, depth + 1 FROM above JOIN jobs ON jobs.job_id = above.id WHERE depth < ?)"
                " SELECT max(depth) FROM above",
                job_id,
                most,
            )
        )

    def begin(self, at: UnixMs) -> StoredJob | None:
        """Begin the job that waits longest; None where none waits."""
        return self._one(
            "UPDATE jobs SET status = 'running', began_at = coalesce(began_at, ?), attempts = attempts + 1"  # noqa: S608
            " WHERE number = (SELECT number FROM jobs WHERE status = 'accepted' ORDER BY number LIMIT 1)"
            f" RETURNING {_COLUMNS}",
            at,
        )

    def put_back(self, job_id: str) -> None:
        """Let a job wait again that was begun and given up because the server ends; it does not count as an attempt."""
        self._write(
            "UPDATE jobs SET status = 'accepted', attempts = attempts - 1 WHERE job_id = ? AND status = 'running'",
            job_id,
        )

    def recover(self) -> None:
        """Let every job wait again that a server was working on when it died, and tell of what it was telling of."""
        self._write("UPDATE jobs SET status = 'accepted' WHERE status = 'running'")
        self._write(
            "UPDATE jobs SET settle_at = acknowledged_at WHERE acknowledged_at IS NOT NULL AND settled_at IS NULL"
        )

    def end(
        self, job_id: str, status: JobStatus, result: bytes, cost: MicroUSDC, at: UnixMs, *, callback: bool
    ) -> None:
        """Write down how a job ended, once and for all.

        Args:
            callback: whether the hirer wants to be told.
        """
        changed = self._write(
            "UPDATE jobs SET status = ?, result = ?, cost = ?, ended_at = ?, callback_at = ?"
            " WHERE job_id = ? AND status = 'running'",
            status,
            result,
            cost,
            at,
            at if callback else None,
            job_id,
        )
        assert changed == 1, "only a running job ends, and once"

    def typical_seconds(self) -> float:
        """How long the last jobs took, on average; 0 where none has ended."""
        return float(
            self._value(
                "SELECT coalesce(avg(took), 0) / 1000.0 FROM (SELECT ended_at - began_at AS took FROM jobs"
                " WHERE ended_at IS NOT NULL ORDER BY ended_at DESC LIMIT ?)",
                _LATEST,
            )
        )

    def forget_ended(self, before: UnixMs, now: UnixMs) -> None:
        """Forget jobs that ended before then, unless something of them is still to be done.

        A job is kept for as long as its offer could be sent again.
        """
        self._write(
            "DELETE FROM jobs WHERE ended_at < ? AND expires_at < ? AND callback_at IS NULL"
            " AND (acknowledged_at IS NULL OR settled_at IS NOT NULL)",
            before,
            now,
        )

    # -- acknowledgements --------------------------------------------------------------------------------------------

    def acknowledge(self, job_id: str, at: UnixMs) -> bool:
        """Write down that a completed job's hirer acknowledged it; False where that stood there before."""
        changed = self._write(
            "UPDATE jobs SET acknowledged_at = ?1, settle_at = ?1"
            " WHERE job_id = ?2 AND status = 'completed' AND acknowledged_at IS NULL",
            at,
            job_id,
        )
        return changed == 1

    def take_settlement(self, now: UnixMs, again_at: UnixMs) -> StoredJob | None:
        """The acknowledged job of which somebody is to be told by now, longest due first; it is due again then."""
        return self._take("settle_at", now, again_at)

    def next_settlement(self) -> UnixMs | None:
        """When somebody is to be told of the next acknowledged job; None where of none."""
        return self._earliest("settle_at")

    def settle(self, job_id: str, at: UnixMs) -> None:
        """Write down that whoever settles was told of an acknowledged job."""
        self._write("UPDATE jobs SET settled_at = ?, settle_at = NULL WHERE job_id = ?", at, job_id)

    def settle_again(self, job_id: str, at: UnixMs) -> None:
        """Write down when somebody is told again of an acknowledged job."""
        self._write("UPDATE jobs SET settle_at = ? WHERE job_id = ?", at, job_id)

    # -- callbacks ---------------------------------------------------------------------------------------------------

    def take_callback(self, now: UnixMs, again_at: UnixMs) -> StoredJob | None:
        """The job whose hirer is to be told by now, longest due first; it is due again then."""
        return self._take("callback_at", now, again_at)

    def next_callback(self) -> UnixMs | None:
        """When the next hirer is to be told; None where none is."""
        return self._earliest("callback_at")

    def postpone_callback(self, job_id: str, at: UnixMs) -> None:
        """Write down when a hirer is told who was not told yet; it is no try."""
        self._write("UPDATE jobs SET callback_at = ? WHERE job_id = ?", at, job_id)

    def count_callback(self, job_id: str, again_at: UnixMs | None) -> None:
        """Write down one more try of a callback, and when the next is due: None for never."""
        self._write(
            "UPDATE jobs SET callback_tries = callback_tries + 1, callback_at = ? WHERE job_id = ?",
            again_at,
            job_id,
        )

    # -- keys --------------------------------------------------------------------------------------------------------

    def pin(self, sender: str, fingerprint: str) -> str:
        """The fingerprint of a sender's first key: this one, where none is kept yet."""
        self._write("INSERT OR IGNORE INTO pins VALUES (?, ?)", sender, fingerprint)
        return str(self._value("SELECT fingerprint FROM pins WHERE sender = ?", sender))

    def is_pinned(self, sender: str) -> bool:
        """Whether a sender's key is kept."""
        return bool(self._value("SELECT count(*) FROM pins WHERE sender = ?", sender))

    def _take(self, due: str, now: UnixMs, again_at: UnixMs) -> StoredJob | None:
        return self._one(
            f"UPDATE jobs SET {due} = ? WHERE number ="  # noqa: S608  # a column
            f" (SELECT number FROM jobs WHERE {due} <= ? ORDER BY {due}, number LIMIT 1) RETURNING {_COLUMNS}",
            again_at,
            now,
        )

    def _earliest(self, due: str) -> UnixMs | None:
        at = self._value(f"SELECT min({due}) FROM jobs WHERE {due} IS NOT NULL")  # noqa: S608  # a column
        return None if at is None else UnixMs(at)

    def _value(self, sql: str, *given: Any) -> Any:
        return self._rows(sql, given)[0][0]

    def _one(self, sql: str, *given: Any) -> StoredJob | None:
        return next(iter(self._all(sql, *given)), None)

    def _all(self, sql: str, *given: Any) -> list[StoredJob]:
        return [StoredJob(row[0], row[1], row[2], JobStatus(row[3]), *row[4:]) for row in self._rows(sql, given)]

    def _write(self, sql: str, *given: Any) -> int:
        """Write durably; gives how many rows it changed."""
        self._rows(sql, given)
        return self._db.changes()

    def _rows(self, sql: str, given: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(sql, given).fetchall()
        except apsw.Error as exc:
            raise StoreUnavailable(f"the agent's jobs cannot be read or written now: {exc}") from exc


def _create(path: Path) -> None:
    """Create the file for its owner alone: what people wrote to the agent stands in it.

    One that is there is not opened: to close it would drop the locks of a server in this process (POSIX).
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if path.is_symlink():
            raise


async def insist(step: Callable[[], T], sleep: Callable[[float], Awaitable[None]]) -> T:
    """Do what must be done with the file, and wait where that cannot be done now.

    Args:
        step: the use of a `JobStore`.
        sleep: waits for so many seconds.
    """
    while True:
        try:
            return step()
        except StoreUnavailable as exc:
            _log.error("%s; it is tried again in %d s", exc, _AGAIN_SECONDS)
            await sleep(_AGAIN_SECONDS)
