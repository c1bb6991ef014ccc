"""The ledger's file: opened with care, written in batches under a lock between processes, its faults put in words.

Blocking; `jecp_mcp.mandate.writer` decides which thread waits.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from stat import S_ISREG
from typing import Any, TypeVar

import apsw

from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.errors import LedgerDamaged, LedgerError, LedgerUnavailable
from jecp_mcp.mandate.needs import Needs, needs_of
from jecp_mcp.mandate.rules import Batch
from jecp_mcp.mandate.sqlite import schema, write_lock
from jecp_mcp.mandate.sqlite.ledger_queries import LedgerQueries
from jecp_mcp.mandate.sqlite.store import VACUUMED_AT_ONCE, Store
from jecp_mcp.mandate.sqlite.write_lock import WriteLock
from jecp_mcp.mandate.working_set import Repeats
from jecp_mcp.mandate.writer import Contended

_T = TypeVar("_T")

Step = Callable[[Batch, UnixMs], Any]
"""One change, made inside a transaction at the given instant."""


class LedgerFile:
    """One ledger file.

    Attributes:
        path: where it is, symbolic links resolved.
        fault: why it cannot be used now, or None.
        kept_bytes: how many bytes of bodies were kept when it was last written.
    """

    def __init__(self, path: Path, session: str, clock: Clock) -> None:
        self.path = Path(os.path.realpath(path))
        self.fault: LedgerError | None = None
        self.kept_bytes = 0
        self._session = session
        self._clock = clock
        self._mutex = threading.Lock()
        self._lock = WriteLock(self.path)
        self._connection: apsw.Connection | None = None
        self._reader: apsw.Connection | None = None
        self._store: Store | None = None
        self._identity: tuple[int, int] | None = None
        self._closed = False
        self._checking = threading.Lock()
        self._apart: set[apsw.Connection] = set()
        """The connections of those who read apart."""

    def open(self) -> None:
        """Open, create or inspect the file. A fault is kept, not raised: reads may still work."""
        with self._mutex, contextlib.suppress(LedgerError):
            self._open(time.monotonic() + write_lock.LONGEST_WAIT)

    def commit(self, steps: Sequence[Step], *, wait: bool) -> list[Any]:
        """Make every step in one durable transaction.

        A step that raises `LedgerError` (it could not be done, and changed nothing) is set apart: the others are
        then committed one by one.

        Returns:
            For each step what it returned, or the `LedgerError` it met.

        Raises:
            Contended: not `wait`, and somebody else is writing.
            LedgerUnavailable: the file cannot be written now; no step was made.
            LedgerDamaged: the file is not what was written; no step was made.
        """
        deadline = time.monotonic() + write_lock.LONGEST_WAIT if wait else 0.0
        if not self._mutex.acquire(timeout=write_lock.LONGEST_WAIT if wait else 0):
            raise Contended("another thread is writing the ledger")
        try:
            if self._closed:
                raise LedgerUnavailable("the ledger is closed")
            if isinstance(self.fault, LedgerDamaged):
                raise LedgerDamaged(self.fault.cause, self.fault.mend)
            if self._store is None:
                self._open(deadline)
            with self._lock.hold(deadline):
                self._check_identity()
                return self._transact_all(steps, deadline)
        finally:
            self._mutex.release()

    def read(self, reading: Callable[[apsw.Connection], _T]) -> _T:
        """Read with a connection that never writes.

        Raises:
            LedgerUnavailable: the file cannot be read.
            LedgerDamaged: what is there is no ledger.
        """
        if self._closed:
            raise LedgerUnavailable("the ledger is closed")
        try:
            if self._reader is None:
                self._reader = self._open_reader()
            return reading(self._reader)
        except (apsw.Error, ValueError) as exc:
            raise self._translate(exc) from exc

    def read_apart(self, reading: Callable[[apsw.Connection], _T]) -> _T:
        """Read what takes long with a connection of its own, in a thread that nobody waits for; closing breaks it off.

        Raises:
            LedgerUnavailable: the file cannot be read, or was closed meanwhile.
            LedgerDamaged: what is there is no ledger.
        """
        try:
            reader = self._open_reader()
            self._apart.add(reader)
            try:
                if self._closed:
                    raise LedgerUnavailable("the ledger is closed")
                return reading(reader)
            finally:
                self._apart.discard(reader)
                reader.close()
        except apsw.InterruptError:
            raise LedgerUnavailable("the ledger is closed") from None
        except (apsw.Error, ValueError) as exc:
            raise self._translate(exc) from exc

    def check(self) -> None:
        """Look for damage to the whole file as in `read_apart`, unless another thread does so already.

        Raises:
            LedgerUnavailable: the file cannot be read, or was closed meanwhile.
            LedgerDamaged: something is not what was written; nothing is written to it any more.
        """
        if not self._checking.acquire(blocking=False):
            return
        try:
            self.read_apart(schema.check_structure)
        except LedgerDamaged as exc:
            self.fault = exc
            raise
        finally:
            self._checking.release()

    def give_back(self) -> bool:
        """Give some free pages back to the system, apart from everything else; whether there are more.

        Raises:
            LedgerUnavailable: the file cannot be written now.
        """
        with self._mutex:
            if self._closed or self._connection is None:
                return False
            with self._lock.hold(time.monotonic() + write_lock.LONGEST_WAIT):
                try:
                    self._connection.execute(f"PRAGMA incremental_vacuum({VACUUMED_AT_ONCE})").fetchall()
                    return bool(self._connection.pragma("freelist_count"))
                except apsw.Error as exc:
                    raise self._translate(exc) from exc

    def close(self) -> None:
        """Let go of the file."""
        self._closed = True
        for apart in list(self._apart):
            with contextlib.suppress(apsw.Error):
                apart.interrupt()
        with self._mutex:
            reader, self._reader = self._reader, None
            if reader is not None:
                reader.close()
            self._let_go()

    def _open(self, deadline: float) -> None:
        """Open for writing, creating what is not there.

        The file must never be opened but through SQLite while this process has it open: closing any descriptor of a
        file drops this process's POSIX locks on it (fcntl(2)).
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.open()
            with self._lock.hold(self._lock.deadline_to_open(deadline)):
                self._make_file()
                self._connection = _connect(str(self.path), apsw.SQLITE_OPEN_READWRITE)
                found = self.path.stat()
                self._identity = (found.st_dev, found.st_ino)
                self._prepare(self._connection)
        except (OSError, apsw.Error, LedgerError, ValueError) as exc:
            self._let_go()
            self.fault = self._translate(exc)
            raise self.fault from exc
        # A reader opened before may believe that nobody writes.
        self._reader = None
        self._store = Store(self._connection, self._session)
        self.fault = None

    def _make_file(self) -> None:
        """Create the file for its owner's eyes only, and tell one that was lost or emptied from one not yet filled."""
        wal = Path(f"{self.path}-wal")
        if not self.path.exists():
            if wal.exists() and wal.stat().st_size:
                raise LedgerDamaged(f"the ledger {self.path} is gone, but its journal {wal.name} is still there")
            if self._lock.marked:
                # Begun anew, it would let everything be spent again.
                raise LedgerDamaged(
                    f"the ledger {self.path} is gone, though it was written before",
                    "put it back, or restore a backup; without one, a new ledger can be begun",
                )
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            found = self.path.stat()
            if found.st_size == 0 and self._lock.marked:
                raise LedgerDamaged(f"the ledger {self.path} is empty, though it was written before") from None
            # A folder in its place is refused when it is opened, and stays as open to others as it is.
            if S_ISREG(found.st_mode) and found.st_mode & 0o077 and found.st_uid == os.geteuid():
                self.path.chmod(0o600)

    def _prepare(self, connection: apsw.Connection) -> None:
        # Only a process that just died can leave a lock of SQLite's own behind for a moment, so a short wait is enough.
        connection.set_busy_timeout(1000)
        version = schema.identify(connection)
        schema.configure(connection)
        if version:
            schema.check_meters(connection)
        else:
            schema.create(connection)
        self._lock.mark()
        connection.set_busy_timeout(0)

    def _check_identity(self) -> None:
        """Refuse to write to a file that is no longer the one at the path: nobody would find it again."""
        try:
            found = self.path.stat()
        except OSError as exc:
            raise LedgerUnavailable(f"the ledger {self.path} is gone ({exc.strerror})", "put it back") from exc
        if (found.st_dev, found.st_ino) != self._identity:
            raise LedgerUnavailable(f"the ledger {self.path} was replaced while in use", "start again")

    def _transact_all(self, steps: Sequence[Step], deadline: float) -> list[Any]:
        """Make the steps in their order, in one transaction but for those that must be alone."""
        outcomes: list[Any] = []
        for alone, some in groupby(zip(steps, needs_of(steps), strict=True), key=lambda one: one[1].alone):
            together = list(some)
            for group in [[one] for one in together] if alone else [together]:
                try:
                    outcomes += self._transact(group, deadline)
                except (LedgerUnavailable, LedgerDamaged) as exc:
                    if not outcomes:
                        raise
                    # What was written before stays so: only these were not.
                    outcomes += [exc] * len(group)
        return outcomes

    def _transact(self, steps: Sequence[tuple[Step, Needs]], deadline: float) -> list[Any]:
        try:
            return self._try(steps, deadline)
        except LedgerError as exc:
            if isinstance(exc, LedgerDamaged | LedgerUnavailable):
                raise
            if len(steps) == 1:
                return [exc]
        # One of them holds what no column can: the others are written without it.
        return [outcome for step in steps for outcome in self._transact([step], deadline)]

    def _try(self, steps: Sequence[tuple[Step, Needs]], deadline: float) -> list[Any]:
        connection, store = self._connection, self._store
        assert connection is not None and store is not None  # noqa: PT018 opened by commit
        try:
            self._begin(connection, deadline)
            batch = store.begin(self._clock.now())
            outcomes = [self._make(store, batch, step, needs) for step, needs in steps]
            changes = batch.finish()
            if changes.events:
                store.store(changes)
                self.kept_bytes = store.kept_bytes()
            repeated = {one.number for one in outcomes if isinstance(one, Repeats)}
            rows = {number: LedgerQueries(connection).number(number) for number in repeated}
            # What left no event changed nothing but slots that were found expired: by a clock that may be wrong.
            connection.execute("COMMIT" if changes.events else "ROLLBACK")
        except (apsw.Error, ValueError, OverflowError) as exc:
            raise self._translate(exc) from exc
        else:
            return [one.kind(rows[one.number]) if isinstance(one, Repeats) else one for one in outcomes]
        finally:
            # Whatever broke off the transaction, the next one must not find it open.
            if connection.in_transaction:
                with contextlib.suppress(apsw.Error):
                    connection.execute("ROLLBACK")

    @staticmethod
    def _make(store: Store, batch: Batch, step: Step, needs: Needs) -> Any:
        """What a step came to, or the `LedgerError` with which it changed nothing."""
        store.load(needs)
        try:
            return step(batch, batch.at)
        except LedgerError as exc:
            return exc

    def _begin(self, connection: apsw.Connection, deadline: float) -> None:
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except apsw.BusyError:
                # Not one of ours, for those wait at the side file: a tool of the operator's.
                self._lock.pause(0.001, deadline)
            else:
                return

    def _open_reader(self) -> apsw.Connection:
        reader: apsw.Connection | None = None
        try:
            reader = _connect(str(self.path), apsw.SQLITE_OPEN_READONLY)
            reader.set_busy_timeout(1000)
            schema.identify(reader)
        except (apsw.CantOpenError, apsw.ReadOnlyError):
            # Without its side files, a database in WAL mode can be read from a folder that cannot be written only
            # when told that nobody else writes it (https://sqlite.org/wal.html, read-only databases).
            if not self.path.exists() or os.access(self.path.parent, os.W_OK):
                raise
            reader = _connect(f"{self.path.as_uri()}?immutable=1", apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        return reader

    def _translate(self, exc: Exception) -> LedgerError:
        """SQLite's and the system's words in ours; damage is remembered."""
        if isinstance(exc, LedgerError):
            return exc
        if isinstance(exc, OSError):
            return LedgerUnavailable(f"the ledger {self.path} cannot be opened for writing: {exc.strerror or exc}")
        if isinstance(exc, UnicodeEncodeError | OverflowError):
            return LedgerError(f"the ledger cannot hold a value: {exc.__class__.__name__}")
        if isinstance(exc, ValueError):
            # A text that is no UTF-8, or the name of no state.
            self.fault = LedgerDamaged(f"the ledger {self.path} is damaged: a row cannot be read")
            return self.fault
        if isinstance(exc, apsw.CorruptError | apsw.NotADBError | apsw.SQLError | apsw.ConstraintError):
            self.fault = LedgerDamaged(f"the ledger {self.path} is damaged: {exc}")
            return self.fault
        if isinstance(exc, apsw.FullError):
            why = "the disk is full"
        elif isinstance(exc, apsw.ReadOnlyError | apsw.PermissionsError):
            why = "it is read-only"
        elif isinstance(exc, apsw.BusyError | apsw.LockedError):
            why = "another program has locked it"
        else:
            why = str(exc)
        return LedgerUnavailable(f"the ledger {self.path} cannot be used now: {why}")

    def _let_go(self) -> None:
        if self._connection is not None:
            # Closing writes the WAL back; what cannot be written back stays in the WAL, which is as durable.
            with contextlib.suppress(apsw.Error):
                self._connection.close()
        self._lock.close()
        self._connection = self._store = self._identity = None


def _connect(name: str, flags: int) -> apsw.Connection:
    """A connection that compiles each of its statements once.

    SQLite would compile many of them anew at every execution, for a plan that fits the values at hand: ten times the
    work of executing them. The indexes are such that none of the plans depends on a value.
    """
    connection = apsw.Connection(name, flags=flags)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    return connection
