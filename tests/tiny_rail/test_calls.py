"""The tiny rail behind the pipeline, without a socket: prices that lapse, processes that die, and what is never free."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from jecp_mcp.calls import codes, execution, journal
from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.calls.ports import CallEnd, Caller, Charge, Decision, Question, Reply
from jecp_mcp.calls.prepared import Preparation
from jecp_mcp.domain.answers import Answer
from jecp_mcp.domain.outcomes import Entry, Mark, Outcome, Verdict
from jecp_mcp.domain.purchases import LOCAL, Purchase
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import HeldBack, LedgerError, LedgerUnavailable, WireError
from jecp_mcp.http import ExchangeFailed, HttpAnswer
from jecp_mcp.mandate.grants import QUESTIONS, GrantKind, GrantRef, GrantState
from jecp_mcp.mandate.ledger import CallRow, Conclusion, Ledger, Note
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.mandate.states import State
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.rails.base import Journal, NotNow, OpenCall, Progress
from jecp_mcp.rails.registry import Rails, Way
from jecp_mcp.settings import MandateSettings
from tests.tiny_rail.payee import Payee
from tests.tiny_rail.rail import ACCEPTED_FOR_MS, LOOK_MS, TRAVEL_MS, TinyRail
from tests.tiny_rail.way import ECHO, EchoSource
from tests.unit.calls.test_endings import rewrite
from tests.unit.calls.test_pipeline import StillClock

pytestmark = pytest.mark.anyio

BUYING = Purchase("echo_job_run", ECHO, {"text": "hello"})
MANDATE = MandateSettings(per_call_usdc="0.10", daily_usdc="1")


@dataclass
class Direct:
    """The payee at the rail's one-method seam; a request whose path is in `faults` is lost before or after."""

    payee: Payee
    faults: dict[str, str] = field(default_factory=dict)
    held: dict[str, anyio.Event] = field(default_factory=dict)
    """The answers to these paths wait for their event."""

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 10,  # noqa: ASYNC109 - as Http's
        before_sending: Callable[[], Awaitable[None]] | None = None,
    ) -> HttpAnswer:
        path = url.removeprefix("http://echo")
        step = "ack" if path.endswith("/ack") else method
        fault = self.faults.pop(path, None) or self.faults.pop(step, None)
        if fault == "unsent":
            raise ExchangeFailed(sent=False, phase="connect", reason="refused")
        if before_sending is not None:
            try:
                await before_sending()
            except HeldBack as exc:
                raise ExchangeFailed(sent=False, phase="send", reason=str(exc)) from exc
        if fault == "lost":
            raise ExchangeFailed(sent=True, phase="answer", reason="reset")
        status, said = self.payee.answer(method, path, body or b"")
        if path in self.held:
            await self.held[path].wait()
        if fault == "unheard":
            raise ExchangeFailed(sent=True, phase="answer", reason="reset")
        if fault == "dies":
            # Nobody hears of anything that follows.
            await anyio.sleep_forever()
        return HttpAnswer(status, {}, json.dumps(said).encode())


@dataclass
class House:
    """A process with the tiny rail alone."""

    calls: Calls
    ledger: Ledger
    payee: Payee
    wire: Direct
    clock: StillClock

    async def row(self) -> CallRow:
        await self.ledger.flush()
        [row] = await self.ledger.rows()
        return row


names = itertools.count(1)


@asynccontextmanager
async def house(
    path: Path, payee: Payee, clock: StillClock, mandate: MandateSettings = MANDATE, *, beside: Sequence[Way] = ()
) -> AsyncIterator[House]:
    ledger = open_ledger(path / "ledger.sqlite", clock=clock)
    wire = Direct(payee)

    async def sleep(seconds: float) -> None:
        clock.at += int(seconds * 1000)
        await anyio.lowlevel.checkpoint()

    rail = TinyRail("http://echo", wire, clock, sleep=sleep)
    rails = Rails([*beside, Way(rail=rail, sources=(EchoSource(),))])
    calls = Calls(
        policy=Policy.from_settings(mandate),
        ledger=ledger,
        rails=rails,
        clock=clock,
        mint=lambda: f"call_{next(names):04}",
    )
    try:
        async with calls.open():
            yield House(calls, ledger, payee, wire, clock)
    finally:
        await ledger.close()


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def payee(clock: StillClock) -> Payee:
    return Payee(clock.now)


class Thinker:
    """A person who says yes after a while in which something may happen."""

    def __init__(self, *meanwhile: Callable[[], None]) -> None:
        self.meanwhile = list(meanwhile)
        self.asked: list[int] = []

    async def approve(self, question: Question) -> Reply:
        self.asked.append(question.amount)
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return Reply(Decision.ACCEPTED)

    async def show_link(self, *_: Any) -> Reply:
        raise AssertionError("nobody pays in a browser here")


APPROVED = MANDATE.model_copy(update={"approve_above_usdc": 10_000})


async def bought(path: Path, payee: Payee, clock: StillClock, thinker: Thinker) -> CallEnd:
    payee.good_ms = 60_000
    async with house(path, payee, clock, APPROVED) as one:
        return await one.calls.pay(BUYING, Caller(LOCAL, asker=thinker))


def later(clock: StillClock, payee: Payee, price: int) -> Callable[[], None]:
    def pass_time() -> None:
        clock.at += 61_000
        payee.price = price

    return pass_time


@pytest.mark.parametrize("price", [50_000, 40_000])
async def test_a_price_that_lapsed_while_a_person_thought_is_paid_where_it_is_no_dearer(
    tmp_path: Path, payee: Payee, clock: StillClock, price: int
) -> None:
    thinker = Thinker(later(clock, payee, price))
    end = await bought(tmp_path, payee, clock, thinker)
    assert (end.charge, end.amount, thinker.asked, payee.asked) == (Charge.YES, price, [50_000], 2)


async def grants(one: House, *states: GrantState) -> list[tuple[GrantKind, GrantState]]:
    """The questions that stand so."""
    await one.ledger.flush()
    found = [await one.ledger.grants(kind, states=frozenset(states)) for kind in QUESTIONS]
    return [(grant.kind, grant.state) for some in found for grant in some]


async def test_a_dearer_one_is_asked_for_anew_and_the_first_yes_is_withdrawn(
    tmp_path: Path, payee: Payee, clock: StillClock
) -> None:
    thinker = Thinker(later(clock, payee, 60_000))
    payee.good_ms = 60_000
    async with house(tmp_path, payee, clock, APPROVED) as one:
        end = await one.calls.pay(BUYING, Caller(LOCAL, asker=thinker))
        assert await grants(one, *GrantState) == [
            (GrantKind.APPROVAL, GrantState.USED), (GrantKind.APPROVAL, GrantState.SUPERSEDED),
        ]  # fmt: skip
    assert (end.charge, end.amount, thinker.asked) == (Charge.YES, 60_000, [50_000, 60_000])


async def test_a_price_that_changes_each_time_is_given_up_and_no_yes_is_left(
    tmp_path: Path, payee: Payee, clock: StillClock
) -> None:
    thinker = Thinker(*(later(clock, payee, price) for price in (60_000, 70_000, 80_000)))
    payee.good_ms = 60_000
    async with house(tmp_path, payee, clock, APPROVED) as one:
        end = await one.calls.pay(BUYING, Caller(LOCAL, asker=thinker))
        assert await grants(one, GrantState.GRANTED) == []
        assert end.refusal is not None
        assert (end.charge, end.refusal.code, payee.jobs) == (Charge.NO, codes.PRICE_KEEPS_CHANGING, {})
        # At the first price again a person is asked again.
        payee.price = 50_000
        await one.calls.pay(BUYING, Caller(LOCAL, asker=thinker))
    assert thinker.asked == [50_000, 60_000, 70_000, 50_000]


PAST_LIMIT = MANDATE.model_copy(update={"daily_usdc": MicroUSDC(75_000), "raise_limits_in_host": True})


@pytest.mark.parametrize(("price", "asked"), [(50_000, [50_000]), (40_000, [50_000]), (60_000, [50_000, 60_000])])
@pytest.mark.parametrize("approved", [False, True])
async def test_a_price_that_lapsed_while_a_person_thought_of_a_full_limit_is_not_paid(
    tmp_path: Path, payee: Payee, clock: StillClock, price: int, asked: list[int], approved: bool
) -> None:
    mandate = PAST_LIMIT.model_copy(update={"approve_above_usdc": MicroUSDC(10_000)}) if approved else PAST_LIMIT
    async with house(tmp_path, payee, clock, MANDATE) as one:
        one.calls.delivered(await one.calls.pay(BUYING, Caller(LOCAL)))
    payee.good_ms = 60_000
    limit, payee.asked = later(clock, payee, price), 0
    thinker = Thinker(*([lambda: None, limit] if approved else [limit]))
    async with house(tmp_path, payee, clock, mandate) as one:
        end = await one.calls.pay(BUYING, Caller(LOCAL, asker=thinker))
        assert (end.charge, end.amount, end.reserved, payee.asked) == (Charge.YES, price, price, 2)
        assert await grants(one, GrantState.GRANTED) == []
    assert thinker.asked == [amount for amount in asked for _ in range(2 if approved else 1)]


async def test_a_price_that_changes_each_time_that_a_full_limit_is_asked_about_is_given_up(
    tmp_path: Path, payee: Payee, clock: StillClock
) -> None:
    async with house(tmp_path, payee, clock, MANDATE) as one:
        one.calls.delivered(await one.calls.pay(BUYING, Caller(LOCAL)))
    payee.good_ms = 60_000
    thinker = Thinker(*(later(clock, payee, price) for price in (60_000, 70_000, 80_000)))
    async with house(tmp_path, payee, clock, PAST_LIMIT) as one:
        end = await one.calls.pay(BUYING, Caller(LOCAL, asker=thinker))
        assert await grants(one, GrantState.GRANTED) == []
    assert end.refusal is not None
    assert (end.refusal.code, thinker.asked) == (codes.PRICE_KEEPS_CHANGING, [50_000, 60_000, 70_000])


@pytest.mark.parametrize("mandate", [APPROVED, PAST_LIMIT], ids=["approval", "limit"])
async def test_what_another_process_bought_while_a_person_thought_is_not_asked_for_its_price_again(
    tmp_path: Path, payee: Payee, clock: StillClock, mandate: MandateSettings
) -> None:
    async with house(tmp_path, payee, clock, MANDATE) as other:
        if mandate is PAST_LIMIT:
            payee.price = 30_000
            other.calls.delivered(await other.calls.pay(BUYING, Caller(LOCAL)))
            await other.ledger.flush()
            payee.price = 50_000

        class Slow(Thinker):
            async def approve(self, question: Question) -> Reply:
                clock.at += 61_000
                self.first = await other.calls.pay(BUYING, Caller(LOCAL))
                await other.ledger.flush()
                payee.asked = 0
                return await super().approve(question)

        payee.good_ms, thinker = 60_000, Slow()
        async with house(tmp_path, payee, clock, mandate) as one:
            end = await one.calls.pay(BUYING, Caller(LOCAL, asker=thinker))
            assert await grants(one, GrantState.GRANTED) == [], "the yes is used by what was bought"
    assert (end.call_id, end.stored, payee.asked) == (thinker.first.call_id, True, 0)


async def test_what_was_prepared_and_approved_is_bought_without_another_word_where_it_is_cheaper_by_then(
    tmp_path: Path, payee: Payee, clock: StillClock
) -> None:
    async with house(tmp_path, payee, clock, APPROVED) as one:
        made = await one.calls.prepare(BUYING, Caller(LOCAL))
        assert isinstance(made, Preparation)
        assert made.approval is not None
        _, asked = made.approval
        assert await one.ledger.answer_grant(GrantRef(asked.kind, asked.grant_id), True, "granted at the terminal")
        payee.price = 40_000
        end = await one.calls.execute((made.grant, made.call), BUYING, Caller(LOCAL))
    assert (end.charge, end.amount, end.reserved) == (Charge.YES, 40_000, 40_000)


async def test_a_prepared_price_holds_while_a_person_thinks(tmp_path: Path, payee: Payee, clock: StillClock) -> None:
    payee.good_ms, thinker = 60_000, Thinker(later(clock, payee, 60_000))
    async with house(tmp_path, payee, clock, APPROVED) as one:
        made = await one.calls.prepare(BUYING, Caller(LOCAL))
        assert isinstance(made, Preparation)
        end = await one.calls.execute((made.grant, made.call), BUYING, Caller(LOCAL, asker=thinker))
    assert end.refusal is not None
    assert (end.charge, end.refusal.code, thinker.asked, payee.jobs) == (Charge.NO, codes.PRICE_CHANGED, [50_000], {})


async def test_what_is_refused_or_free_by_then_is_so(tmp_path: Path, payee: Payee, clock: StillClock) -> None:
    def closes() -> None:
        clock.at += 61_000
        payee.refuses = "closed"

    end = await bought(tmp_path, payee, clock, Thinker(closes))
    assert end.refusal is not None
    assert (end.refusal.code, payee.jobs) == ("ECHO_REFUSED", {})
    payee.refuses = None

    def free() -> None:
        clock.at += 61_000
        payee.price = None

    payee.price = 50_000
    (tmp_path / "other").mkdir()
    end = await bought(tmp_path / "other", payee, clock, Thinker(free))
    assert (end.charge, end.answer is not None, payee.jobs) == (Charge.NO, True, {})


# What is lost at each step, and what is known after the process has ended there.
DEATHS = {
    "before the order left": ("/jobs", "unsent", State.RELEASED, None),
    "the order was lost": ("/jobs", "lost", State.RECONCILED_FREE, None),
    "the order's answer was lost": ("/jobs", "unheard", State.RECONCILED_CHARGED, Mark.INTENT),
    "while the job ran": ("GET", "unheard", State.RECONCILED_CHARGED, Mark.INTENT),
    "the payment was lost": ("ack", "lost", State.RECONCILED_CHARGED, Mark.INTENT),
    "the payment's answer was lost": ("ack", "unheard", State.RECONCILED_CHARGED, Mark.INTENT),
}


@pytest.mark.parametrize("what", DEATHS)
@pytest.mark.parametrize("dies", [False, True], ids=["lives", "dies"])
async def test_whatever_is_lost_is_found_out_and_nothing_is_paid_twice(
    tmp_path: Path, payee: Payee, clock: StillClock, what: str, dies: bool
) -> None:
    where, fault, state, mark = DEATHS[what]
    async with house(tmp_path, payee, clock) as one:
        one.wire.faults[where] = fault
        first = await one.calls.pay(BUYING, Caller(LOCAL))
        assert (first.charge is Charge.NO) == (state is State.RELEASED)
        if not dies:
            clock.at += ACCEPTED_FOR_MS + TRAVEL_MS
            await one.calls.recover()
            row = await one.row()
    if dies:
        clock.at += ACCEPTED_FOR_MS + TRAVEL_MS
        async with house(tmp_path, payee, clock) as other:
            await other.calls.recover()
            row = await other.row()
            assert (await other.ledger.audit()).findings == ()
    paid = [50_000] if state is State.RECONCILED_CHARGED else []
    assert (row.state, row.mark, payee.charged(row.call_id)) == (state, mark, paid)


async def test_an_order_that_nobody_got_is_doubtful_until_it_cannot_arrive_any_more(
    tmp_path: Path, payee: Payee, clock: StillClock
) -> None:
    async with house(tmp_path, payee, clock) as one:
        one.wire.faults["/jobs"] = "lost"
        await one.calls.pay(BUYING, Caller(LOCAL))
        clock.at += LOOK_MS
        await one.calls.recover()
        assert (await one.row()).state is State.IN_DOUBT
        # Now it arrives after all, and is found.
        row = await one.row()
        payee.answer("POST", "/jobs", row_request(await one.ledger.row(row.call_id)))
        clock.at += LOOK_MS
        await one.calls.recover()
        assert (await one.row()).state is State.RECONCILED_CHARGED


def row_request(row: CallRow | None) -> bytes:
    assert row is not None
    return row.request


async def test_a_reserved_call_whose_process_died_before_anything_left_is_released(
    tmp_path: Path, payee: Payee, clock: StillClock
) -> None:
    async with house(tmp_path, payee, clock) as one, anyio.create_task_group() as tasks:
        one.wire.exchange = stuck(one.wire.exchange)  # type: ignore[method-assign]
        tasks.start_soon(one.calls.pay, BUYING, Caller(LOCAL))
        with anyio.fail_after(60):
            while not (rows := await one.ledger.rows()):
                await anyio.lowlevel.checkpoint()
        assert [row.state for row in rows] == [State.RESERVED]
        one.calls._tasks.cancel_scope.cancel()  # type: ignore[union-attr]  # as a process that ends
        tasks.cancel_scope.cancel()
    async with house(tmp_path, payee, clock) as other:
        await other.calls.recover()
        assert (await other.row()).state is State.RELEASED


def stuck(exchange: Callable[..., Awaitable[HttpAnswer]]) -> Callable[..., Awaitable[HttpAnswer]]:
    async def connects_for_ever(method: str, url: str, **given: Any) -> HttpAnswer:
        if url.endswith("/jobs"):
            await anyio.sleep_forever()
        return await exchange(method, url, **given)

    return connects_for_ever


async def test_what_was_about_to_be_paid_is_never_free_by_itself(
    tmp_path: Path, payee: Payee, clock: StillClock
) -> None:
    async with house(tmp_path, payee, clock) as one:
        one.wire.faults["ack"] = "lost"
        await one.calls.pay(BUYING, Caller(LOCAL))
        row = await one.row()
        assert (row.state, row.mark) == (State.IN_DOUBT, Mark.INTENT)
        with pytest.raises(LedgerError, match="paid for good"):
            await one.ledger.conclude_now(
                Conclusion(row.call_id, Verdict.NOT_CHARGED, claim=row.claim, evidence="so it says")
            )
        # A person may know better.
        await one.ledger.conclude_now(Conclusion(row.call_id, Verdict.NOT_CHARGED, evidence="ruled free"))
        assert (await one.row()).state is State.RECONCILED_FREE


async def test_who_lost_a_call_writes_nothing_down_and_pays_nothing(
    tmp_path: Path, payee: Payee, clock: StillClock
) -> None:
    payee.takes_ms = 3_600_000
    async with house(tmp_path, payee, clock) as one:
        await one.calls.pay(BUYING, Caller(LOCAL))
        row = await one.row()
        assert await one.ledger.note(row.call_id, row.claim + 1, []) is False
        with pytest.raises(LedgerError, match="knows no call"):
            await one.ledger.note("call_of_nobody", 0, [])
    assert payee.charged(row.call_id) == []


class Refusing:
    """A ledger's step that fails, or says that the call is somebody else's by now."""

    def __init__(self, answer: bool | LedgerError) -> None:
        self.answer = answer

    async def __call__(self, *_: Any) -> bool:
        if isinstance(self.answer, LedgerError):
            raise self.answer
        return self.answer


@pytest.mark.parametrize("answer", [False, LedgerUnavailable("the disk is full")], ids=["taken", "fails"])
async def test_what_cannot_be_marked_as_sent_does_not_leave(
    tmp_path: Path, payee: Payee, clock: StillClock, answer: bool | LedgerError
) -> None:
    async with house(tmp_path, payee, clock) as one:
        one.ledger.send = Refusing(answer)  # type: ignore[method-assign]
        end = await one.calls.pay(BUYING, Caller(LOCAL))
        assert (end.answer, payee.jobs) == (None, {})


@pytest.mark.parametrize("answer", [False, LedgerUnavailable("the disk is full")], ids=["taken", "fails"])
async def test_what_cannot_be_written_down_is_not_paid(
    tmp_path: Path, payee: Payee, clock: StillClock, answer: bool | LedgerError
) -> None:
    async with house(tmp_path, payee, clock) as one:
        note = one.ledger.note
        one.ledger.note = Refusing(answer)  # type: ignore[method-assign]
        end = await one.calls.pay(BUYING, Caller(LOCAL))
        row = await one.row()
        assert (end.charge, row.state, payee.charged(row.call_id)) == (Charge.UNKNOWN, State.IN_DOUBT, [])
        one.ledger.note = note  # type: ignore[method-assign]
        clock.at += LOOK_MS
        await one.calls.recover()
        assert (await one.row()).state is State.RECONCILED_CHARGED


async def test_an_answer_that_cannot_be_written_down_is_not_paid(
    tmp_path: Path, payee: Payee, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwritable(_answer: object) -> bytes:
        raise WireError("not a number")

    monkeypatch.setattr(journal, "dump_answer", unwritable)
    async with house(tmp_path, payee, clock) as one:
        end = await one.calls.pay(BUYING, Caller(LOCAL))
        row = await one.row()
    assert (end.charge, row.mark, payee.charged(row.call_id)) == (Charge.UNKNOWN, Mark.ACCEPTED, [])


async def test_what_nothing_here_pays_for_is_refused_at_once(tmp_path: Path, payee: Payee, clock: StillClock) -> None:
    foreign = Purchase("foreign", replace(ECHO, source="somewhere else"), {"text": "hello"})
    async with house(tmp_path, payee, clock) as one:
        end, made = await one.calls.pay(foreign, Caller(LOCAL)), await one.calls.prepare(foreign, Caller(LOCAL))
        assert isinstance(made, CallEnd)
        assert end.refusal is not None
        assert made.refusal is not None
        assert (end.refusal.code, made.refusal.code) == (codes.NO_WAY_TO_PAY, codes.NO_WAY_TO_PAY)
        assert (one.calls.most_per_call(foreign.offer), one.calls.most_per_call(ECHO)) == (0, 10_000_000)


async def test_a_note_has_a_bound(tmp_path: Path, payee: Payee, clock: StillClock) -> None:
    payee.takes_ms = 3_600_000
    async with house(tmp_path, payee, clock) as one:
        await one.calls.pay(BUYING, Caller(LOCAL))
        row = await one.row()
        with pytest.raises(LedgerError, match="characters"):
            await one.ledger.note(row.call_id, row.claim, [Note(Mark.ACCEPTED, "x" * 4_001)])
        assert (await one.ledger.audit()).findings == ()


async def test_what_fails_here_once_something_left_is_never_told_as_free(
    tmp_path: Path, payee: Payee, clock: StillClock
) -> None:
    payee.takes_ms = 3_600_000
    async with house(tmp_path, payee, clock) as one:
        first = await one.calls.pay(BUYING, Caller(LOCAL))
        events = one.ledger.events

        async def unreadable(*_: Any, **__: Any) -> Any:
            raise LedgerUnavailable("the disk is gone")

        one.ledger.events = unreadable  # type: ignore[method-assign]
        for end in (await one.calls.resolve(first.call_id or ""), await one.calls.pay(BUYING, Caller(LOCAL))):
            assert end is not None
            assert end.refusal is not None
            assert (end.charge, end.held, end.refusal.code) == (Charge.UNKNOWN, 50_000, codes.LEDGER_UNAVAILABLE)
        one.ledger.events = events  # type: ignore[method-assign]


async def test_a_rail_that_raises_what_it_promised_not_to_leaves_its_call_in_doubt(
    tmp_path: Path, payee: Payee, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise WireError("cannot be read")

    monkeypatch.setattr(TinyRail, "_follow", broken)
    async with house(tmp_path, payee, clock) as one:
        end = await one.calls.pay(BUYING, Caller(LOCAL))
        assert end.refusal is not None
        assert (end.charge, end.refusal.code) == (Charge.UNKNOWN, codes.BRIDGE_FAULT)
        assert (await one.row()).state is State.IN_DOUBT


async def test_an_intent_is_known_however_long_ago_it_was(
    tmp_path: Path, payee: Payee, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "_EVENTS_AT_ONCE", 3)
    async with house(tmp_path, payee, clock) as one:
        for _ in range(6):
            one.wire.faults["ack"] = "lost"
            await one.calls.pay(BUYING, Caller(LOCAL))
            clock.at += LOOK_MS
        await one.calls.recover()
        row = await one.row()
        notes = [event.facts["mark"] for event in await one.ledger.events(row.call_id) if event.event == "note"]
    assert (row.state, payee.charged(row.call_id), notes) == (
        State.RECONCILED_CHARGED, [50_000], ["accepted", "result", "intent"],
    )  # fmt: skip


async def test_an_intent_that_is_not_in_the_events_keeps_its_call_in_doubt(
    tmp_path: Path, payee: Payee, clock: StillClock
) -> None:
    async with house(tmp_path, payee, clock) as one:
        one.wire.faults["ack"] = "lost"
        await one.calls.pay(BUYING, Caller(LOCAL))

        async def forgotten(*_: Any, **__: Any) -> list[Any]:
            return []

        one.ledger.events = forgotten  # type: ignore[method-assign]
        clock.at += LOOK_MS
        end = await one.calls.pay(BUYING, Caller(LOCAL))
        assert end.refusal is not None
        assert (end.charge, end.refusal.code) == (Charge.UNKNOWN, codes.LEDGER_DAMAGED)
        assert (await one.row()).state is State.IN_DOUBT


async def test_of_what_is_only_reserved_nothing_is_written_down(
    tmp_path: Path, payee: Payee, clock: StillClock
) -> None:
    async with house(tmp_path, payee, clock) as one, anyio.create_task_group() as tasks:
        one.wire.exchange = stuck(one.wire.exchange)  # type: ignore[method-assign]
        tasks.start_soon(one.calls.pay, BUYING, Caller(LOCAL))
        with anyio.fail_after(60):
            while not (rows := await one.ledger.rows()):
                await anyio.lowlevel.checkpoint()
        assert not await one.ledger.note(rows[0].call_id, rows[0].claim, [Note(Mark.INTENT, "50000")])
        one.calls._tasks.cancel_scope.cancel()  # type: ignore[union-attr]  # as a process that ends
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("readable", [True, False])
async def test_a_rail_that_calls_free_what_it_was_about_to_pay_is_not_believed(
    tmp_path: Path, payee: Payee, clock: StillClock, monkeypatch: pytest.MonkeyPatch, readable: bool
) -> None:
    pay = TinyRail._pay

    async def free(self: TinyRail, call: OpenCall, answer: Answer, cost: MicroUSDC) -> Outcome:
        found = await pay(self, call, answer, cost)
        return replace(found, verdict=Verdict.NOT_CHARGED, amount=ZERO, look_again_at=None)

    monkeypatch.setattr(TinyRail, "_pay", free)
    async with house(tmp_path, payee, clock) as one:
        flush = one.ledger.flush

        async def full() -> None:
            raise LedgerUnavailable("the disk is full")

        if not readable:
            one.ledger.flush = full  # type: ignore[method-assign]
        end = await one.calls.pay(BUYING, Caller(LOCAL))
        one.ledger.flush = flush  # type: ignore[method-assign]
        assert (end.charge, end.held) == (Charge.UNKNOWN, 50_000)
        assert (await one.row()).state is State.SENT


async def test_what_is_asked_for_its_price_by_two_at_once_is_asked_once_and_bought_once(
    tmp_path: Path, payee: Payee, clock: StillClock
) -> None:
    ends = list[CallEnd]()
    async with house(tmp_path, payee, clock) as one:
        one.wire.held["/quote"] = anyio.Event()

        async def buy() -> None:
            ends.append(await one.calls.pay(BUYING, Caller(LOCAL)))

        async with anyio.create_task_group() as hosts:
            for _ in range(3):
                hosts.start_soon(buy)
            await anyio.wait_all_tasks_blocked()
            one.wire.held["/quote"].set()
        row = await one.row()
    assert (payee.asked, payee.charged(row.call_id)) == (1, [50_000])
    assert [end.call_id for end in ends] == [row.call_id] * 3


async def test_two_processes_may_both_ask_for_the_price_and_pay_once(
    tmp_path: Path, payee: Payee, clock: StillClock
) -> None:
    ends = list[CallEnd]()
    async with house(tmp_path, payee, clock) as one, house(tmp_path, payee, clock) as other:
        one.wire.held["/quote"] = other.wire.held["/quote"] = anyio.Event()

        async def buy(calls: Calls) -> None:
            ends.append(await calls.pay(BUYING, Caller(LOCAL)))

        async with anyio.create_task_group() as hosts:
            hosts.start_soon(buy, one.calls)
            hosts.start_soon(buy, other.calls)
            await anyio.wait_all_tasks_blocked()
            one.wire.held["/quote"].set()
        row = await one.row()
    assert (payee.asked, list(payee.jobs), payee.charged(row.call_id)) == (2, [row.call_id], [50_000])
    assert {end.call_id for end in ends} == {row.call_id}


@pytest.mark.parametrize("price", [50_000, None], ids=["to be paid", "free"])
async def test_who_leaves_while_the_price_is_asked_for_buys_nothing_and_what_was_free_is_kept(
    tmp_path: Path, payee: Payee, clock: StillClock, price: int | None
) -> None:
    payee.price = price
    async with house(tmp_path, payee, clock) as one:
        one.wire.held["/quote"] = anyio.Event()
        async with anyio.create_task_group() as host:
            host.start_soon(one.calls.pay, BUYING, Caller(LOCAL))
            await anyio.wait_all_tasks_blocked()
            host.cancel_scope.cancel()
        one.wire.held.pop("/quote").set()
        await anyio.wait_all_tasks_blocked()
        await one.ledger.flush()
        assert (payee.jobs, len(await one.ledger.rows())) == ({}, 0 if price else 1)
        end = await one.calls.pay(BUYING, Caller(LOCAL))
    assert (end.answer is not None, end.stored, payee.asked) == (True, price is None, 2 if price else 1)


@pytest.mark.parametrize("when", ["open", "undelivered", "unreadable"])
async def test_what_is_open_or_was_paid_for_is_not_asked_for_its_price_to_prepare_it(
    tmp_path: Path, payee: Payee, clock: StillClock, when: str
) -> None:
    payee.takes_ms = 3_600_000 if when == "open" else 0
    async with house(tmp_path, payee, clock) as one:
        first = await one.calls.pay(BUYING, Caller(LOCAL))
        await one.ledger.flush()
        if when == "unreadable":
            rewrite(tmp_path, "UPDATE answer SET body = x'00'")
        made = await one.calls.prepare(BUYING, Caller(LOCAL))
        assert isinstance(made, CallEnd)
        assert (made.call_id, made.offer, payee.asked) == (first.call_id, ECHO, 1)
        assert (made.answer is not None, made.stored) == (when == "undelivered", True)
        assert made.charge is (Charge.UNKNOWN if when == "open" else Charge.YES)
        if when == "unreadable":
            # It stands in nobody's way for ever.
            assert isinstance(await one.calls.prepare(BUYING, Caller(LOCAL)), Preparation)


async def test_an_answer_in_the_place_of_a_price_is_handed_back_by_preparing_it_and_kept(
    tmp_path: Path, payee: Payee, clock: StillClock
) -> None:
    payee.price = None
    async with house(tmp_path, payee, clock) as one:
        made, again = [await one.calls.prepare(BUYING, Caller(LOCAL)) for _ in range(2)]
        assert isinstance(made, CallEnd)
        assert isinstance(again, CallEnd)
        assert made.answer is not None
        assert (made.charge, made.stored, again.stored, again.call_id) == (Charge.NO, False, True, made.call_id)
        row = await one.row()
    assert (row.state, row.held, payee.asked) == (State.RELEASED, 0, 1)


async def test_what_is_being_bought_is_not_prepared_beside_it_nor_asked_for_its_price_twice_at_once(
    tmp_path: Path, payee: Payee, clock: StillClock
) -> None:
    found = dict[str, object]()
    async with house(tmp_path, payee, clock) as one:
        one.wire.held["/quote"] = anyio.Event()

        async def prepare(name: str) -> None:
            found[name] = await one.calls.prepare(BUYING, Caller(LOCAL))

        async def pay() -> None:
            found["paid"] = await one.calls.pay(BUYING, Caller(LOCAL))

        async with anyio.create_task_group() as hosts:
            hosts.start_soon(prepare, "first")
            await anyio.wait_all_tasks_blocked()
            hosts.start_soon(pay)
            await anyio.wait_all_tasks_blocked()
            hosts.start_soon(prepare, "last")
            await anyio.wait_all_tasks_blocked()
            assert payee.asked == 1
            one.wire.held.pop("/quote").set()
        row = await one.row()
        paid, last = found["paid"], found["last"]
    assert isinstance(found["first"], Preparation)
    assert isinstance(paid, CallEnd)
    assert isinstance(last, CallEnd)
    assert (paid.charge, last.call_id, payee.charged(row.call_id)) == (Charge.YES, row.call_id, [50_000])


@pytest.mark.parametrize("what", ["charged", "doubt", "raises"])
async def test_what_a_rail_sent_without_a_word_is_never_lost(
    tmp_path: Path,
    payee: Payee,
    clock: StillClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    what: str,
) -> None:
    execute = TinyRail.execute

    class Deaf:
        async def sending(self) -> None:
            return

        async def keep(self, *entries: Entry) -> None:
            if what != "charged":
                raise NotNow(Refusal("NOTHING_KEPT", "not written down"))

    async def silent(self: TinyRail, call: OpenCall, _journal: Journal, progress: Progress | None = None) -> Outcome:
        found = await execute(self, call, Deaf(), progress)
        if what == "raises":
            raise ZeroDivisionError
        return found

    monkeypatch.setattr(TinyRail, "execute", silent)
    async with house(tmp_path, payee, clock) as one:
        end = await one.calls.pay(BUYING, Caller(LOCAL))
        assert (end.charge is Charge.YES, end.charge is Charge.NO) == (what == "charged", False)
        assert (await one.row()).state is (State.SETTLED if what == "charged" else State.IN_DOUBT)
        assert ("without saying so" in caplog.text) is (what != "raises")
        clock.at += 60_000
        await one.calls.recover()
        row = await one.row()
        assert (row.charged, payee.charged(row.call_id)) == (50_000, [50_000])
        assert (await one.ledger.audit()).findings == ()


@pytest.mark.parametrize("voids", [False, True])
@pytest.mark.parametrize("dies", [False, True], ids=["lives", "dies"])
async def test_a_payment_for_the_time_being_counts_until_it_stands_or_comes_back(
    tmp_path: Path, payee: Payee, clock: StillClock, voids: bool, dies: bool
) -> None:
    payee.final_ms, payee.voids = 2 * LOOK_MS, voids
    async with house(tmp_path, payee, clock) as one:
        end = await one.calls.pay(BUYING, Caller(LOCAL))
        one.calls.delivered(end)
        row = await one.row()
        assert (end.charge, row.state, row.ended_at) == (Charge.YES, State.SETTLED, None)
        if not dies:
            clock.at += LOOK_MS
            one.wire.faults[f"/jobs/{row.call_id}/receipt"] = "unheard"
            await one.calls.recover()
            row = await one.row()
            assert (row.state, row.look_again_at, row.ended_at) == (State.SETTLED, clock.at + LOOK_MS, None)
            clock.at += LOOK_MS
            await one.calls.recover()
            row = await one.row()
    if dies:
        clock.at += 2 * LOOK_MS
        async with house(tmp_path, payee, clock) as other:
            await other.calls.recover()
            row = await other.row()
    back = 50_000 if voids else 0
    assert (row.state, row.charged, row.refunded, row.look_again_at) == (State.SETTLED, 50_000, back, None)
    async with house(tmp_path, payee, clock) as last:
        windows = await last.calls.reader(LOCAL).windows()
        assert [one.used for one in windows if one.meter.label == "daily_usdc"] == [50_000 - back]
        assert (await last.ledger.audit()).findings == ()
    assert payee.charged(row.call_id) == [50_000]


async def test_the_same_is_bought_anew_while_a_payment_is_looked_at_and_nobody_waits_for_that(
    tmp_path: Path, payee: Payee, clock: StillClock
) -> None:
    payee.final_ms = LOOK_MS
    async with house(tmp_path, payee, clock) as one:
        first = await one.calls.pay(BUYING, Caller(LOCAL))
        one.calls.delivered(first)
        await one.ledger.flush()
        path = f"/jobs/{first.call_id}/receipt"
        one.wire.held[path] = anyio.Event()
        clock.at += LOOK_MS
        async with anyio.create_task_group() as beside:
            beside.start_soon(one.calls.recover)
            await anyio.wait_all_tasks_blocked()
            # It is looked at once, whoever asks.
            assert first.call_id is not None
            standing = await one.calls.resolve(first.call_id)
            second = await one.calls.pay(BUYING, Caller(LOCAL))
            one.wire.held[path].set()
        await one.ledger.flush()
        rows = {row.call_id: row for row in await one.ledger.rows()}
    assert standing is not None
    assert (standing.charge, second.charge, second.stored) == (Charge.YES, Charge.YES, False)
    assert second.call_id != first.call_id
    assert rows[first.call_id].look_again_at is None


async def test_who_asks_for_a_call_waits_for_what_is_being_done_with_it_and_for_no_other_than_it_must(
    tmp_path: Path, payee: Payee, clock: StillClock
) -> None:
    ends = list[CallEnd | None]()
    payee.takes_ms = 3_600_000
    async with house(tmp_path, payee, clock) as one:
        first = await one.calls.pay(BUYING, Caller(LOCAL))
        assert first.call_id is not None
        payee.jobs[first.call_id].done_at = 0
        path = f"/jobs/{first.call_id}"
        one.wire.held[path] = anyio.Event()

        async def ask() -> None:
            ends.append(await one.calls.resolve(first.call_id or ""))

        async with anyio.create_task_group() as askers:
            for _ in range(3):
                askers.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            one.wire.held.pop(path).set()
    assert [(end.charge, end.call_id) for end in ends if end is not None] == [(Charge.YES, first.call_id)] * 3


async def test_a_house_that_closes_looks_at_no_charge_any_more(tmp_path: Path, payee: Payee, clock: StillClock) -> None:
    payee.final_ms = LOOK_MS
    async with house(tmp_path, payee, clock) as one:
        first = await one.calls.pay(BUYING, Caller(LOCAL))
        await one.ledger.flush()
        clock.at += LOOK_MS
        one.calls._closing = True
        end = await one.calls.resolve(first.call_id or "")
        row = await one.row()
    assert end is not None
    assert (end.charge, row.look_again_at is not None) == (Charge.YES, True)
