"""A clock that cannot be trusted: nothing is bought by it, and nothing that was spent is forgotten."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from jecp_mcp.calls import codes
from jecp_mcp.calls.clock_check import MOST_SKEW_SECONDS
from jecp_mcp.calls.ports import Caller, Charge
from jecp_mcp.domain.outcomes import Outcome
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.errors import PayeeError
from jecp_mcp.mandate.states import State
from jecp_mcp.rails.base import StoredRequest
from jecp_mcp.settings import MandateSettings
from tests.unit.calls.test_pipeline import (
    PRICE,
    StillClock,
    always_charged,
    always_lost,
    buying,
    charged,
    opened,
    settled,
)

pytestmark = pytest.mark.anyio

HOUR_MS = 3_600_000


class Skewed:
    """What a rail says of the clock, now and when it is asked anew."""

    def __init__(self, heard: float | None, fresh: float | None) -> None:
        self.heard, self.fresh, self.asked = heard, fresh, 0

    async def skew(self, *, fresh: bool = False) -> float | None:
        self.asked += fresh
        return self.fresh if fresh else self.heard


@pytest.mark.parametrize("skew", [MOST_SKEW_SECONDS + 1, -MOST_SKEW_SECONDS - 1])
async def test_a_clock_far_off_the_hubs_buys_nothing_and_says_who_must_set_it(tmp_path: Path, skew: float) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        rail.skew = Skewed(skew, None).skew  # type: ignore[method-assign]
        end = await calls.pay(buying(), Caller(LOCAL))
        rows = await ledger.rows()
    assert end.refusal is not None
    assert (end.charge, end.refusal.code, rail.sent, list(rows)) == (Charge.NO, codes.CLOCK_WRONG, [], [])
    assert end.refusal.details == {"skew_seconds": round(skew)}
    assert ("ahead of" if skew > 0 else "behind") in end.refusal.message


@pytest.mark.parametrize("skew", [None, 0.0, MOST_SKEW_SECONDS, -MOST_SKEW_SECONDS])
async def test_a_clock_within_what_the_hub_allows_buys(tmp_path: Path, skew: float | None) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, _ledger):
        rail.skew = Skewed(skew, None).skew  # type: ignore[method-assign]
        assert (await calls.pay(buying(), Caller(LOCAL))).charge is Charge.YES


@pytest.mark.parametrize("heard", [None, 0.0], ids=["never heard", "heard before it went back"])
@pytest.mark.parametrize("confirmed", [None, MOST_SKEW_SECONDS + 1, -3 * HOUR_MS / 1000])
async def test_a_clock_that_went_back_and_that_nobody_confirms_buys_nothing(
    tmp_path: Path, confirmed: float | None, heard: float | None
) -> None:
    clock = StillClock()
    async with opened(tmp_path, always_charged, clock=clock) as (calls, rail, ledger):
        first = await calls.pay(buying(n=1), Caller(LOCAL))
        calls.delivered(first)
        await ledger.flush()
        clock.leap(-2 * HOUR_MS)
        said = Skewed(heard, confirmed)
        rail.skew = said.skew  # type: ignore[method-assign]
        end = await calls.pay(buying(n=2), Caller(LOCAL))
        reads = (
            await calls.reader(LOCAL).latest(limit=10),
            await calls.reader(LOCAL).windows(),
            await calls.reader(LOCAL).totals(),
        )
    assert end.refusal is not None
    assert (end.charge, end.refusal.code, len(rail.sent), said.asked) == (Charge.NO, codes.CLOCK_WRONG, 1, 1)
    assert [len(part) for part in reads[:2]] == [1, 1]
    assert reads[2].charged == PRICE


async def test_a_clock_that_jumped_ahead_and_back_forgets_nothing_that_was_spent(tmp_path: Path) -> None:
    clock = StillClock()
    mandate = MandateSettings(hourly_usdc="0.25", daily_usdc="0.25")
    async with opened(tmp_path, always_charged, clock=clock, mandate=mandate) as (calls, rail, ledger):
        rail.skew = Skewed(None, 0.0).skew  # type: ignore[method-assign]
        calls.delivered(await calls.pay(buying(n=1), Caller(LOCAL)))
        await ledger.flush()
        # Ahead, the hour's window looks empty, and what looks into it lets the old amount go.
        clock.leap(48 * HOUR_MS)
        ahead = await calls.pay(buying(n=2), Caller(LOCAL))
        await ledger.flush()
        clock.leap(-48 * HOUR_MS)
        third = await calls.pay(buying(n=3), Caller(LOCAL))
        readings = {one.meter.label: one.used for one in await calls.reader(LOCAL).windows()}
        report = await ledger.audit()
    assert ahead.charge is Charge.YES
    assert third.refusal is not None
    assert third.refusal.code == codes.LIMIT_REACHED
    assert readings == {"hourly_usdc": 2 * PRICE, "daily_usdc": 2 * PRICE}
    assert report.findings == ()


async def test_what_a_call_came_to_is_written_down_whatever_the_clock_shows(tmp_path: Path) -> None:
    clock = StillClock()
    async with opened(tmp_path, always_lost, clock=clock) as (calls, rail, ledger):
        first = await calls.pay(buying(n=1), Caller(LOCAL))
        await ledger.flush()
        rail.script = always_charged
        clock.leap(-61_000)
        assert first.call_id is not None
        asked = await calls.resolve(first.call_id)
        row = await settled(ledger, first)
    # A call from the future is not sent again by a clock that went back; it stays held.
    assert asked is not None
    assert (asked.charge, row.state) == (Charge.UNKNOWN, State.IN_DOUBT)


async def test_another_process_running_call_is_left_to_it_when_the_clock_is_set_back(tmp_path: Path) -> None:
    clock, answered, running = StillClock(), anyio.Event(), anyio.Event()

    async def answer_late(request: StoredRequest, _replay: bool) -> Outcome:
        running.set()
        await answered.wait()
        return charged(request)

    async with (
        opened(tmp_path, answer_late, clock=clock) as (first, _rail, ledger),
        opened(tmp_path, always_charged, clock=clock) as (second, other, _ledger),
        anyio.create_task_group() as beside,
    ):
        other.skew = Skewed(0.0, 0.0).skew  # type: ignore[method-assign]
        beside.start_soon(first.pay, buying(n=1), Caller(LOCAL))
        await running.wait()
        clock.leap(-100_000)
        await second.recover()
        end = await second.pay(buying(n=1), Caller(LOCAL))
        answered.set()
        await anyio.wait_all_tasks_blocked()
        await ledger.flush()
        (row,) = await ledger.rows()
    assert end.refusal is not None
    assert (end.refusal.code, other.sent) == (codes.CALL_IN_PROGRESS, [])
    assert (row.state, row.charged) == (State.SETTLED, PRICE)


@pytest.mark.parametrize("seen", ["ahead", "unknown"])
async def test_a_clock_that_nobody_confirms_drops_no_bodies(tmp_path: Path, seen: str) -> None:
    clock = StillClock()
    async with opened(tmp_path, always_charged, clock=clock) as (calls, rail, ledger):
        end = await calls.pay(buying(n=1), Caller(LOCAL))
        calls.delivered(end)
        await ledger.flush()
        clock.at += 100 * 24 * HOUR_MS
        rail.skew = Skewed(None, 100 * 24 * HOUR_MS / 1000).skew if seen == "ahead" else _unheard  # type: ignore[method-assign]
        await calls._upkeep._chores()
        assert (await settled(ledger, end)).request != b""
        rail.skew = Skewed(None, 0.0).skew  # type: ignore[method-assign]
        await calls._upkeep._chores()
        assert (await settled(ledger, end)).request == b""


async def test_a_clock_that_went_back_is_not_trusted_while_the_hub_cannot_be_asked(tmp_path: Path) -> None:
    clock = StillClock()
    async with opened(tmp_path, always_charged, clock=clock) as (calls, rail, ledger):
        calls.delivered(await calls.pay(buying(n=1), Caller(LOCAL)))
        await ledger.flush()
        clock.leap(-2 * HOUR_MS)

        async def heard_before(*, fresh: bool = False) -> float:
            return await _unheard() if fresh else 0.0

        rail.skew = heard_before  # type: ignore[method-assign]
        end = await calls.pay(buying(n=2), Caller(LOCAL))
    assert end.refusal is not None
    assert (end.charge, end.refusal.code, len(rail.sent)) == (Charge.NO, codes.CLOCK_WRONG, 1)


async def test_after_a_leap_ahead_in_which_something_was_written_a_lost_call_is_still_found_out(
    tmp_path: Path,
) -> None:
    clock = StillClock()
    async with opened(tmp_path, always_lost, clock=clock) as (calls, rail, ledger):
        lost = await calls.pay(buying(n=1), Caller(LOCAL))
        await ledger.flush()
        clock.leap(8 * HOUR_MS)
        # What is written down meanwhile holds the ledger's time there.
        await ledger.recount()
        clock.leap(-8 * HOUR_MS)
        clock.at += 60_000
        rail.script, rail.skew = always_charged, Skewed(0.0, 0.0).skew  # type: ignore[method-assign]
        await calls.recover()
        row = await settled(ledger, lost)
        report = await ledger.audit()
    assert (row.state, report.findings) == (State.RECONCILED_CHARGED, ())


async def _unheard(*, fresh: bool = False) -> float:
    raise PayeeError("HUB_UNREACHABLE", f"The Hub did not answer (fresh={fresh}).")


async def test_a_call_in_doubt_that_somebody_asks_for_is_not_sent_again_by_a_clock_far_off(tmp_path: Path) -> None:
    async with opened(tmp_path, always_lost) as (calls, rail, ledger):
        first = await calls.pay(buying(), Caller(LOCAL))
        rail.skew = Skewed(0.0, MOST_SKEW_SECONDS + 1).skew  # type: ignore[method-assign]
        assert first.call_id is not None
        asked = await calls.resolve(first.call_id)
        row = await settled(ledger, first)
    assert asked is not None
    assert asked.refusal is not None
    assert (asked.charge, asked.held, row.state, len(rail.sent)) == (Charge.UNKNOWN, PRICE, State.IN_DOUBT, 1)
    assert f"cannot be sent again now to find out ({codes.CLOCK_WRONG})" in asked.refusal.message
