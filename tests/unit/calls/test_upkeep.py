"""What runs beside the calls: refunds come back into the limits, old bodies go, and nothing ends the rounds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jecp_mcp.calls import upkeep
from jecp_mcp.calls.account_rounds import FRUITLESS
from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.calls.ports import Caller
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Outcome, Refunded, Verdict
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.errors import LedgerError, PayeeError
from jecp_mcp.mandate.states import State
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.rails.base import StoredRequest
from tests.unit.calls.test_pipeline import (
    PRICE,
    WINDOW_MS,
    StillClock,
    always_charged,
    always_lost,
    buying,
    charged,
    lost,
    opened,
    settled,
)

pytestmark = pytest.mark.anyio

DAY_MS = 86_400_000


async def test_a_refund_returns_to_the_window_it_came_from_once(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        end = await calls.pay(buying(), Caller(LOCAL))
        rail.paid_back = [
            Refunded("tx_1", MicroUSDC(90_000), "refunded: rf_1"),
            Refunded("tx_other", PRICE, "not ours"),
        ]
        news = [await calls.note_refunds(), await calls.note_refunds()]
        row = await settled(ledger, end)
        (day,) = await calls.reader(LOCAL).windows()
        totals = await ledger.totals()
    assert news == [1, 0]
    assert (row.state, row.charged, row.refunded, row.evidence) == (State.SETTLED, PRICE, 90_000, "refunded: rf_1")
    assert day.used == totals.charged == PRICE - 90_000


async def test_a_refund_of_what_is_not_booked_as_charged_changes_nothing(tmp_path: Path) -> None:
    async def free(request: StoredRequest, replay: bool) -> Outcome:
        return replace(await always_charged(request, replay), verdict=Verdict.NOT_CHARGED, amount=ZERO)

    async with opened(tmp_path, free) as (calls, rail, ledger):
        end = await calls.pay(buying(), Caller(LOCAL))
        await ledger.flush()
        rail.paid_back = [Refunded("tx_1", PRICE, "refunded: rf_1")]
        news = await calls.note_refunds()
        row = await settled(ledger, end)
    assert (news, row.state, row.refunded) == (0, State.RELEASED, 0)


async def run_until(reached: Callable[[], Awaitable[bool]], calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """One round after the other, without the pause between them."""
    for name in ("ROUND_SECONDS", "LEAST_SECONDS", "FRUITLESS_SECONDS", "CHORES_SECONDS"):
        monkeypatch.setattr(upkeep, name, 0)
    async with anyio.create_task_group() as beside:
        beside.start_soon(calls.keep_recovering)
        with anyio.fail_after(60):
            while not await reached():
                await anyio.lowlevel.checkpoint()
        beside.cancel_scope.cancel()


async def test_the_rounds_note_refunds_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        end = await calls.pay(buying(), Caller(LOCAL))
        rail.paid_back = [Refunded("tx_1", PRICE, "refunded: rf_1")]

        async def refunded() -> bool:
            return (await settled(ledger, end)).refunded == PRICE

        await run_until(refunded, calls, monkeypatch)


async def test_old_bodies_go_and_the_books_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = StillClock()
    async with opened(tmp_path, always_charged, clock=clock) as (calls, _rail, ledger):
        old = await calls.pay(buying(n=1), Caller(LOCAL))
        calls.delivered(old)
        unheard = await calls.pay(buying(n=2), Caller(LOCAL))
        await ledger.flush()
        clock.at += 91 * DAY_MS
        fresh = await calls.pay(buying(n=3), Caller(LOCAL))
        calls.delivered(fresh)

        async def pruned() -> bool:
            return any(event.event == "prune" for event in await ledger.events())

        await run_until(pruned, calls, monkeypatch)
        rows = [await settled(ledger, end) for end in (old, unheard, fresh)]
        report = await ledger.audit()
    # What nobody has received yet is still somebody's.
    assert [(row.request == b"", row.answer is None) for row in rows] == [(True, True), (False, False), (False, False)]
    assert [row.charged for row in rows] == [PRICE] * 3
    assert report.findings == ()


@pytest.mark.parametrize("fault", [PayeeError("HUB_UNREACHABLE", "down"), LedgerError("full"), ZeroDivisionError()])
async def test_no_fault_ends_the_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        end = await calls.pay(buying(), Caller(LOCAL))
        asked = 0

        async def paid_refunds() -> Sequence[Refunded]:
            nonlocal asked
            asked += 1
            if asked == 1:
                raise fault
            return [Refunded("tx_1", PRICE, "refunded: rf_1")]

        rail.paid_refunds = paid_refunds  # type: ignore[method-assign]

        async def refunded() -> bool:
            return (await settled(ledger, end)).refunded == PRICE

        await run_until(refunded, calls, monkeypatch)
    assert asked >= 2


async def test_a_hub_that_is_down_is_not_asked_for_every_open_call(tmp_path: Path) -> None:
    async with opened(tmp_path, always_lost) as (calls, rail, ledger):
        for number in range(FRUITLESS + 5):
            await calls.pay(buying(n=number), Caller(LOCAL))
        await ledger.flush()
        rail.sent.clear()
        await calls.recover()
        assert len(rail.sent) == FRUITLESS
        # It is back: every call of the next start is finished.
        rail.script = always_charged
        await calls.recover()
        assert {row.state for row in await ledger.rows()} == {State.RECONCILED_CHARGED}


async def test_calls_past_their_window_do_not_keep_the_others_from_being_finished(tmp_path: Path) -> None:
    clock = StillClock()
    async with opened(tmp_path, always_lost, clock=clock) as (calls, rail, ledger):
        late = [await calls.pay(buying(n=number), Caller(LOCAL)) for number in range(FRUITLESS + 1)]
        clock.at += WINDOW_MS + 1
        recent = await calls.pay(buying(n=99), Caller(LOCAL))
        await ledger.flush()
        rail.script = always_charged
        await calls.recover()
        assert {(await settled(ledger, end)).state for end in late} == {State.WRITTEN_OFF}
        assert (await settled(ledger, recent)).state is State.RECONCILED_CHARGED


async def test_a_payee_that_is_down_does_not_keep_another_accounts_calls_from_being_finished(tmp_path: Path) -> None:
    async with opened(tmp_path, always_lost) as (calls, rail, ledger):
        down = [await calls.pay(buying(n=number), Caller(LOCAL)) for number in range(FRUITLESS + 1)]
        rail.account = "another agent"
        other = await calls.pay(buying(n=99), Caller(LOCAL))
        await ledger.flush()

        async def answer_one_account(request: StoredRequest, _replay: bool) -> Outcome:
            return charged(request) if request.account == "another agent" else lost()

        rail.script, rail.serves = answer_one_account, lambda _account, _authorized=None: True  # type: ignore[method-assign]
        rail.sent.clear()
        await calls.recover()
        assert len(rail.sent) == FRUITLESS + 1
        assert (await settled(ledger, other)).state is State.RECONCILED_CHARGED
        assert {(await settled(ledger, end)).state for end in down} == {State.IN_DOUBT}


async def test_a_call_is_asked_for_when_it_is_due_and_not_before(tmp_path: Path) -> None:
    clock = StillClock()

    async def lose_for_a_minute(_request: StoredRequest, _replay: bool) -> Outcome:
        return replace(lost(), look_again_at=UnixMs(clock.at + 60_000))

    async with opened(tmp_path, lose_for_a_minute, clock=clock) as (calls, rail, ledger):
        await calls.pay(buying(), Caller(LOCAL))
        await calls.recover()
        assert len(rail.sent) == 1
        assert await ledger.next_look() == clock.at + 60_000
        clock.at += 60_000
        await calls.recover()
        assert len(rail.sent) == 2


async def test_a_round_comes_when_a_call_is_due_that_was_lost_since_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "LEAST_SECONDS", 0)
    fetched = anyio.Event()

    async def lose_once(request: StoredRequest, replay: bool) -> Outcome:
        if not replay:
            return lost()
        fetched.set()
        return charged(request)

    async with opened(tmp_path, lose_once) as (calls, _rail, _ledger), anyio.create_task_group() as beside:
        beside.start_soon(calls.keep_recovering)
        await anyio.wait_all_tasks_blocked()
        await calls.pay(buying(), Caller(LOCAL))
        with anyio.fail_after(upkeep.ROUND_SECONDS / 10):
            await fetched.wait()
        beside.cancel_scope.cancel()


async def test_a_call_made_while_the_clock_was_ahead_is_written_off_once_the_hub_says_so(tmp_path: Path) -> None:
    clock = StillClock()
    async with opened(tmp_path, always_lost, clock=clock) as (calls, rail, ledger):
        clock.at += DAY_MS
        ahead = await calls.pay(buying(), Caller(LOCAL))
        await ledger.flush()
        clock.at -= DAY_MS
        for skew in (None, 3_600.0):
            rail.skew = _Says(skew).skew  # type: ignore[method-assign]
            await calls.recover()
            assert (await settled(ledger, ahead)).state is State.IN_DOUBT
        rail.skew = _Says(0.0).skew  # type: ignore[method-assign]
        await calls.recover()
        assert (await settled(ledger, ahead)).state is State.WRITTEN_OFF
        # A day later its window seems to be open, and the Hub knows nothing of it any more.
        clock.at += DAY_MS + 60_000
        assert ahead.call_id is not None
        await calls.resolve(ahead.call_id)
    assert len(rail.sent) == 1


async def test_when_the_next_call_is_due_cannot_be_read_the_round_comes_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "ROUND_SECONDS", 0.01)
    monkeypatch.setattr(upkeep, "LEAST_SECONDS", 0)
    read, rounds = anyio.Event(), anyio.Event()

    async def unreadable() -> None:
        read.set()
        raise LedgerError("torn")

    async with opened(tmp_path, always_charged) as (calls, _rail, ledger), anyio.create_task_group() as beside:
        adopt = ledger.adopt_orphans

        async def after_it_was_read(*given: Any, **more: Any) -> Any:
            if read.is_set():
                rounds.set()
            return await adopt(*given, **more)

        monkeypatch.setattr(ledger, "next_look", unreadable)
        monkeypatch.setattr(ledger, "adopt_orphans", after_it_was_read)
        beside.start_soon(calls.keep_recovering)
        with anyio.fail_after(60):
            await rounds.wait()
        beside.cancel_scope.cancel()


class _Says:
    def __init__(self, skew: float | None) -> None:
        self._skew = skew

    async def skew(self, *, fresh: bool = False) -> float | None:
        return self._skew


async def test_a_ledger_that_cannot_be_read_ends_the_recovery_quietly(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        await calls.pay(buying(), Caller(LOCAL))
        await ledger.close()
        await calls.recover()
        assert len(rail.sent) == 1


async def test_calls_that_cannot_be_read_are_left_for_another_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreadable(_call_id: str) -> None:
        raise LedgerError("torn")

    async with opened(tmp_path, always_lost) as (calls, rail, ledger):
        ends = [await calls.pay(buying(n=number), Caller(LOCAL)) for number in range(2)]
        rail.script = always_charged
        with monkeypatch.context() as patched:
            patched.setattr(ledger, "row", unreadable)
            await calls.recover()
        assert len(rail.sent) == 2
        await calls.recover()
        assert {(await settled(ledger, end)).state for end in ends} == {State.RECONCILED_CHARGED}


async def test_what_is_left_for_a_hub_that_is_away_is_said_of_its_account_and_nothing_is_said_of_the_charge(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Away:
        def heard(self) -> float | None:
            return None

        async def skew(self, *, fresh: bool = False) -> float | None:
            raise PayeeError("HUB_UNREACHABLE", "The Hub cannot be reached. Nothing was charged.")

    async with opened(tmp_path, always_lost) as (calls, rail, ledger):
        end = await calls.pay(buying(), Caller(LOCAL))
        assert (await settled(ledger, end)).state is State.IN_DOUBT
        way = calls._rails._ways[0]
        calls._rails._ways = (replace(way, witness=Away()),)
        await calls.recover()
    [said] = [one.getMessage() for one in caplog.records if "until the next round" in one.getMessage()]
    assert rail.account in said
    assert "HUB_UNREACHABLE" in said
    assert "charged" not in said, "whether it was is not known"


async def test_calls_of_the_sources_that_are_passed_over_are_not_asked_for(tmp_path: Path) -> None:
    asked: list[str] = []

    async def never(request: StoredRequest, replay: bool) -> Outcome:
        asked.extend([request.call_id] if replay else [])
        return lost()

    clock = StillClock()
    async with opened(tmp_path, never, clock=clock) as (calls, _rail, ledger):
        end = await calls.pay(buying(), Caller(LOCAL))
        row = await settled(ledger, end)
        clock.at = UnixMs(row.look_again_at)
        await calls.recover({row.source})
        assert asked == []
        await calls.recover({"https://other.example"})
        assert asked == [end.call_id]
