"""The ledger against a model of it that fits on a page, over random lives of two processes on one file."""

import asyncio
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate import schema
from jecp_mcp.mandate.books import UNDELIVERED_MS
from jecp_mcp.mandate.ledger import (
    WINDOW_MS,
    Admitted,
    AlreadyOpen,
    Conclusion,
    Meter,
    OverLimit,
    Undelivered,
    Window,
)
from jecp_mcp.mandate.meters import SLOT_MS
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.sqlite import SqliteLedger
from jecp_mcp.mandate.states import CHARGED, HOLDING, OPEN, Event, State, after, counted
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import HandClock, meter, reservation

METERS = (
    meter(Window.HOUR, 60),
    meter(Window.DAY, 150),
    meter(Window.MONTH, 300),
    meter(Window.TOTAL, 5_000),
    meter(Window.HOUR, 25, key="hour of docs/*"),
)
ENDED = CHARGED | {State.RELEASED, State.RECONCILED_FREE}


@dataclass(frozen=True)
class Call:
    """One call as the model knows it."""

    call_id: str
    session: str
    fingerprint: str
    meters: tuple[Meter, ...]
    state: State
    held: int
    created_at: int
    charged: int = 0
    ended_at: int | None = None
    answered: bool = False
    delivered: bool = False

    def counts_in(self, one: Meter, now: int) -> int:
        if one not in self.meters:
            return 0
        length = SLOT_MS.get(one.window)
        if length is not None:
            leaves = self.created_at // length * length + length + WINDOW_MS[one.window]
            assert self.created_at + WINDOW_MS[one.window] < leaves
            if leaves <= now:
                return 0
        return counted(self.state, self.held, self.charged)


class LedgerLife(RuleBasedStateMachine):
    """Two processes, one file, one clock."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = HandClock()
        self.loop = asyncio.new_event_loop()
        self.calls: dict[str, Call] = {}
        self.overdrawn = dict.fromkeys(METERS, 0)
        self.opened = 0
        self.asked = 0
        self.ledgers = [self.open(), self.open()]

    def open(self) -> SqliteLedger:
        self.opened += 1
        ledger = open_ledger(self.folder / "ledger.db", f"session{self.opened}", self.clock)
        assert ledger.fault is None
        return ledger

    def run(self, waited: Any) -> Any:
        return self.loop.run_until_complete(waited)

    def used(self, one: Meter) -> int:
        return sum(call.counts_in(one, self.clock.at) for call in self.calls.values())

    def some_call(self, data: st.DataObject) -> Call:
        return self.calls[data.draw(st.sampled_from(list(self.calls)), label="call")]

    @rule(
        which=st.integers(0, 1),
        hold=st.integers(0, 30),
        fingerprint=st.sampled_from("abcdefgh"),
        meters=st.sets(st.sampled_from(METERS)).map(lambda found: tuple(one for one in METERS if one in found)),
        send=st.booleans(),
    )
    def reserve(self, which: int, hold: int, fingerprint: str, meters: tuple[Meter, ...], send: bool) -> None:
        ledger = self.ledgers[which]
        self.asked += 1
        wanted = reservation(
            ledger.session, hold, meters=meters, fingerprint=fingerprint, send=send, call_id=f"call{self.asked}"
        )
        admission = self.run(ledger.reserve(wanted))
        same = [call for call in self.calls.values() if call.fingerprint == fingerprint]
        is_open = [call.call_id for call in same if call.state in OPEN]
        kept = [
            call.call_id
            for call in same
            if call.state in ENDED and call.answered and not call.delivered
            if call.ended_at is not None and call.ended_at > self.clock.at - UNDELIVERED_MS
        ]
        full = [one for one in meters if self.used(one) + hold > one.limit]
        if is_open:
            assert isinstance(admission, AlreadyOpen)
            assert [admission.row.call_id] == is_open
        elif kept:
            assert isinstance(admission, Undelivered)
            assert admission.row.call_id == kept[-1]
        elif full:
            assert isinstance(admission, OverLimit)
            assert admission.meter in full
            assert admission.used == self.used(admission.meter)
            self.check_reset(admission, hold)
        else:
            assert admission == Admitted(wanted.call_id, self.clock.at)
            self.calls[wanted.call_id] = Call(
                wanted.call_id,
                ledger.session,
                fingerprint,
                meters,
                State.SENT if send else State.RESERVED,
                hold,
                self.clock.at,
            )

    def check_reset(self, over: OverLimit, hold: int) -> None:
        if over.resets_at is None:
            assert over.meter.window not in WINDOW_MS or hold > over.meter.limit
            return
        for at, has_room in ((over.resets_at, True), (over.resets_at - 1, False)):
            used = sum(call.counts_in(over.meter, at) for call in self.calls.values())
            assert (used + hold <= over.meter.limit) is has_room

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(0, 1), data=st.data())
    def send(self, which: int, data: st.DataObject) -> None:
        call = self.some_call(data)
        moved = self.run(self.ledgers[which].send(call.call_id))
        assert moved is (call.state is State.RESERVED)
        if moved:
            self.calls[call.call_id] = replace(call, state=State.SENT)

    @precondition(lambda self: self.calls)
    @rule(
        which=st.integers(0, 1),
        event=st.sampled_from([event for event in Event if event is not Event.SEND]),
        charged=st.integers(0, 40),
        answered=st.booleans(),
        queued=st.booleans(),
        data=st.data(),
    )
    def conclude(
        self, which: int, event: Event, charged: int, answered: bool, queued: bool, data: st.DataObject
    ) -> None:
        ledger, call = self.ledgers[which], self.some_call(data)
        state = after(call.state, event)
        if event not in (Event.SETTLE, Event.PROVE_CHARGED):
            charged = 0
        conclusion = Conclusion(call.call_id, event, MicroUSDC(charged), answer=b"answer" if answered else None)
        if queued:
            ledger.conclude(conclusion)
            self.run(ledger.flush())
        elif state is None:
            with pytest.raises(LedgerError):
                self.run(ledger.conclude_now(conclusion))
        else:
            self.run(ledger.conclude_now(conclusion))
        if state is None:
            return
        for one in call.meters:
            # A charge above the hold is recorded as it is; it may pass the cap by so much, and by no more.
            if call.counts_in(one, self.clock.at) or call.held == 0:
                self.overdrawn[one] += max(0, charged - call.held)
        self.calls[call.call_id] = replace(
            call,
            state=state,
            charged=charged,
            ended_at=None if state in OPEN else self.clock.at,
            answered=call.answered or answered,
        )

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(0, 1), data=st.data())
    def deliver(self, which: int, data: st.DataObject) -> None:
        call = self.some_call(data)
        self.ledgers[which].delivered(call.call_id)
        self.run(self.ledgers[which].flush())
        self.calls[call.call_id] = replace(call, delivered=True)

    @rule(minutes=st.sampled_from([0.01, 1, 7, 30, 59, 60, 61, 6 * 60, 24 * 60, 24 * 60 + 11, 30 * 24 * 60]))
    def time_passes(self, minutes: float) -> None:
        self.clock.forward(ms=int(minutes * 60_000))

    @rule(which=st.integers(0, 1))
    def restart(self, which: int) -> None:
        self.run(self.ledgers[which].close())
        self.ledgers[which] = self.open()

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(0, 1), data=st.data())
    def die_before_a_conclusion_is_written(self, which: int, data: st.DataObject) -> None:
        ledger, call = self.ledgers[which], self.some_call(data)
        ledger.conclude(Conclusion(call.call_id, Event.SETTLE, MicroUSDC(call.held)))
        ledger._writer._changes.clear()
        self.run(ledger.close())
        self.ledgers[which] = self.open()

    @rule(which=st.integers(0, 1))
    def adopt(self, which: int) -> None:
        ledger, living = self.ledgers[which], {one.session for one in self.ledgers}
        rows = self.run(ledger.adopt_orphans())
        for call in list(self.calls.values()):
            if call.session in living or call.state not in OPEN:
                continue
            if call.state is State.RESERVED:
                self.calls[call.call_id] = replace(call, state=State.RELEASED, ended_at=self.clock.at)
            else:
                self.calls[call.call_id] = replace(call, state=State.IN_DOUBT, session=ledger.session)
        mine = [c for c in self.calls.values() if c.state is State.IN_DOUBT and c.session == ledger.session]
        assert [row.call_id for row in rows] == [call.call_id for call in mine]

    @invariant()
    def the_meters_count_what_the_calls_count(self) -> None:
        for ledger in self.ledgers:
            readings = self.run(ledger.readings(METERS))
            assert [reading.used for reading in readings] == [self.used(one) for one in METERS]
            for reading in readings:
                assert reading.used <= reading.meter.limit + self.overdrawn[reading.meter]

    @invariant()
    def the_sums_are_the_calls(self) -> None:
        totals = self.run(self.ledgers[0].totals())
        calls = self.calls.values()
        assert totals.charged == sum(call.charged for call in calls if call.state in CHARGED)
        assert totals.held == sum(call.held for call in calls if call.state in HOLDING)
        assert totals.in_doubt == sum(call.held for call in calls if call.state is State.IN_DOUBT)
        assert totals.calls == len(calls)

    def teardown(self) -> None:
        rows = self.run(self.ledgers[1].rows(limit=10_000))
        assert {row.call_id: (row.state, row.charged, row.session, row.delivered) for row in rows} == {
            call.call_id: (call.state, call.charged, call.session, call.delivered) for call in self.calls.values()
        }
        prints = [row.fingerprint for row in rows if row.state in OPEN]
        assert len(prints) == len(set(prints))
        for ledger in self.ledgers:
            self.run(ledger.close())
        connection = apsw.Connection(str(self.folder / "ledger.db"))
        schema.inspect(connection)
        connection.close()
        self.loop.close()
        shutil.rmtree(self.folder)


def live(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        LedgerLife,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_two_thousand_steps_of_two_processes_agree_with_the_model() -> None:
    live(examples=50, steps=50)


@pytest.mark.slow
def test_twenty_thousand_steps_of_two_processes_agree_with_the_model() -> None:
    live(examples=200, steps=120)
