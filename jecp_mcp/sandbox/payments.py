"""Money coming into a wallet: checkouts and refunds; and the books shown whole. Each movement is one transaction."""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple

from jecp_mcp.clock import iso
from jecp_mcp.money import MICRO_PER_USDC, MicroUSDC, format_usdc
from jecp_mcp.sandbox.agents import Agents
from jecp_mcp.sandbox.error_answers import Refused
from jecp_mcp.sandbox.hub_database import HubDatabase
from jecp_mcp.sandbox.open_links import OpenLinks
from jecp_mcp.sandbox.pricing import usd
from jecp_mcp.sandbox.providers.earnings import Earnings
from jecp_mcp.sandbox.webhooks.outbox import INVOCATION_REFUNDED, REFUND_DENIED, REFUND_REQUESTED, Outbox

CHECKOUT_MS = 24 * 3_600_000
"""How long a checkout stays open."""
REFUND_WINDOW_MS = 30 * 86_400_000
AUTO_APPROVE_MS = 24 * 3_600_000
REFUNDS_PER_DAY = 5
_DAY_MS = 86_400_000


class Checkout(NamedTuple):
    """A page where a person pays test money."""

    session_id: str
    agent_id: str
    amount: int
    return_to: str | None
    created_at: int
    paid_at: int | None


class RecentCall(NamedTuple):
    """A call that was sold: its action, when (Unix milliseconds), to whom and for how many micro-USDC."""

    action: str
    at: int
    agent_id: str
    agent_name: str
    amount: int
    refunded: bool


class Payments:
    """Checkouts, refunds and the books of a `HubDatabase`."""

    def __init__(
        self, database: HubDatabase, agents: Agents, links: OpenLinks, earnings: Earnings, outbox: Outbox
    ) -> None:
        self._database, self._agents, self._links = database, agents, links
        self._earnings, self._outbox = earnings, outbox

    def open_checkout(self, agent_id: str, amount_usd: int, return_to: str | None, at: int) -> Checkout:
        """Open a checkout over a whole number of USD."""
        checkout = Checkout(
            f"cs_test_{secrets.token_hex(16)}", agent_id, amount_usd * MICRO_PER_USDC, return_to, at, None
        )
        with self._database.atomic():
            self._database.rows("INSERT INTO checkouts VALUES (?, ?, ?, ?, ?, ?)", *checkout)
        self._links.note(checkout.session_id, at)
        return checkout

    def checkout(self, session_id: str, at: int) -> Checkout | None:
        """A checkout by its id; an unpaid one is gone after a day."""
        rows = self._database.rows("SELECT * FROM checkouts WHERE session_id = ?", session_id)
        found = Checkout(*rows[0]) if rows else None
        return found if found and (found.paid_at is not None or at < found.created_at + CHECKOUT_MS) else None

    def pay(self, session_id: str, at: int) -> bool:
        """Pay a checkout: the wallet is credited the first time and never again; whether this was it."""
        with self._database.atomic():
            paid = self._database.rows(
                "UPDATE checkouts SET paid_at = ? WHERE session_id = ? AND paid_at IS NULL AND created_at > ?"
                " RETURNING agent_id, amount",
                at,
                session_id,
                at - CHECKOUT_MS,
            )
            if paid:
                self._agents.credit(paid[0][0], "topup", paid[0][1], at)
                self._links.note_payment(session_id, at)
        return bool(paid)

    # -- refunds (the reference Hub's rule, not JECP's): the Hub keeps 10 % ------------------------------------------

    def request_refund(
        self, agent_id: str, transaction_id: str, reason: str, evidence_url: str | None, at: int
    ) -> dict[str, Any]:
        """Ask for a transaction's money back.

        Raises:
            Refused: the transaction is not there, not the agent's, free, older than 30 days or already asked for, or
                it would be the sixth refund of the day.
        """
        with self._database.atomic():
            rows = self._database.rows(
                "SELECT agent_id, amount, created_at FROM transactions WHERE transaction_id = ?", transaction_id
            )
            if not rows:
                raise Refused("TRANSACTION_NOT_FOUND", "There is no such transaction.")
            owner, amount, created_at = rows[0]
            if owner != agent_id:
                raise Refused("FORBIDDEN", "This transaction belongs to another agent.")
            if amount == 0:
                raise Refused("INVALID_TRANSACTION", "Nothing was charged for this transaction.")
            if at - created_at > REFUND_WINDOW_MS:
                raise Refused("REFUND_WINDOW_EXPIRED", "The transaction is older than 30 days.")
            if self._database.rows("SELECT 1 FROM refunds WHERE transaction_id = ?", transaction_id):
                raise Refused("DUPLICATE_REFUND", "A refund was already asked for this transaction.")
            recent = self._database.rows(
                "SELECT requested_at FROM refunds WHERE agent_id = ? AND requested_at > ? ORDER BY requested_at",
                agent_id,
                at - _DAY_MS,
            )
            if len(recent) >= REFUNDS_PER_DAY:
                wait = min(600, max(1, -((at - recent[0][0] - _DAY_MS) // 1000)))
                raise Refused("RATE_LIMITED", "At most 5 refunds may be asked for a day.", retry_after=wait)
            refund_id = f"rf_{secrets.token_hex(12)}"
            self._database.rows(
                "INSERT INTO refunds VALUES (?, ?, ?, ?, ?, ?, ?, 'requested', ?, NULL, NULL)",
                refund_id,
                transaction_id,
                agent_id,
                amount,
                amount * 90 // 100,
                reason,
                evidence_url,
                at,
            )
            made = self.refund(refund_id, agent_id)
            self._outbox.publish(agent_id, REFUND_REQUESTED, made, at)
            # It is approved by itself in time, which whoever waits for the next thing to do must know.
            self._outbox.written.ring()
        return made

    def refund(self, refund_id: str, agent_id: str) -> dict[str, Any]:
        """One refund as it is answered.

        Raises:
            Refused: the agent has no such refund.
        """
        for shown in self.refunds(agent_id):
            if shown["refund_id"] == refund_id:
                return shown
        raise Refused("REFUND_NOT_FOUND", "There is no such refund.")

    def refunds(self, agent_id: str) -> list[dict[str, Any]]:
        """An agent's refunds, the newest first."""
        rows = self._database.rows(
            "SELECT refund_id, transaction_id, agent_id, amount, returned, reason, evidence_url, status, requested_at,"
            " resolved_at, note FROM refunds WHERE agent_id = ? ORDER BY requested_at DESC, refund_id",
            agent_id,
        )
        return [
            {
                "refund_id": refund_id,
                "status": status,
                "transaction_id": transaction_id,
                "agent_id": owner,
                "amount_usdc": usd(amount),
                "refund_amount_usdc": usd(returned),
                "reason": reason,
                "evidence_url": evidence,
                "requested_at": iso(requested_at),
                "estimated_resolution": iso(requested_at + AUTO_APPROVE_MS) if status == "requested" else None,
                "resolved_at": iso(resolved_at) if resolved_at is not None else None,
                "resolution_note": note,
            }
            for (
                refund_id, transaction_id, owner, amount, returned, reason, evidence, status, requested_at, resolved_at,
                note,
            ) in rows
        ]  # fmt: skip

    def resolve_refund(self, refund_id: str, status: str, note: str | None, at: int) -> bool:
        """Approve (``approved``, ``auto_approved``) or deny (``denied``) an open refund; whether it was open.

        An approval pays 90 % back: the Hub keeps its share.
        """
        with self._database.atomic():
            rows = self._database.rows(
                "UPDATE refunds SET status = ?, resolved_at = ?, note = ? WHERE refund_id = ? AND status = 'requested'"
                " RETURNING agent_id, returned, transaction_id",
                status,
                at,
                note,
                refund_id,
            )
            for agent_id, returned, transaction_id in rows:
                if status != "denied":
                    self._agents.credit(agent_id, "refund", returned, at)
                    self._earnings.take_back(transaction_id, at)
                    self._database.rows(
                        "UPDATE transactions SET refunded_at = ? WHERE transaction_id = ?", at, transaction_id
                    )
                kind = REFUND_DENIED if status == "denied" else INVOCATION_REFUNDED
                self._outbox.publish(agent_id, kind, self.refund(refund_id, agent_id), at)
        return bool(rows)

    def approve_due_refunds(self, at: int) -> None:
        """Approve what nobody answered within 24 hours."""
        due = self._database.rows(
            "SELECT refund_id FROM refunds WHERE status = 'requested' AND requested_at <= ?", at - AUTO_APPROVE_MS
        )
        for (refund_id,) in due:
            self.resolve_refund(refund_id, "auto_approved", "the provider did not answer within 24 hours", at)

    def next_due_refund(self) -> int | None:
        """When the next refund is approved by itself, if one is open."""
        row = self._database.row("SELECT min(requested_at) FROM refunds WHERE status = 'requested'")
        return row[0] + AUTO_APPROVE_MS if row and row[0] is not None else None

    # -- the books ---------------------------------------------------------------------------------------------------

    def recent_calls(self, most: int) -> list[RecentCall]:
        """The last calls of all agents, the newest first."""
        rows = self._database.rows(
            "SELECT capability || ':' || action, transactions.created_at, agent_id, name, amount,"
            " refunded_at IS NOT NULL FROM transactions JOIN agents USING (agent_id) ORDER BY number DESC LIMIT ?",
            most,
        )
        return [RecentCall(*row) for row in rows]

    def books(self, agent_id: str) -> dict[str, Any]:
        """Everything that moved an agent's money, with sums; amounts as decimal text and in micro-USDC."""
        agent = self._agents.get(agent_id)
        assert agent is not None
        transactions = [_transaction(*row) for row in self._database.rows(_TRANSACTIONS, agent_id)]
        credits_ = [
            {
                "kind": kind,
                **_amount_fields("amount", amount),
                **_amount_fields("balance_after", balance),
                "created_at": iso(at),
            }
            for kind, amount, balance, at in self._database.rows(
                "SELECT kind, amount, balance_after, created_at FROM credits WHERE agent_id = ? ORDER BY number",
                agent_id,
            )
        ]
        return {
            "agent_id": agent_id,
            "tier": agent.tier,
            "total_calls": agent.total_calls,
            "free_calls_remaining": agent.free_calls,
            **_amount_fields("balance", agent.balance),
            **_amount_fields("charged", sum(row["amount_micro"] for row in transactions if row["method"] != "x402")),
            **_amount_fields(
                "paid_by_x402", sum(row["amount_micro"] for row in transactions if row["method"] == "x402")
            ),
            **_amount_fields("credited", sum(row["amount_micro"] for row in credits_)),
            **_amount_fields("provider_share", sum(row["provider_share_micro"] for row in transactions)),
            **_amount_fields("hub_fee", sum(row["hub_fee_micro"] for row in transactions)),
            **_amount_fields("payment_fee", sum(row["payment_fee_micro"] for row in transactions)),
            "transactions": transactions,
            "credits": credits_,
            "refunds": self.refunds(agent_id),
        }


def _amount_fields(name: str, amount: int) -> dict[str, Any]:
    return {f"{name}_usdc": format_usdc(MicroUSDC(amount)), f"{name}_micro": amount}


_TRANSACTIONS = (
    "SELECT transaction_id, call_id, capability, action, method, created_at, refunded_at,"
    " amount, provider_share, hub_fee, payment_fee, balance_after FROM transactions WHERE agent_id = ? ORDER BY number"
)
_AMOUNTS = ("amount", "provider_share", "hub_fee", "payment_fee", "balance_after")


def _transaction(
    transaction_id: str,
    call_id: str,
    capability: str,
    action: str,
    method: str,
    created_at: int,
    refunded_at: int | None,
    *amounts: int,
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "transaction_id": transaction_id,
        "call_id": call_id,
        "capability": capability,
        "action": action,
        "method": method,
        "created_at": iso(created_at),
        "refunded": refunded_at is not None,
    }
    for name, amount in zip(_AMOUNTS, amounts, strict=True):
        shown |= _amount_fields(name, amount)
    return shown
