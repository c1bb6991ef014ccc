"""What one transaction decides on what it has loaded, to the millisecond, the micro-USDC and the number of a call."""

from __future__ import annotations

from typing import Any

import pytest

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Mark, Verdict
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.call_rules import MOST_HELD, MOST_WHOLE
from jecp_mcp.mandate.counting import new_meter
from jecp_mcp.mandate.grants import Grant, GrantKind, GrantRef, GrantState
from jecp_mcp.mandate.records import (
    RULED,
    Admitted,
    Conclusion,
    Counting,
    Meter,
    OverLimit,
    Undelivered,
)
from jecp_mcp.mandate.rules import CLOCK_SLACK_MS, UNDELIVERED_MS, Batch, _new_call
from jecp_mcp.mandate.states import State
from jecp_mcp.mandate.windows import Window, earliest, slot_expiry, slot_start
from jecp_mcp.mandate.working_set import Call, Feed, MeterState, Repeats, WorkingSet
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import START, meter, reservation

NOBODY: Any = None
DAY = meter(Window.DAY, 100)


def loaded(*calls: Call, slots: tuple[tuple[int, int], ...] = ()) -> WorkingSet:
    found = WorkingSet(0, chain.GENESIS, len(calls), lambda _: slots)
    for call in calls:
        found.add(call)
    return found


def stored(number: int, hold: int = 60, at: int = START, **fields: Any) -> Call:
    call = _new_call(reservation("s", hold, call_id=f"c{number}", fingerprint="print"), number, UnixMs(at))
    for name, value in fields.items():
        setattr(call, name, value)
    return call


def counting(found: WorkingSet, of: Meter = DAY, *, fed: int, used: int = 0) -> MeterState:
    state = MeterState(7, of.key, of.window, of.principal, of.pattern, None, 0, fed, used)
    found.meters[of.key] = state
    return state


def batch(found: WorkingSet, at: int = START) -> Batch:
    return Batch(found, NOBODY, "s", UnixMs(at), at)


def facts_of(decided: Batch, event: str) -> list[dict[str, object]]:
    read = (chain.read(one.body, one.digest) for one in decided.changes.events)
    return [dict(one.facts) for one in read if one.event == event]


def test_a_hold_is_as_large_as_it_may_be_and_no_larger() -> None:
    assert isinstance(batch(loaded()).reserve(reservation("s", MOST_HELD), START), Admitted)
    for hold in (-1, MOST_HELD + 1):
        with pytest.raises(LedgerError, match="out of bounds"):
            batch(loaded()).reserve(reservation("s", hold), START)


@pytest.mark.parametrize(("age", "waits"), [(UNDELIVERED_MS - 1, True), (UNDELIVERED_MS, False)])
def test_an_answer_waits_for_a_day_and_no_longer(age: int, waits: bool) -> None:
    found = loaded(stored(1, state=State.SETTLED, answered=True, ended_at=START - age))
    decided = batch(found).reserve(reservation("s", call_id="again", fingerprint="print"), START)
    assert decided == (Repeats(Undelivered, 1) if waits else Admitted("again", START))


@pytest.mark.parametrize(("ahead", "state"), [(0, State.IN_DOUBT), (1, State.WRITTEN_OFF)])
def test_a_call_of_a_process_that_ended_is_written_off_where_it_was_made_well_ahead_of_the_clock(
    ahead: int, state: State
) -> None:
    calls = [stored(number, state=State.IN_DOUBT, owner="dead", created_at=START + CLOCK_SLACK_MS + ahead) for number in (4, 9)]  # fmt: skip
    found = loaded(*calls)
    found.orphans = ["c4", "c9"]
    assert batch(found).adopt((), START, clock_right=True) == 9, "so that the next batch goes on behind it"
    assert {call.state for call in calls} == {state}
    assert batch(loaded()).adopt((), START, clock_right=True) is None


def test_a_cap_that_does_not_apply_keeps_none_from_being_asked() -> None:
    elsewhere = meter(pattern="other/*")
    found = loaded()
    counting(found, elsewhere, fed=0)
    counting(found, fed=0, used=100)
    over = batch(found).reserve(reservation("s", 1, meters=[elsewhere, DAY]), START)
    assert isinstance(over, OverLimit)
    assert over.meter == DAY


def test_a_limit_that_lags_says_how_far_it_has_counted() -> None:
    found = loaded(stored(1), stored(2))
    state = counting(found, fed=0)
    found.feeds[DAY.key] = Feed(1, [(("docs/pdf",), slot_start(Window.DAY, START), 60)])
    decided = batch(found)
    assert decided.reserve(reservation("s", 1, meters=[DAY]), START) == Counting(DAY)
    assert (state.fed, state.used) == (1, 60)
    assert facts_of(decided, chain.FEED) == [{"meter": 7, "upto": 1}]


def test_what_a_limit_has_counted_it_does_not_count_again() -> None:
    found = loaded(stored(1))
    state = counting(found, fed=1, used=60)
    found.feeds[DAY.key] = Feed(1, [(("docs/pdf",), slot_start(Window.DAY, START), 60)])
    assert isinstance(batch(found).reserve(reservation("s", 40, meters=[DAY]), START), Admitted)
    assert state.used == 100


def test_a_limit_that_comes_in_one_batch_with_calls_counts_them_at_once() -> None:
    found = loaded(stored(1))
    state = counting(found, fed=1)
    decided = batch(found)
    assert isinstance(decided.reserve(reservation("s", 60), START), Admitted)
    over = decided.reserve(reservation("s", 41, meters=[DAY]), START)
    assert isinstance(over, OverLimit)
    assert (over.used, state.used) == (60, 60)


def test_what_a_call_comes_to_is_counted_once_though_the_limit_has_more_to_count() -> None:
    found = loaded(stored(1), stored(2))
    state = counting(found, fed=1, used=60)
    decided = batch(found)
    decided.calls.conclude(Conclusion("c1", Verdict.CHARGED, MicroUSDC(20), claim=0), START)
    assert state.used == 20
    found.feeds[DAY.key] = Feed(2, [(("docs/pdf",), slot_start(Window.DAY, START), 60)])
    assert isinstance(decided.reserve(reservation("s", 20, meters=[DAY]), START), Admitted)
    assert state.used == 20 + 60 + 20


@pytest.mark.parametrize("late", [0, 1])
def test_a_call_moves_no_slot_that_has_left_its_window(late: int) -> None:
    gone_at = slot_expiry(Window.DAY, slot_start(Window.DAY, START))
    assert gone_at is not None
    found = loaded(stored(1))
    state = counting(found, fed=1, used=60)
    decided = batch(found, gone_at - 1 + late)
    decided.calls.conclude(Conclusion("c1", Verdict.NOT_CHARGED), decided.at)
    assert (state.used, sum(decided.changes.slots.values())) == ((60, 0) if late else (0, -60))


def test_room_comes_when_the_slot_leaves_in_which_this_batch_spent_too() -> None:
    start = slot_start(Window.DAY, START)
    found = loaded(stored(1), slots=((start, 60),))
    counting(found, fed=1, used=60)
    decided = batch(found)
    assert isinstance(decided.reserve(reservation("s", 30, meters=[DAY]), START), Admitted)
    over = decided.reserve(reservation("s", 80, meters=[DAY]), START)
    assert isinstance(over, OverLimit)
    assert over.resets_at == slot_expiry(Window.DAY, start)


def test_a_new_meter_counts_what_the_cap_says_and_only_its_own_process_where_the_cap_is_one_session_s() -> None:
    made = [new_meter(meter(of, pattern="docs/*"), 7, "s", last=3, fed=1) for of in (Window.SESSION, Window.DAY)]
    key = "meter of {} local docs/*"
    assert made == [
        MeterState(7, key.format("session"), Window.SESSION, "local", "docs/*", "s", 3, 3, 0, new=True),
        MeterState(7, key.format("day"), Window.DAY, "local", "docs/*", None, 0, 1, 0, new=True),
    ]


def concluded(call: Call, verdict: Verdict = Verdict.CHARGED, **fields: Any) -> list[str | None]:
    """The evidence of what was written when a call ended so."""
    decided = batch(loaded(call))
    decided.calls.conclude(Conclusion(call.call_id, verdict, **fields), START)
    return [chain.read(one.body, one.digest).evidence for one in decided.changes.events]


@pytest.mark.parametrize(
    ("said", "evidence"),
    [(None, "its payment tx is another call's"), ("paid", "paid; its payment tx is another call's")],
)
def test_a_payment_that_is_another_calls_is_said_to_be(said: str | None, evidence: str) -> None:
    call, other = stored(1), stored(2, reference="tx")
    decided = batch(loaded(call, other))
    decided.calls.conclude(Conclusion("c1", Verdict.CHARGED, evidence=said, reference="tx"), START)
    assert (call.evidence, call.reference) == (evidence, None)


def test_what_a_person_ruled_stands_beside_what_is_said_since() -> None:
    ruled = f"{RULED}by hand"
    before = [stored(1, state=State.SETTLED, look_again_at=START, evidence=one) for one in ("heard", ruled, ruled)]
    assert [concluded(call, evidence=said) for call, said in zip(before, ("paid", "paid", None), strict=True)] == [
        ["paid"], [f"{ruled}; paid"], [None],
    ]  # fmt: skip
    assert [call.evidence for call in before] == ["paid", f"{ruled}; paid", ruled]


def test_of_what_is_free_nobody_is_asked_again() -> None:
    call = stored(1)
    concluded(call, Verdict.NOT_CHARGED, look_again_at=UnixMs(START + 1))
    assert (call.state, call.look_again_at, call.ended_at) == (State.RELEASED, None, START)


def test_each_claim_is_a_new_one() -> None:
    call = stored(1, claim=4)
    decided = batch(loaded(call))
    decided.calls.claim(call)
    assert (call.claim, call.owner, facts_of(decided, chain.ADOPT)) == (5, "s", [{"claim": 5}])


def test_what_was_about_to_be_paid_for_good_is_freed_by_a_person_only() -> None:
    call = stored(1, mark=Mark.INTENT)
    with pytest.raises(LedgerError, match="only a person frees it"):
        concluded(call, Verdict.NOT_CHARGED, claim=0)
    concluded(call, Verdict.NOT_CHARGED, claim=None)
    assert call.state is State.RELEASED


@pytest.mark.parametrize(
    "fields",
    [{"charged": MOST_WHOLE}, {"refunded": MOST_WHOLE}, {"balance_after": -MOST_WHOLE}, {"attempts": -MOST_WHOLE}],
)
def test_what_no_column_can_hold_is_not_concluded(fields: dict[str, Any]) -> None:
    call = stored(1)
    with pytest.raises(LedgerError, match="an amount is out of bounds"):
        concluded(call, **fields)
    assert call.state is State.SENT


def granted(decided: Batch, name: str, state: GrantState = GrantState.GRANTED, note: str | None = None) -> GrantRef:
    grant = Grant(GrantKind.APPROVAL, name, "local", "print", state, b"{}", UnixMs(START), UnixMs(START + 9), note=note)
    decided.grants.write(grant, UnixMs(START))
    return GrantRef(grant.kind, name)


def test_a_grant_is_good_until_it_expires_and_not_from_then_on() -> None:
    decided = batch(loaded())
    ref = granted(decided, "a")
    assert decided.grants.check([ref], "print", "local", UnixMs(START + 8)) is None
    assert decided.grants.check([ref], "print", "local", UnixMs(START + 9)) is not None


def test_a_grant_that_is_written_and_answered_in_one_batch_is_stored_once() -> None:
    decided = batch(loaded())
    ref = granted(decided, "a", GrantState.ASKED)
    decided.grants.answer(ref, granted=True, note="yes", at=UnixMs(START))
    assert decided.changes.new_grants[ref].state is GrantState.GRANTED
    assert decided.changes.grants == {}


def test_a_grant_that_is_superseded_says_nothing_of_what_was_asked() -> None:
    decided = batch(loaded())
    granted(decided, "a", note="asked for")
    granted(decided, "b", note="asked for")
    read = [chain.read(one.body, one.digest) for one in decided.changes.events]
    assert [(one.facts["slip"], one.facts["state"], one.evidence) for one in read] == [
        ("a", "granted", "asked for"), ("a", "superseded", None), ("b", "granted", "asked for"),
    ]  # fmt: skip


def test_what_a_reservation_writes_for_good_is_enough_to_count_it() -> None:
    wanted = reservation("s", call_id="c", principal="zoe")
    said = chain.reservation(wanted, "d")
    assert said.pop("identity") == chain.identity([getattr(wanted, name) for name in chain.IDENTITY])
    assert said == {"call_id": "c", "principal": "zoe", "names": wanted.names, "request": "d"}


def test_no_slot_of_a_window_that_never_rolls_has_left_it() -> None:
    assert earliest(Window.TOTAL, START) == earliest(Window.SESSION, START) == -1
    assert earliest(Window.TOTAL, START) < slot_start(Window.TOTAL, START)
