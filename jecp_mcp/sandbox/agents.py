"""The Hub's agents: their keys, balances, free calls and trust tiers. Each movement of money is one transaction."""

from __future__ import annotations

import hashlib
import secrets
import string
from typing import NamedTuple

from jecp_mcp.money import MicroUSDC
from jecp_mcp.sandbox.hub_database import HubDatabase
from jecp_mcp.wire.jecp.tiers import TIER_CALLS

VENDOR_PREFIX = "sbx"
_ALPHABET = string.ascii_letters + string.digits
_DAY_MS = 86_400_000


def tier_after(calls: int) -> str:
    """The trust tier that so many completed calls have earned (JECP 02-authentication §6.2)."""
    return [tier for tier, least in TIER_CALLS.items() if calls >= least][-1]


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
        """The trust tier its calls have earned."""
        return tier_after(self.total_calls)

    def holds(self, api_key: str, at: int) -> bool:
        """Whether `api_key` is this agent's, or its previous one within the grace period."""
        hashed = _hash_key(api_key)
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


def _hash_key(api_key: str) -> bytes:
    """A key as it is stored. Keys are random, so a plain digest suffices."""
    return hashlib.sha256(api_key.encode()).digest()


def _new_secret(kind: str, length: int) -> str:
    """A fresh id or key of this Hub: ``sbx_ag_…``, ``sbx_ak_…``."""
    return f"{VENDOR_PREFIX}_{kind}_" + "".join(secrets.choice(_ALPHABET) for _ in range(length))


class Agents:
    """The agents in a `HubDatabase`."""

    def __init__(self, database: HubDatabase) -> None:
        self._database = database

    def default_agent(self, balance: MicroUSDC, free_calls: int, at: int) -> tuple[str, str]:
        """The test agent's id and key, the same after every start; made at the first one."""
        with self._database.atomic():
            agent_id, api_key = self._database.meta("default_agent_id"), self._database.meta("default_api_key")
            if agent_id is None or api_key is None:
                agent_id, api_key = self.register("sandbox", "test", balance, free_calls, at)
                self._database.set_meta("default_agent_id", agent_id)
                self._database.set_meta("default_api_key", api_key)
            return agent_id, api_key

    def register(self, name: str, agent_type: str, balance: MicroUSDC, free_calls: int, at: int) -> tuple[str, str]:
        """Make an agent; gives its id and its key, of which only a digest is kept."""
        agent_id, api_key = _new_secret("ag", 24), _new_secret("ak", 40)
        with self._database.atomic():
            self._database.rows(
                "INSERT INTO agents (agent_id, name, agent_type, key_hash, balance, free_calls, created_at)"
                " VALUES (?, ?, ?, ?, 0, ?, ?)",
                agent_id,
                name,
                agent_type,
                _hash_key(api_key),
                free_calls,
                at,
            )
            if balance:
                self.credit(agent_id, "opening", balance, at)
        return agent_id, api_key

    def get(self, agent_id: str) -> Agent | None:
        """An agent by its id."""
        row = self._database.row(_AGENT, agent_id)
        return Agent(*row) if row else None

    def rotate_key(self, agent_id: str, grace_ms: int, at: int) -> tuple[str, int] | None:
        """Give the agent a new key; the old one works `grace_ms` longer.

        Returns:
            The new key and how many rotations there were within a day, or None past the third.
        """
        with self._database.atomic():
            done = self._database.count(
                "SELECT count(*) FROM rotations WHERE agent_id = ? AND at > ?", agent_id, at - _DAY_MS
            )
            if done >= 3:  # noqa: PLR2004  # the reference Hub's cap per 24 h
                return None
            api_key = _new_secret("ak", 40)
            self._database.rows(
                "UPDATE agents SET previous_hash = key_hash, previous_until = ?, key_hash = ? WHERE agent_id = ?",
                at + grace_ms,
                _hash_key(api_key),
                agent_id,
            )
            self._database.rows("INSERT INTO rotations VALUES (?, ?)", agent_id, at)
            if self._database.meta("default_agent_id") == agent_id:
                self._database.set_meta("default_api_key", api_key)
        return api_key, done + 1

    def adjust(self, agent_id: str, changes: dict[str, int | None], at: int) -> None:
        """Set an agent's balance, free calls, calls or rate limit, for a test."""
        with self._database.atomic():
            if (balance := changes.get("balance")) is not None:
                current = self._database.count("SELECT balance FROM agents WHERE agent_id = ?", agent_id)
                if balance != current:
                    self.credit(agent_id, "set", balance - current, at)
            for column in ("free_calls", "total_calls", "rate_limit_rpm"):
                if column in changes:
                    self._database.rows(
                        f"UPDATE agents SET {column} = ? WHERE agent_id = ?",  # noqa: S608  # one of three names above
                        changes[column],
                        agent_id,
                    )

    def credit(self, agent_id: str, kind: str, amount: int, at: int) -> None:
        """Put money into a wallet (or, negative, take it out) and write down why. Inside a transaction."""
        [(balance,)] = self._database.rows(
            "UPDATE agents SET balance = balance + ? WHERE agent_id = ? RETURNING balance", amount, agent_id
        )
        self._database.rows(
            "INSERT INTO credits (agent_id, kind, amount, balance_after, created_at) VALUES (?, ?, ?, ?, ?)",
            agent_id,
            kind,
            amount,
            balance,
            at,
        )
