"""The state ``settled``: the Hub took the money and said so."""

import logging

import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.records import Admitted, Conclusion, Undelivered
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.states import Event, State, after, counted_amount
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import HandClock, meter, reservation


def settle(call_id: str, charged: int = 5_000, answer: bytes | None = b"answer") -> Conclusion:
    return Conclusion(
        call_id,
        Verdict.CHARGED,
        MicroUSDC(charged),
        balance_after=MicroUSDC(77),
        reference="tx_1",
        evidence="200 with billing",
        answer=answer,
        attempts=2,
    )


def test_whatever_can_happen_to_it_leaves_it_settled() -> None:
    assert {event: after(State.SETTLED, event) for event in Event if after(State.SETTLED, event)} == {
        Event.WAIT: State.SETTLED,
        Event.CONFIRM: State.SETTLED,
        Event.REFUND: State.SETTLED,
        Event.CORRECTED: State.SETTLED,
    }


def test_what_was_charged_counts() -> None:
    assert counted_amount(State.SETTLED, 70, 30) == 30
    assert counted_amount(State.SETTLED, 70, 30, 20) == 10


@pytest.mark.anyio
async def test_the_row_carries_what_the_hub_said(ledger: SqliteLedger, clock: HandClock) -> None:
    wanted = reservation(ledger.session)
    await ledger.reserve(wanted)
    clock.forward(seconds=3)
    ledger.conclude(settle(wanted.call_id, 4_000))
    row = await ledger.row(wanted.call_id)
    assert row is not None
    assert (row.state, row.held, row.charged, row.balance_after) == (State.SETTLED, 5_000, 4_000, 77)
    assert (row.reference, row.evidence, row.attempts, row.answer) == ("tx_1", "200 with billing", 2, b"answer")
    assert row.ended_at == clock.at


@pytest.mark.anyio
@pytest.mark.parametrize("charged", [0, 4_000, 5_000, 6_000])
async def test_the_meters_count_the_charge_even_above_the_hold(ledger: SqliteLedger, charged: int) -> None:
    caps = [meter(), meter(limit=5_000, key="tight")]
    wanted = reservation(ledger.session, 5_000, meters=caps)
    await ledger.reserve(wanted)
    ledger.conclude(settle(wanted.call_id, charged))
    assert [reading.used for reading in await ledger.readings(caps)] == [charged, charged]
    assert (await ledger.totals()).charged == charged


@pytest.mark.anyio
async def test_a_second_settle_is_logged_and_counts_nothing(
    ledger: SqliteLedger, caplog: pytest.LogCaptureFixture
) -> None:
    cap = meter()
    wanted = reservation(ledger.session, 5_000, meters=[cap])
    await ledger.reserve(wanted)
    ledger.conclude(settle(wanted.call_id))
    with caplog.at_level(logging.ERROR):
        ledger.conclude(settle(wanted.call_id))
        ledger.note_delivery(wanted.call_id)
        await ledger.flush()
    assert "charged says nothing new" in caplog.text
    assert [reading.used for reading in await ledger.readings([cap])] == [5_000]
    row = await ledger.row(wanted.call_id)
    assert row is not None
    assert row.delivered


@pytest.mark.anyio
async def test_a_repeat_gets_the_answer_nobody_received(ledger: SqliteLedger) -> None:
    wanted = reservation(ledger.session, fingerprint="f")
    await ledger.reserve(wanted)
    ledger.conclude(settle(wanted.call_id))
    again = await ledger.reserve(reservation(ledger.session, fingerprint="f"))
    assert isinstance(again, Undelivered)
    assert (again.row.call_id, again.row.answer) == (wanted.call_id, b"answer")


@pytest.mark.anyio
async def test_a_repeat_after_delivery_is_a_new_purchase(ledger: SqliteLedger) -> None:
    wanted = reservation(ledger.session, fingerprint="f")
    await ledger.reserve(wanted)
    ledger.conclude(settle(wanted.call_id))
    ledger.note_delivery(wanted.call_id)
    assert isinstance(await ledger.reserve(reservation(ledger.session, fingerprint="f")), Admitted)


@pytest.mark.anyio
async def test_an_undelivered_answer_stands_in_for_a_day(ledger: SqliteLedger, clock: HandClock) -> None:
    wanted = reservation(ledger.session, fingerprint="f")
    await ledger.reserve(wanted)
    ledger.conclude(settle(wanted.call_id))
    await ledger.flush()
    clock.forward(hours=24, ms=-1)
    assert isinstance(await ledger.reserve(reservation(ledger.session, fingerprint="f")), Undelivered)
    clock.forward(ms=1)
    assert isinstance(await ledger.reserve(reservation(ledger.session, fingerprint="f")), Admitted)


@pytest.mark.anyio
async def test_without_an_answer_there_is_nothing_to_repeat(ledger: SqliteLedger) -> None:
    wanted = reservation(ledger.session, fingerprint="f")
    await ledger.reserve(wanted)
    ledger.conclude(settle(wanted.call_id, answer=None))
    assert isinstance(await ledger.reserve(reservation(ledger.session, fingerprint="f")), Admitted)


@pytest.mark.anyio
async def test_a_hubs_strange_words_are_kept_as_far_as_text_can_hold_them(ledger: SqliteLedger) -> None:
    wanted = reservation(ledger.session)
    await ledger.reserve(wanted)
    ledger.conclude(Conclusion(wanted.call_id, Verdict.CHARGED, MicroUSDC(1), reference="\ud800" + "x" * 9_000))
    row = await ledger.row(wanted.call_id)
    assert row is not None
    assert row.state is State.SETTLED
    assert row.reference is not None
    assert row.reference.startswith("\\ud800xxx")
    assert len(row.reference) < 600


@pytest.mark.anyio
async def test_a_payee_counts_as_paid_once_a_charge_is_proven(ledger: SqliteLedger) -> None:
    wanted = reservation(ledger.session)
    await ledger.reserve(wanted)
    where = ("jecp", wanted.account, "docs")
    assert not await ledger.has_paid("local", *where)
    ledger.conclude(settle(wanted.call_id))
    assert await ledger.has_paid("local", *where)
    assert not await ledger.has_paid("somebody", *where)
    assert not await ledger.has_paid("local", "jecp", wanted.account, "another")
    assert not await ledger.has_paid("local", "jecp", "https://other.example agent", "docs")
    assert not await ledger.has_paid("local", "another", wanted.account, "docs")
