"""A charge that may yet turn: it counts, and is looked at again until it stands or came back."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Admitted, CallRow, Conclusion, Undelivered
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.states import State
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import START, HandClock, everything, meter, reservation

pytestmark = pytest.mark.anyio

LATER = UnixMs(START + 600_000)
CALL = "call_turning"


def charged(again: UnixMs | None, refunded: int = 0, *, claim: int = 0, answer: bytes | None = None) -> Conclusion:
    return Conclusion(
        CALL,
        Verdict.CHARGED,
        MicroUSDC(60),
        claim=claim,
        evidence="so it says",
        look_again_at=again,
        refunded=MicroUSDC(refunded),
        answer=answer,
        attempts=0,
    )


async def turning(ledger: Ledger, *, doubted: bool = False) -> CallRow:
    """A call that is charged for the time being."""
    await ledger.reserve(reservation(ledger.session, 60, meters=[meter()], call_id=CALL, fingerprint="print"))
    if doubted:
        await ledger.conclude_now(Conclusion(CALL, Verdict.IN_DOUBT, claim=0))
    await ledger.conclude_now(charged(LATER, answer=b"answer"))
    return await stands(ledger)


async def stands(ledger: Ledger) -> CallRow:
    await ledger.flush()
    row = await ledger.row(CALL)
    assert row is not None
    return row


async def used(ledger: Ledger) -> int:
    return (await ledger.readings([meter()]))[0].used


@pytest.mark.parametrize("doubted", [False, True])
async def test_it_counts_as_charged_and_is_due_when_it_said(
    ledger: SqliteLedger, clock: HandClock, doubted: bool
) -> None:
    row = await turning(ledger, doubted=doubted)
    assert row.state is (State.RECONCILED_CHARGED if doubted else State.SETTLED)
    assert (row.charged, row.look_again_at, row.ended_at, await used(ledger)) == (60, LATER, None, 60)
    assert await ledger.next_look() == LATER
    assert list(await ledger.adopt_orphans(everything)) == []
    clock.forward(seconds=600)
    assert [due.call_id for due in await ledger.adopt_orphans(everything)] == [CALL]


async def test_it_stands_once_it_is_confirmed_and_nothing_is_looked_at_again(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    await turning(ledger)
    clock.forward(seconds=600)
    await ledger.conclude_now(charged(None))
    row = await stands(ledger)
    assert (row.state, row.charged, row.refunded, row.look_again_at) == (State.SETTLED, 60, 0, None)
    assert row.ended_at is not None
    assert await ledger.next_look() is None
    for end in (charged(None), charged(LATER), Conclusion(CALL, Verdict.PENDING, claim=0)):
        with pytest.raises(LedgerError, match="nothing new"):
            await ledger.conclude_now(end)


async def test_what_came_back_returns_to_its_windows_and_never_goes_again(ledger: SqliteLedger) -> None:
    await turning(ledger)
    for refunded, left in ((20, 40), (10, 40), (1_000, 0)):
        await ledger.conclude_now(charged(LATER, refunded))
        assert ((await stands(ledger)).charged, await used(ledger)) == (60, left)
    await ledger.conclude_now(charged(None, 60))
    row = await stands(ledger)
    assert (row.state, row.charged, row.refunded, row.look_again_at) == (State.SETTLED, 60, 60, None)


@pytest.mark.parametrize("verdict", [Verdict.IN_DOUBT, Verdict.PENDING])
async def test_what_is_not_known_yet_is_looked_at_later(ledger: SqliteLedger, verdict: Verdict) -> None:
    await turning(ledger)
    for again in (UnixMs(LATER + 1), None):
        await ledger.conclude_now(Conclusion(CALL, verdict, claim=0, look_again_at=again))
        row = await stands(ledger)
        assert (row.state, row.charged, row.ended_at, await used(ledger)) == (State.SETTLED, 60, None, 60)
        assert row.look_again_at == again or (again is None and row.look_again_at is not None)


async def test_it_is_never_said_to_be_free_nor_changed_under_a_claim_that_was_lost(
    ledger: SqliteLedger, caplog: pytest.LogCaptureFixture
) -> None:
    await turning(ledger)
    with pytest.raises(LedgerError, match="nothing new"):
        await ledger.conclude_now(Conclusion(CALL, Verdict.NOT_CHARGED, claim=0))
    with pytest.raises(LedgerError, match="taken over"):
        await ledger.conclude_now(charged(None, 60, claim=7))
    with pytest.raises(LedgerError, match="cannot carry"):
        await ledger.conclude_now(charged(None, -1))
    assert await used(ledger) == 60


async def test_its_answer_stands_in_for_a_repeat_until_it_is_delivered_and_then_for_none(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    await turning(ledger)
    clock.forward(hours=48)
    again = reservation(ledger.session, 60, meters=[meter()], call_id="again", fingerprint="print")
    for found in (await ledger.identical("print"), await ledger.reserve(again)):
        assert isinstance(found, Undelivered)
        assert found.row.call_id == CALL
    ledger.note_delivery(CALL)
    await ledger.flush()
    assert await ledger.identical("print") is None
    assert isinstance(await ledger.reserve(again), Admitted)


async def test_it_keeps_its_bodies_until_it_stands(ledger: SqliteLedger, clock: HandClock) -> None:
    await turning(ledger)
    ledger.note_delivery(CALL)
    await ledger.flush()
    clock.forward(hours=48)
    assert await ledger.prune(clock.now()) == 0
    assert (await stands(ledger)).request != b""
    await ledger.conclude_now(charged(None))
    clock.forward(seconds=1)
    assert await ledger.prune(clock.now()) == 1


async def test_one_of_a_dead_process_is_looked_at_by_another(
    ledger: SqliteLedger, path: Path, clock: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    before = open_ledger(path, clock=clock)
    await turning(before)
    await before.close()
    clock.forward(seconds=600)
    assert [row.call_id for row in await ledger.adopt_orphans(everything)] == [CALL]
    row = await stands(ledger)
    assert (row.owner, row.claim, row.state) == (ledger.session, 1, State.SETTLED)
    # Who is not served is left to whoever serves them.
    with caplog.at_level(logging.ERROR):
        ledger.conclude(charged(None, 60, claim=0))
        await ledger.flush()
    assert "taken over" in caplog.text
    await ledger.conclude_now(charged(None, 60, claim=1))
    assert await used(ledger) == 0


async def test_nobody_takes_one_over_whose_account_is_not_here(
    ledger: SqliteLedger, path: Path, clock: HandClock
) -> None:
    before = open_ledger(path, clock=clock)
    await turning(before)
    await before.close()
    clock.forward(seconds=600)
    assert list(await ledger.adopt_orphans(lambda _rail, _account, _authorized: False, clock_right=True)) == []
    assert (await stands(ledger)).claim == 0


async def test_a_proof_of_the_charge_takes_back_what_was_said_to_have_come_back(ledger: SqliteLedger) -> None:
    await turning(ledger)
    await ledger.conclude_now(replace(charged(LATER, refunded=60), proven=False))
    assert (await stands(ledger)).refunded == 60
    assert await used(ledger) == 0
    await ledger.conclude_now(replace(charged(LATER), proven=False))
    assert await used(ledger) == 0, "that a receipt cannot be read proves nothing"
    await ledger.conclude_now(charged(None))
    row = await stands(ledger)
    assert (row.charged, row.refunded, row.look_again_at, await used(ledger)) == (60, 0, None, 60)
    assert (await ledger.audit()).findings == ()


async def test_a_proof_of_more_than_was_counted_moves_the_charge_up_for_a_person_to_rule(ledger: SqliteLedger) -> None:
    await turning(ledger)
    more = replace(charged(None), charged=MicroUSDC(4_900))
    await ledger.conclude_now(replace(more, proven=False, look_again_at=LATER))
    assert await used(ledger) == 60
    await ledger.conclude_now(more)
    assert ((await stands(ledger)).charged, await used(ledger)) == (4_900, 4_900)
    assert [row.call_id for row in await ledger.excessive()] == [CALL]
    assert (await ledger.audit()).findings == ()


async def test_what_a_person_ruled_stands_whatever_is_said_of_the_charge_since(ledger: SqliteLedger) -> None:
    await turning(ledger)
    await ledger.correct(CALL, MicroUSDC(40), "ruled charged 40 by me: the invoice")
    await ledger.conclude_now(replace(charged(LATER), proven=False))
    assert (await stands(ledger)).evidence == "ruled charged 40 by me: the invoice"
    await ledger.conclude_now(charged(None))
    row = await stands(ledger)
    assert (row.charged, row.evidence) == (40, "ruled charged 40 by me: the invoice; so it says")
    assert list(await ledger.excessive()) == []
