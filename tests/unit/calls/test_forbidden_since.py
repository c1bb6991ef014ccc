"""A call in doubt that the operator has forbidden since: nothing that could still buy it leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from jecp_mcp.calls import codes
from jecp_mcp.calls.ports import Caller, Charge
from jecp_mcp.domain.outcomes import Entry, Mark, Outcome
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.mandate.states import State
from jecp_mcp.rails.base import Journal, OpenCall, Progress, StoredRequest
from jecp_mcp.settings import MandateSettings
from tests.unit.calls.test_pipeline import (
    PRICE,
    ScriptedRail,
    StillClock,
    always_charged,
    always_lost,
    buying,
    opened,
    settled,
)

pytestmark = pytest.mark.anyio

FORBIDDING = {
    "DENIED_BY_POLICY": {"deny": ["docs/invoice*"]},
    "MANDATE_EXPIRED": {"expires_at": "2027-01-15T08:00:00Z"},
}
"""By code; the test's clock is at that very instant."""
HOUR = 3_600_000


def mandate(**more: object) -> MandateSettings:
    return MandateSettings.model_validate({"daily_usdc": "1.00", **more})


def held_at(seen: list[int]) -> Callable[[StoredRequest, bool], Awaitable[Outcome]]:
    async def script(request: StoredRequest, replay: bool) -> Outcome:
        seen.append(request.hold)
        return await always_charged(request, replay)

    return script


@pytest.mark.parametrize("code", FORBIDDING)
async def test_it_is_not_sent_again_until_it_is_allowed_again(tmp_path: Path, code: str) -> None:
    clock = StillClock()
    async with opened(tmp_path, always_lost, clock=clock, mandate=mandate()) as (calls, _, _ledger):
        lost = await calls.pay(buying(), Caller(LOCAL))
    seen: list[int] = []
    async with opened(tmp_path, held_at(seen), clock=clock, mandate=mandate(**FORBIDDING[code])) as (calls, _, ledger):
        asked = await calls.resolve(str(lost.call_id))
        row = await settled(ledger, lost)
    assert asked is not None
    assert asked.refusal is not None
    assert (asked.charge, asked.held, seen) == (Charge.UNKNOWN, PRICE, [])
    assert (asked.refusal.code, asked.refusal.details["because"]) == (codes.CALL_IN_DOUBT, code)
    assert "the operator's mandate forbids it by now" in asked.refusal.message
    assert (row.state, row.held) == (State.IN_DOUBT, PRICE)
    async with opened(tmp_path, held_at(seen), clock=clock, mandate=mandate()) as (calls, _, ledger):
        found = await calls.resolve(str(lost.call_id))
    assert found is not None
    assert (found.charge, seen) == (Charge.YES, [PRICE])


async def test_one_that_stays_forbidden_is_written_off_and_counts_as_spent(tmp_path: Path) -> None:
    clock = StillClock()
    async with opened(tmp_path, always_lost, clock=clock, mandate=mandate()) as (calls, _, _ledger):
        lost = await calls.pay(buying(), Caller(LOCAL))
    denying = mandate(deny=["*"])
    async with opened(tmp_path, always_charged, clock=clock, mandate=denying) as (calls, rail, ledger):
        clock.at += HOUR
        await calls.recover()
        row = await settled(ledger, lost)
    assert (row.state, row.held, rail.sent) == (State.WRITTEN_OFF, PRICE, [])


async def test_what_its_payee_took_on_is_asked_for_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = StillClock()
    execute = ScriptedRail.execute

    async def taken_on(
        rail: ScriptedRail, call: OpenCall, journal: Journal, progress: Progress | None = None
    ) -> Outcome:
        ended = await execute(rail, call, journal, progress)
        await journal.keep(Entry(Mark.ACCEPTED))
        return ended

    monkeypatch.setattr(ScriptedRail, "execute", taken_on)
    async with opened(tmp_path, always_lost, clock=clock, mandate=mandate()) as (calls, _, _ledger):
        lost = await calls.pay(buying(), Caller(LOCAL))
    denying = mandate(deny=["*"])
    async with opened(tmp_path, always_charged, clock=clock, mandate=denying) as (calls, rail, _ledger):
        found = await calls.resolve(str(lost.call_id))
    assert found is not None
    assert (found.charge, len(rail.sent)) == (Charge.YES, 1)
