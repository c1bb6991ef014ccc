"""Tells whoever settles of the jobs whose hirers acknowledged them, across restarts."""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

import anyio

from jecp_mcp.ajp_server.results import job_of
from jecp_mcp.ajp_server.signals import Bell, Sleep, wait
from jecp_mcp.ajp_server.store import JobStore, StoredJob, insist
from jecp_mcp.ajp_server.work import Settle, Terms
from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.wire.ajp.offer import read_offer

AT_ONCE: Final = 4
"""Of how many jobs whoever settles is told at the same time: one that hangs holds up no other."""
_TELL_SECONDS: Final = 60.0
_AGAIN_MS: Final = 60_000
_LEASE_MS: Final = 120_000
"""For how long nobody else tells of a job that is being told of."""

_log = logging.getLogger(__name__)


class Settlement:
    """Tells of each acknowledged job until it was heard."""

    def __init__(self, store: JobStore, settle: Settle, terms: Terms, clock: Clock, sleep: Sleep) -> None:
        self.acknowledged = Bell()
        self._store, self._settle, self._terms, self._clock, self._sleep = store, settle, terms, clock, sleep

    async def run(self) -> None:
        """Tell of one job after another until cancelled. `AT_ONCE` of these run side by side."""
        while True:
            rung, now = self.acknowledged.next_ring, self._clock.now()
            take = partial(self._store.take_settlement, now, UnixMs(now + _LEASE_MS))
            stored = await insist(take, self._sleep)
            if stored is not None:
                await self._tell(stored)
                continue
            at = await insist(self._store.next_settlement, self._sleep)
            await wait(rung, self._sleep, None if at is None else (at - now) / 1000)

    async def _tell(self, stored: StoredJob) -> None:
        assert stored.cost is not None, "an acknowledged job is completed"
        offer, _ = read_offer(stored.offer)
        try:
            with anyio.fail_after(_TELL_SECONDS):
                await self._settle(job_of(offer, stored, self._terms.most_seconds), stored.cost)
        except (Exception, SystemExit, BaseExceptionGroup):  # noqa: BLE001 - somebody else's code
            # What it was told of stands in the file, and it is told again.
            _log.exception("an acknowledged job could not be settled; it is tried again in %d s", _AGAIN_MS // 1000)
            again = UnixMs(self._clock.now() + _AGAIN_MS)
            await insist(partial(self._store.settle_again, stored.job_id, again), self._sleep)
        else:
            await insist(partial(self._store.settle, stored.job_id, self._clock.now()), self._sleep)
