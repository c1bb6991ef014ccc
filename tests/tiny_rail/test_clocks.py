"""The tiny rail, whose payee does not tell the time, beside a Hub that does: whose clock counts, and who waits for whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from jecp_mcp.calls import codes
from jecp_mcp.calls.clock_check import MOST_SKEW_SECONDS
from jecp_mcp.calls.ports import Caller, Charge
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Outcome, Refunded
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.errors import PayeeError
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.states import State
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.base import Journal, OpenCall, Progress, StoredRequest
from jecp_mcp.rails.registry import Way
from tests.rails import source
from tests.tiny_rail.payee import Payee
from tests.tiny_rail.rail import LOOK_MS
from tests.tiny_rail.test_calls import BUYING, clock, house, payee
from tests.unit.calls.test_pipeline import ScriptedRail, StillClock, buying, charged, lost

__all__ = ["clock", "payee"]

pytestmark = pytest.mark.anyio


class Hub(ScriptedRail):
    """A Hub that tells the time, or is away, or never answers; it loses what it is asked for first."""

    def __init__(
        self, heard: float | None = None, told: float | PayeeError | None = None, *, hangs: bool = False
    ) -> None:
        async def lose_first(request: StoredRequest, replay: bool) -> Outcome:
            return charged(request) if replay else lost()

        super().__init__(lose_first)
        self.last, self.told, self.hangs, self.asked = heard, told, hangs, 0
        self.away = False

    def heard(self) -> float | None:
        return self.last

    async def skew(self, *, fresh: bool = False) -> float | None:
        self.asked += 1
        if self.hangs:
            await anyio.sleep_forever()
        if isinstance(self.told, PayeeError):
            raise self.told
        return self.told

    async def find_out(self, call: OpenCall, journal: Journal, progress: Progress | None = None) -> Outcome:
        if call.charged:
            # Nothing of it leaves.
            return await self.script(call.request, True)
        return await super().find_out(call, journal, progress)

    async def paid_refunds(self) -> Sequence[Refunded]:
        if self.away:
            raise PayeeError("HUB_UNREACHABLE", "down")
        return self.paid_back

    @property
    def way(self) -> Way:
        return Way(rail=self, sources=(source(""),), account=self, witness=self)


AWAY = PayeeError("HUB_UNREACHABLE", "down")
FAR = MOST_SKEW_SECONDS + 1


async def states(ledger: Ledger) -> dict[str, State]:
    await ledger.flush()
    return {row.rail: row.state for row in await ledger.rows()}


@pytest.mark.parametrize("hub", [Hub(hangs=True), Hub(0.0, hangs=True), Hub(told=AWAY)], ids=["new", "heard", "away"])
async def test_a_hub_that_does_not_answer_keeps_nobody_elses_calls_waiting_or_open(
    tmp_path: Path, payee: Payee, clock: StillClock, hub: Hub
) -> None:
    async with house(tmp_path, payee, clock, beside=[hub.way]) as one:
        one.wire.faults["ack"] = "unheard"
        with anyio.fail_after(60):
            await one.calls.pay(BUYING, Caller(LOCAL))
            clock.at += LOOK_MS
            assert await one.calls._upkeep.recover() is False
        assert (await one.row()).state is State.RECONCILED_CHARGED
    assert hub.asked == 0


@pytest.mark.parametrize(
    ("told", "bought"), [(0.0, True), (FAR, False), (AWAY, False)], ids=["it slept", "wrong", "away"]
)
async def test_where_a_hub_seems_to_speak_against_the_clock_it_is_asked_again_before_another_rail_pays(
    tmp_path: Path, payee: Payee, clock: StillClock, told: float | PayeeError, bought: bool
) -> None:
    hub = Hub(FAR, told)
    async with house(tmp_path, payee, clock, beside=[hub.way]) as one:
        end = await one.calls.pay(BUYING, Caller(LOCAL))
    # Before its price is asked for, and before it is written down.
    assert hub.asked == (2 if bought else 1)
    assert (end.charge is Charge.YES, end.refusal is None or end.refusal.code == codes.CLOCK_WRONG) == (bought, True)


@pytest.mark.parametrize("trouble", [FAR, AWAY], ids=["wrong", "away"])
async def test_each_rail_goes_by_its_own_clock_and_waits_for_no_others(
    tmp_path: Path, payee: Payee, clock: StillClock, trouble: float | PayeeError
) -> None:
    hub, other = Hub(told=0.0), Hub(told=0.0)
    other.name = "other"
    beside = [hub.way, Way(rail=other, sources=(), account=other, witness=other)]
    async with house(tmp_path, payee, clock, beside=beside) as one:
        one.wire.faults["ack"] = "unheard"
        await one.calls.pay(buying(), Caller(LOCAL))
        await one.calls.pay(BUYING, Caller(LOCAL))
        clock.at += LOOK_MS
        hub.told = trouble
        assert await one.calls._upkeep.recover() is True
        assert await states(one.ledger) == {"jecp": State.IN_DOUBT, "tiny": State.RECONCILED_CHARGED}
        hub.told = 0.0
        assert await one.calls._upkeep.recover() is False
        assert (await states(one.ledger))["jecp"] is State.RECONCILED_CHARGED
        # What is kept for days is dropped by the word of one of them, and against none's.
        clock.at += 100 * 86_400_000
        for end in await one.ledger.rows():
            one.ledger.note_delivery(end.call_id)
        await one.ledger.flush()
        hub.told = trouble
        await one.calls._upkeep._chores()
        kept = [(await one.ledger.row(row.call_id)) for row in await one.ledger.rows()]
        assert [row is not None and row.request != b"" for row in kept] == [trouble is FAR] * 2


@pytest.mark.parametrize("hub", [Hub(told=0.0), Hub(told=AWAY)], ids=["confirmed", "away"])
async def test_a_clock_that_went_back_is_confirmed_to_a_rail_without_a_witness_by_anothers(
    tmp_path: Path, payee: Payee, clock: StillClock, hub: Hub
) -> None:
    async with house(tmp_path, payee, clock, beside=[hub.way]) as one:
        one.calls.delivered(await one.calls.pay(BUYING, Caller(LOCAL)))
        await one.ledger.flush()
        clock.leap(-3_600_000)
        end = await one.calls.pay(BUYING, Caller(LOCAL))
    assert (end.charge is Charge.YES) is (hub.told == 0.0)
    assert end.refusal is None or end.refusal.code == codes.CLOCK_WRONG


async def test_an_account_that_does_not_tell_its_refunds_keeps_no_other_from_telling_them(
    tmp_path: Path, payee: Payee, clock: StillClock
) -> None:
    away, hub = Hub(told=0.0), Hub(told=0.0)
    away.name, away.away = "away", True
    beside = [Way(rail=away, sources=(), account=away, witness=away), hub.way]
    async with house(tmp_path, payee, clock, beside=beside) as one:
        await one.calls.pay(buying(), Caller(LOCAL))
        clock.at += LOOK_MS
        end = await one.calls.pay(buying(), Caller(LOCAL))
        await one.ledger.flush()
        hub.paid_back = [Refunded(end.reference or "", MicroUSDC(20_000), "refunded: r_1")]
        with pytest.raises(PayeeError, match="down"):
            await one.calls.note_refunds()
        assert (await one.row()).refunded == 20_000
        away.away = False
        assert await one.calls.note_refunds() == 0


@pytest.mark.parametrize("trouble", [FAR, AWAY], ids=["wrong", "away"])
async def test_a_charge_that_may_turn_is_not_looked_at_by_a_clock_that_cannot_be_gone_by(
    tmp_path: Path, payee: Payee, clock: StillClock, trouble: float | PayeeError
) -> None:
    hub = Hub(told=0.0)

    async def for_the_time_being(request: StoredRequest, replay: bool) -> Outcome:
        return replace(charged(request), look_again_at=None if replay else UnixMs(clock.at + LOOK_MS))

    hub.script = for_the_time_being
    async with house(tmp_path, payee, clock, beside=[hub.way]) as one:
        await one.calls.pay(buying(), Caller(LOCAL))
        row = await one.row()
        clock.at += LOOK_MS
        hub.told = trouble
        assert await one.calls._upkeep.recover() is True
        assert await one.row() == row
        # Nor is it written off, however old it is by then.
        clock.at += 90 * 86_400_000
        hub.told = 0.0
        assert await one.calls._upkeep.recover() is False
        row = await one.row()
    assert (row.state, row.look_again_at, row.refunded) == (State.SETTLED, None, 0)
