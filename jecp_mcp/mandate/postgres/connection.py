"""One connection to the server, the only place that speaks psycopg. Blocking; errors leave it translated.

A batch is two round trips, each several statements in one simple query (PostgreSQL 16 documentation §55.2.2). A
pipeline would do as much, but it ends with a Flush, and a server that has read one does not end an idle transaction in
time: a replica that stopped there would hold the head for ever. Nothing is kept on the connection between transactions,
neither settings nor prepared statements, so that a connection pooler in transaction mode may stand in between.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence
from typing import Any, Final, Self, cast
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from jecp_mcp.errors import LedgerDamaged, LedgerError, LedgerUnavailable
from jecp_mcp.mandate.postgres.connection_errors import ConnectionLost, RolledBack
from jecp_mcp.mandate.postgres.functions import FUNCTIONS
from jecp_mcp.mandate.postgres.schema import TABLES, VERSION
from jecp_mcp.mandate.postgres.tls import with_verification
from jecp_mcp.settings.places import home_folder

CONNECT_SECONDS = 3
"""How long to try one address of the server."""

_LAYOUT_LOCK = 0x4A454350
"""The advisory lock of whoever lays out the tables."""

_DEFAULTS: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "application_name": "jecp-mcp",
    "client_encoding": "UTF8",
    # A server that has vanished must be noticed, not waited for.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"

# A replica that stops in the middle of a batch must not keep the others waiting for long.
_BOUNDS = """
SELECT set_config('lock_timeout', '5s', true), set_config('statement_timeout', '10s', true),
       set_config('idle_in_transaction_session_timeout', '3s', true),
       set_config('synchronous_commit', CASE current_setting('synchronous_commit')
                                          WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true)
"""

_OPENING = f"{_BEGIN}; {_BOUNDS};"
_GATHER = "SELECT jecp_mcp.gather(%s::json)"
_APPEND = (
    "SELECT jecp_mcp.append(%s::json, %s::bigint[], %s::bigint[], %s::bytea[], %s::bytea[], %s::bigint[], %s::bytea[], "
    "%s::bigint[], %s::bytea[], %s::bytea[])"
)
_PUT_PART: Final = """
INSERT INTO jecp_mcp.part(upload, number, at, body) VALUES (%s, %s, jecp_mcp.lease_ms(), %b)
ON CONFLICT (upload, number) DO NOTHING
"""

# Not to_regclass(), which may answer from what this session knew before it waited for the lock.
_KNOWN = "EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = 'jecp_mcp' AND tablename = 'migration')"

_STEPS = {
    "25006": "is read-only, such as a standby; give the URL of the primary server",
    "42501": "lacks a right; grant it to the URL's user",
    "53100": "cannot be written; make room on its disk",
    "53300": "has no connection left; raise its max_connections",
    "3D000": "is not there; create the database",
}
"""What is wrong and what to do, by SQLSTATE."""

_PASSING = frozenset({"40001", "40P01", "55P03", "57014"})
_GOING = frozenset({"57P01", "57P02", "57P03", "57P04", "25P03"})
_BROKEN = frozenset({"42P01", "42703", "42883", "3F000", "P0001", "XX001", "XX002"})


def place(url: str) -> str:
    """Where a URL points, without its password and its parameters."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2] or "the default socket"
    return f"postgresql://{host}{parts.path}"


class Connection:
    """A connection to a ledger of the right version."""

    def __init__(self, connection: psycopg.Connection[Any], url: str) -> None:
        self._connection = connection
        self._url = url

    @classmethod
    def open(cls, url: str) -> Self:
        """Connect, and lay out the tables where there are none.

        Raises:
            LedgerUnavailable: the server cannot be reached, or cannot keep a ledger safely.
            LedgerDamaged: the tables are not what they were.
        """
        try:
            asked = with_verification({**_DEFAULTS, **conninfo_to_dict(url)}, os.environ, home_folder())
            opened = psycopg.connect(
                make_conninfo("", **asked), autocommit=True, prepare_threshold=None, cursor_factory=psycopg.ClientCursor
            )
        except psycopg.ProgrammingError:
            # libpq quotes what it does not understand, and that may be the password.
            raise LedgerUnavailable(f"the ledger's URL ({place(url)}) is not one that PostgreSQL understands") from None
        except psycopg.Error as exc:
            raise _translate(exc, url, gone=True) from None
        connection = cls(opened, url)
        try:
            connection._identify()
        except LedgerError:
            connection.close()
            raise
        return connection

    @property
    def broken(self) -> bool:
        """Whether the connection is of no more use."""
        return self._connection.closed

    @property
    def failed(self) -> bool:
        """Whether a transaction that had begun can no longer be committed."""
        return self._connection.info.transaction_status != psycopg.pq.TransactionStatus.INTRANS

    def gather(self, asked: str) -> dict[str, Any]:
        """Begin a transaction that holds the head, and fetch what it may depend on: see ``jecp_mcp.gather``.

        Raises:
            LedgerUnavailable: the tables are of another version by now.
        """
        with self._translating():
            found = self._connection.execute(f"{_OPENING} {_GATHER}", (asked,))
            while found.nextset():
                pass
            (page,) = cast("tuple[dict[str, Any]]", found.fetchone())
        if page["version"] != VERSION:
            raise of_another_version(page["version"])
        return page

    def lock(self) -> None:
        """Begin a transaction that holds the head: every earlier one has ended by then."""
        with self._translating():
            self._connection.execute(f"{_OPENING} SELECT FROM jecp_mcp.head FOR UPDATE")

    def query(self, sql: str, asked: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a statement, inside the transaction if one has begun."""
        with self._translating():
            found = self._connection.execute(sql, asked or None)
            return found.fetchall() if found.description is not None else []

    def commit(self, values: Sequence[Any] | None, rows: str, numbers: Sequence[int]) -> list[tuple[Any, ...]]:
        """Write a batch and commit it; returns what `rows` reads of the calls of those numbers, as they then are.

        Args:
            values: what to write, as ``jecp_mcp.append`` takes it; None writes nothing.
            rows: a statement that reads calls.
            numbers: the calls it reads.

        Raises:
            ConnectionLost: whether it was committed is not known.
            LedgerError: it was not committed.
        """
        with self._translating():
            parts: list[str] = []
            asked: list[Any] = []
            if values is not None:
                parts.append(_APPEND)
                asked += values
            if numbers:
                parts.append(rows)
                asked.append(list(numbers))
            found = self._connection.execute(";".join([*parts, "COMMIT"]), asked or None)
            read: list[tuple[Any, ...]] = []
            for _ in parts:
                read = found.fetchall()
                found.nextset()
            # What fails before it fails the whole query, so no server is known to do this; but money rests on it.
            if found.statusmessage != "COMMIT":  # pragma: no cover
                raise LedgerUnavailable(f"the ledger at {place(self._url)} took back what was to be written")
            return read if numbers else []

    def put_part(self, upload: str, number: int, body: bytes) -> None:
        """Store a part of a body, durably, unless it is there. As bytes and not as text: half as many."""
        with self._translating():
            psycopg.Cursor(self._connection).execute(_PUT_PART, (upload, number, body), prepare=False)

    def get_part(self, sql: str, asked: Sequence[Any]) -> bytes | None:
        """The one value of a statement, which is bytes, or None where there is no row."""
        with self._translating():
            cursor = psycopg.Cursor(self._connection)
            found = cursor.execute(sql, asked, prepare=False, binary=True).fetchone()
            return None if found is None else bytes(found[0])

    def rollback(self) -> None:
        """Leave whatever transaction there is."""
        if self.broken or self._connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            return
        try:
            self._connection.execute("ROLLBACK")
        except psycopg.Error:
            self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def break_off(self) -> None:
        """Make whoever waits for the server in another thread see a broken connection."""
        with contextlib.suppress(psycopg.Error, OSError):
            descriptor = os.dup(self._connection.fileno())
            with socket.socket(fileno=descriptor) as line:
                line.shutdown(socket.SHUT_RDWR)

    def _identify(self) -> None:
        ((fsync, encoding, known),) = self.query(
            f"SELECT current_setting('fsync'), current_setting('server_encoding'), {_KNOWN}"
        )
        if fsync != "on":
            raise LedgerUnavailable(f"the ledger cannot be kept safely at {place(self._url)}: its fsync is {fsync}")
        if encoding != "UTF8":
            raise LedgerUnavailable(
                f"the ledger cannot be kept at {place(self._url)}: its encoding is {encoding}",
                "create the database with ENCODING 'UTF8'",
            )
        version = self._version() if known else self._lay_out()
        if version != VERSION:
            raise of_another_version(version)

    def _version(self) -> int:
        ((version,),) = self.query("SELECT coalesce(max(version), 0) FROM jecp_mcp.migration")
        return int(version)

    def _lay_out(self) -> int:
        """Lay out an empty ledger, in one transaction: one replica does it, the others wait for it."""
        try:
            self.query(_BEGIN)
            self.query("SELECT set_config('lock_timeout', '60s', true), set_config('statement_timeout', '0', true)")
            self.query("SELECT pg_advisory_xact_lock(%s)", (_LAYOUT_LOCK,))
            ((known,),) = self.query(f"SELECT {_KNOWN}")
            if known:
                return self._version()
            self.query(TABLES + FUNCTIONS)
            self.query("INSERT INTO jecp_mcp.migration(version) VALUES (%s)", (VERSION,))
            self.query("COMMIT")
            return VERSION
        finally:
            self.rollback()

    @contextlib.contextmanager
    def _translating(self) -> Any:
        try:
            yield
        except psycopg.Error as exc:
            raise _translate(exc, self._url, gone=self.broken) from exc
        except (UnicodeEncodeError, OverflowError) as exc:
            raise LedgerError(f"the ledger cannot hold a value: {exc.__class__.__name__}") from exc


def of_another_version(version: int) -> LedgerUnavailable:
    """The tables are of a version this program does not know."""
    told = f"its tables are version {version}, this program knows {VERSION}"
    if version > VERSION:
        return LedgerUnavailable(f"the ledger was written by a newer version of jecp-mcp ({told})", "use that version")
    return LedgerUnavailable(
        f"the ledger was written before the first release of jecp-mcp ({told}), which no release reads",
        "to begin with nothing spent, name another database, or rename its schema jecp_mcp",
    )


def _translate(exc: psycopg.Error, url: str, *, gone: bool) -> LedgerError:
    """PostgreSQL's words in ours, by SQLSTATE (PostgreSQL documentation, appendix A)."""
    state = exc.sqlstate or ""
    said = (exc.diag.message_primary or (str(exc).splitlines() or [type(exc).__name__])[0])[:300]
    password = urlsplit(url).password
    for secret in {password, unquote(password)} if password else ():
        said = said.replace(secret, "***")
    where = f"the ledger at {place(url)}"
    if state in _PASSING:
        return RolledBack(f"{where} is busy: {said}")
    if gone or state in _GOING or state.startswith("08"):
        return ConnectionLost(f"{where} cannot be reached: {said}")
    if state.startswith("22") or isinstance(exc, psycopg.DataError):
        return LedgerError(f"the ledger cannot hold a value: {said}")
    if state.startswith("23") or state in _BROKEN:
        return LedgerDamaged(f"{where} is damaged: {said}")
    return LedgerUnavailable(f"{where} {_STEPS.get(state, 'cannot be used now')}: {said}")
