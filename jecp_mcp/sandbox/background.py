"""What the Hub does by itself: it approves refunds that nobody answered, and tells of what happened."""

from __future__ import annotations

import logging
from typing import Final

import anyio

from jecp_mcp.ajp_server.signals import Bell, wait
from jecp_mcp.clock import Clock
from jecp_mcp.sandbox.hub_database import HubDatabase
from jecp_mcp.sandbox.payments import Payments
from jecp_mcp.sandbox.webhooks.dispatcher import AFTER_FAULT_SECONDS, Dispatcher

_LONGEST_SECONDS: Final = 60.0
"""How long it sleeps at most: a machine that slept wakes with another time."""

log = logging.getLogger(__name__)


class Background:
    """The Hub's own work."""

    def __init__(self, database: HubDatabase, payments: Payments, dispatcher: Dispatcher, bell: Bell) -> None:
        """Work whenever `bell` rings, or something is due."""
        self._database, self._payments, self._bell = database, payments, bell
        self.dispatcher = dispatcher

    async def run(self, clock: Clock) -> None:
        """Work until cancelled."""
        async with anyio.create_task_group() as group:
            while True:
                rung = self._bell.next_ring
                await self._database.free()
                try:
                    self._payments.approve_due_refunds(clock.now())
                    due = [self.dispatcher.send_due(group), self._payments.next_due_refund()]
                except HubDatabase.Fault as exc:
                    log.warning("the Hub's books cannot be written now: %s", exc)
                    seconds = AFTER_FAULT_SECONDS
                else:
                    left = [(at - clock.now()) / 1000 for at in due if at is not None]
                    seconds = max(0.0, min([_LONGEST_SECONDS, *left]))
                await wait(rung, anyio.sleep, seconds)
