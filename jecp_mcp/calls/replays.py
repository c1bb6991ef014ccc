"""A call whose end is not proven: taken over where nobody works on it, and sent again while that may still prove it."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace

from jecp_mcp.calls import refusals
from jecp_mcp.calls.clock_check import clock_fault
from jecp_mcp.calls.ends import conclusion, ended, soon, standing
from jecp_mcp.calls.ports import CallEnd
from jecp_mcp.calls.sending import Sending
from jecp_mcp.calls.stored import unpack
from jecp_mcp.clock import Clock
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.caps import meters_for
from jecp_mcp.mandate.ledger import CallRow, Conclusion, Ledger
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.mandate.states import OPEN, State, Verdict
from jecp_mcp.rails.base import Outcome, Progress, Rail, StoredRequest

log = logging.getLogger(__name__)

_AFTER_FAULT_MS = 600_000
"""How long a call is left alone that this process cannot send again as it is."""


class Replays:
    """Sends the identical bytes under the same id; never anything else."""

    def __init__(self, policy: Policy, ledger: Ledger, rail: Rail, clock: Clock) -> None:
        self._policy = policy
        self._ledger = ledger
        self._rail = rail
        self._clock = clock

    def serves(self, rail: str, account: str) -> bool:
        """Whether this process can find out about the calls of an account."""
        return rail == self._rail.name and self._rail.serves(account)

    async def taken_over(self, row: CallRow, working: Collection[str]) -> CallRow:
        """The call as it stands, taken over if nobody works on it.

        Args:
            working: the ids of the calls that tasks of this process work on.
        """
        mine = row.owner == self._ledger.session
        if row.state not in OPEN or (mine and (row.state is State.IN_DOUBT or row.call_id in working)):
            return row
        try:
            await self._ledger.adopt_orphans(self.serves, working)
            return await self._ledger.row(row.call_id) or row
        except LedgerError as exc:
            log.error("call %s could not be taken over: %s", row.call_id, exc)  # noqa: TRY400 - the cause is in the message
            return row

    def elsewhere(self, row: CallRow) -> CallEnd | None:
        """How a call in doubt stands that only another account's server can find out about; None for the others."""
        if row.state is not State.IN_DOUBT or self.serves(row.rail, row.account):
            return None
        return replace(standing(row), refusal=refusals.account_not_here(row))

    async def replay(self, row: CallRow, progress: Progress) -> CallEnd:
        """Send a call in doubt again, unless that is no longer safe.

        One that another living process owns is that one's to finish. Whether it is still safe only a clock can tell
        that was confirmed just now: this machine may have slept unnoticed, or its clock may have leapt.
        """
        elsewhere = self.elsewhere(row)
        if row.owner != self._ledger.session:
            return elsewhere or standing(row)
        fault = await clock_fault(self._rail, fresh=True)
        if fault is not None:
            unasked = replace(standing(row), refusal=refusals.held_back(row, fault, row.look_again_at))
            return elsewhere or unasked
        if row.provable_until is not None and self._clock.now() >= row.provable_until:
            self._ledger.write_off(row.call_id, "the time in which its payee still knows it has passed")
            return standing(replace(row, state=State.WRITTEN_OFF))
        if elsewhere is not None:
            self._later(row, "the account that it was sent by is not here")
            return elsewhere
        try:
            request = unpack(row.request)
        except LedgerError as exc:
            log.error("call %s cannot be replayed: %s", row.call_id, exc)  # noqa: TRY400 - the cause is in the message
            self._later(row, "its stored request cannot be read")
            return standing(row)
        return await self._sent(row, request, progress)

    async def _sent(self, row: CallRow, request: StoredRequest, progress: Progress) -> CallEnd:
        meters = meters_for(self._policy.caps, row.names, row.principal, row.session)
        sending = Sending(
            self._ledger,
            self._clock,
            row.call_id,
            row.held,
            meters,
            row.claim,
            since=row.created_at,
            admitted_at=None,
        )
        outcome = await self._rail.execute(request, sending, replay=True, attempts=row.attempts, progress=progress)
        concluded = conclusion(row.call_id, outcome, row.claim, self._clock.now())
        self._ledger.conclude(concluded)
        overruled = await self.overruled(row.call_id, row.claim, outcome, sending)
        if overruled is not None:
            return overruled
        if outcome.answer is not None or outcome.verdict not in {Verdict.IN_DOUBT, Verdict.PENDING}:
            return replace(ended(row.call_id, None, outcome, request), stored=True)
        end = standing(replace(row, attempts=row.attempts + concluded.attempts))
        why = sending.held_back
        if why is None:
            return end
        return replace(end, refusal=refusals.held_back(row, why.refusal, concluded.look_again_at))

    async def overruled(self, call_id: str, claim: int, outcome: Outcome, sending: Sending) -> CallEnd | None:
        """How a call stands that was taken over meanwhile, where that counts more than what this process found out.

        Only who still has the claim may say that nothing was charged: whoever took it over may have been charged.
        None where this process's word stands, or nothing can be read.
        """
        if outcome.verdict is not Verdict.NOT_CHARGED and not sending.taken:
            return None
        try:
            await self._ledger.flush()
            row = await self._ledger.row(call_id)
        except LedgerError as exc:
            log.error("call %s cannot be read: %s", call_id, exc)  # noqa: TRY400 - the cause is in the message
            return None
        return standing(row) if row is not None and (sending.taken or row.claim != claim) else None

    def _later(self, row: CallRow, evidence: str) -> None:
        """Leave a call for a while that is due to be asked for."""
        now = self._clock.now()
        if row.look_again_at is not None and row.look_again_at > now:
            return
        until = now + _AFTER_FAULT_MS if row.provable_until is None else row.provable_until
        at = soon(min(now + _AFTER_FAULT_MS, until), now)
        self._ledger.conclude(
            Conclusion(row.call_id, Verdict.IN_DOUBT, claim=row.claim, evidence=evidence, attempts=0, look_again_at=at)
        )
