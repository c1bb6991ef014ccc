"""The state ``reconciled_free``: a doubt ended with proof that nothing was charged."""

import pytest

from jecp_mcp.mandate.ledger import Admitted, Conclusion
from jecp_mcp.mandate.sqlite import SqliteLedger
from jecp_mcp.mandate.states import Event, State, after, counted
from tests.unit.mandate.reservations import meter, reservation


def test_it_is_final_and_counts_nothing() -> None:
    assert not [event for event in Event if after(State.RECONCILED_FREE, event)]
    assert counted(State.RECONCILED_FREE, 70, 0) == 0


@pytest.mark.anyio
@pytest.mark.parametrize("way", [(Event.DOUBT,), (Event.DOUBT, Event.WRITE_OFF)])
async def test_the_proof_gives_the_hold_back(ledger: SqliteLedger, way: tuple[Event, ...]) -> None:
    cap = meter()
    wanted = reservation(ledger.session, 900, meters=[cap], fingerprint="f")
    await ledger.reserve(wanted)
    for event in (*way, Event.PROVE_FREE):
        ledger.conclude(Conclusion(wanted.call_id, event))
    assert [reading.used for reading in await ledger.readings([cap])] == [0]
    assert isinstance(await ledger.reserve(reservation(ledger.session, fingerprint="f")), Admitted)
    row = await ledger.row(wanted.call_id)
    assert row is not None
    assert row.state is State.RECONCILED_FREE
