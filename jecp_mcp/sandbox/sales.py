"""What the Hub sold: settled transactions and the answers kept for repeats. Each sale is one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple
from uuid import uuid4

from jecp_mcp.money import MicroUSDC
from jecp_mcp.sandbox.agents import tier_after
from jecp_mcp.sandbox.hub_database import ANSWER_WINDOW_MS, HubDatabase
from jecp_mcp.sandbox.pricing import usd
from jecp_mcp.sandbox.providers.earnings import Earnings
from jecp_mcp.sandbox.revenue_split import SoldStep, Split, split
from jecp_mcp.sandbox.webhooks.outbox import INVOCATION_COMPLETED, WALLET_LOW_BALANCE, Outbox

LOW_BALANCE = MicroUSDC(500_000)
"""Whoever falls below it is told."""


class StoredAnswer(NamedTuple):
    """The answer kept for a call id."""

    digest: bytes
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Sale:
    """A piece of work that was done and is to be paid; `by_x402` says that it was, and not from the wallet."""

    agent_id: str
    call_id: str
    digest: bytes
    capability: str
    action: str
    price: MicroUSDC
    free: bool
    headers: dict[str, str]
    steps: tuple[SoldStep, ...] = ()
    by_x402: bool = False


class Receipt(NamedTuple):
    """A sale in the books. `method` is ``wallet``, ``free_call`` or ``x402``; `amount` is 0 for a free call."""

    transaction_id: str
    method: str
    amount: MicroUSDC
    shares: Split
    balance_after: int
    free_calls: int
    tier: str


class Sales:
    """The sales in a `HubDatabase`."""

    def __init__(self, database: HubDatabase, earnings: Earnings, outbox: Outbox) -> None:
        self._database, self._earnings, self._outbox = database, earnings, outbox

    def answer(self, agent_id: str, call_id: str, at: int) -> StoredAnswer | None:
        """What an earlier call under this id was answered, within the window."""
        row = self._database.row(
            "SELECT digest, headers, body FROM answers WHERE agent_id = ? AND call_id = ? AND created_at > ?",
            agent_id,
            call_id,
            at - ANSWER_WINDOW_MS,
        )
        return StoredAnswer(row[0], json.loads(row[1]), row[2]) if row else None

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
        taken = 0 if sale.by_x402 else amount
        with self._database.atomic():
            row = self._database.row(
                "UPDATE agents SET balance = balance - ?, free_calls = free_calls - ?, total_calls = total_calls + 1"
                " WHERE agent_id = ? AND balance >= ? AND free_calls >= ?"
                " RETURNING balance, free_calls, total_calls",
                taken,
                int(sale.free),
                sale.agent_id,
                taken,
                int(sale.free),
            )
            if row is None:
                return None
            balance, free_calls, total_calls = row
            method = "free_call" if sale.free else "x402" if sale.by_x402 else "wallet"
            receipt = Receipt(str(uuid4()), method, amount, split(amount), balance, free_calls, tier_after(total_calls))
            self._database.rows(
                "INSERT INTO transactions (transaction_id, agent_id, call_id, capability, action, method, amount,"
                " provider_share, hub_fee, payment_fee, balance_after, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                receipt.transaction_id, sale.agent_id, sale.call_id, sale.capability, sale.action, method,
                amount, *receipt.shares, balance, at,
            )  # fmt: skip
            rest = receipt.shares.provider
            for step in sale.steps if amount else ():
                share = split(step.price).provider
                self._earnings.credit_sale(step.capability, f"{receipt.transaction_id}:{step.step_id}", share, at)
                rest = MicroUSDC(rest - share)
            self._earnings.credit_sale(sale.capability, receipt.transaction_id, rest, at)
            if self._outbox.watches(sale.agent_id):
                self._publish(sale, receipt, taken, at)
            body = render(receipt)
            self._database.rows(
                "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (agent_id, call_id) DO UPDATE SET"
                " digest = excluded.digest, headers = excluded.headers, body = excluded.body,"
                " created_at = excluded.created_at",
                sale.agent_id,
                sale.call_id,
                sale.digest,
                json.dumps(sale.headers),
                body,
                at,
            )
        return body

    def _publish(self, sale: Sale, receipt: Receipt, taken: int, at: int) -> None:
        balance = receipt.balance_after
        completed = {
            "transaction_id": receipt.transaction_id,
            "request_id": sale.call_id,
            "agent_id": sale.agent_id,
            "capability": sale.capability,
            "action": sale.action,
            "method": receipt.method,
            "amount_usdc": usd(receipt.amount),
            "balance_after": usd(balance),
        }
        self._outbox.publish(sale.agent_id, INVOCATION_COMPLETED, completed, at)
        if balance < LOW_BALANCE <= balance + taken:
            low = {"agent_id": sale.agent_id, "balance_usdc": usd(balance), "threshold_usdc": usd(LOW_BALANCE)}
            self._outbox.publish(sale.agent_id, WALLET_LOW_BALANCE, low, at)

    def calls_by_capability(self) -> dict[str, int]:
        """How often each capability was sold."""
        return dict(self._database.rows("SELECT capability, count(*) FROM transactions GROUP BY capability"))
