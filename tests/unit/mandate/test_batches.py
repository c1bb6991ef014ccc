"""What one transaction decides on what it has loaded, to the millisecond, the micro-USDC and the number of a call."""

from __future__ import annotations

from typing import Any

import pytest

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.records import Admitted, Conclusion, Counting, Meter, OverLimit, Undelivered
from jecp_mcp.mandate.rules import CLOCK_SLACK_MS, MOST_HELD, UNDELIVERED_MS, Batch, _new_call
from jecp_mcp.mandate.states import State
from jecp_mcp.mandate.windows import Window, earliest, slot_expiry, slot_start
from jecp_mcp.mandate.working_set import Call, Feed, MeterState, Repeats, WorkingSet
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
    decided.calls.conclude(Conclusion("c1", Verdict.CHARGED, 20, claim=0), START)  # type: ignore[arg-type]
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


def test_what_a_reservation_writes_for_good_is_enough_to_count_it() -> None:
    wanted = reservation("s", call_id="c", principal="zoe")
    said = chain.reservation(wanted, "d")
    assert said.pop("identity") == chain.identity([getattr(wanted, name) for name in chain.IDENTITY])
    assert said == {"call_id": "c", "principal": "zoe", "names": wanted.names, "request": "d"}


def test_no_slot_of_a_window_that_never_rolls_has_left_it() -> None:
    assert earliest(Window.TOTAL, START) == earliest(Window.SESSION, START) == -1
    assert earliest(Window.TOTAL, START) < slot_start(Window.TOTAL, START)
