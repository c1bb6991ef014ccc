"""Two clocks: the server's, by which the limits' windows go, and that of a machine that buys."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from jecp_mcp.calls import codes
from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.calls.ports import CallEnd, Caller, Charge
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.mandate.postgres.ledger import PostgresLedger
from jecp_mcp.settings import MandateSettings
from tests.postgres.fixtures import ServerClock
from tests.rails import alone
from tests.unit.calls.test_pipeline import ScriptedRail, StillClock, always_charged, buying

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

HOUR_MS = 3_600_000
NUMBERS = itertools.count()


@asynccontextmanager
async def house(ledger: PostgresLedger, clock: StillClock) -> AsyncIterator[Callable[[], Awaitable[CallEnd]]]:
    """A process that may buy twice a day."""
    calls = Calls(
        policy=Policy.from_settings(MandateSettings(daily_usdc="0.20")),
        ledger=ledger,
        rails=alone(ScriptedRail(always_charged)),
        clock=clock,
        mint=lambda: f"call_{next(NUMBERS)}",
    )

    async def buy() -> CallEnd:
        end = await calls.pay(buying(n=next(NUMBERS)), Caller(LOCAL))
        calls.delivered(end)
        await ledger.flush()
        return end

    async with calls.open():
        yield buy


def code(end: CallEnd) -> str | None:
    return None if end.refusal is None else end.refusal.code


@pytest.mark.parametrize("leap", [25 * HOUR_MS, -25 * HOUR_MS])
async def test_a_machine_whose_clock_leapt_empties_no_window_of_the_server_and_buys_nothing(
    ledger: PostgresLedger, clock: ServerClock, leap: int
) -> None:
    here = StillClock()
    here.at = clock.at
    async with house(ledger, here) as buy:
        assert (await buy()).charge is Charge.YES
        here.leap(leap)
        assert code(await buy()) == codes.CLOCK_WRONG
    # A process that begins in the leap does not know of it by itself.
    async with house(ledger, here) as buy:
        end = await buy()
    assert (end.charge, code(end)) == (Charge.NO, codes.CLOCK_WRONG)


async def test_a_server_whose_clock_leapt_ahead_empties_no_window(ledger: PostgresLedger, clock: ServerClock) -> None:
    here = StillClock()
    here.at = clock.at
    async with house(ledger, here) as buy:
        assert [(await buy()).charge for _ in range(2)] == [Charge.YES] * 2
        clock.forward(hours=25)
        ends = [await buy() for _ in range(3)]
        assert [(end.charge, code(end)) for end in ends] == [(Charge.NO, codes.CLOCK_WRONG)] * 3
        clock.forward(hours=-25)
        # What was written meanwhile is not forgotten, and the machine's own clock ran evenly.
        assert code(await buy()) == codes.LIMIT_REACHED
        assert (await ledger.audit()).findings == ()


async def test_a_server_whose_clock_went_back_is_not_taken_for_right_because_this_machines_is(
    ledger: PostgresLedger, clock: ServerClock
) -> None:
    here = StillClock()
    here.at = clock.at
    async with house(ledger, here) as buy:
        assert (await buy()).charge is Charge.YES
        clock.forward(hours=-25)
        end = await buy()
        assert (end.charge, code(end)) == (Charge.NO, codes.CLOCK_WRONG)
        assert "ledger server's" in ("" if end.refusal is None else end.refusal.message)
        clock.forward(hours=25)
        assert [(await buy()).charge for _ in range(2)] == [Charge.YES, Charge.NO]
