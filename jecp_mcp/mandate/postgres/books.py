"""The calls in PostgreSQL: a batch of changes decided in memory while the head is locked, then written at once.

The rules are those of `jecp_mcp.mandate.books`, change by change; only the way to the rows is another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.errors import ClockWentBack, LedgerError, LedgerUnavailable
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.books import UNDELIVERED_MS, bounded, facts_of
from jecp_mcp.mandate.journal import CLOCK_SLACK_MS
from jecp_mcp.mandate.ledger import Admitted, AlreadyOpen, Conclusion, NotGood, OverLimit, Reservation, Undelivered
from jecp_mcp.mandate.postgres import meters
from jecp_mcp.mandate.postgres.link import Link, Written
from jecp_mcp.mandate.postgres.page import Call, Page, Repeats, Told
from jecp_mcp.mandate.postgres.slips import SlipBook
from jecp_mcp.mandate.postgres.texts import without_nul
from jecp_mcp.mandate.slips import Slip, SlipRef, SlipState
from jecp_mcp.mandate.states import CHARGED, OPEN, Event, State, after
from jecp_mcp.money import MICRO_PER_USDC, MOST_USDC, MicroUSDC

_MOST_HELD = MOST_USDC * MICRO_PER_USDC
_MOST_WHOLE = 2**63
_KEPT = frozenset({State.SETTLED, State.RELEASED, State.RECONCILED_CHARGED, State.RECONCILED_FREE})


class Books:
    """One batch, for one process session. Every change that raises `LedgerError` has changed nothing."""

    def __init__(self, link: Link, page: dict[str, Any], session: str, new_meters: Sequence[str] = ()) -> None:
        """Decide on what was fetched.

        Args:
            new_meters: the facts of the meters that were made for this batch.
        """
        self._link = link
        self._session = session
        self._now = UnixMs(page["now"])
        self._life: str | None = page["life"]
        self._at = UnixMs(max(page["now"], page["last_at"]))
        self._behind: ClockWentBack | None = None
        if page["now"] < page["last_at"] - CLOCK_SLACK_MS:
            self._behind = ClockWentBack(
                f"the server's clock shows {iso(page['now'])}, and the ledger was last written at "
                f"{iso(page['last_at'])}; what has left the limits' windows is not known"
            )
        self._number: int = page["number"]
        self._head: str = page["digest"] or chain.GENESIS
        self._last_call: int = page["last_call"]
        self._page = Page()
        for number, call_id, fingerprint, session_, state, *rest in page["calls"]:
            self._page.add(Call(number, call_id, fingerprint, session_, State(state), *rest))
        self._orphans = set(page["orphans"])
        self._meters = meters.Meters(link, page["meters"], self._at)
        self._written = Written()
        self._told: dict[str, Told] = {}
        self._slips = SlipBook(link, self._stands)
        for facts in new_meters:
            self._append(chain.METER, None, None, facts=facts)

    @property
    def at(self) -> UnixMs:
        """The batch's instant: that of the server's clock, or that of the last change where the clock is behind it."""
        return self._at

    @property
    def last(self) -> tuple[int, str]:
        """The number and digest of the last event, those of this batch included."""
        return self._number, self._head

    def reserve(self, wanted: Reservation, at: UnixMs) -> Admitted | OverLimit | NotGood | Repeats:
        """Write a new call, unless it repeats an open or undelivered one, or a cap has no room.

        Raises:
            LedgerError: the call id is taken, or the session is another process.
            LedgerUnavailable: this session was taken for dead, and its calls are being taken over.
            ClockWentBack: the clock is well behind the last change.
        """
        self._alive()
        if not 0 <= wanted.hold <= _MOST_HELD:
            raise LedgerError(f"a hold of {wanted.hold} micro-USDC is out of bounds")
        if not 0 <= wanted.quoted < _MOST_WHOLE:
            raise LedgerError("the ledger cannot hold a value: the quote is out of bounds")
        same = self._page.by_fingerprint[wanted.fingerprint]
        for call in same:
            if call.state in OPEN:
                return Repeats(AlreadyOpen, call.number)
        kept = [call.number for call in same if self._undelivered(call)]
        if kept:
            return Repeats(Undelivered, max(kept))
        if wanted.call_id in self._page.by_id:
            raise LedgerError(f"the call id {wanted.call_id} is taken")
        if self._behind is not None:
            raise self._behind
        if wanted.uses:
            wrong = self._slips.check(wanted.uses, wanted.fingerprint, wanted.principal, at)
            if wrong is not None:
                return wrong
        counted_in = self._meters.take(wanted.hold, wanted.meters)
        return counted_in if isinstance(counted_in, OverLimit) else self._write(wanted, counted_in, at)

    def _write(self, wanted: Reservation, counted_in: list[int], at: UnixMs) -> Admitted:
        state = State.SENT if wanted.send else State.RESERVED
        self._last_call += 1
        number = self._last_call
        made = Call(
            number,
            wanted.call_id,
            wanted.fingerprint,
            wanted.session,
            state,
            wanted.hold,
            0,
            0,
            at,
            None,
            False,
            False,
            counted_in,
        )
        self._page.add(made)
        self._written.made.append(
            {
                "id": number,
                "call_id": wanted.call_id,
                "principal": wanted.principal,
                "session": wanted.session,
                "tool": wanted.tool,
                "payee": wanted.payee,
                "capability": wanted.capability,
                "action": wanted.action,
                "version": wanted.version,
                "fingerprint": wanted.fingerprint,
                "quoted": wanted.quoted,
                "held": wanted.hold,
                "created_at": at,
                "meters": counted_in,
            }
        )
        self._written.requests[number] = wanted.request
        facts = chain.reserve_facts(wanted.request, ",".join(map(str, counted_in)))
        self._append(chain.RESERVE, made, None, facts=facts, identity=chain.identity_of(wanted))
        for ref in wanted.uses:
            self._slips.use(ref, wanted.call_id)
            self._slip_event(ref, SlipState.USED, call_id=wanted.call_id)
        return Admitted(wanted.call_id, at)

    def send(self, call_id: str) -> bool:
        """Move a ``reserved`` row to ``sent``; False when it is no longer ``reserved``.

        Raises:
            LedgerError: there is no such call.
        """
        call = self._find(call_id)
        before, state = call.state, after(call.state, Event.SEND)
        if state is None:
            return False
        call.state = state
        self._changed(call)
        self._append(Event.SEND.value, call, before)
        return True

    def conclude(self, end: Conclusion, at: UnixMs) -> None:
        """Write what became of a call.

        Raises:
            LedgerError: there is no such call, the event cannot happen in its state, or the charge contradicts it.
        """
        call = self._find(end.call_id)
        before, state = call.state, after(call.state, end.event)
        if state is None or end.event is Event.REFUND:
            raise LedgerError(f"{end.event.value} cannot happen to the call {end.call_id}, which is {before.value}")
        if end.charged < 0 or (end.charged and state not in CHARGED):
            raise LedgerError(f"{end.event.value} of the call {end.call_id} cannot carry a charge of {end.charged}")
        if max(end.charged, abs(end.balance_after or 0), abs(end.attempts)) >= _MOST_WHOLE:
            raise LedgerError("the ledger cannot hold a value: an amount is out of bounds")
        counts = call.counts
        call.state, call.charged, call.refunded = state, end.charged, 0
        self._meters.adjust(call.meters, call.created_at, call.counts - counts)
        call.ended_at = None if state in OPEN else at
        call.answered = call.answered or end.answer is not None
        told = self._changed(call)
        evidence, transaction_id = without_nul(bounded(end.evidence)), without_nul(bounded(end.transaction_id))
        told.balance_after = told.balance_after if end.balance_after is None else end.balance_after
        told.transaction_id = told.transaction_id if transaction_id is None else transaction_id
        told.evidence = told.evidence if evidence is None else evidence
        told.attempts += end.attempts
        if end.answer is not None:
            self._written.answers[call.number] = end.answer
        self._append(end.event.value, call, before, evidence=evidence, facts=facts_of(end, transaction_id))

    def refund(self, call_id: str, total: MicroUSDC, evidence: str) -> bool:
        """Note that the Hub gave back `total` of a call, in all; False when that is no news.

        Raises:
            LedgerError: there is no such call, or it was not charged.
        """
        call = self._find(call_id)
        if after(call.state, Event.REFUND) is None:
            raise LedgerError(f"the call {call_id} was not charged: it is {call.state.value}")
        refunded = min(total, call.charged)
        if refunded <= call.refunded:
            return False
        self._meters.adjust(call.meters, call.created_at, call.refunded - refunded)
        call.refunded = refunded
        told = self._changed(call)
        told.evidence = without_nul(bounded(evidence))
        self._append(Event.REFUND.value, call, call.state, evidence=told.evidence)
        return True

    def deliver(self, call_id: str) -> None:
        """Note that the call's answer reached the client.

        Raises:
            LedgerError: there is no such call.
        """
        call = self._find(call_id)
        if not call.delivered:
            call.delivered = True
            self._changed(call)
            self._append(chain.DELIVER, call, call.state)

    def adopt(self, most: int, at: UnixMs) -> bool:
        """Make the open calls of the claimed sessions this session's, at most so many; whether there may be more."""
        self._alive()
        orphans = sorted(
            (call for call in self._page.by_id.values() if call.number in self._orphans), key=lambda call: call.number
        )
        for call in orphans:
            if call.state is State.RESERVED:
                evidence = "its process ended before anything was sent"
                self.conclude(Conclusion(call.call_id, Event.RELEASE, evidence=evidence, attempts=0), at)
                continue
            if call.state is State.SENT:
                evidence = "its process ended before it heard the outcome"
                self.conclude(Conclusion(call.call_id, Event.DOUBT, evidence=evidence, attempts=0), at)
            call.session = self._session
            self._changed(call)
            self._append(chain.ADOPT, call, call.state)
        if len(orphans) < most:
            self._link.query("DELETE FROM jecp_mcp.session WHERE heir = %s", (self._session,))
            return False
        return True

    def trust_clock(self) -> None:
        """Let the server's instant be the ledger's, and count the windows anew."""
        if self._behind is None:
            return
        evidence, self._behind, self._at = str(self._behind), None, self._now
        self._append(chain.CLOCK, None, None, evidence=bounded(evidence))
        # A limit that came while the clock was ahead began without what had seemed to have left its window.
        for facts in meters.refill(self._link, self._now):
            self._append(chain.METER, None, None, facts=facts)
        meters.recount(self._link, self._now)

    def recount(self) -> None:
        """Count every meter anew from the calls."""
        meters.recount(self._link, self._at)
        self._append(chain.RECOUNT, None, None)

    def write_slip(self, slip: Slip, at: UnixMs) -> Slip:
        """Write a new slip, as `SlipBook.write` does; older ones that still wait for the same are superseded."""
        written, superseded = self._slips.write(slip, at)
        for old in superseded:
            self._slip_event(SlipRef(old.kind, old.slip_id), SlipState.SUPERSEDED)
        self._slip_event(
            SlipRef(slip.kind, slip.slip_id),
            written.state,
            evidence=written.note,
            principal=written.principal,
            subject=written.subject,
            body=chain.body_digest(written.body),
            expires_at=written.expires_at,
            call_id=written.call_id,
        )
        return written

    def answer_slip(self, ref: SlipRef, granted: bool, note: str, at: UnixMs) -> Slip | None:
        """Grant or deny a slip that is asked for and has not expired; None when there is no such one."""
        told = without_nul(bounded(note))
        answered = self._slips.answer(ref, granted, told, at)
        if answered is not None:
            self._slip_event(ref, answered.state, evidence=told)
        return answered

    def use_slips(self, refs: Sequence[SlipRef], subject: str, principal: str, call_id: str, at: UnixMs) -> None:
        """Use those that are good for a call that is in the books."""
        for ref in refs:
            if self._slips.check((ref,), subject, principal, at) is None:
                self._slips.use(ref, call_id)
                self._slip_event(ref, SlipState.USED, call_id=call_id)

    def prune(self, before: UnixMs, most: int) -> int:
        """Drop the bodies of at most so many calls that ended before; returns how many had one."""
        ((count,),) = self._link.query("SELECT jecp_mcp.prune(%s, %s)", (before, most))
        if count:
            self._append(chain.PRUNE, None, None, facts=chain.facts(before=before, calls=count))
        return int(count)

    def written(self) -> Written:
        """Everything that was decided."""
        self._written.counted = self._meters.written()
        # A call that is new is written as it stands at the end of the batch.
        for made in self._written.made:
            call_id = made["call_id"]
            made.update(self._moved(self._page.by_id[call_id], self._told.pop(call_id, Told())))
        self._written.moved = [self._moved(self._page.by_id[call_id], told) for call_id, told in self._told.items()]
        return self._written

    def _slip_event(self, ref: SlipRef, state: SlipState, *, evidence: str | None = None, **told: object) -> None:
        facts = chain.facts(kind=ref.kind.value, slip=ref.slip_id, state=state.value, **told)
        self._append(chain.SLIP, None, None, evidence=evidence, facts=facts)

    def _stands(self, call_id: str) -> tuple[State, bool] | None:
        call = self._page.by_id.get(call_id)
        if call is not None:
            return call.state, call.answered
        found = self._link.query("SELECT state, answered FROM jecp_mcp.call WHERE call_id = %s", (call_id,))
        return (State(found[0][0]), bool(found[0][1])) if found else None

    def _alive(self) -> None:
        if self._life == "another":
            raise LedgerError(f"the session {self._session} is another process")
        if self._life == "inherited":
            raise LedgerUnavailable(
                "this process was not heard of for too long, and another one is taking over its calls; try again"
            )

    def _undelivered(self, call: Call) -> bool:
        ended_at = call.ended_at
        kept = call.state in _KEPT and call.answered and not call.delivered
        return kept and ended_at is not None and ended_at > self._at - UNDELIVERED_MS

    def _find(self, call_id: str) -> Call:
        found = self._page.by_id.get(call_id)
        if found is None:
            raise LedgerError(f"the ledger knows no call {call_id}")
        return found

    def _changed(self, call: Call) -> Told:
        return self._told.setdefault(call.call_id, Told())

    @staticmethod
    def _moved(call: Call, told: Told) -> dict[str, Any]:
        return {
            "id": call.number,
            "state": call.state.value,
            "session": call.session,
            "charged": call.charged,
            "refunded": call.refunded,
            "balance_after": told.balance_after,
            "transaction_id": told.transaction_id,
            "evidence": told.evidence,
            "attempts": told.attempts,
            "ended_at": call.ended_at,
            "answered": call.answered,
            "delivered": call.delivered,
        }

    def _append(
        self,
        event: str,
        call: Call | None,
        before: State | None,
        *,
        evidence: str | None = None,
        facts: str = "{}",
        identity: chain.Identity = chain.NOBODY,
    ) -> None:
        self._number += 1
        amounts = (0, 0, 0) if call is None else (call.held, call.charged, call.refunded)
        then = None if before is None else before.value
        now = None if call is None else call.state.value
        told: chain.Written = (self._at, event, then, now, *amounts, self._session, evidence, facts)
        call_id = None if call is None else call.call_id
        self._head = chain.digest(self._head, (self._number, call_id, *told), identity)
        self._written.happened.append(
            {
                "id": self._number,
                "call": None if call is None else call.number,
                "at": self._at,
                "event": event,
                "before": then,
                "after": now,
                "held": amounts[0],
                "charged": amounts[1],
                "refunded": amounts[2],
                "session": self._session,
                "evidence": evidence,
                "facts": facts,
                "digest": self._head,
            }
        )
