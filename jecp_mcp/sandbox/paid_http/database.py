"""What outlives a restart: transactions, the merchant's kept answers, small facts. An SQLite file, or memory.

The file belongs to one process at a time: SQLite's exclusive lock keeps a second sandbox out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import apsw

from jecp_mcp.sandbox.database_faults import database_fault
from jecp_mcp.sandbox.paid_http.chain.transactions import Mined, Transaction, Transfer

MOST_ANSWERS = 1_000

FILE_SUFFIX = ".x402.sqlite"
"""What the file's name ends with in the place of the ending of the Hub's, beside which it lies."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS transactions (
    number INTEGER PRIMARY KEY, time INTEGER NOT NULL, succeeded INTEGER NOT NULL, hash TEXT NOT NULL,
    sender TEXT NOT NULL, recipient TEXT NOT NULL, value INTEGER NOT NULL, nonce TEXT NOT NULL,
    valid_after TEXT NOT NULL, valid_before TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS decisions (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, entry TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS receipts (id TEXT PRIMARY KEY, entry TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (id TEXT PRIMARY KEY, request TEXT NOT NULL, answer BLOB NOT NULL) STRICT;
"""


class Database:
    """The file. Use from one thread."""

    def __init__(self, path: Path | None) -> None:
        """Open or create it.

        Args:
            path: the file; None keeps everything in memory.

        Raises:
            SettingsError: the file cannot be used, or another sandbox has it.
        """
        try:
            if path is not None:
                # The key of the test payer stands in it.
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            self._db = apsw.Connection(str(path) if path else ":memory:")
            # One by one: a statement that gives a row holds up those behind it.
            for mode in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL"):
                self._db.execute(f"PRAGMA {mode}")
            with self._db:
                self._db.execute(_SCHEMA)
        except (apsw.Error, OSError) as exc:
            raise database_fault(path, "the test chain", exc) from exc

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def atomic(self) -> AbstractContextManager[object]:
        """A transaction: all of what is written inside, or nothing. May be nested."""
        return self._db

    def transactions(self) -> Iterator[Mined]:
        """All of them, in the order of their blocks."""
        rows = self._db.execute(
            "SELECT number, time, succeeded, hash, sender, recipient, value, nonce, valid_after, valid_before"
            " FROM transactions ORDER BY number"
        )
        for number, time, succeeded, name, sender, to, value, nonce, after, before in rows:
            transfer = Transfer(sender, to, value, nonce, int(after), int(before))
            yield Mined(Transaction(name, transfer), number, time, bool(succeeded))

    def keep(self, mined: Mined) -> None:
        """Keep one more."""
        transfer = mined.transaction.transfer
        self._db.execute(
            "INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                mined.number,
                mined.time,
                int(mined.succeeded),
                mined.transaction.hash,
                transfer.sender,
                transfer.to,
                transfer.value,
                transfer.nonce,
                # Whole numbers of 256 bits.
                str(transfer.valid_after),
                str(transfer.valid_before),
            ),
        )

    def forget(self, first: int) -> None:
        """Forget the transactions from a block on."""
        self._db.execute("DELETE FROM transactions WHERE number >= ?", (first,))

    def fact(self, name: str) -> str | None:
        """A value kept under a name."""
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_fact(self, name: str, value: str) -> None:
        """Keep a value under a name."""
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def decision(self, key: str) -> str | None:
        """What the control plane decided under an idempotency key."""
        row = self._db.execute("SELECT entry FROM decisions WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def keep_decision(self, key: str, entry: str) -> None:
        """Keep what it decided, in place of what was there."""
        self._db.execute(
            "INSERT INTO decisions (key, entry) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET entry = excluded.entry",
            (key, entry),
        )

    def decisions(self) -> Iterator[tuple[str, str]]:
        """All of them by key, the oldest first."""
        for key, entry in self._db.execute("SELECT key, entry FROM decisions ORDER BY number"):
            yield str(key), str(entry)

    def receipt(self, receipt_id: str) -> str | None:
        """A receipt of the control plane's."""
        row = self._db.execute("SELECT entry FROM receipts WHERE id = ?", (receipt_id,)).fetchone()
        return None if row is None else str(row[0])

    def keep_receipt(self, receipt_id: str, entry: str) -> None:
        """Keep a receipt, in place of what was there."""
        self._db.execute("INSERT OR REPLACE INTO receipts VALUES (?, ?)", (receipt_id, entry))

    def answer(self, payment_id: str) -> tuple[str, bytes] | None:
        """The answer kept under a payment's identifier: the digest of its request, and the answer."""
        row = self._db.execute("SELECT request, answer FROM answers WHERE id = ?", (payment_id,)).fetchone()
        return None if row is None else (str(row[0]), bytes(row[1]))

    def keep_answer(self, payment_id: str, request: str, answer: bytes) -> None:
        """Keep an answer; only so many of the newest stay."""
        with self._db:
            self._db.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", (payment_id, request, answer))
            self._db.execute("DELETE FROM answers WHERE rowid <= (SELECT max(rowid) FROM answers) - ?", (MOST_ANSWERS,))
