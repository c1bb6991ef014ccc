"""The state ``written_off``: nobody will ever know, so it counts as spent for ever."""

import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.records import Admitted, Conclusion
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.states import Event, State, after, counted_amount
from jecp_mcp.mandate.windows import Window
from tests.unit.mandate.reservations import HandClock, meter, reservation


def test_only_a_proof_moves_it() -> None:
    assert {event: after(State.WRITTEN_OFF, event) for event in Event if after(State.WRITTEN_OFF, event)} == {
        Event.PROVE_CHARGED: State.RECONCILED_CHARGED,
        Event.PROVE_FREE: State.RECONCILED_FREE,
    }


def test_its_whole_hold_counts() -> None:
    assert counted_amount(State.WRITTEN_OFF, 70, 0) == 70


@pytest.mark.anyio
async def test_it_counts_for_ever_and_no_longer_blocks_the_call(ledger: SqliteLedger, clock: HandClock) -> None:
    caps = [meter(Window.TOTAL), meter(Window.DAY)]
    wanted = reservation(ledger.session, 900, meters=caps, fingerprint="f")
    await ledger.reserve(wanted)
    ledger.conclude(Conclusion(wanted.call_id, Verdict.IN_DOUBT))
    ledger.write_off(wanted.call_id, "the window has passed")
    assert [reading.used for reading in await ledger.readings(caps)] == [900, 900]
    clock.forward(hours=24 * 400)
    assert [reading.used for reading in await ledger.readings(caps)] == [900, 0]
    assert (await ledger.totals()).held == 900
    assert isinstance(await ledger.reserve(reservation(ledger.session, fingerprint="f")), Admitted)
