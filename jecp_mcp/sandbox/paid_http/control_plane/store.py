"""What a control plane remembers: decisions by key, receipts, its own secrets. In the file of the chain."""

from __future__ import annotations

import json
import secrets
from typing import Any, Final

from jecp_mcp.sandbox.paid_http.database import Database

_KEY: Final = "flow402 bootstrap key"
_WALLET: Final = "flow402 wallet"


class Store:
    """Decisions and receipts, each as JSON."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def bootstrap_key(self) -> str:
        """The key that it takes, the same at every start."""
        return self._secret(_KEY)

    @property
    def wallet(self) -> bytes:
        """The key of its wallet."""
        return bytes.fromhex(self._secret(_WALLET))

    def _secret(self, name: str) -> str:
        found = self._database.fact(name)
        if found is None:
            found = secrets.token_hex(32)
            self._database.set_fact(name, found)
        return found

    def decision(self, key: str) -> dict[str, Any] | None:
        """What was decided under a key: ``{"digest", "route", "amount", "paid", "decision"}``."""
        kept = self._database.decision(key)
        return None if kept is None else json.loads(kept)

    def keep_decision(self, key: str, entry: dict[str, Any]) -> None:
        """Keep what was decided, in place of what was before."""
        self._database.keep_decision(key, json.dumps(entry))

    def decisions(self) -> dict[str, dict[str, Any]]:
        """All of them, by key, the oldest first."""
        return {key: json.loads(kept) for key, kept in self._database.decisions()}

    def receipt(self, receipt_id: str) -> dict[str, Any] | None:
        """A receipt with when it becomes final, Unix seconds by the chain's clock: ``{"receipt", "final_at"}``."""
        kept = self._database.receipt(receipt_id)
        return None if kept is None else json.loads(kept)

    def keep_receipt(self, entry: dict[str, Any]) -> None:
        """Keep a receipt, in place of what it was before."""
        self._database.keep_receipt(entry["receipt"]["receiptId"], json.dumps(entry))
