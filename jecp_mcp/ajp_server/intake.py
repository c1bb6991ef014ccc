"""What happens to what comes in: an offer is accepted or refused, a job shown, a result acknowledged."""

from __future__ import annotations

import hashlib
from math import ceil
from typing import Any, Final

from jecp_mcp.ajp_server.callbacks import check_callback
from jecp_mcp.ajp_server.refusals import Refused
from jecp_mcp.ajp_server.results import open_report
from jecp_mcp.ajp_server.senders import Senders, host_of
from jecp_mcp.ajp_server.store import JobStore, NewJob
from jecp_mcp.ajp_server.work import Terms
from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.errors import WireError
from jecp_mcp.money import format_usdc
from jecp_mcp.wire.ajp.offer import JobOffer, read_offer
from jecp_mcp.wire.ajp.report import JobStatus

_SKEW_MS: Final = 300_000
"""How far the sender's clock may be off."""
_LONGEST_OFFER_MS: Final = 86_400_000
_MOST_DEPTH: Final = 8
_LEAST_AGAIN: Final = 1
_MOST_AGAIN: Final = 60


class Intake:
    """Takes offers and acknowledgements. Whatever it promises is on the disk before it does."""

    def __init__(
        self, store: JobStore, senders: Senders, terms: Terms, *, agent: str, clock: Clock, loopback: bool
    ) -> None:
        self._store, self._senders, self._terms = store, senders, terms
        self._agent, self._clock, self._loopback = agent, clock, loopback

    async def offer(self, raw: bytes) -> dict[str, Any]:
        """Accept an offer. The same bytes again are the same job, and no more work.

        Returns:
            What is answered with 202.

        Raises:
            Refused: it is not accepted.
        """
        try:
            offer, body = read_offer(raw)
        except WireError as exc:
            raise Refused(400, "the offer is not one of AJP 0.1", errors=[str(exc)]) from exc
        digest = hashlib.sha256(raw).digest()
        accepted = {"job_id": offer.job_id, "status": JobStatus.ACCEPTED.value}
        # What is cheap to see is seen first: whoever is asked for a declaration is asked for a reason.
        if self._known(offer, digest):
            return accepted
        self._check(offer)
        await self._senders.check(offer, body, len(raw))
        # Others came in while the sender's declaration was fetched.
        if self._known(offer, digest):
            return accepted
        sender = offer.sender.provenance_id
        host = None if sender is None else host_of(sender)
        self._check_room()
        self._check_share(sender, host)
        new = NewJob(offer.job_id, digest, raw, offer.expires_at, sender, host, offer.parent_job_id)
        self._store.add(new, self._clock.now())
        return accepted

    def report(self, job_id: str) -> bytes:
        """Where a job stands: the signed bytes, once it has ended.

        Raises:
            Refused: there is no such job.
        """
        stored = self._store.find(job_id)
        if stored is None:
            raise _unknown(job_id)
        return open_report(stored, self._agent) if stored.result is None else stored.result

    def acknowledge(self, job_id: str) -> bool:
        """Take the hirer's acknowledgement of a completed job; False where it was taken before.

        Raises:
            Refused: there is no such job, or nothing to acknowledge.
        """
        stored = self._store.find(job_id)
        if stored is None:
            raise _unknown(job_id)
        if stored.status is not JobStatus.COMPLETED:
            raise Refused(409, f"the job is {stored.status.value}: only a completed one is acknowledged", job_id=job_id)
        return self._store.acknowledge(job_id, self._clock.now())

    def _known(self, offer: JobOffer, digest: bytes) -> bool:
        stored = self._store.find(offer.job_id)
        if stored is not None and stored.digest != digest:
            raise Refused(409, "another offer came under this job_id", code="DUPLICATE_JOB_ID", job_id=offer.job_id)
        return stored is not None

    def _check(self, offer: JobOffer) -> None:
        if offer.to != self._agent:
            raise Refused(403, f"the offer is to another agent; this is {self._agent}", code="WRONG_RECIPIENT")
        self._check_times(offer)
        self._check_chain(offer)
        if offer.callback is not None:
            check_callback(offer.callback, loopback=self._loopback)
        least = self._terms.least_usdc
        if offer.budget.max_usd < least:
            raise Refused(
                402,
                "the offer is too low",
                reason=f"a job costs ${format_usdc(least)} or more; offer it as budget.max_usd",
            )
        self._check_room()

    def _check_times(self, offer: JobOffer) -> None:
        now = self._clock.now()
        if offer.expires_at <= now:
            raise Refused(400, "offer has expired", errors=["expires_at is over"])
        if abs(offer.issued_at - now) > _SKEW_MS:
            minutes = _SKEW_MS // 60_000
            wrong = f"issued_at is more than {minutes} minutes from this agent's clock; sign a new offer"
            raise Refused(400, "the offer cannot be taken", errors=[wrong])
        if offer.expires_at > UnixMs(offer.issued_at + _LONGEST_OFFER_MS):
            wrong = "expires_at is more than a day after issued_at"
            raise Refused(400, "the offer cannot be taken", errors=[wrong])

    def _check_chain(self, offer: JobOffer) -> None:
        """An agent that waits for itself waits until its time is over; two that hire on and on never end."""
        parent = None if offer.parent_job_id is None else self._store.find(offer.parent_job_id)
        if offer.sender.provenance_id == self._agent or (parent is not None and parent.status.open):
            raise Refused(400, "the offer cannot be taken", errors=["this agent would wait for itself"])
        if parent is not None and self._store.depth(parent.job_id, _MOST_DEPTH) == _MOST_DEPTH:
            wrong = f"parent_job_id stands below {_MOST_DEPTH} jobs of this agent, each a part of another"
            raise Refused(400, "the offer cannot be taken", errors=[wrong])

    def _check_room(self) -> None:
        terms = self._terms
        if self._store.open() >= terms.at_once + terms.queue:
            raise self._full("this agent has as many jobs as it takes")

    def _check_share(self, sender: str | None, host: str | None) -> None:
        """So that nobody fills the room for all others."""
        if sender is None or host is None:
            return
        if self._store.open_of(sender) >= self._terms.per_sender:
            raise self._full("this agent has as many of your jobs as it takes of one sender")
        if self._store.open_at(host) >= self._terms.per_host:
            raise self._full("this agent has as many jobs as it takes of senders at your host")

    def _full(self, why: str) -> Refused:
        seconds = ceil(self._store.typical_seconds() / max(1, self._terms.at_once))
        again = min(max(seconds, _LEAST_AGAIN), _MOST_AGAIN)
        return Refused(429, f"{why}; send the same offer again", retry_after=again)


def _unknown(job_id: str) -> Refused:
    return Refused(404, "there is no such job here", job_id=job_id)
