"""The state ``sent``: bytes may have left; only a proof moves it."""

from dataclasses import replace

import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.records import Admitted, AlreadyOpen, Conclusion
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.states import Event, State, after, counted_amount
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import START, HandClock, meter, reservation


def test_it_stays_or_leads_to_settled_released_in_doubt_and_written_off_only() -> None:
    assert {event: after(State.SENT, event) for event in Event if after(State.SENT, event)} == {
        Event.SETTLE: State.SETTLED,
        Event.RELEASE: State.RELEASED,
        Event.DOUBT: State.IN_DOUBT,
        Event.WRITE_OFF: State.WRITTEN_OFF,
        Event.WAIT: State.SENT,
        Event.RESEND: State.SENT,
    }


def test_its_whole_hold_counts() -> None:
    assert counted_amount(State.SENT, 70, 0) == 70


@pytest.mark.anyio
async def test_what_was_reserved_is_read_back_whole(ledger: SqliteLedger) -> None:
    wanted = reservation(ledger.session, 1234, request=b"\x00the exact bytes\xff")
    assert await ledger.reserve(wanted) == Admitted(wanted.call_id, START)
    row = await ledger.row(wanted.call_id)
    assert row is not None
    for name in (
        "principal", "team", "session", "rail", "account", "tool", "payee", "source", "offer", "names", "version",
        "fingerprint", "kind", "terms", "provable_until", "request",
    ):  # fmt: skip
        assert getattr(row, name) == getattr(wanted, name)
    assert (row.state, row.quoted, row.held, row.charged) == (State.SENT, 1234, 1234, 0)
    assert (row.created_at, row.ended_at, row.attempts, row.delivered, row.answer) == (START, None, 0, False, None)


@pytest.mark.anyio
async def test_time_alone_never_moves_it(ledger: SqliteLedger, clock: HandClock) -> None:
    cap = meter()
    wanted = reservation(ledger.session, meters=[cap], fingerprint="f")
    await ledger.reserve(wanted)
    clock.forward(hours=24 * 400)
    again = await ledger.reserve(reservation(ledger.session, meters=[cap], fingerprint="f"))
    assert isinstance(again, AlreadyOpen)
    assert again.row.state is State.SENT


@pytest.mark.anyio
async def test_a_call_id_is_taken_once(ledger: SqliteLedger) -> None:
    cap = meter()
    await ledger.reserve(reservation(ledger.session, 10, call_id="c", meters=[cap]))
    with pytest.raises(LedgerError, match="is taken"):
        await ledger.reserve(reservation(ledger.session, 10, call_id="c", meters=[cap], fingerprint="other"))
    assert [reading.used for reading in await ledger.readings([cap])] == [10]


@pytest.mark.anyio
@pytest.mark.parametrize("hold", [-1, 10**15 + 1])
async def test_a_hold_out_of_bounds_is_an_error(ledger: SqliteLedger, hold: int) -> None:
    with pytest.raises(LedgerError, match="out of bounds"):
        await ledger.reserve(reservation(ledger.session, hold))


@pytest.mark.anyio
async def test_a_quote_may_be_as_much_as_a_column_holds(ledger: SqliteLedger) -> None:
    for quoted in (-1, 2**63):
        with pytest.raises(LedgerError, match="the quote is out of bounds"):
            await ledger.reserve(replace(reservation(ledger.session), quoted=MicroUSDC(quoted)))
    for quoted in (0, 2**63 - 1):
        wanted = replace(reservation(ledger.session), quoted=MicroUSDC(quoted))
        assert isinstance(await ledger.reserve(wanted), Admitted)


@pytest.mark.anyio
async def test_a_reservation_of_another_session_is_an_error(ledger: SqliteLedger) -> None:
    with pytest.raises(LedgerError, match="another process"):
        await ledger.reserve(reservation("somebody"))


@pytest.mark.anyio
async def test_a_release_cannot_carry_a_charge(ledger: SqliteLedger) -> None:
    wanted = reservation(ledger.session)
    await ledger.reserve(wanted)
    with pytest.raises(LedgerError, match="cannot carry a charge"):
        await ledger.conclude_now(Conclusion(wanted.call_id, Verdict.NOT_CHARGED, MicroUSDC(1)))
    row = await ledger.row(wanted.call_id)
    assert row is not None
    assert row.state is State.SENT
