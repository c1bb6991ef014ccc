"""A prepared call: the price is promised for a while, and paid once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from jecp_mcp.calls import codes
from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.calls.ports import (
    CallEnd,
    Caller,
    Charge,
    Decision,
    Question,
    Reply,
)
from jecp_mcp.calls.prepared import PREPARED_MS, Preparation
from jecp_mcp.domain.offers import Price
from jecp_mcp.domain.outcomes import Outcome
from jecp_mcp.domain.purchases import LOCAL, Principal, Purchase
from jecp_mcp.domain.quotes import QuoteKind
from jecp_mcp.mandate.grants import GrantKind, GrantRef, GrantState
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.base import StoredRequest
from jecp_mcp.settings import MandateSettings
from tests.unit.calls.test_endings import rewrite
from tests.unit.calls.test_pipeline import (
    ACTION,
    PRICE,
    StillClock,
    always_charged,
    always_lost,
    buying,
    charged,
    opened,
    refused,
)

pytestmark = pytest.mark.anyio


async def prepare(calls: Calls, purchase: Purchase) -> Preparation:
    made = await calls.prepare(purchase, Caller(LOCAL))
    assert isinstance(made, Preparation)
    return made


async def execute(calls: Calls, made: Preparation, purchase: Purchase) -> CallEnd:
    found = await calls.prepared(made.grant.grant_id, "local")
    assert not isinstance(found, CallEnd)
    assert found[1] == made.call
    return await calls.execute(found, purchase, Caller(LOCAL))


def code(end: CallEnd) -> str:
    assert end.refusal is not None
    assert (end.charge, end.amount) == (Charge.NO, 0)
    return end.refusal.code


async def test_preparing_shows_the_price_and_spends_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        made = await prepare(calls, buying(x=1))
        totals = await ledger.totals()
    assert (made.call.tool, made.call.key, made.call.version) == ("docs_invoice_create", ACTION.key, "1.0.0")
    assert (made.call.quote.amount, made.call.quote.kind) == (PRICE, QuoteKind.EXACT)
    assert (made.call.hold, made.call.arguments) == (PRICE, {"x": 1})
    assert (made.grant.state, made.grant.expires_at - made.grant.created_at) == (GrantState.GRANTED, PREPARED_MS)
    assert (made.full, made.approval, rail.sent, totals.held) == ((), None, [], 0)


async def test_a_prepared_call_is_paid_once_and_then_tells_what_it_came_to(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        made = await prepare(calls, buying(x=1))
        first = await execute(calls, made, buying(x=1))
        calls.delivered(first)
        await ledger.flush()
        again = await execute(calls, made, buying(x=1))
    assert (first.charge, again.charge, again.call_id, again.stored) == (Charge.YES, Charge.YES, first.call_id, True)
    assert again.answer is not None
    assert again.offer == ACTION
    assert len(rail.sent) == 1


async def test_a_prepared_call_in_doubt_is_finished_and_not_bought_again(tmp_path: Path) -> None:
    async with opened(tmp_path, always_lost) as (calls, rail, ledger):
        made = await prepare(calls, buying(x=1))
        first = await execute(calls, made, buying(x=1))
        await ledger.flush()
        rail.script = always_charged
        again = await execute(calls, made, buying(x=1))
    assert (first.charge, again.charge, again.call_id) == (Charge.UNKNOWN, Charge.YES, first.call_id)
    assert {request.call_id for request in rail.sent} == {first.call_id}


async def test_a_prepared_call_that_cost_nothing_can_be_executed_until_it_expires(tmp_path: Path) -> None:
    clock = StillClock()

    async def refuse_all_but_the_second(request: StoredRequest, _replay: bool) -> Outcome:
        return charged(request) if len(rail.sent) == 2 else refused()

    async with opened(tmp_path, refuse_all_but_the_second, clock=clock) as (calls, rail, ledger):
        one, two = await prepare(calls, buying(n=1)), await prepare(calls, buying(n=2))
        assert code(await execute(calls, one, buying(n=1))) == "INSUFFICIENT_BALANCE"
        await ledger.flush()
        paid = await execute(calls, one, buying(n=1))
        assert code(await execute(calls, two, buying(n=2))) == "INSUFFICIENT_BALANCE"
        await ledger.flush()
        clock.at += PREPARED_MS
        assert code(await execute(calls, two, buying(n=2))) == codes.PREPARED_EXPIRED
    assert (paid.charge, len(rail.sent)) == (Charge.YES, 3)


async def test_only_the_latest_preparation_of_a_call_counts(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, _ledger):
        old, new = await prepare(calls, buying(x=1)), await prepare(calls, buying(x=1))
        assert code(await execute(calls, old, buying(x=1))) == codes.PREPARED_SUPERSEDED
        assert (await execute(calls, new, buying(x=1))).charge is Charge.YES
    assert len(rail.sent) == 1


async def test_a_price_is_promised_for_a_while_and_not_a_millisecond_longer(tmp_path: Path) -> None:
    clock = StillClock()
    async with opened(tmp_path, always_charged, clock=clock) as (calls, rail, _ledger):
        made = await prepare(calls, buying(x=1))
        clock.at += PREPARED_MS
        assert code(await execute(calls, made, buying(x=1))) == codes.PREPARED_EXPIRED
        clock.at -= 1
        assert (await execute(calls, made, buying(x=1))).charge is Charge.YES
    assert len(rail.sent) == 1


METERED = replace(ACTION, price=Price(MicroUSDC(1_000), "per_token", metered=True, rates={"per_1k": Decimal("0.01")}))


@pytest.mark.parametrize(
    "price",
    [
        Price(MicroUSDC(1_000), "per_token", metered=True, rates={"per_1k": Decimal("10.00")}),
        Price(MicroUSDC(1_000), "per_token", metered=True, rates={"per_1m": Decimal("0.01")}),
        Price(MicroUSDC(1_000), "per_second", metered=True, rates=METERED.price.rates),
    ],
)
async def test_a_metered_call_is_not_paid_by_other_rates_than_it_was_prepared_at(tmp_path: Path, price: Price) -> None:
    purchase = Purchase("docs_invoice_create", METERED, {})
    async with opened(tmp_path, always_charged, mandate=MandateSettings(daily_usdc="5", per_call_usdc="0.2")) as (
        calls, rail, _ledger,
    ):  # fmt: skip
        made = await prepare(calls, purchase)
        dearer = await execute(calls, made, replace(purchase, offer=replace(METERED, price=price)))
        assert (code(dearer), rail.sent) == (codes.PRICE_CHANGED, [])
        assert (await execute(calls, made, purchase)).charge is Charge.YES


@pytest.mark.parametrize(("raised", "most"), [("0.9", 200_000), ("0.2", 200_000), ("0.1", 100_000)])
async def test_a_prepared_call_never_costs_more_than_it_promised_whatever_the_limit_is_by_now(
    tmp_path: Path, raised: str, most: int
) -> None:
    purchase = Purchase("docs_invoice_create", METERED, {})
    mandate = MandateSettings(daily_usdc="5", per_call_usdc="0.2")
    async with opened(tmp_path, always_charged, mandate=mandate) as (calls, _rail, _ledger):
        made = await prepare(calls, purchase)
        assert made.call.hold == 200_000
    mandate = MandateSettings(daily_usdc="5", per_call_usdc=raised)
    async with opened(tmp_path, always_charged, mandate=mandate) as (calls, rail, _ledger):
        end = await execute(calls, made, purchase)
    assert (end.charge, end.reserved, rail.sent[0].hold) == (Charge.YES, most, most)


@pytest.mark.parametrize("change", [{"price": Price(MicroUSDC(PRICE + 1))}, {"version": "1.0.1"}])
async def test_what_changed_in_the_catalog_since_is_not_bought(tmp_path: Path, change: dict[str, object]) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, _ledger):
        made = await prepare(calls, buying(x=1))
        changed = replace(ACTION, **change)  # type: ignore[arg-type]  # one field of the catalog's at a time
        end = await execute(calls, made, Purchase("docs_invoice_create", changed, {"x": 1}))
    assert (code(end), rail.sent) == (codes.PRICE_CHANGED, [])


async def test_what_costs_less_than_it_was_promised_for_is_paid_at_what_it_costs(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, _ledger):
        made = await prepare(calls, buying(x=1))
        cheaper = replace(ACTION, price=Price(MicroUSDC(PRICE - 1)))
        end = await execute(calls, made, Purchase("docs_invoice_create", cheaper, {"x": 1}))
    assert (end.charge, end.amount, rail.sent[0].hold) == (Charge.YES, PRICE - 1, PRICE - 1)


async def test_an_unknown_price_stays_unknown_when_it_is_kept(tmp_path: Path) -> None:
    mandate = MandateSettings(daily_usdc="1.00", unknown_price="0.20")
    unknown = Purchase("docs_invoice_create", replace(ACTION, price=Price(None)), {})
    async with opened(tmp_path, always_charged, mandate=mandate) as (calls, rail, _ledger):
        made = await prepare(calls, unknown)
        end = await execute(calls, made, unknown)
    assert (made.call.quote.kind, made.call.hold) == (QuoteKind.UNKNOWN, 200_000)
    assert (end.charge, [request.hold for request in rail.sent]) == (Charge.YES, [200_000])


async def test_nobody_else_finds_a_prepared_call(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, _rail, _ledger):
        made = await prepare(calls, buying(x=1))
        for whose, prepared_id in (("another", made.grant.grant_id), ("local", "prep_unknown")):
            found = await calls.prepared(prepared_id, whose)
            assert isinstance(found, CallEnd)
            assert code(found) == codes.PREPARED_NOT_FOUND


async def test_preparing_tells_what_stands_in_the_way(tmp_path: Path) -> None:
    mandate = MandateSettings(daily_usdc="0.15", hourly_usdc="0.30", approve_above_usdc="0.05")
    async with opened(tmp_path, always_charged, mandate=mandate) as (calls, _rail, ledger):
        made = await prepare(calls, buying(n=1))
        assert (made.full, made.approval is not None) == ((), True)
        assert made.approval is not None
        because, grant = made.approval
        assert await ledger.answer_grant(GrantRef(GrantKind.APPROVAL, grant.grant_id), True, "granted at the terminal")
        assert (await execute(calls, made, buying(n=1))).charge is Charge.YES
        await ledger.flush()
        blocked = await prepare(calls, buying(n=2))
    assert because == (
        "A call that may cost 0.10 USDC needs the approval of a person, for the setting mandate.approve_above_usdc is "
        "0.05."
    )
    assert [one.meter.label for one in blocked.full] == ["daily_usdc"]


async def test_what_the_mandate_denies_is_not_prepared(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged, mandate=MandateSettings(deny=("docs/*",))) as (calls, _rail, ledger):
        made = await calls.prepare(buying(), Caller(LOCAL))
        assert list(await ledger.grants(GrantKind.PREPARED)) == []
    assert isinstance(made, CallEnd)
    assert code(made) == "DENIED_BY_POLICY"


async def test_a_prepared_call_that_joined_the_running_one_is_used_by_it(tmp_path: Path) -> None:
    sent, go_on = anyio.Event(), anyio.Event()
    ends = dict[str, CallEnd]()

    async def slow(request: StoredRequest, _replay: bool) -> Outcome:
        sent.set()
        await go_on.wait()
        return charged(request)

    async with opened(tmp_path, slow) as (calls, rail, ledger):
        made = await prepare(calls, buying(x=1))

        async def pay() -> None:
            ends["paid"] = await calls.pay(buying(x=1), Caller(LOCAL))

        async def join() -> None:
            await sent.wait()
            ends["joined"] = await execute(calls, made, buying(x=1))

        async with anyio.create_task_group() as hosts:
            hosts.start_soon(pay)
            hosts.start_soon(join)
            await sent.wait()
            await anyio.wait_all_tasks_blocked()
            go_on.set()
        calls.delivered(ends["joined"])
        await ledger.flush()
        grant = await ledger.grant(GrantRef(GrantKind.PREPARED, made.grant.grant_id))
        again = await execute(calls, made, buying(x=1))
    assert grant is not None
    assert (grant.state, grant.call_id) == (GrantState.USED, ends["paid"].call_id)
    assert [end.call_id for end in (ends["joined"], again)] == [ends["paid"].call_id] * 2
    assert len(rail.sent) == 1


async def test_a_prepared_call_that_joined_one_that_came_to_nothing_is_still_good(tmp_path: Path) -> None:
    sent, go_on = anyio.Event(), anyio.Event()

    async def refuse_the_first(request: StoredRequest, _replay: bool) -> Outcome:
        if len(rail.sent) > 1:
            return charged(request)
        sent.set()
        await go_on.wait()
        return refused()

    async with opened(tmp_path, refuse_the_first) as (calls, rail, ledger):
        made = await prepare(calls, buying(x=1))
        async with anyio.create_task_group() as hosts:
            hosts.start_soon(calls.pay, buying(x=1), Caller(LOCAL))
            await sent.wait()
            hosts.start_soon(execute, calls, made, buying(x=1))
            await anyio.wait_all_tasks_blocked()
            go_on.set()
        await ledger.flush()
        paid = await execute(calls, made, buying(x=1))
    assert (paid.charge, len(rail.sent)) == (Charge.YES, 2)


async def test_a_prepared_call_that_met_the_answer_of_an_earlier_one_is_used_by_it(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        paid = await calls.pay(buying(x=1), Caller(LOCAL))
        made = await prepare(calls, buying(x=1))
        met = await execute(calls, made, buying(x=1))
        calls.delivered(met)
        await ledger.flush()
        again = await execute(calls, made, buying(x=1))
    assert [end.call_id for end in (met, again)] == [paid.call_id] * 2
    assert len(rail.sent) == 1


async def test_a_prepared_call_that_met_one_in_doubt_is_used_by_it(tmp_path: Path) -> None:
    async with opened(tmp_path, always_lost) as (calls, rail, ledger):
        lost = await calls.pay(buying(x=1), Caller(LOCAL))
        made = await prepare(calls, buying(x=1))
        rail.script = always_charged
        met = await execute(calls, made, buying(x=1))
        calls.delivered(met)
        await ledger.flush()
        again = await execute(calls, made, buying(x=1))
    assert [(end.charge, end.call_id) for end in (met, again)] == [(Charge.YES, lost.call_id)] * 2
    assert {request.call_id for request in rail.sent} == {lost.call_id}


async def test_a_prepared_call_that_joined_one_that_was_never_bought_is_still_good(tmp_path: Path) -> None:
    asked, go_on = anyio.Event(), anyio.Event()

    class Slow:
        async def approve(self, _question: Question) -> Reply:
            asked.set()
            await go_on.wait()
            return Reply(Decision.DECLINED)

        async def show_link(self, purpose: str, message: str, make: Callable[[], Awaitable[str]]) -> Reply:
            raise AssertionError

    mandate = MandateSettings(daily_usdc="0.05", raise_limits_in_host=True)
    async with opened(tmp_path, always_charged, mandate=mandate) as (calls, rail, ledger):
        made = await prepare(calls, buying(x=1))
        async with anyio.create_task_group() as hosts:
            hosts.start_soon(calls.pay, buying(x=1), Caller(LOCAL, asker=Slow()))
            await asked.wait()
            hosts.start_soon(execute, calls, made, buying(x=1))
            await anyio.wait_all_tasks_blocked()
            go_on.set()
        grant = await ledger.grant(GrantRef(GrantKind.PREPARED, made.grant.grant_id))
    assert grant is not None
    assert (grant.state, grant.call_id, rail.sent) == (GrantState.GRANTED, None, [])


async def test_a_prepared_call_that_was_superseded_just_now_buys_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, _ledger):
        first = await prepare(calls, buying(x=1))
        await prepare(calls, buying(x=1))
        end = await calls.execute((first.grant, first.call), buying(x=1), Caller(LOCAL))
    assert (code(end), rail.sent) == (codes.PREPARED_SUPERSEDED, [])


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"tool": "t", "quote": []}', b'{"quote": ["1", "exact", "", "p", "a", "", null]}']
)
async def test_what_another_version_prepared_is_refused_and_what_it_was_used_for_is_told(
    tmp_path: Path, body: bytes
) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        paid, waiting = await prepare(calls, buying(n=1)), await prepare(calls, buying(n=2))
        end = await execute(calls, paid, buying(n=1))
        await ledger.flush()
        rewrite(tmp_path, f"UPDATE slip SET body = x'{body.hex()}'")
        used = await calls.prepared(paid.grant.grant_id, "local")
        unused = await calls.prepared(waiting.grant.grant_id, "local")
    assert isinstance(used, CallEnd)
    assert isinstance(unused, CallEnd)
    assert code(unused) == codes.PREPARED_NOT_FOUND
    assert (used.charge, used.call_id, used.stored, used.answer) == (Charge.YES, end.call_id, True, end.answer)
    assert len(rail.sent) == 1


async def test_what_its_own_principal_withdraws_buys_nothing_any_more(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        made = await prepare(calls, buying())
        await calls.withdraw("prep_unknown", LOCAL)
        for principal, state in ((Principal("another"), GrantState.GRANTED), (LOCAL, GrantState.SUPERSEDED)):
            await calls.withdraw(made.grant.grant_id, principal)
            await ledger.flush()
            kept = await ledger.grant(GrantRef(GrantKind.PREPARED, made.grant.grant_id))
            assert kept is not None
            assert kept.state is state
        end = await execute(calls, made, buying())
    assert (code(end), rail.sent) == (codes.PREPARED_SUPERSEDED, [])
