"""Group commit: who waits for whom, what order holds, and what a cancelled caller leaves behind."""

import asyncio
import fcntl
import os
import threading
from pathlib import Path
from typing import Any

import apsw
import pytest

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerDamaged, LedgerError, LedgerUnavailable
from jecp_mcp.mandate import commands, writer
from jecp_mcp.mandate.grants import Grant, GrantKind, GrantRef, GrantState
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import (
    Admitted,
    AlreadyOpen,
    Conclusion,
    OverLimit,
    Reservation,
)
from jecp_mcp.mandate.sqlite import write_lock
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.states import State
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import START, HandClock, meter, reservation


class OtherProcess:
    """The lock another process would hold while it writes."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(f"{path}.lock", os.O_RDWR)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def done(self) -> None:
        os.close(self._descriptor)


@pytest.mark.anyio
async def test_a_lone_caller_is_served_without_leaving_its_thread(ledger: SqliteLedger) -> None:
    waiting = ledger.reserve(reservation(ledger.session))
    with pytest.raises(StopIteration) as done:
        waiting.send(None)
    assert isinstance(done.value.value, Admitted)


@pytest.mark.anyio
async def test_callers_who_come_within_a_few_turns_share_a_transaction_until_one_comes_alone_for_a_while(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_QUICK", float("inf"))
    commit, sizes = ledger._file.commit, list[int]()

    def counted(steps: Any, *, wait: bool) -> list[Any]:
        sizes.append(len(steps))
        return commit(steps, wait=wait)

    monkeypatch.setattr(ledger._file, "commit", counted)

    async def after(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        assert isinstance(await ledger.reserve(reservation(ledger.session, call_id=f"{turns}")), Admitted)

    await asyncio.gather(*(after(turns) for turns in range(writer._TURNS)))
    assert sizes == [1, writer._TURNS - 1]
    at_once = []
    for number in range(writer._STILL_CROWDED + 1):
        waiting = asyncio.ensure_future(ledger.reserve(reservation(ledger.session, call_id=f"alone {number}")))
        await asyncio.sleep(0)
        at_once.append(waiting.done())
        await waiting
    assert at_once == [False] * writer._STILL_CROWDED + [True]


@pytest.mark.anyio
async def test_the_statements_of_a_purchase_are_compiled_once(ledger: SqliteLedger) -> None:
    compiled: list[tuple[int, str | None]] = []

    def compiling(code: int, what: str | None, *_: str | None) -> int:
        compiled.append((code, what))
        return apsw.SQLITE_OK

    async def purchase(number: int) -> None:
        fingerprint, cap = f"f{number}", meter(limit=1_000)
        promise = Grant(
            GrantKind.PREPARED,
            f"g{number}",
            "local",
            fingerprint,
            GrantState.GRANTED,
            b"",
            START,
            UnixMs(START + 60_000),
        )
        assert await ledger.identical(fingerprint) is None
        await ledger.write_grant(promise)
        assert await ledger.grant(GrantRef(GrantKind.PREPARED, f"g{number}")) is not None
        await ledger.readings([cap])
        wanted = reservation(ledger.session, 7, fingerprint=fingerprint, meters=[cap])
        assert isinstance(await ledger.reserve(wanted), Admitted)
        ledger.conclude(Conclusion(wanted.call_id, Verdict.CHARGED, MicroUSDC(7), answer=b"{}"))
        ledger.note_delivery(wanted.call_id)
        assert (await ledger.readings([cap]))[0].used == 7 * (number + 1)

    await purchase(0)
    for connection in (ledger._file._connection, ledger._file._reader):
        assert connection is not None
        connection.set_authorizer(compiling)
    await purchase(1)
    assert compiled, "an authorizer is asked when a statement is compiled"
    compiled.clear()
    await purchase(2)
    assert [found for found in compiled if found[0] != apsw.SQLITE_TRANSACTION] == []


@pytest.mark.anyio
@pytest.mark.parametrize("callers", [2, 64, 600])
async def test_callers_at_once_fill_a_cap_exactly(ledger: SqliteLedger, callers: int) -> None:
    cap = meter(limit=7 * (callers // 2))
    async with asyncio.timeout(60):
        admissions = await asyncio.gather(
            *(ledger.reserve(reservation(ledger.session, 7, meters=[cap])) for _ in range(callers))
        )
    assert sum(isinstance(one, Admitted) for one in admissions) == callers // 2
    assert sum(isinstance(one, OverLimit) for one in admissions) == callers - callers // 2


@pytest.mark.anyio
async def test_identical_calls_at_once_are_bought_once(ledger: SqliteLedger) -> None:
    admissions = await asyncio.gather(
        *(ledger.reserve(reservation(ledger.session, fingerprint="f")) for _ in range(20))
    )
    assert sum(isinstance(one, Admitted) for one in admissions) == 1
    assert sum(isinstance(one, AlreadyOpen) for one in admissions) == 19


@pytest.mark.anyio
async def test_one_impossible_change_does_not_spoil_the_batch_it_is_in(ledger: SqliteLedger) -> None:
    wanted = [reservation(ledger.session, call_id=name, fingerprint=f"{number}") for number, name in enumerate("aabcc")]
    outcomes = await asyncio.gather(*(ledger.reserve(one) for one in wanted), return_exceptions=True)
    assert [isinstance(one, Admitted) for one in outcomes] == [True, False, True, True, False]
    assert (await ledger.totals()).calls == 3


@pytest.mark.anyio
async def test_what_is_queued_is_written_soon_without_anybody_waiting(ledger: SqliteLedger, path: Path) -> None:
    wanted = reservation(ledger.session)
    await ledger.reserve(wanted)
    ledger.conclude(Conclusion(wanted.call_id, Verdict.CHARGED, MicroUSDC(5)))
    other = open_ledger(path)
    async with asyncio.timeout(60):
        while (row := await other.row(wanted.call_id)) is None or row.state is not State.SETTLED:
            await asyncio.sleep(0)
    await other.close()


@pytest.mark.anyio
async def test_a_conclusion_is_written_before_the_reservation_that_follows_it(ledger: SqliteLedger) -> None:
    cap = meter(limit=10)
    for _ in range(5):
        wanted = reservation(ledger.session, 10, meters=[cap], fingerprint="f")
        assert isinstance(await ledger.reserve(wanted), Admitted)
        ledger.conclude(Conclusion(wanted.call_id, Verdict.NOT_CHARGED))


@pytest.mark.anyio
async def test_the_loop_runs_on_while_another_process_writes(ledger: SqliteLedger, path: Path) -> None:
    other = OtherProcess(path)
    waiting = [asyncio.ensure_future(ledger.reserve(reservation(ledger.session))) for _ in range(5)]
    for _ in range(100):
        await asyncio.sleep(0)
    assert not any(one.done() for one in waiting)
    other.done()
    async with asyncio.timeout(60):
        assert all(isinstance(one, Admitted) for one in await asyncio.gather(*waiting))


@pytest.mark.anyio
async def test_a_caller_cancelled_while_it_waits_leaves_nothing_held(
    ledger: SqliteLedger, path: Path, clock: HandClock
) -> None:
    cap = meter()
    other = OtherProcess(path)
    first = asyncio.ensure_future(ledger.reserve(reservation(ledger.session, 10, meters=[cap], call_id="in a batch")))
    for _ in range(10):
        await asyncio.sleep(0)
    second = asyncio.ensure_future(ledger.reserve(reservation(ledger.session, 10, meters=[cap], call_id="queued")))
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    other.done()
    outcomes = await asyncio.gather(first, second, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in outcomes)
    await ledger.flush()
    await ledger.flush()
    assert [reading.used for reading in await ledger.readings([cap])] == [0]
    row = await ledger.row("in a batch")
    assert row is not None
    assert row.state is State.RELEASED
    assert await ledger.row("queued") is None


@pytest.mark.anyio
async def test_what_only_callers_wanted_that_have_left_is_not_written(ledger: SqliteLedger) -> None:
    first, second = (
        asyncio.create_task(ledger.reserve(reservation(ledger.session, call_id=name))) for name in ("first", "second")
    )
    # The first is written at once; the second waits for the end of that turn, and leaves before it.
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([first, second])
    assert (isinstance(first.result(), Admitted), second.cancelled()) == (True, True)
    assert [row.call_id for row in await ledger.rows()] == ["first"]


@pytest.mark.anyio
async def test_a_caller_cancelled_when_its_answer_is_there_leaves_nothing_held(ledger: SqliteLedger) -> None:
    cap = meter()

    leaving: list[asyncio.Task[object]] = []

    async def reserve() -> object:
        return await ledger.reserve(reservation(ledger.session, 10, meters=[cap]))

    async def reserve_and_cancel_the_rest() -> object:
        admission = await reserve()
        for other in leaving:
            other.cancel()
        return admission

    # The first is served alone, the others together: by the time the second wakes, all have their answer.
    alone = asyncio.create_task(reserve())
    second = asyncio.create_task(reserve_and_cancel_the_rest())
    leaving += [asyncio.create_task(reserve()) for _ in range(6)]
    outcomes = await asyncio.gather(alone, second, *leaving, return_exceptions=True)
    assert [isinstance(one, Admitted) for one in outcomes] == [True, True, *[False] * 6]
    await ledger.flush()
    assert [reading.used for reading in await ledger.readings([cap])] == [20]
    assert (await ledger.totals()).calls == 8


@pytest.mark.anyio
async def test_a_caller_who_left_before_it_was_refused_leaves_nothing_either(ledger: SqliteLedger, path: Path) -> None:
    wanted = reservation(ledger.session, 10)
    await ledger.reserve(wanted)
    other = OtherProcess(path)
    waiting = [
        asyncio.ensure_future(ledger.reserve(reservation(ledger.session, 10, meters=[meter(limit=1)]))),
        asyncio.ensure_future(ledger.refund(wanted.call_id, MicroUSDC(1), "never charged")),
        asyncio.ensure_future(ledger.recount()),
    ]
    for _ in range(10):
        await asyncio.sleep(0)
    for one in waiting:
        one.cancel()
    other.done()
    await asyncio.gather(*waiting, return_exceptions=True)
    await ledger.flush()
    assert [one.event for one in await ledger.events()] == ["reserve", "meter", "recount"]


def test_what_is_queued_where_no_loop_runs_is_written_with_what_comes_next(path: Path) -> None:
    ledger = open_ledger(path)
    wanted = reservation(ledger.session)
    asyncio.run(_reserve(ledger, wanted))
    ledger.conclude(Conclusion(wanted.call_id, Verdict.NOT_CHARGED))
    assert asyncio.run(_row_then_close(ledger)) == [State.RELEASED]


async def _reserve(ledger: SqliteLedger, wanted: Reservation) -> None:
    await ledger.reserve(wanted)


@pytest.mark.anyio
async def test_a_transaction_of_another_thread_is_waited_for_and_then_reported(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_lock, "LONGEST_WAIT", 0.05)
    writing, go_on = threading.Event(), threading.Event()

    def slow(_books: object, _at: object) -> None:
        writing.set()
        go_on.wait(60)

    thread = threading.Thread(target=lambda: ledger._file.commit([slow], wait=True))
    thread.start()
    assert writing.wait(60)
    with pytest.raises(LedgerUnavailable, match="another thread"):
        await ledger.reserve(reservation(ledger.session))
    go_on.set()
    thread.join()
    assert isinstance(await ledger.reserve(reservation(ledger.session)), Admitted)


@pytest.mark.anyio
async def test_every_transition_leaves_an_event(ledger: SqliteLedger, clock: HandClock) -> None:
    wanted = reservation(ledger.session, 10, send=False)
    await ledger.reserve(wanted)
    await ledger.send(wanted.call_id)
    clock.forward(seconds=1)
    ledger.conclude(Conclusion(wanted.call_id, Verdict.IN_DOUBT, evidence="lost"))
    ledger.conclude(Conclusion(wanted.call_id, Verdict.CHARGED, MicroUSDC(7), evidence="replayed"))
    events = await ledger.events(wanted.call_id)
    assert [(one.event, one.before, one.after, one.charged, one.evidence) for one in events] == [
        ("reserve", None, State.RESERVED, 0, None),
        ("send", State.RESERVED, State.SENT, 0, None),
        ("doubt", State.SENT, State.IN_DOUBT, 0, "lost"),
        ("prove_charged", State.IN_DOUBT, State.RECONCILED_CHARGED, 7, "replayed"),
    ]
    assert [one.at for one in events] == [clock.at - 1000, clock.at - 1000, clock.at, clock.at]


@pytest.mark.anyio
async def test_the_latest_calls_come_first_and_states_choose(ledger: SqliteLedger) -> None:
    wanted = [reservation(ledger.session) for _ in range(4)]
    for one in wanted:
        await ledger.reserve(one)
    ledger.conclude(Conclusion(wanted[2].call_id, Verdict.NOT_CHARGED))
    names = [one.call_id for one in wanted]
    assert [row.call_id for row in await ledger.rows()] == names[::-1]
    assert [row.call_id for row in await ledger.rows(limit=2)] == names[:1:-1]
    assert [row.call_id for row in await ledger.rows(states=frozenset({State.SENT}))] == [
        names[3],
        names[1],
        names[0],
    ]
    assert [row.call_id for row in await ledger.rows(states=frozenset({State.RELEASED, State.SENT}), limit=2)] == [
        names[3],
        names[2],
    ]
    assert await ledger.row("nobody") is None


def test_one_ledger_serves_one_event_loop_after_another(path: Path, clock: HandClock) -> None:
    ledger = open_ledger(path, clock=clock)
    wanted = reservation(ledger.session)
    asyncio.run(_reserve_and_conclude(ledger, wanted.call_id))
    row = asyncio.run(_row_then_close(ledger))
    assert row == [State.RELEASED]


async def _reserve_and_conclude(ledger: SqliteLedger, call_id: str) -> None:
    await ledger.reserve(reservation(ledger.session, call_id=call_id))
    ledger.conclude(Conclusion(call_id, Verdict.NOT_CHARGED))


async def _row_then_close(ledger: SqliteLedger) -> list[State]:
    states = [row.state for row in await ledger.rows()]
    await ledger.close()
    return states


@pytest.mark.anyio
async def test_pages_walk_over_every_call_once_and_leave_bodies_out(ledger: SqliteLedger) -> None:
    wanted = [reservation(ledger.session) for _ in range(5)]
    for one in wanted:
        await ledger.reserve(one)
    found, after = [], 0
    while page := await ledger.pages(after=after, limit=2):
        assert len(page) <= 2
        found += page
        after = page[-1].number
    assert [row.call_id for row in found] == [one.call_id for one in wanted]
    assert {row.request for row in found} == {b""}


@pytest.mark.anyio
async def test_a_meter_that_moved_by_itself_makes_the_whole_batch_fail(ledger: SqliteLedger) -> None:
    wanted = commands.Reserve(reservation(ledger.session, 5, meters=[meter()]))
    await ledger.reserve(reservation(ledger.session, 5, meters=[meter()]))

    class Meddling:
        needs = wanted.needs

        def __call__(self, batch: Any, at: Any) -> None:
            wanted(batch, at)
            batch._bulk._execute("UPDATE meter SET used = used + 1")

    with pytest.raises(LedgerError, match="moved"):
        await ledger._writer.do(Meddling())
    assert (await ledger.totals()).calls == 1
    await ledger.close()


@pytest.mark.anyio
async def test_a_change_that_nobody_waits_for_keeps_no_other_from_being_written(ledger: SqliteLedger) -> None:
    names = ["a", "b", "c", "d"]
    for name in names:
        await ledger.reserve(reservation(ledger.session, call_id=name))
    connection = ledger._file._connection
    assert connection is not None
    # A disk that has room for little things yet.
    connection.pragma("max_page_count", connection.pragma("page_count") + 100)
    for name in names:
        answer = bytes(2_000_000) if name in "ab" else b"answer"
        ledger.conclude(Conclusion(name, Verdict.NOT_CHARGED, answer=answer))
    # Whoever waits is written without them, and in the end so is everything but what is too large.
    assert ledger.trouble is None
    assert isinstance(await ledger.reserve(reservation(ledger.session, call_id="e")), Admitted)
    assert ledger.trouble is not None
    for _ in range(2):
        with pytest.raises(LedgerUnavailable):
            await ledger.flush()
    assert isinstance(await ledger.reserve(reservation(ledger.session, call_id="f")), Admitted)
    assert ledger.trouble is not None
    states = {row.call_id: row.state for row in await ledger.rows()}
    assert {name for name, state in states.items() if state is State.SENT} == {"a", "b", "e", "f"}
    connection.pragma("max_page_count", 1_000_000)
    await ledger.flush()
    assert ledger.trouble is None
    assert {row.call_id for row in await ledger.rows(states=frozenset({State.RELEASED}))} == set(names)
    assert (await ledger.audit()).findings == ()


def room_for(ledger: SqliteLedger, pages: int) -> None:
    """A disk that has room for so many more pages."""
    connection = ledger._file._connection
    assert connection is not None
    connection.pragma("max_page_count", connection.pragma("page_count") + pages)


async def set_apart(ledger: SqliteLedger) -> None:
    """Leave an answer behind that the disk had no room for, until now."""
    await ledger.reserve(reservation(ledger.session, call_id="large"))
    room_for(ledger, 10)
    ledger.conclude(Conclusion("large", Verdict.CHARGED, MicroUSDC(5), answer=bytes(1_000_000)))
    with pytest.raises(LedgerUnavailable, match="disk is full"):
        await ledger.flush()
    room_for(ledger, 1_000_000)


@pytest.mark.anyio
async def test_what_could_not_be_written_is_written_later_though_nobody_asks(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_RETRY", 0.001)
    await set_apart(ledger)
    async with asyncio.timeout(60):
        while ledger.trouble is not None:
            await asyncio.sleep(0.001)
    assert [row.state for row in await ledger.rows()] == [State.SETTLED]


@pytest.mark.anyio
async def test_who_flushes_while_what_was_set_apart_is_tried_again_is_told_what_comes_of_it(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_RETRY", 3_600)
    await ledger.reserve(reservation(ledger.session, call_id="large"))
    room_for(ledger, 10)
    ledger.conclude(Conclusion("large", Verdict.CHARGED, MicroUSDC(5), answer=bytes(1_000_000)))
    do = ledger._writer.do

    async def do_and_try_again(step: Any) -> Any:
        done = await do(step)
        ledger._writer._end_linger()  # as if the time to try again had come before the flush goes on
        return done

    monkeypatch.setattr(ledger._writer, "do", do_and_try_again)
    with pytest.raises(LedgerUnavailable, match="disk is full"):
        await ledger.flush()
    monkeypatch.undo()
    room_for(ledger, 1_000_000)


@pytest.mark.anyio
async def test_everybody_who_flushes_waits_for_what_was_set_apart(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_RETRY", 3_600)
    await set_apart(ledger)

    async def buy() -> None:
        await ledger.reserve(reservation(ledger.session))
        ledger.note_delivery("large")

    async def flushed() -> str | None:
        await ledger.flush()
        return ledger.trouble

    # Those who flush wait for one batch first, and the one that wakes first begins to write what was set apart.
    assert await asyncio.gather(buy(), flushed(), flushed()) == [None] * 3


@pytest.mark.anyio
async def test_who_flushes_waits_for_what_was_set_apart_behind_a_batch_of_others(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_RETRY", 3_600)
    monkeypatch.setattr(writer, "_QUICK", 0)
    await set_apart(ledger)
    commit, entered, go_on = ledger._file.commit, threading.Event(), threading.Event()

    def commit_when_told(steps: Any, *, wait: bool) -> list[Any]:
        entered.set()
        go_on.wait(60)
        return commit(steps, wait=wait)

    monkeypatch.setattr(ledger._file, "commit", commit_when_told)
    ledger.note_delivery("large")
    flushing = asyncio.create_task(ledger.flush())
    while not entered.is_set():
        await asyncio.sleep(0.001)
    go_on.set()
    # Written, though the loop has not been told yet: whoever comes now is in its next turn, before the flush goes on.
    assert ledger._writer._pool is not None
    ledger._writer._pool.submit(int).result()
    other = asyncio.create_task(ledger.reserve(reservation(ledger.session)))
    async with asyncio.timeout(60):
        await flushing
    assert ledger.trouble is None
    assert isinstance(await other, Admitted)


@pytest.mark.anyio
async def test_who_is_kept_from_writing_by_what_nobody_waits_for_and_then_by_another_process_is_told_so(
    ledger: SqliteLedger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow the disk is, what is written in the loop's own thread waits for no lock.
    monkeypatch.setattr(writer, "_QUICK", 3_600)
    await ledger.reserve(reservation(ledger.session, call_id="large"))
    room_for(ledger, 10)
    commit, others = ledger._file.commit, list[OtherProcess]()

    def commit_and_lose_the_lock(steps: Any, *, wait: bool) -> list[Any]:
        try:
            return commit(steps, wait=wait)
        finally:
            if not others:
                others.append(OtherProcess(path))

    monkeypatch.setattr(ledger._file, "commit", commit_and_lose_the_lock)
    ledger.conclude(Conclusion("large", Verdict.CHARGED, MicroUSDC(5), answer=bytes(1_000_000)))
    with pytest.raises(LedgerUnavailable, match="disk is full"):
        await ledger.reserve(reservation(ledger.session, call_id="small"))
    others[0].done()
    assert await ledger.row("small") is None
    room_for(ledger, 1_000_000)
    await ledger.flush()
    assert [(row.call_id, row.state) for row in await ledger.rows()] == [("large", State.SETTLED)]


@pytest.mark.anyio
async def test_what_was_written_before_a_batch_broke_off_is_told_as_written(ledger: SqliteLedger) -> None:
    await ledger.reserve(reservation(ledger.session))
    room_for(ledger, 20)
    # A grant has a transaction to itself: the reservations before it have been written by then.
    grant = Grant(GrantKind.PREPARED, "a", "local", "f", GrantState.GRANTED, bytes(1_000_000), START, START)
    outcomes = await asyncio.gather(
        *(ledger.reserve(reservation(ledger.session)) for _ in range(2)),
        ledger.write_grant(grant),
        return_exceptions=True,
    )
    assert [type(one) for one in outcomes] == [Admitted, Admitted, LedgerUnavailable]
    assert (await ledger.totals()).calls == 3
    room_for(ledger, 1_000_000)
    assert await ledger.write_grant(grant) == grant


@pytest.mark.anyio
async def test_a_change_that_no_column_can_hold_does_not_spoil_the_batch_it_is_in(ledger: SqliteLedger) -> None:
    wanted = [reservation(ledger.session, tool=tool) for tool in ("a", "b", "half of a \ud83d", "c")]
    outcomes = await asyncio.gather(*(ledger.reserve(one) for one in wanted), return_exceptions=True)
    assert [type(one) for one in outcomes] == [Admitted, Admitted, LedgerError, Admitted]
    assert [row.tool for row in await ledger.rows()] == ["c", "b", "a"]


@pytest.mark.anyio
async def test_a_call_that_is_made_and_ends_in_one_batch_is_written_as_it_ended(ledger: SqliteLedger) -> None:
    wanted = reservation(ledger.session, 10, call_id="a", meters=[meter()])
    await asyncio.gather(
        ledger.reserve(reservation(ledger.session)),
        ledger.reserve(wanted),
        ledger.conclude_now(Conclusion("a", Verdict.CHARGED, MicroUSDC(4))),
    )
    row = await ledger.row("a")
    assert row is not None
    assert (row.state, row.charged) == (State.SETTLED, 4)
    assert [one.used for one in await ledger.readings([meter()])] == [5_004]


@pytest.mark.anyio
async def test_what_no_column_can_hold_is_not_found_and_is_no_damage(ledger: SqliteLedger) -> None:
    with pytest.raises(LedgerError, match="cannot hold a value") as refused:
        await ledger.row("half of a \ud83d")
    assert not isinstance(refused.value, LedgerDamaged)
    assert ledger.fault is None
    assert isinstance(await ledger.reserve(reservation(ledger.session)), Admitted)


@pytest.mark.anyio
async def test_what_is_noted_while_the_thread_writes_waits_for_it_and_is_written_after_it(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_QUICK", 0)  # so that the thread writes
    monkeypatch.setattr(writer, "_LINGER", 0)
    await ledger.reserve(reservation(ledger.session, call_id="first"))
    commit, go_on = ledger._file.commit, threading.Event()

    def held(*given: Any, **named: Any) -> Any:
        go_on.wait(60)
        return commit(*given, **named)

    monkeypatch.setattr(ledger._file, "commit", held)
    second = asyncio.create_task(ledger.reserve(reservation(ledger.session, call_id="second")))
    while not ledger._writer._busy:
        await asyncio.sleep(0)
    ledger.conclude(Conclusion("first", Verdict.CHARGED, MicroUSDC(5)))
    while ledger._writer._timer is not None:
        await asyncio.sleep(0)
    assert not second.done()
    go_on.set()
    assert isinstance(await second, Admitted)
    await ledger.flush()
    assert {row.call_id: row.state for row in await ledger.rows()} == {"first": State.SETTLED, "second": State.SENT}
