"""An operator's word on what a charged call really cost."""

import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.records import RULED, Conclusion
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.states import State
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import HandClock, meter, reservation

CAPS = [meter(Window.HOUR), meter(Window.TOTAL)]


async def used(ledger: SqliteLedger) -> list[int]:
    return [one.used for one in await ledger.readings(CAPS)]


@pytest.mark.anyio
@pytest.mark.parametrize("doubted", [False, True])
async def test_it_moves_the_charge_and_its_windows_and_leaves_the_state(
    ledger: SqliteLedger, clock: HandClock, doubted: bool
) -> None:
    await ledger.reserve(reservation(ledger.session, 5_000, meters=CAPS, call_id="c"))
    if doubted:
        ledger.conclude(Conclusion("c", Verdict.IN_DOUBT))
    ledger.conclude(Conclusion("c", Verdict.CHARGED, MicroUSDC(10**15), evidence="said the Hub"))
    assert await used(ledger) == [10**15] * 2
    await ledger.correct("c", MicroUSDC(5_000), "it cannot have been")
    row = await ledger.row("c")
    assert row is not None
    assert row.state is (State.RECONCILED_CHARGED if doubted else State.SETTLED)
    assert (row.charged, row.evidence) == (5_000, "it cannot have been")
    assert await used(ledger) == [5_000] * 2
    assert (await ledger.totals()).charged == 5_000
    assert [one.event for one in await ledger.events("c")][-1] == "corrected"
    clock.forward(hours=2)
    await ledger.correct("c", MicroUSDC(7_000), "once more")
    assert await used(ledger) == [0, 7_000]


@pytest.mark.anyio
async def test_only_what_was_charged_can_be_corrected_and_not_below_its_refund(ledger: SqliteLedger) -> None:
    await ledger.reserve(reservation(ledger.session, 5_000, call_id="c"))
    with pytest.raises(LedgerError, match="was not charged"):
        await ledger.correct("c", MicroUSDC(5), "why")
    ledger.conclude(Conclusion("c", Verdict.CHARGED, MicroUSDC(5_000)))
    await ledger.refund("c", MicroUSDC(3_000), "told")
    for charged in (2_999, -1, 10**15 + 1):
        with pytest.raises(LedgerError, match="cannot be"):
            await ledger.correct("c", MicroUSDC(charged), "why")
    await ledger.correct("c", MicroUSDC(10**15), "why")
    await ledger.correct("c", MicroUSDC(3_000), "why")
    assert (await ledger.totals()).charged == 0


@pytest.mark.anyio
async def test_a_ruling_on_an_excess_stands_after_refunds(ledger: SqliteLedger) -> None:
    await ledger.reserve(reservation(ledger.session, 5_000, call_id="c"))
    ledger.conclude(Conclusion("c", Verdict.CHARGED, MicroUSDC(9_000), evidence="said the Hub"))
    await ledger.flush()
    assert [one.call_id for one in await ledger.excessive()] == ["c"]
    await ledger.correct("c", MicroUSDC(9_000), f"{RULED}charged by ana: seen")
    for refunded in (1_000, 2_000):
        assert await ledger.refund("c", MicroUSDC(refunded), "refunded: r_1")
        assert await ledger.excessive() == []
    row = await ledger.row("c")
    assert row is not None
    assert row.evidence == "ruled charged by ana: seen; refunded: r_1; refunded: r_1"
    assert (await ledger.audit()).findings == ()
