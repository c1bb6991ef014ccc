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


@pytest.mark.parametrize(
    ("verdict", "charged", "state", "used"),
    [
        (Verdict.CHARGED, 5, State.SETTLED, 5),
        (Verdict.IN_DOUBT, 0, State.IN_DOUBT, 900),
        (Verdict.PENDING, 0, State.SENT, 900),
    ],
)
@pytest.mark.anyio
async def test_what_does_not_say_that_it_is_free_says_that_it_was_sent(
    ledger: SqliteLedger, verdict: Verdict, charged: int, state: State, used: int
) -> None:
    cap = meter()
    wanted = reservation(ledger.session, 900, meters=[cap], send=False)
    await ledger.reserve(wanted)
    with pytest.raises(LedgerError, match="taken over"):
        await ledger.conclude_now(Conclusion(wanted.call_id, verdict, MicroUSDC(charged), claim=1, proven=False))
    await ledger.conclude_now(Conclusion(wanted.call_id, verdict, MicroUSDC(charged), claim=0))
    row = await ledger.row(wanted.call_id)
    assert row is not None
    assert row.state is state
    assert [reading.used for reading in await ledger.readings([cap])] == [used]
    assert [event.event for event in await ledger.events(wanted.call_id)][:2] == ["reserve", "send"]
    assert (await ledger.audit()).findings == ()


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
