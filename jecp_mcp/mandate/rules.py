"""The rules of money, once for every store: what a change does to the calls, the limits and the chain.

Pure: no I/O, no clock. A store loads a `WorkingSet`, makes a `Batch` of it at one instant, runs the changes, and stores
what they came to. Each change goes through `jecp_mcp.mandate.states`, moves the meters by what the call now counts for,
and leaves an event behind. A change that raises `LedgerError` has changed nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Protocol

from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.domain.outcomes import Mark, Verdict
from jecp_mcp.errors import ClockWentBack, LedgerError
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.counting import Meters
from jecp_mcp.mandate.grant_rules import GrantRules
from jecp_mcp.mandate.grants import Grant, GrantRef
from jecp_mcp.mandate.ledger import (
    RULED,
    Admitted,
    AlreadyOpen,
    Conclusion,
    Counting,
    Meter,
    Note,
    NotGood,
    NotYours,
    OverLimit,
    Reservation,
    Undelivered,
)
from jecp_mcp.mandate.states import OPEN, Event, State, after, event_of, furthest
from jecp_mcp.mandate.working_set import (
    Call,
    Changes,
    Events,
    Repeats,
    WorkingSet,
)
from jecp_mcp.money import MICRO_PER_USDC, MOST_USDC, MicroUSDC

UNDELIVERED_MS: Final = 86_400_000
"""How long an answer that nobody received stands in for a repeat of the call."""

CLOCK_SLACK_MS: Final = 60_000
"""How far the clock may be behind what was written before it counts as set back; time stands still meanwhile."""

_MOST_HELD: Final = MOST_USDC * MICRO_PER_USDC
_MOST_WHOLE: Final = 2**63
_LONGEST_TEXT: Final = 500
_LONGEST_NOTE: Final = 4_000

KEPT: Final = frozenset({State.SETTLED, State.RELEASED, State.RECONCILED_CHARGED, State.RECONCILED_FREE})
"""States in which a kept answer stands in for a repeat until it is delivered; a free one too, for the repeat might not
be free."""


class Bulk(Protocol):
    """What is done to many rows at once, where they are."""

    def prune(self, before: int, behind: int, most: int) -> int:
        """Drop the bodies of calls that ended before, of the `most` numbers behind `behind`; how many had one."""
        ...

    def trim(self, bound: int, most: int) -> tuple[int, int]:
        """Drop bodies of at most so many ended calls until `bound` bytes are kept beside those of open ones.

        The oldest delivered go first, those never delivered last. Returns how many calls lost theirs, and their bytes.
        """
        ...

    def recount(self, at: int) -> None:
        """Count every meter anew from the calls, as its window stands at `at`."""
        ...


class Batch:
    """The changes of one transaction, for one process session."""

    def __init__(
        self, loaded: WorkingSet, bulk: Bulk, session: str, now: UnixMs, last_at: int, whose: str = "the"
    ) -> None:
        """Decide on what was loaded.

        Args:
            now: the clock's instant; the batch's is the last change's where the clock is behind that.
            last_at: the instant of the last event.
            whose: whose clock it is, for a message.
        """
        self.at = UnixMs(max(now, last_at))
        self.changes = Changes()
        self.events = Events(loaded, self.changes, session, self.at)
        self._behind: ClockWentBack | None = None
        if now < last_at - CLOCK_SLACK_MS:
            self._behind = ClockWentBack(
                f"{whose} clock shows {iso(now)}, and the ledger was last written at {iso(last_at)}; what has left the "
                "limits' windows is not known"
            )
        self._now = now
        self._loaded = loaded
        self._bulk = bulk
        self._session = session
        self._last_call = loaded.stored
        self._meters = Meters(loaded, self.changes, self.events)
        self._grants = GrantRules(loaded, self.changes, self.events)

    def reserve(self, wanted: Reservation, at: UnixMs) -> Admitted | OverLimit | NotGood | Repeats | Counting:
        """Write a new call, unless it repeats an open or undelivered one, or a cap has no room.

        Raises:
            LedgerError: the call id is taken, or an amount is out of bounds.
            ClockWentBack: the clock is well behind the last change.
        """
        repeats = self._repeats(wanted, at)
        if repeats is not None:
            return repeats
        if wanted.call_id in self._loaded.calls:
            raise LedgerError(f"the call id {wanted.call_id} is taken")
        if self._behind is not None:
            raise self._behind
        wrong = self._grants.check(wanted.uses, wanted.fingerprint, wanted.principal, at)
        if wrong is not None:
            return wrong
        asked = self._meters.ask(wanted.meters, wanted.names, wanted.principal, self._last_call)
        if isinstance(asked, Counting):
            return asked
        over = self._meters.take(wanted.hold, asked)
        if over is not None:
            return over
        self._last_call += 1
        made = _new_call(wanted, self._last_call, at)
        self._meters.add(made, asked)
        self._loaded.calls[made.call_id] = made
        self._loaded.same[made.fingerprint].append(made)
        self.changes.made.append((made, wanted))
        self.changes.requests[made.number] = wanted.request
        self.events.append(
            chain.RESERVE, made, None, facts=chain.reservation(wanted, chain.body_digest(wanted.request))
        )
        for ref in wanted.uses:
            self._grants.use(ref, wanted.call_id)
        return Admitted(wanted.call_id, at)

    def send(self, call_id: str, claim: int) -> bool:
        """Move a ``reserved`` row to ``sent``; False when it is no longer ``reserved``, or under another claim.

        Raises:
            LedgerError: there is no such call.
        """
        call = self._find(call_id)
        if after(call.state, Event.SEND) is None or call.claim != claim:
            return False
        self._happen(call, Event.SEND)
        return True

    def resend(
        self, call_id: str, claim: int, meters: Sequence[Meter], at: UnixMs
    ) -> Admitted | OverLimit | NotYours | Counting:
        """Let an open call leave again, if every cap has room for it beside everything but itself.

        Raises:
            LedgerError: there is no such call.
            ClockWentBack: the clock is well behind the last change.
        """
        call = self._find(call_id)
        late = call.provable_until is not None and self._now >= call.provable_until
        if after(call.state, Event.RESEND) is None or call.claim != claim or late:
            return NotYours()
        if self._behind is not None:
            raise self._behind
        asked = self._meters.ask(meters, call.names, call.principal, self._last_call)
        if isinstance(asked, Counting):
            return asked
        over = self._meters.take(call.held, asked, call)
        if over is not None:
            return over
        call.sent_at = at
        self._happen(call, Event.RESEND)
        return Admitted(call_id, at, claim)

    def note(self, call_id: str, claim: int, notes: Sequence[Note]) -> bool:
        """Write down how far an open call has come; False when it is not open, or under another claim.

        Raises:
            LedgerError: there is no such call, or a text is too long.
        """
        call = self._find(call_id)
        if call.state not in OPEN or call.claim != claim:
            return False
        if any(len(note.data) > _LONGEST_NOTE for note in notes):
            raise LedgerError(f"a note of more than {_LONGEST_NOTE} characters is not kept")
        for note in notes:
            call.mark = furthest(call.mark, note.mark)
            if note.answer is not None:
                call.answered = True
                self.changes.answers[call.number] = note.answer
            self._mark_changed(call)
            answer = None if note.answer is None else chain.body_digest(note.answer)
            written = chain.facts(mark=note.mark.value, data=note.data or None, answer=answer)
            self.events.append(chain.NOTE, call, call.state, facts=written)
        return True

    def conclude(self, end: Conclusion, at: UnixMs) -> None:
        """Write what became of a call. The event follows from where the call stands now.

        Raises:
            LedgerError: there is no such call, nothing new is said of it, the claim was lost, or an amount is out of
                bounds.
        """
        call = self._find(end.call_id)
        event = event_of(call.state, end.verdict)
        if event is None:
            raise LedgerError(
                f"{end.verdict.value} says nothing new of the call {end.call_id}: it is {call.state.value}"
            )
        proof = end.verdict is Verdict.CHARGED and end.proven
        if end.claim is not None and end.claim != call.claim and not proof:
            raise LedgerError(f"the call {end.call_id} was taken over, so {end.verdict.value} is not believed any more")
        if end.verdict is Verdict.NOT_CHARGED and end.claim is not None and call.mark is Mark.INTENT:
            raise LedgerError(f"the call {end.call_id} was about to be paid for good: only a person frees it")
        if end.charged < 0 or (end.charged and end.verdict is not Verdict.CHARGED):
            raise LedgerError(f"{end.verdict.value} of the call {end.call_id} cannot carry a charge of {end.charged}")
        if max(end.charged, abs(end.balance_after or 0), abs(end.attempts)) >= _MOST_WHOLE:
            raise LedgerError("the ledger cannot hold a value: an amount is out of bounds")
        before, counts = call.state, call.counts
        call.state, call.charged, call.refunded = _next(before, event), end.charged, 0
        self._meters.adjust(call, call.counts - counts)
        is_open = call.state in OPEN
        call.ended_at = None if is_open else at
        call.look_again_at = (at if end.look_again_at is None else end.look_again_at) if is_open else None
        call.answered = call.answered or end.answer is not None
        call.attempts += end.attempts
        call.balance_after = call.balance_after if end.balance_after is None else end.balance_after
        evidence, reference = bound_text(end.evidence), self._own_reference(call, bound_text(end.reference))
        if reference is None and end.reference is not None and call.reference is None:
            evidence = bound_text(f"{evidence or ''}; its payment {end.reference} is another call's")
        call.reference = call.reference if reference is None else reference
        call.evidence = call.evidence if evidence is None else evidence
        if end.answer is not None:
            self.changes.answers[call.number] = end.answer
        self._happen(
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

    def write_off(self, call_id: str, evidence: str, at: UnixMs) -> None:
        """Let an open call count as spent for good, because its end can no longer be proven.

        Raises:
            LedgerError: there is no such call, or it cannot be written off.
        """
        self._write_off(self._find(call_id), evidence, at)

    def correct(self, call_id: str, charged: MicroUSDC, evidence: str) -> None:
        """Move what a charged call counts for, by an operator's ruling.

        Raises:
            LedgerError: there is no such call, it was not charged, or less than was refunded is left.
        """
        call = self._find(call_id)
        if after(call.state, Event.CORRECTED) is None:
            raise LedgerError(f"the call {call_id} was not charged: it is {call.state.value}")
        if not call.refunded <= charged <= _MOST_HELD:
            raise LedgerError(f"a charge of {charged} micro-USDC cannot be, with {call.refunded} of it refunded")
        by, call.charged = charged - call.charged, charged
        self._meters.adjust(call, by)
        call.evidence = bound_text(evidence)
        self._happen(call, Event.CORRECTED, evidence=call.evidence)

    def refund(self, call_id: str, total: MicroUSDC, evidence: str) -> bool:
        """Note that the payee gave back `total` of a call, in all; False when that is no news.

        Raises:
            LedgerError: there is no such call, or it was not charged.
        """
        call = self._find(call_id)
        if after(call.state, Event.REFUND) is None:
            raise LedgerError(f"the call {call_id} was not charged: it is {call.state.value}")
        refunded = min(total, call.charged)
        if refunded <= call.refunded:
            return False
        self._meters.adjust(call, call.refunded - refunded)
        call.refunded = refunded
        # What a person ruled stands, whatever came back of it since.
        ruled = call.evidence is not None and call.evidence.startswith(RULED)
        call.evidence = bound_text(f"{call.evidence}; {evidence}" if ruled else evidence)
        self._happen(call, Event.REFUND, evidence=call.evidence)
        return True

    def deliver(self, call_id: str) -> None:
        """Note that the call's answer reached the client.

        Raises:
            LedgerError: there is no such call.
        """
        call = self._find(call_id)
        if not call.delivered:
            call.delivered = True
            self._mark_changed(call)
            self.events.append(chain.DELIVER, call, call.state)

    def adopt(
        self,
        served: Collection[tuple[str, str]],
        at: UnixMs,
        *,
        clock_right: bool,
    ) -> int | None:
        """See to the open rows that nobody works on, as they were loaded.

        Args:
            served: the rails and accounts that this process can act for.
            clock_right: whether the clock was confirmed, so that it tells what can no longer be proven.

        Returns:
            The number of the last of them, or None where there were none.
        """
        last = None
        for call in [self._loaded.calls[call_id] for call_id in self._loaded.orphans]:
            last = call.number
            mine = call.owner == self._session
            self._end_orphan(call, at, mine=mine)
            hopeless = self._hopeless(call) if clock_right else None
            if hopeless is not None and call.state in {State.SENT, State.IN_DOUBT}:
                self._write_off(call, hopeless, at)
            elif call.state in OPEN and not mine and (call.rail, call.account) in served:
                self._claim(call)
        return last

    def trust_clock(self) -> None:
        """Let the clock's instant be the ledger's, and count the windows anew."""
        if self._behind is None:
            return
        evidence, self._behind = str(self._behind), None
        self.at = self.events.at = self._now
        self.events.append(chain.CLOCK, evidence=bound_text(evidence))
        self._bulk.recount(self._now)

    def recount(self) -> None:
        """Count every meter anew from the calls."""
        self._bulk.recount(self.at)
        self.events.append(chain.RECOUNT)

    def prune(self, before: UnixMs, behind: int, most: int) -> int:
        """Drop the bodies of calls that ended before, of the `most` numbers behind `behind`; how many had one."""
        calls = self._bulk.prune(before, behind, most)
        if calls:
            self.events.append(chain.PRUNE, facts={"before": before, "calls": calls})
        return calls

    def trim(self, bound: int, most: int) -> int:
        """Drop bodies of at most so many calls until `bound` bytes are kept; returns how many had one."""
        calls, size = self._bulk.trim(bound, most)
        if calls:
            self.events.append(chain.TRIM, facts={"calls": calls, "bytes": size})
        return calls

    def write_grant(self, grant: Grant, at: UnixMs) -> Grant:
        """Write a new grant; older ones that still wait for the same are superseded.

        Raises:
            LedgerError: its id is taken.
        """
        return self._grants.write(grant, at)

    def answer_grant(self, ref: GrantRef, granted: bool, note: str, at: UnixMs) -> Grant | None:
        """Answer a grant that is asked for and has not expired; None when there is no such one."""
        return self._grants.answer(ref, granted, bound_text(note), at)

    def use_grants(self, refs: Sequence[GrantRef], subject: str, principal: str, call_id: str, at: UnixMs) -> None:
        """Use those grants that are good for a call which is in the ledger."""
        for ref in refs:
            if self._grants.check((ref,), subject, principal, at) is None:
                self._grants.use(ref, call_id)

    def finish(self) -> Changes:
        """Everything that was decided."""
        tally = self.changes.tally
        for call_id, call in self.changes.moved.items():
            before = self._loaded.before[call_id]
            _add(tally[before.state], -1, before.held, before.charged, before.refunded)
            _add(tally[call.state], 1, call.held, call.charged, call.refunded)
        for call, _ in self.changes.made:
            _add(tally[call.state], 1, call.held, call.charged, call.refunded)
        return self.changes

    def _end_orphan(self, call: Call, at: UnixMs, *, mine: bool) -> None:
        """A call that nobody works on: what nothing left for is free, what was being sent is in doubt."""
        why = "no task works on it" if mine else "its process ended"
        if call.state is State.RESERVED:
            evidence = f"{why}, and nothing was sent"
            self.conclude(Conclusion(call.call_id, Verdict.NOT_CHARGED, evidence=evidence, attempts=0), at)
        elif call.state is State.SENT and call.look_again_at is None:
            evidence = f"{why}, and the outcome was not heard"
            self.conclude(Conclusion(call.call_id, Verdict.IN_DOUBT, evidence=evidence, attempts=0), at)
            if mine:
                # Whatever the task that died may still say must not be believed any more.
                self._claim(call)

    def _hopeless(self, call: Call) -> str | None:
        """Why an open call's end cannot be proven any more, by a clock that is right; None where it can."""
        # The batch's instant is no clock: it stands still where a leap ahead left it.
        if call.created_at > self._now + CLOCK_SLACK_MS:
            return "it was made while the clock was ahead, so its age is not known"
        lapsed = call.provable_until is not None and self._now >= call.provable_until
        return "its end can no longer be proven" if lapsed else None

    def _claim(self, call: Call) -> None:
        call.owner = self._session
        call.claim += 1
        self._mark_changed(call)
        self.events.append(chain.ADOPT, call, call.state, facts={"claim": call.claim})

    def _write_off(self, call: Call, evidence: str, at: UnixMs) -> None:
        if after(call.state, Event.WRITE_OFF) is None:
            raise LedgerError(f"the call {call.call_id} cannot be written off: it is {call.state.value}")
        call.ended_at, call.look_again_at, call.evidence = at, None, bound_text(evidence)
        self._happen(call, Event.WRITE_OFF, evidence=call.evidence)

    def _happen(
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
        self.events.append(event.value, call, then, evidence=evidence, facts=facts)

    def _mark_changed(self, call: Call) -> None:
        if call.call_id in self._loaded.before:
            self.changes.moved[call.call_id] = call

    def _own_reference(self, call: Call, reference: str | None) -> str | None:
        """The payee's name for the payment, unless it is another call's already: then it names neither."""
        if reference is None:
            return None
        owner = self._loaded.references.setdefault((call.rail, call.account, reference), call.call_id)
        return reference if owner == call.call_id else None

    def _repeats(self, wanted: Reservation, at: UnixMs) -> Repeats | None:
        """The identical call, if it is open or its answer waits to be delivered.

        Raises:
            LedgerError: an amount is out of bounds.
        """
        if not 0 <= wanted.hold <= _MOST_HELD:
            raise LedgerError(f"a hold of {wanted.hold} micro-USDC is out of bounds")
        if not 0 <= wanted.quoted < _MOST_WHOLE:
            raise LedgerError("the ledger cannot hold a value: the quote is out of bounds")
        same = self._loaded.same[wanted.fingerprint]
        for call in same:
            if call.state in OPEN:
                return Repeats(AlreadyOpen, call.number)
        kept = [call.number for call in same if self._awaits_delivery(call, at)]
        return Repeats(Undelivered, max(kept)) if kept else None

    def _awaits_delivery(self, call: Call, at: UnixMs) -> bool:
        kept = call.state in KEPT and call.answered and not call.delivered
        return kept and call.ended_at is not None and call.ended_at > at - UNDELIVERED_MS

    def _find(self, call_id: str) -> Call:
        found = self._loaded.calls.get(call_id)
        if found is None:
            raise LedgerError(f"the ledger knows no call {call_id}")
        return found


def bound_text(text: str | None) -> str | None:
    """Foreign text as a column can hold it: no lone surrogates, no NUL, no end without end."""
    if text is None:
        return None
    return text[:_LONGEST_TEXT].encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _add(sums: list[int], calls: int, held: int, charged: int, refunded: int) -> None:
    for index, by in enumerate((1, held, charged, refunded)):
        sums[index] += calls * by


def _next(state: State, event: Event) -> State:
    found = after(state, event)
    assert found is not None, f"{event} cannot happen to what is {state}"
    return found


def _new_call(wanted: Reservation, number: int, at: UnixMs) -> Call:
    return Call(
        number=number,
        call_id=wanted.call_id,
        fingerprint=wanted.fingerprint,
        principal=wanted.principal,
        session=wanted.session,
        owner=wanted.session,
        claim=0,
        rail=wanted.rail,
        account=wanted.account,
        names=wanted.names,
        state=State.SENT if wanted.send else State.RESERVED,
        held=wanted.hold,
        charged=0,
        refunded=0,
        balance_after=None,
        reference=None,
        evidence=None,
        attempts=0,
        created_at=at,
        sent_at=at,
        look_again_at=None,
        provable_until=wanted.provable_until,
        ended_at=None,
        answered=False,
        delivered=False,
        mark=None,
    )
