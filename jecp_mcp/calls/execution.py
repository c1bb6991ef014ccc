"""A reserved call on its way: executed by its rail and concluded in the ledger; or found out about afterwards."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from jecp_mcp.calls import refusals
from jecp_mcp.calls.clock_check import ClockCheck
from jecp_mcp.calls.ends import conclusion, ended, kept_answer, refused, soon, standing
from jecp_mcp.calls.journal import CallJournal
from jecp_mcp.calls.ports import CallEnd, Charge
from jecp_mcp.calls.reserving import Reserved
from jecp_mcp.calls.runs import Run
from jecp_mcp.clock import Clock
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.outcomes import Entry, Mark, Outcome, Verdict
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import LedgerDamaged, LedgerError, WireError
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.caps import meters_for
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.mandate.records import CallRow, Conclusion
from jecp_mcp.mandate.states import CHARGED, FREE, OPEN, State
from jecp_mcp.money import ZERO, MicroUSDC, format_usdc
from jecp_mcp.rails.base import OpenCall, Progress, Rail, StoredRequest
from jecp_mcp.rails.registry import Rails

log = logging.getLogger(__name__)

_AFTER_FAULT_MS: Final = 60_000
"""When a call is asked for again during which this program failed."""

_UNSERVED_MS: Final = 600_000
"""How long a call is left alone whose account is not here."""

_EVENTS_AT_ONCE: Final = 1_000
_UNPROVEN: Final = frozenset({Verdict.IN_DOUBT, Verdict.PENDING})


class Execution:
    """Has rails work on calls, and tells the ledger what came of it."""

    def __init__(self, policy: Policy, ledger: Ledger, rails: Rails, clock: Clock, clock_check: ClockCheck) -> None:
        self._policy = policy
        self._ledger = ledger
        self._rails = rails
        self._clock = clock
        self._clock_check = clock_check

    async def execute(self, reserved: Reserved, run: Run) -> CallEnd:
        """Send a call for the first time, and conclude it."""
        order, request, admitted = reserved.order, reserved.request, reserved.admitted
        # What whoever waits hears if this process ends before the payee has answered.
        left = refusals.left_running(request.hold)
        run.stand(CallEnd(Charge.UNKNOWN, request.call_id, order.offer, refusal=left, held=request.hold))
        journal = CallJournal(
            self._ledger,
            self._clock,
            request.call_id,
            request.hold,
            reserved.meters,
            admitted.claim,
            since=reserved.asked_at,
            admitted_at=admitted.at,
            reserved=not request.sent_first,
        )
        if order.answer is not None:
            free = "asking for the price brought the answer"
            outcome = Outcome(Verdict.NOT_CHARGED, ZERO, order.answer, None, free, attempts=0)
        else:
            try:
                outcome = await order.rail.execute(OpenCall(request), journal, run.relay)
            except Exception:
                # Whatever broke, the call may have left, and stays open; `failure_end` logs what it was.
                self._broken(request.call_id, admitted.claim)
                raise
            if journal.reserved and outcome.verdict is not Verdict.NOT_CHARGED:
                # The ledger takes it for sent, so that no money is lost. Its bytes had no fence.
                log.error(
                    "the rail %s sent the call %s without saying so before; that is a fault of this program",
                    request.rail,
                    request.call_id,
                )
        end = await self._conclude(request.call_id, admitted.claim, outcome, request.hold, journal, offer=order.offer)
        return end if end.offer is order.offer else replace(end, offer=order.offer)

    async def look_into(self, row: CallRow, run: Run) -> CallEnd:
        """How a call stands, once its payee was asked where that is to be done."""
        if not is_unfinished(row):
            return standing(row)
        run.working.add(row.call_id)
        return await self.find_out(row, run.relay)

    async def look_again(self, row: CallRow, run: Run) -> CallEnd:
        """As `look_into`, at a call that was open when it was read: another run of it may have ended since.

        Raises:
            LedgerError: it cannot be read again.
        """
        row = await self._ledger.row(row.call_id) or row
        run.late = not is_unfinished(row)
        return await self.look_into(row, run)

    async def find_out(self, row: CallRow, progress: Progress) -> CallEnd:
        """Find out about an open call of this process, unless that is no longer safe.

        One that another living process owns is that one's to finish. Whether it is still safe only a clock can tell
        that was confirmed just now: this machine may have slept unnoticed, or its clock may have leapt.
        """
        elsewhere = self.elsewhere(row)
        if row.owner != self._ledger.session:
            return elsewhere or standing(row)
        fault = await self._clock_check.fault(self._rails.witness(row.rail, row.account), fresh=True)
        if fault is not None:
            unasked = replace(standing(row), refusal=refusals.held_back(row, fault, row.look_again_at))
            return elsewhere or unasked
        lapsed = row.provable_until is not None and self._clock.now() >= row.provable_until
        if lapsed and row.state in OPEN:
            self._ledger.write_off(row.call_id, "the time in which its payee still knows it has passed")
            return standing(replace(row, state=State.WRITTEN_OFF))
        rail = self._rails.serving(row.rail, row.account)
        if rail is None:
            self._later(row, "the account that it was sent by is not here")
            return elsewhere or standing(row)
        try:
            return await self._found_out(row, rail, progress)
        except Exception:
            # As where it was executed.
            self._broken(row.call_id, row.claim)
            raise

    def elsewhere(self, row: CallRow) -> CallEnd | None:
        """How an open call stands that only who has its account, or its payer, can find out about; else None."""
        if not is_unfinished(row) or self._rails.serves(row.rail, row.account, row.authorized):
            return None
        here = self._rails.serves(row.rail, row.account)
        called = self._policy.naming.row(row)
        return replace(standing(row), refusal=(refusals.payer_not_here if here else refusals.account_not_here)(called))

    async def taken_over(self, row: CallRow, working: Collection[str]) -> CallRow:
        """The call as it stands, taken over if nobody works on it.

        Args:
            working: the ids of the calls that tasks of this process work on.
        """
        mine = row.owner == self._ledger.session
        if row.state not in OPEN or (mine and (is_unfinished(row) or row.call_id in working)):
            return row
        try:
            await self._ledger.adopt_orphans(self._rails.serves, working)
            return await self._ledger.row(row.call_id) or row
        except LedgerError as exc:
            log.error("call %s could not be taken over: %s", row.call_id, exc)  # noqa: TRY400 - the cause is in the message
            return row

    async def _found_out(self, row: CallRow, rail: Rail, progress: Progress) -> CallEnd:
        meters = meters_for(self._policy.caps, self._policy.naming.names(row.names), row.principal, row.session)
        journal = CallJournal(
            self._ledger,
            self._clock,
            row.call_id,
            row.held,
            meters,
            row.claim,
            since=row.created_at,
            admitted_at=None,
            forbidden=self._forbidden(row),
        )
        request = StoredRequest(row.rail, row.account, row.call_id, row.held, row.request, row.provable_until)
        entries = await self._entries(row) if row.mark is not None else ()
        call = OpenCall(request, row.attempts, entries, kept_answer(row), row.state in CHARGED, row.reference)
        outcome = await rail.find_out(call, journal, progress)
        end = await self._conclude(row.call_id, row.claim, outcome, row.held, journal, row)
        return replace(end, stored=True)

    def _forbidden(self, row: CallRow) -> Refusal | None:
        """Why nothing may leave that could still buy a call: the operator may have forbidden it since it was sent.

        A payee that is known to have taken it on buys nothing anew, and is asked all the same; that a payment was to be
        signed says nothing of it yet.
        """
        if row.mark not in {None, Mark.AUTHORIZED}:
            return None
        naming = self._policy.naming
        prohibitions = self._policy.prohibitions(naming.names(row.names), naming.row(row).offer, self._clock.now())
        return next(prohibitions, None)

    async def _entries(self, row: CallRow) -> tuple[Entry, ...]:
        """What its rail wrote down of a call, oldest first.

        Raises:
            LedgerError: it cannot be read, or what it was about to pay for good is not there.
        """
        found: list[Entry] = []
        after = 0
        while events := await self._ledger.events(row.call_id, after=after, limit=_EVENTS_AT_ONCE):
            after = events[-1].number
            found += [
                Entry(Mark(str(event.facts["mark"])), str(event.facts.get("data", "")))
                for event in events
                if event.event == chain.NOTE
            ]
        if row.mark is Mark.INTENT and all(entry.mark is not Mark.INTENT for entry in found):
            raise LedgerDamaged(f"what the call {row.call_id} was about to pay is not in its events")
        return tuple(found)

    async def _conclude(
        self,
        call_id: str,
        claim: int,
        outcome: Outcome,
        hold: MicroUSDC,
        journal: CallJournal,
        row: CallRow | None = None,
        offer: Offer | None = None,
    ) -> CallEnd:
        """Tell the ledger, and whoever waits.

        Args:
            offer: what was bought, where that is known.
            row: how the call stood, where it had been sent before.
        """
        concluded = conclusion(call_id, outcome, claim, self._clock.now())
        self._ledger.conclude(concluded)
        if concluded.charged > hold:
            log.warning(
                "call %s: its payee charged %s USDC, more than the %s it was allowed; the operator must rule on it",
                call_id,
                format_usdc(concluded.charged),
                format_usdc(hold),
            )
        overruled = await self._overruled(call_id, claim, outcome, hold, journal)
        if overruled is not None:
            return overruled
        if row is not None and row.state in CHARGED:
            return standing(row)
        if row is None or outcome.answer is not None or outcome.verdict not in _UNPROVEN:
            return ended(call_id, offer, outcome, hold)
        end = standing(replace(row, attempts=row.attempts + concluded.attempts))
        why = journal.held_back
        if why is None:
            return end
        return replace(end, refusal=refusals.held_back(row, why.refusal, concluded.look_again_at))

    async def _overruled(
        self, call_id: str, claim: int, outcome: Outcome, hold: MicroUSDC, journal: CallJournal
    ) -> CallEnd | None:
        """How a call stands that was taken over meanwhile, where that counts more than what this process found out.

        Only who still has the claim may say that nothing was charged: whoever took it over may have been charged. Nor
        is what a rail meant to spend for good ever free by its own word.
        None where this process's word stands, or where nothing can be read that speaks against it.
        """
        if outcome.verdict is not Verdict.NOT_CHARGED and not journal.taken:
            return None
        try:
            await self._ledger.flush()
            row = await self._ledger.row(call_id)
        except LedgerError as exc:
            log.error("call %s cannot be read: %s", call_id, exc)  # noqa: TRY400 - the cause is in the message
            unread = CallEnd(Charge.UNKNOWN, call_id, refusal=refusals.unreadable(exc), held=hold)
            return unread if journal.taken or journal.committed else None
        if row is None:
            return None
        return standing(row) if journal.taken or row.claim != claim or row.state not in FREE else None

    def _broken(self, call_id: str, claim: int) -> None:
        """Note that a rail raised, which it promises not to: the row must not wait for a task that has ended."""
        now = self._clock.now()
        self._ledger.conclude(
            Conclusion(
                call_id,
                Verdict.IN_DOUBT,
                claim=claim,
                evidence="the bridge failed during the call",
                look_again_at=soon(now + _AFTER_FAULT_MS, now),
            )
        )

    def _later(self, row: CallRow, evidence: str) -> None:
        """Leave a call for a while that is due to be asked for."""
        now = self._clock.now()
        if row.look_again_at is not None and row.look_again_at > now:
            return
        until = now + _UNSERVED_MS if row.provable_until is None else row.provable_until
        at = soon(min(now + _UNSERVED_MS, until), now)
        self._ledger.conclude(
            Conclusion(row.call_id, Verdict.IN_DOUBT, claim=row.claim, evidence=evidence, attempts=0, look_again_at=at)
        )


def may_turn(row: CallRow) -> bool:
    """Whether a call was charged, and its payee may yet say otherwise."""
    return row.state in CHARGED and row.look_again_at is not None


def is_unfinished(row: CallRow) -> bool:
    """Whether an attempt of a call has ended without a proven end, so that somebody is to look again."""
    return row.state is State.IN_DOUBT or is_pending(row)


def is_pending(row: CallRow) -> bool:
    """Whether a call's payee is known to work on it."""
    return row.state is State.SENT and row.look_again_at is not None


def failure_end(known: CallEnd, fault: Exception) -> CallEnd:
    """How a call ends that failed here, `known` to stand so far.

    It has an id from before anything of it can leave; until then, what the ledger or the request lacks is all there is.
    """
    if known.call_id is None and isinstance(fault, LedgerError):
        return refused(refusals.ledger_trouble(fault), known.offer)
    if known.call_id is None and isinstance(fault, WireError):
        return refused(refusals.unwritable(fault), known.offer)
    log.error("the call %s failed inside the bridge", known.call_id or "that was not sent", exc_info=fault)
    refusal = refusals.unreadable(fault) if isinstance(fault, LedgerError) else refusals.bridge_fault()
    return CallEnd(Charge.UNKNOWN, known.call_id, known.offer, refusal=refusal, held=known.held)
