"""What is counted against each cap, moved inside the transaction that writes the call. Pure: no I/O, no clock.

The calls are the truth: which meters count a call follows from what the call is (`MeterState`), and a meter that has
not been asked for a while is fed what it missed before it admits anything.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.naming import fits
from jecp_mcp.mandate.records import (
    CallRow,
    Counting,
    Meter,
    MeterReading,
    OverLimit,
)
from jecp_mcp.mandate.windows import SLOT_MS, Window, slot_expiry, slot_start
from jecp_mcp.mandate.working_set import (
    Call,
    Changes,
    Events,
    Feed,
    MeterState,
    WorkingSet,
)
from jecp_mcp.money import MicroUSDC

FEED_AT_ONCE = 2_500
"""How many calls a meter that lags is fed in one transaction: other callers wait meanwhile."""

Asked = Sequence[tuple[Meter, MeterState]]


class Meters:
    """The meters of one transaction: each read once, checked against what was counted since, and moved from there."""

    def __init__(self, loaded: WorkingSet, changes: Changes, events: Events) -> None:
        self._loaded = loaded
        self._changes = changes
        self._events = events
        self._made: list[Call] = []

    def add(self, call: Call, asked: Asked) -> None:
        """Take note of a new call, which the meters that were asked count from now on."""
        for _, state in asked:
            self._changes.meters[state.number] = state
            state.fed = call.number
        self._made.append(call)

    def ask(self, wanted: Sequence[Meter], names: tuple[str, ...], principal: str, last: int) -> Asked | Counting:
        """The meters that apply to a call, each fed up to the call number `last`.

        Raises:
            LedgerError: one is another principal's, or two are the same.
        """
        asked: list[tuple[Meter, MeterState]] = []
        for meter in wanted:
            if meter.principal != principal:
                raise LedgerError(f"the cap {meter.label} counts the calls of {meter.principal}, not of {principal}")
            state = self._loaded.meters[meter.key]
            if not applies(state, names):
                continue
            if any(state is known for _, known in asked):
                raise LedgerError("two caps share one meter")
            if not self._feed(state, last):
                self._events.append(chain.FEED, facts={"meter": state.number, "upto": state.fed})
                return Counting(meter)
            asked.append((meter, state))
        return asked

    def take(self, hold: int, asked: Asked, own: Call | None = None) -> OverLimit | None:
        """Count `hold` against every meter at this instant, or against none.

        Args:
            own: the open call that is sent again, which counts once: what it counts already is not in its own way,
                even past a full cap, for there nothing grows.

        Returns:
            The cap that has no room, of several the one that takes longest to reset; None when all had room.
        """
        at = self._events.at
        full = [
            (meter, state)
            for meter, state in asked
            # An open call counts in a window with all of its hold, or not at all.
            if hold > (0 if own is None else self._inside(state, own)) and state.used + hold > meter.limit
        ]
        if full:
            return self._over(hold, full)
        if own is not None:
            for state in self._counting(own):
                self._move(state, slot_start(state.window, own.sent_at), -self._inside(state, own))
                self._move(state, slot_start(state.window, at), hold)
            return None
        for _, state in asked:
            self._move(state, slot_start(state.window, at), hold)
        return None

    def adjust(self, call: Call, by: int) -> None:
        """Change what a call counts for, where its slots are still in their windows."""
        if not by:
            return
        for state in self._counting(call):
            self._move_lasting(state, call.sent_at, by)

    def _counting(self, call: Call) -> list[MeterState]:
        return [state for state in self._loaded.meters.values() if not state.new and counts(state, call)]

    def _inside(self, state: MeterState, call: Call) -> int:
        """What a call counts for in a meter's window now."""
        held = counts(state, call) and self._lasts(state, slot_start(state.window, call.sent_at))
        return call.counts if held else 0

    def _lasts(self, state: MeterState, start: int) -> bool:
        expires = slot_expiry(state.window, start)
        return expires is None or expires > self._events.at

    def _feed(self, state: MeterState, last: int) -> bool:
        """Let a meter count what it missed, as far as that was loaded; whether it is up to date then."""
        if state.new:
            state.new = False
            self._events.append(
                chain.METER,
                facts=chain.facts(
                    meter=state.number,
                    key=state.key,
                    window=state.window.value,
                    principal=state.principal,
                    pattern=state.pattern,
                    session=state.session,
                    since=state.since,
                ),
            )
            self._changes.meters[state.number] = state
        feed = self._loaded.feeds.pop(state.key, None)
        if feed is not None and feed.upto > state.fed:
            self._add_stored(state, feed)
        if self._loaded.stored <= state.fed < last:
            for call in self._made:
                if call.number > state.fed:
                    self._set_fed(state, call.number)
                    if counts(state, call):
                        self._move(state, slot_start(state.window, call.sent_at), call.counts)
        return state.fed >= last

    def _add_stored(self, state: MeterState, feed: Feed) -> None:
        """Count what is stored, and what this transaction has done to some of these calls since."""
        for names, start, amount in feed.amounts:
            if applies(state, names) and self._lasts(state, start):
                self._move(state, start, amount)
        behind = state.fed
        self._set_fed(state, feed.upto)
        for call_id, call in self._changes.moved.items():
            if call.number > behind and counts(state, call):
                before = self._loaded.before[call_id]
                self._move_lasting(state, before.sent_at, -before.counts)
                self._move_lasting(state, call.sent_at, call.counts)

    def _set_fed(self, state: MeterState, upto: int) -> None:
        state.fed = upto
        self._changes.meters[state.number] = state

    def _move_lasting(self, state: MeterState, sent_at: int, by: int) -> None:
        """Move what a call counts for where its slot is still in the window."""
        start = slot_start(state.window, sent_at)
        if self._lasts(state, start):
            self._move(state, start, by)

    def _move(self, state: MeterState, start: int, by: int) -> None:
        if by:
            state.used += by
            self._changes.slots[state.number, start] += by
            self._changes.meters[state.number] = state

    def _over(self, hold: int, full: Asked) -> OverLimit:
        longest: OverLimit | None = None
        for meter, state in full:
            # For a hold above the whole limit more would have to leave than is in the window: that is never.
            resets_at = self._room_at(state, state.used + hold - meter.limit)
            over = OverLimit(meter, MicroUSDC(state.used), resets_at)
            if resets_at is None:
                return over
            if longest is None or longest.resets_at is None or resets_at > longest.resets_at:
                longest = over
        assert longest is not None
        return longest

    def _room_at(self, state: MeterState, needed: int) -> UnixMs | None:
        """When at least `needed` will have left the window; None when it never does."""
        if state.window not in SLOT_MS:
            return None
        amounts = Counter(dict(self._loaded.slots(state.number)))
        for (meter, start), by in self._changes.slots.items():
            if meter == state.number:
                amounts[start] += by
        for start, amount in sorted(amounts.items()):
            needed -= amount
            expires = slot_expiry(state.window, start)
            if needed <= 0 and expires is not None:
                return UnixMs(expires)
        return None


def applies(state: MeterState, names: tuple[str, ...]) -> bool:
    """Whether a meter's pattern fits one of a stored call's names."""
    return state.pattern is None or fits(state.pattern, names)


def counts(state: MeterState, call: Call | CallRow) -> bool:
    """Whether a meter counts a call."""
    return (
        state.since < call.number <= state.fed
        and state.principal == call.principal
        and (state.session is None or state.session == call.session)
        and applies(state, call.names)
    )


def new_meter(meter: Meter, number: int, session: str, *, last: int, fed: int) -> MeterState:
    """A meter that is asked for the first time.

    Args:
        session: the process session that asks.
        last: the number of the last call.
        fed: the number of a call up to which nothing can be in the window any more.
    """
    if meter.window is Window.SESSION:
        # A process's meter is made with the process's first call, so nothing of it can have come before.
        return MeterState(number, meter.key, meter.window, meter.principal, meter.pattern, session, last, last, 0, True)
    return MeterState(number, meter.key, meter.window, meter.principal, meter.pattern, None, 0, fed, 0, True)


def reading(
    meter: Meter,
    state: MeterState,
    slots: Iterable[tuple[int, int]],
    missed: Iterable[tuple[tuple[str, ...], int, int]],
) -> MeterReading:
    """How full a cap is.

    Args:
        slots: the start and the amount of each slot that is still in the window, micro-USDC.
        missed: what the meter is yet to count, as `Feed.amounts`.
    """
    sums: defaultdict[int, int] = defaultdict(int, slots)
    for names, start, amount in missed:
        if applies(state, names):
            sums[start] += amount
    ends = [(slot_expiry(state.window, start), amount) for start, amount in sums.items() if amount]
    resets_at = min((UnixMs(end) for end, _ in ends if end is not None), default=None)
    returns = 0 if resets_at is None else sum(amount for end, amount in ends if end == resets_at)
    return MeterReading(meter, MicroUSDC(sum(sums.values())), resets_at, MicroUSDC(returns))
