"""The ledger's tables in SQLite, and the settings a connection to it must have.

Amounts are micro-USDC, instants milliseconds since the Unix epoch (UTC).
"""

from __future__ import annotations

import apsw

from jecp_mcp.errors import LedgerDamaged, LedgerUnavailable

APPLICATION_ID = 0x4A454350
"""``JECP`` in ASCII, in the file's header (SQLite file format §1.3.15)."""

VERSION = 2
"""The version of the tables, in ``user_version``."""

STATES = "'reserved', 'sent', 'settled', 'released', 'in_doubt', 'reconciled_charged', 'reconciled_free', 'written_off'"

EVENTS = """
-- Every change, only ever appended to; each digest covers the one before it.
CREATE TABLE event(
  id INTEGER PRIMARY KEY,
  call INTEGER,
  at INTEGER NOT NULL,
  event TEXT NOT NULL,
  before TEXT,
  after TEXT,
  held INTEGER NOT NULL,
  charged INTEGER NOT NULL,
  refunded INTEGER NOT NULL,
  session TEXT NOT NULL,
  evidence TEXT,
  facts TEXT NOT NULL,
  digest TEXT NOT NULL
) STRICT;
CREATE INDEX event_call ON event(call);
CREATE TRIGGER event_stays BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'events are only appended'); END;
CREATE TRIGGER event_kept BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'events are only appended'); END;
"""

SLIPS = """
-- What was agreed before a call: prepared calls and approvals.
CREATE TABLE slip(
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  slip_id TEXT NOT NULL,
  principal TEXT NOT NULL,
  subject TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('asked', 'granted', 'used', 'denied', 'superseded')),
  body BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  call_id TEXT,
  note TEXT,
  UNIQUE (kind, slip_id)
) STRICT;
CREATE INDEX slip_waiting ON slip(kind, subject) WHERE state IN ('asked', 'granted', 'used');
CREATE INDEX slip_asked ON slip(expires_at, principal) WHERE state = 'asked';
"""

CALL_INDEXES = """
-- At most one open call carries a fingerprint.
CREATE UNIQUE INDEX call_open ON call(fingerprint) WHERE state IN ('reserved', 'sent', 'in_doubt');
-- Answers nobody has received yet; a free one too, for the repeat might not be free.
CREATE INDEX call_undelivered ON call(fingerprint)
  WHERE state IN ('settled', 'released', 'reconciled_charged', 'reconciled_free') AND answered = 1 AND delivered = 0;
CREATE INDEX call_transaction ON call(transaction_id) WHERE transaction_id IS NOT NULL;
"""

TABLES = f"""
-- What is counted against a cap: used is always the sum of its slots. slot_ms is NULL where the window never rolls.
CREATE TABLE meter(
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  slot_ms INTEGER,
  window_ms INTEGER,
  used INTEGER NOT NULL CHECK (used >= 0)
) STRICT;

-- A stretch of a rolling window, or the whole of one that never rolls (start is 0, expires is NULL).
CREATE TABLE slot(
  id INTEGER PRIMARY KEY,
  meter INTEGER NOT NULL,
  start INTEGER NOT NULL,
  expires INTEGER,
  amount INTEGER NOT NULL CHECK (amount >= 0),
  UNIQUE (meter, start)
) STRICT;
CREATE INDEX slot_expires ON slot(expires) WHERE expires IS NOT NULL;

-- One row for each call; meters lists the ids of the meters it is counted in, in the slots of its created_at.
CREATE TABLE call(
  id INTEGER PRIMARY KEY,
  call_id TEXT NOT NULL UNIQUE,
  principal TEXT NOT NULL,
  session TEXT NOT NULL,
  tool TEXT NOT NULL,
  payee TEXT NOT NULL,
  capability TEXT NOT NULL,
  action TEXT NOT NULL,
  version TEXT,
  fingerprint TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ({STATES})),
  quoted INTEGER NOT NULL,
  held INTEGER NOT NULL CHECK (held >= 0),
  charged INTEGER NOT NULL DEFAULT 0 CHECK (charged >= 0),
  refunded INTEGER NOT NULL DEFAULT 0 CHECK (refunded >= 0 AND refunded <= charged),
  balance_after INTEGER,
  transaction_id TEXT,
  evidence TEXT,
  attempts INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  ended_at INTEGER,
  answered INTEGER NOT NULL DEFAULT 0,
  delivered INTEGER NOT NULL DEFAULT 0,
  meters TEXT NOT NULL
) STRICT;
{CALL_INDEXES}
-- Bodies live apart, so that a change of state does not rewrite them.
CREATE TABLE request(call INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE answer(call INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
{EVENTS}
{SLIPS}
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""

_PRAGMAS: tuple[tuple[str, str, object], ...] = (
    ("journal_mode", "wal", "wal"),
    # FULL: a commit is on the disk when it returns, or "sent is durable before the first byte" is not true.
    ("synchronous", "full", 2),
    # On macOS an ordinary fsync leaves the data in the drive's cache (fcntl(2), F_FULLFSYNC).
    ("fullfsync", "1", 1),
    ("checkpoint_fullfsync", "1", 1),
    ("cell_size_check", "1", 1),
    ("trusted_schema", "0", 0),
    ("temp_store", "memory", 2),
)


def configure(connection: apsw.Connection) -> None:
    """Set what a writing connection needs, and read it back.

    Raises:
        LedgerUnavailable: SQLite did not take a setting, such as WAL on a file system without shared memory.
    """
    for name, value, expected in _PRAGMAS:
        connection.pragma(name, value)
        found = connection.pragma(name)
        if found != expected:
            raise LedgerUnavailable(f"the ledger cannot be kept safely here: {name} is {found!r}, not {expected!r}")


def identify(connection: apsw.Connection) -> int:
    """The version of the ledger's tables; 0 for a file that holds nothing yet.

    Raises:
        LedgerDamaged: it is some other database.
        LedgerUnavailable: a newer version of this program wrote it.
    """
    application, version = connection.pragma("application_id"), connection.pragma("user_version")
    if application == APPLICATION_ID:
        if not 1 <= version <= VERSION:
            raise LedgerUnavailable(
                f"the ledger was written by a newer version of jecp-mcp (its tables are version {version}, "
                f"this program knows {VERSION}); use that version"
            )
        return int(version)
    holds = connection.execute("SELECT count(*) FROM sqlite_schema").get
    if application or version or holds:
        raise LedgerDamaged("the file is a database, but not a ledger of jecp-mcp")
    return 0


def create(connection: apsw.Connection) -> None:
    """Lay out an empty ledger, and see to it that the main file carries it, not only the WAL."""
    with connection:
        connection.execute(TABLES)
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def inspect(connection: apsw.Connection) -> None:
    """Look for damage: the file's structure, and every meter against its slots.

    Raises:
        LedgerDamaged: something is not what was written.
    """
    found = connection.execute("PRAGMA quick_check(1)").get
    if found != "ok":
        raise LedgerDamaged(f"the ledger's structure is damaged: {str(found)[:200]}")
    wrong = connection.execute(
        "SELECT count(*) FROM meter WHERE used <> (SELECT coalesce(sum(amount), 0) FROM slot WHERE meter = meter.id)"
    ).get
    if wrong:
        raise LedgerDamaged(f"{wrong} of the ledger's meters do not agree with what they counted")
