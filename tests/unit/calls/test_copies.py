"""Copies on purpose, and what a call may cost at most by the model's own word: neither pays twice or more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jecp_mcp.calls import codes
from jecp_mcp.calls.ports import CallEnd, Caller, Charge
from jecp_mcp.calls.prepared import Preparation
from jecp_mcp.calls.stored import fingerprint, identity
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.domain.outcomes import Outcome
from jecp_mcp.domain.purchases import LOCAL, Purchase
from jecp_mcp.mandate.states import State
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.base import StoredRequest
from jecp_mcp.settings import MandateSettings
from tests.unit.calls.test_metered import MANDATE, asking, metered
from tests.unit.calls.test_pipeline import ACTION, PRICE, always_charged, always_lost, buying, opened, refused

pytestmark = pytest.mark.anyio
ME = Caller(LOCAL)


def labelled(label: str, **arguments: Any) -> Purchase:
    return replace(buying(**arguments), label=label)


# --- what it may cost at most -----------------------------------------------------------------------------------------


async def test_a_metered_call_is_held_and_sent_at_what_the_model_gave_as_the_most(tmp_path: Path) -> None:
    async with opened(tmp_path, metered, mandate=MANDATE) as (calls, rail, ledger):
        end = await calls.pay(replace(asking(1), most=MicroUSDC(40_000)), ME)
        await ledger.flush()
        (row,) = await ledger.rows()
    assert (end.charge, rail.sent[0].hold, row.held) == (Charge.YES, 40_000, 40_000)


async def test_no_argument_raises_what_a_call_may_cost(tmp_path: Path) -> None:
    async with opened(tmp_path, metered, mandate=MANDATE) as (calls, rail, _):
        await calls.pay(replace(asking(1), most=MicroUSDC(900_000_000)), ME)
    assert rail.sent[0].hold == 250_000


async def test_a_price_above_what_the_model_gave_is_refused_before_anything_is_reserved(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        wish = replace(buying(n=1), most=MicroUSDC(PRICE - 1))
        for end in (await calls.pay(wish, ME), await calls.prepare(wish, ME)):
            assert isinstance(end, CallEnd)
            assert end.refusal is not None
            assert (end.refusal.code, end.charge) == (codes.PRICE_ABOVE_MAXIMUM, Charge.NO)
        assert (rail.sent, list(await ledger.rows())) == ([], [])
        assert (await calls.pay(replace(wish, most=PRICE), ME)).charge is Charge.YES


async def test_a_lowered_most_needs_no_approval_that_the_whole_would_need(tmp_path: Path) -> None:
    asked = MandateSettings(per_call_usdc="0.25", daily_usdc="1.00", approve_above_usdc="0.10")
    async with opened(tmp_path, metered, mandate=asked) as (calls, rail, _):
        whole = await calls.pay(asking(1), ME)
        assert whole.refusal is not None
        assert whole.refusal.code == codes.APPROVAL_REQUIRED
        assert (await calls.pay(replace(asking(1), most=MicroUSDC(50_000)), ME)).charge is Charge.YES
        made = await calls.prepare(replace(asking(2), most=MicroUSDC(60_000)), ME)
        assert isinstance(made, Preparation)
        assert (made.call.hold, made.approval) == (60_000, None)
        _, call = known = await calls.prepared(made.grant.grant_id, LOCAL)
        assert call.as_asked("t") == {"tool": "t", "arguments": {"n": 2}, "max_usdc": "0.06"}
        whole = await calls.prepare(asking(3), ME)
        assert isinstance(whole, Preparation)
        assert whole.call.as_asked("t") == {"tool": "t", "arguments": {"n": 3}}
        assert (await calls.execute(known, asking(2), ME)).charge is Charge.YES
    assert [one.hold for one in rail.sent] == [50_000, 60_000]


async def test_the_same_call_at_another_most_is_the_same_call(tmp_path: Path) -> None:
    async with opened(tmp_path, always_lost, mandate=MANDATE) as (calls, rail, _):
        first = await calls.pay(replace(asking(1), most=MicroUSDC(40_000)), ME)
        again = await calls.pay(replace(asking(1), most=MicroUSDC(50_000)), ME)
        bare = await calls.pay(asking(1), ME)
    assert first.call_id == again.call_id == bare.call_id
    assert len({one.call_id for one in rail.sent}) == 1


async def test_who_gives_another_most_is_not_refused_for_the_one_who_came_first(tmp_path: Path) -> None:
    ends: dict[int | None, CallEnd] = {}

    async def pay(most: int | None) -> None:
        wish = replace(asking(1), most=None if most is None else MicroUSDC(most))
        ends[most] = await calls.pay(wish, ME)

    async with opened(tmp_path, metered, mandate=MANDATE) as (calls, rail, _), anyio.create_task_group() as together:
        for most in (1, 20_000, None):
            together.start_soon(pay, most)
    assert [ends[most].charge for most in (1, 20_000, None)] == [Charge.NO, Charge.NO, Charge.YES]
    assert [one.hold for one in rail.sent] == [20_000, 250_000]


@pytest.mark.slow
@given(
    price=st.one_of(st.none(), st.integers(0, 400_000)),
    is_metered=st.booleans(),
    most=st.one_of(st.none(), st.integers(0, 400_000)),
    threshold=st.sampled_from([None, "0.05"]),
)
@settings(max_examples=80, deadline=None)
async def test_whatever_is_asked_no_more_is_held_than_the_limits_and_the_model_allow(
    price: int | None, is_metered: bool, most: int | None, threshold: str | None
) -> None:
    amount = None if price is None else MicroUSDC(price)
    offer = Offer("any/thing", "do", "any", Price(amount, metered=is_metered), version="1")
    wish = Purchase("t", offer, {}, None if most is None else MicroUSDC(most))
    mandate = MandateSettings(
        per_call_usdc="0.25", daily_usdc="0.30", unknown_price="0.10", approve_above_usdc=threshold
    )
    with TemporaryDirectory() as path:
        async with opened(Path(path), always_charged, mandate=mandate) as (calls, rail, _):
            end = await calls.pay(wish, ME)
    bound = min(250_000, 400_000 if most is None else most)
    assert all(one.hold <= bound for one in rail.sent)
    assert all(threshold is None or one.hold <= 50_000 for one in rail.sent)
    if price is not None and price > bound:
        assert (end.charge, rail.sent) == (Charge.NO, [])


# --- copies -----------------------------------------------------------------------------------------------------------


async def test_labels_asked_for_at_once_are_each_bought_and_the_same_label_once(tmp_path: Path) -> None:
    both, ends = anyio.Event(), list[CallEnd]()

    async def paid_together(request: StoredRequest, _replay: bool) -> Outcome:
        if len(rail.sent) == 3:
            both.set()
        await both.wait()
        return await always_charged(request, _replay)

    async def pay(label: str) -> None:
        ends.append(await calls.pay(labelled(label, n=1), ME))

    async with opened(tmp_path, paid_together) as (calls, rail, ledger):
        with anyio.fail_after(60):
            async with anyio.create_task_group() as together:
                for label in ("", "2", "3", "2"):
                    together.start_soon(pay, label)
        numbers = {end.call_id: await ledger.copy_number(str(end.call_id)) for end in ends}
        reader = calls.reader(LOCAL)
        assert (await reader.with_copy_number(ends[0], labelled=True)).copy == numbers[ends[0].call_id]
        assert await ledger.copy_number("nobody") == 0
    assert all(end.charge is Charge.YES for end in ends)
    assert len(rail.sent) == len(numbers) == 3
    assert sorted(numbers.values()) == [1, 2, 3]


async def test_a_new_label_is_refused_with_the_status_of_the_copy_in_doubt(tmp_path: Path) -> None:
    async with opened(tmp_path, always_lost) as (calls, rail, ledger):
        lost = await calls.pay(labelled("2", n=1), ME)
        for label in ("3", ""):
            end = await calls.pay(labelled(label, n=1), ME)
            prepared = await calls.prepare(labelled(label, n=1), ME)
            assert isinstance(prepared, CallEnd)
            for one in (end, prepared):
                assert one.refusal is not None
                assert (one.call_id, one.charge, one.refusal.code) == (
                    lost.call_id, Charge.UNKNOWN, codes.CALL_IN_DOUBT,
                )  # fmt: skip
        assert {one.call_id for one in rail.sent} == {lost.call_id}
        assert (await calls.pay(labelled("3", n=2), ME)).call_id != lost.call_id, "other arguments are another call"
        rail.script = always_charged
        found = await calls.resolve(str(lost.call_id))
        assert found is not None
        assert found.charge is Charge.YES
        assert (await calls.pay(labelled("3", n=1), ME)).charge is Charge.YES
        await ledger.flush()
        assert [row.state for row in await ledger.rows() if row.call_id != lost.call_id][:1] == [State.SETTLED]


async def test_a_copy_that_nobody_waits_for_any_more_keeps_a_new_label_from_being_bought(tmp_path: Path) -> None:
    sent, go_on = anyio.Event(), anyio.Event()

    async def slow(request: StoredRequest, replay: bool) -> Outcome:
        sent.set()
        await go_on.wait()
        return await always_charged(request, replay)

    async with opened(tmp_path, slow) as (calls, rail, _):
        with anyio.fail_after(60):
            async with anyio.create_task_group() as host:
                host.start_soon(calls.pay, buying(n=1), ME)
                await sent.wait()
                host.cancel_scope.cancel()
            relabelled = await calls.pay(labelled("retry", n=1), ME)
            assert relabelled.refusal is not None
            assert (relabelled.charge, relabelled.refusal.code) == (Charge.UNKNOWN, codes.CALL_IN_PROGRESS)
            go_on.set()
            kept = await calls.pay(buying(n=1), ME)
    assert (kept.stored, kept.charge, len(rail.sent)) == (True, Charge.YES, 1)


async def test_what_came_to_nothing_is_no_copy(tmp_path: Path) -> None:
    async def refusing(_request: StoredRequest, _replay: bool) -> Outcome:
        return refused()

    async with opened(tmp_path, refusing) as (calls, rail, ledger):
        await calls.pay(buying(n=1), ME)
        rail.script = always_charged
        end = await calls.pay(labelled("2", n=1), ME)
        await ledger.flush()
        assert await ledger.copy_number(str(end.call_id)) == 1


async def test_a_prepared_copy_is_bought_as_that_copy(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        await calls.pay(buying(n=1), ME)
        made = await calls.prepare(labelled("2", n=1), ME)
        assert isinstance(made, Preparation)
        known = await calls.prepared(made.grant.grant_id, LOCAL)
        assert isinstance(known, tuple)
        _, call = known
        end = await calls.execute(known, labelled(call.label, n=1), ME)
        row = await ledger.row(str(end.call_id))
    assert row is not None
    assert row.fingerprint == fingerprint(identity(LOCAL, ACTION.source, ACTION.key, {"n": 1}), "2")
    assert len(rail.sent) == 2


@pytest.mark.slow
@given(labels=st.lists(st.text(max_size=3), max_size=6))
@settings(max_examples=60, deadline=None)
async def test_one_purchase_for_each_label_until_its_answer_is_delivered(labels: list[str]) -> None:
    with TemporaryDirectory() as path:
        async with opened(Path(path), always_charged, mandate=MandateSettings(daily_usdc="1.00")) as (calls, rail, _):
            ends = [await calls.pay(labelled(label, n=1), ME) for label in labels]
    assert len(rail.sent) == len(set(labels))
    assert len({end.call_id for end in ends}) == len(set(labels))
