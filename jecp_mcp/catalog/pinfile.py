"""The pins on disk: one SQLite file for every process of the user, opened late and read a few rows at a time.

A rollback journal and ``synchronous=FULL`` make each change whole and durable; it is written only when something is
seen for the first time, judged or approved. The file must never be opened but through SQLite while this process has it
open: closing any descriptor of a file drops this process's POSIX locks on it (fcntl(2)).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import PinsUnusable

if TYPE_CHECKING:
    import apsw

LONGEST_WAIT_MS: Final = 5_000
"""How long to wait for another process of the user."""

_FORM: Final = 2
_MARK: Final = 0x6A_65_63_70
# The first form named its columns after one kind of source.
_FROM_FIRST: Final = f"""
    ALTER TABLE pins RENAME COLUMN hub TO source;
    ALTER TABLE pins RENAME COLUMN namespace TO payee;
    ALTER TABLE documents RENAME COLUMN hub TO source;
    ALTER TABLE generations RENAME COLUMN hub TO source;
    ALTER TABLE vetted RENAME COLUMN hub TO source;
    PRAGMA user_version = {_FORM};
"""

# Pins apart from their documents: comparing a catalog reads ten thousand of these rows and hardly any of those.
_SCHEMA: Final = f"""
    CREATE TABLE pins (
        source TEXT NOT NULL, key TEXT NOT NULL, payee TEXT NOT NULL, digest BLOB NOT NULL, substance BLOB,
        since INTEGER NOT NULL, PRIMARY KEY (source, key)
    ) WITHOUT ROWID;
    CREATE TABLE documents (source TEXT NOT NULL, key TEXT NOT NULL, document BLOB NOT NULL, PRIMARY KEY (source, key));
    CREATE TABLE generations (source TEXT PRIMARY KEY, generation INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE vetted (
        source TEXT NOT NULL, revision TEXT NOT NULL, rule TEXT NOT NULL, generation INTEGER NOT NULL,
        held TEXT NOT NULL, marks TEXT NOT NULL, PRIMARY KEY (source, revision, rule)
    ) WITHOUT ROWID;
    PRAGMA application_id = {_MARK};
    PRAGMA user_version = {_FORM};
"""
_PINS: Final = "SELECT source, key, payee, digest, substance FROM pins"
# A source's pins change exactly when its generation does, which only grows; so does the sum of several.
_GENERATION: Final = "SELECT generation FROM generations WHERE source = ?"
_NEXT_GENERATION: Final = """
    INSERT INTO generations VALUES (?1, 1) ON CONFLICT (source) DO UPDATE SET generation = generation + 1
"""
# What a comparison came to, while neither the catalog, the tolerance nor the pins are others.
_REMEMBERED: Final = "SELECT held, marks FROM vetted WHERE source = ? AND revision = ? AND rule = ? AND generation = ?"
_FORGET_OLD: Final = "DELETE FROM vetted WHERE source = ? AND generation <> ?"
_REMEMBER: Final = "INSERT OR REPLACE INTO vetted VALUES (?, ?, ?, ?, ?, ?)"
_NO_PINS: Final = "the file is no file of pins, or one of another version of jecp-mcp"


PinId = tuple[str, str]
"""An action's source, and its key there."""


class PinRow(NamedTuple):
    """One action of a source as pinned; `substance` as `jecp_mcp.catalog.changes.substance`."""

    source: str
    key: str
    payee: str
    digest: bytes
    substance: bytes | None

    @property
    def id(self) -> PinId:
        """Which it is: two sources may have an action under the same key."""
        return self.source, self.key


def check(path: Path) -> int | None:
    """How many actions are pinned in a file, which is not changed; None where there is none.

    Raises:
        PinsUnusable: it cannot be read whole, or not be written.
    """
    import apsw

    if not os.path.lexists(path):
        return None
    try:
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
            connection.set_busy_timeout(LONGEST_WAIT_MS)
            found = _form(connection)
            if found == (0, 0) and not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
                return 0
            if found not in {(_MARK, 1), (_MARK, _FORM)}:
                raise PinsUnusable(f"{path}: {_NO_PINS}")
            [(words,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
            if words != "ok":
                raise PinsUnusable(f"{path}: its structure is damaged: {str(words)[:200]}")
            pinned: list[Any] = connection.execute("SELECT source, key FROM pins").fetchall()
            missing = set(pinned) - set(connection.execute("SELECT source, key FROM documents"))
            if missing:
                raise PinsUnusable(f"{path}: the pin of {str(min(missing)[1])[:80]} has no content")
            if not os.access(path, os.W_OK):
                raise PinsUnusable(f"{path}: it cannot be written")
    except apsw.Error as exc:
        raise PinsUnusable(f"{path}: {exc}") from exc
    return len(pinned)


class PinFile:
    """One file of pins, opened when first used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: apsw.Connection | None = None

    @contextmanager
    def reading(self) -> Iterator[Pinned]:
        """A consistent view. Raises `PinsUnusable`."""
        with self._transaction("BEGIN") as pinned:
            yield pinned

    @contextmanager
    def writing(self) -> Iterator[Pinned]:
        """A change, whole and durable when the block ends well, and undone when it does not. Raises `PinsUnusable`."""
        with self._transaction("BEGIN IMMEDIATE") as pinned:
            yield pinned

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Pinned]:
        import apsw

        try:
            connection = self._open()
            connection.execute(begin)
            try:
                yield Pinned(connection)
                connection.execute("COMMIT")
            except BaseException:
                # Whatever ended it, cancellation too: no half of it is kept, nor the file's lock.
                with suppress(apsw.Error):
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                raise
        except (apsw.Error, OSError) as exc:
            raise PinsUnusable(f"{self.path}: {exc}") from exc

    def _open(self) -> apsw.Connection:
        if self._connection is not None:
            return self._connection
        import apsw

        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError, PermissionError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.set_busy_timeout(LONGEST_WAIT_MS)
            connection.execute("PRAGMA synchronous = FULL")
            if _form(connection) != (_MARK, _FORM):
                _create(connection)
        except BaseException:
            # Nobody else knows of this connection yet.
            connection.close()
            raise
        self._connection = connection
        return connection

    def close(self) -> None:
        """Let go of the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class Pinned:
    """The pins inside one transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def generation(self, sources: Iterable[str]) -> int:
        """Changes exactly when a pin of one of these sources does."""
        found = [self._connection.execute(_GENERATION, (source,)).fetchone() for source in sources]
        return sum(int(row[0]) for row in found if row is not None)

    def remembered(
        self, sources: Sequence[str], revision: str, rule: str
    ) -> tuple[dict[str, str], dict[str, str]] | None:
        """What the comparison of these sources' catalog came to by this rule, if no pin changed since: held, marks."""
        known = (_together(sources), revision, rule, self.generation(sources))
        found = self._connection.execute(_REMEMBERED, known).fetchone()
        if found is None:
            return None
        try:
            held, marks = (json.loads(text) for text in found)
        except ValueError:
            return None
        return held, marks

    def remember(
        self, sources: Sequence[str], revision: str, rule: str, held: Mapping[str, str], marks: Mapping[str, str]
    ) -> None:
        """Keep what a comparison came to."""
        together, generation = _together(sources), self.generation(sources)
        self._connection.execute(_FORGET_OLD, (together, generation))
        told = (json.dumps(dict(held)), json.dumps(dict(marks)))
        self._connection.execute(_REMEMBER, (together, revision, rule, generation, *told))

    def rows(self, sources: Iterable[str]) -> list[PinRow]:
        """Every pin of these sources."""
        return [row for source in sources for row in self._rows("source = ?", (source,))]

    def find(self, pins: Iterable[PinId]) -> list[PinRow]:
        """Those of these pins that there are."""
        return [row for pin in pins for row in self._rows("source = ? AND key = ?", pin)]

    def _rows(self, where: str, values: tuple[str, ...]) -> list[PinRow]:
        found = self._connection.execute(f"{_PINS} WHERE {where}", values)
        return [PinRow(*row) for row in found]

    def document(self, pin: PinId) -> bytes:
        """What was pinned. Raises `PinsUnusable` when it is missing."""
        for (document,) in self._connection.execute("SELECT document FROM documents WHERE source = ? AND key = ?", pin):
            return bytes(document)
        raise PinsUnusable(f"the pin of {pin[1][:80]} has no content")

    def keep(self, pins: Iterable[tuple[PinRow, bytes]], now: UnixMs) -> None:
        """Pin these actions, in the place of what was pinned of them."""
        rows: list[tuple[Any, ...]] = []
        documents: list[tuple[Any, ...]] = []
        for row, document in pins:
            rows.append((*row, now))
            documents.append((*row.id, document))
        self._connection.executemany("INSERT OR REPLACE INTO pins VALUES (?, ?, ?, ?, ?, ?)", rows)
        self._connection.executemany("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", documents)
        for source in sorted({row[0] for row in rows}):
            self._connection.execute(_NEXT_GENERATION, (source,))


def _together(sources: Iterable[str]) -> str:
    return " ".join(sources)


def _form(connection: apsw.Connection) -> tuple[int, int]:
    return connection.pragma("application_id"), connection.pragma("user_version")


def _create(connection: apsw.Connection) -> None:
    """Make the tables in an empty file; another process may be making them too.

    Raises:
        PinsUnusable: the file is something else.
    """
    connection.execute("BEGIN IMMEDIATE")
    found = _form(connection)
    if found == (0, 0) and not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
        connection.execute(_SCHEMA)
        found = _form(connection)
    elif found == (_MARK, 1):
        connection.execute(_FROM_FIRST)
        found = _form(connection)
    connection.execute("COMMIT")
    if found != (_MARK, _FORM):
        raise PinsUnusable(_NO_PINS)
