"""The rarer ways out of a paid call: denied, unwritable, closed, unknown, and a ledger that fails in between."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jecp_mcp.calls import codes, pipeline, upkeep
from jecp_mcp.calls.ports import CallEnd, Caller, Charge
from jecp_mcp.domain.outcomes import Outcome
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.mandate.grants import GrantKind
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Meter, MeterReading
from jecp_mcp.mandate.states import State
from jecp_mcp.rails.base import StoredRequest
from jecp_mcp.rails.codes import INVALID_REQUEST
from jecp_mcp.settings import MandateSettings
from tests.unit.calls.test_metered import BASE, MANDATE, asking
from tests.unit.calls.test_pipeline import (
    PRICE,
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


async def test_what_the_mandate_denies_is_neither_written_down_nor_sent(tmp_path: Path) -> None:
    mandate = MandateSettings(deny=("docs/*",))
    async with opened(tmp_path, always_charged, mandate=mandate) as (calls, rail, ledger):
        end = await calls.pay(buying(), Caller(LOCAL))
        rows = await ledger.rows()
    assert end.refusal is not None
    assert (end.charge, end.refusal.code, rail.sent, list(rows)) == (Charge.NO, "DENIED_BY_POLICY", [], [])


async def test_a_call_that_cannot_be_written_as_a_request_holds_nothing(tmp_path: Path) -> None:
    def refuse(*_: Any) -> StoredRequest:
        raise WireError("the input is larger than 5242880 bytes")

    async with opened(tmp_path, always_charged) as (calls, rail, ledger):
        rail.prepare = refuse  # type: ignore[method-assign]
        end = await calls.pay(buying(), Caller(LOCAL))
        rows = await ledger.rows()
    assert end.refusal is not None
    assert (end.charge, end.refusal.code, list(rows)) == (Charge.NO, INVALID_REQUEST, [])
    assert "larger than 5242880 bytes" in end.refusal.message


async def test_a_closed_pipeline_takes_no_call_and_sends_nothing_again(tmp_path: Path) -> None:
    async with opened(tmp_path, always_lost) as (calls, rail, ledger):
        first = await calls.pay(buying(), Caller(LOCAL))
        calls._closing = True
        late = await calls.pay(buying(n=2), Caller(LOCAL))
        assert first.call_id is not None
        asked = await calls.resolve(first.call_id)
        row = await settled(ledger, first)
    assert late.refusal is not None
    assert (late.charge, late.refusal.code, len(rail.sent)) == (Charge.NO, codes.SHUTTING_DOWN, 1)
    assert asked is not None
    assert (asked.charge, asked.held, row.state) == (Charge.UNKNOWN, PRICE, State.IN_DOUBT)


async def test_a_refused_call_has_nothing_to_deliver(tmp_path: Path) -> None:
    async def refuse(_request: StoredRequest, _replay: bool) -> Outcome:
        return refused()

    async with opened(tmp_path, refuse) as (calls, rail, ledger):
        for _ in range(2):
            calls.delivered(await calls.pay(buying(), Caller(LOCAL)))
        await ledger.flush()
        rows = await ledger.rows()
    assert [(row.state, row.delivered) for row in rows] == [(State.RELEASED, False)] * 2
    assert len(rail.sent) == 2


async def test_the_status_is_told_of_one_call_and_of_none_that_is_unknown(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, _rail, ledger):
        end = await calls.pay(buying(), Caller(LOCAL))
        await calls.pay(buying(n=2), Caller(LOCAL))
        await ledger.flush()
        assert end.call_id is not None
        assert (row := await calls.reader(LOCAL).call(end.call_id)) is not None
        assert row.call_id == end.call_id
        assert await calls.reader(LOCAL).call("call_of_nobody") is None
        assert await calls.resolve("call_of_nobody") is None
        assert len(await calls.reader(LOCAL).latest(limit=10)) == 2


async def test_a_call_that_the_ledger_does_not_tell_of_is_not_said_to_be_free(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"this is no database, " * 400)
    async with opened(tmp_path, always_charged) as (calls, rail, _ledger):
        asked = await calls.resolve("call_1")
    assert asked is not None
    assert asked.refusal is not None
    assert (asked.charge, asked.call_id, asked.refusal.code) == (Charge.UNKNOWN, "call_1", codes.LEDGER_DAMAGED)
    assert "Nothing was" not in asked.refusal.message
    assert rail.sent == []


async def test_a_call_whose_answer_was_dropped_since_is_told_with_what_it_cost_and_why_nothing_else_is(
    tmp_path: Path,
) -> None:
    clock = StillClock()
    async with opened(tmp_path, always_charged, clock=clock) as (calls, rail, ledger):
        end = await calls.pay(buying(), Caller(LOCAL))
        calls.delivered(end)
        await ledger.flush()
        clock.at += 1
        assert await ledger.prune(clock.now()) == 1
        assert end.call_id is not None
        asked = await calls.resolve(end.call_id)
    assert asked is not None
    assert asked.refusal is not None
    assert (asked.charge, asked.amount, asked.refusal.code) == (Charge.YES, PRICE, codes.CALL_OVER)
    assert "its answer was dropped since (ledger.keep_bodies_days and keep_bodies_mb)" in asked.refusal.message
    assert len(rail.sent) == 1


async def test_the_caller_is_taken_to_listen_unless_its_presence_says_otherwise() -> None:
    class Gone:
        async def listening(self) -> bool:
            return False

    assert await Caller(LOCAL).listening()
    assert not await Caller(LOCAL, connection=Gone()).listening()


async def test_a_rail_that_breaks_during_a_replay_leaves_the_call_in_doubt_and_the_pipeline_open(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def break_on_replay(request: StoredRequest, replay: bool) -> Outcome:
        if replay:
            raise ZeroDivisionError
        return lost() if b"'n': 1" in request.payload else charged(request)

    async with opened(tmp_path, break_on_replay) as (calls, _rail, ledger):
        first = await calls.pay(buying(n=1), Caller(LOCAL))
        assert first.call_id is not None
        asked = await calls.resolve(first.call_id)
        other = await calls.pay(buying(n=2), Caller(LOCAL))
        row = await settled(ledger, first)
    assert asked is not None
    assert (asked.charge, asked.held, row.state, other.charge) == (Charge.UNKNOWN, PRICE, State.IN_DOUBT, Charge.YES)
    assert f"the call {first.call_id} failed inside the bridge" in caplog.text


async def test_a_metered_call_whose_room_another_process_took_meanwhile_is_bought_at_its_base(tmp_path: Path) -> None:
    async with opened(tmp_path, always_lost, mandate=MANDATE) as (calls, rail, ledger):
        look = ledger.readings

        async def look_while_another_buys(meters: Sequence[Meter]) -> Sequence[MeterReading]:
            found = await look(meters)
            async with opened(tmp_path, always_lost, mandate=MANDATE) as (other, _, _books):
                await other.pay(asking(2), Caller(LOCAL))
            return found

        ledger.readings = look_while_another_buys  # type: ignore[method-assign]
        end = await calls.pay(asking(1), Caller(LOCAL))
        totals = await ledger.totals()
    assert (end.charge, end.held) == (Charge.UNKNOWN, BASE)
    assert [request.hold for request in rail.sent] == [BASE]
    assert totals.held == 250_000 + BASE


async def test_a_ledger_that_is_gone_when_the_server_ends_is_reported_and_does_not_break_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path, always_charged) as (calls, _rail, ledger):
        end = await calls.pay(buying(), Caller(LOCAL))
        await ledger.flush()
        file, away, close = tmp_path / "ledger.sqlite", tmp_path / "away", ledger.close

        async def put_back_and_close() -> None:
            away.rename(file)
            await close()

        ledger.close = put_back_and_close  # type: ignore[method-assign]
        calls.delivered(end)
        file.rename(away)
    assert end.charge is Charge.YES
    assert "could not be brought up to date while closing" in caplog.text


async def test_a_call_that_cannot_be_taken_over_stands_as_it_was_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pipeline, "GRACE_SECONDS", 0.01)
    begun = anyio.Event()

    async def never(_request: StoredRequest, _replay: bool) -> Outcome:
        begun.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with anyio.create_task_group() as dying, opened(tmp_path, never) as (other, first, _books):
        dying.start_soon(other.pay, buying(), Caller(LOCAL))
        await begun.wait()
        looking = open_ledger(tmp_path / "ledger.sqlite", clock=StillClock())
        async with opened(tmp_path, always_charged) as (calls, rail, _ledger):
            row = await looking.row(first.sent[0].call_id)
            assert row is not None
            (tmp_path / "ledger.sqlite").unlink()
            stands = await calls._execution.taken_over(row, ())
        await looking.close()
        dying.cancel_scope.cancel()
    assert stands == row
    assert (stands.state, rail.sent) == (State.SENT, [])
    assert f"call {row.call_id} could not be taken over" in caplog.text


async def test_a_round_that_proves_nothing_says_nothing_and_a_later_one_finishes_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(upkeep, "LEAST_SECONDS", 0)
    proven = anyio.Event()

    async def prove_the_fourth(request: StoredRequest, _replay: bool) -> Outcome:
        if len(rail.sent) < 4:
            return lost()
        proven.set()
        return replace(charged(request), attempts=1)

    async with opened(tmp_path, prove_the_fourth) as (calls, rail, ledger):
        first = await calls.pay(buying(), Caller(LOCAL))
        with caplog.at_level(logging.WARNING):
            async with anyio.create_task_group() as beside:
                beside.start_soon(calls.keep_recovering)
                with anyio.fail_after(60):
                    await proven.wait()
                    while (await settled(ledger, first)).state is State.IN_DOUBT:
                        await anyio.lowlevel.checkpoint()
                beside.cancel_scope.cancel()
    said = [record.getMessage() for record in caplog.records if "whose answer was lost" in record.getMessage()]
    assert [line.rpartition("=")[2] for line in said] == ["yes"], "the round that proved it"


async def test_a_call_that_cannot_be_written_as_a_request_asks_nobody_for_consent(tmp_path: Path) -> None:
    def refuse(*_: Any) -> StoredRequest:
        raise WireError("the input is larger than 5242880 bytes")

    mandate = MandateSettings(approve_above_usdc="0.01")
    async with opened(tmp_path, always_charged, mandate=mandate) as (calls, rail, ledger):
        rail.prepare = refuse  # type: ignore[method-assign]
        end = await calls.pay(buying(), Caller(LOCAL))
        grants = await ledger.grants(GrantKind.APPROVAL)
    assert end.refusal is not None
    assert (end.charge, end.refusal.code, list(grants)) == (Charge.NO, INVALID_REQUEST, [])


async def test_a_call_in_doubt_is_left_to_the_living_process_that_owns_it(tmp_path: Path) -> None:
    async with opened(tmp_path, always_lost) as (calls, rail, ledger):
        first = await calls.pay(buying(), Caller(LOCAL))
        await ledger.flush()
        async with opened(tmp_path, always_charged) as (other, others_rail, _):
            assert first.call_id is not None
            asked = await other.resolve(first.call_id)
            repeated = await other.pay(buying(), Caller(LOCAL))
        assert asked is not None
        assert (asked.charge, repeated.charge, others_rail.sent) == (Charge.UNKNOWN, Charge.UNKNOWN, [])
        assert len(rail.sent) == 1


async def test_a_call_that_another_left_is_found_out_though_the_same_is_asked_for_here_and_gets_no_price(
    tmp_path: Path,
) -> None:
    asked, go_on, ends = anyio.Event(), anyio.Event(), list[CallEnd | None]()

    async def no_price(*_: Any) -> Refusal:
        asked.set()
        await go_on.wait()
        return Refusal("NO_PRICE", "The payee names no price.")

    async def find_out(request: StoredRequest, _replay: bool) -> Outcome:
        return charged(request)

    async with opened(tmp_path, find_out) as (calls, rail, ledger):
        rail.quote = no_price  # type: ignore[method-assign]

        async def resolve(call_id: str) -> None:
            ends.append(await calls.resolve(call_id))

        async with anyio.create_task_group() as hosts:
            hosts.start_soon(calls.pay, buying(), Caller(LOCAL))
            await asked.wait()
            async with opened(tmp_path, always_lost) as (others, _rail, _ledger):
                left = await others.pay(buying(), Caller(LOCAL))
            assert left.call_id is not None
            hosts.start_soon(resolve, left.call_id)
            with anyio.fail_after(60):
                while (row := await ledger.row(left.call_id)) is None or row.owner != ledger.session:
                    await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
            go_on.set()
    (end,) = ends
    assert end is not None
    assert (end.charge, end.call_id) == (Charge.YES, left.call_id)
    assert [request.call_id for request in rail.sent] == [left.call_id]
