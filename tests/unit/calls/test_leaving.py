"""A caller who leaves: the question is taken back with its request, and a late word counts for nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from jecp_mcp.calls import codes
from jecp_mcp.calls.ports import CallEnd, Caller, Charge, Decision, Question, Reply
from jecp_mcp.calls.runs import Run
from jecp_mcp.domain.outcomes import Outcome
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.domain.quotes import QuoteKind
from jecp_mcp.mandate.grants import GrantKind, GrantState
from jecp_mcp.mandate.states import State
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.base import Journal, OpenCall, Progress, StoredRequest
from jecp_mcp.settings import MandateSettings
from tests.rails import alone
from tests.unit.calls.test_pipeline import ACTION, ScriptedRail, always_charged, buying, charged, lost, opened

pytestmark = pytest.mark.anyio

QUESTION = Question(
    "local", "docs", "hub agent", ACTION.key, MicroUSDC(1), QuoteKind.EXACT, "", "print", "It is dear.", {}
)


class Thinker:
    """A person who thinks until the question is taken back, and then says yes all the same."""

    def __init__(self) -> None:
        self.asked, self.taken_back = anyio.Event(), False

    async def approve(self, _question: Question) -> Reply:
        self.asked.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            self.taken_back = True
        return Reply(Decision.ACCEPTED)

    async def show_link(self, purpose: str, message: str, make: Callable[[], Awaitable[str]]) -> Reply:
        return Reply(Decision.ACCEPTED, f"{purpose}: {message}", await make())


async def test_a_question_whose_asker_left_is_taken_back_before_the_request_ends_and_buys_nothing(
    tmp_path: Path,
) -> None:
    person, mandate = Thinker(), MandateSettings(daily_usdc="0.15", raise_limits_in_host=True)
    async with opened(tmp_path, always_charged, mandate=mandate) as (calls, rail, ledger):
        calls.delivered(await calls.pay(buying(n=1), Caller(LOCAL)))
        async with anyio.create_task_group() as host:
            host.start_soon(calls.pay, buying(n=2), Caller(LOCAL, asker=person))
            with anyio.fail_after(60):
                await person.asked.wait()
            host.cancel_scope.cancel()
        assert person.taken_back
        # The late yes is refused as a question that still waits is: nothing of it is kept.
        end = await calls.pay(buying(n=2), Caller(LOCAL))
        assert await ledger.grants(GrantKind.LIMIT, states=frozenset({GrantState.GRANTED, GrantState.USED})) == []
    assert (end.charge, len(rail.sent)) == (Charge.NO, 1)


async def test_whoever_left_before_the_question_is_not_asked(tmp_path: Path) -> None:
    person = Thinker()
    run = Run(Caller(LOCAL, asker=person), CallEnd(Charge.NO, offer=ACTION))
    with anyio.CancelScope() as scope:
        scope.cancel()
        await run.wait_as_caller()
    assert run.caller.asker is not None
    with anyio.fail_after(60):
        reply = await run.caller.asker.approve(QUESTION)
    assert (reply.decision, person.asked.is_set()) == (Decision.WAITING, False)


async def test_a_link_is_shown_by_whoever_can_show_it() -> None:
    async def made() -> str:
        return "https://pay.example"

    run = Run(Caller(LOCAL, asker=Thinker()), CallEnd(Charge.NO, offer=ACTION))
    assert run.caller.asker is not None
    shown = await run.caller.asker.show_link("topup 5", "Pay.", made)
    assert shown == Reply(Decision.ACCEPTED, "topup 5: Pay.", "https://pay.example")


async def test_what_holds_money_without_a_proven_end_is_listed_and_nothing_else(tmp_path: Path) -> None:
    async def one_is_lost(request: StoredRequest, _replay: bool) -> Outcome:
        return lost() if b"'x': 2" in request.payload else charged(request)

    async with opened(tmp_path, one_is_lost) as (calls, _rail, _ledger):
        ends = [await calls.pay(buying(x=number), Caller(LOCAL)) for number in (1, 2, 3)]
        assert [row.call_id for row in await calls.reader(LOCAL).holding(limit=9)] == [ends[1].call_id]


class Listener:
    """A host that hears of progress."""

    def __init__(self) -> None:
        self.heard = list[str | None]()

    async def report(self, done: float, total: float | None, message: str | None) -> None:
        self.heard.append(message)


async def test_a_call_that_outlasts_its_hosts_patience_is_answered_by_its_id_and_bought_once(tmp_path: Path) -> None:
    go_on, host = anyio.Event(), Listener()

    class Slow(ScriptedRail):
        async def execute(self, call: OpenCall, journal: Journal, progress: Progress | None = None) -> Outcome:
            self.sent.append(call.request)
            await go_on.wait()
            assert progress is not None
            await progress.report(1, 1, "done")
            return charged(call.request)

    rail = Slow(always_charged)
    async with opened(tmp_path, always_charged) as (calls, _, ledger):
        calls._orders._rails = alone(rail)
        first = await calls.pay(buying(), Caller(LOCAL, progress=host, patience=0))
        again = await calls.pay(buying(), Caller(LOCAL, patience=0))
        asked = await calls.resolve(first.call_id or "", 0)
        for end in (first, again, asked):
            assert end is not None
            assert end.refusal is not None
            assert (end.call_id, end.charge) == (rail.sent[0].call_id, Charge.UNKNOWN)
            assert end.refusal.code == codes.CALL_IN_PROGRESS
        go_on.set()
        while (row := await ledger.row(first.call_id or "")) is None or row.state is not State.SETTLED:
            await anyio.lowlevel.checkpoint()
        late = await calls.pay(buying(), Caller(LOCAL, patience=0))
    assert (late.call_id, late.charge, late.answer is not None) == (first.call_id, Charge.YES, True)
    assert (len(rail.sent), host.heard) == (1, [])


async def test_nobody_is_answered_before_there_is_an_id_under_which_the_call_is_found(tmp_path: Path) -> None:
    person, mandate = Thinker(), MandateSettings(daily_usdc="0.15", raise_limits_in_host=True)
    async with opened(tmp_path, always_charged, mandate=mandate) as (calls, rail, _ledger):
        calls.delivered(await calls.pay(buying(n=1), Caller(LOCAL, patience=0)))
        ends = list[CallEnd]()

        async def host() -> None:
            ends.append(await calls.pay(buying(n=2), Caller(LOCAL, asker=person, patience=0)))

        async with anyio.create_task_group() as hosts:
            hosts.start_soon(host)
            await person.asked.wait()
            await anyio.wait_all_tasks_blocked()
            assert ends == []
            hosts.cancel_scope.cancel()
    assert (ends, len(rail.sent)) == ([], 1)
