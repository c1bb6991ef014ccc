"""What is bought hangs on the Hub's word: how long it knows an id, and what time it is. A Hub that charges anew what it
has forgotten, behind the real rail and a real ledger file."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

import pytest

from jecp_mcp.calls import codes
from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.calls.ports import CallEnd, Caller, Charge
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.purchases import LOCAL, Purchase
from jecp_mcp.errors import PayeeError
from jecp_mcp.http import Http
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.mandate.records import CallRow
from jecp_mcp.mandate.states import State
from jecp_mcp.rails.jecp.account import HubAccount
from jecp_mcp.rails.jecp.client import HubClient
from jecp_mcp.rails.jecp.rail import JecpRail
from jecp_mcp.settings import MandateSettings
from tests.faults.rails.raw_hub import ACTION, IDENTITY, PRICE, RawHub, Request, bench, raw_hub, says
from tests.rails import at_hub

pytestmark = pytest.mark.anyio

BEGIN = 1_800_000_000_000
HOUR = 3_600


@dataclass
class Times:
    """The Hub's time, and how far this machine's clocks are off it; seconds."""

    true: float = 0.0
    ahead: float = 0.0
    asleep: float = 0.0

    def now(self) -> UnixMs:
        return UnixMs(BEGIN + int((self.true - self.asleep + self.ahead) * 1000))

    def monotonic(self) -> float:
        return self.true - self.asleep

    async def sleep(self, seconds: float) -> None:
        self.true += seconds


@dataclass
class ForgetfulHub:
    """Knows an id for `window` seconds, and looks at no mandate's end."""

    times: Times
    window: int = HOUR
    guide: str = "200 OK"
    dated: bool = True
    losing: bool = False
    guides: int = 0
    known: dict[str, float] = field(default_factory=dict)
    charges: list[str] = field(default_factory=list)

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        date = formatdate(BEGIN / 1000 + self.times.true, usegmt=True)
        told = [f"Date: {date}"] if self.dated else []
        if request.method == "GET":
            self.guides += 1
            if self.guide == "lost":
                writer.close()
                return
            guide = {"version": "1", "idempotency": {"window_seconds": self.window}}
            await says(guide if self.guide == "200 OK" else b"{}", self.guide, *told)(request, writer)
            return
        call_id = request.json["id"]
        if self.times.true - self.known.get(call_id, -1e9) > self.window:
            self.known[call_id] = self.times.true
            self.charges.append(call_id)
        if self.losing:
            writer.close()
            return
        billing = {"charged": True, "amount_usdc": 0.005, "transaction_id": f"tx_{call_id}"}
        answer = {"jecp": "1.0", "id": call_id, "status": "success", "result": {"ok": True}, "billing": billing}
        await says(answer, "200 OK", *told)(request, writer)


@asynccontextmanager
async def serving(
    raw: RawHub, hub: ForgetfulHub, path: Path, daily: str = "1"
) -> AsyncIterator[tuple[Calls, Ledger, HubClient]]:
    """A process that has just started."""
    times, ids = hub.times, itertools.count(1)
    async with Http(raw.url) as http:
        client = HubClient(raw.url, http, lambda: IDENTITY, times)
        rail = JecpRail(client, timeout_seconds=5, clock=times, random=lambda: 0.5, sleep=times.sleep)
        ledger = open_ledger(path / "ledger.db", clock=times)
        calls = Calls(
            policy=Policy.from_settings(MandateSettings(daily_usdc=daily)),
            ledger=ledger,
            rails=at_hub(rail, client),
            clock=times,
            mint=lambda: f"call_{ledger.session[:8]}_{next(ids)}",
        )
        try:
            async with calls.open():
                yield calls, ledger, client
        finally:
            await ledger.close()


async def buy(calls: Calls, number: int) -> CallEnd:
    end = await calls.pay(Purchase("acme_tool_run", ACTION, {"n": number}), Caller(LOCAL))
    calls.delivered(end)
    return end


async def only(ledger: Ledger) -> CallRow:
    (row,) = await ledger.rows()
    return row


async def test_a_window_that_could_not_be_fetched_at_the_start_is_heard_before_the_first_purchase(
    tmp_path: Path,
) -> None:
    hub = ForgetfulHub(Times(), window=600, guide="503 Service Unavailable", losing=True)
    async with raw_hub(hub.answer) as raw, serving(raw, hub, tmp_path) as (calls, ledger, client):
        await client.discover()
        hub.guide = "200 OK"
        assert (await buy(calls, 1)).charge is Charge.UNKNOWN
        row = await only(ledger)
        assert row.provable_until is not None
        assert row.provable_until - row.created_at <= 600_000
        hub.times.true += 40 * 60
        hub.losing = False
        await calls.recover()
        assert (await only(ledger)).state is State.WRITTEN_OFF
    assert len(hub.charges) == 1


@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("guide", ["503 Service Unavailable", "429 Too Many Requests", "lost"])
async def test_while_the_hub_does_not_answer_for_its_guide_nothing_is_bought(
    tmp_path: Path, guide: str, dated: bool
) -> None:
    hub = ForgetfulHub(Times(), guide=guide, dated=dated)
    async with raw_hub(hub.answer) as raw, serving(raw, hub, tmp_path) as (calls, ledger, _client):
        end = await buy(calls, 1)
        assert end.refusal is not None
        assert (end.charge, end.refusal.code, list(await ledger.rows())) == (Charge.NO, "HUB_UNREACHABLE", [])
        hub.guide = "200 OK"
        assert (await buy(calls, 1)).charge is Charge.YES


@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("guide", ["200 OK", "404 Not Found"])
async def test_the_guide_is_asked_for_once_though_there_is_none_or_it_tells_no_time(
    tmp_path: Path, guide: str, dated: bool
) -> None:
    hub = ForgetfulHub(Times(), guide=guide, dated=dated)
    async with raw_hub(hub.answer) as raw, serving(raw, hub, tmp_path) as (calls, _ledger, _client):
        await calls.recover()
        assert hub.guides == 0
        assert [(await buy(calls, number)).charge for number in range(3)] == [Charge.YES] * 3
    assert hub.guides == 1


async def test_a_clock_a_day_ahead_buys_nothing_past_a_full_limit_in_a_fresh_process(tmp_path: Path) -> None:
    hub = ForgetfulHub(Times())
    async with raw_hub(hub.answer) as raw:
        async with serving(raw, hub, tmp_path, daily="0.005") as (calls, _ledger, _client):
            assert (await buy(calls, 1)).charge is Charge.YES
        hub.times.ahead = 26 * HOUR
        async with serving(raw, hub, tmp_path, daily="0.005") as (calls, _ledger, _client):
            end = await buy(calls, 2)
    assert end.refusal is not None
    assert (end.refusal.code, len(hub.charges)) == (codes.CLOCK_WRONG, 1)


async def test_a_clock_that_was_ahead_for_a_while_leaves_a_call_to_be_found_out(tmp_path: Path) -> None:
    hub = ForgetfulHub(Times(), window=6 * HOUR, losing=True)
    async with raw_hub(hub.answer) as raw, serving(raw, hub, tmp_path) as (calls, ledger, _client):
        lost = await buy(calls, 1)
        hub.losing, hub.times.ahead = False, 8 * HOUR
        hub.times.true += 60
        await calls.recover()
        assert lost.call_id is not None
        asked = await calls.resolve(lost.call_id)
        assert asked is not None
        assert asked.refusal is not None
        assert asked.refusal.details["because"] == codes.CLOCK_WRONG
        assert (await only(ledger)).state is State.IN_DOUBT
        hub.times.ahead = 0
        await calls.recover()
        row = await only(ledger)
        assert (row.state, row.charged) == (State.RECONCILED_CHARGED, PRICE)
    assert hub.charges == [lost.call_id]


async def test_a_machine_that_stood_still_sends_nothing_again_that_the_hub_has_forgotten(tmp_path: Path) -> None:
    hub = ForgetfulHub(Times(), losing=True)
    async with raw_hub(hub.answer) as raw, serving(raw, hub, tmp_path) as (calls, ledger, _client):
        await buy(calls, 1)
        hub.losing = False
        hub.times.true += 2 * HOUR + 60
        hub.times.asleep += 2 * HOUR
        await calls.recover()
        assert (await only(ledger)).state is State.IN_DOUBT
        # Its clock is set.
        hub.times.ahead = 2 * HOUR
        await calls.recover()
        assert (await only(ledger)).state is State.WRITTEN_OFF
    assert len(hub.charges) == 1


async def test_while_the_hub_cannot_be_asked_for_the_time_a_lost_call_stays_as_it_is(tmp_path: Path) -> None:
    hub = ForgetfulHub(Times(), losing=True)
    async with raw_hub(hub.answer) as raw, serving(raw, hub, tmp_path) as (calls, ledger, _client):
        lost = await buy(calls, 1)
        hub.losing, hub.guide = False, "lost"
        hub.times.true += 2 * HOUR
        left = await calls._upkeep.recover()
        assert left
        assert lost.call_id is not None
        await calls.resolve(lost.call_id)
        assert (await only(ledger)).state is State.IN_DOUBT
        hub.guide = "200 OK"
        await calls.recover()
        assert (await only(ledger)).state is State.WRITTEN_OFF
    assert len(hub.charges) == 1


async def test_a_hub_that_told_the_time_before_and_does_not_now_confirms_nothing() -> None:
    hub = ForgetfulHub(Times())
    async with raw_hub(hub.answer) as raw, bench(raw.url) as parts:
        assert await HubAccount(parts.client).skew() is not None
        hub.dated = False
        with pytest.raises(PayeeError, match="does not tell the time"):
            await HubAccount(parts.client).skew(fresh=True)


async def test_a_window_that_became_shorter_is_heard_with_the_hourly_chores(tmp_path: Path) -> None:
    hub = ForgetfulHub(Times())
    async with raw_hub(hub.answer) as raw, serving(raw, hub, tmp_path) as (calls, ledger, _client):
        await buy(calls, 1)
        hub.window = 600
        await calls._upkeep._chores()
        await buy(calls, 2)
        row = (await ledger.rows())[0]
    assert row.provable_until is not None
    assert row.provable_until - row.created_at <= 600_000
