"""What a Hub gives back flows back into the windows it was counted in."""

from pathlib import Path

import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Admitted, Conclusion, OverLimit
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.states import State
from jecp_mcp.mandate.windows import WINDOW_MS, Window
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import HandClock, meter, reservation

CAPS = [meter(window, 1_000) for window in (Window.HOUR, Window.DAY, Window.MONTH, Window.TOTAL, Window.SESSION)]


async def charged(ledger: SqliteLedger, call_id: str = "c", amount: int = 900) -> None:
    await ledger.reserve(reservation(ledger.session, 1_000, meters=CAPS, call_id=call_id))
    ledger.conclude(Conclusion(call_id, Verdict.CHARGED, MicroUSDC(amount), evidence="200 with billing"))


async def used(ledger: SqliteLedger) -> list[int]:
    return [reading.used for reading in await ledger.readings(CAPS)]


@pytest.mark.anyio
async def test_every_window_of_the_call_has_that_much_more_room(ledger: SqliteLedger) -> None:
    await charged(ledger)
    full = reservation(ledger.session, 700, meters=CAPS)
    assert isinstance(await ledger.reserve(full), OverLimit)
    assert await ledger.refund("c", MicroUSDC(600), "the Hub's books") is True
    assert await used(ledger) == [300] * 5
    assert isinstance(await ledger.reserve(full), Admitted)
    row = await ledger.row("c")
    assert row is not None
    assert (row.state, row.charged, row.refunded, row.evidence) == (State.SETTLED, 900, 600, "the Hub's books")
    assert (await ledger.totals()).charged == 300


@pytest.mark.anyio
async def test_the_total_is_told_so_telling_it_again_is_no_news(ledger: SqliteLedger) -> None:
    await charged(ledger)
    outcomes = [await ledger.refund("c", MicroUSDC(total), "told") for total in (300, 300, 200, 500, 5_000, 900)]
    assert outcomes == [True, False, False, True, True, False]
    assert await used(ledger) == [0] * 5
    row = await ledger.row("c")
    assert row is not None
    assert row.refunded == 900
    told = [(one.event, one.refunded) for one in await ledger.events("c")]
    assert told == [("reserve", 0), ("settle", 0), ("refund", 300), ("refund", 500), ("refund", 900)]


@pytest.mark.anyio
@pytest.mark.parametrize("window", list(WINDOW_MS))
async def test_a_refund_after_the_window_passed_gives_no_room_twice(
    ledger: SqliteLedger, clock: HandClock, window: Window
) -> None:
    await charged(ledger)
    clock.forward(ms=WINDOW_MS[window] * 2)
    cap = meter(window, 1_000)
    await ledger.reserve(reservation(ledger.session, 800, meters=[cap]))
    assert await ledger.refund("c", MicroUSDC(900), "late") is True
    assert [reading.used for reading in await ledger.readings([cap, meter(Window.TOTAL)])] == [800, 800]
    assert isinstance(await ledger.reserve(reservation(ledger.session, 201, meters=[cap])), OverLimit)


@pytest.mark.anyio
async def test_a_refund_of_a_charge_above_the_hold_gives_all_of_it_back(ledger: SqliteLedger) -> None:
    await charged(ledger, amount=1_500)
    assert await used(ledger) == [1_500] * 5
    await ledger.refund("c", MicroUSDC(1_500), "told")
    assert await used(ledger) == [0] * 5


@pytest.mark.anyio
async def test_only_what_was_charged_can_be_refunded(ledger: SqliteLedger) -> None:
    await ledger.reserve(reservation(ledger.session, call_id="open"))
    with pytest.raises(LedgerError, match="was not charged"):
        await ledger.refund("open", MicroUSDC(1), "told")
    with pytest.raises(LedgerError, match="knows no call"):
        await ledger.refund("nobody", MicroUSDC(1), "told")


@pytest.mark.anyio
async def test_a_refund_survives_a_restart_and_a_count_anew(path: Path, ledger: SqliteLedger, clock: HandClock) -> None:
    await charged(ledger)
    await ledger.refund("c", MicroUSDC(400), "told")
    await ledger.close()
    again = open_ledger(path, clock=clock)
    await again.recount()
    assert (await used(again))[:4] == [500] * 4
    assert (await again.audit()).findings == ()
    await again.close()


ACCOUNT = reservation("s").account


@pytest.mark.anyio
async def test_the_call_of_a_transaction_is_found_by_it(ledger: SqliteLedger) -> None:
    for name in ("a", "b"):
        await ledger.reserve(reservation(ledger.session, call_id=name))
        ledger.conclude(Conclusion(name, Verdict.CHARGED, MicroUSDC(5), reference=f"tx_{name}", answer=b"answer"))
    row = await ledger.of_reference("jecp", ACCOUNT, "tx_b")
    assert row is not None
    assert (row.call_id, row.answer) == ("b", b"answer")
    assert await ledger.of_reference("jecp", ACCOUNT, "tx_c") is None
