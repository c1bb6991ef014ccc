"""The sandbox Hub's SQLite file: transactions, small values, manifests, nonces, rate windows.

What was answered is on the disk: WAL with full synchronisation, by one writer. So that calls do not each wait for the
disk, what is written at the same time is committed together (group commit), and each answer waits for its commit. A
thread makes the commits, so that whoever needs nothing of the books goes on while the disk works; whoever does waits.
The file belongs to one process at a time: SQLite's exclusive lock keeps a second sandbox out.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import anyio
import apsw

from jecp_mcp.sandbox.database_faults import database_fault
from jecp_mcp.sandbox.hub_tables import SCHEMA

ANSWER_WINDOW_MS = 24 * 3_600_000
"""How long an answer is kept for its call id (JECP 01-protocol §5)."""
RATE_WINDOW_SECONDS = 60
LEAST_OPEN_SECONDS: Final = 0.002
"""A group that grows is committed after so long, or after twice as long as the last commit took."""
MOST_OPEN_SECONDS: Final = 0.05
"""The longest that a group stays open, however long the disk once took."""


def _keep_private(path: Path) -> None:
    """See that only the owner can read the file: its keys are those of the test agents. SQLite's others follow it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


class RateWindow(NamedTuple):
    """How many calls a limit has left in its sliding minute, and in how many whole seconds the oldest leaves it."""

    limit: int
    remaining: int
    room_in: int
    full: bool

    def headers(self, at: int) -> dict[str, str]:
        """The window as an answer at `at` (Unix milliseconds) tells it."""
        return {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(self.remaining),
            "x-ratelimit-reset": str(at // 1000 + self.room_in),
        }


class _Group:
    """What is committed together; `done` once it is."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.done = loop, loop.create_future()
        self.began, self.grew, self.closing = time.perf_counter(), True, False


class HubDatabase:
    """The books. Use from one thread. What SQLite cannot do is a `Fault`."""

    Fault = apsw.Error

    def __init__(self, path: Path | None) -> None:
        """Open or create the books.

        Raises:
            SettingsError: the file cannot be used: no SQLite file, not writable, or another sandbox has it.
        """
        self._group: _Group | None = None
        self._committed: _Group | None = None
        self._commit: Future[None] | None = None
        self._commit_seconds = 0.0
        self._when_free: list[Callable[[], None]] = []
        self.expects: Callable[[], bool] = lambda: False
        self._writer = ThreadPoolExecutor(1, "sandbox-books")
        try:
            if path is not None:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _keep_private(path)
            self._connection = apsw.Connection(str(path) if path else ":memory:")
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            with self._db:
                self._db.execute(SCHEMA)
        except (apsw.Error, OSError) as exc:
            raise database_fault(path, "a sandbox's state", exc) from exc

    @property
    def _db(self) -> apsw.Connection:
        """The connection, which nobody uses while a commit is made: whoever comes too early waits for it."""
        if self._commit is not None:
            wait((self._commit,))
        return self._connection

    def close(self) -> None:
        """Close the file."""
        if self._group is not None:
            self._begin_commit(self._group)
        self._db.close()
        self._writer.shutdown()

    def healthy(self) -> bool:
        """Whether the file answers."""
        return bool(self.row("SELECT 1"))

    def atomic(self) -> AbstractContextManager[object]:
        """All of what is written inside, or nothing. May be nested.

        In an event loop it is committed together with what else is written in this turn of the loop, and in the next
        ones while each adds something and none has waited long; `durable` waits for that.
        """
        if self._group is not None:
            self._group.grew = True
        elif (loop := _running_loop()) is not None:
            self._db.execute("BEGIN IMMEDIATE")
            self._group = _Group(loop)
            loop.call_soon(self._end_turn, self._group)
        return self._db

    def _end_turn(self, group: _Group) -> None:
        """Commit a group to which this turn added nothing, or that was open long enough."""
        if self._group is not group:
            return
        if group.closing:
            self._begin_commit(group)
            return
        stays_open = min(max(LEAST_OPEN_SECONDS, 2 * self._commit_seconds), MOST_OPEN_SECONDS)
        left = group.began + stays_open - time.perf_counter()
        if left > 0 and not group.grew and self.expects():
            group.loop.call_later(left, self._end_turn, group)
            return
        # Whoever was given this turn still comes before the commit.
        group.closing = left <= 0 or not group.grew
        group.grew = False
        group.loop.call_soon(self._end_turn, group)

    def _begin_commit(self, group: _Group) -> None:
        self._group, self._committed = None, group
        self._commit = self._writer.submit(self._make_commit)

        def tell(made: Future[None]) -> None:
            with suppress(RuntimeError):  # the loop has ended, and whoever waited with it
                group.loop.call_soon_threadsafe(self._end_commit, group, made)

        self._commit.add_done_callback(tell)

    def _make_commit(self) -> None:
        """In the thread."""
        began = time.perf_counter()
        try:
            self._connection.execute("COMMIT")
        except apsw.Error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        finally:
            self._commit_seconds = time.perf_counter() - began

    def _end_commit(self, group: _Group, made: Future[None]) -> None:
        if self._commit is made:
            self._commit = self._committed = None
        fault = made.exception()
        if fault is None:
            group.done.set_result(None)
        else:
            group.done.set_exception(fault)
            group.done.exception()  # whoever waits is told; where nobody does, nobody is to be
        if self._commit is None:
            waiting, self._when_free = self._when_free, []
            for go_on in waiting:
                go_on()

    @property
    def busy(self) -> bool:
        """Whether a commit is being made, or about to be: who uses the books then has the whole loop wait for it."""
        return self._commit is not None or (self._group is not None and self._group.closing)

    def when_free(self, go_on: Callable[[], None]) -> None:
        """Call back once, when the commit that is being made has ended."""
        self._when_free.append(go_on)

    async def free(self) -> None:
        """Wait until the books are free: used before, they would have the whole loop wait for a commit."""
        while self.busy:
            free = anyio.Event()
            self.when_free(free.set)
            await free.wait()

    async def durable(self) -> None:
        """Wait until what was written so far is on the disk.

        Raises:
            Fault: it could not be written, and is gone.
        """
        for group in (self._committed, self._group):
            if group is not None:
                await asyncio.shield(group.done)

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement to its end; a half-read RETURNING would keep its transaction open."""
        return self._db.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        """The first row a statement gives."""
        rows = self.rows(sql, *values)
        return rows[0] if rows else None

    def count(self, sql: str, *values: Any) -> int:
        """The number a statement gives."""
        row = self.row(sql, *values)
        return int(row[0]) if row else 0

    def meta(self, key: str) -> str | None:
        """A value kept under a name."""
        row = self.row("SELECT value FROM meta WHERE key = ?", key)
        return row[0] if row else None

    def set_meta(self, key: str, value: str) -> None:
        """Keep a value under a name."""
        self._db.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value)
        )

    def manifests(self) -> list[tuple[str, str, str | None]]:
        """Manifests changed at run time: capability, version and the text, None for a removed one."""
        found = self.rows("SELECT capability, version, manifest FROM manifests ORDER BY rowid")
        return [(capability, version, manifest) for capability, version, manifest in found]

    def keep_manifest(self, capability: str, version: str, manifest: str | None) -> None:
        """Remember a manifest put up (or, with None, taken down) at run time."""
        with self.atomic():
            self._db.execute(
                "INSERT OR REPLACE INTO manifests VALUES (?, ?, ?)",
                (capability, version, manifest),
            )

    def use_nonce(self, agent_id: str, nonce: str, until: int, at: int) -> bool:
        """Remember a nonce until `until`; False when it is remembered already."""
        with self.atomic():
            self._db.execute("DELETE FROM nonces WHERE agent_id = ? AND until <= ?", (agent_id, at))
            used = self.rows("INSERT OR IGNORE INTO nonces VALUES (?, ?, ?) RETURNING 1", agent_id, nonce, until)
        return bool(used)

    def take_rate(self, keys: Sequence[tuple[str, int]], at: int) -> RateWindow:
        """Count one call in the sliding minute of each key, or in none.

        Args:
            keys: what is limited, and its calls per minute.
            at: now.

        Returns:
            The first key's window; or, `full`, that of the limit that had no room.
        """
        second = at // 1000
        windows: list[RateWindow] = []
        with self.atomic():
            for key, limit in keys:
                used, oldest = self.row(
                    "SELECT coalesce(sum(calls), 0), min(second) FROM rates WHERE key = ? AND second > ?",
                    key,
                    second - RATE_WINDOW_SECONDS,
                ) or (0, None)
                room_in = max(1, (second if oldest is None else oldest) + RATE_WINDOW_SECONDS - second)
                windows.append(RateWindow(limit, max(0, limit - used - 1), room_in, full=used >= limit))
                if windows[-1].full:
                    return windows[-1]
            for key, _ in keys:
                self._db.execute(
                    "INSERT INTO rates VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET calls = calls + 1", (key, second)
                )
        return windows[0]

    def sweep(self, at: int) -> None:
        """Forget what is past its window."""
        with self.atomic():
            self._db.execute("DELETE FROM answers WHERE created_at <= ?", (at - ANSWER_WINDOW_MS,))
            self._db.execute("DELETE FROM nonces WHERE until <= ?", (at,))
            self._db.execute("DELETE FROM rates WHERE second <= ?", (at // 1000 - RATE_WINDOW_SECONDS,))


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
