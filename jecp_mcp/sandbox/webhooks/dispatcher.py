"""Sends what the outbox holds, signed, through the gate: one at a time to each endpoint, which holds up no other."""

from __future__ import annotations

import logging
from typing import Final

import anyio
from anyio.abc import TaskGroup

from jecp_mcp.http import ExchangeFailed
from jecp_mcp.http_gate import AddressRefused, HttpGate
from jecp_mcp.sandbox.hub_clock import HubClock
from jecp_mcp.sandbox.hub_database import HubDatabase
from jecp_mcp.sandbox.webhooks.outbox import Delivery, Outbox
from jecp_mcp.settings.merchants import read_place
from jecp_mcp.wire.jecp.webhooks import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign

AT_ONCE: Final = 16
AFTER_FAULT_SECONDS: Final = 2.0
_TRY_SECONDS: Final = 10.0
_ANSWER_BYTES: Final = 65_536

log = logging.getLogger(__name__)


class Dispatcher:
    """Delivers. An endpoint that is told twice was told the same body, under the same event id."""

    def __init__(self, outbox: Outbox, gate: HttpGate, clock: HubClock) -> None:
        self._outbox, self._gate, self._clock = outbox, gate, clock
        self._busy: dict[str, str] = {}

    @property
    def under_way(self) -> int:
        """How many are being sent."""
        return len(self._busy)

    def send_due(self, group: TaskGroup) -> int | None:
        """Begin to send what is due; when there is more, in Unix milliseconds, if that is known."""
        now = self._clock.now()
        for delivery in self._outbox.due(now, AT_ONCE - len(self._busy), self._busy):
            self._busy[delivery.subscription_id] = delivery.subscriber
            group.start_soon(self._send, delivery)
        return None if len(self._busy) >= AT_ONCE else self._outbox.next_due(self._busy)

    async def _send(self, delivery: Delivery) -> None:
        refused = False
        try:
            # Dated by everybody's clock, which the one who reads it goes by.
            timestamp = self._clock.unmoved() // 1000
            answer = await self._gate.exchange(
                "POST",
                read_place(delivery.endpoint_url),
                headers={
                    "Content-Type": "application/json",
                    SIGNATURE_HEADER: sign(delivery.hmac_secret, timestamp, delivery.body),
                    TIMESTAMP_HEADER: str(timestamp),
                },
                body=delivery.body,
                timeout=_TRY_SECONDS,
                max_bytes=_ANSWER_BYTES,
            )
        except AddressRefused as exc:
            # A name that was led elsewhere meanwhile is not asked again (JECP ADR-0002).
            failure, refused = f"SSRF_DENIED: {exc.reason}", True
        except ExchangeFailed as exc:
            failure = exc.reason
        else:
            failure = "" if 200 <= answer.status < 300 else f"HTTP {answer.status}"  # noqa: PLR2004  # HTTP's successes
        await self._outbox.free()
        try:
            if failure:
                self._outbox.note_failure(delivery, failure, self._clock.now(), final=refused)
            else:
                self._outbox.note_success(delivery, self._clock.now())
            await self._outbox.durable()
        except HubDatabase.Fault as exc:
            # It stays due, and is sent again once that can be written down.
            log.warning("what became of a webhook cannot be written now: %s", exc)
            await anyio.sleep(AFTER_FAULT_SECONDS)
        del self._busy[delivery.subscription_id]
        self._outbox.written.ring()
