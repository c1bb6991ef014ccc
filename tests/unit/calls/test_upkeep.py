"""What runs beside the calls: refunds come back into the limits, old bodies go, and nothing ends the rounds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from jecp_mcp.calls import upkeep
from jecp_mcp.calls.ends import MOST_ATTEMPTS
from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.calls.ports import Caller
from jecp_mcp.calls.replays import REPLAY_WINDOW_MS
from jecp_mcp.errors import HubError, LedgerError
from jecp_mcp.mandate.states import State
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.rails.base import Outcome, Refunded, StoredRequest, Verdict
from tests.unit.calls.test_pipeline import PRICE, StillClock, always_charged, always_lost, buying, opened, settled

pytestmark = pytest.mark.anyio

DAY_MS = 86_400_000


async def test_a_refund_returns_to_the_window_it_came_from_once(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        end = await calls.pay(buying(), Caller())
        rail.paid_back = [
            Refunded("tx_1", MicroUSDC(90_000), "refunded: rf_1"),
            Refunded("tx_other", PRICE, "not ours"),
        ]
        news = [await calls.note_refunds(), await calls.note_refunds()]
        row = await settled(ledger, end)
        (day,) = await calls.windows()
        totals = await ledger.totals()
    assert news == [1, 0]
    assert (row.state, row.charged, row.refunded, row.evidence) == (State.SETTLED, PRICE, 90_000, "refunded: rf_1")
    assert day.used == totals.charged == PRICE - 90_000


async def test_a_refund_of_what_is_not_booked_as_charged_changes_nothing(tmp_path: Path) -> None:
    async def free(request: StoredRequest, replay: bool) -> Outcome:
        return replace(await always_charged(request, replay), verdict=Verdict.NOT_CHARGED, amount=ZERO)

    async with opened(tmp_path, free) as (calls, rail, ledger):
        end = await calls.pay(buying(), Caller())
        await ledger.flush()
        rail.paid_back = [Refunded("tx_1", PRICE, "refunded: rf_1")]
        news = await calls.note_refunds()
        row = await settled(ledger, end)
    assert (news, row.state, row.refunded) == (0, State.RELEASED, 0)


async def run_until(reached: Callable[[], Awaitable[bool]], calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """One round after the other, without the pause between them."""
    monkeypatch.setattr(upkeep, "ROUND_SECONDS", 0)
    async with anyio.create_task_group() as beside:
        beside.start_soon(calls.keep_recovering)
        with anyio.fail_after(60):
            while not await reached():
                await anyio.lowlevel.checkpoint()
        beside.cancel_scope.cancel()


async def test_the_rounds_note_refunds_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        end = await calls.pay(buying(), Caller())
        rail.paid_back = [Refunded("tx_1", PRICE, "refunded: rf_1")]

        async def refunded() -> bool:
            return (await settled(ledger, end)).refunded == PRICE

        await run_until(refunded, calls, monkeypatch)


async def test_old_bodies_go_and_the_books_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = StillClock()
    async with opened(tmp_path, always_charged, clock=clock) as (calls, _rail, ledger):
        old = await calls.pay(buying(n=1), Caller())
        calls.delivered(old)
        unheard = await calls.pay(buying(n=2), Caller())
        await ledger.flush()
        clock.at += 91 * DAY_MS
        fresh = await calls.pay(buying(n=3), Caller())
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


@pytest.mark.parametrize("fault", [HubError("HUB_UNREACHABLE", "down"), LedgerError("full"), ZeroDivisionError()])
async def test_no_fault_ends_the_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        end = await calls.pay(buying(), Caller())
        asked = 0

        async def refunds() -> Sequence[Refunded]:
            nonlocal asked
            asked += 1
            if asked == 1:
                raise fault
            return [Refunded("tx_1", PRICE, "refunded: rf_1")]

        rail.refunds = refunds  # type: ignore[method-assign]

        async def refunded() -> bool:
            return (await settled(ledger, end)).refunded == PRICE

        await run_until(refunded, calls, monkeypatch)
    assert asked >= 2


async def test_a_hub_that_is_down_is_not_asked_for_every_open_call(tmp_path: Path) -> None:
    async with opened(tmp_path, always_lost) as (calls, rail, ledger):
        for number in range(upkeep.FRUITLESS + 5):
            await calls.pay(buying(n=number), Caller())
        await ledger.flush()
        rail.sent.clear()
        await calls.recover()
        assert len(rail.sent) == upkeep.FRUITLESS
        # It is back: every call of the next start is finished.
        rail.script = always_charged
        await calls.recover()
        assert {row.state for row in await ledger.rows()} == {State.RECONCILED_CHARGED}


async def test_calls_past_their_window_do_not_keep_the_others_from_being_finished(tmp_path: Path) -> None:
    clock = StillClock()
    async with opened(tmp_path, always_lost, clock=clock) as (calls, rail, ledger):
        late = [await calls.pay(buying(n=number), Caller()) for number in range(upkeep.FRUITLESS + 1)]
        clock.at += REPLAY_WINDOW_MS + 1
        recent = await calls.pay(buying(n=99), Caller())
        await ledger.flush()
        rail.script = always_charged
        await calls.recover()
        assert {(await settled(ledger, end)).state for end in late} == {State.WRITTEN_OFF}
        assert (await settled(ledger, recent)).state is State.RECONCILED_CHARGED


async def test_calls_sent_often_enough_do_not_keep_the_others_from_being_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, always_lost) as (calls, rail, ledger):
        tired = [await calls.pay(buying(n=number), Caller()) for number in range(upkeep.FRUITLESS + 1)]
        for end in tired:
            for _ in range(MOST_ATTEMPTS):
                await calls.resolve(end.call_id or "")
        recent = await calls.pay(buying(n=99), Caller())
        rail.script = always_charged

        async def finished() -> bool:
            return (await settled(ledger, recent)).state is State.RECONCILED_CHARGED

        monkeypatch.setattr(calls._upkeep, "recover", anyio.lowlevel.checkpoint)
        await run_until(finished, calls, monkeypatch)
        assert {(await settled(ledger, end)).state for end in tired} == {State.IN_DOUBT}


async def test_a_ledger_that_cannot_be_read_ends_the_recovery_quietly(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        await calls.pay(buying(), Caller())
        await ledger.close()
        await calls.recover()
        assert len(rail.sent) == 1


async def test_calls_that_cannot_be_read_are_left_for_another_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreadable(_call_id: str) -> None:
        raise LedgerError("torn")

    async with opened(tmp_path, always_lost) as (calls, rail, ledger):
        ends = [await calls.pay(buying(n=number), Caller()) for number in range(2)]
        rail.script = always_charged
        with monkeypatch.context() as patched:
            patched.setattr(ledger, "row", unreadable)
            await calls.recover()
        assert len(rail.sent) == 2
        await calls.recover()
        assert {(await settled(ledger, end)).state for end in ends} == {State.RECONCILED_CHARGED}
