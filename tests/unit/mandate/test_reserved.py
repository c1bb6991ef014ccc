"""The state ``reserved``: the money is held, somebody is being asked, nothing may be sent."""

import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.records import AlreadyOpen, Conclusion
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.states import Event, State, after, counted_amount
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import meter, reservation


def test_it_leads_to_sent_and_released_only() -> None:
    assert {event: after(State.RESERVED, event) for event in Event if after(State.RESERVED, event)} == {
        Event.SEND: State.SENT,
        Event.RELEASE: State.RELEASED,
    }


def test_its_whole_hold_counts() -> None:
    assert counted_amount(State.RESERVED, 70, 30) == 70


@pytest.mark.anyio
async def test_sending_moves_it_once(ledger: SqliteLedger) -> None:
    wanted = reservation(ledger.session, send=False)
    await ledger.reserve(wanted)
    assert await ledger.send(wanted.call_id) is True
    assert await ledger.send(wanted.call_id) is False
    row = await ledger.row(wanted.call_id)
    assert row is not None
    assert row.state is State.SENT


@pytest.mark.anyio
async def test_releasing_gives_the_hold_back(ledger: SqliteLedger) -> None:
    cap = meter()
    wanted = reservation(ledger.session, 900, meters=[cap], send=False)
    await ledger.reserve(wanted)
    ledger.conclude(Conclusion(wanted.call_id, Verdict.NOT_CHARGED, attempts=0))
    assert [reading.used for reading in await ledger.readings([cap])] == [0]
    assert await ledger.send(wanted.call_id) is False


@pytest.mark.anyio
async def test_it_cannot_be_settled(ledger: SqliteLedger) -> None:
    wanted = reservation(ledger.session, send=False)
    await ledger.reserve(wanted)
    with pytest.raises(LedgerError, match="charged says nothing new"):
        await ledger.conclude_now(Conclusion(wanted.call_id, Verdict.CHARGED, MicroUSDC(5)))


@pytest.mark.anyio
async def test_it_keeps_the_identical_call_from_being_bought(ledger: SqliteLedger) -> None:
    await ledger.reserve(reservation(ledger.session, fingerprint="f", send=False, call_id="first"))
    again = await ledger.reserve(reservation(ledger.session, fingerprint="f"))
    assert isinstance(again, AlreadyOpen)
    assert again.row.call_id == "first"


@pytest.mark.anyio
async def test_sending_an_unknown_call_is_an_error(ledger: SqliteLedger) -> None:
    with pytest.raises(LedgerError, match="knows no call"):
        await ledger.send("nobody")
