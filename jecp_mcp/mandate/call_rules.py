"""What may happen to a call that is written: sent, noted, concluded, refunded, corrected, delivered, written off.

Pure: no I/O, no clock. Each change goes through `jecp_mcp.mandate.states` and leaves an event behind; one that raises
`LedgerError` has changed nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Mark, Verdict
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.columns import bound_text
from jecp_mcp.mandate.counting import Meters
from jecp_mcp.mandate.records import RULED, Conclusion, Note
from jecp_mcp.mandate.states import CHARGED, FREE, OPEN, Event, State, after, event_of, furthest
from jecp_mcp.mandate.working_set import Call, Changes, Events, WorkingSet
from jecp_mcp.money import MICRO_PER_USDC, MOST_USDC, MicroUSDC

MOST_HELD: Final = MOST_USDC * MICRO_PER_USDC
"""The most that a call may hold, micro-USDC."""

MOST_WHOLE: Final = 2**63
"""The first number that no column can hold."""

_LONGEST_NOTE: Final = 4_000
_NOTABLE: Final = frozenset({State.SENT, State.IN_DOUBT})
"""States of which something can be written down: of what is only reserved nothing has left."""


class CallRules:
    """The calls of one transaction, for one process session."""

    def __init__(self, loaded: WorkingSet, changes: Changes, events: Events, meters: Meters, session: str) -> None:
        self._loaded = loaded
        self._changes = changes
        self._events = events
        self._meters = meters
        self._session = session

    def send(self, call_id: str, claim: int) -> bool:
        """Move a ``reserved`` row to ``sent``; False when it is no longer ``reserved``, or under another claim.

        Raises:
            LedgerError: there is no such call.
        """
        call = self.find(call_id)
        if after(call.state, Event.SEND) is None or call.claim != claim:
            return False
        self.happen(call, Event.SEND)
        return True

    def note(self, call_id: str, claim: int, notes: Sequence[Note]) -> bool:
        """Write down how far an open call has come; False when it is not open, or under another claim.

        Raises:
            LedgerError: there is no such call, or a text is too long.
        """
        call = self.find(call_id)
        if call.state not in _NOTABLE or call.claim != claim:
            return False
        if any(len(note.data) > _LONGEST_NOTE for note in notes):
            raise LedgerError(f"a note of more than {_LONGEST_NOTE} characters is not kept")
        for note in notes:
            call.mark = furthest(call.mark, note.mark)
            if note.answer is not None:
                call.answered = True
                self._changes.answers[call.number] = note.answer
            self._mark_changed(call)
            answer = None if note.answer is None else chain.body_digest(note.answer)
            written = chain.facts(mark=note.mark.value, data=note.data or None, answer=answer)
            self._events.append(chain.NOTE, call, call.state, facts=written)
        return True

    def conclude(self, end: Conclusion, at: UnixMs) -> None:
        """Write what became of a call. The event follows from where the call stands now.

        Of a call that is only reserved, whatever does not say that it is free says that it was sent without a word. A
        charge stays; while it may yet turn, its amount and what came back of it grow. Proof for good says how much of
        it came back after all. What a person ruled stands, beside what is said for good since.

        Raises:
            LedgerError: there is no such call, nothing new is said of it, the claim was lost, or an amount is out of
                bounds.
        """
        call = self.find(end.call_id)
        unannounced = call.state is State.RESERVED and end.verdict is not Verdict.NOT_CHARGED
        event = event_of(State.SENT if unannounced else call.state, end.verdict)
        if event is None or (call.state in CHARGED and call.look_again_at is None):
            raise LedgerError(
                f"{end.verdict.value} says nothing new of the call {end.call_id}: it is {call.state.value}"
            )
        _check(call, end)
        if unannounced:
            self.happen(call, Event.SEND)
        before = call.state
        self._book(call, event, end, at)
        call.answered = call.answered or end.answer is not None
        call.attempts += end.attempts
        call.balance_after = call.balance_after if end.balance_after is None else end.balance_after
        evidence, reference = bound_text(end.evidence), self._own_reference(call, bound_text(end.reference))
        if reference is None and end.reference is not None and call.reference is None:
            whose = f"its payment {end.reference} is another call's"
            evidence = bound_text(f"{evidence}; {whose}" if evidence else whose)
        call.reference = call.reference if reference is None else reference
        if evidence is not None and before in CHARGED and _is_ruled(call):
            evidence = bound_text(f"{call.evidence}; {evidence}") if end.look_again_at is None else None
        call.evidence = call.evidence if evidence is None else evidence
        if end.answer is not None:
            self._changes.answers[call.number] = end.answer
        self.happen(
            call,
            event,
            before,
            evidence=evidence,
            facts=chain.facts(
                attempts=end.attempts or None,
                balance_after=end.balance_after,
                reference=reference,
                answer=None if end.answer is None else chain.body_digest(end.answer),
                look_again_at=call.look_again_at,
            ),
        )

    def _book(self, call: Call, event: Event, end: Conclusion, at: UnixMs) -> None:
        """Move the call's state and amounts, and when its payee is asked again: it has ended when nobody will be."""
        before, counts = call.state, call.counts
        call.state = _next(before, event)
        if before not in CHARGED:
            call.charged, call.refunded = end.charged, 0
        elif event is Event.CONFIRM and end.proven and end.look_again_at is None and not _is_ruled(call):
            call.charged, call.refunded = max(call.charged, end.charged), 0
        call.refunded = max(call.refunded, min(end.refunded, call.charged))
        self._meters.adjust(call, call.counts - counts)
        again = None if call.state in FREE else end.look_again_at
        if again is None and (call.state in OPEN or event is Event.WAIT):
            again = at
        call.look_again_at, call.ended_at = again, at if again is None else None

    def write_off(self, call_id: str, evidence: str, at: UnixMs) -> None:
        """Let an open call count as spent for good, because its end can no longer be proven.

        Raises:
            LedgerError: there is no such call, or it cannot be written off.
        """
        call = self.find(call_id)
        if after(call.state, Event.WRITE_OFF) is None:
            raise LedgerError(f"the call {call.call_id} cannot be written off: it is {call.state.value}")
        call.ended_at, call.look_again_at, call.evidence = at, None, bound_text(evidence)
        self.happen(call, Event.WRITE_OFF, evidence=call.evidence)

    def correct(self, call_id: str, charged: MicroUSDC, evidence: str) -> None:
        """Move what a charged call counts for, by an operator's ruling.

        Raises:
            LedgerError: there is no such call, it was not charged, or less than was refunded is left.
        """
        call = self.find(call_id)
        if after(call.state, Event.CORRECTED) is None:
            raise LedgerError(f"the call {call_id} was not charged: it is {call.state.value}")
        if not call.refunded <= charged <= MOST_HELD:
            raise LedgerError(f"a charge of {charged} micro-USDC cannot be, with {call.refunded} of it refunded")
        by, call.charged = charged - call.charged, charged
        self._meters.adjust(call, by)
        call.evidence = bound_text(evidence)
        self.happen(call, Event.CORRECTED, evidence=call.evidence)

    def refund(self, call_id: str, total: MicroUSDC, evidence: str) -> bool:
        """Note that the payee gave back `total` of a call, in all; False when that is no news.

        Raises:
            LedgerError: there is no such call, or it was not charged.
        """
        call = self.find(call_id)
        if after(call.state, Event.REFUND) is None:
            raise LedgerError(f"the call {call_id} was not charged: it is {call.state.value}")
        refunded = min(total, call.charged)
        if refunded <= call.refunded:
            return False
        self._meters.adjust(call, call.refunded - refunded)
        call.refunded = refunded
        # What a person ruled stands, whatever came back of it since.
        call.evidence = bound_text(f"{call.evidence}; {evidence}" if _is_ruled(call) else evidence)
        self.happen(call, Event.REFUND, evidence=call.evidence)
        return True

    def deliver(self, call_id: str) -> None:
        """Note that the call's answer reached the client.

        Raises:
            LedgerError: there is no such call.
        """
        call = self.find(call_id)
        if not call.delivered:
            call.delivered = True
            self._mark_changed(call)
            self._events.append(chain.DELIVER, call, call.state)

    def claim(self, call: Call) -> None:
        """Take a call over for this session."""
        call.owner = self._session
        call.claim += 1
        self._mark_changed(call)
        self._events.append(chain.ADOPT, call, call.state, facts={"claim": call.claim})

    def happen(
        self,
        call: Call,
        event: Event,
        before: State | None = None,
        *,
        evidence: str | None = None,
        facts: dict[str, object] | None = None,
    ) -> None:
        """Move a call to the state after `event`, unless its caller has, and add the event."""
        then = call.state if before is None else before
        call.state = _next(then, event)
        self._mark_changed(call)
        self._events.append(event.value, call, then, evidence=evidence, facts=facts)

    def _mark_changed(self, call: Call) -> None:
        if call.call_id in self._loaded.before:
            self._changes.moved[call.call_id] = call

    def _own_reference(self, call: Call, reference: str | None) -> str | None:
        """The payee's name for the payment, unless it is another call's already: then it names neither."""
        if reference is None:
            return None
        owner = self._loaded.references.setdefault((call.rail, call.account, reference), call.call_id)
        return reference if owner == call.call_id else None

    def find(self, call_id: str) -> Call:
        """A call as it stands now.

        Raises:
            LedgerError: there is no such call.
        """
        found = self._loaded.calls.get(call_id)
        if found is None:
            raise LedgerError(f"the ledger knows no call {call_id}")
        return found


def _is_ruled(call: Call) -> bool:
    return call.evidence is not None and call.evidence.startswith(RULED)


def _check(call: Call, end: Conclusion) -> None:
    """Whether a conclusion may be believed.

    Raises:
        LedgerError: it may not.
    """
    # What is in the books as charged already needs no proof from whoever lost it.
    proof = end.verdict is Verdict.CHARGED and end.proven and call.state not in CHARGED
    if end.claim is not None and end.claim != call.claim and not proof:
        raise LedgerError(f"the call {end.call_id} was taken over, so {end.verdict.value} is not believed any more")
    if end.verdict is Verdict.NOT_CHARGED and end.claim is not None and call.mark is Mark.INTENT:
        raise LedgerError(f"the call {end.call_id} was about to be paid for good: only a person frees it")
    if min(end.charged, end.refunded) < 0 or (end.charged + end.refunded and end.verdict is not Verdict.CHARGED):
        raise LedgerError(f"{end.verdict.value} of the call {end.call_id} cannot carry a charge of {end.charged}")
    if max(end.charged, end.refunded, abs(end.balance_after or 0), abs(end.attempts)) >= MOST_WHOLE:
        raise LedgerError("the ledger cannot hold a value: an amount is out of bounds")


def _next(state: State, event: Event) -> State:
    found = after(state, event)
    assert found is not None, f"{event} cannot happen to what is {state}"
    return found
