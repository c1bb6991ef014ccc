"""Money counts when it leaves: an attempt later than its minute is admitted anew, counts once, and waits for room."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from jecp_mcp.calls import codes, pipeline
from jecp_mcp.calls.journal import CallJournal
from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.calls.ports import Caller, Charge
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Outcome
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.errors import LedgerUnavailable
from jecp_mcp.mandate.grants import GrantKind, GrantRef
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.records import Admitted, Meter
from jecp_mcp.mandate.rules import CLOCK_SLACK_MS
from jecp_mcp.mandate.states import State
from jecp_mcp.rails.base import NotNow, StoredRequest
from jecp_mcp.settings import MandateSettings
from tests import rails
from tests.unit.calls.test_pipeline import (
    PRICE,
    ScriptedRail,
    StillClock,
    always_charged,
    always_lost,
    buying,
    charged,
    lost,
    opened,
    refused,
    settled,
)

pytestmark = pytest.mark.anyio

MINUTE = 60_000
ONE_AN_HOUR = MandateSettings(hourly_usdc="0.10", daily_usdc="1.00")


@asynccontextmanager
async def shop(
    path: Path, script: Any = always_lost, mandate: MandateSettings = ONE_AN_HOUR
) -> AsyncIterator[tuple[Calls, ScriptedRail, Ledger, StillClock]]:
    clock = StillClock()
    async with opened(path, script, clock=clock, mandate=mandate) as (calls, rail, ledger):
        yield calls, rail, ledger, clock


async def readmissions(ledger: Ledger) -> int:
    await ledger.flush()
    return sum(event.event == "resend" for event in await ledger.events())


async def hour(calls: Calls) -> int:
    return next(one.used for one in await calls.reader(LOCAL).windows() if one.meter.label == "hourly_usdc")


@pytest.mark.parametrize(("late_ms", "anew"), [(0, 0), (MINUTE - 1, 0), (MINUTE, 1), (54 * MINUTE, 1)])
async def test_an_attempt_after_its_minute_counts_from_when_it_leaves(tmp_path: Path, late_ms: int, anew: int) -> None:
    async with shop(tmp_path, always_charged) as (calls, rail, ledger, clock):
        execute = rail.send

        async def fall_asleep_first(*given: Any, **more: Any) -> Outcome:
            clock.at += late_ms
            return await execute(*given, **more)

        rail.send = fall_asleep_first  # type: ignore[method-assign]
        end = await calls.pay(buying(), Caller(LOCAL))
        row = await settled(ledger, end)
        assert (end.charge, row.sent_at, await readmissions(ledger)) == (
            Charge.YES, clock.at if anew else row.created_at, anew,
        )  # fmt: skip
        assert await hour(calls) == PRICE
        clock.at += 61 * MINUTE - late_ms
        assert await hour(calls) == (PRICE if anew else 0)


async def test_a_late_send_without_room_is_refused_and_gives_its_hold_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rails, "WINDOW_MS", 24 * 60 * MINUTE)
    mandate = MandateSettings(hourly_usdc="0.15", daily_usdc="1.00")
    async with shop(tmp_path, always_charged, mandate) as (calls, rail, ledger, clock):
        execute = rail.send

        async def another_buys_meanwhile(*given: Any, **more: Any) -> Outcome:
            rail.send = execute  # type: ignore[method-assign]
            clock.at += 62 * MINUTE
            assert (await calls.pay(buying(n=2), Caller(LOCAL))).charge is Charge.YES
            return await execute(*given, **more)

        rail.send = another_buys_meanwhile  # type: ignore[method-assign]
        end = await calls.pay(buying(n=1), Caller(LOCAL))
        row = await settled(ledger, end)
        assert end.refusal is not None
        assert (end.charge, end.refusal.code, row.state) == (Charge.NO, codes.LIMIT_REACHED, State.RELEASED)
        assert (await hour(calls), len(rail.sent)) == (PRICE, 1)


async def test_a_replay_counts_in_its_own_hour_and_not_beside_its_own_hold(tmp_path: Path) -> None:
    async with shop(tmp_path) as (calls, rail, ledger, clock):
        first = await calls.pay(buying(), Caller(LOCAL))
        clock.at += 54 * MINUTE
        rail.script = always_charged
        assert first.call_id is not None
        asked = await calls.resolve(first.call_id)
        assert asked is not None
        assert (asked.charge, (await settled(ledger, first)).state) == (Charge.YES, State.RECONCILED_CHARGED)
        # Eight minutes later the first hour is over; what was charged in this one is not.
        clock.at += 8 * MINUTE
        second = await calls.pay(buying(n=2), Caller(LOCAL))
    assert second.refusal is not None
    assert (second.refusal.code, len(rail.sent)) == (codes.LIMIT_REACHED, 2)


async def test_a_replay_without_room_stays_held_and_is_asked_for_when_there_is_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rails, "WINDOW_MS", 24 * 60 * MINUTE)
    mandate = MandateSettings(hourly_usdc="0.15", daily_usdc="1.00")
    async with shop(tmp_path, always_lost, mandate) as (calls, rail, ledger, clock):
        first = await calls.pay(buying(n=1), Caller(LOCAL))
        await ledger.flush()
        held = await ledger.row(first.call_id or "")
        assert held is not None
        clock.at += 62 * MINUTE
        rail.script = always_charged
        assert (await calls.pay(buying(n=2), Caller(LOCAL))).charge is Charge.YES
        asked = await calls.resolve(held.call_id)
        row = await settled(ledger, first)
        assert asked is not None
        assert asked.refusal is not None
        assert (asked.charge, asked.refusal.code, asked.refusal.details["because"]) == (
            Charge.UNKNOWN, codes.CALL_IN_DOUBT, codes.LIMIT_REACHED,
        )  # fmt: skip
        assert (row.state, row.attempts, len(rail.sent)) == (State.IN_DOUBT, held.attempts, 2)
        clock.at += 62 * MINUTE
        again = await calls.resolve(held.call_id)
        assert again is not None
        assert (again.charge, await hour(calls)) == (Charge.YES, PRICE)


async def test_a_call_let_past_a_full_limit_is_found_out_about(tmp_path: Path) -> None:
    async with shop(tmp_path, always_charged) as (calls, rail, ledger, _clock):
        calls.delivered(await calls.pay(buying(n=1), Caller(LOCAL)))
        assert (await calls.pay(buying(n=2), Caller(LOCAL))).charge is Charge.NO
        (grant,) = await ledger.grants(GrantKind.LIMIT)
        await ledger.answer_grant(GrantRef(grant.kind, grant.grant_id), True, "operator")
        rail.script = always_lost
        passed = await calls.pay(buying(n=2), Caller(LOCAL))
        await ledger.flush()
        rail.script = always_charged
        asked = await calls.resolve(passed.call_id or "")
        assert asked is not None
        assert (passed.charge, asked.charge, await hour(calls)) == (Charge.UNKNOWN, Charge.YES, 2 * PRICE)


async def test_a_first_attempt_past_what_can_be_proven_by_the_ledgers_clock_does_not_leave(tmp_path: Path) -> None:
    async with shop(tmp_path, always_charged) as (calls, rail, ledger, clock):
        execute = rail.send

        async def sleep_too_long_first(*given: Any, **more: Any) -> Outcome:
            clock.at += 56 * MINUTE
            return await execute(*given, **more)

        rail.send = sleep_too_long_first  # type: ignore[method-assign]
        end = await calls.pay(buying(), Caller(LOCAL))
        row = await settled(ledger, end)
    assert (end.charge, row.state, rail.sent) == (Charge.NO, State.RELEASED, [])


async def test_what_a_ledger_does_not_admit_does_not_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shop(tmp_path) as (calls, rail, ledger, _clock):
        first = await calls.pay(buying(), Caller(LOCAL))
        await ledger.flush()

        async def full(*_: Any) -> Any:
            raise LedgerUnavailable("the disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(ledger, "resend", full)
            asked = await calls.resolve(first.call_id or "")
        row = await settled(ledger, first)
    assert asked is not None
    assert asked.refusal is not None
    assert (asked.refusal.details["because"], row.state, len(rail.sent)) == (
        codes.LEDGER_UNAVAILABLE, State.IN_DOUBT, 1,
    )  # fmt: skip


async def test_a_ledger_that_takes_minutes_each_time_lets_nothing_leave(tmp_path: Path) -> None:
    async with shop(tmp_path) as (calls, rail, ledger, clock):
        first = await calls.pay(buying(), Caller(LOCAL))
        await ledger.flush()
        resend = ledger.resend

        async def slowly(call_id: str, claim: int, meters: Any) -> Any:
            found = await resend(call_id, claim, meters)
            clock.at += 2 * MINUTE
            return found

        ledger.resend = slowly  # type: ignore[method-assign]
        await calls.resolve(first.call_id or "")
        assert (len(rail.sent), await readmissions(ledger)) == (1, 3)


async def test_a_clock_that_was_set_back_on_the_way_lets_nothing_leave(tmp_path: Path) -> None:
    async with shop(tmp_path, always_charged) as (calls, rail, ledger, clock):
        execute = rail.send

        async def set_back_first(*given: Any, **more: Any) -> Outcome:
            clock.at -= CLOCK_SLACK_MS + 1
            return await execute(*given, **more)

        rail.send = set_back_first  # type: ignore[method-assign]
        end = await calls.pay(buying(), Caller(LOCAL))
        row = await settled(ledger, end)
    assert end.refusal is not None
    assert (end.charge, end.refusal.code, row.state, rail.sent) == (
        Charge.NO, codes.CLOCK_WRONG, State.RELEASED, [],
    )  # fmt: skip


@pytest.mark.parametrize("apart", [25 * 60 * MINUTE, -301_000])
@pytest.mark.parametrize("replayed", [False, True])
async def test_nothing_leaves_where_the_ledgers_own_clock_is_far_off_this_machines(
    tmp_path: Path, apart: int, replayed: bool
) -> None:
    async with shop(tmp_path) as (calls, rail, ledger, _clock):
        if replayed:
            await calls.pay(buying(), Caller(LOCAL))
            await ledger.flush()
        reserve, resend = ledger.reserve, ledger.resend

        async def by_another_clock(admit: Any, *given: Any) -> Any:
            found = await admit(*given)
            return replace(found, at=UnixMs(found.at + apart)) if isinstance(found, Admitted) else found

        ledger.reserve = partial(by_another_clock, reserve)  # type: ignore[method-assign]
        ledger.resend = partial(by_another_clock, resend)  # type: ignore[method-assign]
        sent = len(rail.sent)
        end = await calls.pay(buying(), Caller(LOCAL))
        await ledger.flush()
        (row,) = await ledger.rows()
    assert end.refusal is not None
    assert codes.CLOCK_WRONG in {end.refusal.code, end.refusal.details.get("because")}
    assert (end.charge, row.state, len(rail.sent) - sent) == (
        (Charge.UNKNOWN, State.IN_DOUBT, 0) if replayed else (Charge.NO, State.RELEASED, 0)
    )


async def test_a_little_step_back_of_the_clock_is_admitted_anew(tmp_path: Path) -> None:
    async with shop(tmp_path, always_charged) as (calls, rail, ledger, clock):
        execute = rail.send

        async def step_back_first(*given: Any, **more: Any) -> Outcome:
            clock.at -= 1
            return await execute(*given, **more)

        rail.send = step_back_first  # type: ignore[method-assign]
        end = await calls.pay(buying(), Caller(LOCAL))
        assert (end.charge, await readmissions(ledger)) == (Charge.YES, 1)


async def test_a_call_that_another_process_took_over_is_left_to_it(tmp_path: Path) -> None:
    async with shop(tmp_path) as (calls, rail, ledger, clock):
        execute = rail.send

        async def lose_the_lease_first(*given: Any, **more: Any) -> Outcome:
            assert ledger._own_lock is not None  # type: ignore[attr-defined]  # what says that this process lives
            ledger._own_lock.release()  # type: ignore[attr-defined]
            async with opened(tmp_path, always_lost, clock=clock, mandate=ONE_AN_HOUR) as (other, _, books):
                await other.recover()
                await books.flush()
            clock.at += 2 * MINUTE
            return await execute(*given, **more)

        rail.send = lose_the_lease_first  # type: ignore[method-assign]
        end = await calls.pay(buying(), Caller(LOCAL))
        row = await settled(ledger, end)
    assert end.refusal is not None
    assert (end.charge, end.refusal.code, rail.sent) == (Charge.UNKNOWN, codes.CALL_IN_DOUBT, [])
    assert (row.state, row.claim) == (State.IN_DOUBT, 1)


async def test_a_replay_of_a_call_that_was_taken_over_meanwhile_says_how_it_stands(tmp_path: Path) -> None:
    async with shop(tmp_path) as (calls, rail, ledger, _clock):
        first = await calls.pay(buying(), Caller(LOCAL))
        await ledger.flush()
        execute = rail.send

        async def write_off_first(*given: Any, **more: Any) -> Outcome:
            ledger.write_off(first.call_id or "", "a person said so")
            await ledger.flush()
            return await execute(*given, **more)

        rail.send = write_off_first  # type: ignore[method-assign]
        asked = await calls.resolve(first.call_id or "")
    assert asked is not None
    assert asked.refusal is not None
    assert (asked.refusal.code, asked.charge, len(rail.sent)) == (codes.CALL_WRITTEN_OFF, Charge.UNKNOWN, 1)


async def test_a_refusal_heard_by_who_lost_the_call_is_not_told_as_free_while_its_heir_was_charged(
    tmp_path: Path,
) -> None:
    async with shop(tmp_path) as (calls, rail, ledger, clock):

        async def refused_and_then_overtaken(_request: StoredRequest, _replay: bool) -> Outcome:
            assert ledger._own_lock is not None  # type: ignore[attr-defined]  # what says that this process lives
            ledger._own_lock.release()  # type: ignore[attr-defined]
            async with opened(tmp_path, always_charged, clock=clock, mandate=ONE_AN_HOUR) as (heir, _, books):
                await heir.recover()
                await books.flush()
            return refused()

        rail.script = refused_and_then_overtaken
        end = await calls.pay(buying(), Caller(LOCAL))
        row = await settled(ledger, end)
    assert (end.charge, end.amount, row.state) == (Charge.YES, PRICE, State.RECONCILED_CHARGED)


@pytest.mark.parametrize("found", [None, LedgerUnavailable("gone")])
async def test_what_cannot_be_read_again_is_told_as_it_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: Exception | None
) -> None:
    async def read(_call_id: str) -> Any:
        if found is not None:
            raise found

    async def refuse(_request: StoredRequest, _replay: bool) -> Outcome:
        return refused()

    async with shop(tmp_path, refuse) as (calls, _rail, ledger, _clock):
        monkeypatch.setattr(ledger, "row", read)
        end = await calls.pay(buying(), Caller(LOCAL))
    assert end.refusal is not None
    assert (end.charge, end.refusal.code) == (Charge.NO, "INSUFFICIENT_BALANCE")


async def test_each_attempt_of_a_replay_is_admitted_and_one_of_the_first_minute_is_not(tmp_path: Path) -> None:
    async with shop(tmp_path) as (calls, _rail, ledger, clock):
        first = await calls.pay(buying(), Caller(LOCAL))
        row = await settled(ledger, first)
        meters: tuple[Meter, ...] = ()

        def journal(admitted: Admitted | None) -> CallJournal:
            at = None if admitted is None else admitted.at
            return CallJournal(ledger, clock, row.call_id, PRICE, meters, row.claim, since=clock.now(), admitted_at=at)

        made = journal(Admitted(row.call_id, row.created_at))
        await made.sending()
        await made.sending()
        assert await readmissions(ledger) == 0
        made = journal(None)
        await made.sending()
        await made.sending()
        assert await readmissions(ledger) == 2
        made = CallJournal(ledger, clock, row.call_id, PRICE, meters, 7, since=clock.now(), admitted_at=None)
        with pytest.raises(NotNow) as held:
            await made.sending()
        assert (made.taken, held.value.refusal.code) == (True, codes.CALL_IN_PROGRESS)


async def test_a_dead_process_call_waits_for_who_has_its_account_and_peers_say_whose_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "GRACE_SECONDS", 0.01)
    begun = anyio.Event()

    async def never(_request: StoredRequest, _replay: bool) -> Outcome:
        begun.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with anyio.create_task_group() as dying, opened(tmp_path, never) as (calls, rail, _ledger):
        dying.start_soon(calls.pay, buying(), Caller(LOCAL))
        await begun.wait()
        dying.cancel_scope.cancel()
    call_id = rail.sent[0].call_id
    async with opened(tmp_path, always_charged) as (peer, others, books):
        others.account = "hub another"
        await peer.recover()
        asked = await peer.resolve(call_id)
        repeated = await peer.pay(buying(), Caller(LOCAL))
        row = await books.row(call_id)
        assert row is not None
        assert (row.state, row.claim, others.sent) == (State.IN_DOUBT, 0, [])
        for end in (asked, repeated):
            assert end is not None
            assert end.refusal is not None
            assert (end.charge, end.refusal.code, end.call_id) == (Charge.UNKNOWN, codes.ACCOUNT_NOT_HERE, call_id)
        async with opened(tmp_path, always_charged) as (heir, heirs, _):
            found = await heir.resolve(call_id)
            assert found is not None
            assert (found.charge, [one.call_id for one in heirs.sent]) == (Charge.YES, [call_id])


async def test_under_a_new_account_an_open_call_is_not_bought_again_and_its_own_says_so(tmp_path: Path) -> None:
    async with shop(tmp_path) as (calls, rail, ledger, clock):
        first = await calls.pay(buying(), Caller(LOCAL))
        await ledger.flush()
        rail.account = "hub another"
        for _ in range(2):
            again = await calls.pay(buying(), Caller(LOCAL))
            assert again.refusal is not None
            assert (again.call_id, again.refusal.code) == (first.call_id, codes.ACCOUNT_NOT_HERE)
        row = await settled(ledger, first)
        assert row.look_again_at is not None
        assert clock.at < row.look_again_at < (row.provable_until or 0)
        assert (len(rail.sent), sum(event.event == "doubt" for event in await ledger.events())) == (1, 2)


async def test_an_own_call_whose_task_is_gone_is_found_out_like_a_dead_process(tmp_path: Path) -> None:
    async with shop(tmp_path, always_lost) as (calls, rail, ledger, _clock):
        conclude: Callable[[Any], None] = ledger.conclude
        ledger.conclude = lambda _conclusion: None  # type: ignore[method-assign]  # lost on its way
        first = await calls.pay(buying(), Caller(LOCAL))
        ledger.conclude = conclude  # type: ignore[method-assign]
        assert (await settled(ledger, first)).state is State.SENT
        rail.script = always_charged
        await calls.recover()
        assert (await settled(ledger, first)).state is State.RECONCILED_CHARGED


async def test_a_running_call_is_no_orphan_of_its_own_process(tmp_path: Path) -> None:
    begun, go_on = anyio.Event(), anyio.Event()

    async def slow(request: StoredRequest, _replay: bool) -> Outcome:
        begun.set()
        await go_on.wait()
        return charged(request)

    async with shop(tmp_path, slow) as (calls, rail, ledger, _clock), anyio.create_task_group() as host:
        host.start_soon(calls.pay, buying(), Caller(LOCAL))
        await begun.wait()
        await calls.recover()
        [row] = await ledger.rows()
        assert (row.state, row.claim) == (State.SENT, 0)
        assert (list(calls._working), len(calls._working)) == ([rail.sent[0].call_id], 1)
        go_on.set()


async def test_an_account_that_changes_while_a_call_is_prepared_buys_nothing(tmp_path: Path) -> None:
    async with shop(tmp_path, always_charged) as (calls, rail, ledger, _clock):
        prepare = rail.prepare

        def changed(*given: Any) -> StoredRequest:
            rail.account = "hub another"
            return prepare(*given)

        rail.prepare = changed  # type: ignore[method-assign]
        end = await calls.pay(buying(), Caller(LOCAL))
        assert end.refusal is not None
        assert (end.charge, end.refusal.code, rail.sent) == (Charge.NO, "ACCOUNT_CHANGED", [])
        assert list(await ledger.rows()) == []


async def test_the_answer_of_a_new_identical_call_is_not_told_as_an_older_ones(tmp_path: Path) -> None:
    begun, go_on = anyio.Event(), anyio.Event()
    wide = MandateSettings(daily_usdc="1.00")
    async with shop(tmp_path, always_charged, wide) as (calls, rail, ledger, _clock):
        first = await calls.pay(buying(), Caller(LOCAL))
        calls.delivered(first)
        await ledger.flush()

        async def slow(request: StoredRequest, _replay: bool) -> Outcome:
            begun.set()
            await go_on.wait()
            return lost()

        rail.script = slow
        async with anyio.create_task_group() as host:
            host.start_soon(calls.pay, buying(), Caller(LOCAL))
            await begun.wait()
            with anyio.fail_after(60):
                asked = await calls.resolve(first.call_id or "")
            go_on.set()
        assert asked is not None
        assert (asked.call_id, asked.charge) == (first.call_id, Charge.YES)
