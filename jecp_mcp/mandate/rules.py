"""The rules of money, once for every store: what a change does to the calls, the limits and the chain.

Pure: no I/O, no clock. A store loads a `WorkingSet`, makes a `Batch` of it at one instant, runs the changes, and stores
what they came to. Each change goes through `jecp_mcp.mandate.states`, moves the meters by what the call now counts for,
and leaves an event behind. A change that raises `LedgerError` has changed nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Protocol

from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import ClockWentBack, LedgerError
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.call_rules import MOST_HELD, MOST_WHOLE, CallRules
from jecp_mcp.mandate.columns import bound_text
from jecp_mcp.mandate.counting import Meters
from jecp_mcp.mandate.grant_rules import GrantRules
from jecp_mcp.mandate.records import (
    Admitted,
    AlreadyOpen,
    Conclusion,
    Counting,
    Meter,
    NotGood,
    NotYours,
    OverLimit,
    Reservation,
    Undelivered,
)
from jecp_mcp.mandate.served import Served, served_as
from jecp_mcp.mandate.states import OPEN, Event, State, after
from jecp_mcp.mandate.working_set import (
    Call,
    Changes,
    Events,
    Repeats,
    WorkingSet,
)

UNDELIVERED_MS: Final = 86_400_000
"""How long an answer that nobody received stands in for a repeat of the call."""

CLOCK_SLACK_MS: Final = 60_000
"""How far the clock may be behind what was written before it counts as set back; time stands still meanwhile."""

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
    """The changes of one transaction, for one process session.

    Attributes:
        calls: what happens to calls that are written.
        grants: what happens to grants.
    """

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
            self._behind.shown = now
        self._now = now
        self._loaded = loaded
        self._bulk = bulk
        self._session = session
        self._last_call = loaded.stored
        self._meters = Meters(loaded, self.changes, self.events)
        self.calls = CallRules(loaded, self.changes, self.events, self._meters, session)
        self.grants = GrantRules(loaded, self.changes, self.events)

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
        wrong = self.grants.check(wanted.uses, wanted.fingerprint, wanted.principal, at)
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
        self.events.append(chain.RESERVE, made, facts=chain.reservation(wanted, chain.body_digest(wanted.request)))
        for ref in wanted.uses:
            self.grants.use(ref, wanted.call_id)
        return Admitted(wanted.call_id, at)

    def resend(
        self, call_id: str, claim: int, meters: Sequence[Meter], at: UnixMs
    ) -> Admitted | OverLimit | NotYours | Counting:
        """Let an open call leave again, if every cap has room for it beside everything but itself.

        Raises:
            LedgerError: there is no such call.
            ClockWentBack: the clock is well behind the last change.
        """
        call = self.calls.find(call_id)
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
        self.calls.happen(call, Event.RESEND)
        return Admitted(call_id, at, claim)

    def adopt(
        self,
        served: Collection[Served],
        at: UnixMs,
        *,
        clock_right: bool,
    ) -> int | None:
        """See to the rows that nobody works on and that are open or whose charge may yet turn, as they were loaded.

        Args:
            served: what this process can act for.
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
                self.calls.write_off(call.call_id, hopeless, at)
            elif call.ended_at is None and not mine and served_as(call) in served:
                self.calls.claim(call)
        return last

    def trust_clock(self) -> str | None:
        """Let the clock's instant be the ledger's, and count the windows anew; what was behind, None where nothing."""
        if self._behind is None:
            return None
        evidence, self._behind = str(self._behind), None
        self.at = self.events.at = self._now
        self.events.append(chain.CLOCK, evidence=bound_text(evidence))
        self._bulk.recount(self._now)
        return evidence.partition(";")[0]

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
            self.calls.conclude(Conclusion(call.call_id, Verdict.NOT_CHARGED, evidence=evidence, attempts=0), at)
        elif call.state is State.SENT and call.look_again_at is None:
            evidence = f"{why}, and the outcome was not heard"
            self.calls.conclude(Conclusion(call.call_id, Verdict.IN_DOUBT, evidence=evidence, attempts=0), at)
            if mine:
                # Whatever the task that died may still say must not be believed any more.
                self.calls.claim(call)

    def _hopeless(self, call: Call) -> str | None:
        """Why an open call's end cannot be proven any more, by a clock that is right; None where it can."""
        # The batch's instant is no clock: it stands still where a leap ahead left it.
        if call.created_at > self._now + CLOCK_SLACK_MS:
            return "it was made while the clock was ahead, so its age is not known"
        lapsed = call.provable_until is not None and self._now >= call.provable_until
        return "its end can no longer be proven" if lapsed else None

    def _repeats(self, wanted: Reservation, at: UnixMs) -> Repeats | None:
        """The identical call, if it is open or its answer waits to be delivered.

        Raises:
            LedgerError: an amount is out of bounds.
        """
        if not 0 <= wanted.hold <= MOST_HELD:
            raise LedgerError(f"a hold of {wanted.hold} micro-USDC is out of bounds")
        if not 0 <= wanted.quoted < MOST_WHOLE:
            raise LedgerError("the ledger cannot hold a value: the quote is out of bounds")
        same = self._loaded.same[wanted.fingerprint]
        for call in same:
            if call.state in OPEN:
                return Repeats(AlreadyOpen, call.number)
        kept = [call.number for call in same if self._awaits_delivery(call, at)]
        return Repeats(Undelivered, max(kept)) if kept else None

    def _awaits_delivery(self, call: Call, at: UnixMs) -> bool:
        kept = call.state in KEPT and call.answered and not call.delivered
        return kept and (call.ended_at is None or call.ended_at > at - UNDELIVERED_MS)


def _add(sums: list[int], calls: int, held: int, charged: int, refunded: int) -> None:
    for index, by in enumerate((1, held, charged, refunded)):
        sums[index] += calls * by


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
