"""The caps: all or nothing, rolling, and never early."""

import asyncio
from pathlib import Path

import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Admitted, Conclusion, OverLimit
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.windows import SLOT_MS, WINDOW_MS, Window
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import START, HandClock, meter, reservation

ROLLING = list(WINDOW_MS)


@pytest.mark.anyio
async def test_a_cap_can_be_filled_to_the_last_micro_and_not_beyond(ledger: SqliteLedger) -> None:
    cap = meter(limit=100)
    assert isinstance(await ledger.reserve(reservation(ledger.session, 60, meters=[cap])), Admitted)
    over = await ledger.reserve(reservation(ledger.session, 41, meters=[cap]))
    assert isinstance(over, OverLimit)
    assert (over.meter, over.used) == (cap, 60)
    assert isinstance(await ledger.reserve(reservation(ledger.session, 40, meters=[cap])), Admitted)


@pytest.mark.anyio
async def test_one_full_cap_leaves_every_other_untouched(ledger: SqliteLedger) -> None:
    caps = [meter(Window.HOUR), meter(Window.DAY, 10), meter(Window.TOTAL)]
    refused = reservation(ledger.session, 11, meters=caps)
    assert isinstance(await ledger.reserve(refused), OverLimit)
    assert [reading.used for reading in await ledger.readings(caps)] == [0, 0, 0]
    assert await ledger.row(refused.call_id) is None
    assert (await ledger.totals()).calls == 0


@pytest.mark.anyio
@pytest.mark.parametrize("window", ROLLING)
async def test_an_amount_leaves_a_rolling_window_never_early_and_at_most_a_slot_late(
    ledger: SqliteLedger, clock: HandClock, window: Window
) -> None:
    cap = meter(window, 10)
    clock.forward(ms=SLOT_MS[window] // 3)
    spent_at = clock.at
    await ledger.reserve(reservation(ledger.session, 10, meters=[cap]))
    clock.at = spent_at + WINDOW_MS[window]
    over = await ledger.reserve(reservation(ledger.session, 1, meters=[cap]))
    assert isinstance(over, OverLimit)
    assert over.resets_at is not None
    assert spent_at + WINDOW_MS[window] < over.resets_at <= spent_at + WINDOW_MS[window] + SLOT_MS[window]
    clock.at = over.resets_at - 1
    assert isinstance(await ledger.reserve(reservation(ledger.session, 1, meters=[cap])), OverLimit)
    clock.at = over.resets_at
    assert [reading.used for reading in await ledger.readings([cap])] == [0]
    assert isinstance(await ledger.reserve(reservation(ledger.session, 10, meters=[cap])), Admitted)


@pytest.mark.anyio
@pytest.mark.parametrize("window", [Window.SESSION, Window.TOTAL])
async def test_a_window_that_does_not_roll_never_empties(
    ledger: SqliteLedger, clock: HandClock, window: Window
) -> None:
    cap = meter(window, 10)
    await ledger.reserve(reservation(ledger.session, 10, meters=[cap]))
    clock.forward(hours=24 * 4000)
    over = await ledger.reserve(reservation(ledger.session, 1, meters=[cap]))
    assert isinstance(over, OverLimit)
    assert over.resets_at is None


@pytest.mark.anyio
async def test_resets_at_is_when_enough_has_left_not_when_the_first_does(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    cap = meter(Window.HOUR, 100)
    for _ in range(4):
        await ledger.reserve(reservation(ledger.session, 25, meters=[cap]))
        clock.forward(seconds=60)
    over = await ledger.reserve(reservation(ledger.session, 60, meters=[cap]))
    assert isinstance(over, OverLimit)
    assert over.resets_at == START + 3_600_000 + 3 * 60_000
    clock.at = over.resets_at
    assert isinstance(await ledger.reserve(reservation(ledger.session, 60, meters=[cap])), Admitted)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("hold", "slots"), [(1, 1), (40, 1), (41, 2), (70, 2), (71, 3), (100, 3), (101, None), (1_000, None)]
)
async def test_a_full_window_has_room_again_once_just_enough_of_it_has_left(
    ledger: SqliteLedger, clock: HandClock, hold: int, slots: int | None
) -> None:
    """In whichever transaction it was spent; and for a price above the whole cap never."""
    cap = meter(Window.HOUR, 100)
    for spent in (40, 30):
        await ledger.reserve(reservation(ledger.session, spent, meters=[cap]))
        clock.forward(seconds=60)
    last, wanted = (reservation(ledger.session, amount, meters=[cap]) for amount in (20, hold))
    await ledger.reserve(reservation(ledger.session, 10, meters=[cap]))
    # The first goes alone; what is asked for in the same turn goes together.
    *_, over = await asyncio.gather(ledger.recount(), ledger.reserve(last), ledger.reserve(wanted))
    assert isinstance(over, OverLimit)
    assert (over.used, over.resets_at) == (100, None if slots is None else START + 3_600_000 + slots * 60_000)


@pytest.mark.anyio
async def test_of_several_full_caps_the_one_that_takes_longest_is_named(ledger: SqliteLedger) -> None:
    hour, day, total = meter(Window.HOUR, 10), meter(Window.DAY, 10), meter(Window.TOTAL, 1_000)
    await ledger.reserve(reservation(ledger.session, 10, meters=[hour, day, total]))
    over = await ledger.reserve(reservation(ledger.session, 1, meters=[hour, day, total]))
    assert isinstance(over, OverLimit)
    assert over.meter == day


@pytest.mark.anyio
async def test_a_lower_limit_counts_what_was_spent_under_the_higher(ledger: SqliteLedger) -> None:
    await ledger.reserve(reservation(ledger.session, 80, meters=[meter(limit=100)]))
    over = await ledger.reserve(reservation(ledger.session, 1, meters=[meter(limit=50)]))
    assert isinstance(over, OverLimit)
    assert over.used == 80


@pytest.mark.anyio
async def test_a_settle_after_the_window_does_not_disturb_it(ledger: SqliteLedger, clock: HandClock) -> None:
    cap = meter(Window.HOUR, 100)
    late = reservation(ledger.session, 80, meters=[cap])
    await ledger.reserve(late)
    clock.forward(hours=2)
    await ledger.reserve(reservation(ledger.session, 30, meters=[cap]))
    ledger.conclude(Conclusion(late.call_id, Verdict.CHARGED, MicroUSDC(10)))
    assert [reading.used for reading in await ledger.readings([cap])] == [30]


@pytest.mark.anyio
async def test_a_settle_after_the_clock_went_back_does_not_disturb_a_slot_written_anew(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    cap = meter(Window.HOUR, 100)
    early = reservation(ledger.session, 80, meters=[cap])
    await ledger.reserve(early)
    clock.forward(hours=2)
    await ledger.reserve(reservation(ledger.session, 5, meters=[cap]))
    clock.forward(hours=-2)
    await ledger.trust_clock()
    await ledger.reserve(reservation(ledger.session, 15, meters=[cap]))
    ledger.conclude(Conclusion(early.call_id, Verdict.NOT_CHARGED))
    assert [reading.used for reading in await ledger.readings([cap])] == [20]


@pytest.mark.anyio
async def test_what_was_spent_survives_a_restart(path: Path, ledger: SqliteLedger, clock: HandClock) -> None:
    cap = meter(limit=100)
    await ledger.reserve(reservation(ledger.session, 70, meters=[cap]))
    await ledger.close()
    again = open_ledger(path, clock=clock)
    assert isinstance(await again.reserve(reservation(again.session, 31, meters=[cap])), OverLimit)
    await again.close()


@pytest.mark.anyio
async def test_a_reading_says_when_the_oldest_amount_leaves(ledger: SqliteLedger, clock: HandClock) -> None:
    caps = [meter(Window.HOUR), meter(Window.TOTAL), meter(Window.DAY, principal="somebody who never bought")]
    await ledger.reserve(reservation(ledger.session, 5, meters=caps[:2]))
    clock.forward(seconds=600)
    await ledger.reserve(reservation(ledger.session, 6, meters=caps[:2]))
    hour, total, unused = await ledger.readings(caps)
    assert (hour.used, hour.resets_at, hour.returns) == (11, START + 60_000 + 3_600_000, 5)
    assert (total.used, total.resets_at, total.returns) == (11, None, 0)
    assert (unused.used, unused.resets_at, unused.returns) == (0, None, 0)


@pytest.mark.anyio
async def test_a_refusal_does_not_keep_the_ledger_from_seeing_what_others_write(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    cap = meter(Window.HOUR, 100)
    for _ in range(3):
        await ledger.reserve(reservation(ledger.session, 30, meters=[cap]))
        clock.forward(seconds=60)
    assert isinstance(await ledger.reserve(reservation(ledger.session, 40, meters=[cap])), OverLimit)
    other = open_ledger(ledger.path, clock=clock)
    await other.reserve(reservation(other.session, 10, meters=[cap]))
    assert isinstance(await ledger.reserve(reservation(ledger.session, 1, meters=[cap])), OverLimit)
    await other.close()


@pytest.mark.anyio
@pytest.mark.parametrize("order", [(Window.DAY, Window.HOUR), (Window.HOUR, Window.DAY)])
async def test_of_two_full_windows_the_one_that_takes_longer_is_told(
    ledger: SqliteLedger, order: tuple[Window, ...]
) -> None:
    caps = [meter(window, 10) for window in order]
    assert isinstance(await ledger.reserve(reservation(ledger.session, 10, meters=caps)), Admitted)
    over = await ledger.reserve(reservation(ledger.session, 1, meters=caps))
    assert isinstance(over, OverLimit)
    assert over.meter.window is Window.DAY


@pytest.mark.anyio
async def test_of_two_full_windows_that_take_equally_long_the_first_is_told(ledger: SqliteLedger) -> None:
    caps = [meter(Window.HOUR, 10), meter(Window.HOUR, 10, pattern="docs/*")]
    assert isinstance(await ledger.reserve(reservation(ledger.session, 10, meters=caps)), Admitted)
    over = await ledger.reserve(reservation(ledger.session, 1, meters=caps))
    assert isinstance(over, OverLimit)
    assert over.meter == caps[0]
