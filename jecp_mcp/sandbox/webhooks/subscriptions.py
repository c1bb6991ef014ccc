"""Who wants to be told of what, and where. Each change is one transaction."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jecp_mcp.clock import iso
from jecp_mcp.sandbox.error_answers import Refused
from jecp_mcp.sandbox.hub_database import HubDatabase
from jecp_mcp.sandbox.webhooks.tables import SCHEMA

MOST_SUBSCRIPTIONS = 20
"""How many one subscriber may have."""
_SECRET_BYTES = 32
_COLUMNS = (
    "subscription_id, subscriber, endpoint_url, events, status, hmac_secret, created_at, last_success_at, last_error,"
    " failures"
)


@dataclass(frozen=True, slots=True)
class Subscription:
    """One endpoint that is told of events.

    Attributes:
        subscriber: the agent's id, or whoever else has an account.
        events: the types it wants; none means all.
        hmac_secret: base64; shown when it is made, and never again.
        failures: how many tries failed since the last one that did not.
    """

    subscription_id: str
    subscriber: str
    endpoint_url: str
    events: tuple[str, ...]
    status: str
    hmac_secret: str = field(repr=False)
    created_at: int
    last_success_at: int | None
    last_error: str | None
    failures: int

    def view(self) -> dict[str, Any]:
        """The subscription as its owner reads it, without the secret."""
        return {
            "subscription_id": self.subscription_id,
            "endpoint_url": self.endpoint_url,
            "events": list(self.events),
            "status": self.status,
            "created_at": iso(self.created_at),
            "last_success_at": None if self.last_success_at is None else iso(self.last_success_at),
            "last_error": self.last_error,
            "failures_consecutive": self.failures,
        }


class Subscriptions:
    """The subscriptions in a `HubDatabase`."""

    def __init__(self, database: HubDatabase) -> None:
        self._database = database
        with database.atomic():
            database.rows(SCHEMA)
        # Most calls are of agents that nobody watches: they are told apart without asking the file.
        self._watched = {subscriber for (subscriber,) in database.rows("SELECT subscriber FROM subscriptions")}

    def watches(self, subscriber: str) -> bool:
        """Whether a subscriber may have subscriptions; False is certain."""
        return subscriber in self._watched

    def create(self, subscriber: str, endpoint_url: str, events: Sequence[str], at: int) -> Subscription:
        """Subscribe an endpoint. One that is subscribed already gets these events, and another secret.

        Raises:
            Refused: the subscriber has as many as one may have.
        """
        secret = base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")
        with self._database.atomic():
            others = self._database.count(
                "SELECT count(*) FROM subscriptions WHERE subscriber = ? AND endpoint_url != ?",
                subscriber,
                endpoint_url,
            )
            if others >= MOST_SUBSCRIPTIONS:
                raise Refused("INVALID_REQUEST", f"At most {MOST_SUBSCRIPTIONS} subscriptions; delete one first.")
            [row] = self._database.rows(
                "INSERT INTO subscriptions (subscription_id, subscriber, endpoint_url, events, status, hmac_secret,"  # noqa: S608  # names of columns
                " created_at) VALUES (?, ?, ?, ?, 'active', ?, ?) ON CONFLICT (subscriber, endpoint_url) DO UPDATE SET"
                " events = excluded.events, status = 'active', hmac_secret = excluded.hmac_secret"
                f" RETURNING {_COLUMNS}",
                f"sub_{secrets.token_hex(12)}",
                subscriber,
                endpoint_url,
                json.dumps(list(events)),
                secret,
                at,
            )
        self._watched.add(subscriber)
        return _subscription(row)

    def of(self, subscriber: str) -> list[Subscription]:
        """A subscriber's subscriptions, the newest first."""
        sql = f"SELECT {_COLUMNS} FROM subscriptions WHERE subscriber = ? ORDER BY number DESC"  # noqa: S608  # as above
        return [_subscription(row) for row in self._database.rows(sql, subscriber)]

    def get(self, subscription_id: str, subscriber: str) -> Subscription:
        """One of a subscriber's.

        Raises:
            Refused: the subscriber has none of this id.
        """
        for found in self.of(subscriber):
            if found.subscription_id == subscription_id:
                return found
        raise Refused("NOT_FOUND", "You have no subscription of this id.")

    def update(
        self,
        subscription_id: str,
        subscriber: str,
        *,
        endpoint_url: str | None = None,
        events: Sequence[str] | None = None,
        status: str | None = None,
    ) -> Subscription:
        """Change what is given of a subscription.

        Raises:
            Refused: the subscriber has none of this id, or has another one at that endpoint.
        """
        with self._database.atomic():
            self.get(subscription_id, subscriber)
            if any(
                one.endpoint_url == endpoint_url
                for one in self.of(subscriber)
                if one.subscription_id != subscription_id
            ):
                raise Refused("INVALID_REQUEST", "Another subscription of yours has this endpoint_url.")
            self._database.rows(
                "UPDATE subscriptions SET endpoint_url = coalesce(?, endpoint_url), events = coalesce(?, events),"
                " status = coalesce(?, status) WHERE subscription_id = ?",
                endpoint_url,
                None if events is None else json.dumps(list(events)),
                status,
                subscription_id,
            )
            return self.get(subscription_id, subscriber)

    def delete(self, subscription_id: str, subscriber: str) -> None:
        """End a subscription; what was still to be told is told no more.

        Raises:
            Refused: the subscriber has none of this id.
        """
        with self._database.atomic():
            self.get(subscription_id, subscriber)
            self._database.rows("DELETE FROM deliveries WHERE subscription_id = ?", subscription_id)
            self._database.rows("DELETE FROM subscriptions WHERE subscription_id = ?", subscription_id)


def _subscription(row: tuple[Any, ...]) -> Subscription:
    subscription_id, subscriber, endpoint_url, events, *rest = row
    return Subscription(subscription_id, subscriber, endpoint_url, tuple(json.loads(events)), *rest)
