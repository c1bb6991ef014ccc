"""An open call that is sent again counts from then on, once, or is not sent."""

from pathlib import Path

import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import ClockWentBack, LedgerError
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Admitted, Conclusion, NotYours, OverLimit
from jecp_mcp.mandate.rules import CLOCK_SLACK_MS
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.states import State
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import START, HandClock, everything, meter, reservation

HOUR, TOTAL = meter(Window.HOUR, 100), meter(Window.TOTAL, 100)


async def used(ledger: SqliteLedger, *meters: object) -> list[int]:
    return [reading.used for reading in await ledger.readings(meters or (HOUR,))]  # type: ignore[arg-type]


async def in_doubt(ledger: SqliteLedger, hold: int = 60, **named: object) -> str:
    wanted = reservation(ledger.session, hold, meters=[HOUR, TOTAL], **named)  # type: ignore[arg-type]
    assert isinstance(await ledger.reserve(wanted), Admitted)
    ledger.conclude(Conclusion(wanted.call_id, Verdict.IN_DOUBT, claim=0))
    return wanted.call_id


@pytest.mark.anyio
async def test_it_counts_in_the_hour_it_is_sent_in_and_not_in_the_one_it_was_made_in(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    call_id = await in_doubt(ledger)
    clock.forward(seconds=54 * 60)
    again = await ledger.resend(call_id, 0, [HOUR, TOTAL])
    assert again == Admitted(call_id, clock.now(), 0)
    row = await ledger.row(call_id)
    assert row is not None
    assert (row.created_at, row.sent_at, row.state) == (START, clock.at, State.IN_DOUBT)
    assert await used(ledger, HOUR, TOTAL) == [60, 60]
    # An hour after it was made it still counts, for it was sent six minutes ago.
    clock.forward(seconds=10 * 60)
    assert await used(ledger, HOUR, TOTAL) == [60, 60]
    assert isinstance(await ledger.reserve(reservation(ledger.session, 41, meters=[HOUR])), OverLimit)
    clock.forward(seconds=60 * 60)
    assert await used(ledger, HOUR, TOTAL) == [0, 60]


@pytest.mark.anyio
async def test_its_own_hold_is_not_in_its_way(ledger: SqliteLedger, clock: HandClock) -> None:
    call_id = await in_doubt(ledger, 100)
    clock.forward(seconds=600)
    assert isinstance(await ledger.resend(call_id, 0, [HOUR, TOTAL]), Admitted)
    assert await used(ledger, HOUR, TOTAL) == [100, 100]


@pytest.mark.anyio
async def test_without_room_it_is_not_sent_and_stays_held(ledger: SqliteLedger, clock: HandClock) -> None:
    call_id = await in_doubt(ledger, 60)
    clock.forward(hours=2)
    await ledger.reserve(reservation(ledger.session, 50, meters=[HOUR]))
    over = await ledger.resend(call_id, 0, [HOUR])
    assert isinstance(over, OverLimit)
    assert (over.meter, over.used, over.resets_at) == (HOUR, 50, clock.at + 60_000 + 3_600_000)
    row = await ledger.row(call_id)
    assert row is not None
    assert (row.state, row.held, row.sent_at) == (State.IN_DOUBT, 60, START)
    assert await used(ledger, HOUR, TOTAL) == [50, 110]
    assert over.resets_at is not None
    clock.at = over.resets_at
    assert isinstance(await ledger.resend(call_id, 0, [HOUR]), Admitted)


@pytest.mark.anyio
@pytest.mark.parametrize("limit", [0, 59, 60])
async def test_a_limit_that_counts_it_already_is_not_in_its_way(
    ledger: SqliteLedger, clock: HandClock, limit: int
) -> None:
    call_id = await in_doubt(ledger, 60)
    await ledger.reserve(reservation(ledger.session, 40, meters=[HOUR]))
    narrow = [meter(Window.HOUR, limit), meter(Window.DAY, limit)]
    assert isinstance(await ledger.resend(call_id, 0, narrow), Admitted)
    assert await used(ledger, *narrow) == [100, 100]
    assert isinstance(await ledger.reserve(reservation(ledger.session, 1, meters=narrow)), OverLimit)
    clock.forward(seconds=3_700)
    over = await ledger.resend(call_id, 0, narrow)
    assert isinstance(over, Admitted if limit == 60 else OverLimit), "an hour later it would count in it anew"


@pytest.mark.anyio
@pytest.mark.parametrize("wrong", ["claim", "ended", "late"])
async def test_what_is_not_this_process_s_to_send_is_not_sent(
    ledger: SqliteLedger, clock: HandClock, wrong: str
) -> None:
    call_id = await in_doubt(ledger, provable_until=START + 3_300_000)
    if wrong == "ended":
        ledger.conclude(Conclusion(call_id, Verdict.CHARGED, MicroUSDC(5)))
    if wrong == "late":
        clock.at = START + 3_300_000
    before = len(await ledger.events())
    assert await ledger.resend(call_id, 1 if wrong == "claim" else 0, [HOUR]) == NotYours()
    assert len(await ledger.events()) == before


@pytest.mark.anyio
async def test_while_the_clock_is_well_behind_nothing_is_sent_again(ledger: SqliteLedger, clock: HandClock) -> None:
    call_id = await in_doubt(ledger)
    await ledger.flush()
    clock.at -= CLOCK_SLACK_MS + 1
    with pytest.raises(ClockWentBack):
        await ledger.resend(call_id, 0, [HOUR])


@pytest.mark.anyio
async def test_a_process_sessions_cap_counts_it_once_whoever_sends_it(path: Path, clock: HandClock) -> None:
    first = open_ledger(path, "first", clock)
    mine = meter(Window.SESSION, 60, key="first's")
    await first.reserve(reservation("first", 60, meters=[mine, HOUR], call_id="c"))
    assert isinstance(await first.resend("c", 0, [mine, HOUR]), Admitted)
    await first.close()
    second = open_ledger(path, "second", clock)
    await second.adopt_orphans(everything)
    assert isinstance(await second.resend("c", 1, [meter(Window.SESSION, 10, key="second's"), HOUR]), Admitted)
    assert await used(second, mine, HOUR) == [60, 60]
    assert (await second.audit()).findings == ()
    await second.close()


@pytest.mark.anyio
async def test_an_unknown_call_cannot_be_sent(ledger: SqliteLedger) -> None:
    with pytest.raises(LedgerError, match="knows no call"):
        await ledger.resend("nobody", 0, [HOUR])


@pytest.mark.anyio
async def test_what_it_comes_to_moves_the_slot_it_was_sent_in(ledger: SqliteLedger, clock: HandClock) -> None:
    call_id = await in_doubt(ledger)
    clock.forward(seconds=50 * 60)
    await ledger.resend(call_id, 0, [HOUR])
    clock.forward(seconds=30 * 60)
    ledger.conclude(Conclusion(call_id, Verdict.CHARGED, MicroUSDC(25), claim=0))
    assert await used(ledger, HOUR, TOTAL) == [25, 25]
    await ledger.refund(call_id, MicroUSDC(5), "told")
    assert await used(ledger, HOUR, TOTAL) == [20, 20]
