"""The paid call, with a scripted rail at its one-method seam and a real ledger file."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from jecp_mcp.calls import codes
from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.calls.ports import CallEnd, Caller, Charge
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.domain.outcomes import Outcome, Verdict
from jecp_mcp.domain.purchases import LOCAL, Purchase
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.naming import Naming
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.mandate.states import State
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.rails.base import Journal, NotNow, OpenCall, Progress, StoredRequest
from jecp_mcp.settings import MandateSettings
from tests.rails import WINDOW_MS, PlainRail, alone

pytestmark = pytest.mark.anyio

PRICE = MicroUSDC(100_000)
ACTION = Offer("docs/invoice", "create", "docs", Price(PRICE), version="1.0.0")


class StillClock:
    def __init__(self) -> None:
        self.at = 1_800_000_000_000
        self.leapt = 0

    def now(self) -> UnixMs:
        return UnixMs(self.at)

    def monotonic(self) -> float:
        return (self.at - self.leapt) / 1000

    def leap(self, ms: int) -> None:
        """The wall clock is set; no time passes."""
        self.at += ms
        self.leapt += ms


Script = Callable[[StoredRequest, bool], Awaitable[Outcome]]


class ScriptedRail(PlainRail):
    """A rail whose execution is a function, and which remembers what it was asked to send."""

    def __init__(self, script: Script) -> None:
        super().__init__()
        self.script = script
        self.sent: list[StoredRequest] = []

    async def execute(self, call: OpenCall, journal: Journal, progress: Progress | None = None) -> Outcome:
        return await self.send(call, journal, replay=False)

    async def find_out(self, call: OpenCall, journal: Journal, progress: Progress | None = None) -> Outcome:
        return await self.send(call, journal, replay=True)

    async def send(self, call: OpenCall, journal: Journal, *, replay: bool) -> Outcome:
        try:
            await journal.sending()
        except NotNow as exc:
            verdict = Verdict.IN_DOUBT if replay else Verdict.NOT_CHARGED
            return Outcome(verdict, ZERO, None, exc.refusal, str(exc), 0, look_again_at=exc.again_at)
        self.sent.append(call.request)
        return await self.script(call.request, replay)


def charged(request: StoredRequest) -> Outcome:
    billing = Billing(charged=True, amount=request.hold, balance_after=MicroUSDC(7), reference="tx_1")
    answer = Answer(request.call_id, {"done": True}, billing)
    return Outcome(Verdict.CHARGED, request.hold, answer, None, "the Hub said so", reference="tx_1")


def refused() -> Outcome:
    return Outcome(Verdict.NOT_CHARGED, ZERO, None, Refusal("INSUFFICIENT_BALANCE", "empty"), "the Hub refused")


def lost() -> Outcome:
    return Outcome(Verdict.IN_DOUBT, ZERO, None, Refusal("HUB_LOST_ANSWER", "lost", source="bridge"), "answer lost")


async def always_charged(request: StoredRequest, _replay: bool) -> Outcome:
    return charged(request)


async def always_lost(_request: StoredRequest, _replay: bool) -> Outcome:
    return lost()


def buying(**arguments: Any) -> Purchase:
    return Purchase("docs_invoice_create", ACTION, arguments)


@asynccontextmanager
async def opened(
    path: Path,
    script: Script,
    *,
    clock: StillClock | None = None,
    mandate: MandateSettings | None = None,
    naming: Naming | None = None,
) -> AsyncIterator[tuple[Calls, ScriptedRail, Ledger]]:
    clock = clock or StillClock()
    ledger = open_ledger(path / "ledger.sqlite", clock=clock)
    rail, ids = ScriptedRail(script), itertools.count(1)
    calls = Calls(
        policy=Policy.from_settings(mandate or MandateSettings(daily_usdc="1.00"), naming or Naming()),
        ledger=ledger,
        rails=alone(rail),
        clock=clock,
        mint=lambda: f"call_{ledger.session[:8]}_{next(ids)}",
    )
    try:
        async with calls.open():
            yield calls, rail, ledger
    finally:
        await ledger.close()


async def settled(ledger: Ledger, end: CallEnd) -> Any:
    await ledger.flush()
    assert end.call_id is not None
    row = await ledger.row(end.call_id)
    assert row is not None
    return row


async def test_a_good_call_is_settled_at_what_the_hub_charged(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        end = await calls.pay(buying(a=1), Caller(LOCAL))
        calls.delivered(end)
        row = await settled(ledger, end)
    assert (end.charge, end.amount, end.reference) == (Charge.YES, PRICE, "tx_1")
    assert (row.state, row.held, row.charged, row.delivered) == (State.SETTLED, PRICE, PRICE, True)
    assert rail.sent[0].hold == PRICE


async def test_the_reservation_is_durable_before_the_rail_is_asked(tmp_path: Path) -> None:
    seen: list[State] = []

    async def look(request: StoredRequest, _replay: bool) -> Outcome:
        other = open_ledger(tmp_path / "ledger.sqlite", clock=StillClock())
        row = await other.row(request.call_id)
        assert row is not None
        seen.append(row.state)
        await other.close()
        return charged(request)

    async with opened(tmp_path, look) as (calls, _rail, _ledger):
        await calls.pay(buying(), Caller(LOCAL))
    assert seen == [State.SENT]


async def test_a_refused_call_gives_its_hold_back(tmp_path: Path) -> None:
    async def refuse(_request: StoredRequest, _replay: bool) -> Outcome:
        return refused()

    async with opened(tmp_path, refuse) as (calls, _rail, ledger):
        end = await calls.pay(buying(), Caller(LOCAL))
        row = await settled(ledger, end)
        totals = await ledger.totals()
    assert (end.charge, row.state, totals.held, totals.charged) == (Charge.NO, State.RELEASED, 0, 0)


async def test_a_hub_that_charges_for_a_failure_is_believed_and_booked(tmp_path: Path) -> None:
    async def charge_and_fail(request: StoredRequest, _replay: bool) -> Outcome:
        refusal = Refusal("PROVIDER_ERROR", "it broke")
        return Outcome(Verdict.CHARGED, request.hold, None, refusal, "failed, and charged", reference="tx_9")

    async with opened(tmp_path, charge_and_fail) as (calls, _rail, ledger):
        end = await calls.pay(buying(), Caller(LOCAL))
        row = await settled(ledger, end)
    assert (end.charge, end.amount, end.answer) == (Charge.YES, PRICE, None)
    assert (row.state, row.charged, row.reference) == (State.SETTLED, PRICE, "tx_9")


async def test_a_cancelled_caller_leaves_a_call_that_ends_and_the_repeat_gets_its_answer_unpaid(tmp_path: Path) -> None:
    begun, go_on = anyio.Event(), anyio.Event()

    async def slow(request: StoredRequest, _replay: bool) -> Outcome:
        begun.set()
        await go_on.wait()
        return charged(request)

    async with opened(tmp_path, slow) as (calls, rail, ledger):
        async with anyio.create_task_group() as host:
            host.start_soon(calls.pay, buying(x=1), Caller(LOCAL))
            await begun.wait()
            host.cancel_scope.cancel()
        go_on.set()
        with anyio.fail_after(60):
            while (await ledger.rows())[0].state is not State.SETTLED:
                await anyio.lowlevel.checkpoint()
                await ledger.flush()
        again = await calls.pay(buying(x=1), Caller(LOCAL))
        assert (again.stored, again.charge, again.answer is not None) == (True, Charge.YES, True)
        assert len(rail.sent) == 1
        calls.delivered(again)
        third = await calls.pay(buying(x=1), Caller(LOCAL))
    assert not third.stored
    assert len(rail.sent) == 2


async def test_identical_calls_at_once_share_one_execution(tmp_path: Path) -> None:
    go_on, ends = anyio.Event(), list[CallEnd]()

    async def slow(request: StoredRequest, _replay: bool) -> Outcome:
        await go_on.wait()
        return charged(request)

    async with opened(tmp_path, slow) as (calls, rail, ledger):

        async def one() -> None:
            ends.append(await calls.pay(buying(x=1), Caller(LOCAL)))

        async with anyio.create_task_group() as hosts:
            for _ in range(5):
                hosts.start_soon(one)
            await anyio.lowlevel.checkpoint()
            go_on.set()
        await ledger.flush()
        totals = await ledger.totals()
    assert len(rail.sent) == 1
    assert {end.call_id for end in ends} == {rail.sent[0].call_id}
    assert sorted(end.stored for end in ends) == [False, True, True, True, True]
    assert totals.charged == PRICE


async def test_a_repeat_of_a_call_in_doubt_replays_the_same_bytes_and_id(tmp_path: Path) -> None:
    async def lose_first(request: StoredRequest, replay: bool) -> Outcome:
        return charged(request) if replay else lost()

    async with opened(tmp_path, lose_first) as (calls, rail, ledger):
        first = await calls.pay(buying(x=1), Caller(LOCAL))
        assert (first.charge, first.held) == (Charge.UNKNOWN, PRICE)
        again = await calls.pay(buying(x=1), Caller(LOCAL))
        row = await settled(ledger, again)
    assert rail.sent[0] == rail.sent[1]
    assert (again.charge, again.call_id, row.state) == (Charge.YES, first.call_id, State.RECONCILED_CHARGED)


async def test_what_stays_in_doubt_stays_held_and_is_never_bought_again(tmp_path: Path) -> None:
    async def lose(_request: StoredRequest, _replay: bool) -> Outcome:
        return lost()

    async with opened(tmp_path, lose) as (calls, rail, ledger):
        first = await calls.pay(buying(x=1), Caller(LOCAL))
        again = await calls.pay(buying(x=1), Caller(LOCAL))
        assert again.refusal is not None
        row = await settled(ledger, again)
    assert again.refusal.code == codes.CALL_IN_DOUBT
    assert {request.call_id for request in rail.sent} == {first.call_id}
    assert (row.state, again.held) == (State.IN_DOUBT, PRICE)


async def test_an_answer_that_comes_to_a_repeat_is_handed_over_though_its_charge_stays_open(tmp_path: Path) -> None:
    async def unread_bill(request: StoredRequest, replay: bool) -> Outcome:
        if not replay:
            return lost()
        return Outcome(Verdict.IN_DOUBT, ZERO, charged(request).answer, None, "the bill cannot be read")

    async with opened(tmp_path, unread_bill) as (calls, _rail, ledger):
        await calls.pay(buying(x=1), Caller(LOCAL))
        again = await calls.pay(buying(x=1), Caller(LOCAL))
        row = await settled(ledger, again)
    assert again.answer is not None
    assert (again.charge, again.held, again.stored, row.state) == (Charge.UNKNOWN, PRICE, True, State.IN_DOUBT)


async def test_past_the_idempotency_window_a_lost_call_is_written_off_and_counts_as_spent(tmp_path: Path) -> None:
    clock = StillClock()

    async def lose(_request: StoredRequest, _replay: bool) -> Outcome:
        return lost()

    async with opened(tmp_path, lose, clock=clock) as (calls, rail, ledger):
        first = await calls.pay(buying(x=1), Caller(LOCAL))
        await ledger.flush()
        clock.at += WINDOW_MS + 1
        assert first.call_id is not None
        end = await calls.resolve(first.call_id)
        assert end is not None
        row = await settled(ledger, end)
        totals = await ledger.totals()
    assert len(rail.sent) == 1
    assert (row.state, end.charge) == (State.WRITTEN_OFF, Charge.UNKNOWN)
    assert totals.held == PRICE


async def test_a_cap_without_room_refuses_before_anything_is_sent(tmp_path: Path) -> None:
    mandate = MandateSettings(daily_usdc="0.25")
    async with opened(tmp_path, always_charged, mandate=mandate) as (calls, rail, _ledger):
        for number in range(2):
            assert (await calls.pay(buying(n=number), Caller(LOCAL))).charge is Charge.YES
        third = await calls.pay(buying(n=3), Caller(LOCAL))
    assert third.refusal is not None
    assert (third.refusal.code, third.charge, third.call_id) == (codes.LIMIT_REACHED, Charge.NO, None)
    assert third.refusal.details["remaining_usdc"] == "0.05"
    assert len(rail.sent) == 2


async def test_a_ledger_that_cannot_be_used_refuses_every_paid_call(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"this is no database, " * 400)
    async with opened(tmp_path, always_charged) as (calls, rail, _ledger):
        end = await calls.pay(buying(), Caller(LOCAL))
        await calls.recover()
        with pytest.raises(LedgerError):
            await calls.reader(LOCAL).latest(limit=10)
    assert end.refusal is not None
    assert (end.refusal.code, end.charge, rail.sent) == (codes.LEDGER_DAMAGED, Charge.NO, [])


async def test_without_credentials_nothing_is_reserved(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger.sqlite", clock=StillClock())
    missing = Refusal("CREDENTIALS_MISSING", "no key", source="bridge")
    rail = ScriptedRail(always_charged)
    rail.ready = lambda: missing  # type: ignore[method-assign]
    calls = Calls(
        policy=Policy.from_settings(MandateSettings()),
        ledger=ledger,
        rails=alone(rail),
        clock=StillClock(),
        mint=lambda: "call_1",
    )
    async with calls.open():
        end = await calls.pay(buying(), Caller(LOCAL))
        assert list(await ledger.rows()) == []
    await ledger.close()
    assert (end.refusal, rail.sent) == (missing, [])


async def test_a_rail_that_breaks_its_promise_leaves_the_call_in_doubt_and_the_others_alive(tmp_path: Path) -> None:
    async def break_once(request: StoredRequest, _replay: bool) -> Outcome:
        if b"bad" in request.payload:
            raise ZeroDivisionError
        return charged(request)

    async with opened(tmp_path, break_once) as (calls, _rail, ledger):
        broken = await calls.pay(buying(bad=1), Caller(LOCAL))
        good = await calls.pay(buying(good=1), Caller(LOCAL))
        await ledger.flush()
        states = {row.state for row in await ledger.rows()}
    assert broken.refusal is not None
    assert (broken.refusal.code, broken.charge, good.charge) == (codes.BRIDGE_FAULT, Charge.UNKNOWN, Charge.YES)
    assert states == {State.IN_DOUBT, State.SETTLED}


async def test_a_new_process_finishes_what_a_dead_one_left(tmp_path: Path) -> None:
    async def never(_request: StoredRequest, _replay: bool) -> Outcome:
        await anyio.sleep_forever()
        raise AssertionError

    ledger = open_ledger(tmp_path / "ledger.sqlite", clock=StillClock())
    rail = ScriptedRail(never)
    calls = Calls(
        policy=Policy.from_settings(MandateSettings()),
        ledger=ledger,
        rails=alone(rail),
        clock=StillClock(),
        mint=lambda: "call_first",
    )
    async with anyio.create_task_group() as process:
        process.start_soon(_die_while_paying, calls, process.cancel_scope, rail)
    await ledger.close()

    async with opened(tmp_path, always_charged) as (later, second, books):
        await later.recover()
        await books.flush()
        row = await books.row("call_first")
        assert row is not None
        repeat = await later.pay(buying(x=1), Caller(LOCAL))
    assert (row.state, row.charged) == (State.RECONCILED_CHARGED, PRICE)
    assert second.sent == rail.sent
    assert (repeat.stored, repeat.call_id) == (True, "call_first")


async def _die_while_paying(calls: Calls, scope: anyio.CancelScope, rail: ScriptedRail) -> None:
    """End as a killed process does: no grace, no conclusion."""
    async with anyio.create_task_group() as inner:
        calls._tasks = inner
        inner.start_soon(calls.pay, buying(x=1), Caller(LOCAL))
        while not rail.sent:
            await anyio.lowlevel.checkpoint()
        scope.cancel()
