"""Tells hirers of results, where they asked for it: through the gate, a few times, across restarts."""

from __future__ import annotations

import logging
import re
from collections import Counter
from functools import partial
from typing import Final

from jecp_mcp.ajp_server.refusals import Refused
from jecp_mcp.ajp_server.signals import Bell, Sleep, wait
from jecp_mcp.ajp_server.store import JobStore, StoredJob, insist
from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.http import ExchangeFailed
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.settings.merchants import Place, read_place
from jecp_mcp.wire.ajp.offer import Callback, read_offer

_AGAIN_SECONDS: Final = (5, 60)
"""How long after each failed try the next one comes; then there is none."""
_TRY_SECONDS: Final = 10.0
_LEASE_MS: Final = 20_000
"""For how long nobody else tells of a job that is being told of."""
AT_ONCE: Final = 8
"""How many hirers are told at the same time."""
_AT_ONCE_OF_HOST: Final = 2
_BESIDE_MS: Final = 5_000
"""When a hirer's turn comes again whose host is being told of others: one that hangs holds up nobody else."""
_ANSWER_BYTES: Final = 65_536

# What HTTP itself says with a header, or this server does.
_OURS: Final = frozenset(
    {
        "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host",
        "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "user-agent",
    }
)  # fmt: skip
_NAME: Final = re.compile(r"[A-Za-z0-9-]+", re.ASCII)
_VALUE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?", re.ASCII)

_log = logging.getLogger(__name__)


def check_callback(callback: Callback, *, loopback: bool) -> None:
    """See that a hirer can be told.

    Raises:
        Refused: nobody is told there, or not with these headers.
    """
    try:
        place = read_place(callback.url)
    except ValueError as exc:
        raise Refused(400, "the offer cannot be taken", errors=[f"callback.url: {exc}"]) from exc
    if not place.is_reachable(loopback=loopback):
        raise Refused(400, "the offer cannot be taken", errors=["callback.url is no public https address"])
    for name, value in callback.headers.items():
        if _NAME.fullmatch(name) is None or name.lower() in _OURS or _VALUE.fullmatch(value) is None:
            raise Refused(400, "the offer cannot be taken", errors=["callback.headers has one that cannot be sent"])


class Callbacks:
    """Tells hirers of results. A hirer who is told twice was told the same bytes."""

    def __init__(self, store: JobStore, gate: HttpGate, clock: Clock, sleep: Sleep) -> None:
        self._store, self._gate, self._clock, self._sleep = store, gate, clock, sleep
        self._hosts: Counter[str] = Counter()

    async def run(self, ended: Bell) -> None:
        """Tell one hirer after another until cancelled. `AT_ONCE` of these run side by side.

        Args:
            ended: rings when a job has ended.
        """
        while True:
            rung, now = ended.next_ring, self._clock.now()
            take = partial(self._store.take_callback, now, UnixMs(now + _LEASE_MS))
            stored = await insist(take, self._sleep)
            if stored is not None:
                await self._tell(stored)
                continue
            at = await insist(self._store.next_callback, self._sleep)
            await wait(rung, self._sleep, None if at is None else (at - now) / 1000)

    async def _tell(self, stored: StoredJob) -> None:
        offer, _ = read_offer(stored.offer)
        assert offer.callback is not None, "only who asked for it is told"
        place = read_place(offer.callback.url)
        if self._hosts[place.host] >= _AT_ONCE_OF_HOST:
            later = UnixMs(self._clock.now() + _BESIDE_MS)
            await insist(partial(self._store.postpone_callback, stored.job_id, later), self._sleep)
            return
        self._hosts[place.host] += 1
        try:
            await self._try(stored, offer.callback, place)
        finally:
            self._hosts[place.host] -= 1
            self._hosts += Counter()  # which leaves out the hosts that nobody is told at

    async def _try(self, stored: StoredJob, callback: Callback, place: Place) -> None:
        assert stored.result is not None, "nobody is told before a job has ended"
        try:
            answer = await self._gate.exchange(
                "POST",
                place,
                headers={**callback.headers, "Content-Type": "application/json"},
                body=stored.result,
                timeout=_TRY_SECONDS,
                max_bytes=_ANSWER_BYTES,
            )
        except ExchangeFailed as exc:
            told, why = False, exc.reason
        else:
            told, why = 200 <= answer.status < 300, f"HTTP {answer.status}"  # noqa: PLR2004  # HTTP's successes
        again = None if told else next(iter(_AGAIN_SECONDS[stored.callback_tries :]), None)
        if not told:
            more = "it is not tried again" if again is None else f"it is tried again in {again} s"
            _log.warning("a hirer could not be told of a result (%s); %s", why, more)
        at = None if again is None else UnixMs(self._clock.now() + again * 1000)
        await insist(partial(self._store.count_callback, stored.job_id, at), self._sleep)
