"""The state ``released``: it is proven that nothing was charged."""

import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.records import Admitted, Conclusion, OverLimit, Undelivered
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.states import Event, State, after, counted_amount
from tests.unit.mandate.reservations import meter, reservation


def test_only_a_proof_of_a_charge_overrules_it_and_it_counts_nothing() -> None:
    assert {event: after(State.RELEASED, event) for event in Event if after(State.RELEASED, event)} == {
        Event.PROVE_CHARGED: State.RECONCILED_CHARGED
    }
    assert counted_amount(State.RELEASED, 70, 0) == 0


@pytest.mark.anyio
async def test_the_room_it_held_can_be_used_again(ledger: SqliteLedger) -> None:
    cap = meter(limit=10)
    first = reservation(ledger.session, 10, meters=[cap], fingerprint="f")
    await ledger.reserve(first)
    assert isinstance(await ledger.reserve(reservation(ledger.session, 1, meters=[cap])), OverLimit)
    ledger.conclude(Conclusion(first.call_id, Verdict.NOT_CHARGED, evidence="402 before any charge"))
    again = reservation(ledger.session, 10, meters=[cap], fingerprint="f")
    assert isinstance(await ledger.reserve(again), Admitted)
    row = await ledger.row(first.call_id)
    assert row is not None
    assert (row.state, row.charged, row.evidence) == (State.RELEASED, 0, "402 before any charge")


@pytest.mark.anyio
async def test_its_sums_hold_nothing(ledger: SqliteLedger) -> None:
    wanted = reservation(ledger.session)
    await ledger.reserve(wanted)
    ledger.conclude(Conclusion(wanted.call_id, Verdict.NOT_CHARGED))
    totals = await ledger.totals()
    assert (totals.charged, totals.held, totals.in_doubt, totals.calls) == (0, 0, 0, 1)


@pytest.mark.anyio
async def test_a_free_answer_nobody_received_is_given_again_and_not_asked_for_anew(ledger: SqliteLedger) -> None:
    wanted = reservation(ledger.session, fingerprint="f")
    await ledger.reserve(wanted)
    ledger.conclude(Conclusion(wanted.call_id, Verdict.NOT_CHARGED, answer=b"answer"))
    again = await ledger.reserve(reservation(ledger.session, fingerprint="f"))
    assert isinstance(again, Undelivered)
    assert again.row.answer == b"answer"
    ledger.note_delivery(wanted.call_id)
    assert isinstance(await ledger.reserve(reservation(ledger.session, fingerprint="f")), Admitted)
