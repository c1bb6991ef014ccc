"""What a paid call's end says when something broke: never more than is proven, and never a second purchase."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest

from jecp_mcp.calls import codes, pipeline, refusals, runs, upkeep
from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.calls.ports import CallEnd, Caller, Charge
from jecp_mcp.domain.outcomes import Outcome
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.mandate.records import Reservation
from jecp_mcp.mandate.rules import CLOCK_SLACK_MS
from jecp_mcp.mandate.states import State
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.base import Journal, OpenCall, Progress, StoredRequest
from jecp_mcp.settings import MandateSettings
from tests.rails import alone
from tests.unit.calls.test_pipeline import (
    PRICE,
    ScriptedRail,
    StillClock,
    always_charged,
    buying,
    charged,
    lost,
    opened,
    refused,
    settled,
)

pytestmark = pytest.mark.anyio


async def always_lost(_request: StoredRequest, _replay: bool) -> Outcome:
    return replace(lost(), attempts=4)


async def test_a_call_cut_off_by_the_end_of_the_server_is_not_said_to_be_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "GRACE_SECONDS", 0.01)
    begun, ends = anyio.Event(), list[CallEnd]()

    async def never(_request: StoredRequest, _replay: bool) -> Outcome:
        begun.set()
        await anyio.sleep_forever()
        raise AssertionError

    async def host(calls: Calls) -> None:
        ends.append(await calls.pay(buying(), Caller(LOCAL)))

    async with anyio.create_task_group() as hosts, opened(tmp_path, never) as (calls, rail, _ledger):
        hosts.start_soon(host, calls)
        await begun.wait()
    assert [(end.charge, end.call_id, end.held) for end in ends] == [(Charge.UNKNOWN, rail.sent[0].call_id, PRICE)]
    assert ends[0].refusal is not None
    assert ends[0].refusal.code == codes.SHUTTING_DOWN


async def test_a_call_whose_process_died_meanwhile_is_finished_by_a_living_one_that_is_asked(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        await calls.recover()
        async with opened(tmp_path, always_lost) as (other, _, books):
            taken = list[Reservation]()
            reserve = books.reserve

            async def die_after(reservation: Reservation) -> Any:
                taken.append(reservation)
                await reserve(reservation)
                raise ZeroDivisionError

            books.reserve = die_after  # type: ignore[method-assign]  # a process ends where this raises
            await other.pay(buying(x=1), Caller(LOCAL))
            await other.pay(buying(x=2), Caller(LOCAL))
            running = await calls.resolve(taken[0].call_id)
            assert running is not None
            assert running.refusal is not None
            assert running.refusal.code == codes.CALL_IN_PROGRESS
        asked = await calls.resolve(taken[0].call_id)
        repeated = await calls.pay(buying(x=2), Caller(LOCAL))
        rows = [await settled(ledger, end) for end in (asked, repeated) if end is not None]
    assert [row.state for row in rows] == [State.RECONCILED_CHARGED] * 2
    assert [row.call_id for row in rows] == [one.call_id for one in taken] == [one.call_id for one in rail.sent]


async def test_questions_while_nothing_leaves_do_not_use_up_what_finds_the_answer(tmp_path: Path) -> None:
    async def offline(_request: StoredRequest, _replay: bool) -> Outcome:
        return replace(lost(), attempts=0)

    async with opened(tmp_path, always_lost) as (calls, rail, ledger):
        first = await calls.pay(buying(), Caller(LOCAL))
        assert first.call_id is not None
        rail.script = offline
        for _ in range(20):
            asked = await calls.resolve(first.call_id)
            repeated = await calls.pay(buying(), Caller(LOCAL))
        row = await settled(ledger, first)
        assert (row.attempts, row.state) == (4, State.IN_DOUBT)
        assert asked is not None
        assert asked.refusal == repeated.refusal == refusals.in_doubt(row)
        rail.script = always_charged
        asked = await calls.resolve(first.call_id)
        assert asked is not None
        assert (asked.charge, (await settled(ledger, first)).state) == (Charge.YES, State.RECONCILED_CHARGED)


async def test_a_living_process_fetches_a_lost_answer_without_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "LEAST_SECONDS", 0)
    fetched = anyio.Event()

    async def answer_the_second_replay(request: StoredRequest, _replay: bool) -> Outcome:
        if len(rail.sent) < 3:
            return await always_lost(request, _replay)
        fetched.set()
        return charged(request)

    async with opened(tmp_path, answer_the_second_replay) as (calls, rail, ledger):
        first = await calls.pay(buying(), Caller(LOCAL))
        async with anyio.create_task_group() as beside:
            beside.start_soon(calls.keep_recovering)
            with anyio.fail_after(60):
                await fetched.wait()
            await anyio.wait_all_tasks_blocked()
            beside.cancel_scope.cancel()
        row = await settled(ledger, first)
    assert row.state is State.RECONCILED_CHARGED
    assert len(rail.sent) == 3


@pytest.mark.parametrize("change", ["another account", "a clock set back"])
async def test_a_replay_that_might_buy_a_second_time_is_not_sent(tmp_path: Path, change: str) -> None:
    clock = StillClock()
    async with opened(tmp_path, always_lost, clock=clock) as (calls, rail, ledger):
        first = await calls.pay(buying(), Caller(LOCAL))
        if change == "another account":
            rail.account = "hub another"
        else:
            clock.at -= CLOCK_SLACK_MS + 1
        assert first.call_id is not None
        end = await calls.resolve(first.call_id)
        row = await settled(ledger, first)
    assert len(rail.sent) == 1
    assert end is not None
    assert (end.charge, row.state, row.attempts) == (Charge.UNKNOWN, State.IN_DOUBT, 4)


async def test_a_kept_answer_that_cannot_be_read_is_told_once_and_then_makes_way(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        first = await calls.pay(buying(), Caller(LOCAL))
        await ledger.flush()
        rewrite(tmp_path, "UPDATE answer SET body = x'00'")
        told = await calls.pay(buying(), Caller(LOCAL))
        assert (told.charge, told.call_id, told.answer) == (Charge.YES, first.call_id, None)
        assert told.refusal is not None
        assert told.refusal.code == codes.CALL_OVER
        await calls.pay(buying(), Caller(LOCAL))
    assert len(rail.sent) == 2


async def test_a_hub_that_charges_more_than_its_mandate_is_booked_in_full_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def overcharge(request: StoredRequest, _replay: bool) -> Outcome:
        return replace(charged(request), amount=MicroUSDC(950_000))

    async with opened(tmp_path, overcharge) as (calls, _rail, ledger):
        first = await calls.pay(buying(), Caller(LOCAL))
        row = await settled(ledger, first)
        second = await calls.pay(buying(n=2), Caller(LOCAL))
    assert (row.held, row.charged) == (PRICE, 950_000)
    assert second.refusal is not None
    assert second.refusal.code == codes.LIMIT_REACHED
    assert "0.95" in caplog.text


async def test_what_is_looked_into_after_it_ended_is_no_answer_for_who_asks_the_same_again(tmp_path: Path) -> None:
    told, reads = list[CallEnd](), [(anyio.Event(), anyio.Event()) for _ in range(2)]
    (read, go_on), (read_again, end) = reads

    async with opened(tmp_path, always_lost) as (calls, rail, ledger), anyio.create_task_group() as beside:
        row = ledger.row

        async def slowly(call_id: str) -> Any:
            found = await row(call_id)
            if reads:
                there, on = reads.pop(0)
                there.set()
                await on.wait()
            return found

        async def host() -> None:
            told.append(await calls.pay(buying(), Caller(LOCAL)))

        await host()
        rail.script = always_charged
        ledger.row = slowly  # type: ignore[method-assign]
        beside.start_soon(calls.resolve, str(told[0].call_id))
        with anyio.fail_after(60):
            await read.wait()
            # What was read is overtaken: the repeat finds the call out.
            await host()
            go_on.set()
            await read_again.wait()
            calls.delivered(told[1])
            beside.start_soon(host)
            await anyio.wait_all_tasks_blocked()
            end.set()
    assert [(one.charge, one.stored) for one in told] == [
        (Charge.UNKNOWN, False),
        (Charge.YES, True),
        (Charge.YES, False),
    ]
    assert [one.call_id for one in rail.sent] == [told[0].call_id, told[0].call_id, told[2].call_id]


async def test_who_asks_while_a_call_is_found_to_be_free_hears_that_or_buys_within_bounds_of_its_own(
    tmp_path: Path,
) -> None:
    begun, go_on, ends = anyio.Event(), anyio.Event(), dict[str, CallEnd]()

    async def free(_request: StoredRequest, replay: bool) -> Outcome:
        if replay:
            begun.set()
            await go_on.wait()
        return refused()

    async def host(calls: Calls, most: MicroUSDC | None) -> None:
        ends["plain" if most is None else "bounded"] = await calls.pay(replace(buying(), most=most), Caller(LOCAL))

    async with opened(tmp_path, always_lost) as (calls, rail, _ledger):
        first = await calls.pay(buying(), Caller(LOCAL))
        rail.script = free
        async with anyio.create_task_group() as hosts:
            hosts.start_soon(calls.resolve, str(first.call_id))
            await begun.wait()
            hosts.start_soon(host, calls, None)
            hosts.start_soon(host, calls, PRICE)
            await anyio.wait_all_tasks_blocked()
            go_on.set()
    assert [one.call_id for one in rail.sent] == [first.call_id, first.call_id, ends["bounded"].call_id]
    assert (ends["plain"].call_id, ends["plain"].charge) == (first.call_id, Charge.NO)


def rewrite(folder: Path, statement: str) -> None:
    other = apsw.Connection(str(folder / "ledger.sqlite"))
    other.execute(statement)
    other.close()


class Listener:
    """A host that hears of progress, or does not take it."""

    def __init__(self, *, takes: bool = True) -> None:
        self.heard = list[str | None]()
        self._takes = takes

    async def report(self, done: float, total: float | None, message: str | None) -> None:
        self.heard.append(message)
        if not self._takes:
            await anyio.sleep_forever()


class ReportingRail(ScriptedRail):
    """A rail that reports one step each time it is told to."""

    def __init__(self) -> None:
        super().__init__(always_charged)
        self.steps, self._said = anyio.create_memory_object_stream[str](10)

    async def execute(self, call: OpenCall, journal: Journal, progress: Progress | None = None) -> Outcome:
        self.sent.append(call.request)
        async with self._said:
            async for step in self._said:
                assert progress is not None
                await progress.report(1, None, step)
        return charged(call.request)


async def test_one_who_asked_the_same_and_left_takes_no_progress_from_the_first(tmp_path: Path) -> None:
    first, rail = Listener(), ReportingRail()
    async with opened(tmp_path, always_charged) as (calls, _, _ledger):
        calls._orders._rails = alone(rail)
        async with anyio.create_task_group() as hosts:
            hosts.start_soon(calls.pay, buying(), Caller(LOCAL, progress=first))
            await anyio.wait_all_tasks_blocked()
            with anyio.move_on_after(0):
                await calls.pay(buying(), Caller(LOCAL, progress=Listener()))
            async with rail.steps:
                await rail.steps.send("half")
    assert first.heard == ["half"]
    assert len(rail.sent) == 1


async def test_a_host_that_does_not_take_progress_does_not_hold_up_its_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "PROGRESS_SECONDS", 0.01)
    deaf, rail = Listener(takes=False), ReportingRail()
    async with opened(tmp_path, always_charged) as (calls, _, _ledger):
        calls._orders._rails = alone(rail)
        async with rail.steps:
            await rail.steps.send("half")
            await rail.steps.send("whole")
        with anyio.fail_after(60):
            end = await calls.pay(buying(), Caller(LOCAL, progress=deaf))
    assert (end.charge, deaf.heard) == (Charge.YES, ["half"])


async def test_a_question_for_the_status_of_a_long_call_is_answered_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "STATUS_SECONDS", 0.01)
    begun, go_on = anyio.Event(), anyio.Event()

    async def slow(request: StoredRequest, _replay: bool) -> Outcome:
        begun.set()
        await go_on.wait()
        return charged(request)

    async with opened(tmp_path, slow) as (calls, rail, _ledger), anyio.create_task_group() as hosts:
        hosts.start_soon(calls.pay, buying(), Caller(LOCAL))
        await begun.wait()
        with anyio.fail_after(60):
            end = await calls.resolve(rail.sent[0].call_id)
        go_on.set()
    assert end is not None
    assert end.refusal is not None
    assert (end.refusal.code, end.charge) == (codes.CALL_IN_PROGRESS, Charge.UNKNOWN)


async def test_the_wallet_sees_the_caps_of_patterns_and_an_action_those_that_apply_to_it(tmp_path: Path) -> None:
    limits = [{"match": "docs/*", "hourly_usdc": "0.15"}, {"match": "else/*", "hourly_usdc": "0.2"}]
    mandate = MandateSettings.model_validate({"daily_usdc": "1.00", "limits": limits})
    async with opened(tmp_path, always_charged, mandate=mandate) as (calls, _rail, _ledger):
        purchase = buying()
        await calls.pay(purchase, Caller(LOCAL))
        every = {one.meter.label: one.used for one in await calls.reader(LOCAL).windows()}
        own = {
            one.meter.label: one.used
            for one in await calls.reader(LOCAL).windows(bought=(purchase.offer, purchase.tool))
        }
    assert every == {"daily_usdc": PRICE, "limits[docs/*].hourly_usdc": PRICE, "limits[else/*].hourly_usdc": 0}
    assert own == {"daily_usdc": PRICE, "limits[docs/*].hourly_usdc": PRICE}
