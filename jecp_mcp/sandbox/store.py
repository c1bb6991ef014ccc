"""The sandbox Hub's books in SQLite: agents, wallets, transactions, answers, nonces, rate windows, refunds.

Every method that moves money is one transaction. WAL with ``synchronous=NORMAL`` loses nothing when the process is
killed. The file belongs to one process at a time: SQLite's exclusive lock keeps a second sandbox out.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import string
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from jecp_mcp.errors import SettingsError
from jecp_mcp.money import MicroUSDC
from jecp_mcp.sandbox.pricing import Split, split
from jecp_mcp.sandbox.schema import SCHEMA

VENDOR_PREFIX = "sbx"
ANSWER_WINDOW_MS = 24 * 3_600_000
"""How long an answer is kept for its call id (JECP 01-protocol §5)."""
RATE_WINDOW_SECONDS = 60


class Agent(NamedTuple):
    """An agent's account. `balance` is micro-USDC; times are Unix milliseconds."""

    agent_id: str
    name: str
    key_hash: bytes
    previous_hash: bytes | None
    previous_until: int | None
    balance: int
    free_calls: int
    total_calls: int
    rate_limit_rpm: int | None

    @property
    def tier(self) -> str:
        """The trust tier its calls have earned (JECP 02-authentication §6.2)."""
        for tier, calls in (("platinum", 2_000), ("gold", 500), ("silver", 100)):
            if self.total_calls >= calls:
                return tier
        return "bronze"

    def holds(self, api_key: str, at: int) -> bool:
        """Whether `api_key` is this agent's, or its previous one within the grace period."""
        hashed = hash_key(api_key)
        if secrets.compare_digest(hashed, self.key_hash):
            return True
        return (
            self.previous_hash is not None
            and at < (self.previous_until or 0)
            and secrets.compare_digest(hashed, self.previous_hash)
        )


_AGENT = (
    "SELECT agent_id, name, key_hash, previous_hash, previous_until, balance, free_calls, total_calls, rate_limit_rpm"
    " FROM agents WHERE agent_id = ?"
)


class Stored(NamedTuple):
    """The answer kept for a call id."""

    digest: bytes
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Sale:
    """A piece of work that was done and is to be paid."""

    agent_id: str
    call_id: str
    digest: bytes
    capability: str
    action: str
    price: MicroUSDC
    free: bool
    headers: dict[str, str]


class Receipt(NamedTuple):
    """A sale in the books. `method` is ``wallet`` or ``free_call``; `amount` is 0 for a free call."""

    transaction_id: str
    method: str
    amount: MicroUSDC
    shares: Split
    balance_after: int
    free_calls: int
    tier: str


def hash_key(api_key: str) -> bytes:
    """A key as it is stored. Keys are random, so a plain digest suffices."""
    return hashlib.sha256(api_key.encode()).digest()


_ALPHABET = string.ascii_letters + string.digits


def new_secret(kind: str, length: int) -> str:
    """A fresh id or key of this Hub: ``sbx_ag_…``, ``sbx_ak_…``."""
    return f"{VENDOR_PREFIX}_{kind}_" + "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _keep_private(path: Path) -> None:
    """See that only the owner can read the file: its keys are those of the test agents. SQLite's others follow it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


class Store:
    """The books. Use from one thread."""

    def __init__(self, path: Path | None) -> None:
        """Open or create the books.

        Raises:
            SettingsError: the file cannot be used: no SQLite file, not writable, or another sandbox has it.
        """
        try:
            if path is not None:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _keep_private(path)
            self._db = apsw.Connection(str(path) if path else ":memory:")
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            with self.atomic():
                self._db.execute(SCHEMA)
        except apsw.BusyError as exc:
            raise SettingsError(str(path), "", "another sandbox is using this file") from exc
        except (apsw.Error, OSError) as exc:
            raise SettingsError(str(path), "", f"this file cannot hold a sandbox's state: {exc}") from exc

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def healthy(self) -> bool:
        """Whether the file answers."""
        return bool(self._row("SELECT 1"))

    # -- agents ------------------------------------------------------------------------------------------------------

    def default_agent(self, balance: MicroUSDC, free_calls: int, at: int) -> tuple[str, str]:
        """The test agent's id and key, the same after every start; made at the first one."""
        with self.atomic():
            agent_id, api_key = self._meta("default_agent_id"), self._meta("default_api_key")
            if agent_id is None or api_key is None:
                agent_id, api_key = self.register("sandbox", "test", balance, free_calls, at)
                self._set_meta("default_agent_id", agent_id)
                self._set_meta("default_api_key", api_key)
            return agent_id, api_key

    def register(self, name: str, agent_type: str, balance: MicroUSDC, free_calls: int, at: int) -> tuple[str, str]:
        """Make an agent; gives its id and its key, of which only a digest is kept."""
        agent_id, api_key = new_secret("ag", 24), new_secret("ak", 40)
        with self.atomic():
            self._db.execute(
                "INSERT INTO agents (agent_id, name, agent_type, key_hash, balance, free_calls, created_at)"
                " VALUES (?, ?, ?, ?, 0, ?, ?)",
                (agent_id, name, agent_type, hash_key(api_key), free_calls, at),
            )
            if balance:
                self.credit(agent_id, "opening", balance, at)
        return agent_id, api_key

    def agent(self, agent_id: str) -> Agent | None:
        """An agent by its id."""
        row = self._row(_AGENT, agent_id)
        return Agent(*row) if row else None

    def rotate_key(self, agent_id: str, grace_ms: int, at: int) -> tuple[str, int] | None:
        """Give the agent a new key; the old one works `grace_ms` longer.

        Returns:
            The new key and how many rotations there were within a day, or None past the third.
        """
        with self.atomic():
            done = self._count(
                "SELECT count(*) FROM rotations WHERE agent_id = ? AND at > ?", agent_id, at - 86_400_000
            )
            if done >= 3:  # noqa: PLR2004  # the reference Hub's cap per 24 h
                return None
            api_key = new_secret("ak", 40)
            self._db.execute(
                "UPDATE agents SET previous_hash = key_hash, previous_until = ?, key_hash = ? WHERE agent_id = ?",
                (at + grace_ms, hash_key(api_key), agent_id),
            )
            self._db.execute("INSERT INTO rotations VALUES (?, ?)", (agent_id, at))
            if self._meta("default_agent_id") == agent_id:
                self._set_meta("default_api_key", api_key)
        return api_key, done + 1

    def adjust(self, agent_id: str, changes: dict[str, int | None], at: int) -> None:
        """Set an agent's balance, free calls, calls or rate limit, for a test."""
        with self.atomic():
            if (balance := changes.get("balance")) is not None:
                current = self._count("SELECT balance FROM agents WHERE agent_id = ?", agent_id)
                if balance != current:
                    self.credit(agent_id, "set", balance - current, at)
            for column in ("free_calls", "total_calls", "rate_limit_rpm"):
                if column in changes:
                    self._db.execute(
                        f"UPDATE agents SET {column} = ? WHERE agent_id = ?",  # noqa: S608  # one of three names above
                        (changes[column], agent_id),
                    )

    # -- calls -------------------------------------------------------------------------------------------------------

    def answer(self, agent_id: str, call_id: str, at: int) -> Stored | None:
        """What an earlier call under this id was answered, within the window."""
        row = self._row(
            "SELECT digest, headers, body FROM answers WHERE agent_id = ? AND call_id = ? AND created_at > ?",
            agent_id,
            call_id,
            at - ANSWER_WINDOW_MS,
        )
        return Stored(row[0], json.loads(row[1]), row[2]) if row else None

    def settle(self, sale: Sale, at: int, render: Callable[[Receipt], bytes]) -> bytes | None:
        """Charge a sale, divide it, count it and keep its answer, all or nothing.

        Args:
            sale: the work done.
            at: now.
            render: writes the answer once the books know the balance.

        Returns:
            The answer's body, or None when the wallet cannot pay; then nothing changed.
        """
        amount = MicroUSDC(0) if sale.free else sale.price
        with self.atomic():
            row = self._row(
                "UPDATE agents SET balance = balance - ?, free_calls = free_calls - ?, total_calls = total_calls + 1"
                " WHERE agent_id = ? AND balance >= ? AND free_calls >= ?"
                " RETURNING balance, free_calls, total_calls",
                amount,
                int(sale.free),
                sale.agent_id,
                amount,
                int(sale.free),
            )
            if row is None:
                return None
            balance, free_calls, total_calls = row
            tier = Agent(sale.agent_id, "", b"", None, None, balance, free_calls, total_calls, None).tier
            method = "free_call" if sale.free else "wallet"
            receipt = Receipt(new_transaction_id(), method, amount, split(amount), balance, free_calls, tier)
            self._db.execute(
                "INSERT INTO transactions (transaction_id, agent_id, call_id, capability, action, method, amount,"
                " provider_share, hub_fee, payment_fee, balance_after, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    receipt.transaction_id, sale.agent_id, sale.call_id, sale.capability, sale.action, method,
                    amount, *receipt.shares, balance, at,
                ),
            )  # fmt: skip
            body = render(receipt)
            self._db.execute(
                "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (agent_id, call_id) DO UPDATE SET"
                " digest = excluded.digest, headers = excluded.headers, body = excluded.body,"
                " created_at = excluded.created_at",
                (sale.agent_id, sale.call_id, sale.digest, json.dumps(sale.headers), body, at),
            )
        return body

    def use_nonce(self, agent_id: str, nonce: str, until: int, at: int) -> bool:
        """Remember a nonce until `until`; False when it is remembered already."""
        with self.atomic():
            self._db.execute("DELETE FROM nonces WHERE agent_id = ? AND until <= ?", (agent_id, at))
            used = self.rows("INSERT OR IGNORE INTO nonces VALUES (?, ?, ?) RETURNING 1", agent_id, nonce, until)
        return bool(used)

    def take_rate(self, keys: Iterable[tuple[str, int]], at: int) -> tuple[int, int] | None:
        """Count one call in the sliding minute of each key, or in none.

        Args:
            keys: what is limited, and its calls per minute.
            at: now.

        Returns:
            None when all had room; else the limit that had none and in how many whole seconds it has again.
        """
        second = at // 1000
        with self.atomic():
            for key, limit in keys:
                used, oldest = self._row(
                    "SELECT coalesce(sum(calls), 0), min(second) FROM rates WHERE key = ? AND second > ?",
                    key,
                    second - RATE_WINDOW_SECONDS,
                ) or (0, None)
                if used >= limit:
                    return limit, max(1, (second if oldest is None else oldest) + RATE_WINDOW_SECONDS - second)
            for key, _ in keys:
                self._db.execute(
                    "INSERT INTO rates VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET calls = calls + 1", (key, second)
                )
        return None

    def sweep(self, at: int) -> None:
        """Forget what is past its window."""
        with self.atomic():
            self._db.execute("DELETE FROM answers WHERE created_at <= ?", (at - ANSWER_WINDOW_MS,))
            self._db.execute("DELETE FROM nonces WHERE until <= ?", (at,))
            self._db.execute("DELETE FROM rates WHERE second <= ?", (at // 1000 - RATE_WINDOW_SECONDS,))

    # -- the shared hands of the other books -------------------------------------------------------------------------

    def atomic(self) -> AbstractContextManager[object]:
        """A transaction: all of what is written inside, or nothing. May be nested."""
        return self._db

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement to its end; a half-read RETURNING would keep its transaction open."""
        return self._db.execute(sql, values).fetchall()

    def credit(self, agent_id: str, kind: str, amount: int, at: int) -> None:
        """Put money into a wallet (or, negative, take it out) and write down why. Inside a transaction."""
        [(balance,)] = self.rows(
            "UPDATE agents SET balance = balance + ? WHERE agent_id = ? RETURNING balance", amount, agent_id
        )
        self.rows(
            "INSERT INTO credits (agent_id, kind, amount, balance_after, created_at) VALUES (?, ?, ?, ?, ?)",
            agent_id,
            kind,
            amount,
            balance,
            at,
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

    def calls_by_capability(self) -> dict[str, int]:
        """How often each capability was sold."""
        return dict(self.rows("SELECT capability, count(*) FROM transactions GROUP BY capability"))

    def _row(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        rows = self.rows(sql, *values)
        return rows[0] if rows else None

    def _count(self, sql: str, *values: Any) -> int:
        row = self._row(sql, *values)
        return int(row[0]) if row else 0

    def _meta(self, key: str) -> str | None:
        row = self._row("SELECT value FROM meta WHERE key = ?", key)
        return row[0] if row else None

    def _set_meta(self, key: str, value: str) -> None:
        self._db.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value)
        )


def new_transaction_id() -> str:
    """A fresh transaction id, a version 4 UUID as the Hub's are."""
    value = bytearray(secrets.token_bytes(16))
    value[6], value[8] = value[6] & 0x0F | 0x40, value[8] & 0x3F | 0x80
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
