"""The transactional outbox: an event is written down with what it tells of, and sent afterwards, at least once."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from jecp_mcp import jsontext
from jecp_mcp.ajp_server.signals import Bell
from jecp_mcp.clock import iso
from jecp_mcp.sandbox.error_answers import Refused
from jecp_mcp.sandbox.hub_database import HubDatabase
from jecp_mcp.sandbox.webhooks.subscriptions import Subscriptions

FIRST_RETRY_SECONDS: Final = 60
LONGEST_RETRY_SECONDS: Final = 3_600
MOST_ATTEMPTS: Final = 12
"""As the reference Hub: again after 1, 2, 4 … minutes, an hour at most; after the twelfth it is a dead letter."""
KEPT_MS: Final = 30 * 86_400_000
"""How long it is remembered what was told, and kept for an endpoint that is paused."""
MOST_TESTS: Final = 10
"""How many test events may wait for one endpoint."""
MOST_PLACES: Final = 3
"""How many endpoints of one subscriber are told at once, so that slow ones keep nobody else's waiting."""
_MOST_SHOWN: Final = 100
_MOST_NUMBER: Final = 2**63 - 1

INVOCATION_COMPLETED: Final = "invocation.completed"
INVOCATION_REFUNDED: Final = "invocation.refunded"
REFUND_REQUESTED: Final = "refund.requested"
REFUND_DENIED: Final = "refund.denied"
WALLET_LOW_BALANCE: Final = "wallet.low_balance"
KEY_ROTATED: Final = "agent.key_rotated"
"""The sandbox's own: no other Hub is known to tell of it."""
TEST_SYNTHETIC: Final = "test.synthetic"


class Delivery(NamedTuple):
    """An event that is due at one endpoint."""

    number: int
    subscription_id: str
    subscriber: str
    endpoint_url: str
    hmac_secret: str
    body: bytes
    attempts: int


class Outbox:
    """The deliveries in a `HubDatabase`. `written` rings when there is one to send."""

    def __init__(self, database: HubDatabase, subscriptions: Subscriptions, written: Bell) -> None:
        self._database, self._subscriptions, self.written = database, subscriptions, written

    def watches(self, subscriber: str) -> bool:
        """Whether anybody may want a subscriber's events; False is certain."""
        return self._subscriptions.watches(subscriber)

    def publish(self, subscriber: str, kind: str, data: Mapping[str, Any], at: int) -> None:
        """Write an event down for all of a subscriber's endpoints that want it. Inside a transaction.

        A paused endpoint is told once it is active again.
        """
        if not self._subscriptions.watches(subscriber):
            return
        wanted = [
            one.subscription_id for one in self._subscriptions.of(subscriber) if not one.events or kind in one.events
        ]
        if wanted:
            self._write(wanted, f"evt_{secrets.token_hex(12)}", kind, data, at)

    def publish_test(self, subscription_id: str, at: int) -> str:
        """Write a synthetic event down for one endpoint, whatever it wants; gives the event's id.

        Raises:
            Refused: as many wait already as may.
        """
        event_id = f"evt_test_{secrets.token_hex(12)}"
        data = {"subscription_id": subscription_id, "message": "A test event. Nothing happened."}
        with self._database.atomic():
            waiting = self._database.count(
                "SELECT count(*) FROM deliveries WHERE subscription_id = ? AND type = ? AND status = 'pending'",
                subscription_id,
                TEST_SYNTHETIC,
            )
            if waiting >= MOST_TESTS:
                raise Refused(
                    "RATE_LIMITED",
                    f"{MOST_TESTS} test events wait for this endpoint already.",
                    retry_after=FIRST_RETRY_SECONDS,
                )
            self._write([subscription_id], event_id, TEST_SYNTHETIC, data, at)
        return event_id

    def _write(
        self, subscriptions: Collection[str], event_id: str, kind: str, data: Mapping[str, Any], at: int
    ) -> None:
        body = jsontext.dumps({"id": event_id, "type": kind, "created_at": iso(at), "data": dict(data)})
        for subscription_id in subscriptions:
            self._database.rows(
                "INSERT INTO deliveries (subscription_id, event_id, type, body, status, next_attempt_at, created_at)"
                " VALUES (?, ?, ?, ?, 'pending', ?, ?)",
                subscription_id, event_id, kind, body, at, at,
            )  # fmt: skip
        self.written.ring()

    def due(self, at: int, most: int, busy: Mapping[str, str]) -> list[Delivery]:
        """What is to be sent now: the earliest of each endpoint that is not busy.

        Args:
            at: now.
            most: how many.
            busy: the subscriber of each subscription that is being told; one subscriber has `MOST_PLACES`.
        """
        rows = self._database.rows(
            "WITH first AS ("
            " SELECT min(deliveries.number) AS number, subscription_id, subscriber, endpoint_url, hmac_secret, body,"
            " attempts FROM deliveries JOIN subscriptions USING (subscription_id)"
            " WHERE deliveries.status = 'pending' AND next_attempt_at <= ? AND subscriptions.status = 'active'"
            " AND subscription_id NOT IN (SELECT value FROM json_each(?)) GROUP BY subscription_id),"
            " placed AS (SELECT *, row_number() OVER (PARTITION BY subscriber ORDER BY number) AS place FROM first)"
            " SELECT number, subscription_id, placed.subscriber, endpoint_url, hmac_secret, body, attempts"
            " FROM placed LEFT JOIN json_each(?) AS held ON held.key = placed.subscriber"
            " WHERE place + coalesce(held.value, 0) <= ? ORDER BY number LIMIT ?",
            at,
            json.dumps(list(busy)),
            json.dumps(Counter(busy.values())),
            MOST_PLACES,
            most,
        )
        return [Delivery(*row) for row in rows]

    def next_due(self, busy: Mapping[str, str]) -> int | None:
        """When the next one is to be sent to an endpoint that is not busy and has a place, if any is; see `due`."""
        full = [subscriber for subscriber, places in Counter(busy.values()).items() if places >= MOST_PLACES]
        row = self._database.row(
            "SELECT min(next_attempt_at) FROM deliveries JOIN subscriptions USING (subscription_id)"
            " WHERE deliveries.status = 'pending' AND subscriptions.status = 'active'"
            " AND subscription_id NOT IN (SELECT value FROM json_each(?))"
            " AND subscriber NOT IN (SELECT value FROM json_each(?))",
            json.dumps(list(busy)),
            json.dumps(full),
        )
        return row[0] if row else None

    def note_success(self, delivery: Delivery, at: int) -> None:
        """It was taken."""
        with self._database.atomic():
            self._database.rows(
                "UPDATE deliveries SET status = 'delivered', attempts = attempts + 1, ended_at = ?, last_error = NULL"
                " WHERE number = ?",
                at,
                delivery.number,
            )
            self._database.rows(
                "UPDATE subscriptions SET failures = 0, last_success_at = ?, last_error = NULL"
                " WHERE subscription_id = ?",
                at,
                delivery.subscription_id,
            )
            self._database.rows("DELETE FROM deliveries WHERE status != 'pending' AND ended_at <= ?", at - KEPT_MS)
            self._database.rows(
                "DELETE FROM deliveries WHERE status = 'pending' AND created_at <= ? AND subscription_id IN"
                " (SELECT subscription_id FROM subscriptions WHERE status = 'paused')",
                at - KEPT_MS,
            )

    async def free(self) -> None:
        """Wait until something can be noted without a wait for the disk."""
        await self._database.free()

    async def durable(self) -> None:
        """Wait until what was noted is on the disk. Raises `HubDatabase.Fault` where it cannot be written."""
        await self._database.durable()

    def note_failure(self, delivery: Delivery, reason: str, at: int, *, final: bool) -> None:
        """It was not taken: it is sent again later, or with `final` or after the last try it is a dead letter."""
        attempts = delivery.attempts + 1
        dead = final or attempts >= MOST_ATTEMPTS
        wait = min(FIRST_RETRY_SECONDS * 2 ** (attempts - 1), LONGEST_RETRY_SECONDS)
        with self._database.atomic():
            self._database.rows(
                "UPDATE deliveries SET status = ?, attempts = ?, next_attempt_at = ?, ended_at = ?, last_error = ?"
                " WHERE number = ?",
                "dead" if dead else "pending",
                attempts,
                at + wait * 1000,
                at if dead else None,
                reason,
                delivery.number,
            )
            self._database.rows(
                "UPDATE subscriptions SET failures = failures + 1, last_error = ? WHERE subscription_id = ?",
                reason,
                delivery.subscription_id,
            )

    def deliveries(self, subscriber: str, status: str | None = None) -> list[dict[str, Any]]:
        """What a subscriber was told, or is to be; the newest first. `status` ``dead`` gives the dead letters."""
        rows = self._database.rows(
            "SELECT deliveries.number, subscription_id, event_id, type, deliveries.status, attempts, next_attempt_at,"
            " deliveries.created_at, ended_at, deliveries.last_error"
            " FROM deliveries JOIN subscriptions USING (subscription_id)"
            " WHERE subscriber = ?1 AND (?2 IS NULL OR deliveries.status = ?2)"
            " ORDER BY deliveries.number DESC LIMIT ?3",
            subscriber,
            status,
            _MOST_SHOWN,
        )
        return [_view(row) for row in rows]

    def revive(self, number: int, subscriber: str, at: int) -> None:
        """Send a dead letter again, with all its tries.

        Raises:
            Refused: the subscriber has no such dead letter.
        """
        if number > _MOST_NUMBER:
            raise Refused("NOT_FOUND", "You have no dead letter of this id.")
        with self._database.atomic():
            revived = self._database.rows(
                "UPDATE deliveries SET status = 'pending', attempts = 0, next_attempt_at = ?, ended_at = NULL"
                " WHERE number = ? AND status = 'dead' AND subscription_id IN"
                " (SELECT subscription_id FROM subscriptions WHERE subscriber = ?) RETURNING 1",
                at,
                number,
                subscriber,
            )
        if not revived:
            raise Refused("NOT_FOUND", "You have no dead letter of this id.")
        self.written.ring()


def _view(row: tuple[Any, ...]) -> dict[str, Any]:
    number, subscription_id, event_id, kind, status, attempts, next_attempt_at, created_at, ended_at, last_error = row
    return {
        "delivery_id": number,
        "subscription_id": subscription_id,
        "event_id": event_id,
        "type": kind,
        "status": status,
        "attempts": attempts,
        "next_attempt_at": iso(next_attempt_at) if status == "pending" else None,
        "created_at": iso(created_at),
        "ended_at": None if ended_at is None else iso(ended_at),
        "last_error": last_error,
    }
