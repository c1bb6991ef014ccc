"""What providers earn and are paid (JECP 04-manifest §10).

Every movement is an entry under the transaction or payout that it belongs to, once, written in the same database
transaction as the provider's balance and, for a sale or a refund, as the agent's.
"""

from __future__ import annotations

import secrets
from typing import Any, Final, NamedTuple

from jecp_mcp.clock import iso
from jecp_mcp.money import MicroUSDC, format_usdc
from jecp_mcp.sandbox.hub_database import HubDatabase

LEAST_PAYOUT: Final = MicroUSDC(10_000_000)
"""Less is not paid out, unless asked otherwise."""
OF_TRANSACTION: Final = "(reference = ?1 OR (reference >= ?1 || ':' AND reference < ?1 || ';'))"
"""What chooses the entries of a transaction and its steps, in SQL.

A step of a composite stands under the transaction's id, a colon and its own: a semicolon comes next.
"""
_STATED: Final = 100
"""How many entries a statement lists."""


class Payout(NamedTuple):
    """Money that left for a provider's account, micro-USDC."""

    payout_id: str
    provider_id: str
    amount: MicroUSDC


class Earnings:
    """The providers' entries in a `HubDatabase`."""

    def __init__(self, database: HubDatabase) -> None:
        self._database = database

    def credit_sale(self, capability: str, transaction_id: str, share: int, at: int) -> None:
        """Owe the provider of `capability` its share of a sale. To be called within the sale's transaction.

        A capability of nobody who registered has none who is owed anything.
        """
        namespace, slash, _ = capability.partition("/")
        row = self._database.row("SELECT provider_id FROM providers WHERE namespace = ?", namespace) if slash else None
        if row is None:
            return
        self._enter(row[0], "sale", transaction_id, share, at)
        self._database.rows("UPDATE providers SET total_calls = total_calls + 1 WHERE provider_id = ?", row[0])

    def take_back(self, transaction_id: str, at: int) -> None:
        """Owe no share of a sale that was refunded. To be called within the refund's transaction."""
        sold = self._database.rows(
            f"SELECT provider_id, reference, amount FROM provider_entries WHERE kind = 'sale' AND {OF_TRANSACTION}",  # noqa: S608  # ours
            transaction_id,
        )
        for provider_id, reference, share in sold:
            self._enter(provider_id, "refund", reference, -share, at)

    def pay_out(self, least: int, at: int) -> list[Payout]:
        """Pay every provider that can be paid what it is owed, if that is at least `least` micro-USDC; all or none."""
        with self._database.atomic():
            due = self._database.rows(
                "SELECT provider_id, balance FROM providers WHERE stripe_verified_at IS NOT NULL AND balance >= ?"
                " ORDER BY provider_id",
                max(1, least),
            )
            paid = [Payout(f"po_{secrets.token_hex(12)}", provider_id, MicroUSDC(owed)) for provider_id, owed in due]
            for payout in paid:
                self._enter(payout.provider_id, "payout", payout.payout_id, -payout.amount, at)
        return paid

    def statement(self, provider_id: str) -> dict[str, Any]:
        """All that a provider earned and was paid, in sums, and its last hundred entries, the newest first."""
        sums = dict(
            self._database.rows(
                "SELECT kind, sum(amount) FROM provider_entries WHERE provider_id = ? GROUP BY kind", provider_id
            )
        )
        rows = self._database.rows(
            "SELECT kind, reference, amount, balance_after, created_at FROM provider_entries WHERE provider_id = ?"
            " ORDER BY number DESC LIMIT ?",
            provider_id,
            _STATED,
        )
        return {
            **_amount("earned", sums.get("sale", 0)),
            **_amount("refunded", -sums.get("refund", 0)),
            **_amount("paid_out", -sums.get("payout", 0)),
            **_amount("balance", sum(sums.values())),
            **_amount("least_payout", LEAST_PAYOUT),
            "entries": [
                {
                    "kind": kind,
                    "reference": reference,
                    **_amount("amount", amount),
                    **_amount("balance_after", balance),
                    "created_at": iso(at),
                }
                for kind, reference, amount, balance, at in rows
            ],
        }

    def _enter(self, provider_id: str, kind: str, reference: str, amount: int, at: int) -> None:
        [(balance,)] = self._database.rows(
            "UPDATE providers SET balance = balance + ? WHERE provider_id = ? RETURNING balance", amount, provider_id
        )
        self._database.rows(
            "INSERT INTO provider_entries (provider_id, kind, reference, amount, balance_after, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            provider_id, kind, reference, amount, balance, at,
        )  # fmt: skip


def _amount(name: str, amount: int) -> dict[str, Any]:
    sign = "-" if amount < 0 else ""
    return {f"{name}_usdc": sign + format_usdc(MicroUSDC(abs(amount))), f"{name}_micro": amount}
