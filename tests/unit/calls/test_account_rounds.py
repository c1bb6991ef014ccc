"""Due calls of several accounts are asked for side by side: no payee keeps another's from being found out about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from jecp_mcp.calls import pipeline, upkeep
from jecp_mcp.calls.account_rounds import ACCOUNTS_AT_ONCE, FRUITLESS, Account, AccountRounds
from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.calls.ports import CallEnd, Caller
from jecp_mcp.domain.outcomes import Outcome
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.sqlite import ledger as sqlite_ledger
from jecp_mcp.mandate.states import State
from jecp_mcp.rails.base import StoredRequest
from tests.unit.calls.test_pipeline import ScriptedRail, always_lost, buying, charged, lost, opened, settled

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SILENT, TALKING = "silent", "talking"


@dataclass
class Payees:
    """One rail's accounts, each with a payee that has lost every first answer; some never answer again."""

    calls: Calls
    rail: ScriptedRail
    ledger: Ledger
    silent: set[str] = field(default_factory=lambda: {SILENT})
    waited_for: set[str] = field(default_factory=set)
    asked: anyio.Event = field(default_factory=anyio.Event)
    over: anyio.Event = field(default_factory=anyio.Event)

    async def lose(self, account: str, count: int = 1) -> list[CallEnd]:
        """Calls of an account whose answers are lost."""
        self.rail.account, self.rail.script = account, always_lost
        ends = [await self.calls.pay(buying(account=account, n=number), Caller(LOCAL)) for number in range(count)]
        await self.ledger.flush()
        self.rail.script = self.answer
        return ends

    async def answer(self, request: StoredRequest, replay: bool) -> Outcome:
        if not replay:
            return lost()
        if request.account in self.silent:
            self.waited_for.add(request.account)
            self.asked.set()
            await self.over.wait()
            return lost()
        return replace(charged(request), reference=request.call_id)

    async def until_charged(self, end: CallEnd) -> None:
        with anyio.fail_after(60):
            while (await settled(self.ledger, end)).state is not State.RECONCILED_CHARGED:
                await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def payees(path: Path) -> AsyncIterator[Payees]:
    async with opened(path, always_lost) as (calls, rail, ledger):
        rail.serves = lambda _account, _authorized=None: True  # type: ignore[method-assign]
        made = Payees(calls, rail, ledger)
        try:
            yield made
        finally:
            made.over.set()


async def test_while_one_account_is_silent_anothers_call_is_found_out_about(tmp_path: Path) -> None:
    async with payees(tmp_path) as one, anyio.create_task_group() as beside:
        (silent,), (talking,) = await one.lose(SILENT), await one.lose(TALKING)
        beside.start_soon(one.calls.recover)
        with anyio.fail_after(60):
            await one.asked.wait()
        await one.until_charged(talking)
        assert (await settled(one.ledger, silent)).state is State.IN_DOUBT
        one.over.set()


async def test_rounds_go_on_while_a_payee_keeps_one_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LEAST_SECONDS", "BESIDE_SECONDS"):
        monkeypatch.setattr(upkeep, name, 0)
    async with payees(tmp_path) as one, anyio.create_task_group() as beside:
        await one.lose(SILENT)
        beside.start_soon(one.calls.keep_recovering)
        with anyio.fail_after(60):
            await one.asked.wait()
        (later,) = await one.lose(TALKING)
        await one.until_charged(later)
        one.over.set()
        beside.cancel_scope.cancel()
    assert [request.account for request in one.rail.sent].count(SILENT) == 2, "it was asked once beside its purchase"


async def test_a_payee_that_answers_nobody_is_left_alone_while_others_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LEAST_SECONDS", "BESIDE_SECONDS"):
        monkeypatch.setattr(upkeep, name, 0)
    async with payees(tmp_path) as one, anyio.create_task_group() as beside:
        await one.lose(SILENT, FRUITLESS + 2)
        one.over.set()
        one.rail.sent.clear()
        beside.start_soon(one.calls.keep_recovering)
        for number in range(3):
            (end,) = await one.lose(f"{TALKING} {number}")
            await one.until_charged(end)
        beside.cancel_scope.cancel()
    assert [request.account for request in one.rail.sent].count(SILENT) == FRUITLESS


async def test_an_account_that_is_left_before_its_turn_comes_is_not_asked(tmp_path: Path) -> None:
    async with payees(tmp_path) as one:
        await one.lose(SILENT)
        rows = await one.ledger.rows()
        resolved, left = list[str](), list[Account]()

        async def resolve(call_id: str) -> None:
            resolved.append(call_id)

        rounds = AccountRounds(one.ledger, resolve)
        for turn in range(2):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(rounds.finish, rows, left.append, lambda: left)
                if turn:
                    left.append((rows[0].rail, SILENT))
            assert len(resolved) == 1, "asked once, while it was not left alone"
        one.over.set()


async def test_leaving_waits_for_no_round_and_what_was_open_stays_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "GRACE_SECONDS", 0)
    async with payees(tmp_path) as one, anyio.create_task_group() as beside:
        ends = [*await one.lose(SILENT), *await one.lose(TALKING)]
        one.silent.add(TALKING)
        beside.start_soon(one.calls.keep_recovering)
        with anyio.fail_after(60):
            while one.waited_for != one.silent:
                await anyio.lowlevel.checkpoint()
            beside.cancel_scope.cancel()
    async with payees(tmp_path) as one:
        one.silent.clear()
        one.rail.script = one.answer
        await one.calls.recover()
        for end in ends:
            assert (await settled(one.ledger, end)).state is State.RECONCILED_CHARGED


async def test_a_fault_among_one_accounts_calls_hurts_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with payees(tmp_path) as one:
        (broken,), (talking,) = await one.lose(SILENT), await one.lose(TALKING)
        one.silent.clear()
        resolve = one.calls.resolve

        async def failing(call_id: str) -> CallEnd | None:
            if call_id == broken.call_id:
                raise ZeroDivisionError
            return await resolve(call_id)

        monkeypatch.setattr(one.calls._upkeep._accounts, "_resolve", failing)
        await one.calls.recover()
        assert (await settled(one.ledger, talking)).state is State.RECONCILED_CHARGED
        assert (await settled(one.ledger, broken)).state is State.IN_DOUBT
        assert "open calls of silent could not be looked at" in caplog.text
        monkeypatch.undo()
        await one.calls.recover()
        assert (await settled(one.ledger, broken)).state is State.RECONCILED_CHARGED


async def test_no_more_accounts_are_asked_at_once_than_may_be(tmp_path: Path) -> None:
    async with payees(tmp_path) as one, anyio.create_task_group() as beside:
        ends = [(await one.lose(f"agent {number}"))[0] for number in range(ACCOUNTS_AT_ONCE + 2)]
        one.silent = {f"agent {number}" for number in range(ACCOUNTS_AT_ONCE + 2)}
        beside.start_soon(one.calls.recover)
        with anyio.fail_after(60):
            while len(one.waited_for) < ACCOUNTS_AT_ONCE:
                await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
        assert len(one.waited_for) == ACCOUNTS_AT_ONCE
        one.silent.clear()
        one.over.set()
        for end in ends:
            state = State.IN_DOUBT if _account(end, ends) in one.waited_for else State.RECONCILED_CHARGED
            with anyio.fail_after(60):
                while (await settled(one.ledger, end)).state is not state:
                    await anyio.lowlevel.checkpoint()


def _account(end: CallEnd, ends: list[CallEnd]) -> str:
    return f"agent {ends.index(end)}"


async def test_many_calls_of_one_account_leave_room_for_another_accounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_ledger, "MOST_DUE", FRUITLESS + 1)
    async with payees(tmp_path) as one:
        await one.lose(SILENT, FRUITLESS + 3)
        (talking,) = await one.lose(TALKING)
        one.over.set()
        await one.calls.recover()
        assert (await settled(one.ledger, talking)).state is State.RECONCILED_CHARGED
