"""A model of the ledger that fits on a few pages, and random lives of three processes on one file to hold against it.

The model knows calls, limits and instants; it knows no slots, no meters' tables, no events and no SQL.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import ClockWentBack, LedgerError
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import (
    Admitted,
    AlreadyOpen,
    Conclusion,
    Meter,
    OverLimit,
    Undelivered,
)
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.states import State
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import HandClock, everything, meter, reservation

PROCESSES = 3
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
# What a window is: (how long it looks back, how coarsely it forgets).
ROLLS = {Window.HOUR: (HOUR, MINUTE), Window.DAY: (DAY, 10 * MINUTE), Window.MONTH: (30 * DAY, 6 * HOUR)}
OPEN = {State.RESERVED, State.SENT, State.IN_DOUBT}
HOLDING = OPEN | {State.WRITTEN_OFF}
CHARGED = {State.SETTLED, State.RECONCILED_CHARGED}
FREE = {State.RELEASED, State.RECONCILED_FREE}
ENDED = CHARGED | FREE
WRITE_OFF = "write off"
LEADS: dict[State, dict[str, State]] = {
    State.RESERVED: {
        Verdict.CHARGED: State.SETTLED,
        Verdict.NOT_CHARGED: State.RELEASED,
        Verdict.IN_DOUBT: State.IN_DOUBT,
        Verdict.PENDING: State.SENT,
    },
    State.SENT: {
        Verdict.CHARGED: State.SETTLED,
        Verdict.NOT_CHARGED: State.RELEASED,
        Verdict.IN_DOUBT: State.IN_DOUBT,
        Verdict.PENDING: State.SENT,
        WRITE_OFF: State.WRITTEN_OFF,
    },
    State.IN_DOUBT: {
        Verdict.IN_DOUBT: State.IN_DOUBT,
        Verdict.PENDING: State.IN_DOUBT,
        Verdict.CHARGED: State.RECONCILED_CHARGED,
        Verdict.NOT_CHARGED: State.RECONCILED_FREE,
        WRITE_OFF: State.WRITTEN_OFF,
    },
    State.WRITTEN_OFF: {
        Verdict.CHARGED: State.RECONCILED_CHARGED,
        Verdict.NOT_CHARGED: State.RECONCILED_FREE,
    },
    State.RELEASED: {Verdict.CHARGED: State.RECONCILED_CHARGED},
    State.RECONCILED_FREE: {Verdict.CHARGED: State.RECONCILED_CHARGED},
}
CONCLUSIONS = [*Verdict, WRITE_OFF]

# Which actions a pattern covers, written out rather than matched.
FITS = {None: {"make", "read"}, "docs/*": {"make", "read"}, "*:read": {"read"}}
LIMITS = [
    (Window.HOUR, None, 60),
    (Window.DAY, None, 150),
    (Window.MONTH, None, 400),
    (Window.TOTAL, None, 4_000),
    (Window.HOUR, "docs/*", 45),
    (Window.DAY, "*:read", 70),
    (Window.TOTAL, "*:read", 500),
]
PRINCIPALS = ("ann", "bob")
METERS = [
    meter(window, limit, principal=principal, pattern=pattern)
    for principal in PRINCIPALS
    for window, pattern, limit in LIMITS
]


@dataclass(frozen=True)
class Call:
    """One call as the model knows it.

    Attributes:
        session: the process session that reserved it.
        owner: the one that sees to it now.
        look_again_at: when its payee is asked again.
        taken: what the Hub has taken, by the Hub's own books.
        misruled: whether an operator ruled it free although the Hub had charged.
    """

    call_id: str
    principal: str
    action: str
    session: str
    owner: str
    fingerprint: str
    state: State
    held: int
    created_at: int
    look_again_at: int | None = None
    charged: int = 0
    refunded: int = 0
    ended_at: int | None = None
    answered: bool = False
    delivered: bool = False
    request: bool = True
    answer: bool = False
    taken: int | None = None
    misruled: bool = False

    @property
    def counts(self) -> int:
        if self.state in HOLDING:
            return self.held
        return self.charged - self.refunded if self.state in CHARGED else 0

    @property
    def waits(self) -> bool:
        """Whether it has an answer that nobody received."""
        return self.state in ENDED and self.answered and not self.delivered

    @property
    def turns(self) -> bool:
        """Whether it is charged for the time being."""
        return self.state in CHARGED and self.look_again_at is not None

    def inside(self, window: Window, at: int) -> bool:
        if window not in ROLLS:
            return True
        length, step = ROLLS[window]
        return self.created_at - self.created_at % step + step + length > at


class LedgerLife(RuleBasedStateMachine):
    """Three processes, one file, one clock, one Hub."""

    steps = 0

    def __init__(self) -> None:
        super().__init__()
        # A file system in memory, where there is one: nothing here asks what survives a power cut.
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self.clock = HandClock()
        self.loop = asyncio.new_event_loop()
        self.calls: dict[str, Call] = {}
        self.met: dict[str, tuple[int, str]] = {}
        self.last = 0
        self.opened = 0
        self.asked = 0
        self.head: str | None = None
        self.ledgers = [self.open() for _ in range(PROCESSES)]
        self.observer = self.open()

    def open(self) -> SqliteLedger:
        self.opened += 1
        ledger = open_ledger(self.folder / "ledger.db", f"session{self.opened}", self.clock)
        assert ledger.fault is None
        return ledger

    def run(self, waited: Any) -> Any:
        return self.loop.run_until_complete(waited)

    @property
    def at(self) -> int:
        """The instant a change would carry: time stands still while the clock is behind."""
        return max(self.clock.at, self.last)

    @property
    def behind(self) -> bool:
        return self.clock.at < self.last - MINUTE

    def used(self, one: Meter) -> int:
        """What a limit counts now, whether any call has met it or not."""
        return sum(call.counts for call in self.counted(one) if call.inside(one.window, self.at))

    def counted(self, one: Meter) -> list[Call]:
        """The calls that a limit counts while they are in its window."""
        if one.window is Window.SESSION:
            # Those of the session that came after the limit was met.
            before, session = self.met.get(one.key, (len(self.calls), ""))
            calls = list(self.calls.values())[before:]
            return [call for call in calls if (call.session, call.principal) == (session, one.principal)]
        return [
            call for call in self.calls.values() if call.principal == one.principal and call.action in FITS[one.pattern]
        ]

    def meet(self, one: Meter, session: str) -> None:
        """A limit is asked for, maybe for the first time."""
        if one.key not in self.met:
            self.met[one.key] = (len(self.calls), session)
            self.last = self.at

    def some_call(self, data: st.DataObject, which: Callable[[Call], bool] = lambda _call: True) -> Call | None:
        found = [name for name, call in self.calls.items() if which(call)]
        return self.calls[data.draw(st.sampled_from(found), label="call")] if found else None

    def session_meter(self, ledger: SqliteLedger, principal: str) -> Meter:
        key = f"session {ledger.session} {principal}"
        return Meter(key, Window.SESSION, MicroUSDC(200), "session_usdc", principal)

    @initialize(early=st.booleans())
    def begin(self, early: bool) -> None:
        self.clock.forward(ms=0 if early else 7 * MINUTE + 123)

    @rule(
        which=st.integers(0, PROCESSES - 1),
        holds=st.lists(st.integers(0, 30), min_size=1, max_size=3),
        fingerprint=st.sampled_from("abcdefghij"),
        principal=st.sampled_from(PRINCIPALS),
        action=st.sampled_from(["make", "read"]),
        chosen=st.sets(st.integers(0, len(LIMITS) - 1)),
        of_session=st.booleans(),
        send=st.booleans(),
    )
    def reserve(
        self,
        which: int,
        holds: list[int],
        fingerprint: str,
        principal: str,
        action: str,
        chosen: set[int],
        of_session: bool,
        send: bool,
    ) -> None:
        """One call, or several different ones at once."""
        ledger = self.ledgers[which]
        limits = [LIMITS[index] for index in sorted(chosen)]
        meters = [
            meter(window, limit, principal=principal, pattern=pattern)
            for window, pattern, limit in limits
            if action in FITS[pattern]
        ]
        if of_session:
            meters.append(self.session_meter(ledger, principal))
        wanted = []
        for hold in holds:
            self.asked += 1
            wanted.append(
                reservation(
                    ledger.session,
                    hold,
                    meters=meters,
                    principal=principal,
                    action=action,
                    fingerprint=f"{fingerprint}{len(wanted)}",
                    send=send,
                    call_id=f"call{self.asked}",
                )
            )

        async def ask() -> list[Any]:
            return await asyncio.gather(*(ledger.reserve(one) for one in wanted), return_exceptions=True)

        for one, admission in zip(wanted, self.run(ask()), strict=True):
            self.judge(one, admission)

    def judge(self, wanted: Any, admission: Any) -> None:
        same = [call for call in self.calls.values() if call.fingerprint == wanted.fingerprint]
        is_open = [call.call_id for call in same if call.state in OPEN]
        kept = [
            call.call_id for call in same if call.waits and (call.ended_at is None or call.ended_at > self.at - DAY)
        ]
        if is_open:
            assert isinstance(admission, AlreadyOpen)
            assert [admission.row.call_id] == is_open
            return
        if kept:
            assert isinstance(admission, Undelivered)
            assert admission.row.call_id == kept[-1]
            return
        if self.behind:
            assert isinstance(admission, ClockWentBack)
            return
        for one in wanted.meters:
            self.meet(one, wanted.session)
        # What holds nothing is in no limit's way, even past a full one.
        full = [one for one in wanted.meters if wanted.hold and self.used(one) + wanted.hold > one.limit]
        if full:
            assert isinstance(admission, OverLimit)
            assert admission.meter in full
            assert admission.used == self.used(admission.meter)
            self.check_reset(admission, wanted.hold)
            return
        assert admission == Admitted(wanted.call_id, UnixMs(self.at))
        self.last = self.at
        self.calls[wanted.call_id] = Call(
            wanted.call_id,
            wanted.principal,
            wanted.offer.rpartition(":")[2],
            wanted.session,
            wanted.session,
            wanted.fingerprint,
            State.SENT if wanted.send else State.RESERVED,
            wanted.hold,
            self.at,
        )

    def check_reset(self, over: OverLimit, hold: int) -> None:
        if over.resets_at is None:
            assert over.meter.window not in ROLLS or hold > over.meter.limit
            return
        for at, has_room in ((over.resets_at, True), (over.resets_at - 1, False)):
            used = sum(call.counts for call in self.counted(over.meter) if call.inside(over.meter.window, at))
            assert (used + hold <= over.meter.limit) is has_room

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(0, PROCESSES - 1), data=st.data())
    def send(self, which: int, data: st.DataObject) -> None:
        call = self.some_call(data)
        assert call is not None
        moved = self.run(self.ledgers[which].send(call.call_id))
        assert moved is (call.state is State.RESERVED)
        if moved:
            self.last = self.at
            self.calls[call.call_id] = replace(call, state=State.SENT)

    @precondition(lambda self: any(call.state in {State.SENT, State.IN_DOUBT} for call in self.calls.values()))
    @rule(part=st.integers(0, 100), data=st.data())
    def the_hub_charges(self, part: int, data: st.DataObject) -> None:
        """A first attempt or a replay arrives: the Hub takes at most what is held, once."""
        call = self.some_call(data, lambda one: one.state in {State.SENT, State.IN_DOUBT} and one.taken is None)
        if call is not None:
            self.calls[call.call_id] = replace(call, taken=call.held * part // 100)

    @precondition(lambda self: self.calls)
    @rule(
        which=st.integers(0, PROCESSES - 1),
        event=st.sampled_from(CONCLUSIONS),
        amount=st.integers(0, 40),
        answered=st.booleans(),
        queued=st.booleans(),
        later=st.booleans(),
        back=st.integers(0, 50),
        data=st.data(),
    )
    def conclude(
        self,
        which: int,
        event: str,
        amount: int,
        answered: bool,
        queued: bool,
        later: bool,
        back: int,
        data: st.DataObject,
    ) -> None:
        ledger, call = self.ledgers[which], self.some_call(data)
        assert call is not None
        state = LEADS.get(call.state, {}).get(event)
        charging = event is Verdict.CHARGED
        if call.turns and event in {Verdict.CHARGED, Verdict.IN_DOUBT, Verdict.PENDING}:
            state = call.state
        # What the Hub took; it may be news to us, and once in a while more than was held.
        taken = (amount if call.taken is None else call.taken) if charging else 0
        if event is Verdict.NOT_CHARGED and call.taken is not None:
            # A release is a proof, and there is none.
            return
        answered = answered and event != WRITE_OFF
        conclusion = Conclusion(
            call.call_id, Verdict(event) if event != WRITE_OFF else Verdict.IN_DOUBT, MicroUSDC(taken),
            answer=b"answer" if answered else None,
            look_again_at=UnixMs(self.clock.at + HOUR) if later else None,
            refunded=MicroUSDC(back if charging else 0),
        )  # fmt: skip
        if event == WRITE_OFF:
            ledger.write_off(call.call_id, "too late")
            self.run(ledger.flush())
        elif queued:
            ledger.conclude(conclusion)
            self.run(ledger.flush())
        elif state is None:
            with pytest.raises(LedgerError):
                self.run(ledger.conclude_now(conclusion))
        else:
            self.run(ledger.conclude_now(conclusion))
        if state is None:
            return
        self.last = self.at
        if call.turns:
            # Proof for good says what came back of a charge after all.
            taken, misruled = call.charged, call.misruled
            refunded = 0 if charging and not later else call.refunded
        else:
            misruled, refunded = event is Verdict.NOT_CHARGED and bool(call.taken), 0
        look = None
        if event != WRITE_OFF and state not in FREE:
            look = conclusion.look_again_at
            if look is None and (state in OPEN or not charging):
                look = UnixMs(self.at)
        self.calls[call.call_id] = replace(
            call,
            state=state,
            charged=taken,
            refunded=max(refunded, min(back, taken)) if charging else refunded,
            taken=taken if charging and not call.turns else call.taken,
            misruled=misruled,
            ended_at=self.at if look is None else None,
            look_again_at=look,
            answered=call.answered or answered,
            answer=call.answer or answered,
        )

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(0, PROCESSES - 1), total=st.integers(0, 50), data=st.data())
    def refund(self, which: int, total: int, data: st.DataObject) -> None:
        call = self.some_call(data)
        assert call is not None
        refunding = self.ledgers[which].refund(call.call_id, MicroUSDC(total), "a refund")
        if call.state not in CHARGED:
            with pytest.raises(LedgerError, match="was not charged"):
                self.run(refunding)
            return
        refunded = max(call.refunded, min(total, call.charged))
        assert self.run(refunding) is (refunded > call.refunded)
        if refunded > call.refunded:
            self.last = self.at
            self.calls[call.call_id] = replace(call, refunded=refunded)

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(0, PROCESSES - 1), data=st.data())
    def deliver(self, which: int, data: st.DataObject) -> None:
        call = self.some_call(data)
        assert call is not None
        self.ledgers[which].note_delivery(call.call_id)
        self.run(self.ledgers[which].flush())
        if not call.delivered:
            self.last = self.at
            self.calls[call.call_id] = replace(call, delivered=True)

    @rule(which=st.integers(0, PROCESSES - 1), ago=st.sampled_from([0, HOUR, 2 * DAY]))
    def prune(self, which: int, ago: int) -> None:
        before = self.clock.at - ago
        dropped = self.run(self.ledgers[which].prune(UnixMs(before)))
        goes = [
            call
            for call in self.calls.values()
            if call.ended_at is not None and call.ended_at < before and not call.waits and (call.request or call.answer)
        ]
        assert dropped == len(goes)
        for call in goes:
            self.calls[call.call_id] = replace(call, request=False, answer=False)
        if goes:
            self.last = self.at

    @rule(minutes=st.sampled_from([0.01, 1, 7, 59, 61, 6 * 60, 24 * 60, 24 * 60 + 11, 30 * 24 * 60]))
    def time_passes(self, minutes: float) -> None:
        self.clock.forward(ms=int(minutes * MINUTE))

    @rule(minutes=st.sampled_from([0.01, 0.9, 1, 1.1, 30, 60, 24 * 60, 3 * 24 * 60]))
    def the_clock_goes_back(self, minutes: float) -> None:
        self.clock.forward(ms=-int(minutes * MINUTE))

    @rule(which=st.integers(0, PROCESSES - 1))
    def trust_clock(self, which: int) -> None:
        self.run(self.ledgers[which].trust_clock())
        if not self.behind:
            return
        self.last = self.clock.at

    @rule(which=st.integers(0, PROCESSES - 1))
    def restart(self, which: int) -> None:
        self.run(self.ledgers[which].close())
        self.ledgers[which] = self.open()

    @rule(which=st.integers(0, PROCESSES - 1), unwritten=st.booleans(), data=st.data())
    def die(self, which: int, unwritten: bool, data: st.DataObject) -> None:
        """As a kill leaves it: what was queued is not written, what was promised is."""
        ledger, call = self.ledgers[which], self.some_call(data)
        if unwritten and call is not None:
            ledger.conclude(Conclusion(call.call_id, Verdict.CHARGED, MicroUSDC(call.held)))
            ledger.note_delivery(call.call_id)
        ledger._writer._changes.clear()
        self.run(ledger.close())
        self.ledgers[which] = self.open()

    @rule(which=st.integers(0, PROCESSES - 1))
    def adopt(self, which: int) -> None:
        ledger, living = self.ledgers[which], {one.session for one in self.ledgers}
        running = [call.call_id for call in self.calls.values() if call.owner == ledger.session]
        rows = self.run(ledger.adopt_orphans(everything, running))
        for call in list(self.calls.values()):
            if call.owner in living or not (call.state in OPEN or call.turns):
                continue
            self.last = self.at
            if call.state is State.RESERVED:
                self.calls[call.call_id] = replace(call, state=State.RELEASED, ended_at=self.at)
            elif call.look_again_at is None:
                self.calls[call.call_id] = replace(
                    call, state=State.IN_DOUBT, owner=ledger.session, look_again_at=self.at
                )
            else:
                self.calls[call.call_id] = replace(call, owner=ledger.session)
        mine = [call for call in self.calls.values() if call.owner == ledger.session]
        due = [
            (call.look_again_at, int(call.call_id[4:]))
            for call in mine
            if (call.look_again_at or self.at + 1) <= self.at
        ]
        assert [row.call_id for row in rows] == [f"call{number}" for _, number in sorted(due)]

    @invariant()
    def every_limit_counts_what_its_calls_count(self) -> None:
        LedgerLife.steps += 1
        wanted = [*METERS, *(self.session_meter(ledger, "ann") for ledger in self.ledgers)]
        readings = self.run(self.observer.readings(wanted))
        assert [reading.used for reading in readings] == [self.used(one) for one in wanted]

    @invariant()
    def the_sums_cover_whatever_the_hub_took(self) -> None:
        totals = self.run(self.observer.totals())
        calls = self.calls.values()
        assert totals.charged == sum(call.charged - call.refunded for call in calls if call.state in CHARGED)
        assert totals.held == sum(call.held for call in calls if call.state in HOLDING)
        assert totals.in_doubt == sum(call.held for call in calls if call.state is State.IN_DOUBT)
        assert totals.calls == len(calls)
        taken = sum((call.taken or 0) - call.refunded for call in calls if not call.misruled)
        assert taken <= totals.charged + totals.held

    @invariant()
    def the_books_prove_themselves(self) -> None:
        report = self.run(self.observer.audit(self.head))
        assert report.findings == ()
        assert report.calls == len(self.calls)
        assert report.anchored is not False
        self.head = report.head

    def teardown(self) -> None:
        try:
            self.check_every_row()
        finally:
            # A life that went wrong leaves nothing open either: it is told in many shorter ones.
            for ledger in (*self.ledgers, self.observer):
                self.run(ledger.close())
            self.loop.close()
        connection = apsw.Connection(str(self.folder / "ledger.db"))
        assert connection.execute("PRAGMA integrity_check").get == "ok"
        connection.close()
        shutil.rmtree(self.folder)

    def check_every_row(self) -> None:
        rows = self.run(self.observer.rows(limit=10_000))
        assert {row.call_id: _told(row) for row in rows} == {name: _told(call) for name, call in self.calls.items()}
        for call in self.calls.values():
            row = self.run(self.observer.row(call.call_id))
            assert (bool(row.request), row.answer) == (call.request, b"answer" if call.answer else None)
        prints = [row.fingerprint for row in rows if row.state in OPEN]
        assert len(prints) == len(set(prints))


def _told(of: Any) -> tuple[Any, ...]:
    return (
        of.state,
        of.held,
        of.charged,
        of.refunded,
        of.session,
        of.owner,
        of.look_again_at,
        of.delivered,
        of.answered,
        of.created_at,
        of.ended_at,
    )


def live(number: int, examples: int, steps: int) -> int:
    """So many lives of about so many steps, the same ones for the same number; returns how many steps were taken."""

    @seed(number)
    class Seeded(LedgerLife):
        pass

    before = LedgerLife.steps
    lives = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(Seeded, settings=lives)
    except Exception as exc:
        exc.add_note(f"This is live({number}, {examples}, {steps}).")
        raise
    return LedgerLife.steps - before


def live_long(number: int, steps: int) -> None:
    """As many lives as at least so many steps take."""
    taken = part = 0
    while taken < steps:
        taken += live(1_000 * number + part, examples=50, steps=60)
        part += 1
