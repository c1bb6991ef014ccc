"""A clock that is wrong: little is waited out, much is refused, and nothing that was spent is ever forgotten."""

import asyncio

import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import ClockWentBack
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Admitted, AlreadyOpen, Conclusion, OverLimit, Undelivered
from jecp_mcp.mandate.rules import CLOCK_SLACK_MS, UNDELIVERED_MS
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.states import State
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import START, HandClock, everything, meter, reservation

HOUR, DAY = meter(Window.HOUR, 100), meter(Window.DAY, 1_000)


@pytest.mark.anyio
async def test_while_the_clock_is_a_little_behind_time_stands_still(ledger: SqliteLedger, clock: HandClock) -> None:
    await ledger.reserve(reservation(ledger.session, 60, meters=[HOUR]))
    for behind in (1, CLOCK_SLACK_MS):
        clock.at = START - behind
        wanted = reservation(ledger.session, 5, meters=[HOUR])
        assert await ledger.reserve(wanted) == Admitted(wanted.call_id, START)
    assert [reading.used for reading in await ledger.readings([HOUR])] == [70]
    assert await ledger.trust_clock() is None
    assert [one.event for one in await ledger.events() if one.call_id is None] == ["meter"]


@pytest.mark.anyio
async def test_an_undelivered_answer_is_as_old_as_the_last_change_makes_it(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    await ledger.reserve(reservation(ledger.session, 5, call_id="a", fingerprint="print"))
    await ledger.conclude_now(Conclusion("a", Verdict.CHARGED, MicroUSDC(5), answer=b"answer"))
    repeat = reservation(ledger.session, 5, fingerprint="print")
    for at in (START - 1, START, START + UNDELIVERED_MS - 1):
        clock.at = at
        assert isinstance(await ledger.identical("print"), Undelivered)
        assert isinstance(await ledger.reserve(repeat), Undelivered)
    clock.forward(ms=1)
    assert await ledger.identical("print") is None
    assert isinstance(await ledger.reserve(repeat), Admitted)
    await ledger.conclude_now(Conclusion(repeat.call_id, Verdict.NOT_CHARGED))
    clock.forward(seconds=1)
    await ledger.reserve(reservation(ledger.session, 5))
    clock.at = START + UNDELIVERED_MS - 1
    assert await ledger.identical("print") is None


@pytest.mark.anyio
async def test_when_it_is_well_behind_nothing_is_reserved_and_everything_else_goes_on(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    for name in ("a", "b", "c", "asking"):
        await ledger.reserve(
            reservation(ledger.session, 20, meters=[HOUR], call_id=name, fingerprint=name, send=name != "asking")
        )
    clock.at = START - CLOCK_SLACK_MS - 1
    with pytest.raises(ClockWentBack, match="the ledger was last written at 2027"):
        await ledger.reserve(reservation(ledger.session, 1))
    assert isinstance(await ledger.reserve(reservation(ledger.session, fingerprint="a")), AlreadyOpen)
    ledger.conclude(Conclusion("a", Verdict.CHARGED, MicroUSDC(15), answer=b"answer"))
    await ledger.conclude_now(Conclusion("b", Verdict.IN_DOUBT))
    assert await ledger.send("asking") is True
    assert await ledger.refund("a", MicroUSDC(5), "told") is True
    ledger.note_delivery("a")
    assert [row.call_id for row in await ledger.adopt_orphans(everything, ["c", "asking"])] == ["b"]
    row = await ledger.row("a")
    assert row is not None
    assert (row.state, row.ended_at, row.delivered) == (State.SETTLED, START, True)
    assert [reading.used for reading in await ledger.readings([HOUR])] == [10 + 60]
    assert {one.at for one in await ledger.events()} == {START}


@pytest.mark.anyio
async def test_a_refused_reservation_does_not_keep_its_batch_from_being_written(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    for name in ("a", "b", "c"):
        await ledger.reserve(reservation(ledger.session, call_id=name, send=False))
    clock.at -= 3_600_000
    outcomes = await asyncio.gather(
        ledger.send("a"),
        ledger.reserve(reservation(ledger.session)),
        ledger.send("b"),
        ledger.reserve(reservation(ledger.session)),
        ledger.conclude_now(Conclusion("c", Verdict.NOT_CHARGED)),
        return_exceptions=True,
    )
    assert [type(one) for one in outcomes] == [bool, ClockWentBack, bool, ClockWentBack, type(None)]
    states = {row.call_id: row.state for row in await ledger.rows()}
    assert states == {"a": State.SENT, "b": State.SENT, "c": State.RELEASED}


@pytest.mark.anyio
async def test_trusting_the_clock_and_reserving_at_once_agree_on_the_instant(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    await ledger.reserve(reservation(ledger.session, meters=[HOUR], hold=10))
    clock.at -= 3_600_000
    wanted = [reservation(ledger.session, 10, meters=[HOUR]) for _ in range(4)]
    # The first goes alone; what is asked for in the same turn goes together.
    _, trusted, *admissions = await asyncio.gather(
        ledger.recount(), ledger.trust_clock(), *(ledger.reserve(one) for one in wanted)
    )
    assert trusted is not None
    assert trusted.endswith("Z, and the ledger was last written at 2027-01-15T06:00:00.000Z")
    assert admissions == [Admitted(one.call_id, clock.now()) for one in wanted]
    assert (await ledger.audit()).findings == ()


@pytest.mark.anyio
@pytest.mark.parametrize("back", [CLOCK_SLACK_MS + 1, 3_600_000, 30 * 86_400_000])
async def test_once_it_is_trusted_all_that_was_spent_still_counts(
    ledger: SqliteLedger, clock: HandClock, back: int
) -> None:
    await ledger.reserve(reservation(ledger.session, 60, meters=[HOUR, DAY]))
    clock.at -= back
    await ledger.trust_clock()
    assert [reading.used for reading in await ledger.readings([HOUR, DAY])] == [60, 60]
    over = await ledger.reserve(reservation(ledger.session, 41, meters=[HOUR, DAY]))
    assert isinstance(over, OverLimit)
    wanted = reservation(ledger.session, 40, meters=[HOUR, DAY])
    assert await ledger.reserve(wanted) == Admitted(wanted.call_id, clock.now())
    told = [one for one in await ledger.events() if one.event == "clock"]
    assert [one.at for one in told] == [clock.at]
    assert told[0].evidence is not None
    assert "clock shows" in told[0].evidence


@pytest.mark.anyio
async def test_after_a_leap_forward_and_back_the_windows_are_whole_again(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    await ledger.reserve(reservation(ledger.session, 60, meters=[HOUR, DAY]))
    clock.forward(hours=48)
    await ledger.reserve(reservation(ledger.session, 30, meters=[HOUR, DAY]))
    assert [reading.used for reading in await ledger.readings([HOUR, DAY])] == [30, 30]
    clock.forward(hours=-48)
    with pytest.raises(ClockWentBack):
        await ledger.reserve(reservation(ledger.session, 1, meters=[HOUR]))
    await ledger.trust_clock()
    assert [reading.used for reading in await ledger.readings([HOUR, DAY])] == [90, 90]
    assert isinstance(await ledger.reserve(reservation(ledger.session, 11, meters=[HOUR])), OverLimit)


@pytest.mark.anyio
@pytest.mark.parametrize("doing", ["refused", "repeated", "nothing to adopt", "nothing to refund", "flushed"])
async def test_what_changes_nothing_during_a_leap_forward_forgets_nothing(
    ledger: SqliteLedger, clock: HandClock, doing: str
) -> None:
    """Nothing tells afterwards that the clock was wrong, so nothing may have left the windows by it."""
    await ledger.reserve(reservation(ledger.session, 90, meters=[HOUR], fingerprint="f", call_id="c"))
    ledger.conclude(Conclusion("c", Verdict.CHARGED, MicroUSDC(90), answer=b"answer"))
    await ledger.flush()
    clock.forward(hours=5)
    match doing:
        case "refused":
            assert isinstance(await ledger.reserve(reservation(ledger.session, 101, meters=[HOUR])), OverLimit)
        case "repeated":
            assert not isinstance(await ledger.reserve(reservation(ledger.session, fingerprint="f")), Admitted)
        case "nothing to adopt":
            assert await ledger.adopt_orphans(everything) == []
        case "nothing to refund":
            assert await ledger.refund("c", MicroUSDC(0), "told") is False
        case _:
            await ledger._writer.do(lambda _books, _at: None)
    clock.at = START
    assert [reading.used for reading in await ledger.readings([HOUR])] == [90]
    assert isinstance(await ledger.reserve(reservation(ledger.session, 11, meters=[HOUR])), OverLimit)


@pytest.mark.anyio
async def test_every_process_on_the_file_sees_that_the_clock_went_back(ledger: SqliteLedger, clock: HandClock) -> None:
    await ledger.reserve(reservation(ledger.session))
    clock.forward(hours=-1)
    other = open_ledger(ledger.path, clock=clock)
    with pytest.raises(ClockWentBack):
        await other.reserve(reservation(other.session))
    await ledger.trust_clock()
    assert isinstance(await other.reserve(reservation(other.session)), Admitted)
    await other.close()


@pytest.mark.anyio
async def test_counting_anew_changes_nothing_that_was_right(ledger: SqliteLedger, clock: HandClock) -> None:
    caps = [HOUR, DAY, meter(Window.MONTH), meter(Window.TOTAL)]
    for name in ("a", "b"):
        await ledger.reserve(reservation(ledger.session, 40, meters=caps, call_id=name))
        clock.forward(hours=2)
    await ledger.reserve(reservation(ledger.session, 0, meters=caps, call_id="free"))
    before = await ledger.readings(caps)
    await ledger.recount()
    assert await ledger.readings(caps) == before
    ledger.conclude(Conclusion("free", Verdict.CHARGED, MicroUSDC(3)))
    assert [reading.used for reading in await ledger.readings(caps)] == [3, 83, 83, 83]


@pytest.mark.anyio
@pytest.mark.parametrize("pattern", [None, "docs/*", "else/*"])
async def test_a_limit_that_came_while_the_clock_was_ahead_counts_what_was_spent_before(
    ledger: SqliteLedger, clock: HandClock, pattern: str | None
) -> None:
    await ledger.reserve(reservation(ledger.session, 60, call_id="before"))
    await ledger.reserve(reservation(ledger.session, 500, principal="somebody"))
    clock.forward(hours=48)
    new = meter(Window.DAY, 100, pattern=pattern)
    await ledger.reserve(reservation(ledger.session, 30, meters=[new]))
    clock.forward(hours=-48)
    await ledger.trust_clock()
    # What the mandate would not ask for this call does not count it.
    counted = 0 if pattern == "else/*" else 90
    assert [reading.used for reading in await ledger.readings([new])] == [counted]
    ledger.conclude(Conclusion("before", Verdict.CHARGED, MicroUSDC(50)))
    assert [reading.used for reading in await ledger.readings([new])] == [counted - 10 * (pattern != "else/*")]
    clock.forward(hours=-1)
    await ledger.trust_clock()
    assert [reading.used for reading in await ledger.readings([new])] == [counted - 10 * (pattern != "else/*")]
