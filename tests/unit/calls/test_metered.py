"""Metered prices: the most that the mandate allows is held, what it came to is paid, and both are shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from jecp_mcp.calls import codes
from jecp_mcp.calls.ports import CallEnd, Caller, Charge
from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.domain.outcomes import Outcome, Verdict
from jecp_mcp.domain.purchases import LOCAL, Purchase
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.mandate import codes as mandate_codes
from jecp_mcp.mandate.states import State
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.rails.base import StoredRequest
from jecp_mcp.settings import MandateSettings
from tests.unit.calls.test_pipeline import always_lost, opened, settled

pytestmark = pytest.mark.anyio

BASE = MicroUSDC(10_000)
ACTUAL = MicroUSDC(32_100)
METERED = Offer("text/model", "complete", "text", Price(BASE, "per_token", metered=True), version="1.0.0")
MANDATE = MandateSettings(per_call_usdc="0.25", daily_usdc="0.40")


def asking(number: int) -> Purchase:
    return Purchase("text_model_complete", METERED, {"n": number})


async def metered(request: StoredRequest, _replay: bool) -> Outcome:
    """A Hub that charges what was used, and refuses what the mandate does not cover."""
    if request.hold < ACTUAL:
        return Outcome(Verdict.NOT_CHARGED, ZERO, None, Refusal("INSUFFICIENT_BUDGET", "too little"), "refused")
    billing = Billing(charged=True, amount=ACTUAL, reference=f"tx_{request.call_id}")
    answer = Answer(request.call_id, {"text": "…"}, billing)
    return Outcome(Verdict.CHARGED, ACTUAL, answer, None, "charged", reference=f"tx_{request.call_id}")


async def test_the_per_call_limit_is_held_and_what_it_came_to_is_charged(tmp_path: Path) -> None:
    async with opened(tmp_path, metered, mandate=MANDATE) as (calls, rail, ledger):
        end = await calls.pay(asking(1), Caller(LOCAL))
        row = await settled(ledger, end)
        (day,) = await calls.reader(LOCAL).windows()
    assert rail.sent[0].hold == 250_000
    assert (row.state, row.quoted, row.held, row.charged) == (State.SETTLED, BASE, 250_000, ACTUAL)
    assert (end.charge, end.amount, end.reserved, day.used) == (Charge.YES, ACTUAL, 250_000, ACTUAL)


async def test_where_a_window_has_less_left_that_much_is_held(tmp_path: Path) -> None:
    async with opened(tmp_path, always_lost, mandate=MANDATE) as (calls, rail, ledger):
        await calls.pay(asking(1), Caller(LOCAL))
        rail.script = metered
        end = await calls.pay(asking(2), Caller(LOCAL))
        await ledger.flush()
        (day,) = await calls.reader(LOCAL).windows()
    assert [request.hold for request in rail.sent] == [250_000, 150_000]
    assert (end.charge, end.amount, day.used) == (Charge.YES, ACTUAL, 250_000 + ACTUAL)


async def test_a_window_that_cannot_give_the_base_refuses(tmp_path: Path) -> None:
    mandate = MandateSettings(per_call_usdc="0.25", daily_usdc="0.255")
    async with opened(tmp_path, always_lost, mandate=mandate) as (calls, rail, _ledger):
        await calls.pay(asking(1), Caller(LOCAL))
        end = await calls.pay(asking(2), Caller(LOCAL))
    assert end.refusal is not None
    assert (end.charge, end.refusal.code, len(rail.sent)) == (Charge.NO, codes.LIMIT_REACHED, 1)
    assert end.refusal.details["needed_usdc"] == "0.01"


async def test_calls_that_come_at_once_share_what_is_left_and_never_pass_the_limit(tmp_path: Path) -> None:
    async with opened(tmp_path, always_lost, mandate=MANDATE) as (calls, rail, ledger):
        ends: list[CallEnd] = []

        async def ask(number: int) -> None:
            ends.append(await calls.pay(asking(number), Caller(LOCAL)))

        async with anyio.create_task_group() as together:
            for number in range(8):
                together.start_soon(ask, number)
        totals = await ledger.totals()
    assert totals.held == sum(request.hold for request in rail.sent) <= 400_000
    # The first takes all it may, the second the rest or its base; whoever finds less than the base left is refused.
    assert len(rail.sent) >= 2
    assert all(request.hold >= BASE for request in rail.sent)
    assert all(end.refusal is not None for end in ends)


@pytest.mark.parametrize(("most", "limit"), [(MicroUSDC(9_999), "0.25"), (None, "0.009")])
async def test_a_metered_call_that_may_come_to_less_is_refused_below_its_listed_price_and_told_why(
    tmp_path: Path, most: MicroUSDC | None, limit: str
) -> None:
    async with opened(tmp_path, metered, mandate=MandateSettings(per_call_usdc=limit)) as (calls, rail, _):
        refusal = (await calls.pay(replace(asking(1), most=most), Caller(LOCAL))).refusal
        if most is not None:
            assert (await calls.pay(replace(asking(1), most=BASE), Caller(LOCAL))).refusal != refusal
            assert [one.hold for one in rail.sent] == [BASE]
    assert refusal is not None
    assert refusal.code == (mandate_codes.PER_CALL_LIMIT if most is None else codes.PRICE_ABOVE_MAXIMUM)
    assert "may come to less" in refusal.message
