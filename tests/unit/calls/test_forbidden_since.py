"""A call in doubt that the operator has forbidden since: nothing that could still buy it leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from jecp_mcp.calls import codes
from jecp_mcp.calls.ports import Caller, Charge
from jecp_mcp.domain.outcomes import Entry, Mark, Outcome
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.mandate.naming import Naming
from jecp_mcp.mandate.states import State
from jecp_mcp.rails.base import Journal, OpenCall, Progress, StoredRequest
from jecp_mcp.settings import MandateSettings
from tests.unit.calls.test_pipeline import (
    ACTION,
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


EU = replace(ACTION, source_name="eu")
NOW = Naming(((ACTION.source, "de"), ("https://other.example", "")))
"""The settings call the source of `ACTION` de by now."""


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["de::*", "de::docs/invoice:create", "de__docs_*", "*::docs/*"])
async def test_what_is_denied_by_the_name_of_today_is_not_sent_again(tmp_path: Path, pattern: str) -> None:
    clock, allow = StillClock(), ["*", "*::*"]
    async with opened(tmp_path, always_lost, clock=clock, mandate=mandate(allow=allow)) as (calls, _, _ledger):
        lost = await calls.pay(replace(buying(), tool="eu__docs_invoice_create", offer=EU), Caller(LOCAL))
    denying = mandate(allow=allow, deny=[pattern])
    async with opened(tmp_path, always_charged, clock=clock, mandate=denying, naming=NOW) as (calls, rail, ledger):
        asked = await calls.resolve(str(lost.call_id))
        row = await settled(ledger, lost)
    assert asked is not None
    assert asked.refusal is not None
    assert (asked.refusal.details["because"], row.state, rail.sent) == ("DENIED_BY_POLICY", State.IN_DOUBT, [])


@pytest.mark.slow
@pytest.mark.parametrize("rules", [{"allow": ["de::*"]}, {"allow": ["*", "*::*"], "deny": ["hub::*", "us::*"]}])
async def test_what_is_allowed_by_the_name_of_today_is_found_out(tmp_path: Path, rules: dict[str, list[str]]) -> None:
    clock = StillClock()
    allowing = mandate(allow=["eu::*"])
    async with opened(tmp_path, always_lost, clock=clock, mandate=allowing) as (calls, _, _ledger):
        lost = await calls.pay(replace(buying(), tool="eu__docs_invoice_create", offer=EU), Caller(LOCAL))
    async with opened(tmp_path, always_charged, clock=clock, mandate=mandate(**rules), naming=NOW) as (
        calls,
        _,
        _ledger,
    ):
        found = await calls.resolve(str(lost.call_id))
    assert found is not None
    assert found.charge is Charge.YES
