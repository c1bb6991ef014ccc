"""The state ``reconciled_free``: a doubt ended with proof that nothing was charged."""

import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.records import Admitted, Conclusion, Meter
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.states import Event, State, after, counted_amount
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import meter, reservation


def test_only_a_proof_of_a_charge_overrules_it_and_it_counts_nothing() -> None:
    state = State.RECONCILED_FREE
    assert {event: after(state, event) for event in Event if after(state, event)} == {
        Event.PROVE_CHARGED: State.RECONCILED_CHARGED
    }
    assert counted_amount(State.RECONCILED_FREE, 70, 0) == 0


@pytest.mark.anyio
@pytest.mark.parametrize("written_off", [False, True])
async def test_the_proof_gives_the_hold_back(ledger: SqliteLedger, written_off: bool) -> None:
    cap = meter()
    wanted = reservation(ledger.session, 900, meters=[cap], fingerprint="f")
    await ledger.reserve(wanted)
    ledger.conclude(Conclusion(wanted.call_id, Verdict.IN_DOUBT))
    if written_off:
        ledger.write_off(wanted.call_id, "too late")
    ledger.conclude(Conclusion(wanted.call_id, Verdict.NOT_CHARGED))
    assert [reading.used for reading in await ledger.readings([cap])] == [0]
    assert isinstance(await ledger.reserve(reservation(ledger.session, fingerprint="f")), Admitted)
    row = await ledger.row(wanted.call_id)
    assert row is not None
    assert row.state is State.RECONCILED_FREE


@pytest.mark.anyio
@pytest.mark.parametrize("later", [False, True])
async def test_a_charge_found_after_all_counts_in_every_window_it_belongs_to(ledger: SqliteLedger, later: bool) -> None:
    """Also in a window whose limit came while the call counted for nothing."""
    old, new = meter(Window.DAY), Meter("a new limit", Window.TOTAL, MicroUSDC(10_000), "total_usdc", "local")
    wanted = reservation(ledger.session, 900, meters=[old])
    await ledger.reserve(wanted)
    for event in (Verdict.IN_DOUBT, Verdict.NOT_CHARGED):
        ledger.conclude(Conclusion(wanted.call_id, event))
    if later:
        await ledger.reserve(reservation(ledger.session, 1, meters=[new]))
        assert [reading.used for reading in await ledger.readings([old, new])] == [1, 1]
    await ledger.conclude_now(Conclusion(wanted.call_id, Verdict.CHARGED, MicroUSDC(800)))
    if not later:
        await ledger.reserve(reservation(ledger.session, 1, meters=[new]))
    assert [reading.used for reading in await ledger.readings([old, new])] == [801, 801]
