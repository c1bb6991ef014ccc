"""The ledger's tables in SQLite, and the settings a connection to it must have.

Amounts are micro-USDC, instants milliseconds since the Unix epoch (UTC).
"""

from __future__ import annotations

import os
import shlex

import apsw

from jecp_mcp.errors import LedgerDamaged, LedgerUnavailable
from jecp_mcp.mandate.sql_conditions import CHARGED, EXCESSIVE, OPEN, STATES, WRITTEN_OFF

APPLICATION_ID = 0x4A454350
"""What marks a ledger, in the file's header (SQLite file format §1.3.15)."""

VERSION = 4
"""The version of the tables, in ``user_version``: the first that a release wrote."""

KEPT = "state IN ('settled', 'released', 'reconciled_charged', 'reconciled_free') AND answered = 1 AND delivered = 0"
"""An answer that nobody has received yet; a free one too, for the repeat might not be free."""

UNENDED = f"SELECT id FROM call WHERE {OPEN} UNION SELECT id FROM call WHERE look_again_at IS NOT NULL"  # noqa: S608 a constant
"""The calls that are open or whose charge may yet turn, by one index each."""

EVENTS = """
-- Every change, only ever appended to: its canonical bytes, and a digest that covers them and the one before.
CREATE TABLE event(
  id INTEGER PRIMARY KEY,
  call INTEGER,
  body BLOB NOT NULL,
  digest BLOB NOT NULL
) STRICT;
CREATE INDEX event_call ON event(call) WHERE call IS NOT NULL;
CREATE TRIGGER event_stays BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'events are only appended'); END;
CREATE TRIGGER event_kept BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'events are only appended'); END;
"""

GRANTS = """
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
CREATE INDEX slip_of ON slip(kind, principal);
CREATE INDEX slip_expires ON slip(expires_at);
"""

CALL_INDEXES = f"""
-- At most one open call carries a fingerprint.
CREATE UNIQUE INDEX call_open ON call(fingerprint) WHERE {OPEN};
CREATE INDEX call_undelivered ON call(fingerprint) WHERE {KEPT};
CREATE UNIQUE INDEX call_reference ON call(rail, account, reference) WHERE reference IS NOT NULL;
CREATE INDEX call_paid ON call(payee, account) WHERE {CHARGED};
CREATE INDEX call_due ON call(owner, look_again_at) WHERE look_again_at IS NOT NULL;
CREATE INDEX call_sent ON call(sent_at);
CREATE INDEX call_written_off ON call(id) WHERE {WRITTEN_OFF};
CREATE INDEX call_excessive ON call(id) WHERE {EXCESSIVE};
"""

TABLES = f"""
-- What is counted against a cap: used is always the sum of its slots. Which calls a meter counts follows from what they
-- are (see MeterState): those of the principal and session, whose names the pattern fits, above since and up to fed.
CREATE TABLE meter(
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  window TEXT NOT NULL,
  principal TEXT NOT NULL,
  pattern TEXT,
  session TEXT,
  since INTEGER NOT NULL,
  fed INTEGER NOT NULL,
  used INTEGER NOT NULL CHECK (used >= 0)
) STRICT;
CREATE INDEX meter_of ON meter(principal, session);

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

-- One row for each call, in the order of CallRow.
CREATE TABLE call(
  id INTEGER PRIMARY KEY,
  call_id TEXT NOT NULL UNIQUE,
  principal TEXT NOT NULL,
  team TEXT,
  session TEXT NOT NULL,
  owner TEXT NOT NULL,
  claim INTEGER NOT NULL,
  rail TEXT NOT NULL,
  account TEXT NOT NULL,
  tool TEXT NOT NULL,
  payee TEXT NOT NULL,
  source TEXT NOT NULL,
  offer TEXT NOT NULL,
  names TEXT NOT NULL,
  version TEXT,
  fingerprint TEXT NOT NULL,
  kind TEXT NOT NULL,
  terms TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ({STATES})),
  quoted INTEGER NOT NULL,
  held INTEGER NOT NULL CHECK (held >= 0),
  charged INTEGER NOT NULL CHECK (charged >= 0),
  refunded INTEGER NOT NULL CHECK (refunded >= 0 AND refunded <= charged),
  balance_after INTEGER,
  reference TEXT,
  evidence TEXT,
  attempts INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  sent_at INTEGER NOT NULL,
  look_again_at INTEGER,
  provable_until INTEGER,
  ended_at INTEGER,
  answered INTEGER NOT NULL,
  delivered INTEGER NOT NULL,
  mark TEXT
) STRICT;
{CALL_INDEXES}
-- Bodies live apart, so that a change of state does not rewrite them.
CREATE TABLE request(call INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE answer(call INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;

-- The calls and sums of each state, micro-USDC, and how many bytes of bodies are kept.
CREATE TABLE tally(
  state TEXT PRIMARY KEY,
  calls INTEGER NOT NULL,
  held INTEGER NOT NULL,
  charged INTEGER NOT NULL,
  refunded INTEGER NOT NULL
) STRICT;
INSERT INTO tally SELECT value, 0, 0, 0, 0 FROM json_each(json_array({STATES}));
CREATE TABLE kept(bytes INTEGER NOT NULL CHECK (bytes >= 0)) STRICT;
INSERT INTO kept VALUES (0);
{EVENTS}
{GRANTS}
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""  # noqa: S608 constants of this module

_PRAGMAS: tuple[tuple[str, str, object], ...] = (
    # Before the first table: what is dropped later is given back bit by bit (https://sqlite.org/pragma.html).
    ("auto_vacuum", "incremental", 2),
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
        # Asked first: to set what is set already, as auto_vacuum, writes to the file.
        if connection.pragma(name) != expected:
            connection.pragma(name, value)
        found = connection.pragma(name)
        if found != expected:
            raise LedgerUnavailable(f"the ledger cannot be kept safely here: {name} is {found!r}, not {expected!r}")


def identify(connection: apsw.Connection) -> int:
    """The version of the ledger's tables; 0 for a file that holds nothing yet.

    Raises:
        LedgerDamaged: it is some other database.
        LedgerUnavailable: a newer version of this program wrote it, or one from before the first release.
    """
    application, version = connection.pragma("application_id"), connection.pragma("user_version")
    if application == APPLICATION_ID:
        if version > VERSION:
            raise LedgerUnavailable(
                f"the ledger was written by a newer version of jecp-mcp (its tables are version {version}, "
                f"this program knows {VERSION})",
                "use that version",
            )
        if version < VERSION:
            raise LedgerUnavailable(
                f"the ledger was written before the first release of jecp-mcp (its tables are version {version}, this "
                f"program knows {VERSION}), which no release reads",
                f"to begin with nothing spent, run: {move_away_command(connection.filename)}",
            )
        return int(version)
    holds = connection.execute("SELECT count(*) FROM sqlite_schema").get
    if application or version or holds:
        raise LedgerDamaged("the file is a database, but not a ledger of jecp-mcp")
    return 0


def move_away_command(ledger: str) -> str:
    """The shell command that moves a ledger away with the files beside it whose names begin with its own."""
    aside = os.path.join(os.path.dirname(ledger), "ledger-of-before-the-first-release")  # noqa: PTH118, PTH120 - SQLite's text
    return f"mkdir {shlex.quote(aside)} && mv {shlex.quote(ledger)}* {shlex.quote(aside)}"


def create(connection: apsw.Connection) -> None:
    """Lay out an empty ledger, and see to it that the main file carries it, not only the WAL."""
    with connection:
        connection.execute(TABLES)
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def check_meters(connection: apsw.Connection) -> None:
    """Look for damage to what decides about money: every meter against its slots.

    Raises:
        LedgerDamaged: something is not what was written.
    """
    wrong = connection.execute(
        "SELECT count(*) FROM meter WHERE used <> (SELECT coalesce(sum(amount), 0) FROM slot WHERE meter = meter.id)"
    ).get
    if wrong:
        raise LedgerDamaged(f"{wrong} of the ledger's meters do not agree with what they counted")


def check_structure(connection: apsw.Connection) -> None:
    """Look for damage to the file's structure. Reads all of it, which takes seconds where it has gigabytes.

    Raises:
        LedgerDamaged: something is not what was written.
    """
    found = connection.execute("PRAGMA quick_check(1)").get
    if found != "ok":
        raise LedgerDamaged(f"the ledger's structure is damaged: {str(found)[:200]}")
