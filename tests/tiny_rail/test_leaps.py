"""A clock that leaps in the life of a process, where the payee does not tell the time: what it empties, and for whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from jecp_mcp.calls import codes
from jecp_mcp.calls.clock_check import MOST_SKEW_SECONDS
from jecp_mcp.calls.ports import CallEnd, Caller, Charge
from jecp_mcp.domain.purchases import LOCAL, Purchase
from jecp_mcp.errors import PayeeError
from jecp_mcp.mandate.states import State
from jecp_mcp.settings import MandateSettings
from tests.tiny_rail.payee import Payee
from tests.tiny_rail.rail import LOOK_MS
from tests.tiny_rail.test_calls import APPROVED, BUYING, MANDATE, House, Thinker, clock, house, payee
from tests.tiny_rail.test_clocks import AWAY, Hub
from tests.unit.calls.test_pipeline import StillClock

__all__ = ["clock", "payee"]

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
FAR_MS = int(MOST_SKEW_SECONDS * 1000) + 1_000
TWO_A_DAY = MANDATE.model_copy(update={"hourly_usdc": None, "daily_usdc": 100_000})


class DatedHub(Hub):
    """A Hub that was heard when the process began, and that the machine's clocks carry on, as a real one's."""

    def __init__(self, clock: StillClock, told: float | PayeeError | None) -> None:
        super().__init__(told=told)
        self._clock, self._offset = clock, clock.leapt

    def heard(self) -> float | None:
        return (self._clock.leapt - self._offset) / 1000


def hubs(kind: str, clock: StillClock) -> list[Hub]:
    return {
        "none": [],
        "never heard": [Hub(told=AWAY)],
        "tells no time": [Hub()],
        "heard and away": [DatedHub(clock, AWAY)],
        "heard, and tells no time now": [DatedHub(clock, None)],
        "one of two heard": [Hub(told=AWAY), DatedHub(clock, AWAY)],
    }[kind]


EVERY_SILENCE = (
    "none", "never heard", "tells no time", "heard and away", "heard, and tells no time now", "one of two heard",
)  # fmt: skip


async def buy(one: House, purchase: Purchase = BUYING) -> CallEnd:
    end = await one.calls.pay(purchase, Caller(LOCAL))
    one.calls.delivered(end)
    await one.ledger.flush()
    return end


def refused(*ends: CallEnd) -> bool:
    return all(
        end.charge is Charge.NO and end.refusal is not None and end.refusal.code == codes.CLOCK_WRONG for end in ends
    )


@pytest.mark.parametrize("leap", [25 * HOUR_MS, 400 * DAY_MS, FAR_MS, -FAR_MS, -25 * HOUR_MS])
@pytest.mark.parametrize("silent", EVERY_SILENCE)
async def test_a_clock_that_leapt_buys_nothing_until_it_is_back_or_somebody_confirms_it(
    tmp_path: Path, payee: Payee, clock: StillClock, silent: str, leap: int
) -> None:
    async with house(tmp_path, payee, clock, TWO_A_DAY, beside=[hub.way for hub in hubs(silent, clock)]) as one:
        assert (await buy(one)).charge is Charge.YES
        clock.leap(leap)
        assert refused(*[await buy(one) for _ in range(3)])
        clock.leap(-leap)
        assert (await buy(one)).charge is Charge.YES
        full = await buy(one)
        assert len(await one.ledger.rows()) == 2
    assert full.refusal is not None
    assert full.refusal.code == codes.LIMIT_REACHED


@pytest.mark.parametrize("silent", EVERY_SILENCE)
async def test_steps_that_are_small_one_by_one_are_one_leap_together(
    tmp_path: Path, payee: Payee, clock: StillClock, silent: str
) -> None:
    async with house(tmp_path, payee, clock, TWO_A_DAY, beside=[hub.way for hub in hubs(silent, clock)]) as one:
        clock.leap(FAR_MS // 2)
        assert (await buy(one)).charge is Charge.YES
        clock.leap(FAR_MS // 2 + 1)
        assert refused(await buy(one))


@pytest.mark.parametrize("silent", EVERY_SILENCE)
async def test_a_machine_that_slept_has_not_leapt(tmp_path: Path, payee: Payee, clock: StillClock, silent: str) -> None:
    async with house(tmp_path, payee, clock, TWO_A_DAY, beside=[hub.way for hub in hubs(silent, clock)]) as one:
        ends = [await buy(one)]
        for hours in (10, 7 * 24):
            clock.at += hours * HOUR_MS
            ends.append(await buy(one))
    assert [end.charge for end in ends] == [Charge.YES] * 3


@pytest.mark.parametrize("heard", [True, False])
async def test_a_leap_that_a_hub_confirms_was_one_to_the_right_time_and_is_done_with(
    tmp_path: Path, payee: Payee, clock: StillClock, heard: bool
) -> None:
    hub = DatedHub(clock, AWAY) if heard else Hub(told=AWAY)
    async with house(tmp_path, payee, clock, TWO_A_DAY, beside=[hub.way]) as one:
        clock.leap(25 * HOUR_MS)
        assert refused(await buy(one))
        hub.told = 0.0
        if isinstance(hub, DatedHub):
            hub._offset = clock.leapt
        assert (await buy(one)).charge is Charge.YES
        hub.told = AWAY
        assert (await buy(one)).charge is Charge.YES


async def test_a_hub_that_was_asked_now_outweighs_one_that_is_away_since(
    tmp_path: Path, payee: Payee, clock: StillClock
) -> None:
    away, there = DatedHub(clock, AWAY), DatedHub(clock, 0.0)
    async with house(tmp_path, payee, clock, beside=[away.way, there.way]) as one:
        clock.leap(25 * HOUR_MS)
        assert (await buy(one)).charge is Charge.YES
        there.told = 25 * 3_600.0
        assert refused(await buy(one))


@pytest.mark.parametrize("silent", EVERY_SILENCE)
async def test_a_leap_while_a_person_thinks_buys_nothing(
    tmp_path: Path, payee: Payee, clock: StillClock, silent: str
) -> None:
    thinker = Thinker(lambda: clock.leap(FAR_MS))
    payee.good_ms = DAY_MS
    async with house(tmp_path, payee, clock, APPROVED, beside=[hub.way for hub in hubs(silent, clock)]) as one:
        end = await one.calls.pay(BUYING, Caller(LOCAL, asker=thinker))
        rows = await one.ledger.rows()
    assert (refused(end), thinker.asked, list(rows)) == (True, [50_000], [])


@pytest.mark.parametrize("silent", EVERY_SILENCE)
async def test_by_a_clock_that_leapt_no_open_call_is_asked_for_or_given_up_and_no_body_dropped(
    tmp_path: Path, payee: Payee, clock: StillClock, silent: str
) -> None:
    async with house(tmp_path, payee, clock, beside=[hub.way for hub in hubs(silent, clock)]) as one:
        one.wire.faults["ack"] = "unheard"
        await one.calls.pay(BUYING, Caller(LOCAL))
        row = await one.row()
        clock.leap(400 * DAY_MS)
        assert await one.calls._upkeep.recover() is True
        await one.calls._upkeep._chores()
        asked = await one.calls.resolve(row.call_id)
        assert (asked is not None and asked.charge, await one.row()) == (Charge.UNKNOWN, row)
        clock.leap(-400 * DAY_MS)
        clock.at += LOOK_MS
        assert await one.calls._upkeep.recover() is False
        assert (await one.row()).state is State.RECONCILED_CHARGED


@pytest.mark.parametrize("silent", EVERY_SILENCE)
async def test_after_a_leap_in_which_something_was_written_and_back_merchants_are_paid_and_nothing_is_forgotten(
    tmp_path: Path, payee: Payee, clock: StillClock, silent: str
) -> None:
    beside = [hub.way for hub in hubs(silent, clock)]
    async with house(tmp_path, payee, clock, TWO_A_DAY, beside=beside) as one:
        assert (await buy(one)).charge is Charge.YES
        clock.leap(25 * HOUR_MS)
        # As whatever ends, or is ruled on, meanwhile.
        await one.ledger.recount()
        clock.leap(-25 * HOUR_MS)
        assert (await buy(one)).charge is Charge.YES
        full = await buy(one)
        report = await one.ledger.audit()
    assert full.refusal is not None
    assert (full.refusal.code, report.findings) == (codes.LIMIT_REACHED, ())


async def written_in_a_leap(path: Path, payee: Payee, clock: StillClock, mandate: MandateSettings) -> None:
    """A process that began while the clock was ahead, and bought."""
    clock.leap(25 * HOUR_MS)
    async with house(path, payee, clock, mandate) as one:
        assert (await buy(one)).charge is Charge.YES
    clock.leap(-25 * HOUR_MS)


@pytest.mark.parametrize("silent", EVERY_SILENCE)
async def test_a_process_that_finds_its_ledger_written_in_the_future_waits_for_a_hub_or_the_operators_word(
    tmp_path: Path, payee: Payee, clock: StillClock, silent: str
) -> None:
    await written_in_a_leap(tmp_path, payee, clock, TWO_A_DAY)
    async with house(tmp_path, payee, clock, TWO_A_DAY, beside=[hub.way for hub in hubs(silent, clock)]) as one:
        end = await buy(one)
        assert refused(end)
        assert end.refusal is not None
        assert "--trust-clock" in end.refusal.message
        await one.ledger.trust_clock()
        assert (await buy(one)).charge is Charge.YES
        full = await buy(one)
    assert full.refusal is not None
    assert full.refusal.code == codes.LIMIT_REACHED


async def test_what_this_process_believed_of_the_clock_does_not_outlive_another_leap(
    tmp_path: Path, payee: Payee, clock: StillClock
) -> None:
    hub = Hub(told=0.0)
    async with house(tmp_path, payee, clock, beside=[hub.way]) as one:
        assert (await buy(one)).charge is Charge.YES
        # The clock is set, rightly as the Hub says, and what was believed before is nothing to go by.
        clock.leap(-25 * HOUR_MS)
        hub.told, hub.last = AWAY, 0.0
        end = await buy(one)
    assert refused(end)
    assert end.refusal is not None
    assert "--trust-clock" in end.refusal.message
