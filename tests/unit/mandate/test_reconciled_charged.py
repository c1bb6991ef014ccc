"""The state ``reconciled_charged``: a doubt ended with proof that the Hub charged."""

import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.records import Conclusion, Undelivered
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.states import Event, State, after, counted_amount
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import meter, reservation


def test_whatever_can_happen_to_it_leaves_it_charged() -> None:
    state = State.RECONCILED_CHARGED
    assert {event: after(state, event) for event in Event if after(state, event)} == {
        Event.WAIT: state,
        Event.CONFIRM: state,
        Event.REFUND: state,
        Event.CORRECTED: state,
    }
    assert counted_amount(State.RECONCILED_CHARGED, 70, 30) == 30


@pytest.mark.anyio
async def test_the_proof_corrects_the_meters_and_keeps_the_answer(ledger: SqliteLedger) -> None:
    cap = meter()
    wanted = reservation(ledger.session, 900, meters=[cap], fingerprint="f")
    await ledger.reserve(wanted)
    ledger.conclude(Conclusion(wanted.call_id, Verdict.IN_DOUBT, attempts=3))
    ledger.conclude(Conclusion(wanted.call_id, Verdict.CHARGED, MicroUSDC(700), answer=b"late", attempts=1))
    assert [reading.used for reading in await ledger.readings([cap])] == [700]
    again = await ledger.reserve(reservation(ledger.session, fingerprint="f"))
    assert isinstance(again, Undelivered)
    assert (again.row.state, again.row.answer, again.row.attempts) == (State.RECONCILED_CHARGED, b"late", 4)


@pytest.mark.anyio
async def test_a_settle_that_comes_late_does_not_count_twice(ledger: SqliteLedger) -> None:
    cap = meter()
    wanted = reservation(ledger.session, 900, meters=[cap])
    await ledger.reserve(wanted)
    for event, charged in ((Verdict.IN_DOUBT, 0), (Verdict.CHARGED, 900), (Verdict.CHARGED, 900)):
        ledger.conclude(Conclusion(wanted.call_id, event, MicroUSDC(charged)))
    assert [reading.used for reading in await ledger.readings([cap])] == [900]
    assert (await ledger.totals()).charged == 900
