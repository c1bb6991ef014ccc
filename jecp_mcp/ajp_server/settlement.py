"""Tells whoever settles of the jobs whose hirers acknowledged them, across restarts."""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

from jecp_mcp.ajp_server.results import job_of
from jecp_mcp.ajp_server.signals import Bell, Sleep, wait
from jecp_mcp.ajp_server.store import JobStore, StoredJob, insist
from jecp_mcp.ajp_server.work import Settle, Terms
from jecp_mcp.clock import Clock
from jecp_mcp.wire.ajp.offer import read_offer

_AGAIN_SECONDS: Final = 60.0

_log = logging.getLogger(__name__)


class Settlement:
    """Tells of each acknowledged job until it was heard."""

    def __init__(self, store: JobStore, settle: Settle, terms: Terms, clock: Clock, sleep: Sleep) -> None:
        self.acknowledged = Bell()
        self._store, self._settle, self._terms, self._clock, self._sleep = store, settle, terms, clock, sleep

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            rung = self.acknowledged.next_ring
            heard = [await self._tell(stored) for stored in await insist(self._store.unsettled, self._sleep)]
            await wait(rung, self._sleep, None if all(heard) else _AGAIN_SECONDS)

    async def _tell(self, stored: StoredJob) -> bool:
        assert stored.cost is not None, "an acknowledged job is completed"
        offer, _ = read_offer(stored.offer)
        try:
            await self._settle(job_of(offer, stored, self._terms.most_seconds), stored.cost)
        except Exception:  # noqa: BLE001 - somebody else's code
            # Somebody else's code: what it was told of stands in the file, and it is told again.
            _log.exception("an acknowledged job could not be settled; it is tried again in %d s", _AGAIN_SECONDS)
            return False
        await insist(partial(self._store.settle, stored.job_id, self._clock.now()), self._sleep)
        return True
