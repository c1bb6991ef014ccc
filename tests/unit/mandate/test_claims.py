"""Who may still speak for a call: after it was taken over only a proven charge is believed from whoever lost it."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Admitted, Conclusion
from jecp_mcp.mandate.rules import CLOCK_SLACK_MS
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.states import State
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import START, HandClock, everything, meter, reservation


async def lost(ledger: SqliteLedger) -> str:
    """A call that was taken over while its first task slept."""
    wanted = reservation(ledger.session, 60, meters=[meter()])
    await ledger.reserve(wanted)
    await ledger.adopt_orphans(everything)
    row = await ledger.row(wanted.call_id)
    assert row is not None
    assert (row.state, row.claim) == (State.IN_DOUBT, 1)
    return wanted.call_id


@pytest.mark.anyio
@pytest.mark.parametrize(
    "end",
    [
        Conclusion("", Verdict.NOT_CHARGED, claim=0),
        Conclusion("", Verdict.IN_DOUBT, claim=0),
        Conclusion("", Verdict.PENDING, claim=0, look_again_at=START),
        Conclusion("", Verdict.CHARGED, MicroUSDC(60), claim=0, proven=False),
    ],
)
async def test_nothing_but_proof_is_believed_from_a_claim_that_was_lost(
    ledger: SqliteLedger, caplog: pytest.LogCaptureFixture, end: Conclusion
) -> None:
    call_id = await lost(ledger)
    with caplog.at_level(logging.ERROR):
        ledger.conclude(Conclusion(call_id, end.verdict, end.charged, claim=0, proven=end.proven))
        await ledger.flush()
    assert "taken over" in caplog.text
    row = await ledger.row(call_id)
    assert row is not None
    assert (row.state, row.held) == (State.IN_DOUBT, 60)


@pytest.mark.anyio
async def test_a_proven_charge_is_true_whoever_saw_it(ledger: SqliteLedger) -> None:
    call_id = await lost(ledger)
    ledger.conclude(Conclusion(call_id, Verdict.CHARGED, MicroUSDC(40), claim=0))
    row = await ledger.row(call_id)
    assert row is not None
    assert (row.state, row.charged) == (State.RECONCILED_CHARGED, 40)


@pytest.mark.anyio
async def test_a_proven_charge_overrules_a_release(ledger: SqliteLedger) -> None:
    wanted = reservation(ledger.session, 60, meters=[meter()])
    await ledger.reserve(wanted)
    ledger.conclude(Conclusion(wanted.call_id, Verdict.NOT_CHARGED, claim=0))
    ledger.conclude(Conclusion(wanted.call_id, Verdict.CHARGED, MicroUSDC(40), claim=0))
    row = await ledger.row(wanted.call_id)
    assert row is not None
    assert (row.state, row.charged) == (State.RECONCILED_CHARGED, 40)
    assert [one.used for one in await ledger.readings([meter()])] == [40]


@pytest.mark.anyio
async def test_the_claim_that_holds_is_believed(ledger: SqliteLedger) -> None:
    call_id = await lost(ledger)
    ledger.conclude(Conclusion(call_id, Verdict.NOT_CHARGED, claim=1))
    row = await ledger.row(call_id)
    assert row is not None
    assert row.state is State.RECONCILED_FREE


@pytest.mark.anyio
async def test_a_call_that_a_task_works_on_is_left_to_it(ledger: SqliteLedger) -> None:
    wanted = reservation(ledger.session)
    await ledger.reserve(wanted)
    assert await ledger.adopt_orphans(everything, [wanted.call_id]) == []
    row = await ledger.row(wanted.call_id)
    assert row is not None
    assert (row.state, row.claim) == (State.SENT, 0)


@pytest.mark.anyio
async def test_a_call_its_payee_still_works_on_waits_and_is_asked_for_in_time(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    wanted = reservation(ledger.session)
    await ledger.reserve(wanted)
    ledger.conclude(Conclusion(wanted.call_id, Verdict.PENDING, claim=0, look_again_at=clock.now() + 30_000))
    assert await ledger.adopt_orphans(everything) == []
    assert await ledger.next_look() == clock.at + 30_000
    clock.forward(seconds=30)
    (row,) = await ledger.adopt_orphans(everything)
    assert (row.call_id, row.state, row.look_again_at) == (wanted.call_id, State.SENT, clock.at)
    ledger.conclude(Conclusion(wanted.call_id, Verdict.CHARGED, MicroUSDC(5), claim=0))
    assert await ledger.next_look() is None


@pytest.mark.anyio
async def test_what_can_no_longer_be_proven_is_written_off(ledger: SqliteLedger, clock: HandClock) -> None:
    wanted = reservation(ledger.session, 60, meters=[meter()], provable_until=START + 3_300_000)
    await ledger.reserve(wanted)
    ledger.conclude(Conclusion(wanted.call_id, Verdict.IN_DOUBT, claim=0, look_again_at=clock.now() + 86_400_000))
    clock.forward(ms=3_299_999)
    assert await ledger.adopt_orphans(everything, clock_right=True) == []
    clock.forward(ms=1)
    assert await ledger.adopt_orphans(everything) == []
    unsure = await ledger.row(wanted.call_id)
    assert unsure is not None
    assert unsure.state is State.IN_DOUBT
    assert await ledger.adopt_orphans(everything, clock_right=True) == []
    row = await ledger.row(wanted.call_id)
    assert row is not None
    assert (row.state, row.look_again_at) == (State.WRITTEN_OFF, None)
    assert [one.used for one in await ledger.readings([meter()])] == [60]


@pytest.mark.anyio
async def test_what_was_made_while_the_clock_was_ahead_is_written_off_where_nobody_works_on_it(
    path: Path, ledger: SqliteLedger, clock: HandClock
) -> None:
    living, dead = (open_ledger(path, name, clock) for name in ("living", "dead"))
    clock.forward(hours=24)
    for one in (ledger, living, dead):
        for name in ("running", "left"):
            call_id = f"{one.session} {name}"
            await one.reserve(reservation(one.session, call_id=call_id, fingerprint=call_id))
            if name == "left":
                await one.conclude_now(Conclusion(call_id, Verdict.IN_DOUBT, claim=0, look_again_at=clock.now()))
    await dead.close()
    clock.forward(hours=-24)
    running = [f"{ledger.session} running"]
    await ledger.adopt_orphans(lambda _rail, _account, _authorized: False, running)
    assert {row.state for row in await ledger.rows()} == {State.SENT, State.IN_DOUBT}
    await ledger.adopt_orphans(lambda _rail, _account, _authorized: False, running, clock_right=True)
    gone = {row.call_id for row in await ledger.rows() if row.state is State.WRITTEN_OFF}
    assert gone == {f"{ledger.session} left", "dead running", "dead left"}
    await living.close()


@pytest.mark.anyio
async def test_a_clock_that_is_behind_by_no_more_than_is_allowed_writes_nothing_off(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    await ledger.reserve(reservation(ledger.session, call_id="c"))
    await ledger.conclude_now(Conclusion("c", Verdict.IN_DOUBT, claim=0, look_again_at=UnixMs(START + 30_000)))
    for behind, state in ((CLOCK_SLACK_MS, State.IN_DOUBT), (CLOCK_SLACK_MS + 1, State.WRITTEN_OFF)):
        clock.at = START - behind
        await ledger.adopt_orphans(everything, clock_right=True)
        assert [row.state for row in await ledger.rows()] == [state]


@pytest.mark.anyio
async def test_a_leap_of_the_clock_that_is_over_writes_nothing_off(ledger: SqliteLedger, clock: HandClock) -> None:
    wanted = reservation(ledger.session, provable_until=START + 3_300_000)
    await ledger.reserve(wanted)
    ledger.conclude(Conclusion(wanted.call_id, Verdict.IN_DOUBT, claim=0, look_again_at=START + 30_000))
    clock.forward(hours=8)
    # Something is written down in the meantime, and the ledger's time stands still there.
    await ledger.recount()
    clock.forward(hours=-8)
    clock.forward(seconds=60)
    assert [row.state for row in await ledger.adopt_orphans(everything, clock_right=True)] == [State.IN_DOUBT]


LEFT = [(False, State.RELEASED, "nothing was sent"), (True, State.IN_DOUBT, "the outcome was not heard")]


@pytest.mark.anyio
@pytest.mark.parametrize(("send", "state", "heard"), LEFT)
async def test_a_call_of_this_process_that_no_task_works_on_says_so_and_whether_it_had_left(
    ledger: SqliteLedger, send: bool, state: State, heard: str
) -> None:
    await ledger.reserve(reservation(ledger.session, 60, call_id="left", send=send))
    await ledger.adopt_orphans(everything)
    row = await ledger.row("left")
    assert row is not None
    assert (row.state, row.evidence, row.attempts) == (state, f"no task works on it, and {heard}", 0)


@pytest.mark.anyio
@pytest.mark.parametrize(("send", "state", "heard"), LEFT)
async def test_a_call_of_a_process_that_ended_says_so_and_whether_it_had_left(
    path: Path, ledger: SqliteLedger, clock: HandClock, send: bool, state: State, heard: str
) -> None:
    dead = open_ledger(path, clock=clock)
    await dead.reserve(reservation(dead.session, 60, call_id="left", send=send))
    await dead.close()
    await ledger.adopt_orphans(everything)
    row = await ledger.row("left")
    assert row is not None
    assert (row.state, row.evidence, row.attempts) == (state, f"its process ended, and {heard}", 0)


BEYOND = 2**63


@pytest.mark.anyio
@pytest.mark.parametrize(
    "end",
    [
        Conclusion("", Verdict.CHARGED, MicroUSDC(BEYOND)),
        Conclusion("", Verdict.CHARGED, MicroUSDC(5), refunded=MicroUSDC(BEYOND)),
        Conclusion("", Verdict.CHARGED, MicroUSDC(5), balance_after=MicroUSDC(BEYOND)),
        Conclusion("", Verdict.CHARGED, MicroUSDC(5), balance_after=MicroUSDC(-BEYOND)),
        Conclusion("", Verdict.CHARGED, MicroUSDC(5), attempts=BEYOND),
        Conclusion("", Verdict.CHARGED, MicroUSDC(-1)),
        Conclusion("", Verdict.CHARGED, MicroUSDC(5), refunded=MicroUSDC(-5)),
        Conclusion("", Verdict.NOT_CHARGED, MicroUSDC(5)),
        Conclusion("", Verdict.NOT_CHARGED, refunded=MicroUSDC(5)),
        Conclusion("", Verdict.IN_DOUBT, MicroUSDC(5), refunded=MicroUSDC(5)),
    ],
)
async def test_amounts_that_no_end_can_carry_change_nothing(ledger: SqliteLedger, end: Conclusion) -> None:
    await ledger.reserve(reservation(ledger.session, 60, call_id="left"))
    with pytest.raises(LedgerError):
        await ledger.conclude_now(replace(end, call_id="left"))
    row = await ledger.row("left")
    assert row is not None
    assert (row.state, row.charged, row.refunded) == (State.SENT, 0, 0)
    await ledger.conclude_now(Conclusion("left", Verdict.CHARGED, MicroUSDC(5), balance_after=MicroUSDC(BEYOND - 1)))


@pytest.mark.anyio
async def test_whoever_takes_a_call_over_says_so_and_sends_it_again_under_its_own_claim(
    path: Path, ledger: SqliteLedger, clock: HandClock
) -> None:
    dead = open_ledger(path, "dead", clock)
    await dead.reserve(reservation("dead", call_id="c"))
    await dead.conclude_now(Conclusion("c", Verdict.IN_DOUBT, claim=0))
    await dead.close()
    (row,) = await ledger.adopt_orphans(everything)
    adopted = [one for one in await ledger.events("c") if one.event == "adopt"]
    assert [(one.before, one.after, one.facts) for one in adopted] == [(State.IN_DOUBT, State.IN_DOUBT, {"claim": 1})]
    assert await ledger.resend("c", row.claim, []) == Admitted("c", clock.now(), 1)
