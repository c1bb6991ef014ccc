"""Works on the jobs that were accepted, one after another, each in its time."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

import anyio

from jecp_mcp.ajp_server.results import Ended, expired, failed, job_of, signed_ending
from jecp_mcp.ajp_server.signals import Bell, Sleep
from jecp_mcp.ajp_server.store import JobStore, StoredJob, StoreUnavailable, insist
from jecp_mcp.ajp_server.work import Job, JobFailed, Terms, Work, Worker
from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.wire.ajp.canonical import LARGE
from jecp_mcp.wire.ajp.offer import JobOffer, read_offer
from jecp_mcp.wire.ajp.signatures import Signer

_MOST_ATTEMPTS: Final = 3
"""How often a job is begun on which the process dies every time."""
_DAY_MS: Final = 86_400_000

_log = logging.getLogger(__name__)

Ending = Callable[[Job, Work], Ended]
"""How a job ends with the work that was done."""


class Runner:
    """Works on jobs. What it was doing when the process ended is begun anew by the next one."""

    def __init__(
        self,
        store: JobStore,
        work: Worker,
        ending: Ending,
        terms: Terms,
        *,
        agent: str,
        signer: Signer,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self.accepted, self.ended = Bell(), Bell()
        self._store, self._work, self._ending, self._terms = store, work, ending, terms
        self._agent, self._signer, self._clock, self._sleep = agent, signer, clock, sleep

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            accepted = self.accepted.next_ring
            stored = await insist(lambda: self._store.begin(self._clock.now()), self._sleep)
            if stored is None:
                await accepted.wait()
                continue
            try:
                await self._do(stored)
            except anyio.get_cancelled_exc_class():
                with contextlib.suppress(StoreUnavailable):  # then the next start finds it, and counts an attempt more
                    self._store.put_back(stored.job_id)
                raise

    async def _do(self, stored: StoredJob) -> None:
        offer, _ = read_offer(stored.offer)
        assert stored.began_at is not None, "it was begun"
        if stored.began_at >= offer.expires_at:
            await self._end(stored, offer, expired("the offer expired before the agent came to it"))
        elif stored.attempts > _MOST_ATTEMPTS:
            await self._end(stored, offer, failed(f"the agent was interrupted {_MOST_ATTEMPTS} times and gave up"))
        else:
            await self._work_in_time(stored, offer)

    async def _work_in_time(self, stored: StoredJob, offer: JobOffer) -> None:
        """Work on a job until its time is over. Then it ends, also where the work goes on all the same."""
        job = job_of(offer, stored, self._terms.most_seconds)
        ended = expired(f"the work was cancelled after {job.max_seconds:g} s, which is all the time there was")
        async with anyio.create_task_group() as group:
            time = anyio.CancelScope()

            async def work() -> None:
                nonlocal ended
                with time:
                    found = await self._attempt(job)
                    if not time.cancel_called:
                        ended = found
                        group.cancel_scope.cancel()

            group.start_soon(work)
            await self._sleep(job.max_seconds)
            time.cancel()
            if not group.cancel_scope.cancel_called:
                await self._end(stored, offer, ended)
                return
        await self._end(stored, offer, ended)

    async def _end(self, stored: StoredJob, offer: JobOffer, ended: Ended) -> None:
        now = self._clock.now()
        sign = partial(signed_ending, stored, ended, self._agent, now, self._signer, self._terms.result_bytes)
        if len(stored.offer) > LARGE:  # then its result may be, too
            with anyio.CancelScope(shield=True):  # what is done is not done again
                ended, signed = await anyio.to_thread.run_sync(sign)
        else:
            ended, signed = sign()
        end = partial(
            self._store.end, stored.job_id, ended.status, signed, ended.cost, now, callback=offer.callback is not None
        )
        await insist(end, self._sleep)
        self.ended.ring()
        kept_since = UnixMs(now - self._terms.keep_days * _DAY_MS)
        await insist(partial(self._store.forget_ended, kept_since, now), self._sleep)

    async def _attempt(self, job: Job) -> Ended:
        try:
            return self._ending(job, await self._work(job))
        except JobFailed as exc:
            return failed(_words(exc))
        except (Exception, SystemExit, BaseExceptionGroup):  # noqa: BLE001 - somebody else's code
            # Whatever a worker does wrong is its job's end, not the agent's. The hirer is not shown the inside.
            _log.exception("the work on a job of %s failed", job.sender or "a person")
            return failed("the agent failed at this job")


def _words(exc: JobFailed) -> str:
    try:
        return str(exc)
    except Exception:  # noqa: BLE001 - what somebody else raised makes its words with code of theirs
        _log.exception("a failed job's words could not be made")
        return ""
