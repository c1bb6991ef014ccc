"""What a ledger promises, kept by PostgreSQL: every change, every window, every proof."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import ClockWentBack, LedgerError, LedgerUnavailable
from jecp_mcp.mandate import writer
from jecp_mcp.mandate.postgres import store
from jecp_mcp.mandate.postgres.ledger import PostgresLedger
from jecp_mcp.mandate.records import (
    RULED,
    Admitted,
    AlreadyOpen,
    Conclusion,
    OverLimit,
    Undelivered,
)
from jecp_mcp.mandate.states import (
    HOLDING,
    Event,
    State,
    after,
    event_of,
)
from jecp_mcp.mandate.windows import SLOT_MS, Window
from jecp_mcp.money import MicroUSDC
from tests.postgres.cluster import Cluster
from tests.postgres.fixtures import ServerClock
from tests.unit.mandate.reservations import START, meter, reservation

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

Opener = Callable[[str], PostgresLedger]

ROADS: dict[State, tuple[Event | Verdict, ...]] = {
    State.RESERVED: (),
    State.SENT: (Event.SEND,),
    State.SETTLED: (Event.SEND, Verdict.CHARGED),
    State.RELEASED: (Verdict.NOT_CHARGED,),
    State.IN_DOUBT: (Event.SEND, Verdict.IN_DOUBT),
    State.RECONCILED_CHARGED: (Event.SEND, Verdict.IN_DOUBT, Verdict.CHARGED),
    State.RECONCILED_FREE: (Event.SEND, Verdict.IN_DOUBT, Verdict.NOT_CHARGED),
    State.WRITTEN_OFF: (Event.SEND, Verdict.IN_DOUBT, Event.WRITE_OFF),
}


async def used(ledger: PostgresLedger, *windows: Window) -> list[int]:
    return [one.used for one in await ledger.readings([meter(window) for window in windows or (Window.DAY,)])]


async def go(ledger: PostgresLedger, call_id: str, move: Event | Verdict) -> bool:
    """Let something happen to a call, and say whether it did."""
    try:
        match move:
            case Event.SEND:
                return await ledger.send(call_id)
            case Event.RESEND:
                return isinstance(await ledger.resend(call_id, 0, [meter()]), Admitted)
            case Event.WRITE_OFF:
                before = await ledger.events(call_id)
                ledger.write_off(call_id, "nobody knows")
                return len(await ledger.events(call_id)) > len(before)
            case Event.REFUND:
                # Nothing was charged, so nothing can be given back, but only a charged call can be asked for.
                return not await ledger.refund(call_id, MicroUSDC(1), "refund")
            case Event.CORRECTED:
                await ledger.correct(call_id, MicroUSDC(1), "the operator ruled")
            case Verdict():
                await ledger.conclude_now(Conclusion(call_id, move))
            case _:
                raise AssertionError(move)
    except LedgerError:
        return False
    return True


@pytest.mark.parametrize("state", State)
async def test_in_every_state_what_can_happen_does_and_nothing_else(ledger: PostgresLedger, state: State) -> None:
    moves = (Event.SEND, Event.RESEND, Event.WRITE_OFF, Event.REFUND, Event.CORRECTED, *Verdict)
    for move in moves:
        wanted = reservation("session", 10, meters=[meter()], send=False)
        await ledger.reserve(wanted)
        for step in ROADS[state]:
            assert await go(ledger, wanted.call_id, step)
        # Whoever knows how a reserved call ended has sent it, said or not.
        before = State.SENT if state is State.RESERVED and isinstance(move, Verdict) else state
        event = event_of(before, move) if isinstance(move, Verdict) else move
        # A charge that stands is no news; one that may yet turn has tests of its own.
        stands = isinstance(move, Verdict) and state in {State.SETTLED, State.RECONCILED_CHARGED}
        expected = None if event is None or stands else after(before, event)
        assert await go(ledger, wanted.call_id, move) == (expected is not None)
        row = await ledger.row(wanted.call_id)
        assert row is not None
        assert row.state is (expected or state)
    assert (await ledger.audit()).findings == ()


async def test_what_was_reserved_is_read_back_whole(ledger: PostgresLedger) -> None:
    wanted = replace(
        reservation("session", 7, request=bytes(range(256)), provable_until=START + 1),
        tool="naïve ✓ \\ ' %s {}",
        names=("naïve ✓", "\\ ' %s {}"),
        version=None,
        team="team",
        kind="max",
        terms='{"pay_to":"0x1"}',
    )
    assert await ledger.reserve(wanted) == Admitted(wanted.call_id, START)
    row = await ledger.row(wanted.call_id)
    assert row is not None
    for name in (
        "call_id", "principal", "team", "session", "rail", "account", "tool", "payee", "source", "offer", "names",
        "version", "fingerprint", "kind", "terms", "provable_until",
    ):  # fmt: skip
        assert getattr(row, name) == getattr(wanted, name)
    assert (row.owner, row.claim, row.sent_at, row.look_again_at) == ("session", 0, START, None)
    assert (row.quoted, row.held, row.request, row.created_at, row.number) == (7, 7, bytes(range(256)), START, 1)


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
async def test_a_text_that_cannot_be_stored_is_refused_and_a_hubs_is_kept_as_far_as_can_be(
    ledger: PostgresLedger, text: str
) -> None:
    with pytest.raises(LedgerError, match="cannot hold"):
        await ledger.reserve(replace(reservation("session"), tool=text))
    for ask in (ledger.send(text), ledger.refund(text, MicroUSDC(1), "refund")):
        with pytest.raises(LedgerError):
            await ask
    assert await ledger.row(text) is None
    assert await ledger.of_reference("jecp", "agent", text) is None
    wanted = reservation("session")
    await ledger.reserve(wanted)
    ledger.conclude(Conclusion(text, Verdict.CHARGED))
    ledger.conclude(Conclusion(wanted.call_id, Verdict.CHARGED, evidence=text, reference=text))
    row = await ledger.row(wanted.call_id)
    assert row is not None
    assert row.state is State.SETTLED
    assert row.evidence == row.reference == text.replace("\0", "\\x00").replace("\ud800", "\\ud800")
    assert (await ledger.audit()).findings == ()


async def test_one_impossible_change_does_not_spoil_the_batch_it_is_in(ledger: PostgresLedger) -> None:
    wanted = [reservation("session", call_id=name, fingerprint=f"{number}") for number, name in enumerate("aabcc")]
    outcomes = await asyncio.gather(*(ledger.reserve(one) for one in wanted), return_exceptions=True)
    assert [isinstance(one, Admitted) for one in outcomes] == [True, False, True, True, False]
    assert (await ledger.totals()).calls == 3


@pytest.mark.parametrize("callers", [2, 64, 600])
async def test_callers_at_once_fill_a_cap_exactly(ledger: PostgresLedger, callers: int) -> None:
    cap = meter(limit=7 * (callers // 2))
    admissions = await asyncio.gather(
        *(ledger.reserve(reservation("session", 7, meters=[cap])) for _ in range(callers))
    )
    assert sum(isinstance(one, Admitted) for one in admissions) == callers // 2
    assert sum(isinstance(one, OverLimit) for one in admissions) == callers - callers // 2


async def test_identical_calls_on_two_replicas_at_once_are_bought_once(
    open_one: Opener, ledger: PostgresLedger
) -> None:
    other = open_one("other")
    admissions = await asyncio.gather(
        *(one.reserve(reservation(one.session, fingerprint="f")) for one in (ledger, other) for _ in range(8))
    )
    assert sum(isinstance(one, Admitted) for one in admissions) == 1
    assert sum(isinstance(one, AlreadyOpen) for one in admissions) == 15
    await other.close()


async def test_an_answer_nobody_received_is_given_again_for_a_day(ledger: PostgresLedger, clock: ServerClock) -> None:
    wanted = reservation("session", fingerprint="f")
    await ledger.reserve(wanted)
    ledger.conclude(Conclusion(wanted.call_id, Verdict.CHARGED, MicroUSDC(5), answer=b"answer"))
    repeated = await ledger.reserve(reservation("session", fingerprint="f"))
    assert isinstance(repeated, Undelivered)
    assert (repeated.row.call_id, repeated.row.answer) == (wanted.call_id, b"answer")
    clock.forward(hours=24)
    assert isinstance(await ledger.reserve(reservation("session", fingerprint="f")), Admitted)


async def test_a_repeat_after_delivery_is_a_new_purchase(ledger: PostgresLedger) -> None:
    wanted = reservation("session", fingerprint="f")
    await ledger.reserve(wanted)
    ledger.conclude(Conclusion(wanted.call_id, Verdict.CHARGED, answer=b"answer"))
    ledger.note_delivery(wanted.call_id)
    ledger.note_delivery(wanted.call_id)
    assert isinstance(await ledger.reserve(reservation("session", fingerprint="f")), Admitted)
    assert [one.event for one in await ledger.events(wanted.call_id)] == ["reserve", "settle", "deliver"]


@pytest.mark.parametrize("window", [Window.HOUR, Window.DAY, Window.MONTH])
async def test_an_amount_leaves_its_window_late_by_a_slot_at_most(
    ledger: PostgresLedger, clock: ServerClock, window: Window
) -> None:
    cap, slot = meter(window, 10), SLOT_MS[window]
    length = {Window.HOUR: 3_600_000, Window.DAY: 86_400_000, Window.MONTH: 30 * 86_400_000}[window]
    await ledger.reserve(reservation("session", 10, meters=[cap]))
    clock.forward(ms=length + slot - 1)
    over = await ledger.reserve(reservation("session", 1, meters=[cap]))
    assert isinstance(over, OverLimit)
    assert (over.used, over.resets_at) == (10, START + length + slot)
    clock.forward(ms=1)
    assert isinstance(await ledger.reserve(reservation("session", 10, meters=[cap])), Admitted)
    assert (await ledger.audit()).findings == ()


async def test_of_several_full_caps_the_one_that_takes_longest_is_named(ledger: PostgresLedger) -> None:
    caps = [meter(Window.HOUR, 10), meter(Window.MONTH, 10), meter(Window.DAY, 10)]
    await ledger.reserve(reservation("session", 10, meters=caps))
    over = await ledger.reserve(reservation("session", 1, meters=caps))
    assert isinstance(over, OverLimit)
    assert over.meter.window is Window.MONTH
    never = await ledger.reserve(reservation("session", 11, meters=caps))
    assert isinstance(never, OverLimit)
    assert never.resets_at is None
    total = await ledger.reserve(reservation("session", 5, meters=[meter(Window.TOTAL, 4)]))
    assert isinstance(total, OverLimit)
    assert total.resets_at is None


async def test_the_room_that_one_call_of_a_batch_gives_back_is_the_next_ones(ledger: PostgresLedger) -> None:
    cap = meter(limit=10)
    for _ in range(5):
        wanted = reservation("session", 10, meters=[cap], fingerprint="f")
        assert isinstance(await ledger.reserve(wanted), Admitted)
        ledger.conclude(Conclusion(wanted.call_id, Verdict.NOT_CHARGED))
    assert await used(ledger) == [0]


async def test_a_refund_makes_room_in_the_windows_it_came_from(ledger: PostgresLedger) -> None:
    wanted = reservation("session", 10, meters=[meter(limit=10)])
    await ledger.reserve(wanted)
    await ledger.conclude_now(Conclusion(wanted.call_id, Verdict.CHARGED, MicroUSDC(8), reference="tx"))
    assert await ledger.refund(wanted.call_id, MicroUSDC(3), "the Hub said so")
    assert not await ledger.refund(wanted.call_id, MicroUSDC(2), "an older word")
    assert await used(ledger) == [5]
    assert await ledger.refund(wanted.call_id, MicroUSDC(99), "all of it")
    row = await ledger.of_reference(wanted.rail, wanted.account, "tx")
    assert row is not None
    assert (row.charged, row.refunded, row.evidence) == (8, 8, "all of it")
    assert await used(ledger) == [0]
    assert [one.used for one in await ledger.readings([meter()], wait=False)] == [0]
    assert (await ledger.totals()).charged == 0
    assert (await ledger.audit()).findings == ()


async def test_a_new_limit_counts_what_its_window_already_holds(ledger: PostgresLedger, clock: ServerClock) -> None:
    await ledger.reserve(reservation("session", 7))
    clock.forward(hours=2)
    settled, other = reservation("session", 10), replace(reservation("session", 100), names=("maps/route",))
    for wanted in (settled, other):
        await ledger.reserve(wanted)
    wanted = reservation("session", 1, meters=[meter(Window.HOUR), replace(meter(Window.DAY), pattern="docs/*")])
    assert [one.used for one in await ledger.readings(wanted.meters)] == [110, 17]
    assert isinstance(await ledger.reserve(wanted), Admitted)
    assert [one.used for one in await ledger.readings(wanted.meters)] == [111, 18]
    await ledger.conclude_now(Conclusion(settled.call_id, Verdict.CHARGED, MicroUSDC(4)))
    assert [one.used for one in await ledger.readings(wanted.meters)] == [105, 12]
    await ledger.recount()
    assert [one.used for one in await ledger.readings(wanted.meters)] == [105, 12]
    assert (await ledger.audit()).findings == ()


async def test_a_limit_that_must_count_many_calls_counts_them_in_steps_and_others_buy_meanwhile(
    ledger: PostgresLedger, open_one: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(25):
        await ledger.reserve(reservation("session", 10, call_id=f"before {number}"))
    monkeypatch.setattr(store, "FEED_AT_ONCE", 4)
    monkeypatch.setattr(writer, "_MOST_FED", 2)
    new = meter(Window.TOTAL, 270)
    with pytest.raises(LedgerUnavailable, match="the limit total_usdc is still being counted from earlier calls"):
        await ledger.reserve(reservation("session", 11, meters=[new]))
    monkeypatch.setattr(writer, "_MOST_FED", 100)
    assert [one.used for one in await ledger.readings([new])] == [250]
    other = open_one("other")
    over, bought = await asyncio.gather(
        ledger.reserve(reservation("session", 21, meters=[new])),
        other.reserve(reservation("other", 1, call_id="between")),
    )
    assert isinstance(bought, Admitted)
    assert isinstance(over, OverLimit)
    steps = [event.facts["upto"] for event in await ledger.events() if event.event == "feed"]
    assert steps == [4, 8, 12, 16, 20, 24]
    assert isinstance(await ledger.reserve(reservation("session", 19, meters=[new])), Admitted)
    assert [one.used for one in await ledger.readings([new])] == [270]
    assert (await ledger.audit()).findings == ()
    await other.close()


async def test_a_count_anew_is_made_in_steps_by_those_who_buy_and_read_whole_meanwhile(
    ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = [meter(Window.TOTAL, 270), meter(Window.HOUR, 270)]
    for number in range(25):
        await ledger.reserve(reservation("session", 10, call_id=f"before {number}", meters=limits))
    monkeypatch.setattr(store, "FEED_AT_ONCE", 4)
    await ledger.recount()
    assert [one.used for one in await ledger.readings(limits)] == [250, 250]
    assert (await ledger.audit()).findings == ()
    await ledger.conclude_now(Conclusion("before 7", Verdict.CHARGED, MicroUSDC(4)))
    assert [one.used for one in await ledger.readings(limits)] == [244, 244]
    assert isinstance(await ledger.reserve(reservation("session", 27, meters=limits)), OverLimit)
    steps = [event.facts["upto"] for event in await ledger.events() if event.event == "feed"]
    assert sorted(set(steps)) == [4, 8, 12, 16, 20, 24]
    assert isinstance(await ledger.reserve(reservation("session", 26, meters=limits)), Admitted)
    assert [one.used for one in await ledger.readings(limits)] == [270, 270]
    assert (await ledger.audit()).findings == ()


async def test_calls_charged_more_than_was_held_are_listed_until_a_person_rules(ledger: PostgresLedger) -> None:
    for name, charged in (("fair", 10), ("dear", 11), ("dearest", 12)):
        await ledger.reserve(reservation("session", 10, call_id=name))
        await ledger.conclude_now(Conclusion(name, Verdict.CHARGED, MicroUSDC(charged), evidence="the receipt"))
    assert [row.call_id for row in await ledger.excessive()] == ["dearest", "dear"]
    assert [row.call_id for row in await ledger.excessive(limit=1)] == ["dearest"]
    await ledger.correct("dear", MicroUSDC(11), f"{RULED}by the operator")
    assert [row.call_id for row in await ledger.excessive()] == ["dearest"]


async def test_what_holds_money_is_listed_and_a_list_tells_which_answers_are_kept(
    ledger: PostgresLedger, clock: ServerClock
) -> None:
    for name in ("paid", "pruned", "open", "lost"):
        await ledger.reserve(reservation("session", 10, call_id=name))
    for name in ("paid", "pruned"):
        await ledger.conclude_now(Conclusion(name, Verdict.CHARGED, MicroUSDC(4), answer=b"an answer"))
    ledger.note_delivery("pruned")
    await ledger.conclude_now(Conclusion("lost", Verdict.IN_DOUBT))
    ledger.write_off("lost", "nobody knows")
    await ledger.flush()
    clock.forward(hours=1)
    assert await ledger.prune(UnixMs(clock.at)) == 2
    assert [row.call_id for row in await ledger.rows(states=HOLDING)] == ["lost", "open"]
    assert [row.call_id for row in await ledger.rows(states=frozenset({State.WRITTEN_OFF}))] == ["lost"]
    told = {row.call_id: (row.answered, row.answer) for row in await ledger.rows()}
    assert told == {"paid": (True, b""), "pruned": (True, None), "open": (False, None), "lost": (False, None)}
    assert await ledger.prune(UnixMs(clock.at)) == 0


async def test_a_window_with_more_calls_than_are_looked_at_once_is_counted_from_the_first(
    ledger: PostgresLedger, clock: ServerClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "FEED_AT_ONCE", 4)
    await ledger.reserve(reservation("session", 1_000))
    clock.forward(hours=2)
    for many in (4, 5):
        for _ in range(many):
            await ledger.reserve(reservation("session", 10))
        new = meter(Window.HOUR, key=f"new after {many}")
        assert isinstance(await ledger.reserve(reservation("session", 1, meters=[new])), Admitted)
        clock.forward(hours=2)
    made = [event.facts["upto"] for event in await ledger.events() if event.event == "feed"]
    # Four calls in the window: only they are counted. Five: from the first of all.
    assert made == [4, 8]
    assert (await ledger.audit()).findings == ()


async def test_a_server_whose_clock_went_back_reserves_nothing_until_it_is_trusted(
    ledger: PostgresLedger, clock: ServerClock
) -> None:
    open_call = reservation("session", 10, meters=[meter(Window.HOUR)])
    await ledger.reserve(open_call)
    clock.forward(hours=3)
    await ledger.reserve(reservation("session", 5, meters=[meter(Window.HOUR)]))
    clock.forward(hours=-3)
    with pytest.raises(ClockWentBack):
        await ledger.reserve(reservation("session"))
    await ledger.conclude_now(Conclusion(open_call.call_id, Verdict.CHARGED, MicroUSDC(10)))
    await ledger.trust_clock()
    await ledger.trust_clock()
    assert await used(ledger, Window.HOUR) == [15]
    assert isinstance(await ledger.reserve(reservation("session")), Admitted)
    report = await ledger.audit()
    assert report.findings == ()
    assert [one.event for one in await ledger.events()].count("clock") == 1


async def test_bodies_are_dropped_and_the_rest_stays(ledger: PostgresLedger, clock: ServerClock) -> None:
    ended, undelivered, open_call = (reservation("session") for _ in range(3))
    for wanted in (ended, undelivered, open_call):
        await ledger.reserve(wanted)
    for wanted in (ended, undelivered):
        ledger.conclude(Conclusion(wanted.call_id, Verdict.CHARGED, answer=b"answer"))
    ledger.note_delivery(ended.call_id)
    await ledger.flush()
    clock.forward(hours=1)
    assert await ledger.prune(clock.now()) == 1
    assert await ledger.prune(clock.now()) == 0
    bodies = {
        row.call_id: (row.request, row.answer) for row in [await ledger.row(o.call_id) for o in (ended, open_call)]
    }
    assert bodies == {ended.call_id: (b"", None), open_call.call_id: (b"{}", None)}
    kept = await ledger.row(undelivered.call_id)
    assert kept is not None
    assert kept.answer == b"answer"
    assert (await ledger.audit()).findings == ()


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE jecp_mcp.call SET held = held + 1",
        "UPDATE jecp_mcp.call SET tool = 'another'",
        "UPDATE jecp_mcp.call SET state = 'released'",
        "UPDATE jecp_mcp.call SET delivered = NOT delivered",
        "UPDATE jecp_mcp.request SET body = 'another'",
        "UPDATE jecp_mcp.call SET claim = 1",
        "UPDATE jecp_mcp.call SET sent_at = sent_at - 1",
        "UPDATE jecp_mcp.call SET account = 'another'",
        "UPDATE jecp_mcp.head SET kept = kept + 1",
        "UPDATE jecp_mcp.tally SET calls = calls + 1",
        "UPDATE jecp_mcp.meter SET used = used + 1",
        "UPDATE jecp_mcp.meter SET fed = 0",
        "UPDATE jecp_mcp.slot SET amount = amount + 1",
        "ALTER TABLE jecp_mcp.event DISABLE TRIGGER event_stays; UPDATE jecp_mcp.event SET body = body || ' '::bytea",
        "ALTER TABLE jecp_mcp.event DISABLE TRIGGER event_stays; DELETE FROM jecp_mcp.event WHERE id = 1",
    ],
)
async def test_whatever_is_changed_by_hand_is_found(
    ledger: PostgresLedger, cluster: Cluster, database: str, tampering: str
) -> None:
    for _ in range(2):
        await ledger.reserve(reservation("session", 10, meters=[meter()]))
    report = await ledger.audit()
    assert report.findings == ()
    assert (await ledger.audit(report.head)).anchored is True
    cluster.execute(tampering, database)
    assert (await ledger.audit()).findings != ()


async def test_events_cannot_be_changed_or_removed(ledger: PostgresLedger, cluster: Cluster, database: str) -> None:
    await ledger.reserve(reservation("session"))
    for statement in ("UPDATE jecp_mcp.event SET call = 0", "DELETE FROM jecp_mcp.event", "TRUNCATE jecp_mcp.event"):
        with pytest.raises(Exception, match="only appended"):
            cluster.execute(statement, database)


async def test_lists_are_in_order_and_hold_what_was_asked_for(ledger: PostgresLedger) -> None:
    wanted = [reservation("session") for _ in range(4)]
    for one in wanted:
        await ledger.reserve(one)
    await ledger.conclude_now(Conclusion(wanted[2].call_id, Verdict.NOT_CHARGED))
    names = [one.call_id for one in wanted]
    assert [row.call_id for row in await ledger.rows(limit=2)] == names[:1:-1]
    open_ones = await ledger.rows(states=frozenset({State.SENT}))
    assert [row.call_id for row in open_ones] == [names[3], names[1], names[0]]
    some = await ledger.rows(states=frozenset({State.RELEASED, State.SENT}), limit=2)
    assert [row.call_id for row in some] == [names[3], names[2]]
    assert [row.call_id for row in await ledger.pages(after=1, limit=2)] == names[1:3]
    assert [one.number for one in await ledger.events(after=2, limit=2)] == [3, 4]


async def test_a_cancelled_caller_leaves_nothing_held(ledger: PostgresLedger) -> None:
    waiting = asyncio.ensure_future(ledger.reserve(reservation("session", 10, meters=[meter()], call_id="left")))
    for _ in range(3):
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await ledger.flush()
    await ledger.flush()
    row = await ledger.row("left")
    assert row is None or row.state is State.RELEASED
    assert await used(ledger) == [0]


def test_one_ledger_serves_one_event_loop_after_another(open_one: Opener, clock: ServerClock) -> None:
    ledger = open_one("session")
    wanted = reservation("session")

    async def first() -> None:
        await ledger.reserve(wanted)
        ledger.conclude(Conclusion(wanted.call_id, Verdict.NOT_CHARGED))

    async def second() -> list[State]:
        states = [row.state for row in await ledger.rows()]
        await ledger.close()
        return states

    asyncio.run(first())
    assert asyncio.run(second()) == [State.RELEASED]
