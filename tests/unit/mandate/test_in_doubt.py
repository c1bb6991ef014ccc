"""The state ``in_doubt``: nobody knows whether the Hub charged, so it counts as spent."""

import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.records import AlreadyOpen, Conclusion
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.states import Event, State, after, counted_amount
from tests.unit.mandate.reservations import everything, meter, reservation


def test_it_stays_or_leads_to_a_proof_or_to_being_written_off() -> None:
    assert {event: after(State.IN_DOUBT, event) for event in Event if after(State.IN_DOUBT, event)} == {
        Event.DOUBT: State.IN_DOUBT,
        Event.WAIT: State.IN_DOUBT,
        Event.RESEND: State.IN_DOUBT,
        Event.PROVE_CHARGED: State.RECONCILED_CHARGED,
        Event.PROVE_FREE: State.RECONCILED_FREE,
        Event.WRITE_OFF: State.WRITTEN_OFF,
    }


def test_its_whole_hold_counts() -> None:
    assert counted_amount(State.IN_DOUBT, 70, 0) == 70


@pytest.mark.anyio
async def test_it_holds_its_amount_and_keeps_the_call_open(ledger: SqliteLedger) -> None:
    cap = meter()
    wanted = reservation(ledger.session, 900, meters=[cap], fingerprint="f")
    await ledger.reserve(wanted)
    ledger.conclude(Conclusion(wanted.call_id, Verdict.IN_DOUBT, evidence="the answer was lost", attempts=3))
    assert [reading.used for reading in await ledger.readings([cap])] == [900]
    again = await ledger.reserve(reservation(ledger.session, fingerprint="f"))
    assert isinstance(again, AlreadyOpen)
    assert (again.row.state, again.row.attempts, again.row.ended_at) == (State.IN_DOUBT, 3, None)
    totals = await ledger.totals()
    assert (totals.held, totals.in_doubt) == (900, 900)


@pytest.mark.anyio
async def test_asking_again_in_vain_counts_the_attempts_and_moves_no_money(ledger: SqliteLedger) -> None:
    cap = meter()
    wanted = reservation(ledger.session, 900, meters=[cap])
    await ledger.reserve(wanted)
    ledger.conclude(Conclusion(wanted.call_id, Verdict.IN_DOUBT, attempts=3))
    ledger.conclude(Conclusion(wanted.call_id, Verdict.IN_DOUBT, evidence="still no answer", attempts=4))
    row = await ledger.row(wanted.call_id)
    assert row is not None
    assert (row.state, row.attempts, row.ended_at, row.evidence) == (State.IN_DOUBT, 7, None, "still no answer")
    assert [reading.used for reading in await ledger.readings([cap])] == [900]


@pytest.mark.anyio
async def test_its_owner_finds_it_again(ledger: SqliteLedger) -> None:
    wanted = [reservation(ledger.session) for _ in range(3)]
    for one in wanted:
        await ledger.reserve(one)
        ledger.conclude(Conclusion(one.call_id, Verdict.IN_DOUBT))
    assert [row.call_id for row in await ledger.adopt_orphans(everything)] == [one.call_id for one in wanted]
    assert len(await ledger.rows(states=frozenset({State.IN_DOUBT}))) == 3
