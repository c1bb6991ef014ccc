"""What the console shows of a Hub's books: a page of each kind, the newest first. It only reads.

A page begins before a place: the number of a row, or for what has none its time and its id. Each is found by an index,
however much there is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from jecp_mcp.sandbox.console.request_log import RecordedRequest, RequestLog
from jecp_mcp.sandbox.hub_database import HubDatabase
from jecp_mcp.sandbox.providers.earnings import OF_TRANSACTION

_NUMBER: Final = re.compile(r"\d{1,18}")
_PLACE: Final = re.compile(r"(\d{1,18})\.(.{1,100})")
_LAST: Final = 2**63 - 1
Row = TypeVar("Row")


class _HasNumber(Protocol):
    @property
    def number(self) -> int: ...


Numbered = TypeVar("Numbered", bound=_HasNumber)


class Page(NamedTuple, Generic[Row]):
    """Some rows, and the place before which the next ones are; None where these are the last."""

    rows: Sequence[Row]
    older: str | None


class Wallet(NamedTuple):
    """An agent and its wallet, micro-USDC."""

    agent_id: str
    name: str
    agent_type: str
    balance: int
    free_calls: int
    total_calls: int
    created_at: int


class Credit(NamedTuple):
    """Money that came into a wallet other than by a sale, or, negative, left it."""

    number: int
    kind: str
    amount: int
    balance_after: int
    created_at: int


class Transaction(NamedTuple):
    """A sale and its split, micro-USDC."""

    number: int
    transaction_id: str
    agent_id: str
    agent_name: str
    call_id: str
    capability: str
    action: str
    method: str
    amount: int
    provider_share: int
    hub_fee: int
    payment_fee: int
    balance_after: int
    created_at: int
    refunded_at: int | None


class Totals(NamedTuple):
    """All sales in sums, micro-USDC."""

    sales: int = 0
    amount: int = 0
    provider_share: int = 0
    hub_fee: int = 0
    payment_fee: int = 0


class ProviderRow(NamedTuple):
    """A provider and what it is owed, micro-USDC."""

    provider_id: str
    namespace: str
    display_name: str
    endpoint_url: str
    country: str
    verified_at: int | None
    stripe_verified_at: int | None
    balance: int
    total_calls: int
    created_at: int


class Entry(NamedTuple):
    """A movement of what a provider is owed, micro-USDC."""

    number: int
    namespace: str
    kind: str
    reference: str
    amount: int
    balance_after: int
    created_at: int


class DeliveryRow(NamedTuple):
    """An event for one webhook. `endpoint_url` is None where the subscription ended."""

    number: int
    endpoint_url: str | None
    event_id: str
    type: str
    status: str
    attempts: int
    next_attempt_at: int
    created_at: int
    ended_at: int | None
    last_error: str | None


class RefundRow(NamedTuple):
    """A refund that was asked for, micro-USDC."""

    refund_id: str
    transaction_id: str
    agent_id: str
    agent_name: str
    amount: int
    returned: int
    reason: str
    status: str
    requested_at: int
    resolved_at: int | None
    note: str | None


_TRANSACTION: Final = (
    "SELECT number, transaction_id, agent_id, name, call_id, capability, action, method, amount, provider_share,"
    " hub_fee, payment_fee, balance_after, transactions.created_at, refunded_at"
    " FROM transactions JOIN agents USING (agent_id)"
)
_WALLET: Final = "SELECT agent_id, name, agent_type, balance, free_calls, total_calls, created_at FROM agents"
_PROVIDER: Final = (
    "SELECT provider_id, namespace, display_name, endpoint_url, country, verified_at, stripe_verified_at, balance,"
    " total_calls, created_at FROM providers"
)
_ENTRY: Final = (
    "SELECT number, namespace, kind, reference, amount, balance_after, provider_entries.created_at"
    " FROM provider_entries JOIN providers USING (provider_id)"
)
_DELIVERY: Final = (
    "SELECT deliveries.number, endpoint_url, event_id, type, deliveries.status, attempts, next_attempt_at,"
    " deliveries.created_at, ended_at, deliveries.last_error"
    " FROM deliveries LEFT JOIN subscriptions USING (subscription_id)"
)
_REFUND: Final = (
    "SELECT refund_id, transaction_id, agent_id, name, amount, returned, reason, status, requested_at, resolved_at,"
    " note FROM refunds JOIN agents USING (agent_id)"
)


class ConsoleRecords:
    """The books of a `HubDatabase` as the console shows them."""

    def __init__(self, database: HubDatabase) -> None:
        self._database = database
        self._summed, self._totals = 0, Totals()

    def totals(self) -> Totals:
        """All sales in sums. A sale stays as it is, so only those are read that came since."""
        row = self._database.row(
            "SELECT max(number), count(*), sum(amount), sum(provider_share), sum(hub_fee), sum(payment_fee)"
            " FROM transactions WHERE number > ?",
            self._summed,
        )
        if row is not None and row[0] is not None:
            self._summed = row[0]
            self._totals = Totals(*(before + more for before, more in zip(self._totals, row[1:], strict=True)))
        return self._totals

    def wallets(self, before: str | None, most: int) -> Page[Wallet]:
        """Agents with their wallets."""
        where = " WHERE (created_at, agent_id) < (?, ?) ORDER BY created_at DESC, agent_id DESC LIMIT ?"
        rows = [Wallet(*row) for row in self._rows(_WALLET + where, *_place(before), most + 1)]
        return _page(rows, most, lambda one: f"{one.created_at}.{one.agent_id}")

    def wallet(self, agent_id: str) -> Wallet | None:
        """One agent's."""
        row = self._database.row(f"{_WALLET} WHERE agent_id = ?", agent_id)
        return None if row is None else Wallet(*row)

    def credits(self, agent_id: str, before: str | None, most: int) -> Page[Credit]:
        """What came into a wallet."""
        rows = self._rows(
            "SELECT number, kind, amount, balance_after, created_at FROM credits WHERE agent_id = ? AND number < ?"
            " ORDER BY number DESC LIMIT ?",
            agent_id,
            number_of(before),
            most + 1,
        )
        return _numbered([Credit(*row) for row in rows], most)

    def transactions(self, agent_id: str | None, before: str | None, most: int) -> Page[Transaction]:
        """Sales, all or one agent's."""
        of, named = ("", ()) if agent_id is None else ("agent_id = ? AND ", (agent_id,))
        where = f" WHERE {of}number < ? ORDER BY number DESC LIMIT ?"
        rows = self._rows(_TRANSACTION + where, *named, number_of(before), most + 1)
        return _numbered([Transaction(*row) for row in rows], most)

    def transaction(self, transaction_id: str) -> Transaction | None:
        """One sale."""
        row = self._database.row(f"{_TRANSACTION} WHERE transaction_id = ?", transaction_id)
        return None if row is None else Transaction(*row)

    def earned(self, transaction_id: str) -> list[Entry]:
        """What providers were owed for a sale and its steps, and what was taken back."""
        where = f" WHERE kind IN ('sale', 'refund') AND {OF_TRANSACTION} ORDER BY number"
        return [Entry(*row) for row in self._rows(_ENTRY + where, transaction_id)]

    def answer(self, agent_id: str, call_id: str) -> bytes | None:
        """The answer that is kept for a call, while it is."""
        row = self._database.row("SELECT body FROM answers WHERE agent_id = ? AND call_id = ?", agent_id, call_id)
        return None if row is None else bytes(row[0])

    def providers(self, before: str | None, most: int) -> Page[ProviderRow]:
        """Providers with what they are owed."""
        where = " WHERE (created_at, provider_id) < (?, ?) ORDER BY created_at DESC, provider_id DESC LIMIT ?"
        rows = [ProviderRow(*row) for row in self._rows(_PROVIDER + where, *_place(before), most + 1)]
        return _page(rows, most, lambda one: f"{one.created_at}.{one.provider_id}")

    def provider(self, namespace: str) -> ProviderRow | None:
        """Who sells under a namespace."""
        row = self._database.row(f"{_PROVIDER} WHERE namespace = ?", namespace)
        return None if row is None else ProviderRow(*row)

    def entries(self, provider_id: str, before: str | None, most: int) -> Page[Entry]:
        """What a provider earned and was paid."""
        where = " WHERE provider_id = ? AND number < ? ORDER BY number DESC LIMIT ?"
        rows = self._rows(_ENTRY + where, provider_id, number_of(before), most + 1)
        return _numbered([Entry(*row) for row in rows], most)

    def payouts(self, before: str | None, most: int) -> Page[Entry]:
        """What was paid out, to all."""
        # Left to choose, SQLite sorts all payouts by the index of their references.
        chosen = _ENTRY.replace("provider_entries JOIN", "provider_entries INDEXED BY provider_payouts JOIN")
        where = " WHERE kind = 'payout' AND number < ? ORDER BY number DESC LIMIT ?"
        return _numbered([Entry(*row) for row in self._rows(chosen + where, number_of(before), most + 1)], most)

    def deliveries(self, before: str | None, most: int, *, dead: bool) -> Page[DeliveryRow]:
        """What webhooks were told, or are to be; with `dead` the dead letters alone."""
        only = "deliveries.status = 'dead' AND " if dead else ""
        where = f" WHERE {only}deliveries.number < ? ORDER BY deliveries.number DESC LIMIT ?"
        return _numbered(
            [DeliveryRow(*row) for row in self._rows(_DELIVERY + where, number_of(before), most + 1)], most
        )

    def delivery(self, number: str) -> tuple[DeliveryRow, bytes] | None:
        """One of them, with its body."""
        row = self._database.row(f"{_DELIVERY} WHERE deliveries.number = ?", number_of(number))
        body = self._database.row("SELECT body FROM deliveries WHERE number = ?", number_of(number))
        return None if row is None or body is None else (DeliveryRow(*row), bytes(body[0]))

    def refunds(self, before: str | None, most: int) -> Page[RefundRow]:
        """Refunds that were asked for."""
        where = " WHERE (requested_at, refund_id) < (?, ?) ORDER BY requested_at DESC, refund_id DESC LIMIT ?"
        rows = [RefundRow(*row) for row in self._rows(_REFUND + where, *_place(before), most + 1)]
        return _page(rows, most, lambda one: f"{one.requested_at}.{one.refund_id}")

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._database.rows(sql, *values)


def number_of(text: str | None) -> int:
    """A row's number as it stands in an address; one after all rows where there is none."""
    return int(text) if text and _NUMBER.fullmatch(text) else _LAST


def requests_before(log: RequestLog, before: str | None, most: int) -> Page[RecordedRequest]:
    """A page of the requests that are kept."""
    return _numbered(log.newest(number_of(before), most + 1), most)


def _place(before: str | None) -> tuple[int, str]:
    found = _PLACE.fullmatch(before or "")
    return (int(found[1]), found[2]) if found else (_LAST, "")


def _page(rows: Sequence[Row], most: int, place: Callable[[Row], str]) -> Page[Row]:
    shown = rows[:most]
    return Page(shown, place(shown[-1]) if len(rows) > most else None)


def _numbered(rows: Sequence[Numbered], most: int) -> Page[Numbered]:
    return _page(rows, most, lambda one: str(one.number))
